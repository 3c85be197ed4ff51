//! The binary from the outside: streams, exit codes, formats.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test drives the binary and reads its files")]

mod check;
mod doc;
mod explain;
mod fmt;
mod init;
mod show;
mod streams;
mod support;
mod test;
