//! Sweeps: the points of a search, which of them are valid and what they share, running them, and ranking them.
#![allow(
    clippy::disallowed_methods,
    reason = "the state of a sweep lies in the lab, and its points are processes with logs"
)]

mod axis;
mod error;
mod goal;
mod jobs;
mod points;
mod prepare;
mod result;
mod run;
mod state;

pub use error::SweepError;
pub use goal::Goal;
pub use jobs::{Jobs, run_jobs};
pub use points::{Point, points};
pub use prepare::{Candidate, CheckPoint, Node, Prepared, Sharing, Skipped, prepare};
pub use result::{Cost, PointRow, SweepResult};
pub use run::{Conduct, PointFailure, PointResult, Progress, run};
pub use state::{Entry, PointStatus, State};
