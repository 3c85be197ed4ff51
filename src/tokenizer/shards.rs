//! Tokens on disk, mapped into memory.
//!
//! A folder holds `tokens.bin` (little-endian u16 when the vocabulary has at most 65,536 entries, else u32), `offsets.bin`
//! (little-endian u64: where each document starts, and the end), `mask.bin` when not every token carries loss (a byte a
//! token), and `tokens.json` with the figures.

use super::TokenizerError;
use crate::train::Corpus;
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const TOKENS: &str = "tokens.bin";
const OFFSETS: &str = "offsets.bin";
const MASK: &str = "mask.bin";
const FIGURES: &str = "tokens.json";

/// The figures of tokens on disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Summary {
    pub schema_version: u32,
    pub documents: u64,
    pub tokens: u64,
    /// Tokens that carry loss.
    pub supervised_tokens: u64,
    /// Tokens of the longest document. Summaries of earlier versions do not say.
    #[serde(default)]
    pub longest: u64,
    /// Bytes of the text that the tokens stand for, without what ends documents.
    pub bytes: u64,
    /// Characters that became the unknown token.
    pub unknown: u64,
    /// Bytes a token takes, 2 or 4.
    pub width: u8,
    pub masked: bool,
    /// Entries of the vocabulary.
    pub vocab: u64,
}

/// Writes tokens document by document.
pub struct TokenWriter {
    folder: PathBuf,
    tokens: BufWriter<File>,
    offsets: BufWriter<File>,
    mask: Option<BufWriter<File>>,
    summary: Summary,
}

impl TokenWriter {
    /// A writer into `folder`, which must exist, for ids below `vocab`; `masked` when documents come with masks.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub fn create(folder: &Path, vocab: usize, masked: bool) -> Result<TokenWriter, TokenizerError> {
        let open = |name: &str| File::create(folder.join(name)).map(BufWriter::new).map_err(failed(name));
        let mut writer = TokenWriter {
            folder: folder.to_path_buf(),
            tokens: open(TOKENS)?,
            offsets: open(OFFSETS)?,
            mask: if masked { Some(open(MASK)?) } else { None },
            summary: Summary {
                schema_version: 1,
                documents: 0,
                tokens: 0,
                supervised_tokens: 0,
                longest: 0,
                bytes: 0,
                unknown: 0,
                width: if vocab <= 1 << 16 { 2 } else { 4 },
                masked,
                vocab: vocab as u64,
            },
        };
        writer.offsets.write_all(&0u64.to_le_bytes()).map_err(failed(OFFSETS))?;
        Ok(writer)
    }

    /// Adds a document: its tokens, which of them carry loss (as many; all of them when the writer has no mask), the bytes
    /// of its text and the characters that are unknown.
    ///
    /// # Errors
    /// When an id is not below the vocabulary, the mask has another length, or the disk is full.
    pub fn push(
        &mut self,
        ids: &[u32],
        supervised: Option<&[bool]>,
        bytes: u64,
        unknown: u64,
    ) -> Result<(), TokenizerError> {
        if let Some(id) = ids.iter().find(|id| u64::from(**id) >= self.summary.vocab) {
            return Err(TokenizerError::NoToken { id: *id, vocab: self.summary.vocab as usize });
        }
        if supervised.is_some_and(|mask| mask.len() != ids.len()) {
            return Err(TokenizerError::Damaged { file: MASK.into(), why: "a mask must have an entry a token".into() });
        }
        let wide = self.summary.width == 4;
        for id in ids {
            let bytes = id.to_le_bytes();
            self.tokens.write_all(if wide { &bytes } else { &bytes[..2] }).map_err(failed(TOKENS))?;
        }
        let count = ids.len() as u64;
        match (&mut self.mask, supervised) {
            (Some(out), Some(mask)) => {
                let bytes: Vec<u8> = mask.iter().map(|s| u8::from(*s)).collect();
                out.write_all(&bytes).map_err(failed(MASK))?;
                self.summary.supervised_tokens += mask.iter().filter(|s| **s).count() as u64;
            }
            (Some(out), None) => {
                out.write_all(&vec![1; ids.len()]).map_err(failed(MASK))?;
                self.summary.supervised_tokens += count;
            }
            (None, _) => self.summary.supervised_tokens += count,
        }
        self.summary.documents += 1;
        self.summary.tokens += count;
        self.summary.longest = self.summary.longest.max(count);
        self.summary.bytes += bytes;
        self.summary.unknown += unknown;
        self.offsets.write_all(&self.summary.tokens.to_le_bytes()).map_err(failed(OFFSETS))
    }

    /// Flushes everything to disk and writes the figures.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn finish(self) -> Result<Summary, TokenizerError> {
        let TokenWriter { folder, tokens, offsets, mask, summary } = self;
        for (out, name) in [(Some(tokens), TOKENS), (Some(offsets), OFFSETS), (mask, MASK)] {
            if let Some(out) = out {
                let file = out.into_inner().map_err(|e| failed(name)(e.into_error()))?;
                file.sync_all().map_err(failed(name))?;
            }
        }
        let text = serde_json::to_vec_pretty(&summary).map_err(|e| failed(FIGURES)(e.into()))?;
        let mut file = File::create(folder.join(FIGURES)).map_err(failed(FIGURES))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed(FIGURES))?;
        Ok(summary)
    }
}

