//! A seeded order of any number of documents.

use super::pipeline::Records;
use super::spool::Spool;
use super::{DataError, Record};
use crate::random::Stream;
use std::path::PathBuf;

/// Bytes of text that are put in order in memory at once.
const MEMORY: u64 = 64 << 20;

/// The records in a seeded order.
///
/// Record `i` draws a number from the seed and `i`, and the order is that of the numbers. When the records take more than
/// 64 MiB they are first divided into files by the leading bits of their numbers, and each file is put in order by itself;
/// the order is the same either way.
pub(super) fn shuffle<'a>(input: Records<'a>, seed: u64, scratch: PathBuf) -> Records<'a> {
    shuffle_within(input, seed, scratch, MEMORY)
}

fn shuffle_within<'a>(input: Records<'a>, seed: u64, scratch: PathBuf, memory: u64) -> Records<'a> {
    let stream = Stream::new(seed, "shuffle");
    let mut state = State::Unread(Some(input));
    Box::new(std::iter::from_fn(move || {
        loop {
            match &mut state {
                State::Unread(input) => {
                    let buckets = input.take().map(|input| divide(input, &stream, &scratch, memory));
                    match buckets {
                        Some(Ok(buckets)) => state = State::Buckets(buckets.into_iter(), Vec::new().into_iter()),
                        Some(Err(error)) => return Some(Err(error)),
                        None => return None,
                    }
                }
                State::Buckets(buckets, sorted) => {
                    if let Some(record) = sorted.next() {
                        return Some(Ok(record));
                    }
                    match order(buckets.next()?) {
                        Ok(next) => *sorted = next.into_iter(),
                        Err(error) => return Some(Err(error)),
                    }
                }
            }
        }
    }))
}

enum State<'a> {
    Unread(Option<Records<'a>>),
    Buckets(std::vec::IntoIter<Spool>, std::vec::IntoIter<Record>),
}

fn divide(
    input: Records<'_>,
    stream: &Stream,
    scratch: &std::path::Path,
    memory: u64,
) -> Result<Vec<Spool>, DataError> {
    let mut all = Spool::new(scratch)?;
    for (index, record) in input.enumerate() {
        all.push(stream.at(index as u64).next_u64(), record?)?;
    }
    let count = all.bytes.div_ceil(memory.max(1)).clamp(1, 256);
    if count == 1 {
        return Ok(vec![all]);
    }
    let mut buckets = (0..count).map(|_| Spool::new(scratch)).collect::<Result<Vec<_>, _>>()?;
    for entry in all.read()? {
        let (key, record) = entry?;
        let bucket = (u128::from(key) * u128::from(count)) >> 64;
        if let Some(bucket) = buckets.get_mut(bucket as usize) {
            bucket.push(key, record)?;
        }
    }
    Ok(buckets)
}

fn order(bucket: Spool) -> Result<Vec<Record>, DataError> {
    let mut records = bucket.read()?.collect::<Result<Vec<_>, _>>()?;
    // The sort is stable, so equal numbers keep the order of the input.
    records.sort_by_key(|(key, _)| *key);
    Ok(records.into_iter().map(|(_, record)| record).collect())
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
        assert_ne!(order, shuffled(1000, 2, MEMORY));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }
}
