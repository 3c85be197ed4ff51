//! Optimisers against PyTorch, and stopped and resumed; see `tests/golden/make_optimizer_golden.py`.

use crate::common::{Log, Setting, adamw, gpt2, llama, mixture, valued};
use crate::golden::{Case, worst};
use emberlab::model::{read_weights, write_weights};
use emberlab::plan::spec::{
    Adafactor, Adamw, Decoder, Group, Groups, Lion, Muon, MuonScale, Optimizer, Rest, Sgd, Soap,
};
use emberlab::train::{Job, MemoryCorpus, Objective, Outcome, Schedule, Shape, Stop, train};
use std::path::{Path, PathBuf};

/// The settings and the numbers of ten steps.
#[derive(serde::Deserialize)]
struct Golden {
    optimizer: Optimizer,
    #[serde(default)]
    groups: Groups,
    losses: Vec<f64>,
    penalties: Vec<f64>,
    z_loss: f64,
    ema: Option<f64>,
    grad_norms: Vec<f64>,
    clip: f64,
    warmup: u64,
    floor: f64,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data-golden/optimizer")
}

/// Losses, gradient norms, and the weights after ten steps.
fn check(name: &str) {
    let golden: Golden =
        serde_json::from_str(&std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap()).unwrap();
    let case = Case::read("llama");
    let scratch = tempfile::tempdir().unwrap();
    let start = scratch.path().join("start.safetensors");
    write_weights(&case.weights("before"), &start).unwrap();
    let setting = Setting::new(case.golden.model.clone(), scratch.path());
    let corpus = MemoryCorpus::new(&case.golden.tokens);
    let rows = case.golden.tokens.len();
    let job = Job {
        objective: Objective::Sft,
        vocab: 48,
        init: Some(&start),
        corpus: &corpus,
        valid: None,
        batch: rows,
        micro_batch: rows,
        sequence: case.golden.tokens[0].len() - 1,
        steps: 10,
        optimizer: &golden.optimizer,
        groups: &golden.groups,
        schedule: Schedule { shape: Shape::Cosine { floor: golden.floor }, warmup: golden.warmup, steps: 10 },
        clip: Some(golden.clip),
        z_loss: golden.z_loss,
        ema: golden.ema,
        ..setting.job()
    };
    let mut log = Log::default();
    let Outcome::Finished(trained) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
    for (i, step) in log.steps.iter().enumerate() {
        assert!((step.loss - golden.losses[i]).abs() < 2e-5, "{name}: loss {} and {}", step.loss, golden.losses[i]);
        let (penalty, expected) = (step.z_loss, golden.penalties[i]);
        assert!((penalty - expected).abs() <= 1e-5 * expected, "{name}: z-loss {penalty} and {expected}");
        let (norm, expected) = (step.grad_norm, golden.grad_norms[i]);
        assert!((norm - expected).abs() < 1e-4 * expected, "{name}: norm {norm} and {expected}");
    }
    let after = read_weights(&trained.weights).unwrap();
    let expected = read_weights(&folder().join(format!("{name}.safetensors"))).unwrap();
    assert_eq!(after.len(), expected.len());
    let mut furthest: f32 = 0.0;
    for (ours, theirs) in after.iter().zip(&expected) {
        assert_eq!(ours.name, theirs.name);
        let difference = worst(&ours.numbers, &theirs.numbers);
        assert!(difference <= 2e-5, "{name}: `{}` differs by {difference} after ten steps", ours.name);
        furthest = furthest.max(difference);
    }
    println!("{name}: weights within {furthest:.1e} after ten steps");
}

#[test]
fn muon_is_the_one_of_pytorch_in_single_precision() {
    check("muon");
    check("muon-rms");
}

#[test]
fn lion_is_the_one_of_its_paper() {
    check("lion");
}

#[test]
fn adafactor_is_the_one_of_pytorch() {
    check("adafactor");
}

#[test]
fn momentum_and_decay_are_those_of_pytorch() {
    check("sgd");
}

#[test]
fn parts_have_rates_and_decays_of_their_own() {
    check("groups");
}

#[test]
fn the_z_loss_and_the_average_of_the_weights_are_those_of_pytorch() {
    check("penalty");
}

