//! Metrics that compare a text with references.

use super::{Aggregate, Part, Rouge, Scores, exact_match, token_f1};
use crate::plan::spec::Metric;

/// A metric that compares a text with references. Of several references the best counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TextMetric {
    /// The F of a ROUGE.
    Rouge {
        kind: Rouge,
        /// Porter-stem words first.
        stem: bool,
    },
    TokenF1,
    ExactMatch,
}

/// The names by which `exp score` knows the metrics.
pub const NAMES: [&str; 10] = [
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "rouge_lsum",
    "rouge_1:plain",
    "rouge_2:plain",
    "rouge_l:plain",
    "rouge_lsum:plain",
    "token_f1",
    "exact_match",
];

impl TextMetric {
    /// The text metric that an evaluation asks for; none if it needs likelihoods.
    pub fn of(metric: &Metric) -> Option<TextMetric> {
        Some(match metric {
            Metric::Rouge1(m) => TextMetric::Rouge { kind: Rouge::N(1), stem: m.stem },
            Metric::Rouge2(m) => TextMetric::Rouge { kind: Rouge::N(2), stem: m.stem },
            Metric::RougeL(m) => TextMetric::Rouge { kind: Rouge::L, stem: m.stem },
            Metric::TokenF1(_) => TextMetric::TokenF1,
            Metric::ExactMatch(_) => TextMetric::ExactMatch,
            Metric::Perplexity(_) | Metric::BitsPerByte(_) | Metric::PreferenceGap(_) => return None,
        })
    }

    /// The metric called `name`, one of [`NAMES`]. As in the language, ROUGE stems words unless told otherwise: by
    /// `:plain`, by `:stem`, or by `stem` where the name says neither.
    pub fn named(name: &str, stem: bool) -> Option<TextMetric> {
        let (metric, variant) = match name.split_once(':') {
            Some((metric, "stem")) => (metric, Some(true)),
            Some((metric, "plain")) => (metric, Some(false)),
            Some(_) => return None,
            None => (name, None),
        };
        let rouge = |kind| Some(TextMetric::Rouge { kind, stem: variant.unwrap_or(stem) });
        match metric {
            "rouge_1" => rouge(Rouge::N(1)),
            "rouge_2" => rouge(Rouge::N(2)),
            "rouge_l" => rouge(Rouge::L),
            "rouge_lsum" => rouge(Rouge::Lsum),
            "token_f1" if variant.is_none() => Some(TextMetric::TokenF1),
            "exact_match" if variant.is_none() => Some(TextMetric::ExactMatch),
            _ => None,
        }
    }

    /// The variant in full, without the method of the interval.
    pub fn signature(self) -> String {
        match self {
            TextMetric::Rouge { kind, stem } => {
                let name = match kind {
                    Rouge::N(n) => format!("rouge_{n}"),
                    Rouge::L => "rouge_l".into(),
                    Rouge::Lsum => "rouge_lsum|sentences:lines".into(),
                };
                let stem = if stem { "porter-nltk" } else { "no" };
                format!("{name}|f|as:rouge_score-0.1.2|words:ascii|stem:{stem}|refs:best|mean")
            }
            TextMetric::TokenF1 => "token_f1|as:squad-2.0|normalise:squad|empty:agree|refs:best|mean".into(),
            TextMetric::ExactMatch => "exact_match|as:squad-2.0|normalise:squad|refs:best|mean".into(),
        }
    }

    /// The score of one text, from 0 to 1; 0 without references.
    pub fn score(self, references: &[String], prediction: &str) -> f64 {
        let best = |score: &dyn Fn(&str) -> f64| references.iter().map(|r| score(r)).fold(0.0, f64::max);
        match self {
            TextMetric::Rouge { kind, stem } => kind.best(references, prediction, stem).f,
            TextMetric::TokenF1 => best(&|r| token_f1(r, prediction)),
            TextMetric::ExactMatch => best(&|r| exact_match(r, prediction)),
        }
    }

    /// An empty collection of scores.
    pub fn scores(self) -> Scores {
        Scores { aggregate: Aggregate::Ratio, parts: Vec::<Part>::new(), signature: self.signature() }
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, TextMetric};

    #[test]
    fn every_name_is_known_and_has_a_signature_of_its_own() {
        let signatures: std::collections::BTreeSet<String> =
            NAMES.iter().filter_map(|n| TextMetric::named(n, true)).map(TextMetric::signature).collect();
        assert_eq!(signatures.len(), NAMES.len());
        for unknown in ["token_f1:stem", "rouge_l:stemmed", "bleu"] {
            assert_eq!(TextMetric::named(unknown, true), None);
        }
    }

    #[test]
    fn a_name_that_says_how_is_not_overruled() {
        let stems = |name, stem| match TextMetric::named(name, stem) {
            Some(TextMetric::Rouge { stem, .. }) => stem,
            other => panic!("{other:?}"),
        };
        assert!(stems("rouge_l", true) && !stems("rouge_l", false));
        assert!(stems("rouge_l:stem", false) && !stems("rouge_l:plain", true));
    }

    #[test]
    fn the_best_reference_counts() {
        let metric = TextMetric::TokenF1;
        assert_eq!(metric.score(&["blue".into(), "red".into()], "red"), 1.0);
        assert_eq!(metric.score(&[], "red"), 0.0);
    }
}
