//! Rows of tokens, ready for the network.

use super::corpus::Corpus;
use super::error::TrainError;
use super::job::Objective;
use super::observer::BatchFacts;
use super::samples::Samples;
use super::windows::Windows;

/// Rows of one length: what goes in, what must come out, and where that counts.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Batch {
    pub inputs: Vec<u32>,
    pub targets: Vec<i32>,
    pub supervised: Vec<bool>,
    /// Tokens that are not padding.
    pub tokens: u64,
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
    }

    /// Rows `from..to` of `sequence` tokens, padded to `to - from` rows where there are fewer.
    pub fn rows(&self, from: usize, to: usize, sequence: usize, pad: u32) -> Batch {
        let end = (to * sequence).min(self.inputs.len());
        let start = (from * sequence).min(end);
        let mut batch = Batch {
            inputs: self.inputs[start..end].to_vec(),
            targets: self.targets[start..end].to_vec(),
            supervised: self.supervised[start..end].to_vec(),
            tokens: 0,
        };
        let full = (to - from) * sequence;
        batch.inputs.resize(full, pad);
        batch.targets.resize(full, pad as i32);
        batch.supervised.resize(full, false);
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
            Objective::NextToken => Windows::new(corpus, sequence, pad, seed).map(Rows::Windows),
            Objective::Sft => Samples::new(corpus, sequence, pad).map(Rows::Samples),
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
            Objective::NextToken => Windows::to_validate(corpus, sequence, pad, 0).map(Rows::Windows),
            Objective::Sft => Samples::new(corpus, sequence, pad).map(Rows::Samples),
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
