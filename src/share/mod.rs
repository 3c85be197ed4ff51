//! Sharing an experiment so that another can repeat it: pin the inputs, bundle everything, re-run, and judge.
#![allow(
    clippy::disallowed_methods,
    reason = "bundles and locks are files that this room alone reads and writes, through temporary names"
)]

mod crate_metadata;
mod error;
mod lock;
mod manifest;
mod pack;
mod unpack;
mod verdict;

pub use error::ShareError;
pub use lock::{Lock, LockDifference, LockedInput, LockedTokenizer};
pub use manifest::{BUNDLE_SCHEMA, BundleFile, BundleManifest};
pub use pack::{Contents, SourceText, pack};
pub use unpack::{Limits, Unpacked, unpack, unpack_once};
pub use verdict::{Evidence, Level, Verdict, verdict};
