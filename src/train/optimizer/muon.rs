//! Muon (Jordan et al. 2024): the momentum of a matrix, made nearly orthogonal by a Newton–Schulz iteration.
//!
//! As in github.com/KellerJordan/Muon and `torch.optim.Muon`, which iterate in bfloat16; here everything is f32. Every
//! named matrix is taken by itself: queries, keys and values are three, although they are multiplied as one.

use super::{Rates, fill, matrix};
use crate::model::{Entry, product};
use crate::plan::spec::{Muon, MuonScale};
use burn::tensor::Tensor;

/// Of the quintic whose slope at zero is steep and which keeps singular values between about 0.7 and 1.2.
const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);

/// Added to the norm that a matrix is divided by.
const EPSILON: f64 = 1e-7;

pub(super) fn update<'a>(
    spec: &Muon,
    rates: Rates,
    flat: &mut Tensor<1>,
    gradient: Tensor<1>,
    state: &mut [Tensor<1>],
    entries: impl Iterator<Item = &'a Entry>,
) {
    let [momentum] = state else { return };
    let (beta, rest) = (spec.momentum, 1.0 - spec.momentum);
    momentum.inplace(|m| m.mul_scalar(beta) + gradient.clone().mul_scalar(rest));
    // Nesterov's: the gradient is mixed in once more.
    let ahead = if spec.nesterov {
        gradient.mul_scalar(rest) + momentum.clone().mul_scalar(beta)
    } else {
        drop(gradient);
        momentum.clone()
    };
    let mut pieces = Vec::new();
    for entry in entries {
        let (count, rows, columns) = entry.matrices();
        for i in 0..count {
            let one = matrix(&ahead, entry.offset + i * rows * columns, rows, columns);
            let turned = orthogonal(one, spec.iterations).mul_scalar(scale(spec.scale, rows, columns) * rates.lr);
            pieces.push(turned.reshape([rows * columns]));
        }
    }
    let change = fill(pieces, flat.dims()[0], &ahead);
    drop(ahead);
    let decay = rates.decay();
    flat.inplace(|p| if decay == 1.0 { p - change } else { p.mul_scalar(decay) - change });
}

/// What an orthogonal step of a matrix is multiplied with.
fn scale(scale: MuonScale, rows: usize, columns: usize) -> f64 {
    let (rows, columns) = (rows as f64, columns as f64);
    match scale {
        MuonScale::Shape => (rows / columns).max(1.0).sqrt(),
        MuonScale::Rms => 0.2 * rows.max(columns).sqrt(),
    }
}

/// A matrix with the singular vectors of `x` and singular values near one.
fn orthogonal(x: Tensor<2>, iterations: i64) -> Tensor<2> {
    let (a, b, c) = COEFFICIENTS;
    let [rows, columns] = x.dims();
    let tall = rows > columns;
    let norm = (x.clone() * x.clone()).sum_dim(1).sum_dim(0).sqrt().add_scalar(EPSILON);
    let mut x = x / norm;
    if tall {
        x = x.transpose();
    }
    for _ in 0..iterations {
        let gram = product(&x, false, &x, true);
        let power = product(&gram, false, &gram, false);
        let factor = gram.mul_scalar(b) + power.mul_scalar(c);
        let bent = product(&factor, false, &x, false);
        x = x.mul_scalar(a) + bent;
    }
    if tall { x.transpose() } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    /// Singular values come near one, and a second go on what is orthogonal already leaves the singular vectors alone.
    #[test]
    fn singular_values_come_near_one() {
        let device = crate::device::choose(Some("cpu")).unwrap().device;
        for (rows, columns) in [(6, 6), (4, 10), (10, 4)] {
            let mut draws = crate::random::Stream::new(5, "muon").at(0);
            let numbers: Vec<f32> = (0..rows * columns).map(|_| draws.normal() as f32).collect();
            let x = Tensor::<2>::from_data(TensorData::new(numbers, [rows, columns]), &device);
            let y = orthogonal(x.clone(), 5);
            assert_eq!(y.dims(), [rows, columns]);
            // The singular values of `y` are between those bounds when its Gram matrix's trace and largest row sum are.
            let small =
                if rows < columns { y.clone().matmul(y.clone().transpose()) } else { y.clone().transpose().matmul(y) };
            let diagonal: Vec<f32> = small.clone().try_into_vec_as::<f32>().unwrap();
            let n = rows.min(columns);
            for i in 0..n {
                let value = diagonal[i * n + i].sqrt();
                assert!((0.6..1.3).contains(&value), "{rows}×{columns}: {value}");
            }
        }
    }
}
