//! Renderers: the same problems as a picture, as lines, and as the formats that other programs read.
//!
//! Invariant: a renderer adds no meaning. Whatever it prints stands in the [`Problem`] or in the catalogue, and no
//! character of a source file reaches a terminal that could move its cursor or reorder its text.

mod concise;
mod excerpt;
mod github;
mod human;
mod json;
mod region;
mod sarif;
mod suggestion;
pub mod text;

#[cfg(test)]
mod tests;

pub use json::{document, problem_json};

use super::{Problem, Severity};
use crate::source::Sources;

/// How problems are written down.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Format {
    /// Pictures of the source with the message in them.
    #[default]
    Human,
    /// `path:line:column: error[E0301]: message`, a line each.
    Concise,
    /// One document, versioned; see [`document`].
    Json,
    /// SARIF 2.1.0, for code-scanning services.
    Sarif,
    /// Workflow commands, which GitHub shows beside the changed line.
    Github,
}

/// What the reader's screen can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// Whether ANSI colours are understood.
    pub color: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style { width: 100, color: false }
    }
}

/// Writes `problems` in the given format, ending in a line break unless there is nothing to write.
pub fn render(format: Format, problems: &[&Problem], sources: &Sources, style: Style) -> String {
    match format {
        Format::Human => human::render(problems, sources, style),
        Format::Concise => concise::render(problems, sources),
        Format::Json => json::render(problems, sources),
        Format::Sarif => sarif::render(problems, sources),
        Format::Github => github::render(problems, sources),
    }
}

/// `3 problems (2 errors, 1 warning)`; `no problems` when there are none.
pub fn summary(problems: &[&Problem]) -> String {
    let errors = problems.iter().filter(|p| p.is_error()).count();
    let warnings = problems.len() - errors;
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => "no problems".to_owned(),
        (_, 0) => format!("{} ({})", many(problems.len(), "problem"), many(errors, "error")),
        (0, _) => format!("{} ({})", many(problems.len(), "problem"), many(warnings, "warning")),
        _ => format!("{} ({}, {})", many(problems.len(), "problem"), many(errors, "error"), many(warnings, "warning")),
    }
}

/// How a severity is called in running text. A pedantic problem is a warning that has to be asked for.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning | Severity::Pedantic => "warning",
    }
}
