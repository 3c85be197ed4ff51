//! The non-linear part of a feed-forward layer.

use crate::lanes::{sigmoid, vectorised};
use crate::{SMALL, rows};
use rayon::prelude::*;

/// The slope of GELU's inner function at zero: `2·√(2/π)`.
const SLOPE: f32 = 1.595_769_2;
const CUBIC: f32 = 0.044_715;

/// SwiGLU (Shazeer 2020) of `x` `[rows, 2·hidden]`, the gate first, to `y` `[rows, hidden]`.
pub fn swiglu(x: &[f32], y: &mut [f32], hidden: usize) {
    rows(y, hidden, |row, y| {
        let (gate, up) = x[row * 2 * hidden..(row + 1) * 2 * hidden].split_at(hidden);
        swiglu_row(gate, up, y);
    });
}

vectorised! {
    fn swiglu_row(gate: &[f32], up: &[f32], y: &mut [f32]) {
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            *y = sigmoid(*gate) * *gate * *up;
        }
    }
}

/// The gradient of SwiGLU's input `x`, to `back` `[rows, 2·hidden]`, given that of its output, `y`.
pub fn swiglu_back(x: &[f32], y: &[f32], back: &mut [f32], hidden: usize) {
    rows(back, 2 * hidden, |row, back| {
        let (gate, up) = x[row * 2 * hidden..(row + 1) * 2 * hidden].split_at(hidden);
        let (gate_back, up_back) = back.split_at_mut(hidden);
        swiglu_back_row(gate, up, &y[row * hidden..(row + 1) * hidden], gate_back, up_back);
    });
}

vectorised! {
    fn swiglu_back_row(gate: &[f32], up: &[f32], y: &[f32], gate_back: &mut [f32], up_back: &mut [f32]) {
        let inputs = gate.iter().zip(up).zip(y);
        for (((gate, up), y), (gate_back, up_back)) in inputs.zip(gate_back.iter_mut().zip(up_back)) {
            let open = sigmoid(*gate);
            let through = open * *gate;
            // The slope of g·σ(g) is σ + gσ(1 − σ).
            *gate_back = *y * *up * (open + through * (1.0 - open));
            *up_back = *y * through;
        }
    }
}

/// GeGLU (Shazeer 2020) of `x` `[rows, 2·hidden]`, the gate first, to `y` `[rows, hidden]`: GELU as [`gelu`] has it.
pub fn geglu(x: &[f32], y: &mut [f32], hidden: usize) {
    rows(y, hidden, |row, y| {
        let (gate, up) = x[row * 2 * hidden..(row + 1) * 2 * hidden].split_at(hidden);
        geglu_row(gate, up, y);
    });
}

vectorised! {
    fn geglu_row(gate: &[f32], up: &[f32], y: &mut [f32]) {
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            *y = sigmoid((*gate * *gate * (CUBIC * SLOPE) + SLOPE) * *gate) * *gate * *up;
        }
    }
}

/// The gradient of GeGLU's input `x`, to `back` `[rows, 2·hidden]`, given that of its output, `y`.
pub fn geglu_back(x: &[f32], y: &[f32], back: &mut [f32], hidden: usize) {
    rows(back, 2 * hidden, |row, back| {
        let (gate, up) = x[row * 2 * hidden..(row + 1) * 2 * hidden].split_at(hidden);
        let (gate_back, up_back) = back.split_at_mut(hidden);
        geglu_back_row(gate, up, &y[row * hidden..(row + 1) * hidden], gate_back, up_back);
    });
}

vectorised! {
    fn geglu_back_row(gate: &[f32], up: &[f32], y: &[f32], gate_back: &mut [f32], up_back: &mut [f32]) {
        let inputs = gate.iter().zip(up).zip(y);
        for (((gate, up), y), (gate_back, up_back)) in inputs.zip(gate_back.iter_mut().zip(up_back)) {
            let open = sigmoid((*gate * *gate * (CUBIC * SLOPE) + SLOPE) * *gate);
            let rise = *gate * *gate * (3.0 * CUBIC * SLOPE) + SLOPE;
            *gate_back = *y * *up * (open + *gate * open * (1.0 - open) * rise);
            *up_back = *y * open * *gate;
        }
    }
}

/// GELU in the tanh approximation of Hendrycks & Gimpel (2016), written with the sigmoid: `½(1 + tanh z) = σ(2z)`.
pub fn gelu(x: &[f32], y: &mut [f32]) {
    each(x, None, y, gelu_part);
}

/// The gradient of GELU's input `x`, to `back`, given that of its output, `y`.
pub fn gelu_back(x: &[f32], y: &[f32], back: &mut [f32]) {
    each(x, Some(y), back, gelu_back_part);
}

/// `max(x, 0)`.
pub fn relu(x: &[f32], y: &mut [f32]) {
    each(x, None, y, relu_part);
}

/// The gradient of ReLU's input `x`, to `back`, given that of its output, `y`.
pub fn relu_back(x: &[f32], y: &[f32], back: &mut [f32]) {
    each(x, Some(y), back, relu_back_part);
}

/// The square of `max(x, 0)` (So et al. 2021).
pub fn relu_squared(x: &[f32], y: &mut [f32]) {
    each(x, None, y, relu_squared_part);
}

/// The gradient of the squared ReLU's input `x`, to `back`, given that of its output, `y`.
pub fn relu_squared_back(x: &[f32], y: &[f32], back: &mut [f32]) {
    each(x, Some(y), back, relu_squared_back_part);
}

fn each(x: &[f32], y: Option<&[f32]>, out: &mut [f32], part: fn(&[f32], &[f32], &mut [f32])) {
    let y = y.unwrap_or(x);
    if out.len() < SMALL {
        return part(x, y, out);
    }
    let parts = out.par_chunks_mut(SMALL / 2).zip(x.par_chunks(SMALL / 2)).zip(y.par_chunks(SMALL / 2));
    parts.for_each(|((out, x), y)| part(x, y, out));
}

vectorised! {
    fn gelu_part(x: &[f32], _y: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = *x * sigmoid((*x * *x * (CUBIC * SLOPE) + SLOPE) * *x);
        }
    }
}

vectorised! {
    fn gelu_back_part(x: &[f32], y: &[f32], out: &mut [f32]) {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            let open = sigmoid((*x * *x * (CUBIC * SLOPE) + SLOPE) * *x);
            let rise = *x * *x * (3.0 * CUBIC * SLOPE) + SLOPE;
            *out = *y * (open + *x * open * (1.0 - open) * rise);
        }
    }
}

vectorised! {
    fn relu_part(x: &[f32], _y: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = if *x > 0.0 { *x } else { 0.0 };
        }
    }
}

vectorised! {
    fn relu_back_part(x: &[f32], y: &[f32], out: &mut [f32]) {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = if *x > 0.0 { *y } else { 0.0 };
        }
    }
}

vectorised! {
    fn relu_squared_part(x: &[f32], _y: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = if *x > 0.0 { *x * *x } else { 0.0 };
        }
    }
}

vectorised! {
    fn relu_squared_back_part(x: &[f32], y: &[f32], out: &mut [f32]) {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = if *x > 0.0 { 2.0 * *x * *y } else { 0.0 };
        }
    }
}
