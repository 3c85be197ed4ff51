//! Pretraining rows: the corpus laid end to end and cut into windows.

use super::batch::Batch;
use super::corpus::Corpus;
use super::error::TrainError;
use super::job::Boundary;
use crate::random::Stream;

/// Windows of `sequence + 1` tokens, each sharing its last token with the next one's first. Every epoch starts at another
/// offset, so that a token is not always at the same place of its window.
pub(crate) struct Windows<'a> {
    corpus: &'a dyn Corpus,
    sequence: usize,
    pad: u32,
    offsets: Stream,
    /// Where documents begin that are kept from seeing each other; absent where they are not.
    apart: Option<Boundary>,
}

impl<'a> Windows<'a> {
    /// Windows to learn from.
    ///
    /// # Errors
    /// Too few tokens for one window, or none that carries loss.
    pub fn new(
        corpus: &'a dyn Corpus,
        sequence: usize,
        pad: u32,
        seed: u64,
        apart: Option<Boundary>,
    ) -> Result<Windows<'a>, TrainError> {
        if corpus.tokens() <= sequence as u64 {
            return Err(TrainError::TooLittle { tokens: corpus.tokens(), sequence });
        }
        Windows::to_validate(corpus, sequence, pad, seed, apart)
    }

    /// Windows to validate on: less than one window will do.
    ///
    /// # Errors
    /// No token that carries loss and can be predicted.
    pub fn to_validate(
        corpus: &'a dyn Corpus,
        sequence: usize,
        pad: u32,
        seed: u64,
        apart: Option<Boundary>,
    ) -> Result<Windows<'a>, TrainError> {
        if !any_supervised(corpus) {
            return Err(TrainError::NothingSupervised { hint: "the corpus masks every token" });
        }
        Ok(Windows { corpus, sequence, pad, offsets: Stream::new(seed, "window offset"), apart })
    }

    pub fn count(&self, epoch: u64) -> usize {
        ((self.corpus.tokens() - 1 - self.offset(epoch)) / self.sequence as u64) as usize
    }

    pub fn push(&self, epoch: u64, row: usize, batch: &mut Batch) {
        let start = self.offset(epoch) + row as u64 * self.sequence as u64;
        self.push_from(start, self.sequence + 1, batch);
    }

    /// The last window of a validation pass may be shorter, so that every target is counted once.
    pub fn valid_count(&self) -> usize {
        (self.corpus.tokens() - 1).div_ceil(self.sequence as u64) as usize
    }

    pub fn push_valid(&self, row: usize, batch: &mut Batch) {
        let start = row as u64 * self.sequence as u64;
        let len = (self.corpus.tokens() - start).min(self.sequence as u64 + 1);
        self.push_from(start, len as usize, batch);
    }

    /// Between 0 and what leaves at least one window.
    fn offset(&self, epoch: u64) -> u64 {
        let room = (self.corpus.tokens() - self.sequence as u64).min(self.sequence as u64);
        if epoch == 0 { 0 } else { self.offsets.at(epoch).below(room) }
    }

    fn push_from(&self, start: u64, len: usize, batch: &mut Batch) {
        let (mut tokens, mut supervised) = (vec![0; len], vec![false; len]);
        self.corpus.read(start, &mut tokens);
        self.corpus.supervised(start, &mut supervised);
        batch.push(&tokens, &supervised, self.sequence, self.pad);
        if let Some(boundary) = self.apart {
            self.push_starts(start, boundary, batch);
        }
    }

    /// Where the document of each place of a row begins. Where one token ends texts and begins them, a document begins with
    /// the token that ended the one before, as it does in generation and judgement: its first token is predicted from that
    /// alone.
    fn push_starts(&self, start: u64, boundary: Boundary, batch: &mut Batch) {
        let ends = self.corpus.offsets();
        let shared = u64::from(boundary == Boundary::End);
        // The first document that begins after the row's first token.
        let mut next = ends.partition_point(|end| *end <= start + shared);
        let mut begin = 0;
        for place in 0..self.sequence as u64 {
            while ends.get(next).is_some_and(|end| *end - shared <= start + place) {
                begin = (ends[next] - shared - start) as u32;
                next += 1;
            }
            batch.starts.push(begin);
        }
    }
}

