//! Low-rank adapters: LoRA (Hu et al. 2022), rank-stabilised LoRA (Kalajdzievski 2023) and DoRA (Liu et al. 2024).
//!
//! A matrix `W` `[out, in]` of a frozen network is used as `W + s·B·A`, with `A` `[rank, in]` and `B` `[out, rank]` trained.
//! DoRA also trains a magnitude `m` `[out]`: every row of that sum is scaled to have it for its length. Settings, scales and
//! starts are those of PEFT.

use super::architecture::Architecture;
use super::host::{product, product_in};
use super::layout::{FeedForwardRoles, Init, Layout, LayoutBuilder, LeafId};
use super::precision::operand;
use crate::device::Format;
use crate::plan::spec;
use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// Which matrices are adapted, and where the numbers of their adapters lie.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    /// Of the adapters alone, under the names that PEFT saves them with. Its leaves follow those of the network.
    pub layout: Layout,
    /// By leaf of the network.
    parts: BTreeMap<LeafId, Vec<AdapterPart>>,
    pub scale: f64,
}

/// The adapter of some rows of a leaf.
#[derive(Clone, Debug)]
pub(super) struct AdapterPart {
    /// First row of the leaf, which is a column of its output.
    first: usize,
    rows: usize,
    /// Index among the network's leaves and, after them, the adapters'.
    down: LeafId,
    up: LeafId,
    magnitude: Option<LeafId>,
}

/// Gradients of adapters by leaf, and of what went in.
pub(super) struct AdapterGradients {
    pub x: Tensor<2>,
    pub leaves: Vec<(LeafId, Tensor<2>)>,
}

impl Adapter {
    /// The adapters of a network. Matrices that it does not have, such as the gate of a layer without one, are passed by, and
    /// so are those of experts.
    pub fn new(spec: &spec::Lora, architecture: &Architecture, network: &Layout) -> Adapter {
        let (rank, after) = (spec.rank.max(1) as usize, network.leaves.len());
        let mut builder = LayoutBuilder::default();
        let mut parts: BTreeMap<LeafId, Vec<AdapterPart>> = BTreeMap::new();
        for (layer, block) in network.roles.blocks.iter().enumerate() {
            let mut matrices = vec![
                (
                    block.qkv.weight,
                    vec![
                        (spec::LoraTarget::Query, architecture.query_width()),
                        (spec::LoraTarget::Key, architecture.kv_width()),
                        (spec::LoraTarget::Value, architecture.kv_width()),
                    ],
                ),
                (block.out.weight, vec![(spec::LoraTarget::Output, architecture.width)]),
            ];
            if let FeedForwardRoles::Dense { up, down } = block.feed_forward {
                let into = match architecture.gated() {
                    true => {
                        vec![(spec::LoraTarget::Gate, architecture.hidden), (spec::LoraTarget::Up, architecture.hidden)]
                    }
                    false => vec![(spec::LoraTarget::Up, architecture.hidden)],
                };
                matrices.push((up.weight, into));
                matrices.push((down.weight, vec![(spec::LoraTarget::Down, architecture.width)]));
            }
            for (leaf, stretches) in matrices {
                let (mut first, input) = (0, network.leaves[leaf].cols);
                for (target, rows) in stretches {
                    if spec.on.contains(&target) {
                        let name = format!("base_model.model.model.layers.{layer}.{}", target.module());
                        let down = Init::Uniform(1.0 / (input as f64).sqrt());
                        let part = AdapterPart {
                            first,
                            rows,
                            down: after + builder.matrix(&[(format!("{name}.lora_A.weight"), rank)], input, down),
                            up: after + builder.matrix(&[(format!("{name}.lora_B.weight"), rows)], rank, Init::Zeros),
                            magnitude: spec.magnitude.then(|| {
                                after + builder.vector(&[(format!("{name}.lora_magnitude_vector"), rows)], Init::Ones)
                            }),
                        };
                        parts.entry(leaf).or_default().push(part);
                    }
                    first += rows;
                }
            }
        }
        let root = if spec.rank_stabilized { (rank as f64).sqrt() } else { rank as f64 };
        Adapter { layout: builder.finish(), parts, scale: spec.alpha / root }
    }

