//! What saving costs training: `cargo bench --bench checkpoints -- [DEVICE [STEPS [SHAPE]]]`.
//!
//! Trains each shape in turn without checkpoints and with one every fifth step. Prints how much longer the step after a save
//! takes (the copy that training waits for), those beside which the rest is written, and the whole.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints its figures, times itself, and fails by panicking"
)]

mod shapes;

use emberlab::device::choose;
use emberlab::plan::spec::Precision;
use emberlab::train::{Job, Observer, StepReport, Stop, train};
use shapes::trials;
use std::path::Path;
use std::time::{Duration, Instant};

/// Steps between two saves.
const EVERY: u64 = 5;

/// When each step was over.
#[derive(Default)]
struct Times {
    over: Vec<(u64, Instant)>,
    bytes: u64,
}

impl Observer for Times {
    fn step(&mut self, report: &StepReport) {
        self.over.push((report.step, Instant::now()));
    }

    fn checkpoint(&mut self, _step: u64, folder: &Path) {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        self.bytes = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    }
}

impl Times {
    fn of(job: &Job<'_>) -> Times {
        let mut times = Times::default();
        train(job, &mut times, &Stop::new()).unwrap_or_else(|error| panic!("{error}"));
        std::fs::remove_dir_all(job.folder).ok();
        times
    }

    /// Median seconds of the steps that come `after` steps after a multiple of [`EVERY`]; the first steps are left out.
    fn median(&self, after: impl Fn(u64) -> bool) -> f64 {
        let pairs = self.over.windows(2).filter(|pair| pair[0].0 >= EVERY && after((pair[1].0 - 1) % EVERY));
        let mut seconds: Vec<Duration> = pairs.map(|pair| pair[1].1 - pair[0].1).collect();
        seconds.sort();
        seconds.get(seconds.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
    }

    fn whole(&self) -> f64 {
        let ends = self.over.first().zip(self.over.last());
        ends.map_or(f64::NAN, |(first, last)| (last.1 - first.1).as_secs_f64())
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let device = choose(arguments.first().map(String::as_str)).unwrap_or_else(|error| panic!("{error}"));
    let steps: u64 = arguments.get(1).and_then(|steps| steps.parse().ok()).unwrap_or(41);
    println!("{} ({}, {})", device.name, device.adapter, device.driver);
    for trial in trials(arguments.get(2).map(String::as_str)) {
        let without = Times::of(&trial.job(steps, Precision::F32, &device));
        let with = Times::of(&Job { checkpoint: EVERY, ..trial.job(steps, Precision::F32, &device) });
        let usual = without.median(|_| true);
        println!(
            "{}: a step {:.0} ms, right after a save {:+.0} ms, the {} others between saves {:+.0} ms, all {:+.1} % with a \
             checkpoint of {} MB every {EVERY} steps",
            trial.name,
            1e3 * usual,
            1e3 * (with.median(|after| after == 0) - usual),
            EVERY - 1,
            1e3 * (with.median(|after| after != 0) - usual),
            100.0 * (with.whole() / without.whole() - 1.0),
            with.bytes / 1_000_000
        );
    }
}
