//! The plan: what will run, in canonical form, hashed by stage, priced and explained.

pub mod grammar_text;
mod graph;
pub mod spec;

pub use graph::*;
