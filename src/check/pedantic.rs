//! What is legal but unwise. Only `--pedantic` shows it.

use super::{Checked, CheckedItem, Origin};
use crate::diagnostics::{Code, Problem, Problems};
use crate::resolve::Resolved;
use crate::source::Span;
use crate::syntax::ast::Kind;
use serde_json::Value as Json;

/// Looks at a checked experiment that has no errors.
pub fn look(checked: &Checked, resolved: &Resolved) -> Problems {
    let mut problems = Problems::default();
    for item in checked.items.iter().filter(|i| i.own) {
        match item.kind {
            Kind::Stage => {
                warm_up(item, &mut problems);
                compute_optimal(item, checked, &mut problems);
                whole_sequences(item, checked, &mut problems);
            }
            Kind::Eval => {
                overlap(item, checked, &mut problems);
                small_sample(item, &mut problems);
            }
            Kind::Tokenizer if item.schema == "wordpiece" => problems.push(
                Problem::new(Code::W1008, item.span, "training this tokenizer does not give the same result twice")
                    .help("byte-level BPE is reproducible; otherwise share the trained tokenizer with the experiment"),
            ),
            Kind::Experiment => seed(item, &mut problems),
            Kind::Dataset => licence(item, &mut problems),
            _ => {}
        }
    }
    unused(checked, resolved, &mut problems);
    problems
}

fn leaf_span(item: &CheckedItem, path: &str) -> Span {
    item.leaves.iter().find(|l| l.path == path).map_or(item.span, |l| l.span)
}

fn number(json: &Json, path: &str) -> Option<f64> {
    json.pointer(path)?.as_f64()
}

/// A learning rate from which training usually needs a warm-up.
const LARGE_RATE: f64 = 1e-3;

fn warm_up(item: &CheckedItem, problems: &mut Problems) {
    let rate = number(&item.json, "/training/optimizer/lr");
    let warmup = number(&item.json, "/training/schedule/warmup/amount");
    if rate.is_some_and(|r| r >= LARGE_RATE) && warmup == Some(0.0) {
        problems.push(
            Problem::new(Code::W1001, leaf_span(item, "optimizer.lr"), "a large learning rate without a warm-up")
                .also(leaf_span(item, "schedule.warmup"), "no warm-up")
                .help("add `warmup = 2%` to the schedule, or lower the rate"),
        );
    }
}

/// Tokens per parameter of compute-optimal training (Hoffmann et al. 2022).
const OPTIMAL: f64 = 20.0;

fn compute_optimal(item: &CheckedItem, checked: &Checked, problems: &mut Problems) {
    if item.schema != "next_token"
        || item.json.pointer("/training/budget/unit").and_then(Json::as_str) != Some("tokens")
    {
        return;
    }
    let tokens = number(&item.json, "/training/budget/amount").unwrap_or(0.0);
    let name = item.json.pointer("/training/model/ref").and_then(Json::as_str);
    let Some(model) = checked.items.iter().find(|i| i.kind == Kind::Model && Some(i.name.as_str()) == name) else {
        return;
    };
    // Without the embedding, whose size the tokenizer decides: good enough for a factor of ten.
    let field = |f: &str| number(&model.json, &format!("/{f}")).unwrap_or(0.0);
    let parameters = 12.0 * field("layers") * field("width") * field("width");
    if parameters > 0.0 {
        let ratio = tokens / parameters;
        if !(OPTIMAL / 10.0..=OPTIMAL * 50.0).contains(&ratio) {
            problems.push(
                Problem::new(Code::W1002, leaf_span(item, "budget"), "the budget is far from compute-optimal")
                    .label(format!("about {ratio:.1} tokens a parameter"))
                    .note(
                        "about 20 tokens a parameter make the best of a given amount of compute (Hoffmann et al. 2022)",
                    ),
            );
        }
    }
}

fn whole_sequences(item: &CheckedItem, checked: &Checked, problems: &mut Problems) {
    if item.json.pointer("/training/batch/unit").and_then(Json::as_str) != Some("tokens") {
        return;
    }
    let batch = number(&item.json, "/training/batch/amount").unwrap_or(0.0);
    let length = number(&item.json, "/training/sequence").or_else(|| number(&network(item, checked)?.json, "/context"));
    if let Some(length) = length
        && length > 0.0
        && batch > length
        && batch % length != 0.0
        && !leaves_out(batch, length)
    {
        // A batch below one sequence, or one of which much is left out, is told of without being asked.
        let near = (batch / length).round() * length;
        let (whole, learnt) = ((batch / length).floor(), (batch / length).floor() * length);
        problems.push(
            Problem::new(Code::W1004, leaf_span(item, "batch"), "the batch is not a whole number of sequences")
                .label(format!("{batch} tokens are {:.2} sequences of {length}", batch / length))
                .note(format!("a step learns from the {whole} that are whole: {learnt} tokens"))
                .help(format!("the nearest is {near} tokens")),
        );
    }
}

/// Whether so much of a batch in tokens is left out, because only whole sequences are learnt from, that it is told of without
/// being asked.
pub(crate) fn leaves_out(batch: f64, length: f64) -> bool {
    batch - (batch / length).floor() * length >= MOST_LEFT_OUT * batch
}

