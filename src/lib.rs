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

pub mod check;
#[cfg(feature = "engine")]
pub mod device;
pub mod diagnostics;
#[cfg(feature = "engine")]
pub mod model;
pub mod plan;
pub mod random;
pub mod source;
pub mod syntax;
#[cfg(feature = "engine")]
pub mod train;
pub mod types;
