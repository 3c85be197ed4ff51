//! Documents divided among named splits.

use super::pipeline::Records;
use super::spool::Spool;
use super::{DataError, Record};
use crate::plan::spec::{Split, SplitBy};
use std::path::PathBuf;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The records, each with its split.
///
/// By *hash*, a record's split is a function of its identity (see [`Record::identity`]) and the seed. By *order*, the
/// first share of the documents goes to the first split and so on. By *position* the documents are taken as one text laid
/// end to end, whose characters are divided, and a document on a border is cut there. The last two need to know the whole
/// and go through a file in `scratch`. Splits come in the order `train`, `valid`, `validation`, `test`, then the others by
/// name.
///
/// # Errors
/// When the shares are not positive or do not add up to one.
pub(super) fn split<'a>(
    spec: &Split,
    input: Records<'a>,
    seed: u64,
    scratch: PathBuf,
) -> Result<Records<'a>, DataError> {
    let shares = shares(spec)?;
    let input: Records<'a> = Box::new(input.map(|record| match record {
        Ok(record) if record.split.is_some() => Err(DataError::SplitTwice),
        other => other,
    }));
    Ok(match spec.by {
        SplitBy::Hash => Box::new(input.map(move |record| {
            record.map(|mut record| {
                let hash = xxh3_64_with_seed(record.identity().as_bytes(), seed);
                let at = (hash >> 11) as f64 / (1u64 << 53) as f64;
                record.split = shares.iter().find(|s| at < s.end).or(shares.last()).map(|s| s.name.clone());
                record
            })
        })),
        SplitBy::Order => after_all(input, scratch, move |spool| {
            let total = spool.documents as f64;
            let mut at = 0u64;
            Ok(Box::new(spool.read()?.map(move |entry| {
                let (_, mut record) = entry?;
                let found = shares.iter().find(|s| (at as f64) < (s.end * total).round()).or(shares.last());
                record.split = found.map(|s| s.name.clone());
                at += 1;
                Ok(record)
            })))
        }),
        SplitBy::Position => cut(input, shares, scratch),
    })
}

/// The names of a split's parts, in their order.
pub(super) fn ordered<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a String> {
    const FIRST: [&str; 4] = ["train", "valid", "validation", "test"];
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|name| (FIRST.iter().position(|f| f == name).unwrap_or(FIRST.len()), (*name).clone()));
    names
}

/// A split and the share of the whole at which it ends.
struct Share {
    name: Arc<str>,
    end: f64,
}

fn shares(spec: &Split) -> Result<Vec<Share>, DataError> {
    let mut end = 0.0;
    let mut shares = Vec::new();
    for name in ordered(spec.parts.keys()) {
        let share = spec.parts.get(name).copied().unwrap_or_default();
        if !(share > 0.0 && share <= 1.0) {
            return Err(DataError::BadNumber {
                what: format!("the share of `{name}`"),
                wanted: "more than 0% and at most 100%",
                found: format!("{}%", share * 100.0),
            });
        }
        end += share;
        shares.push(Share { name: name.as_str().into(), end });
    }
    if (end - 1.0).abs() > 1e-6 {
        return Err(DataError::Shares { found: format!("{}%", (end * 1e8).round() / 1e6) });
    }
    Ok(shares)
}

/// Sets the whole input aside, then goes on with what `then` makes of it.
fn after_all<'a>(
    input: Records<'a>,
    scratch: PathBuf,
    then: impl FnOnce(Spool) -> Result<Records<'a>, DataError> + Send + 'a,
) -> Records<'a> {
    let mut unread = Some((input, then));
    let mut rest: Option<Records<'a>> = None;
    Box::new(std::iter::from_fn(move || {
        if let Some((input, then)) = unread.take() {
            let spooled = Spool::new(&scratch).and_then(|mut spool| {
                for record in input {
                    spool.push(0, record?)?;
                }
                then(spool)
            });
            match spooled {
                Ok(records) => rest = Some(records),
                Err(error) => return Some(Err(error)),
            }
        }
        rest.as_mut()?.next()
    }))
}

fn cut<'a>(input: Records<'a>, shares: Vec<Share>, scratch: PathBuf) -> Records<'a> {
    let total = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = total.clone();
    let counted: Records<'a> = Box::new(input.inspect(move |record| {
        if let Ok(record) = record {
            counter.fetch_add(record.text.chars().count() as u64, std::sync::atomic::Ordering::Relaxed);
        }
    }));
    after_all(counted, scratch, move |spool| {
        let total = total.load(std::sync::atomic::Ordering::Relaxed);
        // Where each split ends, in characters; rounded down, as `int(0.9 * n)` does.
        let ends: Vec<(Arc<str>, u64)> = shares
            .iter()
            .enumerate()
            .map(|(at, share)| {
                let last = at + 1 == shares.len();
                (share.name.clone(), if last { total } else { (share.end * total as f64 + 1e-6).floor() as u64 })
            })
            .collect();
        let mut start = 0u64;
        Ok(Box::new(spool.read()?.flat_map(move |entry| match entry {
            Ok((_, record)) => {
                let length = record.text.chars().count() as u64;
                let pieces = pieces(record, start, length, &ends);
                start += length;
                pieces
            }
            Err(error) => vec![Err(error)],
        })))
    })
}

