//! The functions of the language itself. All are pure and total.

use super::{Checker, Env};
use crate::diagnostics::{Code, Problem};
use crate::source::Span;
use crate::syntax::ast::{Arg, Expr};
use crate::types::core::{self, Constant, Core};
use crate::types::{AxisValues, Later, Num, Phase, Traced, Type, Unit, Value};
use std::sync::Arc;

/// A built-in function: its name, its signature for people, and what it does.
pub struct Builtin {
    pub name: &'static str,
    pub signature: &'static str,
    pub docs: &'static str,
}

macro_rules! builtins {
    ($($name:literal $signature:literal $docs:literal)*) => {
        /// Every built-in function, for the manual and for suggestions.
        pub const BUILTINS: &[Builtin] = &[$(Builtin { name: $name, signature: $signature, docs: $docs }),*];
    };
}

builtins! {
    "abs" "abs(x)" "The size of a number, without its sign."
    "min" "min(a, b, …)" "The smallest of some numbers, or of a list of them."
    "max" "max(a, b, …)" "The largest of some numbers, or of a list of them."
    "sum" "sum(list)" "The sum of a list of numbers, or of named ones."
    "round" "round(x)" "The nearest whole number."
    "floor" "floor(x)" "The whole number at or below `x`."
    "ceil" "ceil(x)" "The whole number at or above `x`."
    "sqrt" "sqrt(x)" "The square root."
    "ln" "ln(x)" "The natural logarithm."
    "below" "below(x, step)" "The largest multiple of `step` that is at most `x`."
    "above" "above(x, step)" "The smallest multiple of `step` that is at least `x`."
    "len" "len(list)" "The number of elements of a list, or of characters of a text."
    "lower" "lower(text)" "The text in lower case."
    "upper" "upper(text)" "The text in upper case."
    "trim" "trim(text)" "The text without blanks around it."
    "contains" "contains(text, part)" "Whether `part` stands in the text, or an element in a list."
    "starts_with" "starts_with(text, part)" "Whether the text starts with `part`."
    "ends_with" "ends_with(text, part)" "Whether the text ends with `part`."
    "count" "count(text, part)" "How often `part` stands in the text."
    "replace" "replace(text, old, new)" "The text with every `old` replaced by `new`."
    "linear" "linear(low..high)" "An axis of a sweep: any value of the range, evenly."
    "log" "log(low..high)" "An axis of a sweep: any value of the range, evenly in its logarithm."
    "choice" "choice(a, b, …)" "An axis of a sweep: one of the values."
}

/// The built-in function of that name.
pub fn find(name: &str) -> Option<&'static str> {
    BUILTINS.iter().find(|b| b.name == name).map(|b| b.name)
}

