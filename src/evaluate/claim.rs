//! Claims: falsifiable statements, decided by the data or left undecided.
//!
//! Each comparison in a claim becomes an interval of the difference of its sides. With one run the interval is that of a
//! paired bootstrap over items (Efron & Tibshirani 1993; Koehn 2004): figures over the same items are computed on the
//! same draws. With several runs (seeds) it is Student's t over the runs' differences, widened by the bootstrap's
//! standard error, since all the runs share one sample of items. Several comparisons in one claim share its error
//! equally (Bonferroni), and `and`, `or` and `not` follow three-valued logic.

use super::expect::brief;
use super::{Measurements, Resamples, percentile, source, t_quantile};
use crate::plan::spec::Claim;
use crate::types::core::{Constant, Core, CoreError, Leaves, Op};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the data say of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Supported,
    Refuted,
    /// The data do not decide; this is not "true".
    Undecided,
}

/// A claim and its verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClaimResult {
    pub name: String,
    /// As written.
    pub text: String,
    pub confidence: f64,
    pub verdict: Verdict,
    pub comparisons: Vec<Comparison>,
}

/// One comparison of a claim.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub text: String,
    /// The sides' values, averaged over runs; absent where not measured.
    pub left: Option<f64>,
    pub right: Option<f64>,
    /// Left less right, with its interval at the claim's confidence.
    pub difference: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Items behind the smallest of the figures that have items.
    pub items: Option<u64>,
    pub runs: u64,
    pub method: String,
    pub verdict: Verdict,
    /// Why it is undecided, where the interval does not say it.
    pub reason: Option<String>,
}

/// Decides a claim by what one or several runs (seeds) of the experiment measured.
pub fn claim(claim: &Claim, runs: &[Measurements], seed: u64) -> ClaimResult {
    let statement = &claim.statement.0;
    let mut count = 0;
    each(statement, &mut |_, _, _| {
        count += 1;
        Verdict::Undecided
    });
    // Between one half and just under one, so that the interval exists whatever the plan says.
    let error = (1.0 - claim.confidence).clamp(1e-6, 0.5) / f64::from(count.max(1));
    let mut comparisons = Vec::new();
    let verdict = each(statement, &mut |op, left, right| {
        let comparison = compare(op, left, right, runs, error, seed);
        let verdict = comparison.verdict;
        comparisons.push(comparison);
        verdict
    });
    ClaimResult {
        name: claim.name.clone(),
        text: claim.text.clone(),
        confidence: claim.confidence,
        verdict,
        comparisons,
    }
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Supported => "supported",
            Verdict::Refuted => "refuted",
            Verdict::Undecided => "undecided",
        }
    }

    fn not(self) -> Verdict {
        match self {
            Verdict::Supported => Verdict::Refuted,
            Verdict::Refuted => Verdict::Supported,
            Verdict::Undecided => Verdict::Undecided,
        }
    }

    fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Refuted, _) | (_, Verdict::Refuted) => Verdict::Refuted,
            (Verdict::Supported, Verdict::Supported) => Verdict::Supported,
            _ => Verdict::Undecided,
        }
    }
}

impl ClaimResult {
    /// The verdict with the interval of each difference, a line each.
    pub fn summary(&self) -> String {
        let mut out = format!("{:<10} {}: {}\n", self.verdict.word(), self.name, self.text);
        for c in &self.comparisons {
            if let (Some(d), Some(low), Some(high)) = (c.difference, c.low, c.high) {
                let (d, low, high) = (brief(d), brief(low), brief(high));
                out.push_str(&format!("           difference {d}, interval [{low}, {high}], {}\n", c.method));
            }
            if let Some(reason) = &c.reason {
                out.push_str(&format!("           {}: {reason}\n", c.text));
            }
        }
        out
    }
}

/// Walks the logic of a statement and judges each comparison in it.
fn each(core: &Core, judge: &mut dyn FnMut(Op, &Core, &Core) -> Verdict) -> Verdict {
    match core {
        Core::Const(Constant::Bool(true)) => Verdict::Supported,
        Core::Const(Constant::Bool(false)) => Verdict::Refuted,
        Core::Not(e) => each(e, judge).not(),
        Core::Binary { op: Op::And, left, right } => {
            let (left, right) = (each(left, judge), each(right, judge));
            left.and(right)
        }
        Core::Binary { op: Op::Or, left, right } => {
            let (left, right) = (each(left, judge), each(right, judge));
            left.not().and(right.not()).not()
        }
        Core::Binary { op, left, right } => judge(*op, left, right),
        Core::Within { value, low, high, inclusive } => {
            let below = judge(Op::GreaterEqual, value, low);
            below.and(judge(if *inclusive { Op::LessEqual } else { Op::Less }, value, high))
        }
        other => judge(Op::Equal, other, &Core::Const(Constant::Bool(true))),
    }
}

fn compare(op: Op, left: &Core, right: &Core, runs: &[Measurements], error: f64, seed: u64) -> Comparison {
    let mut result = Comparison {
        text: format!("{} {} {}", source(left), op.symbol(), source(right)),
        left: None,
        right: None,
        difference: None,
        low: None,
        high: None,
        items: None,
        runs: runs.len() as u64,
        method: String::new(),
        verdict: Verdict::Undecided,
        reason: None,
    };
    match interval(op, left, right, runs, error, seed, &mut result) {
        Ok((low, high)) => {
            result.verdict = verdict(op, low, high);
            (result.low, result.high) = (Some(low), Some(high));
        }
        Err(reason) => result.reason = Some(reason),
    }
    result
}

