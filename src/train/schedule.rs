//! Learning rates as functions of the step.

use crate::plan::spec::{self, Fall, Quantity, Unit};
use std::f64::consts::PI;

/// A learning-rate schedule over a known number of steps.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Schedule {
    pub shape: Shape,
    /// Steps that climb from near zero to the peak.
    pub warmup: u64,
    pub steps: u64,
}

/// What follows the warm-up. `floor` is the share of the peak that the end keeps.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    Constant,
    Linear {
        floor: f64,
    },
    Cosine {
        floor: f64,
    },
    /// The peak, and a fall over the last `decay` steps.
    Wsd {
        decay: u64,
        fall: Fall,
        floor: f64,
    },
    InverseSqrt {
        timescale: u64,
    },
    /// Straight lines between steps and shares of the peak.
    Piecewise {
        points: Vec<(u64, f64)>,
    },
}

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ScheduleError {
    #[error("a schedule cannot be counted in {unit:?}; use a share of the stage (2%), steps or tokens")]
    Unit { unit: Unit },
    #[error("the warm-up takes {warmup} steps and the stage has {steps}; shorten it")]
    TooLong { warmup: u64, steps: u64 },
    #[error("warm-up and decay take {warmup} and {decay} steps and the stage has {steps}; shorten them")]
    NoRoom { warmup: u64, decay: u64, steps: u64 },
    #[error(
        "point {number} of the schedule lies at step {at}, before the one that precedes it; put them in order of their places"
    )]
    Order { number: usize, at: u64 },
}

/// Steps over which an inverse root falls where neither it nor a warm-up says, as in `transformers`.
const TIMESCALE: u64 = 10_000;

impl Schedule {
    /// Fixes a schedule of the language for a stage of `steps` steps; `steps_of` says how many steps read so many tokens.
    ///
    /// # Errors
    /// A length in another unit than a share, steps or tokens; lengths that do not come within the stage; points out of
    /// order.
    pub fn resolve(
        spec: &spec::Schedule,
        steps: u64,
        steps_of: impl Fn(f64) -> f64,
    ) -> Result<Schedule, ScheduleError> {
        let count = |length: Quantity| {
            let count = match length.unit {
                Unit::Ratio | Unit::One => (length.amount * steps as f64).round(),
                Unit::Steps => length.amount.round(),
                Unit::Tokens => steps_of(length.amount).ceil(),
                unit => return Err(ScheduleError::Unit { unit }),
            };
            Ok(count.max(0.0) as u64)
        };
        let warmup = spec.warmup().map_or(Ok(0), count)?;
        if warmup > steps {
            return Err(ScheduleError::TooLong { warmup, steps });
        }
        let shape = match spec {
            spec::Schedule::Constant(_) => Shape::Constant,
            spec::Schedule::Linear(s) => Shape::Linear { floor: s.floor },
            spec::Schedule::Cosine(s) => Shape::Cosine { floor: s.floor },
            spec::Schedule::Wsd(s) => {
                let decay = count(s.decay)?;
                if warmup.saturating_add(decay) > steps {
                    return Err(ScheduleError::NoRoom { warmup, decay, steps });
                }
                Shape::Wsd { decay, fall: s.shape, floor: s.floor }
            }
            spec::Schedule::InverseSqrt(s) => {
                let unsaid = if warmup > 0 { warmup } else { TIMESCALE };
                Shape::InverseSqrt {
                    timescale: s.timescale.and_then(|n| u64::try_from(n).ok()).unwrap_or(unsaid).max(1),
                }
            }
            spec::Schedule::Piecewise(s) => {
                let points: Result<Vec<(u64, f64)>, _> =
                    s.points.iter().map(|point| Ok((count(point.at)?, point.share))).collect();
                let points = points?;
                if let Some(i) = (1..points.len()).find(|i| points[*i].0 < points[i - 1].0) {
                    return Err(ScheduleError::Order { number: i + 1, at: points[i].0 });
                }
                Shape::Piecewise { points }
            }
        };
        Ok(Schedule { shape, warmup, steps })
    }

