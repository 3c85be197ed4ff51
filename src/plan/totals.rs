//! Sums over a plan, and over the plans of a sweep.

use super::graph::{Digest, Known, Plan, PlannedStage};
use super::judging::judging;
use super::status::Statuses;
use std::collections::BTreeSet;

/// What a plan costs in all, without what is in the store already.
#[derive(Clone, PartialEq, Debug)]
pub struct Totals {
    /// Stages in the plan, and those of them in the store.
    pub stages: u64,
    pub cached: u64,
    pub tokens: Known<u64>,
    pub steps: Known<u64>,
    pub flops: Known<f64>,
    /// The stage or the judgement that needs most; they run one after another.
    pub memory_bytes: Known<u64>,
    pub disk_bytes: Known<u64>,
    pub seconds: Known<f64>,
}

/// Sums up the stages that will run.
pub fn totals(plan: &Plan, statuses: &Statuses) -> Totals {
    let waiting: Vec<&PlannedStage> = plan.stages.iter().filter(|s| !is_cached(s, statuses)).collect();
    let stages = plan.stages.len() as u64;
    let cached = stages - waiting.len() as u64;
    let Sums { tokens, steps, flops, memory_bytes, disk_bytes, seconds } = sums(&waiting);
    let memory_bytes = memory_bytes.and_then(|trained| judged(plan, statuses).map(|judged| trained.max(judged)));
    Totals { stages, cached, tokens, steps, flops, memory_bytes, disk_bytes, seconds }
}

/// What a sweep costs: what several points have in common is made once.
#[derive(Clone, PartialEq, Debug)]
pub struct Price {
    pub points: u64,
    /// Stages over all points, how many of them differ, and how many of those are in the store.
    pub stages: u64,
    pub distinct_stages: u64,
    pub cached_stages: u64,
    /// Everything else that is made (datasets, tokenizers, evaluations), likewise.
    pub others: u64,
    pub distinct_others: u64,
    /// Over the stages that differ and are not in the store.
    pub tokens: Known<u64>,
    pub flops: Known<f64>,
    pub seconds: Known<f64>,
    pub disk_bytes: Known<u64>,
    /// The stage or the judgement that needs most.
    pub memory_bytes: Known<u64>,
    /// Over all points, as if nothing were shared.
    pub unshared_flops: Known<f64>,
}

/// Prices the points of a sweep, each given by its plan and what the store has of it. A thing without an identity counts
/// as one of a kind.
pub fn price(points: &[(Plan, Statuses)]) -> Price {
    let mut seen: BTreeSet<&Digest> = BTreeSet::new();
    let all: Vec<(&PlannedStage, bool)> = (points.iter())
        .flat_map(|(plan, statuses)| plan.stages.iter().map(move |s| (s, is_cached(s, statuses))))
        .collect();
    let distinct: Vec<(&PlannedStage, bool)> =
        all.iter().copied().filter(|(s, _)| s.hash.value().is_none_or(|hash| seen.insert(hash))).collect();
    let waiting: Vec<&PlannedStage> = distinct.iter().filter(|(_, cached)| !cached).map(|(s, _)| *s).collect();
    let (mut others, mut distinct_others) = (0, 0);
    for node in points.iter().flat_map(|(plan, _)| plan.nodes()).filter(|n| n.kind != "stage") {
        others += 1;
        distinct_others += u64::from(node.hash.value().is_none_or(|hash| seen.insert(hash)));
    }
    let Sums { tokens, flops, memory_bytes, disk_bytes, seconds, .. } = sums(&waiting);
    let memory_bytes = points.iter().fold(memory_bytes, |most, (plan, statuses)| {
        most.and_then(|most| judged(plan, statuses).map(|judged| most.max(judged)))
    });
    Price {
        points: points.len() as u64,
        stages: all.len() as u64,
        distinct_stages: distinct.len() as u64,
        cached_stages: (distinct.len() - waiting.len()) as u64,
        others,
        distinct_others,
        tokens,
        flops,
        seconds,
        disk_bytes,
        memory_bytes,
        unshared_flops: sums(&all.iter().map(|(s, _)| *s).collect::<Vec<_>>()).flops,
    }
}

/// Bytes that the judgements which are still to be made need at most, one at a time.
fn judged(plan: &Plan, statuses: &Statuses) -> Known<u64> {
    let waiting = plan.evals.iter().filter(|e| !statuses.get(&e.name).is_some_and(|s| s.cached));
    let mut most = Known::Value(0);
    for cell in waiting.filter(|eval| eval.unsupported.is_none()).flat_map(|eval| &eval.cells) {
        let Some(stage) = plan.stages.iter().find(|stage| stage.name == cell.stage) else { continue };
        let needs = stage.estimate.parts.clone().map(|parts| judging(&stage.model, &parts));
        most = most.and_then(|most| needs.map(|needs| most.max(needs)));
    }
    most
}

fn is_cached(stage: &PlannedStage, statuses: &Statuses) -> bool {
    statuses.get(&stage.name).is_some_and(|s| s.cached)
}

struct Sums {
    tokens: Known<u64>,
    steps: Known<u64>,
    flops: Known<f64>,
    memory_bytes: Known<u64>,
    disk_bytes: Known<u64>,
    seconds: Known<f64>,
}

fn sums(stages: &[&PlannedStage]) -> Sums {
    Sums {
        tokens: fold(stages, |s| s.estimate.tokens.clone(), 0, u64::saturating_add),
        steps: fold(stages, |s| s.estimate.steps.clone(), 0, u64::saturating_add),
        flops: fold(stages, |s| s.estimate.flops.clone(), 0.0, |a, b| a + b),
        memory_bytes: fold(stages, |s| s.estimate.memory.clone().map(|m| m.total()), 0, u64::max),
        disk_bytes: fold(stages, |s| s.estimate.disk_bytes.clone(), 0, u64::saturating_add),
        seconds: fold(stages, |s| s.estimate.seconds.clone(), 0.0, |a, b| a + b),
    }
}

/// The stages' figures put together, or the first reason, which names its stage.
fn fold<T>(
    stages: &[&PlannedStage],
    figure: impl Fn(&PlannedStage) -> Known<T>,
    start: T,
    join: impl Fn(T, T) -> T,
) -> Known<T> {
    let mut sum = start;
    for stage in stages {
        match figure(stage) {
            Known::Value(value) => sum = join(sum, value),
            Known::Unknown(why) => return Known::Unknown(format!("`{}`: {why}", stage.name)),
        }
    }
    Known::Value(sum)
}