fn verdict(op: Op, low: f64, high: f64) -> Verdict {
    let (supported, refuted) = match op {
        Op::Greater => (low > 0.0, high < 0.0),
        Op::GreaterEqual => (low >= 0.0, high < 0.0),
        Op::Less => (high < 0.0, low > 0.0),
        _ => (high <= 0.0, low > 0.0),
    };
    match (supported, refuted) {
        (true, _) => Verdict::Supported,
        (_, true) => Verdict::Refuted,
        _ => Verdict::Undecided,
    }
}

/// The interval of `left − right`, or why there is none.
fn interval(
    op: Op,
    left: &Core,
    right: &Core,
    runs: &[Measurements],
    error: f64,
    seed: u64,
    result: &mut Comparison,
) -> Result<(f64, f64), String> {
    if !matches!(op, Op::Greater | Op::GreaterEqual | Op::Less | Op::LessEqual) {
        return Err("data can support that one figure is above or below another, not that they are equal".into());
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let over = |core: &Core| -> Result<Vec<f64>, String> {
        runs.iter().map(|m| core.eval(m).and_then(|v| v.number()).map_err(|e| e.to_string())).collect()
    };
    let (lefts, rights) = (over(left)?, over(right)?);
    if runs.is_empty() {
        return Err("there is no run to judge by".into());
    }
    let differences: Vec<f64> = lefts.iter().zip(&rights).map(|(l, r)| l - r).collect();
    let difference = mean(&differences);
    (result.left, result.right, result.difference) = (Some(mean(&lefts)), Some(mean(&rights)), Some(difference));
    let drawn = bootstrap(left, right, runs, error, seed, result)?;
    if runs.len() < 2 {
        let Some(drawn) = drawn else {
            return Err("its figures have no items to draw from and there is one run; run several seeds".into());
        };
        result.method = format!("paired bootstrap over items, {} draws", drawn.len());
        return percentile(drawn, 1.0 - error).ok_or_else(|| "some draws have no value".into());
    }
    let n = runs.len() as f64;
    let spread = differences.iter().map(|d| (d - difference).powi(2)).sum::<f64>() / (n - 1.0) / n;
    let from_items = drawn.map_or(0.0, |d| {
        let centre = mean(&d);
        d.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / (d.len() as f64 - 1.0)
    });
    let half = t_quantile(1.0 - error / 2.0, n - 1.0) * (spread + from_items).sqrt();
    if !half.is_finite() {
        return Err("the runs' differences are not all finite".into());
    }
    result.method = format!("t over {} runs, with the sampling of items", runs.len());
    Ok((difference - half, difference + half))
}

/// The difference, averaged over runs, for each draw of the items; none when no figure has items.
fn bootstrap(
    left: &Core,
    right: &Core,
    runs: &[Measurements],
    error: f64,
    seed: u64,
    result: &mut Comparison,
) -> Result<Option<Vec<f64>>, String> {
    // Tail percentiles need some twenty draws beyond them to be steady.
    let count = ((40.0 / error).ceil() as usize).clamp(1_000, 20_000);
    let mut sets: BTreeMap<&str, Resamples> = BTreeMap::new();
    let mut items = None;
    for run in runs {
        for path in left.measures().into_iter().chain(right.measures()) {
            if let Some((scores, name)) = run.figure(path).ok().and_then(|f| f.scores.as_ref()) {
                let n = scores.parts.len();
                items = Some(items.map_or(n, |least: usize| least.min(n)));
                sets.entry(name).or_insert_with(|| Resamples::of(seed, name, n, count));
            }
        }
    }
    result.items = items.map(|n| n as u64);
    match items {
        None => return Ok(None),
        Some(0 | 1) => return Err("one item is too few to draw from".into()),
        Some(_) => {}
    }
    let mut drawn = Vec::with_capacity(count);
    for _ in 0..count {
        let draw: BTreeMap<&str, Vec<u32>> =
            sets.iter_mut().filter_map(|(name, set)| set.next().map(|items| (*name, items))).collect();
        let mut sum = 0.0;
        for run in runs {
            let leaves = Drawn { run, draw: &draw };
            let side = |core: &Core| core.eval(&leaves).and_then(|v| v.number()).map_err(|e| e.to_string());
            sum += side(left)? - side(right)?;
        }
        drawn.push(sum / runs.len() as f64);
    }
    Ok(Some(drawn))
}

/// A run's figures over drawn items.
struct Drawn<'a> {
    run: &'a Measurements,
    draw: &'a BTreeMap<&'a str, Vec<u32>>,
}

impl Leaves for Drawn<'_> {
    fn measure(&self, path: &[String]) -> Result<Constant, CoreError> {
        let figure = self.run.figure(path)?;
        let value = match &figure.scores {
            Some((scores, name)) => self.draw.get(name.as_str()).map_or(figure.value, |items| scores.value_of(items)),
            None => figure.value,
        };
        Ok(Constant::Float(value))
    }
}
