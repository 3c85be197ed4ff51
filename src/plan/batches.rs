//! How many sequences each step of a stage sees.

use super::spec::{self, Quantity, Unit};

/// One optimiser step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Sequences it learns from, once the batch is full.
    pub sequences: u64,
    /// Tokens in each.
    pub sequence: u64,
    /// How the batch becomes full; absent: it is from the first step.
    pub growth: Option<Growth>,
}

/// A batch that grows in a straight line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Growth {
    /// Sequences of the first step; no more than those of the full batch.
    pub from: u64,
    /// Steps before the first full one.
    pub steps: u64,
}

impl Step {
    /// A batch in tokens holds as many whole sequences as fit, and at least one; a batch in documents is that many
    /// sequences.
    pub fn of(batch: Quantity, sequence: u64) -> Step {
        let sequence = sequence.max(1);
        Step { sequences: sequences(batch, sequence), sequence, growth: None }
    }

    /// The same, growing. A length in tokens is taken for that of rows without padding.
    pub fn growing(self, growth: Option<&spec::Growth>) -> Step {
        let growth = growth.map(|growth| {
            let from = sequences(growth.from, self.sequence).min(self.sequences);
            let steps = match growth.over.unit {
                // The mean batch on the way is halfway between the first and the full one.
                Unit::Tokens => 2.0 * growth.over.amount / (from + self.sequences).saturating_mul(self.sequence) as f64,
                _ => growth.over.amount,
            };
            Growth { from, steps: (steps.ceil() as u64).max(1) }
        });
        Step { growth, ..self }
    }

    /// Tokens of a full step, padding included.
    pub fn tokens(self) -> u64 {
        self.sequences.saturating_mul(self.sequence)
    }

    /// Sequences of step `step`, counted from 0.
    pub fn sequences_at(self, step: u64) -> u64 {
        match self.growth {
            Some(Growth { from, steps }) if step < steps => {
                let more = u128::from(self.sequences.saturating_sub(from)) * u128::from(step) / u128::from(steps);
                from.saturating_add(more as u64)
            }
            _ => self.sequences,
        }
    }

    /// Sequences of the first `steps` steps together.
    pub fn sequences_in(self, steps: u64) -> u64 {
        let Some(Growth { from, steps: growing }) = self.growth else { return self.sequences.saturating_mul(steps) };
        let on_the_way = steps.min(growing);
        let more = floor_sum(on_the_way, growing.max(1), self.sequences.saturating_sub(from));
        let full = self.sequences.saturating_mul(steps - on_the_way);
        from.saturating_mul(on_the_way).saturating_add(more).saturating_add(full)
    }

    /// Tokens of the first `steps` steps together, padding included.
    pub fn tokens_in(self, steps: u64) -> u64 {
        self.sequences_in(steps).saturating_mul(self.sequence)
    }

    /// Steps, the last perhaps in part, that see so many sequences.
    pub fn for_sequences(self, wanted: f64) -> f64 {
        match self.growth {
            None => wanted / self.sequences.max(1) as f64,
            Some(growth) => self.reaching(growth, wanted),
        }
    }

    /// Steps, the last perhaps in part, that see so many tokens, padding included.
    pub fn for_tokens(self, wanted: f64) -> f64 {
        match self.growth {
            None => wanted / self.tokens().max(1) as f64,
            Some(growth) => self.reaching(growth, wanted / self.sequence.max(1) as f64),
        }
    }

    fn reaching(self, growth: Growth, wanted: f64) -> f64 {
        let on_the_way = self.sequences_in(growth.steps) as f64;
        if wanted >= on_the_way {
            return growth.steps as f64 + (wanted - on_the_way) / self.sequences.max(1) as f64;
        }
        // The most whole steps that see no more than is wanted.
        let (mut low, mut high) = (0, growth.steps);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.sequences_in(middle) as f64 <= wanted { low = middle } else { high = middle }
        }
        low as f64 + (wanted - self.sequences_in(low) as f64).max(0.0) / self.sequences_at(low).max(1) as f64
    }
}

/// Whole sequences of a batch.
fn sequences(batch: Quantity, sequence: u64) -> u64 {
    let sequences = match batch.unit {
        Unit::Tokens => batch.amount / sequence.max(1) as f64,
        _ => batch.amount,
    };
    (sequences.floor() as u64).max(1)
}

/// The sum of ⌊more · i / m⌋ over i from 0 up to `n` exclusively, with n ≤ m: by counting whole parts, as Euclid's algorithm
/// does (floor_sum of the AtCoder Library).
fn floor_sum(n: u64, m: u64, more: u64) -> u64 {
    let (mut n, mut m, mut a, mut b) = (u128::from(n), u128::from(m), u128::from(more), 0u128);
    let mut sum = 0u128;
    loop {
        if a >= m {
            sum = sum.saturating_add((n * n.saturating_sub(1) / 2).saturating_mul(a / m));
            a %= m;
        }
        if b >= m {
            sum = sum.saturating_add(n.saturating_mul(b / m));
            b %= m;
        }
        let most = a.saturating_mul(n).saturating_add(b);
        if most < m {
            return u64::try_from(sum).unwrap_or(u64::MAX);
        }
        (n, b) = (most / m, most % m);
        (m, a) = (a, m);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_in_tokens_holds_whole_sequences() {
        let tokens = |amount| Quantity { amount, unit: Unit::Tokens };
        assert_eq!(Step::of(tokens(16_384.0), 256).sequences, 64);
        assert_eq!(Step::of(tokens(16_000.0), 256).sequences, 62);
        assert_eq!(Step::of(tokens(100.0), 256).sequences, 1);
        assert_eq!(Step::of(Quantity { amount: 12.0, unit: Unit::Documents }, 64).tokens(), 768);
    }

    #[test]
    fn sums_of_a_growing_batch_are_those_of_its_steps() {
        for (from, full, steps) in [(1, 64, 100), (8, 8, 5), (3, 1000, 7), (1, 2, 1), (5, 64, 63)] {
            let step = Step { sequences: full, sequence: 16, growth: Some(Growth { from, steps }) };
            let mut seen = 0;
            for n in 0..steps + 20 {
                assert_eq!(step.sequences_in(n), seen, "{from} to {full} over {steps}, {n} steps");
                assert_eq!(step.for_sequences(seen as f64), n as f64);
                assert_eq!(step.for_tokens((seen * 16) as f64 + 8.0).floor(), n as f64);
                seen += step.sequences_at(n);
            }
            assert_eq!((step.sequences_at(0), step.sequences_at(steps)), (from, full));
        }
    }

    #[test]
    fn growth_over_tokens_reads_about_so_many() {
        let quantity = |amount, unit| Quantity { amount, unit };
        let spec = spec::Growth { from: quantity(8.0, Unit::Documents), over: quantity(1e6, Unit::Tokens) };
        let step = Step::of(quantity(64.0, Unit::Documents), 256).growing(Some(&spec));
        let Some(growth) = step.growth else { panic!("it does not grow") };
        let read = step.tokens_in(growth.steps) as f64;
        assert!((read - 1e6).abs() < 0.02 * 1e6, "{read}");
        // A batch in tokens, over steps.
        let spec = spec::Growth { from: quantity(600.0, Unit::Tokens), over: quantity(10.0, Unit::Steps) };
        assert_eq!(
            Step::of(quantity(64.0, Unit::Documents), 256).growing(Some(&spec)).growth,
            Some(Growth { from: 2, steps: 10 })
        );
    }
}
