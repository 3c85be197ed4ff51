//! Every experiment of the repository checks without an error, and what the checker hands on is what the plan reads.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test reads the tree, and fails by panicking"
)]

use emberlab::check::{Checked, CheckedItem, Options, check_file};
use emberlab::diagnostics::render::{Format, Style, render};
use emberlab::plan::spec;
use emberlab::source::MemoryWorld;
use emberlab::source::disk::DiskWorld;
use emberlab::syntax::ast::Kind;
use serde::Deserialize;
use serde_json::Value as Json;

fn files() -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments"))
        .expect("the experiments")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".exp"))
        .map(|name| format!("experiments/{name}"))
        .collect();
    found.sort();
    found
}

/// The file, checked. Panics with its problems if it has errors.
fn checked(path: &str, overrides: &[(&str, &str)]) -> Checked {
    let world = DiskWorld::new(env!("CARGO_MANIFEST_DIR"));
    let overrides = overrides.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    let (checked, problems) = check_file(&world, path, &Options { overrides, pedantic: false });
    assert!(!problems.any_error(), "{}", render(Format::Human, &problems.sorted(), &checked.sources, Style::default()));
    checked
}

fn item<'a>(checked: &'a Checked, name: &str) -> &'a CheckedItem {
    checked.items.iter().find(|i| i.name == name).unwrap_or_else(|| panic!("there is no `{name}`"))
}

/// Whether the plan can read what the checker made.
fn read(kind: Kind, json: &Json) -> Result<(), serde_json::Error> {
    fn as_a<T: for<'de> Deserialize<'de>>(json: &Json) -> Result<(), serde_json::Error> {
        T::deserialize(json).map(|_| ())
    }
    match kind {
        Kind::Experiment => as_a::<spec::Experiment>(json),
        Kind::Dataset => as_a::<spec::Dataset>(json),
        Kind::Tokenizer => as_a::<spec::Tokenizer>(json),
        Kind::Model => as_a::<spec::Model>(json),
        Kind::Stage => as_a::<spec::Stage>(json),
        Kind::Eval => as_a::<spec::Eval>(json),
        Kind::Review => as_a::<spec::Review>(json),
        Kind::Sweep => as_a::<spec::Sweep>(json),
    }
}

#[test]
fn every_experiment_checks_and_reaches_the_plan() {
    let files = files();
    assert!(files.len() >= 6, "only {} experiments were found", files.len());
    for path in files {
        let checked = checked(&path, &[]);
        for item in &checked.items {
            if let Err(error) = read(item.kind, &item.json) {
                panic!("{path}: `{}` cannot be planned: {error}\n{:#}", item.name, item.json);
            }
        }
        for sweep in &checked.sweeps {
            if let Err(error) = read(Kind::Sweep, &sweep.json) {
                panic!("{path}: sweep `{}` cannot be planned: {error}\n{:#}", sweep.name, sweep.json);
            }
        }
    }
}

#[test]
fn an_experiment_opens_with_what_it_teaches() {
    for path in files() {
        let text = std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("the file");
        assert!(text.starts_with("## "), "{path} does not say what it teaches");
    }
}

/// The presets of a module of `std.models` and the numbers of parameters their documentation opens with.
fn presets(text: &str) -> Vec<(String, u64)> {
    let mut stated = None;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("## ") {
            let count = words.split_once(" parameters").map(|(count, _)| count.replace(',', ""));
            stated = stated.or(count.and_then(|count| count.parse().ok()));
        } else if let Some(name) = line.strip_prefix("model ").and_then(|line| line.split([' ', ':']).next()) {
            found.extend(stated.take().map(|count| (name.to_owned(), count)));
        } else {
            stated = None;
        }
    }
    found
}

#[test]
fn published_presets_have_as_many_parameters_as_published() {
    let mut seen = 0;
    for module in ["gpt2", "llama", "mixtral", "olmo", "qwen"] {
        let text = emberlab::stdlib::file(&format!("std/models/{module}.exp")).expect("the module");
        for (preset, count) in presets(text) {
            let text = format!("use std.models.{module}\nmodel mine from {module}.{preset} {{}}\n");
            let world = MemoryWorld::with("main.exp", &text);
            let (checked, problems) = check_file(&world, "main.exp", &Options::default());
            assert!(!problems.any_error(), "{module}.{preset}");
            let mine = checked.items.iter().find(|i| i.name == "mine").expect("the model");
            let spec::Model::Decoder(decoder) = serde_json::from_value(mine.json.clone()).expect("a decoder");
            let vocab = decoder.vocab.expect("a published vocabulary").unsigned_abs();
            assert_eq!(emberlab::plan::parameters(&decoder, vocab).total(), count, "{module}.{preset}");
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} presets state their parameters");
}

#[test]
fn the_recipe_of_nano_gpt_is_spelt_out() {
    let checked = checked("experiments/shakespeare.exp", &[("corpus", "\"elsewhere.txt\"")]);
    let network = &item(&checked, "bard").json;
    for (field, value) in [("layers", 4), ("heads", 4), ("width", 128), ("hidden", 352), ("context", 64)] {
        assert_eq!(network[field], value, "{field}");
    }
    let stage = &item(&checked, "pretrain").json["training"];
    assert_eq!(stage["optimizer"]["beta2"], 0.99);
    assert_eq!(stage["budget"], serde_json::json!({ "amount": 2000.0, "unit": "steps" }));
}

#[test]
fn a_variant_states_only_what_differs() {
    let (base, wide) = (checked("experiments/quickstart.exp", &[]), checked("experiments/wide.exp", &[]));
    for item in &base.items {
        let other = wide.items.iter().find(|i| i.name == item.name).expect("a variant has all items");
        assert_eq!(item.name != "teller", item.json == other.json, "{}", item.name);
    }
}
