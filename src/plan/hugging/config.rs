//! `config.json` as a [`Decoder`]: every field that is known to change what is computed is understood or refused; one that is
//! set and that nobody here knows is handed on, to be told.

mod blocks;
mod experts;
mod fields;
mod rope;

use super::Fault;
use super::names::{FAMILIES, Family};
use crate::diagnostics::Code;
use crate::plan::spec::{Activation, Decoder, Norm, NormPlace, Position, QkNorm};
use fields::Fields;
use serde_json::{Map, Value as Json};

/// A network that was read.
pub(super) struct Read {
    pub family: Family,
    pub model_type: String,
    pub decoder: Decoder,
    /// Fields that nobody here knows, and that are set.
    pub unknown: Vec<String>,
    /// What was assumed, and which known fields change nothing here.
    pub notes: Vec<String>,
}

/// Fields that change no result of a decoder: bookkeeping, training habits of `transformers`, and heads of other tasks.
const HARMLESS: &[&str] = &[
    "architectures",
    "attn_implementation",
    "auto_map",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "dtype",
    "embedding_size",
    "eos_token_id",
    "finetuning_task",
    "id2label",
    "is_llama_config",
    "label2id",
    "max_length",
    "model_type",
    "n_ctx",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "pretraining_tp",
    "problem_type",
    "reorder_and_upcast_attn",
    "return_dict",
    "return_dict_in_generate",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    "temperature",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "use_cache",
    "gradient_checkpointing",
    "do_sample",
    "unsloth_version",
    "unsloth_fixed",
    "num_labels",
    "num_return_sequences",
    "repetition_penalty",
    "min_length",
    "num_beams",
];

/// Fields of other networks (Gemma, Granite, Cohere, MiniCPM, Falcon, other mixtures of experts …) that change what is computed
/// wherever their code reads them, and the value at which they do nothing; `false` counts as 0.
const ACTING: &[(&str, f64)] = &[
    ("alibi", 0.0),
    ("attn_logit_softcapping", 0.0),
    ("clip_qkv", 0.0),
    ("embedding_multiplier", 1.0),
    ("final_logit_softcapping", 0.0),
    ("logit_scale", 1.0),
    ("logits_scaling", 1.0),
    ("n_routed_experts", 0.0),
    ("n_shared_experts", 0.0),
    ("parallel_attn", 0.0),
    ("qk_layernorm", 0.0),
    ("residual_multiplier", 1.0),
    ("scale_emb", 1.0),
    ("use_parallel_residual", 0.0),
];

/// Fields that give a network experts; those that have any understand them.
const EXPERTS: &[&str] = &["num_experts", "num_local_experts"];

