//! `config.json` as a [`Decoder`]: every field that is known to change what is computed is understood or refused; one that is
//! set and that nobody here knows is handed on, to be told.

mod experts;
mod rope;

use super::names::{FAMILIES, Family};
use super::{Fault, listed};
use crate::diagnostics::Code;
use crate::plan::spec::{Activation, Decoder, Norm, NormPlace, Position, QkNorm};
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;

/// A network that was read.
pub(super) struct Read {
    pub family: Family,
    pub model_type: String,
    pub decoder: Decoder,
    /// Fields that nobody here knows, and that are set.
    pub unknown: Vec<String>,
}

/// Fields that change no result of a decoder: bookkeeping, training habits of `transformers`, and heads of other tasks.
const HARMLESS: &[&str] = &[
    "_name_or_path",
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_num_labels",
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
    ("partial_rotary_factor", 1.0),
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
    let mut fields = Fields { config, used: BTreeSet::new(), wrong: Vec::new() };
    fields.task();
    let decoder = match family {
        Family::Gpt2 => fields.gpt2(),
        Family::Llama => {
            let bias = fields.biased();
            let network = fields.llama(LLAMA);
            fields.no_window(&network, true, None);
            Decoder { bias, qkv_bias: bias, ..network }
        }
        Family::Mistral => {
            fields.must_be("attention_bias", &[Json::Bool(false)]);
            let network = fields.llama(Assumed { kv_heads: Some(8), ..LLAMA });
            // What `transformers` assumes of a configuration that does not say.
            Decoder { window: fields.window(network.context, Some(4096)), ..network }
        }
        Family::Qwen2 => {
            let network = fields.llama(Assumed { kv_heads: Some(32), ..LLAMA });
            fields.no_window(&network, false, Some(28));
            Decoder { qkv_bias: true, ..network }
        }
        Family::Qwen3 => {
            fields.must_be("attention_bias", &[Json::Bool(false)]);
            let network = fields.llama(Assumed { kv_heads: Some(32), head_dim: Some(128), ..LLAMA });
            fields.no_window(&network, false, Some(28));
            Decoder { qk_norm: QkNorm::Head, ..network }
        }
        Family::Olmo2 => {
            fields.must_be("attention_bias", &[Json::Bool(false)]);
            let network = fields.llama(Assumed { epsilon: 1e-5, ..LLAMA });
            fields.no_window(&network, true, None);
            Decoder { qk_norm: QkNorm::Width, norm_place: NormPlace::After, ..network }
        }
        Family::Smollm3 => {
            fields.must_be("attention_bias", &[Json::Bool(false)]);
            fields.must_be("mlp_bias", &[Json::Bool(false)]);
            let network = fields.llama(Assumed { theta: 2_000_000.0, tied: true, kv_heads: Some(4), ..LLAMA });
            fields.no_window(&network, false, None);
            Decoder { nope_every: fields.nope(network.layers), ..network }
        }
        Family::Mixtral => fields.mixtral(),
        Family::Qwen3Moe => fields.qwen3_moe(),
        Family::Olmoe => fields.olmoe(),
    };
    fields.acting(&decoder);
    fields.shapes(&decoder);
    let Fields { used, wrong, .. } = fields;
    if !wrong.is_empty() {
        let message = format!("the network of `{folder}` cannot be computed: {}", listed(&wrong));
        let mut fault =
            refused(message, "choose a model without it, or a version of Emberlab that computes it".to_owned());
        fault
            .notes
            .push("a network that is computed in another way than it was trained gives wrong results".to_owned());
        return Err(fault);
    }
    let off = |value: &Json| match value {
        Json::Null | Json::Bool(false) => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(items) => items.is_empty(),
        Json::Number(n) => n.as_f64() == Some(0.0),
        _ => false,
    };
    let is_known = |name: &str| used.contains(name) || HARMLESS.contains(&name);
    let unknown =
        config.iter().filter(|(name, value)| !is_known(name) && !off(value)).map(|(n, _)| n.clone()).collect();
    Ok(Read { family: *family, model_type: model_type.to_owned(), decoder, unknown })
}

/// What `transformers` assumes where a configuration does not say.
#[derive(Clone, Copy)]
struct Assumed {
    epsilon: f64,
    theta: f64,
    tied: bool,
    /// As many as there are heads where it is `None`, or stated as `null`.
    kv_heads: Option<i64>,
    /// The width, divided by the heads, where it is `None`.
    head_dim: Option<i64>,
}

const LLAMA: Assumed = Assumed { epsilon: 1e-6, theta: 10_000.0, tied: false, kv_heads: None, head_dim: None };

/// The fields of a configuration, and what is wrong with them.
struct Fields<'a> {
    config: &'a Map<String, Json>,
    used: BTreeSet<&'static str>,
    wrong: Vec<String>,
}