    /// The share of the peak rate that step `step` (counted from 0) uses.
    ///
    /// The warm-up is nanoGPT's, `(step + 1) / (warmup + 1)`, whose first step already learns; after it the shares are those
    /// of `get_linear_schedule_with_warmup`, `get_cosine_schedule_with_warmup`, `get_wsd_schedule` and
    /// `get_inverse_sqrt_schedule` in `transformers`, raised to the floor.
    pub fn share(&self, step: u64) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / (self.warmup + 1) as f64;
        }
        let left = self.steps.saturating_sub(self.warmup).max(1);
        let progress = ((step - self.warmup) as f64 / left as f64).min(1.0);
        match &self.shape {
            Shape::Constant => 1.0,
            Shape::Linear { floor } => fall(Fall::Linear, progress, *floor),
            Shape::Cosine { floor } => fall(Fall::Cosine, progress, *floor),
            Shape::Wsd { decay, fall: shape, floor } => {
                let into = step.saturating_sub(self.steps.saturating_sub(*decay));
                fall(*shape, (into as f64 / (*decay).max(1) as f64).min(1.0), *floor)
            }
            Shape::InverseSqrt { timescale } => {
                let timescale = *timescale as f64;
                (timescale / ((step - self.warmup) as f64 + timescale)).sqrt()
            }
            Shape::Piecewise { points } => between(points, step),
        }
    }
}

/// A fall from one to `floor`.
fn fall(shape: Fall, progress: f64, floor: f64) -> f64 {
    let share = match shape {
        Fall::Linear => 1.0 - progress,
        Fall::Sqrt => 1.0 - progress.sqrt(),
        Fall::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
    };
    floor + (1.0 - floor) * share
}

