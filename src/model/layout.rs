//! Where every weight of a network lies.
//!
//! Names follow the Llama modules of Hugging Face `transformers` for every shape, with
//! `model.embed_positions.weight` for learned positions, Qwen 3's `q_norm` and `k_norm`, and the names of OLMo 2 and Gemma 2
//! for norms of what a sub-layer puts out, and those of Qwen 3 and OLMoE for routers and experts. Matrices are stored `[out, in]`. Weights that are multiplied
//! with the same input (queries, keys and values; gate and up) lie one under the other and are used as one matrix, and so do
//! the experts of a block.

use super::architecture::{Architecture, Experts};
use super::part::Part;
use crate::plan::spec::{Norm, NormPlace, Position, QkNorm};

/// One named weight, as files hold it.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub name: String,
    /// `[out, in]` for a matrix, `[n]` for a vector.
    pub shape: Vec<usize>,
    pub(crate) init: Init,
    pub(crate) segment: usize,
    /// First number, counted from the segment's start.
    pub(crate) offset: usize,
}

/// How a weight starts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Init {
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform between minus and plus this.
    Uniform(f64),
    Ones,
    Zeros,
}

/// One matrix the network multiplies with: one or more entries, one under the other. A vector is a row.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Leaf {
    pub rows: usize,
    pub cols: usize,
    pub segment: usize,
    pub offset: usize,
}

/// One long vector of weights.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Segment {
    /// Its numbers, with padding zeros up to a multiple of [`ROW`].
    pub len: usize,
    /// Of all its weights.
    pub part: Part,
}

/// Index of a leaf.
pub(crate) type LeafId = usize;

/// Where every weight of a network lies.
#[derive(Clone, PartialEq, Debug)]
pub struct Layout {
    pub(crate) entries: Vec<Entry>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) roles: Roles,
}

/// Which leaf plays which part.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Roles {
    pub embedding: LeafId,
    pub positions: Option<LeafId>,
    pub blocks: Vec<BlockRoles>,
    pub norm: NormRoles,
    /// Absent when the embedding is used.
    pub head: Option<LeafId>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct BlockRoles {
    pub attention_norm: AroundRoles,
    pub qkv: LinearRoles,
    /// Gains of queries and of keys.
    pub qk_norm: Option<[LeafId; 2]>,
    pub out: LinearRoles,
    pub mlp_norm: AroundRoles,
    pub feed_forward: FeedForwardRoles,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum FeedForwardRoles {
    Dense {
        /// Up, or gate and up.
        up: LinearRoles,
        down: LinearRoles,
    },
    Experts(ExpertRoles),
}

impl Default for FeedForwardRoles {
    fn default() -> FeedForwardRoles {
        FeedForwardRoles::Dense { up: LinearRoles::default(), down: LinearRoles::default() }
    }
}

/// The leaves of a mixture: `[count, width]`, `[count · (2 ·) hidden, width]` and `[count · width, hidden]`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct ExpertRoles {
    pub sizes: Experts,
    pub router: LeafId,
    /// Up, or gate and up, expert by expert.
    pub up: LeafId,
    pub down: LeafId,
}

/// The norms of what goes into a sub-layer and of what comes out.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct AroundRoles {
    pub before: Option<NormRoles>,
    pub after: Option<NormRoles>,
}

#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct NormRoles {
    pub gain: LeafId,
    pub bias: Option<LeafId>,
}

#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct LinearRoles {
    pub weight: LeafId,
    pub bias: Option<LeafId>,
}

/// Segments are whole rows of this many numbers, so that a sum over one can be taken row by row.
pub(crate) const ROW: usize = 1024;

/// No segment is longer than this, unless one matrix is: a binding of a GPU buffer is limited to 2 GiB.
const SEGMENT: usize = 1 << 26;

impl Layout {
    pub fn new(architecture: &Architecture) -> Layout {
        let mut builder = LayoutBuilder::default();
        let roles = builder.network(architecture);
        let mut layout = builder.finish();
        layout.roles = roles;
        layout
    }

    /// Every named weight, in the order it lies.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Trainable numbers.
    pub fn parameters(&self) -> u64 {
        self.entries.iter().map(|entry| entry.shape.iter().product::<usize>() as u64).sum()
    }
}

