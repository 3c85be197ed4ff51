//! Tokens, steps and epochs: how a budget becomes a number of steps.

use super::Known;
use super::figures::{amount, flops, number, plural, thousands};
use super::spec::{Quantity, Unit};

/// One optimiser step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Sequences it learns from.
    pub sequences: u64,
    /// Tokens in each.
    pub sequence: u64,
}

impl Step {
    /// A batch in tokens holds as many whole sequences as fit, and at least one; a batch in documents is that many
    /// sequences.
    pub fn of(batch: Quantity, sequence: u64) -> Step {
        let sequence = sequence.max(1);
        let sequences = match batch.unit {
            Unit::Tokens => batch.amount / sequence as f64,
            _ => batch.amount,
        };
        Step { sequences: (sequences.floor() as u64).max(1), sequence }
    }

    /// Tokens of a step, padding included.
    pub fn tokens(self) -> u64 {
        self.sequences.saturating_mul(self.sequence)
    }
}

/// How documents fill sequences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    /// Laid end to end and cut: pretraining.
    Packed,
    /// One sample a sequence, cut or padded: tuning.
    Padded,
}

/// What is known of the data a stage trains on.
#[derive(Clone, PartialEq, Debug)]
pub struct Amounts {
    /// How the data is called: `stories.train`.
    pub name: String,
    pub tokens: Known<u64>,
    pub documents: Known<u64>,
}

/// Everything that the length of a stage follows from.
#[derive(Clone, PartialEq, Debug)]
pub struct Budget {
    pub budget: Quantity,
    pub step: Step,
    pub rows: Rows,
    pub data: Amounts,
    /// See [`training_flops_per_token`](super::training_flops_per_token).
    pub flops_per_token: Known<f64>,
    pub tokens_per_second: Known<f64>,
}

/// How long a stage trains.
#[derive(Clone, PartialEq, Debug)]
pub struct Length {
    /// Tokens trained on; of padded rows without the padding.
    pub tokens: Known<u64>,
    pub steps: Known<u64>,
    pub epochs: Known<f64>,
    /// The calculation, for people.
    pub derivation: String,
}

/// Derives steps, tokens and epochs.
///
/// A budget in tokens, FLOPs or seconds is an upper limit: steps are rounded down. One in epochs or documents is a wish to
/// see the data: steps are rounded up, so that the last document is seen too.
pub fn length(given: &Budget) -> Length {
    let (steps, derivation) = steps(given);
    let step = given.step;
    let tokens = match given.rows {
        Rows::Packed => steps.clone().map(|s| s.saturating_mul(step.tokens())),
        Rows::Padded => both(&steps, &given.data.tokens).and_then(|(s, tokens)| {
            given.data.documents.clone().map(|documents| {
                let seen = s.saturating_mul(step.sequences) as f64 / documents.max(1) as f64;
                ((tokens as f64 * seen) as u64).min(s.saturating_mul(step.tokens()))
            })
        }),
    };
    let epochs = match given.rows {
        Rows::Packed => {
            both(&steps, &given.data.tokens).map(|(s, all)| s.saturating_mul(step.tokens()) as f64 / all.max(1) as f64)
        }
        Rows::Padded => both(&steps, &given.data.documents)
            .map(|(s, all)| s.saturating_mul(step.sequences) as f64 / all.max(1) as f64),
    };
    // "3 epochs" stays 3 although the last step is filled up.
    let epochs = match given.budget.unit {
        Unit::Epochs if epochs.value().is_some() => Known::Value(given.budget.amount),
        _ => epochs,
    };
    Length { tokens, steps, epochs, derivation }
}

