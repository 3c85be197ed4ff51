//! SOAP (Vyas et al. 2024, arXiv 2409.11321): Adam in the eigenbasis of Shampoo's preconditioner.
//!
//! Of a matrix, means of G·Gᵀ and Gᵀ·G are kept (L and R of the paper's algorithm 3), and their eigenvectors (Q_L and Q_R); Adam's
//! moments are of the gradient turned by these, Q_Lᵀ·G·Q_R, and a step is turned back. As in the authors' code
//! (github.com/nikhilvyas/SOAP): eigenvectors are computed at the first step, which moves nothing, so that no gradient is
//! turned by a basis that it has shaped; from then on, one power iteration and a QR decomposition follow them, in the order
//! of estimated eigenvalues, in which the second moment is put too. The first moment is turned into the new basis.
//! A side longer than `max_precond_dim` is not turned. Every named matrix is taken by itself. Signs of eigenvectors are free, and
//! change no step.
//!
//! Decompositions are made on the host, in [`kernels`]: eigenvectors once, about 20·n³ operations in f64 for a side of n; then, every
//! `precondition_frequency` steps, 8/3·n³ for the QR decomposition, with n² numbers read from the device and as many
//! written. Everything else is products on the device: a step of a matrix of r rows and c columns takes 6·r·c·(r + c)
//! operations, three times its product with as many inputs as it has rows and columns together.

use super::{Rates, fill, matrix};
use crate::model::{Entry, ModelError, int_vector, product};
use crate::plan::spec::Soap;
use crate::plan::{DECOMPOSED_AT_ONCE, is_turned};
use burn::tensor::{Tensor, TensorData};
use emberlab_kernels as kernels;
use rayon::prelude::*;

/// One of the two sides of a matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// A matrix of a segment.
struct Place {
    offset: usize,
    rows: usize,
    columns: usize,
    /// Where what is remembered of its sides begins; absent for a side that is not turned.
    left: Option<usize>,
    right: Option<usize>,
}

/// What is remembered of one side of all matrices of a segment.
struct Remembered<'a> {
    /// L or R.
    preconditioner: &'a mut Tensor<1>,
    basis: &'a mut Tensor<1>,
}

/// The length of a side whose preconditioner is kept.
pub(super) fn kept(spec: &Soap, length: usize) -> Option<usize> {
    is_turned(spec, length as u64).then_some(length)
}

