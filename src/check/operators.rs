//! Operators and their dimensions.

use super::{Checker, Env};
use crate::diagnostics::{Code, Problem};
use crate::source::{Span, Spanned};
use crate::syntax::ast::{BinaryOp, Expr, UnaryOp};
use crate::types::core::{Constant, Core, CoreError, Op, combine};
use crate::types::{Later, Num, Phase, Traced, Type, Unit, Value};
use std::sync::Arc;

/// The most elements of a list that is put together in a file.
const LONGEST_LIST: usize = 100_000;
/// The most bytes of a text that is put together in a file.
const LONGEST_TEXT: usize = 4 << 20;

impl Checker<'_> {
    pub(super) fn unary(&mut self, env: &Env, op: &Spanned<UnaryOp>, inner: &Expr, span: Span) -> Value {
        let want = if op.value == UnaryOp::Not { Type::Bool } else { Type::Number };
        let value = self.eval(env, inner, &want);
        match (op.value, &value.value) {
            (_, Value::Error) => Value::Error,
            (UnaryOp::Not, Value::Bool(b)) => Value::Bool(!b),
            (UnaryOp::Minus, Value::Number(Num::Int(i), unit)) => match i.checked_neg() {
                Some(i) => Value::Number(Num::Int(i), *unit),
                None => self.too_large(span),
            },
            (UnaryOp::Minus, Value::Number(Num::Float(x), unit)) => Value::Number(Num::Float(-x), *unit),
            (UnaryOp::Not, Value::Later(l)) if self.assignable(&l.ty, &Type::Bool) => {
                let core = Core::Not(Box::new(l.core.clone()));
                Value::Later(Arc::new(Later { core, ty: Type::Bool, phase: l.phase }))
            }
            (UnaryOp::Minus, Value::Later(l)) if unit_of(&l.ty).is_some() => {
                let core = Core::Negate(Box::new(l.core.clone()));
                Value::Later(Arc::new(Later { core, ty: l.ty.clone(), phase: l.phase }))
            }
            (op, other) => {
                let found = self.describe(other);
                let text = match op {
                    UnaryOp::Not => format!("`not` needs a condition, not {found}"),
                    UnaryOp::Minus => format!("`-` needs a number, not {found}"),
                };
                self.report(Problem::new(Code::E0311, value.span, text));
                Value::Error
            }
        }
    }

    pub(super) fn binary(&mut self, env: &Env, op: &Spanned<BinaryOp>, left: &Expr, right: &Expr, span: Span) -> Value {
        use BinaryOp as B;
        // Each side of a comparison tells the other which symbols are meant.
        let (l, r) = match op.value {
            B::Equal | B::NotEqual | B::In | B::NotIn => {
                let (l, found) = self.quietly(|this| this.eval(env, left, &Type::Any));
                if found.is_empty() {
                    // What is wrong on one side has been told; the other could be a symbol.
                    let want = if l.is_error() { Type::Error } else { self.symbols_of(env, left, &l) };
                    let r = self.eval(env, right, &want);
                    (l, r)
                } else {
                    let r = self.eval(env, right, &Type::Any);
                    let want = self.symbols_of(env, right, &r);
                    (self.eval(env, left, &want), r)
                }
            }
            B::And | B::Or => {
                let l = self.eval(env, left, &Type::Bool);
                // `x == none or x > 1`: what stands behind a decided condition is not computed.
                let decided = matches!((&l.value, op.value), (Value::Bool(true), B::Or) | (Value::Bool(false), B::And));
                self.dry += u32::from(decided);
                let r = self.eval(env, right, &Type::Bool);
                self.dry -= u32::from(decided);
                if decided {
                    return l.value;
                }
                (l, r)
            }
            _ => {
                let l = self.eval(env, left, &Type::Any);
                (l, self.eval(env, right, &Type::Any))
            }
        };
        if l.is_error() || r.is_error() {
            return Value::Error;
        }
        match op.value {
            B::In => self.membership(&l, &r, span),
            B::NotIn => match self.membership(&l, &r, span) {
                Value::Bool(b) => Value::Bool(!b),
                Value::Later(later) => {
                    let core = Core::Not(Box::new(later.core.clone()));
                    Value::Later(Arc::new(Later { core, ty: Type::Bool, phase: later.phase }))
                }
                other => other,
            },
            _ => self.combine(op, &l, &r, span),
        }
    }

    /// The symbol type that the other side of a comparison should be read with.
    fn symbols_of(&self, env: &Env, expr: &Expr, value: &Traced) -> Type {
        match &value.value {
            Value::Later(l) => l.ty.clone(),
            // A symbol was read by a `one of` type: that of the param, let or field it comes from.
            Value::Symbol(s) => self.declared_type(env, expr).unwrap_or_else(|| Type::Symbols(Arc::from([s.clone()]))),
            // So is that of an optional one that is absent: `kind == fine` must read before anybody has set it.
            Value::None => self.declared_type(env, expr).filter(|t| !t.symbols().is_empty()).unwrap_or(Type::None),
            other => self.type_of(other),
        }
    }

    /// The declared type of the param, let or field that an expression names.
    fn declared_type(&self, env: &Env, expr: &Expr) -> Option<Type> {
        let path = expr.as_path()?;
        let name = &path.last()?.value;
        if let [_] = path.as_slice() {
            if let Some(record) = env.record
                && let Some(field) = self.schema(self.record(record).schema).fields.get(name)
            {
                return Some(field.ty.clone());
            }
            let modules = std::iter::once(env.module).chain(self.resolved.prelude.iter().copied());
            for module in modules {
                let Some(entry) = self.resolved.module(module).names.get(name) else { continue };
                let item = self.resolved.item(module, *entry.definitions.last()?);
                let written = match &item.kind {
                    crate::syntax::ast::ItemKind::Param(p) => p.ty.as_ref(),
                    crate::syntax::ast::ItemKind::Let(l) => l.ty.as_ref(),
                    _ => None,
                };
                if let crate::syntax::ast::TypeKind::OneOf(names) = &written?.kind {
                    return Some(Type::Symbols(names.iter().map(|n| n.value.clone()).collect()));
                }
            }
            return None;
        }
        // `teller.norm`: any schema's field of that name that takes symbols.
        self.schemas.iter().filter_map(|s| s.fields.get(name)).map(|f| f.ty.clone()).find(|t| !t.symbols().is_empty())
    }

    fn combine(&mut self, op: &Spanned<BinaryOp>, l: &Traced, r: &Traced, span: Span) -> Value {
        let Some(core_op) = core_op(op.value) else { return Value::Error };
        if let (BinaryOp::Equal | BinaryOp::NotEqual, Some(is_none)) =
            (op.value, compared_with_none(&l.value, &r.value))
        {
            return match is_none {
                Some(is_none) => Value::Bool(is_none == (op.value == BinaryOp::Equal)),
                None => Value::Later(Arc::new(Later {
                    core: Core::Const(Constant::Bool(true)),
                    ty: Type::Bool,
                    phase: Phase::Generic,
                })),
            };
        }
        let (lt, rt) = (self.type_of(&l.value), self.type_of(&r.value));
        let Some(result) = self.result_type(op.value, &lt, &rt) else {
            return self.misfit_operands(op, l, r, &lt, &rt);
        };
        if op.value == BinaryOp::Add && self.too_long(l, r, span) {
            return Value::Error;
        }
        if let (Value::Later(_), _) | (_, Value::Later(_)) = (&l.value, &r.value) {
            let phase = later_phase(&l.value, &r.value);
            let (Some(left), Some(right)) = (self.core_of(l), self.core_of(r)) else { return Value::Error };
            let core = Core::Binary { op: core_op, left: Box::new(left), right: Box::new(right) };
            return Value::Later(Arc::new(Later { core, ty: result, phase }));
        }
        let (Some(Core::Const(a)), Some(Core::Const(b))) = (self.flat(l), self.flat(r)) else {
            // Lists of records cannot be constants, but can still be joined.
            if let (BinaryOp::Add, Value::List(a), Value::List(b)) = (op.value, &l.value, &r.value) {
                return Value::List(Arc::new(a.iter().chain(b.iter()).cloned().collect()));
            }
            return self.misfit_operands(op, l, r, &lt, &rt);
        };
        if let (BinaryOp::Add, Value::List(a), Value::List(b)) = (op.value, &l.value, &r.value) {
            return Value::List(Arc::new(a.iter().chain(b.iter()).cloned().collect()));
        }
        match combine(core_op, &a, &b) {
            Ok(constant) => value_of_constant(constant, &result),
            Err(CoreError::Type(_, why)) if why.contains("zero") => {
                self.report(
                    Problem::new(Code::E0403, r.span, "division by zero")
                        .label("this is 0")
                        .help("make sure that the divisor is not 0"),
                );
                Value::Error
            }
            Err(CoreError::Type(_, why)) if why.contains("large") => self.too_large(span),
            Err(error) => {
                self.report(Problem::new(Code::E0311, span, error.to_string()));
                Value::Error
            }
        }
    }

    /// Reports a sum of lists or texts that would grow without bounds: doubling one twenty times takes twenty lines.
    fn too_long(&mut self, l: &Traced, r: &Traced, span: Span) -> bool {
        let size = match (&l.value, &r.value) {
            (Value::List(a), Value::List(b)) => (a.len() + b.len(), LONGEST_LIST),
            (Value::Text(a), Value::Text(b)) => (a.len() + b.len(), LONGEST_TEXT),
            _ => return false,
        };
        if size.0 <= size.1 {
            return false;
        }
        self.report(
            Problem::new(Code::E0004, span, "this value is too large")
                .label(format!("it would have {} parts, and {} are allowed", size.0, size.1))
                .help("large data belongs into files, which datasets read"),
        );
        true
    }

    fn flat(&self, value: &Traced) -> Option<Core> {
        match self.core_of(value)? {
            Core::List(items) => {
                let constants: Option<Vec<Constant>> =
                    items.into_iter().map(|c| if let Core::Const(c) = c { Some(c) } else { None }).collect();
                Some(Core::Const(Constant::List(constants?)))
            }
            core => Some(core),
        }
    }

    fn too_large(&mut self, span: Span) -> Value {
        self.report(
            Problem::new(Code::E0404, span, "the result is too large")
                .label("whole numbers go up to about 9.2e18")
                .help("write one side with an exponent, such as `1e6`, if the result need not be exact"),
        );
        Value::Error
    }

    /// The type of `l op r`, if the operands fit.
    fn result_type(&self, op: BinaryOp, l: &Type, r: &Type) -> Option<Type> {
        use BinaryOp as B;
        if let (Type::Any | Type::Error, _) | (_, Type::Any | Type::Error) = (l, r) {
            return Some(match op {
                B::Add | B::Subtract | B::Multiply | B::Divide | B::Remainder | B::Power => Type::Any,
                _ => Type::Bool,
            });
        }
        let (lu, ru) = (unit_of(l), unit_of(r));
        let both_int = is_int(l) && is_int(r);
        let number = |unit: Unit, whole: bool| match unit {
            Unit::One if whole => Type::Int,
            Unit::One => Type::Float,
            unit => Type::Quantity(unit),
        };
        match op {
            B::And | B::Or => (*l == Type::Bool && *r == Type::Bool).then_some(Type::Bool),
            B::Equal | B::NotEqual => {
                let symbols = matches!((l.bare(), r.bare()), (Type::Symbols(_), Type::Symbols(_)));
                let comparable = symbols || self.assignable(l, r) || self.assignable(r, l) || agree(lu, ru).is_some();
                comparable.then_some(Type::Bool)
            }
            B::Less | B::LessEqual | B::Greater | B::GreaterEqual => {
                let texts = matches!((l, r), (Type::Text, Type::Text));
                (texts || agree(lu, ru).is_some()).then_some(Type::Bool)
            }
            B::Add if matches!((l, r), (Type::Text | Type::Path, Type::Text | Type::Path)) => Some(Type::Text),
            B::Add if matches!((l, r), (Type::List(_), Type::List(_))) => Some(l.clone()),
            B::Add | B::Subtract | B::Remainder => agree(lu, ru).map(|unit| number(unit, both_int)),
            B::Multiply => match (lu?, ru?) {
                (Unit::One, Unit::One) => Some(number(Unit::One, both_int)),
                (Unit::Ratio, Unit::One) | (Unit::One, Unit::Ratio) => Some(Type::Float),
                (Unit::One | Unit::Ratio, unit) | (unit, Unit::One | Unit::Ratio) => Some(number(unit, false)),
                _ => None,
            },
            B::Divide => match (lu?, ru?) {
                (a, b) if a == b => Some(if both_int { Type::Number } else { Type::Float }),
                (unit, Unit::One | Unit::Ratio) => {
                    Some(if unit == Unit::One { Type::Number } else { number(unit, false) })
                }
                _ => None,
            },
            B::Power => (lu? == Unit::One && ru? == Unit::One).then(|| number(Unit::One, both_int)),
            B::In | B::NotIn => None,
        }
    }

    fn misfit_operands(&mut self, op: &Spanned<BinaryOp>, l: &Traced, r: &Traced, lt: &Type, rt: &Type) -> Value {
        if self.dry > 0 && (*lt == Type::None || *rt == Type::None) {
            // `if x == none then 0 else x * 2`: the branch that is not taken would have had a value.
            return Value::Error;
        }
        let units = (unit_of(lt), unit_of(rt));
        let code = if units.0.is_some() && units.1.is_some() { Code::E0312 } else { Code::E0311 };
        let (one, two) = (self.show_type(lt), self.show_type(rt));
        let symbol = op.value.symbol();
        let text = if code == Code::E0312 {
            format!("`{symbol}` between {one} and {two}")
        } else {
            format!("`{symbol}` does not fit {one} and {two}")
        };
        let mut problem = Problem::new(code, op.span, text)
            .label(format!("`{symbol}` here"))
            .also(l.span, format!("this is {one}"))
            .also(r.span, format!("this is {two}"));
        problem = match (op.value, units) {
            (BinaryOp::Add | BinaryOp::Subtract, (Some(Unit::Tokens), Some(Unit::Steps)))
            | (BinaryOp::Add | BinaryOp::Subtract, (Some(Unit::Steps), Some(Unit::Tokens))) => {
                problem.help("multiply steps by the batch to get tokens")
            }
            _ if code == Code::E0312 => problem.help("amounts of different kinds are never converted silently"),
            (BinaryOp::And | BinaryOp::Or, _) => problem.help("both sides must be conditions, such as `a > 1`"),
            _ => problem,
        };
        self.report(problem);
        Value::Error
    }

    fn membership(&mut self, l: &Traced, r: &Traced, span: Span) -> Value {
        let (lt, rt) = (self.type_of(&l.value), self.type_of(&r.value));
        match &r.value {
            Value::Range { low, high, unit, inclusive } => {
                if agree(unit_of(&lt), Some(*unit)).is_none() && lt != Type::Any {
                    let (one, two) = (self.show_type(&lt), unit.type_name());
                    self.report(
                        Problem::new(Code::E0312, span, format!("{one} is never in a range of {two}"))
                            .also(l.span, format!("this is {one}")),
                    );
                    return Value::Error;
                }
                if let Value::Number(x, _) = &l.value {
                    let x = x.as_f64();
                    let below = if *inclusive { x <= high.as_f64() } else { x < high.as_f64() };
                    return Value::Bool(x >= low.as_f64() && below);
                }
                let Some(value) = self.core_of(l) else { return Value::Error };
                let core = Core::Within {
                    value: Box::new(value),
                    low: Box::new(Core::Const(low.constant())),
                    high: Box::new(Core::Const(high.constant())),
                    inclusive: *inclusive,
                };
                Value::Later(Arc::new(Later { core, ty: Type::Bool, phase: later_phase(&l.value, &r.value) }))
            }
            Value::List(items) => {
                let element = rt.element();
                if !self.assignable(&lt, &element) && !self.assignable(&element, &lt) && !items.is_empty() {
                    let (one, two) = (self.show_type(&lt), self.show_type(&element));
                    self.report(
                        Problem::new(Code::E0311, span, format!("{one} is never in a list of {two}"))
                            .also(l.span, format!("this is {one}"))
                            .also(r.span, format!("these are {two}")),
                    );
                    return Value::Error;
                }
                match (self.flat(l), self.flat(r)) {
                    (Some(Core::Const(a)), Some(Core::Const(Constant::List(all)))) => {
                        let all = Constant::List(all);
                        Value::Bool(combine(Op::In, &a, &all) == Ok(Constant::Bool(true)))
                    }
                    (Some(left), Some(right)) => {
                        let core = Core::Binary { op: Op::In, left: Box::new(left), right: Box::new(right) };
                        Value::Later(Arc::new(Later { core, ty: Type::Bool, phase: later_phase(&l.value, &r.value) }))
                    }
                    _ => Value::Error,
                }
            }
            Value::Later(later) if later.phase == Phase::Generic || matches!(rt, Type::Text) => {
                let (Some(left), Some(right)) = (self.core_of(l), self.core_of(r)) else { return Value::Error };
                let core = Core::Binary { op: Op::In, left: Box::new(left), right: Box::new(right) };
                Value::Later(Arc::new(Later { core, ty: Type::Bool, phase: later_phase(&l.value, &r.value) }))
            }
            other => {
                let found = self.describe(other);
                self.report(
                    Problem::new(Code::E0311, r.span, format!("`in` needs a list or a range, not {found}"))
                        .help("write `x in [a, b]` or `x in 1..=5`"),
                );
                Value::Error
            }
        }
    }
}

