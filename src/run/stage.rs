//! A training stage: from its spec, its data and what it starts from to finished weights.

use super::fits::Sizes;
use super::making::data_name;
use super::training::{Reported, Reporter};
use super::{Failure, Walk};
use crate::device::Kind as DeviceKind;
use crate::plan::spec::{Keeping, Precision, Quantity, Stage, Training, Unit};
use crate::plan::{self, Known, PlannedStage};
use crate::store::{
    CheckpointRef, Claim, Draft, Event, Experts, Loss, Object, ObjectKind, Scaling, StageResult, Start,
};
use crate::tokenizer::Shards;
use crate::train::{self, Adapting, Boundary, Corpus, Job, Keep, Objective, Outcome, Schedule, Validation};
use crate::types::core::Core;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// File of a stage's object that holds the weights it hands on.
pub const WEIGHTS: &str = "weights.safetensors";
/// File of a stage's object that holds the adapters it trained, under PEFT's names, where it trained those.
pub const ADAPTER: &str = "adapter.safetensors";
/// File of a stage's object that holds its curve, for runs that find it cached.
pub const CURVE: &str = "curve.json";

/// What a stage's object says of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StageFacts {
    pub parameters: u64,
    pub steps: u64,
    pub tokens: u64,
    pub supervised_tokens: u64,
    /// Not a number where nothing was trained.
    #[serde(with = "crate::store::finite")]
    pub train_loss: f64,
    /// Of the weights that are handed on.
    pub valid_loss: Option<f64>,
    pub seconds: f64,
    pub tokens_per_second: f64,
    pub peak_memory_bytes: Option<u64>,
    pub weights_hash: String,
    pub data_order: String,
    /// Forward and backward, a token, as far as the objective needs them.
    pub flops_per_token: f64,
    /// That the device computed, where those were more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_flops_per_token: Option<f64>,
    /// As [`Device`](crate::store::Device) shows it.
    pub device: String,
    /// Places of all rows that were computed, padding included. Objects of earlier versions do not say.
    #[serde(default)]
    pub positions: Option<u64>,
    /// Tokens in a row, and rows in a forward pass.
    #[serde(default)]
    pub shape: Option<(u64, u64)>,
    /// What the reader should know of the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Objects of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// What went into its matrix products. Absent where nothing was trained; those of earlier versions had f32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Of `mixed_f16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Of a network that has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
}

/// Why this version cannot execute a stage of a kind that it otherwise can.
pub(super) fn unsupported(stage: &PlannedStage) -> Option<String> {
    let common = stage.spec.training()?;
    if matches!(common.budget.unit, Unit::Seconds | Unit::Dollars) {
        return Some("a budget in time or money: give it in tokens, steps, epochs, documents or FLOPs".to_owned());
    }
    if let Keeping::Best(best) = &common.keep
        && !matches!(&best.by.0, Core::Measure(path) if is_valid_loss(path))
    {
        return Some("`keep = best` by anything but `valid.loss`".to_owned());
    }
    None
}

fn is_valid_loss(path: &[String]) -> bool {
    matches!(path, [valid, loss] if valid == "valid" && (loss == "loss" || loss == "perplexity"))
}

