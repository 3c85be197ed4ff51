//! The numbers of PEFT; see `tests/golden/make_adapter_golden.py`.

use crate::common::{Log, cpu};
use crate::golden::{Case, worst};
use emberlab::model::{Named, read_weights, write_weights};
use emberlab::plan::spec;
use emberlab::train::{Adapting, Job, Keep, MemoryCorpus, Objective, Outcome, Schedule, Shape, Stop, train};
use std::path::PathBuf;

#[derive(serde::Deserialize)]
struct Golden {
    adapter: spec::Adapter,
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
    optimizer: spec::Optimizer,
    clip: f64,
    warmup: u64,
    floor: f64,
}

/// The tensors whose names begin with `when`, without it.
fn of<'a>(tensors: &'a [Named<'static>], when: &str) -> Vec<Named<'a>> {
    let named = |tensor: &'a Named<'static>| {
        let name = tensor.name.strip_prefix(when)?.strip_prefix('/')?;
        Some(Named { name: name.into(), shape: tensor.shape.clone(), numbers: tensor.numbers.as_ref().into() })
    };
    tensors.iter().filter_map(named).collect()
}

/// Ten losses and gradient norms, and after them the adapters and the network with them worked in.
fn check(name: &str) {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data-golden/adapter");
    let text = std::fs::read_to_string(data.join(format!("{name}.json"))).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    let tensors = read_weights(&data.join(format!("{name}.safetensors"))).unwrap();
    let llama = Case::read("llama");
    let folder = tempfile::tempdir().unwrap();
    let (init, start) = (folder.path().join("init.safetensors"), folder.path().join("start.safetensors"));
    write_weights(&llama.weights("before"), &init).unwrap();
    write_weights(&of(&tensors, "before"), &start).unwrap();

    let tokens = &llama.golden.tokens;
    let corpus = MemoryCorpus::new(tokens);
    let steps = golden.losses.len() as u64;
    let device = cpu();
    let job = Job {
        objective: Objective::Sft,
        model: &llama.golden.model,
        vocab: 48,
        init: Some(&init),
        corpus: &corpus,
        valid: None,
        batch: tokens.len(),
        micro_batch: tokens.len(),
        sequence: tokens[0].len() - 1,
        steps,
        adapter: Some(Adapting { spec: &golden.adapter, init: Some(&start) }),
        recompute: false,
        precision: spec::Precision::F32,
        optimizer: &golden.optimizer,
        groups: &Default::default(),
        schedule: Schedule { shape: Shape::Cosine { floor: golden.floor }, warmup: golden.warmup, steps },
        clip: Some(golden.clip),
        keep: Keep::Last,
        checkpoint: 0,
        checkpoints: 2,
        growth: None,
        z_loss: 0.0,
        ema: None,
        on_spike: None,
        seed: 0,
        pad: 0,
        folder: folder.path(),
        identity: "golden",
        device: &device,
    };
    let mut log = Log::default();
    let Outcome::Finished(trained) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
    let mut apart = 0.0f64;
    assert_eq!(log.steps.len(), golden.losses.len());
    for (step, (loss, norm)) in log.steps.iter().zip(golden.losses.iter().zip(&golden.grad_norms)) {
        apart = apart.max((step.loss - loss).abs());
        assert!((step.loss - loss).abs() < 2e-5, "{name}: loss {} and {loss}", step.loss);
        assert!((step.grad_norm - norm).abs() < 1e-4 * norm, "{name}: norm {} and {norm}", step.grad_norm);
    }
    let adapters = read_weights(trained.adapter.as_ref().unwrap()).unwrap();
    let expected = of(&tensors, "after");
    assert_eq!(adapters.len(), expected.len());
    let mut furthest = 0.0f32;
    for (ours, theirs) in adapters.iter().zip(&expected) {
        assert_eq!((&ours.name, &ours.shape), (&theirs.name, &theirs.shape));
        let difference = worst(&ours.numbers, &theirs.numbers);
        furthest = furthest.max(difference);
        assert!(difference <= 2e-5, "{name}: `{}` differs by {difference} after ten steps", ours.name);
    }
    let after = read_weights(&trained.weights).unwrap();
    let merged = of(&tensors, "merged");
    assert_eq!(merged.len(), 14);
    for theirs in &merged {
        let ours = after.iter().find(|ours| ours.name == theirs.name).unwrap();
        let difference = worst(&ours.numbers, &theirs.numbers);
        assert!(difference <= 2e-5, "{name}: `{}` differs by {difference} with its adapter", theirs.name);
    }
    println!("{name}: losses within {apart:.1e}, adapters within {furthest:.1e}");
}

#[test]
fn lora_is_that_of_peft() {
    check("lora");
}

#[test]
fn rank_stabilised_lora_is_that_of_peft() {
    check("rslora");
}

#[test]
fn dora_is_that_of_peft() {
    check("dora");
}