/// The network that a configuration describes.
///
/// # Errors
/// When it is of a family that is not known, a size is missing or out of range, or a field asks for what no decoder of ours
/// computes; every such field is named.
pub(super) fn decoder(config: &Map<String, Json>, folder: &str) -> Result<Read, Fault> {
    let readable = FAMILIES.iter().map(|family| format!("`{}`", family.model_type())).collect::<Vec<_>>().join(", ");
    let refused = |message: String, help: String| Fault::new(Code::E0616, message, help);
    let Some(model_type) = config.get("model_type").and_then(Json::as_str) else {
        let message = format!("the `config.json` of `{folder}` has no `model_type`");
        return Err(refused(message, format!("add the one that it is published with; {readable} can be read")));
    };
    let Some(family) = FAMILIES.iter().find(|family| family.model_type() == model_type) else {
        let message = format!("`{folder}` is a `{model_type}`, which this version cannot compute");
        return Err(refused(message, format!("choose a model whose `model_type` is one of {readable}")));
    };
    let mut fields = Fields::new(config, model_type);
    fields.task();
    let decoder = match family {
        Family::Gpt2 => fields.gpt2(),
        Family::Llama => {
            let bias = fields.biased();
            let network = fields.llama(LLAMA);
            fields.no_window();
            fields.ignored_kinds(&network);
            Decoder { bias, qkv_bias: bias, ..network }
        }
        Family::Mistral => {
            fields.must_be("attention_bias", &[Json::Bool(false)]);
            let network = fields.llama(Assumed { kv_heads: Some(8), ..MISTRAL });
            fields.used.insert("use_sliding_window");
            // What has `layer_types` is a Ministral to `transformers`.
            fields.windows(network, true, Some(4096), |_| true)
        }
        Family::Qwen2 => {
            let network = fields.llama(Assumed { kv_heads: Some(32), ..QWEN });
            Decoder { qkv_bias: true, ..fields.windows_from(network) }
        }
        Family::Qwen3 => {
            fields.must_be("attention_bias", &[Json::Bool(false)]);
            let network = fields.llama(Assumed { kv_heads: Some(32), head_dim: Some(128), ..QWEN });
            Decoder { qk_norm: QkNorm::Head, ..fields.windows_from(network) }
        }
        Family::Olmo2 => {
            fields.must_be("attention_bias", &[Json::Bool(false)]);
            let network = fields.llama(Assumed { epsilon: 1e-5, vocab: 50_304, ..LLAMA });
            fields.no_window();
            fields.ignored_kinds(&network);
            Decoder { qk_norm: QkNorm::Width, norm_place: NormPlace::After, ..network }
        }
        Family::Smollm3 => {
            let bias = fields.biased();
            let network = fields.llama(SMOLLM3);
            let nope_every = fields.nope(network.layers);
            let network = Decoder { bias, qkv_bias: bias, nope_every, ..network };
            let on = fields.flag("use_sliding_window", false);
            let rotary = network.clone();
            fields.windows(network, on, None, move |layer| !rotary.rotary(layer))
        }
        Family::Mixtral => fields.mixtral(),
        Family::Qwen3Moe => fields.qwen3_moe(),
        Family::Olmoe => fields.olmoe(),
    };
    fields.acting(&decoder);
    fields.shapes(&decoder);
    let Fields { used, wrong, notes, .. } = fields;
    if let Some(fault) = wrong.fault(folder) {
        return Err(fault);
    }
    let off = |value: &Json| match value {
        Json::Null | Json::Bool(false) => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(items) => items.is_empty(),
        Json::Number(n) => n.as_f64() == Some(0.0),
        _ => false,
    };
    // What starts with `_` is bookkeeping of the library that wrote it.
    let is_known = |name: &str| used.contains(name) || name.starts_with('_') || HARMLESS.contains(&name);
    let unknown =
        config.iter().filter(|(name, value)| !is_known(name) && !off(value)).map(|(n, _)| n.clone()).collect();
    Ok(Read { family: *family, model_type: model_type.to_owned(), decoder, unknown, notes })
}

/// What `transformers` assumes where a configuration does not say.
#[derive(Clone, Copy)]
struct Assumed {
    epsilon: f64,
    theta: f64,
    tied: bool,
    width: i64,
    hidden: i64,
    layers: i64,
    heads: i64,
    /// As many as there are heads where it is `None`, or stated as `null`.
    kv_heads: Option<i64>,
    /// The width, divided by the heads, where it is `None`.
    head_dim: Option<i64>,
    context: i64,
    vocab: i64,
}

const LLAMA: Assumed = Assumed {
    epsilon: 1e-6,
    theta: 10_000.0,
    tied: false,
    width: 4_096,
    hidden: 11_008,
    layers: 32,
    heads: 32,
    kv_heads: None,
    head_dim: None,
    context: 2_048,
    vocab: 32_000,
};

const MISTRAL: Assumed = Assumed { hidden: 14_336, context: 131_072, ..LLAMA };

const QWEN: Assumed = Assumed { hidden: 22_016, context: 32_768, vocab: 151_936, ..LLAMA };

