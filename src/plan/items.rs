//! The checked items as the types of [`spec`](super::spec), with their places.

use super::spec;
use crate::check::{Checked, CheckedItem};
use crate::diagnostics::{Code, Problem, Problems};
use crate::source::Span;
use crate::syntax::ast::Kind;
use indexmap::IndexMap;
use serde::de::DeserializeOwned;

/// A checked item and its typed value.
#[derive(Debug)]
pub(super) struct Item<'a, T> {
    pub from: &'a CheckedItem,
    pub spec: T,
}

/// All items by name, in the order of the checker.
#[derive(Debug)]
pub(super) struct Items<'a> {
    pub checked: &'a Checked,
    pub experiment: Option<Item<'a, spec::Experiment>>,
    pub datasets: IndexMap<&'a str, Item<'a, spec::Dataset>>,
    pub tokenizers: IndexMap<&'a str, Item<'a, spec::Tokenizer>>,
    pub models: IndexMap<&'a str, Item<'a, spec::Model>>,
    pub stages: IndexMap<&'a str, Item<'a, spec::Stage>>,
    pub evals: IndexMap<&'a str, Item<'a, spec::Eval>>,
    pub reviews: IndexMap<&'a str, Item<'a, spec::Review>>,
}

impl<'a> Items<'a> {
    /// Reads every item; one whose value does not fit its type is reported and left out. So is, without a word, one of
    /// which something is wrong that has been reported.
    pub fn read(checked: &'a Checked, problems: &mut Problems) -> Items<'a> {
        let mut items = Items {
            checked,
            experiment: None,
            datasets: IndexMap::new(),
            tokenizers: IndexMap::new(),
            models: IndexMap::new(),
            stages: IndexMap::new(),
            evals: IndexMap::new(),
            reviews: IndexMap::new(),
        };
        for item in checked.items.iter().filter(|i| i.gaps.is_empty()) {
            match item.kind {
                Kind::Experiment => items.experiment = typed(item, problems),
                Kind::Dataset => insert(&mut items.datasets, item, problems),
                Kind::Tokenizer => insert(&mut items.tokenizers, item, problems),
                Kind::Model => insert(&mut items.models, item, problems),
                Kind::Stage => insert(&mut items.stages, item, problems),
                Kind::Eval => insert(&mut items.evals, item, problems),
                Kind::Review => insert(&mut items.reviews, item, problems),
                // Sweeps are read by those who run them, from `Checked::sweeps`.
                Kind::Sweep => {}
            }
        }
        items
    }

    /// The experiment's own values, or the defaults of a file that declares none.
    pub fn experiment(&self) -> spec::Experiment {
        self.experiment.as_ref().map_or_else(
            || spec::Experiment { language: 1, seed: 0, license: None, authors: Vec::new(), description: None },
            |e| e.spec.clone(),
        )
    }

    /// The network that a model item declares.
    pub fn decoder(&self, name: &str) -> Option<(&'a CheckedItem, &spec::Decoder)> {
        self.models.get(name).map(|item| match &item.spec {
            spec::Model::Decoder(decoder) => (item.from, decoder),
        })
    }

    /// Where the experiment as a whole is declared, or the start of the file.
    pub fn whole(&self) -> Span {
        self.experiment.as_ref().map_or(Span::new(self.checked.main, 0, 0), |e| e.from.span)
    }
}

impl CheckedItem {
    /// Where the value at a dotted path was written: the leaf or record itself, else the nearest one around or below it,
    /// else the item. Fields inherited from a schema's base may be named with or without it (`training.budget`, `budget`).
    pub fn span_of(&self, path: &str) -> Span {
        let plain = |leaf: &'_ str| leaf.strip_prefix("training.").unwrap_or(leaf).replace('[', ".").replace(']', "");
        let mut wanted = path;
        loop {
            let below = format!("{wanted}.");
            let mut leaves = self.leaves.iter();
            if let Some(leaf) = leaves.find(|l| plain(&l.path) == wanted) {
                return leaf.span;
            }
            if let Some((_, span)) = self.places.iter().find(|(path, _)| plain(path) == wanted) {
                return *span;
            }
            if let Some(leaf) = self.leaves.iter().find(|l| plain(&l.path).starts_with(&below)) {
                return leaf.span;
            }
            match wanted.rsplit_once('.') {
                Some((around, _)) => wanted = around,
                None => return self.span,
            }
        }
    }
}

fn insert<'a, T: DeserializeOwned>(
    into: &mut IndexMap<&'a str, Item<'a, T>>,
    item: &'a CheckedItem,
    problems: &mut Problems,
) {
    if let Some(item) = typed(item, problems) {
        into.insert(&item.from.name, item);
    }
}

fn typed<'a, T: DeserializeOwned>(item: &'a CheckedItem, problems: &mut Problems) -> Option<Item<'a, T>> {
    match T::deserialize(&item.json) {
        Ok(spec) => Some(Item { from: item, spec }),
        Err(error) => {
            let message = format!("bug in Emberlab: the checked value of `{}` does not fit its type", item.name);
            let problem = Problem::new(Code::E0304, item.span, message)
                .label(format!("checked as a {} of the kind `{}`", item.kind.keyword(), item.schema))
                .note(error.to_string())
                .help("please report this with the file; the mistake is not yours");
            problems.push(problem);
            None
        }
    }
}
