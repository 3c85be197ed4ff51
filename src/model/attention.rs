//! Scaled dot-product attention, forward and back.

use super::architecture::Architecture;
use super::decoder::Input;
use super::dropout::{Dropout, Mask as DropMask};
use super::host::{Host, change, tensor};
use super::position::alibi_slopes;
use super::precision::{round, widen};
use crate::device::Format;
use crate::plan::queries_at_once;
use crate::plan::spec::Position;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use emberlab_kernels as kernels;
use std::cell::OnceCell;
use std::ops::Range;

/// Added to a score that must not count. Its exponential is zero, and unlike an infinity it survives shader compilers
/// that assume there are none.
pub(crate) const MASKED: f32 = -1e9;

/// What is added to attention scores, piece by piece. It is made when it is first asked for, which the kernels of the CPU
/// never do: there are as many numbers as pairs of positions.
#[derive(Debug)]
pub(crate) struct Masks {
    time: usize,
    window: Option<usize>,
    /// Where in its row the document of each place begins; empty where rows are seen whole.
    starts: Vec<u32>,
    device: Device,
    all: OnceCell<Vec<Piece>>,
    local: OnceCell<Vec<Piece>>,
    /// What scores gain with the place of their key, `[1, heads, 1, keys]`.
    pub alibi: Option<Tensor<4>>,
}

/// Queries whose scores are held at once, and the keys that any of them may see.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    queries: Range<usize>,
    keys: Range<usize>,
    /// `[1 or batch, 1, queries, keys]`.
    mask: Tensor<4>,
}

impl Masks {
    /// Under which position `t` of a row of `time` sees positions `0..=t`, as far as a window reaches.
    pub fn causal(a: &Architecture, time: usize, device: &Device) -> Masks {
        Masks::documents(a, time, Vec::new(), device)
    }

    /// The same, of rows with several documents, none of which sees another: `starts` `[batch · time]` says for every place
    /// where in its row its document begins.
    pub fn documents(a: &Architecture, time: usize, starts: Vec<u32>, device: &Device) -> Masks {
        let (all, local) = (OnceCell::new(), OnceCell::new());
        Masks { time, window: a.window, starts, device: device.clone(), all, local, alibi: alibi(a, time, device) }
    }

    /// Given masks `[batch, 1, time, keys]`: of a block that sees everything, and of one with a window.
    pub fn given(a: &Architecture, all: Tensor<4>, local: Option<Tensor<4>>) -> Masks {
        let ([_, _, time, keys], device) = (all.dims(), all.device());
        let whole = |mask| OnceCell::from(vec![Piece { queries: 0..time, keys: 0..keys, mask }]);
        let (all, local) = (whole(all), local.map_or_else(OnceCell::new, whole));
        Masks { time, window: a.window, starts: Vec::new(), alibi: alibi(a, keys, &device), device, all, local }
    }

    /// The pieces of a block that has a window or has none.
    pub(super) fn pieces(&self, windowed: bool) -> &[Piece] {
        let window = self.window.filter(|_| windowed);
        let cell = if window.is_some() { &self.local } else { &self.all };
        cell.get_or_init(|| self.cut(window, queries_at_once(self.time)))
    }

    /// Pieces of nearly the same size, with no more than so many queries.
    fn cut(&self, window: Option<usize>, at_once: usize) -> Vec<Piece> {
        let at_once = self.time.div_ceil(self.time.div_ceil(at_once).max(1)).max(1);
        (0..self.time)
            .step_by(at_once)
            .map(|first| {
                let queries = first..(first + at_once).min(self.time);
                let keys = window.map_or(0, |window| (first + 1).saturating_sub(window))..queries.end;
                let mask = causal_mask(&queries, &keys, self.time, window, &self.starts, &self.device);
                Piece { queries, keys, mask }
            })
            .collect()
    }
}

fn alibi(a: &Architecture, keys: usize, device: &Device) -> Option<Tensor<4>> {
    let slopes = (a.position == Position::Alibi).then(|| alibi_slopes(a.heads))?;
    // A softmax does not change with what all scores of a query gain, so the place of the key does for the distance.
    let gains: Vec<f32> = slopes.iter().flat_map(|slope| (0..keys).map(move |key| slope * key as f32)).collect();
    Some(Tensor::from_data(TensorData::new(gains, [1, a.heads, 1, keys]), device))
}

