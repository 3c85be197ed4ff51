//! Mixtures of experts, forward and back, and the losses that keep them busy alike.
//!
//! A router gives each token a probability for each expert; the token goes through the most probable ones, whose outputs are
//! added up by their probabilities (Shazeer et al. 2017; Mixtral, Jiang et al. 2024). No token is dropped. Of experts that are
//! equally probable the first is taken.
//!
//! On the CPU tokens are gathered by expert, and each expert is computed for its own. On a GPU that would need the host to
//! know how many those are; there every expert is computed for every token and counts zero where it was not chosen: the same
//! numbers for `count / active` times the work, without a wait. The way back then computes each expert again, so that no more
//! than one is held at a time.
//!
//! The balance loss is that of the Switch Transformer (Fedus et al. 2021) as `transformers` computes it for Mixtral, over the
//! tokens of each sequence by themselves: `count · Σ f·P` with the share `f` of the sequence's tokens that an expert was chosen
//! for, and its mean probability `P`, both over all blocks with experts together. It is `active` when experts are busy alike.
//! A sequence is what sees itself alone: a row, or a document or sample of one. A step takes the mean over its tokens that are
//! no padding, so it depends neither on how rows are cut into micro-batches nor on how samples share rows, which a loss over
//! whole batches does; DeepSeek-V3 (2024) has a loss by sequence too. The z-loss is
//! that of ST-MoE (Zoph et al. 2022), the mean over the same tokens and blocks.

use super::architecture::Experts;
use super::decoder::int_vector;
use super::feed_forward::{ActivationTape, activate, activate_back};
use super::host::{Host, product, tensor};
use crate::plan::spec::Activation;
use burn::tensor::{Int, Tensor, TensorData, activation};
use emberlab_kernels as kernels;
use std::ops::Range;

/// What going back needs, besides the input.
pub(super) enum ExpertsTape {
    Kernel(Box<KernelTape>),
    Composed(Box<ComposedTape>),
}

pub(super) struct KernelTape {
    routing: kernels::Routing,
    activation: ActivationTape,
    /// What goes into the second matrices, by expert: `[rows · active, hidden]`.
    output: Tensor<2>,
}

/// All but the last `[rows, count]`.
pub(super) struct ComposedTape {
    probabilities: Tensor<2>,
    /// One where an expert was chosen.
    chosen: Tensor<2>,
    /// What its output counts.
    shares: Tensor<2>,
    /// The logarithm of the softmax's normaliser, `[rows, 1]`.
    normaliser: Tensor<2>,
}

/// The matrices of a mixture, as [`ExpertRoles`](super::layout::ExpertRoles) has them.
pub(super) struct Matrices<'a> {
    pub router: &'a Tensor<2>,
    pub up: &'a Tensor<2>,
    pub down: &'a Tensor<2>,
}

/// The gradients of a mixture; of the matrices where they were asked for.
pub(super) struct ExpertsGradient {
    pub x: Tensor<2>,
    /// Of the router, the first and the second matrices.
    pub matrices: Option<[Tensor<2>; 3]>,
}

/// How a step holds routers to account: which of its tokens count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account<'a> {
    /// Which places of this micro-batch belong to each of its sequences; padding belongs to none.
    pub sequences: &'a [Range<usize>],
    /// Tokens of the whole step that are no padding.
    pub total: u64,
}

/// What the sequences of a micro-batch asked of the experts of one block.
pub(super) struct Load {
    /// `[sequences, count]`, as [`kernels::Load`] has them.
    counts: Tensor<2>,
    sums: Tensor<2>,
    /// `[1, 1]`.
    squares: Tensor<2>,
}

/// What a micro-batch adds to the losses beside the cross-entropy.
pub(crate) struct Balance {
    /// The gradient of the balance loss by the probabilities of each sequence's tokens, `[sequences, count]`.
    slopes: Tensor<2>,
    /// See [`Account`].
    sequences: Vec<Range<usize>>,
    /// What the squared logarithm of a token's normaliser counts.
    z: f64,
    /// The balance loss and the z-loss together, times their coefficients, `[1, 1]`.
    pub loss: Tensor<2>,
    /// How often each expert of each block with experts was chosen, `[blocks, count]`.
    pub counts: Tensor<2>,
}

