//! The samples of a step put together into few rows.
//!
//! A step learns from the samples it would learn from anyway, and each sample sees itself alone: only the padding goes. So
//! the loss, the gradient and the number of steps stay what they are, which packing across steps (as in TRL and Axolotl)
//! does not promise.

use super::batch::Batch;
use crate::plan::row_lengths;

impl Batch {
    /// The same samples in rows of at most `sequence` tokens, several a row where that computes fewer places: best fit by
    /// decreasing length, at the row length that leaves the least padding.
    pub fn packed(self, sequence: usize, pad: u32) -> Batch {
        let longest = self.lengths.iter().max().copied().unwrap_or(0);
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        order.sort_by_key(|row| std::cmp::Reverse(self.lengths[*row]));
        let times = row_lengths(sequence as u64).map(|time| time as usize).filter(|time| *time >= longest);
        let fits = times.map(|time| (time, fit(&order, &self.lengths, time)));
        let Some((_, rows)) = fits.min_by_key(|(time, rows)| time * rows.len()) else { return self };
        if rows.len() == self.lengths.len() {
            return self;
        }
        let mut packed = Batch { tokens: self.tokens, ..Batch::default() };
        for row in &rows {
            for sample in row {
                let (at, len) = (sample * sequence, self.lengths[*sample]);
                let start = packed.inputs.len() % sequence;
                packed.inputs.extend_from_slice(&self.inputs[at..at + len]);
                packed.targets.extend_from_slice(&self.targets[at..at + len]);
                packed.supervised.extend_from_slice(&self.supervised[at..at + len]);
                packed.starts.extend(std::iter::repeat_n(start as u32, len));
            }
            let used: usize = row.iter().map(|sample| self.lengths[*sample]).sum();
            let rest = sequence - used;
            packed.inputs.extend(std::iter::repeat_n(pad, rest));
            packed.targets.extend(std::iter::repeat_n(pad as i32, rest));
            packed.supervised.extend(std::iter::repeat_n(false, rest));
            packed.starts.extend(std::iter::repeat_n(used as u32, rest));
            packed.lengths.push(used);
        }
        packed
    }
}

/// Which samples share a row of `time` tokens, those of `order` placed one after the other where the least room is left.
fn fit(order: &[usize], lengths: &[usize], time: usize) -> Vec<Vec<usize>> {
    let mut rows: Vec<(usize, Vec<usize>)> = Vec::new();
    for sample in order {
        let len = lengths[*sample];
        let tightest = rows.iter_mut().filter(|(room, _)| *room >= len).min_by_key(|(room, _)| *room);
        match tightest {
            Some((room, samples)) => {
                *room -= len;
                samples.push(*sample);
            }
            None => rows.push((time - len, vec![*sample])),
        }
    }
    rows.into_iter().map(|(_, samples)| samples).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lengths: &[usize], sequence: usize) -> Batch {
        let mut batch = Batch::default();
        for (i, len) in lengths.iter().enumerate() {
            let tokens: Vec<u32> = (0..=*len).map(|place| (100 * i + place) as u32).collect();
            let supervised: Vec<bool> = (0..=*len).map(|place| place > len / 2).collect();
            batch.push(&tokens, &supervised, sequence, 9_999);
        }
        batch
    }

    /// What each sample predicts from what, in the order of its tokens.
    fn samples(batch: &Batch, sequence: usize) -> Vec<(u32, i32, bool)> {
        let rows = batch.lengths.iter().enumerate();
        let mut all: Vec<_> = rows
            .flat_map(|(row, len)| row * sequence..row * sequence + len)
            .map(|at| (batch.inputs[at], batch.targets[at], batch.supervised[at]))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn samples_share_rows_and_each_sees_itself_alone() {
        let sequence = 16;
        let before = batch(&[7, 3, 5, 2, 4], sequence);
        let after = before.clone().packed(sequence, 9_999);
        assert_eq!(samples(&before, sequence), samples(&after, sequence));
        assert_eq!((after.tokens, after.weight()), (before.tokens, before.weight()));
        // 21 tokens: three rows of 8 compute as little as two of 12 and less than two of 16.
        assert_eq!(after.time(sequence) * after.count(), 24);
        for (row, inputs) in after.inputs.chunks_exact(sequence).enumerate() {
            for place in 0..after.lengths[row] {
                let start = after.starts[row * sequence + place] as usize;
                assert_eq!(inputs[start] % 100, 0, "a document begins where its sample does");
                assert_eq!((inputs[place] - inputs[start]) as usize, place - start, "and is that sample alone");
            }
        }
    }

    #[test]
    fn packing_never_computes_more_places() {
        let stream = crate::random::Stream::new(3, "lengths");
        for case in 0..200 {
            let mut draws = stream.at(case);
            let sequence = 8 + draws.below(120) as usize;
            let lengths: Vec<usize> =
                (0..1 + draws.below(40)).map(|_| 1 + draws.below(sequence as u64) as usize).collect();
            let before = batch(&lengths, sequence);
            let after = before.clone().packed(sequence, 9_999);
            assert!(after.time(sequence) * after.count() <= before.time(sequence) * before.count());
            assert_eq!(after.inputs.len(), after.count() * sequence);
            assert!(after.starts.is_empty() || after.starts.len() == after.inputs.len());
            assert_eq!(samples(&before, sequence), samples(&after, sequence));
        }
    }

    #[test]
    fn rows_that_are_full_stay_as_they_are() {
        let before = batch(&[16, 15, 16], 16);
        assert_eq!(before.clone().packed(16, 9_999), before);
        assert_eq!(Batch::default().packed(16, 9_999), Batch::default());
    }
}
