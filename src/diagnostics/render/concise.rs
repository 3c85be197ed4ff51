//! A line for each problem, which compilers' readers and `grep` understand.

use super::region::Region;
use super::text::one_line;
use super::word;
use crate::diagnostics::Problem;
use crate::source::Sources;
use std::fmt::Write;

/// `path:line:column: error[E0301]: message`.
pub(super) fn render(problems: &[&Problem], sources: &Sources) -> String {
    let mut out = String::new();
    for problem in problems {
        let _ = writeln!(out, "{}", line(problem, sources));
    }
    out
}

/// One problem on one line. The text of the primary place follows the message, as it often carries the reason.
pub(super) fn line(problem: &Problem, sources: &Sources) -> String {
    let at = Region::of(problem.span(), sources);
    let mut line = format!(
        "{}:{}:{}: {}[{}]: {}",
        one_line(at.path),
        at.start.line,
        at.start.column,
        word(problem.severity),
        problem.code,
        one_line(&problem.message)
    );
    if let Some(label) = problem.labels.first().filter(|l| !l.text.is_empty()) {
        let _ = write!(line, " ({})", one_line(&label.text));
    }
    line
}
