//! `exp export`: folders in the layout of `transformers`.
//!
//! That `transformers` computes the same with them is checked by hand with `tests/golden/check_export.py`: log-probabilities
//! of Llama and GPT-2 shapes (with and without biases, tied and not), and of Mixtral, Qwen 3 MoE and OLMoE, differed by less than 1e-5;
//! and so did gradients and ten AdamW steps of all ten families, from folders of `tests/engine/train/exported.rs`.

use crate::{RUN, exp, folder, json, trained};
use emberlab::model::read_weights;
use serde_json::Value as Json;

fn read(path: &std::path::Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_llama_is_written_whole_and_nothing_is_overwritten() {
    let (at, run, _) = trained();
    let told = json(at, &["export", &format!("{run}.tuned"), "--to", "llama", "--format", "json"]);
    assert_eq!((told["family"].as_str(), told["to"].as_str()), (Some("llama"), Some("llama")));
    let folder = at.join("llama");
    let config = read(&folder.join("config.json"));
    let expected = [("model_type", "llama"), ("hidden_act", "silu")];
    assert!(expected.iter().all(|(key, value)| config[*key] == *value), "{config:#}");
    let sizes = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"];
    assert_eq!(sizes.map(|key| config[key].as_u64().unwrap()), [32, 64, 1, 2, 384]);
    let about = read(&folder.join("tokenizer_config.json"));
    assert_eq!(about["eos_token"], "<|end|>");
    assert!(about["chat_template"].as_str().unwrap().contains("messages"));
    assert_eq!(read(&folder.join("tokenizer.json"))["model"]["type"], "BPE");
    let weights = read_weights(&folder.join("model.safetensors")).unwrap();
    let parameters: usize = weights.iter().map(|w| w.numbers.len()).sum();
    assert_eq!(Some(parameters as u64), told["parameters"].as_u64());
    let head = std::fs::read(folder.join("model.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&head[..200]).contains("\"format\":\"pt\""));
    assert!(std::fs::read_to_string(folder.join("README.md")).unwrap().contains("stage `tuned`"));
    let again = exp(at, &["export", run, "--to", "llama"]);
    assert_eq!(again.code, 2, "{}", again.err);
    assert!(again.err.contains("is not empty"), "{}", again.err);
}

/// Every file below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() { &mut folders } else { &mut found }.push(entry.path());
        }
    }
    found
}

const SHAPES: &str = r#"
model plain : decoder {
  layers = 1, heads = 2, width = 32, hidden = 40, context = 32 tokens
  norm = layer, position = learned, activation = gelu
}

model mixed from plain { norm = rms }

stage a : next_token { model = plain, tokenizer = pieces, data = stories.train, budget = 2 steps, batch = 4 documents }
stage b : next_token { model = mixed, tokenizer = pieces, data = stories.train, budget = 2 steps, batch = 4 documents }
"#;

#[test]
fn a_gpt2_lies_the_other_way_and_what_no_family_has_is_refused() {
    let place = folder(SHAPES);
    let at = place.path();
    let ran = exp(at, &RUN);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(exp(at, &["export", "latest.a", "--to", "gpt2"]).code, 0);
    let weights = read_weights(&at.join("gpt2/model.safetensors")).unwrap();
    let find = |name: &str| weights.iter().find(|w| w.name == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(find("transformer.h.0.attn.c_attn.weight").shape, [32, 96]);
    assert_eq!(find("transformer.h.0.mlp.c_proj.weight").shape, [40, 32]);
    assert!(find("transformer.h.0.attn.c_attn.bias").numbers.iter().all(|b| *b == 0.0));
    assert_eq!(find("transformer.wpe.weight").shape, [32, 32]);
    // A weight under another name is missing, and is not written as zeros.
    let learned = |w: &emberlab::model::Named| w.name.ends_with("embed_positions.weight");
    let is_it = |p: &std::path::PathBuf| {
        p.ends_with("weights.safetensors") && read_weights(p).is_ok_and(|w| w.iter().any(learned))
    };
    for stored in walk(&at.join(".emberlab")).into_iter().filter(is_it) {
        let mut bytes = std::fs::read(&stored).unwrap();
        let name = b"mlp.down_proj.weight";
        let found = bytes.windows(name.len()).position(|w| w == name).unwrap();
        bytes[found + 4] = b'b';
        std::fs::remove_file(&stored).unwrap();
        std::fs::write(&stored, bytes).unwrap();
    }
    let damaged = exp(at, &["export", "latest.a", "--to", "damaged"]);
    assert_eq!(damaged.code, 3, "{}", damaged.err);
    assert!(damaged.err.contains("`model.layers.0.mlp.down_proj.weight` is missing"), "{}", damaged.err);
    assert!(!at.join("damaged/model.safetensors").exists());
    let refused = exp(at, &["export", "latest.b", "--to", "mixed"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("the nearest, GPT-2, has no `norm = rms`"), "{}", refused.err);
    assert!(!at.join("mixed").exists());
}
