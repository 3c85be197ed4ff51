//! Tokens, steps and epochs: how a budget becomes a number of steps.

use super::Known;
use super::batches::Step;
use super::figures::{amount, flops, number, plural, thousands};
use super::spec::{Quantity, Unit};

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
        Rows::Packed => steps.clone().map(|s| step.tokens_in(s)),
        Rows::Padded => both(&steps, &given.data.tokens).and_then(|(s, tokens)| {
            given.data.documents.clone().map(|documents| {
                let seen = step.sequences_in(s) as f64 / documents.max(1) as f64;
                ((tokens as f64 * seen) as u64).min(step.tokens_in(s))
            })
        }),
    };
    let epochs = match given.rows {
        Rows::Packed => both(&steps, &given.data.tokens).map(|(s, all)| step.tokens_in(s) as f64 / all.max(1) as f64),
        Rows::Padded => {
            both(&steps, &given.data.documents).map(|(s, all)| step.sequences_in(s) as f64 / all.max(1) as f64)
        }
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
    let growing = step.growth.map_or_else(String::new, |growth| {
        format!(" (from {} on, over {})", thousands(growth.from), plural(growth.steps, "step", "steps"))
    });
    let rows = format!("{} a step{growing}", plural(step.sequences, "sequence", "sequences"));
    let growing = step.growth.map_or_else(String::new, |growth| {
        let from = growth.from.saturating_mul(step.sequence);
        format!(" (from {} on, over {})", thousands(from), plural(growth.steps, "step", "steps"))
    });
    // What a step of samples has room for is more than it learns from.
    let room = if given.rows == Rows::Padded { ", padding included" } else { "" };
    let a_step = format!("{} a step{growing}{room}", plural(step.tokens(), "token", "tokens"));
    let name = &given.data.name;
    match given.budget.unit {
        Unit::Steps => {
            let steps = wanted.floor() as u64;
            let times = plural(steps, "step", "steps");
            let text = match given.rows {
                Rows::Packed => format!("{times} × {a_step} = {} tokens", thousands(step.tokens_in(steps))),
                Rows::Padded => format!("{times} × {rows} = {}", plural(step.sequences_in(steps), "sample", "samples")),
            };
            (Known::Value(steps), text)
        }
        Unit::Tokens => {
            let steps = step.for_tokens(wanted).floor() as u64;
            (Known::Value(steps), format!("{} tokens ÷ {a_step} = {}", amount(wanted), plural(steps, "step", "steps")))
        }
        Unit::Flops => {
            let steps =
                given.flops_per_token.clone().map(|cost| step.for_tokens(wanted / cost.max(1.0)).floor() as u64);
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
            let steps = given.tokens_per_second.clone().map(|speed| step.for_tokens(wanted * speed).floor() as u64);
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
            Rows::Packed => counted(
                &given.data.tokens,
                wanted,
                |n| step.for_tokens(n),
                |all| format!("{} × {all} tokens of `{name}` ÷ {a_step}", epochs(wanted)),
            ),
            Rows::Padded => counted(
                &given.data.documents,
                wanted,
                |n| step.for_sequences(n),
                |all| format!("{} × {all} samples of `{name}` ÷ {rows}", epochs(wanted)),
            ),
        },
        Unit::Documents => match given.rows {
            Rows::Padded => {
                let steps = step.for_sequences(wanted).ceil() as u64;
                let text = format!("{} samples ÷ {rows} = {}", amount(wanted), plural(steps, "step", "steps"));
                (Known::Value(steps), text)
            }
            Rows::Packed => {
                let mean = both(&given.data.tokens, &given.data.documents)
                    .map(|(tokens, documents)| tokens as f64 / documents.max(1) as f64);
                let steps = mean.clone().map(|mean| step.for_tokens(wanted * mean).ceil() as u64);
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
fn counted(
    all: &Known<u64>,
    times: f64,
    steps_for: impl Fn(f64) -> f64,
    text: impl Fn(String) -> String,
) -> (Known<u64>, String) {
    match all {
        Known::Value(n) => {
            let steps = steps_for(times * *n as f64).ceil() as u64;
            (Known::Value(steps), format!("{} = {}", text(thousands(*n)), plural(steps, "step", "steps")))
        }
        Known::Unknown(why) => (Known::Unknown(why.clone()), text("the".to_owned())),
    }
}

fn epochs(n: f64) -> String {
    format!("{} {}", number(n), if n == 1.0 { "epoch" } else { "epochs" })
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
    let step = row_step(sequence);
    longest.max(1).div_ceil(step).saturating_mul(step).min(sequence)
}

/// All lengths that rows of `sequence` tokens are cut to, the shortest first.
pub fn row_lengths(sequence: u64) -> impl Iterator<Item = u64> {
    let step = row_step(sequence);
    (1..=sequence.div_ceil(step)).map(move |steps| steps.saturating_mul(step).min(sequence))
}

fn row_step(sequence: u64) -> u64 {
    sequence.div_ceil(ROW_LENGTHS).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::batches::Growth;
    use super::*;

    fn given(amount: f64, unit: Unit, rows: Rows) -> Budget {
        let unknown = || Known::Unknown("not counted".to_owned());
        Budget {
            budget: Quantity { amount, unit },
            step: Step { sequences: 64, sequence: 256, growth: None },
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
    fn a_growing_batch_takes_more_steps() {
        let step = Step { growth: Some(Growth { from: 8, steps: 100 }), ..given(0.0, Unit::Steps, Rows::Packed).step };
        let grown = |budget: Budget| length(&Budget { step, ..budget });
        let l = grown(given(1e7, Unit::Tokens, Rows::Packed));
        let text = "10 M tokens ÷ 16,384 tokens a step (from 2,048 on, over 100 steps) = 655 steps";
        assert_eq!(l.derivation, text);
        // No more than the budget, and no step less than fits.
        let Known::Value(tokens) = l.tokens else { panic!("unknown") };
        assert!(tokens <= 10_000_000 && tokens + 64 * 256 > 10_000_000, "{tokens}");
        let l = grown(counted_given(3.0, Unit::Epochs, Rows::Padded));
        assert_eq!(l.steps, Known::Value(514));
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
        // So many steps are told of in samples too: what rows have room for is not what is learnt from.
        let l = length(&counted_given(10.0, Unit::Steps, Rows::Padded));
        assert_eq!(l.derivation, "10 steps × 64 sequences a step = 640 samples");
        assert_eq!(l.tokens, Known::Value(64_000));
        let l = length(&given(1e7, Unit::Tokens, Rows::Padded));
        assert_eq!(l.derivation, "10 M tokens ÷ 16,384 tokens a step, padding included = 610 steps");
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
