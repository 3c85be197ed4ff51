//! An upper bound on memory, and the micro-batch that fits.
//!
//! The bound follows this engine: f32 throughout but for what goes into products of 16 bits, attention written out (scores of
//! every pair of positions, of long sequences for some queries at a time), automatic differentiation that keeps the result of
//! every operation of the blocks until the backward pass, logits made and differentiated in pieces, weights and moments in
//! long segments. It counts tensors that the network, read literally, makes; an engine that fuses, frees early or recomputes
//! uses less. Allocators round up and devices hold kernels and pools besides, which is not memory of the model and is not in
//! the bound.

use super::Memory;
use super::parameters::{parameters, size};
use super::remembered::{Matrices, bases, beside as beside_segment, matrices, matrices_at_once, remembered};
use super::spec::{
    Activation, Adapter, Decoder, LoraTarget, Norm, NormPlace, OnSpike, Optimizer, Position, Precision, QkNorm,
};
use std::collections::BTreeSet;

const F32: u64 = 4;

/// Logits that are made at once; a longer micro-batch has its loss computed in pieces.
const LOGITS_AT_ONCE: u64 = 1 << 23;

/// Tensors of the size of those logits alive at once: the logits, shifted, exponentials, weighted exponentials, their
/// difference from the targets, and room for two transposed or intermediate copies.
const LOGIT_COPIES: u64 = 7;

/// Queries of a sequence whose attention scores are held at once, at least, and into how many pieces a sequence is cut at most.
const QUERIES_AT_ONCE: usize = 256;
const PIECES: usize = 8;

/// Tensors of the size of those scores alive at once, where they are made piece by piece: on the way back the weights, what a
/// dropout leaves of them, the gradients of both, their difference and its product, and two while the softmax is taken.
const SCORE_COPIES: u64 = 8;

/// Tensors of the size of a mask alive at once: two of them, of blocks with a window and without, and what one is made from.
pub(super) const MASK_COPIES: u64 = 7;

/// Bytes that a token of the step's rows takes on the host: input, target, whether it counts, where its document begins; twice,
/// while samples are put together into rows.
const TOKEN: u64 = 26;

/// Bytes that a row takes besides: which one it is.
const ROW: u64 = 16;

/// Weights that the optimiser updates at once, unless one matrix has more.
const UPDATED_AT_ONCE: u64 = 1 << 26;

/// Tensors of that size which an update makes before the old values go.
const UPDATE_COPIES: u64 = 5;

/// What of a stage's settings the memory follows from, besides sizes.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    pub optimizer: &'a Optimizer,
    /// Whether an average of the weights is kept.
    pub averages: bool,
    /// Whether steps may be left out.
    pub skips: bool,
    /// Whether blocks are computed again on the way back.
    pub recompute: bool,
    /// Whether matrix products take numbers of 16 bits.
    pub half: bool,
    /// What is trained in the place of the network's own weights.
    pub adapter: Option<&'a Adapter>,
}

impl<'a> From<&'a super::spec::Training> for Training<'a> {
    fn from(stage: &'a super::spec::Training) -> Training<'a> {
        // A scaled loss that overflows leaves its step out as well.
        let skips = stage.on_spike.as_ref().is_some_and(|spike| spike.action == OnSpike::Skip)
            || stage.products() == Precision::MixedF16;
        Training {
            optimizer: &stage.optimizer,
            averages: stage.ema.is_some(),
            skips,
            recompute: stage.recompute,
            half: stage.products() != Precision::F32,
            adapter: stage.adapter.as_ref(),
        }
    }
}

