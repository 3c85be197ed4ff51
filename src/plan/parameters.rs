//! Exact numbers of parameters.

use super::spec::{Decoder, Norm, NormPlace, Position, QkNorm};
use serde::{Deserialize, Serialize};

/// The parameters of a decoder, part by part.
///
/// With `bias`, every linear layer inside a block has a bias vector and so has every `layer` norm; `qkv_bias` decides for
/// queries, keys and values alone. An `rms` norm never
/// has one, and neither has the output layer (as in GPT-2 and Llama).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parameters {
    /// `[vocab, width]`.
    pub embedding: u64,
    /// `[context, width]`, with learned positions.
    pub positions: u64,
    /// Projections of one block: `[width, heads·head_dim]`, two of `[width, kv_heads·head_dim]`, and back.
    pub attention: u64,
    /// Feed-forward layer of one block without experts: two matrices `[width, hidden]`, three with a gate.
    pub feed_forward: u64,
    /// The norms of one block: one or two of each sub-layer, and those of queries and keys.
    pub norms: u64,
    /// Blocks.
    pub layers: u64,
    /// The norm after the last block.
    pub final_norm: u64,
    /// `[width, vocab]`; nothing when tied to the embedding.
    pub output: u64,
    /// What blocks with experts have in the place of a feed-forward layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixtures: Option<Mixtures>,
}

/// The parameters of mixtures of experts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mixtures {
    /// Blocks that have one.
    pub blocks: u64,
    /// `[width, count]`.
    pub router: u64,
    /// One expert: two matrices `[width, hidden]`, three with a gate.
    pub expert: u64,
    /// Experts of a block.
    pub count: u64,
    /// Of these, those that a token uses.
    pub active: u64,
}

impl Mixtures {
    /// The experts of one block.
    fn experts(&self) -> u64 {
        self.expert.saturating_mul(self.count)
    }

    /// Of one block.
    pub fn block(&self) -> u64 {
        self.experts().saturating_add(self.router)
    }

    /// Parameters that a token leaves alone, of all blocks.
    fn idle(&self) -> u64 {
        self.expert.saturating_mul(self.count.saturating_sub(self.active)).saturating_mul(self.blocks)
    }
}

/// Counts the parameters of `model` with `vocab` entries in its embedding.
pub fn parameters(model: &Decoder, vocab: u64) -> Parameters {
    let [width, hidden] = [model.width, model.hidden].map(size);
    let queries = size(model.heads).saturating_mul(size(model.head_dim));
    let keys = size(model.kv_heads).saturating_mul(size(model.head_dim));
    let when = |yes: bool, n: u64| if yes { n } else { 0 };
    let matrix = |rows: u64, columns: u64, bias: bool| rows.saturating_mul(columns).saturating_add(when(bias, columns));
    let norm = width.saturating_add(when(model.bias && model.norm == Norm::Layer, width));
    let attention = matrix(width, queries, model.qkv_bias)
        .saturating_add(matrix(width, keys, model.qkv_bias).saturating_mul(2))
        .saturating_add(matrix(queries, width, model.bias));
    let into = if model.activation.gated() { 2 } else { 1 };
    let feed_forward =
        matrix(width, hidden, model.bias).saturating_mul(into).saturating_add(matrix(hidden, width, model.bias));
    let of_heads = match model.qk_norm {
        QkNorm::Absent => 0,
        QkNorm::Head => size(model.head_dim).saturating_mul(2),
        QkNorm::Width => queries.saturating_add(keys),
    };
    let norms = if model.norm_place == NormPlace::Both { 4 } else { 2 };
    let mixtures = model.experts.as_ref().map(|experts| {
        let hidden = experts.hidden.map_or(hidden, size);
        Mixtures {
            blocks: model.mixtures(),
            router: width.saturating_mul(size(experts.count)),
            expert: width.saturating_mul(hidden).saturating_mul(into + 1),
            count: size(experts.count),
            active: size(experts.active),
        }
    });
    Parameters {
        mixtures,
        embedding: vocab.saturating_mul(width),
        positions: when(model.position == Position::Learned, size(model.context).saturating_mul(width)),
        attention,
        feed_forward,
        norms: norm.saturating_mul(norms).saturating_add(of_heads),
        layers: size(model.layers),
        final_norm: norm,
        output: when(!model.tied, vocab.saturating_mul(width)),
    }
}

