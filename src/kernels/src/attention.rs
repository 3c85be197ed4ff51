//! Causal scaled dot-product attention, forward and back, without a tensor of all scores.
//!
//! As FlashAttention (Dao et al. 2022) does it on a GPU: scores exist for a block of queries at a time, only for the keys those
//! may see, and going back computes them again from the logarithm of each row's sum.

use crate::lanes::{exp, max, sum, vectorised};
use crate::matmul::{Part, product};
use rayon::prelude::*;

/// Queries of a block.
const BLOCK: usize = 64;

/// How queries, keys and values lie in a row: all query heads, then all key heads, then all value heads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heads {
    pub batch: usize,
    pub time: usize,
    pub heads: usize,
    /// Divides `heads`; each of these serves as many query heads (Ainslie et al. 2023).
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl Heads {
    /// Numbers in a row of queries, keys and values.
    pub fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Numbers in a row of the output.
    pub fn out_width(&self) -> usize {
        self.heads * self.head_dim
    }

    fn query(&self, sequence: usize, head: usize) -> usize {
        sequence * self.time * self.width() + head * self.head_dim
    }

    fn key(&self, sequence: usize, group: usize) -> usize {
        self.query(sequence, self.heads + group)
    }

    fn value(&self, sequence: usize, group: usize) -> usize {
        self.query(sequence, self.heads + self.kv_heads + group)
    }

    fn out(&self, sequence: usize, head: usize) -> usize {
        sequence * self.time * self.out_width() + head * self.head_dim
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// # Panics
    /// When a slice has another length than these heads have.
    fn check(&self, qkv: usize, out: usize, logs: usize) {
        let rows = self.batch * self.time;
        assert!(self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads), "key/value heads must divide the heads");
        assert_eq!(qkv, rows * self.width(), "queries, keys and values");
        assert_eq!(out, rows * self.out_width(), "outputs");
        assert_eq!(logs, rows * self.heads, "logarithms of sums");
    }
}

/// A pointer that several threads write through, each to places of its own.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

impl Shared {
    /// # Safety
    /// `place` must lie within what the pointer points to.
    unsafe fn at(&self, place: usize) -> *mut f32 {
        // SAFETY: as the caller promises.
        unsafe { self.0.add(place) }
    }
}

// SAFETY: tasks write disjoint columns (a key/value head and its query heads) of rows that outlive them.
unsafe impl Send for Shared {}
// SAFETY: likewise.
unsafe impl Sync for Shared {}

/// Attention of the queries over the keys and values of `qkv` `[batch · time, width]`, every position over itself and what
/// came before: `out` `[batch · time, heads · head_dim]`, and `logs` `[batch · heads · time]`, the logarithms of the sums.
///
/// # Panics
/// When the slices do not fit the sizes.
pub fn attention(sizes: Heads, qkv: &[f32], out: &mut [f32], logs: &mut [f32]) {
    sizes.check(qkv.len(), out.len(), logs.len());
    let Heads { time, heads, kv_heads, head_dim, .. } = sizes;
    if time == 0 || head_dim == 0 {
        return;
    }
    let (width, out_width) = (sizes.width(), sizes.out_width());
    let target = Shared(out.as_mut_ptr());
    logs.par_chunks_mut(time).enumerate().for_each_init(
        || vec![0.0f32; BLOCK.min(time) * time],
        |scores, (task, logs)| {
            let (sequence, head) = (task / heads, task % heads);
            let group = head / (heads / kv_heads);
            for start in (0..time).step_by(BLOCK) {
                let rows = BLOCK.min(time - start);
                let keys = start + rows;
                // SAFETY: `check` has shown that every place lies within its slice; `scores` is this thread's own, and
                // these rows of this head are written by this task alone.
                unsafe {
                    let query = qkv.as_ptr().add(sizes.query(sequence, head) + start * width);
                    let query = Part { at: query, row: width, column: 1 };
                    let key = Part { at: qkv.as_ptr().add(sizes.key(sequence, group)), row: width, column: 1 };
                    let value = Part { at: qkv.as_ptr().add(sizes.value(sequence, group)), row: width, column: 1 };
                    let sizes3 = (rows, keys, head_dim);
                    product(scores.as_mut_ptr(), keys, query, key.transposed(), sizes3, sizes.scale(), false, 1);
                    for row in 0..rows {
                        let seen = start + row + 1;
                        logs[start + row] = softmax(&mut scores[row * keys..(row + 1) * keys], seen);
                    }
                    let weights = Part { at: scores.as_ptr(), row: keys, column: 1 };
                    let to = target.at(sizes.out(sequence, head) + start * out_width);
                    product(to, out_width, weights, value, (rows, head_dim, keys), 1.0, false, 1);
                }
            }
        },
    );
}

