//! The vocabulary of the checker and the plan: types, dimensions, values, provenance, compiled expressions.

pub mod core;
mod ty;
mod unit;
mod value;

pub use ty::{SchemaId, Type};
pub use unit::{Unit, multiplier};
pub use value::{AxisValues, ItemId, LambdaValue, Later, Num, Origin, Phase, RecordId, Traced, Value};