impl Entry {
    /// Numbers in this weight.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Lays weights out, one after the other.
#[derive(Default)]
pub(super) struct LayoutBuilder {
    entries: Vec<(Entry, LeafId)>,
    leaves: Vec<(Leaf, Part)>,
}

impl LayoutBuilder {
    fn network(&mut self, a: &Architecture) -> Roles {
        let plain = Init::Normal(a.init_std);
        let residual = if a.init_scaled { Init::Normal(a.init_std / (2.0 * a.layers as f64).sqrt()) } else { plain };
        let embedding = self.matrix(&[("model.embed_tokens.weight", a.vocab)], a.width, plain);
        let positions = (a.position == Position::Learned)
            .then(|| self.matrix(&[("model.embed_positions.weight", a.context)], a.width, plain));
        let blocks = (0..a.layers)
            .map(|layer| {
                let at = |part: &str| format!("model.layers.{layer}.{part}");
                let (q, k, v) = (at("self_attn.q_proj"), at("self_attn.k_proj"), at("self_attn.v_proj"));
                let kv = a.kv_width();
                // Llama's second norm, of what goes into the feed-forward layer, is called as OLMo's first, of what comes
                // out of attention; where there are both, Gemma's names tell them apart.
                let (into_mlp, out_of_mlp) = match a.norm_place {
                    NormPlace::Both => ("pre_feedforward_layernorm", "post_feedforward_layernorm"),
                    NormPlace::Before | NormPlace::After => ("post_attention_layernorm", "post_feedforward_layernorm"),
                };
                BlockRoles {
                    attention_norm: self.around(a, &at("input_layernorm"), &at("post_attention_layernorm")),
                    qkv: self.linear(a.qkv_bias, &[(q, a.query_width()), (k, kv), (v, kv)], a.width, plain),
                    qk_norm: self.qk_norm(a, &at("self_attn.q_norm"), &at("self_attn.k_norm")),
                    out: self.linear(a.bias, &[(at("self_attn.o_proj"), a.width)], a.query_width(), residual),
                    mlp_norm: self.around(a, &at(into_mlp), &at(out_of_mlp)),
                    feed_forward: self.feed_forward(a, layer, plain, residual),
                }
            })
            .collect();
        let norm = self.norm(a, "model.norm");
        let head = (!a.tied).then(|| self.matrix(&[("lm_head.weight", a.vocab)], a.width, plain));
        Roles { embedding, positions, blocks, norm, head }
    }

    fn feed_forward(&mut self, a: &Architecture, layer: usize, plain: Init, residual: Init) -> FeedForwardRoles {
        let into: &[&str] = if a.gated() { &["gate_proj", "up_proj"] } else { &["up_proj"] };
        let at = format!("model.layers.{layer}.mlp");
        match a.mixture(layer) {
            None => {
                let up: Vec<(String, usize)> = into.iter().map(|part| (format!("{at}.{part}"), a.hidden)).collect();
                let up = self.linear(a.bias, &up, a.width, plain);
                let down = self.linear(a.bias, &[(format!("{at}.down_proj"), a.width)], a.hidden, residual);
                FeedForwardRoles::Dense { up, down }
            }
            Some(experts) => {
                let of = |parts: &[&str], rows: usize| -> Vec<(String, usize)> {
                    (0..experts.count)
                        .flat_map(|e| parts.iter().map(move |part| (e, part)))
                        .map(|(e, part)| (format!("{at}.experts.{e}.{part}.weight"), rows))
                        .collect()
                };
                let router = self.matrix(&[(format!("{at}.gate.weight"), experts.count)], a.width, plain);
                let up = self.matrix(&of(into, experts.hidden), a.width, plain);
                let down = self.matrix(&of(&["down_proj"], a.width), experts.hidden, residual);
                FeedForwardRoles::Experts(ExpertRoles { sizes: *experts, router, up, down })
            }
        }
    }

    fn around(&mut self, a: &Architecture, before: &str, after: &str) -> AroundRoles {
        AroundRoles {
            before: (a.norm_place != NormPlace::After).then(|| self.norm(a, before)),
            after: (a.norm_place != NormPlace::Before).then(|| self.norm(a, after)),
        }
    }

    fn qk_norm(&mut self, a: &Architecture, query: &str, key: &str) -> Option<[LeafId; 2]> {
        let sizes = match a.qk_norm {
            QkNorm::Absent => return None,
            QkNorm::Head => [a.head_dim, a.head_dim],
            QkNorm::Width => [a.query_width(), a.kv_width()],
        };
        let gain = |name: &str, size| [(format!("{name}.weight"), size)];
        Some([self.vector(&gain(query, sizes[0]), Init::Ones), self.vector(&gain(key, sizes[1]), Init::Ones)])
    }

    fn norm(&mut self, a: &Architecture, name: &str) -> NormRoles {
        let gain = self.vector(&[(format!("{name}.weight"), a.width)], Init::Ones);
        let bias =
            (a.norm == Norm::Layer && a.bias).then(|| self.vector(&[(format!("{name}.bias"), a.width)], Init::Zeros));
        NormRoles { gain, bias }
    }

    fn linear(&mut self, biased: bool, parts: &[(String, usize)], cols: usize, init: Init) -> LinearRoles {
        let named = |suffix: &str| -> Vec<(String, usize)> {
            parts.iter().map(|(name, rows)| (format!("{name}.{suffix}"), *rows)).collect()
        };
        let weight = self.matrix(&named("weight"), cols, init);
        let bias = biased.then(|| self.vector(&named("bias"), Init::Zeros));
        LinearRoles { weight, bias }
    }