/// `x` `[rows, width]` through the experts of each row.
pub(super) fn experts(
    e: &Experts,
    kind: Activation,
    x: &Tensor<2>,
    matrices: &Matrices<'_>,
) -> (Tensor<2>, ExpertsTape) {
    let logits = product(x, false, matrices.router, true);
    match on_host(e, kind, x, &logits, matrices) {
        Some((y, tape)) => (y, ExpertsTape::Kernel(Box::new(tape))),
        None => {
            let (y, tape) = composed(e, kind, x, logits, matrices);
            (y, ExpertsTape::Composed(Box::new(tape)))
        }
    }
}

/// How a mixture is gone back through.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub sizes: &'a Experts,
    pub kind: Activation,
    /// What the step holds against the router.
    pub balance: Option<&'a Balance>,
    /// Whether the gradients of the matrices are asked for.
    pub trained: bool,
}

/// The gradients, given that of the output, `y`.
pub(super) fn experts_back(
    way: Way<'_>,
    tape: ExpertsTape,
    x: &Tensor<2>,
    y: &Tensor<2>,
    matrices: &Matrices<'_>,
) -> ExpertsGradient {
    let tape = match tape {
        ExpertsTape::Composed(tape) => *tape,
        ExpertsTape::Kernel(tape) => match back_on_host(way, *tape, x, y, matrices) {
            Some(gradient) => return gradient,
            // A tensor does not leave the CPU on its own; if one did, the parts could be had again.
            None => gate(way.sizes, product(x, false, matrices.router, true)),
        },
    };
    composed_back(way, tape, x, y, matrices)
}

/// [`experts`] by gathering, on the CPU.
fn on_host(
    e: &Experts,
    kind: Activation,
    x: &Tensor<2>,
    logits: &Tensor<2>,
    matrices: &Matrices<'_>,
) -> Option<(Tensor<2>, KernelTape)> {
    let (numbers, logits) = (Host::of(x)?, Host::of(logits)?);
    let (up, down) = (Host::of(matrices.up)?, Host::of(matrices.down)?);
    let [rows, width] = x.dims();
    let routing = kernels::route(logits.numbers(), e.count, e.active, e.renormalize);
    let places = rows * e.active;
    let inner = routing.products(&routing.gather(numbers.numbers(), width), up.numbers(), true);
    let columns = matrices.up.dims()[0] / e.count;
    let (output, activation) = activate(kind, tensor(inner, [places, columns], x));
    let y = routing.products(Host::of(&output)?.numbers(), down.numbers(), true);
    let y = tensor(routing.combine(&y, width, true), [rows, width], x);
    Some((y, KernelTape { routing, activation, output }))
}

/// [`experts_back`] by gathering, on the CPU.
fn back_on_host(
    way: Way<'_>,
    tape: KernelTape,
    x: &Tensor<2>,
    y: &Tensor<2>,
    matrices: &Matrices<'_>,
) -> Option<ExpertsGradient> {
    let Way { sizes: e, kind, balance, trained } = way;
    let KernelTape { routing, activation, output } = tape;
    let ([rows, width], places) = (x.dims(), x.dims()[0] * e.active);
    let (x_host, y_host, output_host) = (Host::of(x)?, Host::of(y)?, Host::of(&output)?);
    let (up, down) = (Host::of(matrices.up)?, Host::of(matrices.down)?);
    let gathered = routing.gather(y_host.numbers(), width);
    // Through the second matrices, as if every expert counted fully.
    let through = routing.products(&gathered, down.numbers(), false);
    let shares = routing.dots(&through, output_host.numbers(), e.hidden);
    let down_gradient = trained.then(|| routing.gradients(&routing.share(&gathered, width), output_host.numbers()));
    drop((gathered, output_host, output));
    let through = tensor(routing.share(&through, e.hidden), [places, e.hidden], x);
    let inner = activate_back(kind, activation, through);
    let inner = Host::of(&inner)?;
    let up_gradient = trained.then(|| routing.gradients(inner.numbers(), &routing.gather(x_host.numbers(), width)));
    let back = routing.combine(&routing.products(inner.numbers(), up.numbers(), false), width, false);

    let slopes = match balance {
        Some(balance) => Some(Host::of(&balance.slopes)?),
        None => None,
    };
    let sequence_of = balance.map(|balance| balance.sequence_of(rows)).unwrap_or_default();
    let pressure = balance.zip(slopes.as_ref()).map(|(balance, slopes)| kernels::Pressure {
        slopes: slopes.numbers(),
        sequence_of: &sequence_of,
        z: balance.z as f32,
    });
    let logits = tensor(routing.back(&shares, e.renormalize, pressure), [rows, e.count], x);
    let back = tensor(back, [rows, width], x) + product(&logits, false, matrices.router, false);
    let matrices = down_gradient.zip(up_gradient).map(|(down, up)| {
        let router = product(&logits, true, x, false);
        [router, tensor(up, matrices.up.dims(), x), tensor(down, matrices.down.dims(), x)]
    });
    Some(ExpertsGradient { x: back, matrices })
}

