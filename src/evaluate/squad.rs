//! Exact match and token F1 over normalised answers, as SQuAD's evaluation scripts define them (Rajpurkar et al. 2016).
//!
//! Normalisation is that of versions 1.1 and 2.0, which is the same: lower case, ASCII punctuation removed, the articles
//! *a*, *an*, *the* removed, blanks squeezed. Where an answer has no words left, the rule of version 2.0 holds: F1 is 1
//! if both have none and 0 otherwise (version 1.1 gave 0 even for equal answers).

use regex::Regex;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// `text` as answers are compared.
pub fn normalize(text: &str) -> String {
    let bare: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let mut kept = String::with_capacity(bare.len());
    let mut after = 0;
    // A word is what Python's `\w+` matches, which differs from the `\w` of the regex crate in combining marks.
    static WORD: OnceLock<Option<Regex>> = OnceLock::new();
    if let Some(word) = WORD.get_or_init(|| Regex::new(r"[\p{L}\p{N}_]+").ok()) {
        for found in word.find_iter(&bare) {
            if matches!(found.as_str(), "a" | "an" | "the") {
                kept.push_str(bare.get(after..found.start()).unwrap_or_default());
                kept.push(' ');
                after = found.end();
            }
        }
    }
    kept.push_str(bare.get(after..).unwrap_or_default());
    kept.split(is_blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether prediction and reference are equal after normalisation: 1 or 0.
pub fn exact_match(reference: &str, prediction: &str) -> f64 {
    f64::from(u8::from(normalize(reference) == normalize(prediction)))
}

/// F1 over the multisets of normalised words, from 0 to 1.
pub fn token_f1(reference: &str, prediction: &str) -> f64 {
    let (reference, prediction) = (normalize(reference), normalize(prediction));
    let count = |text: &str| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
        counts
    };
    let (in_reference, in_prediction) = (count(&reference), count(&prediction));
    if in_reference.is_empty() || in_prediction.is_empty() {
        return f64::from(u8::from(in_reference == in_prediction));
    }
    let common: usize =
        in_reference.iter().map(|(word, n)| (*n).min(in_prediction.get(word).copied().unwrap_or(0))).sum();
    if common == 0 {
        return 0.0;
    }
    let precision = common as f64 / in_prediction.values().sum::<usize>() as f64;
    let recall = common as f64 / in_reference.values().sum::<usize>() as f64;
    2.0 * precision * recall / (precision + recall)
}

/// What Python's `str.split` splits on: Unicode white space and the four ASCII separators.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::{exact_match, normalize, token_f1};

    #[test]
    fn case_punctuation_articles_and_blanks_do_not_count() {
        assert_eq!(normalize("  The  U.S.A.,\tan   Apple "), "usa apple");
        assert_eq!(normalize("theatre another a-b"), "theatre another ab");
        assert_eq!(exact_match("the cat!", "A cat"), 1.0);
        assert_eq!(exact_match("cat", "cats"), 0.0);
    }

    #[test]
    fn f1_counts_repeated_words_as_often_as_both_have_them() {
        assert_eq!(token_f1("cat cat dog", "cat dog dog"), 2.0 / 3.0);
        assert_eq!(token_f1("cat", "dog"), 0.0);
    }

    #[test]
    fn answers_without_words_agree_only_with_each_other() {
        assert_eq!(token_f1("", ""), 1.0);
        assert_eq!(token_f1("the", "a!"), 1.0);
        assert_eq!(token_f1("", "cat"), 0.0);
    }
}
