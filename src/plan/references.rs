//! Which item needs which, and an order in which everything comes after what it needs.

use super::items::Items;
use super::spec::{Dataset, Ref, Stage, Tokenizer};
use crate::check::CheckedItem;
use crate::diagnostics::{Code, Problem, Problems, suggest};
use std::collections::BTreeMap;

/// A reference from one item to another, and the field that holds it.
pub(super) struct Reference<'a> {
    pub path: String,
    pub to: &'a Ref,
}

/// Names of datasets and of stages, each after those it needs.
pub(super) struct Order<'a> {
    pub datasets: Vec<&'a str>,
    pub stages: Vec<&'a str>,
}

/// Orders the items; reports references to nothing and items that need each other.
pub(super) fn order<'a>(items: &'a Items<'a>, problems: &mut Problems) -> Order<'a> {
    unknown_names(items, problems);
    sorted(items, problems)
}

/// Orders the items of which not all may be there; reports those that need each other.
pub(super) fn sorted<'a>(items: &'a Items<'a>, problems: &mut Problems) -> Order<'a> {
    let datasets: Vec<Node<'a>> = items
        .datasets
        .values()
        .map(|d| Node { item: d.from, needs: of_dataset(&d.spec, "").into_iter().map(near).collect() })
        .collect();
    let stages: Vec<Node<'a>> = items
        .stages
        .values()
        .map(|s| Node { item: s.from, needs: of_stage(&s.spec).into_iter().map(near).collect() })
        .collect();
    Order { datasets: sort(&datasets, Code::E0206, problems), stages: sort(&stages, Code::E0603, problems) }
}

/// The datasets that an expression names, with the path of each inside the expression at `path`.
pub(super) fn of_dataset<'a>(data: &'a Dataset, path: &str) -> Vec<Reference<'a>> {
    let below = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    match data {
        Dataset::Named(named) => vec![Reference { path: below("dataset"), to: &named.dataset }],
        Dataset::Mix(mix) => (mix.parts.iter().enumerate())
            .flat_map(|(i, part)| of_dataset(&part.data, &below(&format!("parts.{i}.data"))))
            .collect(),
        other => other.input().map_or_else(Vec::new, |input| of_dataset(input, &below("input"))),
    }
}

/// The stages that a stage needs: the one it starts from and the one that rewards it.
pub(super) fn of_stage(stage: &Stage) -> Vec<Reference<'_>> {
    let init = stage.init().map(|to| Reference { path: "init".into(), to });
    let reward = reward(stage).map(|to| Reference { path: "reward".into(), to });
    init.into_iter().chain(reward).collect()
}

/// The reward model that a stage learns from.
pub(super) fn reward(stage: &Stage) -> Option<&Ref> {
    match stage {
        Stage::Ppo(s) => Some(&s.reward),
        Stage::Grpo(s) => Some(&s.reward),
        _ => None,
    }
}

/// The text that a tokenizer is trained on.
pub(super) fn trained_on(tokenizer: &Tokenizer) -> Option<&Dataset> {
    match tokenizer {
        Tokenizer::Bpe(t) => Some(&t.train_on),
        Tokenizer::Characters(t) => Some(&t.train_on),
        Tokenizer::Wordpiece(t) => Some(&t.train_on),
        Tokenizer::TokenizerJson(_) | Tokenizer::Published(_) => None,
    }
}

impl Dataset {
    /// What a step works on; a source, a mixture and a name have no single input.
    pub fn input(&self) -> Option<&Dataset> {
        match self {
            Dataset::Normalize(s) => Some(&s.input),
            Dataset::StripHtml(s) => Some(&s.input),
            Dataset::CollapseWhitespace(s) => Some(&s.input),
            Dataset::Keep(s) => Some(&s.input),
            Dataset::Redact(s) => Some(&s.input),
            Dataset::Dedup(s) => Some(&s.input),
            Dataset::Take(s) => Some(&s.input),
            Dataset::Shuffle(s) => Some(&s.input),
            Dataset::Split(s) => Some(&s.input),
            Dataset::Text(_)
            | Dataset::Jsonl(_)
            | Dataset::Preferences(_)
            | Dataset::Grammar(_)
            | Dataset::Pairs(_)
            | Dataset::Mix(_)
            | Dataset::Named(_) => None,
        }
    }

    /// The word that writes it: `text`, `keep`, `mix`.
    pub fn word(&self) -> &'static str {
        match self {
            Dataset::Text(_) => "text",
            Dataset::Jsonl(_) => "jsonl",
            Dataset::Preferences(_) => "preferences",
            Dataset::Grammar(_) => "grammar",
            Dataset::Pairs(_) => "pairs",
            Dataset::Normalize(_) => "normalize",
            Dataset::StripHtml(_) => "strip_html",
            Dataset::CollapseWhitespace(_) => "collapse_whitespace",
            Dataset::Keep(_) => "keep",
            Dataset::Redact(_) => "redact",
            Dataset::Dedup(_) => "dedup",
            Dataset::Take(_) => "take",
            Dataset::Shuffle(_) => "shuffle",
            Dataset::Mix(_) => "mix",
            Dataset::Split(_) => "split",
            Dataset::Named(_) => "dataset",
        }
    }
}