impl Parameters {
    /// Of one block without experts.
    pub fn block(&self) -> u64 {
        self.attention.saturating_add(self.feed_forward).saturating_add(self.norms)
    }

    /// Of one block with experts, in a network that has any.
    pub fn mixed_block(&self) -> u64 {
        let mixture = self.mixtures.map_or(self.feed_forward, |mixtures| mixtures.block());
        self.attention.saturating_add(mixture).saturating_add(self.norms)
    }

    /// Blocks with experts.
    pub fn mixed(&self) -> u64 {
        self.mixtures.map_or(0, |mixtures| mixtures.blocks.min(self.layers))
    }

    /// The matrices of all blocks, with their biases.
    pub(super) fn blocks(&self) -> u64 {
        let dense = self.feed_forward.saturating_mul(self.layers - self.mixed());
        let mixed = self.mixtures.map_or(0, |mixtures| mixtures.block().saturating_mul(mixtures.blocks));
        self.attention.saturating_mul(self.layers).saturating_add(dense).saturating_add(mixed)
    }

    /// Parameters that a token uses: all but those of experts that it does not go through.
    pub fn active(&self) -> u64 {
        self.total().saturating_sub(self.mixtures.map_or(0, |mixtures| mixtures.idle()))
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        [self.blocks(), self.norms.saturating_mul(self.layers), self.positions, self.final_norm, self.output]
            .iter()
            .fold(self.embedding, |sum, part| sum.saturating_add(*part))
    }

    /// Those that a token is multiplied with, the N of "6N": all that it uses but learned positions and an embedding that
    /// only looks up (that is, one which is not also the output layer).
    pub fn multiplied(&self) -> u64 {
        let looked_up = if self.output > 0 { self.embedding } else { 0 };
        self.active().saturating_sub(self.positions).saturating_sub(looked_up)
    }

    /// The largest single tensor: an embedding or a feed-forward matrix.
    pub fn largest(&self) -> u64 {
        let expert = self.mixtures.map_or(0, |mixtures| mixtures.expert / 2);
        self.embedding.max(self.feed_forward / 2).max(self.attention / 2).max(expert)
    }

    /// The most that lies together: a tensor, or the experts of a block.
    pub fn together(&self) -> u64 {
        self.largest().max(self.mixtures.map_or(0, |mixtures| mixtures.experts()))
    }
}

