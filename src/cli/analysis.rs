//! Checking and planning a file, as every verb does it first.

use super::points::lacks;
use crate::check::{AxisValues, Checked, CheckedSweep, Options, check_file};
use crate::diagnostics::{Code, Problem, Problems, Severity};
use crate::plan::look;
use crate::source::{Input, World, WorldError};
use crate::sweep::{Point, Reduce, Refusal};
use std::sync::Arc;

/// Everything that can be said of a file without computing: what the checker finds, whether its items fit together, and
/// whether its sweeps have a point to start with. Data files are not opened, however many there are.
pub fn analyse(world: &dyn World, path: &str, options: &Options) -> (Checked, Problems) {
    let (checked, mut problems) = check_file(world, path, options);
    problems.extend(look(&checked, &WithoutData(world), !problems.any_error()));
    if !problems.any_error() {
        for sweep in &checked.sweeps {
            let mut check = |point: &[Setting]| check_point(world, path, options, &sweep.name, point);
            if let Some(problem) = no_point(sweep, &mut check) {
                problems.push(problem);
            }
        }
    }
    (checked, problems)
}

/// The path of a field and the text of its value.
type Setting = (String, String);

/// Points of a sweep that are tried before it is given the benefit of the doubt; `exp sweep` tries them all.
const TRIES: usize = 24;

/// The problem of a sweep none of whose points is valid. Ranges have too many points to tell.
fn no_point(sweep: &CheckedSweep, check: &mut dyn FnMut(&[Setting]) -> Result<(), Refusal>) -> Option<Problem> {
    let count = sweep.axes.iter().try_fold(1usize, |count, axis| match &axis.values {
        AxisValues::Choices(values) => Some(count.saturating_mul(values.len())),
        AxisValues::Linear { .. } | AxisValues::Log { .. } => None,
    })?;
    let mut reasons = Vec::new();
    let mut tried: Vec<String> = Vec::new();
    let mut reduce = Reduce::new(sweep);
    for index in 0..count {
        let (point, judged) = reduce.point(&point_at(sweep, index), check);
        if !tried.contains(&point.id) {
            reasons.push(format!("with {point}: {}", judged.err()?));
            tried.push(point.id);
        }
        if tried.len() == TRIES && index + 1 < count {
            return Some(doubtful(sweep, reasons));
        }
    }
    let axes = match sweep.axes.len() {
        1 => "widen its axis",
        _ => "widen one of its axes",
    };
    let problem = Problem::new(Code::E0803, sweep.span, format!("no point of sweep `{}` is valid", sweep.name))
        .label(match tried.len() {
            1 => "its only point does not start".to_owned(),
            n => format!("none of its {n} points starts"),
        })
        .help(format!("{axes}, or loosen the condition"));
    Some(reasons.into_iter().take(3).fold(problem, Problem::note))
}

/// A sweep whose first points are not valid. The others may be, so this is no error.
fn doubtful(sweep: &CheckedSweep, reasons: Vec<String>) -> Problem {
    let text = format!("none of the first {} points of sweep `{}` is valid", reasons.len(), sweep.name);
    let mut problem = Problem::new(Code::E0803, sweep.span, text)
        .label("the others were not tried")
        .help("`exp plan` and `exp sweep` try them all");
    problem.severity = Severity::Warning;
    reasons.into_iter().take(3).fold(problem, Problem::note)
}

/// The point with that number in a grid over lists; the last axis changes fastest.
fn point_at(sweep: &CheckedSweep, index: usize) -> Point {
    let mut rest = index;
    let mut values = Vec::new();
    for axis in sweep.axes.iter().rev() {
        if let AxisValues::Choices(choices) = &axis.values
            && let Some(value) = choices.get(rest % choices.len().max(1))
        {
            rest /= choices.len();
            values.push((axis.path.clone(), value.clone()));
        }
    }
    Point::new(values.into_iter().rev().collect())
}

/// Whether the experiment is valid at a point of its sweep.
fn check_point(
    world: &dyn World,
    path: &str,
    options: &Options,
    sweep: &str,
    point: &[Setting],
) -> Result<(), Refusal> {
    let overrides = options.overrides.iter().chain(point).cloned().collect();
    let (checked, mut problems) = check_file(world, path, &Options { overrides, pedantic: false });
    let now = checked.sweeps.iter().find(|s| s.name == sweep);
    if let Some(path) = now.and_then(|now| lacks(now, point)) {
        return Err(Refusal::Lacks(path));
    }
    problems.extend(look(&checked, &WithoutData(world), !problems.any_error()));
    if let Some(error) = problems.sorted().into_iter().find(|p| p.is_error()) {
        return Err(Refusal::Invalid(error.message.clone()));
    }
    match now.filter(|now| !now.holds) {
        Some(now) => Err(Refusal::Invalid(format!("`{}` does not hold", now.constraint.as_deref().unwrap_or("where")))),
        None => Ok(()),
    }
}

/// A world whose data files are all absent. Whether a pattern is well formed can be told all the same.
struct WithoutData<'a>(&'a dyn World);

impl World for WithoutData<'_> {
    fn read(&self, path: &str) -> Result<Arc<str>, WorldError> {
        self.0.read(path)
    }

    fn start(&self, path: &str, length: usize) -> Result<(Vec<u8>, u64), WorldError> {
        self.0.start(path, length)
    }

    fn inputs(&self, _base: &str, pattern: &str) -> Result<Vec<Input>, WorldError> {
        match glob::Pattern::new(pattern) {
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(WorldError::BadPattern(pattern.to_owned(), error.msg.to_owned())),
        }
    }

    fn looks_for_data(&self) -> bool {
        false
    }

    fn siblings(&self, folder: &str) -> Vec<String> {
        self.0.siblings(folder)
    }
}
