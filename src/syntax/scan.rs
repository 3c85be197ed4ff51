//! Reads brackets, texts and comments, and nothing else: enough to split a file into items, to balance its brackets and
//! to know its comments, at one look per byte.
//!
//! Invariant: the scanner and `grammar/lexical.pest` agree on where comments and texts start and end; a test compares
//! them over every file of the tree.

use super::words::{goes_on_word, starts_word};

/// How deep brackets, texts and `if`s may nest.
pub const NESTING: usize = 64;

/// Something that the scanner saw. Positions are bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Comment {
        start: usize,
        end: usize,
    },
    /// One of `(`, `[`, `{` outside text.
    Open(usize, u8),
    /// One of `)`, `]`, `}` outside text.
    Close(usize, u8),
    /// The `{` and `}` of a hole in a text.
    HoleOpen(usize),
    HoleClose(usize),
    /// A line break outside text.
    Line(usize),
    /// A text that its line (or, for `"""`, the file) does not end; `end` is where it was given up.
    Unterminated {
        start: usize,
        end: usize,
        block: bool,
    },
    /// A hole that its line does not close; a one-line text is given up with it.
    HoleLost {
        start: usize,
        end: usize,
    },
    /// A word outside text.
    Word {
        start: usize,
        end: usize,
    },
    /// Texts nest deeper than [`NESTING`].
    TooDeep(usize),
}

enum Mode {
    Line(usize),
    Block(usize),
    /// Start, and how many `{` inside it are open.
    Hole(usize, usize),
}

/// Walks a text; an iterator of [`Event`]s in order of position.
pub struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    modes: Vec<Mode>,
    /// Set once a `"""` met the end of the file: no later one can be closed.
    blocks_are_lost: bool,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, bytes: text.as_bytes(), at: 0, modes: Vec::new(), blocks_are_lost: false }
    }

    /// Where the innermost text that is open begins, and whether it is one of several lines.
    pub fn open_text_at(&self) -> Option<(usize, bool)> {
        self.modes.iter().rev().find_map(|mode| match mode {
            Mode::Line(start) => Some((*start, false)),
            Mode::Block(start) => Some((*start, true)),
            Mode::Hole(..) => None,
        })
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn line_end(&self, from: usize) -> usize {
        self.bytes[from..].iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |n| from + n)
    }

    /// Gives up the outermost one-line text that is open.
    fn give_up_line(&mut self) -> Option<Event> {
        let index = self.modes.iter().position(|m| matches!(m, Mode::Line(_)))?;
        let Mode::Line(start) = self.modes[index] else { return None };
        let hole = match self.modes.get(index + 1) {
            Some(Mode::Hole(hole, _)) => Some(*hole),
            _ => None,
        };
        self.modes.truncate(index);
        if let Some(start) = hole {
            return Some(Event::HoleLost { start, end: self.at });
        }
        Some(Event::Unterminated { start, end: self.at, block: false })
    }

    /// Gives up a `"""` text at the end of its first line.
    fn give_up_block(&mut self, start: usize) -> Event {
        self.blocks_are_lost = true;
        self.modes.clear();
        self.at = self.line_end(start);
        Event::Unterminated { start, end: self.at, block: true }
    }

    /// A quote outside text. Raw texts have no holes, so they are read at once.
    fn open_text(&mut self) -> Option<Event> {
        let start = self.at;
        let before = self.text[..start].chars().next_back();
        let raw = before == Some('r') && !self.text[..start - 1].chars().next_back().is_some_and(goes_on_word);
        let block = self.bytes[start..].starts_with(b"\"\"\"");
        if block && self.blocks_are_lost {
            return Some(self.give_up_block(start));
        }
        self.at += if block { 3 } else { 1 };
        if !raw {
            if self.modes.len() >= NESTING {
                self.modes.clear();
                self.at = self.line_end(self.at);
                return Some(Event::TooDeep(start));
            }
            self.modes.push(if block { Mode::Block(start) } else { Mode::Line(start) });
            return None;
        }
        if block {
            match self.text[self.at..].find("\"\"\"") {
                Some(n) => self.at += n + 3,
                None => return Some(self.give_up_block(start)),
            }
            return None;
        }
        let end = self.line_end(self.at);
        match self.bytes[self.at..end].iter().position(|b| *b == b'"') {
            Some(n) => self.at += n + 1,
            None => {
                self.at = end;
                // A raw text inside a hole takes the text around it along.
                return Some(self.give_up_line().unwrap_or(Event::Unterminated { start, end, block: false }));
            }
        }
        None
    }

    /// One step inside text.
    fn in_text(&mut self, block: bool) -> Option<Event> {
        match self.peek(0) {
            b'\\' => self.at += if self.peek(1) == b'\n' || self.at + 1 >= self.bytes.len() { 1 } else { 2 },
            b'{' => {
                let start = self.at;
                self.at += 1;
                if self.modes.len() >= NESTING {
                    self.modes.clear();
                    self.at = self.line_end(self.at);
                    return Some(Event::TooDeep(start));
                }
                self.modes.push(Mode::Hole(start, 0));
                return Some(Event::HoleOpen(start));
            }
            b'"' if !block => {
                self.at += 1;
                self.modes.pop();
            }
            b'"' if self.bytes[self.at..].starts_with(b"\"\"\"") => {
                self.at += 3;
                self.modes.pop();
            }
            b'\n' if !block => return self.give_up_line(),
            _ => self.at += 1,
        }
        None
    }

    /// One step outside text.
    fn in_code(&mut self) -> Option<Event> {
        let at = self.at;
        let byte = self.peek(0);
        match byte {
            b'\n' => {
                if let Some(lost) = self.give_up_line() {
                    return Some(lost);
                }
                if let Some(Mode::Hole(start, _)) = self.modes.last() {
                    let start = *start;
                    self.modes.pop();
                    return Some(Event::HoleLost { start, end: at });
                }
                self.at += 1;
                Some(Event::Line(at))
            }
            b'#' => {
                self.at = self.bytes[at..]
                    .iter()
                    .position(|b| matches!(b, b'\n' | b'\r'))
                    .map_or(self.bytes.len(), |n| at + n);
                Some(Event::Comment { start: at, end: self.at })
            }
            b'"' => self.open_text(),
            b'(' | b'[' => {
                self.at += 1;
                Some(Event::Open(at, byte))
            }
            b')' | b']' => {
                self.at += 1;
                Some(Event::Close(at, byte))
            }
            b'{' => {
                self.at += 1;
                if let Some(Mode::Hole(_, depth)) = self.modes.last_mut() {
                    *depth += 1;
                }
                Some(Event::Open(at, byte))
            }
            b'}' => {
                self.at += 1;
                match self.modes.last_mut() {
                    Some(Mode::Hole(_, 0)) => {
                        self.modes.pop();
                        Some(Event::HoleClose(at))
                    }
                    Some(Mode::Hole(_, depth)) => {
                        *depth -= 1;
                        Some(Event::Close(at, byte))
                    }
                    _ => Some(Event::Close(at, byte)),
                }
            }
            _ if byte.is_ascii() && !starts_word(char::from(byte)) => {
                self.at += 1;
                // The letters that follow a digit belong to the number, not to a word.
                if byte.is_ascii_digit() {
                    while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == b'_' {
                        self.at += 1;
                    }
                }
                None
            }
            _ => {
                let rest = &self.text[at..];
                let word = super::words::first_word(rest);
                if word.is_empty() {
                    self.at += rest.chars().next().map_or(1, char::len_utf8);
                    return None;
                }
                self.at += word.len();
                Some(Event::Word { start: at, end: self.at })
            }
        }
    }
}

