//! The Rust side of the standard library: every schema in `stdlib/` deserialises into one type here, field by field.
//!
//! The checker turns a checked record into JSON: `{"is": "adamw", "lr": 0.001, …}`. Fields that a schema inherits from
//! its base stand under the base's name: `{"is": "sft", "stage": {…}, "template": …}`. A quantity of one dimension is a
//! number in its base unit (tokens, seconds, bytes, a share of one); where several dimensions are allowed it is a
//! [`Quantity`]. A reference to another item is a [`Ref`].

mod data;
mod evaluate;
mod experiment;
mod model;
mod sweep;
mod tokenizer;
mod train;

pub use data::*;
pub use evaluate::*;
pub use experiment::*;
pub use model::*;
pub use sweep::*;
pub use tokenizer::*;
pub use train::*;

pub use crate::types::Unit;
use crate::types::core::Core;
use serde::{Deserialize, Serialize};

/// An amount of something, in the base unit of its dimension.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantity {
    pub amount: f64,
    pub unit: Unit,
}

/// Another item of the experiment.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ref {
    /// The item's name; one from a library module carries the module: `bias.paired_sentences`.
    #[serde(rename = "ref")]
    pub name: String,
    /// The split of a dataset, if one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
}

/// A lambda over one parameter, compiled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lambda {
    pub param: String,
    pub body: Core,
}

/// A condition or number over measurements: `valid.loss < 3.1`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Measured(pub Core);
