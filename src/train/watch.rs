//! Watching the loss: what a leap is, and what becomes of a step that has one.

use super::checkpoint::State;
use super::error::TrainError;
use super::observer::StepReport;
use crate::plan::spec::{OnSpike, Spike};

/// Times that a stage may go back to the same checkpoint.
pub(super) const RETURNS: u64 = 3;

/// Steps in a row that may overflow f16: the scale of the loss is then 2⁻²⁴ of where it began.
const OVERFLOWS: u64 = 40;

/// What becomes of a step.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Good,
    /// It was left out, for this reason.
    Skipped(String),
    /// It was left out because its gradients overflowed f16, as happens now and then.
    Overflowed,
    /// It undoes what came since the last checkpoint, for this reason.
    RollBack(String),
}

/// Judges a step by its numbers, and notes in `state` what later steps are judged by. `counted` says whether the device let
/// the step change anything; `last` is the last finite loss and its step.
///
/// # Errors
/// When the stage must not go on.
pub(super) fn judge(
    spike: Option<&Spike>,
    state: &mut State,
    report: &StepReport,
    counted: bool,
    last: Option<(u64, f64)>,
) -> Result<Verdict, TrainError> {
    let step = report.step;
    if let Some(scale) = report.loss_scale {
        if report.loss.is_finite() && !report.grad_norm.is_finite() {
            state.overflows += 1;
            state.overflows_in_a_row += 1;
            return match state.overflows_in_a_row >= OVERFLOWS {
                true => Err(TrainError::Scale { steps: state.overflows_in_a_row, step, scale }),
                false => Ok(Verdict::Overflowed),
            };
        }
        state.overflows_in_a_row = 0;
        if !report.loss.is_finite() && spike.is_none_or(|spike| spike.action == OnSpike::Stop) {
            return Err(TrainError::Overflow { value: report.loss, step, last });
        }
    }
    let numbers = [("loss", report.loss), ("gradient norm", report.grad_norm)];
    let infinite = numbers.into_iter().find(|(_, value)| !value.is_finite());
    let stop = |(what, value)| Err(TrainError::NonFinite { what, value, step, last });
    let Some(spike) = spike else { return infinite.map_or(Ok(Verdict::Good), stop) };
    let leaps = infinite.is_some() || state.limit.is_some_and(|limit| report.loss > limit);
    let bad = if spike.action == OnSpike::Skip { !counted } else { leaps };
    if !bad {
        state.recent.push(report.loss);
        let window = window(spike);
        if state.recent.len() > window {
            state.recent.remove(0);
        }
        state.skipped_in_a_row = 0;
        return Ok(Verdict::Good);
    }
    let median = state.limit.map_or(f64::NAN, |limit| limit / spike.factor);
    let why = match infinite {
        Some((what, value)) => format!("the {what} of step {step} is {value}"),
        None => format!("the loss of step {step} leaps to {:.4}, from a median of {median:.4}", report.loss),
    };
    match spike.action {
        OnSpike::Stop => {
            infinite.map_or(Err(TrainError::Spike { loss: report.loss, step, factor: spike.factor, median }), stop)
        }
        OnSpike::Skip => {
            state.skipped += 1;
            state.skipped_in_a_row += 1;
            if state.skipped_in_a_row >= window(spike) as u64 {
                return Err(TrainError::Stuck { steps: state.skipped_in_a_row, step });
            }
            Ok(Verdict::Skipped(format!("{why}: the step is left out")))
        }
        OnSpike::RollBack => Ok(Verdict::RollBack(why)),
    }
}

/// The loss above which the next steps leap, once as many losses are known as the median is over. A number of f32, since a
/// GPU compares with it.
pub(super) fn limit(spike: &Spike, recent: &[f64]) -> Option<f64> {
    if recent.len() < window(spike) {
        return None;
    }
    let mut sorted = recent.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
    Some(f64::from((median * spike.factor) as f32))
}

/// What a device compares with: nothing is above the largest finite number but what is not finite.
pub(super) fn bound(spike: Option<&Spike>, state: &State) -> Option<f32> {
    spike.filter(|spike| spike.action == OnSpike::Skip)?;
    Some(state.limit.map_or(f32::MAX, |limit| limit as f32))
}

fn window(spike: &Spike) -> usize {
    usize::try_from(spike.window).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_multiple_of_the_median_once_the_window_is_full() {
        let spike = Spike { factor: 2.0, window: 4, action: OnSpike::Stop };
        assert_eq!(limit(&spike, &[1.0, 2.0, 3.0]), None);
        assert_eq!(limit(&spike, &[9.0, 1.0, 2.0, 3.0]), Some(5.0));
        assert_eq!(limit(&Spike { window: 3, ..spike }, &[9.0, 1.0, 2.0]), Some(4.0));
    }
}
