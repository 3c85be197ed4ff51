//! How probable a network finds given tokens.

use super::decoder::{Decoder, check_tokens};
use super::error::ModelError;
use super::head::head_logprobs;
use crate::plan::TOKENS_AT_ONCE;

/// A stretch of a sequence that goes through the network at once.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Window {
    sequence: usize,
    /// First input token.
    start: usize,
    /// Input tokens.
    len: usize,
    /// Of those, how many at the front only give context.
    skip: usize,
}

impl Decoder {
    /// The natural logarithm of the probability of each token given those before it: for a sequence of `n` tokens,
    /// `n - 1` numbers, for its tokens `1..n`. Put the end-of-text token first to score the first token too.
    ///
    /// A sequence longer than the context is scored in windows as the rolling likelihood of lm-evaluation-harness does:
    /// each window predicts as many new tokens as the context holds, and the last is moved back to have all its context.
    /// `stride` makes windows predict fewer new tokens, each with at least `context - stride` tokens before it; absent,
    /// it is the context.
    ///
    /// # Errors
    /// A token outside the vocabulary, a network that computes no numbers, or a failing device.
    pub fn logprobs(
        &self,
        sequences: &[Vec<u32>],
        batch: usize,
        stride: Option<usize>,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let context = self.architecture.context;
        let stride = stride.unwrap_or(context).clamp(1, context);
        let mut windows = Vec::new();
        for (i, sequence) in sequences.iter().enumerate() {
            check_tokens(sequence, self.architecture.vocab)?;
            windows.extend(
                rolling(sequence.len().saturating_sub(1), context, stride).map(|(start, len, skip)| Window {
                    sequence: i,
                    start,
                    len,
                    skip,
                }),
            );
        }
        windows.sort_by_key(|window| (window.len, window.sequence, window.start));
        let mut results: Vec<Vec<f32>> =
            sequences.iter().map(|sequence| vec![0.0; sequence.len().saturating_sub(1)]).collect();
        let leaves = self.params.leaves(&self.layout);
        let head = self.head(&leaves);
        // Few different lengths mean few kernels to compile.
        let padded = |window: &Window| window.len.next_multiple_of(16).min(context);
        let mut rest = windows.as_slice();
        while !rest.is_empty() {
            let group = rest[..rest.len().min(batch)].iter().enumerate();
            let fitting = group.take_while(|(i, window)| (i + 1) * padded(window) <= TOKENS_AT_ONCE).count();
            let (group, after) = rest.split_at(fitting.max(1));
            rest = after;
            let time = group.iter().map(padded).max().unwrap_or(0);
            let (mut ids, mut targets) = (Vec::new(), Vec::new());
            for window in group {
                let sequence = &sequences[window.sequence];
                let (from, to) = (window.start, window.start + window.len);
                ids.extend_from_slice(&sequence[from..to]);
                targets.extend(sequence[from + 1..=to].iter().map(|id| *id as i32));
                ids.extend(std::iter::repeat_n(0, time - window.len));
                targets.extend(std::iter::repeat_n(0, time - window.len));
            }
            let hidden = self.hidden(&leaves, &ids, time)?;
            let logprobs = head_logprobs(hidden, head.clone(), self.architecture.logit_cap, &targets);
            let logprobs = logprobs.try_into_vec_as::<f32>().map_err(|e| ModelError::Device(e.to_string()))?;
            for (window, row) in group.iter().zip(logprobs.chunks_exact(time)) {
                let to = window.start + window.skip..window.start + window.len;
                if row[window.skip..window.len].iter().any(|logprob| logprob.is_nan()) {
                    return Err(ModelError::NotANumber);
                }
                results[window.sequence][to].copy_from_slice(&row[window.skip..window.len]);
            }
        }
        Ok(results)
    }
}

/// Windows `(start, len, skip)` that predict each of `targets` tokens once; input `i` predicts target `i`.
fn rolling(targets: usize, context: usize, stride: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let fresh = (targets - done).min(if done == 0 { context } else { stride });
        if fresh == 0 {
            return None;
        }
        let end = done + fresh;
        let start = end.saturating_sub(context);
        let skip = done - start;
        done = end;
        Some((start, end - start, skip))
    })
}

#[cfg(test)]
mod tests {
    use super::rolling;

    #[test]
    fn windows_roll_as_the_harness_does() {
        let windows = |n, context, stride| rolling(n, context, stride).collect::<Vec<_>>();
        assert_eq!(windows(0, 10, 10), []);
        assert_eq!(windows(6, 10, 10), [(0, 6, 0)]);
        assert_eq!(windows(24, 10, 10), [(0, 10, 0), (10, 10, 0), (14, 10, 6)]);
        assert_eq!(windows(14, 10, 4), [(0, 10, 0), (4, 10, 6)]);
    }
}
