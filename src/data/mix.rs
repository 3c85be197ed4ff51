//! Several streams in given shares.

use super::DataError;
use super::pipeline::Records;
use super::report::Ledger;

/// The parts' records, interleaved so that at every point each part's share of the bytes of text is as near as can be to
/// its weight.
///
/// The mix ends where the part whose turn it is has no more records, so the shares hold to the end and nothing is
/// repeated; documents that the other parts still have are not read. What was taken of each part is in the report.
///
/// # Errors
/// When there is no part or a weight is not positive.
pub(super) fn mix<'a>(parts: Vec<(Records<'a>, f64)>, ledger: Ledger, step: usize) -> Result<Records<'a>, DataError> {
    if parts.is_empty() {
        return Err(DataError::EmptyMix);
    }
    for (_, weight) in &parts {
        if !(weight.is_finite() && *weight > 0.0) {
            return Err(DataError::BadNumber {
                what: "the weight of a part of a mix".into(),
                wanted: "a positive number",
                found: weight.to_string(),
            });
        }
    }
    let mut parts: Vec<Part<'a>> =
        parts.into_iter().map(|(records, weight)| Part { records, weight, bytes: 0 }).collect();
    let mut ended = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        // The part that is furthest behind its share; of equals the first.
        let mut turn = 0;
        for at in 1..parts.len() {
            if parts[at].given() < parts[turn].given() {
                turn = at;
            }
        }
        let part = &mut parts[turn];
        let next = part.records.next();
        match &next {
            Some(Ok(record)) => {
                // An empty document counts as a byte, or a part of such would be taken for ever.
                part.bytes += record.bytes().max(1);
                ledger.detail(step, &format!("part {} documents", turn + 1), 1);
                ledger.detail(step, &format!("part {} bytes", turn + 1), record.bytes());
            }
            _ => ended = true,
        }
        next.map(|r| {
            r.map(|mut record| {
                record.split = None;
                record
            })
        })
    })))
}

struct Part<'a> {
    records: Records<'a>,
    weight: f64,
    bytes: u64,
}

impl Part<'_> {
    fn given(&self) -> f64 {
        self.bytes as f64 / self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Record;

    #[test]
    fn shares_of_bytes_hold_at_every_point() {
        let part = |name: &'static str, length: usize, n: u64| -> Records<'static> {
            Box::new((0..n).map(move |i| Ok(Record::document("x".repeat(length), name.into(), i))))
        };
        let ledger = Ledger::new(None);
        let step = ledger.step("mix");
        let parts = vec![(part("a", 10, 1000), 3.0), (part("b", 40, 1000), 1.0)];
        let (mut a, mut b) = (0f64, 0f64);
        for record in mix(parts, ledger.clone(), step).unwrap() {
            let record = record.unwrap();
            *if record.source == "a" { &mut a } else { &mut b } += record.bytes() as f64;
            assert!((a - 3.0 * b).abs() <= 130.0, "{a} {b}");
        }
        assert_eq!(a, 10_000.0, "the mix ends with its first part");
        assert_eq!(ledger.steps()[0].details["part 1 documents"], 1000);
        assert!(mix(Vec::new(), Ledger::new(None), 0).is_err());
        assert!(mix(vec![(part("a", 1, 1), 0.0)], Ledger::new(None), 0).is_err());
    }
}
