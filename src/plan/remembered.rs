//! What an optimiser remembers.

use super::parameters::{Parameters, size};
use super::spec::{Decoder, Optimizer, Soap};

/// Matrices of one size: how many, their rows and their columns.
pub(super) type Matrices = [u64; 3];

/// Numbers of matrices that SOAP decomposes side by side, unless one has more.
pub const DECOMPOSED_AT_ONCE: u64 = 1 << 22;

/// Numbers that an optimiser keeps from step to step, at most.
pub(super) fn remembered(model: &Decoder, parts: &Parameters, optimizer: &Optimizer) -> u64 {
    let total = parts.total();
    match optimizer {
        Optimizer::Adamw(_) => total.saturating_mul(2),
        Optimizer::Sgd(spec) if spec.momentum == 0.0 => 0,
        Optimizer::Sgd(_) | Optimizer::Lion(_) => total,
        // Momentum of the matrices inside the blocks; two moments of all else.
        Optimizer::Muon(_) => {
            total.saturating_mul(2).saturating_sub((parts.blocks() + parts.value_gates).saturating_sub(biases(model)))
        }
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
        Optimizer::Soap(soap) => total.saturating_mul(2).saturating_add(bases(soap, &matrices(model, parts))),
    }
}

/// Every matrix of a network.
pub(super) fn matrices(model: &Decoder, parts: &Parameters) -> Vec<Matrices> {
    let [width, hidden] = [model.width, model.hidden].map(size);
    let [queries, keys] = [model.heads, model.kv_heads].map(|heads| size(heads).saturating_mul(size(model.head_dim)));
    let vocab = parts.embedding / width.max(1);
    let into = if model.activation.gated() { 2 } else { 1 };
    let (layers, dense) = (parts.layers, parts.layers - parts.mixed());
    let mut found = vec![
        [1, vocab, width],
        [u64::from(parts.positions > 0), parts.positions / width.max(1), width],
        [u64::from(parts.output > 0), vocab, width],
        [layers, queries, width],
        [2 * layers, keys, width],
        [layers, width, queries],
        [dense * into, hidden, width],
        [dense, width, hidden],
    ];
    if let (Some(mixtures), Some(experts)) = (&parts.mixtures, &model.experts) {
        let hidden = experts.hidden.map_or(hidden, size);
        let all = mixtures.blocks.saturating_mul(mixtures.count);
        found.push([mixtures.blocks, mixtures.count, width]);
        found.push([all.saturating_mul(into), hidden, width]);
        found.push([all, width, hidden]);
    }
    if let Some(values) = &model.value_embeddings {
        found.push([model.value_tables(), vocab, keys]);
        found.push([model.value_tables(), size(model.kv_heads), size(values.channels)]);
    }
    found
}

/// Whether a side of this length has a preconditioner.
pub fn is_turned(soap: &Soap, length: u64) -> bool {
    length <= size(soap.max_precond_dim)
}

/// Numbers of a side's preconditioner.
fn preconditioner(soap: &Soap, length: u64) -> u64 {
    if is_turned(soap, length) { length.saturating_mul(length) } else { 0 }
}

/// Numbers of all left preconditioners of matrices, and of all right ones.
fn preconditioners(soap: &Soap, matrices: &[Matrices]) -> (u64, u64) {
    matrices.iter().fold((0, 0), |(left, right), [count, rows, columns]| {
        let of = |length: &u64| count.saturating_mul(preconditioner(soap, *length));
        (left.saturating_add(of(rows)), right.saturating_add(of(columns)))
    })
}

/// Numbers that SOAP remembers beside the moments: of each side a preconditioner and its eigenvectors.
pub(super) fn bases(soap: &Soap, matrices: &[Matrices]) -> u64 {
    let (left, right) = preconditioners(soap, matrices);
    left.saturating_add(right).saturating_mul(2)
}

/// Numbers that an update of a segment of so many weights makes beside tensors of its own length; with what is held to
/// undo it, where steps are left out.
pub(super) fn beside(optimizer: &Optimizer, matrices: &[Matrices], segment: u64, skips: bool) -> u64 {
    let Optimizer::Soap(soap) = optimizer else { return 0 };
    let (left, right) = preconditioners(soap, matrices);
    let most = |of: &dyn Fn(&Matrices) -> u64| matrices.iter().filter(|m| m[0] > 0).map(of).max().unwrap_or(0);
    let within = |all: u64, length: usize, other: usize| {
        // As many times the weights of a segment as one side is longer than the other, at most.
        let times =
            most(&|m| if preconditioner(soap, m[length]) > 0 { m[length].div_ceil(m[other].max(1)) } else { 0 });
        all.min(segment.saturating_mul(times))
    };
    let (left_here, right_here) = (within(left, 1, 2), within(right, 2, 1));
    // Products one by one, end to end, and scaled; or bases, end to end.
    let copies = left_here.max(right_here).saturating_mul(3);
    // On the host: what is read, twice as long in f64, its vectors likewise, and what comes out; and room for two.
    let longest = most(&|m| preconditioner(soap, m[1]).max(preconditioner(soap, m[2])));
    let decomposed = left.max(right).min(longest.max(DECOMPOSED_AT_ONCE)).saturating_mul(8);
    let undone = if skips { left_here.saturating_add(right_here).saturating_mul(2) } else { 0 };
    copies.saturating_add(decomposed).saturating_add(undone)
}

/// What SOAP computes beside the network.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Turning {
    /// Operations of every step, in products on the device.
    pub step: f64,
    /// Of every step that follows the eigenvectors, on the host.
    pub follow: f64,
    /// Of the first step, on the host.
    pub first: f64,
}

/// Operations of products with bases and of preconditioners, of QR decompositions, and of eigenvectors.
pub(super) fn turning(soap: &Soap, matrices: &[Matrices]) -> Turning {
    let mut all = Turning { step: 0.0, follow: 0.0, first: 0.0 };
    for [count, rows, columns] in matrices {
        for (length, other) in [(rows, columns), (columns, rows)] {
            if preconditioner(soap, *length) > 0 {
                let (count, n) = (*count as f64, *length as f64);
                all.step += count * 6.0 * n * n * *other as f64;
                all.follow += count * 8.0 / 3.0 * n.powi(3);
                all.first += count * 20.0 * n.powi(3);
            }
        }
    }
    all
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
        Optimizer::Muon(_) | Optimizer::Adafactor(_) | Optimizer::Soap(_) => 8,
    }
}