/// What going back through attention needs.
#[derive(Clone, Debug)]
pub(super) struct AttentionTape {
    scored: Scored,
    pieces: Vec<Piece>,
    /// `[batch, heads, time, keys]`, before dropout, where there is one piece. Of several, one at a time is computed again.
    weights: Option<Tensor<4>>,
    drop: Option<Tensor<4>>,
    output: Tensor<4>,
    scale: f64,
}

/// Scaled queries `[batch, heads, time, head_dim]`, keys and values `[batch, kv_heads, keys, head_dim]`, all rounded to the
/// format of products, and what scores gain.
#[derive(Clone, Debug)]
struct Scored {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    alibi: Option<Tensor<4>>,
    format: Option<Format>,
}

impl Scored {
    /// Queries of a piece as rows `[batch, kv_heads, group · queries, head_dim]`.
    fn rows(&self, of: &Tensor<4>, piece: &Piece) -> Tensor<4> {
        let [batch, heads, _, head_dim] = of.dims();
        let kv_heads = self.key.dims()[1];
        part(of, 2, &piece.queries).reshape([batch, kv_heads, heads / kv_heads * piece.queries.len(), head_dim])
    }

    /// What each query of a piece takes of each key, `[batch, heads, queries, keys]`.
    fn weights(&self, piece: &Piece) -> Tensor<4> {
        let ([batch, heads, ..], keys) = (self.query.dims(), part(&self.key, 2, &piece.keys));
        let scores = widen(self.format, self.rows(&self.query, piece).matmul(keys.swap_dims(2, 3)));
        let scores = scores.reshape([batch, heads, piece.queries.len(), piece.keys.len()]) + piece.mask.clone();
        activation::softmax(
            match &self.alibi {
                Some(alibi) => scores + part(alibi, 3, &piece.keys),
                None => scores,
            },
            3,
        )
    }
}

/// Attention of a query `[batch, heads, time, head_dim]` over a key and a value `[batch, kv_heads, keys, head_dim]`,
/// with scores multiplied with `scale`, the masks of `pieces` and `alibi` (`[1, heads, 1, keys]`) added to them, and the
/// weights multiplied with `drop`, the mask of a dropout. Both products take numbers of the `format`; the softmax is of f32.
///
/// Several query heads share a key/value head when there are fewer of those (Ainslie et al. 2023): their queries become
/// more rows of one product, so keys and values are never repeated. Scores are held for one piece at a time, and of several
/// pieces none is kept for the way back (Rabe & Staats 2021), so that what a block keeps does not grow with the square of
/// the time.
pub(super) fn attention(
    [query, key, value]: [Tensor<4>; 3],
    scale: f64,
    pieces: &[Piece],
    alibi: Option<Tensor<4>>,
    drop: impl FnOnce([usize; 4]) -> Option<Tensor<4>>,
    format: Option<Format>,
) -> (Tensor<4>, AttentionTape) {
    let [batch, heads, time, head_dim] = query.dims();
    let [_, kv_heads, keys, _] = key.dims();
    let query = round(format, query.mul_scalar(scale));
    let scored = Scored { query, key: round(format, key), value: round(format, value), alibi, format };
    let drop = drop([batch, heads, time, keys]);
    let mut kept = None;
    let outputs = pieces
        .iter()
        .map(|piece| {
            let (queries, keys) = (piece.queries.len(), piece.keys.len());
            let weights = scored.weights(piece);
            let dropped = dropped(weights.clone(), &drop, piece);
            if pieces.len() == 1 {
                kept = Some(weights);
            }
            let dropped = round(format, dropped.reshape([batch, kv_heads, heads / kv_heads * queries, keys]));
            let output = widen(format, dropped.matmul(part(&scored.value, 2, &piece.keys)));
            output.reshape([batch, heads, queries, head_dim])
        })
        .collect();
    let output = joined(outputs, 2);
    (output.clone(), AttentionTape { scored, pieces: pieces.to_vec(), weights: kept, drop, output, scale })
}

