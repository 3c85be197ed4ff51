//! Speed of generation: `cargo bench --bench generate -- [DEVICE [TOKENS]]`.
//!
//! Prints tokens per second of greedy and of sampled text from a Llama shape of 12 M parameters with fresh weights, one text
//! at a time and sixteen together, each from a prompt of 32 tokens. `generate_transformers.py` beside it does the same.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints its figures, times itself, and fails by panicking"
)]

use emberlab::device::choose;
use emberlab::model::{Architecture, Decoder, GenerateOptions};
use emberlab::plan::spec;
use emberlab::random::Stream;
use std::time::Instant;

const VOCAB: usize = 4096;
const PROMPT: usize = 32;
/// Times each figure is taken.
const TIMES: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let device = choose(arguments.first().map(String::as_str)).unwrap_or_else(|error| panic!("{error}"));
    let tokens: usize = arguments.get(1).and_then(|tokens| tokens.parse().ok()).unwrap_or(192);
    println!("{} ({}, {}), {} threads", device.name, device.adapter, device.driver, rayon::current_num_threads());
    let llama = spec::Decoder {
        layers: 6,
        heads: 6,
        kv_heads: 6,
        width: 384,
        head_dim: 64,
        hidden: 1024,
        context: 256,
        ..spec::Decoder::default()
    };
    let architecture = Architecture::new(&llama, Some(VOCAB)).unwrap_or_else(|error| panic!("{error}"));
    let decoder = Decoder::fresh(architecture, 1, &device.device);
    for (name, temperature) in [("greedy", 0.0), ("temperature 0.8", 0.8)] {
        for batch in [1, 16] {
            let prompts: Vec<Vec<u32>> = (0..batch)
                .map(|text| {
                    let mut draws = Stream::new(1, "bench").at(text);
                    (0..PROMPT).map(|_| draws.below(VOCAB as u64) as u32).collect()
                })
                .collect();
            let options =
                GenerateOptions { max_tokens: tokens, batch: prompts.len(), temperature, ..GenerateOptions::default() };
            let mut rates: Vec<f64> = (0..=TIMES)
                .map(|_| {
                    let began = Instant::now();
                    let texts = decoder.generate(&prompts, &options).unwrap_or_else(|error| panic!("{error}"));
                    let count: usize = texts.iter().map(|text| text.tokens.len()).sum();
                    assert_eq!(count, tokens * prompts.len(), "nothing ends early");
                    count as f64 / began.elapsed().as_secs_f64()
                })
                .skip(1)
                .collect();
            rates.sort_by(f64::total_cmp);
            println!(
                "12M llama, {name}, batch {batch}: median {:.0}, best {:.0} tokens/s, {:.3} ms a step",
                rates[TIMES / 2],
                rates[TIMES - 1],
                1e3 * batch as f64 / rates[TIMES / 2]
            );
        }
    }
}
