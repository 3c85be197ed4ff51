//! Stages that train adapters, through the program: run, found again, planned, exported.
//!
//! That PEFT computes the same with what is exported is checked by hand with `tests/golden/check_adapter.py`.

use crate::{RUN, exp, folder, json};
use emberlab::model::{Named, read_weights};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::OnceLock;

const STAGES: &str = r#"
model other from teller { norm = layer, position = learned, activation = gelu }

stage pretrain : next_token {
  model      = teller
  tokenizer  = pieces
  data       = stories.train
  budget     = 20 steps
  batch      = 8 documents
  optimizer  = adamw(lr = 3e-3)
  recompute  = true
  apart      = true
}

stage tuned : sft {
  init      = pretrain
  adapter   = lora(rank = 4)
  data      = questions.train
  budget    = 10 steps
  batch     = 16 documents
  optimizer = adamw(lr = 1e-2)
  validate  = every(5 steps, on = questions.test)
  keep      = best(by = valid.loss)
}

stage narrow : next_token {
  init      = pretrain
  adapter   = lora(rank = 2, alpha = 5.5, on = [value, query], rank_stabilized = true, magnitude = true)
  data      = stories.train
  budget    = 5 steps
  batch     = 8 documents
  optimizer = adamw(lr = 1e-2)
  groups    = groups(vectors = group(decay = 0.1))
  recompute = true
}

stage older : next_token { model = other, tokenizer = pieces, data = stories.train, budget = 2 steps, batch = 4 documents }

stage adapted : next_token {
  init      = older
  adapter   = lora(rank = 4, on = [query, value, output, up, down])
  data      = stories.train
  budget    = 4 steps
  batch     = 4 documents
  optimizer = adamw(lr = 1e-2)
}

stage lengthened : next_token {
  init    = older
  adapter = lora(rank = 2, on = [query], magnitude = true)
  data    = stories.train
  budget  = 2 steps
  batch   = 4 documents
}

eval answers { of = [pretrain, tuned], on = questions.test, metrics = [token_f1], limit = 2 }
"#;

/// A folder in which all was run, and the record.
fn ran() -> (&'static Path, &'static Json) {
    static RAN: OnceLock<(tempfile::TempDir, Json)> = OnceLock::new();
    let (folder, record) = RAN.get_or_init(|| {
        let folder = folder(STAGES);
        let ran = exp(folder.path(), &RUN);
        assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
        (folder, serde_json::from_str(&ran.out).unwrap())
    });
    (folder.path(), record)
}

