//! Dropout whose masks are functions of (seed, step, place).

use crate::random::Stream;
use burn::tensor::{Device, Tensor, TensorData};
use std::cell::Cell;

/// Dropout of one micro-batch. The masks are drawn on the host by the counter generator, so they are the same on every
/// device and after any interruption.
#[derive(Debug)]
pub(crate) struct Dropout {
    rate: f64,
    stream: Stream,
    place: Cell<u64>,
}

impl Dropout {
    /// The dropout of micro-batch `micro` of `step`; `None` when `rate` is zero.
    pub fn new(rate: f64, seed: u64, step: u64, micro: u64) -> Option<Dropout> {
        let stream = || Stream::new(seed, &format!("dropout/{step}/{micro}"));
        (rate > 0.0).then(|| Dropout { rate, stream: stream(), place: Cell::new(0) })
    }

    /// What to multiply numbers with: zero with probability `rate`, `1 / (1 - rate)` otherwise.
    pub fn next<const D: usize>(&self, dims: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.mask(dims.iter().product()), dims), device)
    }

    /// Each draw of 64 bits decides four places, so the rate is met to one part in 65,536.
    fn mask(&self, len: usize) -> Vec<f32> {
        let place = self.place.get();
        self.place.set(place + 1);
        let mut draws = self.stream.at(place);
        let limit = (self.rate * 65_536.0).round() as u64;
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        let mut mask = Vec::with_capacity(len + 3);
        while mask.len() < len {
            let bits = draws.next_u64();
            mask.extend((0..4).map(|lane| if (bits >> (16 * lane)) & 0xffff < limit { 0.0 } else { kept }));
        }
        mask.truncate(len);
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::Dropout;

    #[test]
    fn masks_keep_the_mean_and_repeat_for_the_same_step() {
        let dropout = Dropout::new(0.25, 1, 2, 0).unwrap();
        let (first, second) = (dropout.mask(40_001), dropout.mask(40_001));
        assert_ne!(first, second);
        assert_eq!(first, Dropout::new(0.25, 1, 2, 0).unwrap().mask(40_001));
        let mean = first.iter().sum::<f32>() / first.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!(Dropout::new(0.0, 1, 2, 0).is_none());
    }
}
