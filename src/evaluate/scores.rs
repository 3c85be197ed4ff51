//! Per-item scores, the figure they add up to, and its interval.

use super::interval::{self, Resamples};
use serde::{Deserialize, Serialize};

/// How many times items are drawn again for an interval.
pub const RESAMPLES: usize = 1_000;

/// What one item adds to a figure: a share of a sum, and of what the sum is divided by.
///
/// A mean over items has a denominator of 1 each; perplexity has nats over tokens; bits per byte has bits over bytes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Part {
    pub numerator: f64,
    pub denominator: f64,
}

/// How the sums become the figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Σ numerator / Σ denominator.
    Ratio,
    /// exp of the ratio.
    ExpRatio,
    /// Distance of the ratio from one half.
    GapFromHalf,
}

/// The items' scores under one metric.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scores {
    pub aggregate: Aggregate,
    /// One for each item, in order of the items.
    pub parts: Vec<Part>,
    /// Which variant of the metric this is, in full.
    pub signature: String,
}

/// A measured figure.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    /// Bounds of the 95 % interval; absent with fewer than two items.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Items judged.
    pub n: u64,
    /// Which variant of the metric this is, in full: `rouge_l|f|stem:no|refs:1|bootstrap:1000`.
    pub signature: String,
}

impl Aggregate {
    /// The figure for given sums; a zero denominator gives "not a number".
    pub fn of(self, numerator: f64, denominator: f64) -> f64 {
        let ratio = numerator / denominator;
        match self {
            Aggregate::Ratio => ratio,
            Aggregate::ExpRatio => ratio.exp(),
            Aggregate::GapFromHalf => (ratio - 0.5).abs(),
        }
    }
}

impl Part {
    /// An item of a plain mean.
    pub fn mean(score: f64) -> Part {
        Part { numerator: score, denominator: 1.0 }
    }
}

impl Scores {
    /// The figure over all items.
    pub fn value(&self) -> f64 {
        let (n, d) = self.parts.iter().fold((0.0, 0.0), |(n, d), p| (n + p.numerator, d + p.denominator));
        self.aggregate.of(n, d)
    }

    /// The figure over the items named, with repetition.
    pub fn value_of(&self, items: &[u32]) -> f64 {
        let (mut numerator, mut denominator) = (0.0, 0.0);
        for part in items.iter().filter_map(|i| self.parts.get(*i as usize)) {
            numerator += part.numerator;
            denominator += part.denominator;
        }
        self.aggregate.of(numerator, denominator)
    }

    /// The score of one item on its own, as item-level files show it.
    pub fn item(&self, index: usize) -> Option<f64> {
        let part = self.parts.get(index)?;
        let aggregate = if self.aggregate == Aggregate::GapFromHalf { Aggregate::Ratio } else { self.aggregate };
        Some(aggregate.of(part.numerator, part.denominator)).filter(|x| x.is_finite())
    }

    /// The figure with its 95 % interval: Wilson's for a distance from one half, which a bootstrap would push away from
    /// zero; percentiles of a bootstrap over items for all others (Efron & Tibshirani 1993).
    pub fn estimate(&self, seed: u64) -> Estimate {
        let n = self.parts.len();
        let value = self.value();
        let (bounds, method) = if self.aggregate == Aggregate::GapFromHalf {
            let share = self.parts.iter().map(|p| p.numerator).sum::<f64>() / n.max(1) as f64;
            let (low, high) = interval::wilson(share, n as f64, 0.95);
            let gap_low = (low - 0.5).max(0.5 - high).max(0.0);
            (Some((gap_low, (high - 0.5).max(0.5 - low))), "wilson".to_owned())
        } else {
            let values: Vec<f64> = Resamples::new(seed, n, RESAMPLES).map(|items| self.value_of(&items)).collect();
            (interval::percentile(values, 0.95), format!("bootstrap:{RESAMPLES}"))
        };
        let bounds = bounds.filter(|_| n > 1);
        Estimate {
            value,
            low: bounds.map(|b| b.0),
            high: bounds.map(|b| b.1),
            n: n as u64,
            signature: format!("{}|{method}", self.signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Aggregate, Part, Scores};

    fn scores(aggregate: Aggregate, parts: &[(f64, f64)]) -> Scores {
        let parts =
            parts.iter().map(|(numerator, denominator)| Part { numerator: *numerator, denominator: *denominator });
        Scores { aggregate, parts: parts.collect(), signature: "test".into() }
    }

    #[test]
    fn a_corpus_ratio_weighs_items_by_their_size() {
        let s = scores(Aggregate::Ratio, &[(1.0, 1.0), (6.0, 3.0)]);
        assert_eq!(s.value(), 1.75);
        assert_eq!(s.value_of(&[1, 1]), 2.0);
        assert_eq!(scores(Aggregate::ExpRatio, &[(0.0, 5.0)]).value(), 1.0);
    }

    #[test]
    fn the_interval_holds_the_value_and_is_the_same_every_time() {
        let parts: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i % 7), 1.0)).collect();
        let e = scores(Aggregate::Ratio, &parts).estimate(3);
        assert!(e.low.is_some_and(|low| low < e.value) && e.high.is_some_and(|high| high > e.value));
        assert_eq!(e, scores(Aggregate::Ratio, &parts).estimate(3));
        // The standard error is 2 / sqrt(200) = 0.14, so that the interval is about 0.55 wide.
        let width = e.high.unwrap_or(0.0) - e.low.unwrap_or(0.0);
        assert!((0.45..0.65).contains(&width), "{width}");
    }

    #[test]
    fn a_gap_near_zero_has_zero_in_its_interval() {
        let parts: Vec<(f64, f64)> = (0..40).map(|i| (f64::from(i % 2), 1.0)).collect();
        let e = scores(Aggregate::GapFromHalf, &parts).estimate(1);
        assert_eq!((e.value, e.low), (0.0, Some(0.0)));
        assert!(e.high.is_some_and(|h| (0.14..0.16).contains(&h)));
        let all = scores(Aggregate::GapFromHalf, &[(1.0, 1.0); 40]).estimate(1);
        assert_eq!(all.value, 0.5);
        assert!(all.low.is_some_and(|l| l > 0.4));
    }

    #[test]
    fn one_item_has_no_interval() {
        let e = scores(Aggregate::Ratio, &[(1.0, 1.0)]).estimate(0);
        assert_eq!((e.value, e.low, e.high, e.n), (1.0, None, None, 1));
    }
}
