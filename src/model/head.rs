//! The output layer and the cross-entropy over it, a block of rows at a time.
//!
//! Logits are `rows × vocabulary` numbers, by far the largest thing in a training step. Here they exist for one block of
//! rows only: loss and gradient of a block are computed together, by hand, and the block is dropped.

use super::host::{change, product, product_in, tensor};
use super::precision::operand;
use crate::device::Format;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use emberlab_kernels as kernels;

/// Numbers of logits held at once.
const BLOCK: usize = 1 << 23;

/// What the output layer gives back.
pub(crate) struct HeadGradient {
    /// The weighted sum of the losses, `[1, 1]`.
    pub loss: Tensor<2>,
    /// The same of the squared logarithms of the normalisers, times their coefficient, `[1, 1]`.
    pub penalty: Tensor<2>,
    /// Gradient of the loss by the hidden states, `[rows, width]`.
    pub hidden: Tensor<2>,
    /// Gradient of the loss by the output matrix, `[vocab, width]`, where it was asked for.
    pub weight: Option<Tensor<2>>,
}

/// What is done with logits besides the softmax.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Squeeze {
    /// See [`capped`].
    pub cap: Option<f64>,
    /// What the squared logarithm of the softmax's normaliser counts (PaLM, Chowdhery et al. 2022).
    pub z_loss: f64,
}

/// What the products of the output layer take, and how large their gradients are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scaled<'a> {
    /// Nothing: f32.
    pub format: Option<Format>,
    /// What gradients, and not losses, are multiplied with, `[1, 1]`: small ones would vanish in f16.
    pub scale: Option<&'a Tensor<2>>,
}

/// Logits squeezed to within plus and minus `cap` (Gemma 2): `cap · tanh(logits / cap)`.
pub(crate) fn capped(logits: Tensor<2>, cap: Option<f64>) -> Tensor<2> {
    match cap {
        Some(cap) => logits.div_scalar(cap).tanh().mul_scalar(cap),
        None => logits,
    }
}

/// Cross-entropy of `hidden` `[rows, width]` times `weight` `[vocab, width]` transposed against `targets` (row-major, one a
/// row), each row counting `weights` times, with its `squeeze`; and the gradients, `scaled`, that of the matrix only if it is
/// `trained`. All tensors are without autodiff.
pub(crate) fn head_gradient(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    squeeze: Squeeze,
    (targets, weights): (&[i32], &[f32]),
    trained: bool,
    scaled: Scaled<'_>,
) -> HeadGradient {
    let (Squeeze { cap, z_loss: z }, Scaled { format, scale }) = (squeeze, scaled);
    let (hidden, weight) = (operand(format, hidden), operand(format, weight));
    let [rows, _] = hidden.dims();
    let device = hidden.device();
    let (mut losses, mut penalties) = (Vec::new(), Vec::new());
    let mut hiddens = Vec::new();
    let mut sum: Option<Tensor<2>> = None;
    for (start, len) in blocks(rows, weight.dims()[0]) {
        let h = narrow(&hidden, start, len, rows);
        let (targets, weights) = (&targets[start..start + len], &weights[start..start + len]);
        let mut logits = capped(product_in(format, &h, false, &weight, true), cap);
        // The slope of the cap is 1 − tanh².
        let slope = cap.map(|cap| logits.clone().div_scalar(cap).square().neg().add_scalar(1.0));
        let vocab = weight.dims()[0];
        match change(&mut logits, |logits| kernels::cross_entropy(logits, vocab, targets, weights, z as f32)) {
            Some((loss, penalty)) => {
                losses.push(tensor(loss, [len, 1], &logits).sum_dim(0));
                penalties.push(tensor(penalty, [len, 1], &logits).sum_dim(0));
            }
            None => {
                let target = column_int(targets, &device);
                let w = column(weights, &device);
                let (peak, shifted, exps, total) = exponentials(logits);
                let picked = shifted.gather(1, target.clone());
                losses.push(((total.clone().log() - picked) * w.clone()).sum_dim(0));
                let normaliser = peak + total.clone().log();
                penalties.push((normaliser.clone() * normaliser.clone() * w.clone()).sum_dim(0).mul_scalar(z));
                let factor = w.clone() / total * normaliser.mul_scalar(2.0 * z).add_scalar(1.0);
                logits = (exps * factor).scatter(1, target, w.neg(), IndexingUpdateOp::Add);
            }
        }
        if let Some(slope) = slope {
            logits = logits * slope;
        }
        if let Some(scale) = scale {
            logits = logits * scale.clone();
        }
        let logits = operand(format, logits);
        if trained {
            let step = product_in(format, &logits, true, &h, false);
            sum = Some(match sum {
                Some(sum) => sum + step,
                None => step,
            });
        }
        hiddens.push(product_in(format, &logits, false, &weight, false));
    }
    HeadGradient {
        loss: Tensor::cat(losses, 0).sum_dim(0),
        penalty: Tensor::cat(penalties, 0).sum_dim(0),
        hidden: join(hiddens),
        weight: sum,
    }
}

