//! Rows of tokens, ready for the network.

use super::corpus::Corpus;
use super::error::TrainError;
use super::job::Objective;
use super::observer::BatchFacts;
use super::samples::Samples;
use super::windows::Windows;
use crate::plan::row_length;
use std::ops::Range;

/// Rows of one length: what goes in, what must come out, and where that counts.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Batch {
    pub inputs: Vec<u32>,
    pub targets: Vec<i32>,
    pub supervised: Vec<bool>,
    /// For every place where in its row its document begins; empty where rows are seen whole.
    pub starts: Vec<u32>,
    /// Tokens that are not padding.
    pub tokens: u64,
    /// Tokens of each row, padding not counted.
    pub lengths: Vec<usize>,
}

impl Batch {
    /// Supervised targets.
    pub fn weight(&self) -> u64 {
        self.supervised.iter().filter(|on| **on).count() as u64
    }

    /// Adds a row from `tokens`, each of which predicts the next; `supervised[i]` says whether predicting token `i` counts.
    /// A row shorter than `sequence` is padded.
    pub fn push(&mut self, tokens: &[u32], supervised: &[bool], sequence: usize, pad: u32) {
        let len = tokens.len().saturating_sub(1).min(sequence);
        let rest = sequence - len;
        self.inputs.extend_from_slice(&tokens[..len]);
        self.inputs.extend(std::iter::repeat_n(pad, rest));
        self.targets.extend(tokens.iter().skip(1).take(len).map(|id| *id as i32));
        self.targets.extend(std::iter::repeat_n(pad as i32, rest));
        self.supervised.extend(supervised.iter().skip(1).take(len));
        self.supervised.extend(std::iter::repeat_n(false, rest));
        self.tokens += len as u64;
        self.lengths.push(len);
    }

    /// Rows.
    pub fn count(&self) -> usize {
        self.lengths.len()
    }

    /// Which places of rows of `time` belong to each of the sequences: to a row as far as it is no padding, or to each document
    /// of it that sees itself alone.
    pub fn sequences(&self, time: usize) -> Vec<Range<usize>> {
        let mut sequences: Vec<Range<usize>> = Vec::new();
        for (row, len) in self.lengths.iter().enumerate() {
            let (mut first, end) = (row * time, row * time + (*len).min(time));
            for place in first + 1..end {
                if !self.starts.is_empty() && self.starts[place] != self.starts[first] {
                    sequences.push(first..place);
                    first = place;
                }
            }
            if first < end {
                sequences.push(first..end);
            }
        }
        sequences
    }

    /// The length that rows of `sequence` tokens can be cut to without losing any.
    pub fn time(&self, sequence: usize) -> usize {
        row_length(self.lengths.iter().max().copied().unwrap_or(0) as u64, sequence as u64) as usize
    }

    /// Rows `from..to` of `sequence` tokens, of each the first `time`, padded to `to - from` rows where there are fewer.
    pub fn rows(&self, from: usize, to: usize, sequence: usize, time: usize, pad: u32) -> Batch {
        let end = (to * sequence).min(self.inputs.len());
        let start = (from * sequence).min(end);
        fn cut<T: Copy>(numbers: &[T], sequence: usize, time: usize) -> Vec<T> {
            numbers.chunks_exact(sequence).flat_map(|row| &row[..time]).copied().collect()
        }
        let mut batch = Batch {
            inputs: cut(&self.inputs[start..end], sequence, time),
            targets: cut(&self.targets[start..end], sequence, time),
            supervised: cut(&self.supervised[start..end], sequence, time),
            starts: if self.starts.is_empty() { Vec::new() } else { cut(&self.starts[start..end], sequence, time) },
            tokens: 0,
            lengths: self.lengths.iter().skip(from).take(to - from).copied().collect(),
        };
        let full = (to - from) * time;
        batch.inputs.resize(full, pad);
        batch.targets.resize(full, pad as i32);
        batch.supervised.resize(full, false);
        batch.lengths.resize(to - from, 0);
        if !self.starts.is_empty() {
            batch.starts.resize(full, 0);
        }
        batch
    }
}

