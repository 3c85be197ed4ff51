//! `exp report`: one HTML file about one or more runs.

use super::shared::LabArgs;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The runs.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,
    /// Where to write it; by default into the folder of the first run.
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub lab: LabArgs,
}
