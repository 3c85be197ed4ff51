//! What the verbs of the engine share: planning a file, finding the lab, taking a device.

use super::files::{Files, single};
use super::{Exit, Failure, Screen};
use crate::check::{Checked, Options, check_file};
use crate::device::{self, Chosen, DeviceError};
use crate::diagnostics::{Code, Problem, Problems};
use crate::plan::{Plan, Selection, plan_told};
use crate::run::display::{Form, acknowledge};
use crate::run::signals::{Interrupt, Stop};
use crate::run::{self, LabCounts};
use crate::store::{Lab, RunFolder, StoreError};
use crate::syntax::ast::Kind;
use std::path::{Path, PathBuf};

/// A checked and planned experiment.
pub struct Planned {
    pub world: Files,
    pub checked: Checked,
    pub plan: Plan,
}

/// What to plan.
pub struct Request<'a> {
    pub file: &'a Path,
    pub overrides: &'a [(String, String)],
    pub until: Option<String>,
    pub device: Option<String>,
    /// Whether warnings are shown; errors always are.
    pub warns: bool,
}

/// Checks and plans a file. Problems are shown, and are the end of it.
///
/// # Errors
/// `Ok(Err(exit))` when the experiment has problems; a failure when stdin cannot be read.
pub fn planned(request: &Request<'_>, lab: Option<&Lab>, screen: &Screen) -> Result<Result<Planned, Exit>, Failure> {
    let world = Files::new(&[request.file.to_path_buf()])?;
    let options = Options { overrides: request.overrides.to_vec(), pedantic: false };
    let (checked, mut problems) = check_file(&world, &single(request.file), &options);
    if problems.any_error() {
        screen.problems(&problems, &checked.sources);
        return Ok(Err(Exit::Problems));
    }
    let counts = lab.map(|lab| LabCounts::of(lab, request.device.clone())).unwrap_or_default();
    let selection = Selection { until: request.until.clone() };
    let (plan, found) = plan_told(&checked, &world, &selection, &counts);
    problems.extend(found);
    match plan {
        Some(plan) => {
            if request.warns {
                screen.problems_for_people(&problems, &checked.sources);
            }
            Ok(Ok(Planned { world, checked, plan }))
        }
        None => {
            screen.problems(&problems, &checked.sources);
            Ok(Err(Exit::Problems))
        }
    }
}

/// The folder of the lab that belongs to an experiment.
pub fn lab_place(file: &Path, given: Option<&Path>) -> PathBuf {
    Lab::place(file, given, None)
}

/// The lab of an experiment, made if need be.
pub fn lab(file: &Path, given: Option<&Path>) -> Result<Lab, Failure> {
    Lab::open(lab_place(file, given)).map_err(failed)
}

/// The lab that verbs without an experiment look into: the given one, or that of the working folder or one above or
/// below it.
pub fn lab_here(given: Option<&Path>) -> Result<Lab, Failure> {
    let candidates: Vec<PathBuf> = match given {
        Some(given) => vec![given.to_path_buf()],
        None => ["", "experiments", ".."].iter().map(|f| Path::new(f).join(".emberlab")).collect(),
    };
    for place in &candidates {
        if let Some(lab) = Lab::existing(place).map_err(failed)? {
            return Ok(lab);
        }
    }
    let looked: Vec<String> = candidates.iter().map(|c| format!("`{}`", c.display())).collect();
    Err(Failure::Usage {
        message: format!("there is no run store in {}", looked.join(", ")),
        help: Some("run an experiment first, or name the store with `--lab DIR`".to_owned()),
    })
}

/// The device asked for, or the first that works.
pub fn device(asked: Option<&str>) -> Result<Chosen, Failure> {
    device::choose(asked).map_err(|e| Failure::Usage {
        help: Some(match e {
            DeviceError::Several { .. } => {
                "points of a sweep run beside each other: `exp sweep --jobs N`, or `exp run` on each device".to_owned()
            }
            _ => "`exp devices` lists what this machine has".to_owned(),
        }),
        message: e.to_string(),
    })
}

/// The stages whose precision a device does not have, as problems of the experiment.
pub fn imprecise(planned: &Planned, chosen: &Chosen) -> Problems {
    let mut problems = Problems::default();
    for (name, precision) in run::imprecise(&planned.plan, chosen) {
        let format = precision.half().unwrap_or_default();
        let has = run::formats_of(chosen);
        let message = format!("`{name}` multiplies {format}, which `{}` does not compute with", chosen.name);
        let item = planned.checked.items.iter().find(|item| item.kind == Kind::Stage && item.name == name);
        let Some(item) = item else { continue };
        let other = chosen.formats.first().map(|format| format!("write `precision = mixed_{}`, or ", format.name()));
        problems.push(
            Problem::new(Code::E0619, item.span_of("precision"), message)
                .label(format!("needs {format}"))
                .note(format!("`{}` ({}) has {has}; nothing has been started", chosen.name, chosen.adapter))
                .help(format!(
                    "{}leave `precision` out for f32; `--device cpu` computes with every format, with f16 more slowly than with f32",
                    other.unwrap_or_default()
                )),
        );
    }
    problems
}

/// A request to stop that signals make, and that is answered at once in the given form.
pub fn stop(form: Form) -> Result<Stop, Failure> {
    let failed = |e| Failure::Run { message: format!("cannot listen to signals: {e}"), help: None };
    let stop = Stop::on_signals().map_err(failed)?;
    stop.acknowledge(move |signal| acknowledge(form, signal)).map_err(failed)?;
    Ok(stop)
}

/// Ctrl-C for a text that someone waits for.
pub fn interrupt() -> Result<Interrupt, Failure> {
    Interrupt::listen().map_err(|e| Failure::Run { message: format!("cannot listen to signals: {e}"), help: None })
}

/// A run by its id, its words, or a beginning of either.
pub fn run_named(lab: &Lab, name: &str) -> Result<RunFolder, Failure> {
    lab.run_named(name)
        .map_err(|e| Failure::Usage { message: e.to_string(), help: Some("`exp runs` lists the runs".to_owned()) })
}

/// A failure of the store.
pub fn failed(error: StoreError) -> Failure {
    Failure::Run { message: error.to_string(), help: None }
}

/// The folder an experiment lies in.
pub fn home(file: &Path) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default()
}