fn read(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn find<'a>(weights: &'a [Named<'static>], name: &str) -> &'a Named<'static> {
    weights.iter().find(|w| w.name == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_stage_with_adapters_runs_once_and_is_then_cached() {
    let (at, record) = ran();
    let stages = record["stages"].as_object().unwrap();
    assert_eq!(stages.len(), 6);
    assert!(stages.values().all(|s| s["cached"] == false), "{stages:?}");
    assert_ne!(stages["tuned"]["weights_hash"], stages["pretrain"]["weights_hash"]);
    let again = json(at, &RUN);
    for (name, stage) in again["stages"].as_object().unwrap() {
        assert_eq!(stage["cached"], true, "{name}");
        assert_eq!(stage["weights_hash"], stages[name]["weights_hash"]);
    }
}

#[test]
fn the_plan_says_how_much_is_trained() {
    let (at, _) = ran();
    let plan = json(at, &["plan", "small.exp", "--format", "json"]);
    let of = |name: &str| plan["stages"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap().clone();
    // 4 × (four matrices of 32 + 32, and three of 32 + 64).
    assert_eq!(of("tuned")["trained_parameters"], 4 * (4 * 64 + 3 * 96));
    // 2 × (two of 32 + 32), and a magnitude for each row.
    assert_eq!(of("narrow")["trained_parameters"], 2 * 2 * 64 + 64);
    assert!(of("pretrain").get("trained_parameters").is_none());
    let told = exp(at, &["plan", "small.exp"]).out;
    let all = of("tuned")["parameters"].as_u64().unwrap();
    let line = told.lines().find(|line| line.contains("2,176 numbers in adapters")).unwrap_or_else(|| panic!("{told}"));
    let share = 100.0 * 2176.0 / all as f64;
    assert!(line.contains(&format!("{}", (share * 100.0).round() / 100.0)) && line.contains("trained"), "{line}");
}

#[test]
fn adapters_are_written_as_peft_writes_them() {
    let (at, _) = ran();
    let told = json(at, &["export", "latest.tuned", "--adapter", "--to", "tuned", "--format", "json"]);
    assert_eq!((told["adapter"].as_str(), told["parameters"].as_u64()), (Some("LoRA"), Some(2176)));
    assert_eq!(told["files"], json!(["adapter_config.json", "README.md", "adapter_model.safetensors"]));
    let alone = exp(at, &["generate", "tuned", "--prompt", "Where?", "--device", "cpu"]);
    assert!(alone.code == 2 && alone.err.contains("`tuned` is an adapter in the layout of PEFT"), "{}", alone.err);
    let config = read(&at.join("tuned/adapter_config.json"));
    let all = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    assert_eq!(
        config,
        json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": null, "inference_mode": true,
            "r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "target_modules": all, "use_rslora": false, "use_dora": false,
            "bias": "none", "fan_in_fan_out": false,
        })
    );
    let weights = read_weights(&at.join("tuned/adapter_model.safetensors")).unwrap();
    assert_eq!(weights.len(), 14);
    let module = "base_model.model.model.layers.0";
    assert_eq!(find(&weights, &format!("{module}.self_attn.q_proj.lora_A.weight")).shape, [4, 32]);
    assert_eq!(find(&weights, &format!("{module}.mlp.down_proj.lora_A.weight")).shape, [4, 64]);
    assert_eq!(find(&weights, &format!("{module}.mlp.down_proj.lora_B.weight")).shape, [32, 4]);
    let card = std::fs::read_to_string(at.join("tuned/README.md")).unwrap();
    assert!(card.contains("library_name: peft") && card.contains("LoRA adapters of rank 4, 2176 numbers"), "{card}");
    assert!(card.contains("the stage `pretrain`") && card.contains("| answers | token_f1 |"), "{card}");

    let words = ["export", "latest.narrow", "--adapter", "--to", "narrow", "--dtype", "bf16"];
    assert_eq!(exp(at, &words).code, 0);
    let config = read(&at.join("narrow/adapter_config.json"));
    assert_eq!((&config["lora_alpha"], &config["target_modules"]), (&json!(5.5), &json!(["q_proj", "v_proj"])));
    assert_eq!((&config["use_dora"], &config["use_rslora"]), (&json!(true), &json!(true)));
    let weights = read_weights(&at.join("narrow/adapter_model.safetensors")).unwrap();
    assert_eq!(find(&weights, &format!("{module}.self_attn.v_proj.lora_magnitude_vector")).shape, [32]);
    assert!(weights.iter().flat_map(|w| w.numbers.iter()).all(|x| x.to_bits() & 0xffff == 0));
    let again = exp(at, &words);
    assert!(again.code == 2 && again.err.contains("is not empty"), "{}", again.err);
}

#[test]
fn what_peft_has_no_adapters_for_is_refused() {
    let (at, _) = ran();
    let none = exp(at, &["export", "latest.pretrain", "--adapter", "--to", "none"]);
    assert_eq!(none.code, 2, "{}", none.err);
    assert!(none.err.contains("`pretrain` has no adapters"), "{}", none.err);
    let one = exp(at, &["export", "latest.lengthened", "--adapter", "--to", "none"]);
    assert_eq!(one.code, 2, "{}", one.err);
    assert!(one.err.contains("holds queries, keys and values as one matrix"), "{}", one.err);
    assert!(one.err.contains("adapt all three or none of them"), "{}", one.err);
    assert!(!at.join("none").exists());
    assert_eq!(exp(at, &["export", "latest.lengthened", "--to", "merged"]).code, 0);
}

#[test]
fn adapters_of_gpt2_are_those_of_its_joint_matrix() {
    let (at, _) = ran();
    let told = json(at, &["export", "latest.adapted", "--adapter", "--to", "adapted", "--format", "json"]);
    assert_eq!(told["adapter"], "LoRA");
    let config = read(&at.join("adapted/adapter_config.json"));
    assert_eq!(config["target_modules"], json!(["c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"]));
    assert_eq!((&config["r"], &config["lora_alpha"], &config["fan_in_fan_out"]), (&json!(4), &json!(8), &json!(true)));
    // Two of three stand in one: twice the rank, and twice the `alpha` over it.
    assert_eq!((&config["rank_pattern"], &config["alpha_pattern"]), (&json!({"c_attn": 8}), &json!({"c_attn": 16})));
    let weights = read_weights(&at.join("adapted/adapter_model.safetensors")).unwrap();
    assert_eq!(weights.len(), 8);
    let block = "base_model.model.transformer.h.0";
    assert_eq!(find(&weights, &format!("{block}.attn.c_attn.lora_A.weight")).shape, [8, 32]);
    assert_eq!(find(&weights, &format!("{block}.mlp.c_fc.lora_B.weight")).shape, [64, 4]);
    let up = find(&weights, &format!("{block}.attn.c_attn.lora_B.weight"));
    assert_eq!(up.shape, [96, 8]);
    for (row, numbers) in up.numbers.chunks_exact(8).enumerate() {
        let (query, value) = numbers.split_at(4);
        let used = [row < 32, row >= 64];
        for (part, used) in [query, value].into_iter().zip(used) {
            assert!(used || part.iter().all(|x| *x == 0.0), "row {row}: {numbers:?}");
        }
    }
    assert!(up.numbers.iter().any(|x| *x != 0.0), "something was learnt");
}

#[test]
fn adapters_of_nothing_and_of_fresh_weights_are_refused() {
    let wrong = [
        ("lora(rank = 4)", "lora(on = [])"),
        (
            "init      = older\n  adapter   = lora(rank = 4,",
            "model = other\n  tokenizer = pieces\n  adapter = lora(rank = 4,",
        ),
        (", magnitude = true", ""),
    ];
    let stages = wrong.iter().fold(STAGES.to_owned(), |stages, (right, wrong)| stages.replace(right, wrong));
    let place = folder(&stages);
    let checked = exp(place.path(), &["check", "small.exp"]);
    assert_eq!(checked.code, 1, "{}{}", checked.out, checked.err);
    let told = checked.out + &checked.err;
    assert!(told.contains("something has to learn"), "{told}");
    assert!(told.contains("`adapted` adapts a network that has learnt nothing"), "{told}");
    // Without magnitudes there are no vectors to have a rate.
    assert!(told.contains("`narrow` gives rates for weights that its adapters leave as they are"), "{told}");
}
