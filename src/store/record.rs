//! The record of a run, as `exp run` and `exp runs show` print it and `record.json` keeps it.

use super::environment::{Device, Reproducible};
use super::event::finite;
use crate::plan::spec::Precision;
use crate::types::core::{Constant, CoreError, Leaves};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Version of [`Record`].
pub const RECORD_SCHEMA: u32 = 1;

/// Everything a run found out, without its curves.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    pub schema_version: u32,
    pub run: String,
    pub experiment: String,
    pub plan_hash: String,
    pub device: Device,
    /// Absent in records that earlier versions wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproducible: Option<Reproducible>,
    pub status: Status,
    /// In the plan's order.
    pub stages: IndexMap<String, StageResult>,
    /// By evaluation, then by the stage judged.
    pub evals: IndexMap<String, IndexMap<String, EvalResults>>,
    pub expects: Vec<ExpectResult>,
    pub claims: Vec<ClaimResult>,
}

/// What became of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Running,
    Done,
    /// On request or by a kill; the next `exp run` goes on from it.
    Stopped,
    Failed,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Done => "done",
            Status::Stopped => "stopped",
            Status::Failed => "failed",
        }
    }
}

/// What a stage found out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StageResult {
    pub hash: String,
    pub cached: bool,
    pub loss: Loss,
    pub tokens: u64,
    /// Those that carried loss.
    pub supervised_tokens: u64,
    /// Of training, without what was cached.
    #[serde(with = "finite")]
    pub seconds: f64,
    #[serde(with = "finite")]
    pub tokens_per_second: f64,
    /// Absent where the device does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// blake3 over the weights that the stage keeps.
    pub weights_hash: String,
    /// blake3 over the ids of the samples in the order they were trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_order: Option<String>,
    /// What the reader should know of the result, such as samples that were cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How its training began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// What went into its matrix products. Absent where nothing was trained; stages of earlier versions had f32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Of `mixed_f16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Of a network with experts; stages of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
}

/// How busy experts were at the end of a stage: means over the last tenth of its steps.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Experts {
    /// What was learnt from their balance, times its coefficient.
    #[serde(with = "finite")]
    pub balance_loss: f64,
    /// The share that the busiest expert had of the tokens of its block.
    #[serde(with = "finite")]
    pub busiest: f64,
}

/// How the loss was scaled, so that gradients in f16 did not vanish.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scaling {
    /// What the loss was multiplied with in the end.
    #[serde(with = "finite")]
    pub loss_scale: f64,
    /// Steps that changed nothing because their gradients overflowed, after which the scale was halved.
    pub left_out: u64,
}

/// How training began, in the process that finished it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Seconds from the beginning of the training until the first loss was known, with making or reading the weights.
    pub first_step_seconds: f64,
    /// How much longer the first step took than the second: what compiling kernels costs. Absent on the CPU, which compiles
    /// none, and where there was no second step.
    pub compile_seconds: Option<f64>,
    /// Whether the first gradient, computed twice, had the same bits. Absent on the CPU, where tests prove it.
    pub repeats: Option<bool>,
}

/// Losses at the end of a stage, in nats a token.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Loss {
    #[serde(with = "finite")]
    pub train: f64,
    /// Absent without validation.
    pub valid: Option<f64>,
}

/// Metrics of one stage under one evaluation.
pub type EvalResults = IndexMap<String, Estimate>;

/// A figure with its interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Estimate {
    #[serde(with = "finite")]
    pub value: f64,
    /// Ends of the 95 % interval; absent where there is none.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Items measured.
    pub n: u64,
}

/// A quality gate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExpectResult {
    /// As written.
    pub text: String,
    /// Absent when something it speaks of was not measured.
    pub met: Option<bool>,
    /// The values it was decided on.
    pub detail: String,
}

/// A tested statement.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClaimResult {
    pub name: String,
    /// As written.
    pub text: String,
    pub confidence: f64,
    pub verdict: Verdict,
    /// The difference tested, with its interval at that confidence.
    pub difference: Option<Estimate>,
    pub detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Supported,
    Refuted,
    Undecided,
}

