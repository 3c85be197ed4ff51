//! Mixtures of experts: which rows go to which expert, and the products of each expert with its own rows.
//!
//! Rows are gathered by expert, so that an expert's rows lie together and are one product; nothing is dropped and nothing is
//! padded. Whatever is summed is summed in a fixed order.

use crate::lanes::{exp, max, sum, vectorised};
use crate::matmul::matmul_into;
use crate::{Matrix, SMALL, rows};
use rayon::prelude::*;
use std::ops::Range;

/// Which rows go to which experts.
#[derive(Clone, Debug)]
pub struct Routing {
    experts: usize,
    active: usize,
    /// The softmax of the router's logits, `[rows, experts]`.
    pub probabilities: Vec<f32>,
    /// The logarithm of each softmax's normaliser, `[rows]`.
    pub normalisers: Vec<f32>,
    /// The experts of each row, the most probable first, `[rows, active]`.
    pub chosen: Vec<u32>,
    /// What their outputs count, `[rows, active]`.
    pub shares: Vec<f32>,
    /// Where the rows of each expert begin among the gathered ones, `[experts + 1]`.
    starts: Vec<usize>,
    /// Of each gathered row: which place of [`Routing::chosen`] it is for.
    order: Vec<u32>,
    /// Of each place of [`Routing::chosen`]: which gathered row is for it.
    place: Vec<u32>,
}

/// What a step holds against a router besides the loss.
#[derive(Clone, Copy, Debug)]
pub struct Pressure<'a> {
    /// The gradient of the balance loss by the probabilities of each sequence's rows, `[sequences, experts]`.
    pub slopes: &'a [f32],
    /// Which sequence each row belongs to; padding to none.
    pub sequence_of: &'a [Option<usize>],
    /// What the squared logarithm of a row's normaliser counts.
    pub z: f32,
}

/// What sequences ask of experts.
#[derive(Clone, PartialEq, Debug)]
pub struct Load {
    /// How often each was chosen, `[sequences, experts]`.
    pub counts: Vec<f32>,
    /// The sums of its probabilities, `[sequences, experts]`.
    pub sums: Vec<f32>,
    /// The sum of the squared logarithms of all normalisers.
    pub squares: f32,
}

/// Sends each row of `logits` `[rows, experts]` to the `active` experts with the largest softmax; of equals, to those that
/// come first. Their outputs count as much as their probability, or, if that is to be `renormalized`, as much as its share of
/// those of all chosen ones.
pub fn route(logits: &[f32], experts: usize, active: usize, renormalized: bool) -> Routing {
    let count = logits.len() / experts.max(1);
    let mut probabilities = logits.to_vec();
    let mut normalisers = vec![0.0f32; count];
    let (mut chosen, mut shares) = (vec![0u32; count * active], vec![0.0f32; count * active]);
    let many = (SMALL / 2 / experts.max(1)).max(1);
    let chunks = probabilities.par_chunks_mut(many * experts.max(1)).zip(normalisers.par_chunks_mut(many));
    let choices = chosen.par_chunks_mut(many * active.max(1)).zip(shares.par_chunks_mut(many * active.max(1)));
    chunks.zip(choices).for_each(|((probabilities, normalisers), (chosen, shares))| {
        let rows = probabilities.chunks_exact_mut(experts).zip(normalisers);
        for ((row, normaliser), (chosen, shares)) in
            rows.zip(chosen.chunks_exact_mut(active).zip(shares.chunks_exact_mut(active)))
        {
            *normaliser = softmax(row);
            choose(row, chosen, shares, renormalized);
        }
    });
    // Sorted by expert, and for each in the order of the rows.
    let mut starts = vec![0usize; experts + 1];
    for expert in &chosen {
        starts[*expert as usize + 1] += 1;
    }
    for expert in 0..experts {
        starts[expert + 1] += starts[expert];
    }
    let mut next = starts.clone();
    let (mut order, mut place) = (vec![0u32; chosen.len()], vec![0u32; chosen.len()]);
    for (at, expert) in chosen.iter().enumerate() {
        let next = &mut next[*expert as usize];
        order[*next] = at as u32;
        place[at] = *next as u32;
        *next += 1;
    }
    Routing { experts, active, probabilities, normalisers, chosen, shares, starts, order, place }
}

