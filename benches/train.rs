//! Training speed: `cargo bench --bench train -- [DEVICE [STEPS]]`, or with `--profile dev` for what `cargo run` gives.
//!
//! Prints tokens per second of two small shapes and one of 12 M parameters, without validation.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints its figures, times itself, and fails by panicking"
)]

use emberlab::device::choose;
use emberlab::plan::spec::{Activation, Adamw, Decoder, Norm, Optimizer, Position, Precision};
use emberlab::random::Stream;
use emberlab::train::{Job, Keep, MemoryCorpus, Objective, Observer, Schedule, Shape, StepReport, Stop, train};

struct Rates(Vec<f64>);

impl Observer for Rates {
    fn step(&mut self, report: &StepReport) {
        self.0.push(report.tokens_per_second);
    }
}

fn llama(layers: i64, width: i64, heads: i64, context: i64) -> Decoder {
    Decoder {
        layers,
        heads,
        kv_heads: heads,
        width,
        head_dim: width / heads,
        hidden: (width * 8 / 3 + 31) / 32 * 32,
        context,
        ..Decoder::default()
    }
}

fn gpt2(layers: i64, width: i64, heads: i64, context: i64) -> Decoder {
    let (norm, position, activation) = (Norm::Layer, Position::Learned, Activation::Gelu);
    Decoder { hidden: 4 * width, norm, position, activation, ..llama(layers, width, heads, context) }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let device = choose(arguments.first().map(String::as_str)).unwrap_or_else(|error| panic!("{error}"));
    let steps: u64 = arguments.get(1).and_then(|steps| steps.parse().ok()).unwrap_or(20);
    println!("{} ({}, {})", device.name, device.adapter, device.driver);
    let only = arguments.get(2);
    for (name, model, vocab, batch) in [
        ("shakespeare-char: gpt2 4×128, T=64, B=12", gpt2(4, 128, 4, 64), 65, 12),
        ("quickstart: llama 4×128, T=128, B=16", llama(4, 128, 4, 128), 1024, 16),
        ("12M: llama 6×384, T=256, B=4", llama(6, 384, 6, 256), 4096, 4),
    ] {
        if only.is_some_and(|only| !name.starts_with(only.as_str())) {
            continue;
        }
        let mut draws = Stream::new(1, "bench").at(0);
        let corpus = MemoryCorpus::new(&[(0..200_000).map(|_| draws.below(vocab) as u32).collect()]);
        let folder = std::env::temp_dir().join(format!("emberlab-bench-{}", std::process::id()));
        let optimizer = Optimizer::Adamw(Adamw { lr: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 });
        let sequence = model.context as usize;
        let job = Job {
            objective: Objective::NextToken,
            model: &model,
            vocab: vocab as usize,
            init: None,
            corpus: &corpus,
            valid: None,
            batch,
            micro_batch: batch,
            sequence,
            steps,
            adapter: None,
            recompute: false,
            precision: Precision::F32,
            optimizer: &optimizer,
            groups: &Default::default(),
            schedule: Schedule { shape: Shape::Constant, warmup: 0, steps },
            clip: Some(1.0),
            keep: Keep::Last,
            checkpoint: 0,
            checkpoints: 2,
            growth: None,
            z_loss: 0.0,
            ema: None,
            on_spike: None,
            seed: 1,
            pad: 0,
            folder: &folder,
            identity: "bench",
            device: &device,
        };
        let mut rates = Rates(Vec::new());
        let outcome = train(&job, &mut rates, &Stop::new()).unwrap_or_else(|error| panic!("{error}"));
        let mut sorted = rates.0;
        sorted.sort_by(f64::total_cmp);
        println!("{name}: median {:.0}, best {:.0} tokens/s", sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
        if let emberlab::train::Outcome::Finished(trained) = outcome {
            println!("    {} parameters, loss {:.4}", trained.parameters, trained.loss.unwrap_or(f64::NAN));
        }
        std::fs::remove_dir_all(&folder).ok();
    }
}
