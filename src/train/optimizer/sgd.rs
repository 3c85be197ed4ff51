//! Stochastic gradient descent with momentum as PyTorch computes it; the decay is added to the gradient.

use super::Rates;
use crate::plan::spec::Sgd;
use burn::tensor::Tensor;

pub(super) fn update(spec: &Sgd, rates: Rates, flat: &mut Tensor<1>, gradient: Tensor<1>, state: &mut [Tensor<1>]) {
    let decay = rates.weight_decay;
    let gradient = if decay == 0.0 { gradient } else { gradient + flat.clone().mul_scalar(decay) };
    let direction = match state {
        // Velocities start at zero, so the first one is the gradient itself.
        [velocity] => {
            velocity.inplace(|v| v.mul_scalar(spec.momentum) + gradient);
            velocity.clone()
        }
        _ => gradient,
    };
    flat.inplace(|p| p - direction.mul_scalar(rates.lr));
}
