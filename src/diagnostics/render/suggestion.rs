//! Fixes, as people read them: the line as it is and as it would be.

use super::excerpt::{Piece, line_text};
use super::text::one_line;
use crate::diagnostics::{Edit, Fix};
use crate::source::Sources;
use std::fmt::Write;

/// A change of more lines than this is told by its title alone.
const LONGEST: usize = 3;

/// The fixes of one problem, indented like miette's footer. One fix is drawn as a change; of several, each is one line.
pub(super) fn render(fixes: &[Fix], sources: &Sources, width: usize, paint: &dyn Fn(Tone, &str) -> String) -> String {
    let mut out = String::new();
    let try_ = paint(Tone::Head, "try:");
    match fixes {
        [] => {}
        [only] => {
            let _ = writeln!(out, "   {try_} {}", one_line(&only.title));
            out.push_str(&change(only, sources, width, paint));
        }
        several => {
            let _ = writeln!(out, "   {try_} one of");
            for fix in several {
                let _ = writeln!(out, "        • {}", one_line(&fix.title));
            }
        }
    }
    out
}

/// What a piece of the drawing is, for its colour.
#[derive(Clone, Copy)]
pub(super) enum Tone {
    Head,
    Removed,
    Added,
}

fn change(fix: &Fix, sources: &Sources, width: usize, paint: &dyn Fn(Tone, &str) -> String) -> String {
    let [edit] = fix.edits.as_slice() else { return String::new() };
    let Some((line, before, after, focus)) = lines(edit, sources) else { return String::new() };
    let mut out = String::new();
    let room = width.saturating_sub(14);
    let number = (line + 1).to_string();
    let before: Vec<&str> = before.lines().collect();
    let after: Vec<&str> = after.lines().collect();
    for (tone, mark, text) in
        before.iter().map(|l| (Tone::Removed, '-', *l)).chain(after.iter().map(|l| (Tone::Added, '+', *l)))
    {
        let piece = Piece::cut(text, focus, room);
        let _ = writeln!(out, "        {}", paint(tone, &format!("{number} {mark} {}", piece.text)));
    }
    out
}

/// The first line an edit touches, the touched lines before and after it, and where in the first line it starts.
fn lines(edit: &Edit, sources: &Sources) -> Option<(usize, String, String, usize)> {
    let file = sources.get(edit.span.file)?;
    let range = edit.span.range();
    let first = file.lines.line_of(range.start);
    let last = file.lines.line_of(range.end);
    if last - first >= LONGEST || edit.new_text.matches('\n').count() >= LONGEST {
        return None;
    }
    let (start, _) = line_text(file, first);
    let (last_start, last_text) = line_text(file, last);
    let end = last_start + last_text.len();
    let before = file.text.get(start..end)?.to_owned();
    let head = file.text.get(start..range.start)?;
    let tail = file.text.get(range.end..end.max(range.end))?;
    Some((first, before, format!("{head}{}{tail}", edit.new_text), range.start - start))
}
