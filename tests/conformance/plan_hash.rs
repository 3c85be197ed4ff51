//! Meaning is hashed, not text.

use crate::lab::{Lab, amount, named, reference};
use emberlab::plan::{DataCount, Digest, Known, KnownCounts, Plan};
use emberlab::syntax::ast::Kind;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// The identity of everything in the plan, and of the plan.
fn hashes(plan: &Plan) -> BTreeMap<String, Digest> {
    let of = |name: &str, hash: &Known<Digest>| match hash {
        Known::Value(digest) => (name.to_owned(), digest.clone()),
        Known::Unknown(why) => panic!("{name}: {why}"),
    };
    plan.nodes().map(|n| of(n.name, n.hash)).chain([of("(plan)", &plan.hash)]).collect()
}

/// Names of what has another identity in `now`.
fn differing(before: &Plan, now: &Plan) -> BTreeSet<String> {
    let (before, now) = (hashes(before), hashes(now));
    assert_eq!(before.keys().collect::<Vec<_>>(), now.keys().collect::<Vec<_>>());
    before.into_iter().filter(|(name, hash)| now[name] != *hash).map(|(name, _)| name).collect()
}

fn changed(change: impl FnOnce(&mut Lab)) -> BTreeSet<String> {
    let mut lab = Lab::storyteller();
    let before = lab.plan();
    change(&mut lab);
    differing(&before, &lab.plan())
}

#[track_caller]
fn unchanged(change: impl FnOnce(&mut Lab)) {
    assert_eq!(changed(change), BTreeSet::new());
}

#[test]
fn the_order_of_fields_means_nothing() {
    unchanged(|lab| lab.backwards = true);
}

#[test]
fn the_order_of_items_means_nothing() {
    unchanged(|lab| lab.items.reverse());
}

#[test]
fn moving_the_folder_means_nothing() {
    unchanged(|lab| lab.folder = "/somewhere/else".into());
}

#[test]
fn moving_and_renaming_the_data_means_nothing() {
    unchanged(|lab| {
        for (path, _) in &mut lab.files {
            *path = path.replace("data/stories/", "corpus/old/").replace("questions", "faq").replace(".txt", ".text");
        }
        let text = lab.item("stories").to_string().replace("data/stories/*.txt", "corpus/old/*.text");
        *lab.item("stories") = text.parse().expect("still JSON");
        lab.item("questions")["files"] = json!("data/faq.jsonl");
    });
}

#[test]
fn whole_numbers_are_whole_however_they_are_written() {
    unchanged(|lab| {
        lab.common("pretrain")["budget"]["amount"] = json!(10_000_000);
        lab.common("pretrain")["clip"] = json!(1);
        lab.item("teller")["rope_theta"] = json!(10_000);
    });
}

#[test]
fn names_of_items_mean_nothing() {
    let lab = Lab::storyteller();
    let before = lab.plan();
    for (old, new) in [
        ("stories", "tales"),
        ("questions", "quiz"),
        ("words", "tokens_of_it"),
        ("teller", "net"),
        ("pretrain", "base"),
        ("tuned", "finished"),
        ("fluency", "reads_well"),
        ("answers", "quizzed"),
    ] {
        let renamed = rename(&lab, old, new).plan();
        let same =
            |a: &Plan, b: &Plan| hashes(a).into_values().collect::<BTreeSet<_>>() == hashes(b).into_values().collect();
        assert!(same(&before, &renamed), "renaming `{old}`");
        assert!(renamed.node(old).is_none());
    }
}

#[test]
fn naming_a_step_in_between_means_nothing() {
    let mut lab = Lab::storyteller();
    let before = lab.plan();
    let cleaned = lab.item("stories")["input"].take();
    lab.item("stories")["input"] = named("cleaned", None);
    lab.items.insert(1, (Kind::Dataset, "cleaned".into(), cleaned));
    let now = lab.plan();
    for name in ["stories", "words", "pretrain", "tuned", "fluency"] {
        assert_eq!(before.node(name).map(|n| n.hash), now.node(name).map(|n| n.hash), "{name}");
    }
}

