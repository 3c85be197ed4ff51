//! Repeated documents: the first stays.

use super::minhash::{Bands, LENGTH, Signature, signature, similarity};
use super::pipeline::Records;
use super::report::Ledger;
use super::{DataError, Record};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

/// Documents of one band key that a new document is compared with. A page frame that thousands share would otherwise
/// make this quadratic; the first of them are enough, since what resembles a later one resembles these.
const COMPARED: usize = 64;

/// Documents whose signatures are computed at once.
const BLOCK: usize = 256;

/// The records without those whose text came before. Remembers 16 bytes a document (the 128-bit xxh3 of the text).
pub(super) fn exact<'a>(mut input: Records<'a>, ledger: Ledger, step: usize) -> Records<'a> {
    let mut seen: HashSet<u128> = HashSet::new();
    Box::new(std::iter::from_fn(move || {
        loop {
            let record = match input.next()? {
                Ok(record) => record,
                error => return Some(error),
            };
            if seen.insert(fingerprint(&record)) {
                ledger.kept(step, record.bytes(), false);
                return Some(Ok(record));
            }
            if let Err(error) = ledger.removed(step, record, "same text", None) {
                return Some(Err(error));
            }
        }
    }))
}

/// The records without those whose shingles have a Jaccard similarity of `threshold` or more with an earlier one that
/// stayed.
///
/// Candidates come from locality-sensitive hashing, each is confirmed by the estimate from the whole signatures, and
/// texts without words are compared exactly. Signatures (456 bytes a document) are kept in a file in `scratch`; in memory
/// there are a key and a number for each band.
///
/// # Errors
/// When the threshold is no share, or no file can be made.
pub(super) fn near<'a>(
    mut input: Records<'a>,
    threshold: f64,
    block: bool,
    scratch: &Path,
    ledger: Ledger,
    step: usize,
) -> Result<Records<'a>, DataError> {
    if !(threshold > 0.0 && threshold <= 1.0) {
        return Err(DataError::BadNumber {
            what: "the similarity of `dedup(near = …)`".into(),
            wanted: "more than 0 and at most 1",
            found: threshold.to_string(),
        });
    }
    let mut memory = Memory::new(threshold, scratch)?;
    let size = if block { BLOCK } else { 1 };
    let mut ready: std::vec::IntoIter<(Record, Option<Signature>)> = Vec::new().into_iter();
    let mut failed: Option<DataError> = None;
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            let Some((record, signature)) = ready.next() else {
                if let Some(error) = failed.take() {
                    return Some(Err(error));
                }
                let mut records = Vec::with_capacity(size);
                while records.len() < size {
                    match input.next() {
                        Some(Ok(record)) => records.push(record),
                        Some(Err(error)) => {
                            failed = Some(error);
                            break;
                        }
                        None => break,
                    }
                }
                if records.is_empty() && failed.is_none() {
                    return None;
                }
                let signed = records.into_par_iter().map(|r| {
                    let signature = signature(&r.text);
                    (r, signature)
                });
                ready = signed.collect::<Vec<_>>().into_iter();
                continue;
            };
            match memory.meet(&record, signature.as_ref()) {
                Ok(None) => {
                    ledger.kept(step, record.bytes(), false);
                    return Some(Ok(record));
                }
                Ok(Some((reason, earlier))) => {
                    if let Err(error) = ledger.removed(step, record, reason, earlier.as_deref()) {
                        return Some(Err(error));
                    }
                }
                Err(why) => return Some(Err(DataError::Write { file: "a scratch file".into(), why })),
            }
        }
    })))
}

fn fingerprint(record: &Record) -> u128 {
    match (&record.prompt, &record.response) {
        // A byte that no text holds keeps (a, bc) apart from (ab, c).
        (Some(prompt), Some(response)) => {
            let rejected = record.rejected.as_deref().unwrap_or_default();
            xxh3_128([prompt.as_bytes(), response.as_bytes(), rejected.as_bytes()].join(&0xff).as_slice())
        }
        _ => xxh3_128(record.text.as_bytes()),
    }
}

/// What has been seen and stayed.
struct Memory {
    threshold: f64,
    bands: Bands,
    /// Documents by band key; nearly all keys have one.
    first: HashMap<u64, u32>,
    more: HashMap<u64, Vec<u32>>,
    /// Texts without words.
    wordless: HashSet<u128>,
    file: File,
    /// Where each document's signature and source are in the file, and the end.
    starts: Vec<u64>,
}