    /// The adapters of a leaf; none of most.
    pub(super) fn of(&self, leaf: LeafId) -> &[AdapterPart] {
        self.parts.get(&leaf).map_or(&[], Vec::as_slice)
    }

    /// Gives the magnitudes of fresh adapters the lengths of the rows they are for.
    pub fn start(&self, network: &[Tensor<2>], host: &mut [Vec<f32>]) -> Result<(), super::ModelError> {
        for (leaf, parts) in &self.parts {
            for part in parts {
                let Some(magnitude) = part.magnitude else { continue };
                let place = self.layout.leaves[magnitude - network.len()];
                let weight = network[*leaf].clone().narrow(0, part.first, part.rows);
                let lengths = weight.square().sum_dim(1).sqrt();
                let lengths = lengths.try_into_vec_as::<f32>().map_err(|e| super::ModelError::Device(e.to_string()))?;
                host[place.segment][place.offset..place.offset + part.rows].copy_from_slice(&lengths);
            }
        }
        Ok(())
    }

    /// The network's leaves with the adapters worked in; `leaves` are the network's and, after them, the adapters'.
    pub fn merged(&self, leaves: &[Tensor<2>]) -> Vec<Tensor<2>> {
        let count = leaves.len() - self.layout.leaves.len();
        let mut merged = leaves[..count].to_vec();
        for (leaf, parts) in &self.parts {
            let weight = &leaves[*leaf];
            let pieces = self.pieces(parts, weight.dims()[0], |part, first, rows| {
                let piece = weight.clone().narrow(0, first, rows);
                part.map_or(piece.clone(), |part| self.effective(part, piece, leaves))
            });
            merged[*leaf] = Tensor::cat(pieces, 0);
        }
        merged
    }

    /// Applies `piece` to the stretches of a leaf, adapted or not.
    fn pieces<T>(
        &self,
        parts: &[AdapterPart],
        rows: usize,
        mut piece: impl FnMut(Option<&AdapterPart>, usize, usize) -> T,
    ) -> Vec<T> {
        let (mut at, mut pieces) = (0, Vec::new());
        for part in parts {
            if at < part.first {
                pieces.push(piece(None, at, part.first - at));
            }
            pieces.push(piece(Some(part), part.first, part.rows));
            at = part.first + part.rows;
        }
        if at < rows {
            pieces.push(piece(None, at, rows - at));
        }
        pieces
    }

    /// What is used in the place of the rows `weight` of a leaf.
    fn effective(&self, part: &AdapterPart, weight: Tensor<2>, leaves: &[Tensor<2>]) -> Tensor<2> {
        let sum = weight + product(&leaves[part.up], false, &leaves[part.down], false).mul_scalar(self.scale);
        match part.magnitude {
            None => sum,
            Some(magnitude) => {
                let ratio = ratio(&leaves[magnitude], &sum);
                sum * ratio.transpose()
            }
        }
    }

    /// The output of a leaf whose own weights gave `y`, of the input `x`, which is rounded to the `format` of products.
    pub(super) fn forward(
        &self,
        leaf: LeafId,
        x: &Tensor<2>,
        y: Tensor<2>,
        leaves: &[Tensor<2>],
        format: Option<Format>,
    ) -> Tensor<2> {
        let rounded = |x: &Tensor<2>| operand(format, x.clone());
        let times = |a: &Tensor<2>, a_turned, b: &Tensor<2>, b_turned| product_in(format, a, a_turned, b, b_turned);
        let width = y.dims()[1];
        let parts = self.of(leaf);
        let mut pieces = self.pieces(parts, width, |part, first, rows| {
            let y = if rows == width { y.clone() } else { y.clone().narrow(1, first, rows) };
            let Some(part) = part else { return y };
            let inner = times(x, false, &rounded(&leaves[part.down]), true);
            let y = y + times(&rounded(&inner), false, &rounded(&leaves[part.up]), true).mul_scalar(self.scale);
            match part.magnitude {
                None => y,
                Some(magnitude) => {
                    let weight = leaves[leaf].clone().narrow(0, part.first, part.rows);
                    let delta = product(&leaves[part.up], false, &leaves[part.down], false).mul_scalar(self.scale);
                    y * ratio(&leaves[magnitude], &(weight + delta))
                }
            }
        });
        if pieces.len() == 1 { pieces.remove(0) } else { Tensor::cat(pieces, 1) }
    }