fn steps(given: &Budget) -> (Known<u64>, String) {
    let (step, wanted) = (given.step, given.budget.amount);
    let a_step = format!("{} a step", plural(step.tokens(), "token", "tokens"));
    let rows = format!("{} a step", plural(step.sequences, "sequence", "sequences"));
    let name = &given.data.name;
    match given.budget.unit {
        Unit::Steps => {
            let steps = wanted.floor() as u64;
            let all = steps.saturating_mul(step.tokens());
            let text = format!("{} × {a_step} = {} tokens", plural(steps, "step", "steps"), thousands(all));
            (Known::Value(steps), text)
        }
        Unit::Tokens => {
            let steps = down(wanted, step.tokens());
            (Known::Value(steps), format!("{} tokens ÷ {a_step} = {}", amount(wanted), plural(steps, "step", "steps")))
        }
        Unit::Flops => {
            let steps = given.flops_per_token.clone().map(|cost| down(wanted / cost.max(1.0), step.tokens()));
            let text = match (&steps, &given.flops_per_token) {
                (Known::Value(s), Known::Value(cost)) => format!(
                    "{} FLOPs ÷ {} FLOPs a token ÷ {a_step} = {}",
                    flops(wanted),
                    flops(*cost),
                    plural(*s, "step", "steps")
                ),
                _ => format!("{} FLOPs ÷ FLOPs a token (not known yet) ÷ {a_step}", flops(wanted)),
            };
            (steps, text)
        }
        Unit::Seconds => {
            let steps = given.tokens_per_second.clone().map(|speed| down(wanted * speed, step.tokens()));
            let text = match (&steps, &given.tokens_per_second) {
                (Known::Value(s), Known::Value(speed)) => format!(
                    "{} × {} tokens a second ÷ {a_step} ≈ {}",
                    super::figures::duration(wanted),
                    number(*speed),
                    plural(*s, "step", "steps")
                ),
                _ => format!("as many steps of {a_step} as fit in {}", super::figures::duration(wanted)),
            };
            (steps, text)
        }
        Unit::Epochs => match given.rows {
            Rows::Packed => counted(&given.data.tokens, wanted, step.tokens(), |all| {
                format!("{} × {all} tokens of `{name}` ÷ {a_step}", epochs(wanted))
            }),
            Rows::Padded => counted(&given.data.documents, wanted, step.sequences, |all| {
                format!("{} × {all} samples of `{name}` ÷ {rows}", epochs(wanted))
            }),
        },
        Unit::Documents => match given.rows {
            Rows::Padded => {
                let steps = up(wanted, step.sequences);
                let text = format!("{} samples ÷ {rows} = {}", amount(wanted), plural(steps, "step", "steps"));
                (Known::Value(steps), text)
            }
            Rows::Packed => {
                let mean = both(&given.data.tokens, &given.data.documents)
                    .map(|(tokens, documents)| tokens as f64 / documents.max(1) as f64);
                let steps = mean.clone().map(|mean| up(wanted * mean, step.tokens()));
                let text = match (&steps, &mean) {
                    (Known::Value(s), Known::Value(mean)) => format!(
                        "{} documents × {} tokens a document ÷ {a_step} = {}",
                        amount(wanted),
                        number(*mean),
                        plural(*s, "step", "steps")
                    ),
                    _ => format!("{} documents of `{name}` (not counted yet) ÷ {a_step}", amount(wanted)),
                };
                (steps, text)
            }
        },
        Unit::One | Unit::Ratio | Unit::Bytes | Unit::Dollars => {
            let why = "a budget is tokens, steps, epochs, documents, seconds or FLOPs".to_owned();
            (Known::Unknown(why.clone()), why)
        }
    }
}

/// Steps over `times` passes through `all`, and the calculation.
fn counted(all: &Known<u64>, times: f64, a_step: u64, text: impl Fn(String) -> String) -> (Known<u64>, String) {
    match all {
        Known::Value(n) => {
            let steps = up(times * *n as f64, a_step);
            (Known::Value(steps), format!("{} = {}", text(thousands(*n)), plural(steps, "step", "steps")))
        }
        Known::Unknown(why) => (Known::Unknown(why.clone()), text("the".to_owned())),
    }
}

fn epochs(n: f64) -> String {
    format!("{} {}", number(n), if n == 1.0 { "epoch" } else { "epochs" })
}

fn down(amount: f64, a_step: u64) -> u64 {
    (amount / a_step.max(1) as f64).floor() as u64
}

fn up(amount: f64, a_step: u64) -> u64 {
    (amount / a_step.max(1) as f64).ceil() as u64
}

/// Both figures, or the first reason.
fn both(a: &Known<u64>, b: &Known<u64>) -> Known<(u64, u64)> {
    a.clone().and_then(|a| b.clone().map(|b| (a, b)))
}

/// Rows of padded samples are cut in so many steps: devices then see few shapes, and little of what they compute is
/// padding.
const ROW_LENGTHS: u64 = 8;

