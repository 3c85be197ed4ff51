//! Expressions to values.

use super::{Checker, Env, Origin, State};
use crate::diagnostics::{Code, Problem};
use crate::resolve::EntryKind;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, ItemKind, Number, TextPart};
use crate::types::core::{Constant, Core};
use crate::types::{ItemId, LambdaValue, Later, Num, Phase, Traced, Type, Unit, Value, multiplier};
use std::sync::Arc;

impl Checker<'_> {
    /// The value of an expression, as `want` has it.
    pub(super) fn eval_as(&mut self, env: &Env, expr: &Expr, want: &Type) -> Traced {
        let value = self.eval(env, expr, want);
        self.fit(value, want, env)
    }

    /// The value of an expression. `want` guides symbols, lambdas and the elements of lists; nothing is converted.
    pub(super) fn eval(&mut self, env: &Env, expr: &Expr, want: &Type) -> Traced {
        let span = expr.span;
        if !self.spend(span) {
            return Traced::new(Value::Error, span, env.origin);
        }
        if let Some(problem) = self.bare_path(env, expr, want) {
            self.report(problem);
            return Traced::new(Value::Error, span, env.origin);
        }
        let value = match &*expr.kind {
            ExprKind::Error => Value::Error,
            ExprKind::None => Value::None,
            ExprKind::Bool(b) => Value::Bool(*b),
            ExprKind::Number(number) => self.number(number, span),
            ExprKind::Text(parts) => self.text(env, parts),
            ExprKind::Name(name) => return self.name(env, name, span, want),
            ExprKind::Field(base, name) => return self.access(env, base, name, span, want),
            ExprKind::Index(base, index) => self.index(env, base, index),
            ExprKind::Call(callee, args) => return self.call(env, callee, args, None, span, want),
            ExprKind::Pipe(left, right) => return self.pipe(env, left, right, span, want),
            ExprKind::List(items) => {
                let element = want.element();
                let items: Vec<Traced> = items.iter().map(|i| self.eval(env, i, &element)).collect();
                Value::List(Arc::new(items))
            }
            ExprKind::Comprehension { element, name, list, condition } => {
                self.comprehension(env, element, name, list, condition.as_ref(), want)
            }
            ExprKind::If { condition, then, otherwise } => {
                return self.conditional(env, condition, then, otherwise, span, want);
            }
            ExprKind::Lambda(params, body) => self.lambda(env, params, body, span, want),
            ExprKind::Unary(op, inner) => self.unary(env, op, inner, span),
            ExprKind::Binary(op, left, right) => self.binary(env, op, left, right, span),
            ExprKind::Range { low, high, inclusive } => self.range(env, low, high, *inclusive, want),
            ExprKind::Paren(inner) => return self.eval(env, inner, want),
        };
        Traced::new(value, span, env.origin)
    }

    /// A literal number with its multiplier and unit.
    fn number(&mut self, number: &Number, span: Span) -> Value {
        let digits = number.digits.replace('_', "");
        let factor = match &number.multiplier {
            Some(letters) => match multiplier(&letters.value) {
                Some(factor) => factor,
                None => {
                    let text = format!("`{}` is not a multiplier", letters.value);
                    self.report(
                        Problem::new(Code::E0314, letters.span, text).help("there are k, M, B, T and Ki, Mi, Gi, Ti"),
                    );
                    return Value::Error;
                }
            },
            None => 1.0,
        };
        let (unit, scale) = match &number.unit {
            None => (Unit::One, 1.0),
            Some(word) => match Unit::parse(&word.value) {
                Some(found) => found,
                None => {
                    self.unknown_unit(word);
                    return Value::Error;
                }
            },
        };
        if factor == 1.0
            && scale == 1.0
            && let Ok(whole) = digits.parse::<i64>()
        {
            return Value::Number(Num::Int(whole), unit);
        }
        let Ok(x) = digits.parse::<f64>() else {
            self.report(Problem::new(Code::E0108, span, "this is not a number"));
            return Value::Error;
        };
        // A share is divided, so that 96% is the number nearest to 0.96.
        let x = if unit == Unit::Ratio { x * factor / 100.0 } else { x * factor * scale };
        if !x.is_finite() || (digits.bytes().all(|b| b.is_ascii_digit()) && x.abs() >= 9.2e18) {
            self.report(
                Problem::new(Code::E0404, span, "this number is too large")
                    .label("the largest whole number is about 9.2e18")
                    .help("write it with an exponent if it need not be exact: `1e20`"),
            );
            return Value::Error;
        }
        Value::Number(if unit == Unit::Ratio { Num::Float(x) } else { Num::from_f64(x) }, unit)
    }

    fn text(&mut self, env: &Env, parts: &[TextPart]) -> Value {
        let mut text = String::new();
        for part in parts {
            match part {
                TextPart::Plain(plain) => text.push_str(plain),
                TextPart::Hole(expr) => {
                    let value = self.eval(env, expr, &Type::Any);
                    match &value.value {
                        Value::Error => return Value::Error,
                        Value::Text(inner) | Value::Path { written: inner, .. } => text.push_str(inner),
                        Value::Later(later) if later.phase == Phase::Generic => {
                            let core = Core::Const(Constant::Text(String::new()));
                            return Value::Later(Arc::new(Later { core, ty: Type::Text, phase: Phase::Generic }));
                        }
                        Value::Later(_) => {
                            self.report(
                                Problem::new(Code::E0501, value.span, "a text cannot hold a value that is known later")
                                    .label("this is not known when the plan is made"),
                            );
                            return Value::Error;
                        }
                        other => text.push_str(&self.show(other)),
                    }
                }
            }
        }
        Value::Text(Arc::from(text))
    }

    /// What a bare name means: a symbol of the type that is wanted, or whatever is in scope.
    fn name(&mut self, env: &Env, name: &Arc<str>, span: Span, want: &Type) -> Traced {
        if want.symbols().contains(name) {
            self.clash(env, name, span, want);
            return Traced::new(Value::Symbol(name.clone()), span, env.origin);
        }
        match self.lookup(env, name, span) {
            Some(found) => {
                // The value keeps its own place only within its record; here the use is what matters.
                Traced { span, origin: env.origin, ..found }
            }
            None => {
                // Where the surroundings are wrong already, a symbol cannot be told from a name.
                if *want != Type::Error {
                    self.unknown_name(env, name, span, want);
                }
                Traced::new(Value::Error, span, env.origin)
            }
        }
    }

    /// A symbol that is also a name of the user's in scope could mean either.
    fn clash(&mut self, env: &Env, name: &Arc<str>, span: Span, want: &Type) {
        let entry = self.resolved.module(env.module).names.get(name);
        let at = match entry {
            Some(entry) if matches!(entry.kind, EntryKind::Let | EntryKind::Param) => entry.span,
            _ => return,
        };
        if env.local(name).is_some() {
            return;
        }
        let item = ItemId { module: env.module, name: name.clone() };
        let (value, _) = self.quietly(|this| this.value_of(&item, span));
        let fits = matches!(&value.value, Value::Symbol(s) if want.symbols().contains(s));
        if fits {
            self.report(
                Problem::new(Code::E0207, span, format!("`{name}` could mean two things"))
                    .label(format!("the symbol `{name}`, or the value of `{name}`?"))
                    .also(at, format!("`{name}` is defined here"))
                    .help("rename the definition; then the bare name is the symbol"),
            );
        }
    }

    /// The value of a name in scope: a local, a field of the record, a name of the module, the prelude, a builtin.
    pub(super) fn lookup(&mut self, env: &Env, name: &Arc<str>, span: Span) -> Option<Traced> {
        if let Some(value) = env.local(name) {
            return Some(value.clone());
        }
        if let Some(record) = env.record {
            let own = env.field.as_ref() == Some(name);
            let schema = self.record(record).schema;
            // `template = template(…)`: a field's own name means what stands outside the record, if anything does.
            if self.schema(schema).fields.contains_key(name) && !(own && self.names_outside(env.module, name)) {
                return Some(self.field(record, name, span));
            }
        }
        if let Some(value) = self.module_name(env.module, name, span) {
            return Some(value);
        }
        let prelude = self.resolved.prelude.clone();
        if let Some(value) = prelude.iter().find_map(|m| self.module_name(*m, name, span)) {
            return Some(value);
        }
        if let Some(builtin) = super::builtins::find(name) {
            return Some(Traced::new(Value::Builtin(builtin), span, Origin::Set));
        }
        self.measured_root(env, name).map(|v| Traced::new(v, span, Origin::Set))
    }

    /// Whether a name means something in the module, the prelude or the language itself.
    fn names_outside(&self, module: u32, name: &str) -> bool {
        let mut modules = std::iter::once(module).chain(self.resolved.prelude.iter().copied());
        modules.any(|m| self.resolved.module(m).names.contains_key(name)) || super::builtins::find(name).is_some()
    }

    /// What `name` stands for in a module, imports included.
    fn module_name(&mut self, module: u32, name: &Arc<str>, span: Span) -> Option<Traced> {
        let entry = self.resolved.module(module).names.get(name)?;
        let at = |value| Some(Traced::new(value, span, Origin::Set));
        match &entry.kind {
            EntryKind::Missing => at(Value::Error),
            EntryKind::Module(id) => at(Value::Module(*id)),
            EntryKind::Foreign(other, original) => {
                let (other, original) = (*other, original.clone());
                self.module_name(other, &original, span)
            }
            EntryKind::Schema => match self.schema_ids.get(&(module, name.clone())) {
                Some(id) => at(Value::Schema(*id)),
                None => at(Value::Error),
            },
            EntryKind::Fn => at(Value::Function(ItemId { module, name: name.clone() })),
            EntryKind::Claim | EntryKind::Decl(crate::syntax::ast::Kind::Sweep) => {
                let noun = entry.kind.noun();
                let defined = entry.span;
                self.report(
                    Problem::new(Code::E0304, span, format!("`{name}` is a {noun}, which is not a value"))
                        .also(defined, "declared here"),
                );
                at(Value::Error)
            }
            EntryKind::Param | EntryKind::Let | EntryKind::Decl(_) => {
                let id = ItemId { module, name: name.clone() };
                Some(self.value_of(&id, span))
            }
        }
    }

    /// The value of a param, a let or a declared item, evaluated once.
    pub(super) fn value_of(&mut self, id: &ItemId, at: Span) -> Traced {
        match self.values.get(id) {
            Some(State::Done(value)) => return value.clone(),
            Some(State::Busy) => {
                self.circle(&id.name, at);
                return Traced::new(Value::Error, at, Origin::Set);
            }
            None => {}
        }
        self.values.insert(id.clone(), State::Busy);
        self.path.push((id.name.to_string(), at));
        let value = if self.path.len() > super::DEEPEST {
            self.report(Problem::new(Code::E0003, at, "values depend on each other too deeply"));
            Traced::new(Value::Error, at, Origin::Set)
        } else {
            self.lastingly(|this| this.define(id))
        };
        self.path.pop();
        self.values.insert(id.clone(), State::Done(value.clone()));
        value
    }

    fn define(&mut self, id: &ItemId) -> Traced {
        let resolved = self.resolved;
        let Some(entry) = resolved.module(id.module).names.get(&id.name) else {
            return Traced::new(Value::Error, Span::new(crate::source::FileId(0), 0, 0), Origin::Set);
        };
        let nothing = Traced::new(Value::Error, entry.span, Origin::Set);
        let Some(definition) = entry.definitions.first() else { return nothing };
        let env = Env::module(id.module);
        match &resolved.item(id.module, *definition).kind {
            ItemKind::Let(item) => match &item.ty {
                Some(written) => {
                    let ty = self.resolve_type(id.module, written);
                    let value = self.eval_as(&env, &item.value, &ty);
                    self.check_range(&value, &ty, &env, &id.name, item.name.span);
                    value
                }
                None => self.eval(&env, &item.value, &Type::Any),
            },
            ItemKind::Param(param) => self.param(id, param),
            _ => self.declare(id),
        }
    }

    /// `base.name`.
    fn access(&mut self, env: &Env, base: &Expr, name: &crate::syntax::ast::Name, span: Span, want: &Type) -> Traced {
        let _ = want;
        let base_value = self.eval(env, base, &Type::Any);
        let value = match &base_value.value {
            Value::Error => Value::Error,
            Value::Module(module) => {
                let module = *module;
                match self.module_name(module, &name.value, name.span) {
                    Some(found) => return Traced { span, origin: env.origin, ..found },
                    None => {
                        self.unknown_member(module, name);
                        Value::Error
                    }
                }
            }
            Value::Later(later) => self.later_field(later, name),
            Value::Measures(path) => self.measure(path, name, span),
            Value::Item(id, record) => {
                let (id, record) = (id.clone(), *record);
                return self.item_field(env, &id, record, name, span);
            }
            Value::Record(record) => {
                let record = *record;
                if self.schema(self.record(record).schema).fields.contains_key(&name.value) {
                    let found = self.field(record, &name.value, name.span);
                    return Traced { span, origin: env.origin, ..found };
                }
                self.no_such_field(&base_value.value, name);
                Value::Error
            }
            Value::Map(map) => match map.get(&name.value) {
                Some(found) => found.value.clone(),
                None => {
                    self.no_such_field(&base_value.value, name);
                    Value::Error
                }
            },
            _ => {
                self.no_such_field(&base_value.value, name);
                Value::Error
            }
        };
        Traced::new(value, span, env.origin)
    }

    /// A field of a value that is known later: `doc.words`.
    fn later_field(&mut self, later: &Arc<Later>, name: &crate::syntax::ast::Name) -> Value {
        let Type::Record(schema) = later.ty.bare() else {
            if matches!(later.ty, Type::Any | Type::Error) {
                return Value::Later(later.clone());
            }
            self.no_such_field(&Value::Later(later.clone()), name);
            return Value::Error;
        };
        let schema = *schema;
        // A split of a dataset that a function takes is not known until the function is called.
        if later.phase == Phase::Generic && self.kind_of(schema) == Some(crate::syntax::ast::Kind::Dataset) {
            return Value::Later(Arc::new(Later {
                core: later.core.clone(),
                ty: later.ty.clone(),
                phase: later.phase,
            }));
        }
        match self.schema(schema).fields.get(&name.value) {
            Some(field) => {
                let core = Core::Field { of: Box::new(later.core.clone()), name: name.value.to_string() };
                Value::Later(Arc::new(Later { core, ty: field.ty.bare().clone(), phase: later.phase }))
            }
            None => {
                self.unknown_later_field(schema, name);
                Value::Error
            }
        }
    }

    fn index(&mut self, env: &Env, base: &Expr, index: &Expr) -> Value {
        let list = self.eval(env, base, &Type::Any);
        let at = self.eval(env, index, &Type::Int);
        match (&list.value, &at.value) {
            (Value::Error, _) | (_, Value::Error) => Value::Error,
            (Value::List(items), Value::Number(n, Unit::One)) => {
                let found = n.whole().and_then(|i| usize::try_from(i).ok()).and_then(|i| items.get(i));
                match found {
                    Some(item) => item.value.clone(),
                    None => {
                        let text = format!("there is no element {}", super::show::show_number(*n, Unit::One));
                        let count = items.len();
                        self.report(
                            Problem::new(Code::E0401, at.span, text)
                                .label(format!("the list has {count}, counted from 0"))
                                .also(list.span, "this list"),
                        );
                        Value::Error
                    }
                }
            }
            (Value::Later(later), _) if later.phase == Phase::Generic => {
                Value::Later(Arc::new(Later { core: later.core.clone(), ty: later.ty.element(), phase: later.phase }))
            }
            (other, _) => {
                let found = self.describe(other);
                self.report(Problem::new(Code::E0304, list.span, format!("only a list has elements; this is {found}")));
                Value::Error
            }
        }
    }

    fn comprehension(
        &mut self,
        env: &Env,
        element: &Expr,
        name: &crate::syntax::ast::Name,
        list: &Expr,
        condition: Option<&Expr>,
        want: &Type,
    ) -> Value {
        let source = self.eval(env, list, &Type::Any);
        let want = want.element();
        if let Value::Later(later) = &source.value
            && later.phase != Phase::Generic
        {
            self.report(
                Problem::new(Code::E0501, source.span, "a comprehension needs a list that is known")
                    .label("this list is known only later"),
            );
            return Value::Error;
        }
        if let Value::Later(later) = &source.value {
            // Checked once with an element that stands for all.
            let item = Later { core: later.core.clone(), ty: later.ty.element(), phase: later.phase };
            let env = env.with(name.value.clone(), Traced { value: Value::Later(Arc::new(item)), ..source.clone() });
            let value = self.eval(&env, element, &want);
            if let Some(condition) = condition {
                self.eval_as(&env, condition, &Type::Bool);
            }
            let ty = self.type_of(&value.value);
            let ty = Type::List(Arc::new(ty));
            return Value::Later(Arc::new(Later { core: later.core.clone(), ty, phase: later.phase }));
        }
        if source.is_error() {
            return Value::Error;
        }
        let items = match &source.value {
            Value::List(_) | Value::Range { .. } => self.fit(source.clone(), &Type::List(Arc::new(Type::Any)), env),
            other => {
                let found = self.describe(other);
                self.report(Problem::new(
                    Code::E0304,
                    source.span,
                    format!("a list or a range is wanted after `in`, not {found}"),
                ));
                return Value::Error;
            }
        };
        let Value::List(items) = items.value else { return Value::Error };
        let mut results = Vec::new();
        // What decides whether an element belongs, when that is not known yet.
        let mut undecided = None;
        for item in items.iter() {
            let env = env.with(name.value.clone(), item.clone());
            if let Some(condition) = condition {
                match self.eval_as(&env, condition, &Type::Bool).value {
                    Value::Bool(true) => {}
                    Value::Error => return Value::Error,
                    Value::Later(later) => undecided = Some(later),
                    _ => continue,
                }
            }
            let value = self.eval(&env, element, &want);
            if self.exhausted {
                return Value::Error;
            }
            results.push(value);
        }
        let Some(later) = undecided else { return Value::List(Arc::new(results)) };
        if later.phase != Phase::Generic {
            let at = condition.map_or(source.span, |c| c.span);
            self.report(
                Problem::new(Code::E0501, at, "what a list holds cannot depend on this")
                    .label("this is known only when the experiment runs")
                    .help("write the cases out, joined by `and`, `or` and `+`"),
            );
            return Value::Error;
        }
        // A function's body, checked for all callers: only the type of the list is known.
        let ty = results.first().map_or(Type::Any, |first| self.type_of(&first.value));
        Value::Later(Arc::new(Later { core: later.core.clone(), ty: Type::List(Arc::new(ty)), phase: later.phase }))
    }

    fn conditional(
        &mut self,
        env: &Env,
        condition: &Expr,
        then: &Expr,
        otherwise: &Expr,
        span: Span,
        want: &Type,
    ) -> Traced {
        let known = self.eval_as(env, condition, &Type::Bool);
        match &known.value {
            Value::Bool(truth) => {
                let (taken, other) = if *truth { (then, otherwise) } else { (otherwise, then) };
                let value = self.eval(env, taken, want);
                // The other branch must make sense too, though its values do not matter.
                self.dry += 1;
                let unused = self.eval_as(env, other, want);
                self.dry -= 1;
                self.same_branches(&value, &unused, want, span);
                value
            }
            Value::Later(later) => {
                let later = later.clone();
                let then = self.eval(env, then, want);
                let otherwise = self.eval(env, otherwise, want);
                self.same_branches(&then, &otherwise, want, span);
                let (Some(a), Some(b)) = (self.core_of(&then), self.core_of(&otherwise)) else {
                    return Traced::new(Value::Error, span, env.origin);
                };
                let ty = self.type_of(&then.value);
                let core =
                    Core::If { condition: Box::new(later.core.clone()), then: Box::new(a), otherwise: Box::new(b) };
                Traced::new(Value::Later(Arc::new(Later { core, ty, phase: later.phase })), span, env.origin)
            }
            _ => {
                self.eval(env, then, want);
                self.eval(env, otherwise, want);
                Traced::new(Value::Error, span, env.origin)
            }
        }
    }

    /// Where no type is wanted, both branches of a conditional must have the same one.
    fn same_branches(&mut self, a: &Traced, b: &Traced, want: &Type, span: Span) {
        if *want != Type::Any || a.is_error() || b.is_error() {
            return;
        }
        let (one, two) = (self.type_of(&a.value), self.type_of(&b.value));
        if self.assignable(&one, &two) || self.assignable(&two, &one) {
            return;
        }
        let (one, two) = (self.show_type(&one), self.show_type(&two));
        self.report(
            Problem::new(Code::E0317, span, "the branches have different types")
                .also(a.span, format!("this is {one}"))
                .also(b.span, format!("this is {two}"))
                .help("make both branches the same kind of value"),
        );
    }

    fn lambda(
        &mut self,
        env: &Env,
        params: &[crate::syntax::ast::Name],
        body: &Expr,
        span: Span,
        want: &Type,
    ) -> Value {
        let Some((types, result)) = want.function().map(|(p, r)| (p.to_vec(), r.clone())) else {
            if !matches!(want, Type::Error) {
                let wanted = self.show_type(want);
                let text = if *want == Type::Any {
                    "a function can stand only where one is wanted".to_owned()
                } else {
                    format!("{wanted} is wanted, not a function")
                };
                self.report(
                    Problem::new(Code::E0304, span, text).help("give it to a step such as `keep`, or declare a `fn`"),
                );
            }
            return Value::Error;
        };
        let ([param], [ty]) = (params, types.as_slice()) else {
            let text = format!("the function takes {} here", plural(types.len(), "value"));
            self.report(Problem::new(Code::E0307, span, text).label(format!("this one takes {}", params.len())));
            return Value::Error;
        };
        self.compile(env, param.value.clone(), ty, body, &result, span)
    }

    /// A lambda's body as an expression over its parameter.
    pub(super) fn compile(
        &mut self,
        env: &Env,
        param: Arc<str>,
        ty: &Type,
        body: &Expr,
        result: &Type,
        span: Span,
    ) -> Value {
        let argument = Later { core: Core::Arg(param.to_string()), ty: ty.clone(), phase: Phase::Document };
        let env = env.with(param.clone(), Traced::new(Value::Later(Arc::new(argument)), span, env.origin));
        let value = self.eval_as(&env, body, result);
        match self.core_of(&value) {
            Some(body) => Value::Lambda(Arc::new(LambdaValue { param, body, result: result.clone() })),
            None => Value::Error,
        }
    }

    /// A range: `low..high`. `2..500 tokens` has its unit on either side.
    fn range(&mut self, env: &Env, low: &Expr, high: &Expr, inclusive: bool, want: &Type) -> Value {
        let want = want.element();
        let low = self.eval(env, low, &want);
        let high = self.eval(env, high, &want);
        match (&low.value, &high.value) {
            (Value::Number(a, one), Value::Number(b, two)) => {
                if one != two && *one != Unit::One && *two != Unit::One {
                    self.report(
                        Problem::new(Code::E0312, high.span, "the ends of a range have different units")
                            .also(low.span, format!("{} here", one.type_name()))
                            .label(format!("{} here", two.type_name())),
                    );
                    return Value::Error;
                }
                let unit = if *one == Unit::One { *two } else { *one };
                if a.as_f64() > b.as_f64() {
                    self.report(
                        Problem::new(Code::E0401, low.span.to(high.span), "the range is empty")
                            .label("its start is above its end"),
                    );
                }
                Value::Range { low: *a, high: *b, unit, inclusive }
            }
            (Value::Error, _) | (_, Value::Error) => Value::Error,
            (Value::Later(l), other) | (other, Value::Later(l)) if l.phase == Phase::Generic => {
                let _ = other;
                Value::Later(Arc::new(Later {
                    core: l.core.clone(),
                    ty: Type::List(Arc::new(Type::Int)),
                    phase: Phase::Generic,
                }))
            }
            (a, b) => {
                let wrong = if matches!(a, Value::Number(..)) { (b, high.span) } else { (a, low.span) };
                let found = self.describe(wrong.0);
                self.report(Problem::new(
                    Code::E0304,
                    wrong.1,
                    format!("the ends of a range are numbers, not {found}"),
                ));
                Value::Error
            }
        }
    }

    /// A value as a compiled expression.
    pub(super) fn core_of(&self, value: &Traced) -> Option<Core> {
        Some(match &value.value {
            Value::Later(later) => later.core.clone(),
            Value::None => Core::Const(Constant::None),
            Value::Bool(b) => Core::Const(Constant::Bool(*b)),
            Value::Number(n, _) => Core::Const(n.constant()),
            Value::Text(t) | Value::Path { written: t, .. } => Core::Const(Constant::Text(t.to_string())),
            Value::Symbol(s) => Core::Const(Constant::Text(s.to_string())),
            Value::List(items) => Core::List(items.iter().map(|i| self.core_of(i)).collect::<Option<_>>()?),
            _ => return None,
        })
    }

    /// The type of a value, as precise as the value alone tells.
    pub(super) fn type_of(&self, value: &Value) -> Type {
        match value {
            Value::None => Type::None,
            Value::Bool(_) => Type::Bool,
            Value::Number(Num::Int(_), Unit::One) => Type::Int,
            Value::Number(Num::Float(_), Unit::One) => Type::Float,
            Value::Number(_, unit) => Type::Quantity(*unit),
            Value::Text(_) => Type::Text,
            Value::Path { .. } => Type::Path,
            Value::Symbol(s) => Type::Symbols(Arc::from([s.clone()])),
            Value::List(items) => {
                Type::List(Arc::new(items.first().map_or(Type::Any, |first| self.type_of(&first.value))))
            }
            Value::Map(map) => Type::Map(Arc::new(map.values().next().map_or(Type::Any, |v| self.type_of(&v.value)))),
            Value::Record(id) | Value::Item(_, id) => Type::Record(self.record(*id).schema),
            Value::Split(..) => self.kind_schema(crate::syntax::ast::Kind::Dataset).map_or(Type::Any, Type::Record),
            Value::Later(later) => later.ty.clone(),
            Value::Schema(id) => Type::Record(*id),
            Value::Range { .. } => Type::List(Arc::new(Type::Number)),
            _ => Type::Any,
        }
    }
}

/// `1 value`, `2 values`.
pub(super) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
