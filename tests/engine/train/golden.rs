//! The numbers of PyTorch and transformers; see `tests/golden/make_model_golden.py`.

use crate::common::{Log, cpu};
use emberlab::device::Chosen;
use emberlab::model::{Architecture, Decoder, Named, read_weights, write_weights};
use emberlab::plan::spec;
use emberlab::train::{Job, Keep, MemoryCorpus, Objective, Outcome, Schedule, Shape, Stop, Trained, gradients, train};
use std::path::{Path, PathBuf};

#[derive(serde::Deserialize)]
pub struct Golden {
    pub model: spec::Decoder,
    pub tokens: Vec<Vec<u32>>,
    #[serde(flatten)]
    pub steps: Steps,
}

/// AdamW steps on one batch, and what came of each.
#[derive(serde::Deserialize)]
pub struct Steps {
    pub losses: Vec<f64>,
    grad_norms: Vec<f64>,
    rates: Vec<f64>,
    /// What the balance of experts adds to the loss, in networks that have any.
    #[serde(default)]
    balances: Vec<f64>,
    optimizer: spec::Adamw,
    clip: f64,
    warmup: u64,
    floor: f64,
}

impl Steps {
    /// The same steps here, from the weights in `init`; `folder` is for what training writes.
    pub fn take(
        &self,
        model: &spec::Decoder,
        vocab: usize,
        init: &Path,
        tokens: &[Vec<u32>],
        folder: &Path,
        device: &Chosen,
    ) -> (Log, Trained) {
        let corpus = MemoryCorpus::new(tokens);
        let optimizer = spec::Optimizer::Adamw(self.optimizer.clone());
        let steps = self.losses.len() as u64;
        let job = Job {
            objective: Objective::Sft,
            model,
            vocab,
            init: Some(init),
            corpus: &corpus,
            valid: None,
            batch: tokens.len(),
            micro_batch: tokens.len(),
            sequence: tokens[0].len() - 1,
            steps,
            adapter: None,
            recompute: false,
            precision: spec::Precision::F32,
            optimizer: &optimizer,
            groups: &Default::default(),
            schedule: Schedule { shape: Shape::Cosine { floor: self.floor }, warmup: self.warmup, steps },
            clip: Some(self.clip),
            keep: Keep::Last,
            checkpoint: 0,
            checkpoints: 2,
            growth: None,
            z_loss: 0.0,
            ema: None,
            on_spike: None,
            seed: 0,
            pad: 0,
            folder,
            identity: "golden",
            device,
        };
        let mut log = Log::default();
        let Outcome::Finished(trained) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
        (log, trained)
    }

    /// What the steps are made with.
    pub fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "optimizer": self.optimizer, "clip": self.clip })
    }

    /// Holds steps that were taken against these.
    pub fn check(&self, name: &str, model: &spec::Decoder, log: &Log) {
        assert_eq!(log.steps.len(), self.losses.len());
        for (i, step) in log.steps.iter().enumerate() {
            assert!((step.lr - self.rates[i]).abs() < 1e-12, "{name}: rate {} and {}", step.lr, self.rates[i]);
            assert!((step.loss - self.losses[i]).abs() < 2e-5, "{name}: loss {} and {}", step.loss, self.losses[i]);
            let balance = self.balances.get(i).copied().unwrap_or_default();
            assert!((step.balance_loss - balance).abs() < 1e-5, "{name}: balance {} and {balance}", step.balance_loss);
            assert_eq!(step.busiest_expert > 0.0, model.experts.is_some(), "{name}");
            let (norm, expected) = (step.grad_norm, self.grad_norms[i]);
            assert!((norm - expected).abs() < 1e-4 * expected, "{name}: norm {norm} and {expected}");
        }
    }
}

pub struct Case {
    pub golden: Golden,
    tensors: Vec<Named<'static>>,
}

impl Case {
    pub fn read(name: &str) -> Case {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data-golden/model");
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let golden = serde_json::from_str(&text).unwrap();
        Case { golden, tensors: read_weights(&folder.join(format!("{name}.safetensors"))).unwrap() }
    }

    fn tensor(&self, name: &str) -> &[f32] {
        &self.tensors.iter().find(|tensor| tensor.name == name).unwrap().numbers
    }