/// Steps a segment of matrices. `begun` says whether it is known that there are eigenvectors; where it is not, they are
/// asked for.
///
/// # Errors
/// When the device fails.
#[allow(clippy::too_many_arguments, reason = "as the others, and what it needs to know of steps before")]
pub(super) fn update<'a>(
    spec: &Soap,
    rates: Rates,
    flat: &mut Tensor<1>,
    gradient: Tensor<1>,
    state: &mut [Tensor<1>],
    entries: impl Iterator<Item = &'a Entry>,
    step: u64,
    begun: &mut bool,
) -> Result<(), ModelError> {
    let [first, second, sides @ ..] = state else { return Ok(()) };
    let places = places(spec, entries);
    let mut sides = sides.chunks_exact_mut(2);
    let mut remembered = |turned: bool| match if turned { sides.next() } else { None } {
        Some([preconditioner, basis]) => Some(Remembered { preconditioner, basis }),
        _ => None,
    };
    let mut left = remembered(places.iter().any(|place| place.left.is_some()));
    let mut right = remembered(places.iter().any(|place| place.right.is_some()));
    if !*begun {
        *begun = match [(&left, Side::Left), (&right, Side::Right)].into_iter().find_map(|(of, side)| {
            let (at, n) = places.iter().find_map(|place| place.side(side))?;
            of.as_ref().map(|of| of.basis.clone().narrow(0, at, n))
        }) {
            // No row of an orthonormal matrix is zero.
            Some(row) => numbers(row)?.iter().any(|x| *x != 0.0),
            None => step > 0,
        };
    }
    let beta = spec.shampoo_beta.unwrap_or(spec.beta2);
    let learn = |side: &mut Option<Remembered<'_>>, which: Side| {
        if let Some(side) = side {
            let outer = places.iter().filter(|place| place.side(which).is_some()).map(|place| {
                let g = place.of(&gradient);
                product(&g, which == Side::Right, &g, which == Side::Left).flatten::<1>(0, 1)
            });
            let outer = fill(outer.collect(), side.preconditioner.dims()[0], &gradient);
            side.preconditioner.inplace(|was| was.mul_scalar(beta) + outer.mul_scalar(1.0 - beta));
        }
    };
    if !*begun {
        learn(&mut left, Side::Left);
        learn(&mut right, Side::Right);
        for (side, which) in [(left, Side::Left), (right, Side::Right)] {
            if let Some(side) = side {
                side.begin(&places, which)?;
            }
        }
        return Ok(());
    }
    let turned = places.iter().map(|place| {
        let g = place.of(&gradient);
        let g = match place.basis(&left, Side::Left) {
            Some(q) => product(&q, true, &g, false),
            None => g,
        };
        let g = match place.basis(&right, Side::Right) {
            Some(q) => product(&g, false, &q, false),
            None => g,
        };
        g.flatten::<1>(0, 1)
    });
    let turned = fill(turned.collect(), flat.dims()[0], &gradient);
    first.inplace(|m| m.mul_scalar(spec.beta1) + turned.clone().mul_scalar(1.0 - spec.beta1));
    second.inplace(|v| v.mul_scalar(spec.beta2) + (turned.clone() * turned).mul_scalar(1.0 - spec.beta2));
    // The first step moved nothing, so this one is counted as it is from zero.
    let count = step.max(1) as f64;
    let correction = |beta: f64| 1.0 - beta.powf(count);
    let rate = rates.lr * correction(spec.beta2).sqrt() / correction(spec.beta1);
    let ahead = first.clone() / second.clone().sqrt().add_scalar(spec.epsilon);
    let back = places.iter().map(|place| {
        let u = place.of(&ahead);
        let u = match place.basis(&left, Side::Left) {
            Some(q) => product(&q, false, &u, false),
            None => u,
        };
        let u = match place.basis(&right, Side::Right) {
            Some(q) => product(&u, false, &q, true),
            None => u,
        };
        u.flatten::<1>(0, 1)
    });
    let change = fill(back.collect(), flat.dims()[0], &ahead).mul_scalar(rate);
    drop(ahead);
    // The package takes decay off what has moved.
    let decay = rates.decay();
    flat.inplace(|p| if decay == 1.0 { p - change } else { (p - change).mul_scalar(decay) });
    learn(&mut left, Side::Left);
    learn(&mut right, Side::Right);
    drop(gradient);
    if step.is_multiple_of(u64::try_from(spec.precondition_frequency).unwrap_or(1).max(1)) {
        for (side, which) in [(left, Side::Left), (right, Side::Right)] {
            if let Some(side) = side {
                side.follow(&places, which, first, second)?;
            }
        }
    }
    Ok(())
}

/// The matrices of a segment, in the order they lie.
fn places<'a>(spec: &Soap, entries: impl Iterator<Item = &'a Entry>) -> Vec<Place> {
    let mut places = Vec::new();
    let (mut lefts, mut rights) = (0, 0);
    let take = |at: &mut usize, length: usize| {
        kept(spec, length).map(|length| {
            *at += length * length;
            *at - length * length
        })
    };
    for entry in entries {
        let (count, rows, columns) = entry.matrices();
        for i in 0..count {
            let (left, right) = (take(&mut lefts, rows), take(&mut rights, columns));
            places.push(Place { offset: entry.offset + i * rows * columns, rows, columns, left, right });
        }
    }
    places
}

impl Place {
    /// Its numbers in a tensor like the segment.
    fn of(&self, flat: &Tensor<1>) -> Tensor<2> {
        matrix(flat, self.offset, self.rows, self.columns)
    }

    /// Where what is remembered of a side begins, and how long the side is.
    fn side(&self, side: Side) -> Option<(usize, usize)> {
        match side {
            Side::Left => self.left.map(|at| (at, self.rows)),
            Side::Right => self.right.map(|at| (at, self.columns)),
        }
    }

    /// The eigenvectors of a side, one a column.
    fn basis(&self, of: &Option<Remembered<'_>>, side: Side) -> Option<Tensor<2>> {
        let (at, length) = self.side(side)?;
        of.as_ref().map(|of| matrix(of.basis, at, length, length))
    }
}

