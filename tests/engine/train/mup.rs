//! muP against the package of its authors; see `tests/golden/make_mup_golden.py`.

use crate::common::{Log, Setting, cpu, gpt2, llama};
use crate::golden::worst;
use emberlab::model::{Architecture, Decoder, GenerateOptions, Named, read_weights, write_weights};
use emberlab::plan::spec::{self, InitKind, Mup, Optimizer};
use emberlab::train::{Job, MemoryCorpus, Objective, Outcome, Schedule, Shape, Stop, train};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(serde::Deserialize)]
struct Network {
    model: spec::Decoder,
    tokens: Vec<Vec<u32>>,
    /// Of every matrix, what `mup` draws where the base has 0.02.
    deviations: BTreeMap<String, f64>,
}

#[derive(serde::Deserialize)]
struct Golden {
    optimizer: Optimizer,
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
    clip: Option<f64>,
    warmup: u64,
    floor: f64,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data-golden/mup")
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap()).unwrap()
}

/// The weights to start from, written where a job can read them, and the logits of the first batch.
fn start(name: &str, scratch: &std::path::Path) -> (PathBuf, Vec<f32>) {
    let tensors = read_weights(&folder().join(format!("{name}.safetensors"))).unwrap();
    let before: Vec<Named<'_>> = tensors
        .iter()
        .filter_map(|tensor| {
            let name = tensor.name.strip_prefix("before/")?.to_owned();
            Some(Named { name: name.into(), shape: tensor.shape.clone(), numbers: tensor.numbers.clone() })
        })
        .collect();
    let path = scratch.join("start.safetensors");
    write_weights(&before, &path).unwrap();
    let logits = tensors.iter().find(|tensor| tensor.name == "logits").unwrap();
    (path, logits.numbers.to_vec())
}

#[test]
fn readout_and_scores_are_those_of_the_package() {
    for name in ["llama", "gpt2"] {
        let network: Network = read(name);
        let scratch = tempfile::tempdir().unwrap();
        let (path, expected) = start(name, scratch.path());
        let architecture = Architecture::new(&network.model, None).unwrap();
        let decoder = Decoder::load(architecture, &path, &cpu().device).unwrap();
        let inputs: Vec<Vec<u32>> = network.tokens.iter().map(|row| row[..row.len() - 1].to_vec()).collect();
        let logits = decoder.logits(&inputs).unwrap().try_into_vec_as::<f32>().unwrap();
        let difference = worst(&logits, &expected);
        assert!(difference < 1e-5, "{name}: {difference}");
        // A text written token by token, with cached keys, is the most likely one by the logits.
        let prompt = &network.tokens[0][..4];
        let options = GenerateOptions { max_tokens: 6, temperature: 0.0, ..GenerateOptions::default() };
        let written = decoder.generate(&[prompt.to_vec()], &options).unwrap();
        let mut text = prompt.to_vec();
        for token in &written[0].tokens {
            let logits = decoder.logits(&[text.clone()]).unwrap().try_into_vec_as::<f32>().unwrap();
            let last = &logits[(text.len() - 1) * 48..];
            let best = (0..48).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap();
            assert_eq!(*token as usize, best, "{name}");
            text.push(*token);
        }
        assert_eq!(written[0].tokens.len(), 6);
    }
}

#[test]
fn initial_weights_have_the_deviations_of_the_package() {
    for name in ["llama", "gpt2"] {
        let network: Network = read(name);
        let model = spec::Decoder { init_scaled: false, ..network.model };
        let decoder = Decoder::fresh(Architecture::new(&model, None).unwrap(), 3, &cpu().device);
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("fresh.safetensors");
        decoder.save(&path).unwrap();
        let mut compared = 0;
        for weight in read_weights(&path).unwrap() {
            let Some(expected) = network.deviations.get(weight.name.as_ref()) else { continue };
            let deviation = deviation(&weight.numbers);
            // Of the few hundred numbers of the smallest matrix.
            assert!((deviation / expected - 1.0).abs() < 0.15, "{name}: {}: {deviation} and {expected}", weight.name);
            compared += 1;
        }
        assert_eq!(compared, network.deviations.len());
    }
}

fn deviation(numbers: &[f32]) -> f64 {
    (numbers.iter().map(|x| f64::from(x * x)).sum::<f64>() / numbers.len() as f64).sqrt()
}

