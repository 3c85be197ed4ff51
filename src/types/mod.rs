//! The vocabulary of the checker and the plan: types, dimensions, values, provenance, compiled expressions.

pub mod core;
