//! `exp plan`: what would run, what it costs, and what is done already.

use super::files::{Files, single};
use super::shared::{LabArgs, Overrides};
use super::{Exit, Failure, Screen};
use crate::check::{Options, check_file};
use crate::plan::{KnownCounts, Plan, Selection, Statuses, display, json, plan_with};
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment, or `-` for stdin.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Plan this stage and what it needs, and nothing after it.
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("plan")?;
    let world = Files::new(std::slice::from_ref(&args.file))?;
    let options = Options { overrides: args.overrides.set.clone(), pedantic: false };
    let (checked, problems) = check_file(&world, &single(&args.file), &options);
    let planned = if problems.any_error() {
        Err(problems)
    } else {
        screen.problems_for_people(&problems, &checked.sources);
        plan_with(&checked, &world, &Selection { until: args.until.clone() }, &*counts(args))
    };
    match planned {
        Err(problems) => {
            screen.problems(&problems, &checked.sources);
            Ok(Exit::Problems)
        }
        Ok(plan) => {
            let statuses = statuses(&plan, args);
            if screen.is_json() {
                screen.document(&json::json(&plan, None, &statuses));
            } else {
                screen.result(&display::text(&plan, None, &statuses));
            }
            Ok(Exit::Done)
        }
    }
}

/// What the run store holds already. Without the engine there is no store, and so nothing is cached.
#[cfg(not(feature = "engine"))]
fn statuses(_plan: &Plan, _args: &Args) -> Statuses {
    Statuses::new()
}

/// What the run store holds already.
#[cfg(feature = "engine")]
fn statuses(plan: &Plan, args: &Args) -> Statuses {
    let place = crate::store::Lab::place(&args.file, args.lab.lab.as_deref(), None);
    match crate::store::Lab::existing(&place) {
        Ok(Some(lab)) => crate::run::statuses(plan, &lab),
        // A store that cannot be read holds nothing that could be used.
        Ok(None) | Err(_) => Statuses::new(),
    }
}

/// What earlier runs have counted and measured.
#[cfg(not(feature = "engine"))]
fn counts(_args: &Args) -> Box<dyn KnownCounts> {
    Box::new(crate::plan::Uncounted)
}

/// What earlier runs have counted and measured.
#[cfg(feature = "engine")]
fn counts(args: &Args) -> Box<dyn KnownCounts> {
    let place = crate::store::Lab::place(&args.file, args.lab.lab.as_deref(), None);
    match crate::store::Lab::existing(&place) {
        Ok(Some(lab)) => Box::new(crate::run::LabCounts::of(&lab, None)),
        Ok(None) | Err(_) => Box::new(crate::plan::Uncounted),
    }
}
