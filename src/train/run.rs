//! The training loop.

use super::batch::{Batch, Rows};
use super::checkpoint::{self, Fingerprint, Kept, Restored, State};
use super::error::TrainError;
use super::job::{Adapting, Job, Keep};
use super::observer::{BatchFacts, Heard, Observer, StepReport, ValidReport};
use super::order::Order;
use super::saver::Saver;
use super::scaler::Scale;
use super::step::{Learner, NUMBERS, Part, Stride};
use super::stop::Stop;
use super::validate::validate;
use super::watch::{self, Verdict};
use crate::device::Kind;
use crate::model::{Architecture, Layout, ModelError, Params, read_weights, weights_hash};
use crate::plan::Step;
use crate::plan::spec::{OnSpike, Precision, WATCHED_EVERY};
use burn::tensor::Tensor;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How a stage ended.
#[derive(Clone, PartialEq, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of them a stage")]
pub enum Outcome {
    Finished(Trained),
    /// A [`Stop`] was requested; the same job goes on from the checkpoint that was saved.
    Stopped {
        step: u64,
    },
}

/// A stage's result.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Trained {
    /// The weights the stage hands on, as safetensors.
    pub weights: PathBuf,
    /// The adapters alone, under PEFT's names, where those were trained.
    pub adapter: Option<PathBuf>,
    /// See [`weights_hash`].
    pub weights_hash: String,
    pub parameters: u64,
    /// Steps done.
    pub steps: u64,
    /// Loss of the last step's batch.
    pub loss: Option<f64>,
    /// Loss of the last validation.
    pub valid_loss: Option<f64>,
    /// The validation whose weights are the best, when the stage validates.
    pub best: Option<Best>,
    /// Tokens read, padding not counted.
    pub tokens: u64,
    /// Of those, tokens that carried loss.
    pub supervised_tokens: u64,
    /// Places of all rows that were computed, padding included.
    pub positions: u64,
    /// Hash over the rows in the order they were seen, step by step.
    pub order: String,
    /// Seconds of training, over all resumptions, without validation and checkpoints.
    pub seconds: f64,
    /// Steps that were left out because their loss leapt or was not finite.
    pub skipped: u64,
    /// Times that the stage went back to a checkpoint for the same reason.
    pub rolled_back: u64,
    /// Steps that were left out because their gradients overflowed f16.
    pub overflows: u64,
    /// What the loss was scaled with in the end, in `mixed_f16`.
    pub loss_scale: Option<f64>,
    /// Step a checkpoint was resumed at, if one was.
    pub resumed_at: Option<u64>,
    /// How training began in this process; absent where no step was left.
    pub start: Option<Start>,
}

/// How training began.
#[derive(Clone, Copy, PartialEq, Debug, Default, serde::Serialize)]
pub struct Start {
    /// Seconds from the beginning until the loss of the first step was known.
    pub first_step_seconds: f64,
    /// How much longer the first step took than the second: what compiling kernels costs. Absent on the CPU, which compiles
    /// none, and where there was no second step.
    pub compile_seconds: Option<f64>,
    /// Whether the first gradient, computed twice, had the same bits. Absent on the CPU, where tests prove it.
    pub repeats: Option<bool>,
}

/// The lowest validation loss.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Best {
    pub step: u64,
    pub loss: f64,
}

/// Trains a stage, from a checkpoint of the same job in its folder if there is one.
///
/// # Errors
/// See [`TrainError`]; what was saved before an error stays.
pub fn train(job: &Job, observer: &mut dyn Observer, stop: &Stop) -> Result<Outcome, TrainError> {
    let architecture = Architecture::new(job.model, Some(job.vocab))?;
    check(job, &architecture)?;
    let rows = Rows::new(job.objective, job.corpus, job.sequence, job.pad, job.seed)?;
    let valid = match &job.valid {
        Some(valid) => Some(Rows::to_validate(job.objective, valid.corpus, job.sequence, job.pad)?),
        None => None,
    };
    let mut run = Run::start(job, architecture, &rows, valid.as_ref(), stop, observer)?;
    if run.work(observer)?
        && let Some(trained) = run.finish(observer)?
    {
        return Ok(Outcome::Finished(trained));
    }
    run.save(observer)?;
    run.settle(true, observer)?;
    Ok(Outcome::Stopped { step: run.saved })
}

