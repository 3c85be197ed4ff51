//! Networks in the layout of Hugging Face `transformers`.

use super::architecture::Architecture;
use super::weights::Named;
pub use crate::plan::hugging::Family;
use crate::plan::spec::{Activation, Norm, NormPlace, Position, QkNorm, RopeScaling};
use serde_json::{Value as Json, json};
use std::borrow::Cow;

/// Special tokens, as configurations name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Specials {
    /// Begins and ends texts.
    pub end: u32,
    pub pad: u32,
}

/// Families in the order they are tried: the first that fits is taken.
const ORDER: [Family; 10] = [
    Family::Llama,
    Family::Gpt2,
    Family::Qwen2,
    Family::Qwen3,
    Family::Olmo2,
    Family::Mistral,
    Family::Smollm3,
    Family::Mixtral,
    Family::Qwen3Moe,
    Family::Olmoe,
];

/// What `transformers` calls the network of a family.
fn class(family: Family) -> &'static str {
    match family {
        Family::Gpt2 => "GPT2LMHeadModel",
        Family::Llama => "LlamaForCausalLM",
        Family::Mistral => "MistralForCausalLM",
        Family::Qwen2 => "Qwen2ForCausalLM",
        Family::Qwen3 => "Qwen3ForCausalLM",
        Family::Olmo2 => "Olmo2ForCausalLM",
        Family::Smollm3 => "SmolLM3ForCausalLM",
        Family::Mixtral => "MixtralForCausalLM",
        Family::Qwen3Moe => "Qwen3MoeForCausalLM",
        Family::Olmoe => "OlmoeForCausalLM",
    }
}