/// Bytes to train `model` with `vocab` embeddings on micro-batches of `micro_batch` sequences of `sequence` tokens;
/// a step has `sequences` in all.
pub fn memory(
    model: &Decoder,
    vocab: u64,
    sequence: u64,
    micro_batch: u64,
    sequences: u64,
    training: &Training<'_>,
) -> Memory {
    let optimizer = training.optimizer;
    let accumulated = micro_batch < sequences;
    let parts = parameters(model, vocab);
    let weights = parts.total().saturating_mul(F32);
    let trained = training.adapter.map_or(parts.total(), |adapter| adapters(model, adapter));
    let (moments, all) = match training.adapter {
        None => (remembered(model, &parts, optimizer), matrices(model, &parts)),
        Some(adapter) => (remembered_of_adapters(model, adapter, optimizer), adapter_matrices(model, adapter)),
    };
    let moments = moments.saturating_mul(F32);
    let largest = parts.largest().min(trained);
    let at_once = largest.saturating_mul(F32).saturating_mul(matrices_at_once(optimizer));
    let trained = trained.saturating_mul(F32);
    let average = if training.averages { trained } else { 0 };
    // Gradients come matrix by matrix and are then laid end to end; accumulation holds the sum so far beside them. The
    // output matrix gathers its gradient piece by piece, and the embedding its own before a tied model adds the two.
    let layouts = if accumulated { 3 } else { 2 };
    let embedded = parts.embedding.saturating_mul(2).saturating_add(parts.values);
    let tables = if training.adapter.is_some() { 0 } else { embedded.saturating_mul(F32) };
    let segment = trained.min(UPDATED_AT_ONCE.max(parts.together()).saturating_mul(F32));
    // Matrices are rounded as they are used: the one of a product, in both directions, and that of the logits beside it.
    let rounded = if training.half { parts.largest().saturating_mul(2 * F32) } else { 0 };
    // What is handed on has the adapters worked in.
    let merged = if training.adapter.is_some() { trained.saturating_add(weights.saturating_mul(2)) } else { 0 };
    // What an update that may have to be undone holds on to: weights, two moments and the average.
    let undone = if training.skips { 4 } else { 0 };
    let besides = beside_segment(optimizer, &all, segment / F32, training.skips).saturating_mul(F32);
    Memory {
        weights: weights.saturating_add(merged).saturating_add(average).saturating_add(rounded),
        gradients: trained.saturating_mul(layouts).saturating_add(tables),
        optimizer: [segment.saturating_mul(UPDATE_COPIES + undone), at_once, besides]
            .iter()
            .fold(moments, |sum, part| sum.saturating_add(*part)),
        activations: activations(model, vocab, sequence, micro_batch, training),
        batch: sequences.saturating_mul(sequence.saturating_mul(TOKEN).saturating_add(ROW)),
    }
}

/// Queries of a sequence of so many tokens whose attention scores are held at once.
pub fn queries_at_once(sequence: usize) -> usize {
    QUERIES_AT_ONCE.max(sequence.div_ceil(PIECES))
}

/// The same, if those are not all.
fn in_pieces(sequence: u64) -> Option<u64> {
    let at_once = usize::try_from(sequence).map_or(sequence, |sequence| queries_at_once(sequence) as u64);
    (at_once < sequence).then_some(at_once)
}

/// Numbers that attention holds for one token of a sequence besides what blocks keep, at most, once.
fn scored_at_once(model: &Decoder, sequence: u64, half: bool) -> u64 {
    let scores = size(model.heads).saturating_mul(sequence);
    // The mask of a dropout is made from bits: as integers, compared, as numbers, times what is kept.
    let drawn = if model.dropout > 0.0 { scores.saturating_mul(3) } else { 0 };
    let masks = sequence.saturating_mul(MASK_COPIES).saturating_add(drawn);
    let Some(queries) = in_pieces(sequence) else { return masks };
    let scores = size(model.heads).saturating_mul(queries).saturating_mul(SCORE_COPIES);
    let keys = size(model.kv_heads).saturating_mul(size(model.head_dim)).saturating_mul(6);
    masks.saturating_add(scores).saturating_add(if half { scores / 2 } else { 0 }).saturating_add(keys)
}

