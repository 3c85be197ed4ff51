//! Documents: where they come from, how they are cleaned, and what became of each.
//!
//! A dataset expression is a chain of streams. Nothing is held that grows with the corpus except what finding duplicates
//! must remember (16 bytes a document when they must be equal); what has to see everything first (a seeded order, a cut at
//! a share of the whole) goes through files in a scratch folder. Work is spread over threads in blocks whose results are
//! put back in order, so the outcome is the same for any number of threads.
//!
//! [`make`] writes a dataset to a folder: its splits, every removed document with the reason, and a report. [`stream`]
//! gives the same documents without writing them.
#![allow(
    clippy::disallowed_methods,
    reason = "data files are read here, and datasets are written into folders that the store hands out"
)]

mod clean;
mod dedup;
mod error;
mod fields;
mod files;
mod grammar;
mod html;
mod jsonl;
mod language;
mod make;
mod minhash;
mod mix;
mod pairs;
mod pipeline;
mod record;
mod redact;
mod report;
mod rule;
mod shuffle;
mod split;
mod spool;
mod text;

pub use error::DataError;
pub use fields::{FIELDS, value as field_value};
pub use make::{Made, Progress, Reader, make, open, report};
pub use pipeline::{Context, Records, stream};
pub use record::{Pair, Record};
pub use report::{Report, SplitReport, StepReport};

#[cfg(test)]
mod tests;
