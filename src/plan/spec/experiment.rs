//! The experiment as a whole.

use serde::{Deserialize, Serialize};

/// `experiment NAME { … }`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Edition of the language.
    pub language: i64,
    /// Root of every random choice.
    pub seed: i64,
    pub license: Option<String>,
    pub authors: Vec<String>,
    pub description: Option<String>,
}
