//! Gradients of micro-batches, and the step they add up to.

use super::batch::Batch;
use super::job::Job;
use super::optimizer::Optimizer;
use super::scaler::{Scale, Scaler};
use crate::device::Format;
use crate::model::head_gradient;
use crate::model::{
    Account, Adapter, Architecture, Decoder, Dropout, HeadGradient, Host, Input, InputShape, Layout, LeafGradients,
    ModelError, Params, Pass, Probe, Scaled, Seen, Squeeze, Tape, capped, change_on_host, load_segments, product,
    save_segments, table_gradient,
};
use crate::plan::spec::{self, Groups, Optimizer as Spec, Precision, Sgd};
use burn::tensor::{Bool, Device, IndexingUpdateOp, Tensor, TensorData};
use emberlab_kernels as kernels;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// What the files of a checkpoint are called.
const WEIGHTS: &str = "weights";
const AVERAGE: &str = "average";

/// Segments are summed in rows of this many numbers.
const ROW: usize = 1024;

/// The network in training, and its optimiser.
pub(crate) struct Learner {
    pub architecture: Architecture,
    /// Of the whole network.
    pub network: Layout,
    /// Of what is trained: the network, or its adapters.
    pub layout: Layout,
    pub params: Params,
    /// The network's own weights, where only adapters are trained.
    frozen: Option<Params>,
    adapter: Option<Adapter>,
    recompute: bool,
    /// What goes into matrix products; nothing: f32.
    format: Option<Format>,
    /// Of f16.
    scaler: Option<Scaler>,
    pub optimizer: Optimizer,
    /// The weights as matrices; absent while they change, so that the update can be made in place.
    leaves: Option<Vec<Tensor<2>>>,
    /// By length of the rows.
    shapes: RefCell<BTreeMap<usize, InputShape>>,
    device: Device,
    /// Whether the device is the CPU.
    host: bool,
    clip: Option<f64>,
    z_loss: f64,
    seed: u64,
    /// The decay of the average of the weights, where there is one.
    decay: Option<f64>,
    /// That average, from the first step on.
    average: Option<Params>,
}

/// Some rows of a step's batch.
pub(crate) struct Part<'a> {
    pub batch: &'a Batch,
    /// Tokens of a row.
    pub time: usize,
    /// Which of the step's rows they are.
    pub rows: Range<u64>,
    /// Tokens of the whole step that are no padding.
    pub tokens: u64,
}

/// What micro-batches have added up to. All tensors stay on the device.
pub(crate) struct Gradients {
    flats: Vec<Tensor<1>>,
    /// Mean loss so far, `[1, 1]`.
    loss: Tensor<2>,
    /// What is learnt from beside it, `[1, 1]`.
    penalty: Tensor<2>,
    /// Of a network with experts.
    experts: Option<Busy>,
}

/// How busy experts were.
struct Busy {
    /// What is learnt from that, `[1, 1]`.
    loss: Tensor<2>,
    /// How often each expert of each block was chosen, `[blocks, count]`.
    counts: Tensor<2>,
}

impl Busy {
    fn together(first: Option<Busy>, second: Option<Busy>) -> Option<Busy> {
        match (first, second) {
            (Some(a), Some(b)) => Some(Busy { loss: a.loss + b.loss, counts: a.counts + b.counts }),
            (one, other) => one.or(other),
        }
    }
}

/// How to step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stride {
    /// Of the peak rates.
    pub share: f64,
    /// Steps done before.
    pub step: u64,
    /// Where given, a step whose loss is higher, or not finite, changes nothing.
    pub limit: Option<f32>,
}

/// Numbers that a step leaves on the device: the loss, what is learnt from beside it, the gradient's norm, 1 if it changed
/// anything, what is learnt of the balance of experts, the share that the busiest expert of a block has of its block's, and
/// what the loss was scaled with.
pub(crate) const NUMBERS: usize = 7;

