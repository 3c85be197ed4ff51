//! What the items of a dataset are, found by following its expression to its sources.

use super::Shape;
use super::items::Items;
use super::spec::{Dataset, Mix};
use crate::check::CheckedItem;
use crate::diagnostics::{Code, Problem, Problems};
use crate::source::Span;

/// What a dataset holds, and the source that decides it.
#[derive(Clone, Debug)]
pub(super) struct Kindred {
    pub shape: Shape,
    /// The word of the source: `jsonl`.
    pub source: &'static str,
    pub place: Span,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Shape::Documents => "documents",
            Shape::Samples => "samples with a prompt and a response",
            Shape::Preferences => "preferences",
            Shape::Pairs => "pairs of sentences",
        })
    }
}

/// Follows the expression at `path` of `item` to its sources. Names must be known and not in a circle.
pub(super) fn kindred(items: &Items<'_>, item: &CheckedItem, data: &Dataset, path: &str) -> Option<Kindred> {
    let below = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    let here = |shape| Some(Kindred { shape, source: data.word(), place: item.span_of(&below("files")) });
    match data {
        Dataset::Text(_) => here(Shape::Documents),
        Dataset::Jsonl(j) => {
            here(if j.prompt.is_some() && j.response.is_some() { Shape::Samples } else { Shape::Documents })
        }
        Dataset::Grammar(g) => {
            here(if g.prompt.is_some() && g.response.is_some() { Shape::Samples } else { Shape::Documents })
        }
        Dataset::Preferences(_) => here(Shape::Preferences),
        Dataset::Pairs(_) => here(Shape::Pairs),
        Dataset::Named(named) => {
            let other = items.datasets.get(named.dataset.name.as_str())?;
            kindred(items, other.from, &other.spec, "")
        }
        Dataset::Mix(mix) => {
            let part = mix.parts.first()?;
            kindred(items, item, &part.data, &below("parts.0.data"))
        }
        other => kindred(items, item, other.input()?, &below("input")),
    }
}

/// Reports, in the expression at `path`, samples cut in half and mixtures of things that do not mix.
pub(super) fn check(items: &Items<'_>, item: &CheckedItem, data: &Dataset, path: &str, problems: &mut Problems) {
    let below = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    match data {
        Dataset::Jsonl(j) => halves(item, &below(""), j.prompt.is_some(), j.response.is_some(), problems),
        Dataset::Grammar(g) => halves(item, &below(""), g.prompt.is_some(), g.response.is_some(), problems),
        Dataset::Mix(parts) => mixture(items, item, parts, &below("parts"), problems),
        other => {
            if let Some(input) = other.input() {
                check(items, item, input, &below("input"), problems);
            }
        }
    }
}

fn halves(item: &CheckedItem, prefix: &str, prompt: bool, response: bool, problems: &mut Problems) {
    if prompt == response {
        return;
    }
    let (there, absent) = if prompt { ("prompt", "response") } else { ("response", "prompt") };
    let message = format!("`{}` names a {there} but no {absent}", item.name);
    let problem = Problem::new(Code::E0605, item.span_of(&format!("{prefix}{there}")), message)
        .label(format!("there is no `{absent}` to go with it"))
        .note("a sample has both; a document has neither")
        .help(format!("add `{absent} = \"…\"`, or remove `{there}`"));
    problems.push(problem);
}

fn mixture(items: &Items<'_>, item: &CheckedItem, mix: &Mix, path: &str, problems: &mut Problems) {
    let mut first: Option<(Kindred, String)> = None;
    for (i, part) in mix.parts.iter().enumerate() {
        let at = format!("{path}.{i}.data");
        check(items, item, &part.data, &at, problems);
        let Some(now) = kindred(items, item, &part.data, &at) else { continue };
        match &first {
            None => first = Some((now, at)),
            Some((before, place)) if before.shape != now.shape => {
                let message = format!("`{}` mixes {} with {}", item.name, before.shape, now.shape);
                let problem = Problem::new(Code::E0605, item.span_of(&at), message)
                    .label(format!("{} from `{}`", now.shape, now.source))
                    .also(item.span_of(place), format!("{} from `{}`", before.shape, before.source))
                    .help("mix datasets of one shape, or train on them in separate stages");
                problems.push(problem);
            }
            Some(_) => {}
        }
    }
}
