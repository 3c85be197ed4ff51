//! ROUGE-N, ROUGE-L and ROUGE-Lsum (Lin 2004), as the `rouge_score` package 0.1.2 computes them.
//!
//! Equality with that package is tested to 1e-9 on the files under `tests/golden/metrics`.

use nltk_porter::{Mode, PorterStemmer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Which ROUGE.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rouge {
    /// Overlap of n-grams, each counted at most as often as the reference has it.
    N(usize),
    /// Longest common subsequence of the whole texts.
    L,
    /// Union of the longest common subsequences of sentences; sentences are lines.
    Lsum,
}

/// Precision, recall and their harmonic mean, each from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Overlap {
    pub precision: f64,
    pub recall: f64,
    pub f: f64,
}

impl Rouge {
    /// The overlap of `prediction` with `reference`; zero when either has no words.
    ///
    /// `stem` reduces words of more than three letters to their Porter stem first, in the NLTK variant.
    pub fn score(self, reference: &str, prediction: &str, stem: bool) -> Overlap {
        if self == Rouge::Lsum {
            let sentences = |text: &str| -> Vec<Vec<String>> {
                text.split('\n').filter(|line| !line.is_empty()).map(|line| words(line, stem)).collect()
            };
            return lsum(&sentences(reference), &sentences(prediction));
        }
        let (reference, prediction) = (words(reference, stem), words(prediction, stem));
        match self {
            Rouge::N(n) => ngrams(&reference, &prediction, n.max(1)),
            _ if reference.is_empty() || prediction.is_empty() => Overlap::default(),
            _ => {
                let common = lcs_length(&reference, &prediction);
                Overlap::of(common, prediction.len(), reference.len())
            }
        }
    }

    /// The best overlap (by F) over several references; zero without references.
    pub fn best(self, references: &[String], prediction: &str, stem: bool) -> Overlap {
        let mut best = Overlap::default();
        for reference in references {
            let score = self.score(reference, prediction, stem);
            if score.f > best.f {
                best = score;
            }
        }
        best
    }
}

impl Overlap {
    fn of(common: usize, predicted: usize, referred: usize) -> Overlap {
        let precision = common as f64 / predicted.max(1) as f64;
        let recall = common as f64 / referred.max(1) as f64;
        let sum = precision + recall;
        Overlap { precision, recall, f: if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 } }
    }
}

/// The words that ROUGE sees: lower case, runs of ASCII letters and digits, stemmed if asked.
pub fn words(text: &str, stem: bool) -> Vec<String> {
    static STEMMER: OnceLock<PorterStemmer> = OnceLock::new();
    let lower = text.to_lowercase();
    lower
        .split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .map(|word| {
            if stem && word.len() > 3 {
                STEMMER.get_or_init(|| PorterStemmer::new(Mode::Nltk)).stem(word)
            } else {
                word.to_owned()
            }
        })
        .filter(|word| !word.is_empty())
        .collect()
}

fn ngrams(reference: &[String], prediction: &[String], n: usize) -> Overlap {
    let count = |words: &[String]| {
        let mut counts: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for gram in words.windows(n) {
            *counts.entry(gram.to_vec()).or_default() += 1;
        }
        counts
    };
    let (in_reference, in_prediction) = (count(reference), count(prediction));
    let common: usize =
        in_reference.iter().map(|(gram, times)| (*times).min(in_prediction.get(gram).copied().unwrap_or(0))).sum();
    Overlap::of(common, (prediction.len() + 1).saturating_sub(n), (reference.len() + 1).saturating_sub(n))
}

/// Length of the longest common subsequence, in two rows of memory.
fn lcs_length(a: &[String], b: &[String]) -> usize {
    let mut above = vec![0usize; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        let mut left = 0;
        for (y, cell) in b.iter().zip(above.iter_mut().skip(1)) {
            let up = *cell;
            *cell = if x == y { diagonal + 1 } else { up.max(left) };
            diagonal = up;
            left = *cell;
        }
    }
    above.last().copied().unwrap_or(0)
}

/// Positions in `reference` of one longest common subsequence; among several, the one that `rouge_score` finds, since
/// the union over sentences depends on the choice.
fn lcs_positions(reference: &[String], prediction: &[String]) -> Vec<usize> {
    let columns = prediction.len() + 1;
    let mut table = vec![0usize; (reference.len() + 1) * columns];
    for (i, x) in reference.iter().enumerate() {
        for (j, y) in prediction.iter().enumerate() {
            table[(i + 1) * columns + j + 1] = if x == y {
                table[i * columns + j] + 1
            } else {
                table[i * columns + j + 1].max(table[(i + 1) * columns + j])
            };
        }
    }
    let (mut i, mut j) = (reference.len(), prediction.len());
    let mut found = Vec::new();
    while i > 0 && j > 0 {
        if reference[i - 1] == prediction[j - 1] {
            found.push(i - 1);
            i -= 1;
            j -= 1;
        } else if table[i * columns + j - 1] > table[(i - 1) * columns + j] {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    found
}

fn lsum(reference: &[Vec<String>], prediction: &[Vec<String>]) -> Overlap {
    let count = |sentences: &[Vec<String>]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for word in sentences.iter().flatten() {
            *counts.entry(word.clone()).or_default() += 1;
        }
        counts
    };
    let total = |sentences: &[Vec<String>]| sentences.iter().map(Vec::len).sum::<usize>();
    let (referred, predicted) = (total(reference), total(prediction));
    if referred == 0 || predicted == 0 {
        return Overlap::default();
    }
    // A word counts at most as often as each side has it, though several sentences may claim it.
    let (mut left_in_reference, mut left_in_prediction) = (count(reference), count(prediction));
    let mut hits = 0;
    for sentence in reference {
        let union: BTreeSet<usize> = prediction.iter().flat_map(|p| lcs_positions(sentence, p)).collect();
        for word in union.into_iter().filter_map(|i| sentence.get(i)) {
            if let (Some(r @ 1..), Some(p @ 1..)) = (left_in_reference.get_mut(word), left_in_prediction.get_mut(word))
            {
                *r -= 1;
                *p -= 1;
                hits += 1;
            }
        }
    }
    Overlap::of(hits, predicted, referred)
}

#[cfg(test)]
mod tests {
    use super::{Rouge, words};

    #[test]
    fn words_are_lower_case_ascii_runs() {
        assert_eq!(words("The QUICK-brown fox's 3.5!", false), ["the", "quick", "brown", "fox", "s", "3", "5"]);
        assert_eq!(words("naïve café", false), ["na", "ve", "caf"]);
        assert_eq!(words("running dogs was", true), ["run", "dog", "was"]);
        assert!(words("…!? ", true).is_empty());
    }

    #[test]
    fn the_example_of_the_package() {
        let (reference, prediction) =
            ("The quick brown fox jumps over the lazy dog", "The quick brown dog jumps on the log.");
        let one = Rouge::N(1).score(reference, prediction, true);
        let long = Rouge::L.score(reference, prediction, true);
        assert_eq!((one.precision, one.recall), (0.75, 6.0 / 9.0));
        assert_eq!((long.precision, long.recall), (0.625, 5.0 / 9.0));
    }

    #[test]
    fn nothing_in_common_is_zero_and_never_undefined() {
        for kind in [Rouge::N(1), Rouge::N(2), Rouge::L, Rouge::Lsum] {
            for (reference, prediction) in [("", ""), ("a", ""), ("", "a"), ("!", "?"), ("a", "b")] {
                assert_eq!(kind.score(reference, prediction, false).f, 0.0);
            }
        }
    }
}