/// The length that rows of `sequence` tokens are cut to where the longest sample of their batch has `longest`.
pub fn row_length(longest: u64, sequence: u64) -> u64 {
    let step = sequence.div_ceil(ROW_LENGTHS).max(1);
    longest.max(1).div_ceil(step).saturating_mul(step).min(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(amount: f64, unit: Unit, rows: Rows) -> Budget {
        let unknown = || Known::Unknown("not counted".to_owned());
        Budget {
            budget: Quantity { amount, unit },
            step: Step { sequences: 64, sequence: 256 },
            rows,
            data: Amounts { name: "stories.train".into(), tokens: unknown(), documents: unknown() },
            flops_per_token: Known::Value(1e6),
            tokens_per_second: Known::Unknown("not measured".into()),
        }
    }

    fn counted_given(amount: f64, unit: Unit, rows: Rows) -> Budget {
        let data =
            Amounts { name: "stories.train".into(), tokens: Known::Value(1_000_000), documents: Known::Value(10_000) };
        Budget { data, ..given(amount, unit, rows) }
    }

    #[test]
    fn a_batch_in_tokens_holds_whole_sequences() {
        let tokens = |amount| Quantity { amount, unit: Unit::Tokens };
        assert_eq!(Step::of(tokens(16_384.0), 256).sequences, 64);
        assert_eq!(Step::of(tokens(16_000.0), 256).sequences, 62);
        assert_eq!(Step::of(tokens(100.0), 256).sequences, 1);
        assert_eq!(Step::of(Quantity { amount: 12.0, unit: Unit::Documents }, 64).tokens(), 768);
    }

    #[test]
    fn tokens_become_steps() {
        let l = length(&given(1e7, Unit::Tokens, Rows::Packed));
        assert_eq!(l.derivation, "10 M tokens ÷ 16,384 tokens a step = 610 steps");
        assert_eq!((l.steps, l.tokens), (Known::Value(610), Known::Value(9_994_240)));
        assert_eq!(l.epochs, Known::Unknown("not counted".into()));
        assert_eq!(length(&given(1e4, Unit::Tokens, Rows::Packed)).steps, Known::Value(0));
        let l = length(&counted_given(1e7, Unit::Tokens, Rows::Packed));
        assert_eq!(l.epochs, Known::Value(9.99424));
    }

    #[test]
    fn steps_stay_steps() {
        let l = length(&given(2000.0, Unit::Steps, Rows::Packed));
        assert_eq!(l.derivation, "2,000 steps × 16,384 tokens a step = 32,768,000 tokens");
        assert_eq!(l.tokens, Known::Value(32_768_000));
    }

    #[test]
    fn epochs_wait_for_the_count() {
        let l = length(&given(3.0, Unit::Epochs, Rows::Packed));
        assert_eq!(l.derivation, "3 epochs × the tokens of `stories.train` ÷ 16,384 tokens a step");
        assert_eq!(l.steps, Known::Unknown("not counted".into()));
        let l = length(&counted_given(3.0, Unit::Epochs, Rows::Packed));
        assert_eq!(l.derivation, "3 epochs × 1,000,000 tokens of `stories.train` ÷ 16,384 tokens a step = 184 steps");
        assert_eq!((l.steps, l.epochs), (Known::Value(184), Known::Value(3.0)));
    }

    #[test]
    fn a_padded_row_holds_one_sample() {
        let l = length(&counted_given(3.0, Unit::Epochs, Rows::Padded));
        assert_eq!(l.derivation, "3 epochs × 10,000 samples of `stories.train` ÷ 64 sequences a step = 469 steps");
        // 469 steps see 30,016 samples of 100 tokens on average.
        assert_eq!(l.tokens, Known::Value(3_001_600));
        let l = length(&given(640.0, Unit::Documents, Rows::Padded));
        assert_eq!(l.steps, Known::Value(10));
    }

    #[test]
    fn operations_and_time_are_upper_limits() {
        let l = length(&given(1e13, Unit::Flops, Rows::Packed));
        assert_eq!(l.derivation, "1.00e13 FLOPs ÷ 1.00e6 FLOPs a token ÷ 16,384 tokens a step = 610 steps");
        let l = length(&given(3600.0, Unit::Seconds, Rows::Packed));
        assert_eq!(l.steps, Known::Unknown("not measured".into()));
        let measured = Budget { tokens_per_second: Known::Value(1000.0), ..given(3600.0, Unit::Seconds, Rows::Packed) };
        assert_eq!(length(&measured).steps, Known::Value(219));
    }
}
