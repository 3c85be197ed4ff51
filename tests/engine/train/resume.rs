//! A run that stopped and went on is the run that did not stop.

use crate::common::{Log, Setting, gpt2, llama};
use emberlab::train::{BatchFacts, Job, Observer, Outcome, StepReport, Stop, Trained, ValidReport, train};

/// Stops after a step.
struct StopAt<'a> {
    step: u64,
    stop: Stop,
    log: &'a mut Log,
}

impl Observer for StopAt<'_> {
    fn start(&mut self, facts: &BatchFacts, resumed_at: Option<u64>) {
        self.log.start(facts, resumed_at);
    }

    fn step(&mut self, report: &StepReport) {
        self.log.step(report);
        if report.step == self.step {
            self.stop.request();
        }
    }

    fn valid(&mut self, report: &ValidReport) {
        self.log.valid(report);
    }
}

fn whole(job: &Job) -> (Log, Trained) {
    let mut log = Log::default();
    match train(job, &mut log, &Stop::new()).unwrap() {
        Outcome::Finished(trained) => (log, trained),
        Outcome::Stopped { step } => panic!("stopped at {step}"),
    }
}

#[test]
fn stopping_anywhere_changes_nothing() {
    for model in [llama(), gpt2()] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let setting = Setting::new(model.clone(), one.path());
        let (expected, trained) = whole(&Job { micro_batch: 3, ..setting.job() });
        let setting = Setting::new(model, two.path());
        let job = Job { micro_batch: 3, ..setting.job() };
        let mut log = Log::default();
        for step in [1, 2, 7, 10, 19] {
            let stop = Stop::new();
            let mut observer = StopAt { step, stop: stop.clone(), log: &mut log };
            assert_eq!(train(&job, &mut observer, &stop).unwrap(), Outcome::Stopped { step });
        }
        let Outcome::Finished(resumed) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
        assert_eq!(log.resumed, [None, Some(1), Some(2), Some(7), Some(10), Some(19)]);
        assert_eq!(log.losses(), expected.losses());
        let valid = |log: &Log| log.valids.iter().map(|v| (v.step, v.loss)).collect::<Vec<_>>();
        assert_eq!(valid(&log), valid(&expected));
        assert_eq!(resumed.weights_hash, trained.weights_hash);
        assert_eq!((resumed.tokens, resumed.best), (trained.tokens, trained.best));
    }
}

#[test]
fn a_finished_job_is_not_trained_again() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    let (_, first) = whole(&Job { checkpoint: 5, ..setting.job() });
    let (log, second) = whole(&Job { checkpoint: 5, ..setting.job() });
    assert_eq!(log.resumed, [Some(15)]);
    assert_eq!(first.weights_hash, second.weights_hash);
}

#[test]
fn a_damaged_checkpoint_is_passed_by_for_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    let job = Job { checkpoint: 5, ..setting.job() };
    let (_, expected) = whole(&job);
    let newest = folder.path().join("step-00000015");
    for (file, damage) in [("weights.safetensors", "matches"), ("state.json", "expected")] {
        let path = newest.join(file);
        let bytes = std::fs::read(&path).unwrap();
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged.truncate(middle);
        std::fs::write(&path, &damaged).unwrap();
        let (log, trained) = whole(&job);
        assert_eq!(log.resumed, [Some(10)], "{damage}");
        assert!(log.notices[0].contains("step-00000015 is damaged"), "{:?}", log.notices);
        assert_eq!(trained.weights_hash, expected.weights_hash);
    }
}

#[test]
fn a_checkpoint_of_another_job_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    whole(&Job { checkpoint: 5, ..setting.job() });
    let error = |job: &Job| train(job, &mut Log::default(), &Stop::new()).unwrap_err().to_string();
    let message = error(&Job { clip: Some(0.5), checkpoint: 5, ..setting.job() });
    assert!(message.contains("belongs to another job: its `clip` is 1.0, and now it is 0.5"), "{message}");
    let message = error(&Job { identity: "other data", checkpoint: 5, ..setting.job() });
    assert!(message.contains("its `identity` is \"test\""), "{message}");
}
