//! Values and where they came from.

use super::core::{Constant, Core};
use super::ty::{SchemaId, Type};
use super::unit::Unit;
use crate::source::Span;
use indexmap::IndexMap;
use std::sync::Arc;

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// Written in the item.
    Set,
    /// Written in the item it is amended from.
    Base,
    /// The schema's default.
    Default,
    /// Given from outside by `--set`, or by a point of a sweep.
    Override,
}

/// What an axis ranges over.
#[derive(Clone, PartialEq, Debug)]
pub enum AxisValues {
    /// Each as the language writes it, so that it can be set like an override.
    Choices(Vec<String>),
    /// `linear(a..b)`; the unit, if any, as the language writes it, and whether its values are rounded.
    Linear { low: f64, high: f64, unit: String, whole: bool },
    /// `log(a..b)`
    Log { low: f64, high: f64, unit: String, whole: bool },
}

/// A number: whole as long as that is exact.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Num {
    Int(i64),
    Float(f64),
}

impl Num {
    /// The whole number `x`, if it is one that fits; otherwise `x`.
    pub fn from_f64(x: f64) -> Num {
        if x.fract() == 0.0 && x.abs() < 9.0e15 { Num::Int(x as i64) } else { Num::Float(x) }
    }

    pub fn as_f64(self) -> f64 {
        match self {
            Num::Int(i) => i as f64,
            Num::Float(x) => x,
        }
    }

    /// The value as a whole number, if it is one.
    pub fn whole(self) -> Option<i64> {
        match self {
            Num::Int(i) => Some(i),
            Num::Float(x) if x.fract() == 0.0 && x.abs() < 9.2e18 => Some(x as i64),
            Num::Float(_) => None,
        }
    }

    pub fn constant(self) -> Constant {
        match self {
            Num::Int(i) => Constant::Int(i),
            Num::Float(x) => Constant::Float(x),
        }
    }
}

/// A record of one analysis; an index into the checker's table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RecordId(pub u32);

/// A declared item: the module and its name there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ItemId {
    pub module: u32,
    pub name: Arc<str>,
}

/// When a value that is not known yet will be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The parameter of a function whose body is checked once for all callers.
    Generic,
    /// A field of a document, when the data is made.
    Document,
    /// A measurement, when the experiment runs.
    Measured,
}

/// What an expression evaluates to.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Already reported; silences everything that follows from it.
    Error,
    None,
    Bool(bool),
    Number(Num, Unit),
    Text(Arc<str>),
    /// The path of a data file: as written, and as the world finds it.
    Path {
        written: Arc<str>,
        resolved: Arc<str>,
    },
    Symbol(Arc<str>),
    List(Arc<Vec<Traced>>),
    Map(Arc<IndexMap<Arc<str>, Traced>>),
    Range {
        low: Num,
        high: Num,
        unit: Unit,
        inclusive: bool,
    },
    Record(RecordId),
    /// A declared item, by reference.
    Item(ItemId, RecordId),
    /// A split of a declared dataset.
    Split(ItemId, Arc<str>),
    Lambda(Arc<LambdaValue>),
    /// Not known yet: what has to be computed once it is.
    Later(Arc<Later>),
    Schema(SchemaId),
    Function(ItemId),
    Module(u32),
    Builtin(&'static str),
    /// What a sweep's axis ranges over.
    Axis(Arc<AxisValues>),
    /// The measured values of a stage or of an evaluation, reached by the names so far.
    Measures(Arc<Vec<Arc<str>>>),
}

/// A compiled lambda.
#[derive(Clone, PartialEq, Debug)]
pub struct LambdaValue {
    pub param: Arc<str>,
    pub body: Core,
    pub result: Type,
}

/// A value of a later phase.
#[derive(Clone, PartialEq, Debug)]
pub struct Later {
    pub core: Core,
    pub ty: Type,
    pub phase: Phase,
}

/// A value, the place that gave it, and how.
#[derive(Clone, PartialEq, Debug)]
pub struct Traced {
    pub value: Value,
    pub span: Span,
    pub origin: Origin,
}

impl Traced {
    pub fn new(value: Value, span: Span, origin: Origin) -> Traced {
        Traced { value, span, origin }
    }

    pub fn is_error(&self) -> bool {
        matches!(self.value, Value::Error)
    }
}

impl Value {
    pub fn int(i: i64) -> Value {
        Value::Number(Num::Int(i), Unit::One)
    }

    pub fn text(text: &str) -> Value {
        Value::Text(Arc::from(text))
    }
}
