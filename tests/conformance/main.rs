//! What other people's work relies on: identities that survive moving, renaming and reformatting, and the forms that other
//! programs read.

#![allow(clippy::panic, clippy::expect_used, clippy::disallowed_methods, reason = "a test that fails panics")]

mod lab;
mod plan_checks;
mod plan_files;
mod plan_forms;
mod plan_hash;
mod plan_why;
