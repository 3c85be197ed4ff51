//! What a stage tells while it works.

use std::path::Path;

/// One optimiser step.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Steps the stage will do.
    pub steps: u64,
    /// Mean cross-entropy per supervised token of the step's batch, in nats.
    pub loss: f64,
    /// What was learnt from beside it: the z-loss, in the same unit.
    pub z_loss: f64,
    /// What was learnt from the balance of experts, times its coefficient, and their routers' z-loss; 0 without experts.
    pub balance_loss: f64,
    /// The share that the busiest expert has of the tokens of its block, counted as often as they have experts: 1 over the
    /// number of experts where all are busy alike; 0 without experts.
    pub busiest_expert: f64,
    /// Whether the step was left out, because its loss leapt or was not finite, or its gradients overflowed f16.
    pub skipped: bool,
    /// What its loss was scaled with, in `mixed_f16`.
    pub loss_scale: Option<f64>,
    /// The peak of the optimiser times the share of the schedule.
    pub lr: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens read so far, padding not counted.
    pub tokens: u64,
    /// Of those, tokens that carried loss.
    pub supervised_tokens: u64,
    /// Tokens per second of the latest steps, without validation and checkpoints.
    pub tokens_per_second: f64,
}

/// One pass over the validation data.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct ValidReport {
    pub step: u64,
    /// Mean cross-entropy per supervised token, in nats.
    pub loss: f64,
    /// Supervised tokens it is over.
    pub supervised_tokens: u64,
    pub seconds: f64,
    /// Whether it is the lowest so far.
    pub best: bool,
}

/// What a stage reads, counted before its first step.
#[derive(Clone, Copy, PartialEq, Debug, Default, serde::Serialize)]
pub struct BatchFacts {
    /// Rows of an epoch: windows, or samples.
    pub rows: u64,
    /// Trainable numbers.
    pub parameters: u64,
    /// Samples whose prompt lost tokens at its front, to fit the sequence.
    pub prompts_cut: u64,
    /// Samples whose response lost tokens at its end, to fit the sequence.
    pub responses_cut: u64,
    /// Samples left out because no token of them carries loss.
    pub left_out: u64,
}

/// What an observer that had heard a stage up to its checkpoint would know.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Heard {
    /// Loss of the last step.
    pub train_loss: Option<f64>,
    /// Loss of the last validation.
    pub valid_loss: Option<f64>,
    /// Tokens read.
    pub tokens: u64,
    /// See [`Observer::met`].
    pub met: Option<u64>,
}

/// Told what happens, in order. The methods must be quick: training waits.
pub trait Observer {
    /// Before [`Observer::start`], when the stage goes on from a checkpoint.
    fn recall(&mut self, _heard: &Heard) {}
    /// Before the first step, and before the first step after a resumption.
    fn start(&mut self, _facts: &BatchFacts, _resumed_at: Option<u64>) {}
    /// Reports come in order; on a GPU a few steps late, since asking for a number waits for the device.
    fn step(&mut self, _report: &StepReport) {}
    fn valid(&mut self, _report: &ValidReport) {}
    fn checkpoint(&mut self, _step: u64, _folder: &Path) {}
    /// Something the reader should know, such as a damaged checkpoint that was passed by.
    fn notice(&mut self, _text: &str) {}
    /// Asked after each report: whether the stage has reached what it was for and ends here. The answer must follow from
    /// the latest losses and [`Observer::met`] alone, which checkpoints keep, or a resumed run may end elsewhere.
    fn ends(&mut self) -> bool {
        false
    }
    /// The step whose report showed that the stage has reached what it was for, if one has.
    fn met(&self) -> Option<u64> {
        None
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Observer for Quiet {}