impl Gradients {
    /// The mean loss and the gradients on the host, one vector a segment.
    ///
    /// # Errors
    /// When the device fails.
    pub fn to_host(&self) -> Result<(f64, Vec<Vec<f32>>), ModelError> {
        let failed = |e: burn::tensor::TensorReadError| ModelError::Device(e.to_string());
        let loss = self.loss.try_to_vec_as::<f32>().map_err(failed)?;
        let flats = self.flats.iter().map(|flat| flat.try_to_vec_as::<f32>().map_err(failed));
        Ok((loss.first().copied().map_or(f64::NAN, f64::from), flats.collect::<Result<_, _>>()?))
    }
}

impl Learner {
    /// # Errors
    /// When the device fails, or adapters to start from cannot be read or do not fit.
    pub fn new(architecture: Architecture, network: Params, job: &Job) -> Result<Learner, ModelError> {
        let whole = Layout::new(&architecture);
        let device = job.device.device.clone();
        let adapter = job.adapter.map(|adapting| {
            let spec::Adapter::Lora(lora) = adapting.spec;
            Adapter::new(lora, &architecture, &whole)
        });
        let (layout, params, frozen) = match &adapter {
            None => (whole.clone(), network, None),
            Some(adapter) => {
                let host = match job.adapter.and_then(|adapting| adapting.init) {
                    Some(path) => load_segments(&adapter.layout, path)?,
                    None => {
                        let mut host = Params::fresh_host(&adapter.layout, job.seed);
                        adapter.start(&network.leaves(&whole), &mut host)?;
                        host
                    }
                };
                (adapter.layout.clone(), Params::from_host(host, &device), Some(network))
            }
        };
        // Adapters have no base width: their rate is the one that is given.
        let widening = if adapter.is_some() { 1.0 } else { architecture.widening() };
        let mut learner = Learner {
            shapes: RefCell::default(),
            leaves: None,
            network: whole,
            frozen,
            adapter,
            recompute: job.recompute,
            format: crate::model::format(job.precision),
            scaler: (job.precision == Precision::MixedF16).then(|| Scaler::new(Scale::default(), &device)),
            optimizer: Optimizer::new(job.optimizer, job.groups, &layout, widening, &device),
            host: job.device.kind == crate::device::Kind::Cpu,
            clip: job.clip,
            z_loss: job.z_loss,
            decay: job.ema,
            average: None,
            seed: job.seed,
            architecture,
            layout,
            params,
            device,
        };
        learner.leaves = Some(learner.leaves_of(&learner.params));
        Ok(learner)
    }

    /// One that only computes gradients.
    pub fn bare(decoder: &Decoder, precision: Precision) -> Learner {
        let spec = Spec::Sgd(Sgd { lr: 0.0, momentum: 0.0, weight_decay: 0.0 });
        let (layout, params) = (decoder.layout.clone(), decoder.params.clone());
        Learner {
            shapes: RefCell::default(),
            leaves: Some(params.leaves(&layout)),
            network: layout.clone(),
            frozen: None,
            adapter: None,
            recompute: false,
            format: crate::model::format(precision),
            scaler: None,
            optimizer: Optimizer::new(&spec, &Groups::default(), &layout, 1.0, &decoder.device),
            host: params.flats.first().is_some_and(|flat| Host::of(flat).is_some()),
            clip: None,
            z_loss: 0.0,
            decay: None,
            average: None,
            seed: 0,
            architecture: decoder.architecture.clone(),
            layout,
            params,
            device: decoder.device.clone(),
        }
    }