/// A document that spans the characters `start..start + length`, cut at the ends of the splits.
fn pieces(record: Record, start: u64, length: u64, ends: &[(Arc<str>, u64)]) -> Vec<Result<Record, DataError>> {
    let mut pieces = Vec::new();
    let whole = record.prompt.is_some() || record.pair.is_some();
    let (mut at, mut rest) = (start, record.text.as_str());
    for (index, (name, end)) in ends.iter().enumerate() {
        let last = index + 1 == ends.len();
        if !last && *end <= at {
            continue;
        }
        let wanted = if last || whole { usize::MAX } else { (*end - at) as usize };
        let bytes = rest.char_indices().nth(wanted).map_or(rest.len(), |(i, _)| i);
        let (piece, after) = rest.split_at(bytes);
        let mut part = record.clone();
        part.split = Some(name.clone());
        if !whole {
            piece.clone_into(&mut part.text);
        }
        pieces.push(Ok(part));
        at = (*end).min(start + length);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn divided(by: SplitBy, texts: &[String], parts: &[(&str, f64)]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let input: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(i, text)| Ok(Record::document(text.clone(), String::new(), i as u64)))
            .collect();
        let parts = parts.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect();
        let nothing = crate::plan::spec::Dataset::Text(crate::plan::spec::Text {
            files: String::new(),
            license: None,
            document: crate::plan::spec::TextUnit::File,
        });
        let spec = Split { input: Box::new(nothing), parts, by };
        split(&spec, Box::new(input.into_iter()), 1, folder.path().into())
            .unwrap()
            .map(|r| r.map(|r| (r.split.unwrap().to_string(), r.text)).unwrap())
            .collect()
    }

    #[test]
    fn by_hash_neither_order_nor_growth_moves_a_document() {
        let texts: Vec<String> = (0..4000).map(|i| format!("document {i}")).collect();
        let parts = [("train", 0.9), ("test", 0.05), ("valid", 0.05)];
        let all: BTreeMap<String, String> =
            divided(SplitBy::Hash, &texts, &parts).into_iter().map(|(s, t)| (t, s)).collect();
        let mut fewer = texts[..1000].to_vec();
        fewer.reverse();
        for (split, text) in divided(SplitBy::Hash, &fewer, &parts) {
            assert_eq!(all[&text], split);
        }
        let train = all.values().filter(|s| *s == "train").count();
        assert!((3500..3700).contains(&train), "{train}");
    }

    #[test]
    fn by_order_the_first_share_comes_first() {
        let texts: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        let splits: Vec<String> =
            divided(SplitBy::Order, &texts, &[("test", 0.2), ("train", 0.8)]).into_iter().map(|(s, _)| s).collect();
        assert_eq!(splits.iter().filter(|s| *s == "train").count(), 8);
        assert!(splits[..8].iter().all(|s| s == "train"));
    }

    #[test]
    fn by_position_one_text_is_cut_between_characters() {
        let own = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let parts = [("train", 0.9), ("valid", 0.1)];
        assert_eq!(
            divided(SplitBy::Position, &["éabcdefghié".into()], &parts),
            own(&[("train", "éabcdefgh"), ("valid", "ié")])
        );
        assert_eq!(
            divided(
                SplitBy::Position,
                &["abcd".into(), "efghijkl".into(), "mnop".into()],
                &[("train", 0.5), ("valid", 0.5)]
            ),
            own(&[("train", "abcd"), ("train", "efgh"), ("valid", "ijkl"), ("valid", "mnop")])
        );
    }

    #[test]
    fn shares_must_be_shares() {
        let nothing = || crate::plan::spec::Dataset::Mix(crate::plan::spec::Mix { parts: Vec::new() });
        let error = |parts: &[(&str, f64)]| {
            let parts = parts.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect();
            let spec = Split { input: Box::new(nothing()), parts, by: SplitBy::Hash };
            let result = split(&spec, Box::new(std::iter::empty()), 1, PathBuf::new());
            result.err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert_eq!(
            error(&[("a", 0.5), ("b", 0.4)]),
            "the shares of a split must add up to 100%, and these add up to 90%"
        );
        assert!(error(&[("a", 1.0), ("b", 0.0)]).contains("the share of `b` must be more than 0%"));
        assert_eq!(error(&[("a", 0.1), ("b", 0.2), ("c", 0.7)]), "");
    }
}
