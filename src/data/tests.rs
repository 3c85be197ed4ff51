//! Whole datasets: made, read back, and accounted for.

use super::*;
use crate::plan::spec::{self, Dataset};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A file of the test data, or `None` with the reason printed.
fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("EMBERLAB_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {} (set EMBERLAB_TEST_DATA)", path.display());
    None
}

fn dataset(value: serde_json::Value) -> Dataset {
    serde_json::from_value(value).unwrap()
}

fn text(files: &str, unit: &str) -> serde_json::Value {
    json!({"is": "text", "files": files, "license": null, "document": unit})
}

fn keep(input: serde_json::Value, field: &str, more_than: i64) -> serde_json::Value {
    json!({"is": "keep", "input": input, "because": format!("too few {field}"), "rule": {"param": "doc", "body":
        {"binary": {"op": "greater", "left": {"field": {"of": {"arg": "doc"}, "name": field}}, "right": {"const": more_than}}}}})
}

/// Makes a dataset over files in `base`; gives the folder and what was made.
fn made(base: &Path, spec: &Dataset) -> Result<(tempfile::TempDir, Made), DataError> {
    let (out, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let context = Context { seed: 1, base, scratch: scratch.path(), named: &|_| Err("unknown".into()), stop: None };
    let made = make(spec, &context, out.path(), &mut |_| {})?;
    Ok((out, made))
}

fn texts(folder: &Path, split: Option<&str>) -> Vec<String> {
    open(folder, split).unwrap().map(|r| r.unwrap().text).collect()
}

fn files(list: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in list {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn every_document_is_kept_or_removed_for_a_reason() {
    let base = files(&[("a.txt", "one  two three\nshort\none two three\nfour five six seven\nmail me: a@b.org now\n")]);
    let spec = json!({"is": "redact", "kinds": ["emails"], "input": {"is": "dedup", "near": null, "input":
        keep(json!({"is": "collapse_whitespace", "input": text("a.txt", "line")}), "words", 2)}});
    let (out, made) = made(base.path(), &dataset(spec)).unwrap();
    assert_eq!(texts(out.path(), None), ["one two three", "four five six seven", "mail me: [email] now"]);
    let steps: Vec<_> = made.report.steps.iter().map(|s| (s.step.as_str(), s.kept, s.removed, s.changed)).collect();
    assert_eq!(
        steps,
        [
            ("text", 5, 0, 0),
            ("collapse_whitespace", 5, 0, 1),
            ("keep", 4, 1, 0),
            ("dedup", 3, 1, 0),
            ("redact", 3, 0, 1)
        ]
    );
    assert_eq!(made.report.steps[2].reasons["too few words"], 1);
    assert_eq!(made.report.steps[4].details["replaced"], 1);
    let removed = zstd::decode_all(std::fs::File::open(out.path().join("removed.jsonl.zst")).unwrap()).unwrap();
    let removed: Vec<serde_json::Value> =
        String::from_utf8(removed).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(removed[0]["text"], "short");
    assert_eq!((&removed[0]["reason"], &removed[0]["source"]), (&json!("too few words"), &json!("a.txt:2")));
    assert_eq!((&removed[1]["name"], &removed[1]["reason"]), (&json!("dedup"), &json!("same text")));
}

#[test]
fn the_same_bytes_for_any_number_of_threads_and_in_any_folder() {
    let lines: String = (0..3000).map(|i| format!("document {} says {}\n", i % 2500, i % 2500 * 7919)).collect();
    let spec =
        dataset(json!({"is": "split", "by": "hash", "parts": {"train": 0.9, "valid": 0.05, "test": 0.05}, "input":
        {"is": "shuffle", "seed": 3, "input": {"is": "dedup", "near": 0.9, "input":
            keep(json!({"is": "normalize", "form": "nfc", "input": text("*.txt", "line")}), "words", 2)}}}));
    let run = |threads: usize| -> Vec<Vec<u8>> {
        let base = files(&[("a.txt", &lines)]);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (out, _) = pool.install(|| made(base.path(), &spec).unwrap());
        ["train.jsonl.zst", "valid.jsonl.zst", "test.jsonl.zst", "removed.jsonl.zst", "report.json"]
            .map(|name| std::fs::read(out.path().join(name)).unwrap())
            .into()
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn take_and_mix_give_what_they_say() {
    let base = files(&[("a.txt", &"aaaa bbbb\n".repeat(50)), ("b.txt", &"cc dd\n".repeat(50))]);
    let taken = json!({"is": "take", "documents": 7, "input": keep(text("a.txt", "line"), "words", 1)});
    let (out, made_) = made(base.path(), &dataset(taken)).unwrap();
    assert_eq!(texts(out.path(), None).len(), 7);
    assert!(made_.report.steps.iter().all(|s| s.kept == 7), "nothing is read ahead of a take");
    let mix = json!({"is": "mix", "parts": [{"data": text("a.txt", "line"), "weight": 0.5}, {"data": text("b.txt", "line"), "weight": 0.5}]});
    let (_, made_) = made(base.path(), &dataset(mix)).unwrap();
    let details = &made_.report.steps[2].details;
    assert_eq!(details["part 2 documents"], 50);
    assert!((27..=29).contains(&details["part 1 documents"]), "{details:?}");
}

#[test]
fn other_datasets_are_read_by_name() {
    let base = files(&[("a.txt", "one\ntwo\nthree\nfour\n")]);
    let spec =
        json!({"is": "split", "by": "order", "parts": {"train": 0.5, "test": 0.5}, "input": text("a.txt", "line")});
    let (first, _) = made(base.path(), &dataset(spec)).unwrap();
    let folder = first.path().to_path_buf();
    let scratch = tempfile::tempdir().unwrap();
    let named = |reference: &spec::Ref| {
        if reference.name == "numbers" { Ok(folder.clone()) } else { Err("it was not made".to_owned()) }
    };
    let context = Context { seed: 1, base: base.path(), scratch: scratch.path(), named: &named, stop: None };
    let read = |name: &str, split: Option<&str>| -> Result<Vec<String>, String> {
        let spec = dataset(json!({"is": "named", "dataset": {"ref": name, "split": split}}));
        let records = stream(&spec, &context).map_err(|e| e.to_string())?;
        records.map(|r| r.map(|r| r.text).map_err(|e| e.to_string())).collect()
    };
    assert_eq!(read("numbers", Some("test")).unwrap(), ["three", "four"]);
    assert_eq!(read("numbers", None).unwrap(), ["one", "two", "three", "four"]);
    assert_eq!(
        read("numbers", Some("trian")).unwrap_err(),
        "`numbers` has no split `trian` among `test`, `train`; did you mean `train`?"
    );
    assert_eq!(read("letters", None).unwrap_err(), "the dataset `letters` is not there: it was not made");
}

#[test]
fn what_cannot_work_says_why() {
    let base = files(&[("a.txt", "one\ntwo\n")]);
    let error = |spec: serde_json::Value| made(base.path(), &dataset(spec)).err().unwrap().to_string();
    assert_eq!(
        error(keep(text("a.txt", "line"), "words", 9)),
        "no document is left: `keep` removed 2 of them (too few words: 2)"
    );
    let twice = json!({"is": "split", "by": "hash", "parts": {"a": 1.0}, "input":
        {"is": "split", "by": "hash", "parts": {"b": 1.0}, "input": text("a.txt", "line")}});
    assert!(error(twice).contains("a dataset is split once"));
    assert!(error(keep(text("a.txt", "line"), "wrds", 1)).starts_with("a.txt:1: the rule of `keep` has no value"));
    let stop = AtomicBool::new(false);
    stop.store(true, Ordering::Relaxed);
    let (out, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let context = Context {
        seed: 1,
        base: base.path(),
        scratch: scratch.path(),
        named: &|_| Err(String::new()),
        stop: Some(&stop),
    };
    let stopped = make(&dataset(text("a.txt", "line")), &context, out.path(), &mut |_| {});
    assert!(matches!(stopped, Err(DataError::Stopped)));
}

#[test]
fn an_empty_split_is_there_and_warned_of() {
    let base = files(&[("a.txt", "one\n")]);
    let spec =
        json!({"is": "split", "by": "hash", "parts": {"train": 0.5, "test": 0.5}, "input": text("a.txt", "line")});
    let (out, made) = made(base.path(), &dataset(spec)).unwrap();
    assert_eq!(made.report.splits.len(), 2);
    assert!(made.report.warnings[0].contains("has no documents"));
    assert_eq!(texts(out.path(), None).len(), 1);
}

#[test]
fn real_corpora_pass_through_the_whole_chain() {
    let Some(web) = data("web/c4_demo.jsonl") else { return };
    let web = web.canonicalize().unwrap();
    let base = web.parent().unwrap();
    let spec = dataset(json!({"is": "split", "by": "hash", "parts": {"train": 0.9, "test": 0.1}, "input":
        {"is": "dedup", "near": 0.8, "input": {"is": "redact", "kinds": ["emails", "phones", "ip_addresses"], "input":
        keep(json!({"is": "collapse_whitespace", "input": {"is": "strip_html", "input": {"is": "normalize", "form": "nfc", "input":
            {"is": "jsonl", "files": "c4_demo.jsonl", "text": "text", "prompt": null, "response": null, "license": null}}}}),
            "words", 50)}}}));
    let (_, made) = made(base, &spec).unwrap();
    println!("c4_demo: {:#?}", made.report.steps);
    assert_eq!(made.report.steps[0].kept, 300);
    assert!(made.report.splits["train"].documents > 150);
    let Some(japanese) = data("pretrain/ja_wagahai.txt") else { return };
    let japanese = japanese.canonicalize().unwrap();
    let record = stream(
        &dataset(text("ja_wagahai.txt", "file")),
        &Context {
            seed: 1,
            base: japanese.parent().unwrap(),
            scratch: base,
            named: &|_| Err(String::new()),
            stop: None,
        },
    )
    .unwrap()
    .next()
    .unwrap()
    .unwrap();
    assert_eq!(field_value(&record, "language"), Some(crate::types::core::Constant::Text("ja".into())));
}

#[test]
fn tiny_shakespeare_is_cut_as_nanogpt_cuts_it() {
    let Some(path) = data("pretrain/tinyshakespeare.txt") else { return };
    let path = path.canonicalize().unwrap();
    let spec = dataset(json!({"is": "split", "by": "position", "parts": {"train": 0.9, "valid": 0.1}, "input":
        text("tinyshakespeare.txt", "file")}));
    let (out, _) = made(path.parent().unwrap(), &spec).unwrap();
    let length = |split: &str| texts(out.path(), Some(split)).iter().map(|t| t.chars().count()).sum::<usize>();
    assert_eq!((length("train"), length("valid")), (1_003_854, 111_540));
}
