//! What an optimiser remembers.

use super::parameters::{Parameters, size};
use super::spec::{Decoder, Optimizer};

/// Numbers that an optimiser keeps from step to step, at most.
pub(super) fn remembered(model: &Decoder, parts: &Parameters, optimizer: &Optimizer) -> u64 {
    let total = parts.total();
    match optimizer {
        Optimizer::Adamw(_) => total.saturating_mul(2),
        Optimizer::Sgd(spec) if spec.momentum == 0.0 => 0,
        Optimizer::Sgd(_) | Optimizer::Lion(_) => total,
        // Momentum of the matrices inside the blocks; two moments of all else.
        Optimizer::Muon(_) => total.saturating_mul(2).saturating_sub(parts.blocks().saturating_sub(biases(model))),
        // A number for each row and each column, of which a matrix has at most twice its numbers over its shorter side;
        // and one for each number of a vector.
        Optimizer::Adafactor(_) => {
            let expert = model.experts.as_ref().and_then(|experts| experts.hidden).unwrap_or(model.hidden);
            let sides =
                [model.width, model.heads * model.head_dim, model.kv_heads * model.head_dim, model.hidden, expert];
            let tables = [parts.embedding / size(model.width).max(1), parts.positions / size(model.width).max(1)];
            let sides = sides.map(size).into_iter().chain(tables.into_iter().filter(|rows| *rows > 0));
            let vectors = parts.norms.saturating_mul(parts.layers).saturating_add(parts.final_norm);
            let factors = total.saturating_mul(2) / sides.min().unwrap_or(1).max(1);
            // Routers have a short side of their own, one number for each expert.
            let routers = parts.mixtures.map_or(0, |mixtures| mixtures.router.saturating_mul(2 * mixtures.blocks));
            factors.saturating_add(routers).saturating_add(vectors).saturating_add(biases(model))
        }
    }
}

/// Numbers of the biases of all linear layers.
fn biases(model: &Decoder) -> u64 {
    let [width, hidden] = [model.width, model.hidden].map(size);
    let heads = size(model.heads).saturating_add(size(model.kv_heads).saturating_mul(2));
    let attention = if model.qkv_bias { heads.saturating_mul(size(model.head_dim)) } else { 0 };
    let into = if model.activation.gated() { 2 } else { 1 };
    let rest = if model.bias { width.saturating_mul(2).saturating_add(hidden.saturating_mul(into)) } else { 0 };
    attention.saturating_add(rest).saturating_mul(size(model.layers))
}

/// Tensors of the size of the largest matrix that an update makes besides those of a segment: where a matrix is taken by
/// itself.
pub(super) fn matrices_at_once(optimizer: &Optimizer) -> u64 {
    match optimizer {
        Optimizer::Adamw(_) | Optimizer::Sgd(_) | Optimizer::Lion(_) => 0,
        Optimizer::Muon(_) | Optimizer::Adafactor(_) => 8,
    }
}