#[test]
fn writing_data_in_place_means_nothing() {
    let mut lab = Lab::storyteller();
    let before = lab.plan();
    let questions = lab.item("questions").clone();
    lab.common("tuned")["data"] = questions;
    let now = lab.plan();
    assert_eq!(before.node("tuned").map(|n| n.hash), now.node("tuned").map(|n| n.hash));
    assert!(now.dataset("tuned.data").is_some(), "it has a name in the plan");
}

#[test]
fn writing_a_default_means_nothing() {
    unchanged(|lab| lab.common("pretrain")["sequence"] = json!(256));
    unchanged(|lab| lab.item("teller")["vocab"] = json!(4096));
}

#[test]
fn the_name_of_a_lambdas_parameter_means_nothing() {
    unchanged(|lab| {
        let rule = lab.item("stories").to_string().replace("\"doc\"", "\"story\"");
        *lab.item("stories") = rule.parse().expect("still JSON");
    });
}

#[test]
fn a_measurement_means_the_same_with_and_without_its_stage() {
    unchanged(|lab| lab.common("pretrain")["keep"]["by"] = json!({"measure": ["pretrain", "valid", "loss"]}));
}

#[test]
fn what_changes_no_result_means_nothing() {
    unchanged(|lab| lab.item("storyteller")["license"] = json!("Apache-2.0"));
    unchanged(|lab| lab.item("storyteller")["authors"] = json!(["B", "C"]));
    unchanged(|lab| lab.item("storyteller")["description"] = json!("Another one"));
    unchanged(|lab| lab.item("questions")["license"] = json!("MIT"));
    unchanged(|lab| {
        let said = lab.item("stories").to_string().replace("too short", "not a story");
        *lab.item("stories") = said.parse().expect("still JSON");
    });
    unchanged(|lab| lab.common("pretrain")["checkpoint"] = json!(7));
    unchanged(|lab| lab.common("pretrain")["micro_batch"] = json!(4));
    unchanged(|lab| lab.common("pretrain")["recompute"] = json!(true));
    unchanged(|lab| lab.common("pretrain")["precision"] = json!("f32"));
    unchanged(|lab| lab.claims[0].0 = "another_name".into());
}

#[test]
fn numbers_of_16_bits_are_another_training() {
    let of = |precision: &str| changed(|lab| lab.common("tuned")["precision"] = json!(precision));
    for precision in ["mixed_f16", "mixed_bf16"] {
        let found = of(precision);
        assert!(found.contains("tuned") && !found.contains("pretrain"), "{found:?}");
    }
    let hash = |precision: &str| {
        let mut lab = Lab::storyteller();
        lab.common("tuned")["precision"] = json!(precision);
        lab.plan().hash.clone()
    };
    assert_ne!(hash("mixed_f16"), hash("mixed_bf16"));
}

/// Where sums of f16 are rounded decides which of them overflow.
#[test]
fn the_pieces_of_a_batch_are_part_of_a_training_in_f16_and_of_no_other() {
    let of = |precision: Option<&str>, micro_batch: Option<i64>| {
        let mut lab = Lab::storyteller();
        lab.common("tuned")["precision"] = json!(precision);
        lab.common("tuned")["micro_batch"] = json!(micro_batch);
        lab.plan()
    };
    let stages = |plan: &Plan| plan.stages.iter().map(|stage| stage.hash.clone()).collect::<Vec<_>>();
    for precision in [None, Some("f32"), Some("mixed_bf16")] {
        let whole = of(precision, None);
        for micro_batch in [2, 4] {
            assert_eq!(differing(&whole, &of(precision, Some(micro_batch))), BTreeSet::new(), "{precision:?}");
        }
    }
    let all = [None, Some(2), Some(4)].map(|micro_batch| of(Some("mixed_f16"), micro_batch));
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let found = differing(&all[one], &all[other]);
        assert!(found.contains("tuned") && found.contains("answers") && !found.contains("pretrain"), "{found:?}");
        assert_eq!(stages(&all[one])[0], stages(&all[other])[0]);
    }
    // What is not stated follows from the machine, and is no part of it.
    assert_eq!(stages(&all[0]), stages(&of(Some("mixed_f16"), None)));
}

