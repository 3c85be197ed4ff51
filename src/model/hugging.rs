//! Networks in the layout of Hugging Face `transformers`.

use super::architecture::Architecture;
use super::weights::Named;
use crate::plan::spec::{Activation, Norm, Position};
use serde_json::{Value as Json, json};
use std::borrow::Cow;

/// Special tokens, as configurations name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Specials {
    /// Begins and ends texts.
    pub end: u32,
    pub pad: u32,
}

/// A family that `transformers` has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    Gpt2,
    Llama,
}

/// The family whose networks compute what this one does, or what they cannot.
///
/// # Errors
/// What of the network neither family has.
pub fn family(a: &Architecture) -> Result<Family, String> {
    let llama = [
        (a.norm == Norm::Rms, "`norm = layer`"),
        (a.position == Position::Rotary, "positions that are not rotary"),
        (a.activation == Activation::Swiglu, "an activation that is not `swiglu`"),
        (!a.bias, "biases"),
    ];
    let gpt2 = [
        (a.norm == Norm::Layer, "`norm = rms`"),
        (a.position == Position::Learned, "positions that are not learned"),
        (a.activation == Activation::Gelu, "an activation that is not `gelu`"),
        (a.kv_heads == a.heads, "fewer key/value heads than heads"),
        (a.heads * a.head_dim == a.width, "heads whose widths do not add up to that of the network"),
    ];
    let lacks = |wanted: &[(bool, &str)]| -> Vec<String> {
        wanted.iter().filter(|(has, _)| !has).map(|(_, what)| (*what).to_owned()).collect()
    };
    let (no_llama, no_gpt2) = (lacks(&llama), lacks(&gpt2));
    match (no_llama.is_empty(), no_gpt2.is_empty()) {
        (true, _) => Ok(Family::Llama),
        (_, true) => Ok(Family::Gpt2),
        _ => Err(format!(
            "no family of `transformers` has this combination: Llama has no {}, and GPT-2 no {}",
            no_llama.join(" and no "),
            no_gpt2.join(" and no ")
        )),
    }
}

/// `config.json`.
pub fn config(family: Family, a: &Architecture, specials: Specials) -> Json {
    let own = match family {
        Family::Llama => json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
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
            "rope_scaling": null,
            "attention_bias": false,
            "mlp_bias": false,
            "attention_dropout": 0.0,
        }),
        Family::Gpt2 => json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_positions": a.context,
            "n_ctx": a.context,
            "n_embd": a.width,
            "n_layer": a.layers,
            "n_head": a.heads,
            "n_inner": a.hidden,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": a.norm_epsilon,
            "resid_pdrop": a.dropout,
            "embd_pdrop": a.dropout,
            "attn_pdrop": a.dropout,
        }),
    };
    let shared = json!({
        "vocab_size": a.vocab,
        "initializer_range": a.init_std,
        "tie_word_embeddings": a.tied,
        "use_cache": true,
        "bos_token_id": specials.end,
        "eos_token_id": specials.end,
        "pad_token_id": specials.pad,
        "torch_dtype": "float32",
    });
    let fields = [own, shared].into_iter().filter_map(|part| part.as_object().cloned()).flatten();
    Json::Object(fields.collect())
}

/// The weights under the family's names and in its layout, given ours: all of those that the network has.
pub fn weights<'a>(family: Family, a: &Architecture, ours: Vec<Named<'a>>) -> Vec<Named<'a>> {
    match family {
        // Our names are Llama's.
        Family::Llama => ours,
        Family::Gpt2 => gpt2(a, ours),
    }
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
