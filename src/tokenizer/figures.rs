//! How well a tokenizer fits a text.

use super::{Tokenizer, TokenizerError};
use crate::data::Records;
use serde::{Deserialize, Serialize};

/// Text that is looked at, in bytes.
const ENOUGH: u64 = 8 << 20;

/// Figures of a tokenizer on a text.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    pub vocab: u64,
    /// What they were measured on.
    pub documents: u64,
    pub bytes: u64,
    pub tokens: u64,
    /// Compression; higher is shorter.
    pub bytes_per_token: f64,
    /// Tokens for a word between blanks (fertility).
    pub tokens_per_word: f64,
    /// Share of documents that decoding gives back exactly.
    pub round_trip: f64,
    /// Source of the first document that it does not.
    pub first_difference: Option<String>,
    /// Entries of the vocabulary that occur.
    pub vocab_used: u64,
    /// Share of tokens that stand for an unknown character.
    pub unknown_ratio: f64,
}

/// Measures a tokenizer on the records' texts, up to the first 8 MiB.
///
/// # Errors
/// When a record cannot be read or encoded.
pub fn measure(tokenizer: &Tokenizer, records: Records<'_>) -> Result<Figures, TokenizerError> {
    let mut used = vec![false; tokenizer.vocab()];
    let mut figures = Figures { vocab: tokenizer.vocab() as u64, ..Figures::default() };
    let (mut words, mut exact, mut unknown) = (0u64, 0u64, 0u64);
    for record in records {
        let record = record?;
        let ids = tokenizer.encode(&record.text)?;
        figures.documents += 1;
        figures.bytes += record.bytes();
        figures.tokens += ids.len() as u64;
        words += record.text.split_whitespace().count() as u64;
        unknown += ids.iter().filter(|id| Some(**id) == tokenizer.unknown()).count() as u64;
        for id in &ids {
            if let Some(seen) = used.get_mut(*id as usize) {
                *seen = true;
            }
        }
        if tokenizer.decode(&ids, false)? == record.text {
            exact += 1;
        } else if figures.first_difference.is_none() {
            figures.first_difference = Some(record.source.clone());
        }
        if figures.bytes >= ENOUGH {
            break;
        }
    }
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    figures.bytes_per_token = share(figures.bytes, figures.tokens);
    figures.tokens_per_word = share(figures.tokens, words);
    figures.round_trip = share(exact, figures.documents);
    figures.vocab_used = used.iter().filter(|u| **u).count() as u64;
    figures.unknown_ratio = share(unknown, figures.tokens);
    Ok(figures)
}
