//! Why a stage cannot train, or stopped training.

use crate::model::ModelError;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the stage's `{field}` is {value}, but {requirement}")]
    Field { field: &'static str, value: u64, requirement: String },
    #[error("the data has {tokens} tokens, and one window of the sequence length {sequence} needs {}; use more data or a shorter `sequence`", .sequence + 1)]
    TooLittle { tokens: u64, sequence: usize },
    #[error("the validation data cannot be used: {0}")]
    Valid(Box<TrainError>),
    #[error("no token of the data carries loss, so there is nothing to learn: {hint}")]
    NothingSupervised { hint: &'static str },
    #[error("`keep = best` needs a measurement to compare by; give the stage `validate`")]
    NothingToCompare,
    #[error(
        "the {what} is {value} at step {step}; {}. Try a lower learning rate, a longer warm-up, or `clip = 1.0`; the last checkpoint is kept",
        last_finite(.last)
    )]
    NonFinite { what: &'static str, value: f64, step: u64, last: Option<(u64, f64)> },
    #[error(
        "the device failed at step {step}: {message}; the last checkpoint is kept, and `--device cpu` avoids the device"
    )]
    Device { step: u64, message: String },
    #[error("cannot write the checkpoint {}: {cause}", .path.display())]
    Checkpoint { path: PathBuf, cause: String },
    #[error(
        "the checkpoint {} belongs to another job: its `{field}` is {was}, and now it is {is}; remove the folder to start again",
        .path.display()
    )]
    OtherJob { path: PathBuf, field: String, was: String, is: String },
}

fn last_finite(last: &Option<(u64, f64)>) -> String {
    match last {
        Some((step, loss)) => format!("the last finite loss was {loss:.4} at step {step}"),
        None => "no step before it had a finite loss".to_owned(),
    }
}
