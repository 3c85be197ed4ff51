//! What the training loop reports, as events; and the condition that ends a stage early.

use crate::plan::spec::Measured;
use crate::store::{Event, Observer as Shows, Run, StoreError};
use crate::train::{self, BatchFacts, Heard, StepReport, ValidReport};
use crate::types::core::{Constant, CoreError, Leaves};
use std::path::Path;
use std::time::Instant;

/// Turns reports of the training loop into events.
pub(super) struct Reporter<'a> {
    stage: &'a str,
    hash: &'a str,
    steps: u64,
    /// Sequences a step.
    batch: u64,
    until: Option<&'a Measured>,
    run: &'a Run,
    shows: &'a mut dyn Shows,
    warnings: Vec<String>,
    failure: Option<StoreError>,
    losses: Losses,
    began: Instant,
    tokens: u64,
    met: Option<u64>,
}

/// What was told when a stage has come to its end, or to a stop.
pub(super) struct Reported {
    /// What to say of an early end.
    pub until: Option<String>,
    /// What the reader should know of the result.
    pub warnings: Vec<String>,
    /// The event that could not be kept.
    pub failure: Option<StoreError>,
}

#[derive(Default)]
struct Losses {
    train: Option<f64>,
    valid: Option<f64>,
}

impl<'a> Reporter<'a> {
    pub fn new(
        stage: &'a str,
        hash: &'a str,
        (steps, batch): (u64, u64),
        until: Option<&'a Measured>,
        run: &'a Run,
        shows: &'a mut dyn Shows,
    ) -> Reporter<'a> {
        Reporter {
            stage,
            hash,
            steps,
            batch,
            until,
            run,
            shows,
            warnings: Vec::new(),
            failure: None,
            losses: Losses::default(),
            began: Instant::now(),
            tokens: 0,
            met: None,
        }
    }

    pub fn finish(self) -> Reported {
        let until = self.met.map(|step| format!("`{}` ends at step {step}: its `until` holds", self.stage));
        Reported { until, warnings: self.warnings, failure: self.failure }
    }

    fn tell(&mut self, event: Event) {
        if let Err(error) = self.run.push(&event) {
            self.failure.get_or_insert(error);
        }
        self.shows.event(&event);
    }
}

impl train::Observer for Reporter<'_> {
    fn recall(&mut self, heard: &Heard) {
        self.losses = Losses { train: heard.train_loss, valid: heard.valid_loss };
        self.tokens = heard.tokens;
        self.met = heard.met;
    }

    fn start(&mut self, facts: &BatchFacts, resumed_at: Option<u64>) {
        self.tell(Event::StageStarted {
            stage: self.stage.to_owned(),
            hash: self.hash.to_owned(),
            parameters: facts.parameters,
            steps: Some(self.steps),
            tokens: None,
            resumed_from: resumed_at,
        });
        self.warnings = warnings(self.stage, self.batch, facts);
        // Whoever goes on from a checkpoint has told them already.
        if resumed_at.is_none() {
            for text in self.warnings.clone() {
                self.tell(Event::warning(text));
            }
        }
    }

    fn step(&mut self, report: &StepReport) {
        if !report.skipped {
            self.losses.train = Some(report.loss);
        }
        self.tokens = report.tokens;
        self.tell(Event::Step {
            stage: self.stage.to_owned(),
            step: report.step,
            tokens: report.tokens,
            supervised: report.supervised_tokens,
            loss: report.loss,
            z_loss: (report.z_loss != 0.0).then_some(report.z_loss),
            balance_loss: (report.busiest_expert != 0.0).then_some(report.balance_loss),
            busiest_expert: (report.busiest_expert != 0.0).then_some(report.busiest_expert),
            skipped: report.skipped,
            loss_scale: report.loss_scale,
            lr: report.lr,
            grad_norm: report.grad_norm,
            tokens_per_second: report.tokens_per_second,
            seconds: self.began.elapsed().as_secs_f64(),
        });
        self.check(report.step);
    }

    fn valid(&mut self, report: &ValidReport) {
        self.losses.valid = Some(report.loss);
        self.tell(Event::Valid {
            stage: self.stage.to_owned(),
            step: report.step,
            tokens: self.tokens,
            loss: report.loss,
            best: report.best,
        });
        self.check(report.step);
    }

    fn checkpoint(&mut self, step: u64, folder: &Path) {
        let bytes = folder_bytes(folder);
        self.tell(Event::Checkpoint { stage: self.stage.to_owned(), step, role: "last".to_owned(), bytes });
    }

    fn notice(&mut self, text: &str) {
        self.tell(Event::warning(format!("`{}`: {text}", self.stage)));
    }

    fn ends(&mut self) -> bool {
        // An event that cannot be kept must end the run, and this is where the loop can be told.
        self.met.is_some() || self.failure.is_some()
    }

    fn met(&self) -> Option<u64> {
        self.met
    }
}

