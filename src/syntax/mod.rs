//! Text to tree. `parse` takes any text and never fails: what cannot be read becomes an error node and a problem, and
//! the neighbours survive.

pub mod ast;