const SMOLLM3: Assumed = Assumed {
    theta: 2_000_000.0,
    tied: true,
    width: 2_048,
    layers: 36,
    heads: 16,
    kv_heads: Some(4),
    context: 32_768,
    vocab: 128_256,
    ..LLAMA
};

impl Fields<'_> {
    /// What no family of ours has.
    fn task(&mut self) {
        self.must_be("is_encoder_decoder", &[Json::Bool(false)]);
        self.must_be("add_cross_attention", &[Json::Bool(false)]);
        self.must_be("quantization_config", &[]);
        self.must_be("pruned_heads", &[Json::Object(Map::new())]);
        self.must_be("sparse_attention", &[]);
        for name in self.config.get("architectures").and_then(Json::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            let decodes = ["ForCausalLM", "LMHeadModel", "Model"].iter().any(|end| name.ends_with(end));
            if !decodes {
                self.unsupported(format!("`architectures` is `{name}`"));
            }
        }
    }

    fn gpt2(&mut self) -> Decoder {
        // `transformers` knows the sizes by these names as well.
        let width = self.either("n_embd", "hidden_size", 131_072, 768);
        let heads = self.either("n_head", "num_attention_heads", 1_024, 12);
        let hidden = if self.is_set("n_inner") { self.size("n_inner", 1_048_576) } else { width.saturating_mul(4) };
        self.must_be("scale_attn_weights", &[Json::Bool(true)]);
        self.must_be("scale_attn_by_inverse_layer_idx", &[Json::Bool(false)]);
        self.idle("partial_rotary_factor", 1.0);
        let dropout = self.number("resid_pdrop", 0.1);
        // One share for all three: that is what the networks here have, and what is published.
        for other in ["embd_pdrop", "attn_pdrop"] {
            let share = self.number(other, 0.1);
            if share != dropout {
                self.notes.push(format!(
                    "`{other}` is {share}, and training uses `resid_pdrop`, {dropout}, for all; a network that only writes \
                     or is judged has no dropout"
                ));
            }
        }
        if !(0.0..=0.9).contains(&dropout) {
            self.malformed(format!("`resid_pdrop` is {dropout}, and must lie between 0 and 0.9"));
        }
        if !self.stands_in && width % heads.max(1) != 0 {
            self.malformed(format!("`n_embd` is {width}, which `n_head`, {heads}, does not divide"));
        }
        Decoder {
            layers: self.either("n_layer", "num_hidden_layers", 512, 12),
            heads,
            kv_heads: heads,
            head_dim: width / heads.max(1),
            width,
            hidden,
            context: self.either("n_positions", "max_position_embeddings", 16_000_000, 1_024),
            norm: Norm::Layer,
            norm_epsilon: self.number("layer_norm_epsilon", 1e-5),
            position: Position::Learned,
            activation: self.activation("activation_function", "gelu_new", &GPT2_ACTIVATIONS),
            bias: true,
            qkv_bias: true,
            tied: self.flag("tie_word_embeddings", true),
            dropout,
            ..self.plain(50_257)
        }
    }

    /// Llama, and what whoever followed it has in common with it.
    fn llama(&mut self, assumed: Assumed) -> Decoder {
        let width = self.size_or("hidden_size", 131_072, assumed.width);
        let heads = self.size_or("num_attention_heads", 1_024, assumed.heads);
        let kv_heads = match (self.config.contains_key("num_key_value_heads"), assumed.kv_heads) {
            (false, Some(assumed)) => assumed,
            _ if self.is_set("num_key_value_heads") => self.size("num_key_value_heads", 1_024),
            _ => heads,
        };
        let head_dim = if self.is_set("head_dim") {
            self.size("head_dim", 8_192)
        } else if let Some(assumed) = assumed.head_dim {
            assumed
        } else {
            if !self.stands_in && width % heads.max(1) != 0 {
                self.malformed(format!(
                    "`hidden_size` is {width}, which `num_attention_heads`, {heads}, does not divide"
                ));
            }
            width / heads.max(1)
        };
        let context = self.size_or("max_position_embeddings", 16_000_000, assumed.context);
        self.must_be("rope_interleaved", &[Json::Bool(false)]);
        if self.number("attention_dropout", 0.0) != 0.0 {
            let share = self.shown("attention_dropout");
            self.notes
                .push(format!("`attention_dropout` is {share}; it acts in training only, and training here has none"));
        }
        let (rope_theta, rope_scaling) = self.rope(context, assumed.theta);
        Decoder {
            layers: self.size_or("num_hidden_layers", 512, assumed.layers),
            heads,
            kv_heads,
            head_dim,
            width,
            hidden: self.size_or("intermediate_size", 1_048_576, assumed.hidden),
            context,
            norm: Norm::Rms,
            norm_epsilon: self.number("rms_norm_eps", assumed.epsilon),
            position: Position::Rotary,
            rope_theta,
            rope_scaling,
            activation: self.activation("hidden_act", "silu", &LLAMA_ACTIVATIONS),
            tied: self.flag("tie_word_embeddings", assumed.tied),
            ..self.plain(assumed.vocab)
        }
    }

    /// Whether everything has biases; two fields say it, and must agree.
    fn biased(&mut self) -> bool {
        let (attention, mlp) = (self.flag("attention_bias", false), self.flag("mlp_bias", false));
        if attention != mlp {
            self.unsupported(format!("`attention_bias` is {attention} and `mlp_bias` is {mlp}"));
        }
        attention
    }

    /// What all families have, and whatever a family does not state.
    fn plain(&mut self, vocab: i64) -> Decoder {
        Decoder {
            vocab: Some(self.size_or("vocab_size", 10_000_000, vocab)),
            init_std: self.number("initializer_range", 0.02),
            ..Decoder::default()
        }
    }

    /// Refuses what acts in networks that are none of ours.
    fn acting(&mut self, d: &Decoder) {
        for (name, idle) in ACTING {
            self.idle(name, *idle);
        }
        if d.experts.is_none() {
            EXPERTS.iter().for_each(|name| self.idle(name, 0.0));
        }
        if self.stands_in {
            return;
        }
        let (head_dim, width, layers) = (d.head_dim as f64, d.width as f64, d.layers as f64);
        // What ours does anyway, written as a field.
        self.idle("attention_multiplier", head_dim.powf(-0.5));
        self.idle("query_pre_attn_scalar", head_dim);
        self.idle("scale_depth", layers.sqrt());
        self.idle("dim_model_base", width);
    }

    /// What must hold between the sizes, where all of them are known.
    fn shapes(&mut self, d: &Decoder) {
        let rotary = d.position == Position::Rotary;
        if !self.stands_in && d.kv_heads > 0 && d.heads % d.kv_heads != 0 {
            self.malformed(format!("{} heads do not share {} key/value heads equally", d.heads, d.kv_heads));
        }
        if !self.stands_in && rotary && d.head_dim % 2 != 0 {
            self.unsupported(format!("a head is {} numbers wide, and rotary positions turn pairs", d.head_dim));
        }
        if !(d.norm_epsilon > 0.0 && d.norm_epsilon <= 1.0) {
            self.malformed(format!("the epsilon of its norms is {}", d.norm_epsilon));
        }
        if rotary && !(d.rope_theta > 1.0 && d.rope_theta <= 1e12) {
            self.malformed(format!("`rope_theta` is {}", d.rope_theta));
        }
    }
}

const GPT2_ACTIVATIONS: [(&str, Activation); 3] =
    [("gelu_new", Activation::Gelu), ("gelu_pytorch_tanh", Activation::Gelu), ("relu", Activation::Relu)];

const LLAMA_ACTIVATIONS: [(&str, Activation); 2] = [("silu", Activation::Swiglu), ("swish", Activation::Swiglu)];
