//! What a report shows, as plain data. The run store fills these; nothing here is computed.
//!
//! Every part may be empty: a section without content is left out of the page.

use serde::{Deserialize, Serialize};

/// One run of an experiment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunView {
    pub experiment: String,
    /// The experiment's description, in the author's words.
    pub description: Option<String>,
    pub authors: Vec<String>,
    pub license: Option<String>,
    pub run: String,
    pub plan_hash: String,
    pub status: Status,
    /// As RFC 3339, UTC.
    pub started: Option<String>,
    pub seconds: Option<f64>,
    pub seed: Option<i64>,
    pub device: DeviceView,
    /// Program, libraries and system, with their versions.
    pub versions: Vec<Pair>,
    pub datasets: Vec<DatasetView>,
    pub tokenizers: Vec<TokenizerView>,
    pub stages: Vec<StageView>,
    pub evals: Vec<EvalView>,
    pub expects: Vec<ExpectView>,
    pub claims: Vec<ClaimView>,
    pub sources: Vec<SourceView>,
    pub facts: Vec<FactView>,
    /// The problem that ended the run, if one did.
    pub failure: Option<String>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Running,
    Done,
    /// Done, with an `expect` or a `claim` not met.
    Unmet,
    Failed,
    /// Stopped on request; can be resumed.
    Stopped,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Done => "done",
            Status::Unmet => "done, gates not met",
            Status::Failed => "failed",
            Status::Stopped => "stopped",
        }
    }
}

/// A name and a value.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pair {
    pub name: String,
    pub value: String,
}

/// What the run computed on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceView {
    /// `vulkan`, `cpu` …
    pub backend: String,
    pub adapter: String,
    pub driver: String,
    pub dtype: String,
}

/// A dataset and what its cleaning removed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetView {
    pub name: String,
    pub hash: String,
    pub splits: Vec<SplitView>,
    pub steps: Vec<StepView>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SplitView {
    pub name: String,
    pub documents: u64,
    pub bytes: u64,
    pub tokens: Option<u64>,
}

/// One step of a dataset, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StepView {
    pub step: String,
    pub kept: u64,
    pub removed: u64,
    /// How many were removed for which reason.
    pub reasons: Vec<(String, u64)>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenizerView {
    pub name: String,
    pub kind: String,
    pub vocabulary: u64,
    /// Measured figures: bytes per token, tokens per word …
    pub figures: Vec<Pair>,
    /// A text cut into tokens, for the eye.
    pub example: Vec<String>,
}

/// One stage of training.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StageView {
    pub name: String,
    pub kind: String,
    pub model: String,
    pub hash: String,
    pub cached: bool,
    pub status: Option<String>,
    pub parameters: Option<u64>,
    pub steps: Option<u64>,
    pub tokens: Option<u64>,
    pub supervised_tokens: Option<u64>,
    pub train_loss: Option<f64>,
    pub valid_loss: Option<f64>,
    pub seconds: Option<f64>,
    pub tokens_per_second: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
    pub flops: Option<f64>,
    /// Further facts to print: weights hash, kept checkpoint …
    pub more: Vec<Pair>,
    /// Loss over steps: training and validation.
    pub train: Curve,
    pub valid: Curve,
    pub learning_rate: Curve,
    pub throughput: Curve,
    pub gradient_norm: Curve,
    pub samples: Vec<SampleView>,
}

/// Values over optimiser steps. Points that are not finite are shown as gaps.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Curve {
    pub step: Vec<f64>,
    pub value: Vec<f64>,
}

impl Curve {
    /// A curve of (step, value) points.
    pub fn of(points: impl IntoIterator<Item = (f64, f64)>) -> Curve {
        let (step, value) = points.into_iter().unzip();
        Curve { step, value }
    }

    pub fn is_empty(&self) -> bool {
        self.step.is_empty() || self.value.is_empty()
    }
}

/// A piece of generated text.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleView {
    pub prompt: String,
    pub text: String,
    /// How it was generated: `temperature 0.8, seed 1`.
    pub decoding: String,
}

/// One eval of one stage.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EvalView {
    pub name: String,
    pub stage: String,
    /// What it was judged on.
    pub on: String,
    pub metrics: Vec<MetricView>,
    pub audit: Option<crate::evaluate::Audit>,
    pub items: Vec<ItemView>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricView {
    pub name: String,
    pub value: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub n: u64,
    pub signature: String,
    /// `higher`, `lower` or nothing.
    pub better: String,
}

