//! Dropout whose masks are functions of (seed, step, place, row of the batch).

use super::host::Host;
use crate::random::Stream;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;
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

    /// What to multiply numbers with: zero with probability `rate`, `1 / (1 - rate)` otherwise.
    pub fn next<const D: usize>(&self, dims: [usize; D], device: &Device) -> Tensor<D> {
        self.next_mask().tensor(dims, device)
    }

    /// The same before it is drawn.
    pub fn next_mask(&self) -> Mask {
        let place = self.place.get();
        self.place.set(place + 1);
        Mask {
            limit: (self.rate * 65_536.0).round() as u64,
            kept: (1.0 / (1.0 - self.rate)) as f32,
            stream: self.stream.clone(),
            rows: self.rows.clone(),
            place,
        }
    }
}

/// One mask. The numbers of a row of the batch lie together, and row follows row; any of them can be had without the others.
#[derive(Clone, Debug)]
pub(crate) struct Mask {
    /// Of 65,536.
    limit: u64,
    kept: f32,
    stream: Stream,
    rows: Range<u64>,
    place: u64,
}

/// Numbers that one draw of 64 bits decides, so that the rate is met to one part in 65,536.
const LANES: usize = 4;

/// Numbers whose fate a word tells, and words that a thread draws at a time.
const BITS: usize = 32;
const WORDS: usize = 4_096;

impl Mask {
    /// Draws the numbers from `from` on of a row, which counts from the first of this mask.
    pub fn fill(&self, row: usize, from: usize, to: &mut [f32]) {
        let mut draws = self.stream.at((self.place << 32) | (self.rows.start + row as u64));
        draws.skip((from / LANES) as u64);
        let number = |bits: u64, lane: usize| if (bits >> (16 * lane)) & 0xffff < self.limit { 0.0 } else { self.kept };
        let ahead = (LANES - from % LANES) % LANES;
        let (head, rest) = to.split_at_mut(ahead.min(to.len()));
        if !head.is_empty() {
            let bits = draws.next_u64();
            head.iter_mut().enumerate().for_each(|(i, x)| *x = number(bits, from % LANES + i));
        }
        for four in rest.chunks_mut(LANES) {
            let bits = draws.next_u64();
            four.iter_mut().enumerate().for_each(|(lane, x)| *x = number(bits, lane));
        }
    }

    /// All of it. Another device than the CPU is sent a bit a number.
    pub fn tensor<const D: usize>(&self, dims: [usize; D], device: &Device) -> Tensor<D> {
        let len = dims.iter().product();
        match Host::of(&Tensor::<1>::zeros([1], device)) {
            Some(_) => Tensor::from_data(TensorData::new(self.numbers(len), dims), device),
            None => self.unpacked(len, device).reshape(dims),
        }
    }

    fn numbers(&self, len: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; len];
        let width = len / self.count();
        numbers.par_chunks_mut(width.max(1)).enumerate().for_each(|(row, numbers)| self.fill(row, 0, numbers));
        numbers
    }

    /// Rows of the batch.
    fn count(&self) -> usize {
        (self.rows.end - self.rows.start).max(1) as usize
    }

    /// The same numbers, made on the device from a bit each.
    fn unpacked(&self, len: usize, device: &Device) -> Tensor<2> {
        let (rows, width) = (self.count(), len / self.count());
        let words = width.div_ceil(BITS);
        let packed = TensorData::new(self.bits(rows, words), [rows, words, 1]);
        let lanes = TensorData::new((0..BITS).map(|bit| 1i32 << bit).collect::<Vec<_>>(), [1, 1, BITS]);
        let (packed, lanes): (Tensor<3, Int>, Tensor<3, Int>) =
            (Tensor::from_data(packed, device), Tensor::from_data(lanes, device));
        let full = [rows, words, BITS];
        let kept = packed.expand(full).bitwise_and(lanes.expand(full)).not_equal_elem(0);
        kept.float().mul_scalar(self.kept).reshape([rows, words * BITS]).narrow(1, 0, width)
    }

    /// Bit by bit, lowest first, whether a number is kept; every row begins with a word of its own.
    fn bits(&self, rows: usize, words: usize) -> Vec<i32> {
        let mut bits = vec![0; rows * words];
        bits.par_chunks_mut(words.max(1)).enumerate().for_each(|(row, words)| {
            words.par_chunks_mut(WORDS).enumerate().for_each(|(chunk, words)| {
                let mut draws = self.stream.at((self.place << 32) | (self.rows.start + row as u64));
                draws.skip((chunk * WORDS * BITS / LANES) as u64);
                for word in words {
                    for eighth in 0..BITS / LANES {
                        let drawn = draws.next_u64();
                        for lane in 0..LANES {
                            let kept = (drawn >> (16 * lane)) & 0xffff >= self.limit;
                            *word |= i32::from(kept) << (eighth * LANES + lane);
                        }
                    }
                }
            });
        });
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::Dropout;

    #[test]
    fn masks_keep_the_mean_and_repeat_for_the_same_step() {
        let dropout = Dropout::new(0.25, 1, 2, 0..1).unwrap();
        let (first, second) = (dropout.next_mask().numbers(40_001), dropout.next_mask().numbers(40_001));
        assert_ne!(first, second);
        assert_eq!(first, Dropout::new(0.25, 1, 2, 0..1).unwrap().next_mask().numbers(40_001));
        let mean = first.iter().sum::<f32>() / first.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!(Dropout::new(0.0, 1, 2, 0..1).is_none());
    }

    #[test]
    fn a_row_has_its_mask_however_the_batch_is_cut() {
        let masks = |rows: std::ops::Range<u64>| {
            let count = (rows.end - rows.start) as usize;
            let dropout = Dropout::new(0.25, 1, 2, rows).unwrap();
            [dropout.next_mask().numbers(30 * count), dropout.next_mask().numbers(10 * count)]
        };
        let whole = masks(0..4);
        for (place, whole) in whole.iter().enumerate() {
            let parts: Vec<f32> = [0..1, 1..3, 3..4].into_iter().flat_map(|rows| masks(rows)[place].clone()).collect();
            assert_eq!(*whole, parts);
        }
        assert_ne!(whole[0][..30], whole[0][30..60]);
    }

    #[test]
    fn a_part_of_a_mask_is_that_part_of_the_whole() {
        let mask = Dropout::new(0.25, 1, 2, 3..5).unwrap().next_mask();
        let whole = mask.numbers(2 * 41);
        for row in 0..2 {
            for from in 0..41 {
                for len in [0, 1, 2, 3, 5, 9, 41 - from] {
                    let mut part = vec![0.5; len.min(41 - from)];
                    mask.fill(row, from, &mut part);
                    assert_eq!(part, whole[row * 41 + from..][..part.len()], "{row} {from} {len}");
                }
            }
        }
    }

    #[test]
    fn bits_are_unpacked_to_the_same_numbers() {
        let cpu = crate::device::choose(Some("cpu")).unwrap();
        let software = crate::device::choose(Some("lavapipe"))
            .inspect_err(|why| eprintln!("skipped on a software GPU: {why}"))
            .ok();
        for chosen in [Some(cpu), software].into_iter().flatten() {
            for width in [1, 31, 32, 33, 150_001] {
                let mask = Dropout::new(0.25, 1, 2, 3..5).unwrap().next_mask();
                let unpacked = mask.unpacked(2 * width, &chosen.device).try_into_vec_as::<f32>().unwrap();
                assert_eq!(unpacked, mask.numbers(2 * width), "{width} on {}", chosen.name);
            }
        }
    }
}