    /// Adds the gradient of one micro-batch, each of its supervised tokens weighing `1 / total`: micro-batches whose
    /// supervised tokens are `total` together give the gradient of their mean loss.
    pub fn accumulate(&self, sum: Option<Gradients>, part: Part<'_>, total: u64, step: u64) -> Gradients {
        let Part { batch, time, ref rows, .. } = part;
        let share = 1.0 / total.max(1) as f32;
        let weights: Vec<f32> = batch.supervised.iter().map(|on| if *on { share } else { 0.0 }).collect();
        let roles = &self.network.roles;
        let leaves = self.leaves();
        let dropout = Dropout::new(self.architecture.dropout, self.seed, step, rows.clone());
        let sequences = batch.sequences(time);
        let pass = Pass {
            architecture: &self.architecture,
            layout: &self.network,
            leaves: &leaves,
            dropout: dropout.as_ref(),
            adapter: self.adapter.as_ref(),
            recompute: self.recompute,
            probe: None,
            format: self.format,
            account: Some(Account { sequences: &sequences, total: part.tokens }),
        };
        let input = self.input(batch, time);
        let mut tape = Tape::default();
        let hidden = pass.blocks(pass.embed(&input), &input, None, Some(&mut tape));
        let head = leaves[roles.head.unwrap_or(roles.embedding)].clone();
        let (cap, whole) = (self.architecture.logit_cap, self.adapter.is_none());
        let squeeze = Squeeze { cap, z_loss: self.z_loss };
        let scaled = Scaled { format: self.format, scale: self.scaler.as_ref().map(|scaler| &scaler.scale) };
        let HeadGradient { loss, penalty, hidden, weight } =
            head_gradient(hidden, head, squeeze, (&batch.targets, &weights), whole, scaled);
        let experts = tape.balance.as_ref();
        let experts = experts.map(|balance| Busy { loss: balance.loss.clone(), counts: balance.counts.clone() });
        let (embedded, mut by_leaf) = pass.back(hidden, &input, tape);
        if let Some(weight) = weight {
            by_leaf[roles.head.unwrap_or(roles.embedding)] = Some(weight);
            let table = table_gradient(self.architecture.vocab, &input.ids, embedded.clone());
            by_leaf[roles.embedding] = Some(match by_leaf[roles.embedding].take() {
                Some(shared) => shared + table,
                None => table,
            });
            if let Some(id) = roles.positions {
                by_leaf[id] = Some(self.position_gradient(&input, embedded));
            }
        }
        let flats = self.flatten(by_leaf);
        match sum {
            None => Gradients { flats, loss, penalty, experts },
            Some(sum) => Gradients {
                flats: sum.flats.into_iter().zip(flats).map(|(a, b)| a + b).collect(),
                loss: sum.loss + loss,
                penalty: sum.penalty + penalty,
                experts: Busy::together(sum.experts, experts),
            },
        }
    }

    /// The input of a batch in rows of `time`.
    fn input(&self, batch: &Batch, time: usize) -> Input {
        let mut shapes = self.shapes.borrow_mut();
        let shape = shapes.entry(time).or_insert_with(|| InputShape::new(&self.architecture, time, &self.device));
        if batch.starts.is_empty() {
            shape.input(&batch.inputs, &self.device)
        } else {
            shape.documents(&self.architecture, &batch.inputs, batch.starts.clone(), &self.device)
        }
    }

    /// Clips, steps, and returns [`NUMBERS`] as a row. On a GPU they stay there, and whether the step counts is decided
    /// there; the CPU is asked at once.
    ///
    /// # Errors
    /// When the device fails.
    pub fn step(&mut self, gradients: Gradients, stride: Stride) -> Result<Tensor<2>, ModelError> {
        let Gradients { flats, loss, penalty, experts } = gradients;
        let (balance, busiest) = match experts {
            None => (loss.zeros_like(), loss.zeros_like()),
            Some(Busy { loss, counts }) => {
                let shares = counts.clone() / counts.sum_dim(1);
                (loss, shares.max_dim(1).max_dim(0))
            }
        };
        let flats = self.unscaled(flats)?;
        // What is never moved has no part in the norm, as PyTorch leaves out what needs no gradient.
        let moved = self.layout.segments.iter().zip(&flats).filter(|(segment, _)| self.optimizer.moves(segment.part));
        let norm = norm(&moved.map(|(_, flat)| flat).collect::<Vec<_>>(), &loss);
        let finite = norm.clone().lower_equal_elem(f32::MAX).float();
        let scale = self.scaler.as_ref().map_or_else(|| loss.ones_like(), |scaler| scaler.scale.clone());
        let numbers = |good| {
            let known = [&loss, &penalty, &norm].map(Tensor::clone);
            let others = [&balance, &busiest, &scale].map(Tensor::clone);
            Tensor::cat(known.into_iter().chain([good]).chain(others).collect(), 1)
        };
        if let Some(scaler) = &mut self.scaler {
            scaler.update(&finite);
        }
        let mut good = None;
        let mut flag = loss.ones_like();
        // Gradients that overflow f16 are expected, now and then.
        if let Some(limit) = stride.limit.or_else(|| self.scaler.as_ref().map(|_| f32::MAX)) {
            let holds = loss.clone().lower_equal_elem(limit).float() * finite;
            if self.host {
                let held = holds.clone().try_into_vec_as::<f32>();
                if held.map_err(|e| ModelError::Device(e.to_string()))? != [1.0] {
                    // The average begins with the first step, whether that changed anything or not.
                    if self.decay.is_some() && self.average.is_none() {
                        self.average = Some(self.params.clone());
                    }
                    return Ok(numbers(holds));
                }
            } else {
                good = Some(holds.clone().reshape([1]).greater_elem(0.5));
                flag = holds;
            }
        }
        let numbers = numbers(flag);
        let flats = match self.clip {
            Some(most) => clipped(flats, &norm, most)?,
            None => flats,
        };
        self.leaves = None;
        self.optimizer.update(&mut self.params, flats, stride.share, stride.step, good.as_ref())?;
        self.leaves = Some(self.leaves_of(&self.params));
        self.take_average(stride.step, good.as_ref());
        Ok(numbers)
    }

