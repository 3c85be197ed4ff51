//! Training: one loop for every stage.
//!
//! [`train`] takes a [`Job`] (what to train, on what, how) and walks it step by step, telling an [`Observer`] what
//! happens and heeding a [`Stop`]. Everything random is a function of the job's seed, so a run that was interrupted and
//! resumed gives the same losses and the same weights, bit for bit on the CPU, as one that was not.
#![allow(
    clippy::disallowed_methods,
    reason = "checkpoints are written here, atomically, in folders that the store hands out; speed needs a clock"
)]

mod batch;
mod checkpoint;
mod coordinates;
mod corpus;
mod error;
mod gradients;
mod job;
mod observer;
mod optimizer;
mod order;
mod packing;
mod run;
mod samples;
mod saver;
mod scaler;
mod schedule;
mod step;
mod stop;
mod validate;
mod watch;
mod windows;

pub use checkpoint::latest_step;
pub use coordinates::{Coordinate, Trial, Verdict, coordinates, holds};
pub use corpus::{Corpus, MemoryCorpus};
pub use error::TrainError;
pub use gradients::{gradients, mixed_gradients};
pub use job::{Adapting, Boundary, Job, Keep, Objective, Validation};
pub use observer::{BatchFacts, Heard, Observer, Quiet, StepReport, ValidReport};
pub use run::{Best, Outcome, Start, Trained, train};
pub use schedule::{Schedule, ScheduleError, Shape};
pub use stop::Stop;
