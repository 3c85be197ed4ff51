//! Causal scaled dot-product attention, forward and back, without a tensor of all scores.
//!
//! What a query sees may begin later than the row: at a window's edge, or where its document begins ([`View`]). Blocks of
//! keys that no query of a block sees are not computed.
//!
//! As FlashAttention (Dao et al. 2022) does it on a GPU: scores exist for a block of queries at a time, only for the keys those
//! may see, and going back computes them again from the logarithm of each row's sum.

use crate::bf16::round_few;
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

/// Fills numbers with what the weights of the query at a place are multiplied with, from a key on: of a sequence, a head, the
/// place, the first key.
pub type Dropout<'a> = &'a (dyn Fn(usize, usize, usize, usize, &mut [f32]) + Sync);

/// What queries see of the keys before them, and how.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// A query sees so many keys at most, its own among them (Beltagy et al. 2020).
    pub window: Option<usize>,
    /// `[batch · time]`: the first place of its row that a query sees; all of them when empty. Never falls within a row.
    pub starts: &'a [u32],
    /// `[heads]`: what a score gains with each place of its key (ALiBi, Press et al. 2022); nothing when empty.
    pub slopes: &'a [f32],
    /// Scores are multiplied with this.
    pub scale: f32,
    /// The dropout of weights. Going back asks for the same numbers again.
    pub drop: Option<Dropout<'a>>,
    /// Whether what goes into a product of matrices and what comes out is rounded to bf16; everything between is f32. Queries,
    /// keys and values are then those of [`operands_bf16`].
    pub bf16: bool,
}

impl View<'_> {
    /// All keys up to the query's own, at the usual scale of `1 / √head_dim`.
    pub fn causal(head_dim: usize) -> View<'static> {
        View { window: None, starts: &[], slopes: &[], scale: 1.0 / (head_dim as f32).sqrt(), drop: None, bf16: false }
    }

    /// The first key that the query at `place` of `sequence` sees.
    fn first(&self, sequence: usize, time: usize, place: usize) -> usize {
        let window = self.window.map_or(0, |window| (place + 1).saturating_sub(window.max(1)));
        let start = self.starts.get(sequence * time + place).map_or(0, |start| *start as usize);
        window.max(start).min(place)
    }

    /// What scores are multiplied with that queries have not been already.
    fn factor(&self) -> f32 {
        if self.bf16 { 1.0 } else { self.scale }
    }

    /// Numbers as products take them and give them.
    fn round(&self, numbers: &mut [f32]) {
        if self.bf16 {
            round_few(numbers);
        }
    }

    /// Room for the dropout of one query, if there is one.
    fn row(&self, time: usize) -> Vec<f32> {
        vec![0.0; if self.drop.is_some() { time } else { 0 }]
    }

    /// # Panics
    /// When a slice has another length than these heads have.
    fn check(&self, sizes: Heads) {
        let (starts, slopes) = (self.starts.len(), self.slopes.len());
        assert!(starts == 0 || starts == sizes.batch * sizes.time, "starts");
        assert!(slopes == 0 || slopes == sizes.heads, "slopes");
    }
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("window", &self.window)
            .field("starts", &self.starts)
            .field("slopes", &self.slopes)
            .field("scale", &self.scale)
            .field("drop", &self.drop.is_some())
            .field("bf16", &self.bf16)
            .finish()
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