    /// Gradients of the loss itself.
    fn unscaled(&self, mut flats: Vec<Tensor<1>>) -> Result<Vec<Tensor<1>>, ModelError> {
        let Some(scaler) = &self.scaler else { return Ok(flats) };
        if self.host {
            let factor = 1.0 / scaler.read()?.scale;
            for flat in &mut flats {
                change_on_host(flat, |gradient| kernels::scale(gradient, factor));
            }
            return Ok(flats);
        }
        let inverse = scaler.inverse.clone().reshape([1]);
        Ok(flats.into_iter().map(|flat| flat * inverse.clone()).collect())
    }

    /// What the loss of the next step is scaled with, where it is; waits for the device.
    ///
    /// # Errors
    /// When the device fails.
    pub fn scale(&self) -> Result<Option<Scale>, ModelError> {
        self.scaler.as_ref().map(Scaler::read).transpose()
    }

    /// Goes on from a scale.
    pub fn set_scale(&mut self, scale: Scale) {
        if self.scaler.is_some() {
            self.scaler = Some(Scaler::new(scale, &self.device));
        }
    }

    /// Moves the average of the weights towards them; after the first step it is them, as PyTorch's `AveragedModel` has it.
    fn take_average(&mut self, step: u64, good: Option<&Tensor<1, Bool>>) {
        let Some(decay) = self.decay else { return };
        let Some(average) = self.average.as_mut().filter(|_| step > 0) else {
            self.average = Some(self.params.clone());
            return;
        };
        for (average, now) in average.flats.iter_mut().zip(&self.params.flats) {
            let was = good.map(|good| (good, average.clone()));
            average.inplace(|average| average.mul_scalar(decay) + now.clone().mul_scalar(1.0 - decay));
            if let Some((good, was)) = was {
                super::optimizer::keep_if(average, good, was);
            }
        }
    }

    /// Everything that a checkpoint holds, by name.
    pub fn files(&self) -> Vec<(&'static str, &Layout, Params)> {
        let weights = std::iter::once((WEIGHTS, &self.layout, self.params.clone()));
        let average = self.decay.map(|_| (AVERAGE, &self.layout, self.result().clone()));
        let moments = self.optimizer.moments().map(|(moment, numbers)| (moment.name, &moment.layout, numbers));
        weights.chain(average).chain(moments).collect()
    }

    /// Puts back numbers in the order of [`Learner::files`].
    pub fn restore(&mut self, numbers: Vec<Params>) {
        let mut numbers = numbers.into_iter();
        self.leaves = None;
        if let Some(weights) = numbers.next() {
            self.params = weights;
        }
        if self.decay.is_some() {
            self.average = numbers.next();
        }
        self.optimizer.restore(numbers.collect());
        self.leaves = Some(self.leaves_of(&self.params));
    }

