//! Normalisation of the residual stream, forward and back.

use super::host::{Host, tensor};
use crate::plan::spec::Norm;
use burn::tensor::Tensor;
use emberlab_kernels as kernels;

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
    if let Some(done) = on_host(kind, &x, &gain, bias.as_ref(), epsilon) {
        return done;
    }
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
    if let Some(done) = back_on_host(kind, &tape, &y, &gain, biased) {
        return done;
    }
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

fn named(kind: Norm) -> kernels::NormKind {
    match kind {
        Norm::Rms => kernels::NormKind::Rms,
        Norm::Layer => kernels::NormKind::Layer,
    }
}

/// [`norm`] in one pass, on the CPU.
fn on_host(
    kind: Norm,
    x: &Tensor<2>,
    gain: &Tensor<2>,
    bias: Option<&Tensor<2>>,
    epsilon: f64,
) -> Option<(Tensor<2>, NormTape)> {
    let bias = match bias {
        Some(bias) => Some(Host::of(bias)?),
        None => None,
    };
    let (dims, rows, gain) = (x.dims(), Host::of(x)?, Host::of(gain)?);
    let count = rows.numbers().len();
    let (mut y, mut normal, mut scale) = (vec![0.0; count], vec![0.0; count], vec![0.0; dims[0]]);
    let bias = bias.as_ref().map(Host::numbers);
    let gain = gain.numbers();
    kernels::norm(named(kind), rows.numbers(), gain, bias, epsilon as f32, &mut y, &mut normal, &mut scale);
    let tape = NormTape { normal: tensor(normal, dims, x), scale: tensor(scale, [dims[0], 1], x) };
    Some((tensor(y, dims, x), tape))
}

/// [`norm_back`] in one pass, on the CPU.
fn back_on_host(kind: Norm, tape: &NormTape, y: &Tensor<2>, gain: &Tensor<2>, biased: bool) -> Option<NormGradient> {
    let (normal, scale) = (Host::of(&tape.normal)?, Host::of(&tape.scale)?);
    let (up, gains) = (Host::of(y)?, Host::of(gain)?);
    let width = gains.numbers().len();
    let (mut x, mut gain_gradient) = (vec![0.0; up.numbers().len()], vec![0.0; width]);
    let mut bias = biased.then(|| vec![0.0; width]);
    let (normal, scale) = (normal.numbers(), scale.numbers());
    let bias_gradient = bias.as_deref_mut();
    kernels::norm_back(
        named(kind),
        normal,
        scale,
        gains.numbers(),
        up.numbers(),
        &mut x,
        &mut gain_gradient,
        bias_gradient,
    );
    Some(NormGradient {
        x: tensor(x, y.dims(), y),
        gain: tensor(gain_gradient, [1, width], y),
        bias: bias.map(|bias| tensor(bias, [1, width], y)),
    })
}