struct Node<'a> {
    item: &'a CheckedItem,
    needs: Vec<(String, &'a str)>,
}

fn near(reference: Reference<'_>) -> (String, &str) {
    (reference.path, &reference.to.name)
}

/// Depth first in the order given. Each cycle is reported once, and an edge that closes one is ignored.
fn sort<'a>(nodes: &[Node<'a>], code: Code, problems: &mut Problems) -> Vec<&'a str> {
    let index: BTreeMap<&str, usize> = nodes.iter().enumerate().map(|(i, n)| (n.item.name.as_str(), i)).collect();
    let mut state = vec![Visit::New; nodes.len()];
    let mut sorted = Vec::with_capacity(nodes.len());
    for start in 0..nodes.len() {
        // An explicit stack, because a chain of amendments may be as long as the file.
        let mut stack: Vec<(usize, usize)> = Vec::new();
        if state[start] == Visit::New {
            state[start] = Visit::Open;
            stack.push((start, 0));
        }
        while let Some((at, edge)) = stack.pop() {
            let Some((_, need)) = nodes[at].needs.get(edge) else {
                state[at] = Visit::Done;
                sorted.push(nodes[at].item.name.as_str());
                continue;
            };
            stack.push((at, edge + 1));
            let Some(&next) = index.get(need) else { continue };
            match state[next] {
                Visit::New => {
                    state[next] = Visit::Open;
                    stack.push((next, 0));
                }
                Visit::Open => {
                    let from = stack.iter().position(|(n, _)| *n == next).unwrap_or(0);
                    let cycle: Vec<(&Node<'a>, &str)> =
                        stack[from..].iter().map(|(n, e)| (&nodes[*n], nodes[*n].needs[e - 1].0.as_str())).collect();
                    problems.push(cyclic(&cycle, code));
                }
                Visit::Done => {}
            }
        }
    }
    sorted
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}

fn cyclic(cycle: &[(&Node<'_>, &str)], code: Code) -> Problem {
    let names: Vec<&str> = cycle.iter().map(|(n, _)| n.item.name.as_str()).collect();
    let (first, field) = cycle[0];
    let needs = |i: usize| format!("`{}` needs `{}`", names[i], names[(i + 1) % names.len()]);
    let message = match names.as_slice() {
        [one] => format!("`{one}` needs itself"),
        _ => format!("{} need each other", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
    };
    let mut problem = Problem::new(code, first.item.span_of(field), message).label(needs(0));
    for (i, (node, field)) in cycle.iter().enumerate().skip(1) {
        problem = problem.also(node.item.span_of(field), needs(i));
    }
    problem.note("each would have to run before the other").help("let one of them start from something else")
}

/// Reports references that lead nowhere. The checker resolves names, so this is a second fence.
fn unknown_names(items: &Items<'_>, problems: &mut Problems) {
    let mut look = |item: &CheckedItem, path: &str, to: &Ref, kind: &str, known: Vec<&str>| {
        if known.contains(&to.name.as_str()) {
            return;
        }
        let mut problem = Problem::new(Code::E0201, item.span_of(path), format!("there is no {kind} `{}`", to.name));
        if let Some(like) = suggest::similar(&to.name, known).first() {
            problem = problem.help(format!("did you mean `{like}`?"));
        }
        problems.push(problem);
    };
    let datasets = || items.datasets.keys().copied().collect::<Vec<_>>();
    let stages = || items.stages.keys().copied().collect::<Vec<_>>();
    let mut data = |item: &CheckedItem, data: &Dataset, path: &str| {
        for reference in of_dataset(data, path) {
            look(item, &reference.path, reference.to, "dataset", datasets());
        }
    };
    items.datasets.values().for_each(|d| data(d.from, &d.spec, ""));
    for tokenizer in items.tokenizers.values() {
        if let Some(text) = trained_on(&tokenizer.spec) {
            data(tokenizer.from, text, "train_on");
        }
    }
    for stage in items.stages.values() {
        let Some(training) = stage.spec.training() else { continue };
        data(stage.from, &training.data, "data");
        if let Some(every) = &training.validate {
            data(stage.from, &every.on, "validate.on");
        }
    }
    items.evals.values().for_each(|e| data(e.from, &e.spec.on, "on"));
    items.reviews.values().for_each(|r| data(r.from, &r.spec.on, "on"));
    for stage in items.stages.values() {
        for reference in of_stage(&stage.spec) {
            look(stage.from, &reference.path, reference.to, "stage", stages());
        }
        let Some(training) = stage.spec.training() else { continue };
        if let Some(model) = &training.model {
            look(stage.from, "model", model, "model", items.models.keys().copied().collect());
        }
        if let Some(tokenizer) = &training.tokenizer {
            look(stage.from, "tokenizer", tokenizer, "tokenizer", items.tokenizers.keys().copied().collect());
        }
    }
    let judged = items.evals.values().map(|e| (e.from, &e.spec.of));
    for (item, of) in judged.chain(items.reviews.values().map(|r| (r.from, &r.spec.of))) {
        for stage in of {
            look(item, "of", stage, "stage", stages());
        }
    }
}
