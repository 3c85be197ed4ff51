//! Splits a file into items and balances their brackets, so that the grammar sees one item at a time, with line breaks
//! only where they end something.
//!
//! An item starts where a line starts with an item keyword and a name. Nothing valid has such a line inside it, so a
//! bracket that is missing in one item never reaches the next.

use super::ast::Comment;
use super::patch::{Change, Patch};
use super::scan::{Event, NESTING, Scanner};
use super::words::{first_word, opens_item, starts_word};
use crate::diagnostics::{Code, Problem};
use crate::source::{FileId, Span};

mod balance;

/// The largest item in bytes, comments and line breaks not counted.
const LARGEST_ITEM: usize = 1 << 20;

/// One item's part of the file, or what stands before the first.
#[derive(Debug)]
pub struct Chunk {
    pub start: usize,
    pub end: usize,
    /// Why the grammar must not see it.
    pub refused: Option<Refusal>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Where it nests too deeply.
    Deep(usize),
    Large,
}

/// The chunks of a file and its comments, both in order.
#[derive(Debug)]
pub struct Split {
    pub chunks: Vec<Chunk>,
    pub comments: Vec<Comment>,
}

/// Splits `text` at its items.
pub fn split(file: FileId, text: &str) -> Split {
    let mut split = Split { chunks: Vec::new(), comments: Vec::new() };
    let mut chunk = Chunk { start: 0, end: 0, refused: None };
    // `light` counts what costs the grammar nothing: comments and line breaks.
    let (mut depth, mut light, mut line) = (0usize, 0usize, 0usize);
    let finish = |mut chunk: Chunk, end: usize, light: usize, chunks: &mut Vec<Chunk>| {
        chunk.end = end;
        if (end - chunk.start).saturating_sub(light) > LARGEST_ITEM {
            chunk.refused = Some(Refusal::Large);
        }
        chunks.push(chunk);
    };
    let starts = |at: usize| item_keyword(&text[at..]).is_some();
    for event in Scanner::new(text) {
        match event {
            Event::Line(at) => {
                line = at + 1;
                light += 1;
                if starts(line) {
                    finish(chunk, line, light, &mut split.chunks);
                    chunk = Chunk { start: line, end: line, refused: None };
                    (depth, light) = (0, 0);
                }
            }
            Event::Comment { start, end } => {
                light += end - start;
                let own_line = text[line..start].trim_start_matches('\u{feff}').trim().is_empty();
                split.comments.push(Comment { span: Span::new(file, start, end), own_line });
            }
            Event::Open(at, _) | Event::HoleOpen(at) => {
                depth += 1;
                if depth > NESTING && chunk.refused.is_none() {
                    chunk.refused = Some(Refusal::Deep(at));
                }
            }
            Event::Close(..) | Event::HoleClose(_) => depth = depth.saturating_sub(1),
            Event::Word { start, end } => match &text[start..end] {
                "if" => {
                    depth += 1;
                    if depth > NESTING && chunk.refused.is_none() {
                        chunk.refused = Some(Refusal::Deep(start));
                    }
                }
                "else" => depth = depth.saturating_sub(1),
                _ => {}
            },
            Event::TooDeep(at) => chunk.refused = chunk.refused.or(Some(Refusal::Deep(at))),
            Event::Unterminated { .. } | Event::HoleLost { .. } => {}
        }
    }
    finish(chunk, text.len(), light, &mut split.chunks);
    // A `"""` that the file does not close is read twice.
    split.comments.sort_by_key(|c| c.span.start);
    split.comments.dedup();
    split
}

/// The keyword of the item that starts at this line.
pub fn item_keyword(line: &str) -> Option<&str> {
    let word = first_word(line.trim_start_matches([' ', '\t', '\r', '\u{feff}']));
    if word.is_empty() || !opens_item(word) {
        return None;
    }
    let after = &line[line.find(word)? + word.len()..];
    let next = after.trim_start_matches([' ', '\t']);
    let operator = ["in", "and", "or", "is", "then", "else", "when", "for", "if"].contains(&first_word(next))
        || next.starts_with("not ");
    let blank = next.len() < after.len();
    let item = match word {
        "expect" => {
            blank && !next.starts_with(['=', ':', ',', '.', ')', ']', '\n', '\r', '#']) && !next.starts_with("+=")
        }
        "amends" => next.starts_with('"'),
        _ => next.starts_with(['{', '"']) || blank && next.starts_with(starts_word) && !operator,
    };
    item.then_some(word)
}

