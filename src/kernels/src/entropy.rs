//! Cross-entropy and its gradient, in the place of the logits.

use crate::SMALL;
use crate::lanes::{exp, max, sum, vectorised};
use rayon::prelude::*;

/// Replaces `logits` `[rows, vocab]` by the gradient of the weighted cross-entropy against `targets` plus `z` times the
/// squared logarithm of the softmax's normaliser (the z-loss of Chowdhery et al. 2022), and returns both parts of the
/// weighted losses, one of each a row.
///
/// # Panics
/// When a target is outside the vocabulary.
pub fn cross_entropy(
    logits: &mut [f32],
    vocab: usize,
    targets: &[i32],
    weights: &[f32],
    z: f32,
) -> (Vec<f32>, Vec<f32>) {
    let mut losses = vec![0.0f32; targets.len()];
    let mut penalties = vec![0.0f32; targets.len()];
    let many = (SMALL / 2 / vocab.max(1)).max(1);
    let out = losses.par_chunks_mut(many).zip(penalties.par_chunks_mut(many));
    let parts = logits.par_chunks_mut(many * vocab.max(1)).zip(out);
    parts.zip(targets.par_chunks(many).zip(weights.par_chunks(many))).for_each(
        |((logits, (losses, penalties)), (targets, weights))| {
            let out = losses.iter_mut().zip(penalties);
            let rows = logits.chunks_exact_mut(vocab).zip(out).zip(targets.iter().zip(weights));
            for ((logits, (loss, penalty)), (target, weight)) in rows {
                (*loss, *penalty) = row(logits, *target as usize, *weight, z);
            }
        },
    );
    (losses, penalties)
}

vectorised! {
    fn row(logits: &mut [f32], target: usize, weight: f32, z: f32) -> (f32, f32) {
        if weight == 0.0 {
            logits.fill(0.0);
            return (0.0, 0.0);
        }
        let peak = max(logits);
        let picked = logits[target] - peak;
        for x in logits.iter_mut() {
            *x = exp(*x - peak);
        }
        let total = sum(logits.len(), |i| logits[i]);
        let normaliser = peak + total.ln();
        let factor = weight / total * (1.0 + 2.0 * z * normaliser);
        for x in logits.iter_mut() {
            *x *= factor;
        }
        logits[target] -= weight;
        ((total.ln() - picked) * weight, z * normaliser * normaliser * weight)
    }
}
