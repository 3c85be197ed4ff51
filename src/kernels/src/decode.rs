//! What writing a text one token at a time needs: products of few rows, and attention over cached keys and values.
//!
//! Each number of a weight or of the cache is read once and used for little arithmetic, so the memory sets the pace.

use crate::attention::Heads;
use crate::lanes::{LANES, exp, max, sum, vectorised};
use rayon::prelude::*;

/// Multiplications below which other threads cost more than they bring.
const ALONE: usize = 1 << 17;

/// Rows of the right matrix that are worked on together, so that their sums do not wait for each other.
const TOGETHER: usize = 4;

/// `left` `[rows, inner]` times the transpose of `right` `[columns, inner]`, where `rows` are few.
pub(crate) fn few_rows(left: &[f32], right: &[f32], inner: usize, rows: usize, columns: usize) -> Vec<f32> {
    if inner == 0 || rows == 0 || columns == 0 {
        return vec![0.0; rows * columns];
    }
    // A row of the result for each row of `right`, which is then read once for all rows of `left`.
    let mut turned = vec![0.0f32; rows * columns];
    let work = rows * columns * inner;
    let many = if work < ALONE { columns } else { columns.div_ceil(4 * rayon::current_num_threads()) };
    let many = many.next_multiple_of(TOGETHER);
    let parts = |(part, out): (usize, &mut [f32])| {
        let from = part * many;
        let to = from + out.len() / rows;
        dots(left, &right[from * inner..to * inner], inner, rows, out);
    };
    if many >= columns {
        parts((0, &mut turned));
    } else {
        turned.par_chunks_mut(many * rows).enumerate().for_each(parts);
    }
    if rows == 1 {
        return turned;
    }
    let mut out = vec![0.0f32; rows * columns];
    for (row, out) in out.chunks_exact_mut(columns).enumerate() {
        out.iter_mut().zip(turned.iter().skip(row).step_by(rows)).for_each(|(to, from)| *to = *from);
    }
    out
}

vectorised! {
    /// `out[column, row]` = row `row` of `left` times row `column` of `right`.
    fn dots(left: &[f32], right: &[f32], inner: usize, rows: usize, out: &mut [f32]) {
        let whole = inner / LANES * LANES;
        let mut blocks = right.chunks_exact(TOGETHER * inner);
        let mut outs = out.chunks_exact_mut(TOGETHER * rows);
        for (block, out) in (&mut blocks).zip(&mut outs) {
            // Two rows at a time, so that what is loaded of the right is used twice; each sum is the same as alone.
            let mut pairs = left.chunks_exact(2 * inner);
            for (pair, xs) in (&mut pairs).enumerate() {
                let (first, second) = xs.split_at(inner);
                let mut lanes = [[[0.0f32; LANES]; TOGETHER]; 2];
                let mut at = 0;
                while at < whole {
                    let (a, b) = (&first[at..at + LANES], &second[at..at + LANES]);
                    for column in 0..TOGETHER {
                        let w = &block[column * inner + at..column * inner + at + LANES];
                        for lane in 0..LANES {
                            lanes[0][column][lane] += a[lane] * w[lane];
                            lanes[1][column][lane] += b[lane] * w[lane];
                        }
                    }
                    at += LANES;
                }
                for (row, (x, lanes)) in [first, second].into_iter().zip(&lanes).enumerate() {
                    for (column, lanes) in lanes.iter().enumerate() {
                        let rest = sum(inner - whole, |i| x[whole + i] * block[column * inner + whole + i]);
                        out[column * rows + 2 * pair + row] = sum(LANES, |i| lanes[i]) + rest;
                    }
                }
            }
            let x = pairs.remainder();
            if !x.is_empty() {
                let mut lanes = [[0.0f32; LANES]; TOGETHER];
                let mut at = 0;
                while at < whole {
                    let x = &x[at..at + LANES];
                    for (column, lanes) in lanes.iter_mut().enumerate() {
                        let w = &block[column * inner + at..column * inner + at + LANES];
                        for lane in 0..LANES {
                            lanes[lane] += x[lane] * w[lane];
                        }
                    }
                    at += LANES;
                }
                for (column, lanes) in lanes.iter().enumerate() {
                    let rest = sum(inner - whole, |i| x[whole + i] * block[column * inner + whole + i]);
                    out[column * rows + rows - 1] = sum(LANES, |i| lanes[i]) + rest;
                }
            }
        }
        for (w, out) in blocks.remainder().chunks_exact(inner).zip(outs.into_remainder().chunks_exact_mut(rows)) {
            for (x, out) in left.chunks_exact(inner).zip(out) {
                *out = sum(inner, |i| x[i] * w[i]);
            }
        }
    }
}