impl Remembered<'_> {
    /// Makes the eigenvectors of what there is.
    fn begin(self, places: &[Place], which: Side) -> Result<(), ModelError> {
        let sides: Vec<(usize, usize)> = places.iter().filter_map(|place| place.side(which)).collect();
        let mut bases = Vec::new();
        for group in groups(&sides) {
            let read = group.iter().map(|(at, n)| numbers(self.preconditioner.clone().narrow(0, *at, n * n)));
            let read: Vec<Vec<f32>> = read.collect::<Result<_, _>>()?;
            let made = read.par_iter().zip(group).map(|(numbers, (_, n))| kernels::eigenvectors(numbers, *n));
            let made: Vec<Vec<f32>> = made.collect();
            bases.extend(made.into_iter().map(|numbers| vector(numbers, self.basis)));
        }
        *self.basis = fill(bases, self.basis.dims()[0], self.preconditioner);
        Ok(())
    }

    /// Brings the eigenvectors nearer to those of what there is now, and the moments along.
    fn follow(
        self,
        places: &[Place],
        which: Side,
        first: &mut Tensor<1>,
        second: &mut Tensor<1>,
    ) -> Result<(), ModelError> {
        let sides: Vec<(usize, usize)> = places.iter().filter_map(|place| place.side(which)).collect();
        let (mut bases, mut orders) = (Vec::new(), Vec::new());
        for group in groups(&sides) {
            let read = group.iter().map(|(at, n)| {
                let (l, q) = (matrix(self.preconditioner, *at, *n, *n), matrix(self.basis, *at, *n, *n));
                // L is symmetric: row i is L·q of the ith vector, and q·L·q its estimated eigenvalue.
                let images = product(&q, true, &l, false);
                let values = (q.transpose() * images.clone()).sum_dim(1);
                Ok((numbers(images)?, numbers(values)?))
            });
            let read: Vec<(Vec<f32>, Vec<f32>)> = read.collect::<Result<_, ModelError>>()?;
            let made = read.into_par_iter().map(|(images, values)| {
                let n = values.len();
                let mut order: Vec<u32> = (0..n as u32).collect();
                order.sort_by(|i, j| values[*j as usize].total_cmp(&values[*i as usize]));
                let columns = order.iter().flat_map(|i| &images[*i as usize * n..(*i as usize + 1) * n]).copied();
                (kernels::orthonormal(columns.collect(), n), order)
            });
            for (basis, order) in made.collect::<Vec<_>>() {
                bases.push(vector(basis, self.basis));
                orders.push(order);
            }
        }
        let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
        let mut new = bases.iter().zip(&orders);
        for place in places {
            let (m, v) = (place.of(first), place.of(second));
            let (m, v) = match (place.side(which), which) {
                (None, _) => (m, v),
                (Some((at, n)), which) => {
                    let Some((basis, order)) = new.next() else { break };
                    let (old, new) = (matrix(self.basis, at, n, n), matrix(basis, 0, n, n));
                    let order = int_vector(order, &old.device());
                    match which {
                        Side::Left => {
                            (product(&new, true, &product(&old, false, &m, false), false), v.select(0, order))
                        }
                        Side::Right => {
                            (product(&product(&m, false, &old, true), false, &new, false), v.select(1, order))
                        }
                    }
                }
            };
            firsts.push(m.flatten::<1>(0, 1));
            seconds.push(v.flatten::<1>(0, 1));
        }
        *first = fill(firsts, first.dims()[0], self.basis);
        *second = fill(seconds, second.dims()[0], self.basis);
        *self.basis = fill(bases, self.basis.dims()[0], self.preconditioner);
        Ok(())
    }
}

/// Sides whose matrices have no more numbers together than are decomposed at once, unless one has more.
fn groups(sides: &[(usize, usize)]) -> Vec<&[(usize, usize)]> {
    let mut groups = Vec::new();
    let (mut from, mut held) = (0, 0);
    for (i, (_, n)) in sides.iter().enumerate() {
        if i > from && (held + n * n) as u64 > DECOMPOSED_AT_ONCE {
            groups.push(&sides[from..i]);
            (from, held) = (i, 0);
        }
        held += n * n;
    }
    groups.extend((from < sides.len()).then(|| &sides[from..]));
    groups
}

/// Numbers on the host.
fn numbers<const D: usize>(x: Tensor<D>) -> Result<Vec<f32>, ModelError> {
    x.try_into_vec_as::<f32>().map_err(|e| ModelError::Device(e.to_string()))
}

