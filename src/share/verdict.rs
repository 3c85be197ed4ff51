//! How closely a re-run repeats a run.

use crate::store::{Curve, Record};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// How much of a run was repeated, least first.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "level")]
pub enum Level {
    /// Not even the plan is the same, so nothing can be compared.
    Different,
    /// The same was asked for, and something else came out.
    SamePlan,
    /// Every stage saw the same samples in the same order, but losses differ by more than the tolerance.
    SameDataOrder,
    /// Every logged loss agrees within the tolerance; the largest relative difference is given.
    SameLosses { max_rel: f64 },
    /// The weights are the same, bit for bit.
    Bitwise,
}

/// The judgement, with its reasons.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    pub schema_version: u32,
    #[serde(flatten)]
    pub level: Level,
    /// Largest relative difference of losses that still counts as the same.
    pub tolerance: f64,
    /// What was compared, and where it differs, a sentence each.
    pub details: Vec<String>,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub record: &'a Record,
    pub curves: &'a IndexMap<String, Curve>,
}

/// Compares a re-run with the original.
pub fn verdict(original: Evidence<'_>, rerun: Evidence<'_>, tolerance: f64) -> Verdict {
    let mut details = Vec::new();
    let level = judge(original, rerun, tolerance, &mut details);
    if original.record.device != rerun.record.device {
        details.push(format!("the original ran on {}, the re-run on {}", original.record.device, rerun.record.device));
    }
    Verdict { schema_version: 1, level, tolerance, details }
}

fn judge(original: Evidence<'_>, rerun: Evidence<'_>, tolerance: f64, details: &mut Vec<String>) -> Level {
    let (a, b) = (original.record, rerun.record);
    if a.plan_hash != b.plan_hash {
        details.push("the plans differ".to_owned());
        return Level::Different;
    }
    if !same_order(a, b, details) {
        return Level::SamePlan;
    }
    let (mut bitwise, mut largest, mut complete) = (true, 0.0_f64, true);
    for (name, stage) in &a.stages {
        let Some(other) = b.stages.get(name) else { continue };
        bitwise &= stage.weights_hash == other.weights_hash && !stage.weights_hash.is_empty();
        let empty = Curve::default();
        let curves = (original.curves.get(name).unwrap_or(&empty), rerun.curves.get(name).unwrap_or(&empty));
        let compared = compare(name, curves, details);
        complete &= compared.complete;
        let mut rel = compared.largest;
        for (x, y) in [(Some(stage.loss.train), Some(other.loss.train)), (stage.loss.valid, other.loss.valid)] {
            match (x, y) {
                (Some(x), Some(y)) => rel = rel.max(relative(x, y)),
                (None, None) => {}
                _ => complete = false,
            }
        }
        details.push(format!(
            "{name}: {} logged losses compared, largest relative difference {rel:.2e}; weights {}",
            compared.count,
            if stage.weights_hash == other.weights_hash { "identical" } else { "differ" }
        ));
        largest = largest.max(rel);
    }
    for ((name, x), (_, y)) in a.figures().iter().zip(&b.figures()).filter(|((n, _), (m, _))| n == m) {
        if x.value.to_bits() != y.value.to_bits() {
            details.push(format!("{name}: {} in the original, {} in the re-run", x.value, y.value));
        }
    }
    match (bitwise, complete && largest <= tolerance) {
        (true, _) => Level::Bitwise,
        (false, true) => Level::SameLosses { max_rel: largest },
        (false, false) => Level::SameDataOrder,
    }
}

/// Whether both have the same stages, and each trained on the same samples in the same order.
fn same_order(a: &Record, b: &Record, details: &mut Vec<String>) -> bool {
    let mut same = true;
    for (name, stage) in &a.stages {
        let told = match b.stages.get(name) {
            None => Some("was not trained in the re-run"),
            // A published network has seen no data here.
            Some(other) if stage.tokens == 0 && other.tokens == 0 => None,
            Some(other) if stage.data_order.is_none() || other.data_order.is_none() => {
                Some("has no record of the order of its data")
            }
            Some(other) if stage.data_order != other.data_order => Some("saw other samples, or in another order"),
            Some(_) => None,
        };
        if let Some(told) = told {
            details.push(format!("{name}: {told}"));
            same = false;
        }
    }
    same
}

struct Compared {
    count: usize,
    largest: f64,
    complete: bool,
}

