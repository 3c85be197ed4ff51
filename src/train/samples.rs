//! Supervised fine-tuning rows: one sample each.

use super::batch::Batch;
use super::corpus::Corpus;
use super::error::TrainError;
use super::observer::BatchFacts;

/// Samples, one a row. A sample longer than the sequence loses tokens at the front of its prompt; where the response alone
/// is too long, it loses its end and keeps one token of the prompt before it. Both are counted, never silent.
pub(crate) struct Samples<'a> {
    corpus: &'a dyn Corpus,
    sequence: usize,
    pad: u32,
    /// First and past-the-last token of each row.
    rows: Vec<(u64, u64)>,
    facts: BatchFacts,
}

impl<'a> Samples<'a> {
    pub fn new(corpus: &'a dyn Corpus, sequence: usize, pad: u32) -> Result<Samples<'a>, TrainError> {
        let mut facts = BatchFacts::default();
        let mut rows = Vec::new();
        let most = sequence as u64 + 1;
        let mut mask = Vec::new();
        for span in corpus.offsets().windows(2) {
            let (start, end) = (span[0], span[1]);
            mask.resize((end - start) as usize, false);
            corpus.supervised(start, &mut mask);
            // The first token is never predicted, so it cannot carry loss.
            let Some(first) = mask.iter().skip(1).position(|on| *on).map(|at| start + at as u64 + 1) else {
                facts.left_out += 1;
                continue;
            };
            rows.push(if end - start <= most {
                (start, end)
            } else if end - first < most {
                facts.prompts_cut += 1;
                (end - most, end)
            } else {
                facts.prompts_cut += u64::from(first - 1 > start);
                facts.responses_cut += 1;
                (first - 1, first - 1 + most)
            });
        }
        if rows.is_empty() {
            return Err(TrainError::NothingSupervised {
                hint: "only responses carry loss, and no sample has one after a prompt; check the dataset's `response` field",
            });
        }
        facts.rows = rows.len() as u64;
        Ok(Samples { corpus, sequence, pad, rows, facts })
    }

    pub fn count(&self) -> usize {
        self.rows.len()
    }

    pub fn facts(&self) -> BatchFacts {
        self.facts
    }

    pub fn push(&self, row: usize, batch: &mut Batch) {
        let (start, end) = self.rows[row];
        let len = (end - start) as usize;
        let (mut tokens, mut supervised) = (vec![0; len], vec![false; len]);
        self.corpus.read(start, &mut tokens);
        self.corpus.supervised(start, &mut supervised);
        batch.push(&tokens, &supervised, self.sequence, self.pad);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::MemoryCorpus;

    fn rows(samples: &[(Vec<u32>, Vec<u32>)], sequence: usize) -> (Batch, BatchFacts) {
        let corpus = MemoryCorpus::samples(samples);
        let samples = Samples::new(&corpus, sequence, 99).unwrap();
        let mut batch = Batch::default();
        (0..samples.count()).for_each(|row| samples.push(row, &mut batch));
        (batch, samples.facts())
    }

    #[test]
    fn only_responses_carry_loss_and_rows_are_padded() {
        let (batch, facts) = rows(&[(vec![1, 2, 3], vec![4, 5])], 6);
        assert_eq!(batch.inputs, [1, 2, 3, 4, 99, 99]);
        assert_eq!(batch.targets, [2, 3, 4, 5, 99, 99]);
        assert_eq!(batch.supervised, [false, false, true, true, false, false]);
        assert_eq!((batch.tokens, facts.rows, facts.prompts_cut), (4, 1, 0));
    }

    #[test]
    fn a_long_prompt_loses_its_front_and_a_long_response_its_end() {
        let (batch, facts) = rows(&[(vec![1, 2, 3], vec![4, 5]), (vec![1, 2], vec![3, 4, 5, 6, 7])], 3);
        assert_eq!(batch.inputs, [2, 3, 4, 2, 3, 4]);
        assert_eq!(batch.targets, [3, 4, 5, 3, 4, 5]);
        assert_eq!((facts.prompts_cut, facts.responses_cut), (2, 1));
        assert_eq!(batch.weight(), 5);
    }

    #[test]
    fn samples_without_a_response_are_left_out_and_counted() {
        let (_, facts) = rows(&[(vec![1, 2], vec![]), (vec![1], vec![2])], 4);
        assert_eq!((facts.rows, facts.left_out), (1, 1));
        let corpus = MemoryCorpus::samples(&[(vec![1, 2], vec![])]);
        assert!(matches!(Samples::new(&corpus, 4, 0), Err(TrainError::NothingSupervised { .. })));
    }
}