    /// Adds matrices of `cols` columns, one under the other, as one leaf.
    pub fn matrix(&mut self, parts: &[(impl AsRef<str>, usize)], cols: usize, init: Init) -> LeafId {
        self.leaf(parts, Some(cols), init)
    }

    /// Adds vectors, end to end, as one leaf.
    pub fn vector(&mut self, parts: &[(impl AsRef<str>, usize)], init: Init) -> LeafId {
        self.leaf(parts, None, init)
    }

    /// Adds a leaf; `cols` is absent for a vector, whose parts are its columns.
    fn leaf(&mut self, parts: &[(impl AsRef<str>, usize)], cols: Option<usize>, init: Init) -> LeafId {
        let id = self.leaves.len();
        let total = parts.iter().map(|(_, n)| n).sum();
        let (rows, width) = cols.map_or((1, total), |cols| (total, cols));
        let mut part = Part::Vector;
        for (name, n) in parts {
            let shape = cols.map_or(vec![*n], |cols| vec![*n, cols]);
            part = Part::of(name.as_ref(), &shape);
            self.entries.push((Entry { name: name.as_ref().to_owned(), shape, init, segment: 0, offset: 0 }, id));
        }
        self.leaves.push((Leaf { rows, cols: width, segment: 0, offset: 0 }, part));
        id
    }

    /// Lays the leaves out, part by part, in segments of a bounded length.
    pub fn finish(mut self) -> Layout {
        let mut segments: Vec<Segment> = Vec::new();
        for part in Part::ALL {
            for (leaf, _) in self.leaves.iter_mut().filter(|(_, of)| *of == part) {
                let len = leaf.rows * leaf.cols;
                let full = segments.last().is_none_or(|last| last.part != part || last.len + len > SEGMENT);
                if full {
                    segments.push(Segment { len: 0, part });
                }
                if let Some(last) = segments.last_mut() {
                    leaf.offset = last.len;
                    last.len += len;
                }
                leaf.segment = segments.len() - 1;
            }
        }
        for segment in &mut segments {
            segment.len = segment.len.next_multiple_of(ROW);
        }
        let leaves: Vec<Leaf> = self.leaves.into_iter().map(|(leaf, _)| leaf).collect();
        let mut used = vec![0; leaves.len()];
        let entries = self.entries.into_iter().map(|(mut entry, id)| {
            entry.segment = leaves[id].segment;
            entry.offset = leaves[id].offset + used[id];
            used[id] += entry.len();
            entry
        });
        Layout { entries: entries.collect(), leaves, segments, roles: Roles::default() }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Architecture, Layout};
    use crate::plan::parameters;
    use crate::plan::spec::{Activation, Decoder, Experts, Norm, NormPlace, Position, QkNorm};

    fn gpt2(bias: bool) -> Decoder {
        Decoder {
            layers: 12,
            heads: 12,
            kv_heads: 12,
            width: 768,
            head_dim: 64,
            hidden: 3072,
            vocab: Some(50_257),
            norm: Norm::Layer,
            position: Position::Learned,
            activation: Activation::Gelu,
            bias,
            qkv_bias: bias,
            ..Decoder::default()
        }
    }

    fn count(spec: &Decoder) -> u64 {
        Architecture::new(spec, None).unwrap().parameters()
    }

    #[test]
    fn gpt2_has_as_many_parameters_as_published() {
        assert_eq!(count(&gpt2(false)), 124_337_664);
        assert_eq!(count(&gpt2(true)), 124_439_808);
    }

    #[test]
    fn the_plan_counts_what_is_laid_out() {
        for bias in [false, true] {
            for norm_place in [NormPlace::Before, NormPlace::After, NormPlace::Both] {
                for qk_norm in [QkNorm::Absent, QkNorm::Head, QkNorm::Width] {
                    for (activation, every) in [(Activation::Gelu, None), (Activation::Geglu, Some(2))] {
                        let experts = Experts {
                            count: 5,
                            active: 2,
                            hidden: every.map(|_| 30),
                            renormalize: true,
                            every,
                            balance: 0.0,
                            z_loss: None,
                        };
                        let spec = Decoder {
                            layers: 3,
                            kv_heads: 4,
                            vocab: Some(100),
                            norm_place,
                            qk_norm,
                            activation,
                            qkv_bias: !bias,
                            ..gpt2(bias)
                        };
                        assert_eq!(count(&spec), parameters(&spec, 100).total(), "{spec:?}");
                        if !bias {
                            let spec = Decoder { experts: Some(experts), ..spec };
                            assert_eq!(count(&spec), parameters(&spec, 100).total(), "{spec:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn weights_lie_end_to_end_without_overlap() {
        let layout = Layout::new(&Architecture::new(&gpt2(true), None).unwrap());
        let mut spans: Vec<(usize, usize, usize)> =
            layout.entries.iter().map(|e| (e.segment, e.offset, e.offset + e.len())).collect();
        spans.sort_unstable();
        for pair in spans.windows(2) {
            assert!(pair[0].0 < pair[1].0 || pair[0].2 == pair[1].1, "{pair:?}");
        }
    }
}
