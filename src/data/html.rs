//! The text of HTML.

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, CharacterTokens, StartTag, Tag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use std::cell::RefCell;

/// Elements whose content is no text of the page.
const SKIPPED: [&str; 20] = [
    "applet", "aside", "audio", "button", "canvas", "datalist", "footer", "form", "head", "iframe", "math", "nav",
    "noframes", "noscript", "object", "script", "select", "style", "svg", "video",
];

/// Elements that begin and end a line.
const LINES: [&str; 22] = [
    "address",
    "article",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "header",
    "hr",
    "li",
    "main",
    "section",
    "summary",
    "tr",
    "tbody",
    "thead",
];

/// Elements with a blank line before and after.
const PARAGRAPHS: [&str; 11] = ["blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "ul"];

/// Elements whose content is read as characters, by how.
const RAW: [(&str, RawKind); 7] = [
    ("iframe", RawKind::Rawtext),
    ("noframes", RawKind::Rawtext),
    ("script", RawKind::ScriptData),
    ("style", RawKind::Rawtext),
    ("textarea", RawKind::Rcdata),
    ("title", RawKind::Rcdata),
    ("xmp", RawKind::Rawtext),
];

/// The text of an HTML document or fragment, or `None` when `text` has no tags and no character references.
///
/// Tags are read by html5ever's tokenizer, so broken markup reads as in a browser. Scripts, styles, navigation, forms,
/// asides, footers and embedded media are left out with all they hold. Blocks end lines, paragraphs and headings stand
/// between blank lines, table cells are divided by tabs, and blanks fold except inside `pre`. Text without any tag keeps
/// its line breaks and only has its character references decoded.
pub(super) fn strip(text: &str) -> Option<String> {
    let tagged = has_tag(text);
    if !tagged && !has_reference(text) {
        return None;
    }
    let sink = Sink { page: RefCell::new(Page { verbatim: !tagged, ..Page::default() }) };
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    // A zero byte would end the text for some parsers; here it carries nothing.
    input.push_back(StrTendril::from(text.replace('\0', "")));
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let page = tokenizer.sink.page.take();
    Some(if tagged { page.text.trim().to_owned() } else { page.text })
}

fn has_tag(text: &str) -> bool {
    let Some(last) = text.rfind('>') else { return false };
    text[..last].match_indices('<').any(|(at, _)| {
        let rest = &text[at + 1..];
        let name = rest.strip_prefix('/').unwrap_or(rest);
        name.starts_with(|c: char| c.is_ascii_alphabetic()) || rest.starts_with('!')
    })
}

fn has_reference(text: &str) -> bool {
    text.match_indices('&').any(|(at, _)| {
        let rest = &text[at + 1..];
        let length = rest.bytes().take(32).take_while(|b| b.is_ascii_alphanumeric() || *b == b'#').count();
        length > 1 && rest[length..].starts_with(';')
    })
}

#[derive(Default)]
struct Page {
    text: String,
    /// Open elements that are left out, innermost last.
    skipping: Vec<String>,
    /// Inside how many `pre`.
    verbatim_depth: usize,
    /// The text has no tags at all.
    verbatim: bool,
    /// Line breaks owed before the next text.
    breaks: usize,
    /// A blank is owed before the next text on this line.
    blank: bool,
}

struct Sink {
    page: RefCell<Page>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut page = self.page.borrow_mut();
        match token {
            CharacterTokens(text) if page.skipping.is_empty() => page.characters(&text),
            TagToken(tag) => {
                page.tag(&tag);
                if tag.kind == StartTag
                    && let Some((_, kind)) = RAW.iter().find(|(name, _)| **name == *tag.name)
                {
                    return TokenSinkResult::RawData(*kind);
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Page {
    fn tag(&mut self, tag: &Tag) {
        let (name, opens) = (&*tag.name, tag.kind == StartTag);
        if let Some(outer) = self.skipping.last() {
            // Only the same name nests or ends what is left out, so an unclosed element inside it changes nothing.
            if outer == name {
                if opens {
                    self.skipping.push(name.to_owned());
                } else {
                    self.skipping.pop();
                }
            } else if opens && name == "body" {
                self.skipping.clear();
            }
            return;
        }
        if opens && SKIPPED.contains(&name) && !tag.self_closing {
            self.skipping.push(name.to_owned());
            self.owe(1);
        } else if PARAGRAPHS.contains(&name) {
            self.owe(2);
            if name == "pre" {
                self.verbatim_depth =
                    if opens { self.verbatim_depth + 1 } else { self.verbatim_depth.saturating_sub(1) };
            }
        } else if LINES.contains(&name) || name == "br" || name == "table" {
            self.owe(1);
            if name == "br" && self.verbatim_depth == 0 && opens && self.breaks == 1 && self.text.ends_with('\n') {
                self.owe(2);
            }
        } else if opens && matches!(name, "td" | "th") {
            self.cell();
        }
    }

    fn cell(&mut self) {
        if self.breaks == 0 && !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\t');
            self.blank = false;
        }
    }

    fn owe(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
        self.blank = false;
    }

    fn characters(&mut self, text: &str) {
        if self.verbatim {
            self.text.push_str(text);
            return;
        }
        if self.verbatim_depth > 0 {
            self.pay();
            self.text.push_str(text);
            return;
        }
        for (at, word) in text.split(|c: char| c.is_ascii_whitespace()).enumerate() {
            if at > 0 {
                self.blank = true;
            }
            if !word.is_empty() {
                self.pay();
                self.text.push_str(word);
            }
        }
    }

    /// Writes the line breaks or the blank owed.
    fn pay(&mut self) {
        if !self.text.is_empty() {
            if self.breaks > 0 {
                let there = self.text.len() - self.text.trim_end_matches('\n').len();
                self.text.extend(std::iter::repeat_n('\n', self.breaks.saturating_sub(there)));
            } else if self.blank && !self.text.ends_with(['\n', '\t', ' ']) {
                self.text.push(' ');
            }
        }
        (self.breaks, self.blank) = (0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn blocks_become_lines_and_marks_go() {
        let page = "<html><head><title>T</title><style>p{}</style></head><body><nav><a href=x>Home</a></nav>\
                    <h1>Owls</h1>\n<p>An <b>owl</b>\n  is a&nbsp;bird &amp; hunts.<br>At night.</p>\
                    <ul><li>one<li>two</ul><script>if (a < b) { x = \"</p>\"; }</script>\
                    <table><tr><td>a<td>b<tr><td>c<td>d</table><footer>(c)</footer></body></html>";
        assert_eq!(strip(page).unwrap(), "Owls\n\nAn owl is a\u{a0}bird & hunts.\nAt night.\n\none\ntwo\n\na\tb\nc\td");
    }

    #[test]
    fn preformatted_text_keeps_its_lines() {
        assert_eq!(strip("<p>x</p><pre>fn a() {\n    b\n}</pre><p>y").unwrap(), "x\n\nfn a() {\n    b\n}\n\ny");
    }

    #[test]
    fn text_that_is_no_html_stays() {
        assert_eq!(strip("a < b and b > c\n\n  if x <3"), None);
        assert_eq!(strip("AT&T\nx"), None);
        assert_eq!(strip("R&amp;D\n  two &#8212; &eacute;").unwrap(), "R&D\n  two \u{2014} \u{e9}");
    }

    #[test]
    fn broken_and_hostile_markup() {
        assert_eq!(strip("<p>a<div>b</p></div></section>c").unwrap(), "a\nb\n\nc");
        assert_eq!(strip("<script>never closed").unwrap(), "");
        let deep = "<div>".repeat(100_000) + "x";
        assert_eq!(strip(&deep).unwrap(), "x");
    }
}
