//! Types.

use super::unit::Unit;
use crate::syntax::ast::Expr;
use std::sync::Arc;

/// A schema of one analysis; an index into the checker's table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SchemaId(pub u32);

/// What a value may be.
#[derive(Clone, PartialEq, Debug)]
pub enum Type {
    /// Already reported; fits everything and silences.
    Error,
    Any,
    None,
    Bool,
    Int,
    Float,
    /// `Int` or `Float`.
    Number,
    Text,
    /// Text that names a file, seen from where it is written.
    Path,
    /// An amount with a unit; never [`Unit::One`].
    Quantity(Unit),
    /// `one of [a, b]`
    Symbols(Arc<[Arc<str>]>),
    List(Arc<Type>),
    Map(Arc<Type>),
    Optional(Arc<Type>),
    Union(Arc<[Type]>),
    Function(Arc<[Type]>, Arc<Type>),
    /// A record of this schema or of one that extends it.
    Record(SchemaId),
    /// A number or condition over measured values.
    Measured,
    /// A value within a range; the range is evaluated where the field stands.
    Within(Arc<Type>, Arc<Expr>),
}

impl Type {
    /// The type without `?` and ranges around it.
    pub fn bare(&self) -> &Type {
        match self {
            Type::Optional(t) | Type::Within(t, _) => t.bare(),
            other => other,
        }
    }

    /// The type without the ranges in it.
    pub fn unlimited(&self) -> Type {
        match self {
            Type::Within(t, _) => t.unlimited(),
            Type::Optional(t) => Type::Optional(Arc::new(t.unlimited())),
            Type::Union(types) => Type::Union(types.iter().map(Type::unlimited).collect()),
            other => other.clone(),
        }
    }

    /// The alternatives: those of a union, else the bare type itself.
    pub fn alternatives(&self) -> &[Type] {
        match self.bare() {
            Type::Union(types) => types,
            other => std::slice::from_ref(other),
        }
    }

    /// Whether `none` fits.
    pub fn is_optional(&self) -> bool {
        matches!(self, Type::Optional(_) | Type::Any | Type::Error | Type::None)
            || matches!(self, Type::Within(t, _) if t.is_optional())
    }

    /// The symbols that fit, if any do.
    pub fn symbols(&self) -> Vec<Arc<str>> {
        let mut found = Vec::new();
        for t in self.alternatives() {
            match t.bare() {
                Type::Symbols(names) => found.extend(names.iter().cloned()),
                Type::Union(_) => found.extend(t.symbols()),
                _ => {}
            }
        }
        found
    }

    /// The type of a list's elements when a list is wanted; otherwise anything.
    pub fn element(&self) -> Type {
        for t in self.alternatives() {
            if let Type::List(element) | Type::Map(element) = t.bare() {
                return (**element).clone();
            }
        }
        Type::Any
    }

    /// The function type wanted, if one is.
    pub fn function(&self) -> Option<(&[Type], &Type)> {
        self.alternatives().iter().find_map(|t| match t.bare() {
            Type::Function(params, result) => Some((&**params, &**result)),
            _ => None,
        })
    }
}