    /// The weights `before` or `after` the ten steps, under their own names.
    pub fn weights(&self, when: &str) -> Vec<Named<'_>> {
        let of = |tensor: &'_ Named<'static>| {
            let name = tensor.name.strip_prefix(when)?.strip_prefix('/')?.to_owned();
            Some(Named { name: name.into(), shape: tensor.shape.clone(), numbers: tensor.numbers.clone() })
        };
        self.tensors.iter().filter_map(of).collect()
    }
}

pub fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// A shift of all keys changes no softmax: the true gradient is zero, and Adam makes steps of its rounding.
pub fn is_idle(name: &str) -> bool {
    name.ends_with("k_proj.bias")
}

/// Logits, gradients weight by weight, ten losses, gradient norms and rates, and the weights after ten steps.
fn check(name: &str, device: &Chosen) {
    let case = Case::read(name);
    let golden = &case.golden;
    let folder = tempfile::tempdir().unwrap();
    let start = folder.path().join("start.safetensors");
    write_weights(&case.weights("before"), &start).unwrap();

    let architecture = Architecture::new(&golden.model, None).unwrap();
    let decoder = Decoder::load(architecture, &start, &device.device).unwrap();
    let inputs: Vec<Vec<u32>> = golden.tokens.iter().map(|row| row[..row.len() - 1].to_vec()).collect();
    let logits = decoder.logits(&inputs).unwrap().try_into_vec_as::<f32>().unwrap();
    let difference = worst(&logits, case.tensor("logits"));
    assert!(difference <= 1e-4, "{name}: logits differ by {difference}");

    let (loss, by_name) = gradients(&decoder, &golden.tokens).unwrap();
    let first = golden.steps.losses[0];
    assert!((loss - first).abs() < 2e-5, "{name}: loss {loss} and {first}");
    let expected = case.weights("gradient");
    assert_eq!(by_name.len(), expected.len());
    for ours in &by_name {
        let theirs = expected.iter().find(|theirs| theirs.name == ours.name).unwrap();
        let difference = worst(&ours.numbers, &theirs.numbers);
        assert!(difference <= 2e-5, "{name}: the gradient of `{}` differs by {difference}", ours.name);
    }

    let (log, trained) = golden.steps.take(&golden.model, 48, &start, &golden.tokens, folder.path(), device);
    golden.steps.check(name, &golden.model, &log);
    let after = read_weights(&trained.weights).unwrap();
    let mut expected = case.weights("after");
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(after.len(), expected.len());
    for (ours, theirs) in after.iter().zip(&expected) {
        assert_eq!(ours.name, theirs.name);
        if is_idle(&ours.name) {
            continue;
        }
        let difference = worst(&ours.numbers, &theirs.numbers);
        assert!(difference <= 2e-5, "{name}: `{}` differs by {difference} after ten steps", ours.name);
    }
    println!("{name}: logits within {:.1e}, loss after ten steps {:.6}", difference, log.steps[9].loss);
}

#[test]
fn gpt2_is_the_one_of_transformers() {
    check("gpt2", &cpu());
}

#[test]
fn llama_is_the_one_of_transformers() {
    // Grouped queries; one key head and a tied output; rescaled angles; biases everywhere.
    ["llama", "llama-tied", "llama3", "llama-biased"].iter().for_each(|name| check(name, &cpu()));
}

#[test]
fn mistral_with_its_window_is_the_one_of_transformers() {
    check("mistral", &cpu());
}

#[test]
fn qwen_2_and_3_are_those_of_transformers() {
    ["qwen2", "qwen3"].iter().for_each(|name| check(name, &cpu()));
}

#[test]
fn olmo_2_is_the_one_of_transformers() {
    check("olmo2", &cpu());
}

#[test]
fn smollm_3_with_blocks_without_positions_is_the_one_of_transformers() {
    check("smollm3", &cpu());
}

/// With their balance: that of each sequence by itself, as `transformers` computes it of one.
#[test]
fn mixtures_of_experts_are_those_of_transformers() {
    // Shares renormalised; every second block; shares as they are, with a z-loss of the router.
    ["mixtral", "qwen3-moe", "olmoe"].iter().for_each(|name| check(name, &cpu()));
}

#[test]
fn value_embeddings_are_those_of_pytorch() {
    check("valued", &cpu());
}

#[test]
fn a_combination_that_no_family_has_is_the_one_of_pytorch() {
    check("free", &cpu());
}
