//! `exp lock`: pins every input of an experiment.

use super::bench::{self, Request};
use super::shared::{LabArgs, Overrides};
use super::{Exit, Failure, Screen};
use crate::plan::Plan;
use crate::share::Lock;
use crate::store::{Check, Lab, ObjectKind};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Change nothing; fail if the lock file is out of date.
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("lock")?;
    let file = Path::new(&args.file);
    let request = Request { file, overrides: &args.overrides.set, until: None, device: None, warns: true };
    let plan = match bench::planned(&request, None, screen)? {
        Ok(planned) => planned.plan,
        Err(exit) => return Ok(exit),
    };
    if args.check {
        locked(file, &plan, args.lab.lab.as_deref())?;
        screen.note("every input is as the lock says");
        return Ok(Exit::Done);
    }
    let lock = of(file, &plan, args.lab.lab.as_deref())?;
    let place = Lock::place(file);
    lock.write(&place).map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
    if screen.is_json() {
        screen.document(&serde_json::json!({
            "schema_version": 1, "lock": place.display().to_string(), "inputs": lock.inputs.len(),
        }));
    } else {
        screen.result(&format!("{} ({} inputs)\n", place.display(), lock.inputs.len()));
    }
    Ok(Exit::Done)
}

/// The lock of a plan, with what is known of its tokenizers.
pub(super) fn of(file: &Path, plan: &Plan, lab: Option<&Path>) -> Result<Lock, Failure> {
    if let Some(missing) = plan.datasets.iter().find_map(|d| d.hash.reason().map(|why| (d, why))) {
        return Err(Failure::Run {
            message: format!("dataset `{}` cannot be pinned: {}", missing.0.name, missing.1),
            help: Some("put the file where the experiment expects it".to_owned()),
        });
    }
    let mut artefacts = BTreeMap::new();
    if let Some(lab) = Lab::existing(&bench::lab_place(file, lab)).map_err(bench::failed)? {
        for tokenizer in &plan.tokenizers {
            let Some(hash) = tokenizer.hash.value() else { continue };
            let Some(object) = lab.find(ObjectKind::Tokenizer, hash, Check::Sizes).map_err(bench::failed)? else {
                continue;
            };
            if let Some(f) = object.manifest.files.iter().find(|f| f.path == "tokenizer.json") {
                artefacts.insert(tokenizer.name.clone(), f.blake3.clone());
            }
        }
    }
    let folder = bench::home(file).to_string_lossy().replace('\\', "/");
    Ok(Lock::of(plan, &folder, &artefacts))
}

/// Fails unless the inputs of `plan` are as the lock file says.
pub(super) fn locked(file: &Path, plan: &Plan, lab: Option<&Path>) -> Result<(), Failure> {
    let place = Lock::place(file);
    let help = Some(format!("`exp lock {}` writes it anew", file.display()));
    let lock = Lock::read(&place).map_err(|e| Failure::Run { message: e.to_string(), help: help.clone() })?;
    let differences: Vec<String> =
        lock.differences(&of(file, plan, lab)?).iter().filter(|d| d.is_fatal()).map(ToString::to_string).collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(Failure::Run { message: format!("the inputs are not as locked: {}", differences.join("; ")), help })
}
