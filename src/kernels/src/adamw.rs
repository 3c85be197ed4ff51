//! AdamW (Loshchilov & Hutter 2019) as PyTorch computes it.

use crate::lanes::vectorised;
use rayon::prelude::*;

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
pub struct Adamw {
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// The rate over the first moment's bias correction.
    pub rate: f32,
    /// One over the root of the second moment's bias correction.
    pub root: f32,
    /// What weights are multiplied with before the step.
    pub decay: f32,
}

const PART: usize = 1 << 14;

/// Moves `weights` against `gradients`, both moments along with it.
pub fn adamw(step: Adamw, weights: &mut [f32], gradients: &[f32], first: &mut [f32], second: &mut [f32]) {
    let moments = first.par_chunks_mut(PART).zip(second.par_chunks_mut(PART));
    let parts = weights.par_chunks_mut(PART).zip(gradients.par_chunks(PART)).zip(moments);
    parts.for_each(|((weights, gradients), (first, second))| part(step, weights, gradients, first, second));
}

vectorised! {
    fn part(step: Adamw, weights: &mut [f32], gradients: &[f32], first: &mut [f32], second: &mut [f32]) {
        let (keep1, keep2) = (1.0 - step.beta1, 1.0 - step.beta2);
        let moments = first.iter_mut().zip(second);
        for ((p, g), (m, v)) in weights.iter_mut().zip(gradients).zip(moments) {
            *m = *m * step.beta1 + *g * keep1;
            *v = *v * step.beta2 + *g * *g * keep2;
            *p = *p * step.decay - *m / (v.sqrt() * step.root + step.epsilon) * step.rate;
        }
    }
}
