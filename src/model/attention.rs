//! Scaled dot-product attention, forward and back.

use burn::tensor::{Device, Tensor, TensorData, activation};

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