/// The share of a batch that may be left out without a word.
const MOST_LEFT_OUT: f64 = 0.1;

/// The model that a stage trains, its own or that of the stage it starts from.
fn network<'a>(stage: &CheckedItem, checked: &'a Checked) -> Option<&'a CheckedItem> {
    let named = |item: &CheckedItem, pointer: &str, kind: Kind| {
        let name = item.json.pointer(pointer).and_then(Json::as_str)?;
        checked.items.iter().find(|i| i.kind == kind && i.name == name)
    };
    let mut stage = stage;
    // No more steps than there are items: stages may start from each other, which the plan reports.
    for _ in 0..checked.items.len() {
        if let Some(model) = named(stage, "/training/model/ref", Kind::Model) {
            return Some(model);
        }
        stage = named(stage, "/training/init/ref", Kind::Stage)?;
    }
    None
}

/// The dataset and split that a field names.
fn named(json: &Json) -> Option<(String, Option<String>)> {
    let dataset = json.pointer("/dataset")?;
    let name = dataset.pointer("/ref")?.as_str()?.to_owned();
    Some((name, dataset.pointer("/split").and_then(Json::as_str).map(str::to_owned)))
}

/// Below this many items a bootstrap interval is wider than the differences one looks for, and itself uncertain.
const FEWEST_ITEMS: f64 = 30.0;

fn small_sample(item: &CheckedItem, problems: &mut Problems) {
    let limit = number(&item.json, "/limit").map(|n| (n, "limit"));
    let taken = item.json.get("on").and_then(taken).map(|n| (n, "on"));
    let least = limit.into_iter().chain(taken).min_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((items, field)) = least.filter(|(n, _)| *n < FEWEST_ITEMS) {
        problems.push(
            Problem::new(Code::W1006, leaf_span(item, field), "the sample is too small for its metrics to mean much")
                .label(format!("at most {items} items"))
                .help(format!("judge on at least {FEWEST_ITEMS} items, or read the interval and not the value")),
        );
    }
}

/// At how many documents a dataset is cut off, if it is.
fn taken(mut dataset: &Json) -> Option<f64> {
    let mut least: Option<f64> = None;
    loop {
        if dataset.get("is").and_then(Json::as_str) == Some("take")
            && let Some(documents) = number(dataset, "/documents")
        {
            least = Some(least.map_or(documents, |n| n.min(documents)));
        }
        match dataset.get("input") {
            Some(input) => dataset = input,
            None => return least,
        }
    }
}

fn overlap(item: &CheckedItem, checked: &Checked, problems: &mut Problems) {
    let Some(on) = item.json.pointer("/on").and_then(named) else { return };
    for stage in checked.items.iter().filter(|i| i.kind == Kind::Stage) {
        let Some(data) = stage.json.pointer("/training/data").and_then(named) else { continue };
        let same = data.0 == on.0 && (data.1 == on.1 || data.1.is_none() || on.1.is_none());
        if same {
            problems.push(
                Problem::new(Code::W1003, leaf_span(item, "on"), "the evaluation set overlaps training data")
                    .label("judged on this")
                    .also(leaf_span(stage, "data"), format!("`{}` is trained on it", stage.name))
                    .help("judge on a split that no stage trains on"),
            );
        }
    }
}

fn seed(item: &CheckedItem, problems: &mut Problems) {
    let set = item.leaves.iter().any(|l| l.path == "seed" && l.origin != Origin::Default);
    if !set {
        problems.push(
            Problem::new(Code::W1007, item.span, "the experiment names no seed")
                .label("the default seed is used")
                .help("write `seed = 42`, so that readers see what is varied"),
        );
    }
}

/// A dataset that reads files and names no licence.
fn licence(item: &CheckedItem, problems: &mut Problems) {
    let mut at = &item.json;
    while let Some(input) = at.get("input") {
        at = input;
    }
    let reads = at.get("files").is_some();
    if reads && at.get("license").is_some_and(Json::is_null) {
        problems.push(
            Problem::new(Code::W1009, item.span, "the dataset names no licence")
                .help("add `license = \"…\"` to its source, so that the experiment can be shared"),
        );
    }
}

fn unused(checked: &Checked, resolved: &Resolved, problems: &mut Problems) {
    let module = resolved.module(resolved.main);
    let text: Vec<&str> = module.layers.iter().filter_map(|l| resolved.sources.get(l.file)).map(|f| &*f.text).collect();
    for item in
        checked.items.iter().filter(|i| i.own && matches!(i.kind, Kind::Dataset | Kind::Tokenizer | Kind::Model))
    {
        let mentions: usize = text.iter().map(|t| words(t).filter(|w| *w == item.name).count()).sum();
        let declared = module.names.get(item.name.as_str()).map_or(1, |e| e.definitions.len());
        if mentions <= declared {
            problems.push(
                Problem::new(Code::W1005, item.span, format!("{} `{}` is not used", item.kind.keyword(), item.name))
                    .help("remove it, or use it"),
            );
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}
