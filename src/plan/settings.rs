//! Settings of a training stage that must fit its network and its length.

use super::chain::Chain;
use super::spec::{Group, Stage};
use crate::check::CheckedItem;
use crate::diagnostics::{Code, Problem, Problems};

/// Reports settings that could have no effect on the network that is trained.
pub(super) fn check(item: &CheckedItem, stage: &Stage, chain: &Chain<'_>, problems: &mut Problems) {
    let Some((model_item, model)) = chain.model else { return };
    if model.tied && stage.common().groups.head != Group::default() {
        problems.push(
            Problem::new(
                Code::E0614,
                item.span_of("groups.head"),
                format!("`{}` gives rates for an output matrix that `{}` does not have", item.name, model_item.name),
            )
            .label("for an output matrix of its own")
            .also(model_item.span_of("tied"), "the output shares the embedding")
            .help("set `groups.embedding` instead, or `tied = false` in the model"),
        );
    }
}