vectorised! {
    /// Softmax over the first `seen` scores, zero after them; the logarithm of the sum of exponentials.
    fn softmax(scores: &mut [f32], seen: usize) -> f32 {
        let (scores, hidden) = scores.split_at_mut(seen);
        hidden.fill(0.0);
        let peak = max(scores);
        for x in scores.iter_mut() {
            *x = exp(*x - peak);
        }
        let total = sum(scores.len(), |i| scores[i]);
        let factor = 1.0 / total;
        for x in scores.iter_mut() {
            *x *= factor;
        }
        peak + total.ln()
    }
}

/// The gradient of `qkv`, to `back`, given that of the output, `y`, and what [`attention`] gave.
///
/// # Panics
/// When the slices do not fit the sizes.
pub fn attention_back(sizes: Heads, qkv: &[f32], out: &[f32], logs: &[f32], y: &[f32], back: &mut [f32]) {
    sizes.check(qkv.len(), out.len(), logs.len());
    sizes.check(back.len(), y.len(), logs.len());
    let Heads { batch, time, heads, kv_heads, head_dim } = sizes;
    if time == 0 || head_dim == 0 {
        return;
    }
    let (width, out_width, shared) = (sizes.width(), sizes.out_width(), heads / kv_heads);
    let target = Shared(back.as_mut_ptr());
    let block = BLOCK.min(time) * time;
    (0..batch * kv_heads).into_par_iter().for_each_init(
        || (vec![0.0f32; block], vec![0.0f32; block]),
        |(weights, slopes), task| {
            let (sequence, group) = (task / kv_heads, task % kv_heads);
            let qkv_at = |at: usize| Part { at: qkv[at..].as_ptr(), row: width, column: 1 };
            let (key, value) = (qkv_at(sizes.key(sequence, group)), qkv_at(sizes.value(sequence, group)));
            for head in group * shared..(group + 1) * shared {
                for start in (0..time).step_by(BLOCK) {
                    let rows = BLOCK.min(time - start);
                    let keys = start + rows;
                    let query = qkv_at(sizes.query(sequence, head) + start * width);
                    let out_at = sizes.out(sequence, head) + start * out_width;
                    let gradient = Part { at: y[out_at..].as_ptr(), row: out_width, column: 1 };
                    // The first block of the first head of a group finds nothing to add to.
                    let adds = head > group * shared;
                    // SAFETY: `check` has shown that every place lies within its slice; the scratch is this thread's own,
                    // and these columns are written by this task alone.
                    unsafe {
                        let scores = (rows, keys, head_dim);
                        product(weights.as_mut_ptr(), keys, query, key.transposed(), scores, sizes.scale(), false, 1);
                        product(slopes.as_mut_ptr(), keys, gradient, value.transposed(), scores, 1.0, false, 1);
                        for row in 0..rows {
                            let at = out_at + row * out_width;
                            let (row_out, row_y) = (&out[at..at + head_dim], &y[at..at + head_dim]);
                            let log = logs[(sequence * heads + head) * time + start + row];
                            let span = row * keys..(row + 1) * keys;
                            let seen = start + row + 1;
                            slope(&mut weights[span.clone()], &mut slopes[span], seen, log, row_out, row_y);
                        }
                        let weights = Part { at: weights.as_ptr(), row: keys, column: 1 };
                        let slopes = Part { at: slopes.as_ptr(), row: keys, column: 1 };
                        let to = target.at(sizes.query(sequence, head) + start * width);
                        product(to, width, slopes, key, (rows, head_dim, keys), sizes.scale(), false, 1);
                        // Keys that this block is the first to see hold nothing yet.
                        for (at, left, right, factor) in [
                            (sizes.key(sequence, group), slopes.transposed(), query, sizes.scale()),
                            (sizes.value(sequence, group), weights.transposed(), gradient, 1.0),
                        ] {
                            let to = target.at(at);
                            if start > 0 {
                                product(to, width, left, right, (start, head_dim, rows), factor, true, 1);
                            }
                            let late = Part { at: left.at.add(start * left.row), ..left };
                            product(to.add(start * width), width, late, right, (rows, head_dim, rows), factor, adds, 1);
                        }
                    }
                }
            }
        },
    );
}

vectorised! {
    /// Scores to weights, and gradients of weights to gradients of scores.
    fn slope(weights: &mut [f32], slopes: &mut [f32], seen: usize, log: f32, out: &[f32], y: &[f32]) {
        // The sum over keys of weight times gradient equals that over `head_dim` of output times gradient.
        let along = sum(out.len(), |i| out[i] * y[i]);
        for (weight, slope) in weights[..seen].iter_mut().zip(&mut slopes[..seen]) {
            *weight = exp(*weight - log);
            *slope = *weight * (*slope - along);
        }
        weights[seen..].fill(0.0);
        slopes[seen..].fill(0.0);
    }
}
