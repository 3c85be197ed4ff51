//! `exp completions`: scripts that let a shell complete verbs and options.

use super::args::Cli;
use super::{Exit, Failure, Screen};
use clap::CommandFactory;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("completions")?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "exp", &mut script);
    let script = String::from_utf8_lossy(&script);
    if screen.is_json() {
        screen.document(&serde_json::json!({ "schema_version": 1, "shell": args.shell.to_string(), "script": script }));
    } else {
        screen.raw(&script);
    }
    Ok(Exit::Done)
}