    /// The way back: `y` is the gradient of what [`Adapter::forward`] gave. As PEFT and the paper do, the length of DoRA's rows
    /// counts as a constant. Products of weights alone have f32 in any `format`.
    pub(super) fn back(
        &self,
        leaf: LeafId,
        x: &Tensor<2>,
        y: &Tensor<2>,
        leaves: &[Tensor<2>],
        format: Option<Format>,
    ) -> AdapterGradients {
        let rounded = |x: &Tensor<2>| operand(format, x.clone());
        let times = |a: &Tensor<2>, a_turned, b: &Tensor<2>, b_turned| product_in(format, a, a_turned, b, b_turned);
        let weight = &leaves[leaf];
        let width = weight.dims()[0];
        let mut gradients = Vec::new();
        let mut inputs: Vec<Tensor<2>> = Vec::new();
        self.pieces(self.of(leaf), width, |part, first, rows| {
            let whole = rows == width;
            let y = if whole { y.clone() } else { y.clone().narrow(1, first, rows) };
            let weight = if whole { weight.clone() } else { weight.clone().narrow(0, first, rows) };
            let Some(part) = part else {
                inputs.push(times(&rounded(&y), false, &rounded(&weight), false));
                return;
            };
            let (down, up) = (&leaves[part.down], &leaves[part.up]);
            match part.magnitude {
                None => {
                    let (y, down) = (rounded(&y), rounded(down));
                    let inner = times(x, false, &down, true);
                    let through = rounded(&times(&y, false, &rounded(up), false).mul_scalar(self.scale));
                    gradients.push((part.up, times(&y, true, &rounded(&inner), false).mul_scalar(self.scale)));
                    gradients.push((part.down, times(&through, true, x, false)));
                    inputs.push(times(&y, false, &rounded(&weight), false) + times(&through, false, &down, false));
                }
                Some(magnitude) => {
                    let sum = weight + product(up, false, down, false).mul_scalar(self.scale);
                    let (ratio, lengths) = (ratio(&leaves[magnitude], &sum), lengths(&sum));
                    let by_weight = times(&rounded(&y), true, x, false);
                    gradients.push((magnitude, (by_weight.clone() * sum.clone()).sum_dim(1).transpose() / lengths));
                    let by_weight = by_weight * ratio.clone().transpose().mul_scalar(self.scale);
                    gradients.push((part.up, product(&by_weight, false, down, true)));
                    gradients.push((part.down, product(up, true, &by_weight, false)));
                    inputs.push(times(&rounded(&(y * ratio)), false, &rounded(&sum), false));
                }
            }
        });
        let mut inputs = inputs.into_iter();
        let first = inputs.next().unwrap_or_else(|| x.zeros_like());
        AdapterGradients { x: inputs.fold(first, |sum, input| sum + input), leaves: gradients }
    }
}

/// The lengths of the rows of `sum`, `[1, rows]`.
fn lengths(sum: &Tensor<2>) -> Tensor<2> {
    sum.clone().square().sum_dim(1).sqrt().transpose()
}

/// What the rows of `sum` are multiplied with to have `magnitude` for their lengths, `[1, rows]`.
fn ratio(magnitude: &Tensor<2>, sum: &Tensor<2>) -> Tensor<2> {
    // Constant under autodiff, as the paper has it.
    magnitude.clone() / lengths(sum).detach()
}