/// Tokens on disk, mapped into memory; what is not read takes none of it.
pub struct Shards {
    tokens: Mmap,
    offsets: Offsets,
    mask: Option<Mmap>,
    summary: Summary,
}

impl Shards {
    /// Opens what a [`TokenWriter`] wrote in `folder`.
    ///
    /// # Errors
    /// When a file is missing, or its size or offsets do not fit the figures.
    pub fn open(folder: &Path) -> Result<Shards, TokenizerError> {
        let text = std::fs::read(folder.join(FIGURES)).map_err(failed(FIGURES))?;
        let summary: Summary = serde_json::from_slice(&text).map_err(|e| damaged(FIGURES, e.to_string()))?;
        let map = |name: &str, bytes: Option<u64>| {
            let file = File::open(folder.join(name)).map_err(failed(name))?;
            let found = file.metadata().map_err(failed(name))?.len();
            if bytes != Some(found) {
                return Err(damaged(name, format!("it has {found} bytes")));
            }
            // SAFETY: the store writes these files once, under a name of their content, and never changes them; a file
            // that another program cuts short while it is mapped ends this process, as with every memory-mapped reader.
            unsafe { Mmap::map(&file) }.map_err(failed(name))
        };
        if !matches!(summary.width, 2 | 4) {
            return Err(damaged(FIGURES, format!("tokens of {} bytes", summary.width)));
        }
        let tokens = map(TOKENS, summary.tokens.checked_mul(u64::from(summary.width)))?;
        let entries = summary.documents.checked_add(1).and_then(|n| n.checked_mul(8));
        let offsets = Offsets::new(map(OFFSETS, entries)?);
        let mask = if summary.masked { Some(map(MASK, Some(summary.tokens))?) } else { None };
        let list = offsets.get();
        let ends = list.first() == Some(&0) && list.last() == Some(&summary.tokens);
        if !ends || list.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(damaged(OFFSETS, "the documents do not follow one another".into()));
        }
        Ok(Shards { tokens, offsets, mask, summary })
    }

    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The tokens of document `index`, with the one that ends it; empty beyond the last.
    pub fn document(&self, index: usize) -> Vec<u32> {
        let offsets = self.offsets();
        let (Some(start), Some(end)) = (offsets.get(index), offsets.get(index + 1)) else { return Vec::new() };
        let mut ids = vec![0; (end - start) as usize];
        self.read(*start, &mut ids);
        ids
    }
}

impl Corpus for Shards {
    fn tokens(&self) -> u64 {
        self.summary.tokens
    }

    fn offsets(&self) -> &[u64] {
        self.offsets.get()
    }

