//! Records: a schema, and layers of settings above its defaults.

use super::{Checker, Env, State};
use crate::diagnostics::{Code, Problem};
use crate::resolve::EntryKind;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, FieldOp, Name};
use crate::types::{ItemId, RecordId, SchemaId, Traced, Type, Value};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A record, evaluated field by field.
#[derive(Debug)]
pub(crate) struct Record {
    pub schema: SchemaId,
    /// The item it is, if it is declared.
    pub item: Option<ItemId>,
    /// Settings; later ones of the same field win: the first layer is the uppermost.
    pub layers: Vec<Layer>,
    /// Where it is declared or constructed.
    pub span: Span,
    pub values: HashMap<Arc<str>, State>,
    /// Whether a field is outside its range; defaults that are derived from it may be too, which says nothing new.
    pub out_of_range: bool,
}

/// Settings from one place.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub fields: Rc<Vec<Setting>>,
    pub env: Env,
    /// Whether expressions see the fields of the record they end up in (a declaration) rather than those around the
    /// place where they are written (the arguments of a call).
    pub late: bool,
}

impl Layer {
    /// What names mean in this layer's expression for a field of `record`.
    pub fn scope(&self, record: RecordId, field: &Arc<str>) -> Env {
        if self.late {
            Env { record: Some(record), field: Some(field.clone()), ..self.env.clone() }
        } else {
            self.env.clone()
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Never empty.
    pub path: Vec<Name>,
    pub op: FieldOp,
    pub value: Given,
    /// The whole field.
    pub span: Span,
}

/// What a field is set to.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Expr(Expr),
    /// Already evaluated: the left side of `|>`, the argument of a function.
    Value(Traced),
    /// All further arguments of a call.
    List(Vec<Expr>),
    Map(Vec<(Name, Expr)>),
    /// Text from outside, taken as it is.
    Text(Arc<str>),
}

impl Checker<'_> {
    pub(super) fn record(&self, id: RecordId) -> &Record {
        &self.records[id.0 as usize]
    }

    /// Makes a record and checks that its settings name fields. Their values are evaluated when asked for.
    pub(super) fn make_record(
        &mut self,
        schema: SchemaId,
        item: Option<ItemId>,
        layers: Vec<Layer>,
        span: Span,
    ) -> RecordId {
        let id = RecordId(self.records.len() as u32);
        self.records.push(Record { schema, item, layers, span, values: HashMap::new(), out_of_range: false });
        id
    }

    /// A copy of a record with one more layer above.
    pub(super) fn amend(&mut self, base: RecordId, layer: Layer, span: Span) -> RecordId {
        let old = self.record(base);
        let (schema, mut layers) = (old.schema, old.layers.clone());
        for layer in &mut layers {
            // What the base set is no longer set here.
            if layer.env.origin == super::Origin::Set {
                layer.env.origin = super::Origin::Base;
            }
        }
        self.check_settings(schema, &layer, span);
        layers.insert(0, layer);
        self.make_record(schema, None, layers, span)
    }

    /// Reports settings that name no field, a final field, or the same field twice.
    pub(super) fn check_settings(&mut self, schema: SchemaId, layer: &Layer, owner: Span) {
        let mut seen: HashMap<Vec<Arc<str>>, Span> = HashMap::new();
        for setting in layer.fields.iter() {
            let Some(head) = setting.path.first() else { continue };
            let info = self.schema(schema).fields.get(&head.value).cloned();
            match info {
                // A field that could not be read has been told of.
                None if matches!(&setting.value, Given::Expr(e) if matches!(&*e.kind, ExprKind::Error)) => {}
                None => self.unknown_field(schema, head, setting, layer, owner),
                Some(field) if field.is_final => {
                    self.report(
                        Problem::new(Code::E0306, head.span, format!("`{}` is final", head.value))
                            .label("it may not be set")
                            .also(field.span, "declared final here")
                            .help("remove it"),
                    );
                }
                Some(_) => {}
            }
            if setting.op == FieldOp::Set {
                let key: Vec<Arc<str>> = setting.path.iter().map(|p| p.value.clone()).collect();
                let whole = path_span(&setting.path);
                if let Some(first) = seen.insert(key.clone(), whole).or_else(|| self.set_in_call(layer, &setting.path))
                {
                    let name: Vec<&str> = key.iter().map(|k| &**k).collect();
                    self.report(
                        Problem::new(Code::E0303, whole, format!("`{}` is set twice", name.join(".")))
                            .label("set again here")
                            .also(first, "first set here")
                            .help("remove one of them"),
                    );
                }
            }
        }
    }

