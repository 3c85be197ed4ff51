//! The coordinate check: whether what a network computes keeps its size as the network gets wider.
//!
//! Networks of several widths take a few steps on one and the same batch, as in the package `mup` (Yang et al. 2022, appendix
//! D and figure 5). At each kind of place the mean magnitude of a number, and of its change since the start, is a power of the
//! width; the exponent is the slope of a straight line through their logarithms. Under a parametrisation that lets a learning
//! rate be carried from one width to another, no exponent of what training does is above zero.

use super::batch::Batch;
use super::error::TrainError;
use super::job::{Job, Keep, Objective};
use super::schedule::{Schedule, Shape};
use super::step::{Learner, Part, Stride};
use super::{Corpus, MemoryCorpus};
use crate::device::Chosen;
use crate::model::{Architecture, Layout, ModelError, Params, Seen};
use crate::plan::spec::{Decoder, Groups, Optimizer, Precision};
use crate::random::Stream;
use std::collections::BTreeMap;
use std::path::Path;

/// What is trained, and on what, at every width.
pub struct Trial<'a> {
    pub optimizer: &'a Optimizer,
    pub groups: &'a Groups,
    /// Largest global gradient norm; absent: no clipping.
    pub clip: Option<f64>,
    /// Steps at the peak rate.
    pub steps: u64,
    /// Networks of each width, with different initial weights and batches, whose magnitudes are averaged.
    pub seeds: u64,
    /// The first of their seeds.
    pub seed: u64,
    /// Entries of the embedding, rows of the batch, and tokens of each.
    pub vocab: usize,
    pub rows: usize,
    pub sequence: usize,
    pub device: &'a Chosen,
}

/// What one kind of place held at every width after so many steps.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Coordinate {
    pub place: &'static str,
    /// Steps done.
    pub step: u64,
    /// Mean magnitude of a number, by width.
    pub sizes: Vec<f64>,
    /// The power of the width that those follow.
    pub exponent: f64,
    /// Mean magnitude of the change since the start, by width; absent before the first step.
    pub changes: Option<Vec<f64>>,
    /// The power of the width that those follow.
    pub change_exponent: Option<f64>,
    pub verdict: Verdict,
}

/// Whether a magnitude follows the width.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Flat,
    Grows,
    Shrinks,
}

/// All kinds of places, as they are called, in the order of a pass.
const PLACES: [(Seen, &str); 6] = [
    (Seen::Embedding, "embedding"),
    (Seen::Scores, "attention scores"),
    (Seen::Attention, "attention output"),
    (Seen::FeedForward, "feed-forward output"),
    (Seen::Final, "final hidden"),
    (Seen::Logits, "logits"),
];

/// Magnitudes of one network by place and step: of the numbers, and of their changes.
type Magnitudes = BTreeMap<Seen, Vec<(f64, f64)>>;

/// Trains networks that are `models` at several widths, and says what their coordinates do. An exponent within `tolerance` of
/// zero is flat.
///
/// What is judged is the change since the start, and before the first step the numbers themselves.
///
/// # Errors
/// When a network cannot be made, or the device fails.
pub fn coordinates(models: &[Decoder], trial: &Trial<'_>, tolerance: f64) -> Result<Vec<Coordinate>, TrainError> {
    let widths: Vec<f64> = models.iter().map(|model| model.width as f64).collect();
    let mut by_width: Vec<Magnitudes> = Vec::new();
    for model in models {
        let mut mean = Magnitudes::new();
        for seed in trial.seed..trial.seed + trial.seeds {
            for (place, magnitudes) in trace(model, trial, seed)? {
                let sums = mean.entry(place).or_insert_with(|| vec![(0.0, 0.0); magnitudes.len()]);
                for (sum, (size, change)) in sums.iter_mut().zip(magnitudes) {
                    sum.0 += size / trial.seeds as f64;
                    sum.1 += change / trial.seeds as f64;
                }
            }
        }
        by_width.push(mean);
    }
    let mut rows = Vec::new();
    for (seen, place) in PLACES {
        for step in 0..=trial.steps {
            let at = |magnitudes: &Magnitudes| magnitudes.get(&seen).and_then(|all| all.get(step as usize)).copied();
            let here: Vec<(f64, f64)> = by_width.iter().filter_map(at).collect();
            let (sizes, changes): (Vec<f64>, Vec<f64>) = here.into_iter().unzip();
            let exponent = exponent(&widths, &sizes);
            let change_exponent = (step > 0).then(|| self::exponent(&widths, &changes));
            let verdict = Verdict::of(change_exponent.unwrap_or(exponent), tolerance);
            let changes = (step > 0).then_some(changes);
            rows.push(Coordinate { place, step, sizes, exponent, changes, change_exponent, verdict });
        }
    }
    Ok(rows)
}

