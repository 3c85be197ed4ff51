//! Networks.

use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Model {
    Decoder(Decoder),
}

/// A decoder-only transformer: GPT-2, Llama, Qwen 2 and 3, OLMo 2, mixtures of experts, and what can be combined of their
/// parts.
///
/// The default is the library's (`stdlib/prelude/model.exp`) for the smallest of networks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoder {
    /// Transformer blocks.
    pub layers: i64,
    /// Attention heads per block.
    pub heads: i64,
    /// Key/value heads; fewer than `heads` is grouped-query attention.
    pub kv_heads: i64,
    /// Size of the residual stream.
    pub width: i64,
    /// Size of one head.
    pub head_dim: i64,
    /// Size of the feed-forward layer.
    pub hidden: i64,
    /// Longest sequence, in tokens.
    pub context: i64,
    /// Entries of the embedding; absent means as many as the tokenizer has.
    pub vocab: Option<i64>,
    pub norm: Norm,
    pub norm_place: NormPlace,
    pub norm_epsilon: f64,
    /// Root-mean-square norm of queries and keys before their rotation.
    pub qk_norm: QkNorm,
    pub position: Position,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// How the rotary angles of a longer context come from those of a shorter one.
    pub rope_scaling: Option<RopeScaling>,
    /// Every so many blocks, one has no positions; absent: none.
    pub nope_every: Option<i64>,
    /// Tokens that a query sees, its own among them; absent: all before it.
    pub window: Option<i64>,
    /// With a window: every so many blocks, one sees everything; absent: none.
    pub global_every: Option<i64>,
    pub activation: Activation,
    /// Feed-forward layers of which a token uses some; absent: one layer that all use.
    pub experts: Option<Experts>,
    /// Bias vectors in linear layers and layer norms.
    pub bias: bool,
    /// Bias vectors of queries, keys and values.
    pub qkv_bias: bool,
    /// Logits are squeezed to within plus and minus this by a hyperbolic tangent; absent: they are not.
    pub logit_cap: Option<f64>,
    /// Whether the output layer shares the embedding.
    pub tied: bool,
    pub dropout: f64,
    /// Standard deviation of the initial weights.
    pub init_std: f64,
    /// Whether projections into the residual stream start smaller, by `1/√(2·layers)` (GPT-2).
    pub init_scaled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    Rms,
    Layer,
}

/// Where a sub-layer is normalised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPlace {
    /// What goes in (GPT-2, Llama).
    Before,
    /// What comes out, before it is added to the residual stream (OLMo 2).
    After,
    /// Both (Gemma 2).
    Both,
}

/// What the norm of queries and keys runs over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QkNorm {
    /// There is none.
    Absent,
    /// Each head, with one gain for all (Qwen 3).
    Head,
    /// All heads together (OLMo 2).
    Width,
}

/// A mixture of experts in the place of a feed-forward layer (Shazeer et al. 2017; Mixtral, Jiang et al. 2024).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experts {
    /// How many there are.
    pub count: i64,
    /// How many of them a token uses.
    pub active: i64,
    /// Size of an expert's hidden layer; absent: the network's `hidden`.
    pub hidden: Option<i64>,
    /// Whether the probabilities of a token's experts are divided by their sum.
    pub renormalize: bool,
    /// Every so many blocks, one has experts; absent: all.
    pub every: Option<i64>,
    /// What the balance loss counts.
    pub balance: f64,
    /// What the squared logarithm of the router's normaliser counts; absent: nothing.
    pub z_loss: Option<f64>,
}

/// How rotary angles are changed for contexts longer than those of the training.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum RopeScaling {
    RopeLinear(RopeLinear),
    RopeLlama3(RopeLlama3),
    RopeYarn(RopeYarn),
}

/// Every angle is divided (Chen et al. 2023).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RopeLinear {
    pub factor: f64,
}

/// Slow angles are divided, quick ones stay, and those between are mixed (Llama 3.1).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RopeLlama3 {
    pub factor: f64,
    /// Angles that turn fewer times than this within the first context are divided.
    pub low: f64,
    /// Angles that turn more often than this stay.
    pub high: f64,
    /// The context of the first training.
    pub context: i64,
}

/// YaRN (Peng et al. 2023): as Llama 3's with a linear ramp over the pairs, and all of it a little larger.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RopeYarn {
    pub factor: f64,
    pub context: i64,
    /// Pairs that turn more often than this within the first context stay.
    pub fast: f64,
    /// Pairs that turn fewer times than this are divided.
    pub slow: f64,
    /// What sines and cosines are multiplied with; absent: `0.1·ln(factor) + 1`.
    pub attention: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    Rotary,
    Learned,
    /// Scores fall with the distance, at a rate of each head's own (Press et al. 2022).
    Alibi,
    /// No position at all (NoPE).
    Absent,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// GELU, tanh approximation.
    Gelu,
    /// Gated SiLU: three matrices.
    Swiglu,
    /// Gated GELU: three matrices.
    Geglu,
    Relu,
    /// The square of ReLU.
    ReluSquared,
}

impl Activation {
    /// Whether the feed-forward layer multiplies by a gate.
    pub fn gated(self) -> bool {
        matches!(self, Activation::Swiglu | Activation::Geglu)
    }
}

impl Decoder {
    /// Whether the block `layer`, counted from 0, turns its queries and keys.
    pub fn rotary(&self, layer: usize) -> bool {
        self.position == Position::Rotary && !every(self.nope_every, layer)
    }

    /// Tokens that the queries of the block `layer` see; absent: all before them.
    pub fn window_of(&self, layer: usize) -> Option<i64> {
        self.window.filter(|_| !every(self.global_every, layer))
    }

    /// The experts of the block `layer`, if it has any.
    pub fn mixture(&self, layer: usize) -> Option<&Experts> {
        self.experts.as_ref().filter(|experts| experts.every.is_none() || every(experts.every, layer))
    }

    /// Blocks that have experts.
    pub fn mixtures(&self) -> u64 {
        let layers = u64::try_from(self.layers).unwrap_or(0);
        match &self.experts {
            None => 0,
            Some(Experts { every: Some(every), .. }) => layers / u64::try_from(*every).unwrap_or(1).max(1),
            Some(_) => layers,
        }
    }
}

/// Whether a block is the last of `period`.
fn every(period: Option<i64>, layer: usize) -> bool {
    period
        .and_then(|period| u64::try_from(period).ok())
        .is_some_and(|period| period > 0 && (layer as u64 + 1).is_multiple_of(period))
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            layers: 1,
            heads: 1,
            kv_heads: 1,
            width: 32,
            head_dim: 32,
            hidden: 96,
            context: 1024,
            vocab: None,
            norm: Norm::Rms,
            norm_place: NormPlace::Before,
            norm_epsilon: 1e-5,
            qk_norm: QkNorm::Absent,
            position: Position::Rotary,
            rope_theta: 10_000.0,
            rope_scaling: None,
            nope_every: None,
            window: None,
            global_every: None,
            activation: Activation::Swiglu,
            experts: None,
            bias: false,
            qkv_bias: false,
            logit_cap: None,
            tied: true,
            dropout: 0.0,
            init_std: 0.02,
            init_scaled: true,
        }
    }
}
