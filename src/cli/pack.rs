//! `exp pack`: a bundle that another machine can reproduce.

use super::shared::{LabArgs, Overrides};
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Where to write it; by default `NAME.tar.zst`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub lab: LabArgs,
}