/// Whether the check is passed: nothing grows at any step, and nothing shrinks at the last.
///
/// Before, scores and logits may fall with the width as they do under muP: they are sums of products of numbers that are
/// independent at first, and muP scales them for what the numbers become.
pub fn holds(coordinates: &[Coordinate]) -> bool {
    let last = coordinates.iter().map(|row| row.step).max().unwrap_or(0);
    coordinates.iter().all(|row| match row.verdict {
        Verdict::Flat => true,
        Verdict::Grows => false,
        Verdict::Shrinks => row.step < last,
    })
}

impl Verdict {
    fn of(exponent: f64, tolerance: f64) -> Verdict {
        // One that is no number is that of magnitudes that are none, or have run away.
        if exponent.abs() <= tolerance {
            Verdict::Flat
        } else if exponent < 0.0 {
            Verdict::Shrinks
        } else {
            Verdict::Grows
        }
    }
}

/// The slope of the straight line through the logarithms of `values` over those of `widths`, by least squares. Values that
/// are all zero are flat: what does not move does not depend on the width.
fn exponent(widths: &[f64], values: &[f64]) -> f64 {
    if values.iter().all(|value| *value == 0.0) {
        return 0.0;
    }
    let n = widths.len() as f64;
    let (x, y): (Vec<f64>, Vec<f64>) = widths.iter().zip(values).map(|(x, y)| (x.ln(), y.ln())).unzip();
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let along: f64 = x.iter().zip(&y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let spread: f64 = x.iter().map(|x| (x - mean_x) * (x - mean_x)).sum();
    along / spread
}

/// One network at work.
fn trace(model: &Decoder, trial: &Trial<'_>, seed: u64) -> Result<Magnitudes, TrainError> {
    let model = Decoder { vocab: Some(trial.vocab as i64), dropout: 0.0, ..model.clone() };
    let architecture = Architecture::new(&model, None)?;
    let layout = Layout::new(&architecture);
    let params = Params::fresh(&layout, seed, &trial.device.device);
    let corpus = corpus(trial, seed);
    let job = job(&model, trial, &corpus, seed);
    let mut learner = Learner::new(architecture, params, &job)?;
    let mut batch = Batch::default();
    let mut row = vec![0; trial.sequence + 1];
    for i in 0..trial.rows {
        corpus.read((i * row.len()) as u64, &mut row);
        batch.push(&row, &vec![true; row.len()], trial.sequence, 0);
    }
    let total = batch.weight();
    let mut first: Option<Vec<Vec<f32>>> = None;
    let mut magnitudes = Magnitudes::new();
    for step in 0..=trial.steps {
        let mut sums: BTreeMap<Seen, (f64, f64, u64)> = BTreeMap::new();
        let mut now = Vec::new();
        for (i, (place, numbers)) in learner.look(&batch, trial.sequence).into_iter().enumerate() {
            let numbers = numbers.try_into_vec_as::<f32>().map_err(|e| ModelError::Device(e.to_string()))?;
            let size: f64 = numbers.iter().map(|x| f64::from(x.abs())).sum();
            let before = first.as_ref().and_then(|first| first.get(i));
            let change = before.map_or(0.0, |before| {
                numbers.iter().zip(before).map(|(now, before)| f64::from((now - before).abs())).sum()
            });
            let sum = sums.entry(place).or_default();
            *sum = (sum.0 + size, sum.1 + change, sum.2 + numbers.len() as u64);
            now.push(numbers);
        }
        first.get_or_insert(now);
        for (place, (size, change, count)) in sums {
            magnitudes.entry(place).or_default().push((size / count as f64, change / count as f64));
        }
        if step < trial.steps {
            let part = Part { batch: &batch, time: trial.sequence, rows: 0..trial.rows as u64, tokens: total };
            let gradients = learner.accumulate(None, part, total, step);
            learner.step(gradients, Stride { share: 1.0, step, limit: None })?;
        }
    }
    Ok(magnitudes)
}

/// Text of a small machine: most tokens follow from the one before, so that there is something to learn at once.
fn corpus(trial: &Trial<'_>, seed: u64) -> MemoryCorpus {
    let mut draws = Stream::new(seed, "coordinate check").at(0);
    let (mut last, vocab) = (0u64, trial.vocab as u64);
    let mut token = || {
        last = if draws.uniform() < 0.9 { (last * 5 + 3) % vocab } else { draws.below(vocab) };
        last as u32
    };
    MemoryCorpus::new(&[(0..trial.rows * (trial.sequence + 1)).map(|_| token()).collect()])
}

fn job<'a>(model: &'a Decoder, trial: &'a Trial<'_>, corpus: &'a MemoryCorpus, seed: u64) -> Job<'a> {
    Job {
        objective: Objective::NextToken,
        model,
        vocab: trial.vocab,
        init: None,
        corpus,
        valid: None,
        batch: trial.rows,
        growth: None,
        micro_batch: trial.rows,
        sequence: trial.sequence,
        steps: trial.steps,
        adapter: None,
        recompute: false,
        optimizer: trial.optimizer,
        groups: trial.groups,
        schedule: Schedule { shape: Shape::Constant, warmup: 0, steps: trial.steps },
        clip: trial.clip,
        z_loss: 0.0,
        ema: None,
        on_spike: None,
        keep: Keep::Last,
        checkpoint: 0,
        checkpoints: 1,
        // Sizes are looked at, which rounding does not change.
        precision: Precision::F32,
        seed,
        pad: 0,
        folder: Path::new(""),
        identity: "coordinate check",
        device: trial.device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponent_is_that_of_the_power_law() {
        let widths = [32.0, 64.0, 256.0];
        for power in [-1.0, 0.0, 0.5] {
            let values = widths.map(|w: f64| 3.0 * w.powf(power));
            assert!((exponent(&widths, &values) - power).abs() < 1e-12);
        }
        assert_eq!(exponent(&widths, &[0.0; 3]), 0.0);
        assert_eq!(Verdict::of(exponent(&widths, &[1.0, f64::NAN, 1.0]), 0.1), Verdict::Grows);
        let row = |step, verdict| Coordinate {
            place: "logits",
            step,
            sizes: Vec::new(),
            exponent: 0.0,
            changes: None,
            change_exponent: None,
            verdict,
        };
        assert!(holds(&[row(0, Verdict::Shrinks), row(1, Verdict::Flat)]));
        assert!(!holds(&[row(0, Verdict::Flat), row(1, Verdict::Shrinks)]));
        assert!(!holds(&[row(0, Verdict::Grows), row(1, Verdict::Flat)]));
        assert_eq!([0.1, 0.2, -0.2].map(|e| Verdict::of(e, 0.15)), [Verdict::Flat, Verdict::Grows, Verdict::Shrinks]);
    }
}
