//! Sweeps: the points of a search, which of them are valid and what they share, running them, and ranking them.
//!
//! What the points are and what they cost belongs to the language; running them needs the engine.
#![allow(
    clippy::disallowed_methods,
    reason = "the state of a sweep lies in the lab, and its points are processes with logs"
)]

mod axis;
mod error;
#[cfg(feature = "engine")]
mod goal;
#[cfg(feature = "engine")]
mod jobs;
mod points;
mod prepare;
mod price;
#[cfg(feature = "engine")]
mod result;
#[cfg(feature = "engine")]
mod run;
#[cfg(feature = "engine")]
mod state;

pub use error::SearchError;
pub use points::{Point, points};
pub use prepare::{Candidate, CheckPoint, Node, Prepared, Reduce, Refusal, Sharing, Skipped, prepare};
pub use price::PricedSweep;

#[cfg(feature = "engine")]
pub use error::SweepError;
#[cfg(feature = "engine")]
pub use goal::Goal;
#[cfg(feature = "engine")]
pub use jobs::{Jobs, run_jobs};
#[cfg(feature = "engine")]
pub use result::{Cost, PointRow, SweepResult};
#[cfg(feature = "engine")]
pub use run::{Conduct, PointFailure, PointResult, Progress, run};
#[cfg(feature = "engine")]
pub use state::{Entry, PointStatus, State};