/// Numbers that a pass forward alone holds for one token of a sequence, without masks, and those of the logits of so many
/// tokens.
pub(super) fn forward(model: &Decoder, sequence: u64, vocab: u64) -> (u64, impl Fn(u64) -> u64) {
    // Embedding, position and their sum; the last norm. Nothing is dropped out.
    let ends = size(model.width).saturating_mul(4 + norm(model));
    let plain = Decoder { dropout: 0.0, ..model.clone() };
    // Scores of some queries: products, masked, shifted, exponentials.
    let scores = in_pieces(sequence).map_or(0, |queries| size(model.heads).saturating_mul(queries).saturating_mul(4));
    let each = block(&plain, sequence).saturating_add(ends).saturating_add(scores);
    let most = LOGITS_AT_ONCE.max(vocab);
    (each, move |tokens: u64| tokens.saturating_mul(vocab).min(most).saturating_mul(LOGIT_COPIES))
}

/// Bytes of activations, of those that the backward pass needs at once, and of the loss.
pub fn activations(model: &Decoder, vocab: u64, sequence: u64, micro_batch: u64, training: &Training<'_>) -> u64 {
    let width = size(model.width);
    let block = block(model, sequence).saturating_add(training.adapter.map_or(0, |adapter| beside(model, adapter)));
    // The forward pass keeps every block, or what goes into each and the one it is in; the backward pass adds gradients of
    // the one it is in. With products of 16 bits the inputs of products are kept as those, and everything of the block that
    // a pass is in may have a copy of 16 bits beside it.
    let queries = size(model.heads).saturating_mul(size(model.head_dim));
    let inputs = width.saturating_mul(2).saturating_add(queries).saturating_add(size(model.hidden));
    let (kept, copies) = match training.half {
        false => (block, 0),
        true => (block.saturating_sub(inputs / 2), block / 2),
    };
    let blocks = match training.recompute {
        false => kept.saturating_mul(size(model.layers)).saturating_add(block),
        true => block.saturating_mul(2).saturating_add(width.saturating_mul(size(model.layers))),
    };
    let blocks = blocks.saturating_add(copies);
    // Embedding, position, their sum and dropout; the last norm; gradients of the same.
    let ends = width.saturating_mul(4 + norm(model) + 6);
    let scored = scored_at_once(model, sequence, training.half);
    let tokens = sequence.saturating_mul(micro_batch);
    // A cap keeps the tangents beside the logits, and makes their slopes.
    let copies = LOGIT_COPIES + if model.logit_cap.is_some() { 3 } else { 0 } + u64::from(training.half);
    // Which tokens belong to which row, for the balance of experts: made on the host, and once more on a GPU. Documents that are
    // kept apart within a row are more sequences than rows; how many the data says.
    let belonging = if model.experts.is_some() { tokens.saturating_mul(micro_batch).saturating_mul(2) } else { 0 };
    let logits = tokens.saturating_mul(vocab).min(LOGITS_AT_ONCE.max(vocab)).saturating_mul(copies);
    blocks
        .saturating_add(ends)
        .saturating_add(scored)
        .saturating_mul(tokens)
        .saturating_add(logits)
        .saturating_add(belonging)
        .saturating_mul(F32)
}

/// The largest power of two whose activations fit in `limit_bytes`, but no more than `batch_sequences` and no less
/// than one.
pub fn micro_batch(
    model: &Decoder,
    sequence: u64,
    batch_sequences: u64,
    vocab: u64,
    training: &Training<'_>,
    limit_bytes: u64,
) -> u64 {
    let one = activations(model, vocab, sequence, 1, training).max(1);
    let fitting = (limit_bytes / one).max(1);
    let mut power = 1u64 << fitting.ilog2();
    // What balances experts grows with the square of the rows.
    while power > 1 && activations(model, vocab, sequence, power, training) > limit_bytes {
        power /= 2;
    }
    power.min(batch_sequences.max(1))
}