#[test]
fn where_checkpoints_are_matters_to_a_stage_that_goes_back_to_them() {
    let of = |action: &str, checkpoint: i64| {
        let mut lab = Lab::storyteller();
        lab.common("pretrain")["on_spike"] = json!({"factor": 2.0, "window": 50, "action": action});
        lab.common("pretrain")["checkpoint"] = json!(checkpoint);
        lab.plan().stages[0].hash.clone()
    };
    assert_ne!(of("roll_back", 5), of("roll_back", 7));
    assert_eq!(of("skip", 5), of("skip", 7));
}

#[test]
fn counting_changes_figures_but_no_identity() {
    struct Everything;
    impl KnownCounts for Everything {
        fn data(&self, _: &Digest) -> Option<DataCount> {
            Some(DataCount { documents: 1000, bytes: 50_000 })
        }
        fn tokens(&self, _: &Digest, _: &Digest) -> Option<u64> {
            Some(2_000_000)
        }
        fn vocab(&self, _: &Digest) -> Option<u64> {
            Some(97)
        }
    }
    let mut lab = Lab::storyteller();
    let text = named("stories", Some("train"));
    *lab.item("words") = json!({"is": "characters", "train_on": text, "special": []});
    let (before, now) = (lab.plan(), lab.counted(&Everything).expect("it plans"));
    assert_eq!(differing(&before, &now), BTreeSet::new());
    assert!(before.stages[0].estimate.parameters.reason().is_some_and(|r| r.contains("until it is trained")));
    assert_eq!(now.stages[0].estimate.parts.value().map(|p| p.embedding), Some(97 * 384));
    assert_eq!(now.stages[0].estimate.epochs, Known::Value(4.99712));
    assert_eq!(now.stages[1].estimate.steps, Known::Value(375), "3 epochs of 1,000 samples, 8 a step");
}

#[test]
fn what_was_asked_for_is_part_of_the_plan_only() {
    let only_plan = BTreeSet::from(["(plan)".to_owned()]);
    assert_eq!(changed(|lab| lab.expects.clear()), only_plan);
    assert_eq!(changed(|lab| lab.claims[0].2 = 0.99), only_plan);
    assert_eq!(changed(|lab| lab.item("storyteller")["language"] = json!(2)), only_plan);
}

#[test]
fn contents_of_data_are_its_meaning() {
    let all = changed(|lab| lab.files[0].1.push('!'));
    let stories = ["(plan)", "answers", "fairness", "fluency", "pretrain", "stories", "tuned", "words"];
    assert_eq!(all, stories.map(str::to_owned).into());
    let all = changed(|lab| lab.files.insert(1, ("data/stories/aa.txt".into(), String::new())));
    assert_eq!(all, stories.map(str::to_owned).into(), "one more file");
    let all = changed(|lab| {
        let (one, other) = (lab.files[0].1.clone(), lab.files[1].1.clone());
        (lab.files[0].1, lab.files[1].1) = (other, one);
    });
    assert_eq!(all, stories.map(str::to_owned).into(), "the order of documents");
}

#[test]
fn missing_data_has_no_identity_and_says_why() {
    let mut lab = Lab::storyteller();
    lab.files.retain(|(path, _)| !path.ends_with(".txt"));
    let plan = lab.plan();
    let why = Known::Unknown("no file matches `data/stories/*.txt`, which `stories` reads".to_owned());
    for name in ["stories", "words", "pretrain", "tuned", "fluency", "answers"] {
        assert_eq!(plan.node(name).map(|n| n.hash), Some(&why), "{name}");
    }
    assert_eq!(plan.hash, why);
    assert!(plan.node("questions").is_some_and(|n| n.hash.value().is_some()), "the rest is known");
    assert!(plan.stages[0].estimate.parameters.value().is_some(), "what needs no data is priced");
}

