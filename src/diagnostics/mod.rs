//! Problems: what is wrong, where, why, and what to do about it.
//!
//! A [`Problem`] is plain data. The catalogue of codes is in [`code`], the renderers are in [`render`], and every
//! sentence shown to a person about a code lives beside that code in `codes/*.md`.

pub mod batch;
pub mod code;
pub mod render;
pub mod suggest;

pub use code::Code;

use crate::source::Span;

/// How bad a problem is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Only `--pedantic` shows it.
    Pedantic,
    Warning,
    Error,
}

/// One cause, reported once.
#[derive(Clone, PartialEq, Debug)]
pub struct Problem {
    pub code: Code,
    pub severity: Severity,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// The places involved; the first is the primary one.
    pub labels: Vec<Label>,
    /// Why it is a problem, when the message alone does not say.
    pub notes: Vec<String>,
    /// What to do, imperative.
    pub help: Option<String>,
    /// At most three edits, each of which would type-check.
    pub fixes: Vec<Fix>,
}

/// A place and its role in the problem.
#[derive(Clone, PartialEq, Debug)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// A machine-applicable suggestion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fix {
    pub title: String,
    pub edits: Vec<Edit>,
}

/// Replaces the text under `span`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    pub span: Span,
    pub new_text: String,
}

impl Problem {
    /// An error of `code` at `span`; the label repeats nothing unless [`Problem::label`] gives it a role.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Problem {
        Problem {
            severity: code.severity(),
            code,
            message: message.into(),
            labels: vec![Label { span, text: String::new() }],
            notes: Vec::new(),
            help: None,
            fixes: Vec::new(),
        }
    }

    /// Gives the primary place its text.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Problem {
        if let Some(first) = self.labels.first_mut() {
            first.text = text.into();
        }
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Problem {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Problem {
        self.notes.push(text.into());
        self
    }

    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Problem {
        self.help = Some(text.into());
        self
    }

    /// Adds an edit of one place; more than three are dropped.
    #[must_use]
    pub fn fix(mut self, title: impl Into<String>, span: Span, new_text: impl Into<String>) -> Problem {
        if self.fixes.len() < 3 {
            self.fixes.push(Fix { title: title.into(), edits: vec![Edit { span, new_text: new_text.into() }] });
        }
        self
    }

    /// The primary place.
    pub fn span(&self) -> Span {
        self.labels[0].span
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Problems in the order they were found, without repetition.
#[derive(Clone, Default, Debug)]
pub struct Problems {
    list: Vec<Problem>,
    seen: std::collections::HashSet<(Code, Span)>,
}

impl Problems {
    /// Adds a problem, unless the same code was already reported at the same place.
    pub fn push(&mut self, problem: Problem) {
        if self.seen.insert((problem.code, problem.span())) {
            self.list.push(problem);
        }
    }

    pub fn extend(&mut self, other: Problems) {
        for problem in other.list {
            self.push(problem);
        }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any of them forbids going on.
    pub fn any_error(&self) -> bool {
        self.list.iter().any(Problem::is_error)
    }

    /// All of them, sorted by file, place and code.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut all: Vec<&Problem> = self.list.iter().collect();
        all.sort_by_key(|p| (p.span().file, p.span().start, p.span().end, p.code));
        all
    }

    /// Keeps only what `keep` allows.
    pub fn retain(&mut self, keep: impl FnMut(&Problem) -> bool) {
        self.list.retain(keep);
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