impl<'a> Fields<'a> {
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
                self.wrong.push(format!("`architectures` is `{name}`"));
            }
        }
    }

    fn gpt2(&mut self) -> Decoder {
        let (width, heads) = (self.size("n_embd", 131_072), self.size("n_head", 1_024));
        let hidden = if self.is_set("n_inner") { self.size("n_inner", 1_048_576) } else { width.saturating_mul(4) };
        self.must_be("scale_attn_weights", &[Json::Bool(true)]);
        self.must_be("scale_attn_by_inverse_layer_idx", &[Json::Bool(false)]);
        let dropout = self.number("resid_pdrop", 0.1);
        // One share for all three: that is what the networks here have, and what is published.
        for other in ["embd_pdrop", "attn_pdrop"] {
            let share = self.number(other, 0.1);
            if share != dropout {
                self.wrong.push(format!("`{other}` is {share} and `resid_pdrop` is {dropout}"));
            }
        }
        if !(0.0..=0.9).contains(&dropout) {
            self.wrong.push(format!("`resid_pdrop` is {dropout}"));
        }
        if heads > 0 && width % heads != 0 {
            self.wrong.push(format!("`n_embd` is {width}, which `n_head`, {heads}, does not divide"));
        }
        Decoder {
            layers: self.size("n_layer", 512),
            heads,
            kv_heads: heads,
            head_dim: width / heads.max(1),
            width,
            hidden,
            context: self.size("n_positions", 16_000_000),
            norm: Norm::Layer,
            norm_epsilon: self.number("layer_norm_epsilon", 1e-5),
            position: Position::Learned,
            activation: self.activation("activation_function", "gelu_new", &GPT2_ACTIVATIONS),
            bias: true,
            qkv_bias: true,
            tied: self.flag("tie_word_embeddings", true),
            dropout,
            ..self.plain()
        }
    }

    /// Llama, and what whoever followed it has in common with it.
    fn llama(&mut self, assumed: Assumed) -> Decoder {
        let (width, heads) = (self.size("hidden_size", 131_072), self.size("num_attention_heads", 1_024));
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
            if heads > 0 && width % heads != 0 {
                self.wrong
                    .push(format!("`hidden_size` is {width}, which `num_attention_heads`, {heads}, does not divide"));
            }
            width / heads.max(1)
        };
        let context = self.size("max_position_embeddings", 16_000_000);
        self.must_be("rope_interleaved", &[Json::Bool(false)]);
        if self.number("attention_dropout", 0.0) != 0.0 {
            self.wrong.push(format!("`attention_dropout` is {}", self.shown("attention_dropout")));
        }
        let (rope_theta, rope_scaling) = self.rope(context, assumed.theta);
        Decoder {
            layers: self.size("num_hidden_layers", 512),
            heads,
            kv_heads,
            head_dim,
            width,
            hidden: self.size("intermediate_size", 1_048_576),
            context,
            norm: Norm::Rms,
            norm_epsilon: self.number("rms_norm_eps", assumed.epsilon),
            position: Position::Rotary,
            rope_theta,
            rope_scaling,
            activation: self.activation("hidden_act", "silu", &LLAMA_ACTIVATIONS),
            tied: self.flag("tie_word_embeddings", assumed.tied),
            ..self.plain()
        }
    }

    /// Whether everything has biases; two fields say it, and must agree.
    fn biased(&mut self) -> bool {
        let (attention, mlp) = (self.flag("attention_bias", false), self.flag("mlp_bias", false));
        if attention != mlp {
            self.wrong.push(format!("`attention_bias` is {attention} and `mlp_bias` is {mlp}"));
        }
        attention
    }

    /// A window that does not hide anything within the context is none.
    fn window(&mut self, context: i64, default: Option<i64>) -> Option<i64> {
        let window = match self.config.get("sliding_window") {
            None => default,
            Some(_) if self.is_set("sliding_window") => Some(self.size("sliding_window", i64::MAX)),
            Some(_) => None,
        };
        self.used.insert("sliding_window");
        window.filter(|window| *window < context)
    }

    /// Refuses windows; `used` is whether one that is stated counts where nothing says so. In families with `first`, layers
    /// from number `max_window_layers` on have it, `first` where that is not stated.
    fn no_window(&mut self, network: &Decoder, used: bool, first: Option<i64>) {
        self.used.insert("sliding_window");
        let stated = self.get("max_window_layers").map(Json::as_i64);
        let first = first.and_then(|assumed| stated.unwrap_or(Some(assumed)));
        let none_has_it = first.is_some_and(|first| first >= network.layers);
        let used = self.flag("use_sliding_window", used);
        if used && !none_has_it && self.window(network.context, None).is_some() {
            self.wrong.push(format!("`sliding_window` is {} and used", self.shown("sliding_window")));
        }
        let layers = self.get("layer_types").and_then(Json::as_array);
        if layers.is_some_and(|all| all.iter().any(|kind| kind != "full_attention")) {
            self.wrong.push("`layer_types` has layers without full attention".to_owned());
        }
    }

    /// Every so many blocks one has no positions (SmolLM 3).
    fn nope(&mut self, layers: i64) -> Option<i64> {
        let period = if self.is_set("no_rope_layer_interval") { self.size("no_rope_layer_interval", 512) } else { 4 };
        let turned: Option<Vec<bool>> = self
            .get("no_rope_layers")
            .and_then(Json::as_array)
            .map(|all| all.iter().map(|layer| layer.as_i64() != Some(0)).collect());
        let regular: Vec<bool> = (1..=layers).map(|layer| layer % period != 0).collect();
        match turned {
            None => Some(period),
            Some(turned) if turned == regular => Some(period),
            Some(turned) if turned.iter().all(|t| *t) => None,
            Some(_) => {
                self.wrong.push("`no_rope_layers` does not repeat every `no_rope_layer_interval`".to_owned());
                None
            }
        }
    }

    /// What all families have, and whatever a family does not state.
    fn plain(&mut self) -> Decoder {
        Decoder {
            vocab: Some(self.size("vocab_size", 10_000_000)),
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
        let (head_dim, width, layers) = (d.head_dim as f64, d.width as f64, d.layers as f64);
        // What ours does anyway, written as a field.
        self.idle("attention_multiplier", head_dim.powf(-0.5));
        self.idle("query_pre_attn_scalar", head_dim);
        self.idle("scale_depth", layers.sqrt());
        self.idle("dim_model_base", width);
    }

    /// Notes a field that is set to anything but `at`, the value at which it does nothing.
    fn idle(&mut self, name: &'static str, at: f64) {
        let idle = self.get(name).is_none_or(|value| match value {
            Json::Bool(on) => !on && at == 0.0,
            other => other.as_f64().is_some_and(|x| (x - at).abs() <= 1e-6 * at.abs()),
        });
        if !idle {
            self.wrong.push(format!("`{name}` is {}", self.shown(name)));
        }
    }

    /// What must hold between the sizes.
    fn shapes(&mut self, d: &Decoder) {
        if d.kv_heads > 0 && d.heads % d.kv_heads != 0 {
            self.wrong.push(format!("{} heads do not share {} key/value heads equally", d.heads, d.kv_heads));
        }
        if d.position == Position::Rotary && d.head_dim % 2 != 0 {
            self.wrong.push(format!("a head is {} numbers wide, and rotary positions turn pairs", d.head_dim));
        }
        if !(d.norm_epsilon > 0.0 && d.norm_epsilon <= 1.0) {
            self.wrong.push(format!("the epsilon of its norms is {}", d.norm_epsilon));
        }
        if d.position == Position::Rotary && !(d.rope_theta > 1.0 && d.rope_theta <= 1e12) {
            self.wrong.push(format!("`rope_theta` is {}", d.rope_theta));
        }
    }

    fn get(&mut self, name: &'static str) -> Option<&'a Json> {
        self.used.insert(name);
        self.config.get(name).filter(|v| !v.is_null())
    }

    fn is_set(&mut self, name: &'static str) -> bool {
        self.get(name).is_some()
    }

    /// A positive size; 1 stands for one that is wrong, which is noted.
    fn size(&mut self, name: &'static str, most: i64) -> i64 {
        match self.get(name).map(Json::as_i64) {
            Some(Some(size)) if (1..=most).contains(&size) => size,
            None => {
                self.wrong.push(format!("`{name}` is missing"));
                1
            }
            _ => {
                self.wrong.push(format!("`{name}` is {}, and must be a whole number up to {most}", self.shown(name)));
                1
            }
        }
    }

    fn number(&mut self, name: &'static str, default: f64) -> f64 {
        match self.get(name).map(Json::as_f64) {
            None => default,
            Some(Some(x)) if x.is_finite() => x,
            _ => {
                self.wrong.push(format!("`{name}` is {}, and must be a number", self.shown(name)));
                default
            }
        }
    }

    fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self.get(name).map(Json::as_bool) {
            None => default,
            Some(Some(x)) => x,
            Some(None) => {
                self.wrong.push(format!("`{name}` is {}, and must be true or false", self.shown(name)));
                default
            }
        }
    }

    fn activation(&mut self, name: &'static str, default: &str, known: &[(&str, Activation)]) -> Activation {
        let found = self.get(name).map_or(Some(default.to_owned()), |v| v.as_str().map(str::to_owned));
        match found.and_then(|f| known.iter().find(|(word, _)| *word == f)) {
            Some((_, activation)) => *activation,
            None => {
                self.wrong.push(format!("`{name}` is {}", self.shown(name)));
                Activation::Swiglu
            }
        }
    }

    /// Notes a field that is set to anything but these.
    fn must_be(&mut self, name: &'static str, values: &[Json]) {
        if self.get(name).is_some_and(|v| !values.contains(v)) {
            self.wrong.push(format!("`{name}` is {}", self.shown(name)));
        }
    }

    /// A field's value, cut to what can be read in a sentence.
    fn shown(&self, name: &str) -> String {
        cut(self.config.get(name).map(Json::to_string).unwrap_or_default())
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

const GPT2_ACTIVATIONS: [(&str, Activation); 3] =
    [("gelu_new", Activation::Gelu), ("gelu_pytorch_tanh", Activation::Gelu), ("relu", Activation::Relu)];

const LLAMA_ACTIVATIONS: [(&str, Activation); 2] = [("silu", Activation::Swiglu), ("swish", Activation::Swiglu)];
