//! Root-mean-square norm (Zhang & Sennrich 2019) and layer norm (Ba et al. 2016).

use crate::lanes::{sum, vectorised};
use rayon::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NormKind {
    Rms,
    Layer,
}

/// Rows whose share of the gain's gradient is summed by one thread. Fixed, so that sums do not depend on the threads.
const PART: usize = 256;

/// Normalises the rows of `x` `[rows, width]`: `y` gets them times `gain` plus `bias`, `normal` without either, and `scale`
/// `[rows]` what they were multiplied with.
#[allow(clippy::too_many_arguments, reason = "three results in one pass")]
pub fn norm(
    kind: NormKind,
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
    y: &mut [f32],
    normal: &mut [f32],
    scale: &mut [f32],
) {
    let width = gain.len();
    if width == 0 {
        return;
    }
    let many = (crate::SMALL / 2 / width).max(1);
    let work = |part: usize, y: &mut [f32], normal: &mut [f32], scale: &mut [f32]| {
        let start = part * many * width;
        forward(kind == NormKind::Layer, &x[start..start + y.len()], gain, bias, epsilon, y, normal, scale);
    };
    if x.len() < crate::SMALL {
        work(0, y, normal, scale);
        return;
    }
    let parts = y.par_chunks_mut(many * width).zip(normal.par_chunks_mut(many * width));
    let parts = parts.zip(scale.par_chunks_mut(many)).enumerate();
    parts.for_each(|(part, ((y, normal), scale))| work(part, y, normal, scale));
}

vectorised! {
    fn forward(
        centre: bool,
        x: &[f32],
        gain: &[f32],
        bias: Option<&[f32]>,
        epsilon: f32,
        y: &mut [f32],
        normal: &mut [f32],
        scale: &mut [f32],
    ) {
        let width = gain.len();
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(normal.chunks_exact_mut(width)).zip(scale);
        for (((x, y), normal), scale) in rows {
            let mean = if centre { sum(width, |i| x[i]) / width as f32 } else { 0.0 };
            let variance = sum(width, |i| (x[i] - mean) * (x[i] - mean)) / width as f32;
            let factor = 1.0 / (variance + epsilon).sqrt();
            *scale = factor;
            for i in 0..width {
                normal[i] = (x[i] - mean) * factor;
            }
            match bias {
                Some(bias) => (0..width).for_each(|i| y[i] = normal[i] * gain[i] + bias[i]),
                None => (0..width).for_each(|i| y[i] = normal[i] * gain[i]),
            }
        }
    }
}

/// Given the gradient `y` of a norm's output: `x` gets that of its input, `gain_gradient` and `bias_gradient` `[width]` those
/// of gain and bias.
#[allow(clippy::too_many_arguments, reason = "three results in one pass")]
pub fn norm_back(
    kind: NormKind,
    normal: &[f32],
    scale: &[f32],
    gain: &[f32],
    y: &[f32],
    x: &mut [f32],
    gain_gradient: &mut [f32],
    bias_gradient: Option<&mut [f32]>,
) {
    let width = gain.len();
    if width == 0 {
        return;
    }
    let part = PART * width;
    let biased = bias_gradient.is_some();
    let sums: Vec<Vec<f32>> = x
        .par_chunks_mut(part)
        .enumerate()
        .map(|(number, x)| {
            let start = number * part;
            let rows = start / width..(start + x.len()) / width;
            let mut sums = vec![0.0; if biased { 2 * width } else { width }];
            let centre = kind == NormKind::Layer;
            let (normal, y) = (&normal[start..start + x.len()], &y[start..start + x.len()]);
            backward(centre, normal, &scale[rows], gain, y, x, &mut sums);
            sums
        })
        .collect();
    gain_gradient.fill(0.0);
    sums.iter().for_each(|sums| add(gain_gradient, &sums[..width]));
    if let Some(bias) = bias_gradient {
        bias.fill(0.0);
        sums.iter().for_each(|sums| add(bias, &sums[width..]));
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
}

vectorised! {
    fn backward(
        centre: bool,
        normal: &[f32],
        scale: &[f32],
        gain: &[f32],
        y: &[f32],
        x: &mut [f32],
        sums: &mut [f32],
    ) {
        let width = gain.len();
        let (gains, biases) = sums.split_at_mut(width);
        let rows = x.chunks_exact_mut(width).zip(y.chunks_exact(width)).zip(normal.chunks_exact(width)).zip(scale);
        for (((x, y), normal), scale) in rows {
            let along = sum(width, |i| y[i] * gain[i] * normal[i]) / width as f32;
            let mean = if centre { sum(width, |i| y[i] * gain[i]) / width as f32 } else { 0.0 };
            for i in 0..width {
                x[i] = (y[i] * gain[i] - mean - normal[i] * along) * *scale;
            }
            for i in 0..width {
                gains[i] += y[i] * normal[i];
            }
            if biases.len() == width {
                for i in 0..width {
                    biases[i] += y[i];
                }
            }
        }
    }
}