/// Attention of the queries over the keys and values of `qkv` `[batch · time, width]`, every position over what it sees of
/// itself and what came before: `out` `[batch · time, heads · head_dim]`, and `logs` `[batch · heads · time]`, the logarithms of the sums.
///
/// # Panics
/// When the slices do not fit the sizes.
pub fn attention(sizes: Heads, view: View<'_>, qkv: &[f32], out: &mut [f32], logs: &mut [f32]) {
    sizes.check(qkv.len(), out.len(), logs.len());
    view.check(sizes);
    let Heads { time, heads, kv_heads, head_dim, .. } = sizes;
    if time == 0 || head_dim == 0 {
        return;
    }
    let (width, out_width) = (sizes.width(), sizes.out_width());
    let target = Shared(out.as_mut_ptr());
    logs.par_chunks_mut(time).enumerate().for_each_init(
        || (vec![0.0f32; BLOCK.min(time) * time], view.row(time)),
        |(scores, drop), (task, logs)| {
            let (sequence, head) = (task / heads, task % heads);
            let group = head / (heads / kv_heads);
            for start in (0..time).step_by(BLOCK) {
                let rows = BLOCK.min(time - start);
                let low = view.first(sequence, time, start);
                let keys = start + rows - low;
                // SAFETY: `check` has shown that every place lies within its slice; `scores` is this thread's own, and
                // these rows of this head are written by this task alone.
                unsafe {
                    let query = qkv.as_ptr().add(sizes.query(sequence, head) + start * width);
                    let query = Part { at: query, row: width, column: 1 };
                    let key = qkv.as_ptr().add(sizes.key(sequence, group) + low * width);
                    let key = Part { at: key, row: width, column: 1 };
                    let value = qkv.as_ptr().add(sizes.value(sequence, group) + low * width);
                    let value = Part { at: value, row: width, column: 1 };
                    let sizes3 = (rows, keys, head_dim);
                    product(scores.as_mut_ptr(), keys, query, key.transposed(), sizes3, view.factor(), false, 1);
                    view.round(&mut scores[..rows * keys]);
                    for row in 0..rows {
                        let place = start + row;
                        let first = view.first(sequence, time, place) - low;
                        let slope = view.slopes.get(head).copied().unwrap_or(0.0);
                        let scores = &mut scores[row * keys..(row + 1) * keys];
                        let end = place + 1 - low;
                        logs[place] = softmax(scores, first, end, slope);
                        if let Some(fill) = view.drop {
                            let drop = &mut drop[..end - first];
                            fill(sequence, head, place, low + first, drop);
                            scores[first..end].iter_mut().zip(drop).for_each(|(x, drop)| *x *= *drop);
                        }
                    }
                    view.round(&mut scores[..rows * keys]);
                    let weights = Part { at: scores.as_ptr(), row: keys, column: 1 };
                    let to = target.at(sizes.out(sequence, head) + start * out_width);
                    product(to, out_width, weights, value, (rows, head_dim, keys), 1.0, false, 1);
                    for row in 0..rows {
                        view.round(std::slice::from_raw_parts_mut(to.add(row * out_width), head_dim));
                    }
                }
            }
        },
    );
}

