//! Scaled dot-product attention, forward and back.

use super::architecture::Architecture;
use super::decoder::Input;
use super::host::{Host, change, tensor};
use super::position::alibi_slopes;
use super::precision::{round, widen};
use crate::device::Format;
use crate::plan::spec::Position;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use emberlab_kernels as kernels;
use std::cell::OnceCell;

/// Added to a score that must not count. Its exponential is zero, and unlike an infinity it survives shader compilers
/// that assume there are none.
pub(crate) const MASKED: f32 = -1e9;

/// What is added to attention scores. The masks of whole rows are made when they are first asked for: the kernels of the CPU
/// never do, and they have as many numbers as there are pairs of positions.
#[derive(Debug)]
pub(crate) struct Masks {
    time: usize,
    window: Option<usize>,
    /// Where in its row the document of each place begins; empty where rows are seen whole.
    starts: Vec<u32>,
    device: Device,
    all: OnceCell<Tensor<4>>,
    local: OnceCell<Tensor<4>>,
    /// What scores gain with the place of their key, `[1, heads, 1, keys]`.
    pub alibi: Option<Tensor<4>>,
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
        let local = local.map_or_else(OnceCell::new, OnceCell::from);
        let (starts, all) = (Vec::new(), OnceCell::from(all));
        Masks { time, window: a.window, starts, alibi: alibi(a, keys, &device), device, all, local }
    }

    /// The mask of a block that has a window or has none, `[1 or batch, 1, time, keys]`.
    pub fn get(&self, windowed: bool) -> Tensor<4> {
        let mask = |window| causal_mask(self.time, window, &self.starts, &self.device);
        match self.window.filter(|_| windowed) {
            Some(window) => self.local.get_or_init(|| mask(Some(window))).clone(),
            None => self.all.get_or_init(|| mask(None)).clone(),
        }
    }
}

fn alibi(a: &Architecture, keys: usize, device: &Device) -> Option<Tensor<4>> {
    let slopes = (a.position == Position::Alibi).then(|| alibi_slopes(a.heads))?;
    // A softmax does not change with what all scores of a query gain, so the place of the key does for the distance.
    let gains: Vec<f32> = slopes.iter().flat_map(|slope| (0..keys).map(move |key| slope * key as f32)).collect();
    Some(Tensor::from_data(TensorData::new(gains, [1, a.heads, 1, keys]), device))
}

/// What going back through attention needs. Queries are scaled, and grouped as described at [`attention`]; queries, keys and
/// values are rounded to the format of products.
#[derive(Clone, Debug)]
pub(super) struct AttentionTape {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    /// `[batch, heads, time, keys]`, before dropout.
    weights: Tensor<4>,
    drop: Option<Tensor<4>>,
    output: Tensor<4>,
    scale: f64,
    format: Option<Format>,
}

/// Attention of a query `[batch, heads, time, head_dim]` over a key and a value `[batch, kv_heads, keys, head_dim]`,
/// with scores multiplied with `scale`, `mask` (`[1 or batch, 1, time, keys]`) and `alibi` (`[1, heads, 1, keys]`) added to
/// them, and the weights multiplied with `drop`, the mask of a dropout. Both products take numbers of the `format`; the
/// softmax is of f32.
///
/// Several query heads share a key/value head when there are fewer of those (Ainslie et al. 2023): their queries become
/// more rows of one product, so keys and values are never repeated.
pub(super) fn attention(
    [query, key, value]: [Tensor<4>; 3],
    scale: f64,
    mask: Tensor<4>,
    alibi: Option<Tensor<4>>,
    drop: impl FnOnce([usize; 4]) -> Option<Tensor<4>>,
    format: Option<Format>,
) -> (Tensor<4>, AttentionTape) {
    let [batch, heads, time, head_dim] = query.dims();
    let [_, kv_heads, keys, _] = key.dims();
    let rows = heads / kv_heads * time;
    let query = query.mul_scalar(scale).reshape([batch, kv_heads, rows, head_dim]);
    let (query, key, value) = (round(format, query), round(format, key), round(format, value));
    let scores = widen(format, query.clone().matmul(key.clone().swap_dims(2, 3)));
    let scores = scores.reshape([batch, heads, time, keys]) + mask;
    let scores = match alibi {
        Some(alibi) => scores + alibi,
        None => scores,
    };
    let weights = activation::softmax(scores, 3);
    let drop = drop([batch, heads, time, keys]);
    let dropped = round(format, dropped(&weights, &drop).reshape([batch, kv_heads, rows, keys]));
    let output = widen(format, dropped.matmul(value.clone())).reshape([batch, heads, time, head_dim]);
    (output.clone(), AttentionTape { query, key, value, weights, drop, output, scale, format })
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
    let AttentionTape { query, key, value, weights, drop, output: y, scale, format } = tape;
    let [batch, heads, time, keys] = weights.dims();
    let [_, kv_heads, rows, head_dim] = query.dims();
    // Of the gradient as the products below see it, so that what a softmax cannot change cancels.
    let output = round(format, output);
    let along = (widen(format, output.clone()) * y).sum_dim(3);
    let output = output.reshape([batch, kv_heads, rows, head_dim]);
    let shared = round(format, dropped(&weights, &drop).reshape([batch, kv_heads, rows, keys]));
    let value_gradient = widen(format, shared.swap_dims(2, 3).matmul(output.clone()));
    let through = widen(format, output.matmul(value.swap_dims(2, 3))).reshape([batch, heads, time, keys]);
    let through = match drop {
        Some(drop) => through * drop,
        None => through,
    };
    let scores = round(format, ((through - along) * weights).reshape([batch, kv_heads, rows, keys]));
    let key_gradient = widen(format, scores.clone().swap_dims(2, 3).matmul(query));
    let query = widen(format, scores.matmul(key)).mul_scalar(scale).reshape([batch, heads, time, head_dim]);
    (query, key_gradient, value_gradient)
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
}

