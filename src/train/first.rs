//! The gradient that a stage begins with.

use super::batch::Rows;
use super::error::TrainError;
use super::job::Job;
use super::order::{Order, Place};
use super::run::check;
use super::step::{Learner, Part};
use crate::model::{Architecture, Layout, Named, Params};
use std::borrow::Cow;

/// The gradient of a stage's first step, before clipping, by the names of the weights: what two devices, or two ways to
/// cut a batch, must agree on. Nothing is written.
///
/// # Errors
/// See [`TrainError`].
pub fn first_gradient(job: &Job) -> Result<Vec<Named<'static>>, TrainError> {
    let architecture = Architecture::new(job.model, Some(job.vocab))?;
    check(job, &architecture)?;
    let rows = Rows::new(job.objective, job.corpus, job.sequence, job.pad, job.seed)?;
    let layout = Layout::new(&architecture);
    let params = match job.init {
        Some(path) => Params::from_host(crate::model::load_segments(&layout, path)?, &job.device.device),
        None => Params::fresh(&layout, job.seed, &job.device.device),
    };
    let learner = Learner::new(architecture, params, job);
    let batch = Order::new(&rows, job.seed, Place::default()).next(job.batch);
    let (weight, time) = (batch.weight(), batch.time(job.sequence));
    let mut gradients = None;
    for from in (0..job.batch).step_by(job.micro_batch) {
        let to = from + job.micro_batch;
        let rows = batch.rows(from, to, job.sequence, time, job.pad);
        let part = Part { batch: &rows, time, rows: from as u64..to as u64 };
        gradients = Some(learner.accumulate(gradients, part, weight, 0));
    }
    let host = match gradients {
        Some(gradients) => gradients.into_host()?,
        None => Vec::new(),
    };
    let named = crate::model::named(&layout, &host).into_iter();
    Ok(named
        .map(|named| Named {
            name: Cow::Owned(named.name.into_owned()),
            shape: named.shape,
            numbers: Cow::Owned(named.numbers.into_owned()),
        })
        .collect())
}
