//! Training speed: `cargo bench --bench train -- [DEVICE [STEPS [SHAPE]]]`, or with `--profile dev` for what `cargo run` gives.
//!
//! Prints tokens per second of two small shapes and of ones with 12 and 50 M parameters, without validation, and which share
//! that is of the device's rate in square matrix products, taken before and after. SHAPE is the beginning of a name below; peak
//! memory is that of the whole process, so it speaks of one shape where only one is run. `compare.py` sets it beside PyTorch.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints its figures, times itself, and fails by panicking"
)]

use burn::tensor::{Device, Tensor, TensorData};
use emberlab::device::{Kind, choose};
use emberlab::plan::spec::{Activation, Adamw, Decoder, Experts, Norm, Optimizer, Position, Precision};
use emberlab::plan::{parameters, training_flops_per_token};
use emberlab::random::Stream;
use emberlab::train::{Job, Keep, MemoryCorpus, Objective, Observer, Schedule, Shape, StepReport, Stop, train};
use emberlab_kernels::{Matrix, matmul};
use std::time::Instant;

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

fn mixtral() -> Decoder {
    let (hidden, every, z_loss) = (None, None, None);
    let experts = Experts { count: 8, active: 2, hidden, renormalize: true, every, balance: 0.02, z_loss };
    Decoder { hidden: 512, tied: false, experts: Some(experts), ..llama(4, 256, 8, 128) }
}

/// Operations a second of products of two square f32 matrices, the median of several: of burn's product, or on the CPU of the
/// kernel that training uses, whichever is quicker.
fn sgemm(device: &Device, cpu: bool) -> f64 {
    const SIZE: usize = 1536;
    const TIMES: usize = 9;
    let rate = |mut seconds: Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        2.0 * (SIZE as f64).powi(3) / seconds[seconds.len() / 2]
    };
    let numbers: Vec<f32> = (0..SIZE * SIZE).map(|i| (i % 97) as f32 / 97.0).collect();
    let matrix = || Tensor::<2>::from_data(TensorData::new(numbers.clone(), [SIZE, SIZE]), device);
    let (left, right) = (matrix(), matrix());
    let burns = (0..TIMES).map(|_| {
        let began = Instant::now();
        let product = left.clone().matmul(right.clone());
        let read = product.narrow(0, 0, 1).try_into_vec_as::<f32>();
        assert!(read.is_ok_and(|row| row.iter().all(|x| x.is_finite())), "the product cannot be read");
        began.elapsed().as_secs_f64()
    });
    let burns = rate(burns.collect());
    if !cpu {
        return burns;
    }
    let square = || Matrix::new(&numbers, SIZE, SIZE);
    let kernels = (0..TIMES).map(|_| {
        let began = Instant::now();
        std::hint::black_box(matmul(square(), square()));
        began.elapsed().as_secs_f64()
    });
    burns.max(rate(kernels.collect()))
}

/// Most memory that this process has held, in megabytes, where the system tells (Linux).
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
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
        ("50M: llama 9×640, T=512, B=2", llama(9, 640, 10, 512), 8192, 2),
        ("mixture: mixtral 4×256, 2 of 8 experts of 512, T=128, B=16", mixtral(), 4096, 16),
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
        let cpu = device.kind == Kind::Cpu;
        let before = sgemm(&device.device, cpu);
        let mut rates = Rates(Vec::new());
        let outcome = train(&job, &mut rates, &Stop::new()).unwrap_or_else(|error| panic!("{error}"));
        let mut sorted = rates.0;
        sorted.sort_by(f64::total_cmp);
        let (median, best) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
        let products = (before + sgemm(&device.device, cpu)) / 2.0;
        let peak = peak().map_or(String::new(), |peak| format!(", peak {peak} MB"));
        println!("{name}: median {median:.0}, best {best:.0} tokens/s{peak}");
        if let emberlab::train::Outcome::Finished(trained) = outcome {
            let parts = parameters(&model, vocab);
            let flops = training_flops_per_token(&model, &parts, sequence as u64) * median;
            println!(
                "    {} parameters, loss {:.4}, {:.1} GFLOP/s, {:.0} % of the {:.0} GFLOP/s of square products",
                trained.parameters,
                trained.loss.unwrap_or(f64::NAN),
                flops / 1e9,
                100.0 * flops / products,
                products / 1e9
            );
        }
        std::fs::remove_dir_all(&folder).ok();
    }
}
