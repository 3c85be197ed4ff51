//! Compiled expressions: what is left of an expression once everything known has been computed.
//!
//! A lambda over documents and a condition over measurements are data: they are hashed, stored in the plan, and
//! evaluated by the engine with the values of their leaves. Evaluation is total; it can fail only on a leaf.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A value without provenance. Quantities are in their base unit (tokens, seconds, bytes, a share of one …).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Constant {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Constant>),
}

/// An expression over leaves that only the engine knows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Core {
    Const(Constant),
    /// The parameter of the lambda this expression is the body of.
    Arg(String),
    /// A field of a document or sample: `doc.words`.
    Field {
        of: Box<Core>,
        name: String,
    },
    /// A measured value by its path: `["fluency", "pretrain", "perplexity"]`, `["pretrain", "valid", "loss"]`.
    Measure(Vec<String>),
    Not(Box<Core>),
    Negate(Box<Core>),
    Binary {
        op: Op,
        left: Box<Core>,
        right: Box<Core>,
    },
    /// `value in low..high` (or `low..=high`).
    Within {
        value: Box<Core>,
        low: Box<Core>,
        high: Box<Core>,
        inclusive: bool,
    },
    If {
        condition: Box<Core>,
        then: Box<Core>,
        otherwise: Box<Core>,
    },
    /// One of [`FUNCTIONS`].
    Call {
        function: String,
        args: Vec<Core>,
    },
    List(Vec<Core>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// Membership of a value in a list.
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

impl Op {
    /// How the operator is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Op::Or => "or",
            Op::And => "and",
            Op::Equal => "==",
            Op::NotEqual => "!=",
            Op::Less => "<",
            Op::LessEqual => "<=",
            Op::Greater => ">",
            Op::GreaterEqual => ">=",
            Op::In => "in",
            Op::Add => "+",
            Op::Subtract => "-",
            Op::Multiply => "*",
            Op::Divide => "/",
            Op::Remainder => "%",
            Op::Power => "**",
        }
    }
}

/// The functions that may stand in a compiled expression. All are pure and total.
pub const FUNCTIONS: [&str; 17] = [
    "abs",
    "min",
    "max",
    "round",
    "floor",
    "ceil",
    "sqrt",
    "ln",
    "len",
    "lower",
    "upper",
    "trim",
    "contains",
    "starts_with",
    "ends_with",
    "count",
    "replace",
];

/// Why a compiled expression has no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CoreError {
    /// A leaf is not known (not measured, not run).
    #[error("`{0}` has no value")]
    Unknown(String),
    #[error("`{0}` cannot be computed: {1}")]
    Type(String, String),
}

/// What the leaves of an expression stand for.
pub trait Leaves {
    /// The value of a field of the lambda's parameter; an empty name asks for the parameter itself.
    ///
    /// # Errors
    /// When there is no such field.
    fn field(&self, arg: &str, name: &str) -> Result<Constant, CoreError> {
        Err(CoreError::Unknown(format!("{arg}.{name}")))
    }

    /// The value of a measurement.
    ///
    /// # Errors
    /// When it was not measured.
    fn measure(&self, path: &[String]) -> Result<Constant, CoreError> {
        Err(CoreError::Unknown(path.join(".")))
    }
}

/// No leaves: for expressions of constants.
pub struct NoLeaves;
impl Leaves for NoLeaves {}

impl Core {
    /// The value of the expression.
    ///
    /// # Errors
    /// When a leaf has no value, or an operation does not fit its operands (which the checker rules out).
    pub fn eval(&self, leaves: &dyn Leaves) -> Result<Constant, CoreError> {
        Ok(match self {
            Core::Const(c) => c.clone(),
            Core::Arg(name) => leaves.field(name, "")?,
            Core::Field { of, name } => match &**of {
                Core::Arg(arg) => leaves.field(arg, name)?,
                _ => return Err(CoreError::Type(name.clone(), "fields of fields are not supported".into())),
            },
            Core::Measure(path) => leaves.measure(path)?,
            Core::Not(e) => Constant::Bool(!e.eval(leaves)?.truth()?),
            Core::Negate(e) => match e.eval(leaves)? {
                Constant::Int(i) => Constant::Int(i.saturating_neg()),
                other => Constant::Float(-other.number()?),
            },
            Core::Binary { op, left, right } => binary(*op, left, right, leaves)?,
            Core::Within { value, low, high, inclusive } => {
                let value = value.eval(leaves)?.number()?;
                let (low, high) = (low.eval(leaves)?.number()?, high.eval(leaves)?.number()?);
                Constant::Bool(value >= low && if *inclusive { value <= high } else { value < high })
            }
            Core::If { condition, then, otherwise } => {
                if condition.eval(leaves)?.truth()? {
                    then.eval(leaves)?
                } else {
                    otherwise.eval(leaves)?
                }
            }
            Core::Call { function, args } => {
                let args = args.iter().map(|a| a.eval(leaves)).collect::<Result<Vec<_>, _>>()?;
                call(function, &args)?
            }
            Core::List(items) => Constant::List(items.iter().map(|i| i.eval(leaves)).collect::<Result<_, _>>()?),
        })
    }

