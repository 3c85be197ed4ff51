//! Leaps of the loss, averages of the weights, growing batches and what is kept of checkpoints.

use crate::common::{Log, Setting, gpt2, llama};
use crate::precision::with_places_apart;
use emberlab::model::{Named, read_weights, write_weights};
use emberlab::plan::Growth;
use emberlab::plan::spec::{Decoder, OnSpike, Optimizer, Sgd, Spike};
use emberlab::random::Stream;
use emberlab::train::{
    BatchFacts, Heard, Job, MemoryCorpus, Observer, Outcome, Schedule, Shape, StepReport, Stop, TrainError, Trained,
    ValidReport, train,
};
use std::collections::BTreeMap;
use std::path::Path;

/// A text in which every so often there is a stretch of tokens that stand nowhere else.
fn with_strange_places(period: u32, first: u32) -> MemoryCorpus {
    let mut draws = Stream::new(1, "strange corpus").at(0);
    let mut last = 0;
    let tokens = (0..4_000u32).map(|i| {
        last = (last * 5 + 3) % 24;
        if (i / 16) % period == first { 24 + draws.below(24) as u32 } else { last }
    });
    MemoryCorpus::new(&[tokens.collect()])
}

/// 80 steps of one sequence, so that a strange place is a step of its own.
fn leaping<'a>(setting: &'a Setting, spike: Option<&'a Spike>) -> Job<'a> {
    Job {
        vocab: 48,
        batch: 1,
        micro_batch: 1,
        steps: 80,
        schedule: Schedule { shape: Shape::Constant, warmup: 4, steps: 80 },
        checkpoint: 5,
        on_spike: spike,
        ..setting.job()
    }
}

fn setting(folder: &Path) -> Setting {
    Setting { corpus: with_strange_places(24, 10), ..Setting::new(llama(), folder) }
}

fn spike(action: OnSpike) -> Spike {
    Spike { factor: 3.0, window: 8, action }
}

/// Stops once a step has been reached.
struct StopFrom<'a> {
    step: u64,
    stop: Stop,
    log: &'a mut Log,
}

impl Observer for StopFrom<'_> {
    fn recall(&mut self, heard: &Heard) {
        self.log.recall(heard);
    }

    fn start(&mut self, facts: &BatchFacts, resumed_at: Option<u64>) {
        self.log.start(facts, resumed_at);
    }

    fn step(&mut self, report: &StepReport) {
        self.log.step(report);
        if report.step >= self.step {
            self.stop.request();
        }
    }

    fn valid(&mut self, report: &ValidReport) {
        self.log.valid(report);
    }

    fn notice(&mut self, text: &str) {
        self.log.notice(text);
    }
}

/// Trains with stops once these steps have been reached, and then to the end.
fn trained(job: &Job, stops: &[u64]) -> (Log, Trained) {
    let mut log = Log::default();
    for step in stops {
        let stop = Stop::new();
        let mut observer = StopFrom { step: *step, stop: stop.clone(), log: &mut log };
        let outcome = train(job, &mut observer, &stop).unwrap();
        assert!(matches!(outcome, Outcome::Stopped { .. }), "{outcome:?}");
    }
    let Outcome::Finished(trained) = train(job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
    (log, trained)
}

/// The last loss that was told of each step.
fn losses(log: &Log) -> BTreeMap<u64, String> {
    log.steps.iter().map(|step| (step.step, format!("{} {}", step.loss, step.skipped))).collect()
}

fn same(a: &(Log, Trained), b: &(Log, Trained)) {
    assert_eq!(losses(&a.0), losses(&b.0));
    let facts = |t: &Trained| (t.weights_hash.clone(), t.tokens, t.order.clone(), t.skipped, t.rolled_back);
    assert_eq!(facts(&a.1), facts(&b.1));
}

#[test]
fn a_leap_stops_the_stage_if_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let (setting, spike) = (setting(folder.path()), spike(OnSpike::Stop));
    let error = train(&leaping(&setting, Some(&spike)), &mut Log::default(), &Stop::new()).unwrap_err();
    println!("{error}");
    assert!(matches!(error, TrainError::Spike { step: 9.., factor: 3.0, .. }), "{error}");
}

