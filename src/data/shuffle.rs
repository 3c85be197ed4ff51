//! A seeded order of any number of documents.

use super::pipeline::Records;
use super::spool::Spool;
use super::{DataError, Record};
use crate::random::Stream;
use std::path::{Path, PathBuf};

/// Bytes of text that are put in order in memory at once.
const MEMORY: u64 = 24 << 20;

/// Files that records are divided into at once.
const FILES: u64 = 64;

/// The records in a seeded order.
///
/// Record `i` draws a number from the seed and `i`, and the order is that of the numbers. When the records take more than
/// 24 MiB they are divided into files by ranges of their numbers, again and again until each is small enough to be put in
/// order by itself; the order is the same either way.
pub(super) fn shuffle<'a>(input: Records<'a>, seed: u64, scratch: PathBuf) -> Records<'a> {
    shuffle_within(input, seed, scratch, MEMORY)
}

fn shuffle_within<'a>(input: Records<'a>, seed: u64, scratch: PathBuf, memory: u64) -> Records<'a> {
    let stream = Stream::new(seed, "shuffle");
    let mut unread = Some(input);
    // Ranges still to come, the next one last.
    let mut ranges: Vec<Range> = Vec::new();
    let mut sorted: std::vec::IntoIter<Record> = Vec::new().into_iter();
    Box::new(std::iter::from_fn(move || {
        if let Some(input) = unread.take() {
            match set_aside(input, &stream, &scratch) {
                Ok(all) => ranges.push(all),
                Err(error) => return Some(Err(error)),
            }
        }
        loop {
            if let Some(record) = sorted.next() {
                return Some(Ok(record));
            }
            let range = ranges.pop()?;
            let done = if range.spool.bytes > memory && range.spool.documents > 1 && range.width > u128::from(FILES) {
                range.divide(&scratch, memory).map(|parts| ranges.extend(parts.into_iter().rev()))
            } else {
                range.order().map(|records| sorted = records.into_iter())
            };
            if let Err(error) = done {
                ranges.clear();
                return Some(Err(error));
            }
        }
    }))
}

/// The records whose numbers lie in `start..start + width`, in the order of the input.
struct Range {
    spool: Spool,
    start: u64,
    width: u128,
}

fn set_aside(input: Records<'_>, stream: &Stream, scratch: &Path) -> Result<Range, DataError> {
    let mut spool = Spool::new(scratch)?;
    for (index, record) in input.enumerate() {
        spool.push(stream.at(index as u64).next_u64(), record?)?;
    }
    Ok(Range { spool, start: 0, width: 1 << 64 })
}

impl Range {
    fn divide(self, scratch: &Path, memory: u64) -> Result<Vec<Range>, DataError> {
        let count = self.spool.bytes.div_ceil(memory.max(1)).clamp(2, FILES);
        let width = self.width.div_ceil(u128::from(count));
        let mut parts = (0..count)
            .map(|part| {
                let start = (u128::from(self.start) + width * u128::from(part)).min(u128::from(u64::MAX));
                Ok(Range { spool: Spool::new(scratch)?, start: start as u64, width })
            })
            .collect::<Result<Vec<_>, DataError>>()?;
        for entry in self.spool.read()? {
            let (number, record) = entry?;
            let part = u128::from(number - self.start) / width;
            if let Some(part) = parts.get_mut(part as usize) {
                part.spool.push(number, record)?;
            }
        }
        Ok(parts)
    }

    fn order(self) -> Result<Vec<Record>, DataError> {
        let mut records = self.spool.read()?.collect::<Result<Vec<_>, _>>()?;
        // The sort is stable, so equal numbers keep the order of the input.
        records.sort_by_key(|(number, _)| *number);
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shuffled(n: u64, seed: u64, memory: u64) -> Vec<u64> {
        let input: Vec<_> = (0..n).map(|i| Ok(Record::document(format!("document {i}"), String::new(), i))).collect();
        let folder = tempfile::tempdir().unwrap();
        shuffle_within(Box::new(input.into_iter()), seed, folder.path().into(), memory)
            .map(|r| r.unwrap().index)
            .collect()
    }

    #[test]
    fn the_order_depends_on_the_seed_and_not_on_the_memory() {
        let order = shuffled(1000, 1, MEMORY);
        assert_eq!(order, shuffled(1000, 1, 500));
        assert_eq!(order, shuffled(1000, 1, 20));
        assert_ne!(order, shuffled(1000, 2, MEMORY));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }
}
