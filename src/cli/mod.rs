//! The command line: one file for each verb, each thin.
//!
//! Results go to stdout; problems and progress go to stderr. With `--format json` stdout holds one document and nothing
//! else, also when something fails. A verb returns an [`Exit`] or a [`Failure`]; nothing here ends the process.

pub mod analysis;
pub mod args;
mod bug;
pub mod check;
pub mod completions;
pub mod doc;
mod exit;
pub mod explain;
mod failure;
mod files;
pub mod fmt;
pub mod init;
mod markdown;
pub mod plan;
mod points;
mod screen;
pub mod shared;
pub mod show;
pub mod test;

#[cfg(feature = "engine")]
mod bench;
#[cfg(feature = "engine")]
pub mod chat;
#[cfg(feature = "engine")]
pub mod coordinates;
#[cfg(feature = "engine")]
pub mod data;
#[cfg(feature = "engine")]
pub mod devices;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "engine")]
pub mod export;
#[cfg(feature = "engine")]
mod export_adapter;
#[cfg(feature = "engine")]
pub mod generate;
#[cfg(feature = "engine")]
pub mod lock;
#[cfg(feature = "engine")]
pub mod logprobs;
#[cfg(feature = "engine")]
pub mod pack;
#[cfg(feature = "engine")]
pub mod report;
#[cfg(feature = "engine")]
pub mod reproduce;
#[cfg(feature = "engine")]
pub mod run;
#[cfg(feature = "engine")]
pub mod runs;
#[cfg(feature = "engine")]
mod sampling;
#[cfg(feature = "engine")]
pub mod score;
#[cfg(feature = "engine")]
mod summary;
#[cfg(feature = "engine")]
pub mod sweep;
#[cfg(feature = "engine")]
pub mod tokenize;
#[cfg(feature = "engine")]
mod trained;

pub use exit::Exit;
pub use failure::Failure;
pub use screen::Screen;

use args::{Cli, Command};
use clap::Parser;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `exp` with the arguments of this process.
pub fn main() -> ExitCode {
    bug::install_hook();
    let words: Vec<OsString> = std::env::args_os().collect();
    // Analysis is recursive over trees whose depth is limited, but a debug build's frames are large.
    let worker = std::thread::Builder::new().name("exp".into()).stack_size(64 << 20).spawn(move || execute(words));
    let exit = match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(exit)) => exit,
        // The hook has reported the panic, or the machine has no memory for a stack.
        Ok(Err(_)) | Err(_) => Exit::Bug,
    };
    ExitCode::from(exit as u8)
}

/// Runs `exp` with `words`, of which the first is the program's name.
pub fn execute(words: Vec<OsString>) -> Exit {
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return args::complain(error, &words),
    };
    let screen = Screen::new(&cli.global);
    let result = enter(&cli.global).and_then(|()| dispatch(cli.command, &screen));
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            screen.failure(&failure);
            failure.exit()
        }
    }
}

/// Goes to the folder of `-C`.
#[allow(clippy::disallowed_methods, reason = "the folder a command works in belongs to the process")]
fn enter(global: &args::Global) -> Result<(), Failure> {
    let Some(folder) = &global.directory else { return Ok(()) };
    std::env::set_current_dir(folder)
        .map_err(|e| Failure::Folder { path: folder.display().to_string(), cause: e.to_string() })
}

fn dispatch(command: Command, screen: &Screen) -> Result<Exit, Failure> {
    match command {
        Command::Check(args) => check::run(&args, screen),
        Command::Fmt(args) => fmt::run(&args, screen),
        Command::Plan(args) => plan::run(&args, screen),
        Command::Show(args) => show::run(&args, screen),
        Command::Test(args) => test::run(&args, screen),
        Command::Doc(args) => doc::run(&args, screen),
        Command::Explain(args) => explain::run(&args, screen),
        Command::Init(args) => init::run(&args, screen),
        Command::Completions(args) => completions::run(&args, screen),
        #[cfg(feature = "engine")]
        Command::Engine(command) => engine::run(command, screen),
    }
}