/// One judged item, as an example.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ItemView {
    pub prompt: String,
    pub response: String,
    pub reference: String,
    pub scores: Vec<(String, f64)>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExpectView {
    pub text: String,
    /// Absent where it could not be decided.
    pub met: Option<bool>,
    pub reason: Option<String>,
    /// Sub-expressions and their values.
    pub values: Vec<Pair>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimView {
    pub name: String,
    pub text: String,
    /// `supported`, `refuted` or `undecided`.
    pub verdict: String,
    pub confidence: f64,
    pub comparisons: Vec<ComparisonView>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparisonView {
    pub text: String,
    pub difference: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub method: String,
    pub reason: Option<String>,
}

/// A file of the experiment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceView {
    pub path: String,
    pub text: String,
}

/// A value that the plan rests on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FactView {
    pub path: String,
    pub value: String,
    pub place: String,
}

/// A sweep: its axes and its points.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepView {
    pub name: String,
    /// What is optimised: `pretrain.valid.loss`.
    pub objective: String,
    /// Whether more is better.
    pub maximize: bool,
    pub axes: Vec<AxisView>,
    pub points: Vec<PointView>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AxisView {
    /// The field it varies: `pretrain.optimizer.lr`.
    pub path: String,
    /// Drawn on a logarithmic scale.
    pub log: bool,
}

/// One point of a sweep.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PointView {
    pub id: String,
    /// One for each axis, in order, as the language writes it; absent where the axis does not apply.
    pub values: Vec<Option<String>>,
    pub status: String,
    pub objective: Option<f64>,
    pub seconds: Option<f64>,
    pub reused: bool,
}

impl From<&crate::evaluate::ExpectResult> for ExpectView {
    fn from(result: &crate::evaluate::ExpectResult) -> ExpectView {
        // The first value is the condition itself, which the text already says.
        let values = result.values.iter().skip(1).map(|shown| {
            let interval = shown.interval.map_or_else(String::new, |(low, high)| {
                format!(" [{}, {}]", super::format::number(low), super::format::number(high))
            });
            Pair { name: shown.expression.clone(), value: format!("{}{interval}", shown.value) }
        });
        ExpectView {
            text: result.text.clone(),
            met: result.met,
            reason: result.reason.clone(),
            values: values.collect(),
        }
    }
}

impl From<&crate::evaluate::ClaimResult> for ClaimView {
    fn from(result: &crate::evaluate::ClaimResult) -> ClaimView {
        let comparisons = result.comparisons.iter().map(|c| ComparisonView {
            text: c.text.clone(),
            difference: c.difference,
            low: c.low,
            high: c.high,
            method: c.method.clone(),
            reason: c.reason.clone(),
        });
        ClaimView {
            name: result.name.clone(),
            text: result.text.clone(),
            verdict: result.verdict.word().to_owned(),
            confidence: result.confidence,
            comparisons: comparisons.collect(),
        }
    }
}

impl EvalView {
    /// The view of a result; `better` tells for a metric's name whether more or less is better.
    pub fn of(
        name: &str,
        stage: &str,
        on: &str,
        result: &crate::evaluate::EvalResult,
        better: impl Fn(&str) -> String,
    ) -> EvalView {
        use crate::evaluate::Item;
        let metrics = result.metrics.iter().chain(&result.also).map(|(metric, e)| MetricView {
            name: metric.clone(),
            value: e.value,
            low: e.low,
            high: e.high,
            n: e.n,
            signature: e.signature.clone(),
            better: better(metric),
        });
        let items = result.rows.iter().map(|row| {
            let (prompt, reference) = match &row.item {
                Item::Document { text } => (text.clone(), String::new()),
                Item::Sample { prompt, response } => (prompt.clone(), response.clone()),
                Item::Pair { first, second, .. } => (first.clone(), second.clone()),
            };
            ItemView {
                prompt,
                response: row.response.clone().unwrap_or_default(),
                reference,
                scores: row.scores.iter().map(|(k, v)| (k.clone(), *v)).collect(),
            }
        });
        EvalView {
            name: name.to_owned(),
            stage: stage.to_owned(),
            on: on.to_owned(),
            metrics: metrics.collect(),
            audit: result.audit.clone(),
            items: items.collect(),
        }
    }
}
