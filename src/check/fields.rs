//! Fields: which setting wins, and what it evaluates to.

use super::examples::Instead;
use super::records::{Given, Layer, Setting, path_span};
use super::schema::{CheckInfo, FieldInfo};
use super::{Checker, Env, Origin, State, foreign};
use crate::diagnostics::{Code, Problem, suggest};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, FieldOp};
use crate::types::{RecordId, Traced, Type, Value};
use indexmap::IndexMap;
use std::rc::Rc;
use std::sync::Arc;

/// What stands before a name in a sentence.
pub(super) fn article(name: &str) -> &'static str {
    if name.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

impl Checker<'_> {
    /// The value of a field, evaluated once. `at` is the place that asks.
    pub(super) fn field(&mut self, record: RecordId, name: &Arc<str>, at: Span) -> Traced {
        match self.record(record).values.get(name) {
            Some(State::Done(value)) => return value.clone(),
            Some(State::Busy) => {
                self.circle(name, at);
                return Traced::new(Value::Error, at, Origin::Set);
            }
            None => {}
        }
        let Some(info) = self.schema(self.record(record).schema).fields.get(name).cloned() else {
            return Traced::new(Value::Error, at, Origin::Set);
        };
        self.records[record.0 as usize].values.insert(name.clone(), State::Busy);
        self.path.push((self.field_name(record, name), at));
        let value = if self.path.len() > super::DEEPEST {
            self.report(
                Problem::new(Code::E0003, at, "values depend on each other too deeply")
                    .label(format!("more than {} steps", super::DEEPEST))
                    .help("shorten the chain of definitions"),
            );
            Traced::new(Value::Error, at, Origin::Set)
        } else {
            self.lastingly(|this| this.compute_field(record, &info))
        };
        self.path.pop();
        self.records[record.0 as usize].values.insert(name.clone(), State::Done(value.clone()));
        value
    }

    fn field_name(&self, record: RecordId, name: &str) -> String {
        match &self.record(record).item {
            Some(item) => format!("{}.{name}", item.name),
            None => name.to_owned(),
        }
    }

    /// Reports that `name` is asked for while it is being evaluated.
    pub(super) fn circle(&mut self, name: &str, at: Span) {
        let start = self.path.iter().rposition(|(n, _)| n == name || n.ends_with(&format!(".{name}"))).unwrap_or(0);
        let edges: Vec<(String, Span)> = self.path[start..].to_vec();
        let chain: Vec<&str> = edges.iter().map(|(n, _)| n.as_str()).collect();
        let first = edges.first().map_or(name, |(n, _)| n.as_str()).to_owned();
        let mut problem = Problem::new(Code::E0206, at, format!("`{first}` depends on itself"))
            .label(format!("needs `{name}` again"))
            .note(format!("the circle is {} → {first}", chain.join(" → ")))
            .help("give one of them a value of its own");
        for (name, span) in edges.iter().skip(1) {
            if *span != at {
                problem = problem.also(*span, format!("needs `{name}`"));
            }
        }
        self.report(problem);
    }

    fn compute_field(&mut self, record: RecordId, info: &FieldInfo) -> Traced {
        let layers: Vec<Layer> = self.record(record).layers.clone();
        // From the top down to the setting that gives the whole value; what stands above it amends that.
        let mut amendments: Vec<(Env, Setting)> = Vec::new();
        let mut base = None;
        'search: for layer in &layers {
            let mut whole = None;
            for setting in layer.fields.iter().filter(|s| s.path.first().is_some_and(|p| p.value == info.name)) {
                if setting.path.len() == 1 && setting.op == FieldOp::Set {
                    whole = whole.or(Some(setting));
                } else {
                    amendments.push((layer.scope(record, &info.name), setting.clone()));
                }
            }
            if let Some(setting) = whole {
                base = Some((layer.scope(record, &info.name), setting.clone()));
                break 'search;
            }
        }
        let mut value = match base {
            Some((env, setting)) => self.given(&env, &setting, &info.ty, record),
            None => match &info.default {
                Some(default) => {
                    let env = Env {
                        record: Some(record),
                        field: Some(info.name.clone()),
                        origin: Origin::Default,
                        ..Env::module(info.module)
                    };
                    self.eval_as(&env, default, &info.ty)
                }
                None if info.ty.is_optional() => Traced::new(Value::None, info.span, Origin::Default),
                None if info.is_rest => {
                    let empty = if matches!(info.ty.bare(), Type::Map(_)) {
                        Value::Map(Arc::default())
                    } else {
                        Value::List(Arc::default())
                    };
                    Traced::new(empty, info.span, Origin::Default)
                }
                None => {
                    self.missing_field(record, info);
                    Traced::new(Value::Error, info.span, Origin::Default)
                }
            },
        };
        for (env, setting) in amendments.into_iter().rev() {
            value = self.amended(value, &env, &setting, info, record);
        }
        self.within(&value, &info.ty, record, info);
        value
    }

    /// What a setting evaluates to.
    fn given(&mut self, env: &Env, setting: &Setting, ty: &Type, record: RecordId) -> Traced {
        match &setting.value {
            Given::Expr(expr) => self.eval_as(env, expr, ty),
            Given::Value(value) => self.fit(value.clone(), ty, env),
            Given::Text(text) => {
                let text = Traced::new(Value::Text(text.clone()), setting.span, env.origin);
                self.fit(text, ty, env)
            }
            Given::List(items) => {
                let element = ty.element();
                let items: Vec<Traced> = items.iter().map(|i| self.eval_as(env, i, &element)).collect();
                Traced::new(Value::List(Arc::new(items)), self.record(record).span, env.origin)
            }
            Given::Map(entries) => {
                let element = ty.element();
                let mut map: IndexMap<Arc<str>, Traced> = IndexMap::new();
                for (name, value) in entries {
                    let value = self.eval_as(env, value, &element);
                    map.insert(name.value.clone(), value);
                }
                Traced::new(Value::Map(Arc::new(map)), self.record(record).span, env.origin)
            }
        }
    }

    /// `value` with `a.b = …` or `a += …` applied.
    fn amended(&mut self, value: Traced, env: &Env, setting: &Setting, info: &FieldInfo, record: RecordId) -> Traced {
        if value.is_error() {
            return value;
        }
        if setting.path.len() == 1 {
            let Value::List(old) = &value.value else {
                let found = self.describe(&value.value);
                self.report(
                    Problem::new(
                        Code::E0316,
                        setting.span,
                        format!("`+=` adds to a list, and `{}` is {found}", info.name),
                    )
                    .also(value.span, "its value")
                    .help(format!("write `{} = …` to replace it", info.name)),
                );
                return value;
            };
            let more = self.given(env, setting, &info.ty, record);
            let Value::List(more) = more.value else { return value };
            let all: Vec<Traced> = old.iter().chain(more.iter()).cloned().collect();
            return Traced::new(Value::List(Arc::new(all)), setting.span, env.origin);
        }
        let inner = match &value.value {
            Value::Record(inner) => *inner,
            Value::Schema(schema) => self.make_record(*schema, None, Vec::new(), value.span),
            other => {
                let found = self.describe(other);
                let head = &setting.path[0];
                let mut problem = Problem::new(
                    Code::E0310,
                    path_span(&setting.path),
                    format!("`{}` has no fields to set", head.value),
                )
                .label(format!("it is {found}"))
                .also(value.span, "its value");
                if let (Value::None, [_, field]) = (other, setting.path.as_slice()) {
                    let written = match &setting.value {
                        Given::Expr(expr) => self.source_text(expr.span),
                        _ => "…",
                    };
                    let whole = self.examples_for(&info.ty, &Instead::Field(&field.value, written));
                    let whole: Vec<String> = whole.iter().map(|call| format!("`{} = {call}`", head.value)).collect();
                    if !whole.is_empty() {
                        problem = problem.help(format!("set it as a whole: {}", whole.join(" or ")));
                    }
                }
                self.report(problem);
                return value;
            }
        };
        let layer = Layer {
            fields: Rc::new(vec![Setting { path: setting.path[1..].to_vec(), ..setting.clone() }]),
            env: env.clone(),
            late: false,
        };
        let amended = self.amend(inner, layer, self.record(inner).span);
        Traced::new(Value::Record(amended), value.span, value.origin.min(env.origin))
    }

    /// Reports a value outside the range that its type declares.
    fn within(&mut self, value: &Traced, ty: &Type, record: RecordId, info: &FieldInfo) {
        if value.origin == Origin::Default && self.record(record).out_of_range {
            return;
        }
        let before = self.problems.len();
        self.check_range(value, ty, &Env { record: Some(record), ..Env::module(info.module) }, &info.name, info.span);
        self.records[record.0 as usize].out_of_range |= self.problems.len() > before;
    }

    fn missing_field(&mut self, record: RecordId, info: &FieldInfo) {
        let schema = self.record(record).schema;
        let misspelt = self.record(record).layers.iter().flat_map(|l| l.fields.iter()).any(|s| {
            s.path.first().is_some_and(|head| {
                let means_it = |ours: &str| ours.split('.').next() == Some(&*info.name);
                !self.schema(schema).fields.contains_key(&head.value)
                    && (!suggest::similar(&head.value, [&*info.name]).is_empty()
                        || foreign::known_as(&head.value).any(|known| means_it(known.ours)))
            })
        });
        if misspelt {
            // The field is there under a wrong name, which has been reported with this one as the suggestion.
            return;
        }
        let span = self.record(record).span;
        let owner = match &self.record(record).item {
            Some(item) => format!("`{}`", item.name),
            None => format!("`{}`", self.schema(self.record(record).schema).name),
        };
        let mut problem =
            Problem::new(Code::E0302, span, format!("{owner} needs {} `{}`", article(&info.name), info.name))
                .label(format!("`{}` is missing here", info.name))
                .also(info.span, format!("declared as {}", self.show_type(&info.ty)));
        if let Some(docs) = &info.docs {
            problem = problem.note(format!("`{}`: {}", info.name, docs.lines().next().unwrap_or("")));
        }
        let help = match &self.record(record).item {
            Some(_) => format!("add `{} = …`", info.name),
            None => format!("write `{}({} = …)`", self.schema(self.record(record).schema).name, info.name),
        };
        self.report(problem.help(help));
    }

    /// Reports a constraint that does not hold: the user's field first, with the values of the parts.
    pub(super) fn broken_constraint(&mut self, record: RecordId, info: &CheckInfo, env: &Env, follows: bool) {
        self.briefly(|this| this.tell_broken(record, info, env, follows));
    }

    fn tell_broken(&mut self, record: RecordId, info: &CheckInfo, env: &Env, follows: bool) {
        let condition = &info.check.condition;
        let mut parts: Vec<(Span, String)> = Vec::new();
        self.explain(condition, env, &mut parts);
        let mut involved: Vec<(Arc<str>, Traced)> = Vec::new();
        self.fields_in(condition, record, &mut involved);
        let owner = self.record(record).span;
        let written: Vec<&(Arc<str>, Traced)> =
            involved.iter().filter(|(_, v)| !self.is_library_span(v.span) && v.origin != Origin::Default).collect();
        if follows && written.is_empty() {
            // Only derived values are involved, and a constraint on what they derive from has been reported.
            return;
        }
        let because = match &info.check.because {
            Some(text) => self.text_of(env, text),
            None => None,
        };
        let message = because.unwrap_or_else(|| format!("`{}` does not hold", self.source_text(condition.span)));
        // An override outranks what stands in the file; among equals the one written last.
        let blamed = written.iter().max_by_key(|(_, v)| (v.origin, v.span.start));
        let (span, label) = match blamed {
            Some((name, value)) => (value.span, format!("`{name}` is {}", self.show(&value.value))),
            None => (owner, "here".to_owned()),
        };
        let mut problem = Problem::new(Code::E0402, span, message).label(label);
        for (name, value) in &written {
            if value.span != span {
                problem = problem.also(value.span, format!("`{name}` is {}", self.show(&value.value)));
            }
        }
        problem = problem.also(condition.span, "this must hold");
        for (_, text) in parts {
            problem = problem.note(text);
        }
        if let Some(hint) = &info.check.hint
            && let Some(text) = self.text_of(env, hint)
        {
            problem = problem.help(text);
        }
        self.report(problem);
    }

    fn text_of(&mut self, env: &Env, expr: &Expr) -> Option<String> {
        let (value, _) = self.quietly(|this| this.eval(env, expr, &Type::Text));
        match value.value {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// The values of the parts of a condition, outermost first: "`width % heads` is 4".
    fn explain(&mut self, expr: &Expr, env: &Env, parts: &mut Vec<(Span, String)>) {
        let mut inner = Vec::new();
        match &*expr.kind {
            ExprKind::Binary(_, left, right) => inner.extend([left, right]),
            ExprKind::Unary(_, e) | ExprKind::Paren(e) => inner.push(e),
            ExprKind::Call(_, args) => inner.extend(args.iter().map(|a| &a.value)),
            ExprKind::Range { low, high, .. } => inner.extend([low, high]),
            ExprKind::Name(_) | ExprKind::Field(..) => {}
            _ => return,
        }
        let interesting =
            matches!(&*expr.kind, ExprKind::Name(_) | ExprKind::Field(..) | ExprKind::Call(..) | ExprKind::Binary(..));
        if interesting {
            let (value, problems) = self.quietly(|this| this.eval(env, expr, &Type::Any));
            let text = self.source_text(expr.span).split_whitespace().collect::<Vec<_>>().join(" ");
            let shown = self.show(&value.value);
            if problems.is_empty() && !value.is_error() && text != shown && parts.len() < 12 {
                let line = format!("`{text}` is {shown}");
                if !parts.iter().any(|(_, known)| *known == line) {
                    parts.push((expr.span, line));
                }
            }
        }
        let brief = self.brief;
        if let [left, right] = inner.as_slice() {
            self.brief &= !self.looks_equal(left, right, env);
        }
        for part in inner {
            self.explain(part, env, parts);
        }
        self.brief = brief;
    }

    /// Whether two numbers differ, and would not seem to where they are shown briefly.
    fn looks_equal(&mut self, left: &Expr, right: &Expr, env: &Env) -> bool {
        let [a, b] = [left, right].map(|e| self.quietly(|this| this.eval(env, e, &Type::Any)).0.value);
        let (Value::Number(a, _), Value::Number(b, _)) = (a, b) else { return false };
        let (a, b) = (a.as_f64(), b.as_f64());
        a != b && super::show::brief(a) == super::show::brief(b)
    }

    /// The fields of the record that an expression names.
    pub(super) fn fields_in(&mut self, expr: &Expr, record: RecordId, found: &mut Vec<(Arc<str>, Traced)>) {
        match &*expr.kind {
            ExprKind::Name(name) => {
                let known = self.schema(self.record(record).schema).fields.contains_key(name);
                if known && !found.iter().any(|(n, _)| n == name) {
                    let value = self.field(record, name, expr.span);
                    found.push((name.clone(), value));
                }
            }
            ExprKind::Binary(_, left, right) => {
                self.fields_in(left, record, found);
                self.fields_in(right, record, found);
            }
            ExprKind::Unary(_, e) | ExprKind::Paren(e) | ExprKind::Field(e, _) => self.fields_in(e, record, found),
            ExprKind::Call(_, args) => args.iter().for_each(|a| self.fields_in(&a.value, record, found)),
            ExprKind::Range { low, high, .. } => {
                self.fields_in(low, record, found);
                self.fields_in(high, record, found);
            }
            ExprKind::If { condition, then, otherwise } => {
                [condition, then, otherwise].into_iter().for_each(|e| self.fields_in(e, record, found));
            }
            ExprKind::List(items) => items.iter().for_each(|e| self.fields_in(e, record, found)),
            _ => {}
        }
    }
}