/// What the reader should know of a stage before its first step.
fn warnings(stage: &str, batch: u64, facts: &BatchFacts) -> Vec<String> {
    let mut warnings = Vec::new();
    if batch > facts.rows {
        warnings.push(format!(
            "`{stage}`: a batch of {batch} sequences is larger than the data, which has {}: every step repeats some of \
             them; use more data, or a `batch` of at most {} sequences",
            facts.rows, facts.rows
        ));
    }
    let samples = facts.rows + facts.left_out;
    for (count, what) in [
        (facts.prompts_cut, "are longer than the sequence and lose the front of their prompt"),
        (facts.responses_cut, "have a response longer than the sequence and lose its end"),
        (facts.left_out, "have no response that could carry loss and are left out"),
    ] {
        if count > 0 {
            warnings.push(format!("`{stage}`: {count} of {samples} samples {what}"));
        }
    }
    warnings
}

/// What the reader should know of a stage after its last step: where its loss leapt.
pub(super) fn troubles(stage: &str, trained: &train::Trained) -> Vec<String> {
    let times = |count: u64, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {more}"),
    };
    let mut warnings = Vec::new();
    if trained.skipped > 0 {
        let steps = times(trained.skipped, "step was", "steps were");
        warnings.push(format!("`{stage}`: {steps} left out because the loss leapt or was not finite"));
    }
    if let (Some(scale), 1..) = (trained.loss_scale, trained.overflows) {
        let steps = times(trained.overflows, "step was", "steps were");
        warnings.push(format!(
            "`{stage}`: {steps} left out because gradients overflowed f16, as now and then they do; the loss was scaled with \
             {scale} in the end"
        ));
    }
    if trained.rolled_back > 0 {
        let times = times(trained.rolled_back, "time", "times");
        warnings.push(format!("`{stage}`: went back to a checkpoint {times} because the loss leapt or was not finite"));
    }
    warnings
}

/// What to say of a stage whose loss ended clearly above that of guessing evenly among `vocab` tokens, ln `vocab` nats: a
/// training that diverged without a number that is not finite. A first step may lie a little above.
pub(super) fn divergence(stage: &str, loss: Option<f64>, vocab: usize) -> Option<String> {
    let guessing = (vocab as f64).ln();
    let loss = loss.filter(|loss| *loss > guessing + 1.0)?;
    Some(format!(
        "`{stage}` ended with a loss of {loss:.2}, worse than guessing among its {vocab} tokens ({guessing:.2}): the training \
         diverged; try a smaller learning rate, or a longer warm-up"
    ))
}

impl Reporter<'_> {
    fn check(&mut self, step: u64) {
        if let Some(until) = self.until
            && self.met.is_none()
            && until.0.eval(&self.losses).and_then(|c| c.truth()) == Ok(true)
        {
            self.met = Some(step);
        }
    }
}

impl Leaves for Losses {
    fn measure(&self, path: &[String]) -> Result<Constant, CoreError> {
        let unknown = || CoreError::Unknown(path.join("."));
        let [which, what] = path else { return Err(unknown()) };
        let loss = match which.as_str() {
            "train" => self.train,
            "valid" => self.valid,
            _ => None,
        };
        let loss = loss.ok_or_else(unknown)?;
        match what.as_str() {
            "loss" => Ok(Constant::Float(loss)),
            "perplexity" => Ok(Constant::Float(loss.exp())),
            _ => Err(unknown()),
        }
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().filter_map(|e| e.metadata().ok()).filter(std::fs::Metadata::is_file).map(|m| m.len()).sum()
}