/// Refuses a job that cannot work, before anything is spent.
pub(super) fn check(job: &Job, architecture: &Architecture) -> Result<(), TrainError> {
    let positive = |field, value: u64| match value {
        0 => Err(TrainError::Field { field, value, requirement: "it must be at least 1".into() }),
        _ => Ok(()),
    };
    positive("batch", job.batch as u64)?;
    positive("micro_batch", job.micro_batch as u64)?;
    positive("sequence", job.sequence as u64)?;
    positive("budget", job.steps)?;
    positive("checkpoints", job.checkpoints as u64)?;
    if job.sequence > architecture.context {
        let requirement = format!("the model's `context` is {}; make one fit the other", architecture.context);
        return Err(TrainError::Field { field: "sequence", value: job.sequence as u64, requirement });
    }
    if job.precision != Precision::F32 && architecture.experts.is_some() {
        return Err(TrainError::Experts { precision: job.precision.name() });
    }
    if let Some(format) = crate::model::format(job.precision)
        && !job.device.formats.contains(&format)
    {
        let has: Vec<&str> = ["f32"].into_iter().chain(job.device.formats.iter().map(|format| format.name())).collect();
        return Err(TrainError::Precision {
            device: job.device.name.clone(),
            precision: job.precision.name(),
            format: format.name(),
            has: has.join(", "),
        });
    }
    if job.pad as usize >= architecture.vocab {
        let requirement = format!("the model's `vocab` is {}", architecture.vocab);
        return Err(TrainError::Field { field: "pad", value: u64::from(job.pad), requirement });
    }
    if job.keep == Keep::Best && job.valid.is_none() {
        return Err(TrainError::NothingToCompare);
    }
    Ok(())
}

/// What the numbers of a run follow from: a checkpoint of a job that differs in any of it is refused.
fn fingerprint(job: &Job, architecture: &Architecture, init: Option<&str>) -> Result<Fingerprint, ModelError> {
    let adapter = match job.adapter {
        None => json!(null),
        Some(Adapting { spec, init: None }) => json!(spec),
        Some(Adapting { spec, init: Some(path) }) => json!([spec, weights_hash(&read_weights(path)?)]),
    };
    // Named only where it is not f32, so that checkpoints of earlier versions stay what they are.
    let precision = (job.precision != Precision::F32).then(|| ("precision", json!(job.precision)));
    let fields = [
        ("model", json!(architecture)),
        ("init", json!(init)),
        ("objective", json!(job.objective)),
        ("data", json!({ "tokens": job.corpus.tokens(), "documents": job.corpus.offsets().len().saturating_sub(1) })),
        ("batch", json!(job.batch)),
        ("sequence", json!(job.sequence)),
        ("budget", json!(job.steps)),
        ("adapter", adapter),
        ("optimizer", json!(job.optimizer)),
        ("groups", json!(job.groups)),
        ("schedule", json!(job.schedule)),
        ("clip", json!(job.clip)),
        ("z_loss", json!(job.z_loss)),
        ("ema", json!(job.ema)),
        ("growth", json!(job.growth)),
        ("on_spike", json!(job.on_spike.map(|spike| (spike, returns_to(job))))),
        ("keep", json!(job.keep)),
        ("validate", json!(job.valid.as_ref().map(|v| (v.every, v.tokens, v.corpus.tokens())))),
        ("seed", json!(job.seed)),
        ("identity", json!(job.identity)),
    ];
    Ok(fields.into_iter().chain(precision).map(|(name, value)| (name.to_owned(), value.to_string())).collect())
}

/// Steps between the checkpoints that a stage may go back to; nothing where it never does.
fn returns_to(job: &Job) -> Option<u64> {
    job.on_spike.filter(|spike| spike.action == OnSpike::RollBack).map(|_| job.checkpoint)
}

/// The file of the weights with the lowest validation loss.
const BEST: &str = "best.safetensors";

/// Where the adapters lie that weights were made with.
fn adapter_path(weights: &Path) -> PathBuf {
    weights.with_extension("adapter.safetensors")
}

