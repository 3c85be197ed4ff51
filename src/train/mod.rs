//! Training.

mod corpus;

pub use corpus::Corpus;
