//! Root-mean-square norm of queries and keys (Henry et al. 2020), forward and back.

use super::architecture::Architecture;
use super::host::{Host, change, tensor};
use super::norm::{NormTape, norm, norm_back};
use crate::plan::spec::{Norm, QkNorm};
use burn::tensor::Tensor;
use emberlab_kernels as kernels;

/// What going back needs.
#[derive(Clone, Debug)]
pub(super) enum QkNormTape {
    Kernel {
        /// Queries, keys and values as they were.
        qkv: Box<Tensor<2>>,
        scale: Vec<f32>,
    },
    Composed(Box<[NormTape; 2]>),
}

/// Where queries and keys lie in a row: first column, stretches normalised apart, and the size of one.
fn places(a: &Architecture) -> [(usize, usize, usize); 2] {
    let (query, key) = (a.query_width(), a.kv_width());
    match a.qk_norm {
        QkNorm::Head => [(0, a.heads, a.head_dim), (query, a.kv_heads, a.head_dim)],
        QkNorm::Absent | QkNorm::Width => [(0, 1, query), (query, 1, key)],
    }
}

/// `qkv` `[rows, width]` with its queries and keys normalised, times `gains` `[1, size]`.
pub(super) fn qk_norm(a: &Architecture, qkv: Tensor<2>, gains: [Tensor<2>; 2]) -> (Tensor<2>, QkNormTape) {
    match on_host(a, &qkv, &gains) {
        Some((y, scale)) => (y, QkNormTape::Kernel { qkv: Box::new(qkv), scale }),
        None => {
            let [rows, width] = qkv.dims();
            let [(first, first_tape), (second, second_tape)] = [0, 1].map(|part| {
                let (at, count, size) = places(a)[part];
                let x = qkv.clone().narrow(1, at, count * size).reshape([rows * count, size]);
                let (y, tape) = norm(Norm::Rms, x, gains[part].clone(), None, a.norm_epsilon);
                (y.reshape([rows, count * size]), tape)
            });
            let values = a.query_width() + a.kv_width();
            let value = qkv.narrow(1, values, width - values);
            (Tensor::cat(vec![first, second, value], 1), QkNormTape::Composed(Box::new([first_tape, second_tape])))
        }
    }
}

/// The gradients of `qkv` and of the gains, given that of the output, `y`.
pub(super) fn qk_norm_back(
    a: &Architecture,
    tape: QkNormTape,
    mut y: Tensor<2>,
    gains: [Tensor<2>; 2],
) -> (Tensor<2>, [Tensor<2>; 2]) {
    let [rows, width] = y.dims();
    let tapes = match tape {
        QkNormTape::Composed(tapes) => *tapes,
        QkNormTape::Kernel { qkv, scale } => {
            if let Some(gains) = back_on_host(a, &qkv, &scale, &mut y, &gains) {
                return (y, gains);
            }
            // A tensor does not leave the CPU on its own; if one did, the parts could be had again.
            [0, 1].map(|part| {
                let (at, count, size) = places(a)[part];
                let x = qkv.clone().narrow(1, at, count * size).reshape([rows * count, size]);
                norm(Norm::Rms, x, gains[part].clone(), None, a.norm_epsilon).1
            })
        }
    };
    let [first, second] = tapes;
    let back = |part: usize, tape: NormTape| {
        let (at, count, size) = places(a)[part];
        let up = y.clone().narrow(1, at, count * size).reshape([rows * count, size]);
        let gradient = norm_back(Norm::Rms, tape, up, gains[part].clone(), false);
        (gradient.x.reshape([rows, count * size]), gradient.gain)
    };
    let ((query, query_gain), (key, key_gain)) = (back(0, first), back(1, second));
    let values = a.query_width() + a.kv_width();
    let value = y.narrow(1, values, width - values);
    (Tensor::cat(vec![query, key, value], 1), [query_gain, key_gain])
}

fn groups<'a>(a: &Architecture, gains: &'a [Host; 2]) -> [kernels::Group<'a>; 2] {
    [0, 1].map(|part| {
        let (at, count, _) = places(a)[part];
        kernels::Group { at, count, gain: gains[part].numbers() }
    })
}

/// [`qk_norm`] in one pass, on the CPU.
fn on_host(a: &Architecture, qkv: &Tensor<2>, gains: &[Tensor<2>; 2]) -> Option<(Tensor<2>, Vec<f32>)> {
    let ([rows, width], numbers) = (qkv.dims(), Host::of(qkv)?);
    let gains = [Host::of(&gains[0])?, Host::of(&gains[1])?];
    let groups = groups(a, &gains);
    let (mut y, mut scale) = (vec![0.0; rows * width], vec![0.0; rows * (groups[0].count + groups[1].count)]);
    kernels::norm_groups(numbers.numbers(), width, &groups, a.norm_epsilon as f32, &mut y, &mut scale);
    Some((tensor(y, [rows, width], qkv), scale))
}

/// [`qk_norm_back`] in one pass, on the CPU: `y` becomes the gradient of `qkv`.
fn back_on_host(
    a: &Architecture,
    qkv: &Tensor<2>,
    scale: &[f32],
    y: &mut Tensor<2>,
    gains: &[Tensor<2>; 2],
) -> Option<[Tensor<2>; 2]> {
    let (numbers, hosts) = (Host::of(qkv)?, [Host::of(&gains[0])?, Host::of(&gains[1])?]);
    let groups = groups(a, &hosts);
    let width = qkv.dims()[1];
    let mut first = change(y, |y| kernels::norm_groups_back(numbers.numbers(), width, &groups, scale, y))?;
    let second = first.split_off(groups[0].gain.len());
    let of = |numbers: Vec<f32>| {
        let len = numbers.len();
        tensor(numbers, [1, len], qkv)
    };
    Some([of(first), of(second)])
}
