//! A run that stopped and went on is the run that did not stop.

use crate::common::{Log, Setting, gpt2, llama, mixture, valued};
use emberlab::plan::spec::{Decoder, Mup, Precision};
use emberlab::train::{
    BatchFacts, Corpus, Heard, Job, MemoryCorpus, Objective, Observer, Outcome, StepReport, Stop, Trained, ValidReport,
    Validation, train,
};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Stops after a step.
pub struct StopAt<'a> {
    pub step: u64,
    pub stop: Stop,
    pub log: &'a mut Log,
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

/// Features that were made apart, in one stage: neither stops nor the cut into micro-batches nor computing blocks again changes
/// what comes out.
#[test]
fn what_is_combined_resumes_as_exactly() {
    let samples: Vec<_> =
        (0..23u32).map(|a| (vec![20, a % 20], (0..1 + a % 6).map(|i| (a + i) % 20).collect())).collect();
    let corpus = MemoryCorpus::samples(&samples);
    let wide = Decoder { mup: Some(Mup { base_width: 16, base_head_dim: None }), window: Some(5), ..valued() };
    let busy = Decoder { value_embeddings: valued().value_embeddings, ..mixture() };
    for (model, precision) in [
        (wide.clone(), Precision::MixedF16),
        (wide, Precision::MixedBf16),
        (busy, Precision::F32),
        (llama(), Precision::F32),
    ] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let settings = [&one, &two].map(|folder| Setting {
            valid: MemoryCorpus::samples(&samples[..7]),
            ..Setting::new(model.clone(), folder.path())
        });
        let job = |setting: usize, recompute| Job {
            objective: Objective::SftPacked,
            corpus: &corpus,
            batch: 8,
            micro_batch: 2,
            recompute,
            precision,
            ema: Some(0.9),
            z_loss: 1e-3,
            checkpoint: 3,
            ..settings[setting].job()
        };
        let (expected, trained) = whole(&job(0, false));
        let resumed_job = job(1, true);
        let mut log = Log::default();
        for step in [1, 4, 9, 17] {
            let stop = Stop::new();
            let mut observer = StopAt { step, stop: stop.clone(), log: &mut log };
            assert_eq!(train(&resumed_job, &mut observer, &stop).unwrap(), Outcome::Stopped { step });
        }
        let Outcome::Finished(resumed) = train(&resumed_job, &mut log, &Stop::new()).unwrap() else {
            panic!("stopped")
        };
        assert_eq!(log.losses(), expected.losses(), "{precision:?}");
        assert_eq!(resumed.weights_hash, trained.weights_hash, "{precision:?}");
        assert!(expected.losses()[19] < expected.losses()[0], "{precision:?}: it learns");
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

/// Counts the checkpoints it is told of, and asks for a stop after a step.
struct Counting {
    step: u64,
    stop: Stop,
    checkpoints: Vec<u64>,
    resumed: Option<u64>,
}

impl Observer for Counting {
    fn start(&mut self, _: &BatchFacts, resumed_at: Option<u64>) {
        self.resumed = resumed_at;
    }

    fn step(&mut self, report: &StepReport) {
        if report.step == self.step {
            self.stop.request();
        }
    }

    fn checkpoint(&mut self, step: u64, _: &Path) {
        self.checkpoints.push(step);
    }
}

/// Names in a folder, but for weights.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| !name.ends_with(".safetensors")).collect();
    names.sort();
    names
}

#[test]
fn a_checkpoint_is_not_saved_again_when_it_holds_what_would_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    let job = Job { checkpoint: 5, checkpoints: 1, ..setting.job() };
    let state = folder.path().join("step-00000005/state.json");
    let mut held = None;
    // A stop right after it; then two that come before anything is computed.
    for (step, saved) in [(5, vec![5]), (0, vec![]), (0, vec![])] {
        let stop = Stop::new();
        if step == 0 {
            stop.request();
        }
        let mut observer = Counting { step, stop: stop.clone(), checkpoints: Vec::new(), resumed: None };
        assert_eq!(train(&job, &mut observer, &stop).unwrap(), Outcome::Stopped { step: 5 });
        assert_eq!((observer.checkpoints, observer.resumed), (saved, (step == 0).then_some(5)));
        let now = std::fs::metadata(&state).unwrap().modified().unwrap();
        assert_eq!(*held.get_or_insert(now), now, "it was left as it is");
        assert_eq!(names(folder.path()), ["step-00000005"]);
    }
}

