//! The binary from the outside: streams, exit codes, formats.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test reads the tree, and fails by panicking"
)]

mod check;
mod doc;
mod explain;
mod fmt;
mod init;
mod meant;
mod mistakes;
mod names;
mod overrides;
mod plan;
mod show;
mod streams;
mod support;
mod test;