vectorised! {
    /// Replaces a row by its softmax, and returns the logarithm of the normaliser.
    fn softmax(row: &mut [f32]) -> f32 {
        let peak = max(row);
        for x in row.iter_mut() {
            *x = exp(*x - peak);
        }
        let total = sum(row.len(), |i| row[i]);
        for x in row.iter_mut() {
            *x /= total;
        }
        peak + total.ln()
    }
}

fn choose(probabilities: &[f32], chosen: &mut [u32], shares: &mut [f32], renormalized: bool) {
    for slot in 0..chosen.len() {
        let (mut best, mut most) = (None, 0.0f32);
        for (expert, p) in probabilities.iter().enumerate() {
            // Of numbers that are none, the first that is free: a loss that is no number is told elsewhere.
            if (best.is_none() || *p > most) && !chosen[..slot].contains(&(expert as u32)) {
                (best, most) = (Some(expert), *p);
            }
        }
        chosen[slot] = best.unwrap_or(slot) as u32;
        shares[slot] = most;
    }
    if renormalized {
        let total: f32 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
    }
}

impl Routing {
    /// Rows that were sent.
    fn count(&self) -> usize {
        self.normalisers.len()
    }

    /// Rows of `x` `[rows, width]` laid out by expert, each as often as it has experts: `[rows · active, width]`.
    pub fn gather(&self, x: &[f32], width: usize) -> Vec<f32> {
        let mut gathered = vec![0.0f32; self.order.len() * width];
        rows(&mut gathered, width, |at, out| {
            let row = self.order[at] as usize / self.active;
            out.copy_from_slice(&x[row * width..(row + 1) * width]);
        });
        gathered
    }

    /// Adds up what the experts of a row made of it: from `gathered` `[rows · active, width]` to `[rows, width]`, each
    /// counting its share, or fully if not `shared`.
    pub fn combine(&self, gathered: &[f32], width: usize, shared: bool) -> Vec<f32> {
        let mut y = vec![0.0f32; self.count() * width];
        rows(&mut y, width, |row, out| {
            for slot in row * self.active..(row + 1) * self.active {
                let from = self.place[slot] as usize;
                add(out, &gathered[from * width..(from + 1) * width], if shared { self.shares[slot] } else { 1.0 });
            }
        });
        y
    }

    /// `gathered` `[rows · active, width]` with each row times its share.
    pub fn share(&self, gathered: &[f32], width: usize) -> Vec<f32> {
        let mut y = vec![0.0f32; gathered.len()];
        rows(&mut y, width, |at, out| {
            add(out, &gathered[at * width..(at + 1) * width], self.shares[self.order[at] as usize]);
        });
        y
    }

    /// The products of rows at the same place of two gathered matrices, by the place of [`Routing::chosen`].
    pub fn dots(&self, left: &[f32], right: &[f32], width: usize) -> Vec<f32> {
        let mut y = vec![0.0f32; self.place.len()];
        rows(&mut y, 1, |slot, out| {
            let at = self.place[slot] as usize * width;
            out[0] = dot(&left[at..at + width], &right[at..at + width]);
        });
        y
    }

