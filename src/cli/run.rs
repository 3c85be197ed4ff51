//! `exp run`: executes an experiment, or goes on with one that was stopped.

use super::shared::{LabArgs, Overrides};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub overrides: Overrides,
    /// The device, as `exp devices` lists it; by default the first that works.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Run this stage and what it needs, and nothing after it.
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    /// Refuse to start unless every input is as the lock file says.
    #[arg(long)]
    pub locked: bool,
    /// Repeat every stage, whatever is cached.
    #[arg(long)]
    pub fresh: bool,
    /// Write what happens as events, one a line, on stderr.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub events: Option<Events>,
    #[command(flatten)]
    pub lab: LabArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Events {
    Json,
}