/// A corpus cut into rows.
pub(crate) enum Rows<'a> {
    Windows(Windows<'a>),
    Samples(Samples<'a>),
}

impl<'a> Rows<'a> {
    /// Cuts `corpus` for an objective.
    ///
    /// # Errors
    /// Too few tokens for one window, or none that carries loss.
    pub fn new(
        objective: Objective,
        corpus: &'a dyn Corpus,
        sequence: usize,
        pad: u32,
        seed: u64,
    ) -> Result<Rows<'a>, TrainError> {
        match objective {
            Objective::NextToken => Windows::new(corpus, sequence, pad, seed, None).map(Rows::Windows),
            Objective::NextTokenApart(boundary) => {
                Windows::new(corpus, sequence, pad, seed, Some(boundary)).map(Rows::Windows)
            }
            Objective::Sft | Objective::SftPacked => Samples::new(corpus, sequence, pad).map(Rows::Samples),
        }
    }

    /// Cuts `corpus` to validate on.
    ///
    /// # Errors
    /// No token that carries loss.
    pub fn to_validate(
        objective: Objective,
        corpus: &'a dyn Corpus,
        sequence: usize,
        pad: u32,
    ) -> Result<Rows<'a>, TrainError> {
        let rows = match objective {
            Objective::NextToken => Windows::to_validate(corpus, sequence, pad, 0, None).map(Rows::Windows),
            Objective::NextTokenApart(boundary) => {
                Windows::to_validate(corpus, sequence, pad, 0, Some(boundary)).map(Rows::Windows)
            }
            Objective::Sft | Objective::SftPacked => Samples::new(corpus, sequence, pad).map(Rows::Samples),
        };
        rows.map_err(|error| TrainError::Valid(Box::new(error)))
    }

    /// Rows of an epoch.
    pub fn count(&self, epoch: u64) -> usize {
        match self {
            Rows::Windows(windows) => windows.count(epoch),
            Rows::Samples(samples) => samples.count(),
        }
    }

    /// Appends row `row` of an epoch.
    pub fn push(&self, epoch: u64, row: usize, batch: &mut Batch) {
        match self {
            Rows::Windows(windows) => windows.push(epoch, row, batch),
            Rows::Samples(samples) => samples.push(row, batch),
        }
    }

    /// Rows of a validation pass: every supervised target once.
    pub fn valid_count(&self) -> usize {
        match self {
            Rows::Windows(windows) => windows.valid_count(),
            Rows::Samples(samples) => samples.count(),
        }
    }

    /// Appends row `row` of a validation pass.
    pub fn push_valid(&self, row: usize, batch: &mut Batch) {
        match self {
            Rows::Windows(windows) => windows.push_valid(row, batch),
            Rows::Samples(samples) => samples.push(row, batch),
        }
    }

    /// What is known about the rows.
    pub fn facts(&self) -> BatchFacts {
        match self {
            Rows::Windows(windows) => BatchFacts { rows: windows.count(0) as u64, ..BatchFacts::default() },
            Rows::Samples(samples) => samples.facts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Batch;

    #[test]
    fn rows_are_cut_to_the_longest_of_their_batch() {
        let mut batch = Batch::default();
        let all = [true; 16];
        batch.push(&[1, 2, 3, 4], &all[..4], 16, 9);
        batch.push(&[5, 6], &all[..2], 16, 9);
        // Steps of a sixteenth over eight lengths: two tokens each.
        assert_eq!((batch.lengths.as_slice(), batch.time(16)), ([3, 1].as_slice(), 4));
        let cut = batch.rows(0, 3, 16, 4, 9);
        assert_eq!(cut.inputs, [1, 2, 3, 9, 5, 9, 9, 9, 9, 9, 9, 9]);
        assert_eq!(cut.targets, [2, 3, 4, 9, 6, 9, 9, 9, 9, 9, 9, 9]);
        assert_eq!(cut.weight(), batch.weight());
        assert_eq!(cut.lengths, [3, 1, 0]);
        assert_eq!(cut.sequences(4), [0..3, 4..5]);
        let apart = Batch { starts: vec![0, 0, 2, 3, 0, 1, 1, 1, 0, 0, 0, 0], ..cut };
        assert_eq!(apart.sequences(4), [0..2, 2..3, 4..5]);
        batch.push(&[7; 16], &all, 16, 9);
        assert_eq!(batch.time(16), 16);
    }
}
