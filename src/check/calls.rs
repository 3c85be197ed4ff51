//! Calls: constructing records, applying functions, threading datasets through steps.

use super::records::{Given, Layer, Setting};
use super::{Checker, Env, Origin};
use crate::diagnostics::{Code, Edit, Fix, Problem, suggest};
use crate::source::{Span, Spanned};
use crate::syntax::ast::{Arg, Expr, ExprKind, FieldOp, ItemKind, Name};
use crate::types::core::Core;
use crate::types::{ItemId, Later, Phase, SchemaId, Traced, Type, Value};
use std::rc::Rc;
use std::sync::Arc;

impl Checker<'_> {
    /// `callee(args)`; `piped` is the left side of `|>`, which becomes the first argument.
    pub(super) fn call(
        &mut self,
        env: &Env,
        callee: &Expr,
        args: &[Arg],
        piped: Option<Traced>,
        span: Span,
        want: &Type,
    ) -> Traced {
        let target = self.eval(env, callee, &Type::Any);
        let value = match target.value {
            Value::Error => {
                // The arguments may have problems of their own.
                for arg in args {
                    self.eval(env, &arg.value, &Type::Error);
                }
                Value::Error
            }
            Value::Schema(schema) => self.construct(env, schema, callee, args, piped, span),
            Value::Function(id) => self.apply(env, &id, callee, args, piped, span),
            Value::Builtin(name) if piped.is_none() => self.call_builtin(env, name, args, span, want),
            other => {
                let found = self.describe(&other);
                let mut problem =
                    Problem::new(Code::E0309, callee.span, format!("{found} cannot be called")).label("called here");
                if let Value::Item(..) = other {
                    problem = problem.help("an item is named without parentheses");
                }
                self.report(problem);
                Value::Error
            }
        };
        Traced::new(value, span, env.origin)
    }

    /// `left |> step(args)`.
    pub(super) fn pipe(&mut self, env: &Env, left: &Expr, right: &Expr, span: Span, want: &Type) -> Traced {
        let input = self.eval(env, left, &Type::Any);
        match &*right.kind {
            ExprKind::Call(callee, args) => {
                let broken = input.is_error();
                let value = self.call(env, callee, args, Some(input), span, want);
                if broken { Traced { value: Value::Error, ..value } } else { value }
            }
            ExprKind::Error => Traced::new(Value::Error, span, env.origin),
            _ => {
                let text = self.source_text(right.span).to_owned();
                self.report(
                    Problem::new(Code::E0319, right.span, "`|>` is followed by a step with parentheses")
                        .label("this is not a call")
                        .fix(format!("write `{text}()`"), right.span, format!("{text}()")),
                );
                Traced::new(Value::Error, span, env.origin)
            }
        }
    }

    /// A record of `schema` from the arguments of a call.
    fn construct(
        &mut self,
        env: &Env,
        schema: SchemaId,
        callee: &Expr,
        args: &[Arg],
        piped: Option<Traced>,
        span: Span,
    ) -> Value {
        let info = self.schema(schema).clone();
        if info.is_family {
            let members = self.members(schema);
            self.report(
                Problem::new(Code::E0309, callee.span, format!("`{}` is a family, not one thing", info.name))
                    .label("which one?")
                    .help(format!("write one of {}", members.join(", "))),
            );
            return Value::Error;
        }
        let places: Vec<Arc<str>> =
            info.fields.values().filter(|f| !f.is_rest && !f.is_final).map(|f| f.name.clone()).collect();
        let more = info.rest(false).cloned();
        let named_rest = info.rest(true).cloned();
        if &*info.name == "split"
            && self.resolved.is_library(info.module)
            && let Some(problem) = unnamed(args)
        {
            self.report(problem);
            return Value::Error;
        }
        let mut settings: Vec<Setting> = Vec::new();
        let mut rest: Vec<Expr> = Vec::new();
        let mut extra: Vec<(Name, Expr)> = Vec::new();
        let mut next = 0;
        if let Some(input) = piped {
            match places.first() {
                Some(first) if &**first == "input" => {
                    settings.push(setting(first.clone(), Given::Value(input.clone()), input.span));
                    next = 1;
                }
                _ => {
                    self.report(
                        Problem::new(Code::E0319, callee.span, format!("`{}` is not a step", info.name))
                            .label("it takes no input")
                            .help("a step after `|>` has `input : dataset` as its first field"),
                    );
                    return Value::Error;
                }
            }
        }
        for arg in args {
            match &arg.name {
                Some(name) => {
                    if info.fields.get(&name.value).is_some_and(|f| !f.is_rest) {
                        settings.push(Setting {
                            path: vec![name.clone()],
                            op: FieldOp::Set,
                            value: Given::Expr(arg.value.clone()),
                            span: name.span.to(arg.value.span),
                        });
                    } else if named_rest.is_some() {
                        match extra.iter().find(|(n, _)| n.value == name.value) {
                            Some((first, _)) => {
                                let text = format!("`{}` is given twice", name.value);
                                let first = first.span;
                                self.report(Problem::new(Code::E0303, name.span, text).also(first, "first given here"));
                            }
                            None => extra.push((name.clone(), arg.value.clone())),
                        }
                    } else {
                        settings.push(Setting {
                            path: vec![name.clone()],
                            op: FieldOp::Set,
                            value: Given::Expr(arg.value.clone()),
                            span: name.span.to(arg.value.span),
                        });
                    }
                }
                None if self.takes_rest(&info, next) => {
                    rest.push(arg.value.clone());
                }
                None => match places.get(next) {
                    Some(place) => {
                        settings.push(setting(place.clone(), Given::Expr(arg.value.clone()), arg.value.span));
                        next += 1;
                    }
                    None => {
                        let text =
                            format!("`{}` takes {}", info.name, super::evaluate::plural(places.len(), "argument"));
                        self.report(
                            Problem::new(Code::E0307, arg.value.span, text)
                                .label("one too many")
                                .also(info.span, "declared here")
                                .help(self.call_form(schema)),
                        );
                    }
                },
            }
        }
        if let Some(field) = more
            && !rest.is_empty()
        {
            settings.push(setting(field.name, Given::List(rest), span));
        }
        if let Some(field) = named_rest
            && !extra.is_empty()
        {
            settings.push(setting(field.name, Given::Map(extra), span));
        }
        let layer = Layer { fields: Rc::new(settings), env: env.clone(), late: false };
        self.check_settings(schema, &layer, span);
        let record = self.make_record(schema, None, vec![layer], span);
        Value::Record(record)
    }

    /// Whether the next positional argument goes to the field that takes all further ones.
    fn takes_rest(&self, info: &super::schema::SchemaInfo, next: usize) -> bool {
        let Some(rest) = info.rest(false) else { return false };
        let before = info.fields.values().take_while(|f| f.name != rest.name).filter(|f| !f.is_final).count();
        next >= before
    }

    /// How a schema is called: `cosine(warmup = …, floor = …)`.
    fn call_form(&self, schema: SchemaId) -> String {
        let info = self.schema(schema);
        let fields: Vec<String> =
            info.fields.values().filter(|f| !f.is_final).map(|f| format!("{} = …", f.name)).collect();
        format!("write `{}({})`", info.name, fields.join(", "))
    }

    /// The value of a function for these arguments.
    fn apply(
        &mut self,
        env: &Env,
        id: &ItemId,
        callee: &Expr,
        args: &[Arg],
        piped: Option<Traced>,
        span: Span,
    ) -> Value {
        let Some(function) = self.function(id) else { return Value::Error };
        if self.calls.contains(id) {
            self.report(
                Problem::new(Code::E0206, callee.span, format!("`{}` calls itself", id.name))
                    .label("called again here")
                    .also(function.name.span, "defined here")
                    .help("functions cannot recur, so that evaluation always ends; use a comprehension"),
            );
            return Value::Error;
        }
        let mut given: Vec<Option<Traced>> = vec![None; function.params.len()];
        let mut next = 0;
        if let Some(input) = piped {
            match function.params.first() {
                Some(param) => {
                    let ty = param_type(self, id.module, param);
                    given[0] = Some(self.fit(input, &ty, env));
                    next = 1;
                }
                None => {
                    let text = format!("`{}` takes no input", id.name);
                    self.report(Problem::new(Code::E0319, callee.span, text).also(function.name.span, "defined here"));
                    return Value::Error;
                }
            }
        }
        for arg in args {
            let at = match &arg.name {
                Some(name) => match function.params.iter().position(|p| p.name.value == name.value) {
                    Some(at) => at,
                    None => {
                        self.unknown_argument(
                            &id.name,
                            (name, &arg.value),
                            function.params.iter().map(|p| &*p.name.value),
                            args,
                            function.name.span,
                        );
                        continue;
                    }
                },
                None if next < given.len() => {
                    next += 1;
                    next - 1
                }
                None => {
                    let text = format!("`{}` takes {}", id.name, super::evaluate::plural(given.len(), "argument"));
                    self.report(
                        Problem::new(Code::E0307, arg.value.span, text)
                            .label("one too many")
                            .also(function.name.span, "defined here"),
                    );
                    continue;
                }
            };
            if given[at].is_some() {
                let span = arg.name.as_ref().map_or(arg.value.span, |n| n.span);
                let text = format!("`{}` is given twice", function.params[at].name.value);
                self.report(Problem::new(Code::E0303, span, text).label("given again here"));
                continue;
            }
            let ty = param_type(self, id.module, &function.params[at]);
            let value = self.eval_as(env, &arg.value, &ty);
            self.check_range(
                &value,
                &ty,
                &Env::module(id.module),
                &function.params[at].name.value,
                function.params[at].name.span,
            );
            given[at] = Some(value);
        }
        let mut inner = Env { origin: env.origin, ..Env::module(id.module) };
        for (param, value) in function.params.iter().zip(given) {
            let value = match (value, &param.default) {
                (Some(value), _) => value,
                (None, Some(default)) => {
                    let ty = param_type(self, id.module, param);
                    self.eval_as(&inner, default, &ty)
                }
                (None, None) => {
                    self.report(
                        Problem::new(Code::E0307, span, format!("`{}` needs `{}`", id.name, param.name.value))
                            .label(format!("`{}` is missing here", param.name.value))
                            .also(param.name.span, "declared here"),
                    );
                    Traced::new(Value::Error, span, Origin::Set)
                }
            };
            inner = inner.with(param.name.value.clone(), value);
        }
        let result = match &function.result {
            Some(written) => self.resolve_type(id.module, written),
            None => Type::Any,
        };
        self.calls.push(id.clone());
        let value = self.at_site(span, |this| this.eval_as(&inner, &function.body, &result));
        self.calls.pop();
        value.value
    }

    pub(super) fn function(&self, id: &ItemId) -> Option<Arc<crate::syntax::ast::FnItem>> {
        let entry = self.resolved.module(id.module).names.get(&id.name)?;
        match &self.resolved.item(id.module, *entry.definitions.first()?).kind {
            ItemKind::Fn(function) => Some(Arc::new(function.clone())),
            _ => None,
        }
    }

    /// Checks the body of a function once for all callers.
    pub(super) fn check_function(&mut self, id: &ItemId) {
        let Some(function) = self.function(id) else { return };
        let mut env = Env::module(id.module);
        let mut seen: Vec<&Name> = Vec::new();
        for param in &function.params {
            if let Some(first) = seen.iter().find(|n| n.value == param.name.value) {
                let problem = crate::resolve::twice(&param.name.value, param.name.span, first.span);
                self.report(problem);
            }
            seen.push(&param.name);
            let ty = param_type(self, id.module, param);
            if let Some(default) = &param.default {
                self.eval_as(&env, default, &ty);
            }
            let later = Later { core: Core::Arg(param.name.value.to_string()), ty, phase: Phase::Generic };
            let value = Traced::new(Value::Later(Arc::new(later)), param.name.span, Origin::Set);
            env = env.with(param.name.value.clone(), value);
        }
        let result = match &function.result {
            Some(written) => self.resolve_type(id.module, written),
            None => Type::Any,
        };
        self.calls.push(id.clone());
        let value = self.eval_as(&env, &function.body, &result);
        self.calls.pop();
        self.force(&value.value);
    }

    /// A declared function where a function of one document is wanted.
    pub(super) fn convert_function(
        &mut self,
        value: &Traced,
        params: &[Type],
        result: &Type,
        _env: &Env,
    ) -> Option<Value> {
        match &value.value {
            Value::Lambda(_) => Some(value.value.clone()),
            Value::Function(id) => {
                let function = self.function(id)?;
                let ([param], [ty]) = (function.params.as_slice(), params) else { return None };
                let inner = Env::module(id.module);
                let (id, name) = (id.clone(), param.name.value.clone());
                if self.calls.contains(&id) {
                    return None;
                }
                self.calls.push(id);
                let compiled = self.compile(&inner, name, ty, &function.body, result, value.span);
                self.calls.pop();
                Some(compiled)
            }
            _ => None,
        }
    }

    fn unknown_argument<'a>(
        &mut self,
        owner: &str,
        (name, value): (&Name, &Expr),
        known: impl Iterator<Item = &'a str>,
        given: &[Arg],
        declared: Span,
    ) {
        let known: Vec<&str> = known.collect();
        let is_given = |ours: &str| given.iter().any(|arg| arg.name.as_ref().is_some_and(|name| &*name.value == ours));
        let mut problem = Problem::new(Code::E0308, name.span, format!("`{owner}` has no argument `{}`", name.value))
            .also(declared, "defined here");
        let number = match &*value.kind {
            ExprKind::Number(number) if number.unit.is_none() => Some(self.source_text(value.span)),
            _ => None,
        };
        if let Some(other) = super::foreign::known_as(&name.value).find(|k| known.contains(&k.ours)) {
            problem = match other.instead.map(|instead| super::foreign::with_number(instead, number)) {
                _ if is_given(other.ours) => problem.help(format!(
                    "what others call `{}` is `{}` here, which is given already",
                    name.value, other.ours
                )),
                Some((instead, true)) => {
                    let code = instead.trim_matches('`').to_owned();
                    problem.fix(format!("write `{code}`"), name.span.to(value.span), code)
                }
                Some((instead, false)) => {
                    problem.help(format!("what others call `{}` is `{}` here: write {instead}", name.value, other.ours))
                }
                None => problem.fix(format!("did you mean `{}`?", other.ours), name.span, other.ours),
            };
        } else {
            for near in suggest::similar(&name.value, known.iter().copied().filter(|near| !is_given(near))) {
                problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
            }
        }
        if problem.fixes.is_empty() && problem.help.is_none() {
            problem = problem.help(if known.is_empty() {
                "it takes no arguments".to_owned()
            } else {
                format!("it takes {}", known.join(", "))
            });
        }
        self.report(problem);
    }
}

