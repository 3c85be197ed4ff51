//! AdamW (Loshchilov & Hutter 2019) as PyTorch computes it: decay first, bias-corrected moments, `epsilon` outside the root.

use super::Rates;
use crate::model::{Host, change_on_host};
use crate::plan::spec::Adamw;
use burn::tensor::Tensor;
use emberlab_kernels as kernels;

pub(super) fn update(
    spec: &Adamw,
    rates: Rates,
    flat: &mut Tensor<1>,
    gradient: Tensor<1>,
    state: &mut [Tensor<1>],
    step: u64,
) {
    let [first, second] = state else { return };
    let correction = |beta: f64| 1.0 - beta.powf((step + 1) as f64);
    let decay = rates.decay();
    let one_pass = kernels::Adamw {
        beta1: spec.beta1 as f32,
        beta2: spec.beta2 as f32,
        epsilon: spec.epsilon as f32,
        rate: (rates.lr / correction(spec.beta1)) as f32,
        root: (1.0 / correction(spec.beta2).sqrt()) as f32,
        decay: decay as f32,
    };
    if on_host(one_pass, flat, &gradient, first, second) {
        return;
    }
    first.inplace(|m| m.mul_scalar(spec.beta1) + gradient.clone().mul_scalar(1.0 - spec.beta1));
    second.inplace(|v| v.mul_scalar(spec.beta2) + (gradient.clone() * gradient).mul_scalar(1.0 - spec.beta2));
    let root = second.clone().sqrt().mul_scalar(1.0 / correction(spec.beta2).sqrt()).add_scalar(spec.epsilon);
    let change = (first.clone() / root).mul_scalar(rates.lr / correction(spec.beta1));
    flat.inplace(|p| if decay == 1.0 { p - change } else { p.mul_scalar(decay) - change });
}

/// The same in one pass, on the CPU; `false` where the weights lie elsewhere.
fn on_host(
    step: kernels::Adamw,
    flat: &mut Tensor<1>,
    gradient: &Tensor<1>,
    first: &mut Tensor<1>,
    second: &mut Tensor<1>,
) -> bool {
    let Some(gradient) = Host::of(gradient) else { return false };
    let done = change_on_host(flat, |weights| {
        change_on_host(first, |first| {
            change_on_host(second, |second| kernels::adamw(step, weights, gradient.numbers(), first, second))
        })
    });
    done.flatten().flatten().is_some()
}