/// Why a document is a repetition, and of which.
type Repeated = (&'static str, Option<String>);

impl Memory {
    fn new(threshold: f64, scratch: &Path) -> Result<Memory, DataError> {
        let file =
            tempfile::tempfile_in(scratch).map_err(|why| DataError::Write { file: "a scratch file".into(), why })?;
        Ok(Memory {
            threshold,
            bands: Bands::at(threshold),
            first: HashMap::new(),
            more: HashMap::new(),
            wordless: HashSet::new(),
            file,
            starts: vec![0],
        })
    }

    /// Compares a document with those that stayed; one that stays is remembered.
    fn meet(&mut self, record: &Record, signature: Option<&Signature>) -> io::Result<Option<Repeated>> {
        let Some(signature) = signature else {
            let new = self.wordless.insert(fingerprint(record));
            return Ok(if new { None } else { Some(("same text", None)) });
        };
        let keys: Vec<u64> = self.bands.keys(signature).collect();
        let mut candidates: Vec<u32> = Vec::new();
        for key in &keys {
            candidates.extend(self.first.get(key));
            candidates.extend(self.more.get(key).into_iter().flatten());
        }
        candidates.sort_unstable();
        candidates.dedup();
        for candidate in candidates {
            let (earlier, source) = self.load(candidate)?;
            if similarity(signature, &earlier) >= self.threshold {
                return Ok(Some(("similar text", Some(source))));
            }
        }
        let number = (self.starts.len() - 1) as u32;
        self.store(signature, &record.source)?;
        for key in keys {
            if *self.first.entry(key).or_insert(number) != number {
                let more = self.more.entry(key).or_default();
                if more.len() < COMPARED && more.last() != Some(&number) {
                    more.push(number);
                }
            }
        }
        Ok(None)
    }

    fn store(&mut self, signature: &Signature, source: &str) -> io::Result<()> {
        let start = self.starts.last().copied().unwrap_or_default();
        let mut bytes: Vec<u8> = signature.iter().flat_map(|n| n.to_le_bytes()).collect();
        bytes.extend_from_slice(source.as_bytes());
        self.file.seek(SeekFrom::Start(start))?;
        self.file.write_all(&bytes)?;
        self.starts.push(start + bytes.len() as u64);
        Ok(())
    }

    fn load(&mut self, number: u32) -> io::Result<(Signature, String)> {
        let at = number as usize;
        let (Some(start), Some(end)) = (self.starts.get(at), self.starts.get(at + 1)) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut bytes = vec![0; (end - start) as usize];
        self.file.seek(SeekFrom::Start(*start))?;
        self.file.read_exact(&mut bytes)?;
        let source = bytes.split_off(LENGTH * 4);
        let mut signature = [0; LENGTH];
        for (number, chunk) in signature.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *number = u32::from_le_bytes(*chunk);
        }
        Ok((signature, String::from_utf8_lossy(&source).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn records(texts: Vec<String>) -> Records<'static> {
        let records = texts.into_iter().enumerate();
        Box::new(records.map(|(i, text)| Ok(Record::document(text, format!("f:{i}"), i as u64))))
    }

    #[test]
    fn equal_texts_leave_the_first() {
        let ledger = Ledger::new(None);
        let step = ledger.step("dedup");
        let kept: Vec<u64> = exact(records(["a", "b", "a", "", ""].map(str::to_owned).into()), ledger.clone(), step)
            .map(|r| r.unwrap().index)
            .collect();
        assert_eq!(kept, [0, 1, 3]);
        assert_eq!(ledger.steps()[0].reasons["same text"], 2);
    }

    /// A planted set: 300 originals, of each a copy with 2 % of its words changed, and 300 unrelated texts.
    #[test]
    fn planted_copies_are_found_and_unrelated_texts_stay() {
        let stream = Stream::new(5, "planted");
        let text = |i: u64| -> Vec<String> {
            let mut draws = stream.at(i);
            (0..200)
                .map(|_| format!("w{}", (b'a' + draws.below(26) as u8) as char) + &draws.below(90).to_string() + "x")
                .collect()
        };
        let mut texts: Vec<String> = (0..600).map(|i| text(i).join(" ")).collect();
        for i in 0..300 {
            let mut words = text(i);
            let mut draws = stream.at(10_000 + i);
            for _ in 0..2 {
                words[draws.below(200) as usize] = "changed".into();
            }
            texts.push(words.join(" "));
        }
        let run = |block: bool| {
            let folder = tempfile::tempdir().unwrap();
            let ledger = Ledger::new(None);
            let step = ledger.step("dedup");
            let kept: Vec<u64> = near(records(texts.clone()), 0.8, block, folder.path(), ledger, step)
                .unwrap()
                .map(|r| r.unwrap().index)
                .collect();
            kept
        };
        let kept = run(true);
        let wrong = (0..600).filter(|i| !kept.contains(i)).count();
        let missed = kept.iter().filter(|i| **i >= 600).count();
        println!(
            "planted duplicates: precision {:.3}, recall {:.3}",
            1.0 - wrong as f64 / 300.0,
            1.0 - missed as f64 / 300.0
        );
        assert!(wrong == 0 && missed <= 15, "{wrong} originals lost, {missed} copies missed");
        assert_eq!(kept, run(false), "the outcome does not depend on the blocks");
    }
}
