//! A network's sizes and choices, checked once so that nothing below has to.

use super::error::ModelError;
use crate::plan::spec::{self, Activation, Norm, Position};

/// The sizes and choices of a decoder.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Architecture {
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub width: usize,
    pub head_dim: usize,
    pub hidden: usize,
    pub context: usize,
    pub vocab: usize,
    pub norm: Norm,
    pub norm_epsilon: f64,
    pub position: Position,
    pub rope_theta: f64,
    pub activation: Activation,
    pub bias: bool,
    pub tied: bool,
    pub dropout: f64,
    pub init_std: f64,
    pub init_scaled: bool,
}

impl Architecture {
    /// Checks `spec` and fixes its vocabulary: the one it names, which must hold the tokenizer's, or the tokenizer's.
    ///
    /// # Errors
    /// A size that is not positive, heads that do not divide, rotary angles over an odd head, or no vocabulary.
    pub fn new(spec: &spec::Decoder, tokenizer: Option<usize>) -> Result<Architecture, ModelError> {
        let vocab = match (spec.vocab, tokenizer) {
            (Some(vocab), Some(entries)) if vocab < entries as i64 => {
                return Err(ModelError::VocabTooSmall { vocab, tokenizer: entries });
            }
            (Some(vocab), _) => vocab,
            (None, Some(entries)) => entries as i64,
            (None, None) => return Err(ModelError::NoVocab),
        };
        let size = |field, value: i64| match usize::try_from(value) {
            Ok(size) if size > 0 => Ok(size),
            _ => Err(ModelError::Size { field, value, requirement: "it must be at least 1".into() }),
        };
        let architecture = Architecture {
            layers: size("layers", spec.layers)?,
            heads: size("heads", spec.heads)?,
            kv_heads: size("kv_heads", spec.kv_heads)?,
            width: size("width", spec.width)?,
            head_dim: size("head_dim", spec.head_dim)?,
            hidden: size("hidden", spec.hidden)?,
            context: size("context", spec.context)?,
            vocab: size("vocab", vocab)?,
            norm: spec.norm,
            norm_epsilon: spec.norm_epsilon,
            position: spec.position,
            rope_theta: spec.rope_theta,
            activation: spec.activation,
            bias: spec.bias,
            tied: spec.tied,
            dropout: spec.dropout,
            init_std: spec.init_std,
            init_scaled: spec.init_scaled,
        };
        if !architecture.heads.is_multiple_of(architecture.kv_heads) {
            let requirement = format!("it must divide the {} heads", architecture.heads);
            return Err(ModelError::Size { field: "kv_heads", value: spec.kv_heads, requirement });
        }
        if architecture.position == Position::Rotary && !architecture.head_dim.is_multiple_of(2) {
            let requirement = "rotary positions turn pairs, so it must be even".to_owned();
            return Err(ModelError::Size { field: "head_dim", value: spec.head_dim, requirement });
        }
        Ok(architecture)
    }

    /// Columns of the query projection's output.
    pub(crate) fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Columns of the key projection's output, and of the value's.
    pub(crate) fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Whether the feed-forward layer multiplies by a gate.
    pub(crate) fn gated(&self) -> bool {
        self.activation == Activation::Swiglu
    }

    /// Trainable numbers, exactly.
    pub fn parameters(&self) -> u64 {
        super::Layout::new(self).parameters()
    }
}