/// Compares two curves step by step.
fn compare(name: &str, (a, b): (&Curve, &Curve), details: &mut Vec<String>) -> Compared {
    let points = |c: &Curve| -> Vec<(&'static str, u64, f64)> {
        let steps = c.steps.iter().map(|p| ("step", p.step, p.loss));
        steps.chain(c.valid.iter().map(|p| ("validation at step", p.step, p.loss))).collect()
    };
    let (a, b) = (points(a), points(b));
    let mut compared = Compared { count: 0, largest: 0.0, complete: a.len() == b.len() };
    if !compared.complete {
        details.push(format!("{name}: {} losses were logged in the original, {} in the re-run", a.len(), b.len()));
    }
    let mut first = true;
    for ((kind, step, x), (other_kind, other_step, y)) in a.iter().zip(&b) {
        if (kind, step) != (other_kind, other_step) {
            details.push(format!("{name}: the losses were logged at other steps from step {step} on"));
            compared.complete = false;
            break;
        }
        let rel = relative(*x, *y);
        if rel > 0.0 && first {
            details.push(format!("{name}: the losses first differ at {kind} {step}: {x} and {y}"));
            first = false;
        }
        compared.count += 1;
        compared.largest = compared.largest.max(rel);
    }
    compared
}

/// `|x − y| / max(|x|, |y|)`; 0 for equal values, two NaNs included, and infinite when only one is finite.
fn relative(x: f64, y: f64) -> f64 {
    if x == y || (x.is_nan() && y.is_nan()) {
        return 0.0;
    }
    let difference = (x - y).abs() / x.abs().max(y.abs());
    if difference.is_finite() { difference } else { f64::INFINITY }
}

impl Verdict {
    /// Whether the results are the same, exactly or within the tolerance.
    pub fn is_reproduced(&self) -> bool {
        matches!(self.level, Level::SameLosses { .. } | Level::Bitwise)
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Level::Different => f.write_str("different: this is not the same plan"),
            Level::SamePlan => f.write_str("same plan, but other data or another order of it"),
            Level::SameDataOrder => f.write_str("same plan and data order, but other losses"),
            Level::SameLosses { max_rel } => {
                write!(f, "same losses (largest relative difference {max_rel:.2e}), but not the same bits")
            }
            Level::Bitwise => f.write_str("identical, bit for bit"),
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.level)?;
        for detail in &self.details {
            writeln!(f, "  {detail}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::run_tests::record;
    use crate::store::{Device, ValidPoint};

    fn curve(losses: &[f64]) -> IndexMap<String, Curve> {
        let valid = (1..).zip(losses).map(|(step, loss)| ValidPoint { step, tokens: step, loss: *loss }).collect();
        IndexMap::from([("pretrain".to_owned(), Curve { steps: Vec::new(), valid })])
    }

    fn judged(change: impl FnOnce(&mut Record), losses: &[f64]) -> Verdict {
        let original = record("a", 2.0);
        let mut rerun = record("b", 2.0);
        rerun.stages[0].weights_hash = "other".into();
        change(&mut rerun);
        let (x, y) = (curve(&[3.0, 2.0]), curve(losses));
        let verdict =
            verdict(Evidence { record: &original, curves: &x }, Evidence { record: &rerun, curves: &y }, 1e-3);
        assert_eq!(serde_json::from_str::<Verdict>(&serde_json::to_string(&verdict).unwrap()).unwrap(), verdict);
        verdict
    }

    #[test]
    fn each_level_is_reached_by_what_it_names() {
        let same = "ef".repeat(32);
        assert_eq!(judged(|r| r.plan_hash = "x".into(), &[3.0, 2.0]).level, Level::Different);
        assert_eq!(judged(|r| r.stages[0].data_order = Some("x".into()), &[3.0, 2.0]).level, Level::SamePlan);
        assert_eq!(judged(|r| r.stages[0].data_order = None, &[3.0, 2.0]).level, Level::SamePlan);
        assert_eq!(judged(|_| {}, &[3.0, 2.1]).level, Level::SameDataOrder);
        assert_eq!(judged(|_| {}, &[3.0, f64::NAN]).level, Level::SameDataOrder);
        assert_eq!(judged(|_| {}, &[3.0]).level, Level::SameDataOrder, "a curve that stops short is not the same");
        assert_eq!(judged(|_| {}, &[3.0, 2.0]).level, Level::SameLosses { max_rel: 0.0 });
        assert_eq!(judged(|r| r.stages[0].weights_hash = same, &[3.0, 2.0]).level, Level::Bitwise);
        let Level::SameLosses { max_rel } = judged(|_| {}, &[3.0, 2.001]).level else { panic!() };
        assert!((max_rel - 0.001 / 2.001).abs() < 1e-12);
    }

    #[test]
    fn the_reasons_name_the_place_of_the_first_difference() {
        let verdict = judged(|r| r.device = Device { name: "vulkan:0".into(), ..Device::default() }, &[3.0, 2.1]);
        let text = verdict.to_string();
        assert!(!verdict.is_reproduced());
        assert!(text.contains("first differ at validation at step 2: 2 and 2.1"), "{text}");
        assert!(text.contains("the re-run on vulkan:0"), "{text}");
    }
}