    /// What the stage would hand on: the average of the weights where there is one.
    pub fn result(&self) -> &Params {
        self.average.as_ref().unwrap_or(&self.params)
    }

    /// The matrices of that.
    pub fn result_leaves(&self) -> Cow<'_, [Tensor<2>]> {
        match &self.average {
            Some(average) => self.leaves_of(average).into(),
            None => self.leaves(),
        }
    }

    fn position_gradient(&self, input: &Input, embedded: Tensor<2>) -> Tensor<2> {
        let a = &self.architecture;
        if let Some(positions) = &input.positions {
            let zeros = Tensor::<2>::zeros([a.context, a.width], &self.device);
            return zeros.select_assign(0, positions.clone(), embedded, IndexingUpdateOp::Add);
        }
        let used = embedded.reshape([input.batch, input.time, a.width]).sum_dim(0).reshape([input.time, a.width]);
        if input.time == a.context {
            return used;
        }
        Tensor::cat(vec![used, Tensor::zeros([a.context - input.time, a.width], &self.device)], 0)
    }

    /// Lays gradients as the weights lie.
    fn flatten(&self, mut by_leaf: LeafGradients) -> Vec<Tensor<1>> {
        if self.adapter.is_some() {
            by_leaf.drain(..self.network.leaves.len());
        }
        let segments = self.layout.segments.iter().enumerate().map(|(number, segment)| {
            let mut parts = Vec::new();
            let mut len = 0;
            for (leaf, gradient) in self.layout.leaves.iter().zip(&mut by_leaf) {
                if leaf.segment == number {
                    let size = leaf.rows * leaf.cols;
                    parts.push(match gradient.take() {
                        Some(gradient) => gradient.reshape([size]),
                        None => Tensor::zeros([size], &self.device),
                    });
                    len += size;
                }
            }
            if len < segment.len {
                parts.push(Tensor::zeros([segment.len - len], &self.device));
            }
            Tensor::cat(parts, 0)
        });
        segments.collect()
    }

    /// Sum of the losses of the supervised tokens of a batch, `[1, 1]`, without dropout and in f32, with the weights in
    /// `leaves`.
    pub fn loss(&self, leaves: &[Tensor<2>], batch: &Batch, time: usize) -> Tensor<2> {
        let pass = Pass {
            architecture: &self.architecture,
            layout: &self.network,
            leaves,
            dropout: None,
            adapter: self.adapter.as_ref(),
            recompute: false,
            probe: None,
            format: None,
            account: None,
        };
        let input = self.input(batch, time);
        let hidden = pass.blocks(pass.embed(&input), &input, None, None);
        let roles = &self.network.roles;
        let head = leaves[roles.head.unwrap_or(roles.embedding)].clone();
        let logprobs = crate::model::head_logprobs(hidden, head, self.architecture.logit_cap, &batch.targets);
        let weights: Vec<f32> = batch.supervised.iter().map(|on| if *on { -1.0 } else { 0.0 }).collect();
        let count = weights.len();
        (logprobs * Tensor::from_data(TensorData::new(weights, [count, 1]), &self.device)).sum_dim(0)
    }

    /// What the network holds at every place that is looked at, of a batch, without dropout.
    pub fn look(&self, batch: &Batch, time: usize) -> Vec<(Seen, Tensor<2>)> {
        let probe = Probe::default();
        let leaves = self.leaves();
        let pass = Pass {
            architecture: &self.architecture,
            layout: &self.network,
            leaves: &leaves,
            dropout: None,
            adapter: self.adapter.as_ref(),
            recompute: false,
            format: None,
            probe: Some(&probe),
            account: None,
        };
        let input = self.input(batch, time);
        let hidden = pass.blocks(pass.embed(&input), &input, None, None);
        let roles = &self.network.roles;
        let head = &leaves[roles.head.unwrap_or(roles.embedding)];
        probe.see(Seen::Logits, &capped(product(&hidden, false, head, true), self.architecture.logit_cap));
        probe.into_seen()
    }

    fn leaves(&self) -> Cow<'_, [Tensor<2>]> {
        match &self.leaves {
            Some(leaves) => leaves.into(),
            None => self.leaves_of(&self.params).into(),
        }
    }

    /// All matrices of a pass: those of the network, and of the adapters after them.
    fn leaves_of(&self, trained: &Params) -> Vec<Tensor<2>> {
        let frozen = self.frozen.iter().flat_map(|frozen| frozen.leaves(&self.network));
        frozen.chain(trained.leaves(&self.layout)).collect()
    }

    /// What the stage would hand on, on the host: the network's weights, with adapters worked in.
    ///
    /// # Errors
    /// When the device fails.
    pub fn weights(&self) -> Result<Vec<Vec<f32>>, ModelError> {
        self.merged(self.result())
    }

    /// The network's weights on the host with the adapters `trained` worked in; without adapters, `trained` itself.
    ///
    /// # Errors
    /// When the device fails.
    pub fn merged(&self, trained: &Params) -> Result<Vec<Vec<f32>>, ModelError> {
        let (Some(frozen), Some(adapter)) = (&self.frozen, &self.adapter) else { return trained.to_host() };
        let mut host = frozen.to_host()?;
        let merged = adapter.merged(&self.leaves_of(trained));
        for (leaf, numbers) in self.network.leaves.iter().zip(merged) {
            let numbers = numbers.try_into_vec_as::<f32>().map_err(|e| ModelError::Device(e.to_string()))?;
            host[leaf.segment][leaf.offset..leaf.offset + numbers.len()].copy_from_slice(&numbers);
        }
        Ok(host)
    }

    /// The adapters alone, under PEFT's names; nothing where the network itself is trained.
    ///
    /// # Errors
    /// When the device fails or the file cannot be written.
    pub fn write_adapter(&self, path: &Path) -> Result<bool, ModelError> {
        let Some(adapter) = &self.adapter else { return Ok(false) };
        save_segments(&adapter.layout, &self.result().to_host()?, path)?;
        Ok(true)
    }
}

