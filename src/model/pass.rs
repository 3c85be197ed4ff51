//! A pass through the network, forward and back.
//!
//! Going back is written by hand. It costs a few lines a layer, and in return a step keeps exactly what it needs, the
//! softmax and the norms keep one tensor each instead of one an operation, and parts of a tensor get their gradients
//! without a tensor of zeros the size of the whole. The tests hold it against burn's autodiff and against PyTorch.

use super::adapter::Adapter;
use super::architecture::Architecture;
use super::attention::{self, AttentionTape, KernelTape, Sight, attention, attention_back};
use super::cache::Cache;
use super::decoder::Input;
use super::dropout::Dropout;
use super::experts::{Account, Balance, ExpertsTape, Load, Matrices, Way, experts, experts_back};
use super::feed_forward::{ActivationTape, activate, activate_back};
use super::host::product_in;
use super::layout::{BlockRoles, ExpertRoles, FeedForwardRoles, Layout, LeafId, LinearRoles, NormRoles};
use super::norm::{NormTape, norm, norm_back};
use super::precision::{operand, round, widen};
use super::probe::{Probe, Seen};
use super::qk_norm::{QkNormTape, qk_norm, qk_norm_back};
use super::table::table_gradient;
use super::values::{ValuesTape, add_values, add_values_back};
use crate::device::Format;
use burn::tensor::Tensor;

/// One pass over a batch.
pub(crate) struct Pass<'a> {
    pub architecture: &'a Architecture,
    pub layout: &'a Layout,
    pub leaves: &'a [Tensor<2>],
    pub dropout: Option<&'a Dropout>,
    /// Adapters of a network that stays as it is; their leaves follow the network's.
    pub adapter: Option<&'a Adapter>,
    /// Whether the tape keeps only what goes into a block, and the way back computes the block again (Chen et al. 2016):
    /// the memory of one block instead of all, for one more forward pass.
    pub recompute: bool,
    /// What looks at the numbers on their way; almost always nothing.
    pub probe: Option<&'a Probe>,
    /// What goes into matrix products; nothing: f32.
    pub format: Option<Format>,
    /// How a step holds routers to account; absent outside of training, where nothing is learnt of their balance.
    pub account: Option<Account<'a>>,
}

/// What a forward pass leaves for the way back.
#[derive(Default)]
pub(crate) struct Tape {
    /// Dropout of the embeddings.
    drop: Option<Tensor<2>>,
    blocks: Vec<Kept>,
    norm: Option<NormTape>,
    /// What is learnt from beside the loss, of a network with experts.
    pub balance: Option<Balance>,
}

/// What is kept of a block.
enum Kept {
    Tape(Box<BlockTape>),
    /// What went in, and which mask of the dropout came next.
    Input(Box<Tensor<2>>, u64),
}

struct BlockTape {
    attention_norm: Option<NormTape>,
    /// Input of the query, key and value projection, an operand of products as the other inputs are.
    attention_input: Tensor<2>,
    qk_norm: Option<QkNormTape>,
    values: Option<ValuesTape>,
    attention: HeadsTape,
    /// Input of the output projection.
    attention_output: Tensor<2>,
    attention_after: Option<NormTape>,
    attention_drop: Option<Tensor<2>>,
    mlp_norm: Option<NormTape>,
    /// Input of the feed-forward layer.
    mlp_input: Tensor<2>,
    feed_forward: FeedForwardTape,
    mlp_after: Option<NormTape>,
    mlp_drop: Option<Tensor<2>>,
}

/// What a feed-forward layer leaves.
enum FeedForwardTape {
    Dense(Box<DenseTape>),
    Experts(ExpertRoles, ExpertsTape),
}

struct DenseTape {
    up: LinearRoles,
    activation: ActivationTape,
    /// Input of the second projection.
    output: Tensor<2>,
    down: LinearRoles,
}

/// What attention leaves, of a kernel or of burn's operations.
enum HeadsTape {
    Kernel(Box<KernelTape>),
    Composed(Box<AttentionTape>),
    /// Of cached keys and values, which nobody goes back through.
    Cached,
}

