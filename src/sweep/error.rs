//! Why a sweep cannot run.

#[cfg(feature = "engine")]
use crate::store::StoreError;

/// Why a sweep has no points that could be tried.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SearchError {
    #[error(
        "the sweep `{sweep}` uses `{what}`, which this version can check and plan but not run: {missing}; use \
         `search = grid()` or `search = random(trials = …)` and leave `stop` out"
    )]
    Unsupported { sweep: String, what: &'static str, missing: &'static str },
    #[error("the sweep `{0}` has no axes")]
    NoAxes(String),
    #[error("the grid of `{sweep}` has {count} points, more than the {limit} that can be listed; use a random search")]
    TooMany { sweep: String, count: u128, limit: u128 },
    #[error("the axis `{axis}` of `{sweep}` cannot be searched: {why}")]
    BadAxis { sweep: String, axis: String, why: &'static str },
    #[error("no point of the sweep `{sweep}` is valid; the first, {point}, is not because {why}")]
    NothingValid { sweep: String, point: String, why: String },
    #[error("the settings of the sweep `{sweep}` cannot be read: {why}")]
    Malformed { sweep: String, why: String },
}

/// Why a sweep ended before its points did.
#[cfg(feature = "engine")]
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the state of the sweep `{sweep}` cannot be read: {why}")]
    State { sweep: String, why: String },
    #[error("cannot start a process for a point: {0}")]
    Spawn(std::io::Error),
}