    /// Positions beyond the end read as 0.
    fn read(&self, start: u64, out: &mut [u32]) {
        let width = usize::from(self.summary.width);
        let from = usize::try_from(start).unwrap_or(usize::MAX).saturating_mul(width).min(self.tokens.len());
        let bytes = self.tokens.get(from..).unwrap_or_default();
        out.fill(0);
        if width == 2 {
            for (id, chunk) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *id = u32::from(u16::from_le_bytes(*chunk));
            }
        } else {
            for (id, chunk) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *id = u32::from_le_bytes(*chunk);
            }
        }
    }

    /// Positions beyond the end carry no loss.
    fn supervised(&self, start: u64, out: &mut [bool]) {
        let from = usize::try_from(start).unwrap_or(usize::MAX);
        let left = usize::try_from(self.summary.tokens.saturating_sub(start)).unwrap_or(usize::MAX);
        for (at, carries) in out.iter_mut().enumerate() {
            *carries =
                at < left && self.mask.as_ref().is_none_or(|m| m.get(from.saturating_add(at)).is_some_and(|b| *b != 0));
        }
    }
}

/// The offsets as numbers: on little-endian machines the file itself.
enum Offsets {
    Mapped(Mmap),
    #[cfg_attr(target_endian = "little", allow(dead_code, reason = "the other byte order needs it"))]
    Read(Vec<u64>),
}

impl Offsets {
    fn new(map: Mmap) -> Offsets {
        // SAFETY: every sequence of eight bytes is a u64.
        let whole = unsafe { map.align_to::<u64>() };
        if cfg!(target_endian = "little") && whole.0.is_empty() && whole.2.is_empty() {
            return Offsets::Mapped(map);
        }
        Offsets::Read(map.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect())
    }

    fn get(&self) -> &[u64] {
        match self {
            // SAFETY: as above; a mapping begins on a page, and `new` has seen that nothing is left over.
            Offsets::Mapped(map) => unsafe { map.align_to::<u64>() }.1,
            Offsets::Read(list) => list,
        }
    }
}

fn failed(name: &str) -> impl Fn(io::Error) -> TokenizerError {
    move |why| TokenizerError::File { file: name.to_owned(), why }
}

fn damaged(name: &str, why: String) -> TokenizerError {
    TokenizerError::Damaged { file: name.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_for_both_widths() {
        for vocab in [300, 70_000] {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = TokenWriter::create(folder.path(), vocab, true).unwrap();
            let last = vocab as u32 - 1;
            writer.push(&[1, 2, last], Some(&[false, true, true]), 5, 0).unwrap();
            writer.push(&[], Some(&[]), 0, 0).unwrap();
            writer.push(&[7, 0], None, 3, 1).unwrap();
            assert!(matches!(writer.push(&[vocab as u32], None, 0, 0), Err(TokenizerError::NoToken { .. })));
            let summary = writer.finish().unwrap();
            let shards = Shards::open(folder.path()).unwrap();
            assert_eq!(shards.summary(), &summary);
            assert_eq!((summary.tokens, summary.supervised_tokens, summary.bytes), (5, 4, 8));
            assert_eq!(shards.offsets(), [0, 3, 3, 5]);
            assert_eq!(shards.document(0), [1, 2, last]);
            let (mut ids, mut mask) = ([9; 4], [true; 4]);
            shards.read(2, &mut ids);
            shards.supervised(2, &mut mask);
            assert_eq!((ids, mask), ([last, 7, 0, 0], [true, true, true, false]));
            shards.supervised(0, &mut mask);
            assert_eq!(mask, [false, true, true, true]);
        }
    }

    #[test]
    fn a_damaged_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = TokenWriter::create(folder.path(), 10, false).unwrap();
        writer.push(&[1, 2, 3], None, 3, 0).unwrap();
        writer.finish().unwrap();
        std::fs::write(folder.path().join(TOKENS), [0; 4]).unwrap();
        assert!(matches!(Shards::open(folder.path()), Err(TokenizerError::Damaged { .. })));
        assert!(matches!(Shards::open(&folder.path().join("none")), Err(TokenizerError::File { .. })));
    }
}
