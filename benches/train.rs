//! Training speed: `cargo bench --bench train -- [DEVICE [STEPS [SHAPE [PRECISION]]]]`, or with `--profile dev` for what `cargo run` gives.
//!
//! Prints tokens per second of two small shapes and of ones with 12 and 50 M parameters, without validation, and which share
//! that is of the device's rate in square matrix products of f32, taken before and after. SHAPE is the beginning of a name below,
//! PRECISION as an experiment writes it; peak memory is that of the whole process, so it speaks of one shape where only one is run.
//! `compare.py` sets it beside PyTorch.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints its figures, times itself, and fails by panicking"
)]

mod shapes;

use burn::tensor::{Device, Tensor, TensorData};
use emberlab::device::{Kind, choose};
use emberlab::plan::spec::Precision;
use emberlab::plan::{parameters, training_flops_per_token};
use emberlab::train::{Observer, StepReport, Stop, train};
use emberlab_kernels::{Matrix, matmul};
use shapes::trials;
use std::time::Instant;

struct Rates(Vec<f64>);

impl Observer for Rates {
    fn step(&mut self, report: &StepReport) {
        self.0.push(report.tokens_per_second);
    }
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
    let precision = arguments.get(3).map_or(Ok(Precision::F32), |name| serde_json::from_value(name.as_str().into()));
    let precision = precision.unwrap_or_else(|error| panic!("{error}"));
    println!("{} ({}, {})", device.name, device.adapter, device.driver);
    for trial in trials(arguments.get(2).map(String::as_str)) {
        let cpu = device.kind == Kind::Cpu;
        let before = sgemm(&device.device, cpu);
        let mut rates = Rates(Vec::new());
        let outcome = train(&trial.job(steps, precision, &device), &mut rates, &Stop::new())
            .unwrap_or_else(|error| panic!("{error}"));
        let mut sorted = rates.0;
        sorted.sort_by(f64::total_cmp);
        let (median, best) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
        let products = (before + sgemm(&device.device, cpu)) / 2.0;
        let peak = peak().map_or(String::new(), |peak| format!(", peak {peak} MB"));
        println!("{}: median {median:.0}, best {best:.0} tokens/s{peak}", trial.name);
        if let emberlab::train::Outcome::Finished(trained) = outcome {
            let parts = parameters(&trial.model, trial.vocab);
            let flops = training_flops_per_token(&trial.model, &parts, trial.model.context as u64) * median;
            println!(
                "    {} parameters, loss {:.4}, {:.1} GFLOP/s, {:.0} % of the {:.0} GFLOP/s of square products",
                trained.parameters,
                trained.loss.unwrap_or(f64::NAN),
                flops / 1e9,
                100.0 * flops / products,
                products / 1e9
            );
        }
    }
}