/// What an observer would know that had heard everything up to a state.
fn heard(state: &State) -> Heard {
    Heard { train_loss: state.loss, valid_loss: state.valid, tokens: state.tokens, met: state.met }
}

/// Steps between two looks at how a stage goes.
const ASKED: u64 = WATCHED_EVERY;

/// A stage at work.
struct Run<'a> {
    job: &'a Job<'a>,
    learner: Learner,
    order: Order<'a>,
    valid: Option<&'a Rows<'a>>,
    facts: BatchFacts,
    state: State,
    resumed_at: Option<u64>,
    /// Steps whose numbers are still on the device.
    pending: Vec<(StepReport, Tensor<2>)>,
    stop: &'a Stop,
    saver: Saver,
    last_finite: Option<(u64, f64)>,
    /// Why the stage goes back to its last checkpoint, as soon as it may.
    fallen: Option<String>,
    /// Step of the last checkpoint.
    saved: u64,
    /// What it holds, if it is this process's or the one that was resumed.
    rests: Option<State>,
    clock: Instant,
    /// Steps done by this process.
    steps_here: u64,
    began: Instant,
    first: Option<Start>,
    /// Seconds of the first step alone.
    first_alone: f64,
    /// Tokens at the last time the clock was read.
    clocked_tokens: u64,
}

