//! Checking and planning a file, as every verb does it first.

use crate::check::{AxisValues, Checked, CheckedSweep, Options, check_file};
use crate::diagnostics::{Code, Problem, Problems};
use crate::plan::look;
use crate::source::{Input, World, WorldError};
use std::sync::Arc;

/// Everything that can be said of a file without computing: what the checker finds, whether its items fit together, and
/// whether its sweeps have a point to start with. Data files are not opened, however many there are.
pub fn analyse(world: &dyn World, path: &str, options: &Options) -> (Checked, Problems) {
    let (checked, mut problems) = check_file(world, path, options);
    problems.extend(look(&checked, &WithoutData(world), !problems.any_error()));
    if !problems.any_error() {
        for sweep in &checked.sweeps {
            let mut refused = |point: &[Setting]| refused(world, path, options, &sweep.name, point);
            if let Some(problem) = no_point(sweep, &mut refused) {
                problems.push(problem);
            }
        }
    }
    (checked, problems)
}

/// The path of a field and the text of its value.
type Setting = (String, String);

/// Points of a sweep that are tried before it is given the benefit of the doubt; `exp sweep` tries them all.
const TRIES: usize = 256;

/// The problem of a sweep none of whose points is valid. Ranges have too many points to tell.
fn no_point(sweep: &CheckedSweep, refused: &mut dyn FnMut(&[Setting]) -> Option<String>) -> Option<Problem> {
    let mut points: Vec<Vec<Setting>> = vec![Vec::new()];
    for axis in &sweep.axes {
        let AxisValues::Choices(values) = &axis.values else { return None };
        if points.len().saturating_mul(values.len()) > TRIES {
            return None;
        }
        let with = |point: &Vec<Setting>, value: &String| {
            point.iter().cloned().chain([(axis.path.clone(), value.clone())]).collect()
        };
        points = points.iter().flat_map(|point| values.iter().map(move |value| with(point, value))).collect();
    }
    let mut reasons = Vec::new();
    for point in &points {
        let why = refused(point)?;
        let values: Vec<String> = point.iter().map(|(path, value)| format!("{path} = {value}")).collect();
        reasons.push(format!("with {}: {why}", values.join(", ")));
    }
    let axes = match sweep.axes.len() {
        1 => "widen its axis",
        _ => "widen one of its axes",
    };
    let problem = Problem::new(Code::E0803, sweep.span, format!("no point of sweep `{}` is valid", sweep.name))
        .label(match points.len() {
            1 => "its only point does not start".to_owned(),
            n => format!("none of its {n} points starts"),
        })
        .help(format!("{axes}, or loosen the condition"));
    Some(reasons.into_iter().take(3).fold(problem, Problem::note))
}

/// Why the experiment is not valid at a point of its sweep, if so.
fn refused(world: &dyn World, path: &str, options: &Options, sweep: &str, point: &[Setting]) -> Option<String> {
    let overrides = options.overrides.iter().chain(point).cloned().collect();
    let (checked, mut problems) = check_file(world, path, &Options { overrides, pedantic: false });
    problems.extend(look(&checked, &WithoutData(world), !problems.any_error()));
    if let Some(error) = problems.sorted().into_iter().find(|p| p.is_error()) {
        return Some(error.message.clone());
    }
    let now = checked.sweeps.iter().find(|s| s.name == sweep).filter(|now| !now.holds)?;
    Some(format!("`{}` does not hold", now.constraint.as_deref().unwrap_or("where")))
}

/// A world whose data files are all absent. Whether a pattern is well formed can be told all the same.
struct WithoutData<'a>(&'a dyn World);

impl World for WithoutData<'_> {
    fn read(&self, path: &str) -> Result<Arc<str>, WorldError> {
        self.0.read(path)
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
