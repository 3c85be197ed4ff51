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

    /// The figure made from this one; a reason stays as it is.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Known::Value(v) => Known::Value(f(v)),
            Known::Unknown(why) => Known::Unknown(why),
        }
    }

    /// As [`Known::map`], for a figure that may be unknown itself.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Known<U>) -> Known<U> {
        match self {
            Known::Value(v) => f(v),
            Known::Unknown(why) => Known::Unknown(why),
        }
    }
}

impl<T> From<Result<T, String>> for Known<T> {
    fn from(result: Result<T, String>) -> Known<T> {
        result.map_or_else(Known::Unknown, Known::Value)
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
    /// An item's name; of a dataset written in place the field's path: `pretrain.data`.
    pub name: String,
    pub spec: spec::Dataset,
    pub shape: Shape,
    pub hash: Known<Digest>,
    /// Data files it reads, with their contents' hashes, source by source.
    pub inputs: Vec<Input>,
    /// Which of `inputs` belong to which source, in order.
    pub sources: Vec<PlannedSource>,
    /// Documents, samples or pairs in it; known once it was made.
    pub documents: Known<u64>,
    /// Bytes of text in it; known once it was made.
    pub bytes: Known<u64>,
    /// Datasets it is made from.
    pub depends_on: Vec<String>,
    pub facts: Vec<Fact>,
}

/// A source of files: so many of the dataset's inputs, after those of the sources before it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedSource {
    /// The pattern, as the world sees it.
    pub files: String,
    pub inputs: usize,
}

/// What the items of a dataset are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Items with a text.
    Documents,
    /// Items with a prompt and a response.
    Samples,
    /// Items with a prompt, a preferred and a rejected response.
    Preferences,
    /// Pairs of sentences that differ in one group.
    Pairs,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlannedTokenizer {
    pub name: String,
    pub spec: spec::Tokenizer,
    pub hash: Known<Digest>,
    /// Entries; of a character tokenizer known once it was trained.
    pub vocab: Known<u64>,
    /// The files of one that was made elsewhere.
    pub inputs: Vec<Input>,
    pub depends_on: Vec<String>,
    pub facts: Vec<Fact>,
    /// Why this version cannot make it, if it cannot.
    pub unsupported: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlannedStage {
    pub name: String,
    /// Its datasets are always named ones: those written in place stand in [`Plan::datasets`] too.
    pub spec: spec::Stage,
    /// The network, whether given here or inherited through `init`.
    pub model_name: String,
    pub model: spec::Decoder,
    /// The tokenizer, likewise.
    pub tokenizer: String,
    pub hash: Known<Digest>,
    /// The files of a published network, besides those of its tokenizer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// What is known of a published network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<super::hugging::Published>,
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
    /// The judgement of each stage, which can be kept while another stage is judged again.
    pub cells: Vec<PlannedCell>,
    pub depends_on: Vec<String>,
    pub facts: Vec<Fact>,
    pub unsupported: Option<String>,
}

/// One stage judged by one evaluation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlannedCell {
    pub stage: String,
    pub hash: Known<Digest>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlannedReview {
    pub name: String,
    pub spec: spec::Review,
    pub hash: Known<Digest>,
    pub depends_on: Vec<String>,
    pub facts: Vec<Fact>,
    pub unsupported: Option<String>,
}

/// What a stage will cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Estimate {
    /// Exact, to the unit; unknown until the size of the vocabulary is.
    pub parameters: Known<u64>,
    /// The same, part by part.
    pub parts: Known<super::Parameters>,
    /// Sequences in an optimiser step.
    pub sequences: u64,
    /// Tokens in a sequence.
    pub sequence: u64,
    /// Sequences in one forward pass.
    pub micro_batch: Known<u64>,
    /// Tokens trained on.
    pub tokens: Known<u64>,
    pub steps: Known<u64>,
    pub epochs: Known<f64>,
    /// How tokens, steps and epochs were derived from the budget.
    pub derivation: String,
    /// Forward and backward over all steps, as [`flops`](super::flops) defines them.
    pub flops: Known<f64>,
    /// The same as a device computes it, where that is more: with blocks computed again on the way back, or every expert computed
    /// for every token.
    pub hardware_flops: Option<Known<f64>>,
    /// The same on a GPU, of a network with experts.
    pub gpu_flops: Option<Known<f64>>,
    /// The bytes that the activations of `micro_batch` were to fit in, where the stage leaves it open.
    pub fitted: Option<u64>,
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
    /// The rows of a whole step, on the host.
    #[serde(default)]
    pub batch: u64,
}

impl Memory {
    pub fn total(self) -> u64 {
        let others =
            self.gradients.saturating_add(self.optimizer).saturating_add(self.activations).saturating_add(self.batch);
        self.weights.saturating_add(others)
    }
}
