//! Text that is safe and fits.

use unicode_width::UnicodeWidthChar;

/// Columns that a tab takes.
const TAB: &str = "    ";

/// `text` with everything that could steer a terminal made visible; line breaks stay.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' { out.push('\n') } else { push_visible(&mut out, c) }
    }
    out
}

/// Like [`visible`], on one line.
pub fn one_line(text: &str) -> String {
    visible(text).replace('\n', " ")
}

/// Appends `c`, or what stands for it: a control picture, or U+FFFD for marks that reorder text.
pub fn push_visible(out: &mut String, c: char) {
    match c {
        '\t' => out.push_str(TAB),
        '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
        '\u{7f}' => out.push('\u{2421}'),
        // C1 controls, line and paragraph separators, bidirectional embeddings, overrides and isolates.
        '\u{80}'..='\u{9f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{061c}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
        _ => out.push(c),
    }
}

/// Columns that [`push_visible`] uses for `c`.
pub fn width_of(c: char) -> usize {
    match c {
        '\t' => TAB.len(),
        _ => UnicodeWidthChar::width(c).unwrap_or(1),
    }
}

/// Columns of a text without tabs and controls.
pub fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// Breaks the lines of `text` that are wider than `width` between words; the others stay exactly as they are, so that
/// drawings keep their columns.
pub fn wrap(text: &str, width_limit: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        if width(line) <= width_limit {
            lines.push(line.to_owned());
            continue;
        }
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let mut current = indent.clone();
        let mut empty = true;
        for word in line.split_whitespace() {
            if !empty && width(&current) + 1 + width(word) > width_limit {
                lines.push(std::mem::replace(&mut current, indent.clone()));
                empty = true;
            }
            if !empty {
                current.push(' ');
            }
            current.push_str(word);
            empty = false;
        }
        lines.push(current);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_become_pictures() {
        assert_eq!(visible("a\u{1b}[31mb\r\n\u{7}"), "a␛[31mb␍\n␇");
        assert_eq!(visible("a\u{202e}b\tc"), "a\u{fffd}b    c");
        assert_eq!(one_line("a\nb"), "a b");
    }

    #[test]
    fn wrapping_leaves_drawings_alone() {
        assert_eq!(wrap("1024 % 6\n     │  6", 12), ["1024 % 6", "     │  6"]);
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("  one two three", 9), ["  one two", "  three"]);
    }
}
