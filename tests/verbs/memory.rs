//! The bound on memory that a plan states, against what a run takes.
#![cfg(target_os = "linux")]

use crate::{command, exp, folder, json};
use serde_json::Value as Json;

/// An experiment of one short stage.
fn stage(model: &str, stage: &str) -> String {
    format!(
        "use std.models.gpt2\nuse std.models.mixtral\n\nmodel large from {model}\n\nstage large_stage : next_token {{\n  model = large\n  \
         tokenizer = pieces\n  data = stories.train\n  budget = 3 steps\n  {stage}\n}}\n"
    )
}

/// The most memory that a run held, in bytes, and the bound of its plan.
fn measured(items: &str) -> (u64, u64) {
    let place = folder(items);
    let words = ["small.exp", "--device", "cpu", "--format", "json"];
    let record = json(place.path(), &[&["run"][..], &words].concat());
    let plan = exp(place.path(), &["plan", "small.exp", "--format", "json"]);
    let plan: Json = serde_json::from_str(&plan.out).unwrap();
    let peak = record["stages"]["large_stage"]["peak_memory_bytes"].as_u64().unwrap();
    (peak, plan["stages"][0]["memory_bytes"].as_u64().unwrap())
}

/// What a model takes beyond one that is next to nothing, which stands for the program, its threads and the data.
fn check(cases: &[(&str, &str, &str)]) {
    let nothing = "llama.tiny { layers = 1, heads = 1, kv_heads = 1, width = 8, hidden = 8, context = 8 tokens }";
    let (base, small) = measured(&stage(nothing, "batch = 1 documents"));
    println!("the program itself takes {} MiB", base >> 20);
    let mut wrong = Vec::new();
    for (name, model, rest) in cases {
        let (peak, bound) = measured(&stage(model, rest));
        let grown = peak.saturating_sub(base);
        let line = format!(
            "{name}: bound {:.1} MiB, measured {:.1} MiB, slack {:.1} MiB ({:.2} times)",
            bound as f64 / 1048576.0,
            grown as f64 / 1048576.0,
            (bound as f64 - grown as f64) / 1048576.0,
            bound as f64 / grown.max(1) as f64
        );
        println!("{line}");
        // The base holds its own small stage, so the bound is compared with a little more than grew.
        if bound < grown + small.min(grown) {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const TINY: &str = "llama.tiny { layers = 2, heads = 4, kv_heads = 2, width = 128, hidden = 384, context = 64 tokens }";

const LONG: &str =
    "llama.tiny { layers = 2, heads = 4, kv_heads = 2, width = 128, hidden = 384, context = 1_024 tokens }";

const DROPPED: &str = "llama.tiny { layers = 2, heads = 4, kv_heads = 2, width = 128, hidden = 384, context = 640 tokens, dropout = 0.1 }";

const MIXED: &str =
    "mixtral.tiny { layers = 2, hidden = 192, context = 64 tokens, experts = experts(count = 8, active = 2) }";

const VALUED: &str = "llama.tiny { layers = 2, heads = 4, kv_heads = 4, width = 128, hidden = 384, context = 64 tokens, \
     value_embeddings = value_embeddings(every = 1) }";

#[test]
fn a_small_run_stays_within_its_bound() {
    check(&[
        ("llama 2×128", TINY, "batch = 16 documents"),
        ("llama 2×128 in pieces", TINY, "batch = 16 documents\n  micro_batch = 4"),
        ("llama 2×128, SOAP", TINY, "batch = 16 documents\n  optimizer = soap(precondition_frequency = 1)"),
        ("llama 2×128 in f16", TINY, "batch = 16 documents\n  precision = mixed_f16"),
        ("llama 2×128 in bf16", TINY, "batch = 16 documents\n  precision = mixed_bf16"),
        ("llama 2×128, long, in f16", LONG, "batch = 2 documents\n  precision = mixed_f16"),
        ("llama 2×128, long, with dropout", DROPPED, "batch = 2 documents"),
        ("llama 2×128, long, with dropout in bf16", DROPPED, "batch = 2 documents\n  precision = mixed_bf16"),
        ("mixtral 2×128", MIXED, "batch = 16 documents"),
        ("llama 2×128 with value embeddings", VALUED, "batch = 16 documents"),
    ]);
}

/// The most memory that a process held that only judges, in bytes, and the bound of its plan.
fn judged(model: &str) -> (u64, u64) {
    let place = folder(&format!(
        "{}\neval fluency {{ of = [large_stage], on = stories.train, metrics = [perplexity] }}\n\n\
         eval answers {{ of = [large_stage], on = questions.train, metrics = [rouge_l], limit = 40 }}\n",
        stage(model, "batch = 1 documents")
    ));
    let words = ["small.exp", "--device", "cpu", "--format", "json"];
    json(place.path(), &[&["run"][..], &words, &["--until", "large_stage"]].concat());
    let plan: Json = serde_json::from_str(&exp(place.path(), &["plan", "small.exp", "--format", "json"]).out).unwrap();
    let mut child = command(place.path(), &[&["run"][..], &words, &["-q"]].concat()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) << 10);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    (peak, plan["totals"]["memory_bytes"].as_u64().unwrap())
}

#[test]
fn judging_stays_within_its_bound() {
    let nothing = "llama.tiny { layers = 1, heads = 1, kv_heads = 1, width = 8, hidden = 8, context = 8 tokens }";
    let (base, _) = judged(nothing);
    for (name, model) in [("llama 2×128", TINY), ("llama 2×128, long", LONG)] {
        let (peak, bound) = judged(model);
        let grown = peak.saturating_sub(base);
        println!("{name}: bound {} MiB, measured {} MiB beyond {} MiB", bound >> 20, grown >> 20, base >> 20);
        assert!(base > 0 && peak > 0 && bound > grown, "{name}: bound {bound}, measured {grown}");
    }
}

#[test]
fn larger_runs_stay_within_their_bounds() {
    if std::env::var_os("EMBERLAB_TEST_LONG").is_none() {
        println!("skipped: EMBERLAB_TEST_LONG is not set");
        return;
    }
    let gpt2 = |rest: &str| format!("gpt2.small {{ layers = 4, heads = 4, width = 256, {rest} }}");
    let llama = "llama.tiny { layers = 6, heads = 8, kv_heads = 4, width = 384, hidden = 1024, context = 128 tokens }";
    check(&[
        ("llama 6×384", llama, "batch = 8 documents"),
        ("llama 6×384 in pieces", llama, "batch = 8 documents\n  micro_batch = 1"),
        ("llama 6×384, SGD", llama, "batch = 8 documents\n  optimizer = sgd(lr = 0.1, momentum = 0)"),
        ("llama 6×384 in bf16", llama, "batch = 8 documents\n  precision = mixed_bf16"),
        ("gpt2 4×256", &gpt2("context = 256 tokens, dropout = 0"), "batch = 8 documents"),
        ("gpt2 4×256 with dropout", &gpt2("context = 256 tokens, dropout = 0.1"), "batch = 8 documents"),
    ]);
}
