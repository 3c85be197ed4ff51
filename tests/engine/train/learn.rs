//! Stages learn what is there to learn, and refuse what cannot work.

use crate::common::{Log, Setting, gpt2, llama};
use emberlab::model::{Architecture, Decoder, GenerateOptions};
use emberlab::plan::spec::{Optimizer, Sgd};
use emberlab::train::{
    Job, Keep, MemoryCorpus, Objective, Observer, Outcome, Schedule, Shape, Stop, TrainError, Trained, ValidReport,
    Validation, train,
};

fn finish(job: &Job, log: &mut Log) -> Trained {
    match train(job, log, &Stop::new()).unwrap() {
        Outcome::Finished(trained) => trained,
        Outcome::Stopped { step } => panic!("stopped at {step}"),
    }
}

#[test]
fn both_shapes_learn_a_small_machine() {
    for model in [llama(), gpt2()] {
        let folder = tempfile::tempdir().unwrap();
        let setting = Setting::new(model, folder.path());
        let steps = 150;
        let schedule = Schedule { shape: Shape::Cosine { floor: 0.1 }, warmup: 5, steps };
        let mut log = Log::default();
        let trained = finish(&Job { steps, schedule, batch: 8, micro_batch: 8, ..setting.job() }, &mut log);
        let first = log.steps[0].loss;
        assert!((first - 24f64.ln()).abs() < 0.1, "an untrained network is undecided: {first}");
        // The machine's entropy is about 0.33 + 0.1 · ln 24 = 0.64 nats.
        let last = trained.valid_loss.unwrap();
        assert!(last < 0.9, "{last}");
        assert_eq!(log.facts.parameters, trained.parameters);
        assert_eq!(trained.tokens, steps * 8 * 16);
        assert_eq!(trained.best.unwrap().loss, log.valids.iter().map(|v| v.loss).fold(f64::INFINITY, f64::min));
    }
}

#[test]
fn sgd_learns_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut setting = Setting::new(llama(), folder.path());
    setting.optimizer = Optimizer::Sgd(Sgd { lr: 0.3, momentum: 0.9, weight_decay: 0.0 });
    let schedule = Schedule { shape: Shape::Constant, warmup: 5, steps: 100 };
    let mut log = Log::default();
    let trained = finish(&Job { steps: 100, schedule, batch: 8, ..setting.job() }, &mut log);
    assert!(trained.loss.unwrap() < 1.5, "{:?}", trained.loss);
}

#[test]
fn fine_tuning_learns_responses_and_generates_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut setting = Setting::new(llama(), folder.path());
    // A prompt `20 a` is answered by `a+1 a+2 23`.
    let samples: Vec<_> = (0..12u32).map(|a| (vec![20, a], vec![a + 1, a + 2, 23])).collect();
    setting.corpus = MemoryCorpus::samples(&samples);
    let schedule = Schedule { shape: Shape::Linear { floor: 0.1 }, warmup: 5, steps: 200 };
    let job = Job {
        objective: Objective::Sft,
        steps: 200,
        schedule,
        batch: 6,
        micro_batch: 6,
        sequence: 8,
        valid: None,
        ..setting.job()
    };
    let mut log = Log::default();
    let trained = finish(&job, &mut log);
    assert_eq!(trained.supervised_tokens, 200 * 6 * 3);
    assert_eq!(trained.tokens, 200 * 6 * 4);
    assert!(trained.loss.unwrap() < 0.1, "{:?}", trained.loss);
    let architecture = Architecture::new(&setting.model, Some(24)).unwrap();
    let decoder = Decoder::load(architecture, &trained.weights, &setting.device.device).unwrap();
    assert_eq!(decoder.weights_hash().unwrap(), trained.weights_hash);
    let prompts: Vec<Vec<u32>> = samples.iter().map(|(prompt, _)| prompt.clone()).collect();
    let options = GenerateOptions { max_tokens: 6, stop: vec![23], ..GenerateOptions::default() };
    let answers = decoder.generate(&prompts, &options).unwrap();
    let right = answers.iter().zip(&samples).filter(|(a, (_, response))| a.tokens == response[..2]).count();
    assert!(right >= 11, "{right} of 12");
}