/// Numbers that an adapter trains in a network.
pub fn adapters(model: &Decoder, adapter: &Adapter) -> u64 {
    let Adapter::Lora(lora) = adapter;
    let block = targets(model, adapter).fold(0u64, |sum, (input, output)| {
        let magnitude = if lora.magnitude { output } else { 0 };
        sum.saturating_add(size(lora.rank).saturating_mul(input.saturating_add(output))).saturating_add(magnitude)
    });
    block.saturating_mul(size(model.layers))
}

/// The matrices of the adapters themselves: one takes a token to the rank, one back.
pub(super) fn adapter_matrices(model: &Decoder, adapter: &Adapter) -> Vec<Matrices> {
    let Adapter::Lora(lora) = adapter;
    let (layers, rank) = (size(model.layers), size(lora.rank));
    targets(model, adapter).flat_map(|(input, output)| [[layers, rank, input], [layers, output, rank]]).collect()
}

/// Numbers that an optimiser keeps of adapters from step to step, at most: two for each that is trained, and what SOAP has
/// besides.
pub(super) fn remembered_of_adapters(model: &Decoder, adapter: &Adapter, optimizer: &Optimizer) -> u64 {
    let besides = match optimizer {
        Optimizer::Soap(soap) => bases(soap, &adapter_matrices(model, adapter)),
        _ => 0,
    };
    adapters(model, adapter).saturating_mul(2).saturating_add(besides)
}

/// Numbers of the matrices that an adapter is for.
pub(super) fn adapted(model: &Decoder, adapter: &Adapter) -> u64 {
    let block =
        targets(model, adapter).fold(0u64, |sum, (input, output)| sum.saturating_add(input.saturating_mul(output)));
    block.saturating_mul(size(model.layers))
}

/// Columns and rows of the matrices of a block that an adapter is for, each once and as far as the network has them.
fn targets(model: &Decoder, adapter: &Adapter) -> impl Iterator<Item = (u64, u64)> {
    let Adapter::Lora(lora) = adapter;
    let [width, hidden] = [model.width, model.hidden].map(size);
    let [queries, keys] = [model.heads, model.kv_heads].map(|heads| size(heads).saturating_mul(size(model.head_dim)));
    let (gated, mixed) = (model.activation.gated(), model.experts.is_some());
    // The checks refuse adapters of experts.
    let has = move |target: &LoraTarget| match target {
        LoraTarget::Gate => gated && !mixed,
        LoraTarget::Up | LoraTarget::Down => !mixed,
        _ => true,
    };
    let on: BTreeSet<_> = lora.on.iter().copied().collect();
    on.into_iter().filter(has).map(move |target| match target {
        LoraTarget::Query => (width, queries),
        LoraTarget::Key | LoraTarget::Value => (width, keys),
        LoraTarget::Output => (queries, width),
        LoraTarget::Gate | LoraTarget::Up => (width, hidden),
        LoraTarget::Down => (hidden, width),
    })
}

/// Numbers that the adapters of a block keep for one token: outputs with and without them, put together, and what the ranks
/// hold.
fn beside(model: &Decoder, adapter: &Adapter) -> u64 {
    let Adapter::Lora(lora) = adapter;
    let [width, hidden] = [model.width, model.hidden].map(size);
    let heads = size(model.heads).saturating_add(size(model.kv_heads).saturating_mul(2));
    let outputs = heads.saturating_mul(size(model.head_dim)).saturating_add(width * 2).saturating_add(hidden * 2);
    outputs.saturating_mul(4).saturating_add(size(lora.rank).saturating_mul(2 * lora.on.len() as u64))
}

