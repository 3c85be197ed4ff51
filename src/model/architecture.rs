//! A network's sizes and choices, checked once so that nothing below has to.

use super::error::ModelError;
use crate::plan::spec::{self, Activation, Norm, NormPlace, Position, QkNorm, RopeScaling};

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
    pub norm_place: NormPlace,
    pub norm_epsilon: f64,
    pub qk_norm: QkNorm,
    pub position: Position,
    pub rope_theta: f64,
    pub rope_scaling: Option<RopeScaling>,
    pub nope_every: Option<usize>,
    pub window: Option<usize>,
    pub global_every: Option<usize>,
    pub activation: Activation,
    // Left out where there are none, so that checkpoints from before there were any still fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
    pub bias: bool,
    pub qkv_bias: bool,
    pub logit_cap: Option<f64>,
    pub tied: bool,
    pub dropout: f64,
    pub init_std: f64,
    pub init_scaled: bool,
}

/// The experts of a network's mixtures.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Experts {
    pub count: usize,
    pub active: usize,
    pub hidden: usize,
    pub renormalize: bool,
    pub every: Option<usize>,
    pub balance: f64,
    pub z_loss: Option<f64>,
}

impl Experts {
    fn new(spec: &spec::Experts, hidden: i64) -> Result<Experts, ModelError> {
        let size = |field, value: i64, most: i64| match usize::try_from(value) {
            Ok(size) if (1..=most).contains(&value) => Ok(size),
            _ => {
                let requirement = format!("it must be at least 1 and at most {most}");
                Err(ModelError::Size { field, value, requirement })
            }
        };
        Ok(Experts {
            count: size("experts.count", spec.count, 1 << 16)?,
            active: size("experts.active", spec.active, spec.count)?,
            hidden: size("experts.hidden", spec.hidden.unwrap_or(hidden), i64::MAX)?,
            renormalize: spec.renormalize,
            every: spec.every.map(|every| size("experts.every", every, i64::MAX)).transpose()?,
            balance: spec.balance,
            z_loss: spec.z_loss,
        })
    }
}

impl Architecture {
    /// Checks `spec` and fixes its vocabulary: the one it names, which must hold the tokenizer's, or the tokenizer's.
    ///
    /// # Errors
    /// A size that is not positive, more experts of a token than there are, experts with biases, heads that do not divide, rotary angles over an odd head, or no vocabulary.
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
        let some = |field, value: Option<i64>| value.map(|value| size(field, value)).transpose();
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
            norm_place: spec.norm_place,
            norm_epsilon: spec.norm_epsilon,
            qk_norm: spec.qk_norm,
            position: spec.position,
            rope_theta: spec.rope_theta,
            rope_scaling: spec.rope_scaling,
            nope_every: some("nope_every", spec.nope_every)?,
            window: some("window", spec.window)?,
            global_every: some("global_every", spec.global_every)?,
            activation: spec.activation,
            experts: spec.experts.as_ref().map(|experts| Experts::new(experts, spec.hidden)).transpose()?,
            bias: spec.bias,
            qkv_bias: spec.qkv_bias,
            logit_cap: spec.logit_cap,
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
        if architecture.bias && architecture.experts.is_some() {
            let requirement = "experts have no bias vectors; set `bias` to false".to_owned();
            return Err(ModelError::Size { field: "bias", value: 1, requirement });
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
        self.activation.gated()
    }

    /// Whether the block `layer`, counted from 0, turns its queries and keys.
    pub(crate) fn rotary(&self, layer: usize) -> bool {
        self.position == Position::Rotary && self.nope_every.is_none_or(|every| !(layer + 1).is_multiple_of(every))
    }

    /// Tokens that the queries of the block `layer` see, their own among them; absent: all before them.
    pub(crate) fn window_of(&self, layer: usize) -> Option<usize> {
        self.window.filter(|_| self.global_every.is_none_or(|every| !(layer + 1).is_multiple_of(every)))
    }

    /// The experts of the block `layer`, if it has any.
    pub(crate) fn mixture(&self, layer: usize) -> Option<&Experts> {
        self.experts.as_ref().filter(|experts| experts.every.is_none_or(|every| (layer + 1).is_multiple_of(every)))
    }

    /// Trainable numbers, exactly.
    pub fn parameters(&self) -> u64 {
        super::Layout::new(self).parameters()
    }
}
