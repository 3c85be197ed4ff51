//! The experts of Mixtral, Qwen 3 and OLMoE.

use super::fields::Fields;
use super::{Assumed, LLAMA, MISTRAL, QWEN};
use crate::plan::spec::{Decoder, Experts, QkNorm};
use serde_json::Value as Json;

impl Fields<'_> {
    /// Mistral with experts in every block (Jiang et al. 2024).
    pub(super) fn mixtral(&mut self) -> Decoder {
        self.must_be("attention_bias", &[Json::Bool(false)]);
        let assumed = Assumed { epsilon: 1e-5, theta: 1_000_000.0, kv_heads: Some(8), ..MISTRAL };
        let network = self.llama(assumed);
        // Noise that its training may add to what the router sees.
        self.idle("router_jitter_noise", 0.0);
        let experts =
            Experts { renormalize: true, ..self.experts("num_local_experts", "num_local_experts", 8, 2, 0.001) };
        let window = self.window(None).filter(|window| *window < network.context);
        let network = Decoder { window, experts: Some(experts), ..network };
        self.ignored_kinds(&network);
        network
    }

    /// Qwen 3 with experts in every block or in some (Yang et al. 2025).
    pub(super) fn qwen3_moe(&mut self) -> Decoder {
        self.must_be("attention_bias", &[Json::Bool(false)]);
        self.must_be("mlp_only_layers", &[Json::Array(Vec::new())]);
        let network = self.llama(Assumed { width: 2_048, hidden: 6_144, layers: 24, kv_heads: Some(4), ..QWEN });
        // Which blocks have it differs from version to version of `transformers`.
        let window = self.window(Some(4096)).filter(|window| *window < network.context);
        if let (Some(window), true) = (window, self.flag("use_sliding_window", false)) {
            self.unsupported(format!("`sliding_window` is {window} and used"));
        }
        self.ignored_kinds(&network);
        let every = if self.is_set("decoder_sparse_step") { self.size("decoder_sparse_step", 512) } else { 1 };
        // Its `transformers` class calls them one way and its files another.
        let hidden =
            if self.is_set("moe_intermediate_size") { self.size("moe_intermediate_size", 1_048_576) } else { 768 };
        let experts = Experts {
            hidden: Some(hidden),
            renormalize: self.flag("norm_topk_prob", false),
            every: Some(every).filter(|every| *every > 1),
            ..self.experts("num_experts", "num_local_experts", 128, 8, 0.001)
        };
        Decoder { qk_norm: QkNorm::Head, experts: Some(experts), ..network }
    }

    /// OLMo with experts in every block (Muennighoff et al. 2024).
    pub(super) fn olmoe(&mut self) -> Decoder {
        self.must_be("attention_bias", &[Json::Bool(false)]);
        // Zero clips everything to nothing.
        self.must_be("clip_qkv", &[Json::Bool(false)]);
        let sizes =
            Assumed { width: 2_048, hidden: 2_048, layers: 16, heads: 16, context: 4_096, vocab: 50_304, ..LLAMA };
        let network = self.llama(Assumed { epsilon: 1e-5, ..sizes });
        self.no_window();
        self.ignored_kinds(&network);
        if !self.stands_in && network.heads.saturating_mul(network.head_dim) != network.width {
            self.unsupported(format!(
                "`head_dim` is {}, and its heads do not add up to `hidden_size`",
                network.head_dim
            ));
        }
        let experts = Experts {
            renormalize: self.flag("norm_topk_prob", false),
            ..self.experts("num_experts", "num_local_experts", 64, 8, 0.01)
        };
        Decoder { qk_norm: QkNorm::Width, experts: Some(experts), ..network }
    }

    /// What the three have in common: sizes, by either name of their number, and what their balance counts.
    fn experts(&mut self, name: &'static str, other: &'static str, count: i64, active: i64, balance: f64) -> Experts {
        let count = match [name, other].into_iter().find(|name| self.is_set(name)) {
            Some(name) => self.size(name, 4_096),
            None => count,
        };
        let active = if self.is_set("num_experts_per_tok") { self.size("num_experts_per_tok", 4_096) } else { active };
        if !self.stands_in && active > count {
            self.malformed(format!("`num_experts_per_tok` is {active}, of {count} experts"));
        }
        // Only where routers tell what they say does `transformers` add to the loss what is learnt of it.
        let told = self.flag("output_router_logits", false);
        let balance = self.number("router_aux_loss_coef", balance);
        if !(0.0..=10.0).contains(&balance) {
            self.malformed(format!("`router_aux_loss_coef` is {balance}"));
        }
        let balance = if told { balance } else { 0.0 };
        Experts { count, active, hidden: None, renormalize: true, every: None, balance, z_loss: None }
    }
}
