//! Sweeps: axes whose values fit the fields they are for.

use super::{AxisValues, CheckedAxis, CheckedSweep, Checker, Env};
use crate::diagnostics::{Code, Problem, suggest};
use crate::source::Span;
use crate::syntax::ast::{self, ItemKind};
use crate::types::{ItemId, RecordId, Traced, Type, Value};
use std::sync::Arc;

impl Checker<'_> {
    pub(super) fn checked_sweep(&mut self, id: &ItemId) -> Option<CheckedSweep> {
        let resolved = self.resolved;
        let entry = resolved.module(id.module).names.get(&id.name)?;
        let ItemKind::Sweep(sweep) = &resolved.item(id.module, *entry.definitions.first()?).kind else { return None };
        let declared = self.declare(id);
        let Value::Item(_, record) = declared.value else { return None };
        self.values.insert(id.clone(), super::State::Done(declared.clone()));
        self.force_record(record);
        let mut output = super::json::Output::default();
        let json = self.record_json(record, "", &mut output);
        let env = Env::module(id.module);
        // An axis that stands outside `over` was told of as the field that it is not.
        let schema = self.record(record).schema;
        let misplaced = sweep
            .fields
            .iter()
            .filter_map(|f| f.path.first())
            .any(|head| &*head.value != "where" && !self.schema(schema).fields.contains_key(&head.value));
        if sweep.axes.is_empty() && !sweep.lost && !misplaced {
            self.report(
                Problem::new(Code::E0801, sweep.name.span, format!("sweep `{}` has no axes", id.name))
                    .help("add `over { model.layers in [4, 6] }`"),
            );
        }
        let mut axes: Vec<CheckedAxis> = Vec::new();
        for axis in &sweep.axes {
            let Some(checked) = self.axis(&env, axis) else { continue };
            if let Some(first) = axes.iter().find(|a| a.path == checked.path) {
                let first = first.span;
                self.report(
                    Problem::new(Code::E0303, axis.span, format!("`{}` is an axis twice", checked.path))
                        .also(first, "first here"),
                );
                continue;
            }
            axes.push(checked);
        }
        self.search_fits(record, sweep);
        let condition = sweep.fields.iter().find(|f| f.path.first().is_some_and(|p| &*p.value == "where"));
        let (mut constraint, mut holds) = (None, true);
        if let Some(field) = condition {
            constraint = Some(self.one_line(field.value.span));
            let value = self.eval_as(&env, &field.value, &Type::Bool);
            holds = !matches!(value.value, Value::Bool(false));
        }
        let objective = ["minimize", "maximize"].map(|name| self.field(record, &Arc::from(name), sweep.name.span));
        match objective.each_ref().map(|o| !matches!(o.value, Value::None)) {
            [false, false] => self.report(
                Problem::new(Code::E0805, sweep.name.span, format!("sweep `{}` has no objective", id.name))
                    .label("which point is best?")
                    .help("add `minimize = stage.valid.loss`, or `maximize = …`"),
            ),
            [true, true] => self.report(
                Problem::new(Code::E0805, objective[1].span, "a sweep has one objective")
                    .also(objective[0].span, "first objective"),
            ),
            _ => {}
        }
        let objective = objective.iter().find(|o| !matches!(o.value, Value::None)).map(|o| self.one_line(o.span));
        Some(CheckedSweep {
            name: id.name.to_string(),
            axes,
            json,
            constraint,
            objective,
            holds,
            span: sweep.name.span,
        })
    }

    /// Reports a Sobol sequence over lists alone: it fills ranges.
    fn search_fits(&mut self, record: RecordId, sweep: &ast::Sweep) {
        let search = self.field(record, &Arc::from("search"), sweep.name.span);
        let Value::Record(chosen) = search.value else { return };
        let is_list = |axis: &ast::Axis| matches!(&*axis.values.kind, ast::ExprKind::List(_));
        if &*self.schema(self.record(chosen).schema).name != "sobol"
            || sweep.axes.is_empty()
            || !sweep.axes.iter().all(is_list)
        {
            return;
        }
        let mut problem = Problem::new(Code::E0804, search.span, "a Sobol sequence fills ranges, and no axis is one")
            .help("use `grid()`, or give an axis a range: `log(1e-4 .. 1e-2)`, `2..=12`");
        if self.is_library_span(search.span) {
            problem.labels[0].span = sweep.name.span;
        }
        for axis in sweep.axes.iter().take(3) {
            problem = problem.also(axis.values.span, "a list");
        }
        self.report(problem);
    }

    fn axis(&mut self, env: &Env, axis: &ast::Axis) -> Option<CheckedAxis> {
        let (ty, full) = self.axis_type(env, axis)?;
        let path: Vec<&str> = full.iter().map(|p| &*p.value).collect();
        // A list of the field's type, or for a list field a list of lists.
        let list = Type::List(Arc::new(ty.clone()));
        let value = self.axis_values(env, &axis.values, &list);
        let values = match &value.value {
            Value::Error => return None,
            Value::Axis(axis_values) => {
                self.axis_unit(&value, &ty, axis_values)?;
                rounded((**axis_values).clone(), &ty)
            }
            Value::List(_) | Value::Range { .. } => self.choices(env, &value, &ty, &path.join("."))?,
            other => {
                let found = self.describe(other);
                self.report(
                    Problem::new(Code::E0304, value.span, format!("an axis needs a list or a range, not {found}"))
                        .help("write `in [4, 6]`, `in 1..=3`, `in linear(a..b)` or `in log(a..b)`"),
                );
                return None;
            }
        };
        let mut active = true;
        let condition = axis.when.as_ref().map(|when| {
            let value = self.eval_as(env, when, &Type::Bool);
            active = !matches!(value.value, Value::Bool(false));
            self.one_line(when.span)
        });
        Some(CheckedAxis { path: path.join("."), values, condition, active, span: axis.span })
    }

    /// The values of an axis. `linear` and `log` are the axis functions here, although `linear` is also a schedule.
    fn axis_values(&mut self, env: &Env, values: &ast::Expr, list: &Type) -> Traced {
        if let ast::ExprKind::Call(callee, args) = &*values.kind
            && let ast::ExprKind::Name(name) = &*callee.kind
            && matches!(&**name, "linear" | "log" | "choice")
            && let Some(name) = super::builtins::find(name)
        {
            return Traced::new(self.call_builtin(env, name, args, values.span, list), values.span, env.origin);
        }
        self.eval(env, values, list)
    }

    fn choices(&mut self, env: &Env, value: &Traced, ty: &Type, path: &str) -> Option<AxisValues> {
        let list = Type::List(Arc::new(ty.clone()));
        let fitted = self.fit(value.clone(), &list, env);
        let Value::List(items) = &fitted.value else { return None };
        if items.is_empty() {
            self.report(Problem::new(Code::E0801, value.span, format!("axis `{path}` has no values")));
            return None;
        }
        if items.iter().any(Traced::is_error) {
            return None;
        }
        for item in items.iter() {
            self.check_range(item, ty, env, path, value.span);
        }
        let before = self.problems.len();
        items.iter().for_each(|item| self.force(&item.value));
        if self.problems.len() > before {
            return None;
        }
        let mut choices = Vec::new();
        for item in items.iter() {
            match self.written(item, ty) {
                Ok(text) => choices.push(text),
                Err(unwritten) => {
                    self.report(
                        Problem::new(
                            Code::E0304,
                            value.span,
                            format!("a value of axis `{path}` cannot be set from outside"),
                        )
                        .label("the points of a sweep are settings, as `--set` gives them")
                        .also(unwritten.span, unwritten.why)
                        .help("give it a name in the file of the sweep (`use`, `let` or `fn`), or write it out there"),
                    );
                    return None;
                }
            }
        }
        Some(AxisValues::Choices(choices))
    }

    /// A continuous axis must be in the unit of its field.
    fn axis_unit(&mut self, value: &Traced, ty: &Type, axis: &AxisValues) -> Option<()> {
        let (AxisValues::Linear { low, high, unit, .. } | AxisValues::Log { low, high, unit, .. }) = axis else {
            return Some(());
        };
        let unit = if unit.is_empty() { crate::types::Unit::One } else { crate::types::Unit::parse(unit)?.0 };
        for edge in [low, high] {
            let number = Traced { value: Value::Number(crate::types::Num::from_f64(*edge), unit), ..value.clone() };
            let whole = matches!(ty.bare(), Type::Int);
            let fitted = if whole { number } else { self.fit(number, ty, &Env::module(self.resolved.main)) };
            if fitted.is_error() {
                return None;
            }
        }
        Some(())
    }

    /// The type of the field that an axis names, and its path in full.
    fn axis_type(&mut self, env: &Env, axis: &ast::Axis) -> Option<(Type, Vec<ast::Name>)> {
        let head = axis.path.first()?;
        let Some(entry) = self.resolved.module(env.module).names.get(&head.value) else {
            let names = &self.resolved.module(env.module).names;
            let known: Vec<Arc<str>> = names.keys().cloned().collect();
            let mut problem =
                Problem::new(Code::E0802, head.span, format!("there is no item or param `{}`", head.value))
                    .label("an axis names a field of an item");
            for near in suggest::similar(&head.value, known.iter().map(|k| &**k)) {
                problem = problem.fix(format!("did you mean `{near}`?"), head.span, near);
            }
            self.report(problem);
            return None;
        };
        let span = entry.span;
        let id = ItemId { module: env.module, name: head.value.clone() };
        if axis.path.len() == 1 {
            if let crate::resolve::EntryKind::Param = entry.kind {
                let item = self.resolved.item(env.module, *entry.definitions.last()?);
                let ItemKind::Param(param) = &item.kind else { return None };
                let value = self.value_of(&id, head.span);
                let ty = match &param.ty {
                    Some(written) => self.resolve_type(env.module, written),
                    None => self.type_of(&value.value),
                };
                return Some((ty, axis.path.clone()));
            }
            self.report(
                Problem::new(Code::E0802, head.span, format!("`{}` is no param", head.value))
                    .label("name one of its fields")
                    .also(span, "declared here"),
            );
            return None;
        }
        match self.value_of(&id, head.span).value {
            Value::Item(_, record) => {
                let mut path = axis.path[1..].to_vec();
                if self.kind_of(self.record(record).schema) == Some(ast::Kind::Dataset) {
                    match self.dataset_path(&head.value, record, &path) {
                        Ok(full) => path = full,
                        Err(problem) => {
                            let code = if problem.code == Code::E0301 { Code::E0802 } else { problem.code };
                            self.report(Problem { code, ..problem });
                            return None;
                        }
                    }
                }
                let ty = self.field_type(record, &path)?;
                path.insert(0, head.clone());
                Some((ty, path))
            }
            Value::Error => None,
            other => {
                let found = self.describe(&other);
                self.report(Problem::new(Code::E0802, head.span, format!("{found} has no fields to vary")));
                None
            }
        }
    }

    /// The type of `path` within a record.
    fn field_type(&mut self, record: RecordId, path: &[ast::Name]) -> Option<Type> {
        let head = path.first()?;
        let schema = self.record(record).schema;
        let Some(field) = self.schema(schema).fields.get(&head.value).cloned() else {
            let text = format!("`{}` has no field `{}`", self.schema(schema).name, head.value);
            let known: Vec<Arc<str>> = self.schema(schema).fields.keys().cloned().collect();
            let mut problem = Problem::new(Code::E0802, head.span, text).label("unknown field");
            for near in suggest::similar(&head.value, known.iter().map(|k| &**k)) {
                problem = problem.fix(format!("did you mean `{near}`?"), head.span, near);
            }
            self.report(problem);
            return None;
        };
        if field.is_final {
            self.report(
                Problem::new(Code::E0306, head.span, format!("`{}` is final", head.value))
                    .also(field.span, "declared final here"),
            );
            return None;
        }
        if path.len() == 1 {
            return Some(field.ty);
        }
        let value = self.field(record, &head.value, head.span);
        match value.value {
            Value::Record(inner) => self.field_type(inner, &path[1..]),
            Value::Error => None,
            other => {
                let found = self.describe(&other);
                let span: Span = path[1].span;
                self.report(Problem::new(Code::E0802, span, format!("{found} has no fields to vary")));
                None
            }
        }
    }
}

/// The values of an axis as its field takes them: a field of whole numbers takes whole ones only.
fn rounded(mut values: AxisValues, ty: &Type) -> AxisValues {
    let is = |wanted: fn(&Type) -> bool| ty.alternatives().iter().any(|t| wanted(t.bare()));
    let (int, float) = (is(|t| *t == Type::Int), is(|t| matches!(t, Type::Float | Type::Number)));
    if let AxisValues::Linear { whole, unit, .. } | AxisValues::Log { whole, unit, .. } = &mut values {
        *whole = unit.is_empty() && int && !float;
    }
    values
}
