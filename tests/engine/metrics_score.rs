//! Scoring two files.

use emberlab::evaluate::{ScoreError, ScoreReport, score};
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("writable");
    path
}

/// Scores texts as files of the given names.
fn scored(metrics: &[&str], predictions: (&str, &[u8]), references: (&str, &[u8])) -> Result<ScoreReport, ScoreError> {
    let folder = tempfile::tempdir().expect("a folder");
    let predictions = file(&folder, predictions.0, predictions.1);
    let references = file(&folder, references.0, references.1);
    let metrics: Vec<String> = metrics.iter().map(|m| (*m).to_owned()).collect();
    score(&metrics, &predictions, &references, true, None)
}

fn message(result: Result<ScoreReport, ScoreError>) -> String {
    result.expect_err("it fails").to_string()
}

#[test]
fn text_files_are_compared_line_by_line() {
    let report =
        scored(&["exact_match", "token_f1"], ("p.txt", b"red\nblue\n\n"), ("r.txt", b"the red\r\ngreen\r\n\r\n"))
            .expect("it scores");
    assert_eq!(report.n, 3);
    assert!((report.metrics["exact_match"].value - 2.0 / 3.0).abs() < 1e-12);
    assert!(report.metrics["token_f1"].signature.starts_with("token_f1|as:squad-2.0"));
}

#[test]
fn json_fields_are_found_and_the_best_of_several_references_counts() {
    let predictions = br#"{"prediction": "red"}
{"id": 2, "prediction": "blue"}"#;
    let references = br#"{"references": ["green", "red"]}
{"answers": {"text": ["blue", "navy"], "answer_start": [0, 1]}}"#;
    let report = scored(&["exact_match"], ("p.jsonl", predictions), ("r.jsonl", references)).expect("it scores");
    assert_eq!(report.metrics["exact_match"].value, 1.0);
    let mixed = scored(&["exact_match"], ("p", b"\"red\"\n"), ("r.jsonl", b"[\"red\", \"blue\"]\n"));
    // A file without a telling name whose first line is a bare string is text, quotes and all.
    assert_eq!(mixed.expect("it scores").metrics["exact_match"].value, 1.0);
}

#[test]
fn compressed_files_are_read_as_they_are() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(b"red\nblue\n").expect("memory");
    let zst = zstd::encode_all(&b"red\nblue\n"[..], 1).expect("memory");
    let report = scored(&["rouge_l"], ("p.txt.gz", &gz.finish().expect("memory")), ("r.txt.zst", &zst));
    assert_eq!(report.expect("it scores").metrics["rouge_l"].value, 1.0);
}

#[test]
fn mistakes_are_named_with_a_way_out() {
    let one = ("p.txt", &b"a\n"[..]);
    let text = message(scored(&["rogue_l"], one, one));
    assert!(text.contains("did you mean `rouge_l`"), "{text}");
    let text = message(scored(&["f1"], one, one));
    assert!(text.contains("did you mean `token_f1`"), "{text}");
    let text = message(scored(&["perplexity"], one, one));
    assert!(text.contains("exp logprobs"), "{text}");
    let text = message(scored(&["rouge_l"], ("p.txt", b"a\nb\nc\n"), ("r.txt", b"a\n")));
    assert!(text.contains("p.txt` has 3 lines") && text.contains("r.txt` has 1;"), "{text}");
    let text = message(scored(&["rouge_l"], ("p.jsonl", b"{\"pred\": \"a\"}\n"), ("r.txt", b"a\n")));
    assert!(text.contains("p.jsonl`, line 1") && text.contains("the line has pred"), "{text}");
    let text = message(scored(&["rouge_l"], ("p.jsonl", b"oops\n"), ("r.txt", b"a\n")));
    assert!(text.contains("not JSON"), "{text}");
    let text = message(scored(&["rouge_l"], ("p.txt", b""), ("r.txt", b"")));
    assert!(text.contains("no lines"), "{text}");
    let text = message(scored(&["rouge_l", "rouge_l"], one, one));
    assert!(text.contains("twice"), "{text}");
    let text = message(scored(&["rouge_l"], ("p.txt", b"\xff\xfe\n"), ("r.txt", b"a\n")));
    assert!(text.contains("UTF-8"), "{text}");
}

#[test]
fn every_line_can_be_written_with_its_scores() {
    let folder = tempfile::tempdir().expect("a folder");
    let (p, r) = (file(&folder, "p.txt", b"red\nblue\n"), file(&folder, "r.txt", b"red\ngreen\n"));
    let mut rows = Vec::new();
    score(&["exact_match".into()], &p, &r, true, Some(&mut rows)).expect("it scores");
    let rows: Vec<serde_json::Value> =
        String::from_utf8(rows).expect("text").lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(rows[0]["scores"]["exact_match"], 1.0);
    assert_eq!((&rows[1]["line"], &rows[1]["references"][0]), (&2.into(), &"green".into()));
}

#[test]
fn rouge_stems_as_evaluations_do_unless_told_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let (p, r) = (file(&folder, "p.txt", b"the foxes ran\n"), file(&folder, "r.txt", b"the fox running\n"));
    let names: Vec<String> = ["rouge_l", "rouge_l:stem", "rouge_l:plain"].map(str::to_owned).to_vec();
    let values = |stem| {
        let report = score(&names, &p, &r, stem, None).expect("it scores");
        report.metrics.values().map(|e| (e.value, e.signature.contains("stem:porter-nltk"))).collect::<Vec<_>>()
    };
    let (stemmed, plain) = ((2.0 / 3.0, true), (1.0 / 3.0, false));
    assert_eq!(values(true), [stemmed, stemmed, plain]);
    assert_eq!(values(false), [plain, stemmed, plain]);
}
