//! `exp data`: makes a dataset and nothing else.

use super::shared::{LabArgs, Overrides};
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: String,
    /// The dataset.
    #[arg(value_name = "DATASET")]
    pub dataset: String,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Only this split.
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// Write the documents here: `.jsonl`, `.jsonl.zst` or `.parquet`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write every removed document here, with the reason.
    #[arg(long, value_name = "FILE")]
    pub removed: Option<PathBuf>,
    #[command(flatten)]
    pub lab: LabArgs,
}