#[test]
fn a_step_that_leaps_is_left_out_and_stopping_changes_nothing() {
    let [one, two, three] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let spike = spike(OnSpike::Skip);
    let plain = trained(&leaping(&setting(one.path()), None), &[]);
    let whole = trained(&leaping(&setting(two.path()), Some(&spike)), &[]);
    let left_out: Vec<u64> = whole.0.steps.iter().filter(|step| step.skipped).map(|step| step.step).collect();
    println!("left out: {left_out:?}; {:?}", whole.0.notices);
    assert_eq!((left_out.len(), whole.0.notices.len()), (whole.1.skipped as usize, left_out.len()));
    let first = *left_out.first().expect("a step leaps");
    // Up to the first leap both are one training; the step after it is computed with the weights before it.
    assert_eq!(losses(&plain.0)[&first].split(' ').next(), losses(&whole.0)[&first].split(' ').next());
    assert_ne!(losses(&plain.0)[&(first + 1)], losses(&whole.0)[&(first + 1)]);
    assert!(left_out.iter().all(|step| *step > 8), "{left_out:?}");
    let parts = trained(&leaping(&setting(three.path()), Some(&spike)), &[3, first, first + 1, 61]);
    same(&whole, &parts);
}

/// A token whose embedding is no number makes the losses of its steps none; they are told as what they are, whoever went on with
/// the stage in between, and what is handed on was learnt from the others.
#[test]
fn a_loss_that_is_no_number_is_told_and_left_out_and_stopping_changes_nothing() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let setting = |i: usize| Setting { corpus: with_places_apart(), ..Setting::new(llama(), folders[i].path()) };
    let (model, first) = (Decoder { tied: false, ..llama() }, setting(0));
    let (_, start) = trained(&Job { model: &model, steps: 1, valid: None, ..first.job() }, &[]);
    let mut weights = read_weights(&start.weights).unwrap();
    let table = weights.iter_mut().find(|weight| weight.name == "model.embed_tokens.weight").unwrap();
    let width = table.shape[1];
    table.numbers.to_mut()[23 * width..24 * width].fill(f32::NAN);
    let init = folders[0].path().join("init.safetensors");
    write_weights(&weights, &init).unwrap();

    let spike = Spike { factor: 50.0, window: 4, action: OnSpike::Skip };
    let run = |i: usize, stops: &[u64]| {
        let setting = setting(i);
        let job = Job { model: &model, init: Some(&init), valid: None, on_spike: Some(&spike), ..setting.job() };
        trained(&job, stops)
    };
    let whole = run(1, &[]);
    let left_out: Vec<u64> = whole.0.steps.iter().filter(|step| step.skipped).map(|step| step.step).collect();
    assert_eq!((left_out.len(), whole.1.skipped), (3, 3), "{left_out:?}");
    for step in &whole.0.steps {
        assert_eq!((step.loss.is_nan(), step.grad_norm.is_finite()), (step.skipped, !step.skipped), "{step:?}");
    }
    let told: Vec<String> =
        left_out.iter().map(|step| format!("the loss of step {step} is NaN: the step is left out")).collect();
    assert_eq!(whole.0.notices, told);
    assert!(whole.1.loss.unwrap().is_finite());
    let lost = |weights: &[Named]| weights.iter().flat_map(|w| w.numbers.to_vec()).filter(|x| !x.is_finite()).count();
    assert_eq!(lost(&read_weights(&whole.1.weights).unwrap()), width, "nothing has come of it but what was there");
    let parts = run(2, &[left_out[0] - 1, left_out[0], left_out[1] + 1]);
    assert_eq!(parts.0.notices, told, "told once");
    same(&whole, &parts);
}