impl Walk<'_> {
    /// Makes the tokens that a stage will be trained and validated on, unless it has been trained.
    pub(super) fn prepare(&mut self, planned: &PlannedStage) -> Result<(), Failure> {
        let hash = self.hash_of(&planned.name, &planned.hash)?;
        if self.bench.lab.find(ObjectKind::Stage, &hash, self.bench.check)?.is_some() {
            return Ok(());
        }
        let (Some(common), template) = (planned.spec.training(), planned.spec.template()) else { return Ok(()) };
        self.tokens(&common.data, &planned.tokenizer, template)?;
        if let Some(every) = &common.validate {
            self.tokens(&every.on, &planned.tokenizer, template)?;
        }
        Ok(())
    }

    pub(super) fn stage(&mut self, planned: &PlannedStage) -> Result<(), Failure> {
        self.stopped()?;
        let hash = self.hash_of(&planned.name, &planned.hash)?;
        let (object, cached) = match self.claim(ObjectKind::Stage, &hash, &planned.name)? {
            Claim::Ready(object) => (object, true),
            Claim::Build(draft) => match planned.spec.training() {
                Some(training) => (self.train(planned, training, &hash, draft)?, false),
                None => (self.import(planned, &hash, draft)?, false),
            },
        };
        self.used(ObjectKind::Stage, &hash, cached)?;
        let facts: StageFacts = serde_json::from_value(object.manifest.facts.clone())
            .map_err(|e| Failure::Stage { name: planned.name.clone(), why: format!("its object is damaged: {e}") })?;
        self.tell(Event::StageFinished {
            stage: planned.name.clone(),
            hash: hash.clone(),
            cached,
            steps: facts.steps,
            tokens: facts.tokens,
            supervised_tokens: facts.supervised_tokens,
            train_loss: facts.train_loss,
            valid_loss: facts.valid_loss,
            seconds: facts.seconds,
            peak_memory_bytes: facts.peak_memory_bytes,
            weights_hash: facts.weights_hash.clone(),
            data_order: order(&facts),
            start: facts.start.filter(|_| !cached),
        })?;
        let checkpoint = CheckpointRef {
            object: crate::store::ObjectRef { kind: ObjectKind::Stage, hash: hash.clone() },
            folder: format!("objects/{}/{hash}", ObjectKind::Stage.name()),
            step: facts.steps,
        };
        self.run.point_at(&planned.name, &checkpoint)?;
        self.measure(&planned.name, &facts);
        self.record.stages.insert(
            planned.name.clone(),
            StageResult {
                hash,
                cached,
                loss: Loss { train: facts.train_loss, valid: facts.valid_loss },
                tokens: facts.tokens,
                supervised_tokens: facts.supervised_tokens,
                seconds: facts.seconds,
                tokens_per_second: facts.tokens_per_second,
                peak_memory_bytes: facts.peak_memory_bytes,
                weights_hash: facts.weights_hash.clone(),
                data_order: order(&facts),
                warnings: facts.warnings,
                start: facts.start,
                precision: facts.precision,
                scaling: facts.scaling,
                experts: facts.experts,
            },
        );
        self.stages.insert(planned.name.clone(), object);
        Ok(())
    }

    /// Bytes that the device has left, where that is memory of the machine. A graphics interface does not tell of its own.
    fn free(&self) -> Option<u64> {
        let host = matches!(self.bench.device.kind, DeviceKind::Cpu | DeviceKind::SoftwareGpu);
        super::memory::available().filter(|_| host)
    }

    /// Says before a stage begins on the CPU that its memory may not suffice, and what would: no process is told when the
    /// system ends it. The same is said when there is none left, for as long as the result lives.
    fn warn_of_memory(&mut self, name: &str, sizes: &Sizes<'_>) -> Result<Option<crate::device::Advised>, Failure> {
        let Some(available) = self.free() else { return Ok(None) };
        let advice = sizes.advice(Some(available));
        let advised =
            crate::device::advise(&format!("stage `{name}`: the memory of this machine does not suffice: {advice}"));
        if sizes.bound() > available {
            let bound = plan::bytes(sizes.bound());
            self.tell(Event::warning(format!(
                "`{name}` may need as much as {bound}, which this machine does not have: {advice}"
            )))?;
        }
        Ok(Some(advised))
    }

    fn measure(&mut self, name: &str, facts: &StageFacts) {
        if facts.steps == 0 {
            return;
        }
        self.measured.value(&format!("{name}.train.loss"), facts.train_loss);
        self.measured.value(&format!("{name}.train.perplexity"), facts.train_loss.exp());
        if let Some(valid) = facts.valid_loss {
            self.measured.value(&format!("{name}.valid.loss"), valid);
            self.measured.value(&format!("{name}.valid.perplexity"), valid.exp());
        }
    }

    fn train(
        &mut self,
        planned: &PlannedStage,
        common: &Training,
        hash: &str,
        draft: Draft,
    ) -> Result<Object, Failure> {
        let name = planned.name.as_str();
        let template = planned.spec.template();
        let (corpus, tokens_hash) = self.tokens(&common.data, &planned.tokenizer, template)?;
        let valid = match &common.validate {
            Some(every) => Some((every, self.tokens(&every.on, &planned.tokenizer, template)?.0)),
            None => None,
        };
        let Some(tokenizer) = self.tokenizers.get(&planned.tokenizer) else {
            let why = "it has not been made".to_owned();
            return Err(Failure::Unplanned { name: planned.tokenizer.clone(), why });
        };
        let (vocab, pad) = (tokenizer.tokenizer.vocab(), tokenizer.tokenizer.pad());
        let boundary = if tokenizer.tokenizer.begin().is_some() { Boundary::Begin } else { Boundary::End };
        let init = match &common.init {
            Some(init) => match self.stages.get(&init.name) {
                Some(object) => Some(object.file(WEIGHTS)?),
                None => {
                    let why = "the stage it starts from has not run".to_owned();
                    return Err(Failure::Unplanned { name: name.to_owned(), why });
                }
            },
            None => None,
        };
        let amounts = Amounts::of(planned, common, &corpus, vocab)?;
        let job = Job {
            objective: match &planned.spec {
                Stage::Sft(stage) if stage.packed => Objective::SftPacked,
                Stage::Sft(_) => Objective::Sft,
                Stage::NextToken(stage) if stage.apart => Objective::NextTokenApart(boundary),
                _ => Objective::NextToken,
            },
            model: &planned.model,
            vocab,
            init: init.as_deref(),
            corpus: &corpus,
            valid: valid.as_ref().map(|(every, corpus)| Validation {
                corpus,
                every: amounts.period(every.period),
                tokens: every.tokens.and_then(|t| u64::try_from(t).ok()),
            }),
            batch: amounts.batch,
            growth: amounts.step.growth,
            micro_batch: amounts.micro_batch,
            sequence: amounts.sequence,
            steps: amounts.steps,
            adapter: common.adapter.as_ref().map(|spec| Adapting { spec, init: None }),
            recompute: common.recompute,
            precision: common.products(),
            optimizer: &common.optimizer,
            groups: &common.groups,
            schedule: Schedule::resolve(&common.schedule, amounts.steps, |tokens| amounts.steps_for(tokens))
                .map_err(|e| Failure::Stage { name: name.to_owned(), why: e.to_string() })?,
            clip: common.clip,
            z_loss: common.z_loss,
            ema: common.ema,
            on_spike: common.on_spike.as_ref(),
            keep: if matches!(common.keep, Keeping::Best(_)) { Keep::Best } else { Keep::Last },
            checkpoint: u64::try_from(common.checkpoint).unwrap_or(0),
            checkpoints: usize::try_from(common.checkpoints).unwrap_or(1),
            seed: self.plan.seed(common.seed),
            pad,
            folder: &draft.scratch(),
            identity: hash,
            device: self.bench.device,
        };
        let sizes = Sizes {
            model: &planned.model,
            vocab: embeddings(planned, vocab),
            sequence: amounts.sequence as u64,
            micro_batch: amounts.micro_batch as u64,
            sequences: amounts.batch as u64,
            training: common,
        };
        let advised = self.warn_of_memory(name, &sizes)?;
        let size = (amounts.steps, amounts.batch as u64);
        let mut reporter = Reporter::new(name, hash, size, common.until.as_ref(), &self.run, self.observer);
        let stop = train::Stop::from_flag(self.bench.stop.shared());
        let outcome = train::train(&job, &mut reporter, &stop);
        drop(advised);
        let Reported { until, mut warnings, failure } = reporter.finish();
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        let (device, free) = (self.bench.device.name.clone(), self.free());
        let failed = |why: train::TrainError| match super::fits::out_of_memory(&why) {
            Some(said) => Failure::Memory {
                name: name.to_owned(),
                device: device.clone(),
                why: said,
                advice: match common.products() {
                    // Where sums are rounded decides which of them overflow.
                    Precision::MixedF16 => format!(
                        "{}; with another `micro_batch` the stage begins anew, with another `recompute` it goes on from its \
                         last checkpoint",
                        sizes.advice(free)
                    ),
                    _ => format!(
                        "{}; with another `micro_batch` or `recompute` the run goes on from its last checkpoint",
                        sizes.advice(free)
                    ),
                },
            },
            None => Failure::Train { name: name.to_owned(), why },
        };
        let trained = match outcome.map_err(failed)? {
            Outcome::Stopped { .. } => return Err(Failure::Stopped),
            Outcome::Finished(trained) => trained,
        };
        warnings.extend(super::training::troubles(name, &trained));
        // What a row is follows from the tokens and the length; which rows were seen, and when, the training has noted.
        let data_order = plan::digest(
            "data order",
            &json!({ "tokens": tokens_hash, "sequence": amounts.sequence, "rows": trained.order }),
        );
        if let Some(text) = until {
            self.tell(Event::info(text))?;
        }
        let copied = std::fs::copy(&trained.weights, draft.files().join(WEIGHTS));
        copied.map_err(|e| Failure::io(name, "keep the weights", &e))?;
        if let Some(adapter) = &trained.adapter {
            let copied = std::fs::copy(adapter, draft.files().join(ADAPTER));
            copied.map_err(|e| Failure::io(name, "keep the adapters", &e))?;
        }
        self.sample(planned, &draft.files(), &common.data, trained.steps)?;
        let curve = self.run.folder().curves()?.shift_remove(name).unwrap_or_default();
        let experts = curve.experts();
        let curve = serde_json::to_vec(&curve)
            .map_err(|e| Failure::Stage { name: name.to_owned(), why: format!("cannot keep the curve: {e}") })?;
        std::fs::write(draft.files().join(CURVE), curve).map_err(|e| Failure::io(name, "keep the curve", &e))?;
        let kept = match (&common.keep, trained.best) {
            (Keeping::Best(_), Some(best)) => Some(best.loss),
            _ => trained.valid_loss,
        };
        if let Some(text) = super::training::divergence(name, trained.loss, vocab) {
            self.tell(Event::warning(text.clone()))?;
            warnings.push(text);
        }
        let every = self.bench.device.kind != DeviceKind::Cpu;
        let flops = flops_per_token(planned, common, vocab, amounts.sequence as u64, every);
        let facts = StageFacts {
            parameters: trained.parameters,
            steps: trained.steps,
            tokens: trained.tokens,
            supervised_tokens: trained.supervised_tokens,
            train_loss: trained.loss.unwrap_or(f64::NAN),
            valid_loss: kept,
            seconds: trained.seconds,
            tokens_per_second: trained.tokens as f64 / trained.seconds.max(1e-9),
            peak_memory_bytes: super::memory::peak(),
            weights_hash: trained.weights_hash,
            data_order,
            flops_per_token: flops.model,
            hardware_flops_per_token: (flops.hardware > flops.model).then_some(flops.hardware),
            device: super::device_of(self.bench.device).computing(common.products().name()).to_string(),
            positions: Some(trained.positions),
            shape: Some((amounts.sequence as u64, amounts.micro_batch as u64)),
            warnings,
            start: trained.start.map(|start| Start {
                first_step_seconds: start.first_step_seconds,
                compile_seconds: start.compile_seconds,
                repeats: start.repeats,
            }),
            precision: Some(common.products()),
            scaling: trained.loss_scale.map(|scale| Scaling { loss_scale: scale, left_out: trained.overflows }),
            experts,
        };
        let facts = serde_json::to_value(&facts).map_err(|e| Failure::Stage {
            name: name.to_owned(),
            why: format!("cannot note what was measured: {e}"),
        })?;
        Ok(draft.finish(facts)?)
    }
}

