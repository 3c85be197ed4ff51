//! Value embeddings, forward and back: a table of tokens whose rows are added to the values of a block.
//!
//! As in nanochat (github.com/karpathy/nanochat, `nanochat/gpt.py`; the idea is that of modded-nanogpt and of the value
//! residuals of Zhou et al. 2024): every key/value head has a gate between 0 and 2, of a few numbers of the attention's input.

use super::architecture::Architecture;
use burn::tensor::{Int, Tensor, activation};

/// What going back needs, besides the attention's input.
pub(super) struct ValuesTape {
    /// Rows of the table, `[rows, kv_heads, head_dim]`.
    values: Tensor<3>,
    /// Half of the gates, `[rows, kv_heads]`.
    open: Tensor<2>,
}

/// The gradients of the table's rows, one a token, `[rows, kv_heads · head_dim]`, of the gate's matrix, and of what gates see.
pub(super) struct ValuesGradient {
    pub values: Tensor<2>,
    pub gate: Tensor<2>,
    pub seen: Tensor<2>,
}

/// `qkv` `[rows, …]` with what `table` has for `ids` added to its values; `seen` `[rows, channels]` are the first numbers of the
/// attention's input, which the gates see.
pub(super) fn add_values(
    a: &Architecture,
    qkv: Tensor<2>,
    seen: Tensor<2>,
    ids: Tensor<1, Int>,
    table: Tensor<2>,
    gate: Tensor<2>,
) -> (Tensor<2>, ValuesTape) {
    let ([rows, width], kv) = (qkv.dims(), a.kv_width());
    let values = table.select(0, ids).reshape([rows, a.kv_heads, a.head_dim]);
    let open = activation::sigmoid(seen.matmul(gate.transpose()));
    let gates = open.clone().mul_scalar(2.0).reshape([rows, a.kv_heads, 1]);
    let added = (values.clone() * gates).reshape([rows, kv]);
    let before = qkv.clone().narrow(1, 0, width - kv);
    let qkv = Tensor::cat(vec![before, qkv.narrow(1, width - kv, kv) + added], 1);
    (qkv, ValuesTape { values, open })
}

/// The gradients, given that of `qkv`, which is its own before and after.
pub(super) fn add_values_back(
    a: &Architecture,
    tape: ValuesTape,
    qkv: &Tensor<2>,
    seen: Tensor<2>,
    gate: Tensor<2>,
) -> ValuesGradient {
    let ValuesTape { values, open } = tape;
    let ([rows, width], kv) = (qkv.dims(), a.kv_width());
    let y = qkv.clone().narrow(1, width - kv, kv).reshape([rows, a.kv_heads, a.head_dim]);
    let along = (y.clone() * values).sum_dim(2).reshape([rows, a.kv_heads]);
    let logits = along * open.clone() * open.clone().neg().add_scalar(1.0).mul_scalar(2.0);
    let gates = open.mul_scalar(2.0).reshape([rows, a.kv_heads, 1]);
    ValuesGradient {
        values: (y * gates).reshape([rows, kv]),
        gate: logits.clone().transpose().matmul(seen),
        seen: logits.matmul(gate),
    }
}
