//! Training as a whole: it learns, resumes exactly, refuses what cannot work.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests prepare files and fail by panicking"
)]

mod accumulate;
mod adapter_golden;
mod adapters;
mod common;
mod devices;
mod exported;
mod golden;
mod imported;
mod inference;
mod learn;
mod lost;
mod mup;
mod optimizers;
mod precision;
mod resume;
mod shakespeare;
mod watch;
