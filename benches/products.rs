//! Matrix products of training on the CPU, in f32 and of numbers rounded to bf16: `cargo bench --bench products -- [ROUNDS]`.
//!
//! For networks of 12 and 50 M parameters and 1,024 rows, those of a linear layer forward, back to its input and back to its
//! weights, the two ways in turn. Prints medians; the last line of a network is all of its products together.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark prints its figures and times itself")]

use emberlab_kernels::{Matrix, bf16_is_native, matmul, matmul_bf16};
use std::time::Instant;

const ROWS: usize = 1024;

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1009) as f32 / 500.0 - 1.0).collect()
}

/// Median seconds of both products, taken in turn.
fn medians(left: Matrix<'_>, right: Matrix<'_>, rounds: usize) -> [f64; 2] {
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (way, seconds) in [matmul, matmul_bf16].into_iter().zip(&mut seconds) {
            let began = Instant::now();
            std::hint::black_box(way(left, right));
            seconds.push(began.elapsed().as_secs_f64());
        }
    }
    seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    })
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(21).max(1);
    println!("bf16 by an instruction of the processor: {}", if bf16_is_native() { "yes" } else { "no" });
    for (name, width, hidden, vocab) in [("12M", 384, 1024, 4096), ("50M", 640, 1728, 8192)] {
        let mut all = [0.0; 2];
        let layers = [(3 * width, width), (width, width), (2 * hidden, width), (width, hidden), (vocab, width)];
        for (output, input) in layers {
            let (x, y, weight) = (numbers(ROWS * input), numbers(ROWS * output), numbers(output * input));
            let (x, y) = (Matrix::new(&x, ROWS, input), Matrix::new(&y, ROWS, output));
            let weight = Matrix::new(&weight, output, input);
            let products = [("forward", x, weight.transposed()), ("input", y, weight), ("weights", y.transposed(), x)];
            for (what, left, right) in products {
                let [f32, bf16] = medians(left, right, rounds);
                let rate = |seconds: f64| 2.0 * (ROWS * output * input) as f64 / seconds / 1e9;
                let (one, two) = (rate(f32), rate(bf16));
                println!("{name} {output}×{input} {what}: {one:.0} and {two:.0} GFLOP/s, {:.2} times", f32 / bf16);
                all = [all[0] + f32, all[1] + bf16];
            }
        }
        println!("{name} together: {:.2} times", all[0] / all[1]);
    }
}
