//! Running the points of a sweep in turn, in this process.

use super::error::SweepError;
use super::goal::Goal;
use super::points::Point;
use super::prepare::Prepared;
use super::result::SweepResult;
use super::state::{Entry, PointStatus, State};
use crate::store::{Lab, Record};
use std::sync::atomic::{AtomicBool, Ordering};

/// How a sweep deals with points that fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Conduct {
    /// Points that failed before are tried again.
    pub retry: bool,
    /// The first failure ends the sweep; otherwise the other points go on.
    pub fail_fast: bool,
}

/// What a point found out.
#[derive(Clone, PartialEq, Debug)]
pub struct PointResult {
    /// Absent when it was not measured or is no number.
    pub objective: Option<f64>,
    pub seconds: f64,
    pub reused: u64,
    pub run: Option<String>,
}

/// Why a point has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PointFailure {
    /// On request; the sweep ends too.
    Stopped,
    /// The sweep goes on with the next point, unless it is told to [`Conduct::fail_fast`].
    Failed(String),
}

/// What happens to a sweep.
#[derive(Clone, PartialEq, Debug)]
pub enum Progress<'a> {
    Started { point: &'a Point, number: usize, of: usize },
    Ended(&'a Entry),
}

impl PointResult {
    /// From the record of the point's run.
    pub fn of(record: &Record, goal: Option<&Goal>) -> PointResult {
        PointResult {
            objective: goal.and_then(|g| g.value(record)),
            // The sum of nothing is minus zero.
            seconds: record.stages.values().filter(|s| !s.cached).map(|s| s.seconds).sum::<f64>() + 0.0,
            reused: record.stages.values().filter(|s| s.cached).count() as u64,
            run: Some(record.run.clone()),
        }
    }
}

/// Runs every point that has no result yet, in order, through `run_point`.
///
/// # Errors
/// When the sweep's state cannot be read or written. A point that fails is no error: the others go on.
pub fn run(
    prepared: &Prepared,
    lab: &Lab,
    goal: Option<&Goal>,
    conduct: Conduct,
    stop: &AtomicBool,
    run_point: &mut dyn FnMut(&Point) -> Result<PointResult, PointFailure>,
    told: &mut dyn FnMut(Progress<'_>),
) -> Result<SweepResult, SweepError> {
    let mut state = State::open(lab, prepared)?;
    let of = prepared.candidates.len();
    for (i, candidate) in prepared.candidates.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let point = &candidate.point;
        if is_settled(&state, point, conduct.retry) {
            continue;
        }
        state.put(Entry::new(point, PointStatus::Running))?;
        told(Progress::Started { point, number: i + 1, of });
        let outcome = run_point(point);
        let last = conduct.ends(&outcome);
        told(Progress::Ended(settle(&mut state, point, outcome)?));
        if last {
            break;
        }
    }
    Ok(SweepResult::of(prepared, &state, goal))
}

impl Conduct {
    /// Whether no further point starts after this.
    pub(super) fn ends(self, outcome: &Result<PointResult, PointFailure>) -> bool {
        match outcome {
            Ok(_) => false,
            Err(PointFailure::Stopped) => true,
            Err(PointFailure::Failed(_)) => self.fail_fast,
        }
    }
}

/// Whether a point needs no more work.
pub(super) fn is_settled(state: &State, point: &Point, retry: bool) -> bool {
    match state.get(&point.id).map(|e| e.status) {
        Some(PointStatus::Done) => true,
        Some(PointStatus::Failed) => !retry,
        _ => false,
    }
}

/// Writes down what became of a point.
pub(super) fn settle<'a>(
    state: &'a mut State,
    point: &Point,
    outcome: Result<PointResult, PointFailure>,
) -> Result<&'a Entry, SweepError> {
    let entry = match outcome {
        Ok(result) => Entry {
            objective: result.objective.filter(|v| v.is_finite()),
            seconds: Some(result.seconds),
            reused: Some(result.reused),
            run: result.run,
            ..Entry::new(point, PointStatus::Done)
        },
        Err(PointFailure::Stopped) => Entry::new(point, PointStatus::Stopped),
        Err(PointFailure::Failed(why)) => Entry { why: Some(why), ..Entry::new(point, PointStatus::Failed) },
    };
    let id = entry.id.clone();
    state.put(entry)?;
    state.get(&id).ok_or_else(|| SweepError::State { sweep: id, why: "a point was lost".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::spec::Measured;
    use crate::sweep::prepare::tests::prepared;
    use crate::types::core::{Constant, Core};

    fn goal() -> Goal {
        Goal::Minimize(Measured(Core::Const(Constant::None)))
    }

    fn result(objective: Option<f64>) -> Result<PointResult, PointFailure> {
        Ok(PointResult { objective, seconds: 2.0, reused: 1, run: Some("r".into()) })
    }

    #[test]
    fn a_stopped_sweep_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let (prepared, stop) = (prepared(), AtomicBool::new(false));
        let mut ran = Vec::new();
        let first = run(
            &prepared,
            &lab,
            Some(&goal()),
            Conduct::default(),
            &stop,
            &mut |point| {
                ran.push(point.id.clone());
                match ran.len() {
                    1 => result(Some(3.0)),
                    2 => Err(PointFailure::Failed("out of memory".into())),
                    _ => Err(PointFailure::Stopped),
                }
            },
            &mut |_| {},
        )
        .unwrap();
        let statuses: Vec<&str> = first.points.iter().map(|p| p.status.name()).collect();
        assert_eq!(statuses, ["done", "failed", "stopped", "waiting", "waiting", "skipped"]);
        let mut again = Vec::new();
        let mut go_on = |retry| {
            run(
                &prepared,
                &lab,
                Some(&goal()),
                Conduct { retry, fail_fast: false },
                &stop,
                &mut |point| {
                    again.push(point.id.clone());
                    result(Some(again.len() as f64))
                },
                &mut |_| {},
            )
            .unwrap()
        };
        let second = go_on(false);
        assert_eq!(second.points.iter().filter(|p| p.status == PointStatus::Done).count(), 4);
        let third = go_on(true);
        assert_eq!(third.points.iter().filter(|p| p.status == PointStatus::Done).count(), 5);
        assert_eq!(third.cost.seconds, 10.0);
        assert_eq!(again[..3], prepared.candidates[2..].iter().map(|c| c.point.id.clone()).collect::<Vec<_>>()[..]);
        assert_eq!(again[3], prepared.candidates[1].point.id, "the failed one only when asked");
    }

    #[test]
    fn the_first_failure_ends_a_sweep_that_wants_it_so() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let (stop, mut ran) = (AtomicBool::new(false), 0);
        let conduct = Conduct { retry: false, fail_fast: true };
        let mut fail = |_: &Point| {
            ran += 1;
            Err(PointFailure::Failed("no".into()))
        };
        run(&prepared(), &lab, None, conduct, &stop, &mut fail, &mut |_| {}).unwrap();
        assert_eq!(ran, 1);
    }
}
