//! `exp tokenize`: text on stdin to ids on stdout, a line each, and back.

use super::shared::LabArgs;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A `tokenizer.json`, or a run and the name of its tokenizer: `RUN.NAME`.
    #[arg(value_name = "TOKENIZER.json|RUN.NAME")]
    pub tokenizer: String,
    /// Turn ids into text.
    #[arg(long)]
    pub decode: bool,
    #[command(flatten)]
    pub lab: LabArgs,
}