/// Losses, gradient norms, and the weights after ten steps.
fn check(name: &str, kind: &str) {
    let (network, golden): (Network, Golden) = (read(name), read(&format!("{name}-{kind}")));
    let scratch = tempfile::tempdir().unwrap();
    let (path, _) = start(name, scratch.path());
    let setting = Setting::new(network.model, scratch.path());
    let corpus = MemoryCorpus::new(&network.tokens);
    let job = Job {
        objective: Objective::Sft,
        vocab: 48,
        init: Some(&path),
        corpus: &corpus,
        valid: None,
        sequence: network.tokens[0].len() - 1,
        steps: 10,
        optimizer: &golden.optimizer,
        schedule: Schedule { shape: Shape::Cosine { floor: golden.floor }, warmup: golden.warmup, steps: 10 },
        clip: golden.clip,
        ..setting.job()
    };
    let mut log = Log::default();
    let Outcome::Finished(trained) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
    for (i, step) in log.steps.iter().enumerate() {
        assert!((step.loss - golden.losses[i]).abs() < 2e-5, "{name}: loss {} and {}", step.loss, golden.losses[i]);
        let (norm, expected) = (step.grad_norm, golden.grad_norms[i]);
        assert!((norm - expected).abs() < 1e-4 * expected, "{name}: norm {norm} and {expected}");
    }
    let expected = read_weights(&folder().join(format!("{name}-{kind}.safetensors"))).unwrap();
    let mut furthest: f32 = 0.0;
    for (ours, theirs) in read_weights(&trained.weights).unwrap().iter().zip(&expected) {
        assert_eq!(ours.name, theirs.name);
        if ours.name.ends_with("k_proj.bias") {
            // A shift of all keys changes no softmax: the true gradient is zero, and Adam makes steps of its rounding.
            continue;
        }
        let difference = worst(&ours.numbers, &theirs.numbers);
        assert!(difference <= 2e-5, "{name} {kind}: `{}` differs by {difference} after ten steps", ours.name);
        furthest = furthest.max(difference);
    }
    println!("{name} {kind}: weights within {furthest:.1e} after ten steps");
}

#[test]
fn ten_steps_are_those_of_the_package() {
    for name in ["llama", "gpt2"] {
        for kind in ["adamw", "sgd", "lion"] {
            check(name, kind);
        }
    }
}

#[test]
fn at_its_base_nothing_changes_by_a_bit() {
    for model in [llama(), gpt2()] {
        let mup = Some(Mup { base_width: model.width, base_head_dim: Some(model.head_dim) });
        let train = |model: &spec::Decoder, optimizer: &Optimizer| {
            let folder = tempfile::tempdir().unwrap();
            let setting = Setting { optimizer: optimizer.clone(), ..Setting::new(model.clone(), folder.path()) };
            let mut log = Log::default();
            let Outcome::Finished(trained) = train(&setting.job(), &mut log, &Stop::new()).unwrap() else {
                panic!("stopped")
            };
            (log.losses(), trained.weights_hash)
        };
        for optimizer in crate::optimizers::all() {
            let with = train(&spec::Decoder { mup, ..model.clone() }, &optimizer);
            assert_eq!(with, train(&model, &optimizer), "{optimizer:?}");
        }
    }
}

#[test]
fn published_initial_weights_are_as_published() {
    let fresh = |kind| {
        let model = spec::Decoder { vocab: Some(500), tied: false, init_kind: kind, ..llama() };
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("fresh.safetensors");
        Decoder::fresh(Architecture::new(&model, None).unwrap(), 5, &cpu().device).save(&path).unwrap();
        read_weights(&path).unwrap().into_iter().map(|w| (w.name.to_string(), w.numbers.to_vec())).collect()
    };
    let close = |numbers: &[f32], expected: f64| {
        let deviation = deviation(numbers);
        assert!((deviation / expected - 1.0).abs() < 0.06, "{deviation} and {expected}");
    };
    let most = |numbers: &[f32]| numbers.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let at = |name: &str| format!("model.layers.0.{name}.weight");
    let (q, up, down) = (at("self_attn.q_proj"), at("mlp.up_proj"), at("mlp.down_proj"));
    let (embedding, head) = ("model.embed_tokens.weight", "lm_head.weight");

    let all: BTreeMap<String, Vec<f32>> = fresh(Some(InitKind::Truncated));
    assert!(most(&all[embedding]) <= 0.06 && most(&all[embedding]) > 0.055);
    // Cutting at three deviations leaves 0.9866 of one.
    close(&all[embedding], 0.02 * 0.9866);
    close(&all[&down], 0.02 * 0.9866 / 2.0);
    let plain: BTreeMap<String, Vec<f32>> = fresh(None);
    assert!(most(&plain[embedding]) > 0.06);

    let all: BTreeMap<String, Vec<f32>> = fresh(Some(InitKind::FanIn));
    close(&all[embedding], 32f64.powf(-0.5));
    close(&all[&up], 32f64.powf(-0.5));
    close(&all[&down], 64f64.powf(-0.5) / 2.0);

    let all: BTreeMap<String, Vec<f32>> = fresh(Some(InitKind::Nanochat));
    close(&all[embedding], 0.8);
    close(&all[head], 0.001);
    close(&all[&q], 32f64.powf(-0.5));
    close(&all[&up], 0.4 * 32f64.powf(-0.5));
    assert!(most(&all[&q]) <= 3f32.sqrt() / 32f32.sqrt());
    assert!(all[&down].iter().chain(&all[&at("self_attn.o_proj")]).all(|x| *x == 0.0));
}