    /// The rows of each expert in `gathered` times its matrix in `stacked`, where the experts' matrices lie one under the
    /// other: `[rows · active, columns]`. If `turned`, an expert's matrix is `[columns, inner]`, otherwise `[inner, columns]`.
    pub fn products(&self, gathered: &[f32], stacked: &[f32], turned: bool) -> Vec<f32> {
        let inner = gathered.len() / self.order.len().max(1);
        let each = stacked.len() / self.experts.max(1);
        let columns = each / inner.max(1);
        let mut y = vec![0.0f32; self.order.len() * columns];
        for (expert, rows) in self.stretches() {
            let left = Matrix::new(&gathered[rows.start * inner..rows.end * inner], rows.len(), inner);
            let right = &stacked[expert * each..(expert + 1) * each];
            let right = match turned {
                true => Matrix::new(right, columns, inner).transposed(),
                false => Matrix::new(right, inner, columns),
            };
            matmul_into(&mut y[rows.start * columns..rows.end * columns], left, right);
        }
        y
    }

    /// For each expert, its rows of `left` `[rows · active, a]` turned, times those of `right` `[rows · active, b]`: the
    /// matrices `[a, b]` one under the other. One that has no rows is zero.
    pub fn gradients(&self, left: &[f32], right: &[f32]) -> Vec<f32> {
        let count = self.order.len().max(1);
        let (a, b) = (left.len() / count, right.len() / count);
        let mut y = vec![0.0f32; self.experts * a * b];
        for (expert, rows) in self.stretches() {
            let left = Matrix::new(&left[rows.start * a..rows.end * a], rows.len(), a).transposed();
            let right = Matrix::new(&right[rows.start * b..rows.end * b], rows.len(), b);
            matmul_into(&mut y[expert * a * b..(expert + 1) * a * b], left, right);
        }
        y
    }

    /// The experts that have rows, and which of the gathered ones.
    fn stretches(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let all = self.starts.windows(2).enumerate().map(|(expert, pair)| (expert, pair[0]..pair[1]));
        all.filter(|(_, rows)| !rows.is_empty())
    }

    /// What the sequences, each with its rows, ask of the experts.
    pub fn load(&self, sequences: &[Range<usize>]) -> Load {
        let e = self.experts;
        let mut sums = vec![0.0f64; sequences.len() * e];
        let (mut counts, mut squares) = (vec![0.0f32; sequences.len() * e], 0.0f64);
        for (sequence, rows) in sequences.iter().enumerate() {
            let within = sequence * e..(sequence + 1) * e;
            for row in rows.clone() {
                let probabilities = &self.probabilities[row * e..(row + 1) * e];
                sums[within.clone()].iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += f64::from(*p));
                for expert in &self.chosen[row * self.active..(row + 1) * self.active] {
                    counts[sequence * e + *expert as usize] += 1.0;
                }
                squares += f64::from(self.normalisers[row]).powi(2);
            }
        }
        Load { counts, sums: sums.into_iter().map(|sum| sum as f32).collect(), squares: squares as f32 }
    }

    /// The gradient of the router's logits, `[rows, experts]`, given those of what the experts' outputs counted, by the place
    /// of [`Routing::chosen`], and what is held against the router besides.
    pub fn back(&self, shares: &[f32], renormalized: bool, pressure: Option<Pressure<'_>>) -> Vec<f32> {
        let e = self.experts;
        let mut back = vec![0.0f32; self.probabilities.len()];
        rows(&mut back, e, |row, out| {
            let p = &self.probabilities[row * e..(row + 1) * e];
            let slots = row * self.active..(row + 1) * self.active;
            let (chosen, given, held) = (&self.chosen[slots.clone()], &shares[slots.clone()], &self.shares[slots]);
            let (along, total) = if renormalized {
                let along: f32 = given.iter().zip(held).map(|(gradient, share)| gradient * share).sum();
                (along, chosen.iter().map(|expert| p[*expert as usize]).sum::<f32>())
            } else {
                (0.0, 1.0)
            };
            let mut normaliser = 0.0;
            if let Some(pressure) = pressure {
                if let Some(sequence) = pressure.sequence_of[row] {
                    out.copy_from_slice(&pressure.slopes[sequence * e..(sequence + 1) * e]);
                    normaliser = 2.0 * pressure.z * self.normalisers[row];
                }
            }
            for (expert, gradient) in chosen.iter().zip(given) {
                out[*expert as usize] += (gradient - along) / total;
            }
            softmax_back(p, normaliser, out);
        });
        back
    }
}