/// The Euclidean norm of all gradients together, `[1, 1]`.
fn norm(flats: &[&Tensor<1>], like: &Tensor<2>) -> Tensor<2> {
    let on_host: Option<Vec<f64>> =
        flats.iter().map(|flat| Host::of(flat).map(|host| kernels::sum_of_squares(host.numbers()))).collect();
    if let Some(squares) = on_host {
        let norm = squares.iter().sum::<f64>().sqrt() as f32;
        return Tensor::from_data(TensorData::new(vec![norm], [1, 1]), &like.device());
    }
    let squares = flats.iter().map(|flat| {
        let rows = flat.dims()[0] / ROW;
        let flat = (*flat).clone().reshape([rows, ROW]);
        (flat.clone() * flat).sum_dim(1).sum_dim(0)
    });
    squares.reduce(|a, b| a + b).map_or_else(|| like.zeros_like(), Tensor::sqrt)
}

/// Gradients scaled down to a norm of at most `most`, as PyTorch's `clip_grad_norm_` does it. On a GPU the coefficient stays
/// there.
fn clipped(mut flats: Vec<Tensor<1>>, norm: &Tensor<2>, most: f64) -> Result<Vec<Tensor<1>>, ModelError> {
    if flats.iter().all(|flat| Host::of(flat).is_some()) {
        let norm = norm.try_to_vec_as::<f32>().map_err(|e| ModelError::Device(e.to_string()))?;
        let coefficient = most as f32 / (norm.first().copied().unwrap_or(f32::NAN) + 1e-6);
        // One that is no number makes all gradients none, as it does in PyTorch.
        if coefficient < 1.0 || coefficient.is_nan() {
            for flat in &mut flats {
                change_on_host(flat, |gradient| kernels::scale(gradient, coefficient));
            }
        }
        return Ok(flats);
    }
    let coefficient = norm.clone().add_scalar(1e-6).recip().mul_scalar(most).clamp_max(1.0).reshape([1]);
    Ok(flats.into_iter().map(|flat| flat * coefficient.clone()).collect())
}
