//! Text to tree. [`parse`] takes any text and never fails: what cannot be read becomes an error node and a problem, and
//! the neighbours survive.
//!
//! ```text
//! text ──scan──▶ chunks, one an item ──layout──▶ balanced text ──grammar/*.pest──▶ pairs ──lower──▶ ast
//!                comments                 │                           │
//!                                  bracket problems       recover: strict re-parse, repairs
//! ```
//!
//! Invariant: pest is named nowhere else in the crate, and its pairs never leave this module.

pub mod ast;
mod docs;
mod format;
mod grammar;
mod layout;
mod lower;
mod mistakes;
mod parse;
mod patch;
mod recover;
mod scan;
pub mod words;

pub use format::format;
pub use parse::{Parsed, fuzz, parse, parse_expr, parse_path};

#[cfg(test)]
mod tests;
