//! Stages of the kind `pretrained`: folders that `transformers` saved (`tests/golden/make_import_golden.py`), whole and broken.

use crate::{Ran, command, exp, json};
use emberlab::model::{Named, read_weights, write_weights};
use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data-golden/import").join(name)
}

const MODELS: [&str; 17] = [
    "gpt2",
    "gpt2-old",
    "llama-shards",
    "llama-chat",
    "llama-rescaled",
    "mistral",
    "mistral-window",
    "mistral-kinds",
    "qwen2",
    "qwen2-window",
    "qwen3-yarn",
    "olmo2",
    "smollm3",
    "mixtral",
    "mixtral-together",
    "qwen3_moe",
    "olmoe",
];

/// A folder with the model `name` at `models/m` and this experiment.
fn lab(name: &str, items: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("models/m");
    std::fs::create_dir_all(&model).unwrap();
    for entry in std::fs::read_dir(golden(name)).unwrap().flatten() {
        std::fs::copy(entry.path(), model.join(entry.file_name())).unwrap();
    }
    std::fs::write(folder.path().join("e.exp"), format!("{HEAD}{items}")).unwrap();
    folder
}

const HEAD: &str = r#"
experiment small { language = 1, seed = 3, license = "MIT" }

use std.corpora.tales

dataset questions = tales.questions(documents = 60 documents) |> split(train = 80%, test = 20%)

dataset stories = tales.stories(documents = 40 documents) |> split(train = 80%, valid = 20%)

stage base : pretrained { folder = "models/m" }
"#;

const TUNING: &str = r"
stage more : next_token { init = base, data = stories.train, budget = 3 steps, batch = 4 documents, sequence = 32 tokens }

stage tuned : sft { init = base, data = questions.train, budget = 3 steps, batch = 8 documents }

stage own : sft { init = base, data = questions.train, budget = 2 steps, batch = 8 documents, template = chat_template() }

eval answers { of = [base, tuned], on = questions.test, metrics = [token_f1], limit = 2 }

eval fluency { of = [base, more], on = stories.valid, metrics = [perplexity] }
";