impl Checker<'_> {
    pub(super) fn call_builtin(
        &mut self,
        env: &Env,
        name: &'static str,
        args: &[Arg],
        span: Span,
        want: &Type,
    ) -> Value {
        if let Some(named) = args.iter().find_map(|a| a.name.as_ref()) {
            let text = format!("`{name}` takes no named arguments");
            self.report(Problem::new(Code::E0308, named.span, text).help(format!("write `{}`", signature(name))));
            return Value::Error;
        }
        let exprs: Vec<&Expr> = args.iter().map(|a| &a.value).collect();
        if matches!(name, "linear" | "log" | "choice") {
            return self.axis_function(env, name, &exprs, span, want);
        }
        let values: Vec<Traced> = exprs.iter().map(|e| self.eval(env, e, &Type::Any)).collect();
        if values.iter().any(Traced::is_error) {
            return Value::Error;
        }
        let wanted = match name {
            "min" | "max" => 1..=usize::MAX,
            "below" | "above" | "contains" | "starts_with" | "ends_with" | "count" => 2..=2,
            "replace" => 3..=3,
            _ => 1..=1,
        };
        if !wanted.contains(&values.len()) {
            let text = format!(
                "`{name}` takes {}, not {}",
                super::evaluate::plural(*wanted.start(), "argument"),
                values.len()
            );
            self.report(Problem::new(Code::E0307, span, text).help(format!("write `{}`", signature(name))));
            return Value::Error;
        }
        match name {
            "sum" => self.sum(&values, span),
            "below" | "above" => self.multiple(name, &values),
            _ => self.plain(name, &values, span),
        }
    }

    /// A function that a compiled expression may also call.
    fn plain(&mut self, name: &'static str, values: &[Traced], span: Span) -> Value {
        let numeric = matches!(name, "abs" | "min" | "max" | "round" | "floor" | "ceil" | "sqrt" | "ln");
        let mut flat: Vec<Traced> = Vec::new();
        for value in values {
            match &value.value {
                Value::List(items) if matches!(name, "min" | "max") => flat.extend(items.iter().cloned()),
                _ => flat.push(value.clone()),
            }
        }
        let mut unit = Unit::One;
        let mut whole = true;
        for (index, value) in flat.iter().enumerate() {
            let ty = self.type_of(&value.value);
            let fits = if numeric {
                match super::operators::unit_of(&ty) {
                    Some(found) => {
                        let agrees = index == 0 || found == unit || unit == Unit::One || found == Unit::One;
                        if found != Unit::One {
                            unit = found;
                        }
                        whole &= matches!(ty, Type::Int);
                        agrees
                    }
                    None => matches!(ty, Type::Any),
                }
            } else {
                let list_first = index == 0 && matches!(name, "len" | "contains");
                matches!(ty.bare(), Type::Text | Type::Path | Type::Any)
                    || (list_first && matches!(ty.bare(), Type::List(_)))
                    || (name == "contains" && index == 1)
            };
            if !fits {
                let found = self.describe(&value.value);
                self.report(
                    Problem::new(Code::E0304, value.span, format!("`{name}` does not take {found}"))
                        .help(format!("write `{}`", signature(name))),
                );
                return Value::Error;
            }
        }
        let result = match name {
            "len" | "count" => Type::Int,
            "lower" | "upper" | "trim" | "replace" => Type::Text,
            "contains" | "starts_with" | "ends_with" => Type::Bool,
            "round" | "floor" | "ceil" if unit == Unit::One => Type::Int,
            "sqrt" | "ln" => Type::Float,
            _ if unit == Unit::One => {
                if whole {
                    Type::Int
                } else {
                    Type::Float
                }
            }
            _ => Type::Quantity(unit),
        };
        let cores: Option<Vec<Core>> = flat.iter().map(|v| self.core_of(v)).collect();
        if let ("len", Value::List(items)) = (name, &values[0].value) {
            return Value::int(items.len() as i64);
        }
        let Some(cores) = cores else { return Value::Error };
        let constants: Option<Vec<Constant>> = cores.iter().map(constant).collect();
        match constants {
            Some(constants) => match core::call(name, &constants) {
                Ok(constant) => super::operators::value_of_constant(constant, &result),
                Err(error) => {
                    self.report(Problem::new(Code::E0304, span, error.to_string()));
                    Value::Error
                }
            },
            None => {
                let phase = flat
                    .iter()
                    .find_map(|v| if let Value::Later(l) = &v.value { Some(l.phase) } else { None })
                    .unwrap_or(Phase::Generic);
                let core = Core::Call { function: name.to_owned(), args: cores };
                Value::Later(Arc::new(Later { core, ty: result, phase }))
            }
        }
    }

    fn sum(&mut self, values: &[Traced], span: Span) -> Value {
        let items: Vec<&Traced> = match &values[0].value {
            Value::List(items) => items.iter().collect(),
            Value::Map(items) => items.values().collect(),
            Value::Later(later) if later.phase != Phase::Generic => return self.not_known_yet("sum", span),
            Value::Later(later) => {
                return Value::Later(Arc::new(Later {
                    core: later.core.clone(),
                    ty: Type::Number,
                    phase: later.phase,
                }));
            }
            other => {
                let found = self.describe(other);
                self.report(Problem::new(Code::E0304, values[0].span, format!("`sum` takes a list, not {found}")));
                return Value::Error;
            }
        };
        if let Some(later) = items.iter().find_map(|i| if let Value::Later(l) = &i.value { Some(l) } else { None }) {
            if later.phase != Phase::Generic {
                return self.not_known_yet("sum", span);
            }
            // Within a function that is checked for all callers: known once its parts are.
            return Value::Later(later.clone());
        }
        let mut total = (0.0, Unit::One);
        for (index, item) in items.iter().enumerate() {
            match &item.value {
                Value::Number(n, unit) if index == 0 || *unit == total.1 => total = (total.0 + n.as_f64(), *unit),
                other => {
                    let found = self.describe(other);
                    self.report(Problem::new(
                        Code::E0304,
                        span,
                        format!("`sum` adds numbers of one kind, not {found}"),
                    ));
                    return Value::Error;
                }
            }
        }
        Value::Number(Num::from_f64(total.0), total.1)
    }

    /// A function whose arguments must be known, called with a document's or a measured value.
    fn not_known_yet(&mut self, name: &str, span: Span) -> Value {
        self.report(
            Problem::new(Code::E0501, span, format!("`{name}` needs values that are known"))
                .label("this is known only later")
                .help("write it with `+`, `*` and comparisons, which can wait"),
        );
        Value::Error
    }

    /// The nearest multiple below or above.
    fn multiple(&mut self, name: &str, values: &[Traced]) -> Value {
        let (Value::Number(x, unit), Value::Number(step, _)) = (&values[0].value, &values[1].value) else {
            let later = |v: &Traced| matches!(&v.value, Value::Later(l) if l.phase != Phase::Generic);
            if values.iter().any(later) {
                return self.not_known_yet(name, values[0].span);
            }
            if values.iter().any(|v| matches!(v.value, Value::Later(_))) {
                return Value::Later(Arc::new(Later {
                    core: Core::Const(Constant::Int(0)),
                    ty: Type::Int,
                    phase: Phase::Generic,
                }));
            }
            self.report(Problem::new(Code::E0304, values[0].span, format!("`{name}` takes two numbers")));
            return Value::Error;
        };
        let step = step.as_f64();
        if step == 0.0 {
            self.report(Problem::new(Code::E0403, values[1].span, "there are no multiples of 0"));
            return Value::Error;
        }
        let count = x.as_f64() / step;
        let count = if name == "below" { count.floor() } else { count.ceil() };
        Value::Number(Num::from_f64(count * step), *unit)
    }

    fn axis_function(&mut self, env: &Env, name: &str, args: &[&Expr], span: Span, want: &Type) -> Value {
        if name == "choice" {
            let element = want.element();
            let values: Vec<Traced> = args.iter().map(|e| self.eval(env, e, &element)).collect();
            if values.iter().any(Traced::is_error) {
                return Value::Error;
            }
            return Value::List(Arc::new(values));
        }
        let [range] = args else {
            let text = format!("`{name}` takes one range");
            let mut problem = Problem::new(Code::E0307, span, text).help(format!("write `{}`", signature(name)));
            if let [low, high] = args {
                let own = format!("{} .. {}", self.source_text(low.span), self.source_text(high.span));
                problem = problem.fix(format!("write `{name}({own})`"), low.span.to(high.span), own);
            }
            self.report(problem);
            return Value::Error;
        };
        let bounds = self.eval(env, range, &Type::Any);
        match bounds.value {
            Value::Range { low, high, unit, .. } => {
                let (low, high) = (low.as_f64(), high.as_f64());
                if name == "log" && low <= 0.0 {
                    self.report(
                        Problem::new(Code::E0401, bounds.span, "a logarithmic axis starts above 0")
                            .label("this starts at or below 0"),
                    );
                    return Value::Error;
                }
                let unit = unit.word().to_owned();
                let axis = if name == "log" {
                    AxisValues::Log { low, high, unit, whole: false }
                } else {
                    AxisValues::Linear { low, high, unit, whole: false }
                };
                Value::Axis(Arc::new(axis))
            }
            Value::Error => Value::Error,
            other => {
                let found = self.describe(&other);
                self.report(
                    Problem::new(Code::E0304, bounds.span, format!("`{name}` takes a range, not {found}"))
                        .help(format!("write `{}`", signature(name))),
                );
                Value::Error
            }
        }
    }
}

fn constant(core: &Core) -> Option<Constant> {
    match core {
        Core::Const(c) => Some(c.clone()),
        Core::List(items) => Some(Constant::List(items.iter().map(constant).collect::<Option<_>>()?)),
        _ => None,
    }
}

fn signature(name: &str) -> &'static str {
    BUILTINS.iter().find(|b| b.name == name).map_or("", |b| b.signature)
}
