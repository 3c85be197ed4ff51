//! Optimisers over whole segments of weights.

mod adafactor;
mod adamw;
mod lion;
mod muon;
mod sgd;
mod soap;

use crate::model::{Layout, ModelError, Params, Part};
use crate::plan::spec::{Adamw, Group, Groups, MuonScale, Optimizer as Spec, Rest, Soap};
use burn::tensor::{Bool, Device, Tensor};

/// An optimiser and what it remembers.
pub(crate) struct Optimizer {
    spec: Spec,
    groups: Groups,
    layout: Layout,
    /// How many times as wide as the network that the rates were found for the one that steps is.
    widening: f64,
    moments: Vec<Moment>,
    /// Per segment, what it remembers of it.
    state: Vec<Vec<Tensor<1>>>,
    /// Per segment, whether what it remembers of it is known to be more than what it started with.
    begun: Vec<bool>,
}

/// Something that an optimiser remembers of all weights or some.
pub(crate) struct Moment {
    /// What it is, for files.
    pub name: &'static str,
    /// Which weights it is of, and how its numbers lie.
    pub layout: Layout,
    /// Of each segment of that: the segment of the network, and which of the things remembered of it this is.
    places: Vec<(usize, usize)>,
}

/// How far a segment moves in a step.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Rates {
    /// The learning rate.
    lr: f64,
    /// The share of itself that a weight loses, over the learning rate.
    weight_decay: f64,
    /// What of the learning rate comes from the width, see [`transfer`].
    transfer: f64,
}

impl Rates {
    /// What weights are multiplied with before a step, where decay is decoupled from the gradient.
    fn decay(self) -> f64 {
        1.0 - self.lr * self.weight_decay
    }
}

impl Optimizer {
    /// An optimiser that has not stepped yet, for a network `widening` times as wide as the one that its rates are for.
    pub fn new(spec: &Spec, groups: &Groups, layout: &Layout, widening: f64, device: &Device) -> Optimizer {
        let moments = moments(spec, layout);
        let mut state: Vec<Vec<Tensor<1>>> = vec![Vec::new(); layout.segments.len()];
        for moment in &moments {
            for ((place, _), segment) in moment.places.iter().zip(&moment.layout.segments) {
                state[*place].push(Tensor::zeros([segment.len], device));
            }
        }
        let begun = vec![false; state.len()];
        Optimizer {
            spec: spec.clone(),
            groups: groups.clone(),
            layout: layout.clone(),
            widening,
            moments,
            state,
            begun,
        }
    }

    /// The peak learning rate; of Muon, that of the hidden matrices.
    pub fn peak(&self) -> f64 {
        match &self.spec {
            Spec::Adamw(spec) => spec.lr,
            Spec::Sgd(spec) => spec.lr,
            Spec::Lion(spec) => spec.lr,
            Spec::Muon(spec) => spec.lr,
            Spec::Adafactor(spec) => spec.lr,
            Spec::Soap(spec) => spec.lr,
        }
    }

    /// Whether the weights of a part are ever moved.
    pub fn moves(&self, part: Part) -> bool {
        group(&self.groups, part).rate != 0.0
    }

    /// Everything it remembers, by name.
    pub fn moments(&self) -> impl Iterator<Item = (&Moment, Params)> {
        self.moments.iter().map(|moment| {
            let flats = moment.places.iter().map(|(segment, slot)| self.state[*segment][*slot].clone());
            (moment, Params { flats: flats.collect() })
        })
    }

    /// Makes it remember moments, in the order of [`moments`].
    pub fn restore(&mut self, numbers: Vec<Params>) {
        // They may be those from before the first step.
        self.begun.fill(false);
        for (moment, numbers) in self.moments.iter().zip(numbers) {
            for ((segment, slot), flat) in moment.places.iter().zip(numbers.flats) {
                self.state[*segment][*slot] = flat;
            }
        }
    }

