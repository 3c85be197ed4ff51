//! Why a run did not finish.

use crate::data::DataError;
use crate::evaluate::EvaluateError;
use crate::model::ModelError;
use crate::store::StoreError;
use crate::tokenizer::TokenizerError;
use crate::train::TrainError;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Found before anything started: names and what is missing for them.
    #[error("this experiment cannot be run by this version: {}", list(.0))]
    Unsupported(Vec<(String, String)>),
    /// On request; the next run goes on from here.
    #[error("stopped on request; run the same command again to go on")]
    Stopped,
    #[error("dataset `{name}`: {why}")]
    Data { name: String, why: DataError },
    #[error("tokenizer `{name}`: {why}")]
    Tokenizer { name: String, why: TokenizerError },
    #[error("`{data}` as tokens of `{tokenizer}`: {why}")]
    Tokens { data: String, tokenizer: String, why: TokenizerError },
    #[error(
        "`{data}` has no documents, so there is nothing to learn from or to measure on: give its split a larger share, or the dataset more \
         documents. A file of `text` is one document, unless it says `document = paragraph` or `document = line`, or its split \
         says `by = position`"
    )]
    Empty { data: String },
    #[error("stage `{name}`: {why}")]
    Train { name: String, why: TrainError },
    /// Of the device. What the message names changes no result, so the run goes on from its last checkpoint with it.
    #[error("stage `{name}`: the memory of the device `{device}` does not suffice: {why}. {advice}")]
    Memory { name: String, device: String, why: String, advice: String },
    #[error("stage `{name}`: {why}")]
    Stage { name: String, why: String },
    #[error("stage `{name}`: {why}")]
    Model { name: String, why: ModelError },
    #[error("eval `{eval}` of `{stage}`: {why}")]
    Eval { eval: String, stage: String, why: EvaluateError },
    #[error("eval `{eval}` of `{stage}`: {why}")]
    Judge { eval: String, stage: String, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`{name}` cannot be made: {why}")]
    Unplanned { name: String, why: String },
}

fn list(missing: &[(String, String)]) -> String {
    missing.iter().map(|(name, why)| format!("`{name}`: {why}")).collect::<Vec<_>>().join("; ")
}

impl Failure {
    /// Whether the same command may succeed, because the machine failed and not the experiment: a disk, a device.
    pub fn may_pass(&self) -> bool {
        let machine = |why: &ModelError| matches!(why, ModelError::Device(_) | ModelError::Write { .. });
        match self {
            Failure::Store(why) => {
                matches!(why, StoreError::Io { .. } | StoreError::Busy { .. } | StoreError::GaveUp { .. })
            }
            Failure::Train { why: TrainError::Device { .. } | TrainError::Checkpoint { .. }, .. } => true,
            Failure::Train { why: TrainError::Model(why), .. } | Failure::Model { why, .. } => machine(why),
            _ => false,
        }
    }

    /// A file operation that failed within a stage.
    pub(super) fn io(name: &str, what: &str, error: &std::io::Error) -> Failure {
        Failure::Stage { name: name.to_owned(), why: format!("cannot {what}: {error}") }
    }
}
