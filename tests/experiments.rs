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

#[test]
fn published_presets_check() {
    let names = [("gpt2", "small_bias"), ("gpt2", "xl"), ("llama", "smollm_135m"), ("llama", "llama3_8b")];
    for (module, preset) in names {
        let text = format!("use std.models.{module}\nmodel mine from {module}.{preset} {{}}\n");
        let world = MemoryWorld::with("main.exp", &text);
        let (checked, problems) = check_file(&world, "main.exp", &Options::default());
        assert!(!problems.any_error(), "{module}.{preset}");
        assert!(checked.items.iter().any(|i| i.name == "mine"));
    }
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