#[test]
fn the_identities_are_pinned() {
    // What is stored is found by these. A change of one of them must be meant, and goes with a higher
    // `CANONICAL_VERSION` or one of `plan::version`.
    let all = hashes(&Lab::storyteller().plan());
    let short: BTreeMap<&str, &str> = all.iter().map(|(n, h)| (n.as_str(), &h[..16])).collect();
    insta::assert_debug_snapshot!(short);
}

/// Every single leaf, changed to another value of its kind, changes its item and all that depends on it, and no more.
#[test]
fn every_other_leaf_changes_exactly_its_dependents() {
    let mut lab = Lab::storyteller();
    // More kinds of steps, so that their fields are tried too.
    let grammar = json!({"is": "grammar", "documents": 100, "start": "s", "prompt": null, "response": null, "seed": 3,
        "license": null, "rules": [{"name": "s", "of": [{"text": "a <s>", "weight": 1.0}, {"text": "b", "weight": 2.0}]}]});
    let mixed = json!({"is": "mix", "parts": [{"data": grammar, "weight": 1.0},
        {"data": named("stories", Some("valid")), "weight": 2.0}]});
    let steps = json!({"is": "shuffle", "seed": 5, "input": {"is": "take", "documents": 50,
        "input": {"is": "normalize", "form": "nfc", "input": {"is": "collapse_whitespace", "input": mixed}}}});
    lab.add(Kind::Dataset, "mixture", steps);
    lab.common("pretrain")["data"] = named("mixture", None);
    let before = lab.plan();
    let dependents = dependents(&before);
    let (mut tried, mut skipped) = (0, Vec::new());
    for at in 0..lab.items.len() {
        let (kind, name, json) = lab.items[at].clone();
        for pointer in leaves(&json) {
            let last = pointer.rsplit('/').next().unwrap_or("");
            let meaningless = [
                "license",
                "because",
                "checkpoint",
                "checkpoints",
                "micro_batch",
                "recompute",
                "files",
                "authors",
                "description",
                "language",
                "param",
                "arg",
                "ref",
                "unit",
                "is",
                "better",
                "needs",
            ];
            if meaningless.contains(&last) || pointer.contains("/authors/") {
                continue;
            }
            let mut mutant = lab.clone();
            let Some(plan) = mutate(json.pointer(&pointer).unwrap_or(&Json::Null)).into_iter().find_map(|value| {
                *mutant.items[at].2.pointer_mut(&pointer)? = value;
                mutant.planned().ok()
            }) else {
                skipped.push(format!("{name}{pointer}"));
                continue;
            };
            tried += 1;
            let own = match kind {
                Kind::Model => "pretrain".to_owned(),
                Kind::Experiment => "stories".to_owned(),
                Kind::Eval if pointer.starts_with("/on/") && name == "fairness" => "fairness.on".to_owned(),
                _ => name.clone(),
            };
            let mut expected = dependents[&own].clone();
            if kind == Kind::Experiment {
                // The seed enters everything that makes random choices.
                expected.insert("mixture".into());
            }
            expected.insert("(plan)".into());
            let found = differing(&before, &plan);
            assert_eq!(found, expected, "{name}{pointer}");
        }
    }
    println!("{tried} leaves tried; not tried, for want of another valid value: {skipped:?}");
    assert!(tried > 80, "{tried}");
    // A stage has a model or an init; a sample has a prompt and a response; and so on: one alone is no valid change.
    let alone = ["init", "model", "tokenizer", "validate", "until", "prompt", "response"];
    // Adapters are of a network that has learnt something.
    let alone = alone.map(|field| format!("/{field}")).into_iter().chain(["pretrain/training/adapter".to_owned()]);
    let alone: Vec<String> = alone.collect();
    // The output of this network shares the embedding, so its group has nothing to say.
    let idle = |s: &String| s.contains("/groups/head/");
    assert!(skipped.iter().all(|s| idle(s) || alone.iter().any(|end| s.ends_with(end))), "{skipped:?}");
}

