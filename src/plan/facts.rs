//! The values that enter a hash, kept so that a changed hash can be explained.

use super::figures::plural;
use super::inputs::Found;
use super::items::Items;
use super::spec::Precision;
use super::{Digest, Fact};
use crate::check::{CheckedItem, Leaf};
use crate::source::{Sources, Span};

/// Up to so many files of one pattern are told apart; above, they are one fact.
const FILES: usize = 500;

/// Fields that change no result, by their last name; but see [`counts`].
const LEFT_OUT: [&str; 8] =
    ["license", "because", "files", "folder", "checkpoint", "checkpoints", "micro_batch", "recompute"];

/// The facts of an item: leaves at or below `within` (all of them if empty), but none below `without`.
pub(super) fn of_item(sources: &Sources, item: &CheckedItem, within: &str, without: &[String]) -> Vec<Fact> {
    let path = |leaf: &Leaf| leaf.path.strip_prefix("training.").unwrap_or(&leaf.path).to_owned();
    let lies_in = |path: &str, field: &str| {
        field.is_empty() || path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    (item.leaves.iter().map(|leaf| (path(leaf), leaf)))
        .filter(|(path, _)| lies_in(path, within) && !without.iter().any(|w| lies_in(path, w)))
        // Said or not, f32 is the same.
        .filter(|(path, leaf)| path != "precision" || leaf.shown != Precision::F32.name())
        .filter(|(path, _)| !LEFT_OUT.contains(&path.rsplit('.').next().unwrap_or(path)) || counts(item, path))
        .map(|(path, leaf)| Fact {
            path: format!("{}.{path}", item.name),
            value: value(item, leaf),
            place: place(sources, leaf.span),
        })
        .collect()
}

/// Whether a field counts that elsewhere changes no result: the pieces of a batch where gradients are of f16, and where
/// checkpoints are in a stage that goes back to them.
fn counts(item: &CheckedItem, path: &str) -> bool {
    let training = |field: &str| item.json.pointer(&format!("/training/{field}")).and_then(|value| value.as_str());
    match path {
        "micro_batch" => training("precision") == Some(Precision::MixedF16.name()),
        "checkpoint" => training("on_spike/action") == Some("roll_back"),
        _ => false,
    }
}

/// The value as it is shown; one that is cut short carries its digest, so that a change beyond the cut is noticed.
fn value(item: &CheckedItem, leaf: &Leaf) -> String {
    if !leaf.shown.ends_with('…') {
        return leaf.shown.clone();
    }
    let pointer = format!("/{}", leaf.path.replace('[', ".").replace(']', "").replace('.', "/"));
    let whole = item.json.pointer(&pointer).or_else(|| item.json.pointer(&format!("/training{pointer}")));
    let digest = whole.map(|json| super::canonical::digest("value", json)).unwrap_or_default();
    format!("{} {}", leaf.shown, digest.get(..12).unwrap_or(""))
}

/// The fact that the experiment's seed has its value.
pub(super) fn of_seed(items: &Items<'_>, seed: i64) -> Fact {
    let place = items.experiment.as_ref().map(|e| place(&items.checked.sources, e.from.span_of("seed")));
    Fact { path: "experiment.seed".into(), value: seed.to_string(), place: place.unwrap_or_default() }
}

/// The fact that a stage has the chat template of one it comes from.
pub(super) fn of_template(stage: &str, template: &super::spec::Template) -> Fact {
    let digest = super::canonical::digest("value", &serde_json::json!(template.jinja));
    let value = digest.chars().take(12).collect();
    Fact { path: format!("{stage}.template.jinja"), value, place: String::new() }
}

/// The fact that a part of the engine has its version.
pub(super) fn of_version(part: &str, version: u32) -> Fact {
    Fact { path: format!("emberlab.{part}"), value: format!("version {version}"), place: String::new() }
}

/// The contents of the files that a pattern found, seen from the folder the pattern is relative to.
pub(super) fn of_files(found: &Found) -> Vec<Fact> {
    let Some(inputs) = found.inputs.value() else { return Vec::new() };
    let fact = |path: String, digest: &Digest| Fact {
        path: format!("contents of {path}"),
        value: digest.chars().take(12).collect(),
        place: String::new(),
    };
    let near = |path: &str| match path.strip_prefix(&found.base) {
        Some(rest) if !found.base.is_empty() => rest.trim_start_matches('/').to_owned(),
        _ => path.to_owned(),
    };
    if inputs.len() > FILES {
        let digests: Vec<&Digest> = inputs.iter().map(|i| &i.digest).collect();
        let all = super::canonical::digest("files", &serde_json::json!(digests));
        let name = format!("{} ({})", near(&found.files), plural(inputs.len() as u64, "file", "files"));
        return vec![fact(name, &all)];
    }
    inputs.iter().map(|i| fact(near(&i.path), &i.digest)).collect()
}

/// `storyteller.exp:52:15`.
pub(super) fn place(sources: &Sources, span: Span) -> String {
    let place = sources.place(span);
    match sources.get(span.file) {
        Some(file) => format!("{}:{}:{}", file.path, place.line, place.column),
        None => String::new(),
    }
}
