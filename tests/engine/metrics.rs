//! Metrics against the reference implementations, and judgement as a whole on small models.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

mod metrics_eval;
mod metrics_score;

use emberlab::evaluate::{Rouge, TextMetric};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// The folder of real test data, or a visible note that the test is skipped.
fn shared(file: &str) -> Option<PathBuf> {
    let root = std::env::var_os("EMBERLAB_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = root.join(file);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {file} is not there; set EMBERLAB_TEST_DATA to the folder that holds it");
    None
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|t| t.as_str().expect("a text").to_owned()).collect()
}

/// Compares every figure of an oracle's output with ours.
fn agree(oracle: &Value) -> usize {
    let cases = oracle["cases"].as_array().expect("cases");
    for case in cases {
        let references = texts(&case["references"]);
        let prediction = case["prediction"].as_str().expect("a prediction");
        for (name, kind) in
            [("rouge1", Rouge::N(1)), ("rouge2", Rouge::N(2)), ("rougeL", Rouge::L), ("rougeLsum", Rouge::Lsum)]
        {
            for (key, stem) in [(name.to_owned(), false), (format!("{name}:stem"), true)] {
                let ours = kind.best(&references, prediction, stem);
                for (i, ours) in [ours.precision, ours.recall, ours.f].into_iter().enumerate() {
                    let theirs = case[&key][i].as_f64().expect("a number");
                    assert!((ours - theirs).abs() < 1e-9, "{key} of {case}: {ours}");
                }
            }
        }
        for (key, metric) in [("token_f1", TextMetric::TokenF1), ("exact_match", TextMetric::ExactMatch)] {
            let (ours, theirs) = (metric.score(&references, prediction), case[key].as_f64().expect("a number"));
            assert!((ours - theirs).abs() < 1e-9, "{key} of {case}: {ours}");
        }
    }
    cases.len()
}

#[test]
fn text_metrics_equal_the_reference_implementations() {
    let oracle: Value = serde_json::from_str(include_str!("../golden/metrics/text.json")).expect("JSON");
    assert_eq!(oracle["oracle"]["rouge-score"], "0.1.2");
    assert!(agree(&oracle) >= 200);
}

#[test]
fn text_metrics_equal_the_reference_implementations_on_real_answers() {
    let Ok(python) = std::env::var("EMBERLAB_ORACLE_PYTHON") else {
        eprintln!("SKIPPED: set EMBERLAB_ORACLE_PYTHON to a Python with the packages named in oracle.py");
        return;
    };
    let Some(path) = shared("sft/gsm8k_test.jsonl") else { return };
    let rows: Vec<Value> = std::fs::read_to_string(path)
        .expect("readable")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    // Each answer is judged against its own question and the next answer: long real texts that overlap in part.
    let folder = tempfile::tempdir().expect("a folder");
    let cases = folder.path().join("cases.jsonl");
    let lines: String = rows
        .windows(2)
        .take(400)
        .map(|pair| {
            let references = [&pair[1]["answer"], &pair[0]["question"]];
            serde_json::json!({ "references": references, "prediction": pair[0]["answer"] }).to_string() + "\n"
        })
        .collect();
    std::fs::write(&cases, lines).expect("writable");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metrics/oracle.py");
    let output = Command::new(python).arg(script).arg(&cases).output().expect("the oracle runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(agree(&serde_json::from_slice(&output.stdout).expect("JSON")), 400);
}

#[test]
fn stems_are_those_of_nltk() {
    let (Some(words), Some(stems)) =
        (shared("golden/porter/porter_vocabulary.txt"), shared("golden/porter/porter_nltk_output.txt"))
    else {
        return;
    };
    let stemmer = nltk_porter::PorterStemmer::new(nltk_porter::Mode::Nltk);
    let (words, stems) = (std::fs::read_to_string(words).expect("text"), std::fs::read_to_string(stems).expect("text"));
    let mut n = 0;
    for (word, stem) in words.lines().zip(stems.lines()) {
        assert_eq!(stemmer.stem(word), stem, "of {word}");
        n += 1;
    }
    assert_eq!(n, 23_531);
}
