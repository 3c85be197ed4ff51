//! Dropout whose masks are functions of (seed, step, place, row of the batch).

use crate::random::Stream;
use burn::tensor::{Device, Tensor, TensorData};
use std::cell::Cell;
use std::ops::Range;

/// Dropout of some rows of a batch. The masks are drawn on the host by the counter generator, so they are the same on every
/// device and after any interruption; each row has its own, so they do not depend on how a batch is cut.
#[derive(Debug)]
pub(crate) struct Dropout {
    rate: f64,
    stream: Stream,
    /// Which rows of the batch.
    rows: Range<u64>,
    place: Cell<u64>,
}

impl Dropout {
    /// The dropout of `rows` of the batch of `step`; `None` when `rate` is zero.
    pub fn new(rate: f64, seed: u64, step: u64, rows: Range<u64>) -> Option<Dropout> {
        let stream = || Stream::new(seed, &format!("dropout/{step}"));
        (rate > 0.0).then(|| Dropout { rate, stream: stream(), rows, place: Cell::new(0) })
    }

    /// Which mask comes next.
    pub fn place(&self) -> u64 {
        self.place.get()
    }

    /// Goes back to a mask, so that the same come again.
    pub fn go_to(&self, place: u64) {
        self.place.set(place);
    }

    /// What to multiply numbers with: zero with probability `rate`, `1 / (1 - rate)` otherwise. The numbers of a row lie
    /// together, and row follows row.
    pub fn next<const D: usize>(&self, dims: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.mask(dims.iter().product()), dims), device)
    }

    /// Each draw of 64 bits decides four places, so the rate is met to one part in 65,536.
    fn mask(&self, len: usize) -> Vec<f32> {
        let place = self.place.get();
        self.place.set(place + 1);
        let limit = (self.rate * 65_536.0).round() as u64;
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        let width = len / (self.rows.end - self.rows.start).max(1) as usize;
        let mut mask = Vec::with_capacity(len + 3);
        for row in self.rows.clone() {
            let mut draws = self.stream.at((place << 32) | row);
            let end = mask.len() + width;
            while mask.len() < end {
                let bits = draws.next_u64();
                mask.extend((0..4).map(|lane| if (bits >> (16 * lane)) & 0xffff < limit { 0.0 } else { kept }));
            }
            mask.truncate(end);
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::Dropout;

    #[test]
    fn masks_keep_the_mean_and_repeat_for_the_same_step() {
        let dropout = Dropout::new(0.25, 1, 2, 0..1).unwrap();
        let (first, second) = (dropout.mask(40_001), dropout.mask(40_001));
        assert_ne!(first, second);
        assert_eq!(first, Dropout::new(0.25, 1, 2, 0..1).unwrap().mask(40_001));
        let mean = first.iter().sum::<f32>() / first.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!(Dropout::new(0.0, 1, 2, 0..1).is_none());
    }

    #[test]
    fn a_row_has_its_mask_however_the_batch_is_cut() {
        let masks = |rows: std::ops::Range<u64>| {
            let count = (rows.end - rows.start) as usize;
            let dropout = Dropout::new(0.25, 1, 2, rows).unwrap();
            [dropout.mask(30 * count), dropout.mask(10 * count)]
        };
        let whole = masks(0..4);
        for (place, whole) in whole.iter().enumerate() {
            let parts: Vec<f32> = [0..1, 1..3, 3..4].into_iter().flat_map(|rows| masks(rows)[place].clone()).collect();
            assert_eq!(*whole, parts);
        }
        assert_ne!(whole[0][..30], whole[0][30..60]);
    }
}
