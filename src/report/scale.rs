//! Axes: round ticks, positions, and curves thinned to what a screen can show.

use super::view::Curve;

/// Points of a curve that a chart keeps at most.
pub const MOST_POINTS: usize = 2_000;

/// A stretch of numbers laid on a stretch of the page.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub from: f64,
    pub to: f64,
    pub log: bool,
}

impl Scale {
    /// A scale that holds all of `values`, widened by a twentieth on each side; logarithmic only if all are positive.
    pub fn around(values: impl IntoIterator<Item = f64>, from: f64, to: f64, log: bool) -> Scale {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|v| v.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let log = log && low > 0.0;
        let (a, b) = if log { (low.ln(), high.ln()) } else { (low, high) };
        // A single value gets room around it, so that it lands in the middle.
        let room = if b > a { (b - a) * 0.05 } else { (a.abs() * 0.1).max(if log { 0.5 } else { 1e-9 }) };
        let (a, b) = (a - room, b + room);
        let (low, high) = if log { (a.exp(), b.exp()) } else { (a, b) };
        Scale { low, high, from, to, log }
    }

    /// Where `value` lies on the page.
    pub fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share * (self.to - self.from)
    }

    /// Round numbers within the scale, about `count` of them.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        if self.log { self.log_ticks(count) } else { linear_ticks(self.low, self.high, count) }
    }

    fn log_ticks(&self, count: usize) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = match decades {
            d if d > count as f64 => &[1.0],
            d if d > 1.5 => &[1.0, 3.0],
            d if d > 0.7 => &[1.0, 2.0, 5.0],
            // Less than a factor of five reads better with even steps.
            _ => return linear_ticks(self.low, self.high, count),
        };
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let every = ((f64::from(last - first) / count as f64).ceil() as i32).max(1);
        let all = (first..=last).filter(|e| (e - first) % every == 0);
        all.flat_map(|e| steps.iter().map(move |s| s * 10f64.powi(e)))
            .filter(|t| *t >= self.low && *t <= self.high)
            .collect()
    }
}

fn linear_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    if raw <= 0.0 || !raw.is_finite() {
        return vec![low];
    }
    let power = 10f64.powf(raw.log10().floor());
    // The round step whose number of ticks is nearest to the number wanted.
    let off = |step: &f64| ((high - low) / step - count as f64).abs();
    let steps = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power);
    let step = steps.min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    if last - first > 1_000 {
        return vec![low, high];
    }
    (first..=last).map(|i| i as f64 * step).collect()
}

/// The points of a curve, at most about [`MOST_POINTS`]: of each stretch its first, lowest, highest and last point stay,
/// so that no spike is lost. A value that is not finite stays as a gap.
pub fn thin(curve: &Curve) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> =
        curve.step.iter().copied().zip(curve.value.iter().copied()).filter(|(x, _)| x.is_finite()).collect();
    if points.len() <= MOST_POINTS {
        return points;
    }
    let stretch = points.len().div_ceil(MOST_POINTS / 4);
    let mut kept = Vec::with_capacity(MOST_POINTS);
    for piece in points.chunks(stretch) {
        let finite = |i: &usize| piece.get(*i).is_some_and(|p| p.1.is_finite());
        let value = |i: &usize| piece.get(*i).map_or(f64::NAN, |p| p.1);
        let all = 0..piece.len();
        let lowest = all.clone().filter(finite).min_by(|a, b| value(a).total_cmp(&value(b)));
        let highest = all.clone().filter(finite).max_by(|a, b| value(a).total_cmp(&value(b)));
        // One point that is not finite stands for all of the stretch, so that the gap is seen.
        let gap = all.clone().find(|i| !finite(i));
        let mut places: Vec<usize> =
            [Some(0), lowest, highest, gap, Some(piece.len() - 1)].into_iter().flatten().collect();
        places.sort_unstable();
        places.dedup();
        kept.extend(places.into_iter().filter_map(|i| piece.get(i).copied()));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{MOST_POINTS, Scale, thin};
    use crate::report::view::Curve;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale { low: 0.0, high: 97.0, from: 0.0, to: 1.0, log: false };
        assert_eq!(scale.ticks(5), [0.0, 20.0, 40.0, 60.0, 80.0]);
        let log = Scale { low: 0.001, high: 12.0, from: 0.0, to: 1.0, log: true };
        assert!(log.ticks(5).contains(&0.1) && log.ticks(5).len() < 12, "{:?}", log.ticks(5));
        let narrow = Scale { low: 1.2, high: 1.9, from: 0.0, to: 1.0, log: true };
        assert!(narrow.ticks(4).len() >= 3);
    }

    #[test]
    fn a_scale_holds_its_values_even_when_there_is_one_or_none() {
        for values in [vec![], vec![3.0], vec![0.0], vec![f64::NAN, 1.0, 2.0]] {
            let scale = Scale::around(values.clone(), 0.0, 100.0, true);
            assert!(scale.low < scale.high);
            assert!(values.iter().filter(|v| v.is_finite()).all(|v| (0.0..=100.0).contains(&scale.at(*v))));
        }
    }

    #[test]
    fn thinning_keeps_the_ends_the_spikes_and_the_gaps() {
        let n = 100_000;
        let value = |i: usize| match i {
            51_234 => 900.0,
            70_001 => f64::NAN,
            _ => 1.0 / (1.0 + i as f64),
        };
        let thinned = thin(&Curve::of((0..n).map(|i| (i as f64, value(i)))));
        assert!(thinned.len() <= MOST_POINTS + MOST_POINTS / 4, "{}", thinned.len());
        assert!(thinned.contains(&(51_234.0, 900.0)));
        assert!(thinned.iter().any(|p| p.1.is_nan()));
        assert_eq!((thinned[0].0, thinned[thinned.len() - 1].0), (0.0, (n - 1) as f64));
        assert!(thinned.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
