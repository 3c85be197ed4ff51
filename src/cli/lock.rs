//! `exp lock`: pins every input of an experiment.

use super::shared::Overrides;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Change nothing; fail if the lock file is out of date.
    #[arg(long)]
    pub check: bool,
}
