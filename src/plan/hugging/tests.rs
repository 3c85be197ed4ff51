use super::config;
use super::names::{Family, ours};
use crate::plan::parameters;
use crate::plan::spec::{Activation, Norm, Position};
use serde_json::{Map, Value as Json, json};

fn fields(json: &Json) -> Map<String, Json> {
    json.as_object().cloned().unwrap()
}

fn read(json: &Json) -> config::Read {
    config::decoder(&fields(json), "m").unwrap_or_else(|fault| panic!("{fault}"))
}

/// Configurations as they are published, with the parameters that are published.
#[test]
fn published_configurations_are_understood() {
    let smollm = json!({
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 0,
        "eos_token_id": 0, "hidden_act": "silu", "hidden_size": 576, "initializer_range": 0.041_666_666,
        "intermediate_size": 1536, "is_llama_config": true, "max_position_embeddings": 2048, "model_type": "llama",
        "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3, "pretraining_tp": 1,
        "rms_norm_eps": 1e-5, "rope_interleaved": false, "rope_scaling": null, "rope_theta": 10_000.0,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.42.3", "use_cache": true,
        "vocab_size": 49_152, "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}},
    });
    let tiny = json!({
        "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
        "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 5632, "max_position_embeddings": 2048,
        "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 22, "num_key_value_heads": 4,
        "pretraining_tp": 1, "rms_norm_eps": 1e-5, "rope_scaling": null, "tie_word_embeddings": false,
        "torch_dtype": "float32", "transformers_version": "4.31.0.dev0", "use_cache": true, "vocab_size": 32_000,
    });
    let gpt2 = json!({
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50_256,
        "embd_pdrop": 0.1, "eos_token_id": 50_256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-5,
        "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
        "resid_pdrop": 0.1, "summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true,
        "summary_type": "cls_index", "summary_use_proj": true,
        "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}}, "vocab_size": 50_257,
    });
    let mistral = json!({
        "architectures": ["MistralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14_336,
        "max_position_embeddings": 32_768, "model_type": "mistral", "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 1_000_000.0, "sliding_window": null,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.36.0", "use_cache": true,
        "vocab_size": 32_000,
    });
    for (config, family, total) in [
        (&smollm, Family::Llama, 134_515_008),
        (&tiny, Family::Llama, 1_100_048_384),
        (&gpt2, Family::Gpt2, 124_439_808),
        (&mistral, Family::Mistral, 7_241_732_096),
    ] {
        let found = read(config);
        assert_eq!((found.family, found.unknown.as_slice()), (family, &[][..]), "{config}");
        let vocab = u64::try_from(found.decoder.vocab.unwrap()).unwrap();
        assert_eq!(parameters(&found.decoder, vocab).total(), total, "{config}");
        let named: u64 = ours(&found.decoder).values().map(|shape| shape.iter().product::<u64>()).sum();
        assert_eq!(named, total, "the names are those of all parameters");
    }
    let gpt2 = read(&gpt2).decoder;
    assert_eq!((gpt2.norm, gpt2.position, gpt2.activation), (Norm::Layer, Position::Learned, Activation::Gelu));
    assert!(gpt2.bias && gpt2.tied && gpt2.dropout == 0.1 && gpt2.hidden == 3072);
    let mistral = read(&mistral).decoder;
    assert_eq!((mistral.kv_heads, mistral.head_dim, mistral.rope_theta), (8, 128, 1e6));
}

#[test]
fn a_field_that_is_off_is_no_doubt_and_one_that_is_on_is() {
    let mut config = fields(&json!({
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "max_position_embeddings": 8, "vocab_size": 8, "new_trick": false, "other_trick": null, "third": [], "fourth": 0,
    }));
    assert!(config::decoder(&config, "m").unwrap_or_else(|f| panic!("{f}")).unknown.is_empty());
    config.insert("new_trick".into(), json!(true));
    assert_eq!(config::decoder(&config, "m").unwrap_or_else(|f| panic!("{f}")).unknown, ["new_trick"]);
    // A window as long as the context hides nothing.
    for (window, used, fits) in [(8, Json::Null, true), (4, Json::Null, false), (4, json!(false), true)] {
        config.insert("sliding_window".into(), json!(window));
        config.insert("use_sliding_window".into(), used);
        assert_eq!(config::decoder(&config, "m").is_ok(), fits, "{window}");
    }
}