/// Log-probabilities of `targets`, one a row of `hidden` `[rows, width]`: `[rows, 1]`.
pub(crate) fn head_logprobs(hidden: Tensor<2>, weight: Tensor<2>, cap: Option<f64>, targets: &[i32]) -> Tensor<2> {
    let [rows, _] = hidden.dims();
    let device = hidden.device();
    let parts = blocks(rows, weight.dims()[0]).into_iter().map(|(start, len)| {
        let h = narrow(&hidden, start, len, rows);
        let (_, shifted, _, total) = exponentials(capped(product(&h, false, &weight, true), cap));
        shifted.gather(1, column_int(&targets[start..start + len], &device)) - total.log()
    });
    join(parts.collect())
}

/// A row's largest logit, the logits less that, the exponentials of these, and their row's sum.
fn exponentials(logits: Tensor<2>) -> (Tensor<2>, Tensor<2>, Tensor<2>, Tensor<2>) {
    let peak = logits.clone().max_dim(1);
    let shifted = logits - peak.clone();
    let exps = shifted.clone().exp();
    let total = exps.clone().sum_dim(1);
    (peak, shifted, exps, total)
}

/// Equal blocks of rows, as few as hold [`BLOCK`] logits each, so that kernels see at most two shapes.
fn blocks(rows: usize, vocab: usize) -> Vec<(usize, usize)> {
    let most = (BLOCK / vocab.max(1)).max(1);
    let count = rows.div_ceil(most).max(1);
    let len = rows.div_ceil(count);
    (0..count).map(|i| (i * len, len.min(rows.saturating_sub(i * len)))).filter(|(_, len)| *len > 0).collect()
}

fn narrow(x: &Tensor<2>, start: usize, len: usize, rows: usize) -> Tensor<2> {
    if len == rows { x.clone() } else { x.clone().narrow(0, start, len) }
}

fn join(mut parts: Vec<Tensor<2>>) -> Tensor<2> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 0),
    }
}

fn column(numbers: &[f32], device: &burn::tensor::Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), [numbers.len(), 1]), device)
}

fn column_int(numbers: &[i32], device: &burn::tensor::Device) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), [numbers.len(), 1]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn blocks_cover_every_row_once() {
        for (rows, vocab) in [(1, 1), (2048, 1024), (2048, 50_257), (7, 1 << 24), (1000, 9_000)] {
            let blocks = blocks(rows, vocab);
            assert_eq!(blocks.iter().map(|(_, len)| len).sum::<usize>(), rows);
            assert!(blocks.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0));
        }
    }

    #[test]
    fn the_gradient_by_hand_is_the_one_of_autodiff() {
        let device = crate::device::choose(Some("cpu")).unwrap().device;
        let draw = |rows: usize, cols: usize, purpose: &str| {
            let mut draws = Stream::new(3, purpose).at(0);
            let numbers: Vec<f32> = (0..rows * cols).map(|_| draws.normal() as f32).collect();
            Tensor::<2>::from_data(TensorData::new(numbers, [rows, cols]), &device)
        };
        let (hidden, weight) = (draw(5, 8, "hidden"), draw(11, 8, "weight"));
        let (targets, weights) = ([3, 0, 10, 7, 7], [0.25, 0.0, 0.5, 0.125, 0.125]);
        for (cap, z) in [(None, 0.0), (None, 0.3), (Some(2.0), 0.0), (Some(2.0), 0.3)] {
            let squeeze = Squeeze { cap, z_loss: z };
            let by_hand =
                head_gradient(hidden.clone(), weight.clone(), squeeze, (&targets, &weights), true, Scaled::default());
            let (h, w) = (hidden.clone().autodiff().require_grad(), weight.clone().autodiff().require_grad());
            let logits = capped(h.clone().matmul(w.clone().transpose()), cap);
            let normaliser = logits.clone().exp().sum_dim(1).log();
            let logs = burn::tensor::activation::log_softmax(logits, 1);
            let target = column_int(&targets, &device);
            let loss = (logs.gather(1, target).neg() * column(&weights, &device)).sum();
            let penalty = (normaliser.clone() * normaliser * column(&weights, &device)).sum().mul_scalar(z);
            let grads = (loss.clone() + penalty.clone()).backward();
            let close = |a: Tensor<2>, b: Tensor<2>| assert!(a.all_close(b, Some(1e-5), Some(1e-6)));
            close(by_hand.loss, loss.inner().reshape([1, 1]));
            close(by_hand.penalty, penalty.inner().reshape([1, 1]));
            close(by_hand.hidden, h.grad(&grads).unwrap());
            close(by_hand.weight.unwrap(), w.grad(&grads).unwrap());
        }
    }
}