/// Where cached keys and values lie, and which of them are seen.
#[derive(Clone, Copy, Debug)]
pub struct CacheShape<'a> {
    /// Columns there is room for.
    pub capacity: usize,
    /// Columns filled before those of the queries.
    pub used: usize,
    /// The first column that counts, for each sequence; those before it are padding.
    pub first: &'a [usize],
    /// How many columns a query sees, its own included; absent: all.
    pub window: Option<usize>,
    /// What a score gains with each column, for each query head (ALiBi, Press et al. 2022); empty: nothing.
    pub slopes: &'a [f32],
    /// Scores are multiplied with this, which is usually `1 / √head_dim`.
    pub scale: f32,
}

/// Attention of `query` `[batch, heads, time, head_dim]`, which stands in columns `used..used + time`, over `keys` and
/// `values` `[batch, kv_heads, capacity, head_dim]`: each query over its own column and those before it.
/// Returns `[batch, heads, time, head_dim]`. A query in a column of padding sees itself alone.
///
/// # Panics
/// When the slices do not fit the sizes.
pub fn attend(sizes: Heads, cache: CacheShape<'_>, query: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let Heads { batch, time, heads, kv_heads, head_dim } = sizes;
    let CacheShape { capacity, used, first, window, slopes, scale } = cache;
    assert!(kv_heads > 0 && heads.is_multiple_of(kv_heads), "key/value heads must divide the heads");
    assert_eq!(query.len(), batch * heads * time * head_dim, "queries");
    assert_eq!(keys.len(), batch * kv_heads * capacity * head_dim, "keys");
    assert_eq!(values.len(), keys.len(), "values");
    assert!(first.len() == batch && used + time <= capacity, "columns");
    assert!(slopes.is_empty() || slopes.len() == heads, "slopes");
    let mut out = vec![0.0f32; query.len()];
    if time == 0 || head_dim == 0 {
        return out;
    }
    let head = |scores: &mut Vec<f32>, (task, out): (usize, &mut [f32])| {
        let (sequence, head) = (task / heads, task % heads);
        let from = (sequence * kv_heads + head / (heads / kv_heads)) * capacity;
        let slope = slopes.get(head).copied().unwrap_or(0.0);
        let query = &query[task * time * head_dim..(task + 1) * time * head_dim];
        for (t, (query, out)) in query.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim)).enumerate() {
            let column = used + t;
            let near = (column + 1).saturating_sub(window.unwrap_or(usize::MAX));
            let begin = first[sequence].min(column).max(near);
            let seen = (from + begin) * head_dim..(from + column + 1) * head_dim;
            scores.resize(seen.len() / head_dim, 0.0);
            mix(query, &keys[seen.clone()], &values[seen], scale, slope, scores, out);
        }
    };
    let tasks = time * head_dim;
    if query.len() * (used + time) < ALONE {
        let mut scores = Vec::new();
        out.chunks_exact_mut(tasks).enumerate().for_each(|task| head(&mut scores, task));
    } else {
        out.par_chunks_exact_mut(tasks).enumerate().for_each_init(Vec::new, head);
    }
    out
}

vectorised! {
    /// One query over the keys and values that it sees.
    fn mix(query: &[f32], keys: &[f32], values: &[f32], scale: f32, slope: f32, scores: &mut [f32], out: &mut [f32]) {
        let head_dim = query.len();
        let last = scores.len() as f32 - 1.0;
        for (place, (score, key)) in scores.iter_mut().zip(keys.chunks_exact(head_dim)).enumerate() {
            *score = sum(head_dim, |i| query[i] * key[i]) * scale + slope * (place as f32 - last);
        }
        let peak = max(scores);
        for x in scores.iter_mut() {
            *x = exp(*x - peak);
        }
        let factor = 1.0 / sum(scores.len(), |i| scores[i]);
        out.fill(0.0);
        for (weight, value) in scores.iter().zip(values.chunks_exact(head_dim)) {
            let weight = *weight * factor;
            for (out, value) in out.iter_mut().zip(value) {
                *out += weight * *value;
            }
        }
    }
}

vectorised! {
    /// The logarithm of the sum of the exponentials of `x`.
    pub fn log_total(x: &[f32]) -> f32 {
        let peak = max(x);
        peak + sum(x.len(), |i| exp(x[i] - peak)).ln()
    }
}
