//! Walking the plan: cache look-ups, device choice, events, interruption.
//!
//! Everything that a plan makes is an object of the store under its hash, so a run is a walk over the plan that takes
//! what is there and makes what is not. Nothing is decided here about how data, tokens, networks or judgements come
//! about; this is the only place that knows all the rooms of the engine.
#![allow(
    clippy::disallowed_methods,
    reason = "objects are filled here, in folders that the store hands out; events carry times"
)]

mod counts;
pub mod display;
mod failure;
mod fits;
mod gates;
mod growing;
mod import;
mod judge;
mod judgement;
mod making;
mod memory;
mod samples;
pub mod signals;
mod stage;
mod status;
mod training;
pub mod view;
mod write;

pub use counts::LabCounts;
pub use failure::Failure;
pub use judge::Model;
pub use making::{Making, make_dataset};
pub use stage::{ADAPTER, StageFacts, WEIGHTS};
pub use status::statuses;
pub use write::{Reply, Show, Written};

use crate::device::Chosen;
use crate::plan::Plan;
use crate::plan::spec::{Precision, Training};
use crate::store::{
    Check, Device, Environment, Event, Lab, Object, Observer, Record, Reproducible, Run, RunFolder, Status,
};
use indexmap::IndexMap;
use signals::Stop;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where and with what a plan is run.
pub struct Bench<'a> {
    pub lab: &'a Lab,
    pub device: &'a Chosen,
    /// The folder that paths in the plan are seen from: that of the command.
    pub base: &'a Path,
    /// The experiment's folder, whose revision is recorded.
    pub home: &'a Path,
    pub stop: &'a Stop,
    /// How closely cached objects are looked at.
    pub check: Check,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub record: Record,
    pub folder: RunFolder,
}

/// Runs a plan, going on with an earlier process's run of it if one was stopped or killed.
///
/// # Errors
/// When the plan has a part that this version cannot execute, which is found before anything starts; when anything cannot
/// be made, with the reason; [`Failure::Stopped`] when a stop was requested. Whatever was finished stays.
pub fn run(plan: &Plan, bench: &Bench<'_>, observer: &mut dyn Observer) -> Result<Ran, Failure> {
    executable(plan, bench.device)?;
    let environment = Environment {
        reproducible: Some(reproducible(bench.device)),
        ..Environment::of(bench.home, plan.experiment.language, device_of(bench.device).computing(&precisions(plan)))
    };
    let run = bench.lab.begin(plan, &environment)?;
    let started = Instant::now();
    let hash = plan.hash.value().cloned().unwrap_or_default();
    let mut record = Record::begin(run.id(), &plan.name, &hash, environment.device.clone());
    record.reproducible = environment.reproducible.clone();
    let mut walk = Walk {
        plan,
        bench,
        run,
        observer,
        record,
        datasets: IndexMap::new(),
        tokenizers: IndexMap::new(),
        stages: IndexMap::new(),
        doubted: BTreeSet::new(),
        measured: crate::evaluate::Measurements::new(),
        verdicts: gates::Verdicts::default(),
    };
    walk.tell(Event::RunStarted {
        run: walk.run.id().to_owned(),
        experiment: plan.name.clone(),
        plan_hash: hash,
        device: environment.device,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        resumed: walk.run.resumed(),
    })?;
    walk.run.write_record(&walk.record)?;
    let outcome = walk.everything();
    walk.finish(outcome, started)
}

/// The stages whose precision a device does not have.
pub fn imprecise(plan: &Plan, device: &Chosen) -> Vec<(String, Precision)> {
    let has = |precision| crate::model::format(precision).is_none_or(|format| device.formats.contains(&format));
    let stages = plan.stages.iter().filter_map(|s| Some((s.name.clone(), s.spec.training()?.products())));
    stages.filter(|(_, precision)| !has(*precision)).collect()
}

/// The number formats that a device computes with, `f32, f16`.
pub fn formats_of(device: &Chosen) -> String {
    let all: Vec<&str> = ["f32"].into_iter().chain(device.formats.iter().map(|format| format.name())).collect();
    all.join(", ")
}

/// Refuses a plan with parts that cannot be executed, all of them at once.
fn executable(plan: &Plan, device: &Chosen) -> Result<(), Failure> {
    let mut missing: Vec<(String, String)> = Vec::new();
    let mut note = |name: &str, why: &Option<String>| {
        if let Some(why) = why {
            missing.push((name.to_owned(), why.clone()));
        }
    };
    plan.tokenizers.iter().for_each(|t| note(&t.name, &t.unsupported));
    plan.stages.iter().for_each(|s| note(&s.name, &s.unsupported));
    plan.stages.iter().for_each(|s| note(&s.name, &stage::unsupported(s)));
    plan.evals.iter().for_each(|e| note(&e.name, &e.unsupported));
    plan.reviews.iter().for_each(|r| note(&r.name, &r.unsupported));
    for (name, precision) in imprecise(plan, device) {
        let why = format!(
            "`precision = {}` needs {}, and the device `{}` has {}",
            precision.name(),
            precision.half().unwrap_or_default(),
            device.name,
            formats_of(device)
        );
        missing.push((name, why));
    }
    if missing.is_empty() { Ok(()) } else { Err(Failure::Unsupported(missing)) }
}