impl<'a> Run<'a> {
    /// Fresh or resumed.
    fn start(
        job: &'a Job<'a>,
        architecture: Architecture,
        rows: &'a Rows<'a>,
        valid: Option<&'a Rows<'a>>,
        stop: &'a Stop,
        observer: &mut dyn Observer,
    ) -> Result<Run<'a>, TrainError> {
        let began = Instant::now();
        let layout = Layout::new(&architecture);
        let device = &job.device.device;
        let init = match job.init {
            Some(path) => Some(crate::model::load_segments(&layout, path)?),
            None => None,
        };
        let init_hash = init.as_ref().map(|host| weights_hash(&crate::model::named(&layout, host)));
        let fingerprint = fingerprint(job, &architecture, init_hash.as_deref())?;
        let params = match init {
            Some(host) => Params::from_host(host, device),
            None => Params::fresh(&layout, job.seed, device),
        };
        let mut learner = Learner::new(architecture, params, job)?;
        let (restored, notices) = {
            let files = learner.files();
            let files: Vec<_> = files.iter().map(|(name, layout, _)| (*name, *layout)).collect();
            checkpoint::restore(job.folder, &files, &fingerprint, device, |_| true)?
        };
        notices.iter().for_each(|notice| observer.notice(notice));
        let (state, resumed_at) = match restored {
            Some(Restored { state, numbers }) => {
                learner.restore(numbers);
                learner.set_scale(state.scale.map(|(scale, good)| Scale { scale, good }).unwrap_or_default());
                let step = state.step;
                (state, Some(step))
            }
            None => (State { job: fingerprint, ..State::default() }, None),
        };
        let facts = BatchFacts { parameters: layout.parameters(), ..rows.facts() };
        if resumed_at.is_some() {
            observer.recall(&heard(&state));
        }
        observer.start(&facts, resumed_at);
        let rests = resumed_at.map(|_| state.clone());
        let mut run = Run {
            job,
            learner,
            order: Order::new(rows, job.seed, state.place),
            valid,
            facts,
            last_finite: state.loss.map(|loss| (state.step, loss)),
            clocked_tokens: state.tokens,
            state,
            saved: resumed_at.unwrap_or(0),
            rests,
            fallen: None,
            resumed_at,
            pending: Vec::new(),
            stop,
            saver: Saver::default(),
            clock: Instant::now(),
            steps_here: 0,
            began,
            first: None,
            first_alone: 0.0,
        };
        // A stage that may have to go back has something to go back to from its first step on.
        if resumed_at.is_none() && run.rolls_back() {
            run.save(observer)?;
        }
        Ok(run)
    }

    /// All steps that are left; `false` if a stop was requested before the stage's end.
    fn work(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        // A stop may have come between a step and its validation, which is then made up for.
        if self.owes_validation() && !self.after_step(observer)? {
            return Ok(false);
        }
        while !self.at_end() {
            if !self.step(observer)? || !self.after_step(observer)? || (self.stop.requested() && !self.at_end()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn at_end(&self) -> bool {
        self.state.ended || self.state.step >= self.job.steps
    }

    /// One optimiser step; `false` if a stop was requested within it. What it had computed is then dropped: whoever goes on
    /// from the state before it computes the same.
    fn step(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let (job, step) = (self.job, self.state.step);
        let start = Instant::now();
        let batch = self.order.next(self.sequences(step));
        let batch = if job.packs() { batch.packed(job.sequence, job.pad) } else { batch };
        let (weight, time, count) = (batch.weight(), batch.time(job.sequence), batch.count());
        let mut gradients = None;
        for from in (0..count).step_by(job.micro_batch) {
            if self.stop.requested() {
                return Ok(false);
            }
            let to = job.rows_through(from, count);
            // All parts of a step have one length, so that where it is cut changes no mask of dropout.
            let rows = batch.rows(from, to, job.sequence, time, job.pad);
            let part = Part { batch: &rows, time, rows: from as u64..to as u64, tokens: batch.tokens };
            gradients = Some(self.learner.accumulate(gradients, part, weight, step));
        }
        let repeats = self.repeats(&batch, weight)?;
        let start = start + repeats.map_or(Duration::ZERO, |(_, seconds)| seconds);
        let share = job.schedule.share(step);
        let lr = self.learner.optimizer.peak() * share;
        self.state.place = self.order.place();
        self.state.order = self.order.hash(&self.state.order);
        self.state.tokens += batch.tokens;
        self.state.positions += (count * time) as u64;
        self.state.supervised_tokens += weight;
        self.state.step = step + 1;
        if let Some(gradients) = gradients {
            let limit = watch::bound(job.on_spike, &self.state);
            let numbers = self.learner.step(gradients, Stride { share, step, limit })?;
            let report = StepReport {
                step: step + 1,
                steps: job.steps,
                loss: 0.0,
                z_loss: 0.0,
                balance_loss: 0.0,
                busiest_expert: 0.0,
                skipped: false,
                loss_scale: None,
                lr,
                grad_norm: 0.0,
                tokens: self.state.tokens,
                supervised_tokens: self.state.supervised_tokens,
                tokens_per_second: 0.0,
            };
            self.pending.push((report, numbers));
        }
        self.check_device()?;
        self.steps_here += 1;
        self.notice_start(start, repeats.map(|(same, _)| same), observer)?;
        Ok(true)
    }

    /// Sequences of step `step`, counted from 0.
    fn sequences(&self, step: u64) -> usize {
        let (sequences, sequence) = (self.job.batch as u64, self.job.sequence as u64);
        Step { sequences, sequence, growth: self.job.growth }.sequences_at(step) as usize
    }

    /// On a GPU, before the first step of this process: whether the gradient of its first rows, computed twice, has the
    /// same bits, and how long that took.
    fn repeats(&self, batch: &Batch, weight: u64) -> Result<Option<(bool, Duration)>, TrainError> {
        let (job, step) = (self.job, self.state.step);
        if job.device.kind == Kind::Cpu || self.steps_here > 0 {
            return Ok(None);
        }
        let began = Instant::now();
        let time = batch.time(job.sequence);
        let to = job.rows_through(0, batch.count());
        let rows = batch.rows(0, to, job.sequence, time, job.pad);
        let gradient = || {
            let part = Part { batch: &rows, time, rows: 0..to as u64, tokens: batch.tokens };
            self.learner.accumulate(None, part, weight, step).to_host()
        };
        let failed = |e: ModelError| TrainError::Device { step, message: e.to_string() };
        let (first, second) = (gradient().map_err(failed)?, gradient().map_err(failed)?);
        let bits = |numbers: &[Vec<f32>]| numbers.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
        let same = first.0.to_bits() == second.0.to_bits() && bits(&first.1) == bits(&second.1);
        Ok(Some((same, began.elapsed())))
    }

    /// Waits for the first two steps of this process, and notes how long they took.
    fn notice_start(
        &mut self,
        start: Instant,
        repeats: Option<bool>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        if self.steps_here > 2 {
            return Ok(());
        }
        self.report(observer)?;
        let seconds = start.elapsed().as_secs_f64();
        match &mut self.first {
            None => {
                self.first_alone = seconds;
                let first_step_seconds = self.began.elapsed().as_secs_f64();
                self.first = Some(Start { first_step_seconds, compile_seconds: None, repeats });
            }
            Some(first) if self.job.device.kind != Kind::Cpu => {
                first.compile_seconds = Some((self.first_alone - seconds).max(0.0));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether the step last done is followed by a validation that has not been made.
    fn owes_validation(&self) -> bool {
        let step = self.state.step;
        let due = |every: u64| step == self.job.steps || (every > 0 && step.is_multiple_of(every));
        step > 0 && self.state.validated != Some(step) && self.job.valid.as_ref().is_some_and(|valid| due(valid.every))
    }

    /// Reports, validation and checkpoint, where they are due; `false` if a stop was requested before the validation was
    /// done. The observer is asked whether the stage ends at steps that follow from the job alone, so that a resumed stage
    /// ends where an uninterrupted one does.
    fn after_step(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let (job, step) = (self.job, self.state.step);
        let last = step == job.steps;
        self.settle(false, observer)?;
        let due = |every: u64| every > 0 && step.is_multiple_of(every);
        let validates = self.owes_validation();
        // Asking a GPU for a number waits for everything before it, so its numbers are fetched a few steps at a time.
        let lag = if job.device.kind == Kind::Cpu { 1 } else { ASKED };
        // Where every device has been asked, so that what follows from the numbers does so at the same steps.
        let asked = validates || last || due(ASKED) || due(job.checkpoint);
        if asked || due(lag) {
            self.report(observer)?;
            if asked && let Some(why) = self.fallen.take() {
                self.roll_back(&why, observer)?;
                return Ok(true);
            }
            if let Some(spike) = job.on_spike
                && due(ASKED)
            {
                self.state.limit = watch::limit(spike, &self.state.recent);
            }
            if validates && !self.validate(observer)? {
                return Ok(false);
            }
            // Asked at the same steps on every device, so that a stage ends at the same step on each.
            if validates || last || due(ASKED) {
                self.state.ended = observer.ends();
            }
        }
        if !self.at_end() && due(job.checkpoint) {
            self.save(observer)?;
        }
        Ok(true)
    }

    /// Fetches and tells the numbers of the pending steps, and stops at one that is not finite.
    fn report(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        if self.fallen.is_some() {
            // Whatever came after is undone with it.
            self.pending.clear();
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let step = self.state.step;
        let (mut reports, tensors): (Vec<StepReport>, Vec<Tensor<2>>) = self.pending.drain(..).unzip();
        let numbers = Tensor::cat(tensors, 0).try_into_vec_as::<f32>();
        let numbers = numbers.map_err(|e| TrainError::Device { step, message: e.to_string() })?;
        self.check_device()?;
        let seconds = self.clock.elapsed().as_secs_f64();
        let rate = (self.state.tokens - self.clocked_tokens) as f64 / seconds.max(1e-9);
        self.state.seconds += seconds;
        self.clock = Instant::now();
        self.clocked_tokens = self.state.tokens;
        for (report, numbers) in reports.iter_mut().zip(numbers.chunks_exact(NUMBERS)) {
            let [loss, z_loss, grad_norm, counted, balance_loss, busiest, scale] =
                [0, 1, 2, 3, 4, 5, 6].map(|i| f64::from(numbers[i]));
            report.loss_scale = (self.job.precision == Precision::MixedF16).then_some(scale);
            (report.loss, report.z_loss, report.grad_norm) = (loss, z_loss, grad_norm);
            (report.balance_loss, report.busiest_expert) = (balance_loss, busiest);
            report.tokens_per_second = rate;
            match watch::judge(self.job.on_spike, &mut self.state, report, counted != 0.0, self.last_finite)? {
                Verdict::Good => {
                    self.last_finite = Some((report.step, report.loss));
                    self.state.loss = Some(report.loss);
                }
                Verdict::Skipped(why) => {
                    report.skipped = true;
                    observer.notice(&why);
                }
                Verdict::Overflowed => report.skipped = true,
                Verdict::RollBack(why) => {
                    self.fallen = Some(why);
                    break;
                }
            }
            observer.step(report);
        }
        Ok(())
    }

    fn rolls_back(&self) -> bool {
        returns_to(self.job).is_some()
    }

    /// The last few checkpoints, and the one that the stage would go back to.
    fn kept(&self) -> Kept {
        Kept { latest: self.job.checkpoints, returns_to: returns_to(self.job) }
    }

    /// Goes back to the last checkpoint, and on from there with data that has not been read: the same would end the same.
    fn roll_back(&mut self, why: &str, observer: &mut dyn Observer) -> Result<(), TrainError> {
        self.settle(true, observer)?;
        let step = self.state.step;
        let device = &self.job.device.device;
        // To a checkpoint that an uninterrupted stage has too, so that one which was stopped, and saved where it was, goes back
        // to where any other does.
        let kept = self.kept();
        let (restored, notices) = {
            let files = self.learner.files();
            let files: Vec<_> = files.iter().map(|(name, layout, _)| (*name, *layout)).collect();
            checkpoint::restore(self.job.folder, &files, &self.state.job, device, |step| kept.returns(step))?
        };
        notices.iter().for_each(|notice| observer.notice(notice));
        let Restored { state, numbers } = restored.ok_or(TrainError::NothingToGoBackTo { step })?;
        let returns = self.state.returns + 1;
        if returns > watch::RETURNS {
            return Err(TrainError::Unstable { checkpoint: state.step, times: watch::RETURNS, step });
        }
        self.learner.restore(numbers);
        self.learner.set_scale(state.scale.map(|(scale, good)| Scale { scale, good }).unwrap_or_default());
        // What was saved after it is undone too.
        checkpoint::remove_after(self.job.folder, state.step)?;
        self.saved = state.step;
        self.rests = None;
        self.last_finite = state.loss.map(|loss| (state.step, loss));
        // The best weights so far are still in their file.
        let (best_step, best_loss) = (self.state.best_step, self.state.best_loss);
        let rolled_back = self.state.rolled_back + 1;
        let place = self.order.place();
        self.state = State { place, seconds: self.state.seconds, best_step, best_loss, returns, rolled_back, ..state };
        observer.notice(&format!(
            "{why}: the stage goes back to the checkpoint of step {}, and on past the data read since",
            self.state.step
        ));
        observer.recall(&heard(&self.state));
        observer.start(&self.facts, Some(self.state.step));
        self.clocked_tokens = self.state.tokens;
        self.clock = Instant::now();
        Ok(())
    }

    /// `false` if a stop was requested on the way; the validation is then still owed.
    fn validate(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let (Some(rows), Some(valid)) = (self.valid, &self.job.valid) else { return Ok(true) };
        let (job, step) = (self.job, self.state.step);
        let start = Instant::now();
        let (learner, stop) = (&self.learner, self.stop);
        let measured = validate(job, learner, rows, valid.tokens, step, stop)?;
        self.check_device()?;
        let Some((loss, supervised_tokens)) = measured else { return Ok(false) };
        if !loss.is_finite() {
            return Err(TrainError::NonFinite { what: "validation loss", value: loss, step, last: self.last_finite });
        }
        let best = self.state.best_loss.is_none_or(|lowest| loss < lowest);
        (self.state.valid, self.state.validated) = (Some(loss), Some(step));
        if best {
            (self.state.best_step, self.state.best_loss) = (Some(step), Some(loss));
            if job.keep == Keep::Best {
                self.write_best()?;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        observer.valid(&ValidReport { step, loss, supervised_tokens, seconds, best });
        self.clock = Instant::now();
        Ok(true)
    }

    /// Saves a checkpoint, unless what has been computed since the last one is to be undone: whoever goes on from that one
    /// finds the same.
    fn save(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        self.report(observer)?;
        if self.fallen.is_some() {
            return Ok(());
        }
        self.state.met = observer.met();
        self.state.scale = self.learner.scale()?.map(|at| (at.scale, at.good));
        if self.kept().returns(self.state.step) && self.saved != self.state.step {
            self.state.returns = 0;
        }
        self.settle(true, observer)?;
        let state = self.state.clone();
        // A stop that comes right after a checkpoint has nothing to save, and would have to remove what is there first.
        if self.rests.as_ref().is_some_and(|rests| {
            *rests == State { files: rests.files.clone(), seconds: rests.seconds, ..state.clone() }
        }) {
            return Ok(());
        }
        self.rests = Some(state.clone());
        self.saver.begin(self.job.folder, &self.learner.files(), state, self.kept())?;
        self.saved = self.state.step;
        self.clock = Instant::now();
        Ok(())
    }

    /// Tells of the checkpoint that has been saved meanwhile, or with `wait` of the one that is being saved.
    fn settle(&mut self, wait: bool, observer: &mut dyn Observer) -> Result<(), TrainError> {
        if let Some((step, path)) = self.saver.settled(wait)? {
            observer.checkpoint(step, &path);
        }
        Ok(())
    }

    /// The result; none if a stop was requested during the last validation.
    fn finish(&mut self, observer: &mut dyn Observer) -> Result<Option<Trained>, TrainError> {
        self.report(observer)?;
        self.settle(true, observer)?;
        // A stage that ended between two validations has a last one, as one that ended with its budget has.
        if self.job.valid.is_some() && self.state.validated != Some(self.state.step) && !self.validate(observer)? {
            return Ok(None);
        }
        let weights = match self.job.keep {
            Keep::Last => self.write_weights("last.safetensors")?,
            Keep::Best => self.merge_best()?,
        };
        let host = crate::model::load_segments(&self.learner.network, &weights)?;
        Ok(Some(Trained {
            weights_hash: weights_hash(&crate::model::named(&self.learner.network, &host)),
            adapter: self.job.adapter.map(|_| adapter_path(&weights)),
            weights,
            parameters: self.facts.parameters,
            steps: self.state.step,
            loss: self.state.loss,
            valid_loss: self.state.valid,
            best: self.state.best_step.zip(self.state.best_loss).map(|(step, loss)| Best { step, loss }),
            tokens: self.state.tokens,
            supervised_tokens: self.state.supervised_tokens,
            positions: self.state.positions,
            order: self.state.order.clone(),
            seconds: self.state.seconds,
            skipped: self.state.skipped,
            rolled_back: self.state.rolled_back,
            overflows: self.state.overflows,
            loss_scale: self.learner.scale()?.map(|at| f64::from(at.scale)),
            resumed_at: self.resumed_at,
            start: self.first,
        }))
    }

    /// Keeps what was best so far. Of a stage that trains adapters those alone: the network stays as it is, and is put together
    /// with them once the stage ends.
    fn write_best(&self) -> Result<(), TrainError> {
        if self.job.adapter.is_none() {
            return self.write_weights(BEST).map(drop);
        }
        let path = self.job.folder.join(BEST);
        let failed = |e: std::io::Error| TrainError::Checkpoint { path: path.clone(), cause: e.to_string() };
        std::fs::create_dir_all(self.job.folder).map_err(failed)?;
        self.learner.write_adapter(&adapter_path(&path))?;
        Ok(())
    }

    /// Where the best weights are, with the adapters of a stage that trains those worked in.
    fn merge_best(&self) -> Result<PathBuf, TrainError> {
        let path = self.job.folder.join(BEST);
        if self.job.adapter.is_some() {
            let host = crate::model::load_segments(&self.learner.layout, &adapter_path(&path))?;
            let best = Params::from_host(host, &self.job.device.device);
            crate::model::save_segments(&self.learner.network, &self.learner.merged(&best)?, &path)?;
        }
        Ok(path)
    }

    fn write_weights(&self, name: &str) -> Result<PathBuf, TrainError> {
        let path = self.job.folder.join(name);
        let failed = |e: std::io::Error| TrainError::Checkpoint { path: path.clone(), cause: e.to_string() };
        std::fs::create_dir_all(self.job.folder).map_err(failed)?;
        self.learner.write_adapter(&adapter_path(&path))?;
        crate::model::save_segments(&self.learner.network, &self.learner.weights()?, &path)?;
        Ok(path)
    }

    /// A panic of a thread that drives a GPU is caught and logged by burn; here it ends the stage. The CPU computes on the
    /// calling thread, whose panics need no such care.
    fn check_device(&self) -> Result<(), TrainError> {
        if self.job.device.kind == Kind::Cpu {
            return Ok(());
        }
        match crate::device::take_panic() {
            Some(message) => Err(TrainError::Device { step: self.state.step, message }),
            None => Ok(()),
        }
    }
}