impl Sight {
    /// Of the block `layer`, where its attention is one that the kernel computes.
    pub fn of(a: &Architecture, input: &Input, layer: usize) -> Option<Sight> {
        if !input.causal {
            return None;
        }
        let Architecture { heads, kv_heads, head_dim, .. } = *a;
        let sizes = kernels::Heads { batch: input.batch, time: input.time, heads, kv_heads, head_dim };
        let slopes = if a.position == Position::Alibi { alibi_slopes(heads) } else { Vec::new() };
        let (window, rotary, sharpness) = (a.window_of(layer), a.rotary(layer), a.sharpness());
        Some(Sight { sizes, window, rotary, slopes, sharpness })
    }

    fn view<'a>(&'a self, starts: &'a [u32]) -> kernels::View<'a> {
        let causal = kernels::View::causal(self.sizes.head_dim);
        let scale = causal.scale * self.sharpness as f32;
        kernels::View { window: self.window, slopes: &self.slopes, starts, scale }
    }
}

/// What going back needs where a kernel went forward: queries, keys and values as [`kernels::Heads`] lays them, turned.
#[derive(Clone, Debug)]
pub(super) struct KernelTape {
    sight: Sight,
    qkv: Tensor<2>,
    logs: Vec<f32>,
}

impl KernelTape {
    /// The same as burn's operations would have left it.
    pub fn composed(self, masks: &Masks) -> AttentionTape {
        let kernels::Heads { batch, time, heads, kv_heads, head_dim } = self.sight.sizes;
        let all = self.qkv.reshape([batch, time, heads + 2 * kv_heads, head_dim]).swap_dims(1, 2);
        let part = |from: usize, count: usize| all.clone().narrow(1, from, count);
        let parts = [part(0, heads), part(heads, kv_heads), part(heads + kv_heads, kv_heads)];
        let mask = masks.get(self.sight.window.is_some());
        let scale = self.sight.sharpness / (head_dim as f64).sqrt();
        attention(parts, scale, mask, masks.alibi.clone(), |_| None, None).1
    }
}

/// Rotation and attention in one go, on the CPU, of `qkv` `[batch · time, width]`; where that lies elsewhere, it comes back.
pub(super) fn on_host(sight: Sight, mut qkv: Tensor<2>, input: &Input) -> Result<(Tensor<2>, KernelTape), Tensor<2>> {
    if !turn(&mut qkv, &sight, input, false) {
        return Err(qkv);
    }
    let Some(numbers) = Host::of(&qkv) else { return Err(qkv) };
    let sizes = sight.sizes;
    let rows = sizes.batch * sizes.time;
    let (mut out, mut logs) = (vec![0.0; rows * sizes.out_width()], vec![0.0; rows * sizes.heads]);
    kernels::attention(sizes, sight.view(&input.starts), numbers.numbers(), &mut out, &mut logs);
    let out = tensor(out, [rows, sizes.out_width()], &qkv);
    Ok((out, KernelTape { sight, qkv, logs }))
}

/// The gradient of `qkv` before its rotation, given the output and its gradient `y`; nothing where those lie elsewhere.
pub(super) fn back_on_host(tape: &KernelTape, output: &Tensor<2>, y: &Tensor<2>, input: &Input) -> Option<Tensor<2>> {
    let (qkv, out, up) = (Host::of(&tape.qkv)?, Host::of(output)?, Host::of(y)?);
    let (sizes, view) = (tape.sight.sizes, tape.sight.view(&input.starts));
    let mut back = vec![0.0; qkv.numbers().len()];
    kernels::attention_back(sizes, view, qkv.numbers(), out.numbers(), &tape.logs, up.numbers(), &mut back);
    let mut back = tensor(back, tape.qkv.dims(), y);
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

fn dropped(weights: &Tensor<4>, drop: &Option<Tensor<4>>) -> Tensor<4> {
    match drop {
        Some(drop) => weights.clone() * drop.clone(),
        None => weights.clone(),
    }
}

/// The mask under which position `t` of a row sees positions `0..=t`, at most `window` of them, and none before its start:
/// `[1, 1, time, time]`, or `[batch, 1, time, time]` with starts. It is made on the device, from a few numbers a position.
fn causal_mask(time: usize, window: Option<usize>, starts: &[u32], device: &Device) -> Tensor<4> {
    let batch = (starts.len() / time.max(1)).max(1);
    let last: Vec<i32> = (0..time as i32).collect();
    let first: Vec<i32> = (0..batch * time)
        .map(|place| {
            let t = place % time;
            let near = (t + 1).saturating_sub(window.unwrap_or(time));
            let start = starts.get(place).map_or(0, |start| *start as usize);
            near.max(start).min(t) as i32
        })
        .collect();
    let ints = |numbers: Vec<i32>, shape: [usize; 4]| -> Tensor<4, Int> {
        Tensor::from_data(TensorData::new(numbers, shape), device)
    };
    let keys = ints(last.clone(), [1, 1, 1, time]);
    let (first, last) = (ints(first, [batch, 1, time, 1]), ints(last, [1, 1, time, 1]));
    let full = [batch, 1, time, time];
    let hidden =
        keys.clone().expand(full).lower(first.expand(full)).bool_or(keys.expand(full).greater(last.expand(full)));
    Tensor::zeros(full, device).mask_fill(hidden, MASKED)
}
