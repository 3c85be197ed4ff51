//! The plan: what will run, in canonical form, hashed by stage, priced and explained.

mod graph;
pub mod spec;

pub use graph::*;
