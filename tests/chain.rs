//! The whole chain through the program itself, on an experiment that takes seconds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests prepare files and fail by panicking"
)]

use serde_json::Value as Json;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const EXPERIMENT: &str = r#"
experiment small { language = 1, seed = 3, license = "MIT" }

use std.corpora.tales
use std.models.llama

dataset stories = tales.stories(documents = 200 documents)
  |> normalize()
  |> dedup()
  |> keep(doc => doc.words > 10, because = "too short")
  |> split(train = 80%, valid = 10%, test = 10%)

dataset questions = tales.questions(documents = 200 documents) |> dedup() |> split(train = 80%, test = 20%)

tokenizer pieces : bpe { train_on = stories.train, vocab = 384 }

model teller from llama.tiny { layers = 1, heads = 2, kv_heads = 2, width = 32, hidden = 64, context = 64 tokens }

stage pretrain : next_token {
  model      = teller
  tokenizer  = pieces
  data       = stories.train
  budget     = 60 steps
  batch      = 8 documents
  optimizer  = adamw(lr = 3e-3)
  validate   = every(20 steps, on = stories.valid)
  keep       = best(by = valid.loss)
  checkpoint = 5 steps
}

stage tuned : sft {
  init     = pretrain
  data     = questions.train
  budget   = 2 epochs
  batch    = 16 documents
  sequence = 48 tokens
}

eval fluency { of = pretrain, on = stories.test, metrics = [perplexity, bits_per_byte] }
eval answers { of = [tuned], on = questions.test, metrics = [rouge_l, token_f1, exact_match] }

expect fluency.pretrain.perplexity < 1_000
"#;

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn exp(folder: &Path, words: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_exp"))
        .current_dir(folder)
        .args(words)
        .env_remove("EMBERLAB_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ok(folder: &Path, words: &[&str]) -> String {
    let ran = exp(folder, words, "");
    assert_eq!(ran.code, 0, "{words:?}: {}\n{}", ran.out, ran.err);
    ran.out
}

fn json(folder: &Path, words: &[&str]) -> Json {
    serde_json::from_str(&ok(folder, words)).unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.exp"), EXPERIMENT).unwrap();
    folder
}

const RUN: [&str; 6] = ["run", "small.exp", "--device", "cpu", "--format", "json"];

#[test]
fn an_experiment_runs_once_and_is_shared() {
    let place = folder();
    let at = place.path();
    let record = json(at, &RUN);
    assert_eq!(record["status"], "done");
    let loss = |path: &str| record.pointer(path).and_then(Json::as_f64).unwrap();
    assert!(loss("/stages/pretrain/loss/valid") < 5.5, "it learns more than nothing: {record}");
    assert!(record["stages"]["tuned"]["supervised_tokens"].as_u64() < record["stages"]["tuned"]["tokens"].as_u64());
    assert!(loss("/evals/fluency/pretrain/perplexity/value") > 1.0);
    assert_eq!(record["expects"][0]["met"], true);
    let run = record["run"].as_str().unwrap();
    let report = std::fs::read_to_string(at.join(".emberlab/runs").join(run).join("report.html")).unwrap();
    assert!(report.contains("pretrain"));
    for outside in ["src=\"http", "href=\"http", "url(http", "@import"] {
        assert!(!report.contains(outside), "the report asks the network for something: {outside}");
    }

    // A second run repeats nothing, and says the same.
    let again = json(at, &RUN);
    assert_eq!(again["stages"]["tuned"]["cached"], true);
    assert_eq!(again["stages"]["tuned"]["weights_hash"], record["stages"]["tuned"]["weights_hash"]);
    assert_eq!(again["evals"], record["evals"]);

    // A changed field is named, and what does not depend on it stays.
    let changed = ok(at, &["plan", "small.exp", "--set", "tuned.optimizer.lr=5e-4"]);
    assert!(changed.contains("tuned.optimizer.lr") || changed.contains("`tuned"), "{changed}");
    let plan = json(at, &["plan", "small.exp", "--set", "tuned.optimizer.lr=5e-4", "--format", "json"]);
    let cached = |name: &str| {
        let stages = plan["stages"].as_array().unwrap();
        stages.iter().find(|s| s["name"] == name).unwrap()["cached"].as_bool().unwrap()
    };
    assert!(cached("pretrain") && !cached("tuned"));

    // Small verbs.
    assert!(!ok(at, &["generate", &format!("{run}.pretrain"), "--prompt", "Once", "--max-tokens", "5"]).is_empty());
    let scored = exp(at, &["logprobs", &format!("{run}.pretrain")], "Once upon a time\n");
    assert_eq!(scored.code, 0, "{}", scored.err);
    let scored: Json = serde_json::from_str(scored.out.trim()).unwrap();
    assert_eq!(scored["tokens"].as_array().unwrap().len(), scored["logprobs"].as_array().unwrap().len());
    let ids = exp(at, &["tokenize", &format!("{run}.pieces")], "A fox lives in the wood.\n").out;
    let text = exp(at, &["tokenize", &format!("{run}.pieces"), "--decode"], &ids).out;
    assert_eq!(text, "A fox lives in the wood.\n");
    assert!(ok(at, &["runs"]).contains(run));
    let data = json(at, &["data", "small.exp", "stories", "--removed", "removed.jsonl", "--format", "json"]);
    assert_eq!(data["dataset"], "stories");
    assert!(at.join("removed.jsonl").exists());

    // Locked, packed and reproduced, bit for bit.
    ok(at, &["lock", "small.exp"]);
    ok(at, &["run", "small.exp", "--device", "cpu", "--locked"]);
    ok(at, &["pack", "small.exp", "--out", "small.tar.zst"]);
    let verdict = json(at, &["reproduce", "small.tar.zst", "--to", "again", "--device", "cpu", "--format", "json"]);
    assert_eq!(verdict["level"], "bitwise", "{verdict}");
}

#[test]
fn a_sweep_shares_stages_goes_on_and_is_reported() {
    let folder = folder();
    let folder = folder.path();
    let text = EXPERIMENT.replace("60 steps", "10 steps").replace("2 epochs", "4 steps").replace("every(20", "every(5");
    let sweep = "sweep rates { over { tuned.optimizer.lr in [1e-3, 3e-3] }, minimize = answers.tuned.rouge_l }\n";
    std::fs::write(folder.join("small.exp"), format!("{text}\n{sweep}")).unwrap();
    let priced = json(folder, &["plan", "small.exp", "--format", "json"])["sweeps"][0]["price"].clone();
    assert_eq!((priced["stages"].as_u64(), priced["distinct_stages"].as_u64()), (Some(4), Some(3)), "{priced}");
    let result = json(folder, &["sweep", "small.exp", "--device", "cpu", "--format", "json"]);
    let points = result["points"].as_array().unwrap();
    assert!(points.iter().all(|p| p["status"] == "done" && p["objective"].is_number()), "{result}");
    assert_eq!(points[1]["reused"], 1, "the pretraining");
    let page = folder.join(".emberlab/sweeps").join(result["sweep"].as_str().unwrap()).join("report.html");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Sweep rates") && page.contains("answers.tuned.rouge_l"));
    let again = ok(folder, &["sweep", "small.exp", "--device", "cpu"]);
    assert!(again.contains("report  ") && again.contains("report.html"), "{again}");
    let priced = json(folder, &["plan", "small.exp", "--format", "json"])["sweeps"][0]["price"].clone();
    assert_eq!((priced["cached_stages"].as_u64(), priced["flops"].as_f64()), (Some(3), Some(0.0)), "{priced}");
}

#[test]
fn killed_runs_go_on_to_the_same_weights() {
    let (whole, killed) = (folder(), folder());
    let expected = json(whole.path(), &RUN);
    let mut kills = 0;
    for attempt in 1..40 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_exp"))
            .current_dir(killed.path())
            .args(RUN)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(150 * attempt));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 0);
    println!("killed {kills} times");
    let record = json(killed.path(), &RUN);
    for stage in ["pretrain", "tuned"] {
        assert_eq!(record["stages"][stage]["weights_hash"], expected["stages"][stage]["weights_hash"]);
    }
    assert_eq!(record["evals"], expected["evals"]);
}

