//! Curves of a run from its events.

use super::event::{Event, Line};
use super::record::Experts;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// What a stage logged, each step once and in order.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Curve {
    pub steps: Vec<StepPoint>,
    pub valid: Vec<ValidPoint>,
}

/// One optimiser step; fields as in [`Event::Step`].
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct StepPoint {
    pub step: u64,
    pub tokens: u64,
    #[serde(with = "super::event::finite")]
    pub loss: f64,
    #[serde(with = "super::event::finite")]
    pub lr: f64,
    #[serde(with = "super::event::finite")]
    pub grad_norm: f64,
    #[serde(with = "super::event::finite")]
    pub tokens_per_second: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_loss: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busiest_expert: Option<f64>,
}

/// One validation.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ValidPoint {
    pub step: u64,
    pub tokens: u64,
    #[serde(with = "super::event::finite")]
    pub loss: f64,
}

impl Curve {
    /// How busy experts were in the end: means over the last tenth of the steps, of a network that has any.
    pub fn experts(&self) -> Option<Experts> {
        let of: Vec<(f64, f64)> = self.steps.iter().filter_map(|p| p.balance_loss.zip(p.busiest_expert)).collect();
        let last = &of[of.len() - of.len().div_ceil(10)..];
        let mean = |pick: fn(&(f64, f64)) -> f64| last.iter().map(pick).sum::<f64>() / last.len() as f64;
        (!last.is_empty()).then(|| Experts { balance_loss: mean(|p| p.0), busiest: mean(|p| p.1) })
    }
}

/// Curves by stage, in the order the stages began. Where a stage went on from a checkpoint, what an earlier process
/// logged after that checkpoint gives way to what was computed again.
pub fn curves(lines: &[Line]) -> IndexMap<String, Curve> {
    let mut all: IndexMap<String, Curve> = IndexMap::new();
    for line in lines {
        match &line.event {
            Event::StageStarted { stage, resumed_from, .. } => {
                let curve = all.entry(stage.clone()).or_default();
                let from = resumed_from.unwrap_or(0);
                curve.steps.retain(|p| p.step <= from);
                curve.valid.retain(|p| p.step <= from);
            }
            Event::Step {
                stage,
                step,
                tokens,
                loss,
                lr,
                grad_norm,
                tokens_per_second,
                balance_loss,
                busiest_expert,
                ..
            } => {
                all.entry(stage.clone()).or_default().steps.push(StepPoint {
                    step: *step,
                    tokens: *tokens,
                    loss: *loss,
                    lr: *lr,
                    grad_norm: *grad_norm,
                    tokens_per_second: *tokens_per_second,
                    balance_loss: *balance_loss,
                    busiest_expert: *busiest_expert,
                });
            }
            Event::Valid { stage, step, tokens, loss, .. } => {
                let point = ValidPoint { step: *step, tokens: *tokens, loss: *loss };
                all.entry(stage.clone()).or_default().valid.push(point);
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: Event) -> Line {
        Line { schema_version: 1, at: String::new(), event }
    }

    fn started(resumed_from: Option<u64>) -> Line {
        let (stage, hash) = ("a".to_owned(), String::new());
        line(Event::StageStarted { stage, hash, parameters: 0, steps: None, tokens: None, resumed_from })
    }

    fn valid(step: u64, loss: f64) -> Line {
        line(Event::Valid { stage: "a".into(), step, tokens: step, loss, best: false })
    }

    #[test]
    fn experts_are_told_of_by_the_end_of_a_stage() {
        let step = |step: u64, experts: Option<(f64, f64)>| StepPoint {
            step,
            tokens: step,
            loss: 1.0,
            lr: 1e-3,
            grad_norm: 1.0,
            tokens_per_second: 1.0,
            balance_loss: experts.map(|e| e.0),
            busiest_expert: experts.map(|e| e.1),
        };
        let of = |experts: fn(u64) -> Option<(f64, f64)>| {
            Curve { steps: (1..=20).map(|i| step(i, experts(i))).collect(), valid: Vec::new() }.experts()
        };
        assert_eq!(of(|_| None), None);
        assert_eq!(of(|i| Some((i as f64, 0.5))), Some(Experts { balance_loss: 19.5, busiest: 0.5 }));
        assert_eq!(Curve::default().experts(), None);
    }

    #[test]
    fn what_was_computed_again_replaces_what_was_lost() {
        let lines = [started(None), valid(10, 3.0), valid(20, 2.0), started(Some(10)), valid(20, 1.5), valid(30, 1.0)];
        let all = curves(&lines);
        let points: Vec<(u64, f64)> = all["a"].valid.iter().map(|p| (p.step, p.loss)).collect();
        assert_eq!(points, [(10, 3.0), (20, 1.5), (30, 1.0)]);
    }
}
