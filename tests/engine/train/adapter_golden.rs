//! The numbers of PEFT; see `tests/golden/make_adapter_golden.py`.

use crate::common::{Log, cpu};
use crate::golden::{Case, worst};
use emberlab::model::{Named, read_weights, write_weights};
use emberlab::plan::spec;
use emberlab::train::{Adapting, Job, Keep, MemoryCorpus, Objective, Outcome, Schedule, Shape, Stop, train};
use std::path::PathBuf;

#[derive(serde::Deserialize)]
struct Golden {
    /// Whose file in `tests/data-golden/model` has the weights and the tokens.
    network: String,
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

/// The first gradient of every adapter; ten losses and gradient norms, and after them the adapters and the network with them
/// worked in, all else of which has kept its bits.
fn check(name: &str) {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data-golden/adapter");
    let text = std::fs::read_to_string(data.join(format!("{name}.json"))).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    let tensors = read_weights(&data.join(format!("{name}.safetensors"))).unwrap();
    let case = Case::read(&golden.network);
    let folder = tempfile::tempdir().unwrap();
    let (init, start) = (folder.path().join("init.safetensors"), folder.path().join("start.safetensors"));
    write_weights(&case.weights("before"), &init).unwrap();
    write_weights(&of(&tensors, "before"), &start).unwrap();

    let tokens = &case.golden.tokens;
    let corpus = MemoryCorpus::new(tokens);
    let steps = golden.losses.len() as u64;
    let device = cpu();
    let job = Job {
        objective: Objective::Sft,
        model: &case.golden.model,
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
    // One step of the gradient itself leaves it as a difference.
    let plain = spec::Optimizer::Sgd(spec::Sgd { lr: 1.0, momentum: 0.0, weight_decay: 0.0 });
    let step = tempfile::tempdir().unwrap();
    let one = Job {
        optimizer: &plain,
        steps: 1,
        schedule: Schedule { shape: Shape::Constant, warmup: 0, steps: 1 },
        clip: None,
        folder: step.path(),
        valid: None,
        ..job
    };
    let Outcome::Finished(moved) = train(&one, &mut Log::default(), &Stop::new()).unwrap() else { panic!("stopped") };
    let (before, moved) = (read_weights(&start).unwrap(), read_weights(moved.adapter.as_ref().unwrap()).unwrap());
    let slopes = of(&tensors, "gradient");
    assert_eq!((before.len(), moved.len()), (slopes.len(), slopes.len()));
    let mut of_gradients = 0.0f32;
    for theirs in &slopes {
        let find = |all: &[Named<'static>]| all.iter().find(|ours| ours.name == theirs.name).unwrap().numbers.to_vec();
        let ours: Vec<f32> = find(&before).iter().zip(find(&moved)).map(|(before, after)| before - after).collect();
        let difference = worst(&ours, &theirs.numbers);
        assert!(difference <= 2e-6, "{name}: the gradient of `{}` differs by {difference}", theirs.name);
        assert!(theirs.numbers.iter().any(|x| x.abs() > 1e-4), "{name}: `{}` learns", theirs.name);
        of_gradients = of_gradients.max(difference);
    }

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
    assert_eq!(after.len(), case.weights("before").len());
    let mut adapted = 0;
    for (ours, init) in after.iter().zip(read_weights(&init).unwrap()) {
        assert_eq!(ours.name, init.name);
        let module = format!("base_model.model.{}", ours.name.trim_end_matches("weight"));
        if !adapters.iter().any(|adapter| adapter.name.starts_with(&module)) {
            let bits = |weight: &Named| weight.numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(ours), bits(&init), "{name}: `{}` has changed", ours.name);
            continue;
        }
        let theirs = merged.iter().find(|theirs| theirs.name == ours.name).unwrap();
        let difference = worst(&ours.numbers, &theirs.numbers);
        assert!(difference <= 2e-5, "{name}: `{}` differs by {difference} with its adapter", theirs.name);
        assert!(worst(&ours.numbers, &init.numbers) > 1e-4, "{name}: `{}` is adapted", ours.name);
        adapted += 1;
    }
    let spec::Adapter::Lora(lora) = &golden.adapter;
    assert_eq!(adapted, 2 * lora.on.len(), "{name}: both blocks");
    println!(
        "{name}: gradients within {of_gradients:.1e}, losses {apart:.1e}, adapters after ten steps {furthest:.1e}"
    );
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

#[test]
fn adapters_beside_value_embeddings_are_those_of_peft() {
    ["valued-lora", "valued-rslora", "valued-dora"].iter().for_each(|name| check(name));
}

/// Experts stay as they are, and their balance reaches the attention before them.
#[test]
fn adapters_of_the_attention_of_a_mixture_are_those_of_peft() {
    ["mixtral-lora", "mixtral-dora"].iter().for_each(|name| check(name));
}
