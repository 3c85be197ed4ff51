//! How a text is drawn: what `exp generate` and `exp chat` have in common.

use super::Failure;
use crate::plan::spec::Decoding;

/// Options in the order in which they act: penalty, temperature, then the filters.
#[derive(clap::Args, Debug)]
pub struct Sampling {
    /// Make tokens that the prompt or the text has less likely; 1 does nothing.
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    pub repetition_penalty: f64,
    /// 0 always takes the likeliest token.
    #[arg(long, value_name = "T", default_value_t = 0.8, allow_negative_numbers = true)]
    pub temperature: f64,
    /// Only the so many likeliest tokens; 0 is all of them.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub top_k: u32,
    /// Only the likeliest tokens that hold this share, from 0 (the likeliest one) to 1 (all).
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    pub top_p: f64,
    /// Only tokens at least this share as likely as the likeliest, from 0 (all) to 1 (the likeliest).
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    pub min_p: f64,
    /// End before this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Root of the random choices.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

impl Sampling {
    /// The decoding that the options describe.
    ///
    /// # Errors
    /// When one is off its scale.
    pub fn decoding(&self, max_tokens: u32) -> Result<Decoding, Failure> {
        let refuse = |message: String, help: &str| Err(Failure::Usage { message, help: Some(help.to_owned()) });
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            let message = format!("`--temperature` is 0 or more, and not {}", self.temperature);
            return refuse(message, "0 always takes the likeliest token, 1 draws as the model says");
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            let message = format!("`--repetition-penalty` is more than 0, and not {}", self.repetition_penalty);
            return refuse(message, "1 does nothing, 1.2 is usual");
        }
        for (name, value, help) in [
            ("top-p", self.top_p, "1 keeps every token, 0.95 leaves out the unlikeliest"),
            ("min-p", self.min_p, "0 keeps every token, 0.1 those at least a tenth as likely as the likeliest"),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return refuse(format!("`--{name}` lies between 0 and 1, and {value} does not"), help);
            }
        }
        if self.stop.iter().any(String::is_empty) {
            return refuse("`--stop` needs a text".to_owned(), "every text ends before an empty one");
        }
        Ok(Decoding {
            max_tokens: i64::from(max_tokens),
            temperature: self.temperature,
            top_k: (self.top_k > 0).then_some(i64::from(self.top_k)),
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            stop: self.stop.clone(),
            seed: i64::from_ne_bytes(self.seed.to_ne_bytes()),
        })
    }
}
