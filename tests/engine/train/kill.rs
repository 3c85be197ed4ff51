//! A real `kill -9`, at moments nobody chose, saves included: the run goes on as if it had not happened.

use crate::common::{Log, Setting, gpt2};
use emberlab::random::Stream;
use emberlab::train::{Job, Outcome, Stop, Trained, train};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names the folder to train in, in the process that is to be killed.
const FOLDER: &str = "EMBERLAB_TEST_KILL_FOLDER";

fn run(folder: &Path) -> Trained {
    let setting = Setting::new(gpt2(), folder);
    let job = Job { checkpoint: 1, ..setting.job() };
    match train(&job, &mut Log::default(), &Stop::new()).unwrap() {
        Outcome::Finished(trained) => trained,
        Outcome::Stopped { step } => panic!("stopped at {step}"),
    }
}

/// Not a test of its own: the body of the process that [`killed_at_any_moment`] starts and kills.
#[test]
fn body_of_the_killed_process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        run(&PathBuf::from(folder));
    }
}

#[test]
fn killed_at_any_moment() {
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let began = Instant::now();
    let expected = run(whole.path());
    let whole_run = began.elapsed();
    let mut kills = 0;
    let mut draws = Stream::new(9, "kill").at(0);
    for attempt in 0..60 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::body_of_the_killed_process", "--test-threads=1"])
            .env(FOLDER, killed.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere in the first third of a run, and later each time, so that it gets there in the end.
        std::thread::sleep(whole_run.mul_f64(0.3 * draws.uniform()) + Duration::from_millis(15 * attempt));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let resumed = run(killed.path());
    assert_eq!(resumed.weights_hash, expected.weights_hash);
    assert_eq!(resumed.tokens, expected.tokens);
    println!("killed {kills} times");
    assert!(kills > 0);
    let left = std::fs::read_dir(killed.path()).unwrap().flatten();
    let unfinished = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".saving-"));
    assert_eq!(unfinished.count(), 0);
}
