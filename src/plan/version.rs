//! Versions of what the engine computes.
//!
//! Each enters the identity of what it makes. It is raised when the same description would no longer give the same
//! result (another order of data, another initial weight, another definition of a metric), so that what an older version
//! stored is not taken for the new one's.

/// Reading, cleaning, dividing and ordering documents.
pub const DATA: u32 = 1;
/// Training tokenizers and encoding.
pub const TOKENIZER: u32 = 1;
/// Initial weights, data order, losses and updates.
pub const TRAINING: u32 = 3;
/// Reading published networks.
pub const IMPORT: u32 = 1;
/// Decoding and metrics.
pub const EVALUATION: u32 = 2;