/// Every optimiser, with settings under which nothing it remembers can be forgotten unnoticed.
pub fn all() -> Vec<Optimizer> {
    let Optimizer::Adamw(rest) = adamw() else { unreachable!() };
    vec![
        adamw(),
        Optimizer::Adamw(Adamw { weight_decay: 0.0, ..rest.clone() }),
        Optimizer::Sgd(Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.1 }),
        Optimizer::Sgd(Sgd { lr: 0.1, momentum: 0.0, weight_decay: 0.0 }),
        Optimizer::Lion(Lion { lr: 1e-3, beta1: 0.9, beta2: 0.99, weight_decay: 0.1 }),
        Optimizer::Muon(Muon {
            lr: 0.02,
            momentum: 0.95,
            nesterov: true,
            iterations: 5,
            scale: MuonScale::Shape,
            weight_decay: 0.01,
            rest: Rest::Adamw(rest),
        }),
        Optimizer::Adafactor(Adafactor {
            lr: 0.03,
            decay_rate: 0.8,
            threshold: 1.0,
            min_scale: 1e-3,
            weight_decay: 0.0,
        }),
        soap(),
    ]
}

/// With eigenvectors that are often brought up to date, and tables of which one side is not turned.
pub fn soap() -> Optimizer {
    Optimizer::Soap(Soap {
        lr: 3e-3,
        beta1: 0.95,
        beta2: 0.95,
        shampoo_beta: Some(0.9),
        epsilon: 1e-8,
        weight_decay: 0.01,
        precondition_frequency: 3,
        max_precond_dim: 60,
    })
}

/// Losses and the hash of the weights, of a training stopped after these steps.
fn stopped_at(model: &Decoder, optimizer: &Optimizer, steps: &[u64], folder: &Path) -> (Vec<f64>, String) {
    let setting = Setting { optimizer: optimizer.clone(), ..Setting::new(model.clone(), folder) };
    let mut log = Log::default();
    for step in steps {
        let stop = Stop::new();
        let mut observer = crate::resume::StopAt { step: *step, stop: stop.clone(), log: &mut log };
        assert_eq!(train(&setting.job(), &mut observer, &stop).unwrap(), Outcome::Stopped { step: *step });
    }
    let Outcome::Finished(trained) = train(&setting.job(), &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
    (log.losses(), trained.weights_hash)
}

#[test]
fn every_optimizer_goes_on_as_if_it_had_not_stopped_and_learns() {
    for optimizer in all() {
        for model in [Decoder { tied: false, ..llama() }, gpt2(), mixture(), valued()] {
            let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let whole = stopped_at(&model, &optimizer, &[], one.path());
            assert_eq!(stopped_at(&model, &optimizer, &[1, 6, 13], two.path()), whole, "{optimizer:?}");
            assert!(whole.0.last() < whole.0.first(), "{optimizer:?}: {:?}", whole.0);
        }
    }
}

#[test]
fn a_part_without_a_rate_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut setting = Setting::new(Decoder { tied: false, ..llama() }, folder.path());
    let fresh = |setting: &Setting| {
        let Outcome::Finished(trained) =
            train(&Job { keep: emberlab::train::Keep::Last, ..setting.job() }, &mut Log::default(), &Stop::new())
                .unwrap()
        else {
            panic!("stopped")
        };
        read_weights(&trained.weights).unwrap()
    };
    let still = Group { rate: 0.0, ..Group::default() };
    setting.groups =
        Groups { embedding: still.clone(), hidden: still.clone(), head: still.clone(), vectors: still.clone() };
    let start = fresh(&setting);
    for optimizer in all() {
        let other = tempfile::tempdir().unwrap();
        setting.folder = other.path().to_owned();
        setting.optimizer = optimizer;
        setting.groups = Groups { embedding: still.clone(), vectors: still.clone(), ..Groups::default() };
        for (before, after) in start.iter().zip(fresh(&setting)) {
            let stays = before.name.contains("embed") || before.name.contains("norm");
            assert_eq!(before.numbers == after.numbers, stays, "{:?}: {}", setting.optimizer, before.name);
        }
    }
}
