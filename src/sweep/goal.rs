//! What a sweep looks for.

use super::error::SearchError;
use super::points::settings;
use crate::check::CheckedSweep;
use crate::plan::spec::Measured;
use crate::store::Record;

/// A measured value, and which direction is good.
#[derive(Clone, PartialEq, Debug)]
pub enum Goal {
    Minimize(Measured),
    Maximize(Measured),
}

impl Goal {
    /// The goal of a sweep, if it states one.
    ///
    /// # Errors
    /// When the sweep's settings cannot be read.
    pub fn of(sweep: &CheckedSweep) -> Result<Option<Goal>, SearchError> {
        let settings = settings(sweep)?;
        Ok(settings.minimize.map(Goal::Minimize).or(settings.maximize.map(Goal::Maximize)))
    }

    /// The value of a finished run; absent when it was not measured or is no number.
    pub fn value(&self, record: &Record) -> Option<f64> {
        let (Goal::Minimize(measured) | Goal::Maximize(measured)) = self;
        measured.0.eval(record).ok()?.number().ok().filter(|v| v.is_finite())
    }

    /// Sorts better values first.
    pub(super) fn order(&self, a: f64, b: f64) -> std::cmp::Ordering {
        match self {
            Goal::Minimize(_) => a.total_cmp(&b),
            Goal::Maximize(_) => b.total_cmp(&a),
        }
    }
}
