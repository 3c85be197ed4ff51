//! Scaled dot-product attention.

use burn::tensor::{Device, Tensor, TensorData};

/// Added to a score that must not count. Its exponential is zero, and unlike an infinity it survives shader compilers
/// that assume there are none.
pub(crate) const MASKED: f32 = -1e9;

/// Attention of `query` `[batch, heads, time, head_dim]` over `key` and `value` `[batch, kv_heads, keys, head_dim]`,
/// with `mask` added to the scores (`[1 or batch, 1, time, keys]`); several query heads share a key/value head when
/// there are fewer of those (Ainslie et al. 2023). `drop` is applied to the weights.
///
/// The weights are normalised after they met the values: dividing `[time, head_dim]` is cheaper than `[time, keys]`.
pub(super) fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask: Tensor<4>,
    drop: impl FnOnce(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let [batch, heads, time, head_dim] = query.dims();
    let [_, kv_heads, keys, _] = key.dims();
    let group = heads / kv_heads;
    let query = query.mul_scalar(1.0 / (head_dim as f64).sqrt());
    // Grouped queries become more rows of the same product, so keys and values are never repeated.
    let query = if group > 1 { query.reshape([batch, kv_heads, group * time, head_dim]) } else { query };
    let scores = query.matmul(key.swap_dims(2, 3)).reshape([batch, heads, time, keys]) + mask;
    let peak = scores.clone().detach().max_dim(3);
    let weights = (scores - peak).exp();
    let total = weights.clone().sum_dim(3);
    let weights = drop(weights).reshape([batch, kv_heads, group * time, keys]);
    weights.matmul(value).reshape([batch, heads, time, head_dim]) / total
}

/// The mask under which position `t` sees positions `0..=t`: `[1, 1, time, time]`.
pub(super) fn causal_mask(time: usize, device: &Device) -> Tensor<4> {
    let mut mask = vec![0.0f32; time * time];
    for (t, row) in mask.chunks_exact_mut(time).enumerate() {
        row[t + 1..].fill(MASKED);
    }
    Tensor::from_data(TensorData::new(mask, [1, 1, time, time]), device)
}
