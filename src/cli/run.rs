//! `exp run`: executes an experiment, or goes on with one that was stopped.

use super::bench::{self, Planned, Request};
use super::shared::{LabArgs, Overrides};
use super::{Exit, Failure, Screen};
use crate::report;
use crate::run::display::{Display, Form};
use crate::run::{self, Bench, Ran, view};
use crate::store::{Check, Lab, Status};
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub overrides: Overrides,
    /// The device, as `exp devices` lists it; by default the first that works.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Run this stage and what it needs, and nothing after it.
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    /// Refuse to start unless every input is as the lock file says.
    #[arg(long)]
    pub locked: bool,
    /// Write what happens as events, one a line, on stderr.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub events: Option<Events>,
    #[command(flatten)]
    pub lab: LabArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Events {
    Json,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("run")?;
    let file = Path::new(&args.file);
    let lab = bench::lab(file, args.lab.lab.as_deref())?;
    let chosen = bench::device(args.device.as_deref())?;
    let device = run::device_of(&chosen).to_string();
    let request = Request {
        file,
        overrides: &args.overrides.set,
        until: args.until.clone(),
        device: Some(device.clone()),
        warns: args.events.is_none(),
    };
    let planned = match bench::planned(&request, Some(&lab), screen)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    let imprecise = bench::imprecise(&planned, &chosen);
    if imprecise.any_error() {
        screen.problems(&imprecise, &planned.checked.sources);
        return Ok(Exit::Problems);
    }
    if args.locked {
        super::lock::locked(file, &planned.plan, args.lab.lab.as_deref())?;
    }
    let computing = run::device_of(&chosen).computing(&run::precisions(&planned.plan));
    screen.note(&format!("device: {computing}: {}", chosen.reason));
    let promise = crate::device::promise(chosen.kind);
    screen.note(&format!("reproducible: {}: {}", promise.level.name(), promise.why));
    let form = Form::choose(args.events.is_some(), screen.is_quiet());
    let stop = bench::stop(form)?;
    let bench = Bench {
        lab: &lab,
        device: &chosen,
        base: Path::new(""),
        home: &bench::home(file),
        stop: &stop,
        check: Check::Sizes,
    };
    let mut display = Display::stderr(form).without_failures().verbose(screen.verbose > 0);
    let ran = run::run(&planned.plan, &bench, &mut display);
    display.finish();
    match ran {
        Ok(ran) => finished(&planned, &lab, &ran, screen),
        Err(run::Failure::Stopped) => {
            screen.note("stopped; the same command goes on from here");
            Ok(Exit::Stopped)
        }
        Err(failure) => Err(failed(&failure)),
    }
}

/// A run's failure as the command line tells it. What the same command would only meet again gets no help: its message
/// says what to change.
pub(super) fn failed(failure: &run::Failure) -> Failure {
    let help = match failure {
        run::Failure::Unsupported(_) => Some("nothing was started; `exp plan` shows the whole experiment"),
        run::Failure::Unplanned { .. } => Some("`exp plan` says what is missing"),
        other if other.may_pass() => Some("what was finished is kept; the same command goes on from there"),
        _ => None,
    };
    Failure::Run { message: failure.to_string(), help: help.map(str::to_owned) }
}

fn finished(planned: &Planned, lab: &Lab, ran: &Ran, screen: &Screen) -> Result<Exit, Failure> {
    let place = write_report(planned, lab, ran)?;
    if screen.is_json() {
        let json = serde_json::to_value(&ran.record)
            .map_err(|e| Failure::Run { message: format!("the record cannot be written: {e}"), help: None })?;
        screen.document(&json);
    } else {
        screen.result(&super::summary::of(&ran.record));
        screen.result(&format!("\nreport  {}\n", place.display()));
    }
    let unmet = ran.record.status == Status::Done && ran.record.misses_a_gate();
    Ok(if unmet { Exit::Unmet } else { Exit::Done })
}

/// Writes the run's report into its folder.
fn write_report(planned: &Planned, lab: &Lab, ran: &Ran) -> Result<PathBuf, Failure> {
    let sources = super::report::sources(&planned.checked);
    let shown = view::view(lab, &ran.folder, sources.clone()).map_err(bench::failed)?;
    super::report::keep_sources(&ran.folder, &sources)?;
    let place = ran.folder.path.join("report.html");
    super::report::write(&place, &report::html(&[shown]))?;
    Ok(place)
}
