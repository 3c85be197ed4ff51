//! Choosing the next token from logits.

use crate::random::Draws;

/// How to choose.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Sampler {
    /// Zero takes the most probable token.
    pub temperature: f64,
    /// Keep so many of the most probable; absent or 0: all.
    pub top_k: Option<usize>,
    /// Keep the most probable whose probabilities first reach this, and at least one; absent: all (Holtzman et al. 2020).
    pub top_p: Option<f64>,
}

impl Sampler {
    /// The next token and its log-probability under the untouched distribution. Equal logits go to the lower id.
    pub fn choose(&self, logits: &[f32], draws: &mut Draws) -> (u32, f32) {
        let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|l| f64::from(l - peak).exp()).sum();
        let logprob = |id: usize| (f64::from(logits[id] - peak) - total.ln()) as f32;
        if self.temperature <= 0.0 {
            let best = (0..logits.len()).fold(0, |best, id| if logits[id] > logits[best] { id } else { best });
            return (best as u32, logprob(best));
        }
        let mut ranked: Vec<usize> = (0..logits.len()).collect();
        let by_logit = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
        if let Some(k) = self.top_k.filter(|k| (1..ranked.len()).contains(k)) {
            ranked.select_nth_unstable_by(k - 1, by_logit);
            ranked.truncate(k);
        }
        // Sorting fixes the order that the uniform draw walks, so that a choice does not depend on how it was filtered.
        ranked.sort_unstable_by(by_logit);
        let mut weights: Vec<f64> =
            ranked.iter().map(|id| (f64::from(logits[*id] - peak) / self.temperature).exp()).collect();
        if let Some(p) = self.top_p.filter(|p| *p < 1.0) {
            let limit = weights.iter().sum::<f64>() * p;
            let mut reached = 0.0;
            let kept = weights.iter().take_while(|weight| {
                let more = reached < limit;
                reached += **weight;
                more
            });
            let kept = kept.count().max(1);
            weights.truncate(kept);
        }
        let mut left = draws.uniform() * weights.iter().sum::<f64>();
        let mut at = weights.len() - 1;
        for (i, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                at = i;
                break;
            }
        }
        (ranked[at] as u32, logprob(ranked[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::Sampler;
    use crate::random::Stream;

    fn counts(sampler: Sampler, logits: &[f32]) -> Vec<usize> {
        let stream = Stream::new(1, "test");
        let mut counts = vec![0; logits.len()];
        (0..10_000).for_each(|i| counts[sampler.choose(logits, &mut stream.at(i)).0 as usize] += 1);
        counts
    }

    #[test]
    fn zero_temperature_takes_the_most_probable_and_the_first_of_equals() {
        let sampler = Sampler { temperature: 0.0, top_k: None, top_p: None };
        assert_eq!(counts(sampler, &[1.0, 3.0, 3.0])[1], 10_000);
    }

    #[test]
    fn sampling_follows_the_probabilities_at_a_temperature() {
        let logits = [0.0, 2f32.ln(), 4f32.ln()];
        let sampler = Sampler { temperature: 1.0, top_k: None, top_p: None };
        let counts = counts(sampler, &logits);
        for (count, expected) in counts.iter().zip([1429, 2857, 5714]) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }

    #[test]
    fn top_k_and_top_p_cut_the_tail() {
        let logits = [0.0, 1.0, 2.0, 3.0];
        let sampler = Sampler { temperature: 1.0, top_k: Some(2), top_p: None };
        assert_eq!(counts(sampler, &logits)[..2], [0, 0]);
        // The probabilities are 0.032, 0.087, 0.237 and 0.644.
        let sampler = Sampler { temperature: 1.0, top_k: None, top_p: Some(0.6) };
        assert_eq!(counts(sampler, &logits)[3], 10_000);
        let sampler = Sampler { temperature: 1.0, top_k: None, top_p: Some(0.7) };
        assert_eq!(counts(sampler, &logits)[..2], [0, 0]);
    }

    #[test]
    fn the_ends_of_the_scales_mean_what_they_mean_elsewhere() {
        let logits = [0.0, 1.0, 2.0, 3.0];
        let all = counts(Sampler { temperature: 1.0, top_k: None, top_p: None }, &logits);
        assert!(all.iter().all(|count| *count > 0), "{all:?}");
        let is = |top_k, top_p| counts(Sampler { temperature: 1.0, top_k, top_p }, &logits);
        assert_eq!(is(Some(0), None), all, "0 is off");
        assert_eq!(is(Some(4), None), all);
        assert_eq!(is(Some(1_000), Some(1.0)), all);
        assert_eq!(is(Some(1), None), [0, 0, 0, 10_000]);
        assert_eq!(is(None, Some(0.0)), [0, 0, 0, 10_000], "one token stays");
    }
}
