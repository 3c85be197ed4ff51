//! `exp logprobs`: how likely lines of text are, a JSON line for each.

use super::shared::LabArgs;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN`, `RUN.STAGE`, or a folder with weights.
    #[arg(value_name = "RUN[.STAGE]|DIR")]
    pub model: String,
    /// The device, as `exp devices` lists it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}