/// The device as the store writes it down, computing in f32.
pub fn device_of(chosen: &Chosen) -> Device {
    Device {
        name: chosen.name.clone(),
        backend: if chosen.kind == crate::device::Kind::Cpu { "flex" } else { "wgpu" }.to_owned(),
        adapter: chosen.adapter.clone(),
        driver: if chosen.kind == crate::device::Kind::Cpu { String::new() } else { chosen.driver.clone() },
        dtype: Precision::F32.name().to_owned(),
    }
}

/// The precisions that a plan's stages are trained with, each once.
pub fn precisions(plan: &Plan) -> String {
    let trained = plan.stages.iter().filter_map(|stage| stage.spec.training());
    let used: BTreeSet<Precision> = trained.map(Training::products).collect();
    if used.is_empty() {
        return Precision::F32.name().to_owned();
    }
    used.into_iter().map(Precision::name).collect::<Vec<_>>().join(", ")
}

/// What is promised of the device, as the store writes it down.
fn reproducible(chosen: &Chosen) -> Reproducible {
    let promise = crate::device::promise(chosen.kind);
    Reproducible {
        level: promise.level.name().to_owned(),
        pinned: promise.pinned.iter().map(|pinned| (*pinned).to_owned()).collect(),
    }
}

/// A run at work.
struct Walk<'a> {
    plan: &'a Plan,
    bench: &'a Bench<'a>,
    run: Run,
    observer: &'a mut dyn Observer,
    record: Record,
    /// Folders of the datasets made so far.
    datasets: IndexMap<String, PathBuf>,
    tokenizers: IndexMap<String, making::Trained>,
    stages: IndexMap<String, Object>,
    /// Tokens whose unknown characters have been told of.
    doubted: BTreeSet<String>,
    measured: crate::evaluate::Measurements,
    verdicts: gates::Verdicts,
}

impl Walk<'_> {
    fn everything(&mut self) -> Result<(), Failure> {
        let plan = self.plan;
        for dataset in &plan.datasets {
            self.dataset(dataset)?;
        }
        for tokenizer in &plan.tokenizers {
            self.tokenizer(tokenizer)?;
        }
        // All texts become tokens before anything is trained: a sample that cannot be used is told now, not in an hour.
        for stage in &plan.stages {
            self.prepare(stage)?;
        }
        for eval in &plan.evals {
            self.look(eval)?;
        }
        for stage in &plan.stages {
            self.stage(stage)?;
            self.run.write_record(&self.record)?;
        }
        for eval in &plan.evals {
            self.eval(eval)?;
            self.run.write_record(&self.record)?;
        }
        self.gates()
    }

    /// Writes an event down and shows it. An event that cannot be kept ends the run.
    fn tell(&mut self, event: Event) -> Result<(), Failure> {
        self.run.push(&event)?;
        self.observer.event(&event);
        for notice in self.bench.lab.take_notices() {
            let event = Event::warning(notice.0);
            self.run.push(&event)?;
            self.observer.event(&event);
        }
        Ok(())
    }

    fn finish(mut self, outcome: Result<(), Failure>, started: Instant) -> Result<Ran, Failure> {
        let (status, why) = match &outcome {
            Ok(()) => (Status::Done, None),
            Err(Failure::Stopped) => (Status::Stopped, None),
            Err(failure) => (Status::Failed, Some(failure.to_string())),
        };
        self.record.status = status;
        // What ends at once leaves no time for an answer, which comes first all the same.
        if matches!(outcome, Err(Failure::Stopped)) && self.bench.stop.first_to_tell() {
            self.observer.event(&Event::Stopping { signal: self.bench.stop.name().to_owned() });
        }
        let seconds = started.elapsed().as_secs_f64();
        let told = self.tell(Event::RunFinished { status, seconds, why });
        let written = self.run.write_record(&self.record);
        outcome?;
        told?;
        written?;
        Ok(Ran { record: self.record, folder: self.run.folder().clone() })
    }

    fn stopped(&self) -> Result<(), Failure> {
        if self.bench.stop.asked() { Err(Failure::Stopped) } else { Ok(()) }
    }
}
