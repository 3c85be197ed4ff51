//! The loss on data the stage does not learn from.

use super::batch::{Batch, Rows};
use super::error::TrainError;
use super::job::Job;
use super::step::Learner;
use super::stop::Stop;

/// Mean loss per supervised token over the rows of a validation pass, and the tokens it is over. At most about `tokens`
/// tokens are used, from the start; rows always stand in the same order. Nothing, if a stop was requested on the way.
pub(crate) fn validate(
    job: &Job,
    learner: &Learner,
    rows: &Rows,
    tokens: Option<u64>,
    step: u64,
    stop: &Stop,
) -> Result<Option<(f64, u64)>, TrainError> {
    let Job { sequence, micro_batch, pad, .. } = *job;
    let (mut sum, mut weight, mut seen) = (0.0f64, 0, 0);
    let count = rows.valid_count();
    let leaves = learner.result_leaves();
    let mut row = 0;
    while row < count && tokens.is_none_or(|most| seen < most) {
        if stop.requested() {
            return Ok(None);
        }
        let mut batch = Batch::default();
        // Which rows count follows from their tokens alone, however many go through the device together.
        let end = count.min(row + micro_batch);
        while row < end && tokens.is_none_or(|most| seen + batch.tokens < most) {
            rows.push_valid(row, &mut batch);
            row += 1;
        }
        seen += batch.tokens;
        weight += batch.weight();
        let batch = if job.packs() { batch.packed(sequence, pad) } else { batch };
        let time = batch.time(sequence);
        let batch = batch.rows(0, job.rows_through(0, batch.count()), sequence, time, pad);
        let loss = learner.loss(&leaves, &batch, time).try_into_vec_as::<f32>();
        let loss = loss.map_err(|e| TrainError::Device { step, message: e.to_string() })?;
        sum += loss.iter().map(|x| f64::from(*x)).sum::<f64>();
    }
    Ok(Some((sum / weight.max(1) as f64, weight)))
}
