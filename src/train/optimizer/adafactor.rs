//! Adafactor (Shazeer & Stern 2018) as `torch.optim.Adafactor` computes it: without momentum, with steps relative to the
//! size of a weight, and the squares of a matrix kept as one number a row and one a column.

use super::{Rates, fill, matrix};
use crate::model::Entry;
use crate::plan::spec::Adafactor;
use burn::tensor::Tensor;

/// The least that means of squares are taken for, and its square root: the distance of 1 to the next f32.
const EPSILON: f64 = f32::EPSILON as f64;

pub(super) fn update<'a>(
    spec: &Adafactor,
    rates: Rates,
    flat: &mut Tensor<1>,
    gradient: Tensor<1>,
    state: &mut [Tensor<1>],
    entries: impl Iterator<Item = &'a Entry>,
    step: u64,
) {
    let step = (step + 1) as f64;
    let new = step.powf(-spec.decay_rate);
    // Of weights: the root of their mean square is what a step is relative to.
    let rate = rates.lr.min(rates.transfer / step.sqrt());
    let mean = |was: Tensor<2>, now: Tensor<2>| was.mul_scalar(1.0 - new) + now.mul_scalar(new);
    let mut changes = Vec::new();
    let mut kept = vec![Vec::new(); state.len()];
    let (mut row_at, mut column_at) = (0, 0);
    for entry in entries {
        let (count, rows, columns) = entry.matrices();
        for i in 0..count {
            let offset = entry.offset + i * rows * columns;
            let g = matrix(&gradient, offset, rows, columns);
            let squares = g.clone() * g.clone();
            let variance = match state.len() {
                1 => {
                    let variance = mean(matrix(&state[0], offset, rows, columns), squares);
                    kept[0].push(variance.clone().reshape([rows * columns]));
                    variance
                }
                _ => {
                    let across = squares.clone().sum_dim(1).div_scalar(columns as f64);
                    let down = squares.sum_dim(0).div_scalar(rows as f64);
                    let across = mean(matrix(&state[0], row_at, rows, 1), across);
                    let down = mean(matrix(&state[1], column_at, 1, columns), down);
                    kept[0].push(across.clone().reshape([rows]));
                    kept[1].push(down.clone().reshape([columns]));
                    let middle = across.clone().sum_dim(0).div_scalar(rows as f64).clamp_min(EPSILON);
                    across * (down / middle)
                }
            };
            (row_at, column_at) = (row_at + rows, column_at + columns);
            let change = g / variance.clamp_min(EPSILON * EPSILON).sqrt();
            let size = |x: &Tensor<2>| {
                let sum = (x.clone() * x.clone()).sum_dim(1).sum_dim(0);
                sum.div_scalar((rows * columns) as f64).sqrt()
            };
            let too_large = size(&change).div_scalar(spec.threshold).clamp_min(1.0);
            let weight = matrix(flat, offset, rows, columns);
            let factor = size(&weight).clamp_min(spec.min_scale).mul_scalar(rate) / too_large;
            changes.push((change * factor).reshape([rows * columns]));
        }
    }
    let change = fill(changes, flat.dims()[0], &gradient);
    for (state, kept) in state.iter_mut().zip(kept) {
        *state = fill(kept, state.dims()[0], &gradient);
    }
    let decay = rates.decay();
    flat.inplace(|p| if decay == 1.0 { p - change } else { p.mul_scalar(decay) - change });
}