impl Record {
    /// The record of a run that has just begun.
    pub fn begin(run: &str, experiment: &str, plan_hash: &str, device: Device) -> Record {
        Record {
            schema_version: RECORD_SCHEMA,
            run: run.to_owned(),
            experiment: experiment.to_owned(),
            plan_hash: plan_hash.to_owned(),
            device,
            reproducible: None,
            status: Status::Running,
            stages: IndexMap::new(),
            evals: IndexMap::new(),
            expects: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// A measured value by its path, as `expect`, `minimize` and `until` write it: `pretrain.valid.loss`,
    /// `pretrain.tokens_per_second`, `fluency.pretrain.perplexity`, or `fluency.perplexity` where one stage is judged.
    pub fn measure<S: AsRef<str>>(&self, path: &[S]) -> Option<f64> {
        let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        match path.as_slice() {
            [stage, which, "loss"] | [stage, "loss", which] if self.stages.contains_key(*stage) => {
                let loss = self.stages.get(*stage)?.loss;
                match *which {
                    "train" => Some(loss.train).filter(|loss| loss.is_finite()),
                    "valid" => loss.valid,
                    _ => None,
                }
            }
            [eval, stage, metric] => Some(self.evals.get(*eval)?.get(*stage)?.get(*metric)?.value),
            [name, what] => match self.stages.get(*name) {
                Some(stage) => stage.figure(what),
                None => {
                    let stages = self.evals.get(*name)?;
                    if stages.len() == 1 { Some(stages.values().next()?.get(*what)?.value) } else { None }
                }
            },
            _ => None,
        }
    }

    /// Every figure with its name, in order: losses of stages, then metrics of evaluations.
    pub fn figures(&self) -> Vec<(String, Estimate)> {
        let bare = |value| Estimate { value, low: None, high: None, n: 0 };
        let mut all = Vec::new();
        for (name, stage) in &self.stages {
            // A published network was not trained.
            if stage.loss.train.is_finite() || stage.tokens > 0 {
                all.push((format!("{name}.train.loss"), bare(stage.loss.train)));
            }
            if let Some(valid) = stage.loss.valid {
                all.push((format!("{name}.valid.loss"), bare(valid)));
            }
        }
        for (eval, stages) in &self.evals {
            for (stage, metrics) in stages {
                for (metric, estimate) in metrics {
                    all.push((format!("{eval}.{stage}.{metric}"), *estimate));
                }
            }
        }
        all
    }

    /// Whether an `expect` is unmet or a `claim` is not supported.
    pub fn misses_a_gate(&self) -> bool {
        self.expects.iter().any(|e| e.met != Some(true)) || self.claims.iter().any(|c| c.verdict != Verdict::Supported)
    }
}

/// Conditions over measurements are computed from the record.
impl Leaves for Record {
    fn measure(&self, path: &[String]) -> Result<Constant, CoreError> {
        Record::measure(self, path).map(Constant::Float).ok_or_else(|| CoreError::Unknown(path.join(".")))
    }
}

impl StageResult {
    fn figure(&self, what: &str) -> Option<f64> {
        Some(match what {
            "loss" => self.loss.train,
            "tokens" => self.tokens as f64,
            "supervised_tokens" => self.supervised_tokens as f64,
            "seconds" => self.seconds,
            "tokens_per_second" => self.tokens_per_second,
            "peak_memory_bytes" => self.peak_memory_bytes? as f64,
            _ => return None,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A finished record with one stage and one evaluation.
    pub(crate) fn example(run: &str, valid: f64) -> Record {
        let mut record =
            Record::begin(run, "storyteller", &"ab".repeat(32), Device { name: "cpu".into(), ..Device::default() });
        record.status = Status::Done;
        record.stages.insert(
            "pretrain".into(),
            StageResult {
                hash: "cd".repeat(32),
                cached: false,
                loss: Loss { train: 2.5, valid: Some(valid) },
                tokens: 16_000,
                supervised_tokens: 16_000,
                seconds: 8.0,
                tokens_per_second: 2_000.0,
                peak_memory_bytes: None,
                weights_hash: "ef".repeat(32),
                warnings: Vec::new(),
                start: None,
                precision: None,
                scaling: None,
                experts: None,
                data_order: Some("01".repeat(32)),
            },
        );
        let perplexity =
            Estimate { value: valid.exp(), low: Some(valid.exp() - 1.0), high: Some(valid.exp() + 1.0), n: 40 };
        let metrics = IndexMap::from([("perplexity".to_owned(), perplexity)]);
        record.evals.insert("fluency".into(), IndexMap::from([("pretrain".to_owned(), metrics)]));
        record
    }

    #[test]
    fn the_json_is_the_published_one() {
        let json = serde_json::to_value(example("r", 2.0)).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "schema_version",
                "run",
                "experiment",
                "plan_hash",
                "device",
                "status",
                "stages",
                "evals",
                "expects",
                "claims"
            ]
        );
        let stage = json["stages"]["pretrain"].as_object().unwrap();
        for key in ["hash", "cached", "loss", "tokens", "supervised_tokens", "seconds", "tokens_per_second"] {
            assert!(stage.contains_key(key), "{key}");
        }
        assert_eq!(stage["peak_memory_bytes"], serde_json::Value::Null);
        assert_eq!(json["status"], "done");
        assert_eq!(json["evals"]["fluency"]["pretrain"]["perplexity"]["n"], 40);
        assert_eq!(serde_json::from_value::<Record>(json).unwrap(), example("r", 2.0));
    }

    #[test]
    fn measured_values_are_found_by_their_paths() {
        let record = example("r", 2.0);
        assert_eq!(record.measure(&["pretrain", "valid", "loss"]), Some(2.0));
        assert_eq!(record.measure(&["pretrain", "tokens"]), Some(16_000.0));
        assert_eq!(record.measure(&["fluency", "pretrain", "perplexity"]), Some(2f64.exp()));
        assert_eq!(record.measure(&["fluency", "perplexity"]), Some(2f64.exp()));
        assert_eq!(record.measure(&["fluency", "rouge_l"]), None);
        assert_eq!(record.measure(&["nothing"]), None);
    }
}