/// Numbers where `like` lies.
fn vector(numbers: Vec<f32>, like: &Tensor<1>) -> Tensor<1> {
    let len = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [len]), &like.device())
}

#[cfg(test)]
mod tests {
    use super::super::Optimizer;
    use super::*;
    use crate::device::choose;
    use crate::model::{Architecture, Layout, Params};
    use crate::plan::spec::{Decoder, Groups, Optimizer as Spec};
    use burn::tensor::Device;
    use std::collections::BTreeMap;

    #[derive(serde::Deserialize)]
    struct Golden {
        optimizer: Soap,
        cases: BTreeMap<String, Case>,
    }

    /// A matrix, gradients, and what it was after steps 2, 5, 8, 11 and 14.
    #[derive(serde::Deserialize)]
    struct Case {
        rows: usize,
        columns: usize,
        max_precond_dim: i64,
        before: Vec<f32>,
        gradients: Vec<Vec<f32>>,
        /// Eigenvectors after the first step.
        bases: [Option<Vec<f32>>; 2],
        weights: Vec<Vec<f32>>,
    }

    fn golden() -> Golden {
        #[derive(serde::Deserialize)]
        struct File {
            optimizer: serde_json::Value,
            cases: BTreeMap<String, Case>,
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data-golden/optimizer/soap.json");
        let File { optimizer, cases } = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let Spec::Soap(optimizer) = serde_json::from_value(optimizer).unwrap() else { panic!("another") };
        Golden { optimizer, cases }
    }

    /// One matrix inside a block, and nothing else.
    fn layout(rows: usize, columns: usize) -> Layout {
        let model = Decoder { vocab: Some(20), ..Decoder::default() };
        let whole = Layout::new(&Architecture::new(&model, None).unwrap());
        let entry = whole.entries().iter().find(|entry| entry.name.ends_with("q_proj.weight")).unwrap();
        whole.some(&[entry.segment], |other| (other.name == entry.name).then(|| vec![rows, columns]))
    }

    /// What the matrix is after each step; `changed` may change what is remembered before a step.
    fn run(
        spec: &Soap,
        case: &Case,
        device: &Device,
        changed: impl Fn(usize, &mut BTreeMap<&'static str, Vec<f32>>),
    ) -> Vec<Vec<f32>> {
        let layout = layout(case.rows, case.columns);
        let len = layout.segments[0].len;
        let padded = |numbers: &[f32]| [numbers, &vec![0.0; len - numbers.len()]].concat();
        let mut params = Params::from_host(vec![padded(&case.before)], device);
        let spec = Spec::Soap(Soap { max_precond_dim: case.max_precond_dim, ..spec.clone() });
        let mut optimizer = Optimizer::new(&spec, &Groups::default(), &layout, 1.0, device);
        let mut after = Vec::new();
        for (step, gradient) in case.gradients.iter().enumerate() {
            let names: Vec<_> = optimizer.moments().map(|(moment, _)| moment.name).collect();
            let numbers = optimizer.moments().map(|(moment, numbers)| (moment.name, numbers.to_host().unwrap().pop()));
            // Of a side that is not turned there is nothing.
            let mut known = numbers.filter_map(|(name, numbers)| numbers.map(|numbers| (name, numbers))).collect();
            changed(step, &mut known);
            let back = |name: &str| Params::from_host(known.remove(name).into_iter().collect(), device);
            optimizer.restore(names.into_iter().map(back).collect());
            let gradient = Params::from_host(vec![padded(gradient)], device).flats;
            optimizer.update(&mut params, gradient, 1.0, step as u64, None).unwrap();
            after.push(params.to_host().unwrap().remove(0)[..case.rows * case.columns].to_vec());
        }
        after
    }

    fn worst(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY }).fold(0.0, f32::max)
    }

    /// Gives the eigenvectors of the reference where a gradient alone leaves some of them open.
    fn given(case: &Case, step: usize, known: &mut BTreeMap<&'static str, Vec<f32>>) {
        let open = [case.rows > case.columns, case.columns > case.rows];
        for ((name, basis), open) in ["left_eigenbasis", "right_eigenbasis"].into_iter().zip(&case.bases).zip(open) {
            assert_eq!(basis.is_some(), known.contains_key(name), "{name}");
            if let Some(basis) = basis.as_ref().filter(|_| open && step == 1) {
                known.get_mut(name).unwrap()[..basis.len()].copy_from_slice(basis);
            }
        }
    }

