//! The verbs that need the engine.

use super::{data, devices, generate, lock, logprobs, pack, report, reproduce, run, runs, score, sweep, tokenize};

/// A verb of the engine with its arguments.
#[derive(clap::Subcommand, Debug)]
pub enum EngineCommand {
    /// Execute an experiment; goes on by itself after an interruption.
    Run(run::Args),
    /// Run an experiment at many points.
    Sweep(sweep::Args),
    /// Make a dataset and nothing else.
    Data(data::Args),
    /// Turn text into token ids, or back.
    Tokenize(tokenize::Args),
    /// Compute metrics over two files.
    Score(score::Args),
    /// Write text with a trained stage.
    Generate(generate::Args),
    /// Say how likely lines of text are.
    Logprobs(logprobs::Args),
    /// Look into the run store.
    Runs(runs::Args),
    /// Write one HTML file about runs.
    Report(report::Args),
    /// Pin every input.
    Lock(lock::Args),
    /// Bundle an experiment with what it needs.
    Pack(pack::Args),
    /// Run a bundle again and compare.
    Reproduce(reproduce::Args),
    /// List what this machine can compute on.
    Devices(devices::Args),
}
