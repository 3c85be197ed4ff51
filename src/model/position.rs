//! Rotary positions in the rotate-half form of Hugging Face's Llama (Su et al. 2021).

use super::host::Host;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Cosines and sines of the angles of every position, `[context, head_dim]` each.
#[derive(Clone, Debug)]
pub(crate) struct Rotary {
    cos: Tensor<2>,
    sin: Tensor<2>,
}

/// The angles of the positions of one batch.
#[derive(Clone, Debug)]
pub(crate) struct Angles {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Rotary {
    /// Angles are multiplied in f32, as `transformers` does, so that the same checkpoint gives the same logits.
    pub fn new(head_dim: usize, context: usize, theta: f64, device: &Device) -> Rotary {
        let half = head_dim / 2;
        let rates: Vec<f32> = (0..half).map(|i| (1.0 / theta.powf(2.0 * i as f64 / head_dim as f64)) as f32).collect();
        let (mut cos, mut sin) = (Vec::with_capacity(context * head_dim), Vec::with_capacity(context * head_dim));
        for position in 0..context {
            let angle = |i: usize| f64::from(position as f32 * rates[i % half]);
            cos.extend((0..head_dim).map(|i| angle(i).cos() as f32));
            // The first half of a turned head is x₁·cos − x₂·sin, the second x₂·cos + x₁·sin.
            sin.extend((0..head_dim).map(|i| angle(i).sin() as f32 * if i < half { -1.0 } else { 1.0 }));
        }
        let table = |numbers| Tensor::<2>::from_data(TensorData::new(numbers, [context, head_dim]), device);
        Rotary { cos: table(cos), sin: table(sin) }
    }

    /// The angles of positions `0..time`, the same for every row of a batch.
    pub fn prefix(&self, time: usize) -> Angles {
        let head_dim = self.cos.dims()[1];
        let part = |table: &Tensor<2>| table.clone().narrow(0, 0, time).reshape([1, 1, time, head_dim]);
        Angles { cos: part(&self.cos), sin: part(&self.sin) }
    }

    /// The angles of given positions, `[batch · time]` of them.
    pub fn at(&self, positions: Tensor<1, Int>, batch: usize, time: usize) -> Angles {
        let head_dim = self.cos.dims()[1];
        let part = |table: &Tensor<2>| table.clone().select(0, positions.clone()).reshape([batch, 1, time, head_dim]);
        Angles { cos: part(&self.cos), sin: part(&self.sin) }
    }
}

impl Angles {
    /// Turns heads `[batch, heads, time, head_dim]`.
    pub fn turn(&self, x: Tensor<4>) -> Tensor<4> {
        x.clone() * self.cos.clone() + swap(x) * self.sin.clone()
    }

    /// Cosines and sines on the CPU, `[time, head_dim]`, where all rows share them.
    pub fn on_host(&self) -> Option<(Host, Host)> {
        Some((Host::of(&self.cos)?, Host::of(&self.sin)?))
    }

    /// Turns a gradient back: the other way round.
    pub fn turn_back(&self, y: Tensor<4>) -> Tensor<4> {
        y.clone() * self.cos.clone() - swap(y) * self.sin.clone()
    }
}

/// Swaps the halves of each head.
fn swap(x: Tensor<4>) -> Tensor<4> {
    let half = x.dims()[3] / 2;
    Tensor::cat(vec![x.clone().narrow(3, half, half), x.narrow(3, 0, half)], 3)
}