/// What of a network the family does not have.
fn lacks(family: Family, a: &Architecture) -> Vec<String> {
    let gpt2 = family == Family::Gpt2;
    let (qk_norm, place) = match family {
        Family::Qwen3 | Family::Qwen3Moe => (QkNorm::Head, NormPlace::Before),
        Family::Olmoe => (QkNorm::Width, NormPlace::Before),
        Family::Olmo2 => (QkNorm::Width, NormPlace::After),
        _ => (QkNorm::Absent, NormPlace::Before),
    };
    let biases = match family {
        // Its own are zero where ours has none.
        Family::Gpt2 => true,
        Family::Llama | Family::Smollm3 => a.bias == a.qkv_bias,
        Family::Qwen2 => !a.bias && a.qkv_bias,
        Family::Mistral | Family::Qwen3 | Family::Olmo2 | Family::Mixtral | Family::Qwen3Moe | Family::Olmoe => {
            !a.bias && !a.qkv_bias
        }
    };
    let mixed = mixes(family);
    let mixtures = match (family, &a.experts) {
        (Family::Mixtral, Some(experts)) => experts.renormalize && experts.every.is_none(),
        (Family::Olmoe, Some(experts)) => experts.every.is_none(),
        _ => true,
    };
    let windows = match family {
        Family::Mistral => a.window.is_some(),
        Family::Qwen2 | Family::Qwen3 => true,
        Family::Mixtral => a.global_every.is_none(),
        _ => a.window.is_none(),
    };
    let narrow = matches!(family, Family::Gpt2 | Family::Olmoe);
    let choice = |has: bool, field: &str, value: &dyn Fn() -> Json| {
        (!has).then(|| format!("`{field} = {}`", value().as_str().unwrap_or_default()))
    };
    let other = |has: bool, what: &str| (!has).then(|| what.to_owned());
    let (norm, position, activation) = match gpt2 {
        true => (Norm::Layer, Position::Learned, Activation::Gelu),
        false => (Norm::Rms, Position::Rotary, Activation::Swiglu),
    };
    [
        choice(a.norm == norm, "norm", &|| json!(a.norm)),
        choice(a.norm_place == place, "norm_place", &|| json!(a.norm_place)),
        choice(a.qk_norm == qk_norm, "qk_norm", &|| json!(a.qk_norm)),
        choice(a.position == position, "position", &|| json!(a.position)),
        choice(a.activation == activation || (gpt2 && a.activation == Activation::Relu), "activation", &|| {
            json!(a.activation)
        }),
        other(a.nope_every.is_some() == (family == Family::Smollm3), "`nope_every` like this"),
        other(windows, "windows like these"),
        other(biases, "biases like these"),
        other(a.logit_cap.is_none(), "`logit_cap`"),
        other(a.value_embeddings.is_none(), "`value_embeddings`"),
        other(!gpt2 || a.kv_heads == a.heads, "fewer key/value heads than heads"),
        other(mixed == a.experts.is_some(), if mixed { "feed-forward layers without experts" } else { "`experts`" }),
        other(mixtures, "choice of experts like this one"),
        other(!narrow || a.heads * a.head_dim == a.width, "heads whose widths do not add up to that of the network"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether networks of a family have experts.
fn mixes(family: Family) -> bool {
    matches!(family, Family::Mixtral | Family::Qwen3Moe | Family::Olmoe)
}

/// The family whose networks compute what this one does.
///
/// # Errors
/// What of the network the nearest family does not have.
pub fn family(a: &Architecture) -> Result<Family, String> {
    let nearest = ORDER
        .map(|family| (family, lacks(family, a)))
        .into_iter()
        // What has experts is told what families with experts lack.
        .min_by_key(|(family, lacks)| (mixes(*family) != a.experts.is_some(), lacks.len()));
    match nearest {
        Some((family, lacks)) if lacks.is_empty() => Ok(family),
        Some((family, lacks)) => Err(format!(
            "no family of `transformers` has this combination: the nearest, {}, has no {}",
            family.title(),
            lacks.join(" and no ")
        )),
        None => Err("there are no families".to_owned()),
    }
}

/// `config.json`.
pub fn config(family: Family, a: &Architecture, specials: Specials) -> Json {
    let own = match family {
        Family::Gpt2 => json!({
            "n_positions": a.context,
            "n_ctx": a.context,
            "n_embd": a.width,
            "n_layer": a.layers,
            "n_head": a.heads,
            "n_inner": a.hidden,
            "activation_function": if a.activation == Activation::Relu { "relu" } else { "gelu_new" },
            "layer_norm_epsilon": a.norm_epsilon,
            "resid_pdrop": a.dropout,
            "embd_pdrop": a.dropout,
            "attn_pdrop": a.dropout,
        }),
        _ => json!({
            "hidden_size": a.width,
            "intermediate_size": a.hidden,
            "num_hidden_layers": a.layers,
            "num_attention_heads": a.heads,
            "num_key_value_heads": a.kv_heads,
            "head_dim": a.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": a.context,
            "rms_norm_eps": a.norm_epsilon,
            "rope_theta": a.rope_theta,
            "rope_scaling": a.rope_scaling.as_ref().map(rope_scaling),
            "attention_dropout": 0.0,
        }),
    };
    let further = match family {
        Family::Llama => json!({ "attention_bias": a.bias, "mlp_bias": a.bias }),
        Family::Smollm3 => json!({
            "attention_bias": a.bias,
            "mlp_bias": a.bias,
            "no_rope_layers": (0..a.layers).map(|layer| u8::from(a.rotary(layer))).collect::<Vec<_>>(),
            "no_rope_layer_interval": a.nope_every,
        }),
        Family::Qwen3 | Family::Olmo2 => json!({ "attention_bias": false }),
        Family::Mistral => json!({ "sliding_window": a.window }),
        Family::Mixtral | Family::Qwen3Moe | Family::Olmoe => experts(family, a),
        Family::Gpt2 | Family::Qwen2 => json!({}),
    };
    let windows = match family {
        // Which blocks have it, where `transformers` reads a list of them.
        Family::Qwen2 | Family::Qwen3 if a.window.is_some() => json!({
            "use_sliding_window": true,
            "sliding_window": a.window,
            "max_window_layers": 0,
            "layer_types": layer_types(a),
        }),
        Family::Mistral if a.global_every.is_some() => json!({ "layer_types": layer_types(a) }),
        Family::Qwen2 | Family::Qwen3 | Family::Smollm3 | Family::Qwen3Moe => {
            json!({ "use_sliding_window": false, "sliding_window": null })
        }
        _ => json!({}),
    };
    let shared = json!({
        "architectures": [class(family)],
        "model_type": family.model_type(),
        "vocab_size": a.vocab,
        "initializer_range": a.init_std,
        "tie_word_embeddings": a.tied,
        "use_cache": true,
        "bos_token_id": specials.end,
        "eos_token_id": specials.end,
        "pad_token_id": specials.pad,
        "torch_dtype": "float32",
    });
    let fields = [shared, own, further, windows].into_iter().filter_map(|part| part.as_object().cloned()).flatten();
    Json::Object(fields.collect())
}

/// Which blocks have a window.
fn layer_types(a: &Architecture) -> Vec<&'static str> {
    let kind = |layer| if a.window_of(layer).is_some() { "sliding_attention" } else { "full_attention" };
    (0..a.layers).map(kind).collect()
}

/// What configurations of networks with experts say of them.
fn experts(family: Family, a: &Architecture) -> Json {
    let Some(e) = &a.experts else { return json!({}) };
    let mut fields = json!({
        "num_experts_per_tok": e.active,
        "router_aux_loss_coef": e.balance,
        "output_router_logits": false,
    });
    let own = match family {
        Family::Mixtral => json!({
            "num_local_experts": e.count,
            "intermediate_size": e.hidden,
            "sliding_window": a.window,
        }),
        Family::Qwen3Moe => json!({
            "num_experts": e.count,
            "moe_intermediate_size": e.hidden,
            "norm_topk_prob": e.renormalize,
            "decoder_sparse_step": e.every.unwrap_or(1),
            "mlp_only_layers": [],
            "attention_bias": false,
        }),
        _ => json!({
            "num_experts": e.count,
            "intermediate_size": e.hidden,
            "norm_topk_prob": e.renormalize,
            "attention_bias": false,
            "clip_qkv": null,
        }),
    };
    if let (Some(fields), Json::Object(own)) = (fields.as_object_mut(), own) {
        fields.extend(own);
    }
    fields
}

fn rope_scaling(scaling: &RopeScaling) -> Json {
    match scaling {
        RopeScaling::RopeLinear(s) => json!({ "rope_type": "linear", "factor": s.factor }),
        RopeScaling::RopeLlama3(s) => json!({
            "rope_type": "llama3",
            "factor": s.factor,
            "low_freq_factor": s.low,
            "high_freq_factor": s.high,
            "original_max_position_embeddings": s.context,
        }),
        RopeScaling::RopeYarn(s) => {
            let mut yarn = json!({
                "rope_type": "yarn",
                "factor": s.factor,
                "original_max_position_embeddings": s.context,
                "beta_fast": s.fast,
                "beta_slow": s.slow,
            });
            if let Some(attention) = s.attention {
                yarn["attention_factor"] = json!(attention);
            }
            yarn
        }
    }
}

/// The weights under the family's names and in its layout, given ours: all of those that the network has. What muP multiplies
/// with is worked into them, since no family of `transformers` has it.
pub fn weights<'a>(family: Family, a: &Architecture, ours: Vec<Named<'a>>) -> Vec<Named<'a>> {
    let ours = folded(a, ours);
    match family {
        Family::Gpt2 => gpt2(a, ours),
        Family::Mixtral => {
            ours.into_iter().map(|w| Named { name: Cow::Owned(Family::mixtral(&w.name)), ..w }).collect()
        }
        // Our names are theirs.
        Family::Llama
        | Family::Mistral
        | Family::Qwen2
        | Family::Qwen3
        | Family::Olmo2
        | Family::Smollm3
        | Family::Qwen3Moe
        | Family::Olmoe => ours,
    }
}