/// Whether any token that can be predicted carries loss.
fn any_supervised(corpus: &dyn Corpus) -> bool {
    const BLOCK: u64 = 1 << 16;
    let mut start = 1;
    let mut mask = Vec::new();
    while start < corpus.tokens() {
        mask.resize(BLOCK.min(corpus.tokens() - start) as usize, false);
        corpus.supervised(start, &mut mask);
        if mask.contains(&true) {
            return true;
        }
        start += BLOCK;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::MemoryCorpus;

    #[test]
    fn an_epoch_shows_each_window_once_and_moves_on_the_next() {
        let corpus = MemoryCorpus::new(&[(0..103).collect()]);
        let windows = Windows::new(&corpus, 10, 0, 7, None).unwrap();
        let mut batch = Batch::default();
        (0..windows.count(0)).for_each(|row| windows.push(0, row, &mut batch));
        assert_eq!(batch.inputs, (0..100).collect::<Vec<u32>>());
        assert_eq!(batch.targets, (1..101).collect::<Vec<i32>>());
        let starts: Vec<u32> = (1..5)
            .map(|epoch| {
                let mut batch = Batch::default();
                windows.push(epoch, 0, &mut batch);
                batch.inputs[0]
            })
            .collect();
        assert!(starts.iter().any(|start| *start != starts[0]) && starts.iter().all(|start| *start < 10), "{starts:?}");
    }

    #[test]
    fn validation_counts_every_target_once() {
        let corpus = MemoryCorpus::new(&[(0..95).collect()]);
        let windows = Windows::new(&corpus, 10, 0, 7, None).unwrap();
        let mut batch = Batch::default();
        (0..windows.valid_count()).for_each(|row| windows.push_valid(row, &mut batch));
        assert_eq!(batch.weight(), 94);
        assert_eq!(batch.inputs.len(), 100);
    }

    #[test]
    fn a_document_begins_with_the_token_that_ended_the_one_before() {
        // 9 ends documents.
        let corpus = MemoryCorpus::new(&[vec![1, 2, 9], vec![3, 9], vec![4, 5, 6, 7, 8, 9]]);
        let windows = Windows::new(&corpus, 5, 0, 7, Some(Boundary::End)).unwrap();
        let mut batch = Batch::default();
        (0..2).for_each(|row| windows.push(0, row, &mut batch));
        assert_eq!(batch.inputs, [1, 2, 9, 3, 9, 4, 5, 6, 7, 8]);
        assert_eq!(batch.starts, [0, 0, 2, 2, 4, 0, 0, 0, 0, 0]);
        // Where texts have a first token of their own, it is theirs.
        let begun = Windows::new(&corpus, 5, 0, 7, Some(Boundary::Begin)).unwrap();
        let mut other = Batch::default();
        (0..2).for_each(|row| begun.push(0, row, &mut other));
        assert_eq!(other.starts, [0, 0, 0, 3, 3, 0, 0, 0, 0, 0]);
        let cut = batch.rows(0, 3, 5, 4, 0);
        assert_eq!(cut.starts, [0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn too_few_tokens_and_masked_tokens_are_refused() {
        let short = MemoryCorpus::new(&[vec![1; 10]]);
        assert!(matches!(
            Windows::new(&short, 10, 0, 7, None),
            Err(TrainError::TooLittle { tokens: 10, sequence: 10 })
        ));
        let masked = MemoryCorpus::samples(&[(vec![1; 50], vec![])]);
        assert!(matches!(Windows::new(&masked, 10, 0, 7, None), Err(TrainError::NothingSupervised { .. })));
    }
}