/// The router's choice, of its logits.
fn gate(e: &Experts, logits: Tensor<2>) -> ComposedTape {
    let peak = logits.clone().max_dim(1);
    let normaliser = (logits.clone() - peak.clone()).exp().sum_dim(1).log() + peak;
    let probabilities = activation::softmax(logits, 1);
    let chosen = first_of_largest(probabilities.clone().detach(), e.active);
    let shares = probabilities.clone() * chosen.clone();
    let shares = if e.renormalize { shares.clone() / shares.sum_dim(1) } else { shares };
    ComposedTape { probabilities, chosen, shares, normaliser }
}

/// One at the `active` largest numbers of each row, of equals at the first; zero elsewhere.
fn first_of_largest(mut left: Tensor<2>, active: usize) -> Tensor<2> {
    let [rows, count] = left.dims();
    let places = Tensor::<1, Int>::arange(0..count as i64, &left.device()).float().reshape([1, count]);
    let places = places.expand([rows, count]);
    let mut chosen = left.zeros_like();
    for _ in 0..active {
        let most = left.clone().max_dim(1).expand([rows, count]);
        let others = left.clone().lower(most);
        let first = places.clone().mask_fill(others, count as f32).min_dim(1).expand([rows, count]);
        let one = places.clone().equal(first).float();
        // Below every probability.
        left = left - one.clone().mul_scalar(2.0);
        chosen = chosen + one;
    }
    chosen
}

/// The first or the second matrix of expert `i`.
fn of(stacked: &Tensor<2>, i: usize, count: usize) -> Tensor<2> {
    let rows = stacked.dims()[0] / count;
    stacked.clone().narrow(0, i * rows, rows)
}

/// [`experts`] with every expert for every row.
fn composed(
    e: &Experts,
    kind: Activation,
    x: &Tensor<2>,
    logits: Tensor<2>,
    matrices: &Matrices<'_>,
) -> (Tensor<2>, ComposedTape) {
    let tape = gate(e, logits);
    let mut sum: Option<Tensor<2>> = None;
    for i in 0..e.count {
        let (output, _) = activate(kind, product(x, false, &of(matrices.up, i, e.count), true));
        let y = product(&output, false, &of(matrices.down, i, e.count), true) * tape.shares.clone().narrow(1, i, 1);
        sum = Some(match sum {
            Some(sum) => sum + y,
            None => y,
        });
    }
    (sum.unwrap_or_else(|| x.zeros_like()), tape)
}

