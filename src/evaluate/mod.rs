//! Judgement: metrics over texts and likelihoods, audits, intervals, gates and claims.
//!
//! Nothing here knows how a model computes; what is needed of it is [`Judged`]. Every figure comes with its 95 %
//! interval, the number of items behind it and a signature that names the variant, and every item's own score can be
//! written out ([`Row`]), so that no number has to be believed.

mod audit;
mod claim;
mod error;
mod eval;
mod expect;
mod interval;
mod likelihood;
mod measured;
mod rouge;
mod score;
mod scores;
mod show;
mod squad;
mod text;

pub use audit::{Audit, ContrastRow, PairRow};
pub use claim::{ClaimResult, Comparison, Verdict, claim};
pub use error::EvaluateError;
pub use eval::{EvalResult, Options, Row, eval};
pub use expect::{ExpectResult, Shown, expect};
pub use interval::{Resamples, percentile, t_quantile, wilson};
pub use likelihood::{Likelihood, likelihoods, windows};
pub use measured::Measurements;
pub use rouge::{Overlap, Rouge};
pub use score::{ScoreError, ScoreReport, score};
pub use scores::{Aggregate, Estimate, Part, RESAMPLES, Scores};
pub use show::source;
pub use squad::{exact_match, normalize, token_f1};
pub use text::TextMetric;

use crate::plan::spec::Decoding;
use serde::{Deserialize, Serialize};

/// What judging needs of a trained model.
pub trait Judged {
    /// How many tokens the network reads at once. [`Judged::logprobs`] is given texts of at most one more: the last
    /// token of a text is predicted and never read.
    fn context(&self) -> usize;

    /// The token that stands before the first of a document, so that the first can be predicted too: `<|end|>`.
    fn start(&self) -> u32;

    /// Log-probabilities (nats) of each token after the first, given those before it: a text of n tokens yields n − 1.
    ///
    /// # Errors
    /// When the model cannot be evaluated, with the reason.
    fn logprobs(&mut self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, String>;

    /// The tokens of `text`, without any mark at its ends.
    ///
    /// # Errors
    /// When the text cannot be encoded.
    fn encode(&self, text: &str) -> Result<Vec<u32>, String>;

    /// The text of `tokens`.
    ///
    /// # Errors
    /// When they cannot be decoded.
    fn decode(&self, tokens: &[u32]) -> Result<String, String>;

    /// Responses to prompts that the chat template has already rendered, without the text that ended them.
    ///
    /// # Errors
    /// When the model cannot be evaluated, with the reason.
    fn respond(&mut self, prompts: &[String], decoding: &Decoding) -> Result<Vec<String>, String>;
}

/// What is judged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Item {
    Document { text: String },
    Sample { prompt: String, response: String },
    Pair { first: String, second: String, contrast: String },
}

impl Item {
    /// What the item is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Item::Document { .. } => "a document",
            Item::Sample { .. } => "a sample (prompt and response)",
            Item::Pair { .. } => "a pair of sentences",
        }
    }
}
