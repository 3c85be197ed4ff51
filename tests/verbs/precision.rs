//! `precision` through the program: what is planned, refused, run and recorded; several devices; memory that does not suffice.

use crate::{STAGES, exp, folder, json};
use serde_json::Value as Json;
use std::path::Path;

fn stages(precision: &str) -> String {
    let stages = STAGES.replace("checkpoint = 1 steps", &format!("checkpoint = 10 steps\n  precision = {precision}"));
    stages.split("stage tuned").next().unwrap().to_owned()
}

fn plan(folder: &Path) -> Json {
    json(folder, &["plan", "small.exp", "--format", "json"])
}

#[test]
fn a_run_says_what_it_used_and_plans_and_figures_follow() {
    let place = folder(&stages("mixed_f16"));
    let told = exp(place.path(), &["plan", "small.exp"]);
    assert!(told.out.contains("precision   mixed_f16: f16 into matrix products"), "{}", told.out);
    assert!(told.out.contains("\nPrecision\n    a run takes `"), "{}", told.out);
    let planned = plan(place.path());
    assert_eq!(planned["stages"][0]["precision"], "mixed_f16");
    assert!(planned["computes"]["formats"].as_array().unwrap().len() > 1, "{}", planned["computes"]);

    let ran = exp(place.path(), &["run", "small.exp", "--device", "cpu", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("mixed_f16)"), "{}", ran.err);
    let record: Json = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(record["device"]["dtype"], "mixed_f16");
    let stage = &record["stages"]["pretrain"];
    assert_eq!(
        (stage["precision"].as_str(), stage["scaling"]["loss_scale"].as_f64()),
        (Some("mixed_f16"), Some(65_536.0))
    );
    assert_eq!(stage["scaling"]["left_out"], 0);

    // The same in f32: another identity, another speed, and nearly the same loss.
    let set = ["--set", "pretrain.precision=f32"];
    let words = |verb: &'static str| [&[verb, "small.exp", "--format", "json"][..], &set].concat();
    let unmeasured = json(place.path(), &words("plan"));
    assert_ne!(unmeasured["stages"][0]["hash"], planned["stages"][0]["hash"]);
    assert_eq!(unmeasured["stages"][0]["seconds"], Json::Null, "f32 has not been measured");
    assert!(plan(place.path())["stages"][0]["seconds"].as_f64().is_some(), "mixed_f16 has");
    let plain = json(place.path(), &[&words("run")[..], &["--device", "cpu"]].concat());
    assert_eq!(
        (plain["device"]["dtype"].as_str(), plain["stages"]["pretrain"]["precision"].as_str()),
        (Some("f32"), Some("f32"))
    );
    assert!(plain["stages"]["pretrain"].get("scaling").is_none());
    let loss = |record: &Json| record["stages"]["pretrain"]["loss"]["valid"].as_f64().unwrap();
    let apart = (loss(&plain) - loss(&record)).abs() / loss(&plain);
    assert!(apart > 0.0 && apart < 1e-3, "{apart}");
}

#[test]
fn f32_means_the_same_said_or_not() {
    let [said, unsaid] = ["f32", "none"].map(|precision| folder(&stages(precision)));
    assert_eq!(plan(said.path())["hash"], plan(unsaid.path())["hash"]);
    assert_eq!(plan(said.path())["stages"][0]["precision"], "f32");
    assert!(plan(said.path()).get("computes").is_none());
    let wrong = exp(said.path(), &["check", "small.exp", "--set", "pretrain.precision=fp8"]);
    assert_eq!(wrong.code, 1, "{}{}", wrong.out, wrong.err);
    assert!(wrong.err.contains("mixed_bf16"), "{}", wrong.err);
}

/// A GPU through WGSL has no bf16.
#[test]
fn a_device_without_the_format_is_refused_before_anything_starts() {
    let place = folder(&stages("mixed_bf16"));
    let devices = json(place.path(), &["devices", "--format", "json"]);
    let list = devices["devices"].as_array().unwrap();
    let cpu = list.iter().find(|device| device["name"] == "cpu").unwrap();
    assert_eq!(cpu["formats"], serde_json::json!(["f32", "f16", "bf16"]));
    let shown = exp(place.path(), &["devices"]).out;
    assert!(shown.contains("computes with") && shown.contains("f32, f16, bf16"), "{shown}");
    let lacks = |device: &&Json| device["formats"].as_array().is_some_and(|f| f.iter().all(|f| f != "bf16"));
    let Some(without) = list.iter().find(lacks) else {
        println!("skipped: every device here has bf16");
        return;
    };
    let name = without["name"].as_str().unwrap();
    let ran = exp(place.path(), &["run", "small.exp", "--device", name]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    for part in ["E0619", "`pretrain` multiplies bf16", "has f32, f16", "mixed_f16", "--device cpu"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    let runs = exp(place.path(), &["runs", "--format", "json"]);
    assert!(!runs.out.contains("running") && !runs.out.contains("failed"), "{}", runs.out);
}

#[test]
fn several_devices_are_refused_by_name() {
    let place = folder(STAGES);
    for device in ["vulkan:0,vulkan:1", "cpu,cpu", "2"] {
        let ran = exp(place.path(), &["run", "small.exp", "--device", device]);
        assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains("one device per run: data parallel training is not built"), "{}", ran.err);
        assert!(!ran.err.contains("no device named"), "{}", ran.err);
    }
    for field in ["devices", "num_gpus", "nproc_per_node"] {
        let ran = exp(folder(&stages(&format!("f32\n  {field} = 2"))).path(), &["check", "small.exp"]);
        assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains("one device per run: data parallel training is not built"), "{}", ran.err);
    }
    let elsewhere = STAGES.replace("checkpoint = 1 steps", "fp16 = true");
    let ran = exp(folder(&elsewhere).path(), &["check", "small.exp"]);
    assert!(ran.err.contains("`precision = mixed_f16`"), "{}", ran.err);
}

/// A network whose activations no machine here has room for.
fn huge() -> tempfile::TempDir {
    let network = "model teller from llama.tiny { layers = 1, heads = 2, kv_heads = 2, width = 64, hidden = 64, context = 512 tokens }";
    let items = stages("f32")
        .replace("budget     = 40 steps", "budget = 1 steps\n  micro_batch = 16_384")
        .replace("8 documents", "16_384 documents");
    let place = folder(&items);
    let path = place.path().join("small.exp");
    let text = std::fs::read_to_string(&path).unwrap();
    let teller = text.lines().find(|line| line.starts_with("model teller")).unwrap().to_owned();
    std::fs::write(&path, text.replace(&teller, network)).unwrap();
    place
}

#[test]
fn a_gpu_without_room_says_what_would_fit() {
    let place = huge();
    let devices = json(place.path(), &["devices", "--format", "json"]);
    if !devices["devices"].as_array().unwrap().iter().any(|device| device["kind"] == "software_gpu") {
        println!("skipped: this build or machine has no software GPU");
        return;
    }
    let ran = exp(place.path(), &["run", "small.exp", "--device", "lavapipe", "--until", "pretrain"]);
    println!("{}", ran.err);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    for part in ["the memory of the device", "no room for a buffer of", "`micro_batch = ", "that are free"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert!(!ran.err.contains("Caused by"), "{}", ran.err);
}

/// The shell's limit on the address space stands for a machine that is full.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_cpu_without_memory_says_what_would_fit() {
    let place = huge();
    let script =
        format!("ulimit -v 4000000; exec {} run small.exp --device cpu --until pretrain", env!("CARGO_BIN_EXE_exp"));
    let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(place.path()).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    println!("{err}");
    assert_eq!(output.status.code(), Some(3), "{err}");
    for part in ["error: stage `pretrain`: the memory of this machine does not suffice", "`micro_batch = ", "bound of"]
    {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(err.contains("may need as much as"), "it was said before: {err}");
}
