//! `exp generate`: text from a trained stage, or from a Hugging Face folder.

use super::shared::LabArgs;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN`, `RUN.STAGE`, or a folder with weights.
    #[arg(value_name = "RUN[.STAGE]|DIR")]
    pub model: String,
    /// What comes before the generated text; by default what stdin holds.
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// The longest text, in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub max_tokens: u32,
    /// 0 always takes the likeliest token.
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    pub temperature: f64,
    /// Only the so many likeliest tokens.
    #[arg(long, value_name = "N")]
    pub top_k: Option<u32>,
    /// Only the likeliest tokens that hold this share, from 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub top_p: f64,
    /// Root of the random choices.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// The device, as `exp devices` lists it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}