    /// Moves `params` against `gradients` at `share` of the peak rates; `step` counts from 0. Where `good` is given and
    /// does not hold, everything stays as it was.
    ///
    /// # Errors
    /// When the device fails.
    pub fn update(
        &mut self,
        params: &mut Params,
        gradients: Vec<Tensor<1>>,
        share: f64,
        step: u64,
        good: Option<&Tensor<1, Bool>>,
    ) -> Result<(), ModelError> {
        let segments = params.flats.iter_mut().zip(gradients).zip(&mut self.state).enumerate();
        for (number, ((flat, gradient), state)) in segments {
            let part = self.layout.segments[number].part;
            let group = group(&self.groups, part);
            // Not even by zero times a gradient that nobody has looked at, which may be infinite.
            if group.rate == 0.0 {
                continue;
            }
            let before = good.map(|good| (good, flat.clone(), state.clone()));
            let transfer = transfer(&self.spec, part, self.widening);
            // What a weight loses in a step is the same at every width, as in the authors' package.
            let rates = |lr: f64, weight_decay: f64| Rates {
                lr: lr * group.rate * share * transfer,
                weight_decay: weight_decay * group.decay / transfer,
                transfer,
            };
            let entries = || self.layout.within(number);
            match &self.spec {
                Spec::Adamw(spec) => {
                    adamw::update(spec, rates(spec.lr, spec.weight_decay), flat, gradient, state, step)
                }
                Spec::Sgd(spec) => sgd::update(spec, rates(spec.lr, spec.weight_decay), flat, gradient, state),
                Spec::Lion(spec) => lion::update(spec, rates(spec.lr, spec.weight_decay), flat, gradient, state),
                Spec::Muon(spec) if part == Part::Hidden => {
                    muon::update(spec, rates(spec.lr, spec.weight_decay), flat, gradient, state, entries())
                }
                Spec::Muon(spec) => {
                    let spec = rest(&spec.rest);
                    adamw::update(spec, rates(spec.lr, spec.weight_decay), flat, gradient, state, step);
                }
                Spec::Adafactor(spec) => {
                    let rates = rates(spec.lr, spec.weight_decay);
                    adafactor::update(spec, rates, flat, gradient, state, entries(), step);
                }
                Spec::Soap(spec) if part == Part::Vector => {
                    let Soap { lr, beta1, beta2, epsilon, weight_decay, .. } = *spec;
                    let adamw = Adamw { lr, beta1, beta2, epsilon, weight_decay };
                    adamw::update(&adamw, rates(lr, weight_decay), flat, gradient, state, step);
                }
                Spec::Soap(spec) => {
                    let (rates, begun) = (rates(spec.lr, spec.weight_decay), &mut self.begun[number]);
                    soap::update(spec, rates, flat, gradient, state, entries(), step, begun)?;
                }
            }
            if let Some((good, was, states)) = before {
                keep_if(flat, good, was);
                state.iter_mut().zip(states).for_each(|(state, was)| keep_if(state, good, was));
            }
        }
        Ok(())
    }
}

/// What muP multiplies the learning rate of a part with in a network `widening` times as wide as its base, so that what a
/// layer puts out changes as much as it does there.
///
/// AdamW and SGD are those of table 8 of Yang et al. (2022) and of the package `mup`; Lion's steps have one size as Adam's
/// do. Adafactor's are relative to a weight, which is smaller by the root of the width already (Everett et al. 2024). Muon's
/// have one spectral norm, which is what must stay (Yang, Simon & Bernstein 2023), but for its scale `rms`, under which it
/// grows with the root of the width. SOAP is refused under muP before it comes here, but for adapters, which have no width
/// to carry a rate from.
fn transfer(spec: &Spec, part: Part, widening: f64) -> f64 {
    match (spec, part) {
        (Spec::Sgd(_), Part::Hidden) => 1.0,
        (Spec::Sgd(_), _) => widening,
        (Spec::Adamw(_) | Spec::Lion(_), Part::Hidden) => 1.0 / widening,
        (Spec::Adafactor(_), Part::Hidden) => 1.0 / widening.sqrt(),
        (Spec::Muon(muon), Part::Hidden) => match muon.scale {
            MuonScale::Shape => 1.0,
            MuonScale::Rms => 1.0 / widening.sqrt(),
        },
        _ => 1.0,
    }
}