/// The order of the data, of a stage that had any.
fn order(facts: &StageFacts) -> Option<String> {
    (!facts.data_order.is_empty()).then(|| facts.data_order.clone())
}

fn flops_per_token(planned: &PlannedStage, common: &Training, vocab: usize, sequence: u64, every: bool) -> plan::Flops {
    let parameters = plan::parameters(&planned.model, embeddings(planned, vocab));
    plan::stage_flops_per_token(&planned.model, &parameters, sequence, common, every)
}

/// Embeddings of a stage's network: as many as it says, or else one for each token.
fn embeddings(planned: &PlannedStage, vocab: usize) -> u64 {
    planned.model.vocab.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(vocab as u64)
}

/// A stage's amounts, once its data is counted.
struct Amounts {
    batch: usize,
    micro_batch: usize,
    sequence: usize,
    steps: u64,
    step: plan::Step,
    /// Of a full step.
    tokens_per_step: u64,
    /// Not whole where a step runs over the end of an epoch.
    steps_per_epoch: f64,
}

impl Amounts {
    fn of(planned: &PlannedStage, common: &Training, corpus: &Shards, vocab: usize) -> Result<Amounts, Failure> {
        let sequence = planned.estimate.sequence;
        let step = plan::Step::of(common.batch, sequence).growing(common.growth.as_ref());
        let rows = if matches!(planned.spec, Stage::Sft(_)) { plan::Rows::Padded } else { plan::Rows::Packed };
        let length = plan::length(&plan::Budget {
            budget: common.budget,
            step,
            rows,
            data: plan::Amounts {
                name: data_name(&common.data),
                tokens: Known::Value(corpus.tokens()),
                documents: Known::Value(corpus.offsets().len().saturating_sub(1) as u64),
            },
            flops_per_token: Known::Value(flops_per_token(planned, common, vocab, sequence, false).model),
            tokens_per_second: Known::Unknown("this version does not run for a time".to_owned()),
        });
        let steps = match length.steps {
            Known::Value(steps) => steps,
            Known::Unknown(why) => return Err(Failure::Unplanned { name: planned.name.clone(), why }),
        };
        let documents = corpus.offsets().len().saturating_sub(1).max(1) as u64;
        let micro = match common.micro_batch {
            Some(given) => u64::try_from(given).unwrap_or(1),
            None => plan::micro_batch(
                &planned.model,
                sequence,
                step.sequences,
                embeddings(planned, vocab),
                &common.into(),
                plan::ACTIVATION_BYTES,
            ),
        };
        let tokens_per_step = match rows {
            plan::Rows::Packed => step.tokens(),
            plan::Rows::Padded => (corpus.tokens() * step.sequences / documents).max(1),
        };
        let steps_per_epoch = match rows {
            plan::Rows::Packed => corpus.tokens() as f64 / step.tokens().max(1) as f64,
            plan::Rows::Padded => documents as f64 / step.sequences.max(1) as f64,
        };
        Ok(Amounts {
            batch: step.sequences as usize,
            micro_batch: micro.clamp(1, step.sequences.max(1)) as usize,
            sequence: sequence as usize,
            steps: steps.max(1),
            step,
            tokens_per_step,
            steps_per_epoch,
        })
    }

    /// Steps that read so many tokens.
    fn steps_for(&self, tokens: f64) -> f64 {
        match self.step.growth {
            None => tokens / self.tokens_per_step.max(1) as f64,
            Some(_) => {
                self.step.for_sequences(tokens * self.step.sequences as f64 / self.tokens_per_step.max(1) as f64)
            }
        }
    }

    /// Steps between validations; of a batch that grows, of the full one.
    fn period(&self, period: Quantity) -> u64 {
        let steps = match period.unit {
            Unit::Tokens => period.amount / self.tokens_per_step.max(1) as f64,
            Unit::Epochs => period.amount * self.steps_per_epoch,
            _ => period.amount,
        };
        (steps.round() as u64).max(1)
    }
}