vectorised! {
    /// Softmax over the scores from `first` to before `end`, zero elsewhere; the logarithm of the sum of exponentials. The
    /// last of them counts as distance zero: those before lose `slope` for each place between.
    fn softmax(scores: &mut [f32], first: usize, end: usize, slope: f32) -> f32 {
        scores[end..].fill(0.0);
        scores[..first].fill(0.0);
        let scores = &mut scores[first..end];
        if slope != 0.0 {
            tilt(scores, slope);
        }
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

/// Takes `slope` from each score for every place between it and the last one.
#[inline(always)]
fn tilt(scores: &mut [f32], slope: f32) {
    let last = scores.len();
    for (i, x) in scores.iter_mut().enumerate() {
        *x -= slope * (last - 1 - i) as f32;
    }
}

/// The gradient of `qkv`, to `back`, given that of the output, `y`, and what [`attention`] gave.
///
/// # Panics
/// When the slices do not fit the sizes.
pub fn attention_back(
    sizes: Heads,
    view: View<'_>,
    qkv: &[f32],
    out: &[f32],
    logs: &[f32],
    y: &[f32],
    back: &mut [f32],
) {
    sizes.check(qkv.len(), out.len(), logs.len());
    view.check(sizes);
    sizes.check(back.len(), y.len(), logs.len());
    let Heads { batch, time, heads, kv_heads, head_dim } = sizes;
    if time == 0 || head_dim == 0 {
        return;
    }
    let (width, out_width, shared) = (sizes.width(), sizes.out_width(), heads / kv_heads);
    let target = Shared(back.as_mut_ptr());
    let block = BLOCK.min(time) * time;
    (0..batch * kv_heads).into_par_iter().for_each_init(
        || (vec![0.0f32; block], vec![0.0f32; block], view.row(time)),
        |(weights, slopes, drop), task| {
            let (sequence, group) = (task / kv_heads, task % kv_heads);
            let qkv_at = |at: usize| Part { at: qkv[at..].as_ptr(), row: width, column: 1 };
            for head in group * shared..(group + 1) * shared {
                for start in (0..time).step_by(BLOCK) {
                    let rows = BLOCK.min(time - start);
                    let low = view.first(sequence, time, start);
                    let keys = start + rows - low;
                    let key = qkv_at(sizes.key(sequence, group) + low * width);
                    let value = qkv_at(sizes.value(sequence, group) + low * width);
                    let query = qkv_at(sizes.query(sequence, head) + start * width);
                    let out_at = sizes.out(sequence, head) + start * out_width;
                    let gradient = Part { at: y[out_at..].as_ptr(), row: out_width, column: 1 };
                    // The first block of the first head of a group finds nothing to add to.
                    let adds = head > group * shared;
                    // SAFETY: `check` has shown that every place lies within its slice; the scratch is this thread's own,
                    // and these columns are written by this task alone.
                    unsafe {
                        let scores = (rows, keys, head_dim);
                        product(weights.as_mut_ptr(), keys, query, key.transposed(), scores, view.factor(), false, 1);
                        product(slopes.as_mut_ptr(), keys, gradient, value.transposed(), scores, 1.0, false, 1);
                        view.round(&mut weights[..rows * keys]);
                        view.round(&mut slopes[..rows * keys]);
                        for row in 0..rows {
                            let at = out_at + row * out_width;
                            let (row_out, row_y) = (&out[at..at + head_dim], &y[at..at + head_dim]);
                            let log = logs[(sequence * heads + head) * time + start + row];
                            let span = row * keys..(row + 1) * keys;
                            let place = start + row;
                            let seen = (view.first(sequence, time, place) - low, place + 1 - low);
                            let tilt = view.slopes.get(head).copied().unwrap_or(0.0);
                            let (weights, slopes) = (&mut weights[span.clone()], &mut slopes[span]);
                            let Some(fill) = view.drop else {
                                slope(weights, slopes, seen, tilt, log, row_out, row_y);
                                continue;
                            };
                            let drop = &mut drop[..seen.1 - seen.0];
                            fill(sequence, head, place, low + seen.0, drop);
                            slopes[seen.0..seen.1].iter_mut().zip(&*drop).for_each(|(x, drop)| *x *= *drop);
                            slope(weights, slopes, seen, tilt, log, row_out, row_y);
                            weights[seen.0..seen.1].iter_mut().zip(drop).for_each(|(x, drop)| *x *= *drop);
                        }
                        view.round(&mut weights[..rows * keys]);
                        view.round(&mut slopes[..rows * keys]);
                        let weights = Part { at: weights.as_ptr(), row: keys, column: 1 };
                        let slopes = Part { at: slopes.as_ptr(), row: keys, column: 1 };
                        let to = target.at(sizes.query(sequence, head) + start * width);
                        product(to, width, slopes, key, (rows, head_dim, keys), view.factor(), false, 1);
                        // Keys that this block is the first to see hold nothing yet.
                        for (at, left, right, factor) in [
                            (sizes.key(sequence, group), slopes.transposed(), query, view.factor()),
                            (sizes.value(sequence, group), weights.transposed(), gradient, 1.0),
                        ] {
                            let (to, early) = (target.at(at + low * width), start - low);
                            if early > 0 {
                                product(to, width, left, right, (early, head_dim, rows), factor, true, 1);
                            }
                            let late = Part { at: left.at.add(early * left.row), ..left };
                            product(to.add(early * width), width, late, right, (rows, head_dim, rows), factor, adds, 1);
                        }
                    }
                }
            }
        },
    );
    if view.bf16 {
        scaled_rounded(sizes, (1.0, view.scale), back);
    }
}

/// Scales the queries of `qkv` `[batch · time, width]` and rounds everything to bf16, for a [`View`] that has that.
///
/// # Panics
/// When the slice does not fit the sizes.
pub fn operands_bf16(sizes: Heads, scale: f32, qkv: &mut [f32]) {
    assert_eq!(qkv.len(), sizes.batch * sizes.time * sizes.width(), "queries, keys and values");
    scaled_rounded(sizes, (scale, 1.0), qkv);
}

/// Rounds rows of queries, keys and values to bf16; queries are multiplied with one factor before and with another after.
fn scaled_rounded(sizes: Heads, (before, after): (f32, f32), qkv: &mut [f32]) {
    crate::rows(qkv, sizes.width(), |_, row| {
        let queries = ..sizes.out_width();
        row[queries].iter_mut().for_each(|x| *x *= before);
        round_few(row);
        row[queries].iter_mut().for_each(|x| *x *= after);
    });
}

vectorised! {
    /// Scores to weights, and gradients of weights to gradients of scores, of the keys from the first to before the second of
    /// `seen`; `tilt` as the slope of [`softmax`].
    fn slope(
        weights: &mut [f32],
        slopes: &mut [f32],
        seen: (usize, usize),
        tilt: f32,
        log: f32,
        out: &[f32],
        y: &[f32],
    ) {
        let (first, end) = seen;
        if tilt != 0.0 {
            self::tilt(&mut weights[first..end], tilt);
        }
        // The sum over keys of weight times gradient equals that over `head_dim` of output times gradient.
        let along = sum(out.len(), |i| out[i] * y[i]);
        for (weight, slope) in weights[first..end].iter_mut().zip(&mut slopes[first..end]) {
            *weight = exp(*weight - log);
            *slope = *weight * (*slope - along);
        }
        for numbers in [weights, slopes] {
            numbers[..first].fill(0.0);
            numbers[end..].fill(0.0);
        }
    }
}
