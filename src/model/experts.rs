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
//! A step takes the mean over its tokens that are no padding, so it does not depend on how its sequences are cut into
//! micro-batches, which a loss over whole batches does: DeepSeek-V3 (2024) takes sequences for the same reason. The z-loss is
//! that of ST-MoE (Zoph et al. 2022), the mean over the same tokens and blocks.

use super::architecture::Experts;
use super::feed_forward::{ActivationTape, activate, activate_back};
use super::host::{Host, product, tensor};
use crate::plan::spec::Activation;
use burn::tensor::{Int, Tensor, TensorData, activation};
use emberlab_kernels as kernels;

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
    /// Tokens of each row of this micro-batch that are no padding; they come first.
    pub lens: &'a [u32],
    /// Such tokens of the whole step.
    pub total: u64,
}

/// What the rows of a micro-batch asked of the experts of one block.
pub(super) struct Load {
    /// `[batch, count]`, as [`kernels::Load`] has them.
    counts: Tensor<2>,
    sums: Tensor<2>,
    /// `[1, 1]`.
    squares: Tensor<2>,
}

/// What a micro-batch adds to the losses beside the cross-entropy.
pub(crate) struct Balance {
    /// The gradient of the balance loss by the probabilities of each row's tokens, `[batch, count]`.
    slopes: Tensor<2>,
    /// See [`Account`].
    lens: Vec<u32>,
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
    let pressure = balance.zip(slopes.as_ref()).map(|(balance, slopes)| kernels::Pressure {
        slopes: slopes.numbers(),
        time: rows / balance.lens.len().max(1),
        lens: &balance.lens,
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
        let ([rows, count], batch) = (probabilities.dims(), balance.lens.len().max(1));
        let (time, real) = (rows / batch, real(&balance.lens, rows / batch, x));
        let pressure = balance.slopes.clone().reshape([batch, 1, count]).expand([batch, time, count]);
        slope = slope + pressure.reshape([rows, count]) * real.clone();
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

/// One for the places of rows that are no padding, zero for the others: `[batch · time, 1]`.
fn real(lens: &[u32], time: usize, like: &Tensor<2>) -> Tensor<2> {
    let of = |len: &u32| {
        let len = (*len as usize).min(time);
        std::iter::repeat_n(1.0f32, len).chain(std::iter::repeat_n(0.0, time - len))
    };
    let all: Vec<f32> = lens.iter().flat_map(of).collect();
    let count = all.len();
    tensor(all, [count, 1], like)
}

impl ExpertsTape {
    /// What the rows asked of the experts.
    pub fn load(&self, lens: &[u32], like: &Tensor<2>) -> Load {
        let batch = lens.len().max(1);
        match self {
            ExpertsTape::Kernel(tape) => {
                let time = tape.routing.normalisers.len() / batch;
                let kernels::Load { counts, sums, squares } = tape.routing.load(time, lens);
                let count = counts.len() / batch;
                Load {
                    counts: tensor(counts, [batch, count], like),
                    sums: tensor(sums, [batch, count], like),
                    squares: tensor(vec![squares], [1, 1], like),
                }
            }
            ExpertsTape::Composed(tape) => {
                let [rows, count] = tape.chosen.dims();
                let time = rows / batch;
                let real = real(lens, time, like);
                let by_row = |x: &Tensor<2>| {
                    (x.clone() * real.clone()).reshape([batch, time, count]).sum_dim(1).reshape([batch, count])
                };
                Load {
                    counts: by_row(&tape.chosen),
                    sums: by_row(&tape.probabilities),
                    squares: (tape.normaliser.clone().square() * real.clone()).sum_dim(0),
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
        let weigh =
            |len: &u32| (e.balance * e.count as f64 / (blocks * blocks * f64::from(*len).max(1.0) * total)) as f32;
        let weights: Vec<f32> = account.lens.iter().map(weigh).collect();
        let rows = weights.len();
        let device = counts.device();
        let slopes = counts * Tensor::<2>::from_data(TensorData::new(weights, [rows, 1]), &device);
        let z = e.z_loss.unwrap_or(0.0) / (blocks * total);
        let loss = (slopes.clone() * sums).sum_dim(0).sum_dim(1) + squares.mul_scalar(z);
        Some(Balance { slopes, lens: account.lens.to_vec(), z, loss, counts: Tensor::cat(each, 0) })
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
            let account = Account { lens: &[20, 7], total: 27 };
            let (kernel, tape) = (ExpertsTape::Kernel(Box::new(kernel)), ExpertsTape::Composed(Box::new(tape)));
            let balances = [&kernel, &tape].map(|tape| Balance::of(&e, account, vec![tape.load(account.lens, &x)]));
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