/// The scores of every query with every key, before masks: `[batch · kv_heads · rows, keys]`.
pub(super) fn scores(query: Tensor<4>, key: Tensor<4>, scale: f64) -> Tensor<2> {
    let ([batch, heads, time, head_dim], [_, kv_heads, keys, _]) = (query.dims(), key.dims());
    let query = query.mul_scalar(scale).reshape([batch, kv_heads, heads / kv_heads * time, head_dim]);
    query.matmul(key.swap_dims(2, 3)).reshape([batch * heads * time, keys])
}

/// The gradients of `query`, `key` and `value`, given that of the output.
///
/// The softmax needs the sum over keys of weight times gradient; it equals the sum over `head_dim` of output times
/// gradient (Dao et al. 2022), which is a much smaller product.
pub(super) fn attention_back(tape: AttentionTape, output: Tensor<4>) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let AttentionTape { scored, pieces, mut weights, drop, output: y, scale } = tape;
    let format = scored.format;
    let ([batch, heads, _, head_dim], [_, kv_heads, ..]) = (scored.query.dims(), scored.key.dims());
    // Of the gradient as the products below see it, so that what a softmax cannot change cancels.
    let output = round(format, output);
    let along = (widen(format, output.clone()) * y).sum_dim(3);
    let (mut of_key, mut of_value): (Option<Tensor<4>>, Option<Tensor<4>>) = (None, None);
    // From the last piece, which sees all keys, to the first; what a key gains is added to what later queries gave it.
    let mut of_query: Vec<Tensor<4>> = pieces
        .iter()
        .rev()
        .map(|piece| {
            let (queries, keys) = (piece.queries.len(), piece.keys.len());
            let (square, rows) = ([batch, heads, queries, keys], [batch, kv_heads, heads / kv_heads * queries, keys]);
            let weights = weights.take().unwrap_or_else(|| scored.weights(piece));
            let output = scored.rows(&output, piece);
            let shared = round(format, dropped(weights.clone(), &drop, piece).reshape(rows));
            gain(&mut of_value, piece, widen(format, shared.swap_dims(2, 3).matmul(output.clone())));
            let through = output.matmul(part(&scored.value, 2, &piece.keys).swap_dims(2, 3));
            let through = dropped(widen(format, through).reshape(square), &drop, piece);
            let along = part(&along, 2, &piece.queries);
            let scores = round(format, ((through - along) * weights).reshape(rows));
            gain(&mut of_key, piece, {
                let query = scored.rows(&scored.query, piece);
                widen(format, scores.clone().swap_dims(2, 3).matmul(query))
            });
            let of_query = widen(format, scores.matmul(part(&scored.key, 2, &piece.keys))).mul_scalar(scale);
            of_query.reshape([batch, heads, queries, head_dim])
        })
        .collect();
    of_query.reverse();
    let [of_key, of_value] =
        [(of_key, &scored.key), (of_value, &scored.value)].map(|(sum, like)| sum.unwrap_or_else(|| like.zeros_like()));
    (joined(of_query, 2), of_key, of_value)
}

/// Adds what the keys of a piece gain, given what pieces after it gave. Those reach as far as any, but with a window not as
/// far back.
fn gain(sum: &mut Option<Tensor<4>>, piece: &Piece, more: Tensor<4>) {
    *sum = Some(match sum.take() {
        None if piece.keys.start == 0 => more,
        None => {
            let [batch, heads, _, head_dim] = more.dims();
            let before = Tensor::zeros([batch, heads, piece.keys.start, head_dim], &more.device());
            Tensor::cat(vec![before, more], 2)
        }
        Some(sum) => {
            let whole = sum.dims()[2];
            let there = part(&sum, 2, &piece.keys) + more;
            let around =
                [(0..piece.keys.start, None), (piece.keys.clone(), Some(there)), (piece.keys.end..whole, None)];
            let parts = around.into_iter().filter(|(range, _)| !range.is_empty());
            joined(parts.map(|(range, there)| there.unwrap_or_else(|| part(&sum, 2, &range))).collect(), 2)
        }
    });
}