/// What an optimiser remembers.
fn moments(spec: &Spec, layout: &Layout) -> Vec<Moment> {
    type Shape<'a> = &'a dyn Fn(&[usize]) -> Option<Vec<usize>>;
    let of = |name, parts: &dyn Fn(Part) -> bool, shape: Shape<'_>| {
        let remembers =
            |segment: &usize| layout.within(*segment).any(|entry| parts(entry.part()) && shape(&entry.shape).is_some());
        let segments: Vec<usize> = (0..layout.segments.len()).filter(remembers).collect();
        let layout = layout.some(&segments, |entry| shape(&entry.shape));
        Moment { name, layout, places: segments.into_iter().map(|segment| (segment, 0)).collect() }
    };
    let whole = |name, parts: &dyn Fn(Part) -> bool| of(name, parts, &|shape: &[usize]| Some(shape.to_vec()));
    let hidden = |part| part == Part::Hidden;
    let rest = |part| part != Part::Hidden;
    let matrix = |part| part != Part::Vector;
    let all = |_| true;
    let mut found = match spec {
        Spec::Adamw(_) => vec![whole("first_moment", &all), whole("second_moment", &all)],
        Spec::Sgd(sgd) if sgd.momentum != 0.0 => vec![whole("velocity", &all)],
        Spec::Sgd(_) => Vec::new(),
        Spec::Lion(_) => vec![whole("momentum", &all)],
        Spec::Muon(_) => {
            vec![whole("momentum", &hidden), whole("first_moment", &rest), whole("second_moment", &rest)]
        }
        Spec::Adafactor(_) => vec![
            of("row_variance", &matrix, &|shape| Some([&shape[..shape.len() - 1], &[1]].concat())),
            of("column_variance", &matrix, &|shape| {
                Some([&shape[..shape.len() - 2], &[1], &shape[shape.len() - 1..]].concat())
            }),
            whole("variance", &|part| part == Part::Vector),
        ],
        Spec::Soap(soap) => {
            // Square, with as many rows as the side has that is `before` the end of the shape.
            let side = |name, before: usize| {
                of(name, &matrix, &|shape| {
                    let length = soap::kept(soap, shape[shape.len() - before])?;
                    Some([&shape[..shape.len() - 2], &[length, length]].concat())
                })
            };
            vec![
                whole("first_moment", &all),
                whole("second_moment", &all),
                side("left_preconditioner", 2),
                side("left_eigenbasis", 2),
                side("right_preconditioner", 1),
                side("right_eigenbasis", 1),
            ]
        }
    };
    // What is remembered of a segment is in the order in which it is named here.
    let mut known = vec![0; layout.segments.len()];
    for (segment, slot) in found.iter_mut().flat_map(|moment| &mut moment.places) {
        *slot = known[*segment];
        known[*segment] += 1;
    }
    found
}

fn rest(rest: &Rest) -> &Adamw {
    let Rest::Adamw(spec) = rest;
    spec
}

fn group(groups: &Groups, part: Part) -> &Group {
    match part {
        Part::Embedding => &groups.embedding,
        Part::Hidden => &groups.hidden,
        Part::Head => &groups.head,
        Part::Vector => &groups.vectors,
    }
}

/// Puts back what a tensor `was`, unless `good` holds.
pub(super) fn keep_if(now: &mut Tensor<1>, good: &Tensor<1, Bool>, was: Tensor<1>) {
    let dims = now.dims();
    now.inplace(|now| was.mask_where(good.clone().expand(dims), now));
}

/// The rows, columns and numbers of one matrix at `offset` of a segment.
fn matrix(flat: &Tensor<1>, offset: usize, rows: usize, columns: usize) -> Tensor<2> {
    flat.clone().narrow(0, offset, rows * columns).reshape([rows, columns])
}

