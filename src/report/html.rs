//! A writer of HTML in which text can only be added escaped.

use serde::Serialize;

/// HTML under construction. Names of elements and attributes, and raw markup, are constants of the program; everything
/// that comes from outside passes through [`Html::text`], an attribute's value or [`Html::data`], which escape it.
#[derive(Debug, Default)]
pub struct Html {
    out: String,
}

/// Attributes: constant names with any values.
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

impl Html {
    pub fn new() -> Html {
        Html::default()
    }

    /// Markup that the program itself contains.
    pub fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.out.push_str(markup);
        self
    }

    /// Text, escaped.
    pub fn text(&mut self, text: &str) -> &mut Html {
        escape(text, &mut self.out);
        self
    }

    /// An element with what `inner` writes in it.
    pub fn tag(&mut self, name: &'static str, attributes: Attributes, inner: impl FnOnce(&mut Html)) -> &mut Html {
        self.open(name, attributes);
        inner(self);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
        self
    }

    /// An element that holds a text.
    pub fn leaf(&mut self, name: &'static str, attributes: Attributes, text: &str) -> &mut Html {
        self.tag(name, attributes, |h| {
            h.text(text);
        })
    }

    /// The start of an element, or an element without an end such as `<input>`.
    pub fn open(&mut self, name: &'static str, attributes: Attributes) -> &mut Html {
        self.out.push('<');
        self.out.push_str(name);
        for (attribute, value) in attributes {
            self.out.push(' ');
            self.out.push_str(attribute);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        self.out.push('>');
        self
    }

    /// A block of data for scripts, which no content of it can leave: `<script type="application/json" …>`.
    pub fn data(&mut self, attributes: Attributes, value: &impl Serialize) -> &mut Html {
        let json = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
        self.out.push_str("<script type=\"application/json\"");
        for (attribute, value) in attributes {
            self.out.push(' ');
            self.out.push_str(attribute);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        self.out.push('>');
        for c in json.chars() {
            match c {
                '<' => self.out.push_str("\\u003c"),
                '>' => self.out.push_str("\\u003e"),
                '&' => self.out.push_str("\\u0026"),
                '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    self.out.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => self.out.push(c),
            }
        }
        self.out.push_str("</script>");
        self
    }

    /// What another writer has written.
    pub fn append(&mut self, other: Html) -> &mut Html {
        self.out.push_str(&other.out);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub fn finish(self) -> String {
        self.out
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // HTML has no place for other control characters; the mark shows that there was something.
            '\t' | '\n' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            // Marks that turn the direction of text could make it read as something else.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Html;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let hostile = "</script><script>alert('1')</script>\"&\u{0}\u{202e}";
        let mut html = Html::new();
        html.leaf("p", &[("title", hostile)], hostile).data(&[("id", hostile)], &hostile);
        let text = html.finish();
        assert_eq!(text.matches("<script").count(), 1);
        assert_eq!(text.matches("</script>").count(), 1);
        assert!(!text.contains("alert('1')<") && !text.contains('\u{202e}') && !text.contains('\0'));
    }
}
