//! Training as a whole: it learns, resumes exactly, refuses what cannot work.

mod accumulate;
mod common;
mod devices;
mod golden;
mod inference;
mod kill;
mod learn;
mod resume;
mod shakespeare;
