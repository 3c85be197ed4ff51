//! Tokenizers as an experiment asks for them.

use super::cut::{Cutting, cut, cut_runs};
use super::{Tokenizer, TokenizerError};
use crate::data::{DataError, Record, Records};
use crate::plan::spec;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The special tokens of every tokenizer made here, in the order of their ids from 0. Those of the experiment follow.
pub const OWN: [&str; 4] = ["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"];

/// What a character tokenizer makes of a character that its training text did not have; the last of its special tokens.
pub const UNKNOWN: &str = "<|unk|>";

/// The most text, in bytes, that BPE counts words in. The table of words grows with the text, and beyond a gigabyte of it
/// merges no longer change.
const TRAINING_LIMIT: u64 = 1 << 30;

/// The longest run of letters, of digits, of blanks or of other characters that merges are learnt from whole, in bytes. Counting
/// the pairs of a word takes time with the square of its length, and nothing is learnt from one of this length.
const LONGEST_RUN: usize = 1 << 12;

/// Trains or reads a tokenizer. `records` are those of its `train_on` (a pretrained one reads none), in order; `base` is
/// the experiment's folder.
///
/// # Errors
/// When the vocabulary is too small, special tokens repeat, there is no text, the file is no tokenizer or has another
/// vocabulary, or the kind is not trained by this version.
pub fn make(spec: &spec::Tokenizer, records: Records<'_>, base: &Path) -> Result<Tokenizer, TokenizerError> {
    match spec {
        spec::Tokenizer::Bpe(spec) => bpe(spec, records),
        spec::Tokenizer::Characters(spec) => characters(spec, records),
        spec::Tokenizer::Wordpiece(_) => Err(TokenizerError::Unsupported("WordPiece")),
        spec::Tokenizer::Published(spec) => {
            let path = base.join(&spec.file);
            let bytes = std::fs::read(&path).map_err(|why| TokenizerError::File { file: spec.file.clone(), why })?;
            Tokenizer::from_published(&bytes, &spec.file, &spec.specials)
        }
        spec::Tokenizer::TokenizerJson(spec) => {
            let path = base.join(&spec.file);
            let bytes = std::fs::read(&path).map_err(|why| TokenizerError::File { file: spec.file.clone(), why })?;
            let tokenizer = Tokenizer::from_json(&bytes, &spec.file)?;
            let found = tokenizer.vocab();
            if i64::try_from(found) != Ok(spec.vocab) {
                return Err(TokenizerError::WrongVocabulary { file: spec.file.clone(), found, said: spec.vocab });
            }
            Ok(tokenizer)
        }
    }
}

fn bpe(spec: &spec::Bpe, records: Records<'_>) -> Result<Tokenizer, TokenizerError> {
    let specials = specials(&spec.special, None)?;
    let least = 256 + specials.len();
    let vocab = usize::try_from(spec.vocab).ok().filter(|v| *v >= least).ok_or(TokenizerError::SmallVocabulary {
        specials: specials.len(),
        least,
        found: spec.vocab,
    })?;
    let failed: Arc<Mutex<Option<DataError>>> = Arc::default();
    let seen = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let texts = texts(records, failed.clone(), seen.clone());
    let min_frequency = u64::try_from(spec.min_frequency).unwrap_or(0);
    let trained = Tokenizer::train_bpe(texts, vocab, min_frequency, spec.pattern, &specials);
    if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error.into());
    }
    if seen.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        return Err(TokenizerError::NoText);
    }
    trained
}

/// The records' texts in pieces, up to the first error, which is put aside, and up to the limit.
fn texts<'a>(
    mut records: Records<'a>,
    failed: Arc<Mutex<Option<DataError>>>,
    seen: Arc<std::sync::atomic::AtomicU64>,
) -> impl Iterator<Item = String> + Send + 'a {
    let mut pieces: std::vec::IntoIter<String> = Vec::new().into_iter();
    std::iter::from_fn(move || {
        loop {
            if let Some(piece) = pieces.next() {
                return Some(piece);
            }
            if seen.load(std::sync::atomic::Ordering::Relaxed) >= TRAINING_LIMIT {
                return None;
            }
            match records.next()? {
                Ok(record) => {
                    seen.fetch_add(record.bytes(), std::sync::atomic::Ordering::Relaxed);
                    let cut =
                        cut(&record.text, Cutting::Words).into_iter().flat_map(|piece| cut_runs(piece, LONGEST_RUN));
                    pieces = cut.map(str::to_owned).collect::<Vec<_>>().into_iter();
                }
                Err(error) => {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return None;
                }
            }
        }
    })
}

fn characters(spec: &spec::Characters, records: Records<'_>) -> Result<Tokenizer, TokenizerError> {
    let specials = specials(&spec.special, Some(UNKNOWN))?;
    let mut found = BTreeSet::new();
    for record in records {
        let Record { text, .. } = record?;
        found.extend(text.chars());
    }
    if found.is_empty() {
        return Err(TokenizerError::NoText);
    }
    Tokenizer::of_characters(&found, &specials, UNKNOWN)
}

/// The special tokens of a tokenizer, in the order of their ids.
fn specials(more: &[String], last: Option<&str>) -> Result<Vec<String>, TokenizerError> {
    let mut all: Vec<String> = OWN.iter().map(|s| (*s).to_owned()).collect();
    for special in more.iter().map(String::as_str).chain(last) {
        if special.trim().is_empty() {
            return Err(TokenizerError::EmptySpecial);
        }
        // A recipe may name one of our own for clarity; twice by the user is a slip.
        if OWN.contains(&special) {
            continue;
        }
        if all.iter().any(|s| s == special) {
            return Err(TokenizerError::RepeatedSpecial(special.to_owned()));
        }
        all.push(special.to_owned());
    }
    Ok(all)
}
