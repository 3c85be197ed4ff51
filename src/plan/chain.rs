//! What a stage has, whether given in it or inherited from the stage it starts from.

use super::items::{Item, Items};
use super::published::{Folders, Named};
use super::spec::{Decoder, Tokenizer, Training};
use crate::check::CheckedItem;
use std::collections::BTreeMap;

/// The network and tokenizer of a stage, and where each was given.
#[derive(Clone, Copy)]
pub(super) struct Chain<'a> {
    /// The model item.
    pub model: Option<(&'a CheckedItem, &'a Decoder)>,
    /// The name of the tokenizer, and the stage that gives it.
    pub tokenizer: Option<(&'a str, &'a CheckedItem)>,
    /// The published network that it comes from.
    pub published: Option<&'a Named>,
}

/// The chain of every stage, following `init` in an order in which a stage comes after the one it starts from.
pub(super) fn chains<'a>(
    items: &'a Items<'a>,
    folders: &'a Folders,
    order: &[&'a str],
) -> BTreeMap<&'a str, Chain<'a>> {
    let mut chains: BTreeMap<&str, Chain<'a>> = BTreeMap::new();
    for name in order {
        let Some(Item { from, spec }) = items.stages.get(name) else { continue };
        let Some(training) = spec.training() else {
            let published = folders.of(name);
            let chain = Chain {
                model: published.map(|p| (*from, &p.folder.decoder)),
                tokenizer: published.map(|p| (p.tokenizer.as_str(), *from)),
                published,
            };
            chains.insert(name, chain);
            continue;
        };
        let before = training.init.as_ref().and_then(|i| chains.get(i.name.as_str()).copied());
        let own = training.model.as_ref().and_then(|m| items.decoder(&m.name));
        let tokenizer = training.tokenizer.as_ref().map(|t| (t.name.as_str(), *from));
        let chain = Chain {
            model: own.or(before.and_then(|b| b.model)),
            tokenizer: tokenizer.or(before.and_then(|b| b.tokenizer)),
            published: before.and_then(|b| b.published),
        };
        chains.insert(name, chain);
    }
    chains
}

/// Tokens in a sequence of a stage: what it says, or the network's context.
pub(super) fn sequence(stage: &Training, model: &Decoder) -> u64 {
    super::parameters::size(stage.sequence.unwrap_or(model.context))
}

/// Entries of a tokenizer, where the experiment says how many.
pub(super) fn stated_vocab(tokenizer: &Tokenizer) -> Option<i64> {
    match tokenizer {
        Tokenizer::Bpe(t) => Some(t.vocab),
        Tokenizer::Wordpiece(t) => Some(t.vocab),
        Tokenizer::TokenizerJson(t) => Some(t.vocab),
        Tokenizer::Published(t) => Some(t.vocab),
        Tokenizer::Characters(_) => None,
    }
}