    /// Where the call that makes `optimizer` sets the `lr` of a path `optimizer.lr` of the same layer. What the arguments of a
    /// function do is for the function to say.
    fn set_in_call(&self, layer: &Layer, path: &[Name]) -> Option<Span> {
        let [head, inner] = path else { return None };
        let whole =
            |s: &&Setting| matches!(s.path.as_slice(), [only] if only.value == head.value) && s.op == FieldOp::Set;
        let Given::Expr(made) = &layer.fields.iter().find(whole)?.value else { return None };
        let ExprKind::Call(callee, args) = &*made.kind else { return None };
        let ExprKind::Name(callee) = &*callee.kind else { return None };
        let seen_from = std::iter::once(layer.env.module).chain(self.resolved.prelude.iter().copied());
        let known = seen_from.filter_map(|module| self.resolved.module(module).names.get(callee)).next();
        if known.is_none_or(|entry| entry.kind != EntryKind::Schema) {
            return None;
        }
        args.iter().filter_map(|arg| arg.name.as_ref()).find(|name| name.value == inner.value).map(|name| name.span)
    }

    /// Evaluates every field of a record, those of the records within it, and its constraints.
    pub(super) fn force_record(&mut self, id: RecordId) {
        if !self.forced.insert(id) {
            return;
        }
        let schema = self.record(id).schema;
        let names: Vec<Arc<str>> = self.schema(schema).fields.keys().cloned().collect();
        let span = self.record(id).span;
        if self.forcing > 64 {
            // A schema whose default holds another record of the schema never ends.
            self.report(
                Problem::new(Code::E0003, span, "records within records without end")
                    .label("more than 64 levels deep")
                    .help("give the inner field no default of its own schema; `none` can end the chain"),
            );
            for name in names {
                let value = Traced::new(Value::Error, span, super::Origin::Default);
                self.records[id.0 as usize].values.insert(name, State::Done(value));
            }
            return;
        }
        self.forcing += 1;
        let mut sound = true;
        self.at_site(span, |this| {
            for name in &names {
                let value = this.field(id, name, span);
                sound &= !has_error(&value);
                this.force(&value.value);
            }
            this.constraints(id, sound);
        });
        self.forcing -= 1;
    }

    /// Evaluates everything within a value.
    pub(super) fn force(&mut self, value: &Value) {
        match value {
            Value::Record(id) => self.force_record(*id),
            Value::List(items) => items.iter().for_each(|i| self.force(&i.value)),
            Value::Map(map) => map.values().for_each(|v| self.force(&v.value)),
            _ => {}
        }
    }

    /// Checks the constraints of a record's schema.
    fn constraints(&mut self, id: RecordId, sound: bool) {
        let checks = self.schema(self.record(id).schema).checks.clone();
        let mut broken = false;
        for info in checks {
            let env = Env { record: Some(id), ..Env::module(info.module) };
            if !sound {
                let mut involved = Vec::new();
                self.fields_in(&info.check.condition, id, &mut involved);
                if involved.iter().any(|(_, value)| has_error(value)) {
                    continue;
                }
            }
            let (outcome, found) = self.quietly(|this| this.eval(&env, &info.check.condition, &Type::Bool));
            if sound {
                found.into_iter().for_each(|problem| self.report(problem));
            } else if !found.is_empty() {
                // A field that is missing or wrong has been reported; what follows from it says nothing new.
                continue;
            }
            match outcome.value {
                Value::Bool(false) => {
                    self.broken_constraint(id, &info, &env, broken);
                    broken = true;
                }
                Value::Bool(true) | Value::Error | Value::Later(_) => {}
                other => {
                    let found = self.describe(&other);
                    let span = info.check.condition.span;
                    let text = format!("a constraint must be a condition; this is {found}");
                    self.report(Problem::new(Code::E0304, span, text));
                }
            }
        }
    }
}

/// Whether a value, or a part of it, is wrong and has been reported.
fn has_error(value: &Traced) -> bool {
    match &value.value {
        Value::List(items) => items.iter().any(has_error),
        Value::Map(map) => map.values().any(has_error),
        _ => value.is_error(),
    }
}

/// From the first name to the last.
pub(super) fn path_span(path: &[Name]) -> Span {
    match (path.first(), path.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => Span::new(crate::source::FileId(0), 0, 0),
    }
}
