//! Normalisation of the residual stream.

use crate::plan::spec::Norm;
use burn::tensor::Tensor;

/// Root-mean-square norm (Zhang & Sennrich 2019) or layer norm (Ba et al. 2016) over the columns of `x` `[rows, width]`,
/// times `gain` `[1, width]`, plus `bias`.
pub(super) fn norm(kind: Norm, x: Tensor<2>, gain: Tensor<2>, bias: Option<Tensor<2>>, epsilon: f64) -> Tensor<2> {
    let centred = match kind {
        Norm::Rms => x,
        Norm::Layer => {
            let mean = x.clone().mean_dim(1);
            x - mean
        }
    };
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    let scale = variance.add_scalar(epsilon).sqrt().recip();
    let y = centred * scale * gain;
    match bias {
        Some(bias) => y + bias,
        None => y,
    }
}
