use super::head::Stored;
use super::names::{Family, ours, places};
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
        // Clipping to nothing is not the same as not clipping.
        ("olmoe", json!({"clip_qkv": 0.0}), "`clip_qkv` is 0.0"),
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
    for (old, new) in [(Json::Null, linear(2.0)), (linear(2.0), json!({})), (linear(2.0), linear(2.0))] {
        let config = small("llama", &json!({"rope_scaling": old, "rope_parameters": new}));
        let found = config::decoder(&config, "m").unwrap_or_else(|f| panic!("{f}")).decoder;
        assert!(matches!(found.rope_scaling, Some(RopeScaling::RopeLinear(s)) if s.factor == 2.0), "{config:?}");
    }
    // `default` is a statement like any other, and so is a base that only one of them has.
    let based = json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0});
    for (old, new) in [
        (linear(2.0), linear(4.0)),
        (linear(2.0), plain.clone()),
        (plain, linear(2.0)),
        (json!({"rope_type": "default"}), linear(2.0)),
        (linear(2.0), based.clone()),
    ] {
        let both = small("llama", &json!({"rope_scaling": old, "rope_parameters": new}));
        let fault = config::decoder(&both, "m").err().unwrap();
        let said = fault.to_string();
        assert!(said.contains("`rope_scaling` is `") && said.contains("and `rope_parameters` is `"), "{said}");
        assert!(said.contains("which differ") && fault.help.starts_with("remove from"), "{said} {}", fault.help);
    }
    let outer = json!({"rope_scaling": linear(2.0), "rope_parameters": based, "rope_theta": 5000.0});
    assert_eq!(
        read(&Json::Object(small("llama", &outer))).decoder.rope_theta,
        5000.0,
        "both have the base beside them"
    );
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
fn what_is_wrong_with_angles_is_named_and_not_the_object_that_it_is_in() {
    let long = |name: &str, value: Json| {
        let mut rope = json!({
            "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 32.0, "beta_slow": 1.0,
        });
        rope[name] = value;
        small("llama", &json!({"rope_scaling": rope}))
    };
    for (name, value, said) in [
        ("truncate", json!(false), "`truncate` in `rope_scaling` is false"),
        ("zz_unheard_of", json!(3), "`zz_unheard_of` in `rope_scaling` is 3"),
        ("factor", json!(0.5), "`factor` in `rope_scaling` is 0.5, and must be 1 or more"),
        ("factor", Json::Null, "`factor` in `rope_scaling` is missing"),
        ("rope_type", json!("dynamic"), "`rope_type` in `rope_scaling` is \"dynamic\""),
        ("partial_rotary_factor", json!(0.5), "`partial_rotary_factor` in `rope_scaling` is 0.5"),
        ("beta_slow", json!(-1.0), "`beta_slow` in `rope_scaling` is -1, and must be above 0"),
    ] {
        let found = refusal(&long(name, value));
        assert!(found.contains(said) && !found.contains('{'), "{found}");
    }
    for (name, value) in [("finetuned", json!(true)), ("truncate", json!(true)), ("mscale", json!(1.0))] {
        assert_eq!(refusal(&long(name, value)), "", "{name}");
    }
    // DeepSeek's pair, as `transformers` computes it.
    let mut both = long("mscale", json!(1.0));
    both["rope_scaling"]["mscale_all_dim"] = json!(0.8);
    let found = read(&Json::Object(both)).decoder.rope_scaling;
    let Some(RopeScaling::RopeYarn(yarn)) = found else { panic!("{found:?}") };
    let wanted = (0.1 * 4f64.ln() + 1.0) / (0.08 * 4f64.ln() + 1.0);
    assert!((yarn.attention.unwrap() - wanted).abs() < 1e-12);
}

#[test]
fn the_context_that_angles_come_from_is_found_where_transformers_finds_it() {
    let context = |inner: Json, outer: Json| {
        let mut rope = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0});
        rope["original_max_position_embeddings"] = inner;
        small("llama", &json!({"rope_scaling": rope, "original_max_position_embeddings": outer}))
    };
    for (inner, outer, wanted) in [
        (json!(16), Json::Null, 16),
        (Json::Null, json!(32), 32),
        (json!(32), json!(32), 32),
        // The network's own.
        (Json::Null, Json::Null, 64),
    ] {
        let found = read(&Json::Object(context(inner, outer)));
        assert!(found.unknown.is_empty());
        assert!(matches!(found.decoder.rope_scaling, Some(RopeScaling::RopeLlama3(s)) if s.context == wanted));
    }
    let said = refusal(&context(json!(16), json!(32)));
    assert!(said.contains("`original_max_position_embeddings` is 32, and 16 in `rope_scaling`"), "{said}");
}

