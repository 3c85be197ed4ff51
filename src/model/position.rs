//! Rotary positions in the rotate-half form of Hugging Face's Llama (Su et al. 2021).

use super::architecture::Architecture;
use super::host::Host;
use crate::plan::spec::{Position, RopeScaling};
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
    /// The table of the first `positions` positions of a network that has rotary ones.
    ///
    /// Rates and angles are rounded to f32 where `transformers` does, so that the same checkpoint gives the same logits.
    pub fn of(a: &Architecture, positions: usize, device: &Device) -> Option<Rotary> {
        if a.position != Position::Rotary {
            return None;
        }
        let (head_dim, half) = (a.head_dim, a.head_dim / 2);
        let (rates, gain) = rates(a);
        let (mut cos, mut sin) = (Vec::with_capacity(positions * head_dim), Vec::with_capacity(positions * head_dim));
        for position in 0..positions {
            let angle = |i: usize| f64::from(position as f32 * rates[i % half]);
            cos.extend((0..head_dim).map(|i| (angle(i).cos() * gain) as f32));
            // The first half of a turned head is x₁·cos − x₂·sin, the second x₂·cos + x₁·sin.
            sin.extend((0..head_dim).map(|i| (angle(i).sin() * gain) as f32 * if i < half { -1.0 } else { 1.0 }));
        }
        let table = |numbers| Tensor::<2>::from_data(TensorData::new(numbers, [positions, head_dim]), device);
        Some(Rotary { cos: table(cos), sin: table(sin) })
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

/// How far each pair of a head turns with each position, and what sines and cosines are multiplied with.
fn rates(a: &Architecture) -> (Vec<f32>, f64) {
    let (dim, theta) = (a.head_dim as f64, a.rope_theta);
    let base: Vec<f32> = (0..a.head_dim / 2)
        .map(|i| {
            let power = theta.powf(f64::from((2 * i) as f32 / a.head_dim as f32)) as f32;
            1.0 / power
        })
        .collect();
    match a.rope_scaling {
        None => (base, 1.0),
        Some(RopeScaling::RopeLinear(s)) => (base.iter().map(|rate| rate / s.factor as f32).collect(), 1.0),
        Some(RopeScaling::RopeLlama3(s)) => {
            let rescaled = base.iter().map(|rate| {
                let rate = f64::from(*rate);
                let turns = s.context as f64 * rate / std::f64::consts::TAU;
                let kept = ((turns - s.low) / (s.high - s.low)).clamp(0.0, 1.0);
                ((1.0 - kept) * rate / s.factor + kept * rate) as f32
            });
            (rescaled.collect(), 1.0)
        }
        Some(RopeScaling::RopeYarn(s)) => {
            // The pair that turns `times` in the first context, as a fraction.
            let pair =
                |times: f64| dim * (s.context as f64 / (times * std::f64::consts::TAU)).ln() / (2.0 * theta.ln());
            let low = pair(s.fast).floor().max(0.0);
            let high = pair(s.slow).ceil().min(dim - 1.0);
            let width = if high == low { 0.001 } else { high - low };
            let rescaled = base.iter().enumerate().map(|(i, rate)| {
                let (rate, divided) = (f64::from(*rate), ((i as f64 - low) / width).clamp(0.0, 1.0));
                (rate / s.factor * divided + rate * (1.0 - divided)) as f32
            });
            let usual = if s.factor > 1.0 { 0.1 * s.factor.ln() + 1.0 } else { 1.0 };
            (rescaled.collect(), s.attention.unwrap_or(usual))
        }
    }
}

/// The slope of each head under ALiBi (Press et al. 2022): a geometric series, and for a number of heads that is no power of
/// two those of the next one below, then every other one of the next one above.
pub(crate) fn alibi_slopes(heads: usize) -> Vec<f32> {
    let series = |n: usize, i: usize| 2f64.powf(-8.0 * (i + 1) as f64 / n as f64) as f32;
    let whole = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let below = (0..whole).map(|i| series(whole, i));
    below.chain((0..heads - whole).map(|i| series(2 * whole, 2 * i))).collect()
}

/// Swaps the halves of each head.
fn swap(x: Tensor<4>) -> Tensor<4> {
    let half = x.dims()[3] / 2;
    Tensor::cat(vec![x.clone().narrow(3, half, half), x.narrow(3, 0, half)], 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::spec::{Decoder, RopeLinear, RopeLlama3, RopeYarn};

    /// Against `ROPE_INIT_FUNCTIONS` of transformers 5.23, for a head of 8 and a base of 10,000.
    #[test]
    fn scaled_rates_are_those_of_transformers() {
        let of = |rope_scaling| {
            let spec = Decoder { head_dim: 8, width: 8, vocab: Some(9), rope_scaling, ..Decoder::default() };
            rates(&Architecture::new(&spec, None).unwrap())
        };
        let close = |(ours, gain): (Vec<f32>, f64), theirs: [f32; 4], theirs_gain: f64| {
            assert!((gain - theirs_gain).abs() < 1e-6, "{gain}");
            for (a, b) in ours.iter().zip(theirs) {
                assert!((a - b).abs() <= 1e-6 * b, "{ours:?} and {theirs:?}");
            }
        };
        close(of(None), [1.0, 0.1, 0.01, 0.001], 1.0);
        close(of(Some(RopeScaling::RopeLinear(RopeLinear { factor: 4.0 }))), [0.25, 0.025, 0.0025, 0.00025], 1.0);
        let llama3 = RopeLlama3 { factor: 8.0, low: 1.0, high: 4.0, context: 128 };
        close(of(Some(RopeScaling::RopeLlama3(llama3))), [1.0, 0.042_751_18, 0.00125, 0.000_125], 1.0);
        let yarn = RopeYarn { factor: 4.0, context: 1024, fast: 32.0, slow: 1.0, attention: None };
        close(of(Some(RopeScaling::RopeYarn(yarn))), [1.0, 0.075, 0.005, 0.00025], 1.138_629_4);
    }

    #[test]
    fn slopes_are_those_of_the_paper() {
        assert_eq!(alibi_slopes(4), [0.25, 0.0625, 0.015625, 0.00390625]);
        assert_eq!(alibi_slopes(3), [0.0625, 0.00390625, 0.25]);
    }
}