/// For a comparison with `none`: whether the other side is `none`, if that is known.
fn compared_with_none(l: &Value, r: &Value) -> Option<Option<bool>> {
    let other = match (l, r) {
        (Value::None, other) | (other, Value::None) => other,
        _ => return None,
    };
    match other {
        Value::Later(later) if later.phase == Phase::Generic => Some(None),
        Value::None => Some(Some(true)),
        _ => Some(Some(false)),
    }
}

fn core_op(op: BinaryOp) -> Option<Op> {
    Some(match op {
        BinaryOp::Or => Op::Or,
        BinaryOp::And => Op::And,
        BinaryOp::Equal => Op::Equal,
        BinaryOp::NotEqual => Op::NotEqual,
        BinaryOp::Less => Op::Less,
        BinaryOp::LessEqual => Op::LessEqual,
        BinaryOp::Greater => Op::Greater,
        BinaryOp::GreaterEqual => Op::GreaterEqual,
        BinaryOp::Add => Op::Add,
        BinaryOp::Subtract => Op::Subtract,
        BinaryOp::Multiply => Op::Multiply,
        BinaryOp::Divide => Op::Divide,
        BinaryOp::Remainder => Op::Remainder,
        BinaryOp::Power => Op::Power,
        BinaryOp::In | BinaryOp::NotIn => return None,
    })
}