/// The text of one chunk as the grammar reads it.
#[derive(Debug)]
pub struct Layout {
    /// The chunk with its brackets balanced, and line breaks inside `(` `)` and `[` `]` turned into `\r`.
    pub patch: Patch,
    pub problems: Vec<Problem>,
    /// What the brackets left unclosed: the item's own `{`.
    pub open_block: Option<Open>,
    /// The first `}` that closes nothing, if no other explanation was found.
    pub stray: Option<usize>,
    /// Whether a repair may have missed what was meant, so that further problems on these lines are echoes.
    pub quiet: Vec<std::ops::Range<usize>>,
}

/// A bracket and where its partner was expected, in bytes of the file.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    pub at: usize,
    pub expected: usize,
}

/// Lays out the chunk `start..end` of `text`.
pub fn layout(file: FileId, text: &str, start: usize, end: usize) -> Layout {
    let chunk = &text[start..end];
    let found = balance::balance(chunk);
    let mut layout = Layout {
        patch: Patch::new("", &[]),
        problems: Vec::new(),
        open_block: found.open_block.map(|o| Open { at: o.at + start, expected: o.expected + start }),
        stray: found.stray.map(|s| s + start),
        quiet: Vec::new(),
    };
    let span = |range: std::ops::Range<usize>| Span::new(file, range.start + start, range.end + start);
    for fault in &found.faults {
        let line = line_range(chunk, fault.range.start);
        layout.quiet.push(line.start + start..line.end + start);
        let line = line_range(chunk, fault.change.range.start);
        layout.quiet.push(line.start + start..line.end + start);
        if let Some(quiet) = &fault.quiet {
            layout.quiet.push(quiet.start + start..quiet.end + start);
        }
        if fault.gives_up {
            layout.quiet.push(fault.range.start + start..end);
        }
        let mut problem = Problem::new(fault.code, span(fault.range.clone()), fault.message.clone()).label(fault.label);
        if let Some((range, role)) = &fault.second {
            problem = problem.also(span(range.clone()), role.clone());
        }
        if let Some(help) = &fault.help {
            problem = problem.help(help.clone());
        }
        if let Some(title) = &fault.fix {
            problem = problem.fix(title.clone(), span(fault.change.range.clone()), fault.change.text.clone());
        }
        layout.problems.push(problem);
    }
    if found.overflow {
        layout.quiet.push(start..end);
    }
    let changes: Vec<Change> = found.faults.into_iter().map(|f| f.change).collect();
    layout.patch = Patch::new(chunk, &changes);
    let breaks = if changes.is_empty() { found.breaks } else { balance::balance(&layout.patch.text).breaks };
    layout.patch.text = join_lines(std::mem::take(&mut layout.patch.text), &breaks);
    layout
}

/// Turns the line breaks at `breaks` into `\r`.
fn join_lines(text: String, breaks: &[usize]) -> String {
    let mut bytes = text.into_bytes();
    for at in breaks {
        if bytes.get(*at) == Some(&b'\n') {
            bytes[*at] = b'\r';
        }
    }
    // Only ASCII was exchanged for ASCII.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The line around a byte, without its break.
pub fn line_range(text: &str, at: usize) -> std::ops::Range<usize> {
    let at = at.min(text.len());
    let start = text.as_bytes()[..at].iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    let end = text.as_bytes()[at..].iter().position(|b| *b == b'\n').map_or(text.len(), |n| at + n);
    start..end
}

/// The problem of a chunk that the grammar must not see.
pub fn refusal(file: FileId, chunk: &Chunk, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Deep(at) => {
            Problem::new(Code::E0003, Span::new(file, at, at + 1), "brackets and `if`s are nested too deeply")
                .label(format!("this is level {}", NESTING + 1))
                .help(format!("at most {NESTING} levels are read; name an inner part with `let` and use the name"))
        }
        Refusal::Large => Problem::new(
            Code::E0002,
            Span::new(file, chunk.start, chunk.start),
            format!("this item is larger than {} MiB", LARGEST_ITEM >> 20),
        )
        .help("move its data to a file and refer to it, for example with `text(\"data/*.txt\")`"),
    }
}
