//! `Resolved → Checked`: every field gets a type, a value and a provenance.

mod checked;

pub use checked::*;
