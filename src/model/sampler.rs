//! Choosing the next token from logits.
//!
//! The filters come in the order of Hugging Face's `transformers`: the penalty for repetition on the logits, then the
//! temperature, the `top_k` likeliest, of those the likeliest that hold the share `top_p`, and of those the ones that are
//! at least `min_p` as likely as the likeliest. llama.cpp's order differs in that its temperature comes last, so that
//! `top_p` cuts the same tokens at every temperature. Of equal logits the lower ids are kept; `transformers` keeps all that
//! equal the last of the `top_k`.

use crate::random::Draws;
use emberlab_kernels::log_total;
use std::borrow::Cow;

/// How to choose.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Sampler {
    /// Zero takes the most probable token.
    pub temperature: f64,
    /// Keep so many of the most probable; absent or 0: all.
    pub top_k: Option<usize>,
    /// Keep the most probable whose probabilities first reach this, and at least one; absent: all (Holtzman et al. 2020).
    pub top_p: Option<f64>,
    /// Keep those at least this share as probable as the most probable; absent or 0: all (Nguyen et al. 2024).
    pub min_p: Option<f64>,
    /// Logits of tokens that were seen are divided by this if positive, and multiplied if negative; 1: as they are (Keskar
    /// et al. 2019).
    pub repetition_penalty: f64,
}

/// Tokens that a text has seen, its prompt included.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Vec<u32>);

impl Seen {
    pub fn add(&mut self, token: u32) {
        if let Err(at) = self.0.binary_search(&token) {
            self.0.insert(at, token);
        }
    }

    pub fn of(tokens: &[u32]) -> Seen {
        let mut tokens = tokens.to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        Seen(tokens)
    }
}

impl Sampler {
    /// Whether what a text has seen makes a difference.
    pub fn looks_back(&self) -> bool {
        self.repetition_penalty != 1.0
    }

    /// The next token and its log-probability under the untouched distribution. Equal logits go to the lower id.
    pub fn choose(&self, logits: &[f32], seen: &Seen, draws: &mut Draws) -> (u32, f32) {
        let total = log_total(logits);
        let scores = self.penalised(logits, seen);
        let token = if self.temperature <= 0.0 { likeliest(&scores) } else { self.draw(&scores, draws) };
        (token as u32, logits[token] - total)
    }

    /// The logits after the penalty for repetition.
    fn penalised<'a>(&self, logits: &'a [f32], seen: &Seen) -> Cow<'a, [f32]> {
        if !self.looks_back() || seen.0.is_empty() {
            return Cow::Borrowed(logits);
        }
        let mut scores = logits.to_vec();
        let penalty = self.repetition_penalty as f32;
        for token in &seen.0 {
            if let Some(score) = scores.get_mut(*token as usize) {
                *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
            }
        }
        Cow::Owned(scores)
    }

    fn draw(&self, scores: &[f32], draws: &mut Draws) -> usize {
        let mut ranked = Ranked::new(scores, self.temperature, self.top_k);
        let kept = self.kept(&mut ranked);
        let whole = kept.map_or(ranked.total, |(_, whole)| whole);
        let mut left = draws.uniform() * whole;
        let mut last = 0;
        for rank in 0..kept.map_or(usize::MAX, |(count, _)| count) {
            let Some((id, weight)) = ranked.at(rank) else { break };
            last = id;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        last
    }

    /// How many of the most probable are kept, and their weight together; nothing if all are.
    fn kept(&self, ranked: &mut Ranked<'_>) -> Option<(usize, f64)> {
        let (top_p, min_p) = (self.top_p.filter(|p| *p < 1.0), self.min_p.filter(|p| *p > 0.0));
        if top_p.is_none() && min_p.is_none() {
            return None;
        }
        let limit = top_p.map_or(f64::INFINITY, |p| ranked.total * p);
        let least = ranked.at(0).map_or(0.0, |(_, most)| most * min_p.unwrap_or(0.0));
        let (mut count, mut reached) = (0, 0.0);
        while let Some((_, weight)) = ranked.at(count) {
            if count > 0 && (reached >= limit || weight < least) {
                break;
            }
            reached += weight;
            count += 1;
        }
        Some((count, reached))
    }

    /// The distribution that tokens are drawn from, the most probable first.
    #[cfg(test)]
    fn distribution(&self, logits: &[f32], seen: &Seen) -> Vec<(usize, f64)> {
        let scores = self.penalised(logits, seen);
        let mut ranked = Ranked::new(&scores, self.temperature, self.top_k);
        let (count, whole) = self.kept(&mut ranked).unwrap_or((scores.len(), ranked.total));
        (0..count).map_while(|rank| ranked.at(rank)).map(|(id, weight)| (id, weight / whole)).collect()
    }
}

