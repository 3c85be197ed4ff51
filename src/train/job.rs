//! What to train, on what, and how.

use super::corpus::Corpus;
use super::schedule::Schedule;
use crate::device::Chosen;
use crate::plan::Growth;
use crate::plan::spec::{Adapter, Decoder, Groups, Optimizer, Precision, Spike};
use std::path::Path;

/// One training stage, with every amount resolved to steps, sequences and tokens.
pub struct Job<'a> {
    pub objective: Objective,
    pub model: &'a Decoder,
    /// Entries of the tokenizer.
    pub vocab: usize,
    /// A safetensors file to start from; absent: fresh weights.
    pub init: Option<&'a Path>,
    pub corpus: &'a dyn Corpus,
    pub valid: Option<Validation<'a>>,
    /// Sequences per optimiser step.
    pub batch: usize,
    /// How the batch becomes that large; absent: it is from the first step.
    pub growth: Option<Growth>,
    /// Sequences per forward pass.
    pub micro_batch: usize,
    /// Tokens of a sequence; at most the model's context.
    pub sequence: usize,
    pub steps: u64,
    /// What is trained in the place of the network's own weights; absent: those.
    pub adapter: Option<Adapting<'a>>,
    /// Whether blocks are computed again on the way back instead of kept. It changes no number.
    pub recompute: bool,
    /// What goes into matrix products of training; validation has f32.
    pub precision: Precision,
    pub optimizer: &'a Optimizer,
    /// What parts of the network do differently.
    pub groups: &'a Groups,
    pub schedule: Schedule,
    /// Largest global gradient norm; absent: no clipping.
    pub clip: Option<f64>,
    /// Weight of the squared logarithm of the softmax's normaliser.
    pub z_loss: f64,
    /// Decay of an average of the weights, which is then validated with and handed on.
    pub ema: Option<f64>,
    /// What to do when the loss leaps; absent: only numbers that are not finite end the stage.
    pub on_spike: Option<&'a Spike>,
    pub keep: Keep,
    /// Steps between checkpoints; 0: only when stopped.
    pub checkpoint: u64,
    /// Checkpoints kept at once, at least one.
    pub checkpoints: usize,
    pub seed: u64,
    /// The token that fills rows.
    pub pad: u32,
    /// Where checkpoints and the resulting weights go. A job that finds a checkpoint of itself here goes on from it.
    pub folder: &'a Path,
    /// What else the stage depends on, such as the hash of its data: a checkpoint made under another identity is refused.
    pub identity: &'a str,
    pub device: &'a Chosen,
}

impl Job<'_> {
    /// Whether samples share rows.
    pub(super) fn packs(&self) -> bool {
        self.objective == Objective::SftPacked
    }

    /// The row after the last that goes through the device together with row `from` of `count`. A last part with fewer rows
    /// is filled up, so that the device sees few shapes; packed rows are of many numbers anyway.
    pub(super) fn rows_through(&self, from: usize, count: usize) -> usize {
        let to = from + self.micro_batch;
        if self.packs() { to.min(count) } else { to }
    }
}

/// What is trained in the place of a network's own weights.
#[derive(Clone, Copy, Debug)]
pub struct Adapting<'a> {
    pub spec: &'a Adapter,
    /// A safetensors file of adapters to start from, under PEFT's names; absent: fresh ones, which change nothing.
    pub init: Option<&'a Path>,
}

/// What a batch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Windows of the corpus laid end to end, in a new order and from a new offset each epoch.
    NextToken,
    /// The same, with the documents of a row kept from seeing each other.
    NextTokenApart(Boundary),
    /// One document a row, padded; loss where the corpus is supervised.
    Sft,
    /// The same documents each step, several a row where that leaves less padding, kept from seeing each other.
    SftPacked,
}

/// What a document of a row begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// Its own first token: the tokenizer begins texts with one.
    Begin,
    /// The token that ended the one before: the same token ends texts and begins them.
    End,
}

/// How to validate.
pub struct Validation<'a> {
    pub corpus: &'a dyn Corpus,
    /// Steps between two passes; one is always made after the last step.
    pub every: u64,
    /// At most about so many tokens of it, from its start; absent: all.
    pub tokens: Option<u64>,
}

/// Which weights the stage hands on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those with the lowest validation loss.
    Best,
    Last,
}
