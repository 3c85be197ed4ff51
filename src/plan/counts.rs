//! What earlier runs have counted and measured, as far as anyone knows.

use super::spec::{Decoder, Precision};
use super::{Digest, Known};

/// Memory that the activations of one forward and backward pass may take when nothing is known of the device.
pub const ACTIVATION_BYTES: u64 = 2 << 30;

/// Contents of a dataset, or of one split of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataCount {
    /// Documents, samples or pairs.
    pub documents: u64,
    /// Bytes of UTF-8 text.
    pub bytes: u64,
}

/// A stage as far as its speed depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    pub model: &'a Decoder,
    /// Entries of the embedding.
    pub vocab: u64,
    /// Tokens in a sequence.
    pub sequence: u64,
    /// Sequences in a forward pass.
    pub micro_batch: u64,
    /// That a device computes, blocks that are computed again among them.
    pub flops_per_token: f64,
    pub precision: Precision,
    /// Identity of the stage, for a store that has seen it before.
    pub stage: Option<&'a Digest>,
}

/// Counts and measurements that a plan can use; each is absent until something was counted or measured.
pub trait KnownCounts {
    /// What a dataset (or split, see [`split_digest`](super::split_digest)) of this identity holds.
    fn data(&self, data: &Digest) -> Option<DataCount> {
        let _ = data;
        None
    }

    /// Tokens in a dataset (or split) under a tokenizer, with the token that ends each document.
    fn tokens(&self, data: &Digest, tokenizer: &Digest) -> Option<u64> {
        let _ = (data, tokenizer);
        None
    }

    /// Tokens of the longest of the samples that the chat template `template`, Jinja, writes as text.
    fn longest(&self, data: &Digest, tokenizer: &Digest, template: &str) -> Option<u64> {
        let _ = (data, tokenizer, template);
        None
    }

    /// As [`KnownCounts::tokens`], for samples that a chat template writes as text; `template` is its Jinja.
    fn chat_tokens(&self, data: &Digest, tokenizer: &Digest, template: &str) -> Option<u64> {
        let _ = template;
        self.tokens(data, tokenizer)
    }

    /// Entries of a trained tokenizer.
    fn vocab(&self, tokenizer: &Digest) -> Option<u64> {
        let _ = tokenizer;
        None
    }

    /// Tokens a second that this device was measured to train on for this or the same kind of work.
    fn tokens_per_second(&self, work: &Workload<'_>) -> Known<f64> {
        let _ = work;
        Known::Unknown("this device has not been measured; a run on it will do that".to_owned())
    }

    /// Whether the device computes every expert of a mixture for every token, as a GPU does.
    fn every_expert(&self) -> bool {
        false
    }

    /// Bytes that activations may take when a stage leaves its micro-batch open.
    fn activation_bytes(&self) -> u64 {
        ACTIVATION_BYTES
    }
}

/// Nothing was counted or measured yet.
#[derive(Clone, Copy, Default, Debug)]
pub struct Uncounted;

impl KnownCounts for Uncounted {}
