//! Workflow commands: GitHub shows each problem beside its line.

use super::region::Region;
use crate::diagnostics::{Problem, Severity};
use crate::source::Sources;
use std::fmt::Write;

pub(super) fn render(problems: &[&Problem], sources: &Sources) -> String {
    let mut out = String::new();
    for problem in problems {
        let at = Region::of(problem.span(), sources);
        let command = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Pedantic => "notice",
        };
        let _ = write!(out, "::{command} file={},line={},endLine={}", property(at.path), at.start.line, at.end.line);
        // Columns are only understood when the range stays on one line.
        if at.start.line == at.end.line {
            let _ = write!(out, ",col={},endColumn={}", at.start.column, at.end.column);
        }
        let title = format!("{}: {}", problem.code, problem.code.title());
        let mut message = problem.message.clone();
        for line in problem.notes.iter().chain(&problem.help) {
            let _ = write!(message, "\n{line}");
        }
        let _ = writeln!(out, ",title={}::{}", property(&title), data(&message));
    }
    out
}

/// Text after `::`, in which a line break would end the command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value, in which `:` and `,` would end it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
