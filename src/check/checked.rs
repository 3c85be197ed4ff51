//! The result of checking: every field has a type, a value and a provenance.

use super::foreign;
use crate::diagnostics::suggest;
use crate::source::{FileId, Sources, Span};
use crate::syntax::ast::Kind;
use crate::types::core::Core;
pub use crate::types::{AxisValues, Origin};
use serde_json::Value as Json;

/// A checked experiment.
///
/// Invariant: when the problems that came with it hold no error, every item's `json` deserialises into its type in
/// [`plan::spec`](crate::plan::spec).
#[derive(Clone, Debug)]
pub struct Checked {
    pub sources: Sources,
    /// The file that was asked for.
    pub main: FileId,
    /// Name of the experiment; absent in a module that declares none.
    pub name: Option<String>,
    /// Every declared item that a plan can speak of, dependencies first: those of the main file and those of modules
    /// and the library that they reach.
    pub items: Vec<CheckedItem>,
    pub expects: Vec<CheckedCondition>,
    pub claims: Vec<CheckedCondition>,
    pub sweeps: Vec<CheckedSweep>,
    pub params: Vec<CheckedParam>,
}

/// A declared item with all its fields.
#[derive(Clone, Debug)]
pub struct CheckedItem {
    pub kind: Kind,
    /// `stories`; for an item of another module `module.item`, as [`Ref::name`](crate::plan::spec::Ref) writes it.
    pub name: String,
    /// The variant's schema: `decoder`, `next_token`, `keep`.
    pub schema: String,
    /// As the Rust type of the schema reads it.
    pub json: Json,
    /// Each leaf of `json` with its place and origin, in order.
    pub leaves: Vec<Leaf>,
    /// Where the item is declared.
    pub span: Span,
    /// Whether it is declared in the main file or the files it amends (rather than in a library or module).
    pub own: bool,
    /// Where each record within it was written, by its path.
    pub places: Vec<(String, Span)>,
    /// What of it is not known because of problems that have been reported.
    pub gaps: Gaps,
}

/// What of an item is not known because of problems that have been reported.
#[derive(Clone, Default, Debug)]
pub struct Gaps {
    /// Whether a part of it could not be read.
    pub unreadable: bool,
    /// Names in it that are no fields.
    pub unknown: Vec<String>,
    /// Paths of values that are wrong.
    pub wrong: Vec<String>,
}

impl Gaps {
    /// Whether everything is known.
    pub fn is_empty(&self) -> bool {
        !self.unreadable && self.unknown.is_empty() && self.wrong.is_empty()
    }

    /// Whether the field may have been meant to be set although it seems to be absent.
    pub fn may_hide(&self, field: &str) -> bool {
        let meant = |name: &String| {
            !suggest::similar(name, [field]).is_empty() || foreign::known_as(name).any(|known| known.ours == field)
        };
        self.unreadable || self.wrong.iter().any(|path| path == field) || self.unknown.iter().any(meant)
    }
}

/// One value of an item.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Dotted path within the item: `optimizer.lr`.
    pub path: String,
    /// As the language writes it: `1e-3`, `16_000 tokens`, `late-bound text`.
    pub shown: String,
    /// Where the value was written.
    pub span: Span,
    pub origin: Origin,
}

/// An `expect` or a `claim`.
#[derive(Clone, Debug)]
pub struct CheckedCondition {
    /// A claim's name.
    pub name: Option<String>,
    /// As written.
    pub text: String,
    pub condition: Core,
    /// A claim's confidence, as a share of one.
    pub confidence: Option<f64>,
    pub span: Span,
}

/// A parameter and its value.
#[derive(Clone, Debug)]
pub struct CheckedParam {
    pub name: String,
    pub docs: Option<String>,
    /// As the language writes its type.
    pub ty: String,
    pub shown: String,
    pub json: Json,
    pub origin: Origin,
    pub span: Span,
}

/// A sweep: its axes with their values, and its settings.
#[derive(Clone, Debug)]
pub struct CheckedSweep {
    pub name: String,
    pub axes: Vec<CheckedAxis>,
    /// As [`spec::Sweep`](crate::plan::spec::Sweep) reads it.
    pub json: Json,
    /// The condition of `where`, as written.
    pub constraint: Option<String>,
    /// What is minimised or maximised, as written.
    pub objective: Option<String>,
    /// Whether the condition holds for the values the experiment has now. True without one; it is asked for each point by checking
    /// the experiment with the point's overrides.
    pub holds: bool,
    pub span: Span,
}

/// One axis of a sweep.
#[derive(Clone, Debug)]
pub struct CheckedAxis {
    /// `teller.layers`.
    pub path: String,
    pub values: AxisValues,
    /// The condition of `when`, as written.
    pub condition: Option<String>,
    /// Whether it holds for the values the experiment has now; true without one.
    pub active: bool,
    pub span: Span,
}
