//! The norm of a gradient, and scaling it down.

use crate::lanes::{sum, vectorised};
use rayon::prelude::*;

/// Numbers that are summed by one thread at a time. Fixed, so that sums do not depend on the threads.
const PART: usize = 1 << 14;

/// The sum of the squares of all numbers.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    // Collected in order, so that the additions are the same for any number of threads.
    let parts: Vec<f32> = x.par_chunks(PART).map(squares).collect();
    parts.into_iter().map(f64::from).sum()
}

vectorised! {
    fn squares(x: &[f32]) -> f32 {
        sum(x.len(), |i| x[i] * x[i])
    }
}

/// Multiplies all numbers with `factor`.
pub fn scale(x: &mut [f32], factor: f32) {
    x.par_chunks_mut(PART).for_each(|x| scale_part(x, factor));
}

vectorised! {
    fn scale_part(x: &mut [f32], factor: f32) {
        for x in x.iter_mut() {
            *x *= factor;
        }
    }
}
