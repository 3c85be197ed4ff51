//! `exp sweep`: runs an experiment at many points, or goes on with a sweep that was stopped.

use super::bench::{self, Planned, Request};
use super::files::single;
use super::points::Swept;
use super::shared::{LabArgs, Overrides};
use super::{Exit, Failure, Screen};
use crate::check::{AxisValues, CheckedSweep};
use crate::plan::Plan;
use crate::report::{self, AxisView, PointView, SweepView};
use crate::run::display::{Display, Form};
use crate::run::{self, Bench, LabCounts, view};
use crate::store::{Check, Lab};
use crate::sweep::{self, Conduct, Goal, Jobs, Point, PointFailure, PointResult, Progress, SweepResult};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    if args.jobs > 1 && args.file == "-" {
        return Err(Failure::Usage {
            message: "points in processes of their own cannot all read stdin".to_owned(),
            help: Some("write the experiment to a file, or leave `--jobs` out".to_owned()),
        });
    }
    let lab = bench::lab(file, args.lab.lab.as_deref())?;
    let chosen = bench::device(args.device.as_deref())?;
    let device = run::device_of(&chosen).to_string();
    let request =
        Request { file, overrides: &args.overrides.set, until: None, device: Some(device.clone()), warns: true };
    let planned = match bench::planned(&request, Some(&lab), screen)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    let sweep = pick(&planned.checked.sweeps, args.name.as_deref())?;
    let search = |e: sweep::SearchError| Failure::Run { message: e.to_string(), help: None };
    let counts = LabCounts::of(&lab, Some(device));
    let name = single(file);
    let swept = Swept { file: &name, world: &planned.world, overrides: &args.overrides.set, counts: &counts };
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    let mut check_point = |values: &[(String, String)]| -> Result<Plan, sweep::Refusal> {
        let plan = swept.plan(sweep, values)?;
        if let Some(hash) = plan.hash.value() {
            plans.entry(hash.clone()).or_insert_with(|| plan.clone());
        }
        Ok(plan)
    };
    let prepared = sweep::prepare(sweep, &mut check_point).map_err(search)?;
    screen.note(&format!(
        "{} points, {} skipped; {} stages to train of {} (the others are shared)",
        prepared.candidates.len(),
        prepared.skipped.len(),
        prepared.sharing.distinct,
        prepared.sharing.stages
    ));
    let goal = Goal::of(sweep).map_err(search)?;
    let conduct = Conduct { retry: args.retry, fail_fast: args.fail_fast };
    let stop = bench::stop(Form::choose(false, screen.is_quiet()))?;
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
            let Some(plan) = hash_of(point).and_then(|hash| plans.get(hash)) else {
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
    let result = result.map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
    let place = write_report(sweep, &result, &planned, &lab)?;
    if screen.is_json() {
        screen.document(&serde_json::to_value(&result).unwrap_or_default());
    } else {
        screen.result(&result.table().to_string());
        screen.result(&format!("\nreport  {}\n", place.display()));
    }
    let failed = result.points.iter().any(|p| p.status == sweep::PointStatus::Failed);
    Ok(match (stop.asked(), failed) {
        (true, _) => Exit::Stopped,
        (_, true) => Exit::Failed,
        _ => Exit::Done,
    })
}

/// Writes the sweep's report, which also tells of the best point's run, into the sweep's folder.
fn write_report(sweep: &CheckedSweep, result: &SweepResult, planned: &Planned, lab: &Lab) -> Result<PathBuf, Failure> {
    let best = result.points.iter().find(|p| Some(&p.id) == result.best.as_ref()).and_then(|p| p.run.as_ref());
    let mut runs = Vec::new();
    if let Some(folder) = best.and_then(|id| lab.run_named(id).ok()) {
        let sources = super::report::sources(&planned.checked);
        super::report::keep_sources(&folder, &sources)?;
        runs.push(view::view(lab, &folder, sources).map_err(bench::failed)?);
    }
    let place = lab.folder("sweeps").join(&result.sweep).join("report.html");
    super::report::write(&place, &report::html_with_sweeps(&runs, &[shown(sweep, result)]))?;
    Ok(place)
}

/// A sweep as the report shows it.
fn shown(sweep: &CheckedSweep, result: &SweepResult) -> SweepView {
    let axes = sweep
        .axes
        .iter()
        .map(|axis| AxisView { path: axis.path.clone(), log: matches!(axis.values, AxisValues::Log { .. }) });
    let points = result.points.iter().map(|point| PointView {
        id: point.id.clone(),
        values: sweep.axes.iter().map(|axis| point.values.get(&axis.path).cloned()).collect(),
        status: point.status.name().to_owned(),
        objective: point.objective,
        seconds: point.seconds,
        reused: point.reused.is_some_and(|stages| stages > 0),
    });
    SweepView {
        name: sweep.name.clone(),
        objective: sweep.objective.clone().unwrap_or_default(),
        maximize: sweep.json.get("maximize").is_some_and(|m| !m.is_null()),
        axes: axes.collect(),
        points: points.collect(),
    }
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
