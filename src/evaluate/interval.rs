//! Intervals: bootstrap resamples, percentiles, Wilson's interval, Student's t.

use crate::random::Stream;

/// Draws of `n` items with repetition, the same for every figure over the same items, so that differences are paired.
pub struct Resamples {
    stream: Stream,
    n: usize,
    next: u64,
    count: u64,
}

impl Resamples {
    /// `count` draws of `n` items each, under `seed`.
    pub fn new(seed: u64, n: usize, count: usize) -> Resamples {
        Resamples::of(seed, "", n, count)
    }

    /// The same for the set of items called `items`; sets of other names are drawn independently.
    pub fn of(seed: u64, items: &str, n: usize, count: usize) -> Resamples {
        let stream = Stream::new(seed, &format!("evaluate/bootstrap/{items}"));
        Resamples { stream, n, next: 0, count: count as u64 }
    }
}

impl Iterator for Resamples {
    type Item = Vec<u32>;

    fn next(&mut self) -> Option<Vec<u32>> {
        if self.next >= self.count || self.n == 0 {
            return None;
        }
        let mut draws = self.stream.at(self.next);
        self.next += 1;
        Some((0..self.n).map(|_| draws.below(self.n as u64) as u32).collect())
    }
}

/// The central interval that holds `confidence` of the values, with linear interpolation between order statistics
/// (type 7 of Hyndman & Fan 1996, as NumPy's `percentile`). None without values or with one that is not a number.
pub fn percentile(mut values: Vec<f64>, confidence: f64) -> Option<(f64, f64)> {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share.clamp(0.0, 1.0) * (values.len() - 1) as f64;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        if below == above { below } else { below + (above - below) * place.fract() }
    };
    let tail = (1.0 - confidence) / 2.0;
    Some((at(tail), at(1.0 - tail)))
}

/// Wilson's score interval for a share of `n` (Wilson 1927), from 0 to 1.
pub fn wilson(share: f64, n: f64, confidence: f64) -> (f64, f64) {
    if n <= 0.0 {
        return (0.0, 1.0);
    }
    let z = normal_quantile(0.5 + confidence / 2.0);
    let z2 = z * z;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// The value that a standard normal variable stays below with probability `p`.
pub fn normal_quantile(p: f64) -> f64 {
    // Student's t with very many degrees of freedom differs from the normal by less than 1e-9 here.
    t_quantile(p, 1e10)
}

/// The value that Student's t with `freedom` degrees of freedom stays below with probability `p`, by bisection.
pub fn t_quantile(p: f64, freedom: f64) -> f64 {
    if p == 0.5 {
        return 0.0;
    }
    if p < 0.5 {
        return -t_quantile(1.0 - p, freedom);
    }
    let (mut low, mut high) = (0.0, 2.0);
    while t_below(high, freedom) < p && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if t_below(middle, freedom) < p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Probability that Student's t stays below `t` ≥ 0.
fn t_below(t: f64, freedom: f64) -> f64 {
    1.0 - 0.5 * incomplete_beta(freedom / (freedom + t * t), t * t / (freedom + t * t), freedom / 2.0, 0.5)
}

/// The regularised incomplete beta function at `x`, with `rest` = 1 − x given apart because the subtraction would lose
/// it; by Lentz's continued fraction (DLMF 8.17.22).
fn incomplete_beta(x: f64, rest: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if rest <= 0.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(rest, x, b, a);
    }
    let front = (ln_gamma_difference(a, b) + a * (-rest).ln_1p() + b * rest.ln()).exp() / a;
    let tiny = 1e-300;
    let keep = |v: f64| if v.abs() < tiny { tiny } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / keep(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / keep(1.0 + even * d);
        c = keep(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / keep(1.0 + odd * d);
        c = keep(1.0 + odd / c);
        let step = d * c;
        result *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * result
}

/// ln Γ(a+b) − ln Γ(a) − ln Γ(b), without cancellation when one argument is very large.
fn ln_gamma_difference(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if large > 1e6 {
        // Γ(x+s)/Γ(x) = x^s (1 + s(s−1)/2x + …).
        return small * large.ln() + (small * (small - 1.0) / (2.0 * large)).ln_1p() - ln_gamma(small);
    }
    ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)
}

/// ln Γ(x) for x > 0: Stirling's series after shifting x above 10.
fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let i = 1.0 / (x * x);
    let series = (1.0 / 12.0 - i * (1.0 / 360.0 - i * (1.0 / 1260.0 - i * (1.0 / 1680.0 - i / 1188.0)))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::{Resamples, normal_quantile, percentile, t_quantile, wilson};

    fn close(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() < within, "{a} is not {b}");
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // scipy 1.x: stats.t.ppf and stats.norm.ppf.
        close(t_quantile(0.975, 1.0), 12.706_204_736_432_095, 1e-8);
        close(t_quantile(0.975, 2.0), 4.302_652_729_911_275, 1e-9);
        close(t_quantile(0.975, 4.0), 2.776_445_105_197_793, 1e-9);
        close(t_quantile(0.95, 9.0), 1.833_112_932_653_345, 1e-9);
        close(t_quantile(0.025, 30.0), -2.042_272_456_301_238, 1e-9);
        close(normal_quantile(0.975), 1.959_963_984_540_054, 1e-6);
        close(normal_quantile(0.5), 0.0, 1e-12);
    }

    #[test]
    fn wilson_is_that_of_the_literature() {
        // statsmodels: proportion_confint(9, 10, method="wilson").
        let (low, high) = wilson(0.9, 10.0, 0.95);
        close(low, 0.595_849_973_786_6, 1e-6);
        close(high, 0.982_123_786_904_9, 1e-6);
        assert_eq!(wilson(0.5, 0.0, 0.95), (0.0, 1.0));
    }

    #[test]
    fn percentiles_interpolate() {
        let (low, high) = percentile((0..=100).map(f64::from).collect(), 0.9).expect("there are values");
        close(low, 5.0, 1e-9);
        close(high, 95.0, 1e-9);
        assert_eq!(percentile(vec![], 0.95), None);
        assert_eq!(percentile(vec![1.0, f64::NAN], 0.95), None);
    }

    #[test]
    fn a_resample_draws_each_item_once_on_average() {
        let mut counts = [0usize; 10];
        for items in Resamples::new(1, 10, 2_000) {
            assert_eq!(items.len(), 10);
            items.iter().for_each(|i| counts[*i as usize] += 1);
        }
        assert!(counts.iter().all(|c| (1_800..2_200).contains(c)), "{counts:?}");
        assert_eq!(Resamples::new(1, 0, 5).count(), 0);
    }
}