impl Iterator for Scanner<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if self.at >= self.bytes.len() {
                if let Some(lost) = self.give_up_line() {
                    return Some(lost);
                }
                let first = self.modes.first().map(|m| match m {
                    Mode::Line(s) | Mode::Block(s) | Mode::Hole(s, _) => *s,
                })?;
                return Some(self.give_up_block(first));
            }
            let event = match self.modes.last() {
                Some(Mode::Line(_)) => self.in_text(false),
                Some(Mode::Block(_)) => self.in_text(true),
                _ => self.in_code(),
            };
            if event.is_some() {
                return event;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::{Rule, read};
    use super::super::layout;
    use crate::source::FileId;
    use std::path::Path;

    fn files(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                files(&path, found);
            } else if path.extension().is_some_and(|e| e == "exp") {
                found.extend(std::fs::read_to_string(path));
            }
        }
    }

    /// The scanner finds the comments of a file, and so does the grammar: they must be the same.
    #[test]
    fn scanner_and_grammar_see_the_same_comments() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = Vec::new();
        ["stdlib", "experiments", "tests/format"].iter().for_each(|f| files(&root.join(f), &mut texts));
        assert!(texts.len() > 1);
        for text in texts {
            let split = layout::split(FileId(0), &text);
            let scanned: Vec<(usize, usize)> =
                split.comments.iter().map(|c| (c.span.start as usize, c.span.end as usize)).collect();
            let mut read_by_grammar = Vec::new();
            for chunk in &split.chunks {
                let laid_out = layout::layout(FileId(0), &text, chunk.start, chunk.end);
                let pairs = read(Rule::module, &laid_out.patch.text).expect("`module` takes any text");
                let comments = pairs.flatten().filter(|p| p.as_rule() == Rule::COMMENT).map(|p| p.as_span());
                read_by_grammar.extend(comments.map(|s| (s.start() + chunk.start, s.end() + chunk.start)));
            }
            assert_eq!(scanned, read_by_grammar, "in\n{text}");
        }
    }
}
