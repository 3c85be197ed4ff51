//! Measured values: what an experiment will know once it has run, named by where it is measured.

use super::{Checker, Env};
use crate::diagnostics::{Code, Problem, suggest};
use crate::source::Span;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Kind, Name};
use crate::types::core::Core;
use crate::types::{ItemId, Later, Phase, RecordId, Traced, Type, Value};
use std::sync::Arc;

/// What is measured on training and on validation data.
pub(super) const LOSSES: [&str; 2] = ["loss", "perplexity"];

impl Checker<'_> {
    /// Within a stage, `valid` and `train` are its own measurements.
    pub(super) fn measured_root(&mut self, env: &Env, name: &Arc<str>) -> Option<Value> {
        let record = env.record?;
        let is_stage = self.kind_of(self.record(record).schema) == Some(Kind::Stage);
        (is_stage && matches!(&**name, "valid" | "train")).then(|| Value::Measures(Arc::new(vec![name.clone()])))
    }

    /// A field of a declared item: a planned value, a split, or the way to a measurement.
    pub(super) fn item_field(&mut self, env: &Env, id: &ItemId, record: RecordId, name: &Name, span: Span) -> Traced {
        let schema = self.record(record).schema;
        let at = |value| Traced::new(value, span, env.origin);
        let known = self.schema(schema).fields.contains_key(&name.value);
        match self.kind_of(schema) {
            Some(Kind::Dataset) => {
                if let Some(value) = self.split(id, record, name) {
                    return at(value);
                }
            }
            Some(Kind::Stage) if !known && matches!(&*name.value, "valid" | "train") => {
                if self.untrained(record, span) || &*name.value == "valid" && self.unvalidated(record, span) {
                    return at(Value::Error);
                }
                return at(Value::Measures(Arc::new(vec![Arc::from(self.item_name(id)), name.value.clone()])));
            }
            Some(Kind::Eval) => {
                if let Some(value) = self.eval_part(id, record, name, span) {
                    return at(value);
                }
            }
            _ => {}
        }
        if known {
            let found = self.field(record, &name.value, name.span);
            return Traced { span, origin: env.origin, ..found };
        }
        let item = Value::Item(id.clone(), record);
        self.no_such_field(&item, name);
        at(Value::Error)
    }

    /// Reports a stage that trains nothing, which has no losses of training.
    fn untrained(&mut self, record: RecordId, span: Span) -> bool {
        let schema = self.record(record).schema;
        if self.schema(schema).fields.contains_key("validate") {
            return false;
        }
        let declared = self.record(record).span;
        self.report(
            Problem::new(Code::E0503, span, "this stage trains nothing, so no loss is measured in it")
                .also(declared, "this stage")
                .help(
                    "judge it with an `eval`, and name that: `eval fluency { of = …, on = …, metrics = [perplexity] }`",
                ),
        );
        true
    }

    /// Reports a stage that does not validate; nothing can be said of its validation then.
    fn unvalidated(&mut self, record: RecordId, span: Span) -> bool {
        let validate = self.field(record, &Arc::from("validate"), span);
        if !matches!(validate.value, Value::None) {
            return validate.is_error();
        }
        let declared = self.record(record).span;
        self.report(
            Problem::new(Code::E0503, span, "this stage does not validate")
                .label("so nothing is known of its validation loss")
                .also(declared, "this stage")
                .help("give it `validate = every(100 steps, on = …)`"),
        );
        true
    }

    /// `stories.train`: a split that the dataset makes.
    fn split(&mut self, id: &ItemId, record: RecordId, name: &Name) -> Option<Value> {
        let parts = self.split_names(record);
        match parts {
            Some(names) if names.contains(&name.value) => return Some(Value::Split(id.clone(), name.value.clone())),
            Some(_) if self.schema(self.record(record).schema).fields.contains_key(&name.value) => return None,
            Some(names) => {
                let text = format!("`{}` has no split `{}`", id.name, name.value);
                let list: Vec<&str> = names.iter().map(|n| &**n).collect();
                let mut problem = Problem::new(Code::E0406, name.span, text)
                    .also(self.record(record).span, format!("it is split into {}", list.join(", ")));
                for near in suggest::similar(&name.value, list.iter().copied()) {
                    problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
                }
                if problem.fixes.is_empty() {
                    problem = problem.help(format!("write one of {}", list.join(", ")));
                }
                self.report(problem);
            }
            None if self.schema(self.record(record).schema).fields.contains_key(&name.value) => return None,
            None => {
                let declared = self.record(record).span;
                self.report(
                    Problem::new(Code::E0406, name.span, format!("`{}` is not split", id.name))
                        .label(format!("so it has no `{}`", name.value))
                        .also(declared, "declared here")
                        .help("end it with `|> split(train = 90%, test = 10%)`"),
                );
            }
        }
        Some(Value::Error)
    }

    /// The splits that a dataset's last step makes.
    pub(super) fn split_names(&mut self, record: RecordId) -> Option<Vec<Arc<str>>> {
        if &*self.schema(self.record(record).schema).name != "split" {
            return None;
        }
        let parts = self.field(record, &Arc::from("parts"), self.record(record).span);
        match parts.value {
            Value::Map(map) => Some(map.keys().cloned().collect()),
            _ => Some(Vec::new()),
        }
    }

    /// `answers.tuned`, or `answers.rouge_l` when only one stage is judged.
    fn eval_part(&mut self, id: &ItemId, record: RecordId, name: &Name, span: Span) -> Option<Value> {
        let stages = self.judged(record);
        // What is wrong with a stage that it judges has been told.
        let of = self.field(record, &Arc::from("of"), span);
        if of.is_error() || matches!(&of.value, Value::List(items) if items.iter().any(Traced::is_error)) {
            return Some(Value::Error);
        }
        let eval: Arc<str> = Arc::from(self.item_name(id));
        if stages.iter().any(|s| **s == *name.value || s.rsplit('.').next() == Some(&*name.value)) {
            return Some(Value::Measures(Arc::new(vec![eval, name.value.clone()])));
        }
        if self.schema(self.record(record).schema).fields.contains_key(&name.value) {
            return None;
        }
        let metrics = self.metrics(record);
        if metrics.contains(&name.value) {
            if let [only] = stages.as_slice() {
                return Some(self.measured(vec![eval.to_string(), only.to_string(), name.value.to_string()]));
            }
            if stages.is_empty() {
                return Some(Value::Error);
            }
            let list: Vec<String> = stages.iter().map(|s| format!("{eval}.{s}.{}", name.value)).collect();
            let text = format!("`{eval}` judges several stages: which one is meant?");
            let mut problem = Problem::new(Code::E0503, span, text);
            for way in list.iter().take(3) {
                problem = problem.fix(format!("`{way}`"), span, way.clone());
            }
            self.report(problem);
            return Some(Value::Error);
        }
        if stages.is_empty() {
            return Some(Value::Error);
        }
        let known: Vec<&str> = stages.iter().chain(&metrics).map(|s| &**s).collect();
        let text = format!("`{eval}` judges no `{}`", name.value);
        let declared = self.record(record).span;
        let mut problem = Problem::new(Code::E0503, name.span, text).also(declared, "this eval");
        for near in suggest::similar(&name.value, known.iter().copied()) {
            problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
        }
        if problem.fixes.is_empty() {
            let stages: Vec<&str> = stages.iter().map(|s| &**s).collect();
            problem = problem.help(format!("it judges {}; add the stage to its `of`", stages.join(", ")));
        }
        self.report(problem);
        Some(Value::Error)
    }

    /// The stages that an eval judges.
    pub(super) fn judged(&mut self, record: RecordId) -> Vec<Arc<str>> {
        let of = self.field(record, &Arc::from("of"), self.record(record).span);
        let Value::List(items) = of.value else { return Vec::new() };
        items
            .iter()
            .filter_map(|i| match &i.value {
                Value::Item(id, _) => Some(Arc::from(self.item_name(id))),
                _ => None,
            })
            .collect()
    }

    /// The metrics that an eval computes.
    pub(super) fn metrics(&mut self, record: RecordId) -> Vec<Arc<str>> {
        let metrics = self.field(record, &Arc::from("metrics"), self.record(record).span);
        let Value::List(items) = metrics.value else { return Vec::new() };
        items
            .iter()
            .filter_map(|i| match &i.value {
                Value::Record(id) => Some(self.schema(self.record(*id).schema).name.clone()),
                _ => None,
            })
            .collect()
    }

    /// `valid.loss`, `pretrain.valid.loss`, `answers.tuned.rouge_l`.
    pub(super) fn measure(&mut self, path: &Arc<Vec<Arc<str>>>, name: &Name, span: Span) -> Value {
        let last = path.last().map_or("", |l| &**l);
        if matches!(last, "valid" | "train") {
            if LOSSES.contains(&&*name.value) {
                let mut full: Vec<String> = path.iter().map(ToString::to_string).collect();
                full.push(name.value.to_string());
                return self.measured(full);
            }
            let mut problem =
                Problem::new(Code::E0503, name.span, format!("`{}` is not measured during training", name.value))
                    .also(span, format!("`{last}` has {}", LOSSES.join(" and ")));
            for near in suggest::similar(&name.value, LOSSES) {
                problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
            }
            self.report(problem);
            return Value::Error;
        }
        let Some(eval) = path.first().cloned() else { return Value::Error };
        let id = self.item_called(&eval);
        let Some((id, Value::Item(_, record))) = id.map(|id| (id.clone(), self.value_of(&id, span).value)) else {
            return Value::Error;
        };
        let metrics = self.metrics(record);
        if metrics.contains(&name.value) {
            let mut full: Vec<String> = path.iter().map(ToString::to_string).collect();
            full.push(name.value.to_string());
            return self.measured(full);
        }
        if metrics.is_empty() {
            return Value::Error;
        }
        let list: Vec<&str> = metrics.iter().map(|m| &**m).collect();
        let text = format!("`{}` does not measure `{}`", id.name, name.value);
        let declared = self.record(record).span;
        let mut problem =
            Problem::new(Code::E0503, name.span, text).also(declared, format!("it measures {}", list.join(", ")));
        for near in suggest::similar(&name.value, list.iter().copied()) {
            problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
        }
        if problem.fixes.is_empty() {
            problem = problem.help(format!("add it: `metrics += [{}]`", name.value));
        }
        self.report(problem);
        Value::Error
    }

    /// The item with this name as other items refer to it.
    fn item_called(&self, name: &str) -> Option<ItemId> {
        let main = ItemId { module: self.resolved.main, name: Arc::from(name) };
        if self.resolved.module(main.module).names.contains_key(name) {
            return Some(main);
        }
        let (owner, item) = name.rsplit_once('.')?;
        let mut modules = 0..self.resolved.modules.len() as u32;
        let module =
            modules.find(|m| self.resolved.module(*m).names.contains_key(item) && self.module_name_of(*m) == owner)?;
        Some(ItemId { module, name: Arc::from(item) })
    }

    fn measured(&self, path: Vec<String>) -> Value {
        Value::Later(Arc::new(Later { core: Core::Measure(path), ty: Type::Float, phase: Phase::Measured }))
    }

    /// Warns of a measurement compared with what lies outside its scale: a `rouge_l` above 30 rather than 30 %.
    pub(super) fn decided(&mut self, env: &Env, condition: &Expr) {
        let ExprKind::Binary(op, left, right) = &*condition.kind else { return };
        if matches!(op.value, BinaryOp::And | BinaryOp::Or) {
            self.decided(env, left);
            self.decided(env, right);
            return;
        }
        let below = match op.value {
            BinaryOp::Less | BinaryOp::LessEqual => true,
            BinaryOp::Greater | BinaryOp::GreaterEqual => false,
            _ => return,
        };
        let ([l, r], _) = self.quietly(|this| [left, right].map(|side| this.eval(env, side, &Type::Any)));
        // With the measurement on the left.
        let (measure, number, below) = match (&l.value, &r.value) {
            (Value::Later(later), Value::Number(n, _)) => (later, *n, below),
            (Value::Number(n, _), Value::Later(later)) => (later, *n, !below),
            _ => return,
        };
        let Core::Measure(path) = &measure.core else { return };
        let Some(metric) = path.last() else { return };
        let Some((_, (low, high))) = SCALES.iter().find(|(names, _)| names.contains(&metric.as_str())) else { return };
        let x = number.as_f64();
        let strict = matches!(op.value, BinaryOp::Less | BinaryOp::Greater);
        let (under, above) = (|edge: f64| x < edge || strict && x == edge, |edge: f64| x > edge || strict && x == edge);
        let (never, always) = if below { (under(*low), x > *high) } else { (above(*high), x < *low) };
        if !never && !always {
            return;
        }
        let scale = if high.is_finite() { format!("between {low} and {high}") } else { format!("at {low} or above") };
        let mut problem = Problem::new(
            Code::W1018,
            condition.span,
            format!("this {} holds: `{metric}` lies {scale}", if never { "never" } else { "always" }),
        )
        .label("decided before anything is measured");
        let (side, written) = if matches!(l.value, Value::Number(..)) { (&l, left) } else { (&r, right) };
        let text = self.source_text(side.span);
        let literal = matches!(&*written.kind, ExprKind::Number(number) if number.unit.is_none());
        if *high == 1.0 && x > 1.0 && x <= 100.0 && literal {
            problem = problem.fix(format!("write `{text}%`"), side.span, format!("{text}%"));
        }
        self.report(problem);
    }
}

/// Between which values metrics lie.
const SCALES: [(&[&str], (f64, f64)); 3] = [
    (&["rouge_1", "rouge_2", "rouge_l", "token_f1", "exact_match"], (0.0, 1.0)),
    (&["perplexity"], (1.0, f64::INFINITY)),
    (&["bits_per_byte"], (0.0, f64::INFINITY)),
];

#[cfg(test)]
mod tests {
    use super::SCALES;
    use crate::stdlib;

    #[test]
    fn every_metric_with_a_scale_is_in_the_library() {
        let library: String = stdlib::prelude().map(|(_, text)| text).collect();
        for metric in SCALES.iter().flat_map(|(names, _)| *names) {
            assert!(library.contains(&format!("schema {metric} is metric")), "{metric}");
        }
    }
}
