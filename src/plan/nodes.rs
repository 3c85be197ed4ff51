//! Every thing that a plan makes, seen alike.

use super::graph::{Digest, Fact, Known, Plan, PlannedDataset};
use super::meaning::{effective_seed, split_digest};
use super::spec::{Dataset, Named};
use crate::source::Input;

/// A thing that a plan makes.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    pub name: &'a str,
    /// `dataset`, `tokenizer`, `stage`, `eval` or `review`.
    pub kind: &'static str,
    pub hash: &'a Known<Digest>,
    pub depends_on: &'a [String],
    pub facts: &'a [Fact],
}

impl Plan {
    /// Everything that is made, each after what it needs.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        macro_rules! nodes {
            ($list:ident, $kind:literal) => {
                self.$list.iter().map(|n| Node {
                    name: &n.name,
                    kind: $kind,
                    hash: &n.hash,
                    depends_on: &n.depends_on,
                    facts: &n.facts,
                })
            };
        }
        nodes!(datasets, "dataset")
            .chain(nodes!(tokenizers, "tokenizer"))
            .chain(nodes!(stages, "stage"))
            .chain(nodes!(evals, "eval"))
            .chain(nodes!(reviews, "review"))
    }

    /// The thing of this name.
    pub fn node(&self, name: &str) -> Option<Node<'_>> {
        self.nodes().find(|n| n.name == name)
    }

    /// The dataset of this name.
    pub fn dataset(&self, name: &str) -> Option<&PlannedDataset> {
        self.datasets.iter().find(|d| d.name == name)
    }

    /// The identity of the data that a stage, tokenizer or evaluation names: of a dataset or of a split of one.
    pub fn data_hash(&self, data: &Dataset) -> Known<Digest> {
        match data {
            Dataset::Named(Named { dataset }) => match self.dataset(&dataset.name) {
                Some(d) => d.hash.clone().map(|hash| match &dataset.split {
                    Some(split) => split_digest(&hash, split),
                    None => hash,
                }),
                None => Known::Unknown(format!("there is no dataset `{}` in this plan", dataset.name)),
            },
            _ => Known::Unknown("datasets written in place stand in a plan under a name".to_owned()),
        }
    }

    /// The seed that an item with the seed `own` uses.
    pub fn seed(&self, own: i64) -> u64 {
        effective_seed(self.experiment.seed, own)
    }
}

impl PlannedDataset {
    /// The files of the `index`-th source of the expression, counted from the innermost step outwards and, in a mixture,
    /// part by part.
    pub fn inputs_of(&self, index: usize) -> &[Input] {
        let start: usize = self.sources.iter().take(index).map(|s| s.inputs).sum();
        let length = self.sources.get(index).map_or(0, |s| s.inputs);
        self.inputs.get(start..start + length).unwrap_or(&[])
    }
}
