//! The verbs that need the engine.

use super::{Exit, Failure, Screen};
use super::{
    chat, coordinates, data, devices, export, generate, lock, logprobs, pack, report, reproduce, run, runs, score,
    sweep, tokenize,
};

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
    /// Talk with a stage that was tuned on answers.
    Chat(chat::Args),
    /// Say how likely lines of text are.
    Logprobs(logprobs::Args),
    /// Write a trained stage as a folder that Hugging Face `transformers` loads.
    Export(export::Args),
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
    /// Say whether what a network computes keeps its size as it gets wider.
    Coordinates(coordinates::Args),
    /// List what this machine can compute on.
    Devices(devices::Args),
}

/// Runs a verb.
pub fn run(command: EngineCommand, screen: &Screen) -> Result<Exit, Failure> {
    match command {
        EngineCommand::Run(args) => run::run(&args, screen),
        EngineCommand::Sweep(args) => sweep::run(&args, screen),
        EngineCommand::Data(args) => data::run(&args, screen),
        EngineCommand::Tokenize(args) => tokenize::run(&args, screen),
        EngineCommand::Score(args) => score::run(&args, screen),
        EngineCommand::Generate(args) => generate::run(&args, screen),
        EngineCommand::Chat(args) => chat::run(&args, screen),
        EngineCommand::Logprobs(args) => logprobs::run(&args, screen),
        EngineCommand::Export(args) => export::run(&args, screen),
        EngineCommand::Runs(args) => runs::run(&args, screen),
        EngineCommand::Report(args) => report::run(&args, screen),
        EngineCommand::Lock(args) => lock::run(&args, screen),
        EngineCommand::Pack(args) => pack::run(&args, screen),
        EngineCommand::Reproduce(args) => reproduce::run(&args, screen),
        EngineCommand::Coordinates(args) => coordinates::run(&args, screen),
        EngineCommand::Devices(args) => devices::run(&args, screen),
    }
}

#[cfg(test)]
mod tests {
    use super::EngineCommand;
    use clap::Parser;

    #[derive(Parser, Debug)]
    struct Alone {
        #[command(subcommand)]
        command: EngineCommand,
    }

    #[test]
    fn every_verb_takes_its_arguments() {
        for words in [
            "run a.exp --set a.b=1 --device cpu --until pretrain --locked --events json --lab lab",
            "sweep a.exp rates --jobs 2",
            "data a.exp stories --split test --out a.jsonl --removed b.jsonl",
            "tokenize tokenizer.json --decode",
            "score rouge_l token_f1 --predictions p.txt --references r.txt --by-item i.jsonl",
            "generate RUN.tuned --prompt Once --max-tokens 8 --temperature 0 --seed 1",
            "generate RUN --stream --min-p 0.1 --repetition-penalty 1.2 --stop a --stop b",
            "chat RUN.tuned --system Short. --max-tokens 8 --temperature 0 --seed 1",
            "logprobs RUN",
            "export RUN.tuned --to folder",
            "runs",
            "runs show RUN",
            "runs compare A B C",
            "report A B --out r.html",
            "lock a.exp --check",
            "pack a.exp --out a.tar.zst",
            "reproduce a.tar.zst --device cpu",
            "devices",
        ] {
            let parsed = Alone::try_parse_from(["exp"].into_iter().chain(words.split(' ')));
            assert!(parsed.is_ok(), "{words}: {parsed:?}");
        }
    }
}
