//! What lasts: finished work by its recipe's hash, one folder for every run, and an index over them.
//!
//! ```text
//! .emberlab/
//!   lab.json                      layout of this folder
//!   objects/KIND/HASH/            finished work: object.json lists every file with its size and blake3
//!   work/KIND-HASH/               work in progress: scratch/ survives a kill, so that a stage goes on from it
//!   runs/ID/                      events.jsonl (append-only), record.json, plan.json, environment.json, checkpoints/
//!   sweeps/ID/                    points.jsonl (append-only)
//!   locks/                        one file for each object being made
//!   set-aside/                    damaged objects, kept until `exp runs prune`
//!   index.sqlite                  a cache over runs/, made again when it is missing or old
//! ```
//!
//! This is the only part of the program that writes files that last. Every file is written under a temporary name,
//! flushed and renamed, except the append-only ones, whose readers accept a torn last line.
#![allow(clippy::disallowed_methods, reason = "this is the writer of files that last, and the keeper of times")]

mod curves;
mod diff;
pub mod disk;
mod environment;
mod error;
mod event;
mod git;
mod id;
mod index;
mod journal;
mod lab;
mod lease;
mod object;
pub mod process;
mod prune;
mod record;
mod run;
mod summary;
mod table;

pub use curves::{Curve, StepPoint, ValidPoint, curves};
pub use diff::{Change, Comparison, Difference, compare, diff};
pub use environment::{Device, Environment, Reproducible};
pub use error::StoreError;
pub(crate) use event::finite;
pub use event::{EVENT_SCHEMA, Event, GateKind, Level, Line, Nobody, Observer, Several};
pub use git::{Revision, revision};
pub use id::run_id;
pub use index::{Listing, Query, RunRow};
pub use journal::{Journal, Journaled, read_events};
pub use lab::{Lab, Notice};
pub use lease::{Attempt, Lease, Owner};
pub use object::{Check, Claim, Draft, Manifest, Object, ObjectFile, ObjectKind, ObjectRef};
pub use prune::{Keep, Pruning, Reason, Removal};
pub use record::{
    ClaimResult, Estimate, EvalResults, ExpectResult, Experts, Loss, RECORD_SCHEMA, Record, Scaling, StageResult,
    Start, Status, Verdict,
};
pub use run::{CheckpointRef, Run, RunFolder};
pub use table::Table;

/// Plans and records for the tests of other rooms.
#[cfg(test)]
pub(crate) mod run_tests {
    pub(crate) use super::record::tests::example as record;
    pub(crate) use super::run::tests::{environment, plan};
}
