//! Root-mean-square norm of parts of a row: of each head, or of all queries and of all keys.

use crate::lanes::{sum, vectorised};
use crate::{SMALL, rows};
use rayon::prelude::*;

/// Numbers of a row that are normalised apart from the others: `count` stretches of as many as the gain has, one after the
/// other.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Group<'a> {
    /// The first of them.
    pub at: usize,
    pub count: usize,
    /// What each stretch is multiplied with afterwards.
    pub gain: &'a [f32],
}

impl Group<'_> {
    pub(crate) fn end(&self) -> usize {
        self.at + self.count * self.gain.len()
    }
}

/// Rows whose share of the gains' gradient is summed by one thread. Fixed, so that sums do not depend on the threads.
const PART: usize = 256;

/// `y` `[rows, width]` gets the rows of `x` with every stretch of `groups` normalised and the rest as it is; `scale`
/// `[rows, stretches]` what the stretches were multiplied with.
///
/// # Panics
/// When a group does not fit a row.
pub fn norm_groups(x: &[f32], width: usize, groups: &[Group<'_>], epsilon: f32, y: &mut [f32], scale: &mut [f32]) {
    let stretches: usize = groups.iter().map(|group| group.count).sum();
    assert!(groups.iter().all(|group| group.end() <= width), "a group is wider than a row");
    if width == 0 || stretches == 0 {
        return y.copy_from_slice(x);
    }
    scales(x, width, groups, epsilon, scale, stretches);
    rows(y, width, |row, y| {
        let x = &x[row * width..(row + 1) * width];
        y.copy_from_slice(x);
        let mut scales = scale[row * stretches..(row + 1) * stretches].iter();
        for group in groups {
            let stretches = y[group.at..group.end()].chunks_exact_mut(group.gain.len());
            stretches.zip(scales.by_ref()).for_each(|(y, scale)| apply(y, group.gain, *scale));
        }
    });
}

fn scales(x: &[f32], width: usize, groups: &[Group<'_>], epsilon: f32, scale: &mut [f32], stretches: usize) {
    let one = |row: usize, scale: &mut [f32]| {
        let x = &x[row * width..(row + 1) * width];
        let mut scales = scale.iter_mut();
        for group in groups {
            let stretches = x[group.at..group.end()].chunks_exact(group.gain.len());
            stretches.zip(scales.by_ref()).for_each(|(x, scale)| *scale = factor(x, epsilon));
        }
    };
    if x.len() < SMALL {
        scale.chunks_exact_mut(stretches).enumerate().for_each(|(row, scale)| one(row, scale));
    } else {
        scale.par_chunks_exact_mut(stretches).with_min_len(16).enumerate().for_each(|(row, scale)| one(row, scale));
    }
}

vectorised! {
    fn factor(x: &[f32], epsilon: f32) -> f32 {
        1.0 / (sum(x.len(), |i| x[i] * x[i]) / x.len() as f32 + epsilon).sqrt()
    }
}

vectorised! {
    fn apply(y: &mut [f32], gain: &[f32], scale: f32) {
        for (y, gain) in y.iter_mut().zip(gain) {
            *y = *y * scale * *gain;
        }
    }
}

/// Turns `y`, the gradient of [`norm_groups`]' output, into that of its input `x`; the gradients of the gains, one group after
/// the other.
pub fn norm_groups_back(x: &[f32], width: usize, groups: &[Group<'_>], scale: &[f32], y: &mut [f32]) -> Vec<f32> {
    let gains: usize = groups.iter().map(|group| group.gain.len()).sum();
    let stretches: usize = groups.iter().map(|group| group.count).sum();
    let mut total = vec![0.0; gains];
    if width == 0 || stretches == 0 {
        return total;
    }
    let sums: Vec<Vec<f32>> = y
        .par_chunks_mut(PART * width)
        .zip(x.par_chunks(PART * width))
        .zip(scale.par_chunks(PART * stretches))
        .map(|((y, x), scale)| {
            let mut sums = vec![0.0; gains];
            let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(scale.chunks_exact(stretches));
            for ((y, x), scale) in rows {
                let (mut scales, mut rest) = (scale.iter(), &mut sums[..]);
                for group in groups {
                    let size = group.gain.len();
                    let (sum, more) = rest.split_at_mut(size);
                    rest = more;
                    let span = group.at..group.end();
                    let parts = y[span.clone()].chunks_exact_mut(size).zip(x[span].chunks_exact(size));
                    parts.zip(scales.by_ref()).for_each(|((y, x), scale)| back(y, x, group.gain, *scale, sum));
                }
            }
            sums
        })
        .collect();
    for sums in sums {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    total
}

vectorised! {
    fn back(y: &mut [f32], x: &[f32], gain: &[f32], scale: f32, gains: &mut [f32]) {
        let along = sum(x.len(), |i| y[i] * gain[i] * x[i]) * scale / x.len() as f32;
        for i in 0..x.len() {
            let normal = x[i] * scale;
            gains[i] += y[i] * normal;
            y[i] = (y[i] * gain[i] - normal * along) * scale;
        }
    }
}
