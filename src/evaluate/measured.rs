//! What a run has measured, as the leaves of conditions.

use super::{EvalResult, Scores};
use crate::types::core::{Constant, CoreError, Leaves};
use std::collections::BTreeMap;

/// Everything that one run (one seed) has measured, by path.
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    figures: BTreeMap<String, Figure>,
    /// Stages that each eval judged.
    stages: BTreeMap<String, Vec<String>>,
}

/// One figure.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub value: f64,
    pub interval: Option<(f64, f64)>,
    pub n: Option<u64>,
    /// Its items' scores, and the identity of the items.
    pub scores: Option<(Scores, String)>,
}

impl Measurements {
    pub fn new() -> Measurements {
        Measurements::default()
    }

    /// Notes a plain figure, such as `pretrain.valid.loss`.
    pub fn value(&mut self, path: &str, value: f64) {
        self.figures.insert(path.to_owned(), Figure { value, interval: None, n: None, scores: None });
    }

    /// Notes what an eval found for a stage: `EVAL.STAGE.METRIC`, and `EVAL.METRIC` while it judges one stage only.
    pub fn eval(&mut self, eval: &str, stage: &str, result: &EvalResult) {
        let stages = self.stages.entry(eval.to_owned()).or_default();
        if !stages.iter().any(|s| s == stage) {
            stages.push(stage.to_owned());
        }
        for (metric, estimate) in &result.metrics {
            let figure = Figure {
                value: estimate.value,
                interval: estimate.low.zip(estimate.high),
                n: Some(estimate.n),
                scores: result.scores.get(metric).map(|s| (s.clone(), result.items.clone())),
            };
            self.figures.insert(format!("{eval}.{stage}.{metric}"), figure);
        }
    }

    /// The figure at `path`.
    ///
    /// # Errors
    /// When there is none; the text says what there is instead, if anything is close.
    pub(super) fn figure(&self, path: &[String]) -> Result<&Figure, CoreError> {
        let joined = path.join(".");
        if let Some(figure) = self.figures.get(&joined) {
            return Ok(figure);
        }
        if let [eval, metric] = path
            && let Some(stages) = self.stages.get(eval)
        {
            return match stages.as_slice() {
                [stage] => self.figures.get(&format!("{eval}.{stage}.{metric}")).ok_or(CoreError::Unknown(joined)),
                _ => Err(CoreError::Type(
                    joined,
                    format!("`{eval}` judged {} stages, so the path must name one of them", stages.len()),
                )),
            };
        }
        Err(CoreError::Unknown(joined))
    }
}

impl Leaves for Measurements {
    fn measure(&self, path: &[String]) -> Result<Constant, CoreError> {
        self.figure(path).map(|figure| Constant::Float(figure.value))
    }
}
