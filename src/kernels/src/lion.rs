//! Lion (Chen et al. 2023), the algorithm of its paper.

use crate::lanes::vectorised;
use rayon::prelude::*;

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
pub struct Lion {
    /// Share of the momentum in the direction.
    pub beta1: f32,
    /// Share of the momentum that the next one keeps.
    pub beta2: f32,
    pub rate: f32,
    /// What weights are multiplied with before the step.
    pub decay: f32,
}

const PART: usize = 1 << 14;

/// Moves `weights` against the sign of a mean of `gradients` and `momentum`, and `momentum` along with it.
pub fn lion(step: Lion, weights: &mut [f32], gradients: &[f32], momentum: &mut [f32]) {
    let parts = weights.par_chunks_mut(PART).zip(gradients.par_chunks(PART)).zip(momentum.par_chunks_mut(PART));
    parts.for_each(|((weights, gradients), momentum)| part(step, weights, gradients, momentum));
}

vectorised! {
    fn part(step: Lion, weights: &mut [f32], gradients: &[f32], momentum: &mut [f32]) {
        let (keep1, keep2) = (1.0 - step.beta1, 1.0 - step.beta2);
        for ((p, g), m) in weights.iter_mut().zip(gradients).zip(momentum) {
            let direction = *m * step.beta1 + *g * keep1;
            let sign = if direction > 0.0 { 1.0 } else if direction < 0.0 { -1.0 } else { 0.0 };
            *p = *p * step.decay - sign * step.rate;
            *m = *m * step.beta2 + *g * keep2;
        }
    }
}
