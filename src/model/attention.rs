//! Scaled dot-product attention, forward and back.

use super::decoder::Input;
use super::host::{Host, change, tensor};
use burn::tensor::{Device, Tensor, TensorData, activation};
use emberlab_kernels as kernels;

/// Added to a score that must not count. Its exponential is zero, and unlike an infinity it survives shader compilers
/// that assume there are none.
pub(crate) const MASKED: f32 = -1e9;

/// What going back through attention needs. Queries are scaled, and grouped as described at [`attention`].
#[derive(Clone, Debug)]
pub(super) struct AttentionTape {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    /// `[batch, heads, time, keys]`, before dropout.
    weights: Tensor<4>,
    drop: Option<Tensor<4>>,
    output: Tensor<4>,
}

/// Attention of `query` `[batch, heads, time, head_dim]` over `key` and `value` `[batch, kv_heads, keys, head_dim]`,
/// with `mask` added to the scores (`[1 or batch, 1, time, keys]`) and the weights multiplied with `drop`, the mask of a
/// dropout.
///
/// Several query heads share a key/value head when there are fewer of those (Ainslie et al. 2023): their queries become
/// more rows of one product, so keys and values are never repeated.
pub(super) fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask: Tensor<4>,
    drop: impl FnOnce([usize; 4]) -> Option<Tensor<4>>,
) -> (Tensor<4>, AttentionTape) {
    let [batch, heads, time, head_dim] = query.dims();
    let [_, kv_heads, keys, _] = key.dims();
    let rows = heads / kv_heads * time;
    let query = query.mul_scalar(scale(head_dim)).reshape([batch, kv_heads, rows, head_dim]);
    let scores = query.clone().matmul(key.clone().swap_dims(2, 3)).reshape([batch, heads, time, keys]) + mask;
    let weights = activation::softmax(scores, 3);
    let drop = drop([batch, heads, time, keys]);
    let dropped = dropped(&weights, &drop).reshape([batch, kv_heads, rows, keys]);
    let output = dropped.matmul(value.clone()).reshape([batch, heads, time, head_dim]);
    (output.clone(), AttentionTape { query, key, value, weights, drop, output })
}

/// The gradients of `query`, `key` and `value`, given that of the output.
///
/// The softmax needs the sum over keys of weight times gradient; it equals the sum over `head_dim` of output times
/// gradient (Dao et al. 2022), which is a much smaller product.
pub(super) fn attention_back(tape: AttentionTape, output: Tensor<4>) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let AttentionTape { query, key, value, weights, drop, output: y } = tape;
    let [batch, heads, time, keys] = weights.dims();
    let [_, kv_heads, rows, head_dim] = query.dims();
    let along = (output.clone() * y).sum_dim(3);
    let output = output.reshape([batch, kv_heads, rows, head_dim]);
    let shared = dropped(&weights, &drop).reshape([batch, kv_heads, rows, keys]);
    let value_gradient = shared.swap_dims(2, 3).matmul(output.clone());
    let through = output.matmul(value.swap_dims(2, 3)).reshape([batch, heads, time, keys]);
    let through = match drop {
        Some(drop) => through * drop,
        None => through,
    };
    let scores = ((through - along) * weights).reshape([batch, kv_heads, rows, keys]);
    let key_gradient = scores.clone().swap_dims(2, 3).matmul(query);
    let query = scores.matmul(key).mul_scalar(scale(head_dim)).reshape([batch, heads, time, head_dim]);
    (query, key_gradient, value_gradient)
}

/// What going back needs where a kernel went forward: queries, keys and values as [`kernels::Heads`] lays them, turned.
#[derive(Clone, Debug)]
pub(super) struct KernelTape {
    sizes: kernels::Heads,
    qkv: Tensor<2>,
    logs: Vec<f32>,
}

