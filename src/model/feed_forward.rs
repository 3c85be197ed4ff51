//! The non-linear part of the feed-forward layer, forward and back.

use super::host::{Host, tensor};
use crate::plan::spec::Activation;
use burn::tensor::{Tensor, activation};
use emberlab_kernels as kernels;

/// The slope of GELU's inner function at zero: `2·√(2/π)`.
const SLOPE: f64 = 1.595_769_121_605_730_8;
const CUBIC: f64 = 0.044_715;

/// What going back needs.
#[derive(Clone, Debug)]
pub(super) struct ActivationTape {
    input: Tensor<2>,
    /// As [`inner`] gives it; absent where a kernel computes it again.
    inner: Option<Tensor<2>>,
}

/// `x` `[rows, hidden]`, or `[rows, 2·hidden]` with the gate first for a gated one, to `[rows, hidden]`.
///
/// GELU is the tanh approximation of Hendrycks & Gimpel (2016), written with the sigmoid: `½(1 + tanh z) = σ(2z)`.
/// SwiGLU and GeGLU are Shazeer's (2020), the squared ReLU is that of So et al. (2021).
pub(super) fn activate(kind: Activation, x: Tensor<2>) -> (Tensor<2>, ActivationTape) {
    if let Some(y) = on_host(kind, &x) {
        return (y, ActivationTape { input: x, inner: None });
    }
    let inner = inner(kind, &x);
    let y = match kind {
        Activation::Swiglu | Activation::Geglu => {
            let (gate, up) = halves(&x);
            inner.clone() * gate * up
        }
        Activation::Gelu => x.clone() * inner.clone(),
        Activation::Relu => inner.clone(),
        Activation::ReluSquared => inner.clone() * inner.clone(),
    };
    (y, ActivationTape { input: x, inner: Some(inner) })
}

/// The sigmoid of the gate (SwiGLU) or of the inner function (GELU); ReLU's output.
fn inner(kind: Activation, x: &Tensor<2>) -> Tensor<2> {
    match kind {
        Activation::Swiglu => activation::sigmoid(halves(x).0),
        Activation::Geglu => gelu_sigmoid(halves(x).0),
        Activation::Gelu => gelu_sigmoid(x.clone()),
        Activation::Relu | Activation::ReluSquared => activation::relu(x.clone()),
    }
}

fn gelu_sigmoid(x: Tensor<2>) -> Tensor<2> {
    activation::sigmoid((x.clone() * x.clone()).mul_scalar(CUBIC * SLOPE).add_scalar(SLOPE) * x)
}

/// The slope of GELU at `x`, given its sigmoid.
fn gelu_slope(x: Tensor<2>, open: Tensor<2>) -> Tensor<2> {
    let rise = (x.clone() * x.clone()).mul_scalar(3.0 * CUBIC * SLOPE).add_scalar(SLOPE);
    open.clone() + x * open.clone() * open.neg().add_scalar(1.0) * rise
}

/// The gradient of `x`, given that of the output.
pub(super) fn activate_back(kind: Activation, tape: ActivationTape, y: Tensor<2>) -> Tensor<2> {
    let ActivationTape { input: x, inner: kept } = tape;
    if let Some(back) = back_on_host(kind, &x, &y) {
        return back;
    }
    let inner = kept.unwrap_or_else(|| inner(kind, &x));
    match kind {
        Activation::Swiglu => {
            let (gate, up) = halves(&x);
            let open = inner.clone() * gate.clone();
            // The slope of g·σ(g) is σ + gσ(1 − σ).
            let slope = inner.clone() + open.clone() * inner.neg().add_scalar(1.0);
            Tensor::cat(vec![y.clone() * up * slope, y * open], 1)
        }
        Activation::Geglu => {
            let (gate, up) = halves(&x);
            let slope = gelu_slope(gate.clone(), inner.clone());
            Tensor::cat(vec![y.clone() * up * slope, y * inner * gate], 1)
        }
        Activation::Gelu => y * gelu_slope(x, inner),
        Activation::Relu => y * inner.sign(),
        Activation::ReluSquared => y * inner.mul_scalar(2.0),
    }
}

/// [`activate`] in one pass, on the CPU.
fn on_host(kind: Activation, x: &Tensor<2>) -> Option<Tensor<2>> {
    let ([rows, width], numbers) = (x.dims(), Host::of(x)?);
    let hidden = if kind.gated() { width / 2 } else { width };
    let mut y = vec![0.0; rows * hidden];
    match kind {
        Activation::Swiglu => kernels::swiglu(numbers.numbers(), &mut y, hidden),
        Activation::Geglu => kernels::geglu(numbers.numbers(), &mut y, hidden),
        Activation::Gelu => kernels::gelu(numbers.numbers(), &mut y),
        Activation::Relu => kernels::relu(numbers.numbers(), &mut y),
        Activation::ReluSquared => kernels::relu_squared(numbers.numbers(), &mut y),
    }
    Some(tensor(y, [rows, hidden], x))
}

/// [`activate_back`] in one pass, on the CPU.
fn back_on_host(kind: Activation, x: &Tensor<2>, y: &Tensor<2>) -> Option<Tensor<2>> {
    let (numbers, up) = (Host::of(x)?, Host::of(y)?);
    let (numbers, up, hidden) = (numbers.numbers(), up.numbers(), y.dims()[1]);
    let mut back = vec![0.0; numbers.len()];
    match kind {
        Activation::Swiglu => kernels::swiglu_back(numbers, up, &mut back, hidden),
        Activation::Geglu => kernels::geglu_back(numbers, up, &mut back, hidden),
        Activation::Gelu => kernels::gelu_back(numbers, up, &mut back),
        Activation::Relu => kernels::relu_back(numbers, up, &mut back),
        Activation::ReluSquared => kernels::relu_squared_back(numbers, up, &mut back),
    }
    Some(tensor(back, x.dims(), x))
}

fn halves(x: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let hidden = x.dims()[1] / 2;
    (x.clone().narrow(1, 0, hidden), x.clone().narrow(1, hidden, hidden))
}
