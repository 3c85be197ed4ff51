//! # Emberlab
//!
//! A language for describing language-model experiments, and the laboratory that runs them.
//!
//! ```text
//! .exp text ──parse──▶ Ast ──resolve──▶ Resolved ──check──▶ Checked ──plan──▶ Plan ──run──▶ Record ──▶ Report
//!            syntax/        resolve/             check/            plan/      run/  store/      report/
//!                                                                              │
//!                                                     data/ ▶ tokenizer/ ▶ model/ ▶ train/ ▶ evaluate/
//! ```
//!
//! The modules above the line are the language: pure, without input or output but through [`source::World`], and
//! built without burn (`--no-default-features`). Those below are the engine (feature `engine`).
#![recursion_limit = "512"]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::print_stdout,
        reason = "tests prepare files and fail by panicking; the library itself is held to these rules when it is built"
    )
)]

pub mod check;
pub mod cli;
pub mod diagnostics;
pub mod plan;
pub mod random;
pub mod resolve;
pub mod source;
pub mod stdlib;
pub mod sweep;
pub mod syntax;
pub mod types;

#[cfg(feature = "engine")]
pub mod data;
#[cfg(feature = "engine")]
pub mod device;
#[cfg(feature = "engine")]
pub mod evaluate;
#[cfg(feature = "engine")]
pub mod model;
#[cfg(feature = "engine")]
pub mod report;
#[cfg(feature = "engine")]
pub mod run;
#[cfg(feature = "engine")]
pub mod share;
#[cfg(feature = "engine")]
pub mod store;
#[cfg(feature = "engine")]
pub mod tokenizer;
#[cfg(feature = "engine")]
pub mod train;
