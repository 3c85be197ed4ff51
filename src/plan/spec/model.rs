//! Networks.

use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Model {
    Decoder(Decoder),
}

/// A decoder-only transformer covering the GPT-2 and Llama shapes.
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
    pub norm_epsilon: f64,
    pub position: Position,
    /// Base of the rotary angles.
    pub rope_theta: f64,
    pub activation: Activation,
    /// Bias vectors in linear layers and layer norms.
    pub bias: bool,
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

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    Rotary,
    Learned,
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
    Relu,
}
