//! Keys and values of the columns that a text has filled, so that its next token does not compute them again.

use super::decoder::Decoder;
use super::host::{Host, tensor};
use super::position::alibi_slopes;
use crate::plan::spec::Position;
use burn::tensor::{Device, Tensor};
use emberlab_kernels as kernels;

/// Keys and values of every block, `[batch, kv_heads, capacity, head_dim]` each.
pub(crate) struct Cache {
    store: Store,
    sizes: kernels::Heads,
    /// The first column of each text that is no padding.
    first: Vec<usize>,
    /// How many columns a query of each block sees; absent: all.
    windows: Vec<Option<usize>>,
    /// Of ALiBi, one a query head; empty without it.
    slopes: Vec<f32>,
    /// What scores are multiplied with.
    scale: f32,
    capacity: usize,
    /// Columns filled.
    used: usize,
}

enum Store {
    Device(Vec<(Tensor<4>, Tensor<4>)>),
    /// In memory of our own: as tensors they would be copied whenever attention looks at a part of them.
    Host(Vec<(Vec<f32>, Vec<f32>)>),
}

impl Cache {
    /// Attention on a device looks at a multiple of this many columns, so that kernels see few shapes.
    pub const STEP: usize = 64;

    /// Room for `columns` of as many texts as there are in `first`: the columns of padding before each.
    pub fn new(decoder: &Decoder, columns: usize, first: Vec<usize>) -> Cache {
        let a = &decoder.architecture;
        let (batch, capacity) = (first.len(), columns.next_multiple_of(Cache::STEP));
        let sizes = kernels::Heads { batch, time: 1, heads: a.heads, kv_heads: a.kv_heads, head_dim: a.head_dim };
        let on_host = decoder.params.flats.first().is_some_and(|flat| Host::of(flat).is_some());
        let store = if on_host {
            let zeros = || vec![0.0f32; batch * a.kv_heads * capacity * a.head_dim];
            Store::Host((0..a.layers).map(|_| (zeros(), zeros())).collect())
        } else {
            let zeros = |device: &Device| Tensor::<4>::zeros([batch, a.kv_heads, capacity, a.head_dim], device);
            Store::Device((0..a.layers).map(|_| (zeros(&decoder.device), zeros(&decoder.device))).collect())
        };
        let windows = (0..a.layers).map(|layer| a.window_of(layer)).collect();
        let slopes = if a.position == Position::Alibi { alibi_slopes(a.heads) } else { Vec::new() };
        let scale = kernels::View::causal(a.head_dim).scale * a.sharpness() as f32;
        Cache { store, sizes, first, windows, slopes, scale, capacity, used: 0 }
    }

    /// The first `used` columns, with room for `columns`.
    pub fn cut(self, used: usize, columns: usize) -> Cache {
        let used = used.min(self.used);
        let (before, capacity) = (self.capacity, columns.next_multiple_of(Cache::STEP));
        if capacity <= before {
            return Cache { used, ..self };
        }
        let (head_dim, heads) = (self.sizes.head_dim, self.sizes.batch * self.sizes.kv_heads);
        let host = |numbers: Vec<f32>| {
            let mut wider = vec![0.0f32; heads * capacity * head_dim];
            let rows = numbers.chunks_exact(before * head_dim);
            for (to, from) in wider.chunks_exact_mut(capacity * head_dim).zip(rows) {
                to[..used * head_dim].copy_from_slice(&from[..used * head_dim]);
            }
            wider
        };
        let device = |tensor: Tensor<4>| {
            let [batch, heads, _, width] = tensor.dims();
            let more = Tensor::zeros([batch, heads, capacity - before, width], &tensor.device());
            Tensor::cat(vec![tensor, more], 2)
        };
        let store = match self.store {
            Store::Host(layers) => Store::Host(layers.into_iter().map(|(k, v)| (host(k), host(v))).collect()),
            Store::Device(layers) => Store::Device(layers.into_iter().map(|(k, v)| (device(k), device(v))).collect()),
        };
        Cache { store, capacity, used, ..self }
    }

    /// Of each text, the columns of padding before it.
    pub fn first(&self) -> &[usize] {
        &self.first
    }

    /// Whether [`Cache::attend`] works, which needs no mask.
    pub fn on_host(&self) -> bool {
        matches!(self.store, Store::Host(_))
    }

    pub fn used(&self) -> usize {
        self.used
    }

    /// Notes that every block has stored `width` more columns.
    pub fn fill(&mut self, width: usize) {
        self.used += width;
    }

    /// Columns attention looks at when `used` are filled.
    pub fn keys(&self, used: usize) -> usize {
        used.next_multiple_of(Cache::STEP).min(self.capacity)
    }

    /// Stores the keys and values of new columns and returns all that attention looks at.
    pub fn extend(&mut self, layer: usize, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let width = key.dims()[2];
        let (used, keys) = (self.used, self.keys(self.used + width));
        let place = [0..key.dims()[0], 0..key.dims()[1], used..used + width, 0..key.dims()[3]];
        // Tensors on the host have been taken by `attend`.
        let Store::Device(layers) = &mut self.store else { return (key, value) };
        let (keys_before, values_before) = &mut layers[layer];
        // Taking the tensors out lets the backend write in place.
        keys_before.inplace(|tensor| tensor.slice_assign(place.clone(), key));
        values_before.inplace(|tensor| tensor.slice_assign(place, value));
        (keys_before.clone().narrow(2, 0, keys), values_before.clone().narrow(2, 0, keys))
    }

    /// On the host, stores new columns and attends over all: from `query` `[batch, heads, time, head_dim]` and `key` and
    /// `value` `[batch, kv_heads, time, head_dim]` to the heads' outputs side by side, `[batch · time, heads · head_dim]`.
    /// Scores are scaled as the network says, and a query sees its own column and those before it as far as the
    /// block's window reaches. Nothing is done on another device.
    pub fn attend(&mut self, layer: usize, query: &Tensor<4>, key: &Tensor<4>, value: &Tensor<4>) -> Option<Tensor<2>> {
        let Store::Host(layers) = &mut self.store else { return None };
        let (q, k, v) = (Host::of(query)?, Host::of(key)?, Host::of(value)?);
        let [batch, heads, time, head_dim] = query.dims();
        let sizes = kernels::Heads { time, ..self.sizes };
        let (keys, values) = layers.get_mut(layer)?;
        let (row, new) = (self.capacity * head_dim, time * head_dim);
        for (cache, new_columns) in [(&mut *keys, k.numbers()), (&mut *values, v.numbers())] {
            for (cache, columns) in cache.chunks_exact_mut(row).zip(new_columns.chunks_exact(new)) {
                cache[self.used * head_dim..][..new].copy_from_slice(columns);
            }
        }
        let shape = kernels::CacheShape {
            capacity: self.capacity,
            used: self.used,
            first: &self.first,
            window: self.windows.get(layer).copied().flatten(),
            slopes: &self.slopes,
            scale: self.scale,
        };
        let out = kernels::attend(sizes, shape, q.numbers(), keys, values);
        if time == 1 {
            return Some(tensor(out, [batch, heads * head_dim], query));
        }
        let out: Tensor<4> = tensor(out, [batch, heads, time, head_dim], query);
        Some(out.swap_dims(1, 2).reshape([batch * time, heads * head_dim]))
    }
}