pub fn with_input(at: &Path, words: &[&str], input: &str) -> Ran {
    let mut command = command(at, words);
    command.stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses its words reads no input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What `exp logprobs` says of lines, one JSON object each.
fn logprobs(at: &Path, model: &str, lines: &[&str]) -> Vec<Json> {
    let ran = with_input(at, &["logprobs", model, "--device", "cpu"], &(lines.join("\n") + "\n"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn numbers(value: &Json) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The tokens and log-probabilities of `transformers`, and ours.
fn agree(at: &Path, model: &str, expected: &Json) {
    let lines = expected["lines"].as_array().unwrap();
    let texts: Vec<&str> = lines.iter().map(|l| l["text"].as_str().unwrap()).collect();
    for (theirs, ours) in lines.iter().zip(logprobs(at, model, &texts)) {
        assert_eq!(theirs["ids"], ours["ids"], "{model}");
        let apart = largest(&numbers(&theirs["logprobs"]), &numbers(&ours["logprobs"]));
        assert!(apart < 1e-4, "{model}: {apart}");
    }
}

fn read(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_layout_gives_the_numbers_of_transformers() {
    for name in MODELS {
        agree(&golden(""), name, &read(&golden(name).join("expected.json")));
    }
}

#[test]
fn the_plan_tells_the_network_without_reading_its_weights() {
    for name in MODELS {
        let place = lab(name, "");
        let plan = json(place.path(), &["plan", "e.exp", "--format", "json"]);
        let stage = &plan["stages"][0];
        let expected = read(&golden(name).join("expected.json"));
        assert_eq!((&stage["kind"], &stage["parameters"]), (&json!("pretrained"), &expected["parameters"]), "{name}");
        let published = &stage["published"];
        let family = name.split('-').next().unwrap();
        assert_eq!(published["model_type"], family);
        assert_eq!((&published["context"], &published["vocab"]), (&json!(64), &json!(304)));
        assert_eq!(published["chat_template"], json!(matches!(name, "llama-chat" | "mistral")), "{name}");
        assert_eq!(plan["tokenizers"][0]["name"], "base.tokenizer");
    }
    let place = lab("llama-chat", "");
    let text = exp(place.path(), &["plan", "e.exp"]).out;
    for part in ["context 64; a published llama", "304 embeddings through base.tokenizer", "bf16 in 1 file", "28,320"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

const RUN: [&str; 6] = ["run", "e.exp", "--device", "cpu", "--format", "json"];

/// What is cached in a record, or of another stage's name than expected.
fn cached(record: &Json) -> Vec<bool> {
    record["stages"].as_object().unwrap().values().map(|s| s["cached"].as_bool().unwrap()).collect()
}

#[test]
fn a_published_network_is_tuned_judged_moved_exported_packed_and_reproduced() {
    let place = lab("llama-chat", TUNING);
    let at = place.path();
    let first = json(at, &RUN);
    assert_eq!(cached(&first), [false; 4]);
    let base = &first["stages"]["base"];
    assert_eq!((&base["loss"]["train"], &base["tokens"]), (&Json::Null, &json!(0)));
    assert!(first["evals"]["fluency"]["more"]["perplexity"]["value"].as_f64().unwrap() > 1.0);
    // The template of the model is what tuning goes on with, unless the stage says otherwise.
    let tokens = |stage: &str| first["stages"][stage]["supervised_tokens"].as_u64().unwrap();
    let plan = read(&at.join(format!(".emberlab/runs/{}/plan.json", first["run"].as_str().unwrap())));
    let template = |name: &str| {
        let stage = plan["stages"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap().clone();
        stage["spec"]["template"]["jinja"].as_str().unwrap().to_owned()
    };
    assert_eq!(template("tuned"), read(&at.join("models/m/tokenizer_config.json"))["chat_template"].as_str().unwrap());
    assert!(template("own").contains("<|end|>") && tokens("tuned") > 0);

    // Nothing is repeated, wherever the folder lies.
    std::fs::create_dir_all(at.join("elsewhere")).unwrap();
    std::fs::rename(at.join("models/m"), at.join("elsewhere/n")).unwrap();
    let moved = std::fs::read_to_string(at.join("e.exp")).unwrap().replace("models/m", "elsewhere/n");
    std::fs::write(at.join("e.exp"), moved).unwrap();
    let second = json(at, &RUN);
    assert_eq!(cached(&second), [true; 4]);
    assert_eq!(first["plan_hash"], second["plan_hash"]);

    // The stage in the store is the folder.
    let line = ["The owl sat in the old tree."];
    let theirs = logprobs(at, "elsewhere/n", &line);
    assert_eq!(theirs, logprobs(at, "latest.base", &line));
    for model in ["elsewhere/n", "latest.base", "latest.tuned"] {
        let words =
            ["generate", model, "--prompt", "Who?", "--temperature", "0", "--max-tokens", "4", "--device", "cpu"];
        assert_eq!(exp(at, &words).code, 0, "{model}");
    }

    // A stage that goes on from it answers as it does.
    let talk = ["chat", "latest.more", "--temperature", "0", "--max-tokens", "2", "--device", "cpu"];
    let ran = with_input(at, &talk, "Hi\n");
    assert_eq!(ran.code, 0, "{}", ran.err);

    // And so is what is exported of it, in its own number format and cut into files.
    let told = json(
        at,
        &["export", "latest.base", "--to", "out", "--dtype", "bf16", "--max-shard", "30KB", "--format", "json"],
    );
    assert_eq!(told["dtype"], "bfloat16");
    for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        let bytes = |folder: &str| std::fs::read(at.join(folder).join(file)).unwrap();
        assert_eq!(bytes("out"), bytes("elsewhere/n"), "{file}");
    }
    assert!(at.join("out/model-00002-of-00002.safetensors").exists() && !at.join("out/model.safetensors").exists());
    assert_eq!(read(&at.join("out/config.json"))["eos_token_id"], json!([2, 4]));
    assert_eq!(theirs, logprobs(at, "out", &line));
    let half = ["export", "latest.tuned", "--to", "half", "--dtype", "f16"];
    assert_eq!(exp(at, &half).code, 0);
    let (ours, theirs) = (logprobs(at, "latest.tuned", &line), logprobs(at, "half", &line));
    assert!(largest(&numbers(&ours[0]["logprobs"]), &numbers(&theirs[0]["logprobs"])) < 0.05);
    assert_eq!(exp(at, &["export", "latest.own", "--to", "own"]).code, 0);
    let about = read(&at.join("own/tokenizer_config.json"));
    assert!(about["chat_template"].as_str().unwrap().contains("<|end|>") && about["eos_token"] == "</s>");

    // Locked, packed, reproduced, reported.
    assert_eq!(exp(at, &["lock", "e.exp"]).code, 0);
    assert_eq!(exp(at, &["run", "e.exp", "--locked", "--device", "cpu"]).code, 0);
    assert_eq!(exp(at, &["pack", "e.exp", "--out", "b.tar.zst"]).code, 0);
    let again = tempfile::tempdir().unwrap();
    std::fs::copy(at.join("b.tar.zst"), again.path().join("b.tar.zst")).unwrap();
    let reproduced = exp(again.path(), &["reproduce", "b.tar.zst", "--device", "cpu"]);
    assert_eq!(reproduced.code, 0, "{}\n{}", reproduced.out, reproduced.err);
    assert!(reproduced.out.contains("identical, bit for bit"), "{}", reproduced.out);
    assert_eq!(exp(at, &["report", "latest", "--out", "r.html"]).code, 0);
    let pruned = exp(at, &["runs", "prune"]);
    assert!(pruned.code == 0 && !pruned.out.contains("stage "), "{}", pruned.out);
    // Other contents are another model.
    let config = at.join("elsewhere/n/config.json");
    edit(&config, |config| config["rms_norm_eps"] = json!(1e-4));
    let plan = json(at, &["plan", "e.exp", "--format", "json"]);
    assert!(plan["stages"].as_array().unwrap().iter().all(|s| s["cached"] == false));
    let locked = exp(at, &["run", "e.exp", "--locked", "--device", "cpu"]);
    assert!(locked.code != 0 && locked.err.contains("config.json` has changed"), "{}", locked.err);
}

fn edit(path: &Path, change: impl FnOnce(&mut Json)) {
    let mut value = read(path);
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

fn set(field: &'static str, value: Json) -> Box<dyn Fn(&Path)> {
    Box::new(move |at| edit(&at.join("config.json"), |config| config[field] = value.clone()))
}

/// Rewrites the weights of a folder that has them in one file.
fn weights(change: impl Fn(&mut Vec<Named<'static>>) + 'static) -> Box<dyn Fn(&Path)> {
    Box::new(move |at| {
        let file = at.join("model.safetensors");
        let mut all = read_weights(&file).unwrap();
        change(&mut all);
        write_weights(&all, &file).unwrap();
    })
}

fn remove(file: &'static str) -> Box<dyn Fn(&Path)> {
    Box::new(move |at| std::fs::remove_file(at.join(file)).unwrap())
}

fn write(file: &'static str, bytes: Vec<u8>) -> Box<dyn Fn(&Path)> {
    Box::new(move |at| std::fs::write(at.join(file), &bytes).unwrap())
}

fn raw(head: &str, data: usize) -> Vec<u8> {
    let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
    bytes.extend(head.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Puts something else where a file is.
fn instead(file: &'static str, make: impl Fn(&Path) + 'static) -> Box<dyn Fn(&Path)> {
    Box::new(move |at| {
        std::fs::remove_file(at.join(file)).unwrap();
        make(&at.join(file));
    })
}

/// A model, what is done to its folder, the code that tells of it and parts of the message.
type Broken = (&'static str, Box<dyn Fn(&Path)>, &'static str, &'static [&'static str]);

fn missing_or_damaged() -> Vec<Broken> {
    let whole = std::fs::read(golden("llama-chat").join("model.safetensors")).unwrap();
    let start = |length: u64| {
        let mut bytes = whole.clone();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    let weights = "model.safetensors";
    let index = "model.safetensors.index.json";
    vec![
        (
            "gpt2",
            Box::new(|at| std::fs::remove_dir_all(at).unwrap()),
            "E0615",
            &["there is no model in `models/m`", "hf download"],
        ),
        ("gpt2", remove("config.json"), "E0615", &["has no `config.json`"]),
        ("gpt2", write("config.json", b"{\"model_type\"".to_vec()), "E0615", &["config.json` cannot be read", "JSON"]),
        ("gpt2", write("config.json", b"[1]".to_vec()), "E0615", &["it is no JSON object"]),
        ("gpt2", remove(weights), "E0615", &["has no `model.safetensors`"]),
        (
            "gpt2",
            Box::new(|at| std::fs::rename(at.join("model.safetensors"), at.join("pytorch_model.bin")).unwrap()),
            "E0615",
            &["pickled", "save_pretrained('models/m')"],
        ),
        ("gpt2", write(weights, b"version https://git-lfs.github.com/spec/v1".to_vec()), "E0615", &["git lfs pull"]),
        (
            "llama-shards",
            remove("model-00002-of-00003.safetensors"),
            "E0615",
            &["lacks `model-00002-of-00003.safetensors`"],
        ),
        (
            "llama-shards",
            Box::new(|at| {
                let name = "model.safetensors.index.json";
                edit(&at.join(name), |i| i["weight_map"]["model.norm.weight"] = json!("../../secret.safetensors"));
            }),
            "E0615",
            &["lies in `../../secret.safetensors`"],
        ),
        ("llama-shards", write(index, b"{\"weight_map\": 3}".to_vec()), "E0615", &["it has no `weight_map`"]),
        ("llama-chat", write(weights, whole[..whole.len() - 100].to_vec()), "E0615", &["no whole safetensors file"]),
        ("llama-chat", write(weights, whole[..6].to_vec()), "E0615", &["it has 6 bytes"]),
        ("llama-chat", write(weights, Vec::new()), "E0615", &["it has 0 bytes"]),
        ("llama-chat", write(weights, start(u64::MAX)), "E0615", &["18446744073709551615 bytes long"]),
        ("llama-chat", write(weights, start(90_000_000)), "E0615", &["90000000 bytes long, and the file has"]),
        ("llama-chat", write(weights, start(40)), "E0615", &["its head is not valid JSON"]),
        (
            "llama-chat",
            write(weights, raw(r#"{"x":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,8]}}"#, 8)),
            "E0615",
            &["the place of `x` does not fit"],
        ),
        (
            "llama-chat",
            write(
                weights,
                raw(
                    r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                    12,
                ),
            ),
            "E0615",
            &["the place of `y` does not fit"],
        ),
        ("gpt2", write("tokenizer.json", b"{\"model\": ".to_vec()), "E0615", &["tokenizer.json` cannot be read"]),
        (
            "mistral",
            write("chat_template.jinja", vec![b'a', 0xff]),
            "E0615",
            &["chat_template.jinja` cannot be read: it is not UTF-8 text"],
        ),
        (
            "llama-chat",
            instead(weights, |at| std::fs::create_dir(at).unwrap()),
            "E0615",
            &["it is a folder, not a file"],
        ),
        (
            "gpt2",
            Box::new(|at| std::fs::rename(at.join("config.json"), at.join("adapter_config.json")).unwrap()),
            "E0615",
            &["`models/m` is a PEFT adapter", "merge_and_unload"],
        ),
        ("gpt2", remove("tokenizer.json"), "E0618", &["has no `tokenizer.json`"]),
        (
            "gpt2",
            Box::new(|at| std::fs::rename(at.join("tokenizer.json"), at.join("vocab.json")).unwrap()),
            "E0618",
            &["AutoTokenizer"],
        ),
        (
            "gpt2",
            Box::new(|at| {
                edit(&at.join("tokenizer_config.json"), |c| c["eos_token"] = Json::Null);
                edit(&at.join("config.json"), |c| c["eos_token_id"] = json!(4_000_000_000_u64));
                std::fs::remove_file(at.join("generation_config.json")).unwrap();
            }),
            "E0618",
            &["which token ends a text"],
        ),
        (
            "gpt2",
            Box::new(|at| edit(&at.join("tokenizer.json"), |t| t["added_tokens"][0]["id"] = json!(400))),
            "E0607",
            &["has 401 entries, and the network 304 embeddings", "m.resize_token_embeddings(401)"],
        ),
    ]
}

fn unknown_networks() -> Vec<Broken> {
    let llama = |field, value: Json, said: &'static [&'static str]| -> Broken {
        ("llama-chat", set(field, value), "E0616", said)
    };
    let gpt2 =
        |field, value: Json, said: &'static [&'static str]| -> Broken { ("gpt2", set(field, value), "E0616", said) };
    vec![
        llama("model_type", json!("mamba"), &["is a `mamba`", "`gpt2`, `llama`, `mistral`"]),
        llama("model_type", Json::Null, &["has no `model_type`"]),
        llama(
            "rope_scaling",
            json!({"rope_type": "dynamic", "factor": 4.0}),
            &["`rope_type` in `rope_scaling` is \"dynamic\""],
        ),
        llama("rope_scaling", json!({"type": "linear"}), &["`factor` in `rope_scaling` is missing", "add or correct"]),
        llama(
            "rope_parameters",
            json!({"rope_type": "yarn", "factor": 4.0, "truncate": false}),
            &["`truncate` in `rope_parameters` is false"],
        ),
        llama("rope_scaling", json!("linear"), &["`rope_scaling` is \"linear\""]),
        llama(
            "rope_parameters",
            json!({"rope_type": "llama3", "factor": 8.0}),
            &["`low_freq_factor` in `rope_parameters` is missing"],
        ),
        llama(
            "rope_scaling",
            json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 7.0}),
            &[
                "`rope_scaling` is `linear` by 2",
                "and `rope_parameters` is `default`",
                "which differ",
                "remove from its",
            ],
        ),
        llama(
            "rope_parameters",
            json!({"rope_type": "default", "rope_theta": "1e6"}),
            &["`rope_theta` in `rope_parameters` is \"1e6\", and must be a number"],
        ),
        llama("final_logit_softcapping", json!(30.0), &["`final_logit_softcapping` is 30.0"]),
        gpt2("embedding_multiplier", json!(12), &["`embedding_multiplier` is 12"]),
        gpt2("alibi", json!(true), &["`alibi` is true"]),
        llama("attention_bias", json!(true), &["`attention_bias` is true and `mlp_bias` is false"]),
        llama("mlp_bias", json!(true), &["`attention_bias` is false and `mlp_bias` is true"]),
        llama("hidden_act", json!("gelu"), &["`hidden_act` is \"gelu\""]),
        llama("quantization_config", json!({"quant_method": "gptq"}), &["`quantization_config` is", "gptq"]),
        llama("hidden_size", json!(-1), &["`hidden_size` is -1"]),
        llama("num_hidden_layers", json!(1_000_000_000), &["`num_hidden_layers` is 1000000000"]),
        llama("intermediate_size", Json::Null, &["`intermediate_size` is null", "add or correct"]),
        llama("num_key_value_heads", json!(3), &["4 heads do not share 3 key/value heads equally"]),
        llama("head_dim", json!(7), &["rotary positions turn pairs"]),
        llama("rms_norm_eps", json!(0.0), &["the epsilon of its norms is 0"]),
        llama("architectures", json!(["LlamaForSequenceClassification"]), &["`architectures` is `LlamaForSequence"]),
        gpt2("activation_function", json!("gelu"), &["`activation_function` is \"gelu\""]),
        gpt2("scale_attn_by_inverse_layer_idx", json!(true), &["`scale_attn_by_inverse_layer_idx` is true"]),
        gpt2("scale_attn_weights", json!(false), &["`scale_attn_weights` is false"]),
        gpt2("add_cross_attention", json!(true), &["`add_cross_attention` is true"]),
        gpt2("n_head", json!(5), &["`n_embd` is 32, which `n_head`, 5, does not divide"]),
    ]
}

fn other_weights() -> Vec<Broken> {
    vec![
        (
            "llama-chat",
            weights(|all| all.retain(|w| w.name != "model.norm.weight")),
            "E0617",
            &["`model.norm.weight` is missing"],
        ),
        (
            "gpt2",
            weights(|all| all.retain(|w| w.name != "transformer.h.1.attn.c_attn.weight")),
            "E0617",
            &["`transformer.h.1.attn.c_attn.weight` is missing"],
        ),
        (
            "llama-chat",
            weights(|all| all[0].name = "model.layers.7.self_attn.q_proj.weight".into()),
            "E0617",
            &["`model.layers.7.self_attn.q_proj.weight` has no place"],
        ),
        (
            "llama-chat",
            set("intermediate_size", json!(65)),
            "E0617",
            &["`model.layers.0.mlp.down_proj.weight` is [32, 64] and should be [32, 65]"],
        ),
        (
            "gpt2",
            set("n_positions", json!(128)),
            "E0617",
            &["`transformer.wpe.weight` is [64, 32] and should be [128, 32]"],
        ),
        ("llama-chat", set("num_hidden_layers", json!(4)), "E0617", &["and 10 more", "18 of its tensors do not fit"]),
        ("llama-chat", set("tie_word_embeddings", json!(false)), "E0617", &["`lm_head.weight` is missing"]),
        (
            "llama-chat",
            Box::new(|at| {
                let file = at.join("model.safetensors");
                let mut bytes = std::fs::read(&file).unwrap();
                let old = b"\"BF16\"";
                let found = bytes.windows(old.len()).position(|w| w == old).unwrap();
                bytes[found..found + old.len()].copy_from_slice(b"\"I16\" ");
                std::fs::write(&file, bytes).unwrap();
            }),
            "E0617",
            &["has the number format I16; f32, f16 and bf16 can be read"],
        ),
        (
            "llama-shards",
            Box::new(|at| {
                let name = "model-00003-of-00003.safetensors";
                let mut twice = read_weights(&at.join(name)).unwrap();
                twice.push(read_weights(&at.join("model-00001-of-00003.safetensors")).unwrap().remove(0));
                write_weights(&twice, &at.join(name)).unwrap();
            }),
            "E0617",
            &["is there twice"],
        ),
    ]
}

#[test]
fn a_folder_that_cannot_be_used_is_told_before_anything_runs() {
    for (model, break_it, code, parts) in
        missing_or_damaged().into_iter().chain(unknown_networks()).chain(other_weights())
    {
        let place = lab(model, "");
        let at = place.path();
        break_it(&at.join("models/m"));
        let ran = exp(at, &["plan", "e.exp", "--format", "concise"]);
        let ran = if ran.code == 2 { exp(at, &["plan", "e.exp"]) } else { ran };
        // Lines of a picture are joined, because messages are wrapped.
        let said = ran.err.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert_eq!(ran.code, 1, "{code} {parts:?}: {}", ran.err);
        assert!(said.contains(&format!("error[{code}]")), "{code}: {said}");
        for part in parts {
            assert!(said.contains(part), "{code}: `{part}` in {said}");
        }
        let direct = with_input(at, &["logprobs", "models/m", "--device", "cpu"], "The owl\n");
        let absent = parts[0].starts_with("there is no model") || parts[0].ends_with("is a PEFT adapter");
        assert_eq!(direct.code, if absent { 2 } else { 3 }, "{code}: {}", direct.err);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_file_is_told_and_not_waited_for() {
    for file in ["model.safetensors", "config.json", "tokenizer.json"] {
        let place = lab("llama-chat", "");
        let at = place.path();
        instead(file, |at| assert!(std::process::Command::new("mkfifo").arg(at).status().unwrap().success()))(
            &at.join("models/m"),
        );
        let ran = exp(at, &["plan", "e.exp"]);
        let said = ran.err.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(ran.code == 1 && said.contains("it is a pipe or a device, not a file"), "{file}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_told_as_what_it_is() {
    for file in ["model.safetensors", "config.json", "tokenizer.json"] {
        let place = lab("llama-chat", "");
        let at = place.path();
        instead(file, |at| std::os::unix::fs::symlink("../blobs/gone", at).unwrap())(&at.join("models/m"));
        let ran = exp(at, &["plan", "e.exp"]);
        let said = ran.err.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(
            ran.code == 1 && said.contains("it is a link to `../blobs/gone`, where there is nothing"),
            "{file}: {said}"
        );
    }
}

#[test]
fn a_tied_network_with_its_output_alone_and_one_that_was_compiled_are_the_same_network() {
    let line = ["The owl sat in the old tree."];
    let whole = logprobs(&golden(""), "llama-chat", &line);
    for rename in
        [|name: &str| name.replace("model.embed_tokens.", "lm_head."), |name: &str| format!("_orig_mod.{name}")]
    {
        let place = lab("llama-chat", "");
        weights(move |all| all.iter_mut().for_each(|w| w.name = rename(&w.name).into()))(
            &place.path().join("models/m"),
        );
        assert_eq!(logprobs(place.path(), "models/m", &line), whole);
    }
}

#[test]
fn windows_of_some_blocks_are_written_as_they_were_read() {
    let line = ["The owl sat in the old tree and looked at the moon."];
    for name in ["qwen2-window", "mistral-kinds", "mistral-window"] {
        let place = lab(name, "");
        let at = place.path();
        assert_eq!(json(at, &RUN)["stages"]["base"]["cached"], false);
        assert_eq!(exp(at, &["export", "latest.base", "--to", "out"]).code, 0, "{name}");
        let (theirs, ours) = (read(&golden(name).join("config.json")), read(&at.join("out/config.json")));
        for field in ["model_type", "sliding_window", "layer_types"] {
            assert_eq!(theirs[field], ours[field], "{name}");
        }
        assert_eq!(logprobs(at, "models/m", &line), logprobs(at, "out", &line), "{name}");
    }
}

#[test]
fn what_decides_nothing_is_no_part_of_a_network() {
    let place = lab("gpt2", "");
    let at = place.path();
    let hash = || json(at, &["plan", "e.exp", "--format", "json"])["hash"].clone();
    let before = hash();
    assert!(before.is_string());
    for file in ["merges.txt", "vocab.json", "added_tokens.json", "tokenizer.model"] {
        std::fs::write(at.join("models/m").join(file), "{}").unwrap();
    }
    assert_eq!(before, hash());
}

#[test]
fn nothing_is_read_where_only_the_text_is_checked() {
    let place = lab("gpt2", "");
    std::fs::remove_dir_all(place.path().join("models")).unwrap();
    let ran = exp(place.path(), &["check", "e.exp"]);
    assert!(ran.code == 0 && ran.err.contains("no problems"), "{}", ran.err);
}

#[test]
fn what_is_doubtful_is_told_and_runs() {
    // A field that nobody knows, and numbers that are none.
    let place = lab("llama-chat", "");
    let at = place.path();
    set("attention_wobble", json!(0.5))(&at.join("models/m"));
    let planned = exp(at, &["plan", "e.exp"]);
    let direct = ["--max-tokens", "2", "--device", "cpu"];
    let written = exp(at, &[&["generate", "models/m", "--prompt", "The", "--temperature", "0"][..], &direct].concat());
    let likely = with_input(at, &["logprobs", "models/m", "--device", "cpu"], "The owl\n");
    for ran in [planned, written, likely] {
        let told = ran.err.contains("warning[W1012]") && ran.err.contains("`attention_wobble`");
        assert!(ran.code == 0 && told, "{}", ran.err);
    }
    weights(|all| all[2].numbers.to_mut()[5] = f32::NAN)(&at.join("models/m"));
    // Whatever else is made of such logits, the weights are named.
    let likely = with_input(at, &["logprobs", "models/m", "--device", "cpu"], "The owl\n");
    assert!(
        likely.err.contains("not finite in the weights: `model.layers.0.mlp.down_proj.weight` (1)"),
        "{}",
        likely.err
    );
    let ran = exp(at, &RUN);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let record: Json = serde_json::from_str(&ran.out).unwrap();
    let warning = record["stages"]["base"]["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("not finite") && warning.contains("`model.layers.0.mlp.down_proj.weight` (1)"),
        "{warning}"
    );
}

#[test]
fn a_folder_with_a_chat_template_answers() {
    let place = lab("llama-chat", "");
    let talk = ["chat", "models/m", "--temperature", "0", "--max-tokens", "3", "--device", "cpu", "--format", "json"];
    let ran = with_input(place.path(), &talk, "Who sings?\nWhy?\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told: Json = serde_json::from_str(&ran.out).unwrap();
    let roles: Vec<&str> = told["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    let place = lab("gpt2", "");
    let ran = with_input(place.path(), &talk, "Who sings?\n");
    assert!(ran.code == 2 && ran.err.contains("`models/m` has no chat template"), "{} {}", ran.code, ran.err);
}

#[test]
fn a_line_beyond_the_context_is_scored_in_windows_and_says_so() {
    let place = lab("gpt2", "");
    let long = format!("The owl sat.\n{}\n", "The owl sat on the old wall. ".repeat(20));
    let ran = with_input(place.path(), &["logprobs", "models/m", "--device", "cpu"], &long);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 2);
    let notes = ran.err.matches("note: line").count();
    assert!(notes == 1 && ran.err.contains("note: line 2 has") && ran.err.contains("window by window"), "{}", ran.err);
}

#[test]
fn a_model_without_a_chat_template_is_not_given_one_in_silence() {
    let told = |model: &str, items: &str| {
        let place = lab(model, items);
        let ran = exp(place.path(), &["plan", "e.exp"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.err.matches("warning[W1013]").count()
    };
    let tuned = "stage tuned : sft { init = base, data = questions.train, budget = 2 steps }\n";
    let again = "stage again : sft { init = tuned, data = questions.train, budget = 2 steps }\n";
    assert_eq!(told("gpt2", tuned), 1);
    assert_eq!(told("gpt2", &format!("{tuned}{again}")), 1, "once for a chain of stages");
    assert_eq!(told("llama-chat", tuned), 0, "its folder has one");
    assert_eq!(told("gpt2", &tuned.replace("2 steps", "2 steps, template = chat_template()")), 0, "it is meant");
}

#[test]
fn what_does_not_fit_a_published_network_is_told() {
    for (items, code, parts) in [
        (
            "tokenizer large : bpe { train_on = stories.train, vocab = 400 }\nstage x : sft { init = base, tokenizer = large, \
             data = questions.train, budget = 1 steps }",
            "E0607",
            &["`base` has 304 embeddings, but `large` has 400 entries"][..],
        ),
        (
            "stage x : next_token { init = base, data = stories.train, budget = 1 steps, sequence = 100 tokens }",
            "E0609",
            &["longer than the 64 of `base`"],
        ),
        (
            "stage x : sft { init = pretrained(folder = \"models/m\"), data = questions.train, budget = 1 steps }",
            "E0304",
            &["a stage is declared by itself", "`stage NAME : pretrained { … }`"],
        ),
        ("expect base.train.loss < 3", "E0503", &["this stage trains nothing"]),
        ("expect base.valid.loss < 3", "E0503", &["this stage trains nothing"]),
        (
            "stage x : training { init = base, data = stories.train, budget = 1 steps }",
            "E0209",
            &["there is no stage `training`"],
        ),
        (
            "stage x : pretrained { folder = \"models/m\", budget = 3 steps }",
            "E0318",
            &["`budget` is a field of `next_token`, `sft`"],
        ),
    ] {
        let place = lab("gpt2", items);
        let ran = exp(place.path(), &["plan", "e.exp"]);
        let said = ran.err.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(ran.code == 1 && said.contains(&format!("error[{code}]")), "{code}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
    }
    // A smaller tokenizer has embeddings for all that it makes.
    let fits = "tokenizer small : bpe { train_on = stories.train, vocab = 280 }\nstage x : sft { init = base, tokenizer = small, \
                data = questions.train, budget = 1 steps }";
    let told = |items: &str| {
        let place = lab("gpt2", items);
        let ran = exp(place.path(), &["plan", "e.exp"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.err.matches("warning[W1016]").count()
    };
    assert_eq!(told(fits), 1, "its tokens are others than those that the embedding has learnt");
    assert_eq!(told(&fits.replace("tokenizer = small, ", "")), 0);
    let own = fits.replace(
        "bpe { train_on = stories.train, vocab = 280 }",
        "tokenizer_json { file = \"models/m/tokenizer.json\", vocab = 304 }",
    );
    assert_eq!(told(&own), 0, "it is the folder's own file");
}
