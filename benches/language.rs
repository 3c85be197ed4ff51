//! How long checking takes: the whole program on 500 lines, start-up included, and the growth up to 100,000 lines.
//!
//! `cargo bench --bench language --no-default-features` builds it with full optimisation. Times are medians; the machine
//! should be idle.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints its figures, times itself, and fails by panicking"
)]

use emberlab::check::{Options, check_file};
use emberlab::source::MemoryWorld;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

/// An experiment of about `lines` lines: models, lets and the things between them.
fn experiment(lines: usize) -> String {
    let mut text = String::from("experiment big {\n  language = 1\n  seed     = 1\n}\n");
    let mut made = 4;
    let mut number = 0;
    while made < lines {
        let _ = write!(
            text,
            "\nmodel m{number} : decoder {{\n  layers  = {}\n  heads   = 8\n  width   = 64 * heads\n  context = 256 tokens\n}}\n\nlet x{number} = {number} * 2 + 1\n",
            4 + number % 8
        );
        made += 9;
        number += 1;
    }
    text
}

fn median(mut work: impl FnMut(), times: usize) -> f64 {
    let mut seconds: Vec<f64> = (0..times)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[times / 2]
}

fn main() {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => panic!("no temporary folder: {error}"),
    };
    let file = folder.path().join("big.exp");
    if let Err(error) = std::fs::write(&file, experiment(500)) {
        panic!("cannot write {}: {error}", file.display());
    }
    let whole = median(
        || {
            let done = Command::new(env!("CARGO_BIN_EXE_exp"))
                .arg("check")
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(done.is_ok_and(|s| s.success()), "the example does not check");
        },
        21,
    );
    println!("exp check, 500 lines, start-up included: {:.1} ms", whole * 1e3);
    for lines in [1_000, 10_000, 100_000] {
        let world = MemoryWorld::with("big.exp", &experiment(lines));
        let check = || {
            let (_, problems) = check_file(&world, "big.exp", &Options::default());
            assert!(!problems.any_error(), "the example does not check");
        };
        let seconds = median(check, if lines > 10_000 { 3 } else { 9 });
        println!("{lines:>7} lines: {:>8.1} ms, {:.2} µs a line", seconds * 1e3, seconds * 1e6 / lines as f64);
    }
}
