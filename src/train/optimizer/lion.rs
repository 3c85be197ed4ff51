//! Lion (Chen et al. 2023): against the sign of a mean of gradient and momentum, with decoupled decay.

use super::Rates;
use crate::model::{Host, change_on_host};
use crate::plan::spec::Lion;
use burn::tensor::Tensor;
use emberlab_kernels as kernels;

pub(super) fn update(spec: &Lion, rates: Rates, flat: &mut Tensor<1>, gradient: Tensor<1>, state: &mut [Tensor<1>]) {
    let [momentum] = state else { return };
    let decay = rates.decay();
    if let Some(gradient) = Host::of(&gradient) {
        let step = kernels::Lion {
            beta1: spec.beta1 as f32,
            beta2: spec.beta2 as f32,
            rate: rates.lr as f32,
            decay: decay as f32,
        };
        let done = change_on_host(flat, |weights| {
            change_on_host(momentum, |momentum| kernels::lion(step, weights, gradient.numbers(), momentum))
        });
        if done.flatten().is_some() {
            return;
        }
    }
    let mean = momentum.clone().mul_scalar(spec.beta1) + gradient.clone().mul_scalar(1.0 - spec.beta1);
    let change = mean.sign().mul_scalar(rates.lr);
    flat.inplace(|p| if decay == 1.0 { p - change } else { p.mul_scalar(decay) - change });
    momentum.inplace(|m| m.mul_scalar(spec.beta2) + gradient.mul_scalar(1.0 - spec.beta2));
}