/// The unit of a type of numbers; nothing for other types.
pub(super) fn unit_of(ty: &Type) -> Option<Unit> {
    match ty.bare() {
        Type::Int | Type::Float | Type::Number => Some(Unit::One),
        Type::Quantity(unit) => Some(*unit),
        _ => None,
    }
}

fn is_int(ty: &Type) -> bool {
    matches!(ty.bare(), Type::Int)
}

/// The common unit of two amounts; a share and a plain number agree.
fn agree(l: Option<Unit>, r: Option<Unit>) -> Option<Unit> {
    match (l?, r?) {
        (a, b) if a == b => Some(a),
        (Unit::One, Unit::Ratio) | (Unit::Ratio, Unit::One) => Some(Unit::One),
        _ => None,
    }
}

/// The later of two phases: what is measured is known last.
fn later_phase(l: &Value, r: &Value) -> Phase {
    let phase = |v: &Value| match v {
        Value::Later(l) => Some(l.phase),
        _ => None,
    };
    match (phase(l), phase(r)) {
        (Some(Phase::Measured), _) | (_, Some(Phase::Measured)) => Phase::Measured,
        (Some(Phase::Document), _) | (_, Some(Phase::Document)) => Phase::Document,
        _ => Phase::Generic,
    }
}

/// A constant as a value of type `ty`.
pub(super) fn value_of_constant(constant: Constant, ty: &Type) -> Value {
    let unit = unit_of(ty).unwrap_or(Unit::One);
    match constant {
        Constant::None => Value::None,
        Constant::Bool(b) => Value::Bool(b),
        Constant::Int(i) => Value::Number(Num::Int(i), unit),
        Constant::Float(x) if unit == Unit::Ratio => Value::Number(Num::Float(x), unit),
        Constant::Float(x) => Value::Number(Num::from_f64(x), unit),
        Constant::Text(t) => Value::Text(Arc::from(t)),
        Constant::List(items) => Value::List(Arc::new(
            items
                .into_iter()
                .map(|c| {
                    let span = Span::new(crate::source::FileId(0), 0, 0);
                    Traced::new(value_of_constant(c, &Type::Any), span, super::Origin::Set)
                })
                .collect(),
        )),
    }
}
