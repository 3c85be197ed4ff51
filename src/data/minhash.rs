//! Similar documents: MinHash signatures and locality-sensitive hashing (Broder 1997; Indyk & Motwani 1998).

use std::sync::LazyLock;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Numbers in a signature: 14 bands of 8, as huggingface/datatrove and FineWeb have them.
pub(super) const LENGTH: usize = 112;

/// Words in a shingle.
const SHINGLE: usize = 5;

/// Odd multipliers and offsets of the hash functions (multiply-shift, Dietzfelbinger et al. 1997).
static FUNCTIONS: LazyLock<Vec<(u64, u64)>> = LazyLock::new(|| {
    let word = |i: usize, seed| xxh3_64_with_seed(&(i as u64).to_le_bytes(), seed);
    (0..LENGTH).map(|i| (word(i, 1) | 1, word(i, 2))).collect()
});

/// A document's signature: for each hash function the least value over its shingles.
pub(super) type Signature = [u32; LENGTH];

/// How the numbers of a signature are grouped for candidates: `bands` of `rows` each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bands {
    pub bands: usize,
    pub rows: usize,
}

impl Bands {
    /// The most selective bands with which documents of similarity `threshold` are still candidates at least nine times
    /// in ten: with `b` bands of `r` rows the chance is 1 − (1 − s^r)^b. At 0.8 that is 14 bands of 8.
    pub fn at(threshold: f64) -> Bands {
        let chance = |rows: usize| 1.0 - (1.0 - threshold.powi(rows as i32)).powi((LENGTH / rows) as i32);
        let rows = (1..=LENGTH).take_while(|rows| *rows == 1 || chance(*rows) >= 0.9).last().unwrap_or(1);
        Bands { bands: LENGTH / rows, rows }
    }

    /// The key of each band.
    pub fn keys(self, signature: &Signature) -> impl Iterator<Item = u64> {
        signature.chunks_exact(self.rows).take(self.bands).enumerate().map(|(band, rows)| {
            let bytes: Vec<u8> = rows.iter().flat_map(|n| n.to_le_bytes()).collect();
            xxh3_64_with_seed(&bytes, band as u64)
        })
    }
}

/// The signature of a text's word 5-grams, or `None` for a text without words.
///
/// Words are runs of letters and digits in lower case, numbers count as one and the same, and each character of a script
/// that writes no blanks is a word. A text of fewer than five words has one shingle, all of them.
pub(super) fn signature(text: &str) -> Option<Signature> {
    let words = words(text);
    if words.is_empty() {
        return None;
    }
    let mut signature = [u32::MAX; LENGTH];
    for shingle in words.windows(SHINGLE.min(words.len())) {
        let bytes: Vec<u8> = shingle.iter().flat_map(|w| w.to_le_bytes()).collect();
        let hash = xxh3_64(&bytes);
        for (least, (multiplier, offset)) in signature.iter_mut().zip(FUNCTIONS.iter()) {
            *least = (*least).min((hash.wrapping_mul(*multiplier).wrapping_add(*offset) >> 32) as u32);
        }
    }
    Some(signature)
}

/// The share of equal numbers, which estimates the Jaccard similarity of the shingles; its standard error at 0.8 is 0.04.
pub(super) fn similarity(a: &Signature, b: &Signature) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / LENGTH as f64
}

fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::new();
    let mut word = String::new();
    let finish = |word: &mut String, words: &mut Vec<u64>| {
        if !word.is_empty() {
            let number = word.chars().all(char::is_numeric);
            words.push(xxh3_64(if number { b"0" } else { word.as_bytes() }));
            word.clear();
        }
    };
    for c in text.chars() {
        if !c.is_alphanumeric() {
            finish(&mut word, &mut words);
        } else if unspaced(c) {
            finish(&mut word, &mut words);
            word.push(c);
            finish(&mut word, &mut words);
        } else {
            word.extend(c.to_lowercase());
        }
    }
    finish(&mut word, &mut words);
    words
}

/// Whether the character belongs to a script written without blanks between words.
fn unspaced(c: char) -> bool {
    matches!(c as u32, 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF
        | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bands_at_the_usual_threshold_are_the_usual_ones() {
        assert_eq!(Bands::at(0.8), Bands { bands: 14, rows: 8 });
        assert!(Bands::at(0.5).rows < 5 && Bands::at(0.95).rows > 15);
        assert_eq!(Bands::at(0.0).rows, 1);
    }

    #[test]
    fn the_estimate_is_near_the_jaccard_similarity() {
        let words: Vec<String> =
            (0..400).map(|i| format!("word{}", (b'a' + (i % 26) as u8) as char) + &"x".repeat(i / 26)).collect();
        let (a, b) = (words[..300].join(" "), words[50..350].join(" "));
        let exact = 246.0 / (296.0 + 296.0 - 246.0);
        let estimate = similarity(&signature(&a).unwrap(), &signature(&b).unwrap());
        assert!((estimate - exact).abs() < 0.12, "{estimate} {exact}");
    }

    #[test]
    fn case_punctuation_and_numbers_do_not_count() {
        let of = |text| signature(text).unwrap();
        assert_eq!(of("On 12 May, the OWL flew away."), of("on 7 may the owl flew away"));
        assert!(signature("...").is_none());
        assert!(similarity(&of("吾輩は猫である。名前はまだ無い。"), &of("吾輩は犬である。名前はまだ無い。")) > 0.2);
    }
}