/// The most probable; of equals the first.
fn likeliest(scores: &[f32]) -> usize {
    (0..scores.len()).fold(0, |best, id| if scores[id] > scores[best] { id } else { best })
}

/// Tokens by falling probability, put in order only as far as someone looks: the order of a whole vocabulary costs more
/// than the network's output layer, and a draw seldom goes far. The order is total, so what is drawn does not depend on
/// how the tokens were filtered.
struct Ranked<'a> {
    scores: &'a [f32],
    peak: f32,
    temperature: f64,
    ids: Vec<u32>,
    /// How many of the first are in order.
    sorted: usize,
    /// Weight of all of them together.
    total: f64,
}

impl Ranked<'_> {
    /// Tokens put in order at first.
    const FIRST: usize = 64;

    fn new(scores: &[f32], temperature: f64, top_k: Option<usize>) -> Ranked<'_> {
        let peak = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let ids = (0..scores.len() as u32).collect();
        let mut ranked = Ranked { scores, peak, temperature, ids, sorted: 0, total: 0.0 };
        if let Some(k) = top_k.filter(|k| (1..scores.len()).contains(k)) {
            ranked.sort(k);
            ranked.ids.truncate(k);
        }
        ranked.total = ranked.ids.iter().map(|id| ranked.weight(*id)).sum();
        ranked
    }

    fn weight(&self, id: u32) -> f64 {
        (f64::from(self.scores[id as usize] - self.peak) / self.temperature).exp()
    }

    /// Puts the first `count` in order.
    fn sort(&mut self, count: usize) {
        let (scores, rest) = (self.scores, &mut self.ids[self.sorted..]);
        let more = count.saturating_sub(self.sorted).min(rest.len());
        let by_score = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
        if (1..rest.len()).contains(&more) {
            rest.select_nth_unstable_by(more - 1, by_score);
        }
        rest[..more].sort_unstable_by(by_score);
        self.sorted += more;
    }

    /// The token of a rank with its weight; nothing after the last.
    fn at(&mut self, rank: usize) -> Option<(usize, f64)> {
        if rank >= self.sorted {
            self.sort((rank + 1).max(8 * self.sorted).max(Ranked::FIRST));
        }
        let id = *self.ids.get(rank)?;
        Some((id as usize, self.weight(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Sampler, Seen};
    use crate::random::Stream;

    const PLAIN: Sampler = Sampler { temperature: 1.0, top_k: None, top_p: None, min_p: None, repetition_penalty: 1.0 };

    fn counts(sampler: Sampler, logits: &[f32]) -> Vec<usize> {
        let stream = Stream::new(1, "test");
        let mut counts = vec![0; logits.len()];
        let choose = |i| sampler.choose(logits, &Seen::default(), &mut stream.at(i)).0;
        (0..10_000).for_each(|i| counts[choose(i) as usize] += 1);
        counts
    }

    #[test]
    fn zero_temperature_takes_the_most_probable_and_the_first_of_equals() {
        let sampler = Sampler { temperature: 0.0, ..PLAIN };
        assert_eq!(counts(sampler, &[1.0, 3.0, 3.0])[1], 10_000);
    }

    #[test]
    fn sampling_follows_the_probabilities_at_a_temperature() {
        let logits = [0.0, 2f32.ln(), 4f32.ln()];
        let sampler = PLAIN;
        let counts = counts(sampler, &logits);
        for (count, expected) in counts.iter().zip([1429, 2857, 5714]) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }

    #[test]
    fn top_k_and_top_p_cut_the_tail() {
        let logits = [0.0, 1.0, 2.0, 3.0];
        let sampler = Sampler { top_k: Some(2), ..PLAIN };
        assert_eq!(counts(sampler, &logits)[..2], [0, 0]);
        // The probabilities are 0.032, 0.087, 0.237 and 0.644.
        let sampler = Sampler { top_p: Some(0.6), ..PLAIN };
        assert_eq!(counts(sampler, &logits)[3], 10_000);
        let sampler = Sampler { top_p: Some(0.7), ..PLAIN };
        assert_eq!(counts(sampler, &logits)[..2], [0, 0]);
    }

    #[test]
    fn the_ends_of_the_scales_mean_what_they_mean_elsewhere() {
        let logits = [0.0, 1.0, 2.0, 3.0];
        let all = counts(PLAIN, &logits);
        assert!(all.iter().all(|count| *count > 0), "{all:?}");
        let is = |top_k, top_p| counts(Sampler { top_k, top_p, ..PLAIN }, &logits);
        assert_eq!(is(Some(0), None), all, "0 is off");
        assert_eq!(is(Some(4), None), all);
        assert_eq!(is(Some(1_000), Some(1.0)), all);
        assert_eq!(is(Some(1), None), [0, 0, 0, 10_000]);
        assert_eq!(is(None, Some(0.0)), [0, 0, 0, 10_000], "one token stays");
    }
    #[derive(serde::Deserialize)]
    struct Case {
        logits: Vec<f32>,
        seen: Vec<u32>,
        temperature: f64,
        top_k: Option<usize>,
        top_p: Option<f64>,
        min_p: Option<f64>,
        repetition_penalty: f64,
        /// Token and probability; those that are absent have none.
        kept: Vec<(usize, f64)>,
    }

    /// The cases are those of `tests/golden/make_sampling_golden.py`.
    #[test]
    fn distributions_are_those_of_transformers() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data-golden/model/sampling.json");
        let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert!(cases.len() > 40);
        let mut worst = 0.0f64;
        for (number, case) in cases.iter().enumerate() {
            let Case { temperature, top_k, top_p, min_p, repetition_penalty, .. } = *case;
            let sampler = Sampler { temperature, top_k, top_p, min_p, repetition_penalty };
            let mut ours = sampler.distribution(&case.logits, &Seen::of(&case.seen));
            ours.sort_unstable_by_key(|(id, _)| *id);
            let ids = |kept: &[(usize, f64)]| kept.iter().map(|(id, _)| *id).collect::<Vec<_>>();
            assert_eq!(ids(&ours), ids(&case.kept), "case {number}: {sampler:?}");
            for ((_, a), (_, b)) in ours.iter().zip(&case.kept) {
                worst = worst.max((a - b).abs());
            }
        }
        println!("{} distributions agree to {worst:.1e}", cases.len());
        assert!(worst < 2e-6, "{worst}");
    }

    #[test]
    fn a_penalty_turns_greedy_text_away_from_what_it_has_seen() {
        let draws = &mut Stream::new(1, "test").at(0);
        let sampler = Sampler { temperature: 0.0, repetition_penalty: 1.5, ..PLAIN };
        let logits = [2.0, 1.9, -1.0];
        assert_eq!(sampler.choose(&logits, &Seen::default(), draws).0, 0);
        let mut seen = Seen::of(&[0, 0, 2]);
        let (token, logprob) = sampler.choose(&logits, &seen, draws);
        assert_eq!(token, 1);
        // Of the network's own distribution.
        let total: f32 = logits.iter().map(|l: &f32| l.exp()).sum::<f32>().ln();
        assert!((logprob - (1.9 - total)).abs() < 1e-6);
        seen.add(1);
        assert_eq!(sampler.choose(&logits, &seen, draws).0, 0);
    }

    #[test]
    fn a_draw_far_down_is_found_where_a_whole_sort_would_put_it() {
        let logits: Vec<f32> = (0..5_000).map(|i| ((i * 7_919) % 5_000) as f32 * 1e-4).collect();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        let stream = Stream::new(3, "test");
        for i in 0..200 {
            let (token, _) = PLAIN.choose(&logits, &Seen::default(), &mut stream.at(i));
            let total: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
            let mut left = stream.at(i).uniform() * total;
            let at = order.iter().find(|id| {
                left -= f64::from(logits[**id]).exp();
                left < 0.0
            });
            assert_eq!(Some(&(token as usize)), at);
        }
    }
}