fn param_type(checker: &mut Checker<'_>, module: u32, param: &crate::syntax::ast::Param) -> Type {
    match &param.ty {
        Some(written) => checker.resolve_type(module, written),
        None => Type::Any,
    }
}

fn setting(name: Arc<str>, value: Given, span: Span) -> Setting {
    Setting { path: vec![Spanned::new(name, span)], op: FieldOp::Set, value, span }
}

/// The problem of splits whose parts have no names: `split(0.9, 0.1)`.
fn unnamed(args: &[Arg]) -> Option<Problem> {
    let bare: Vec<&Expr> = args
        .iter()
        .filter(|arg| arg.name.is_none() && matches!(&*arg.value.kind, ExprKind::Number(_)))
        .map(|arg| &arg.value)
        .collect();
    let (first, last) = (bare.first()?, bare.last()?);
    let problem = Problem::new(Code::E0307, first.span.to(last.span), "each part of a split has a name")
        .label("of what?")
        .help("write `split(train = 90%, valid = 10%)`");
    let names = ["train", "valid", "test"];
    if !(2..=3).contains(&bare.len()) {
        return Some(problem);
    }
    let edits = bare.iter().zip(names).map(|(number, name)| Edit {
        span: Span { end: number.span.start, ..number.span },
        new_text: format!("{name} = "),
    });
    let title = format!("call them {}", names[..bare.len()].join(", "));
    Some(Problem { fixes: vec![Fix { title, edits: edits.collect() }], ..problem })
}