/// On the line through the points around a step; of points at the same step the last counts.
fn between(points: &[(u64, f64)], step: u64) -> f64 {
    let after = points.partition_point(|(at, _)| *at <= step);
    match (after.checked_sub(1).and_then(|i| points.get(i)), points.get(after)) {
        (Some((from, a)), Some((to, b))) => a + (b - a) * (step - from) as f64 / (to - from) as f64,
        (Some((_, share)), None) | (None, Some((_, share))) => *share,
        (None, None) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::spec::{CosineSchedule, InverseSqrtSchedule, PiecewiseSchedule, Point, WsdSchedule};
    use std::collections::BTreeMap;

    #[test]
    fn the_cosine_of_nanogpt() {
        // Its get_lr with learning_rate 1e-3, min_lr 1e-4, warmup_iters 100, lr_decay_iters 2000.
        let schedule = Schedule { shape: Shape::Cosine { floor: 0.1 }, warmup: 100, steps: 2000 };
        let rate = |step| schedule.share(step) * 1e-3;
        for (step, expected) in [
            (0, 9.900_990_099e-6),
            (99, 9.900_990_099e-4),
            (100, 1e-3),
            (1000, 5.871_607_055e-4),
            (1999, 1.000_006_151e-4),
        ] {
            assert!((rate(step) - expected).abs() < 1e-12, "{step}: {}", rate(step));
        }
    }

    #[test]
    fn linear_falls_to_its_floor_and_constant_stays() {
        let linear = Schedule { shape: Shape::Linear { floor: 0.0 }, warmup: 0, steps: 10 };
        assert_eq!(
            (0..10).map(|s| (linear.share(s) * 10.0).round()).collect::<Vec<_>>(),
            [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
        );
        let constant = Schedule { shape: Shape::Constant, warmup: 1, steps: 10 };
        assert_eq!([constant.share(0), constant.share(1), constant.share(9)], [0.5, 1.0, 1.0]);
    }

    #[test]
    fn a_warm_up_is_a_share_steps_or_tokens() {
        let resolve = |amount, unit| {
            let warmup = Quantity { amount, unit };
            Schedule::resolve(&spec::Schedule::Cosine(CosineSchedule { warmup, floor: 0.1 }), 500, |n| n / 2048.0)
                .map(|s| s.warmup)
        };
        assert_eq!(resolve(0.02, Unit::Ratio), Ok(10));
        assert_eq!(resolve(7.0, Unit::Steps), Ok(7));
        assert_eq!(resolve(20_480.0, Unit::Tokens), Ok(10));
        assert_eq!(resolve(501.0, Unit::Steps), Err(ScheduleError::TooLong { warmup: 501, steps: 500 }));
        assert_eq!(resolve(3.0, Unit::Seconds), Err(ScheduleError::Unit { unit: Unit::Seconds }));
    }

    fn steps(amount: f64) -> Quantity {
        Quantity { amount, unit: Unit::Steps }
    }

    /// See `tests/golden/make_optimizer_golden.py`: 40 steps, of which 4 warm up and the last 8 fall.
    #[test]
    fn falls_are_those_of_transformers() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data-golden/optimizer/schedules.json");
        let golden: BTreeMap<String, Vec<f64>> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let wsd = |shape| {
            let ratio = Quantity { amount: 0.2, unit: Unit::Ratio };
            spec::Schedule::Wsd(WsdSchedule { warmup: steps(4.0), decay: ratio, shape, floor: 0.1 })
        };
        let root = |timescale| spec::Schedule::InverseSqrt(InverseSqrtSchedule { warmup: steps(4.0), timescale });
        for (name, spec) in [
            ("wsd linear", wsd(Fall::Linear)),
            ("wsd 1-sqrt", wsd(Fall::Sqrt)),
            ("wsd cosine", wsd(Fall::Cosine)),
            ("inverse_sqrt", root(None)),
            ("inverse_sqrt 10", root(Some(10))),
        ] {
            let schedule = Schedule::resolve(&spec, 40, |n| n).unwrap();
            assert_eq!(golden[name].len(), 40);
            for (step, expected) in golden[name].iter().enumerate().skip(4) {
                let ours = schedule.share(step as u64);
                assert!((ours - expected).abs() < 1e-12, "{name} at {step}: {ours} and {expected}");
            }
        }
    }

    #[test]
    fn pieces_are_lines_between_points() {
        let piecewise = |points: &[(f64, f64)]| {
            let points = points.iter().map(|(at, share)| Point { at: steps(*at), share: *share }).collect();
            Schedule::resolve(&spec::Schedule::Piecewise(PiecewiseSchedule { points }), 20, |n| n)
        };
        let schedule = piecewise(&[(2.0, 0.0), (4.0, 1.0), (10.0, 1.0), (10.0, 0.5), (20.0, 0.0)]).unwrap();
        let shares: Vec<f64> = [0, 2, 3, 4, 9, 10, 15, 19, 25].iter().map(|step| schedule.share(*step)).collect();
        assert_eq!(shares[..7], [0.0, 0.0, 0.5, 1.0, 1.0, 0.5, 0.25]);
        assert!((shares[7] - 0.05).abs() < 1e-12 && shares[8] == 0.0, "{shares:?}");
        assert_eq!(piecewise(&[(5.0, 1.0), (3.0, 0.5)]), Err(ScheduleError::Order { number: 2, at: 3 }));
    }

    #[test]
    fn warm_up_and_fall_come_within_the_stage() {
        let wsd = spec::Schedule::Wsd(WsdSchedule {
            warmup: steps(30.0),
            decay: Quantity { amount: 0.5, unit: Unit::Ratio },
            shape: Fall::Linear,
            floor: 0.0,
        });
        assert_eq!(Schedule::resolve(&wsd, 50, |n| n), Err(ScheduleError::NoRoom { warmup: 30, decay: 25, steps: 50 }));
        assert!(Schedule::resolve(&wsd, 60, |n| n).is_ok());
    }
}