/// Numbers that one block keeps for one token of a sequence of `sequence` tokens, every operation's result counted.
fn block(model: &Decoder, sequence: u64) -> u64 {
    let width = size(model.width);
    let queries = size(model.heads).saturating_mul(size(model.head_dim));
    let keys = size(model.kv_heads).saturating_mul(size(model.head_dim));
    let dense = size(model.hidden).saturating_mul(feed_forward(model));
    let hidden = match model.mixtures() {
        0 => dense,
        mixed if mixed < size(model.layers) => dense.max(mixture(model)),
        _ => mixture(model),
    };
    let scores = size(model.heads).saturating_mul(sequence);
    let bias = u64::from(model.bias);
    let dropout = if model.dropout > 0.0 { 2 } else { 0 };
    let grouped = u64::from(model.kv_heads < model.heads);
    let rotated = if model.position == Position::Rotary { 5 } else { 0 };
    let heads = queries.saturating_add(keys.saturating_mul(2));
    let norms = if model.norm_place == NormPlace::Both { 4 } else { 2 };
    let normed = if model.qk_norm == QkNorm::Absent { 0 } else { 6 };
    let counted = [
        // The norms, and two sums into the residual stream.
        width.saturating_mul(norms * norm(model) + 2),
        // The norms of queries and keys: taken apart, squared, scaled, times the gain, put together.
        queries.saturating_add(keys).saturating_mul(normed),
        // One projection to queries, keys and values, with bias, laid out by head, and taken apart twice.
        heads.saturating_mul(4 + u64::from(model.qkv_bias)),
        // Halves exchanged, products with sine and cosine, and their sum, for queries and keys.
        queries.saturating_add(keys).saturating_mul(rotated),
        // Rows of a table of values, gated, and put to the values; what gates see, and gradients of all.
        if model.value_embeddings.is_some() {
            heads.saturating_add(keys.saturating_mul(4)).saturating_add(width * 2)
        } else {
            0
        },
        // Scores: products, masked, shifted, exponentials; with dropout its mask and what it leaves. None is kept of pieces.
        scores.saturating_mul(if in_pieces(sequence).is_some() { dropout } else { 4 + dropout }),
        // Scaled queries, the mixture of values, divided by its weight, laid out by token; and the projection back.
        queries.saturating_mul(4 + grouped).saturating_add(width.saturating_mul(1 + bias + dropout)),
        hidden,
        width.saturating_mul(1 + bias + dropout),
    ];
    counted.iter().fold(0, |sum: u64, part| sum.saturating_add(*part))
}

/// Tensors of the size of the residual stream that a norm makes.
fn norm(model: &Decoder) -> u64 {
    match model.norm {
        // Square, scaled, times the gain; and room for one cast.
        Norm::Rms => 4,
        // Centred, squared, scaled, times the gain, plus the bias.
        Norm::Layer => 5 + u64::from(model.bias),
    }
}

/// Numbers that a mixture of experts keeps for one token. Where every expert is computed for every token, no more than one
/// is held at a time.
fn mixture(model: &Decoder) -> u64 {
    let Some(experts) = &model.experts else { return 0 };
    let hidden = experts.hidden.map_or(size(model.hidden), size);
    let (width, count, active) = (size(model.width), size(experts.count), size(experts.active));
    // What goes into each of a token's experts and what comes out, and their sum; logits, probabilities, choices, what they
    // count, and room for as many while they are made.
    let around = width.saturating_mul(2 * active + 4).saturating_add(count.saturating_mul(12));
    hidden.saturating_mul(feed_forward(model)).saturating_mul(active).saturating_add(around)
}

