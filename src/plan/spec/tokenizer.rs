//! Tokenizers.

use super::Dataset;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Tokenizer {
    Bpe(Bpe),
    Characters(Characters),
    Wordpiece(Wordpiece),
    TokenizerJson(TokenizerJson),
    /// That of a `pretrained` stage. The plan makes it; the language has no word for it.
    Published(PublishedTokenizer),
}

/// Byte-level byte-pair encoding (Sennrich et al. 2016; GPT-2).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bpe {
    pub train_on: Dataset,
    /// Entries in all, with the 256 bytes and the special tokens.
    pub vocab: i64,
    /// How text is cut before merging.
    pub pattern: Pattern,
    pub min_frequency: i64,
    /// Further special tokens, after the library's own.
    pub special: Vec<String>,
}

/// Published pre-tokenisation patterns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    Gpt2,
    Cl100k,
}

/// One token a character of the training text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Characters {
    pub train_on: Dataset,
    pub special: Vec<String>,
}

/// WordPiece (BERT).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wordpiece {
    pub train_on: Dataset,
    pub vocab: i64,
    pub lowercase: bool,
    pub special: Vec<String>,
}

/// A `tokenizer.json` made elsewhere.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerJson {
    pub file: String,
    /// Entries it has; checked when it is read.
    pub vocab: i64,
}

/// The tokenizer of a published model, with what its configuration says of special tokens.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedTokenizer {
    /// Its `tokenizer.json`, as the world finds it.
    pub file: String,
    /// Entries it has: one more than the largest id.
    pub vocab: i64,
    pub specials: TokenizerSpecials,
}

/// Special tokens by their ids.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerSpecials {
    /// Ends a text.
    pub end: u32,
    /// Fills a batch.
    pub pad: u32,
    /// What unknown characters become; absent where every text can be written.
    pub unknown: Option<u32>,
    /// What a chat template calls `bos_token`; whether texts begin with it is the tokenizer's own affair.
    pub begin: Option<u32>,
    /// Tokens besides `end` that end what is generated.
    pub stops: Vec<u32>,
}