#[test]
fn a_share_of_each_head_that_turns_is_told_where_transformers_turns_all() {
    let part = |rope: Json| small("llama", &json!({"partial_rotary_factor": 0.5, "rope_scaling": rope}));
    let found = read(&Json::Object(part(Json::Null)));
    assert!(found.notes[0].contains("`partial_rotary_factor` is 0.5, which changes nothing"), "{:?}", found.notes);
    let said = refusal(&part(json!({"type": "linear", "factor": 2.0})));
    assert!(said.contains("`partial_rotary_factor` is 0.5"), "{said}");
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

/// What windows a network has, or why it is refused.
fn windows(family: &str, more: Json) -> Result<(Option<i64>, Option<i64>), String> {
    let found = config::decoder(&small(family, &more), "m").map_err(|fault| fault.to_string())?;
    assert!(found.unknown.is_empty(), "{:?}", found.unknown);
    Ok((found.decoder.window, found.decoder.global_every))
}

#[test]
fn windows_of_qwen_begin_at_a_layer() {
    for family in ["qwen2", "qwen3"] {
        for (first, wanted) in [
            (json!(2), Some(None)),
            (json!(28), Some(None)),
            (Json::Null, Some(None)),
            (json!(0), Some(Some(4))),
            (json!(1), None),
        ] {
            let more =
                json!({"use_sliding_window": true, "sliding_window": 4, "max_window_layers": first, "_num_labels": 2});
            match (windows(family, more), wanted) {
                (Ok(found), Some(window)) => assert_eq!(found, (window, None), "{first}"),
                (Err(said), None) => assert!(said.contains("`sliding_window` is 4 and used from block 2 on"), "{said}"),
                (found, _) => panic!("{first}: {found:?}"),
            }
        }
    }
}

#[test]
fn windows_are_those_of_the_layer_types() {
    let (full, slides) = ("full_attention", "sliding_attention");
    let kinds = |all: &[&str], window: i64| json!({"use_sliding_window": true, "sliding_window": window, "layer_types": all, "num_hidden_layers": all.len()});
    for family in ["mistral", "qwen2", "qwen3", "smollm3"] {
        for (all, window, wanted) in [
            (vec![full; 4], 4, (None, None)),
            (vec![slides; 4], 4, (Some(4), None)),
            (vec![slides, slides, full, slides], 4, (Some(4), Some(3))),
            (vec![slides, full, slides, full], 4, (Some(4), Some(2))),
            // A window as long as the context hides nothing.
            (vec![full, slides, slides, full], 64, (None, None)),
        ] {
            assert_eq!(windows(family, kinds(&all, window)), Ok(wanted), "{family} {all:?}");
        }
        let irregular = windows(family, kinds(&[full, slides, slides, full], 4)).unwrap_err();
        assert!(irregular.contains("`layer_types` has blocks with full attention that do not come at"), "{irregular}");
        let other = windows(family, kinds(&["chunked_attention", full], 4)).unwrap_err();
        assert!(other.contains("`layer_types` has \"chunked_attention\""), "{other}");
        let none = windows(family, json!({"sliding_window": null, "layer_types": [slides, full]})).unwrap_err();
        assert!(none.contains("`layer_types` says that blocks have a window, and"), "{none}");
        let short = windows(family, json!({"layer_types": [full]})).unwrap_err();
        assert!(short.contains("`layer_types` has 1 entries, for 2 blocks"), "{short}");
    }
    // Where `transformers` reads neither, they are told.
    for family in ["llama", "olmo2", "olmoe"] {
        let found = read(&Json::Object(small(family, &kinds(&[slides, full], 4))));
        assert_eq!((found.decoder.window, found.decoder.global_every), (None, None));
        assert!(found.notes.iter().any(|note| note.starts_with("`sliding_window` is 4, and blocks of")));
        assert!(found.notes.iter().any(|note| note.starts_with("`layer_types` is")));
    }
    assert!(windows("qwen3_moe", kinds(&[full], 4)).unwrap_err().contains("`sliding_window` is 4 and used"));
    assert_eq!(windows("qwen3_moe", kinds(&[full], 64)), Ok((None, None)));
}

#[test]
fn where_there_are_no_positions_a_list_says_before_an_interval() {
    let nope = |more: Json| {
        let mut config = small("smollm3", &json!({"num_hidden_layers": 6}));
        config.extend(fields(&more));
        config::decoder(&config, "m").map(|found| found.decoder.nope_every).map_err(|fault| fault.to_string())
    };
    for (more, wanted) in [
        (json!({}), Some(4)),
        (json!({"no_rope_layer_interval": 2}), Some(2)),
        // Of a longer network, and beside an interval that nobody touched.
        (json!({"no_rope_layers": [1, 1, 1, 0, 1, 1, 1, 0, 1]}), Some(4)),
        (json!({"no_rope_layers": [1, 0, 1, 0, 1, 0], "no_rope_layer_interval": 4}), Some(2)),
        (json!({"no_rope_layers": [1, 1, 1, 1, 1, 1]}), None),
    ] {
        assert_eq!(nope(more.clone()), Ok(wanted), "{more}");
    }
    for (more, part) in [
        (json!({"no_rope_layers": []}), "`no_rope_layers` has 0 entries, for 6 blocks"),
        (json!({"no_rope_layers": [0, 1, 1, 1, 1, 0]}), "`no_rope_layers` does not repeat"),
    ] {
        assert!(nope(more.clone()).unwrap_err().contains(part), "{more}");
    }
}

#[test]
fn dropout_of_training_keeps_no_network_from_being_read() {
    let found = read(&Json::Object(small("llama", &json!({"attention_dropout": 0.1}))));
    assert!(found.decoder.dropout == 0.0 && found.notes[0].contains("`attention_dropout` is 0.1"), "{:?}", found.notes);
    let more = json!({"attn_pdrop": 0.0, "resid_pdrop": 0.2, "embd_pdrop": 0.2});
    let found = read(&Json::Object(small("gpt2", &more)));
    let told: Vec<&String> = found.notes.iter().filter(|note| note.contains("pdrop")).collect();
    assert!(found.decoder.dropout == 0.2 && told.len() == 1 && told[0].starts_with("`attn_pdrop` is 0"), "{told:?}");
}

#[test]
fn sizes_of_gpt2_have_two_names() {
    // `small` has those of all other families.
    let found = read(&Json::Object(small("gpt2", &json!({"n_inner": 8, "n_positions": 64})))).decoder;
    assert_eq!((found.width, found.heads, found.layers, found.context), (64, 32, 2, 64));
    let said = refusal(&small("gpt2", &json!({"n_embd": 32})));
    assert!(said.contains("`n_embd` is 32 and `hidden_size`, which means the same, is 64"), "{said}");
}

#[test]
fn a_size_that_is_missing_is_assumed_and_one_that_is_malformed_is_all_that_is_told() {
    let mut config = small("llama", &json!({}));
    config.remove("max_position_embeddings");
    let found = read(&Json::Object(config.clone()));
    assert_eq!((found.decoder.context, found.notes.len()), (2048, 1));
    assert!(found.notes[0].contains("`max_position_embeddings` is missing, and 2048 is assumed"), "{:?}", found.notes);
    for (name, value) in
        [("num_attention_heads", json!(32.0)), ("hidden_size", json!("64")), ("num_hidden_layers", Json::Null)]
    {
        let mut config =
            small("llama", &json!({"num_key_value_heads": 4, "layer_types": ["full_attention", "full_attention"]}));
        let shown = value.to_string();
        config.insert(name.to_owned(), value);
        let fault = config::decoder(&config, "m").err().unwrap();
        let wanted = format!(
            "the `config.json` of `m` is malformed: `{name}` is {shown}, and must be a whole number from 1 to "
        );
        assert!(
            fault.message.starts_with(&wanted) && !fault.message[wanted.len()..].contains(','),
            "{}",
            fault.message
        );
        assert!(fault.help.starts_with("add or correct") && fault.notes.is_empty());
    }
}

/// The tensors of a small network, under other names.
fn stored(config: &Map<String, Json>, rename: impl Fn(&str) -> Option<String>) -> (config::Read, Vec<Vec<Stored>>) {
    let found = config::decoder(config, "m").unwrap_or_else(|f| panic!("{f}"));
    let tensor =
        |(name, shape): (String, Vec<u64>)| Some(Stored { name: rename(&name)?, dtype: "F32".to_owned(), shape });
    let all = ours(&found.decoder).into_iter().filter_map(tensor).collect();
    (found, vec![all])
}

#[test]
fn weights_are_found_under_what_else_they_are_called() {
    let config = small("llama", &json!({"tie_word_embeddings": true}));
    // The output stands for the embedding that it shares.
    let head = |name: &str| Some(name.replace("model.embed_tokens.", "lm_head."));
    let (read, files) = stored(&config, head);
    let found = places(Family::Llama, &read.decoder, &files, "m").unwrap_or_else(|f| panic!("{f}"));
    let embedding = found.places.iter().find(|place| place.name == "model.embed_tokens.weight").unwrap();
    assert_eq!(embedding.tensor, "lm_head.weight");
    let untied = small("llama", &json!({}));
    let (read, files) = stored(&untied, |name| head(name).filter(|_| !name.starts_with("lm_head")));
    let said = places(Family::Llama, &read.decoder, &files, "m").unwrap_err().to_string();
    assert!(said.contains("`model.embed_tokens.weight` is missing"), "{said}");
    // `torch.compile` puts its own word into names.
    let (read, files) = stored(&config, |name| Some(format!("_orig_mod.{name}")));
    let found = places(Family::Llama, &read.decoder, &files, "m").unwrap_or_else(|f| panic!("{f}"));
    assert!(found.places.iter().all(|place| place.tensor == format!("_orig_mod.{}", place.name)));
    assert!(found.notes[0].contains("`torch.compile`"), "{:?}", found.notes);
}

#[test]
fn number_formats_that_are_not_read_are_told_once_and_with_a_way_out() {
    let (read, files) = stored(&small("llama", &json!({})), |name| Some(name.to_owned()));
    for (dtype, count, parts) in [
        ("F64", 30, ["tensors have the number format F64; f32", "dtype=torch.float32"]),
        ("I8", 1, ["`lm_head.weight` has the number format I8; f32", "quantised weights"]),
    ] {
        let mut files = files.clone();
        files[0].iter_mut().take(count).for_each(|tensor| tensor.dtype = dtype.to_owned());
        let fault = places(Family::Llama, &read.decoder, &files, "m").unwrap_err();
        assert!(fault.message.contains(parts[0]) && fault.help.contains(parts[1]), "{fault} {}", fault.help);
        assert_eq!(fault.message.matches("number format").count(), 1, "{fault}");
    }
}

#[test]
fn files_are_counted_before_millions_of_names_are_made() {
    let (_, files) = stored(&small("mixtral", &json!({"num_key_value_heads": 8})), |name| Some(name.to_owned()));
    let more = json!({"num_hidden_layers": 512, "num_local_experts": 4096, "num_key_value_heads": 8});
    let huge = config::decoder(&small("mixtral", &more), "m").unwrap_or_else(|f| panic!("{f}")).decoder;
    let started = std::time::Instant::now();
    let said = places(Family::Mixtral, &huge, &files, "m").unwrap_err().to_string();
    assert!(said.contains("tensors, and its 512 blocks have 4197376 at the least"), "{said}");
    assert!(started.elapsed().as_secs() < 2, "no name was made");
}

#[test]
fn what_is_no_model_is_called_by_its_name() {
    let mut world = MemoryWorld::default();
    world.insert("m/adapter_config.json", "{}");
    let fault = super::read(&world, "m").unwrap_err();
    assert!(fault.message.contains("is a PEFT adapter") && fault.help.contains("merge_and_unload"), "{fault}");
    assert!(!fault.absent);
    world.insert("m/config.json", &Json::Object(small("llama", &json!({}))).to_string());
    let fault = super::read(&world, "m").unwrap_err();
    assert!(fault.message.contains("is a PEFT adapter"), "{fault}");
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

#[test]
fn an_entry_that_only_the_configuration_adds_is_not_passed_over() {
    let config = small("llama", &json!({"bos_token_id": 1, "eos_token_id": 2}));
    let network = config::decoder(&config, "m").unwrap_or_else(|f| panic!("{f}")).decoder;
    let read = |added: &Json| {
        let mut world = MemoryWorld::default();
        let file = json!({"model": {"vocab": {"a": 0, "<s>": 1, "</s>": 2, "<|y|>": 3}},
            "added_tokens": [{"id": 1, "content": "<s>"}, {"id": 2, "content": "</s>"}]});
        world.insert("m/tokenizer.json", &file.to_string());
        world.insert("m/tokenizer_config.json", &json!({"added_tokens_decoder": added}).to_string());
        tokens::read(&world, "m", &config, &network).map(|_| ())
    };
    read(&json!({"1": {"content": "<s>"}, "2": {"content": "</s>"}})).unwrap_or_else(|f| panic!("{f}"));
    // Whether the vocabulary has it or not: text is matched with it only where it is added.
    for token in ["<|x|>", "<|y|>"] {
        let fault = read(&json!({"1": {"content": "<s>"}, "3": {"content": token}})).unwrap_err();
        let said = format!("adds `{token}` as entry 3, which `m/tokenizer.json` does not add");
        assert!(fault.message.contains(&said) && fault.help.contains("save_pretrained"), "{fault}");
    }
    // Nothing that can be made sense of is nothing that was added.
    read(&json!(["<s>"])).unwrap_or_else(|f| panic!("{f}"));
}