/// A size from the experiment; the checker rules out negative ones.
pub(super) fn size(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
pub(super) mod published {
    //! Networks whose sizes are published.
    use super::super::spec::{Activation, Decoder, Norm, Position};

    pub fn gpt2(bias: bool) -> Decoder {
        Decoder {
            layers: 12,
            heads: 12,
            kv_heads: 12,
            width: 768,
            head_dim: 64,
            hidden: 3072,
            norm: Norm::Layer,
            position: Position::Learned,
            activation: Activation::Gelu,
            bias,
            qkv_bias: bias,
            ..Decoder::default()
        }
    }

    /// `[layers, width, heads, kv_heads, head_dim, hidden]` in the shape of Llama.
    pub fn llama(sizes: [i64; 6], tied: bool) -> Decoder {
        let [layers, width, heads, kv_heads, head_dim, hidden] = sizes;
        Decoder { layers, heads, kv_heads, width, head_dim, hidden, context: 2048, tied, ..Decoder::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::published::{gpt2, llama};
    use super::*;
    use crate::plan::spec::{Activation, Experts};

    #[test]
    fn gpt2_counts_to_the_unit() {
        let bare = parameters(&gpt2(false), 50_257);
        assert_eq!(bare.total(), 124_337_664);
        assert_eq!(bare.block(), 7_079_424);
        assert_eq!(bare.embedding, 38_597_376);
        assert_eq!(bare.positions, 786_432);
        assert_eq!(parameters(&gpt2(true), 50_257).total(), 124_439_808);
        let medium = Decoder { layers: 24, heads: 16, kv_heads: 16, width: 1024, hidden: 4096, ..gpt2(true) };
        assert_eq!(parameters(&medium, 50_257).total(), 354_823_168);
        let xl = Decoder { layers: 48, heads: 25, kv_heads: 25, width: 1600, hidden: 6400, ..gpt2(true) };
        assert_eq!(parameters(&xl, 50_257).total(), 1_557_611_200);
    }

    #[test]
    fn llamas_count_to_the_unit() {
        let count = |sizes, tied, vocab| parameters(&llama(sizes, tied), vocab).total();
        assert_eq!(count([30, 576, 9, 3, 64, 1536], true, 49_152), 134_515_008, "SmolLM 135M");
        assert_eq!(count([32, 960, 15, 5, 64, 2560], true, 49_152), 361_821_120, "SmolLM 360M");
        assert_eq!(count([16, 2048, 32, 8, 64, 8192], true, 128_256), 1_235_814_400, "Llama 3.2 1B");
        assert_eq!(count([28, 3072, 24, 8, 128, 8192], true, 128_256), 3_212_749_824, "Llama 3.2 3B");
        assert_eq!(count([22, 2048, 32, 4, 64, 5632], false, 32_000), 1_100_048_384, "TinyLlama 1.1B");
        assert_eq!(count([32, 4096, 32, 32, 128, 11_008], false, 32_000), 6_738_415_616, "Llama 2 7B");
        assert_eq!(count([32, 4096, 32, 8, 128, 14_336], false, 128_256), 8_030_261_248, "Llama 3 8B");
    }

    #[test]
    fn qwens_and_olmos_count_to_the_unit() {
        let count = |model: Decoder, vocab| parameters(&model, vocab).total();
        let qwen2 = |sizes, tied| Decoder { qkv_bias: true, ..llama(sizes, tied) };
        assert_eq!(count(qwen2([24, 896, 14, 2, 64, 4864], true), 151_936), 494_032_768, "Qwen2 0.5B");
        assert_eq!(count(qwen2([28, 1536, 12, 2, 128, 8960], true), 151_936), 1_543_714_304, "Qwen2 1.5B");
        assert_eq!(count(qwen2([28, 3584, 28, 4, 128, 18_944], false), 152_064), 7_615_616_512, "Qwen2 7B");
        let qwen3 = |sizes, tied| Decoder { qk_norm: QkNorm::Head, ..llama(sizes, tied) };
        assert_eq!(count(qwen3([28, 1024, 16, 8, 128, 3072], true), 151_936), 596_049_920, "Qwen3 0.6B");
        assert_eq!(count(qwen3([28, 2048, 16, 8, 128, 6144], true), 151_936), 1_720_574_976, "Qwen3 1.7B");
        let olmo2 = |sizes| Decoder { qk_norm: QkNorm::Width, norm_place: NormPlace::After, ..llama(sizes, false) };
        assert_eq!(count(olmo2([16, 2048, 16, 16, 128, 8192]), 100_352), 1_484_916_736, "OLMo 2 1B");
        assert_eq!(count(olmo2([32, 4096, 32, 32, 128, 11_008]), 100_352), 7_298_617_344, "OLMo 2 7B");
    }

    /// Totals are those of `transformers` for the published configurations, on its meta device; what is active is published.
    #[test]
    fn mixtures_count_to_the_unit() {
        let experts = |count, active, hidden| Experts {
            count,
            active,
            hidden,
            renormalize: true,
            every: None,
            balance: 0.01,
            z_loss: None,
        };
        let mixtral = llama([32, 4096, 32, 8, 128, 14_336], false);
        let mixtral = parameters(&Decoder { experts: Some(experts(8, 2, None)), ..mixtral }, 32_000);
        assert_eq!((mixtral.total(), mixtral.active()), (46_702_792_704, 12_879_925_248), "Mixtral 8x7B");
        let qwen3 = Decoder { qk_norm: QkNorm::Head, ..llama([48, 2048, 32, 4, 128, 6144], false) };
        let qwen3 = parameters(&Decoder { experts: Some(experts(128, 8, Some(768))), ..qwen3 }, 151_936);
        assert_eq!((qwen3.total(), qwen3.active()), (30_532_122_624, 3_353_032_704), "Qwen3-30B-A3B");
        let olmoe = Decoder { qk_norm: QkNorm::Width, ..llama([16, 2048, 16, 16, 128, 1024], false) };
        let olmoe = parameters(&Decoder { experts: Some(experts(64, 8, None)), ..olmoe }, 50_304);
        assert_eq!((olmoe.total(), olmoe.active()), (6_919_161_856, 1_282_017_280), "OLMoE 1B-7B");
        // Every second of three blocks is one.
        let base = llama([3, 8, 2, 1, 4, 16], true);
        let sparse = Experts { every: Some(2), ..experts(4, 1, Some(5)) };
        let sparse = parameters(&Decoder { experts: Some(sparse), ..base.clone() }, 10);
        assert_eq!(sparse.total(), parameters(&base, 10).total() - 3 * 8 * 16 + 4 * 3 * 8 * 5 + 4 * 8);
        assert_eq!(sparse.active(), sparse.total() - 3 * 3 * 8 * 5);
    }

    #[test]
    fn every_choice_counts() {
        let base = llama([2, 8, 2, 1, 4, 16], true);
        let total = |m: Decoder| parameters(&m, 10).total();
        // Embedding 80; a block: 64 + 2·32 + 64 attention, 3·128 feed-forward, 16 norms; the last norm 8.
        assert_eq!(total(base.clone()), 80 + 2 * (192 + 384 + 16) + 8);
        assert_eq!(total(Decoder { tied: false, ..base.clone() }), 1272 + 80);
        assert_eq!(total(Decoder { position: Position::Learned, context: 5, ..base.clone() }), 1272 + 40);
        assert_eq!(total(Decoder { position: Position::Absent, ..base.clone() }), 1272);
        assert_eq!(total(Decoder { activation: Activation::Relu, ..base.clone() }), 1272 - 2 * 128);
        assert_eq!(total(Decoder { kv_heads: 2, ..base.clone() }), 1272 + 2 * 64);
        assert_eq!(total(Decoder { head_dim: 6, ..base.clone() }), 1272 + 2 * 96, "heads wider than the stream");
        assert_eq!(total(Decoder { norm_place: NormPlace::After, ..base.clone() }), 1272);
        assert_eq!(total(Decoder { norm_place: NormPlace::Both, ..base.clone() }), 1272 + 2 * 16);
        assert_eq!(total(Decoder { qk_norm: QkNorm::Head, ..base.clone() }), 1272 + 2 * 8);
        assert_eq!(total(Decoder { qk_norm: QkNorm::Width, ..base.clone() }), 1272 + 2 * 12);
        assert_eq!(total(Decoder { qkv_bias: true, ..base.clone() }), 1272 + 2 * 16);
        assert_eq!(total(Decoder { activation: Activation::Geglu, ..base.clone() }), 1272);
        // Biases: 8 + 2·4 + 8 attention, 2·16 + 8 feed-forward a block; norms have none under rms.
        let biased = Decoder { bias: true, qkv_bias: true, ..base.clone() };
        assert_eq!(total(biased.clone()), 1272 + 2 * (24 + 40));
        assert_eq!(total(Decoder { norm: Norm::Layer, ..biased }), 1272 + 2 * (24 + 40) + 2 * 16 + 8);
        assert_eq!(total(Decoder { norm: Norm::Layer, ..base }), 1272, "no bias, no norm biases");
    }
}