#[test]
fn a_leap_rolls_the_stage_back_past_its_data_and_stopping_changes_nothing() {
    let spike = spike(OnSpike::RollBack);
    let mut rolled_back = 0;
    for (period, first) in [(16, 10), (16, 13), (20, 1), (20, 7), (24, 10), (28, 10), (32, 4)] {
        let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let corpus = || with_strange_places(period, first);
        let whole = Setting { corpus: corpus(), ..Setting::new(llama(), one.path()) };
        let whole = trained(&leaping(&whole, Some(&spike)), &[]);
        println!("{:?} {:?}", whole.0.resumed, whole.0.notices);
        rolled_back += whole.1.rolled_back;
        assert_eq!((whole.1.steps, whole.0.notices.len() as u64), (80, whole.1.rolled_back));
        // What was undone is not counted: every step sees one sequence.
        assert_eq!(whole.1.tokens, 80 * 16);
        let fallen = whole.0.resumed.iter().flatten().copied().min().unwrap_or(20);
        let parts = Setting { corpus: corpus(), ..Setting::new(llama(), two.path()) };
        same(&whole, &trained(&leaping(&parts, Some(&spike)), &[2, fallen + 1, fallen + 3, 50, 51, 71]));
    }
    assert!(rolled_back > 5, "{rolled_back}");
}

#[test]
fn a_stage_that_only_leaps_ends_with_what_to_do() {
    let run = |action| {
        let folder = tempfile::tempdir().unwrap();
        let optimizer = Optimizer::Sgd(Sgd { lr: 1e30, momentum: 0.0, weight_decay: 0.0 });
        let setting = Setting { optimizer, ..Setting::new(llama(), folder.path()) };
        let spike = spike(action);
        let job = Job { clip: None, on_spike: Some(&spike), checkpoint: 100, steps: 100, valid: None, ..setting.job() };
        train(&job, &mut Log::default(), &Stop::new()).unwrap_err()
    };
    assert!(matches!(run(OnSpike::Stop), TrainError::NonFinite { .. }));
    let stuck = run(OnSpike::Skip);
    assert!(matches!(stuck, TrainError::Stuck { steps: 8, .. }), "{stuck}");
    let unstable = run(OnSpike::RollBack);
    assert!(matches!(unstable, TrainError::Unstable { checkpoint: 0, times: 3, .. }), "{unstable}");
}

#[test]
fn averages_and_growing_batches_go_on_as_if_they_had_not_stopped() {
    for model in [Decoder { tied: false, ..llama() }, gpt2()] {
        let [one, two, three] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let growth = Some(Growth { from: 1, steps: 6 });
        let settings = [&one, &two, &three].map(|folder| Setting::new(model.clone(), folder.path()));
        let job = |i: usize| Job { ema: Some(0.8), z_loss: 1e-3, growth, micro_batch: 3, ..settings[i].job() };
        let whole = trained(&job(0), &[]);
        same(&whole, &trained(&job(1), &[1, 4, 12]));
        let tokens: Vec<u64> = whole.0.steps.iter().map(|step| step.tokens / 16).collect();
        assert_eq!(tokens[..8], [1, 2, 4, 6, 9, 12, 16, 20], "one sequence at first and four from the seventh step on");
        assert!(whole.0.steps.iter().all(|step| step.z_loss > 0.0));
        // The average follows the weights and moves none of them.
        let plain = trained(&Job { ema: None, ..job(2) }, &[]);
        assert_eq!(losses(&plain.0), losses(&whole.0));
        assert_ne!(plain.1.weights_hash, whole.1.weights_hash);
        assert!(plain.0.valids.iter().zip(&whole.0.valids).all(|(a, b)| a.loss != b.loss));
    }
}

#[test]
fn as_many_checkpoints_are_kept_as_asked_and_several_damaged_ones_are_passed_by() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    let job = Job { checkpoint: 3, checkpoints: 4, ..setting.job() };
    let (_, whole) = trained(&job, &[]);
    let mut kept: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("step-"))
        .collect();
    kept.sort();
    assert_eq!(kept, ["step-00000009", "step-00000012", "step-00000015", "step-00000018"]);
    for name in &kept[2..] {
        let file = folder.path().join(name).join("first_moment.safetensors");
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    }
    let (log, again) = trained(&job, &[]);
    assert_eq!((log.resumed, log.notices.len()), (vec![Some(12)], 2));
    assert_eq!(again.weights_hash, whole.weights_hash);
}