/// Gradients by leaf; a leaf that took no part has none.
pub(crate) type LeafGradients = Vec<Option<Tensor<2>>>;

impl Pass<'_> {
    /// Token embeddings plus learned positions, `[batch · time, width]`.
    pub fn embed(&self, input: &Input) -> Tensor<2> {
        let roles = &self.layout.roles;
        let x = self.leaves[roles.embedding].clone().select(0, input.ids.clone());
        let Some(table) = roles.positions.map(|leaf| self.leaves[leaf].clone()) else { return x };
        let width = self.architecture.width;
        match &input.positions {
            Some(positions) => x + table.select(0, positions.clone()),
            None => {
                let table = table.narrow(0, 0, input.time).reshape([1, input.time, width]);
                (x.reshape([input.batch, input.time, width]) + table).reshape([input.batch * input.time, width])
            }
        }
    }

    /// All blocks and the final norm over `x` `[batch · time, width]`. With a `tape`, the way back is remembered.
    pub fn blocks(
        &self,
        x: Tensor<2>,
        input: &Input,
        mut cache: Option<&mut Cache>,
        mut tape: Option<&mut Tape>,
    ) -> Tensor<2> {
        self.look(Seen::Embedding, &x);
        let (mut x, drop) = self.drop(x);
        let mut loads = Vec::new();
        for (layer, roles) in self.layout.roles.blocks.iter().enumerate() {
            let kept = (self.recompute && tape.is_some()).then(|| Kept::Input(Box::new(x.clone()), self.place()));
            let (y, block) = self.block(x, input, roles, layer, cache.as_deref_mut());
            x = y;
            if let Some(tape) = tape.as_deref_mut() {
                loads.extend(self.load(&block));
                tape.blocks.push(kept.unwrap_or_else(|| Kept::Tape(Box::new(block))));
            }
        }
        let (y, norm) = self.norm(x, self.layout.roles.norm);
        if let Some(tape) = tape {
            (tape.drop, tape.norm) = (drop, Some(norm));
            let held = self.architecture.experts.as_ref().zip(self.account);
            tape.balance = held.and_then(|(experts, account)| Balance::of(experts, account, loads));
        }
        self.look(Seen::Final, &y);
        self.readout(y)
    }

    /// muP's multiplier of the readout, before the output matrix; its way back is itself.
    fn readout(&self, x: Tensor<2>) -> Tensor<2> {
        match self.architecture.readout() {
            Some(factor) => x.mul_scalar(factor),
            None => x,
        }
    }

    fn look(&self, what: Seen, x: &Tensor<2>) {
        if let Some(probe) = self.probe {
            probe.see(what, x);
        }
    }

    /// What the rows asked of a block's experts, where a step wants to know.
    fn load(&self, block: &BlockTape) -> Option<Load> {
        match (&block.feed_forward, self.account) {
            (FeedForwardTape::Experts(_, tape), Some(account)) if !account.sequences.is_empty() => {
                Some(tape.load(account.sequences, &block.mlp_input))
            }
            _ => None,
        }
    }

    fn block(
        &self,
        x: Tensor<2>,
        input: &Input,
        roles: &BlockRoles,
        layer: usize,
        cache: Option<&mut Cache>,
    ) -> (Tensor<2>, BlockTape) {
        let (attention_input, attention_norm) = self.maybe_norm(x.clone(), roles.attention_norm.before);
        let attention_input = self.operand(attention_input);
        let qkv = self.linear(&attention_input, roles.qkv);
        let (qkv, qk_norm) = self.qk_norm(qkv, roles);
        let (qkv, values) = self.add_values(qkv, &attention_input, input, roles);
        let (attention_output, attention) = self.attend(qkv, input, layer, cache);
        let attention_output = self.operand(attention_output);
        let y = self.linear(&attention_output, roles.out);
        let (y, attention_after) = self.maybe_norm(y, roles.attention_norm.after);
        self.look(Seen::Attention, &y);
        let (y, attention_drop) = self.drop(y);
        let x = x + y;
        let (mlp_input, mlp_norm) = self.maybe_norm(x.clone(), roles.mlp_norm.before);
        let mlp_input = match roles.feed_forward {
            FeedForwardRoles::Dense { .. } => self.operand(mlp_input),
            // Experts multiply in f32.
            FeedForwardRoles::Experts(_) => mlp_input,
        };
        let (y, feed_forward) = self.feed_forward(&mlp_input, roles.feed_forward);
        let (y, mlp_after) = self.maybe_norm(y, roles.mlp_norm.after);
        self.look(Seen::FeedForward, &y);
        let (y, mlp_drop) = self.drop(y);
        let tape = BlockTape {
            attention_norm,
            attention_input,
            qk_norm,
            values,
            attention,
            attention_output,
            attention_after,
            attention_drop,
            mlp_norm,
            mlp_input,
            feed_forward,
            mlp_after,
            mlp_drop,
        };
        (x + y, tape)
    }

    /// The feed-forward layer, or the experts in its place.
    fn feed_forward(&self, x: &Tensor<2>, roles: FeedForwardRoles) -> (Tensor<2>, FeedForwardTape) {
        let kind = self.architecture.activation;
        match roles {
            FeedForwardRoles::Experts(roles) => {
                let (y, tape) = experts(&roles.sizes, kind, x, &self.matrices(roles));
                (y, FeedForwardTape::Experts(roles, tape))
            }
            FeedForwardRoles::Dense { up, down } => {
                let (output, activation) = activate(kind, self.linear(x, up));
                let output = self.operand(output);
                let y = self.linear(&output, down);
                (y, FeedForwardTape::Dense(Box::new(DenseTape { up, activation, output, down })))
            }
        }
    }

    fn matrices(&self, roles: ExpertRoles) -> Matrices<'_> {
        let [router, up, down] = [roles.router, roles.up, roles.down].map(|leaf| &self.leaves[leaf]);
        Matrices { router, up, down }
    }

    /// From queries, keys and values `[batch · time, width]` to the heads' outputs, side by side.
    fn attend(
        &self,
        mut qkv: Tensor<2>,
        input: &Input,
        layer: usize,
        mut cache: Option<&mut Cache>,
    ) -> (Tensor<2>, HeadsTape) {
        let a = self.architecture;
        if let Some(probe) = self.probe {
            let (query, key, _) = self.heads(qkv.clone(), input, layer);
            probe.see(Seen::Scores, &attention::scores(query, key, a.attention_scale()));
        }
        let sight = Sight::of(a, input, layer, self.format);
        if let (Some(sight), None) = (sight, &cache) {
            match attention::on_host(sight, qkv, input, self.dropout) {
                Ok((y, tape)) => return (y, HeadsTape::Kernel(Box::new(tape))),
                Err(elsewhere) => qkv = elsewhere,
            }
        }
        let device = qkv.device();
        let (query, key, value) = self.heads(qkv, input, layer);
        if let Some(y) = cache.as_deref_mut().and_then(|cache| cache.attend(layer, &query, &key, &value)) {
            return (y, HeadsTape::Cached);
        }
        let (key, value) = match cache {
            Some(cache) => cache.extend(layer, key, value),
            None => (key, value),
        };
        let drop = |dims| self.dropout.map(|dropout| dropout.next(dims, &device));
        let (pieces, alibi) = (input.masks.pieces(a.window_of(layer).is_some()), input.masks.alibi.clone());
        let (y, tape) = attention([query, key, value], a.attention_scale(), pieces, alibi, drop, self.format);
        let y = y.swap_dims(1, 2).reshape([input.batch * input.time, a.query_width()]);
        (y, HeadsTape::Composed(Box::new(tape)))
    }

    /// Queries, keys and values, `[batch, heads, time, head_dim]`, the first two turned to their positions.
    fn heads(&self, qkv: Tensor<2>, input: &Input, layer: usize) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
        let a = self.architecture;
        let all = a.heads + 2 * a.kv_heads;
        let qkv = qkv.reshape([input.batch, input.time, all, a.head_dim]).swap_dims(1, 2);
        let turned = qkv.clone().narrow(1, 0, a.heads + a.kv_heads);
        let turned = match input.angles.as_ref().filter(|_| a.rotary(layer)) {
            Some(angles) => angles.turn(turned),
            None => turned,
        };
        let value = qkv.narrow(1, a.heads + a.kv_heads, a.kv_heads);
        (turned.clone().narrow(1, 0, a.heads), turned.narrow(1, a.heads, a.kv_heads), value)
    }

    /// From the gradient of the hidden states to those of the embedded input and of the leaves.
    pub fn back(&self, hidden: Tensor<2>, input: &Input, tape: Tape) -> (Tensor<2>, LeafGradients) {
        let mut grads: LeafGradients = vec![None; self.leaves.len()];
        let hidden = self.readout(hidden);
        let balance = tape.balance;
        let mut x = match tape.norm {
            Some(norm) => self.norm_back(norm, hidden, self.layout.roles.norm, &mut grads),
            None => hidden,
        };
        for (layer, (roles, block)) in self.layout.roles.blocks.iter().zip(tape.blocks).enumerate().rev() {
            let block = match block {
                Kept::Tape(block) => *block,
                Kept::Input(x, place) => {
                    if let Some(dropout) = self.dropout {
                        dropout.go_to(place);
                    }
                    self.block(*x, input, roles, layer, None).1
                }
            };
            x = self.block_back(x, input, (roles, layer), block, balance.as_ref(), &mut grads);
        }
        (times(x, tape.drop), grads)
    }

    fn block_back(
        &self,
        x: Tensor<2>,
        input: &Input,
        (roles, layer): (&BlockRoles, usize),
        tape: BlockTape,
        balance: Option<&Balance>,
        grads: &mut LeafGradients,
    ) -> Tensor<2> {
        let y = self.maybe_norm_back(tape.mlp_after, times(x.clone(), tape.mlp_drop), roles.mlp_norm.after, grads);
        let y = self.feed_forward_back(y, tape.mlp_input, tape.feed_forward, balance, grads);
        let x = x + self.maybe_norm_back(tape.mlp_norm, y, roles.mlp_norm.before, grads);

        let output = tape.attention_output;
        let y = times(x.clone(), tape.attention_drop);
        let y = self.maybe_norm_back(tape.attention_after, y, roles.attention_norm.after, grads);
        let y = self.linear_back(y, output.clone(), roles.out, grads);
        let qkv = self.attend_back(tape.attention, output, y, input, layer);
        let seen = self.add_values_back(tape.values, &qkv, &tape.attention_input, input, roles, grads);
        let qkv = self.qk_norm_back(tape.qk_norm, qkv, roles, grads);
        let y = self.linear_back(qkv, tape.attention_input, roles.qkv, grads);
        let y = match seen {
            Some(seen) => y + seen,
            None => y,
        };
        x + self.maybe_norm_back(tape.attention_norm, y, roles.attention_norm.before, grads)
    }

    /// The gradient of what went into the feed-forward layer, `x`, given that of what came out, `y`.
    fn feed_forward_back(
        &self,
        y: Tensor<2>,
        x: Tensor<2>,
        tape: FeedForwardTape,
        balance: Option<&Balance>,
        grads: &mut LeafGradients,
    ) -> Tensor<2> {
        let kind = self.architecture.activation;
        match tape {
            FeedForwardTape::Experts(roles, tape) => {
                let way = Way { sizes: &roles.sizes, kind, balance, trained: self.adapter.is_none() };
                let gradient = experts_back(way, tape, &x, &y, &self.matrices(roles));
                if let Some([router, up, down]) = gradient.matrices {
                    (grads[roles.router], grads[roles.up], grads[roles.down]) = (Some(router), Some(up), Some(down));
                }
                gradient.x
            }
            FeedForwardTape::Dense(tape) => {
                let DenseTape { up, activation, output, down } = *tape;
                let y = self.linear_back(y, output, down, grads);
                let y = activate_back(kind, activation, y);
                self.linear_back(y, x, up, grads)
            }
        }
    }

    /// The gradient of queries, keys and values, given the heads' outputs and their gradient `y`.
    fn attend_back(&self, tape: HeadsTape, output: Tensor<2>, y: Tensor<2>, input: &Input, layer: usize) -> Tensor<2> {
        let a = self.architecture;
        let tape = match tape {
            HeadsTape::Composed(tape) => *tape,
            HeadsTape::Cached => return Tensor::zeros([y.dims()[0], a.query_width() + 2 * a.kv_width()], &y.device()),
            HeadsTape::Kernel(tape) => match attention::back_on_host(&tape, &output, &y, input) {
                Some(qkv) => return qkv,
                // A tensor does not leave the CPU on its own; if one did, the parts could be had again.
                None => tape.composed(&input.masks),
            },
        };
        let y = y.reshape([input.batch, input.time, a.heads, a.head_dim]).swap_dims(1, 2);
        let (query, key, value) = attention_back(tape, y);
        let turned = Tensor::cat(vec![query, key], 1);
        let turned = match input.angles.as_ref().filter(|_| a.rotary(layer)) {
            Some(angles) => angles.turn_back(turned),
            None => turned,
        };
        let all = (a.heads + 2 * a.kv_heads) * a.head_dim;
        Tensor::cat(vec![turned, value], 1).swap_dims(1, 2).reshape([input.batch * input.time, all])
    }

    /// `x` as it goes into [`Pass::product`].
    fn operand(&self, x: Tensor<2>) -> Tensor<2> {
        operand(self.format, x)
    }

    fn product(&self, left: &Tensor<2>, left_turned: bool, right: &Tensor<2>, right_turned: bool) -> Tensor<2> {
        product_in(self.format, left, left_turned, right, right_turned)
    }

    /// A linear layer of an input that is an operand already.
    fn linear(&self, x: &Tensor<2>, roles: LinearRoles) -> Tensor<2> {
        let mut y = self.product(x, false, &self.operand(self.leaves[roles.weight].clone()), true);
        if let Some(adapter) = self.adapter_of(roles.weight) {
            y = adapter.forward(roles.weight, x, y, self.leaves, self.format);
        }
        match roles.bias {
            Some(bias) => y + self.leaves[bias].clone(),
            None => y,
        }
    }

    /// The gradient of a linear layer's input `x`, as it was rounded, given that of its output; the weights' go to `grads`.
    fn linear_back(&self, y: Tensor<2>, x: Tensor<2>, roles: LinearRoles, grads: &mut LeafGradients) -> Tensor<2> {
        if let Some(adapter) = self.adapter_of(roles.weight) {
            let gradients = adapter.back(roles.weight, &x, &y, self.leaves, self.format);
            gradients.leaves.into_iter().for_each(|(leaf, gradient)| grads[leaf] = Some(gradient));
            return gradients.x;
        }
        let weight = self.operand(self.leaves[roles.weight].clone());
        if self.adapter.is_some() {
            return self.product(&self.operand(y), false, &weight, false);
        }
        if let Some(bias) = roles.bias {
            grads[bias] = Some(y.clone().sum_dim(0));
        }
        let y = self.operand(y);
        grads[roles.weight] = Some(self.product(&y, true, &x, false));
        self.product(&y, false, &weight, false)
    }

    /// The adapters, if this leaf has any.
    fn adapter_of(&self, leaf: LeafId) -> Option<&Adapter> {
        self.adapter.filter(|adapter| !adapter.of(leaf).is_empty())
    }

    fn norm(&self, x: Tensor<2>, roles: NormRoles) -> (Tensor<2>, NormTape) {
        let leaf = |id: LeafId| self.leaves[id].clone();
        let a = self.architecture;
        norm(a.norm, x, leaf(roles.gain), roles.bias.map(leaf), a.norm_epsilon)
    }

    fn norm_back(&self, tape: NormTape, y: Tensor<2>, roles: NormRoles, grads: &mut LeafGradients) -> Tensor<2> {
        let gain = self.leaves[roles.gain].clone();
        let gradient = norm_back(self.architecture.norm, tape, y, gain, roles.bias.is_some());
        grads[roles.gain] = Some(gradient.gain);
        if let Some(bias) = roles.bias {
            grads[bias] = gradient.bias;
        }
        gradient.x
    }

    /// A norm that a place may have or not.
    fn maybe_norm(&self, x: Tensor<2>, roles: Option<NormRoles>) -> (Tensor<2>, Option<NormTape>) {
        match roles {
            Some(roles) => {
                let (y, tape) = self.norm(x, roles);
                (y, Some(tape))
            }
            None => (x, None),
        }
    }

    fn maybe_norm_back(
        &self,
        tape: Option<NormTape>,
        y: Tensor<2>,
        roles: Option<NormRoles>,
        grads: &mut LeafGradients,
    ) -> Tensor<2> {
        match (tape, roles) {
            (Some(tape), Some(roles)) => self.norm_back(tape, y, roles, grads),
            _ => y,
        }
    }

    fn qk_norm(&self, qkv: Tensor<2>, roles: &BlockRoles) -> (Tensor<2>, Option<QkNormTape>) {
        let Some(gains) = roles.qk_norm else { return (qkv, None) };
        let (y, tape) = qk_norm(self.architecture, qkv, gains.map(|leaf| self.leaves[leaf].clone()));
        (y, Some(tape))
    }

    fn qk_norm_back(
        &self,
        tape: Option<QkNormTape>,
        y: Tensor<2>,
        roles: &BlockRoles,
        grads: &mut LeafGradients,
    ) -> Tensor<2> {
        let (Some(tape), Some(leaves)) = (tape, roles.qk_norm) else { return y };
        let gains = leaves.map(|leaf| self.leaves[leaf].clone());
        let (x, [query, key]) = qk_norm_back(self.architecture, tape, y, gains);
        (grads[leaves[0]], grads[leaves[1]]) = (Some(query), Some(key));
        x
    }

    /// Adds what the block's table has for the tokens to their values.
    fn add_values(
        &self,
        qkv: Tensor<2>,
        x: &Tensor<2>,
        input: &Input,
        roles: &BlockRoles,
    ) -> (Tensor<2>, Option<ValuesTape>) {
        let Some(values) = roles.values else { return (qkv, None) };
        let [table, gate] = [values.table, values.gate].map(|leaf| self.leaves[leaf].clone());
        let seen = self.gated_by(x, &gate);
        let (qkv, tape) = add_values(self.architecture, qkv, seen, input.ids.clone(), table, gate);
        (qkv, Some(tape))
    }

    /// What gates see of the attention's input: a product so small that it stays in f32.
    fn gated_by(&self, x: &Tensor<2>, gate: &Tensor<2>) -> Tensor<2> {
        widen(self.format, round(self.format, x.clone().narrow(1, 0, gate.dims()[1])))
    }

    /// The gradient that the gates add to that of the attention's input, `[rows, width]`, given that of queries, keys and values.
    fn add_values_back(
        &self,
        tape: Option<ValuesTape>,
        qkv: &Tensor<2>,
        x: &Tensor<2>,
        input: &Input,
        roles: &BlockRoles,
        grads: &mut LeafGradients,
    ) -> Option<Tensor<2>> {
        let (tape, values) = (tape?, roles.values?);
        let gate = self.leaves[values.gate].clone();
        let gradient = add_values_back(self.architecture, tape, qkv, self.gated_by(x, &gate), gate);
        if self.adapter.is_none() {
            grads[values.table] = Some(table_gradient(self.architecture.vocab, &input.ids, gradient.values));
            grads[values.gate] = Some(gradient.gate);
        }
        let ([rows, width], [_, channels]) = (x.dims(), gradient.seen.dims());
        if channels == width {
            return Some(gradient.seen);
        }
        let rest = Tensor::zeros([rows, width - channels], &x.device());
        Some(Tensor::cat(vec![gradient.seen, rest], 1))
    }

    /// Which mask of the dropout comes next.
    fn place(&self) -> u64 {
        self.dropout.map_or(0, Dropout::place)
    }

    /// Applies dropout and returns its mask.
    fn drop(&self, x: Tensor<2>) -> (Tensor<2>, Option<Tensor<2>>) {
        let mask = self.dropout.map(|dropout| dropout.next(x.dims(), &x.device()));
        (times(x, mask.clone()), mask)
    }
}

fn times(x: Tensor<2>, mask: Option<Tensor<2>>) -> Tensor<2> {
    match mask {
        Some(mask) => x * mask,
        None => x,
    }
}

#[cfg(test)]
mod tests;
