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
    // What to write instead is half of the message. A title says it, and so does the help of some.
    let meant = |text: &&str| text.starts_with("did you mean");
    let titles: Vec<&str> = problem.fixes.iter().map(|fix| fix.title.as_str()).filter(meant).collect();
    let help = problem.help.as_deref().filter(meant).filter(|_| titles.is_empty());
    for (i, title) in titles.into_iter().chain(help).enumerate() {
        let _ = match i {
            0 => write!(line, "; {}", one_line(title)),
            _ => write!(line, " {}", one_line(title.trim_start_matches("did you mean")).trim_start()),
        };
    }
    line
}
