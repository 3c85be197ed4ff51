//! Markdown on a terminal: headings, paragraphs, lists and code, which is all that our own texts use.

use crate::diagnostics::render::text::wrap;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// Lays `source` out for a terminal of `width` columns, with ANSI styles.
pub(super) fn render(source: &str, width: usize) -> String {
    let width = width.clamp(40, 100);
    let mut out = String::new();
    let mut paragraph = String::new();
    let mut in_code = false;
    let code = AnsiColor::Cyan.on_default();
    for line in source.lines() {
        if line.starts_with("```") {
            flush(&mut out, &mut paragraph, width);
            in_code = !in_code;
        } else if in_code {
            let _ = writeln!(out, "    {code}{line}{code:#}");
        } else if let Some(title) = line.strip_prefix('#') {
            flush(&mut out, &mut paragraph, width);
            let bold = Style::new().bold();
            let _ = writeln!(out, "{bold}{}{bold:#}", title.trim_start_matches('#').trim());
        } else if line.trim().is_empty() {
            flush(&mut out, &mut paragraph, width);
            out.push('\n');
        } else if line.starts_with("- ") || line.starts_with("| ") {
            // Items and rows of a table keep their lines.
            flush(&mut out, &mut paragraph, width);
            paragraph.push_str(line);
        } else {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim());
        }
    }
    flush(&mut out, &mut paragraph, width);
    out
}

/// Ends a paragraph.
fn flush(out: &mut String, paragraph: &mut String, width: usize) {
    if paragraph.is_empty() {
        return;
    }
    for line in wrap(paragraph, width) {
        let _ = writeln!(out, "{}", inline(&line));
    }
    paragraph.clear();
}

/// Colours `code`; the marks stay, so that the text reads the same without colours.
fn inline(line: &str) -> String {
    let code = AnsiColor::Cyan.on_default();
    let mut out = String::new();
    let parts: Vec<&str> = line.split('`').collect();
    // A line with an odd number of marks holds part of a span that wrapping broke.
    let whole = parts.len() % 2 == 1;
    for (i, part) in parts.iter().enumerate() {
        if i % 2 == 1 && whole {
            let _ = write!(out, "{code}`{part}`{code:#}");
        } else {
            if i % 2 == 1 || (i > 0 && !whole) {
                out.push('`');
            }
            out.push_str(part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(source: &str, width: usize) -> String {
        anstream::adapter::strip_str(&render(source, width)).to_string()
    }

    #[test]
    fn paragraphs_wrap_and_code_does_not() {
        let source = "# title\n\nOne `two three` four\nfive six seven eight nine ten eleven.\n\n```exp\nlet a   = 1\n```\n- a\n- b\n";
        assert_eq!(
            plain(source, 40),
            "title\n\nOne `two three` four five six seven\neight nine ten eleven.\n\n    let a   = 1\n- a\n- b\n"
        );
    }

    #[test]
    fn broken_spans_keep_their_marks() {
        assert_eq!(anstream::adapter::strip_str(&inline("a `b c")).to_string(), "a `b c");
        assert_eq!(anstream::adapter::strip_str(&inline("`b` c `d`")).to_string(), "`b` c `d`");
    }
}