/// Each thing and everything that needs it.
fn dependents(plan: &Plan) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in plan.nodes() {
        all.entry(node.name.to_owned()).or_default().insert(node.name.to_owned());
    }
    for _ in 0..all.len() {
        for node in plan.nodes() {
            for set in all.values_mut() {
                if node.depends_on.iter().any(|d| set.contains(d)) {
                    set.insert(node.name.to_owned());
                }
            }
        }
    }
    all
}

/// JSON pointers to every value that is neither a record nor a list.
fn leaves(json: &Json) -> Vec<String> {
    match json {
        Json::Object(o) => o.iter().flat_map(|(k, v)| leaves(v).into_iter().map(move |l| format!("/{k}{l}"))).collect(),
        Json::Array(a) => {
            a.iter().enumerate().flat_map(|(i, v)| leaves(v).into_iter().map(move |l| format!("/{i}{l}"))).collect()
        }
        _ => vec![String::new()],
    }
}

/// Other values that may be valid in the same place.
fn mutate(value: &Json) -> Vec<Json> {
    let symbols = [
        "nfkc",
        "order",
        "line",
        "phones",
        "ip_addresses",
        "layer",
        "learned",
        "gelu",
        "cl100k",
        "less",
        "valid",
        "train",
        "words",
        "linear",
        "both",
        "head",
    ];
    match value {
        Json::Bool(b) => vec![json!(!b)],
        Json::Number(n) if n.is_i64() => vec![json!(n.as_i64().unwrap_or(0) + 1)],
        Json::Number(n) => vec![json!(n.as_f64().unwrap_or(0.0) * 0.5 + 0.013)],
        Json::String(s) => {
            symbols.iter().filter(|x| *x != s).map(|x| json!(x)).chain([json!(format!("{s} more"))]).collect()
        }
        Json::Null => vec![
            json!(3),
            json!(9000),
            json!(0.5),
            json!("text"),
            json!("mixed_f16"),
            json!({"jinja": "x", "stop": []}),
            json!({"measure": ["valid", "loss"]}),
            amount(3.0, "steps"),
            reference("pretrain"),
            json!({"is": "rope_linear", "factor": 2.0}),
            json!({"every": 2, "channels": 8}),
            json!({"base_width": 96, "base_head_dim": null}),
            json!("truncated"),
            json!({"count": 4, "active": 2, "hidden": 64, "renormalize": true, "every": 2, "balance": 0.01, "z_loss": 0.1}),
            json!({"is": "lora", "rank": 4, "alpha": 8.0, "on": ["value"], "rank_stabilized": false, "magnitude": true}),
            json!({"from": amount(2.0, "documents"), "over": amount(5.0, "steps")}),
            json!({"factor": 3.0, "window": 20, "action": "skip"}),
        ],
        _ => Vec::new(),
    }
}

/// The item `old` under another name, wherever it is named.
fn rename(lab: &Lab, old: &str, new: &str) -> Lab {
    let swap = |text: String| text.replace(&format!("\"{old}\""), &format!("\"{new}\""));
    let mut renamed = lab.clone();
    for (_, name, json) in &mut renamed.items {
        if name == old {
            *name = new.to_owned();
        }
        let reference = |name: &str| format!("\"ref\":\"{name}\"");
        *json = json.to_string().replace(&reference(old), &reference(new)).parse().expect("still JSON");
    }
    let core = |core: &emberlab::types::core::Core| {
        let text = serde_json::to_string(core).expect("it serialises");
        serde_json::from_str(&swap(text)).expect("it deserialises")
    };
    renamed.expects = renamed.expects.iter().map(core).collect();
    renamed.claims = renamed.claims.iter().map(|(n, c, p)| (n.clone(), core(c), *p)).collect();
    renamed
}
