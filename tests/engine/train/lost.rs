//! A device that fails in the middle of a stage ends it with an error that says so, and loses nothing: the stage goes on from
//! its last checkpoint to the weights it would have had.

use crate::common::{Log, Setting, llama};
use crate::devices::software;
use emberlab::train::{Job, Observer, Outcome, StepReport, Stop, TrainError, train};
use std::path::Path;
use std::process::{Command, Stdio};

/// Set for the process in which a device fails: what fails there is remembered for the whole process.
const FAILS: &str = "EMBERLAB_TEST_DEVICE_FAILS";

/// The driver's thread dies after a step, as it does when a GPU falls off its bus.
struct Falling;

impl Observer for Falling {
    fn step(&mut self, report: &StepReport) {
        if report.step == 10 {
            let thread = std::thread::Builder::new().name("DSD-0-9".to_owned());
            assert!(thread.spawn(|| panic!("parent device is lost")).unwrap().join().is_err());
        }
    }
}

/// Not a test of its own: the body of the process of [`a_failing_device_ends_a_stage_that_goes_on_later`].
#[test]
fn body_of_the_process_whose_device_fails() {
    if std::env::var_os(FAILS).is_none() {
        return;
    }
    let Some(device) = software() else { return };
    let hash = |folder: &Path, fails: bool| {
        let setting = Setting { device: device.clone(), ..Setting::new(llama(), folder) };
        let job = Job { checkpoint: 4, ..setting.job() };
        if fails {
            let error = train(&job, &mut Falling, &Stop::new()).err().unwrap();
            assert!(matches!(error, TrainError::Device { step: 10.., .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("parent device is lost") && text.contains("the last checkpoint is kept"), "{text}");
        }
        let mut log = Log::default();
        let Outcome::Finished(trained) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
        assert_eq!(log.resumed, [fails.then_some(8)]);
        trained.weights_hash
    };
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(hash(broken.path(), true), hash(whole.path(), false));
    println!("{FAILS} has been seen");
}

#[test]
fn a_failing_device_ends_a_stage_that_goes_on_later() {
    if software().is_none() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lost::body_of_the_process_whose_device_fails", "--nocapture", "--test-threads=1"])
        .env(FAILS, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let seen = text.contains(&format!("{FAILS} has been seen"));
    assert!(output.status.success() && seen, "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}
