//! `exp data`.

use crate::{STAGES, exp, folder, json, trained};
use serde_json::Value as Json;

#[test]
fn an_unknown_dataset_is_answered_with_those_there_are() {
    let place = folder(STAGES);
    for (name, message, help) in [
        ("storys", "there is no dataset `storys`", "did you mean `stories`? the experiment has `stories`, `questions`"),
        ("zebra", "there is no dataset `zebra`", "the experiment has `stories`, `questions`"),
        ("pretrain", "`pretrain` is a stage and not a dataset", "the experiment has `stories`, `questions`"),
        ("stories.train", "there is no dataset `stories.train`", "write `stories --split train`"),
    ] {
        let ran = exp(place.path(), &["data", "small.exp", name]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.contains(message) && ran.err.contains(help), "{name}: {}", ran.err);
    }
    assert!(!place.path().join(".emberlab/objects/dataset").exists(), "nothing was made");
}

#[test]
fn pairs_are_written_with_their_fields() {
    let place = folder(
        r#"
dataset twins = pairs(
  templates = [r"{group} is a doctor."],
  contrasts = [contrast("gender", first = ["he"], second = ["she"])],
)
"#,
    );
    let made = exp(place.path(), &["data", "small.exp", "twins", "--out", "twins.jsonl"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let text = std::fs::read_to_string(place.path().join("twins.jsonl")).unwrap();
    let row: Json = serde_json::from_str(text.trim()).unwrap();
    let expected = serde_json::json!({
        "first": "He is a doctor.", "second": "She is a doctor.", "contrast": "gender", "source": "pairs:1",
    });
    assert_eq!(row, expected);
}

#[test]
fn only_what_a_dataset_needs_is_made() {
    let place = folder(STAGES);
    let made = json(place.path(), &["data", "small.exp", "questions", "--format", "json"]);
    assert_eq!(made["dataset"], "questions");
    assert_eq!(std::fs::read_dir(place.path().join(".emberlab/objects/dataset")).unwrap().count(), 1);
}

#[test]
fn a_batch_larger_than_the_data_is_told_once_and_recorded() {
    let (at, run, ran) = trained();
    let told: Vec<&str> = ran.err.lines().filter(|line| line.contains("a batch of 64 sequences")).collect();
    assert!(matches!(told[..], [line] if line.starts_with("warning: `tuned`: ")), "{}", ran.err);
    let record = json(at, &["runs", "show", run, "--format", "json"]);
    let warnings = record["stages"]["tuned"]["warnings"].as_array().unwrap();
    assert!(warnings[0].as_str().unwrap().contains("larger than the data, which has "), "{warnings:?}");
    assert!(record["stages"]["pretrain"].get("warnings").is_none());
}
