//! The non-linear part of the feed-forward layer, forward and back.

use crate::plan::spec::Activation;
use burn::tensor::{Tensor, activation};

/// The slope of GELU's inner function at zero: `2·√(2/π)`.
const SLOPE: f64 = 1.595_769_121_605_730_8;
const CUBIC: f64 = 0.044_715;

/// What going back needs.
#[derive(Clone, Debug)]
pub(super) struct ActivationTape {
    input: Tensor<2>,
    /// The sigmoid of the gate (SwiGLU) or of the inner function (GELU); ReLU's output.
    inner: Tensor<2>,
}

/// `x` `[rows, hidden]`, or `[rows, 2·hidden]` with the gate first for SwiGLU, to `[rows, hidden]`.
///
/// GELU is the tanh approximation of Hendrycks & Gimpel (2016), written with the sigmoid: `½(1 + tanh z) = σ(2z)`.
/// SwiGLU is Shazeer's (2020).
pub(super) fn activate(kind: Activation, x: Tensor<2>) -> (Tensor<2>, ActivationTape) {
    let (y, inner) = match kind {
        Activation::Swiglu => {
            let (gate, up) = halves(&x);
            let sigmoid = activation::sigmoid(gate.clone());
            (sigmoid.clone() * gate * up, sigmoid)
        }
        Activation::Gelu => {
            let inner = (x.clone() * x.clone()).mul_scalar(CUBIC * SLOPE).add_scalar(SLOPE) * x.clone();
            let sigmoid = activation::sigmoid(inner);
            (x.clone() * sigmoid.clone(), sigmoid)
        }
        Activation::Relu => {
            let y = activation::relu(x.clone());
            (y.clone(), y)
        }
    };
    (y, ActivationTape { input: x, inner })
}

/// The gradient of `x`, given that of the output.
pub(super) fn activate_back(kind: Activation, tape: ActivationTape, y: Tensor<2>) -> Tensor<2> {
    let ActivationTape { input: x, inner } = tape;
    match kind {
        Activation::Swiglu => {
            let (gate, up) = halves(&x);
            let open = inner.clone() * gate.clone();
            // The slope of g·σ(g) is σ + gσ(1 − σ).
            let slope = inner.clone() + open.clone() * inner.neg().add_scalar(1.0);
            Tensor::cat(vec![y.clone() * up * slope, y * open], 1)
        }
        Activation::Gelu => {
            let rise = (x.clone() * x.clone()).mul_scalar(3.0 * CUBIC * SLOPE).add_scalar(SLOPE);
            let slope = inner.clone() + x * inner.clone() * inner.neg().add_scalar(1.0) * rise;
            y * slope
        }
        Activation::Relu => y * inner.sign(),
    }
}

fn halves(x: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let hidden = x.dims()[1] / 2;
    (x.clone().narrow(1, 0, hidden), x.clone().narrow(1, hidden, hidden))
}
