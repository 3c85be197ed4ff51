//! Likelihood of texts that may be longer than the model's context.
//!
//! Long texts are cut into windows as the rolling log-likelihood of the Language Model Evaluation Harness does: every
//! token is predicted exactly once, and the last window reaches back to be full.

use super::{EvaluateError, Judged};

/// How likely a text is.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Likelihood {
    /// Sum of the tokens' log-probabilities, in nats.
    pub nats: f64,
    /// Tokens predicted.
    pub tokens: u64,
    /// UTF-8 bytes of the text.
    pub bytes: u64,
    /// Words: runs of what is not blank.
    pub words: u64,
}

/// A text to score and how many of its last tokens count; the others are only context.
pub type Window = (Vec<u32>, usize);

/// The windows of `tokens` for a network that reads `context` tokens, the first preceded by `start`.
pub fn windows(tokens: &[u32], start: u32, context: usize) -> Vec<Window> {
    let context = context.max(1);
    let mut all = Vec::with_capacity(tokens.len() + 1);
    all.push(start);
    all.extend_from_slice(tokens);
    let mut found = Vec::new();
    let mut done = 0;
    while done < tokens.len() {
        let count = (tokens.len() - done).min(context);
        let end = done + count;
        // Tokens `done+1..=end` of `all` are predicted; up to `context` tokens before the last are read.
        let from = end.saturating_sub(context);
        found.push((all.get(from..=end).unwrap_or_default().to_vec(), count));
        done = end;
    }
    found
}

/// The likelihood of each text; `batch` windows are given to the model at a time. `first` is the index of the first
/// text, for messages.
///
/// # Errors
/// When the model fails, or gives a likelihood that is not finite.
pub fn likelihoods(
    judged: &mut dyn Judged,
    texts: &[&str],
    batch: usize,
    first: u64,
) -> Result<Vec<Likelihood>, EvaluateError> {
    let mut results = Vec::with_capacity(texts.len());
    let mut pieces = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let index = first + i as u64;
        let tokens = judged.encode(text).map_err(|why| EvaluateError::Model { index, why })?;
        pieces.extend(windows(&tokens, judged.start(), judged.context()).into_iter().map(|w| (i, w)));
        results.push(Likelihood {
            nats: 0.0,
            tokens: tokens.len() as u64,
            bytes: text.len() as u64,
            words: text.split_whitespace().count() as u64,
        });
    }
    let mut rest = pieces.into_iter().peekable();
    while let Some((owner, _)) = rest.peek() {
        let index = first + *owner as u64;
        let (owners, windows): (Vec<usize>, Vec<Window>) = rest.by_ref().take(batch.max(1)).unzip();
        let (sequences, counts): (Vec<Vec<u32>>, Vec<usize>) = windows.into_iter().unzip();
        let rows = judged.logprobs(&sequences).map_err(|why| EvaluateError::Model { index, why })?;
        if rows.len() != sequences.len() {
            return Err(EvaluateError::Shape { index, expected: sequences.len(), got: rows.len() });
        }
        for (((owner, sequence), count), row) in owners.iter().zip(&sequences).zip(counts).zip(rows) {
            let index = first + *owner as u64;
            if row.len() + 1 != sequence.len() {
                return Err(EvaluateError::Shape { index, expected: sequence.len() - 1, got: row.len() });
            }
            let nats: f64 = row.iter().skip(row.len() - count).map(|x| f64::from(*x)).sum();
            if !nats.is_finite() {
                return Err(EvaluateError::NotFinite { index, value: nats });
            }
            if let Some(result) = results.get_mut(*owner) {
                result.nats += nats;
            }
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::windows;

    #[test]
    fn windows_are_those_of_the_harness() {
        // lm_eval 0.4.13: get_rolling_token_windows(range(10, 17), prefix_token=0, max_seq_len=3, context_len=1).
        let tokens: Vec<u32> = (10..17).collect();
        let expected = vec![(vec![0, 10, 11, 12], 3), (vec![12, 13, 14, 15], 3), (vec![13, 14, 15, 16], 1)];
        assert_eq!(windows(&tokens, 0, 3), expected);
        assert_eq!(windows(&tokens, 0, 100), vec![(vec![0, 10, 11, 12, 13, 14, 15, 16], 7)]);
        assert!(windows(&[], 0, 3).is_empty());
    }

    #[test]
    fn every_token_is_predicted_once_and_no_window_is_too_long() {
        for length in 0..40u32 {
            for context in 1..12 {
                let tokens: Vec<u32> = (1..=length).collect();
                let found = windows(&tokens, 0, context);
                let predicted: Vec<u32> = found.iter().flat_map(|(w, n)| w[w.len() - n..].to_vec()).collect();
                assert_eq!(predicted, tokens);
                assert!(found.iter().all(|(w, n)| w.len() <= context + 1 && w.len() > *n));
            }
        }
    }
}
