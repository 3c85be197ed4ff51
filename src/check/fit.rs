//! Whether a value is of the type that is wanted, and the few conversions there are.

use super::examples::Instead;
use super::records::Layer;
use super::{Checker, Env, foreign};
use crate::diagnostics::{Code, Problem};
use crate::source::{Span, path};
use crate::syntax::ast::Kind;
use crate::types::{Later, Num, Phase, SchemaId, Traced, Type, Unit, Value};
use std::sync::Arc;

/// The most numbers of a range that becomes a list.
const LONGEST_RANGE: i64 = 1_000_000;

impl Checker<'_> {
    /// The value as `want` has it; anything else is reported and becomes [`Value::Error`].
    pub(super) fn fit(&mut self, value: Traced, want: &Type, env: &Env) -> Traced {
        if value.is_error() {
            return value;
        }
        match self.convert(&value, want, env) {
            Some(converted) => Traced { value: converted, ..value },
            None => {
                let mut problem = self.misfit(&value, want);
                if problem.fixes.is_empty()
                    && let Some(bare) = self.unquoted(env, &value, want)
                {
                    problem.help = None;
                    problem.fixes.push(bare);
                }
                if let (Code::E0312, Some(field), Value::Number(_, unit)) = (problem.code, &env.field, &value.value)
                    && let Some(counts) = foreign::counts(field, *unit)
                {
                    problem.fixes.clear();
                    problem = problem.help(counts);
                }
                self.misfit_name(problem, env, want);
                Traced { value: Value::Error, ..value }
            }
        }
    }

    /// The value as `want` has it, or nothing. Reports only what is wrong inside (a list's element, say).
    fn convert(&mut self, value: &Traced, want: &Type, env: &Env) -> Option<Value> {
        let v = &value.value;
        if let Value::Later(later) = v {
            return self.convert_later(later, want, value);
        }
        match want {
            Type::Error => Some(Value::Error),
            Type::Any => Some(v.clone()),
            Type::None => matches!(v, Value::None).then_some(Value::None),
            Type::Bool => matches!(v, Value::Bool(_)).then(|| v.clone()),
            Type::Int => match v {
                Value::Number(n, Unit::One) => n.whole().map(Value::int),
                _ => None,
            },
            Type::Float | Type::Number => matches!(v, Value::Number(_, Unit::One | Unit::Ratio)).then(|| match v {
                Value::Number(n, _) => Value::Number(*n, Unit::One),
                other => other.clone(),
            }),
            Type::Text => match v {
                Value::Path { written, .. } => Some(Value::Text(written.clone())),
                Value::Text(_) => Some(v.clone()),
                _ => None,
            },
            Type::Path => match v {
                Value::Path { .. } => Some(v.clone()),
                Value::Text(text) => Some(self.path_from(text, value.span)),
                _ => None,
            },
            Type::Quantity(Unit::Ratio) => match v {
                Value::Number(n, Unit::Ratio | Unit::One) => Some(Value::Number(*n, Unit::Ratio)),
                _ => None,
            },
            Type::Quantity(unit) => match v {
                Value::Number(n, found) if found == unit => {
                    if unit.is_whole() {
                        n.whole().map(|i| Value::Number(Num::Int(i), *unit))
                    } else {
                        Some(v.clone())
                    }
                }
                _ => None,
            },
            Type::Symbols(names) => match v {
                Value::Symbol(s) if names.contains(s) => Some(v.clone()),
                _ => None,
            },
            Type::List(element) => self.convert_list(value, element, env),
            Type::Map(element) => match v {
                Value::Map(map) => {
                    let mut converted = indexmap::IndexMap::new();
                    for (name, entry) in map.iter() {
                        converted.insert(name.clone(), self.fit(entry.clone(), element, env));
                    }
                    Some(Value::Map(Arc::new(converted)))
                }
                _ => None,
            },
            Type::Optional(inner) => {
                if matches!(v, Value::None) {
                    Some(Value::None)
                } else {
                    self.convert(value, inner, env)
                }
            }
            Type::Union(types) if self.wants_unit(value, types) => None,
            Type::Union(types) => types.iter().find_map(|t| self.convert(value, t, env)),
            Type::Function(params, result) => self.convert_function(value, params, result, env),
            Type::Record(schema) => self.convert_record(value, *schema),
            // Only what is known later is a measurement.
            Type::Measured => None,
            Type::Within(inner, _) => self.convert(value, inner, env),
        }
    }

    /// Whether a number says too little: where a share or a count may stand, `1` is either all of it or one step. What is
    /// written `1.0`, or computed, is a share.
    fn wants_unit(&self, value: &Traced, types: &[Type]) -> bool {
        let share = |t: &Type| *t.bare() == Type::Quantity(Unit::Ratio);
        let count = |t: &Type| matches!(t.bare(), Type::Quantity(unit) if *unit != Unit::Ratio);
        let Value::Number(n, Unit::One) = &value.value else { return false };
        let spelt = self.source_text(value.span);
        let whole = !spelt.is_empty() && spelt.bytes().all(|b| b.is_ascii_digit() || b == b'_');
        whole && n.as_f64() != 0.0 && types.iter().any(share) && types.iter().any(count)
    }

    /// A path as the world finds it: seen from the folder of the file that says it.
    fn path_from(&self, written: &Arc<str>, span: Span) -> Value {
        let folder = match self.resolved.sources.get(span.file) {
            // A path given from outside is seen from where the command runs.
            Some(file) if !file.path.starts_with("--") => path::folder(&file.path),
            _ => "",
        };
        Value::Path { written: written.clone(), resolved: Arc::from(path::join(folder, written)) }
    }

    fn convert_list(&mut self, value: &Traced, element: &Type, env: &Env) -> Option<Value> {
        let items: Vec<Traced> = match &value.value {
            Value::List(items) => items.to_vec(),
            Value::Range { low, high, unit, inclusive } => {
                let (low, high) = (low.whole()?, high.whole()?);
                let end = if *inclusive { high } else { high.checked_sub(1)? };
                let last = end.checked_sub(low)?;
                if last >= LONGEST_RANGE {
                    self.report(
                        Problem::new(Code::E0004, value.span, "this range is too long for a list")
                            .label(format!("at most {LONGEST_RANGE} numbers are allowed"))
                            .help("large data belongs into files, which datasets read"),
                    );
                    return Some(Value::Error);
                }
                let at = |i| Traced { value: Value::Number(Num::Int(i), *unit), ..value.clone() };
                (low..=end).map(at).collect()
            }
            Value::None | Value::Map(_) => return None,
            // One value where a list is wanted is the list of that value: `of = aligned`.
            _ => {
                return self
                    .convert(value, element, env)
                    .map(|v| Value::List(Arc::new(vec![Traced { value: v, ..value.clone() }])));
            }
        };
        let fitted: Vec<Traced> = items.into_iter().map(|i| self.fit(i, element, env)).collect();
        Some(Value::List(Arc::new(fitted)))
    }

    fn convert_record(&mut self, value: &Traced, want: SchemaId) -> Option<Value> {
        let schema = match &value.value {
            Value::Record(id) | Value::Item(_, id) => self.record(*id).schema,
            Value::Schema(id) => *id,
            Value::Split(..) => self.kind_schema(Kind::Dataset)?,
            _ => return None,
        };
        if !self.extends(schema, want) {
            return None;
        }
        // A plan refers to these by their names, so they are declared and not written in place.
        if self.is_declared(want) && !matches!(value.value, Value::Item(..)) {
            return None;
        }
        if let Value::Schema(id) = &value.value {
            if self.schema(*id).is_family {
                return None;
            }
            // A bare name where a record is wanted is that record with its defaults: `metrics = [perplexity]`.
            let record = self.make_record(*id, None, Vec::<Layer>::new(), value.span);
            return Some(Value::Record(record));
        }
        Some(value.value.clone())
    }

    /// Whether a schema is of a kind that is always declared as an item.
    fn is_declared(&self, schema: SchemaId) -> bool {
        matches!(self.kind_of(schema), Some(Kind::Model | Kind::Stage | Kind::Tokenizer))
    }

    /// A value of a later phase fits by its type. A measured one stands only where a measurement is meant.
    fn convert_later(&mut self, later: &Arc<Later>, want: &Type, value: &Traced) -> Option<Value> {
        let keep = || Some(Value::Later(later.clone()));
        let measured = want.alternatives().iter().any(|t| matches!(t.bare(), Type::Measured));
        match want.bare() {
            Type::Any => return keep(),
            Type::Error => return Some(Value::Error),
            _ if measured => return keep(),
            _ => {}
        }
        if later.phase == Phase::Measured {
            self.report(
                Problem::new(Code::E0501, value.span, "a measured value cannot stand here")
                    .label("this is known only when the experiment has run")
                    .note("what is planned must be known before anything runs, so a plan has no unknowns")
                    .help("measured values may stand in `until`, `keep`, `expect`, `claim`, `minimize` and `maximize`"),
            );
            return Some(Value::Error);
        }
        self.assignable(&later.ty, want).then(keep).flatten()
    }

    /// Whether every value of type `from` fits `to`.
    pub(super) fn assignable(&self, from: &Type, to: &Type) -> bool {
        match (from, to) {
            (Type::Error | Type::Any, _) | (_, Type::Error | Type::Any) => true,
            (Type::Within(f, _), t) => self.assignable(f, t),
            (f, Type::Within(t, _)) => self.assignable(f, t),
            (Type::Union(all), t) => all.iter().all(|f| self.assignable(f, t)),
            (Type::Optional(f), Type::Optional(t)) => self.assignable(f, t),
            (f, Type::Optional(t)) => matches!(f, Type::None) || self.assignable(f, t),
            (f, Type::Union(any)) => any.iter().any(|t| self.assignable(f, t)),
            (Type::Int, Type::Float | Type::Number | Type::Quantity(Unit::Ratio)) => true,
            (Type::Float | Type::Number, Type::Float | Type::Number | Type::Quantity(Unit::Ratio)) => true,
            (Type::Number, Type::Int) => true,
            (Type::Quantity(Unit::Ratio), Type::Float | Type::Number) => true,
            (Type::Text | Type::Path, Type::Text | Type::Path) => true,
            (Type::Symbols(f), Type::Symbols(t)) => f.iter().all(|s| t.contains(s)),
            (Type::List(f), Type::List(t)) | (Type::Map(f), Type::Map(t)) => self.assignable(f, t),
            (f, Type::List(t)) if !matches!(f, Type::None | Type::Map(_)) => self.assignable(f, t),
            (Type::Record(f), Type::Record(t)) => self.extends(*f, *t),
            (f, t) => f == t,
        }
    }

    /// A type as a sentence has it: "a model", "`every`", "Steps | Epochs".
    fn with_article(&self, ty: &Type) -> String {
        let shown = self.show_type(ty);
        match ty {
            Type::Record(schema) if self.kind_of(*schema).is_some() => {
                format!("{} {shown}", super::fields::article(&shown))
            }
            // What is written in place has a name of the language, which need not be a word for a thing.
            Type::Record(_) => format!("`{shown}`"),
            _ => shown,
        }
    }

    /// The problem of a value of the wrong type, with a way out where there is one.
    fn misfit(&self, value: &Traced, want: &Type) -> Problem {
        // That a field may be left out is not what is wrong.
        let wanted = match want.unlimited() {
            Type::Optional(inner) => self.with_article(&inner),
            other => self.with_article(&other),
        };
        let found = self.describe(&value.value);
        let span = value.span;
        match &value.value {
            Value::Number(n, Unit::One) => {
                let mut units: Vec<Unit> = want
                    .alternatives()
                    .iter()
                    .filter_map(|t| if let Type::Quantity(u) = t.bare() { Some(*u) } else { None })
                    .collect();
                // A whole number counts something sooner than it is a share, and a small one steps or documents sooner than tokens.
                let small = n.as_f64() < 10_000.0;
                units.sort_by_key(|unit| {
                    (*unit == Unit::Ratio, small && *unit == Unit::Tokens && want.alternatives().len() > 1)
                });
                if let Some(first) = units.first() {
                    let text = self.source_text(span);
                    let mut problem = Problem::new(Code::E0313, span, format!("a unit is missing: {wanted} is wanted"))
                        .label(format!("`{text}` of what?"))
                        .help(format!("write it with its unit, as in `{text} {}`", first.word()));
                    for unit in units {
                        let fixed = match unit {
                            Unit::Dollars => format!("${text}"),
                            Unit::Ratio if n.as_f64() == 1.0 => "100%".to_owned(),
                            Unit::Ratio => format!("{text}%"),
                            unit => format!("{text} {}", unit.word()),
                        };
                        if n.whole().is_some() || !unit.is_whole() {
                            problem = problem.fix(format!("`{fixed}`"), span, fixed.clone());
                        }
                    }
                    return problem;
                }
                if want.alternatives().iter().any(|t| matches!(t.bare(), Type::Int)) {
                    let near = n.as_f64().round();
                    return Problem::new(Code::E0315, span, "a whole number is wanted")
                        .label(format!("this is {}", super::show::show_number(*n, Unit::One)))
                        .fix("round it", span, format!("{near:.0}"));
                }
            }
            Value::Number(n, unit) => {
                let quantity = |t: &Type| matches!(t.bare(), Type::Quantity(_));
                if want.alternatives().iter().any(|t| *t.bare() == Type::Quantity(*unit)) && unit.is_whole() {
                    return Problem::new(Code::E0315, span, format!("a whole number of {} is wanted", unit.word()))
                        .label(format!("this is {}", super::show::show_number(*n, *unit)));
                }
                if want.alternatives().iter().any(quantity) {
                    return Problem::new(
                        Code::E0312,
                        span,
                        format!("{wanted} is wanted, and this is {}", unit.type_name()),
                    )
                    .label(format!("this is in {}", if unit.word().is_empty() { "no unit" } else { unit.word() }))
                    .help("amounts of different kinds are never converted silently; write it in the unit wanted");
                }
                if want.alternatives().iter().any(|t| matches!(t.bare(), Type::Int | Type::Float | Type::Number)) {
                    let digits = self.source_text(span);
                    let plain = digits.trim_end_matches(|c: char| c.is_alphabetic() || c == '%' || c == ' ');
                    return Problem::new(
                        Code::E0312,
                        span,
                        format!("a plain number is wanted, and this is {}", unit.type_name()),
                    )
                    .label("this has a unit")
                    .fix("leave the unit out", span, plain.trim_start_matches('$'));
                }
            }
            Value::Text(text) => {
                let symbols = want.symbols();
                if symbols.iter().any(|s| s == text) {
                    return Problem::new(Code::E0304, span, "symbols are written without quotes")
                        .label(format!("{wanted} is wanted"))
                        .fix(format!("write `{text}`"), span, text.to_string());
                }
                if let Some(ours) = foreign::symbols_known_as(text).find(|o| symbols.iter().any(|s| **s == **o)) {
                    return Problem::new(Code::E0304, span, "symbols are written without quotes")
                        .label(format!("one of {} is wanted", symbols.join(", ")))
                        .fix(format!("did you mean `{ours}`?"), span, ours);
                }
            }
            Value::Symbol(_) | Value::Bool(_) if !want.symbols().is_empty() => {
                let names = want.symbols();
                return Problem::new(Code::E0305, span, format!("{found} is not among those allowed"))
                    .help(format!("write one of {}", names.join(", ")));
            }
            Value::Schema(id) if self.schema(*id).is_family => {
                let members = self.members(*id);
                return Problem::new(Code::E0304, span, format!("`{}` is a family", self.schema(*id).name))
                    .label("which one?")
                    .help(format!("write one of {}", members.join(", ")));
            }
            Value::Record(id) if matches!(want.bare(), Type::Record(kind) if self.is_declared(*kind)) => {
                let schema = self.record(*id).schema;
                if let Some(kind) = self.kind_of(schema) {
                    let (word, variant) = (kind.keyword(), self.schema(schema).name.to_string());
                    return Problem::new(Code::E0304, span, format!("a {word} is declared by itself, and named here"))
                        .label(format!("this is a `{variant}` written in place"))
                        .help(format!("declare it, `{word} NAME : {variant} {{ … }}`, and write `NAME` here"));
                }
            }
            _ => {}
        }
        if *want.bare() == Type::Measured {
            let problem = Problem::new(Code::E0502, span, "this is known before anything runs")
                .label(format!("{found} is no measurement"));
            return problem.help(match &value.value {
                Value::Number(_, Unit::Steps | Unit::Epochs | Unit::Tokens | Unit::Documents | Unit::Seconds) => format!(
                    "how long a stage trains is its `budget`: `budget = {}`; `until` ends it before that, once a measurement is \
                     good enough, as in `until = valid.loss < 1.5`",
                    self.source_text(span)
                ),
                _ => "name a measured value, such as `valid.loss` of a stage or a metric of an eval".to_owned(),
            });
        }
        let mut problem = Problem::new(Code::E0304, span, format!("{wanted} is wanted, not {found}"))
            .label(format!("this is {found}"));
        if let (Value::Item(..), Type::Record(schema)) = (&value.value, want.bare()) {
            problem = problem.help(format!("name a {} here", self.schema(*schema).name));
        } else if let Value::Text(text) = &value.value
            && let Some(way) = self.declared_elsewhere(want, text)
        {
            problem = problem.help(way);
        } else if let Value::Text(text) = &value.value
            && matches!(want.bare(), Type::Record(schema) if &*self.schema(*schema).name == "template")
            && !text.contains('{')
        {
            problem = problem.help(
                "templates have names in the library, `use std.chat` and `template = chat.chatml`, or are written as Jinja: \
                 `template(jinja = r\"{{ … }}\")`",
            );
        } else if let Some(example) = self.example_for(want, Instead::Value(&value.value, self.source_text(span))) {
            problem = problem.help(example);
        } else if want.alternatives().iter().any(|t| *t.bare() == Type::Bool) {
            let said = match &value.value {
                Value::Text(text) => text.to_string(),
                other => self.show(other),
            };
            problem = match foreign::truth(&said) {
                Some(truth) => problem.fix(format!("write `{truth}`"), span, truth),
                None => problem.help("write `true` or `false`"),
            };
        }
        problem
    }

    /// A number outside a range for people; in full where a shorter form would seem to lie inside.
    fn outside(&self, n: Num, unit: Unit, low: Num, high: Num) -> String {
        let short = super::show::brief(n.as_f64());
        if short >= low.as_f64() && short <= high.as_f64() {
            return super::show::show_number(n, unit);
        }
        super::show::show_briefly(n, unit)
    }

    /// Reports a number outside the range that its type declares. `env` is where the range is written.
    pub(super) fn check_range(&mut self, value: &Traced, ty: &Type, env: &Env, name: &str, declared: Span) {
        match (ty, &value.value) {
            (Type::Optional(inner), _) => self.check_range(value, inner, env, name, declared),
            (Type::List(inner) | Type::Map(inner), Value::List(items)) => {
                items.iter().for_each(|i| self.check_range(i, inner, env, name, declared));
            }
            (Type::Map(inner), Value::Map(map)) => {
                map.values().for_each(|i| self.check_range(i, inner, env, name, declared));
            }
            (Type::Union(types), Value::Number(_, unit)) => {
                let fits = |t: &&Type| match t.bare() {
                    Type::Quantity(u) => u == unit,
                    Type::Int | Type::Float | Type::Number => *unit == Unit::One,
                    _ => false,
                };
                if let Some(t) = types.iter().find(fits) {
                    self.check_range(value, t, env, name, declared);
                }
            }
            (Type::Within(inner, range), Value::Number(n, unit)) => {
                self.check_range(value, inner, env, name, declared);
                let (bounds, _) = self.quietly(|this| this.eval(env, range, inner));
                let Value::Range { low, high, inclusive, .. } = bounds.value else { return };
                let x = n.as_f64();
                let inside = x >= low.as_f64() && if inclusive { x <= high.as_f64() } else { x < high.as_f64() };
                if !inside {
                    let shown = self.outside(*n, *unit, low, high);
                    let text = self.source_text(range.span).trim_start_matches('(').trim_end_matches(')');
                    let edge = if x < low.as_f64() { ("least", low) } else { ("most", high) };
                    let mut problem = Problem::new(Code::E0401, value.span, format!("`{name}` is out of range"))
                        .label(format!("{shown} is not in {text}"))
                        .also(declared, format!("`{name}` is declared here"));
                    problem = problem.help(if edge.0 == "most" && !inclusive {
                        format!("choose a value below {}", super::show::show_number(edge.1, *unit))
                    } else {
                        format!("the {} it may be is {}", edge.0, super::show::show_number(edge.1, *unit))
                    });
                    if x == 0.0 && inner.is_optional() {
                        problem = problem.help(format!("to do without, write `{name} = none`")).fix(
                            "write `none`",
                            value.span,
                            "none",
                        );
                    }
                    self.report(problem);
                }
            }
            _ => {}
        }
    }
}
