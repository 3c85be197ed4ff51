//! Why a stage cannot train, or stopped training.

use crate::model::ModelError;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the stage's `{field}` is {value}, but {requirement}")]
    Field { field: &'static str, value: u64, requirement: String },
    #[error(
        "the device `{device}` does not compute with {format}, which `precision = {precision}` needs; it has {has}"
    )]
    Precision { device: String, precision: &'static str, format: &'static str, has: String },
    #[error("`precision = {precision}` is not built for networks with experts; leave it out for f32")]
    Experts { precision: &'static str },
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
        "the loss is {value} at step {step}; {}. In `mixed_f16` that also happens where a number of the network passes the 65 504 that f16 ends at, which no scale of the loss repairs: write `precision = mixed_bf16` or `f32`, or try a lower learning rate; the last checkpoint is kept",
        last_finite(.last)
    )]
    Overflow { value: f64, step: u64, last: Option<(u64, f64)> },
    #[error(
        "the gradients of the last {steps} steps up to step {step} overflow f16, down to a loss scale of {scale:e}: no scale helps. Write `precision = mixed_bf16` or `f32`, or try a lower learning rate; the last checkpoint is kept"
    )]
    Scale { steps: u64, step: u64, scale: f64 },
    #[error(
        "the loss leaps to {loss:.4} at step {step}, more than {factor} times the median of {median:.4} before it. Try a lower learning rate or a longer warm-up, or go on with `action = skip` or `action = roll_back`; the last checkpoint is kept"
    )]
    Spike { loss: f64, step: u64, factor: f64, median: f64 },
    #[error(
        "the last {steps} steps up to step {step} were left out, because the loss leapt or was not finite in each: the stage learns nothing any more. Try a lower learning rate or a longer warm-up; the last checkpoint is kept"
    )]
    Stuck { steps: u64, step: u64 },
    #[error(
        "the stage went back to the checkpoint of step {checkpoint} {times} times, and each time the loss leapt again, last at step {step}. Try a lower learning rate or a longer warm-up"
    )]
    Unstable { checkpoint: u64, times: u64, step: u64 },
    #[error("there is no checkpoint to go back to from step {step}; all of them are damaged or gone")]
    NothingToGoBackTo { step: u64 },
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