/// A part of a tensor along one dimension; all of it is the tensor itself.
fn part(of: &Tensor<4>, dim: usize, range: &Range<usize>) -> Tensor<4> {
    match range.len() == of.dims()[dim] {
        true => of.clone(),
        false => of.clone().narrow(dim, range.start, range.len()),
    }
}

/// Tensors end to end; one alone is that one.
fn joined(mut tensors: Vec<Tensor<4>>, dim: usize) -> Tensor<4> {
    match (tensors.len(), tensors.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            tensors.extend(last);
            Tensor::cat(tensors, dim)
        }
    }
}

/// What the kernel of the CPU needs to know of a block.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub sizes: kernels::Heads,
    pub window: Option<usize>,
    /// Whether queries and keys are turned.
    pub rotary: bool,
    slopes: Vec<f32>,
    sharpness: f64,
    /// Whether its products take and give numbers rounded to bf16.
    bf16: bool,
}

impl Sight {
    /// Of the block `layer`, where its attention is one that the kernel computes, in the format of its products.
    pub fn of(a: &Architecture, input: &Input, layer: usize, format: Option<Format>) -> Option<Sight> {
        if !input.causal || format == Some(Format::F16) {
            return None;
        }
        let Architecture { heads, kv_heads, head_dim, .. } = *a;
        let sizes = kernels::Heads { batch: input.batch, time: input.time, heads, kv_heads, head_dim };
        let slopes = if a.position == Position::Alibi { alibi_slopes(heads) } else { Vec::new() };
        let (window, rotary, sharpness) = (a.window_of(layer), a.rotary(layer), a.sharpness());
        Some(Sight { sizes, window, rotary, slopes, sharpness, bf16: format == Some(Format::Bf16) })
    }

    fn view<'a>(&'a self, starts: &'a [u32], drop: Option<kernels::Dropout<'a>>) -> kernels::View<'a> {
        let causal = kernels::View::causal(self.sizes.head_dim);
        let scale = causal.scale * self.sharpness as f32;
        kernels::View { window: self.window, slopes: &self.slopes, starts, scale, drop, bf16: self.bf16 }
    }

    /// The dropout of a query's weights, as the mask of all `[batch, heads, time, time]` has it.
    fn drop(&self, mask: &DropMask) -> impl Fn(usize, usize, usize, usize, &mut [f32]) + Sync {
        let time = self.sizes.time;
        move |sequence, head, place, key, to| mask.fill(sequence, (head * time + place) * time + key, to)
    }
}

/// What going back needs where a kernel went forward: queries, keys and values as [`kernels::Heads`] lays them, turned, and for
/// bf16 as [`kernels::operands_bf16`] leaves them.
#[derive(Clone, Debug)]
pub(super) struct KernelTape {
    sight: Sight,
    qkv: Tensor<2>,
    logs: Vec<f32>,
    drop: Option<DropMask>,
}

impl KernelTape {
    /// The same as burn's operations would have left it.
    pub fn composed(self, masks: &Masks) -> AttentionTape {
        let kernels::Heads { batch, time, heads, kv_heads, head_dim } = self.sight.sizes;
        let device = self.qkv.device();
        let all = self.qkv.reshape([batch, time, heads + 2 * kv_heads, head_dim]).swap_dims(1, 2);
        let part = |from: usize, count: usize| all.clone().narrow(1, from, count);
        let parts = [part(0, heads), part(heads, kv_heads), part(heads + kv_heads, kv_heads)];
        let pieces = masks.pieces(self.sight.window.is_some());
        let scale = self.sight.sharpness / (head_dim as f64).sqrt();
        let drop = |dims| self.drop.map(|mask| mask.tensor(dims, &device));
        let (left, format) = if self.sight.bf16 { (1.0, Some(Format::Bf16)) } else { (scale, None) };
        let (_, tape) = attention(parts, left, pieces, masks.alibi.clone(), drop, format);
        AttentionTape { scale, ..tape }
    }
}

