//! Normalisation of the residual stream, forward and back.

use crate::plan::spec::Norm;
use burn::tensor::Tensor;

/// What going back through a norm needs.
#[derive(Clone, Debug)]
pub(super) struct NormTape {
    /// The rows before the gain.
    normal: Tensor<2>,
    /// What they were multiplied with, `[rows, 1]`.
    scale: Tensor<2>,
}

/// Gradients of a norm.
pub(super) struct NormGradient {
    pub x: Tensor<2>,
    /// `[1, width]`.
    pub gain: Tensor<2>,
    /// `[1, width]`.
    pub bias: Option<Tensor<2>>,
}

/// Root-mean-square norm (Zhang & Sennrich 2019) or layer norm (Ba et al. 2016) over the columns of `x` `[rows, width]`,
/// times `gain` `[1, width]`, plus `bias`.
pub(super) fn norm(
    kind: Norm,
    x: Tensor<2>,
    gain: Tensor<2>,
    bias: Option<Tensor<2>>,
    epsilon: f64,
) -> (Tensor<2>, NormTape) {
    let centred = match kind {
        Norm::Rms => x,
        Norm::Layer => {
            let mean = x.clone().mean_dim(1);
            x - mean
        }
    };
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    let scale = variance.add_scalar(epsilon).sqrt().recip();
    let normal = centred * scale.clone();
    let y = normal.clone() * gain;
    let y = match bias {
        Some(bias) => y + bias,
        None => y,
    };
    (y, NormTape { normal, scale })
}

/// The gradients of a norm whose output has gradient `y`.
pub(super) fn norm_back(kind: Norm, tape: NormTape, y: Tensor<2>, gain: Tensor<2>, biased: bool) -> NormGradient {
    let NormTape { normal, scale } = tape;
    let gain_gradient = (y.clone() * normal.clone()).sum_dim(0);
    let bias = biased.then(|| y.clone().sum_dim(0));
    let through = y * gain;
    let along = (through.clone() * normal.clone()).mean_dim(1);
    let x = match kind {
        Norm::Rms => through,
        Norm::Layer => {
            let mean = through.clone().mean_dim(1);
            through - mean
        }
    };
    NormGradient { x: (x - normal * along) * scale, gain: gain_gradient, bias }
}
