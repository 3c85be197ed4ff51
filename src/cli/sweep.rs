//! `exp sweep`: runs an experiment at many points, or goes on with a sweep that was stopped.

use super::bench::{self, Request};
use super::files::{Files, single};
use super::shared::{LabArgs, Overrides};
use super::{Exit, Failure, Screen};
use crate::check::{CheckedSweep, Options, check_file};
use crate::plan::{Plan, Selection, plan_with};
use crate::run::display::{Display, Form};
use crate::run::{self, Bench, LabCounts};
use crate::store::{Check, Lab};
use crate::sweep::{self, Conduct, Goal, Jobs, Point, PointFailure, PointResult, Progress};
use std::path::Path;
use std::process::Command;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: String,
    /// The sweep, if the experiment has several.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Points that run at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Try points again that failed before.
    #[arg(long)]
    pub retry: bool,
    /// End at the first point that fails.
    #[arg(long)]
    pub fail_fast: bool,
    /// The device, as `exp devices` lists it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("sweep")?;
    let file = Path::new(&args.file);
    let lab = bench::lab(file, args.lab.lab.as_deref())?;
    let chosen = bench::device(args.device.as_deref())?;
    let device = run::device_of(&chosen).to_string();
    let request = Request { file, overrides: &args.overrides.set, until: None, device: Some(device.clone()) };
    let planned = match bench::planned(&request, Some(&lab), screen)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    let sweep = pick(&planned.checked.sweeps, args.name.as_deref())?;
    let failed = |e: sweep::SweepError| Failure::Run { message: e.to_string(), help: None };
    let counts = LabCounts::of(&lab, Some(device));
    let world = Files::new(&[file.to_path_buf()])?;
    let mut plans: Vec<(String, Plan)> = Vec::new();
    let mut check_point = |values: &[(String, String)]| -> Result<Plan, String> {
        let mut overrides = args.overrides.set.clone();
        overrides.extend(values.iter().cloned());
        let (checked, problems) = check_file(&world, &single(file), &Options { overrides, pedantic: false });
        let first = |problems: &crate::diagnostics::Problems| {
            problems.sorted().into_iter().find(|p| p.is_error()).map_or_else(String::new, |p| p.message.clone())
        };
        if problems.any_error() {
            return Err(first(&problems));
        }
        if let Some(now) = checked.sweeps.iter().find(|s| s.name == sweep.name)
            && !now.holds
        {
            return Err(format!("`where` does not hold: {}", now.constraint.clone().unwrap_or_default()));
        }
        let plan = plan_with(&checked, &world, &Selection { until: None }, &counts).map_err(|p| first(&p))?;
        if let Some(hash) = plan.hash.value() {
            plans.push((hash.clone(), plan.clone()));
        }
        Ok(plan)
    };
    let prepared = sweep::prepare(sweep, &mut check_point).map_err(failed)?;
    screen.note(&format!(
        "{} points, {} skipped; {} stages to train of {} (the others are shared)",
        prepared.candidates.len(),
        prepared.skipped.len(),
        prepared.sharing.distinct,
        prepared.sharing.stages
    ));
    let goal = Goal::of(sweep).map_err(failed)?;
    let conduct = Conduct { retry: args.retry, fail_fast: args.fail_fast };
    let stop = bench::stop()?;
    let mut told = |progress: Progress<'_>| match progress {
        Progress::Started { point, number, of } => screen.note(&format!("point {number} of {of}: {point}")),
        Progress::Ended(entry) => screen.note(&format!(
            "  {}{}",
            entry.status.name(),
            entry.objective.map_or_else(String::new, |o| format!(", objective {o:.4}"))
        )),
    };
    let result = if args.jobs > 1 {
        let command = |point: &Point| child(args, &lab, point);
        let jobs = Jobs { count: usize::from(args.jobs), command: &command, conduct };
        sweep::run_jobs(&prepared, &lab, goal.as_ref(), &jobs, stop.flag(), &mut told)
    } else {
        let home = bench::home(file);
        let bench =
            Bench { lab: &lab, device: &chosen, base: Path::new(""), home: &home, stop: &stop, check: Check::Sizes };
        let hash_of = |point: &Point| prepared.candidates.iter().find(|c| c.point.id == point.id).map(|c| &c.plan_hash);
        let mut run_point = |point: &Point| -> Result<PointResult, PointFailure> {
            let plan = hash_of(point).and_then(|hash| plans.iter().find(|(h, _)| h == hash));
            let Some((_, plan)) = plan else {
                return Err(PointFailure::Failed("the point has no plan".to_owned()));
            };
            let mut display = Display::stderr(Form::choose(false, screen.is_quiet()));
            let ran = run::run(plan, &bench, &mut display);
            display.finish();
            match ran {
                Ok(ran) => Ok(PointResult::of(&ran.record, goal.as_ref())),
                Err(run::Failure::Stopped) => Err(PointFailure::Stopped),
                Err(failure) => Err(PointFailure::Failed(failure.to_string())),
            }
        };
        sweep::run(&prepared, &lab, goal.as_ref(), conduct, stop.flag(), &mut run_point, &mut told)
    };
    let result = result.map_err(failed)?;
    if screen.is_json() {
        screen.document(&serde_json::to_value(&result).unwrap_or_default());
    } else {
        screen.result(&result.table().to_string());
    }
    let failed = result.points.iter().any(|p| p.status == sweep::PointStatus::Failed);
    Ok(match (stop.asked(), failed) {
        (true, _) => Exit::Stopped,
        (_, true) => Exit::Failed,
        _ => Exit::Done,
    })
}

fn pick<'s>(sweeps: &'s [CheckedSweep], name: Option<&str>) -> Result<&'s CheckedSweep, Failure> {
    let names: Vec<&str> = sweeps.iter().map(|s| s.name.as_str()).collect();
    let found = match (name, sweeps) {
        (Some(name), _) => sweeps.iter().find(|s| s.name == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| Failure::Usage {
        message: match (name, names.is_empty()) {
            (_, true) => "the experiment has no sweep".to_owned(),
            (Some(name), _) => format!("there is no sweep `{name}`"),
            (None, _) => "the experiment has several sweeps".to_owned(),
        },
        help: (!names.is_empty()).then(|| format!("name one of {}", names.join(", "))),
    })
}

/// The command that runs a point in a process of its own.
fn child(args: &Args, lab: &Lab, point: &Point) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| "exp".into());
    let mut command = Command::new(program);
    command.args(["run", &args.file, "--format", "json", "--quiet", "--lab"]).arg(lab.root());
    for (path, value) in args.overrides.set.iter().cloned().chain(point.overrides()) {
        command.arg("--set").arg(format!("{path}={value}"));
    }
    if let Some(device) = &args.device {
        command.args(["--device", device]);
    }
    command
}
