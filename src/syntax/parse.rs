//! The doors of the room.

use super::ast::{Comment, Expr, ExprKind, Item, ItemKind, Module, Name};
use super::docs::DocLines;
use super::grammar::{Rule, read};
use super::layout::{self, Layout, Split};
use super::lower::{Lower, Origin};
use super::words::{HARD_WORDS, ITEM_WORDS, first_word};
use crate::diagnostics::{Code, Problem, Problems, Severity};
use crate::source::{SourceFile, Span, Spanned};
use std::sync::Arc;

/// The largest file that is read, in bytes.
const LARGEST_FILE: usize = 16 << 20;

/// How many problems of form one file may report; a file with more is not in this language.
const MOST_PROBLEMS: usize = 100;

/// What [`parse`] makes of a file.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub module: Module,
    /// Every comment, in order, `##` lines among them.
    pub comments: Vec<Comment>,
    pub problems: Problems,
    /// Names of items that could not be read. A use of one of them is not a second problem.
    pub lost: Vec<Name>,
}

/// Reads a file. Takes any text and never fails; `problems` says what could not be read.
pub fn parse(file: &SourceFile) -> Parsed {
    let empty = Module { docs: None, amends: None, items: Vec::new(), span: file.span() };
    let mut parsed = Parsed { module: empty, comments: Vec::new(), problems: Problems::default(), lost: Vec::new() };
    if file.text.len() > LARGEST_FILE {
        let problem = Problem::new(
            Code::E0002,
            Span::new(file.id, 0, 0),
            format!("this file has {} MiB; at most {} MiB are read", file.text.len() >> 20, LARGEST_FILE >> 20),
        )
        .help("keep data in files of its own and refer to them, for example with `text(\"data/*.txt\")`");
        parsed.problems.push(problem);
        return parsed;
    }
    let Split { chunks, comments } = layout::split(file.id, &file.text);
    let docs = DocLines::new(&file.text, &file.lines, &comments);
    // A file with very many faults is not in this language; what is faulty further down is not looked into.
    let mut faults = 0;
    let mut ready: Vec<Option<Layout>> = chunks
        .iter()
        .map(|c| {
            let layout = c.refused.is_none().then(|| layout::layout(file.id, &file.text, c.start, c.end))?;
            faults += layout.problems.len();
            (layout.problems.is_empty() || faults <= 2 * MOST_PROBLEMS).then_some(layout)
        })
        .collect();
    nested_items(file, &mut ready, &chunks);
    for (chunk, layout) in chunks.iter().zip(ready) {
        let Some(layout) = layout else {
            if let Some(refused) = chunk.refused {
                parsed.problems.push(layout::refusal(file.id, chunk, refused));
            }
            lose_name(file, chunk.start, &mut parsed.lost);
            parsed.module.items.push(error_item(Span::new(file.id, chunk.start, chunk.end)));
            continue;
        };
        for problem in layout.problems {
            parsed.problems.push(problem);
        }
        let origin = Origin::new(file, chunk.start, &layout.patch);
        let mut quiet = layout.quiet;
        if parsed.problems.len() >= MOST_PROBLEMS {
            quiet.push(chunk.start..chunk.end);
        }
        let lower = Lower::new(origin, Some(&docs), quiet);
        match read(Rule::module, &layout.patch.text) {
            Ok(pairs) => lower.module(pairs, &mut parsed.module),
            Err(failure) => {
                // Only running out of stack gets here: `module` takes any text.
                let at = (chunk.start + layout.patch.start(failure.at)).min(file.text.len());
                parsed.problems.push(
                    Problem::new(Code::E0003, Span::new(file.id, at, at), "this item is too deeply nested")
                        .help("name an inner part with `let` and use the name"),
                );
                lose_name(file, chunk.start, &mut parsed.lost);
                parsed.module.items.push(error_item(Span::new(file.id, chunk.start, chunk.end)));
            }
        }
        lower.finish(&mut parsed.problems, &mut parsed.lost);
    }
    parsed.module.docs = docs.of_module(parsed.module.items.first().map(|i| i.span.start));
    if !parsed.problems.any_error() {
        for span in docs.unused() {
            let mut problem = Problem::new(Code::E0115, span, "this documents nothing")
                .help(
                    "`##` belongs right above an item or a field, or at the end of its line; `#` opens a plain comment",
                )
                .fix("make it a plain comment", Span { end: span.start + 2, ..span }, "#");
            problem.severity = Severity::Warning;
            parsed.problems.push(problem);
        }
    }
    parsed.comments = comments;
    parsed
}