/// Tensors of the size of the hidden layer that the feed-forward layer makes.
fn feed_forward(model: &Decoder) -> u64 {
    let bias = u64::from(model.bias);
    match model.activation {
        // Two projections at once, taken apart, sigmoid, its product, the product with the gate.
        Activation::Swiglu => 7 + 2 * bias,
        // The square, scaled, plus one, times the input, sigmoid of that, the product; and room for two more.
        Activation::Gelu => 9 + bias,
        Activation::Geglu => 11 + 2 * bias,
        Activation::Relu => 2 + bias,
        Activation::ReluSquared => 3 + bias,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameters::published::{gpt2, llama};
    use super::super::remembered::turning;
    use super::super::spec::Lora;
    use super::super::spec::{Adafactor, Adamw, Lion, Muon, MuonScale, Rest, Sgd, Soap};
    use super::*;

    fn adamw() -> Optimizer {
        Optimizer::Adamw(Adamw { lr: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 })
    }

    #[test]
    fn the_parts_of_gpt2() {
        let adamw = adamw();
        let plain =
            Training { optimizer: &adamw, averages: false, skips: false, recompute: false, half: false, adapter: None };
        let m = memory(&gpt2(true), 50_257, 1024, 1, 1, &plain);
        let (weights, table) = (4 * 124_439_808, 4 * 38_597_376);
        assert_eq!(m.weights, weights);
        assert_eq!(m.gradients, 2 * weights + 2 * table);
        assert_eq!(m.optimizer, 2 * weights + 5 * (4 << 26), "two moments and the update of a segment");
        // The published rule for 16-bit is s·b·h·L·(34 + 5·a·s/h) bytes, without logits. In 32 bits and with every
        // intermediate kept the bound must lie above twice that, and not absurdly far.
        let published = 1024.0 * 768.0 * 12.0 * (34.0 + 5.0 * 12.0 * 1024.0 / 768.0);
        let logits = 7.0 * 4.0 * f64::from(1 << 23);
        let ratio = (m.activations as f64 - logits) / published;
        assert!((2.0..8.0).contains(&ratio), "{ratio}");
        assert_eq!(memory(&gpt2(true), 50_257, 1024, 1, 2, &plain).gradients, 3 * weights + 2 * table);
        let sgd = |momentum| Optimizer::Sgd(Sgd { lr: 0.1, momentum, weight_decay: 0.0 });
        let of = |training: Training<'_>| memory(&gpt2(true), 50_257, 1024, 1, 1, &training);
        let optimizer = |optimizer: &Optimizer| of(Training { optimizer, ..plain }).optimizer;
        assert_eq!(optimizer(&sgd(0.9)) - optimizer(&sgd(0.0)), weights);
        assert_eq!(optimizer(&adamw) - optimizer(&sgd(0.9)), weights);
        assert_eq!(of(Training { averages: true, ..plain }).weights, 2 * weights);
        assert_eq!(of(Training { skips: true, ..plain }).optimizer - m.optimizer, 4 * (4 << 26));
        let lion = Optimizer::Lion(Lion { lr: 1e-4, beta1: 0.9, beta2: 0.99, weight_decay: 1.0 });
        assert_eq!(optimizer(&lion), optimizer(&sgd(0.9)));
    }

    /// By hand for GPT-2: 12 blocks of 4 matrices 768×768, of one 3072×768 and one the other way; tables of 50,257 and of
    /// 1024 rows, of which the first has more than have a preconditioner.
    #[test]
    fn soap_remembers_both_sides_of_every_matrix() {
        let (model, parts) = (gpt2(true), parameters(&gpt2(true), 50_257));
        let soap = |max_precond_dim| Soap {
            lr: 3e-3,
            beta1: 0.95,
            beta2: 0.95,
            shampoo_beta: None,
            epsilon: 1e-8,
            weight_decay: 0.01,
            precondition_frequency: 10,
            max_precond_dim,
        };
        let (width, hidden) = (768u64.pow(2), 3072u64.pow(2));
        let blocks = 12 * (8 * width + 2 * (width + hidden));
        let tables = width + (width + 1024 * 1024);
        assert_eq!(remembered(&model, &parts, &Optimizer::Soap(soap(10_000))), 2 * 124_439_808 + 2 * (blocks + tables));
        let less = 12 * 10 * width + 2 * width;
        assert_eq!(remembered(&model, &parts, &Optimizer::Soap(soap(1000))), 2 * 124_439_808 + 2 * less);
        let counted: u64 = matrices(&model, &parts).iter().map(|[count, rows, columns]| count * rows * columns).sum();
        let vectors = 12 * (4 + 4 + 5) * 768 + 2 * 768;
        assert_eq!(counted + vectors, parts.total(), "no matrix is left out");
        let turning = turning(&soap(10_000), &[[2, 3, 5], [1, 20_000, 4]]);
        let expected = 2.0 * 6.0 * (9.0 * 5.0 + 25.0 * 3.0) + 6.0 * 16.0 * 20_000.0;
        assert_eq!(turning.step, expected);
        // Adapters of rank 8 of two queries 768×768.
        let lora = Adapter::Lora(Lora {
            rank: 8,
            alpha: 8.0,
            on: vec![LoraTarget::Query],
            rank_stabilized: false,
            magnitude: false,
        });
        let of = remembered_of_adapters(&model, &lora, &Optimizer::Soap(soap(10_000)));
        assert_eq!(of, 12 * (2 * 2 * 8 * 768 + 2 * 2 * (64 + width)));
    }

    /// Against numbers counted by hand for GPT-2: 12 blocks with matrices of 12·768² numbers, and 13 · 768 in biases.
    #[test]
    fn muon_and_adafactor_remember_less_than_adamw() {
        let (model, parts) = (gpt2(true), parameters(&gpt2(true), 50_257));
        let Optimizer::Adamw(rest) = adamw() else { unreachable!() };
        let muon = Optimizer::Muon(Muon {
            lr: 0.02,
            momentum: 0.95,
            nesterov: true,
            iterations: 5,
            scale: MuonScale::Shape,
            weight_decay: 0.01,
            rest: Rest::Adamw(rest),
        });
        let matrices = 12 * 12 * 768 * 768;
        assert_eq!(remembered(&model, &parts, &muon), 2 * 124_439_808 - matrices);
        let adafactor = Optimizer::Adafactor(Adafactor {
            lr: 0.01,
            decay_rate: 0.8,
            threshold: 1.0,
            min_scale: 1e-3,
            weight_decay: 0.0,
        });
        // Query, key, value and output: 8 sides of 768; up and down: 5 each; and the two tables.
        let sides = 12 * (8 + 10) * 768 + (50_257 + 768) + (1024 + 768);
        let vectors = 12 * (4 + 4 + 5) * 768 + 2 * 768;
        let bound = remembered(&model, &parts, &adafactor);
        assert!(bound >= sides + vectors && bound < 124_439_808 / 100, "{bound} for {}", sides + vectors);
    }

    fn plain(optimizer: &Optimizer) -> Training<'_> {
        Training { optimizer, averages: false, skips: false, recompute: false, half: false, adapter: None }
    }

    #[test]
    fn recomputing_and_adapting_take_less() {
        let model = llama([12, 768, 12, 4, 64, 2048], true);
        let adamw = adamw();
        let of = |training: Training<'_>| memory(&model, 32_000, 512, 4, 4, &training);
        let whole = of(plain(&adamw));
        let again = of(Training { recompute: true, ..plain(&adamw) });
        assert!(again.activations * 3 < whole.activations, "{} of {}", again.activations, whole.activations);
        let targets = vec![LoraTarget::Query, LoraTarget::Gate, LoraTarget::Down];
        let lora = |magnitude| {
            let (rank, alpha, rank_stabilized) = (8, 8.0, false);
            Adapter::Lora(Lora { rank, alpha, on: targets.clone(), rank_stabilized, magnitude })
        };
        // 8·(768 + 768) for queries, 8·(768 + 2048) each for gate and down, and a length for every output.
        assert_eq!(adapters(&model, &lora(false)), 12 * 8 * (1536 + 2 * 2816));
        assert_eq!(adapters(&model, &lora(true)), 12 * (8 * (1536 + 2 * 2816) + 768 + 2048 + 768));
        let lora = lora(false);
        let adapted = of(Training { adapter: Some(&lora), ..plain(&adamw) });
        assert!(adapted.gradients * 50 < whole.gradients && adapted.optimizer * 10 < whole.optimizer);
    }

    #[test]
    fn products_of_16_bits_keep_less_and_copy_more() {
        let adamw = adamw();
        let of = |layers, half, recompute| {
            let model = llama([layers, 768, 12, 4, 64, 2048], true);
            memory(&model, 32_000, 512, 4, 4, &Training { half, recompute, ..plain(&adamw) })
        };
        let (whole, mixed) = (of(24, false, false), of(24, true, false));
        assert!(mixed.activations < whole.activations, "many blocks are kept");
        assert!(of(1, true, false).activations > of(1, false, false).activations, "one block is copied");
        assert_eq!((mixed.gradients, mixed.optimizer), (whole.gradients, whole.optimizer), "masters have f32");
        assert!(mixed.weights > whole.weights && mixed.weights < whole.weights * 2, "matrices are rounded one by one");
    }

    #[test]
    fn logits_are_bounded() {
        let model = llama([1, 8, 1, 1, 8, 8], true);
        let per_sequence = |n| {
            activations(&model, 50_257, 64, n + 1, &plain(&adamw()))
                - activations(&model, 50_257, 64, n, &plain(&adamw()))
        };
        assert!(per_sequence(1) > 7 * 4 * 50_257 * 64, "as long as all fit at once");
        assert!(per_sequence(1000) < 4 * 50_257 * 64, "and no more from then on");
    }

    #[test]
    fn activations_grow_with_every_size() {
        let model = llama([4, 128, 4, 2, 32, 512], true);
        let base = activations(&model, 512, 64, 2, &plain(&adamw()));
        assert_eq!(activations(&model, 512, 64, 4, &plain(&adamw())), 2 * base);
        assert!(activations(&model, 512, 128, 2, &plain(&adamw())) > 2 * base, "attention is quadratic");
        assert!(activations(&model, 1024, 64, 2, &plain(&adamw())) > base);
        for wider in [
            Decoder { layers: 5, ..model.clone() },
            Decoder { hidden: 1024, ..model.clone() },
            Decoder { heads: 8, ..model.clone() },
            Decoder { width: 256, ..model.clone() },
            Decoder { dropout: 0.1, ..model.clone() },
            Decoder { bias: true, ..model.clone() },
        ] {
            assert!(activations(&wider, 512, 64, 2, &plain(&adamw())) > base, "{wider:?}");
        }
    }

    #[test]
    fn scores_of_long_sequences_are_not_kept() {
        let of = |layers, sequence| {
            let model = llama([layers, 128, 4, 2, 32, 512], true);
            activations(&model, 512, sequence, 1, &plain(&adamw())) / sequence
        };
        let block = |sequence| of(9, sequence) - of(8, sequence);
        assert!(block(256) > block(128), "scores of few queries are kept");
        assert_eq!(block(1_024), block(4_096), "a token needs no more of a block in a longer sequence");
        assert!(block(1_024) < block(256));
        assert!(of(8, 4_096) > of(8, 1_024), "some are held at once");
        assert_eq!([100, 256, 1_000, 2_048, 4_096].map(queries_at_once), [256, 256, 256, 256, 512]);
    }

    #[test]
    fn the_micro_batch_fits() {
        let model = llama([4, 128, 4, 2, 32, 512], true);
        let one = activations(&model, 512, 64, 1, &plain(&adamw()));
        assert_eq!(micro_batch(&model, 64, 64, 512, &plain(&adamw()), 5 * one), 4);
        assert_eq!(micro_batch(&model, 64, 3, 512, &plain(&adamw()), 5 * one), 3, "never more than the batch");
        assert_eq!(micro_batch(&model, 64, 64, 512, &plain(&adamw()), 1), 1, "never less than one");
        assert_eq!(micro_batch(&model, 64, 12, 512, &plain(&adamw()), u64::MAX), 12, "a batch that fits is not cut");
    }
}