/// Rotation and attention in one go, on the CPU, of `qkv` `[batch · time, width]`; where that lies elsewhere, it comes back.
pub(super) fn on_host(
    sight: Sight,
    mut qkv: Tensor<2>,
    input: &Input,
    dropout: Option<&Dropout>,
) -> Result<(Tensor<2>, KernelTape), Tensor<2>> {
    if !turn(&mut qkv, &sight, input, false) {
        return Err(qkv);
    }
    let sizes = sight.sizes;
    if sight.bf16 {
        let scale = sight.view(&[], None).scale;
        change(&mut qkv, |x| kernels::operands_bf16(sizes, scale, x));
    }
    let Some(numbers) = Host::of(&qkv) else { return Err(qkv) };
    let rows = sizes.batch * sizes.time;
    let (mut out, mut logs) = (vec![0.0; rows * sizes.out_width()], vec![0.0; rows * sizes.heads]);
    let mask = dropout.map(Dropout::next_mask);
    {
        let drop = mask.as_ref().map(|mask| sight.drop(mask));
        let drop = drop.as_ref().map(|drop| drop as kernels::Dropout<'_>);
        kernels::attention(sizes, sight.view(&input.starts, drop), numbers.numbers(), &mut out, &mut logs);
    }
    let out = tensor(out, [rows, sizes.out_width()], &qkv);
    Ok((out, KernelTape { sight, qkv, logs, drop: mask }))
}

/// The gradient of `qkv` before its rotation, given the output and its gradient `y`; nothing where those lie elsewhere.
pub(super) fn back_on_host(tape: &KernelTape, output: &Tensor<2>, y: &Tensor<2>, input: &Input) -> Option<Tensor<2>> {
    // As the products take it, so that what a softmax cannot change cancels.
    let mut y = y.clone();
    if tape.sight.bf16 {
        change(&mut y, kernels::round_all)?;
    }
    let (qkv, out, up) = (Host::of(&tape.qkv)?, Host::of(output)?, Host::of(&y)?);
    let drop = tape.drop.as_ref().map(|mask| tape.sight.drop(mask));
    let drop = drop.as_ref().map(|drop| drop as kernels::Dropout<'_>);
    let (sizes, view) = (tape.sight.sizes, tape.sight.view(&input.starts, drop));
    let mut back = vec![0.0; qkv.numbers().len()];
    kernels::attention_back(sizes, view, qkv.numbers(), out.numbers(), &tape.logs, up.numbers(), &mut back);
    let mut back = tensor(back, tape.qkv.dims(), &y);
    turn(&mut back, &tape.sight, input, true).then_some(back)
}

/// Turns queries and keys on the CPU; `false` if they lie elsewhere.
fn turn(qkv: &mut Tensor<2>, sight: &Sight, input: &Input, back: bool) -> bool {
    let Some(angles) = input.angles.as_ref().filter(|_| sight.rotary) else { return Host::of(qkv).is_some() };
    let Some((cos, sin)) = angles.on_host() else { return false };
    let sizes = sight.sizes;
    let turned = sizes.heads + sizes.kv_heads;
    let (cos, sin) = (cos.numbers(), sin.numbers());
    change(qkv, |x| kernels::turn(x, sizes.width(), turned, sizes.head_dim, sizes.time, cos, sin, back)).is_some()
}

/// Numbers of a piece times its part of the mask of a dropout, if there is one.
fn dropped(numbers: Tensor<4>, drop: &Option<Tensor<4>>, piece: &Piece) -> Tensor<4> {
    match drop {
        Some(drop) => numbers * part(&part(drop, 2, &piece.queries), 3, &piece.keys),
        None => numbers,
    }
}

/// The mask under which position `t` of a row of `time` sees positions `0..=t`, at most `window` of them, and none before its
/// start: `[1, 1, queries, keys]`, or `[batch, 1, queries, keys]` with starts. It is made on the device, from a few numbers a
/// position.
fn causal_mask(
    queries: &Range<usize>,
    keys: &Range<usize>,
    time: usize,
    window: Option<usize>,
    starts: &[u32],
    device: &Device,
) -> Tensor<4> {
    let batch = (starts.len() / time.max(1)).max(1);
    let first: Vec<i32> = (0..batch)
        .flat_map(|row| queries.clone().map(move |t| (row * time + t, t)))
        .map(|(place, t)| {
            let near = (t + 1).saturating_sub(window.unwrap_or(time));
            let start = starts.get(place).map_or(0, |start| *start as usize);
            near.max(start).min(t) as i32
        })
        .collect();
    let ints = |numbers: Vec<i32>, shape: [usize; 4]| -> Tensor<4, Int> {
        Tensor::from_data(TensorData::new(numbers, shape), device)
    };
    let places = |range: &Range<usize>| range.clone().map(|t| t as i32).collect();
    let (last, first) = (ints(places(queries), [1, 1, queries.len(), 1]), ints(first, [batch, 1, queries.len(), 1]));
    let keys_at = ints(places(keys), [1, 1, 1, keys.len()]);
    let full = [batch, 1, queries.len(), keys.len()];
    let keys = keys_at.expand(full);
    let hidden = keys.clone().lower(first.expand(full)).bool_or(keys.greater(last.expand(full)));
    Tensor::zeros(full, device).mask_fill(hidden, MASKED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::spec::Decoder;
    use crate::random::Stream;

    const TIME: usize = 11;

    /// Outputs and gradients with all scores at once are those with the scores of few queries at once.
    #[test]
    fn pieces_are_the_whole() {
        let device = crate::device::choose(Some("cpu")).unwrap().device;
        let draw = |purpose: &str, shape: [usize; 4]| {
            let mut draws = Stream::new(1, purpose).at(0);
            let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| draws.normal() as f32).collect();
            Tensor::<4>::from_data(TensorData::new(numbers, shape), &device)
        };
        let dropout = draw("dropout", [2, 4, TIME, TIME]).greater_elem(-0.8).float().mul_scalar(1.25);
        let documents: Vec<u32> = (0..2 * TIME as u32).map(|place| if place % 11 < 6 { 0 } else { 6 }).collect();
        for (case, kv_heads) in [4, 2, 1].into_iter().enumerate() {
            let parts = [("query", 4), ("key", kv_heads), ("value", kv_heads)];
            let parts = parts.map(|(name, heads)| draw(name, [2, heads, TIME, 3]));
            let up = draw("up", [2, 4, TIME, 3]);
            for window in [None, Some(1), Some(3), Some(6)] {
                let position = if case == 1 { Position::Alibi } else { Position::Absent };
                let spec =
                    Decoder { heads: 4, kv_heads: 4, head_dim: 3, width: 12, position, window, ..Decoder::default() };
                let architecture = Architecture::new(&spec, Some(8)).unwrap();
                for starts in [Vec::new(), documents.clone()] {
                    let masks = Masks::documents(&architecture, TIME, starts, &device);
                    for (drop, format) in [
                        (None, None),
                        (Some(&dropout), None),
                        (None, Some(Format::F16)),
                        (Some(&dropout), Some(Format::Bf16)),
                    ] {
                        let of = |at_once: usize| {
                            let pieces = masks.cut(architecture.window, at_once);
                            let drop = |_| drop.cloned();
                            let (y, tape) = attention(parts.clone(), 0.6, &pieces, masks.alibi.clone(), drop, format);
                            assert_eq!(tape.weights.is_some(), at_once >= TIME);
                            let (query, key, value) = attention_back(tape, up.clone());
                            [y, query, key, value]
                        };
                        let whole = of(TIME);
                        for at_once in [1, 4, 5, 10, 20] {
                            for (a, b) in of(at_once).into_iter().zip(whole.clone()) {
                                let far: f32 = (a - b).abs().max().into_scalar();
                                let within = match format {
                                    None => 2e-6,
                                    Some(Format::F16) => 4e-3,
                                    Some(Format::Bf16) => 3e-2,
                                };
                                assert!(far <= within, "{far}: {kv_heads} {window:?} {at_once} {format:?}");
                            }
                        }
                    }
                }
            }
        }
    }
}
