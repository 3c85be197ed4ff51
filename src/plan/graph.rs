//! The graph of a plan.

use super::spec;
use crate::source::Input;
use serde::{Deserialize, Serialize};

/// blake3, in hex.
pub type Digest = String;

/// What will run, in an order in which everything comes after what it needs.
///
/// Invariant: no unknowns, no error nodes, and nothing that depends on spans, comments, local names or folders enters a
/// hash.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub schema_version: u32,
    /// The experiment's name.
    pub name: String,
    pub experiment: spec::Experiment,
    /// Identity of the whole experiment; absent, with the reason, while an input is missing.
    pub hash: Known<Digest>,
    pub datasets: Vec<PlannedDataset>,
    pub tokenizers: Vec<PlannedTokenizer>,
    pub stages: Vec<PlannedStage>,
    pub evals: Vec<PlannedEval>,
    pub reviews: Vec<PlannedReview>,
    pub expects: Vec<spec::Expect>,
    pub claims: Vec<spec::Claim>,
}

/// A figure, or the reason why there is none yet. Never a guess.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known<T> {
    Value(T),
    Unknown(String),
}

impl<T> Known<T> {
    pub fn value(&self) -> Option<&T> {
        match self {
            Known::Value(v) => Some(v),
            Known::Unknown(_) => None,
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Known::Value(_) => None,
            Known::Unknown(why) => Some(why),
        }
    }
}

/// One value that enters a hash, kept so that a changed hash can be explained.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fact {
    /// `pretrain.optimizer.lr`, `teller.width`.
    pub path: String,
    /// As the language writes it.
    pub value: String,
    /// `storyteller.exp:52:15`; not part of any hash.
    pub place: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlannedDataset {
    pub name: String,
    pub spec: spec::Dataset,
    pub hash: Known<Digest>,
    /// Data files it reads, with their contents' hashes.
    pub inputs: Vec<Input>,
    /// Datasets it is made from.
    pub depends_on: Vec<String>,
    pub facts: Vec<Fact>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlannedTokenizer {
    pub name: String,
    pub spec: spec::Tokenizer,
    pub hash: Known<Digest>,
    pub depends_on: Vec<String>,
    pub facts: Vec<Fact>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlannedStage {
    pub name: String,
    pub spec: spec::Stage,
    /// The network, whether given here or inherited through `init`.
    pub model_name: String,
    pub model: spec::Decoder,
    /// The tokenizer, likewise.
    pub tokenizer: String,
    pub hash: Known<Digest>,
    /// Datasets, the tokenizer and the stage it starts from.
    pub depends_on: Vec<String>,
    pub facts: Vec<Fact>,
    pub estimate: Estimate,
    /// Why this version cannot execute the stage, if it cannot.
    pub unsupported: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlannedEval {
    pub name: String,
    pub spec: spec::Eval,
    pub hash: Known<Digest>,
    pub depends_on: Vec<String>,
    pub facts: Vec<Fact>,
    pub unsupported: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlannedReview {
    pub name: String,
    pub spec: spec::Review,
    pub hash: Known<Digest>,
    pub unsupported: Option<String>,
}

/// What a stage will cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Estimate {
    /// Exact, to the unit; unknown until the size of the vocabulary is.
    pub parameters: Known<u64>,
    /// Tokens trained on.
    pub tokens: Known<u64>,
    pub steps: Known<u64>,
    pub epochs: Known<f64>,
    /// How tokens, steps and epochs were derived from the budget.
    pub derivation: String,
    /// Forward and backward: 6N plus attention, a token.
    pub flops: Known<f64>,
    /// Upper bound on memory, and its parts.
    pub memory: Known<Memory>,
    /// Checkpoints and weights on disk.
    pub disk_bytes: Known<u64>,
    /// Only from a measured calibration of the device.
    pub seconds: Known<f64>,
}

/// An upper bound on memory, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Memory {
    pub weights: u64,
    pub gradients: u64,
    pub optimizer: u64,
    pub activations: u64,
}

impl Memory {
    pub fn total(self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.activations
    }
}