/// Reads the value of an override: an expression and nothing else.
pub fn parse_expr(file: &SourceFile) -> (Expr, Problems) {
    let mut problems = Problems::default();
    let error = || Expr::new(ExprKind::Error, file.span());
    let split = layout::split(file.id, &file.text);
    if let Some((chunk, refused)) = split.chunks.iter().find_map(|c| c.refused.map(|r| (c, r))) {
        problems.push(layout::refusal(file.id, chunk, refused));
        return (error(), problems);
    }
    let layout = layout::layout(file.id, &file.text, 0, file.text.len());
    for problem in layout.problems {
        problems.push(problem);
    }
    let lower = Lower::new(Origin::new(file, 0, &layout.patch), None, layout.quiet);
    let expr = lower.only_expr(&layout.patch.text).unwrap_or_else(error);
    lower.finish(&mut problems, &mut Vec::new());
    (expr, problems)
}

/// Reads the path of an override: names with dots between them. `None` when it is none.
///
/// Kind words such as `experiment` and `model` are names here; other keywords are not.
pub fn parse_path(text: &str) -> Option<Vec<Arc<str>>> {
    text.trim()
        .split('.')
        .map(|part| {
            let whole = !part.is_empty() && first_word(part).len() == part.len();
            (whole && !HARD_WORDS.contains(&part) && !ITEM_WORDS.contains(&part)).then(|| Arc::from(part))
        })
        .collect()
}

/// Runs everything that reads text over any bytes; for fuzzing. It must return, whatever the bytes are.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut sources = crate::source::Sources::default();
    let file = sources.add("fuzz.exp", &*text);
    let parsed = parse(&file);
    for problem in &parsed.problems {
        for label in &problem.labels {
            assert!(file.text.get(label.span.range()).is_some(), "a label outside the text: {problem:?}");
        }
    }
    let _ = parse_expr(&file);
    let _ = parse_path(&text);
}

fn error_item(span: Span) -> Item {
    Item { docs: None, kind: ItemKind::Error, span }
}

/// Remembers the name of an item that starts at `start` and cannot be read.
pub(super) fn lose_name(file: &SourceFile, start: usize, lost: &mut Vec<Name>) {
    let Some(line) = file.text.get(start..) else { return };
    let Some(keyword) = layout::item_keyword(line) else { return };
    let Some(at) = line.find(keyword).map(|n| n + keyword.len()) else { return };
    let rest = &line[at..];
    let name = first_word(rest.trim_start_matches([' ', '\t']));
    if !name.is_empty() && !matches!(keyword, "use" | "amends" | "expect") {
        let at = start + at + rest.len() - rest.trim_start_matches([' ', '\t']).len();
        lost.push(Spanned::new(Arc::from(name), Span::new(file.id, at, at + name.len())));
    }
}

/// An item whose line stands deeper than that of the open item above it stands inside it: one cause, told at its keyword,
/// instead of a `{` without `}` here and a `}` without `{` there.
fn nested_items(file: &SourceFile, layouts: &mut [Option<Layout>], chunks: &[layout::Chunk]) {
    let indent = |at: usize| {
        let line = &file.text[at..];
        line.len() - line.trim_start_matches([' ', '\t']).len()
    };
    for index in 0..layouts.len().saturating_sub(1) {
        let Some(open) = layouts[index].as_ref().and_then(|l| l.open_block) else { continue };
        if indent(chunks[index + 1].start) <= indent(chunks[index].start) {
            continue;
        }
        // The `}` of the outer item is the first that closes nothing.
        let floor = indent(chunks[index].start);
        let last = (index + 1..layouts.len())
            .take_while(|i| indent(chunks[*i].start) > floor)
            .find(|i| layouts[*i].as_ref().is_some_and(|l| l.stray.is_some()));
        let outer = layout::item_keyword(&file.text[chunks[index].start..]).unwrap_or("item");
        let start = chunks[index + 1].start + indent(chunks[index + 1].start);
        let inner = first_word(&file.text[start..]);
        let problem = Problem::new(
            Code::E0116,
            Span::new(file.id, start, start + inner.len()),
            format!("`{inner}` cannot stand inside `{outer}`"),
        )
        .label("an item stands on the top level")
        .also(Span::new(file.id, open.at, open.at + 1), format!("this `{outer}` is still open"))
        .help(format!("close the `{outer}` with `}}` before it, or move it out"));
        if let Some(layout) = &mut layouts[index] {
            layout.problems.retain(|p| p.span().start as usize != open.at);
            layout.problems.push(problem);
        }
        if let Some(last) = last
            && let Some(layout) = &mut layouts[last]
            && let Some(stray) = layout.stray.take()
        {
            layout.problems.retain(|p| p.span().start as usize != stray);
            layout.quiet.push(chunks[last].start..chunks[last].end);
        }
    }
}