vectorised! {
    /// `y` becomes the gradient of the logits whose softmax is `p`, given its own; `normaliser` is that of the logarithm of
    /// the normaliser.
    fn softmax_back(p: &[f32], normaliser: f32, y: &mut [f32]) {
        let along = sum(p.len(), |i| p[i] * y[i]);
        for (y, p) in y.iter_mut().zip(p) {
            *y = p * (*y - along + normaliser);
        }
    }
}

vectorised! {
    fn add(to: &mut [f32], from: &[f32], factor: f32) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += from * factor;
        }
    }
}

vectorised! {
    fn dot(left: &[f32], right: &[f32]) -> f32 {
        sum(left.len().min(right.len()), |i| left[i] * right[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..len).map(next).collect()
    }

    #[test]
    fn of_equals_the_first_is_taken_and_shares_add_up() {
        let routing = route(&[0.0, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0], 4, 2, true);
        assert_eq!(routing.chosen, [1, 2, 0, 1]);
        assert_eq!(routing.shares, [0.5; 4]);
        assert_eq!(routing.starts, [0, 1, 3, 4, 4]);
        // The second row comes after the first within the expert that they share.
        assert_eq!(routing.order, [2, 0, 3, 1]);
        let plain = route(&[0.0, 1.0, 1.0, 0.5], 4, 2, false);
        assert_eq!(plain.shares, [plain.probabilities[1], plain.probabilities[2]]);
    }

    #[test]
    fn products_by_expert_are_those_of_each_row() {
        let (count, experts, active, inner, columns) = (37, 5, 2, 6, 4);
        let (x, stacked) = (numbers(count * inner, 1), numbers(experts * columns * inner, 2));
        let routing = route(&numbers(count * experts, 3), experts, active, true);
        let gathered = routing.gather(&x, inner);
        for turned in [true, false] {
            let y = routing.combine(&routing.products(&gathered, &stacked, turned), columns, true);
            for row in 0..count {
                for column in 0..columns {
                    let mut expected = 0.0;
                    for slot in row * active..(row + 1) * active {
                        let matrix = &stacked[routing.chosen[slot] as usize * columns * inner..];
                        let at = |i: usize| if turned { column * inner + i } else { i * columns + column };
                        let product: f32 = (0..inner).map(|i| x[row * inner + i] * matrix[at(i)]).sum();
                        expected += product * routing.shares[slot];
                    }
                    assert!((y[row * columns + column] - expected).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (count, experts, active, inner, columns) = (300, 6, 2, 96, 80);
        let (x, stacked) = (numbers(count * inner, 1), numbers(experts * columns * inner, 2));
        let logits = numbers(count * experts, 3);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let routing = route(&logits, experts, active, true);
                let gathered = routing.gather(&x, inner);
                let y = routing.products(&gathered, &stacked, true);
                let back = routing.back(&routing.dots(&y, &y, columns), true, None);
                [routing.combine(&y, columns, true), routing.gradients(&y, &gathered), routing.share(&y, columns), back]
            })
        };
        let bits = |all: [Vec<f32>; 4]| all.map(|x| x.into_iter().map(f32::to_bits).collect::<Vec<_>>());
        let one = bits(run(1));
        assert_eq!(one, bits(run(2)));
        assert_eq!(one, bits(run(5)));
    }

    #[test]
    fn padding_asks_nothing() {
        let routing = route(&numbers(12, 4), 3, 1, false);
        let load = routing.load(&[0..2, 2..3]);
        assert_eq!(load.counts.iter().sum::<f32>(), 3.0);
        let expected: f32 = [0, 1, 2].map(|row| routing.normalisers[row].powi(2)).iter().sum();
        assert!((load.squares - expected).abs() < 1e-6);
        assert!((load.sums.iter().sum::<f32>() - 3.0).abs() < 1e-6);
    }
}
