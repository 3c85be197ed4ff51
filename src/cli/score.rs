//! `exp score`: metrics over two files.

use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Metrics, by the names that evaluations use: `rouge_l`, `token_f1`, `exact_match`.
    #[arg(value_name = "METRIC", required = true)]
    pub metrics: Vec<String>,
    /// What was answered: a text file, one item a line, or jsonl.
    #[arg(long, value_name = "FILE")]
    pub predictions: PathBuf,
    /// What should have been answered, in the same order.
    #[arg(long, value_name = "FILE")]
    pub references: PathBuf,
    /// Write each item's values here.
    #[arg(long, value_name = "FILE")]
    pub by_item: Option<PathBuf>,
}
