//! Text that knows where it may break, and the printer that decides (after Wadler's "A prettier printer").

use super::WIDTH;

/// A piece of a layout.
#[derive(Clone, Debug)]
pub enum Doc {
    Text(String),
    /// A blank, or a line break.
    Line,
    /// Nothing, or a line break.
    Soft,
    /// A line break.
    Hard,
    /// Only where the group around it is broken.
    Broken(&'static str),
    /// A comment that ends its line; a line break must follow.
    Comment(String),
    Many(Vec<Doc>),
    Indent(Box<Doc>),
    /// All of it on one line, or each of its own breaks a line break.
    Group(Box<Doc>, bool),
}

pub fn text(text: impl Into<String>) -> Doc {
    Doc::Text(text.into())
}

pub fn indent(doc: Doc) -> Doc {
    Doc::Indent(Box::new(doc))
}

/// A group, broken when something in it must be.
pub fn group(doc: Doc) -> Doc {
    let forced = doc.forces();
    Doc::Group(Box::new(doc), forced)
}

/// A group that is broken whether it fits or not.
pub fn broken(doc: Doc) -> Doc {
    Doc::Group(Box::new(doc), true)
}

impl Doc {
    /// Whether it cannot stand on one line.
    pub fn forces(&self) -> bool {
        match self {
            Doc::Hard | Doc::Comment(_) | Doc::Group(_, true) => true,
            Doc::Many(parts) => parts.iter().any(Doc::forces),
            Doc::Indent(inner) => inner.forces(),
            _ => false,
        }
    }
}

/// Prints `doc` on lines that are indented by `indent`, starting in `column`.
pub fn print(doc: &Doc, indent: usize, column: usize, behind: usize) -> String {
    let mut out = String::new();
    let mut column = column;
    // Indentation, whether the group around is flat, and what to print.
    let mut stack: Vec<(usize, bool, &Doc)> = vec![(indent, false, doc)];
    while let Some((indent, flat, doc)) = stack.pop() {
        match doc {
            Doc::Text(text) => push(&mut out, &mut column, text),
            Doc::Line if flat => push(&mut out, &mut column, " "),
            Doc::Soft if flat => {}
            Doc::Line | Doc::Soft | Doc::Hard => {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            }
            Doc::Broken(text) if !flat => push(&mut out, &mut column, text),
            Doc::Broken(_) => {}
            // An empty comment only says that the line must end here.
            Doc::Comment(comment) if comment.is_empty() => {}
            Doc::Comment(comment) => {
                out.push_str("  ");
                out.push_str(comment);
            }
            Doc::Many(parts) => stack.extend(parts.iter().rev().map(|p| (indent, flat, p))),
            Doc::Indent(inner) => stack.push((indent + 2, flat, inner)),
            Doc::Group(inner, forced) => {
                let room = WIDTH.saturating_sub(column);
                let flat = flat || !forced && fits(inner, &stack, room, behind);
                stack.push((indent, flat, inner));
            }
        }
    }
    out
}

fn push(out: &mut String, column: &mut usize, text: &str) {
    out.push_str(text);
    match text.rfind('\n') {
        Some(at) => *column = width(&text[at + 1..]),
        None => *column += width(text),
    }
}

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// Whether `doc`, laid flat, and what follows it up to the next break go into `room` columns.
fn fits(doc: &Doc, rest: &[(usize, bool, &Doc)], room: usize, behind: usize) -> bool {
    let mut room = room;
    let mut stack: Vec<(bool, &Doc)> = vec![(true, doc)];
    let mut rest = rest.iter().rev();
    loop {
        let Some((flat, doc)) = stack.pop().or_else(|| rest.next().map(|(_, flat, doc)| (*flat, *doc))) else {
            return behind <= room;
        };
        match doc {
            Doc::Text(text) => {
                let first = text.split('\n').next().unwrap_or("");
                let taken = width(first);
                if taken > room {
                    return false;
                }
                if first.len() < text.len() {
                    return true;
                }
                room -= taken;
            }
            Doc::Line if flat => {
                if room == 0 {
                    return false;
                }
                room -= 1;
            }
            Doc::Line | Doc::Soft if !flat => return true,
            Doc::Soft => {}
            Doc::Hard | Doc::Comment(_) => return true,
            Doc::Broken(text) if !flat => {
                if text.len() > room {
                    return false;
                }
                room -= text.len();
            }
            Doc::Broken(_) | Doc::Line => {}
            Doc::Many(parts) => stack.extend(parts.iter().rev().map(|p| (flat, p))),
            Doc::Indent(inner) => stack.push((flat, inner)),
            // A group that follows may break, so it starts flat only if it is not forced.
            Doc::Group(inner, forced) => stack.push((flat && !forced, inner)),
        }
    }
}