/// [`experts_back`] with every expert for every row, each computed again.
fn composed_back(
    way: Way<'_>,
    tape: ComposedTape,
    x: &Tensor<2>,
    y: &Tensor<2>,
    matrices: &Matrices<'_>,
) -> ExpertsGradient {
    let Way { sizes: e, kind, balance, trained } = way;
    let ComposedTape { probabilities, chosen, shares, normaliser } = tape;
    let (mut ups, mut downs, mut dots) = (Vec::new(), Vec::new(), Vec::new());
    let mut back = x.zeros_like();
    for i in 0..e.count {
        let (up, down) = (of(matrices.up, i, e.count), of(matrices.down, i, e.count));
        let share = shares.clone().narrow(1, i, 1);
        let (output, activation) = activate(kind, product(x, false, &up, true));
        let through = product(y, false, &down, false);
        dots.push((through.clone() * output.clone()).sum_dim(1));
        let inner = activate_back(kind, activation, through * share.clone());
        if trained {
            downs.push(product(&(y.clone() * share), true, &output, false));
            ups.push(product(&inner, true, x, false));
        }
        back = back + product(&inner, false, &up, false);
    }
    let dots = Tensor::cat(dots, 1) * chosen.clone();
    let mut slope = if e.renormalize {
        let total = (probabilities.clone() * chosen.clone()).sum_dim(1);
        let along = (dots.clone() * shares).sum_dim(1);
        (dots - along * chosen) / total
    } else {
        dots
    };
    let mut pull = None;
    if let Some(balance) = balance {
        let (of, real) = balance.places(x);
        slope = slope + balance.slopes.clone().select(0, of) * real.clone();
        pull = (balance.z != 0.0).then(|| normaliser.mul_scalar(2.0 * balance.z) * real);
    }
    let along = (slope.clone() * probabilities.clone()).sum_dim(1);
    let inner = match pull {
        Some(pull) => slope - along + pull,
        None => slope - along,
    };
    let logits = probabilities * inner;
    let back = back + product(&logits, false, matrices.router, false);
    let matrices = trained.then(|| [product(&logits, true, x, false), Tensor::cat(ups, 0), Tensor::cat(downs, 0)]);
    ExpertsGradient { x: back, matrices }
}

/// One where a place belongs to a sequence: `[sequences, rows]`.
fn belonging(sequences: &[Range<usize>], rows: usize, like: &Tensor<2>) -> Tensor<2> {
    let mut all = vec![0.0f32; sequences.len() * rows];
    for (row, places) in all.chunks_exact_mut(rows.max(1)).zip(sequences) {
        row[places.clone()].fill(1.0);
    }
    tensor(all, [sequences.len(), rows], like)
}

impl ExpertsTape {
    /// What the sequences asked of the experts.
    pub fn load(&self, sequences: &[Range<usize>], like: &Tensor<2>) -> Load {
        match self {
            ExpertsTape::Kernel(tape) => {
                let kernels::Load { counts, sums, squares } = tape.routing.load(sequences);
                let dims = [sequences.len(), counts.len() / sequences.len().max(1)];
                Load {
                    counts: tensor(counts, dims, like),
                    sums: tensor(sums, dims, like),
                    squares: tensor(vec![squares], [1, 1], like),
                }
            }
            ExpertsTape::Composed(tape) => {
                let belonging = belonging(sequences, tape.chosen.dims()[0], like);
                let sums = |x: &Tensor<2>| product(&belonging, false, x, false);
                Load {
                    counts: sums(&tape.chosen),
                    sums: sums(&tape.probabilities),
                    squares: sums(&tape.normaliser.clone().square()).sum_dim(0),
                }
            }
        }
    }
}

impl Balance {
    /// What a micro-batch adds, of the loads of its blocks; nothing of a network without experts.
    pub(super) fn of(e: &Experts, account: Account<'_>, loads: Vec<Load>) -> Option<Balance> {
        let blocks = loads.len() as f64;
        let (mut counts, mut sums, mut squares, mut each) = (None, None, None, Vec::new());
        let add = |sum: &mut Option<Tensor<2>>, x: Tensor<2>| {
            *sum = Some(match sum.take() {
                Some(sum) => sum + x,
                None => x,
            });
        };
        for load in loads {
            each.push(load.counts.clone().sum_dim(0));
            add(&mut counts, load.counts);
            add(&mut sums, load.sums);
            add(&mut squares, load.squares);
        }
        let (counts, sums, squares) = (counts?, sums?, squares?);
        let total = account.total.max(1) as f64;
        let weigh = |sequence: &Range<usize>| {
            let share = blocks * blocks * sequence.len().max(1) as f64 * total;
            (e.balance * e.count as f64 / share) as f32
        };
        let weights: Vec<f32> = account.sequences.iter().map(weigh).collect();
        let sequences = weights.len();
        let device = counts.device();
        let slopes = counts * Tensor::<2>::from_data(TensorData::new(weights, [sequences, 1]), &device);
        let z = e.z_loss.unwrap_or(0.0) / (blocks * total);
        let loss = (slopes.clone() * sums).sum_dim(0).sum_dim(1) + squares.mul_scalar(z);
        Some(Balance { slopes, sequences: account.sequences.to_vec(), z, loss, counts: Tensor::cat(each, 0) })
    }