    /// Every measurement in the expression, in order of appearance, once each.
    pub fn measures(&self) -> Vec<&[String]> {
        let mut found: Vec<&[String]> = Vec::new();
        self.visit(&mut |core| {
            if let Core::Measure(path) = core
                && !found.contains(&path.as_slice())
            {
                found.push(path);
            }
        });
        found
    }

    fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Core)) {
        see(self);
        match self {
            Core::Const(_) | Core::Arg(_) | Core::Measure(_) => {}
            Core::Field { of: e, .. } | Core::Not(e) | Core::Negate(e) => e.visit(see),
            Core::Binary { left, right, .. } => {
                left.visit(see);
                right.visit(see);
            }
            Core::Within { value, low, high, .. } => [value, low, high].into_iter().for_each(|e| e.visit(see)),
            Core::If { condition, then, otherwise } => {
                [condition, then, otherwise].into_iter().for_each(|e| e.visit(see));
            }
            Core::Call { args: list, .. } | Core::List(list) => list.iter().for_each(|e| e.visit(see)),
        }
    }
}

impl Constant {
    /// The value as a truth.
    ///
    /// # Errors
    /// When it is none.
    pub fn truth(&self) -> Result<bool, CoreError> {
        match self {
            Constant::Bool(b) => Ok(*b),
            other => Err(CoreError::Type(other.to_string(), "it is not a truth value".into())),
        }
    }

    /// The value as a number.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self) -> Result<f64, CoreError> {
        match self {
            Constant::Int(i) => Ok(*i as f64),
            Constant::Float(x) => Ok(*x),
            other => Err(CoreError::Type(other.to_string(), "it is not a number".into())),
        }
    }

    fn text(&self) -> Result<&str, CoreError> {
        match self {
            Constant::Text(t) => Ok(t),
            other => Err(CoreError::Type(other.to_string(), "it is not a text".into())),
        }
    }
}

impl std::fmt::Display for Constant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Constant::None => f.write_str("none"),
            Constant::Bool(b) => write!(f, "{b}"),
            Constant::Int(i) => write!(f, "{i}"),
            Constant::Float(x) => write!(f, "{x}"),
            Constant::Text(t) => write!(f, "{t:?}"),
            Constant::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

fn binary(op: Op, left: &Core, right: &Core, leaves: &dyn Leaves) -> Result<Constant, CoreError> {
    match op {
        Op::And => return Ok(Constant::Bool(left.eval(leaves)?.truth()? && right.eval(leaves)?.truth()?)),
        Op::Or => return Ok(Constant::Bool(left.eval(leaves)?.truth()? || right.eval(leaves)?.truth()?)),
        _ => {}
    }
    combine(op, &left.eval(leaves)?, &right.eval(leaves)?)
}

