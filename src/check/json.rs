//! Checked values as the JSON that the Rust types read. The conventions are at the top of [`crate::plan::spec`].

use super::{Checker, Leaf};
use crate::source::Span;
use crate::syntax::ast::Kind;
use crate::types::{ItemId, Num, RecordId, SchemaId, Traced, Type, Unit, Value};
use serde_json::{Map, Value as Json, json};

/// What comes with the JSON of an item.
#[derive(Default)]
pub(super) struct Output {
    pub leaves: Vec<Leaf>,
    /// Items that it refers to, in order.
    pub items: Vec<ItemId>,
    /// Where each record was written.
    pub places: Vec<(String, Span)>,
    /// Paths of values that are wrong.
    pub wrong: Vec<String>,
}

impl Checker<'_> {
    /// A record with its fields; those of the base stand under the base's name.
    pub(super) fn record_json(&mut self, record: RecordId, path: &str, output: &mut Output) -> Json {
        let schema = self.bound_schema(self.record(record).schema);
        let base = self.schema(schema).base;
        let fields: Vec<_> = self.schema(schema).fields.values().cloned().collect();
        let mut own = Map::new();
        let mut inherited = Map::new();
        if base.is_some() {
            own.insert("is".to_owned(), Json::String(self.schema(schema).name.to_string()));
        }
        for field in fields {
            let value = self.field(record, &field.name, field.span);
            let at = if path.is_empty() { field.name.to_string() } else { format!("{path}.{}", field.name) };
            let json = self.value_json(&value, &field.ty, &at, output);
            let of_base = base.is_some_and(|b| self.schema(b).fields.contains_key(&field.name));
            if of_base { &mut inherited } else { &mut own }.insert(field.name.to_string(), json);
        }
        if let Some(base) = base
            && !self.schema(base).fields.is_empty()
        {
            own.insert(self.schema(base).name.to_string(), Json::Object(inherited));
        }
        Json::Object(own)
    }

    /// The schema of the prelude, which a Rust type reads, that a schema extends; the schema itself if it extends none.
    fn bound_schema(&self, schema: SchemaId) -> SchemaId {
        let mut at = schema;
        while !self.resolved.prelude.contains(&self.schema(at).module) {
            match self.schema(at).base {
                Some(base) => at = base,
                None => return schema,
            }
        }
        at
    }

    pub(super) fn value_json(&mut self, value: &Traced, ty: &Type, path: &str, output: &mut Output) -> Json {
        let json = match &value.value {
            Value::Record(record) => {
                let record = *record;
                output.places.push((path.to_owned(), value.span));
                return self.record_json(record, path, output);
            }
            Value::List(items) if items.iter().any(|i| matches!(i.value, Value::Record(_))) => {
                let element = ty.element();
                let items = items.clone();
                return Json::Array(
                    items
                        .iter()
                        .enumerate()
                        .map(|(i, item)| self.value_json(item, &element, &format!("{path}[{i}]"), output))
                        .collect(),
                );
            }
            Value::List(items) => {
                let element = ty.element();
                let items = items.clone();
                let mut hidden = Output::default();
                let list = items.iter().map(|i| self.value_json(i, &element, path, &mut hidden)).collect();
                output.items.append(&mut hidden.items);
                output.wrong.append(&mut hidden.wrong);
                Json::Array(list)
            }
            Value::Map(map) => {
                let element = ty.element();
                let map = map.clone();
                let mut object = Map::new();
                for (name, entry) in map.iter() {
                    let json = self.value_json(entry, &element, &format!("{path}.{name}"), output);
                    object.insert(name.to_string(), json);
                }
                return Json::Object(object);
            }
            Value::Error | Value::None => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Number(n, unit) => number_json(*n, *unit, ty),
            Value::Text(t) => Json::String(t.to_string()),
            Value::Path { resolved, .. } => Json::String(resolved.to_string()),
            Value::Symbol(s) => Json::String(s.to_string()),
            Value::Range { low, high, inclusive, .. } => {
                json!({ "low": low.as_f64(), "high": high.as_f64(), "inclusive": inclusive })
            }
            Value::Item(id, record) => {
                output.items.push(id.clone());
                let reference = json!({ "ref": self.item_name(id) });
                if self.kind_of(self.record(*record).schema) == Some(Kind::Dataset) {
                    json!({ "is": "named", "dataset": reference })
                } else {
                    reference
                }
            }
            Value::Split(id, split) => {
                output.items.push(id.clone());
                json!({ "is": "named", "dataset": { "ref": self.item_name(id), "split": &**split } })
            }
            Value::Lambda(lambda) => {
                let body = serde_json::to_value(&lambda.body).unwrap_or(Json::Null);
                json!({ "param": &*lambda.param, "body": body })
            }
            Value::Later(later) => serde_json::to_value(&later.core).unwrap_or(Json::Null),
            _ => Json::Null,
        };
        if value.is_error() {
            output.wrong.push(path.to_owned());
        } else {
            output.leaves.push(Leaf {
                path: path.to_owned(),
                shown: self.shown(value),
                span: value.span,
                origin: value.origin,
            });
        }
        json
    }

    /// A leaf's value for people.
    fn shown(&self, value: &Traced) -> String {
        match &value.value {
            Value::Lambda(_) | Value::Later(_) => self.one_line(value.span),
            Value::Text(text) if text.chars().count() > 200 => {
                let start: String = text.chars().take(200).collect();
                format!("{}…", super::show::quote(&start))
            }
            other => self.show(other),
        }
    }
}

/// A number in its base unit; where several dimensions are allowed, with its unit.
fn number_json(n: Num, unit: Unit, ty: &Type) -> Json {
    let plain = || match n {
        Num::Int(i) => Json::from(i),
        Num::Float(x) => Json::from(x),
    };
    let several = ty.alternatives().iter().filter(|t| matches!(t.bare(), Type::Quantity(_))).count() > 0
        && matches!(ty.bare(), Type::Union(_));
    if several {
        return json!({ "amount": n.as_f64(), "unit": unit });
    }
    plain()
}
