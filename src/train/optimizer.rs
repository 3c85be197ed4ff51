//! Optimisers over whole segments of weights.

use crate::model::{Host, change_on_host};
use crate::model::{Layout, Params};
use crate::plan::spec::{Adamw, Optimizer as Spec, Sgd};
use burn::tensor::Tensor;
use emberlab_kernels as kernels;

/// An optimiser and what it remembers.
pub(crate) struct Optimizer {
    spec: Spec,
    /// Per segment: AdamW's first and second moments; SGD's velocity, or nothing.
    state: Vec<Vec<Tensor<1>>>,
    /// Whether weight decay applies, per segment.
    decays: Vec<bool>,
}

impl Optimizer {
    /// An optimiser that has not stepped yet.
    pub fn new(spec: &Spec, layout: &Layout, params: &Params) -> Optimizer {
        let count = Optimizer::moments(spec).len();
        let zeros = |flat: &Tensor<1>| (0..count).map(|_| flat.zeros_like()).collect();
        let decays = layout.segments.iter().map(|segment| segment.decays).collect();
        Optimizer { spec: spec.clone(), state: params.flats.iter().map(zeros).collect(), decays }
    }

    /// What an optimiser remembers per weight, by name.
    pub fn moments(spec: &Spec) -> &'static [&'static str] {
        match spec {
            Spec::Adamw(_) => &["first_moment", "second_moment"],
            Spec::Sgd(sgd) if sgd.momentum != 0.0 => &["velocity"],
            Spec::Sgd(_) => &[],
        }
    }

    /// The peak learning rate.
    pub fn peak(&self) -> f64 {
        match &self.spec {
            Spec::Adamw(adamw) => adamw.lr,
            Spec::Sgd(sgd) => sgd.lr,
        }
    }

    /// What it remembers of moment `moment`, per segment.
    pub fn moment(&self, moment: usize) -> Params {
        Params { flats: self.state.iter().map(|state| state[moment].clone()).collect() }
    }

    /// Makes it remember moment `moment`.
    pub fn set_moment(&mut self, moment: usize, numbers: Params) {
        for (state, flat) in self.state.iter_mut().zip(numbers.flats) {
            state[moment] = flat;
        }
    }

    /// Moves `params` against `gradients` at rate `lr`; `step` counts from 0.
    pub fn update(&mut self, params: &mut Params, gradients: Vec<Tensor<1>>, lr: f64, step: u64) {
        let segments = params.flats.iter_mut().zip(gradients).zip(&mut self.state).zip(&self.decays);
        for (((flat, gradient), state), decays) in segments {
            match &self.spec {
                Spec::Adamw(spec) => adamw(spec, flat, gradient, state, *decays, lr, step),
                Spec::Sgd(spec) => sgd(spec, flat, gradient, state, *decays, lr, step),
            }
        }
    }
}

/// AdamW (Loshchilov & Hutter 2019) as PyTorch computes it: decay first, bias-corrected moments, `epsilon` outside the root.
fn adamw(
    spec: &Adamw,
    flat: &mut Tensor<1>,
    gradient: Tensor<1>,
    state: &mut [Tensor<1>],
    decays: bool,
    lr: f64,
    step: u64,
) {
    let [first, second] = state else { return };
    let correction = |beta: f64| 1.0 - beta.powf((step + 1) as f64);
    let on_host = kernels::Adamw {
        beta1: spec.beta1 as f32,
        beta2: spec.beta2 as f32,
        epsilon: spec.epsilon as f32,
        rate: (lr / correction(spec.beta1)) as f32,
        root: (1.0 / correction(spec.beta2).sqrt()) as f32,
        decay: if decays { (1.0 - lr * spec.weight_decay) as f32 } else { 1.0 },
    };
    if adamw_on_host(on_host, flat, &gradient, first, second) {
        return;
    }
    first.inplace(|m| m.mul_scalar(spec.beta1) + gradient.clone().mul_scalar(1.0 - spec.beta1));
    second.inplace(|v| v.mul_scalar(spec.beta2) + (gradient.clone() * gradient).mul_scalar(1.0 - spec.beta2));
    let root = second.clone().sqrt().mul_scalar(1.0 / correction(spec.beta2).sqrt()).add_scalar(spec.epsilon);
    let change = (first.clone() / root).mul_scalar(lr / correction(spec.beta1));
    let decay = if decays { 1.0 - lr * spec.weight_decay } else { 1.0 };
    flat.inplace(|p| if decay == 1.0 { p - change } else { p.mul_scalar(decay) - change });
}

/// AdamW in one pass, on the CPU; `false` where the weights lie elsewhere.
fn adamw_on_host(
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

/// Stochastic gradient descent with momentum as PyTorch computes it; the decay is added to the gradient.
fn sgd(
    spec: &Sgd,
    flat: &mut Tensor<1>,
    gradient: Tensor<1>,
    state: &mut [Tensor<1>],
    decays: bool,
    lr: f64,
    step: u64,
) {
    let decay = if decays { spec.weight_decay } else { 0.0 };
    let gradient = if decay == 0.0 { gradient } else { gradient + flat.clone().mul_scalar(decay) };
    let direction = match state {
        // The first velocity is the gradient itself.
        [velocity] => {
            let momentum = if step == 0 { 0.0 } else { spec.momentum };
            velocity.inplace(|v| v.mul_scalar(momentum) + gradient);
            velocity.clone()
        }
        _ => gradient,
    };
    flat.inplace(|p| p - direction.mul_scalar(lr));
}
