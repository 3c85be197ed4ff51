//! Evaluations, audits, human review, gates and claims.

use super::{Dataset, Measured, Ref, Template};
use serde::{Deserialize, Serialize};

/// `eval NAME { … }`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eval {
    /// The stages judged.
    pub of: Vec<Ref>,
    pub on: Dataset,
    pub metrics: Vec<Metric>,
    /// At most so many items; absent: all.
    pub limit: Option<i64>,
    /// How responses are generated, for metrics that need them.
    pub decoding: Decoding,
    /// Absent: that of the stage judged.
    pub template: Option<Template>,
}

/// How text is generated.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoding {
    pub max_tokens: i64,
    /// 0 is greedy.
    pub temperature: f64,
    pub top_k: Option<i64>,
    pub top_p: f64,
    /// Only tokens at least this share as likely as the likeliest; 0: all.
    pub min_p: f64,
    /// How much less likely tokens become that the text has; 1: not at all.
    pub repetition_penalty: f64,
    /// Texts that end a response, which ends before them; besides those of the template.
    pub stop: Vec<String>,
    pub seed: i64,
}

impl Decoding {
    /// Always the likeliest token, as the library's `greedy()`.
    pub fn greedy(max_tokens: i64) -> Decoding {
        Decoding {
            max_tokens,
            temperature: 0.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            stop: Vec::new(),
            seed: 0,
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Metric {
    Perplexity(Perplexity),
    BitsPerByte(BitsPerByte),
    #[serde(rename = "rouge_1")]
    Rouge1(Rouge1),
    #[serde(rename = "rouge_2")]
    Rouge2(Rouge2),
    RougeL(RougeL),
    TokenF1(TokenF1),
    ExactMatch(ExactMatch),
    PreferenceGap(PreferenceGap),
}

/// What every metric has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricCommon {
    /// Which direction is good.
    pub better: Better,
    /// What an item must have for the metric to be computed.
    pub needs: Needs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Higher,
    Lower,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// Documents: the likelihood of text.
    Text,
    /// Samples with a prompt and a response to compare with.
    Response,
    /// Paired sentences.
    Pairs,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $common:literal {
        $($(#[$fdoc:meta])* $field:ident : $ty:ty),*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Not a matter of choice, so the language has no field for it.
            #[serde(skip, default = $common)]
            pub metric: MetricCommon,
            $($(#[$fdoc])* pub $field: $ty,)*
        }
    )*};
}

/// Metrics of how likely a text is.
fn likelihood() -> MetricCommon {
    MetricCommon { better: Better::Lower, needs: Needs::Text }
}

/// Metrics that compare a response with a reference.
fn comparison() -> MetricCommon {
    MetricCommon { better: Better::Higher, needs: Needs::Response }
}

/// Metrics over paired sentences.
fn audit() -> MetricCommon {
    MetricCommon { better: Better::Lower, needs: Needs::Pairs }
}

metrics! {
    /// exp of the mean negative log-likelihood per token.
    Perplexity: "likelihood" {}
    /// Negative log-likelihood in bits per UTF-8 byte; comparable across tokenizers.
    BitsPerByte: "likelihood" {}
    /// ROUGE-1 F (Lin 2004; google rouge_score).
    Rouge1: "comparison" {
        /// Porter-stem words first.
        stem: bool
    }
    /// ROUGE-2 F.
    Rouge2: "comparison" {
        /// Porter-stem words first.
        stem: bool
    }
    /// ROUGE-L F over the longest common subsequence.
    RougeL: "comparison" {
        /// Porter-stem words first.
        stem: bool
    }
    /// F1 over normalised tokens (SQuAD).
    TokenF1: "comparison" {}
    /// Equality after normalisation (SQuAD).
    ExactMatch: "comparison" {}
    /// Paired-sentence bias audit (after CrowS-Pairs): how far the share of pairs whose first sentence is likelier
    /// lies from one half.
    PreferenceGap: "audit" {}
}

impl Metric {
    /// The name of the metric, as the language writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Metric::Perplexity(_) => "perplexity",
            Metric::BitsPerByte(_) => "bits_per_byte",
            Metric::Rouge1(_) => "rouge_1",
            Metric::Rouge2(_) => "rouge_2",
            Metric::RougeL(_) => "rouge_l",
            Metric::TokenF1(_) => "token_f1",
            Metric::ExactMatch(_) => "exact_match",
            Metric::PreferenceGap(_) => "preference_gap",
        }
    }

    pub fn common(&self) -> &MetricCommon {
        match self {
            Metric::Perplexity(m) => &m.metric,
            Metric::BitsPerByte(m) => &m.metric,
            Metric::Rouge1(m) => &m.metric,
            Metric::Rouge2(m) => &m.metric,
            Metric::RougeL(m) => &m.metric,
            Metric::TokenF1(m) => &m.metric,
            Metric::ExactMatch(m) => &m.metric,
            Metric::PreferenceGap(m) => &m.metric,
        }
    }
}

/// `review NAME { … }`: people judge samples.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    pub of: Vec<Ref>,
    pub on: Dataset,
    pub samples: i64,
    pub raters: i64,
    pub question: String,
    /// Least agreement (Krippendorff's α) for the answers to count.
    pub agreement: f64,
}

/// `expect CONDITION`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// As written, for people.
    pub text: String,
    pub condition: Measured,
}

/// `claim NAME = STATEMENT with confidence = 95%`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub name: String,
    pub text: String,
    pub statement: Measured,
    pub confidence: f64,
}