impl KernelTape {
    /// The same as burn's operations would have left it.
    pub fn composed(self, mask: Tensor<4>) -> AttentionTape {
        let kernels::Heads { batch, time, heads, kv_heads, head_dim } = self.sizes;
        let all = self.qkv.reshape([batch, time, heads + 2 * kv_heads, head_dim]).swap_dims(1, 2);
        let part = |from: usize, count: usize| all.clone().narrow(1, from, count);
        let (query, key) = (part(0, heads), part(heads, kv_heads));
        attention(query, key, part(heads + kv_heads, kv_heads), mask, |_| None).1
    }
}

/// The sizes of an attention that the kernel computes: every position over itself and what came before.
pub(super) fn heads(input: &Input, heads: usize, kv_heads: usize, head_dim: usize) -> Option<kernels::Heads> {
    let sizes = kernels::Heads { batch: input.batch, time: input.time, heads, kv_heads, head_dim };
    input.causal.then_some(sizes)
}

/// Rotation and attention in one go, on the CPU, of `qkv` `[batch · time, width]`; where that lies elsewhere, it comes back.
pub(super) fn on_host(
    sizes: kernels::Heads,
    mut qkv: Tensor<2>,
    input: &Input,
) -> Result<(Tensor<2>, KernelTape), Tensor<2>> {
    if !turn(&mut qkv, sizes, input, false) {
        return Err(qkv);
    }
    let Some(numbers) = Host::of(&qkv) else { return Err(qkv) };
    let rows = sizes.batch * sizes.time;
    let (mut out, mut logs) = (vec![0.0; rows * sizes.out_width()], vec![0.0; rows * sizes.heads]);
    kernels::attention(sizes, numbers.numbers(), &mut out, &mut logs);
    let out = tensor(out, [rows, sizes.out_width()], &qkv);
    Ok((out, KernelTape { sizes, qkv, logs }))
}

/// The gradient of `qkv` before its rotation, given the output and its gradient `y`; nothing where those lie elsewhere.
pub(super) fn back_on_host(tape: &KernelTape, output: &Tensor<2>, y: &Tensor<2>, input: &Input) -> Option<Tensor<2>> {
    let (qkv, out, up) = (Host::of(&tape.qkv)?, Host::of(output)?, Host::of(y)?);
    let mut back = vec![0.0; qkv.numbers().len()];
    kernels::attention_back(tape.sizes, qkv.numbers(), out.numbers(), &tape.logs, up.numbers(), &mut back);
    let mut back = tensor(back, tape.qkv.dims(), y);
    turn(&mut back, tape.sizes, input, true).then_some(back)
}

/// Turns queries and keys on the CPU; `false` if they lie elsewhere.
fn turn(qkv: &mut Tensor<2>, sizes: kernels::Heads, input: &Input, back: bool) -> bool {
    let Some(angles) = &input.angles else { return Host::of(qkv).is_some() };
    let Some((cos, sin)) = angles.on_host() else { return false };
    let kernels::Heads { time, head_dim, .. } = sizes;
    let turned = sizes.heads + sizes.kv_heads;
    let (cos, sin) = (cos.numbers(), sin.numbers());
    change(qkv, |x| kernels::turn(x, sizes.width(), turned, head_dim, time, cos, sin, back)).is_some()
}

fn scale(head_dim: usize) -> f64 {
    1.0 / (head_dim as f64).sqrt()
}

fn dropped(weights: &Tensor<4>, drop: &Option<Tensor<4>>) -> Tensor<4> {
    match drop {
        Some(drop) => weights.clone() * drop.clone(),
        None => weights.clone(),
    }
}

/// The mask under which position `t` sees positions `0..=t`: `[1, 1, time, time]`.
pub(super) fn causal_mask(time: usize, device: &Device) -> Tensor<4> {
    let mut mask = vec![0.0f32; time * time];
    for (t, row) in mask.chunks_exact_mut(time).enumerate() {
        row[t + 1..].fill(MASKED);
    }
    Tensor::from_data(TensorData::new(mask, [1, 1, time, time]), device)
}