/// The weights of a network without muP that computes what this one computes: the last norm, after which only the output
/// comes, takes the multiplier of the readout, and so a tied output stays tied; queries, or the norm they go through, take
/// what scores are scaled with besides the usual.
fn folded<'a>(a: &Architecture, ours: Vec<Named<'a>>) -> Vec<Named<'a>> {
    let queries = if a.qk_norm == QkNorm::Absent { ".self_attn.q_proj." } else { ".self_attn.q_norm." };
    let factor = |name: &str| match name {
        _ if name.starts_with("model.norm.") => a.readout().unwrap_or(1.0),
        _ if name.contains(queries) => a.sharpness(),
        _ => 1.0,
    };
    let fold = |mut weight: Named<'a>| {
        let factor = factor(&weight.name) as f32;
        if factor != 1.0 {
            weight.numbers.to_mut().iter_mut().for_each(|x| *x *= factor);
        }
        weight
    };
    ours.into_iter().map(fold).collect()
}

/// GPT-2's names. Its layers multiply from the right (`Conv1D`), so matrices lie the other way; and it always has biases, which
/// are zero where ours has none.
fn gpt2<'a>(a: &Architecture, ours: Vec<Named<'a>>) -> Vec<Named<'a>> {
    let find = |name: &str| ours.iter().find(|w| w.name == name);
    let mut theirs = Vec::new();
    let mut put = |name: String, shape: Vec<usize>, numbers: Vec<f32>| {
        theirs.push(Named { name: Cow::Owned(name), shape, numbers: Cow::Owned(numbers) });
    };
    let copy = |name: &str| find(name).map(|w| (w.shape.clone(), w.numbers.to_vec()));
    for (our, their) in [
        ("model.embed_tokens.weight", "transformer.wte.weight"),
        ("model.embed_positions.weight", "transformer.wpe.weight"),
        ("lm_head.weight", "lm_head.weight"),
    ] {
        if let Some((shape, numbers)) = copy(our) {
            put(their.to_owned(), shape, numbers);
        }
    }
    let vector = |name: &str, len: usize| copy(name).map_or_else(|| vec![0.0; len], |(_, numbers)| numbers);
    let norm = |ours: &str, theirs: &str, put: &mut dyn FnMut(String, Vec<usize>, Vec<f32>)| {
        put(format!("{theirs}.weight"), vec![a.width], vector(&format!("{ours}.weight"), a.width));
        put(format!("{theirs}.bias"), vec![a.width], vector(&format!("{ours}.bias"), a.width));
    };
    for layer in 0..a.layers {
        let (our, their) = (format!("model.layers.{layer}"), format!("transformer.h.{layer}"));
        norm(&format!("{our}.input_layernorm"), &format!("{their}.ln_1"), &mut put);
        norm(&format!("{our}.post_attention_layernorm"), &format!("{their}.ln_2"), &mut put);
        let attention = ["q_proj", "k_proj", "v_proj"].map(|part| format!("{our}.self_attn.{part}"));
        for (parts, name, input) in [
            (attention.to_vec(), "attn.c_attn", a.width),
            (vec![format!("{our}.self_attn.o_proj")], "attn.c_proj", a.width),
            (vec![format!("{our}.mlp.up_proj")], "mlp.c_fc", a.width),
            (vec![format!("{our}.mlp.down_proj")], "mlp.c_proj", a.hidden),
        ] {
            let (mut rows, mut bias) = (Vec::new(), Vec::new());
            for part in &parts {
                let weight = vector(&format!("{part}.weight"), 0);
                bias.extend(vector(&format!("{part}.bias"), weight.len() / input.max(1)));
                rows.extend(weight);
            }
            let output = bias.len();
            let turned = (0..input).flat_map(|i| (0..output).map(move |o| (i, o))).map(|(i, o)| rows[o * input + i]);
            put(format!("{their}.{name}.weight"), vec![input, output], turned.collect());
            put(format!("{their}.{name}.bias"), vec![output], bias);
        }
    }
    norm("model.norm", "transformer.ln_f", &mut put);
    theirs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decoder, Layout, Params, named};
    use crate::plan::spec::{self, Mup};

    #[test]
    fn gpt2_is_written_with_either_of_its_activations() {
        for (activation, word) in [(Activation::Gelu, "gelu_new"), (Activation::Relu, "relu")] {
            let gpt2 = spec::Decoder {
                layers: 1,
                heads: 2,
                kv_heads: 2,
                width: 8,
                head_dim: 4,
                hidden: 16,
                context: 16,
                vocab: Some(32),
                norm: Norm::Layer,
                position: Position::Learned,
                activation,
                bias: true,
                qkv_bias: true,
                tied: true,
                ..spec::Decoder::default()
            };
            let architecture = Architecture::new(&gpt2, None).unwrap();
            assert_eq!(family(&architecture), Ok(Family::Gpt2));
            let written = config(Family::Gpt2, &architecture, Specials { end: 0, pad: 0 });
            assert_eq!(written["activation_function"], word);
        }
    }

    #[test]
    fn a_network_with_mup_worked_in_computes_the_same_without() {
        let device = crate::device::choose(Some("cpu")).unwrap().device;
        let mup = Some(Mup { base_width: 8, base_head_dim: Some(2) });
        let llama = spec::Decoder {
            layers: 2,
            heads: 4,
            kv_heads: 2,
            width: 24,
            head_dim: 6,
            hidden: 40,
            context: 16,
            vocab: Some(20),
            init_std: 0.5,
            mup,
            ..spec::Decoder::default()
        };
        let biased = spec::Decoder { bias: true, qkv_bias: true, tied: false, ..llama.clone() };
        let gpt2 = spec::Decoder {
            norm: Norm::Layer,
            position: Position::Learned,
            activation: Activation::Gelu,
            ..biased.clone()
        };
        let [qwen3, olmo2] = [QkNorm::Head, QkNorm::Width].map(|qk_norm| spec::Decoder { qk_norm, ..llama.clone() });
        for model in [llama, biased, gpt2, qwen3, olmo2] {
            let architecture = Architecture::new(&model, None).unwrap();
            let layout = Layout::new(&architecture);
            let mut host = Params::fresh_host(&layout, 1);
            // Biases and gains too.
            host.iter_mut().flatten().enumerate().for_each(|(i, x)| *x += 0.2 * (i as f32 * 0.7).sin());
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("folded.safetensors");
            crate::model::write_weights(&folded(&architecture, named(&layout, &host)), &path).unwrap();
            let plain = Architecture::new(&spec::Decoder { mup: None, ..model.clone() }, None).unwrap();
            let text = [(0..16).map(|i| i * 7 % 20).collect::<Vec<u32>>()];
            let with = Decoder::new(architecture, Params::from_host(host, &device), &device);
            let without = Decoder::load(plain, &path, &device).unwrap();
            let (with, without) = (with.logits(&text).unwrap(), without.logits(&text).unwrap());
            assert!(with.all_close(without, Some(1e-4), Some(1e-4)), "{model:?}");
        }
    }
}