/// A stop during a validation leaves a checkpoint of its step, which the one that goes on saves again with the validation. The
/// process may end at any point of that, and there is one of both.
#[test]
fn the_only_checkpoint_is_not_lost_while_another_of_its_step_is_saved() {
    let whole_folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), whole_folder.path());
    let (_, expected) = whole(&setting.job());
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    let stop = Stop::new();
    let valid = Tripwire { corpus: &setting.valid, left: AtomicUsize::new(3), stop: stop.clone() };
    let job = Job {
        valid: Some(Validation { corpus: &valid, every: 5, tokens: None }),
        checkpoint: 5,
        checkpoints: 1,
        ..setting.job()
    };
    let mut observer = Counting { step: 0, stop: stop.clone(), checkpoints: Vec::new(), resumed: None };
    assert_eq!(train(&job, &mut observer, &stop).unwrap(), Outcome::Stopped { step: 5 });
    let path = folder.path().join("step-00000005");
    let before = std::fs::read(path.join("state.json")).unwrap();
    assert!(String::from_utf8_lossy(&before).contains("\"validated\": null"));

    // It is made up for, and saved again under the same name.
    let stop = Stop::new();
    let mut observer = Counting { step: 6, stop: stop.clone(), checkpoints: Vec::new(), resumed: None };
    assert_eq!(train(&job, &mut observer, &stop).unwrap(), Outcome::Stopped { step: 6 });
    assert_eq!((observer.resumed, observer.checkpoints), (Some(5), vec![5, 6]));
    assert_eq!(names(folder.path()), ["step-00000006"]);

    // Killed where the old one had been put aside and the new one had no name yet: the old one is gone on from.
    let aside = folder.path().join(".replaced-step-00000006");
    std::fs::rename(folder.path().join("step-00000006"), &aside).unwrap();
    std::fs::create_dir(folder.path().join(".saving-x")).unwrap();
    let stop = Stop::new();
    let mut observer = Counting { step: 7, stop: stop.clone(), checkpoints: Vec::new(), resumed: None };
    assert_eq!(train(&job, &mut observer, &stop).unwrap(), Outcome::Stopped { step: 7 });
    assert_eq!((observer.resumed, names(folder.path())), (Some(6), vec!["step-00000007".to_owned()]));
    // Killed where the new one had its name and the old one was still there: that is removed.
    std::fs::create_dir(folder.path().join(".replaced-step-00000007")).unwrap();
    let (log, resumed) = whole(&job);
    assert_eq!((log.resumed, names(folder.path())), (vec![Some(7)], vec!["step-00000015".to_owned()]));
    assert_eq!(resumed.weights_hash, expected.weights_hash);
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

/// A corpus that asks for a stop when it is read for the so-many-th time.
struct Tripwire<'a> {
    corpus: &'a MemoryCorpus,
    left: AtomicUsize,
    stop: Stop,
}

impl Corpus for Tripwire<'_> {
    fn tokens(&self) -> u64 {
        self.corpus.tokens()
    }

    fn offsets(&self) -> &[u64] {
        self.corpus.offsets()
    }

    fn read(&self, start: u64, out: &mut [u32]) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.request();
        }
        self.corpus.read(start, out);
    }

    fn supervised(&self, start: u64, out: &mut [bool]) {
        self.corpus.supervised(start, out);
    }
}

/// Trains with a stop at a read of the training data, or of the validation data, and then to the end.
fn interrupted(training: usize, validating: usize) -> (Outcome, Log, Trained) {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(gpt2(), folder.path());
    let mut log = Log::default();
    let stop = Stop::new();
    let wire = |corpus, left| Tripwire { corpus, left: AtomicUsize::new(left), stop: stop.clone() };
    let (corpus, valid) = (wire(&setting.corpus, training), wire(&setting.valid, validating));
    let job = Job {
        corpus: &corpus,
        valid: Some(Validation { corpus: &valid, every: 5, tokens: None }),
        micro_batch: 1,
        ..setting.job()
    };
    let first = train(&job, &mut log, &stop).unwrap();
    let Outcome::Finished(trained) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
    (first, log, trained)
}

