//! The seam between tokens on disk and training.

/// Tokens a stage trains or validates on, laid end to end, with document boundaries.
pub trait Corpus: Send + Sync {
    /// Tokens in all.
    fn tokens(&self) -> u64;

    /// Where each document starts, and the end: one entry more than there are documents, the first 0, the last
    /// [`Corpus::tokens`].
    fn offsets(&self) -> &[u64];

    /// Copies `out.len()` tokens from position `start`.
    fn read(&self, start: u64, out: &mut [u32]);

    /// Which of the tokens from `start` carry loss; all of them where there is no mask.
    fn supervised(&self, start: u64, out: &mut [bool]);
}