    /// Which sequence each of so many places belongs to.
    fn sequence_of(&self, places: usize) -> Vec<Option<usize>> {
        let mut of = vec![None; places];
        for (sequence, places) in self.sequences.iter().enumerate() {
            of[places.clone()].fill(Some(sequence));
        }
        of
    }

    /// The same for the rows of `x`, where padding belongs to the first; and what undoes that: one for places that belong to a
    /// sequence, zero for others, `[rows, 1]`.
    fn places(&self, x: &Tensor<2>) -> (Tensor<1, Int>, Tensor<2>) {
        let of = self.sequence_of(x.dims()[0]);
        let numbers: Vec<u32> = of.iter().map(|of| of.unwrap_or(0) as u32).collect();
        let real: Vec<f32> = of.iter().map(|of| f32::from(u8::from(of.is_some()))).collect();
        let rows = real.len();
        (int_vector(&numbers, &x.device()), tensor(real, [rows, 1], x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// What a GPU computes, on the CPU: every expert for every token.
    #[test]
    fn computing_all_experts_is_computing_the_chosen() {
        let device = crate::device::choose(Some("cpu")).unwrap().device;
        let draw = |rows: usize, columns: usize, purpose: &str| {
            let mut draws = Stream::new(1, purpose).at(0);
            let numbers: Vec<f32> = (0..rows * columns).map(|_| draws.normal() as f32).collect();
            Tensor::<2>::from_data(TensorData::new(numbers, [rows, columns]), &device)
        };
        let (width, hidden) = (12, 10);
        for (renormalize, kind, active) in
            [(true, Activation::Swiglu, 2), (false, Activation::Gelu, 1), (false, Activation::Geglu, 3)]
        {
            let e = Experts { count: 6, active, hidden, renormalize, every: None, balance: 0.1, z_loss: Some(0.1) };
            let into = if kind.gated() { 2 } else { 1 };
            let (x, y) = (draw(40, width, "x"), draw(40, width, "y"));
            let (router, up, down) =
                (draw(6, width, "router"), draw(6 * into * hidden, width, "up"), draw(6 * width, hidden, "down"));
            let matrices = Matrices { router: &router, up: &up, down: &down };
            let close = |a: &Tensor<2>, b: &Tensor<2>, what: &str| {
                assert!(a.clone().all_close(b.clone(), Some(1e-4), Some(1e-4)), "{what} of {e:?} and {kind:?}");
            };
            let logits = product(&x, false, &router, true);
            let (gathered, kernel) = on_host(&e, kind, &x, &logits, &matrices).unwrap();
            let (all, tape) = composed(&e, kind, &x, logits, &matrices);
            close(&gathered, &all, "output");
            let account = Account { sequences: &[0..20, 20..27], total: 27 };
            let (kernel, tape) = (ExpertsTape::Kernel(Box::new(kernel)), ExpertsTape::Composed(Box::new(tape)));
            let balances =
                [&kernel, &tape].map(|tape| Balance::of(&e, account, vec![tape.load(account.sequences, &x)]));
            let [first, second] = balances.map(Option::unwrap);
            close(&first.loss, &second.loss, "balance");
            close(&first.counts, &second.counts, "counts");
            assert_eq!(first.counts.clone().sum().try_into_vec_as::<f32>().unwrap(), [(27 * active) as f32]);
            let way = |balance| Way { sizes: &e, kind, balance, trained: true };
            let first = experts_back(way(Some(&first)), kernel, &x, &y, &matrices);
            let second = experts_back(way(Some(&second)), tape, &x, &y, &matrices);
            close(&first.x, &second.x, "input");
            for (a, b) in first.matrices.unwrap().iter().zip(&second.matrices.unwrap()) {
                close(a, b, "a matrix");
            }
        }
    }

    #[test]
    fn of_equally_probable_experts_the_first_are_taken_on_every_device() {
        let device = crate::device::choose(Some("cpu")).unwrap().device;
        let p = Tensor::<2>::from_data([[0.2, 0.3, 0.3, 0.2], [0.25, 0.25, 0.25, 0.25]], &device);
        let chosen = first_of_largest(p, 2).try_into_vec_as::<f32>().unwrap();
        assert_eq!(chosen, [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }
}