/// Pieces that fill a segment of `len` numbers from its start, with zeros after them.
fn fill(mut pieces: Vec<Tensor<1>>, len: usize, like: &Tensor<1>) -> Tensor<1> {
    let filled: usize = pieces.iter().map(|piece| piece.dims()[0]).sum();
    if filled < len {
        pieces.push(Tensor::zeros([len - filled], &like.device()));
    }
    Tensor::cat(pieces, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;
    use crate::plan::spec;
    use burn::tensor::TensorData;

    fn numbers(params: &Params) -> Vec<Vec<f32>> {
        params.to_host().unwrap()
    }

    /// A gradient that nobody looks at may be anything.
    #[test]
    fn a_part_at_rest_stays_whatever_its_gradient_is() {
        let device = crate::device::choose(Some("cpu")).unwrap().device;
        let model = spec::Decoder { vocab: Some(20), tied: false, ..spec::Decoder::default() };
        let layout = Layout::new(&Architecture::new(&model, None).unwrap());
        let groups = Groups { head: Group { rate: 0.0, decay: 1.0 }, ..Groups::default() };
        let head = layout.segments.iter().position(|segment| segment.part == Part::Head).unwrap();
        for text in [
            r#"{"is":"adamw","lr":0.1,"beta1":0.9,"beta2":0.95,"epsilon":1e-8,"weight_decay":0.1}"#,
            r#"{"is":"sgd","lr":0.1,"momentum":0.9,"weight_decay":0.1}"#,
        ] {
            let spec: Spec = serde_json::from_str(text).unwrap();
            let mut params = Params::fresh(&layout, 3, &device);
            let before = numbers(&params);
            let mut optimizer = Optimizer::new(&spec, &groups, &layout, 1.0, &device);
            let gradients = layout.segments.iter().enumerate().map(|(i, segment)| {
                let number = if i == head { f32::INFINITY } else { 0.5 };
                Tensor::from_data(TensorData::new(vec![number; segment.len], [segment.len]), &device)
            });
            let good = Tensor::<1, Bool>::from_data(TensorData::from([true]), &device);
            optimizer.update(&mut params, gradients.collect(), 1.0, 0, Some(&good)).unwrap();
            let after = numbers(&params);
            assert!(after[head] == before[head] && after.iter().flatten().all(|x| x.is_finite()), "{text}");
            assert!((0..after.len()).filter(|i| *i != head).all(|i| after[i] != before[i]), "{text}");
        }
    }

    /// What a GPU does with a step that leaps, on the CPU.
    #[test]
    fn a_step_that_is_not_good_changes_nothing_and_a_good_one_everything() {
        let device = crate::device::choose(Some("cpu")).unwrap().device;
        let model = spec::Decoder {
            layers: 1,
            heads: 2,
            kv_heads: 1,
            width: 8,
            head_dim: 4,
            hidden: 12,
            vocab: Some(20),
            tied: false,
            bias: true,
            ..spec::Decoder::default()
        };
        let layout = Layout::new(&Architecture::new(&model, None).unwrap());
        let adamw = r#"{"is":"adamw","lr":0.1,"beta1":0.9,"beta2":0.95,"epsilon":1e-8,"weight_decay":0.1}"#;
        let sgd = r#"{"is":"sgd","lr":0.1,"momentum":0.9,"weight_decay":0.1}"#;
        let lion = r#"{"is":"lion","lr":0.1,"beta1":0.9,"beta2":0.99,"weight_decay":0.1}"#;
        let muon = format!(
            r#"{{"is":"muon","lr":0.1,"momentum":0.9,"nesterov":false,"iterations":3,"scale":"rms","weight_decay":0.1,
            "rest":{adamw}}}"#
        );
        let adafactor =
            r#"{"is":"adafactor","lr":0.1,"decay_rate":0.8,"threshold":1.0,"min_scale":0.001,"weight_decay":0.1}"#;
        // The first table has a side that is not turned.
        let soap = r#"{"is":"soap","lr":0.1,"beta1":0.9,"beta2":0.95,"epsilon":1e-8,"weight_decay":0.1,
            "shampoo_beta":null,"precondition_frequency":1,"max_precond_dim":16}"#;
        for text in [adamw, sgd, lion, &muon, adafactor, soap] {
            let spec: Spec = serde_json::from_str(text).unwrap();
            let run = |flags: [Option<bool>; 3]| {
                let mut params = Params::fresh(&layout, 3, &device);
                let mut optimizer = Optimizer::new(&spec, &Groups::default(), &layout, 1.0, &device);
                for (step, flag) in flags.into_iter().enumerate() {
                    // The second gradient is not a number.
                    let number = if step == 1 { f32::NAN } else { 0.5 };
                    let gradients = layout.segments.iter().map(|segment| {
                        Tensor::from_data(TensorData::new(vec![number; segment.len], [segment.len]), &device)
                    });
                    let flag = flag.map(|flag| Tensor::<1, Bool>::from_data(TensorData::from([flag]), &device));
                    if flag.is_some() || step != 1 {
                        optimizer.update(&mut params, gradients.collect(), 1.0, step as u64, flag.as_ref()).unwrap();
                    }
                }
                let state: Vec<_> = optimizer.moments().map(|(_, moment)| numbers(&moment)).collect();
                (numbers(&params), state)
            };
            let told = run([Some(true), Some(false), Some(true)]);
            let padded =
                |(weights, _): &(Vec<Vec<f32>>, Vec<Vec<Vec<f32>>>)| weights.iter().flatten().all(|x| x.is_finite());
            assert!(padded(&told), "{text}");
            assert!(told == run([None, None, None]), "{text}");
            assert!(told.0 != numbers(&Params::fresh(&layout, 3, &device)), "{text}");
        }
    }
}
