//! What a stage trains on, as the training loop sees it.

/// Tokens a stage trains or validates on, laid end to end, with document boundaries.
pub trait Corpus: Send + Sync {
    /// All tokens.
    fn tokens(&self) -> u64;
    /// First token of each document and, last, [`Corpus::tokens`]: one entry more than there are documents.
    fn offsets(&self) -> &[u64];
    /// Copies `out.len()` tokens from position `start`.
    fn read(&self, start: u64, out: &mut [u32]);
    /// Which of those tokens carry loss when they are predicted; all of them where there is no mask.
    fn supervised(&self, start: u64, out: &mut [bool]);
}

/// A corpus in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryCorpus {
    tokens: Vec<u32>,
    offsets: Vec<u64>,
    mask: Option<Vec<bool>>,
}

impl MemoryCorpus {
    /// Documents whose every token carries loss.
    pub fn new(documents: &[Vec<u32>]) -> MemoryCorpus {
        let mut offsets = vec![0];
        let mut tokens = Vec::new();
        for document in documents {
            tokens.extend_from_slice(document);
            offsets.push(tokens.len() as u64);
        }
        MemoryCorpus { tokens, offsets, mask: None }
    }

    /// Samples of which only the response carries loss.
    pub fn samples(samples: &[(Vec<u32>, Vec<u32>)]) -> MemoryCorpus {
        let documents: Vec<Vec<u32>> =
            samples.iter().map(|(prompt, response)| [prompt.as_slice(), response].concat()).collect();
        let mask = samples.iter().flat_map(|(prompt, response)| {
            std::iter::repeat_n(false, prompt.len()).chain(std::iter::repeat_n(true, response.len()))
        });
        MemoryCorpus { mask: Some(mask.collect()), ..MemoryCorpus::new(&documents) }
    }
}

impl Corpus for MemoryCorpus {
    fn tokens(&self) -> u64 {
        self.tokens.len() as u64
    }

    fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    fn read(&self, start: u64, out: &mut [u32]) {
        let start = start as usize;
        out.copy_from_slice(&self.tokens[start..start + out.len()]);
    }

    fn supervised(&self, start: u64, out: &mut [bool]) {
        match &self.mask {
            Some(mask) => out.copy_from_slice(&mask[start as usize..start as usize + out.len()]),
            None => out.fill(true),
        }
    }
}
