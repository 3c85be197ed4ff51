//! Looking at the numbers of a forward pass on their way through the network.

use burn::tensor::Tensor;
use std::cell::RefCell;

/// A kind of place that a [`Probe`] looks at; places of one kind in several blocks are looked at together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Seen {
    /// What goes into the first block.
    Embedding,
    /// Scores of queries with keys, scaled, before masks and softmax.
    Scores,
    /// What attention adds to the residual stream.
    Attention,
    /// What the feed-forward layer adds to the residual stream.
    FeedForward,
    /// What the last norm puts out.
    Final,
    /// What the output matrix makes of that.
    Logits,
}

/// Keeps what a pass shows it, in the order of the pass.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    seen: RefCell<Vec<(Seen, Tensor<2>)>>,
}

impl Probe {
    pub fn see(&self, what: Seen, x: &Tensor<2>) {
        self.seen.borrow_mut().push((what, x.clone()));
    }

    pub fn into_seen(self) -> Vec<(Seen, Tensor<2>)> {
        self.seen.into_inner()
    }
}
