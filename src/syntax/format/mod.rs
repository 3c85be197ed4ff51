//! The canonical layout. There are no options.
//!
//! Two spaces a level, 100 columns, at most one blank line in a row; within a run of one-line fields the `=` stand in
//! one column and so do the comments behind them. Literals are never touched. A list, a call or a pipe that does not fit
//! its line has one entry a line; one that the author broke behind its bracket stays broken.
//!
//! The safety net: the result is read again, and unless it has the same tree and the same comments nothing is returned.

mod block;
mod comments;
mod document;
mod erase;
mod expr;
mod items;
mod types;

use super::ast::{Comment, Module};
use super::parse::{Parsed, parse};
use crate::diagnostics::{Code, Problem, Problems};
use crate::source::SourceFile;
use comments::Comments;

/// How wide a line may be.
const WIDTH: usize = 100;

/// The canonical layout of `file`.
///
/// # Errors
/// The problems of form that keep the file from being read, or one of our own when the result would not say the same.
pub fn format(file: &SourceFile) -> Result<String, Problems> {
    let Parsed { module, comments, mut problems, .. } = parse(file);
    if problems.any_error() {
        problems.retain(Problem::is_error);
        return Err(problems);
    }
    let text = Formatter { file, comments: Comments::new(file, &comments) }.module(&module);
    check(file, module, &comments, &text)?;
    Ok(text)
}

/// What is being laid out.
struct Formatter<'a> {
    file: &'a SourceFile,
    comments: Comments<'a>,
}

/// Refuses a result that says something else than the file.
fn check(file: &SourceFile, module: Module, comments: &[Comment], text: &str) -> Result<(), Problems> {
    let new = SourceFile::new(file.id, file.path.clone(), text);
    let again = parse(&new);
    let broken = again.problems.iter().find(|p| p.is_error());
    let what = if let Some(problem) = broken {
        let place = new.lines.place(&new.text, problem.span().start as usize);
        format!("it could not be read again: {} (line {})", problem.message, place.line)
    } else if texts(&new, &again.comments) != texts(file, comments) {
        "a comment was lost or changed".to_owned()
    } else if erase::erase(again.module) != erase::erase(module) {
        "it said something else".to_owned()
    } else {
        return Ok(());
    };
    let mut problems = Problems::default();
    problems.push(
        Problem::new(Code::E0101, file.span().before(), "this file cannot be laid out without changing what it says")
            .note(format!(
                "the layout was read again and thrown away, because {what}; this is a fault of the formatter"
            ))
            .help("please report it with the file; nothing was written"),
    );
    Err(problems)
}

/// The comments as a sorted list of texts.
fn texts<'a>(file: &'a SourceFile, comments: &[Comment]) -> Vec<&'a str> {
    let mut texts: Vec<&str> =
        comments.iter().map(|c| file.text.get(c.span.range()).unwrap_or("").trim_end()).collect();
    texts.sort_unstable();
    texts
}