    #[test]
    fn fourteen_steps_are_those_of_the_package() {
        let device = choose(Some("cpu")).unwrap().device;
        let Golden { optimizer, cases } = golden();
        assert_eq!(cases.len(), 6);
        for (name, case) in &cases {
            let after = run(&optimizer, case, &device, |step, known| given(case, step, known));
            assert_eq!(after[0], case.before, "{name}: the first step moves nothing");
            let mut furthest: f32 = 0.0;
            for (i, expected) in case.weights.iter().enumerate() {
                furthest = furthest.max(worst(&after[3 * i + 1], expected));
            }
            println!("{name}: weights within {furthest:.1e} over 14 steps of 0.01");
            assert!(case.weights.len() == 5 && furthest < 3e-6, "{name}: {furthest}");
            assert!(worst(&after[13], &case.before) > 0.05, "{name} has moved");
        }
    }

    /// Signs are free: vectors of either are as good.
    #[test]
    fn signs_of_eigenvectors_change_no_step() {
        let device = choose(Some("cpu")).unwrap().device;
        let Golden { optimizer, cases } = golden();
        for (name, case) in &cases {
            let plain = run(&optimizer, case, &device, |_, _| {});
            let flipped = run(&optimizer, case, &device, |step, known| {
                if ![1, 5].contains(&step) {
                    return;
                }
                let sign = |i: usize| if (i + step) % 3 == 1 { -1.0 } else { 1.0 };
                let (rows, columns) = (case.rows, case.columns);
                for (basis, n, left) in [("left_eigenbasis", rows, true), ("right_eigenbasis", columns, false)] {
                    let Some(basis) = known.get_mut(basis) else { continue };
                    basis[..n * n].iter_mut().enumerate().for_each(|(at, x)| *x *= sign(at % n));
                    // The first moment is turned by them.
                    let moment = &mut known.get_mut("first_moment").unwrap()[..rows * columns];
                    let along = |at: usize| if left { at / columns } else { at % columns };
                    moment.iter_mut().enumerate().for_each(|(at, x)| *x *= sign(along(at)));
                }
            });
            let furthest = plain.iter().zip(&flipped).map(|(a, b)| worst(a, b)).fold(0.0, f32::max);
            println!("{name}: with other signs weights within {furthest:.1e}");
            assert!(furthest < 3e-6, "{name}: {furthest}");
        }
    }

    /// Whoever goes back to before the first step has no eigenvectors and looks for them again.
    #[test]
    fn nothing_remembered_is_a_beginning() {
        let device = choose(Some("cpu")).unwrap().device;
        let Golden { optimizer, cases } = golden();
        for (name, case) in &cases {
            // Without a side that is turned there is nothing to look for: the number of the step says it all.
            if case.bases.iter().all(Option::is_none) {
                continue;
            }
            let spec = Soap { weight_decay: 1.0, ..optimizer.clone() };
            // At a step of a multiple of the frequency, where the bases are followed, too.
            for back in [5, 6] {
                let after = run(&spec, case, &device, |step, known| {
                    if step == back {
                        known.values_mut().flatten().for_each(|x| *x = 0.0);
                    }
                });
                assert_eq!(after[back], after[back - 1], "{name}: it moves nothing");
                assert_ne!(after[back + 1], after[back], "{name}: and then it goes on");
            }
        }
    }

    /// What a device computes with bases of its own is what the CPU does.
    #[test]
    fn a_software_gpu_takes_the_same_steps() {
        if !crate::device::list().iter().any(|found| found.kind == crate::device::Kind::SoftwareGpu) {
            return;
        }
        let (cpu, gpu) = (choose(Some("cpu")).unwrap().device, choose(Some("lavapipe")).unwrap().device);
        let Golden { optimizer, cases } = golden();
        for (name, case) in &cases {
            let on = |device| run(&optimizer, case, device, |step, known| given(case, step, known));
            let furthest = on(&cpu).iter().zip(on(&gpu)).map(|(a, b)| worst(a, &b)).fold(0.0, f32::max);
            println!("{name}: CPU and software GPU within {furthest:.1e} over 14 steps");
            assert!(furthest < 3e-6, "{name}: {furthest}");
        }
    }
}
