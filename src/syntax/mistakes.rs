//! Mistakes by name: what people bring from other languages, and slips of the hand, each with the edit that repairs it.

mod expected;
mod foreign;
mod slips;
mod top;

pub use expected::unexpected;
pub use foreign::constant;

use super::grammar::{Failure, Rule};
use super::patch::Change;
use super::scan::{Event, Scanner};
use super::words::first_word;
use crate::diagnostics::Code;
use std::ops::Range;

/// One mistake. All ranges are bytes of the text that was read.
#[derive(Debug)]
pub struct Mistake {
    pub code: Code,
    pub range: Range<usize>,
    pub message: String,
    pub label: String,
    pub also: Vec<(Range<usize>, String)>,
    pub help: Option<String>,
    /// The title of the edit, when it is offered to people and not only used to read on.
    pub fix: Option<String>,
    /// The edit after which the text is read again.
    pub change: Option<Change>,
    /// Nothing else in the text is worth a look.
    pub ends: bool,
    /// What lies before and behind this range are two fields.
    pub split: Option<Range<usize>>,
    /// The line with this word alone ends what cannot be read.
    pub until: Option<String>,
}

impl Mistake {
    pub fn new(code: Code, range: Range<usize>, message: impl Into<String>) -> Mistake {
        Mistake {
            code,
            range,
            message: message.into(),
            label: String::new(),
            also: Vec::new(),
            help: None,
            fix: None,
            change: None,
            ends: false,
            split: None,
            until: None,
        }
    }

    #[must_use]
    fn label(mut self, text: impl Into<String>) -> Mistake {
        self.label = text.into();
        self
    }

    #[must_use]
    fn help(mut self, text: impl Into<String>) -> Mistake {
        self.help = Some(text.into());
        self
    }

    /// An edit that is offered, and made to read on.
    #[must_use]
    fn fix(mut self, title: impl Into<String>, range: Range<usize>, text: impl Into<String>) -> Mistake {
        self.fix = Some(title.into());
        self.change = Some(Change::new(range, text));
        self
    }

    #[must_use]
    fn ends(mut self) -> Mistake {
        self.ends = true;
        self
    }
}

/// The place where a strict rule stopped.
pub struct Place<'a> {
    pub entry: Rule,
    pub text: &'a str,
    /// The first byte, behind blanks, that did not fit.
    pub at: usize,
    pub expected: &'a [Rule],
    /// How many brackets are open at `at`.
    pub depth: usize,
}

impl<'a> Place<'a> {
    /// The text from the place on.
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The text before the place, without blanks at its end.
    fn before(&self) -> &'a str {
        self.text[..self.at].trim_end()
    }

    /// The word at the place.
    fn word(&self) -> &'a str {
        first_word(self.rest())
    }

    fn starts(&self, what: &str) -> bool {
        self.rest().starts_with(what)
    }

    /// `len` bytes from the place on.
    fn here(&self, len: usize) -> Range<usize> {
        self.at..(self.at + len).min(self.text.len())
    }

    /// Whether a value could start here.
    fn wants_value(&self) -> bool {
        self.expected.iter().any(|r| {
            matches!(r, Rule::term | Rule::expr | Rule::arg | Rule::number | Rule::digits | Rule::list | Rule::not)
        })
    }

    /// Whether something that has a value ends right before the place.
    fn behind_value(&self) -> bool {
        !self.wants_value()
            && self.before().ends_with(|c: char| super::words::goes_on_word(c) || matches!(c, ')' | ']' | '"' | '%'))
    }

    /// The stretch around the place up to the next comma or bracket at its own depth, or the `=` before it.
    fn segment(&self) -> Range<usize> {
        let (mut starts, mut end) = (vec![0], self.text.len());
        let mut depth = 0usize;
        let here = self.depth;
        for event in Scanner::new(self.text) {
            match event {
                Event::Open(at, _) | Event::HoleOpen(at) => {
                    depth += 1;
                    if at < self.at {
                        starts.push(at + 1);
                    }
                }
                Event::Close(at, _) | Event::HoleClose(at) => {
                    if at < self.at {
                        starts.pop();
                    } else if depth <= here {
                        end = at;
                        break;
                    }
                    depth = depth.saturating_sub(1);
                }
                Event::Comment { start, .. } if start >= self.at => {
                    end = start;
                    break;
                }
                _ => {}
            }
        }
        let mut start = starts.last().copied().unwrap_or(0);
        let mut inner = 0usize;
        let mut in_text = false;
        let (first, last) = (start, end);
        for (at, c) in self.text.char_indices().filter(|(at, _)| (first..last).contains(at)) {
            let before_place = at < self.at;
            match c {
                '"' => in_text = !in_text,
                _ if in_text => {}
                '(' | '[' | '{' => inner += 1,
                ')' | ']' | '}' => inner = inner.saturating_sub(1),
                ',' if inner == 0 && before_place => start = at + 1,
                ',' if inner == 0 => {
                    end = at;
                    break;
                }
                '=' if inner == 0 && before_place => {
                    let (left, right) = (self.text[..at].chars().next_back(), self.text[at + 1..].chars().next());
                    if !matches!(left, Some('=' | '!' | '<' | '>')) && !matches!(right, Some('=' | '>')) {
                        start = at + 1;
                    }
                }
                _ => {}
            }
        }
        let text = &self.text[start..end.max(start)];
        let lead = text.len() - text.trim_start().len();
        start + lead..start + text.trim_end().len().max(lead)
    }
}

/// The mistake at the place where the strict rule `entry` stopped, if it is a known one.
pub fn find(entry: Rule, text: &str, failure: &Failure) -> Option<Mistake> {
    if failure.gave_up {
        return None;
    }
    let rest = &text[failure.at..];
    let at = failure.at + rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
    let mut depth = 0usize;
    for event in Scanner::new(&text[..at]) {
        match event {
            Event::Open(..) | Event::HoleOpen(_) => depth += 1,
            Event::Close(..) | Event::HoleClose(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let place = Place { entry, text, at, expected: &failure.expected, depth };
    top::find(&place).or_else(|| foreign::find(&place)).or_else(|| slips::find(&place))
}