#[test]
fn validation_data_may_be_shorter_than_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut setting = Setting::new(llama(), folder.path());
    setting.valid = MemoryCorpus::new(&[vec![1, 8, 19, 2]]);
    let mut log = Log::default();
    finish(&Job { steps: 5, ..setting.job() }, &mut log);
    assert_eq!(log.valids[0].supervised_tokens, 3);
}

#[test]
fn the_best_weights_are_kept_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut setting = Setting::new(llama(), folder.path());
    // Far too high a rate after a good start makes the end worse than the middle.
    setting.optimizer = Optimizer::Sgd(Sgd { lr: 0.5, momentum: 0.9, weight_decay: 0.0 });
    let job = Job { keep: Keep::Best, clip: None, ..setting.job() };
    let mut log = Log::default();
    let trained = finish(&job, &mut log);
    let best = trained.best.unwrap();
    assert!(log.valids.iter().all(|valid| valid.loss >= best.loss));
    assert!(trained.weights.ends_with("best.safetensors"));
}

#[test]
fn what_cannot_work_is_refused_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    let error = |job: &Job| train(job, &mut Log::default(), &Stop::new()).unwrap_err().to_string();
    assert_eq!(
        error(&Job { sequence: 17, ..setting.job() }),
        "the stage's `sequence` is 17, but the model's `context` is 16; make one fit the other"
    );
    assert!(error(&Job { steps: 0, ..setting.job() }).contains("`budget` is 0"));
    assert!(error(&Job { keep: Keep::Best, valid: None, ..setting.job() }).contains("give the stage `validate`"));
    let silent = MemoryCorpus::samples(&[(vec![1, 2, 3], vec![])]);
    assert!(
        error(&Job { objective: Objective::Sft, corpus: &silent, valid: None, ..setting.job() })
            .contains("no token of the data carries loss")
    );
    let valid = || Some(Validation { corpus: &silent, every: 5, tokens: None });
    assert!(
        error(&Job { valid: valid(), ..setting.job() }).starts_with("the validation data cannot be used: no token")
    );
    let missing = folder.path().join("nowhere.safetensors");
    assert!(error(&Job { init: Some(&missing), ..setting.job() }).contains("cannot read the weights"));
}

#[test]
fn numbers_that_are_not_finite_stop_the_stage_and_say_when() {
    let folder = tempfile::tempdir().unwrap();
    let mut setting = Setting::new(llama(), folder.path());
    setting.optimizer = Optimizer::Sgd(Sgd { lr: 1e30, momentum: 0.0, weight_decay: 0.0 });
    let job = Job { clip: None, schedule: Schedule { shape: Shape::Constant, warmup: 0, steps: 20 }, ..setting.job() };
    let error = train(&job, &mut Log::default(), &Stop::new()).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { step: 2.., last: Some((1.., _)), .. }), "{error}");
    assert!(error.to_string().contains("Try a lower learning rate"));
}

/// Ends the stage once a validation is below a bound.
struct Until {
    bound: f64,
    reached: bool,
    log: Log,
}

impl Observer for Until {
    fn valid(&mut self, report: &ValidReport) {
        self.reached |= report.loss < self.bound;
        self.log.valid(report);
    }

    fn ends(&mut self) -> bool {
        self.reached
    }
}

#[test]
fn a_stage_ends_early_when_its_observer_has_what_it_wants() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    let mut until = Until { bound: 3.1, reached: false, log: Log::default() };
    let Outcome::Finished(trained) = train(&setting.job(), &mut until, &Stop::new()).unwrap() else {
        panic!("stopped")
    };
    assert!(trained.steps < 20 && trained.steps.is_multiple_of(5), "{}", trained.steps);
    assert_eq!(until.log.valids.last().map(|valid| valid.step), Some(trained.steps));
    assert!(trained.valid_loss.unwrap() < 3.1);
}
