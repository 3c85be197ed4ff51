//! Mistakes by name: what people bring from other languages, and slips of the hand, each with the edit that repairs it.

mod expected;

pub use expected::unexpected;

use super::grammar::{Failure, Rule};
use super::patch::Change;
use crate::diagnostics::Code;
use std::ops::Range;

/// One mistake. All ranges are bytes of the text that was read.
#[derive(Debug)]
pub struct Mistake {
    pub code: Code,
    pub range: Range<usize>,
    pub message: String,
    pub label: String,
    pub also: Vec<(Range<usize>, String)>,
    pub help: Option<String>,
    /// The title of the edit, when it is offered to people and not only used to read on.
    pub fix: Option<String>,
    pub change: Option<Change>,
}

impl Mistake {
    pub fn new(code: Code, range: Range<usize>, message: impl Into<String>) -> Mistake {
        Mistake {
            code,
            range,
            message: message.into(),
            label: String::new(),
            also: Vec::new(),
            help: None,
            fix: None,
            change: None,
        }
    }
}

/// The mistake at the place where the strict rule `entry` stopped, if it is a known one.
pub fn find(_entry: Rule, _text: &str, _failure: &Failure) -> Option<Mistake> {
    None
}
