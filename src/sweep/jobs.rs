//! Running the points of a sweep side by side, each in a process of its own, so that a lost device takes one point with
//! it and no more. The processes share the lab: of two that need the same stage, one trains it and the other waits.

use super::error::SweepError;
use super::goal::Goal;
use super::points::Point;
use super::prepare::Prepared;
use super::result::SweepResult;
use super::run::{Conduct, PointFailure, PointResult, Progress, is_settled, settle};
use super::state::{Entry, PointStatus, State};
use crate::store::{Lab, Record, StoreError, process};
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How points become processes.
pub struct Jobs<'a> {
    /// Most processes at once.
    pub count: usize,
    /// The command of a point: `exp run FILE --format json --lab LAB --set …`, which prints the run's record on stdout.
    pub command: &'a dyn Fn(&Point) -> Command,
    pub conduct: Conduct,
}

struct Job<'a> {
    point: &'a Point,
    /// What the point's plan was when the sweep was prepared.
    plan_hash: &'a str,
    child: Child,
    /// Reads stdout, so that the process never waits for us.
    output: JoinHandle<Vec<u8>>,
    log: PathBuf,
}

/// Runs every point that has no result yet. What a process writes to stderr goes to `POINT.log` in the sweep's folder.
///
/// # Errors
/// When the sweep's state cannot be written or a process cannot be started; processes that run are then asked to stop
/// and waited for.
pub fn run_jobs(
    prepared: &Prepared,
    lab: &Lab,
    goal: Option<&Goal>,
    jobs: &Jobs<'_>,
    stop: &AtomicBool,
    told: &mut dyn FnMut(Progress<'_>),
) -> Result<SweepResult, SweepError> {
    let mut state = State::open(lab, prepared)?;
    let mut running: Vec<Job<'_>> = Vec::new();
    let result = work(prepared, goal, jobs, stop, told, &mut state, &mut running);
    // After an error, nothing may go on unattended.
    for job in &running {
        process::ask_to_stop(job.child.id());
    }
    for mut job in running {
        let _ = job.child.wait();
    }
    result.map(|()| SweepResult::of(prepared, &state, goal))
}

fn work<'a>(
    prepared: &'a Prepared,
    goal: Option<&Goal>,
    jobs: &Jobs<'_>,
    stop: &AtomicBool,
    told: &mut dyn FnMut(Progress<'_>),
    state: &mut State,
    running: &mut Vec<Job<'a>>,
) -> Result<(), SweepError> {
    let of = prepared.candidates.len();
    let mut waiting = prepared.candidates.iter().map(|c| (&c.point, c.plan_hash.as_str())).enumerate();
    let mut exhausted = false;
    let (mut asked, mut failed) = (false, false);
    loop {
        let stopping = failed || stop.load(Ordering::Relaxed);
        while !stopping && !exhausted && running.len() < jobs.count.max(1) {
            match waiting.next() {
                None => exhausted = true,
                Some((_, (point, _))) if is_settled(state, point, jobs.conduct.retry) => {}
                Some((i, (point, plan_hash))) => {
                    state.put(Entry::new(point, PointStatus::Running))?;
                    told(Progress::Started { point, number: i + 1, of });
                    running.push(start(point, plan_hash, jobs, state)?);
                }
            }
        }
        if stopping && !asked {
            running.iter().for_each(|job| process::ask_to_stop(job.child.id()));
            asked = true;
        }
        let mut i = 0;
        while let Some(job) = running.get_mut(i) {
            match job.child.try_wait().map_err(SweepError::Spawn)? {
                None => i += 1,
                Some(status) => {
                    let job = running.swap_remove(i);
                    let outcome = outcome(job.output, &job.log, status, job.plan_hash, goal);
                    failed |= jobs.conduct.ends(&outcome);
                    told(Progress::Ended(settle(state, job.point, outcome)?));
                }
            }
        }
        if running.is_empty() && (exhausted || stopping) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn start<'a>(point: &'a Point, plan_hash: &'a str, jobs: &Jobs<'_>, state: &State) -> Result<Job<'a>, SweepError> {
    let log = state.folder.join(format!("{}.log", point.id));
    let errors = File::create(&log).map_err(StoreError::io("write", &log))?;
    let mut command = (jobs.command)(point);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    // A Ctrl-C in the terminal would reach the process by itself, and our request would then be its second.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(SweepError::Spawn)?;
    let mut pipe = child.stdout.take();
    let output = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = &mut pipe {
            // What was read before a failure is judged as it is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    });
    Ok(Job { point, plan_hash, child, output, log })
}

/// A run that met no gate (4) has a result all the same; one that was stopped (75, 130) can go on.
fn outcome(
    output: JoinHandle<Vec<u8>>,
    log: &std::path::Path,
    status: ExitStatus,
    plan_hash: &str,
    goal: Option<&Goal>,
) -> Result<PointResult, PointFailure> {
    let output = output.join().unwrap_or_default();
    match status.code() {
        Some(0 | 4) => match serde_json::from_slice::<Record>(&output) {
            Ok(record) if record.plan_hash != plan_hash => Err(PointFailure::Failed(
                "the experiment or its data changed while the sweep ran; run the sweep again".to_owned(),
            )),
            Ok(record) => Ok(PointResult::of(&record, goal)),
            Err(e) => Err(PointFailure::Failed(format!("its record cannot be read: {e}"))),
        },
        Some(75 | 130) => Err(PointFailure::Stopped),
        code => {
            let how = code.map_or_else(|| "it was killed".to_owned(), |c| format!("it ended with status {c}"));
            let told = fs::read_to_string(log).unwrap_or_default();
            let last = told.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned();
            Err(PointFailure::Failed(format!("{how}: {last}")))
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::plan::spec::Measured;
    use crate::store::run_tests::record;
    use crate::sweep::prepare::tests::prepared;
    use crate::types::core::Core;

    fn goal() -> Goal {
        let path = ["pretrain", "valid", "loss"].map(str::to_owned).to_vec();
        Goal::Minimize(Measured(Core::Measure(path)))
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn points_run_side_by_side_and_each_ends_in_its_own_way() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let prepared = prepared();
        let number = |point: &Point| prepared.candidates.iter().position(|c| c.point == *point).unwrap();
        let command = |point: &Point| {
            let mut record = record("r", 3.0 - number(point) as f64);
            record.plan_hash = prepared.candidates[number(point)].plan_hash.clone();
            if number(point) == 4 {
                record.plan_hash = "another".to_owned();
            }
            let record = serde_json::to_string(&record).unwrap();
            match number(point) {
                0 => shell(&format!("echo '{record}'; exit 0")),
                1 => shell(&format!("echo '{record}'; exit 4")),
                2 => shell("echo starting >&2; echo 'the device was lost' >&2; exit 3"),
                3 => shell("kill -9 $$"),
                _ => shell(&format!("echo '{record}'")),
            }
        };
        let jobs = Jobs { count: 3, command: &command, conduct: Conduct::default() };
        let stop = AtomicBool::new(false);
        let result = run_jobs(&prepared, &lab, Some(&goal()), &jobs, &stop, &mut |_| {}).unwrap();
        let objectives: Vec<Option<f64>> = result.points.iter().take(2).map(|p| p.objective).collect();
        assert_eq!(objectives, [Some(3.0), Some(2.0)]);
        assert_eq!(result.best.as_deref(), Some(prepared.candidates[1].point.id.as_str()));
        let why: Vec<&str> = result.points[2..5].iter().map(|p| p.why.as_deref().unwrap()).collect();
        assert_eq!(why[..2], ["it ended with status 3: the device was lost", "it was killed: it said nothing"]);
        assert!(why[2].contains("changed while the sweep ran"), "{why:?}");
    }

    #[test]
    fn a_request_to_stop_reaches_every_process() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let prepared = prepared();
        let command = |_: &Point| shell("trap 'exit 75' TERM; while :; do sleep 0.05; done");
        let jobs = Jobs { count: 2, command: &command, conduct: Conduct::default() };
        let stop = AtomicBool::new(false);
        let mut started = 0;
        let result = run_jobs(&prepared, &lab, None, &jobs, &stop, &mut |progress| {
            if matches!(progress, Progress::Started { .. }) {
                started += 1;
                if started == 2 {
                    // Long enough for the shells to have set their traps.
                    std::thread::sleep(Duration::from_millis(300));
                    stop.store(true, Ordering::Relaxed);
                }
            }
        })
        .unwrap();
        let statuses: Vec<&str> = result.points.iter().map(|p| p.status.name()).collect();
        assert_eq!(statuses, ["stopped", "stopped", "waiting", "waiting", "waiting", "skipped"]);
    }
}
