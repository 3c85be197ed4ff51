//! Colours for the experiment's source: comments, strings, numbers, and the keywords that open items.
//!
//! This is a reading aid, not the grammar: a text that it misreads is coloured wrongly and shown in full.

use super::html::Html;

const KEYWORDS: [&str; 20] = [
    "experiment",
    "use",
    "param",
    "let",
    "fn",
    "schema",
    "dataset",
    "tokenizer",
    "model",
    "stage",
    "eval",
    "review",
    "expect",
    "claim",
    "sweep",
    "amends",
    "from",
    "if",
    "then",
    "else",
];

/// Writes `source`, each line in an element of its own.
pub fn write(source: &str, html: &mut Html) {
    for line in source.lines() {
        html.tag("span", &[("class", "ln")], |html| {
            let mut rest = line;
            while let Some((class, piece)) = token(rest) {
                match class {
                    "" => html.text(piece),
                    class => html.leaf("span", &[("class", class)], piece),
                };
                rest = rest.get(piece.len()..).unwrap_or_default();
            }
        });
        html.raw("\n");
    }
}

/// The next token of a line and its class; never empty while the line is not.
fn token(rest: &str) -> Option<(&'static str, &str)> {
    let first = rest.chars().next()?;
    let head = |length: usize| rest.get(..length).unwrap_or(rest);
    let span = |inside: &dyn Fn(char) -> bool| rest.find(|c| !inside(c)).unwrap_or(rest.len());
    Some(match first {
        '#' => ("comment", rest),
        '"' => {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            });
            ("string", head(end.map_or(rest.len(), |(i, _)| i + 1)))
        }
        c if c.is_ascii_digit() => {
            ("number", head(span(&|c| c.is_ascii_alphanumeric() || c == '_' || c == '%').max(1)))
        }
        c if c.is_alphabetic() || c == '_' => {
            let word = head(span(&|c| c.is_alphanumeric() || c == '_'));
            (if KEYWORDS.contains(&word) { "keyword" } else { "" }, word)
        }
        c => ("", head(span(&|c| !c.is_alphanumeric() && !matches!(c, '#' | '"' | '_')).max(c.len_utf8()))),
    })
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::report::html::Html;

    #[test]
    fn every_character_is_shown_whatever_its_colour() {
        let source = "stage a : sft { lr = 1e-3 } # <b>\n\"un\\\"closed é { 日本\nx|>y __ 5%é";
        let mut html = Html::new();
        write(source, &mut html);
        let text = html.finish();
        assert!(text.contains("<span class=\"keyword\">stage</span>") && text.contains("# &lt;b&gt;</span>"));
        let mut bare = String::new();
        let mut inside = false;
        for c in text.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                c if !inside => bare.push(c),
                _ => {}
            }
        }
        let bare = bare.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        assert_eq!(bare.trim_end(), source);
    }
}