#[test]
fn a_step_and_a_validation_can_be_abandoned_and_resuming_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(gpt2(), folder.path());
    let (expected, trained) = whole(&Job { micro_batch: 1, ..setting.job() });
    let valids = |log: &Log| log.valids.iter().map(|v| (v.step, v.loss)).collect::<Vec<_>>();
    // 4 rows a step; a validation reads 32 rows, after every fifth step.
    for (training, validating, step) in [
        (1, 0, 0),
        (2, 0, 0),
        (4 * 7 + 2, 0, 7),
        (4 * 10 + 1, 0, 10),
        (0, 3, 5),
        (0, 32 + 20, 10),
        (0, 3 * 32 + 31, 20),
    ] {
        let (first, log, resumed) = interrupted(training, validating);
        assert_eq!(first, Outcome::Stopped { step }, "{training} {validating}");
        assert_eq!(log.resumed, [None, Some(step)]);
        assert_eq!(log.losses(), expected.losses());
        assert_eq!(valids(&log), valids(&expected));
        assert_eq!((&resumed.weights_hash, resumed.tokens), (&trained.weights_hash, trained.tokens));
        assert_eq!(resumed.best, trained.best);
    }
}

#[test]
fn a_stop_does_not_wait_for_a_long_step() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    let job = Job { batch: 20_000, micro_batch: 1, steps: 2, valid: None, ..setting.job() };
    let stop = Stop::new();
    let asks = stop.clone();
    let asked = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(400));
        asks.request();
        Instant::now()
    });
    let outcome = train(&job, &mut Log::default(), &stop).unwrap();
    let waited = asked.join().unwrap().elapsed();
    println!("heard after {waited:?}");
    assert_eq!(outcome, Outcome::Stopped { step: 0 });
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

/// Ends a stage when the latest losses of both kinds are below limits, and knows only what it is told.
#[derive(Default)]
struct Both {
    limits: (f64, f64),
    train: Option<f64>,
    valid: Option<f64>,
    met: Option<u64>,
    log: Log,
    stop: Option<(u64, Stop)>,
}

impl Both {
    fn check(&mut self, step: u64) {
        let below = |loss: Option<f64>, limit| loss.is_some_and(|loss| loss < limit);
        if self.met.is_none() && below(self.train, self.limits.0) && below(self.valid, self.limits.1) {
            self.met = Some(step);
        }
    }
}

impl Observer for Both {
    fn recall(&mut self, heard: &Heard) {
        (self.train, self.valid, self.met) = (heard.train_loss, heard.valid_loss, heard.met);
    }

    fn step(&mut self, report: &StepReport) {
        self.log.step(report);
        self.train = Some(report.loss);
        self.check(report.step);
        if let Some((at, stop)) = &self.stop
            && *at == report.step
        {
            stop.request();
        }
    }

    fn valid(&mut self, report: &ValidReport) {
        self.log.valid(report);
        self.valid = Some(report.loss);
        self.check(report.step);
    }

    fn ends(&mut self) -> bool {
        self.met.is_some()
    }

    fn met(&self) -> Option<u64> {
        self.met
    }
}

#[test]
fn a_condition_on_two_losses_holds_at_the_same_step_after_a_stop() {
    let one = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), one.path());
    let (log, _) = whole(&setting.job());
    // The loss that is the lowest since the validation after step 10 and comes latest before the one after step 15.
    let between = &log.losses()[10..14];
    let lowest = (1..between.len()).rev().find(|i| between[..*i].iter().all(|loss| *loss > between[*i]));
    let at = lowest.expect("the loss falls between two validations");
    let limit = (between[at] + between[..at].iter().copied().fold(f64::INFINITY, f64::min)) / 2.0;
    let limits = (limit, (log.valids[0].loss + log.valids[1].loss) / 2.0);
    // It is asked after every eighth step and every validation, whatever the device.
    let met = 11 + at as u64;
    let expected = (met..).find(|step| step.is_multiple_of(8) || step.is_multiple_of(5)).unwrap();

    let two = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), two.path());
    let mut whole = Both { limits, ..Both::default() };
    let Outcome::Finished(trained) = train(&setting.job(), &mut whole, &Stop::new()).unwrap() else {
        panic!("stopped")
    };
    assert_eq!(trained.steps, expected, "{limits:?} {:?}", log.losses());

    let three = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), three.path());
    // The validation is known to the process that stops, and not to the one that goes on.
    let stop = Stop::new();
    let mut first = Both { limits, stop: Some((11, stop.clone())), ..Both::default() };
    assert_eq!(train(&setting.job(), &mut first, &stop).unwrap(), Outcome::Stopped { step: 11 });
    let mut second = Both { limits, ..Both::default() };
    let Outcome::Finished(resumed) = train(&setting.job(), &mut second, &Stop::new()).unwrap() else {
        panic!("stopped")
    };
    assert_eq!((resumed.steps, resumed.weights_hash), (expected, trained.weights_hash));
}
