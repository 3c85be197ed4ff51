//! How a record is written, for people who wrote something else in its place: `experts = 8`.

use super::schema::FieldInfo;
use super::{Checker, foreign};
use crate::types::{SchemaId, Type, Unit, Value};

/// What stands where a record is wanted.
pub(super) enum Instead<'a> {
    Value(&'a Value, &'a str),
    /// A word that means nothing there.
    Word(&'a str),
    /// A field of the record, set by itself, and its value as written.
    Field(&'a str, &'a str),
}

/// The longest text of a value that an example repeats.
const LONGEST: usize = 24;

impl Checker<'_> {
    /// How a record is written where a field of the type `want` holds one: a call, or one of several. Nothing for what is
    /// declared by itself, and for datasets, which have too many sources for an example to be a good guess.
    pub(super) fn examples_for(&self, want: &Type, instead: &Instead<'_>) -> Vec<String> {
        let record = |t: &Type| match t.bare() {
            Type::Record(schema) if self.kind_of(*schema).is_none() => Some(*schema),
            _ => None,
        };
        let Some(schema) = want.alternatives().iter().find_map(record) else { return Vec::new() };
        if !self.schema(schema).is_family {
            return vec![self.example(schema, instead)];
        }
        let ids = (0..self.schemas.len() as u32).map(SchemaId);
        let members: Vec<SchemaId> = ids
            .filter(|id| !self.schema(*id).is_family && *id != schema && self.extends(*id, schema))
            .filter(|id| self.resolved.is_library(self.schema(*id).module))
            .collect();
        let said = match instead {
            Instead::Value(Value::Text(text), _) => Some(&**text),
            Instead::Value(Value::Symbol(word), _) => Some(&**word),
            Instead::Word(word) => Some(*word),
            _ => None,
        };
        let said = said.map(|said| foreign::record_known_as(said).unwrap_or(said));
        let meant =
            members.iter().find(|id| said.is_some_and(|said| said.eq_ignore_ascii_case(&self.schema(**id).name)));
        match (meant, members.as_slice()) {
            (Some(id), _) | (None, [id]) => vec![self.example(*id, instead)],
            (None, several) => several.iter().map(|id| format!("{}(…)", self.schema(*id).name)).collect(),
        }
    }

    /// The same as a piece of advice.
    pub(super) fn example_for(&self, want: &Type, instead: Instead<'_>) -> Option<String> {
        let calls = self.examples_for(want, &instead);
        let quoted: Vec<String> = calls.iter().map(|call| format!("`{call}`")).collect();
        match quoted.as_slice() {
            [] => None,
            [one] => Some(format!("write {one}")),
            several => Some(format!("write one of {}", several.join(", "))),
        }
    }

    /// A call that makes a record: what was given in the field that it fits, what must be given, and one default to go by.
    fn example(&self, schema: SchemaId, instead: &Instead<'_>) -> String {
        let info = self.schema(schema);
        let fields = || info.fields.values().filter(|f| !f.is_final && !f.is_rest);
        let must = |f: &FieldInfo| f.default.is_none() && !f.ty.is_optional();
        let fits = |f: &&FieldInfo| takes(&f.ty, instead, &f.name);
        // What must be given is what was meant, if that fits it at all.
        let given = fields().filter(|f| must(f)).find(fits).or_else(|| fields().find(fits));
        let text = match instead {
            Instead::Value(_, text) | Instead::Field(_, text) => shown(text),
            Instead::Word(word) => shown(word),
        };
        let mut parts: Vec<String> = fields()
            .filter_map(|f| match given.is_some_and(|g| g.name == f.name) {
                true => Some(format!("{} = {text}", f.name)),
                false => must(f).then(|| format!("{} = …", f.name)),
            })
            .collect();
        if parts.len() < 2 && !matches!(instead, Instead::Field(..)) && (given.is_none() || fields().any(must)) {
            parts.extend(fields().find_map(|f| self.usual(f)));
        }
        if parts.is_empty() && info.fields.values().any(|f| f.is_rest) {
            parts.push("…".to_owned());
        }
        format!("{}({})", info.name, parts.join(", "))
    }

    /// A field with its default, if that is short and something.
    fn usual(&self, field: &FieldInfo) -> Option<String> {
        let default = self.source_text(field.default.as_ref()?.span);
        let short = default.len() <= 8 && !matches!(default, "none" | "[]") && !default.contains('\n');
        short.then(|| format!("{} = {default}", field.name))
    }
}

/// Whether what was given could be the value of a field.
fn takes(ty: &Type, instead: &Instead<'_>, field: &str) -> bool {
    let any = |fits: fn(&Type) -> bool| ty.alternatives().iter().any(|t| fits(t.bare()));
    match instead {
        Instead::Field(name, _) => *name == field,
        Instead::Word(word) => ty.symbols().iter().any(|s| **s == **word),
        Instead::Value(value, _) => match value {
            Value::Number(n, Unit::One) if n.whole().is_some() => {
                any(|t| matches!(t, Type::Int | Type::Float | Type::Number))
            }
            Value::Number(_, Unit::One) => any(|t| matches!(t, Type::Float | Type::Number)),
            Value::Number(_, unit) => ty.alternatives().iter().any(|t| *t.bare() == Type::Quantity(*unit)),
            Value::Text(_) => any(|t| matches!(t, Type::Text)),
            _ => false,
        },
    }
}

/// The text of a value as an example repeats it.
fn shown(text: &str) -> String {
    let raw = if text.starts_with("r\"") { "r" } else { "" };
    match text.chars().count() <= LONGEST && !text.contains('\n') {
        true => text.to_owned(),
        false if text.ends_with('"') => format!("{raw}\"…\""),
        false => "…".to_owned(),
    }
}