/// `left op right` on known values.
///
/// # Errors
/// When the operation does not fit the operands, divides by zero, or overflows.
pub fn combine(op: Op, left: &Constant, right: &Constant) -> Result<Constant, CoreError> {
    use Constant::{Float, Int};
    let refuse = |why: &str| CoreError::Type(format!("{left} {} {right}", op.symbol()), why.into());
    Ok(match op {
        Op::And => Constant::Bool(left.truth()? && right.truth()?),
        Op::Or => Constant::Bool(left.truth()? || right.truth()?),
        Op::Equal => Constant::Bool(same(left, right)),
        Op::NotEqual => Constant::Bool(!same(left, right)),
        Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => {
            let order = match (left, right) {
                (Int(a), Int(b)) => Some(a.cmp(b)),
                (Constant::Text(a), Constant::Text(b)) => Some(a.cmp(b)),
                _ => left.number()?.partial_cmp(&right.number()?),
            };
            // A comparison with "not a number" is false, whichever way it is asked.
            Constant::Bool(order.is_some_and(|o| match op {
                Op::Less => o == Ordering::Less,
                Op::LessEqual => o != Ordering::Greater,
                Op::Greater => o == Ordering::Greater,
                _ => o != Ordering::Less,
            }))
        }
        Op::In => match right {
            Constant::List(items) => Constant::Bool(items.iter().any(|i| same(i, left))),
            Constant::Text(text) => Constant::Bool(text.contains(left.text()?)),
            _ => return Err(refuse("the right side is not a list")),
        },
        Op::Add => match (left, right) {
            (Int(a), Int(b)) => Int(a.checked_add(*b).ok_or_else(|| refuse("the result is too large"))?),
            (Constant::Text(a), Constant::Text(b)) => Constant::Text(format!("{a}{b}")),
            (Constant::List(a), Constant::List(b)) => Constant::List(a.iter().chain(b).cloned().collect()),
            _ => Float(left.number()? + right.number()?),
        },
        Op::Subtract => match (left, right) {
            (Int(a), Int(b)) => Int(a.checked_sub(*b).ok_or_else(|| refuse("the result is too large"))?),
            _ => Float(left.number()? - right.number()?),
        },
        Op::Multiply => match (left, right) {
            (Int(a), Int(b)) => Int(a.checked_mul(*b).ok_or_else(|| refuse("the result is too large"))?),
            _ => Float(left.number()? * right.number()?),
        },
        Op::Divide => match (left, right) {
            (_, Int(0)) => return Err(refuse("division by zero")),
            (Int(a), Int(b)) if a.checked_rem(*b) == Some(0) => Int(a / b),
            _ if right.number()? == 0.0 => return Err(refuse("division by zero")),
            _ => Float(left.number()? / right.number()?),
        },
        Op::Remainder => match (left, right) {
            (Int(a), Int(b)) => Int(a.checked_rem_euclid(*b).ok_or_else(|| refuse("division by zero"))?),
            _ if right.number()? == 0.0 => return Err(refuse("division by zero")),
            _ => Float(left.number()?.rem_euclid(right.number()?)),
        },
        Op::Power => match (left, right) {
            (Int(a), Int(b)) if *b >= 0 => {
                let exponent = u32::try_from(*b).map_err(|_| refuse("the exponent is too large"))?;
                Int(a.checked_pow(exponent).ok_or_else(|| refuse("the result is too large"))?)
            }
            _ => Float(left.number()?.powf(right.number()?)),
        },
    })
}

fn same(left: &Constant, right: &Constant) -> bool {
    match (left, right) {
        (Constant::Int(a), Constant::Float(b)) | (Constant::Float(b), Constant::Int(a)) => *a as f64 == *b,
        _ => left == right,
    }
}

/// The value of one of [`FUNCTIONS`].
///
/// # Errors
/// When the arguments do not fit.
pub fn call(function: &str, args: &[Constant]) -> Result<Constant, CoreError> {
    use Constant::{Float, Int, Text};
    let refuse = |why: &str| CoreError::Type(format!("{function}(…)"), why.into());
    let arg = |i: usize| args.get(i).ok_or_else(|| refuse("an argument is missing"));
    let whole = |x: f64| if x.is_finite() && x.abs() < 9e18 { Int(x as i64) } else { Float(x) };
    Ok(match function {
        "abs" => match arg(0)? {
            Int(i) => Int(i.saturating_abs()),
            other => Float(other.number()?.abs()),
        },
        "min" | "max" => {
            let list = match args {
                [Constant::List(items)] => items.as_slice(),
                _ => args,
            };
            let mut best = list.first().ok_or_else(|| refuse("there is nothing to choose from"))?;
            for item in list {
                let better =
                    if function == "min" { item.number()? < best.number()? } else { item.number()? > best.number()? };
                if better {
                    best = item;
                }
            }
            best.clone()
        }
        "round" => whole(arg(0)?.number()?.round()),
        "floor" => whole(arg(0)?.number()?.floor()),
        "ceil" => whole(arg(0)?.number()?.ceil()),
        "sqrt" => Float(arg(0)?.number()?.sqrt()),
        "ln" => Float(arg(0)?.number()?.ln()),
        "len" => match arg(0)? {
            Constant::List(items) => Int(items.len() as i64),
            other => Int(other.text()?.chars().count() as i64),
        },
        "lower" => Text(arg(0)?.text()?.to_lowercase()),
        "upper" => Text(arg(0)?.text()?.to_uppercase()),
        "trim" => Text(arg(0)?.text()?.trim().to_owned()),
        "contains" => match arg(0)? {
            Constant::List(items) => Constant::Bool(items.iter().any(|i| Some(i) == args.get(1))),
            other => Constant::Bool(other.text()?.contains(arg(1)?.text()?)),
        },
        "starts_with" => Constant::Bool(arg(0)?.text()?.starts_with(arg(1)?.text()?)),
        "ends_with" => Constant::Bool(arg(0)?.text()?.ends_with(arg(1)?.text()?)),
        "count" => {
            let needle = arg(1)?.text()?;
            Int(if needle.is_empty() { 0 } else { arg(0)?.text()?.matches(needle).count() as i64 })
        }
        "replace" => Text(arg(0)?.text()?.replace(arg(1)?.text()?, arg(2)?.text()?)),
        _ => return Err(refuse("there is no such function")),
    })
}
