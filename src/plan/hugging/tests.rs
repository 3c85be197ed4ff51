use super::names::{Family, ours};
use super::{config, tokens};
use crate::plan::parameters;
use crate::plan::spec::{Activation, Norm, Position, RopeScaling};
use crate::source::MemoryWorld;
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
    let mixtral = json!({
        "architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14_336,
        "max_position_embeddings": 32_768, "model_type": "mixtral", "num_attention_heads": 32, "num_experts_per_tok": 2,
        "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8, "output_router_logits": false,
        "rms_norm_eps": 1e-5, "rope_theta": 1_000_000.0, "router_aux_loss_coef": 0.02, "sliding_window": null,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.36.0.dev0", "use_cache": true,
        "vocab_size": 32_000,
    });
    let qwen = json!({
        "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151_643,
        "decoder_sparse_step": 1, "eos_token_id": 151_645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2048,
        "initializer_range": 0.02, "intermediate_size": 6144, "max_position_embeddings": 40_960, "max_window_layers": 48,
        "mlp_only_layers": [], "model_type": "qwen3_moe", "moe_intermediate_size": 768, "norm_topk_prob": true,
        "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48,
        "num_key_value_heads": 4, "output_router_logits": false, "rms_norm_eps": 1e-6, "rope_scaling": null,
        "rope_theta": 1_000_000.0, "router_aux_loss_coef": 0.001, "sliding_window": null, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false,
        "vocab_size": 151_936,
    });
    let olmoe = json!({
        "architectures": ["OlmoeForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "clip_qkv": null,
        "eos_token_id": 50_279, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
        "intermediate_size": 1024, "max_position_embeddings": 4096, "model_type": "olmoe", "norm_topk_prob": false,
        "num_attention_heads": 16, "num_experts": 64, "num_experts_per_tok": 8, "num_hidden_layers": 16,
        "num_key_value_heads": 16, "output_router_logits": false, "pad_token_id": 1, "rms_norm_eps": 1e-5,
        "rope_scaling": null, "rope_theta": 10_000.0, "router_aux_loss_coef": 0.01, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "transformers_version": "4.43.0.dev0", "use_cache": true, "vocab_size": 50_304,
    });
    for (config, family, total) in [
        (&smollm, Family::Llama, 134_515_008),
        (&tiny, Family::Llama, 1_100_048_384),
        (&gpt2, Family::Gpt2, 124_439_808),
        (&mistral, Family::Mistral, 7_241_732_096),
        (&mixtral, Family::Mixtral, 46_702_792_704),
        (&qwen, Family::Qwen3Moe, 30_532_122_624),
        (&olmoe, Family::Olmoe, 6_919_161_856),
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
fn experts_are_read_or_refused() {
    let experts = |family: &str, more: &Json| {
        let found = config::decoder(&small(family, more), "m").unwrap_or_else(|f| panic!("{f}"));
        assert!(found.unknown.is_empty(), "{:?}", found.unknown);
        found.decoder.experts.unwrap()
    };
    // What `transformers` assumes of a configuration that does not say, and either name of the number.
    let mixtral = experts("mixtral", &json!({"router_jitter_noise": 0.0}));
    assert_eq!((mixtral.count, mixtral.active, mixtral.renormalize, mixtral.balance), (8, 2, true, 0.0));
    let told = json!({"output_router_logits": true});
    assert_eq!(experts("mixtral", &told).balance, 0.001, "only then is it learnt from");
    let qwen = experts("qwen3_moe", &json!({"num_local_experts": 16, "decoder_sparse_step": 2}));
    assert_eq!((qwen.count, qwen.active, qwen.hidden, qwen.every), (16, 8, Some(768), Some(2)));
    let olmoe = experts("olmoe", &json!({"num_experts": 9, "output_router_logits": true}));
    assert_eq!((olmoe.count, olmoe.active, olmoe.renormalize, olmoe.balance), (9, 8, false, 0.01));
    for (family, more, part) in [
        ("mixtral", json!({"router_jitter_noise": 0.1}), "`router_jitter_noise` is 0.1"),
        ("mixtral", json!({"num_local_experts": 1}), "`num_experts_per_tok` is 2, of 1 experts"),
        ("qwen3_moe", json!({"mlp_only_layers": [0]}), "`mlp_only_layers` is [0]"),
        ("olmoe", json!({"clip_qkv": 8.0}), "`clip_qkv` is 8.0"),
        ("olmoe", json!({"head_dim": 4}), "its heads do not add up to `hidden_size`"),
    ] {
        let said = refusal(&small(family, &more));
        assert!(said.contains(part), "{said}");
    }
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

/// A small configuration of a family with these fields besides.
fn small(family: &str, more: &Json) -> Map<String, Json> {
    let mut config = fields(&json!({
        "model_type": family, "hidden_size": 64, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 32,
        "max_position_embeddings": 64, "vocab_size": 8,
    }));
    config.extend(fields(more));
    config
}

fn refusal(config: &Map<String, Json>) -> String {
    config::decoder(config, "m").err().map_or_else(String::new, |fault| fault.to_string())
}

#[test]
fn scaling_is_taken_from_whichever_field_says_one() {
    let linear = |factor: f64| json!({"rope_type": "linear", "factor": factor});
    let plain = json!({"rope_type": "default", "rope_theta": 5000.0});
    for (old, new) in
        [(linear(2.0), plain.clone()), (plain, linear(2.0)), (Json::Null, linear(2.0)), (linear(2.0), linear(2.0))]
    {
        let config = small("llama", &json!({"rope_scaling": old, "rope_parameters": new}));
        let found = config::decoder(&config, "m").unwrap_or_else(|f| panic!("{f}")).decoder;
        assert!(matches!(found.rope_scaling, Some(RopeScaling::RopeLinear(s)) if s.factor == 2.0), "{config:?}");
    }
    let both = small("llama", &json!({"rope_scaling": linear(2.0), "rope_parameters": linear(4.0)}));
    assert!(refusal(&both).contains("which differ"));
    for name in
        ["rope_theta", "factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor"]
    {
        let mut rope = json!({"rope_type": "yarn", "factor": 4.0});
        rope[name] = json!("1");
        let said = refusal(&small("llama", &json!({"rope_parameters": rope})));
        assert!(said.contains(&format!("`{name}` in `rope_parameters` is \"1\"")), "{said}");
    }
}

#[test]
fn what_acts_in_other_networks_is_refused_unless_it_does_nothing() {
    for (name, acts, idle) in [
        ("final_logit_softcapping", json!(30.0), Json::Null),
        ("attn_logit_softcapping", json!(50.0), Json::Null),
        ("logit_scale", json!(0.06), json!(1.0)),
        ("embedding_multiplier", json!(12), json!(1)),
        ("residual_multiplier", json!(0.2), json!(1.0)),
        ("logits_scaling", json!(8), json!(1)),
        ("attention_multiplier", json!(1.0), json!(0.5_f64.sqrt())),
        ("query_pre_attn_scalar", json!(256), json!(2)),
        ("alibi", json!(true), json!(false)),
        ("clip_qkv", json!(8.0), Json::Null),
        ("partial_rotary_factor", json!(0.5), json!(1.0)),
        ("qk_layernorm", json!(true), json!(false)),
        ("num_experts", json!(8), json!(0)),
        ("num_local_experts", json!(8), Json::Null),
        ("parallel_attn", json!(true), json!(false)),
        ("use_parallel_residual", json!(true), json!(false)),
        ("scale_depth", json!(1.4), json!(2_f64.sqrt())),
        ("scale_emb", json!(12), json!(1)),
        ("dim_model_base", json!(256), json!(64)),
    ] {
        let mut config = small("llama", &json!({}));
        config.insert(name.to_owned(), acts);
        assert!(refusal(&config).contains(&format!("`{name}` is ")), "{name}");
        config.insert(name.to_owned(), idle);
        let found = config::decoder(&config, "m").unwrap_or_else(|f| panic!("{name}: {f}"));
        assert!(found.unknown.is_empty(), "{name}");
    }
}

#[test]
fn a_silent_configuration_has_the_defaults_of_its_family() {
    for (family, kv_heads, head_dim) in
        [("llama", 32, 2), ("mistral", 8, 2), ("qwen2", 32, 2), ("qwen3", 32, 128), ("olmo2", 32, 2), ("smollm3", 4, 2)]
    {
        let found = read(&Json::Object(small(family, &json!({})))).decoder;
        assert_eq!((found.kv_heads, found.head_dim), (kv_heads, head_dim), "{family}");
        let null = read(&Json::Object(small(family, &json!({"num_key_value_heads": null})))).decoder;
        assert_eq!(null.kv_heads, 32, "{family}");
    }
}

#[test]
fn windows_of_qwen_begin_at_a_layer() {
    for family in ["qwen2", "qwen3"] {
        for (first, fits) in
            [(json!(2), true), (json!(28), true), (Json::Null, true), (json!(1), false), (json!(0), false)]
        {
            let more =
                json!({"use_sliding_window": true, "sliding_window": 4, "max_window_layers": first, "_num_labels": 2});
            let config = small(family, &more);
            assert_eq!(refusal(&config).contains("`sliding_window` is 4 and used"), !fits, "{config:?}");
            assert_eq!(config::decoder(&config, "m").is_ok_and(|read| read.unknown.is_empty()), fits, "{config:?}");
        }
    }
}

#[test]
fn a_tokenizer_that_says_it_begins_texts_with_nothing_is_believed() {
    let config = small("llama", &json!({"bos_token_id": 1, "eos_token_id": 2}));
    let network = config::decoder(&config, "m").unwrap_or_else(|f| panic!("{f}")).decoder;
    for (about, begin) in
        [(json!({}), Some(1)), (json!({"bos_token": null}), None), (json!({"bos_token": "a"}), Some(0))]
    {
        let mut world = MemoryWorld::default();
        world.insert("m/tokenizer.json", r#"{"model": {"vocab": {"a": 0, "<s>": 1, "</s>": 2}}}"#);
        world.insert("m/tokenizer_config.json", &about.to_string());
        let found = tokens::read(&world, "m", &config, &network).unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(found.tokenizer.specials.begin, begin, "{about}");
    }
}
