//! What can be wrong with a network or its weights.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("the model's `{field}` is {value}, but {requirement}")]
    Size { field: &'static str, value: i64, requirement: String },
    #[error("the model has no `vocab` and no tokenizer gives one; set `vocab`, or give the stage a tokenizer")]
    NoVocab,
    #[error("the model's `vocab` is {vocab}, but the tokenizer has {tokenizer} entries; raise `vocab` or leave it out")]
    VocabTooSmall { vocab: i64, tokenizer: usize },
    #[error("cannot read the weights {}: {cause}", .path.display())]
    Read { path: PathBuf, cause: String },
    #[error("cannot write the weights {}: {cause}", .path.display())]
    Write { path: PathBuf, cause: String },
    #[error("{} is not a safetensors file: {cause}", .path.display())]
    Format { path: PathBuf, cause: String },
    #[error("the weights {} do not fit this network: {}", .path.display(), .problems.join("; "))]
    Mismatch { path: PathBuf, problems: Vec<String> },
    #[error("the device failed: {0}")]
    Device(String),
    #[error("token {token} at position {position} is outside the vocabulary of {vocab}")]
    Token { token: u32, position: usize, vocab: usize },
    #[error("a prompt is empty; start it with the end-of-text token to generate from nothing")]
    EmptyPrompt,
    #[error(
        "what the network computes is not a number: its weights hold numbers that are not finite, or so large that they overflow"
    )]
    NotANumber,
}
