//! Learning rates as functions of the step.

use crate::plan::spec::{self, Unit};
use std::f64::consts::PI;

/// A learning-rate schedule over a known number of steps.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Schedule {
    pub shape: Shape,
    /// Steps that climb from near zero to the peak.
    pub warmup: u64,
    pub steps: u64,
}

/// What follows the warm-up. `floor` is the share of the peak that the end keeps.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    Constant,
    Linear { floor: f64 },
    Cosine { floor: f64 },
}

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ScheduleError {
    #[error("a warm-up cannot be counted in {unit:?}; use a share of the stage (2%), steps or tokens")]
    Unit { unit: Unit },
    #[error("the warm-up takes {warmup} steps and the stage has {steps}; shorten it")]
    TooLong { warmup: u64, steps: u64 },
}

impl Schedule {
    /// Fixes a schedule of the language for a stage of `steps` steps of about `tokens_per_step` tokens.
    ///
    /// # Errors
    /// A warm-up in another unit than a share, steps or tokens, or one that is longer than the stage.
    pub fn resolve(spec: &spec::Schedule, steps: u64, tokens_per_step: u64) -> Result<Schedule, ScheduleError> {
        let (warmup, shape) = match spec {
            spec::Schedule::Constant(s) => (s.warmup, Shape::Constant),
            spec::Schedule::Linear(s) => (s.warmup, Shape::Linear { floor: s.floor }),
            spec::Schedule::Cosine(s) => (s.warmup, Shape::Cosine { floor: s.floor }),
        };
        let warmup = match warmup.unit {
            Unit::Ratio | Unit::One => (warmup.amount * steps as f64).round(),
            Unit::Steps => warmup.amount.round(),
            Unit::Tokens => (warmup.amount / tokens_per_step.max(1) as f64).ceil(),
            unit => return Err(ScheduleError::Unit { unit }),
        };
        let warmup = warmup.max(0.0) as u64;
        if warmup > steps {
            return Err(ScheduleError::TooLong { warmup, steps });
        }
        Ok(Schedule { shape, warmup, steps })
    }

    /// The share of the peak rate that step `step` (counted from 0) uses.
    ///
    /// The warm-up is nanoGPT's, `(step + 1) / (warmup + 1)`, whose first step already learns; after it the shares are those
    /// of `get_linear_schedule_with_warmup` and `get_cosine_schedule_with_warmup` in `transformers`, raised to the floor.
    pub fn share(&self, step: u64) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / (self.warmup + 1) as f64;
        }
        let left = self.steps.saturating_sub(self.warmup).max(1);
        let progress = ((step - self.warmup) as f64 / left as f64).min(1.0);
        match self.shape {
            Shape::Constant => 1.0,
            Shape::Linear { floor } => floor + (1.0 - floor) * (1.0 - progress),
            Shape::Cosine { floor } => floor + (1.0 - floor) * 0.5 * (1.0 + (PI * progress).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::spec::{CosineSchedule, Quantity};

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
            Schedule::resolve(&spec::Schedule::Cosine(CosineSchedule { warmup, floor: 0.1 }), 500, 2048)
                .map(|s| s.warmup)
        };
        assert_eq!(resolve(0.02, Unit::Ratio), Ok(10));
        assert_eq!(resolve(7.0, Unit::Steps), Ok(7));
        assert_eq!(resolve(20_480.0, Unit::Tokens), Ok(10));
        assert_eq!(resolve(501.0, Unit::Steps), Err(ScheduleError::TooLong { warmup: 501, steps: 500 }));
        assert_eq!(resolve(3.0, Unit::Seconds), Err(ScheduleError::Unit { unit: Unit::Seconds }));
    }
}
