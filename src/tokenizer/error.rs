//! Why text could not become tokens.

use crate::data::DataError;
use std::io;

/// Why a tokenizer could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(
        "a byte-level vocabulary needs 256 bytes and {specials} special tokens, so `vocab` must be at least {least}; it is {found}"
    )]
    SmallVocabulary { specials: usize, least: usize, found: i64 },
    #[error("the special token `{0}` is given twice")]
    RepeatedSpecial(String),
    #[error("a special token cannot be empty or blank")]
    EmptySpecial,
    #[error("there is no text to train the tokenizer on")]
    NoText,
    #[error("`{file}` is not a tokenizer this version can read: {why}")]
    Unreadable { file: String, why: String },
    #[error("`{file}` has {found} entries, and the experiment says `vocab = {said}`")]
    WrongVocabulary { file: String, found: usize, said: i64 },
    #[error("`{file}` has no token that ends a text; one of {looked_for} is needed")]
    NoEnd { file: String, looked_for: String },
    #[error("{0} tokenizers are checked and planned, and this version does not train them; use `bpe`, which it does")]
    Unsupported(&'static str),
    #[error("training the tokenizer failed: {0}")]
    Training(String),
    #[error("text could not be encoded: {0}")]
    Encoding(String),
    #[error("token {id} does not exist; the vocabulary has {vocab} entries")]
    NoToken { id: u32, vocab: usize },
    #[error("the tokenizer lost text: {lost} of {bytes} bytes are in no token")]
    LostText { lost: usize, bytes: usize },
    #[error("the chat template is not valid: {0}")]
    Template(String),
    #[error("the chat template refuses this conversation: {0}")]
    Refused(String),
    #[error(
        "the chat template cannot be used for training: with the response it does not begin as it does without (they part \
         after \"…{after}\"), so it cannot be told which tokens are the response. The text with `add_generation_prompt` \
         must be a beginning of the text with the response"
    )]
    NotPrefix { after: String },
    #[error("{place}: the chat template needs a prompt and a response, and this is a document")]
    NotASample { place: String },
    #[error("{place}: no token of this sample is trained on: its response is empty, or the template leaves it out")]
    NothingSupervised { place: String },
    #[error("`{file}` could not be read or written: {why}")]
    File { file: String, why: io::Error },
    #[error("`{file}` is damaged ({why}); delete it and it will be made again")]
    Damaged { file: String, why: String },
}
