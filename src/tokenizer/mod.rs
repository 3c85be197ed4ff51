//! Text and tokens: tokenizers trained in the experiment or read from a file, and tokens on disk.
//!
//! The `tokenizers` crate is named in one file, `hugging.rs`. Of its trainers only byte-level BPE gives the same
//! vocabulary every time, so that is the one that is offered; the character tokenizer is a sorted list. Every tokenizer is
//! saved as a `tokenizer.json` that Hugging Face libraries load.
//!
//! The text of documents is encoded without special tokens: `<|end|>` written in a web page is seven characters and not
//! the end of the document. Only what a chat template itself writes is encoded with them ([`Piece`]).
#![allow(
    clippy::disallowed_methods,
    reason = "tokens are written into folders that the store hands out, and mapped from there"
)]

mod chat;
mod cut;
mod encode;
mod error;
mod figures;
mod hugging;
mod json;
mod methods;
mod shards;
mod train;

pub use chat::{Chat, Message, Piece, render};
pub use encode::{Encoded, write};
pub use error::TokenizerError;
pub use figures::{Figures, measure};
pub use hugging::Tokenizer;
pub use shards::{Shards, Summary, TokenWriter};
pub use train::{OWN, UNKNOWN, make};

#[cfg(test)]
mod tests;
