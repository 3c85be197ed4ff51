//! Records as tokens on disk.

use super::{Chat, Piece, Summary, TokenWriter, Tokenizer, TokenizerError};
use crate::data::{Record, Records};
use rayon::prelude::*;

/// Records encoded at once, and the bytes of text from which fewer are.
const BLOCK: usize = 256;
const BLOCK_BYTES: u64 = 4 << 20;

/// A text as tokens, and which of them carry loss.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Encoded {
    pub ids: Vec<u32>,
    pub supervised: Vec<bool>,
}

/// Writes the tokens of all records, each followed by the token that ends it.
///
/// Without a chat template each record is its text, after the token that begins texts where the tokenizer has one, and
/// every token carries loss. With one, each must be a sample; the
/// tokens of its response and of what ends it carry loss, and the others do not. The outcome is the same for any number
/// of threads.
///
/// # Errors
/// When a record cannot be read or encoded, is not a sample where one is needed, or would not be trained on at all.
pub fn write(
    tokenizer: &Tokenizer,
    chat: Option<&Chat>,
    mut records: Records<'_>,
    mut out: TokenWriter,
    observe: &mut dyn FnMut(u64, u64),
) -> Result<Summary, TokenizerError> {
    let (mut documents, mut tokens) = (0, 0);
    loop {
        let (mut block, mut bytes) = (Vec::new(), 0);
        while block.len() < BLOCK && bytes < BLOCK_BYTES {
            let Some(record) = records.next() else { break };
            let record = record?;
            bytes += record.bytes();
            block.push(record);
        }
        if block.is_empty() {
            return out.finish();
        }
        let encoded: Vec<_> = block.par_iter().map(|record| encode_record(tokenizer, chat, record)).collect();
        for (record, encoded) in block.iter().zip(encoded) {
            let Encoded { ids, supervised } = encoded?;
            let unknown = tokenizer.unknown().map_or(0, |unknown| ids.iter().filter(|id| **id == unknown).count());
            out.push(&ids, chat.map(|_| supervised.as_slice()), record.bytes(), unknown as u64)?;
            documents += 1;
            tokens += ids.len() as u64;
        }
        observe(documents, tokens);
    }
}

fn encode_record(tokenizer: &Tokenizer, chat: Option<&Chat>, record: &Record) -> Result<Encoded, TokenizerError> {
    let Some(chat) = chat else {
        let mut ids: Vec<u32> = tokenizer.begin().into_iter().collect();
        ids.extend(tokenizer.encode(&record.text)?);
        ids.push(tokenizer.end());
        return Ok(Encoded { supervised: vec![true; ids.len()], ids });
    };
    let (Some(prompt), Some(response)) = (&record.prompt, &record.response) else {
        return Err(TokenizerError::NotASample { place: record.source.clone() });
    };
    let mut encoded = tokenizer.encode_pieces(&chat.sample(prompt, response)?)?;
    if response.trim().is_empty() || !encoded.supervised.contains(&true) {
        return Err(TokenizerError::NothingSupervised { place: record.source.clone() });
    }
    // A template may write the end itself; without one a model would not learn to stop. Published templates write more after
    // it, such as a line break before the next turn.
    let is_end = |id: &u32| *id == tokenizer.end() || tokenizer.stops().contains(id);
    let ends = match tokenizer.published() {
        Some(_) => encoded.ids.iter().zip(&encoded.supervised).any(|(id, supervised)| *supervised && is_end(id)),
        None => encoded.ids.last() == Some(&tokenizer.end()),
    };
    if !ends {
        encoded.ids.push(tokenizer.end());
        encoded.supervised.push(true);
    }
    Ok(encoded)
}

impl Tokenizer {
    /// The tokens of a rendered conversation. Special tokens count, except in pieces that are literal.
    ///
    /// Each change between what is trained on and what is not is a border that no token crosses, so the tokens of a
    /// prompt are the same in training and in use.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    pub fn encode_pieces(&self, pieces: &[Piece]) -> Result<Encoded, TokenizerError> {
        let mut encoded = Encoded::default();
        for Piece { text, supervised, literal } in pieces {
            let ids = if *literal { self.encode(text)? } else { self.encode_marked(text)? };
            encoded.supervised.extend(std::iter::repeat_n(*supervised, ids.len()));
            encoded.ids.extend(ids);
        }
        Ok(encoded)
    }
}