#[cfg(all(feature = "wgpu", target_os = "linux"))]
#[test]
fn no_library_complains_that_there_is_no_desktop() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exp"));
    for variable in ["", "relative"] {
        let output = command.arg("devices").env("XDG_RUNTIME_DIR", variable).output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stderr).contains("XDG_RUNTIME_DIR"), "{output:?}");
        command = Command::new(env!("CARGO_BIN_EXE_exp"));
    }
}

#[cfg(feature = "wgpu")]
#[test]
fn a_software_gpu_agrees_with_the_cpu() {
    let place = folder();
    let devices = json(place.path(), &["devices", "--format", "json"]);
    let software = devices["devices"].as_array().unwrap().iter().any(|d| d["kind"] == "software_gpu");
    if !software {
        println!("skipped: this machine has no software GPU (lavapipe)");
        return;
    }
    let words = ["--until", "pretrain", "--set", "pretrain.budget=20 steps", "--format", "json"];
    let run = |device: &str, lab: &str| {
        let mut all = vec!["run", "small.exp", "--device", device, "--lab", lab];
        all.extend(words);
        json(place.path(), &all)["stages"]["pretrain"]["loss"]["valid"].as_f64().unwrap()
    };
    let (cpu, gpu) = (run("cpu", "lab-cpu"), run("lavapipe", "lab-gpu"));
    println!("validation loss after 20 steps: {cpu} on the CPU, {gpu} on lavapipe");
    assert!((cpu - gpu).abs() / cpu < 1e-4, "{cpu} and {gpu}");
}

#[test]
fn what_cannot_run_is_refused_before_anything_starts() {
    let place = folder();
    let text =
        format!("{EXPERIMENT}\nreview people {{ of = tuned, on = questions.test, question = \"Is it right?\" }}\n");
    std::fs::write(place.path().join("small.exp"), text).unwrap();
    let ran = exp(place.path(), &["run", "small.exp", "--device", "cpu"], "");
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("review"), "{}", ran.err);
    assert!(!place.path().join(".emberlab/runs").read_dir().is_ok_and(|mut d| d.next().is_some()));
}
