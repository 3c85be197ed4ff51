//! Everything that happens while an experiment runs, as it is told to displays and written to `events.jsonl`.

use super::environment::Device;
use super::object::ObjectKind;
use super::record::{Estimate, Start, Status};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Version of the lines in `events.jsonl`.
pub const EVENT_SCHEMA: u32 = 1;

/// Something that happened. Numbers that are not finite are written as `null` and read as NaN.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    RunStarted {
        run: String,
        experiment: String,
        plan_hash: String,
        device: Device,
        /// Version of this program.
        version: String,
        /// Whether an earlier process began this run.
        resumed: bool,
    },
    RunFinished {
        status: Status,
        seconds: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// The run uses an object, made now or found.
    Object {
        kind: ObjectKind,
        hash: String,
        cached: bool,
    },
    DataStarted {
        dataset: String,
        hash: String,
    },
    DataFinished {
        dataset: String,
        hash: String,
        cached: bool,
        documents: u64,
        bytes: u64,
        removed: u64,
        seconds: f64,
    },
    TokenizerStarted {
        tokenizer: String,
        hash: String,
    },
    TokenizerFinished {
        tokenizer: String,
        hash: String,
        cached: bool,
        vocab: u64,
        #[serde(with = "finite")]
        bytes_per_token: f64,
        /// blake3 of `tokenizer.json`.
        artefact: String,
        seconds: f64,
    },
    StageStarted {
        stage: String,
        hash: String,
        parameters: u64,
        /// Planned optimiser steps; absent where the budget is in another dimension.
        steps: Option<u64>,
        /// Planned tokens.
        tokens: Option<u64>,
        /// The step whose checkpoint it goes on from. Earlier lines about later steps no longer count.
        resumed_from: Option<u64>,
    },
    Step {
        stage: String,
        /// Optimiser steps done, from 1.
        step: u64,
        /// Tokens seen so far.
        tokens: u64,
        /// Of those, tokens that carry loss.
        supervised: u64,
        /// Mean loss in nats a supervised token.
        #[serde(with = "finite")]
        loss: f64,
        /// What is learnt from beside it, where that is anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        z_loss: Option<f64>,
        /// What is learnt from the balance of experts, of a network that has any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        balance_loss: Option<f64>,
        /// The share that the busiest expert has of the tokens of its block.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        busiest_expert: Option<f64>,
        /// Whether the step was left out because its loss leapt or was not finite, or its gradients overflowed f16.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        skipped: bool,
        /// What its loss was scaled with, in `mixed_f16`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loss_scale: Option<f64>,
        #[serde(with = "finite")]
        lr: f64,
        /// Global gradient norm before clipping.
        #[serde(with = "finite")]
        grad_norm: f64,
        #[serde(with = "finite")]
        tokens_per_second: f64,
        /// Seconds of training so far, over every process that worked on the stage.
        #[serde(with = "finite")]
        seconds: f64,
    },
    Valid {
        stage: String,
        step: u64,
        tokens: u64,
        /// Nats a token.
        #[serde(with = "finite")]
        loss: f64,
        /// Whether it is the best so far.
        best: bool,
    },
    Checkpoint {
        stage: String,
        step: u64,
        /// `last` or `best`.
        role: String,
        bytes: u64,
    },
    Sample {
        stage: String,
        step: u64,
        prompt: String,
        text: String,
    },
    StageFinished {
        stage: String,
        hash: String,
        cached: bool,
        steps: u64,
        tokens: u64,
        supervised_tokens: u64,
        #[serde(with = "finite")]
        train_loss: f64,
        /// Absent without validation.
        valid_loss: Option<f64>,
        seconds: f64,
        peak_memory_bytes: Option<u64>,
        weights_hash: String,
        /// blake3 over the ids of the samples in the order they were trained on.
        data_order: Option<String>,
        /// Absent where it was found cached.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start: Option<Start>,
    },
    EvalStarted {
        eval: String,
        stage: String,
        items: u64,
    },
    EvalFinished {
        eval: String,
        stage: String,
        hash: String,
        cached: bool,
        metrics: IndexMap<String, Estimate>,
        seconds: f64,
    },
    Gate {
        kind: GateKind,
        text: String,
        /// Absent: undecided.
        met: Option<bool>,
        detail: String,
    },
    /// A request to stop was heard.
    Stopping {
        signal: String,
    },
    Notice {
        level: Level,
        text: String,
    },
    /// An event of a later version.
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    Expect,
    Claim,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Info,
    Warning,
}

/// One line of `events.jsonl`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Line {
    pub schema_version: u32,
    /// UTC.
    pub at: String,
    #[serde(flatten)]
    pub event: Event,
}

impl Event {
    /// A notice for people.
    pub fn info(text: impl Into<String>) -> Event {
        Event::Notice { level: Level::Info, text: text.into() }
    }

    /// A warning for people.
    pub fn warning(text: impl Into<String>) -> Event {
        Event::Notice { level: Level::Warning, text: text.into() }
    }

    /// Whether later work builds on it, so that it must survive a loss of power.
    pub fn is_milestone(&self) -> bool {
        use Event::{
            Checkpoint, DataFinished, EvalFinished, RunFinished, RunStarted, StageFinished, TokenizerFinished,
        };
        matches!(
            self,
            RunStarted { .. }
                | DataFinished { .. }
                | TokenizerFinished { .. }
                | Checkpoint { .. }
                | StageFinished { .. }
                | EvalFinished { .. }
                | RunFinished { .. }
        )
    }
}

/// Whoever wants to know what happens.
pub trait Observer {
    fn event(&mut self, event: &Event);
}

/// Wants to know nothing.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Observer for Nobody {
    fn event(&mut self, _: &Event) {}
}

/// Tells several observers, in order.
#[derive(Default)]
pub struct Several<'a>(pub Vec<&'a mut dyn Observer>);

impl Observer for Several<'_> {
    fn event(&mut self, event: &Event) {
        for observer in &mut self.0 {
            observer.event(event);
        }
    }
}

/// JSON has no NaN and no infinity.
pub(crate) mod finite {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Option::<f64>::deserialize(deserializer).map(|v| v.unwrap_or(f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_tagged_and_versioned() {
        let event = Event::Valid { stage: "pretrain".into(), step: 100, tokens: 1600, loss: 2.5, best: true };
        let line = Line { schema_version: EVENT_SCHEMA, at: "2026-11-24T08:15:30.000Z".into(), event };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(
            text,
            r#"{"schema_version":1,"at":"2026-11-24T08:15:30.000Z","event":"valid","stage":"pretrain","step":100,"tokens":1600,"loss":2.5,"best":true}"#
        );
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }

    #[test]
    fn a_loss_that_is_not_finite_survives_the_file() {
        let event = Event::Valid { stage: "s".into(), step: 1, tokens: 1, loss: f64::INFINITY, best: false };
        let text = serde_json::to_string(&event).unwrap();
        let Event::Valid { loss, .. } = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert!(text.contains("\"loss\":null") && loss.is_nan());
    }

    #[test]
    fn an_event_of_a_later_version_is_passed_over() {
        let text = r#"{"schema_version":1,"at":"x","event":"teleported","to":[1,2]}"#;
        assert_eq!(serde_json::from_str::<Line>(text).unwrap().event, Event::Unknown);
    }
}
