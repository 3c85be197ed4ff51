//! Unknown names and fields, with suggestions that type-check.
//!
//! A suggestion is tried out, and trying it out evaluates things. That waits until everything has been evaluated once,
//! so that it cannot swallow the problems of what it evaluates first.

use super::records::{Given, Layer, Setting};
use super::{Checker, Env};
use crate::diagnostics::{Code, Edit, Fix, Problem, suggest};
use crate::resolve::EntryKind;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Name};
use crate::types::{SchemaId, Type, Value};
use std::sync::Arc;

/// A problem whose suggestions are still to be worked out.
pub(crate) struct Deferred {
    /// Which problem it is for.
    code: Code,
    span: Span,
    kind: Attempt,
}

enum Attempt {
    Name { env: Env, name: Arc<str>, span: Span, want: Type },
    Field { schema: SchemaId, head: Name, setting: Setting, env: Env, taken: Vec<Arc<str>> },
}

impl Checker<'_> {
    fn defer(&mut self, problem: Problem, kind: Attempt) {
        let (code, span) = (problem.code, problem.span());
        self.report(problem);
        self.deferred.push(Deferred { code, span, kind });
    }

    /// Works out all suggestions.
    pub(super) fn finish_suggestions(&mut self) {
        for Deferred { code, span, kind } in std::mem::take(&mut self.deferred) {
            let wanted = |p: &Problem| p.code == code && p.labels.iter().any(|l| l.span == span);
            // A problem that was dropped, or that has its suggestions already, needs none.
            let all = self.problems.iter().chain(&self.lasting);
            if !all.clone().any(|p| wanted(p) && p.fixes.is_empty()) {
                continue;
            }
            let (fixes, elsewhere) = match &kind {
                Attempt::Name { env, name, span, want } => (self.name_fixes(env, name, *span, want), None),
                Attempt::Field { schema, head, setting, env, taken } => {
                    self.field_fixes(*schema, head, setting, env, taken)
                }
            };
            for problem in self.problems.iter_mut().chain(&mut self.lasting).filter(|p| wanted(p)) {
                if let Some((help, code)) = &elsewhere {
                    problem.help = Some(help.clone());
                    problem.code = *code;
                }
                if !fixes.is_empty() && problem.code == Code::E0301 {
                    problem.help = None;
                }
                problem.fixes = fixes.iter().take(3).cloned().collect();
            }
        }
    }

    pub(super) fn unknown_name(&mut self, env: &Env, name: &Arc<str>, span: Span, want: &Type) {
        let symbols = want.symbols();
        let problem = if symbols.is_empty() {
            let mut problem =
                Problem::new(Code::E0201, span, format!("there is no `{name}` here")).label("unknown name");
            if matches!(want.bare(), Type::Text | Type::Path) {
                problem = problem.help(format!("a text is written in quotes: `\"{name}\"`"));
            }
            problem
        } else {
            Problem::new(Code::E0305, span, format!("`{name}` is not among the symbols allowed here"))
                .label(format!("one of {} is wanted", symbols.join(", ")))
        };
        self.defer(problem, Attempt::Name { env: env.clone(), name: name.clone(), span, want: want.clone() });
    }

    fn name_fixes(&mut self, env: &Env, name: &Arc<str>, span: Span, want: &Type) -> Vec<Fix> {
        let symbols = want.symbols();
        let mut known: Vec<Arc<str>> = symbols.clone();
        known.extend(self.names_in_scope(env));
        let near: Vec<String> =
            suggest::similar(name, known.iter().map(|k| &**k)).into_iter().map(str::to_owned).collect();
        near.into_iter()
            .filter(|candidate| {
                symbols.iter().any(|s| **s == **candidate) || self.would_fit(env, candidate, span, want)
            })
            .map(|candidate| replace(span, &candidate))
            .collect()
    }

    fn names_in_scope(&self, env: &Env) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        let mut local = env.locals.as_ref();
        while let Some(here) = local {
            names.push(here.name.clone());
            local = here.outer.as_ref();
        }
        if let Some(record) = env.record {
            names.extend(self.schema(self.record(record).schema).fields.keys().cloned());
            names.extend(["valid", "train"].map(Arc::from));
        }
        for module in std::iter::once(env.module).chain(self.resolved.prelude.iter().copied()) {
            names.extend(self.resolved.module(module).names.keys().cloned());
        }
        names.extend(super::builtins::BUILTINS.iter().map(|b| Arc::from(b.name)));
        names
    }

    /// Whether the name would have been right here.
    fn would_fit(&mut self, env: &Env, name: &str, span: Span, want: &Type) -> bool {
        let expr = Expr::new(ExprKind::Name(Arc::from(name)), span);
        let (value, problems) = self.quietly(|this| this.eval_as(env, &expr, want));
        problems.is_empty() && !value.is_error()
    }

    /// `name` is no field of `value`.
    pub(super) fn no_such_field(&mut self, value: &Value, name: &Name) {
        let found = self.describe(value);
        let known: Vec<Arc<str>> = match value {
            Value::Record(id) | Value::Item(_, id) => {
                self.schema(self.record(*id).schema).fields.keys().cloned().collect()
            }
            Value::Map(map) => map.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let mut problem =
            Problem::new(Code::E0310, name.span, format!("{found} has no `{}`", name.value)).label("unknown field");
        for near in suggest::similar(&name.value, known.iter().map(|k| &**k)) {
            problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
        }
        if problem.fixes.is_empty() && !known.is_empty() {
            problem = problem.help(format!("it has {}", list(&known)));
        }
        self.report(problem);
    }

    /// `name` is no field of documents or samples.
    pub(super) fn unknown_later_field(&mut self, schema: SchemaId, name: &Name) {
        let info = self.schema(schema);
        let known: Vec<Arc<str>> = info.fields.keys().cloned().collect();
        let mut problem = Problem::new(Code::E0310, name.span, format!("a {} has no `{}`", info.name, name.value))
            .label("unknown field")
            .also(info.span, format!("`{}` is declared here", info.name));
        for near in suggest::similar(&name.value, known.iter().map(|k| &**k)) {
            problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
        }
        if problem.fixes.is_empty() {
            problem = problem.help(format!("it has {}", list(&known)));
        }
        self.report(problem);
    }

    /// `name` is not in a module.
    pub(super) fn unknown_member(&mut self, module: u32, name: &Name) {
        let content = self.resolved.module(module);
        let known: Vec<Arc<str>> = content
            .names
            .iter()
            .filter(|(_, e)| !matches!(e.kind, EntryKind::Module(_) | EntryKind::Foreign(..) | EntryKind::Missing))
            .map(|(n, _)| n.clone())
            .collect();
        let text = format!("`{}` has no `{}`", content.stem, name.value);
        let mut problem = Problem::new(Code::E0204, name.span, text).label("unknown name");
        for near in suggest::similar(&name.value, known.iter().map(|k| &**k)) {
            problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
        }
        if problem.fixes.is_empty() {
            problem = problem.help(format!("it has {}", list(&known)));
        }
        self.report(problem);
    }

    /// A setting names no field of its schema.
    pub(super) fn unknown_field(
        &mut self,
        schema: SchemaId,
        head: &Name,
        setting: &Setting,
        layer: &Layer,
        _owner: Span,
    ) {
        let info = self.schema(schema);
        let text = format!("`{}` has no field `{}`", info.name, head.value);
        let known: Vec<Arc<str>> = info.fields.keys().cloned().collect();
        let code = if self.kind_of(schema).is_some() || layer.late { Code::E0301 } else { Code::E0308 };
        let problem =
            Problem::new(code, head.span, text).label("unknown field").help(format!("it has {}", list(&known)));
        let taken = layer
            .fields
            .iter()
            .filter(|s| s.path.len() == 1)
            .filter_map(|s| s.path.first().map(|p| p.value.clone()))
            .collect();
        self.defer(
            problem,
            Attempt::Field { schema, head: head.clone(), setting: setting.clone(), env: layer.env.clone(), taken },
        );
        // Whatever is wrong with its value is worth knowing too.
        if let Given::Expr(expr) = &setting.value {
            self.eval(&layer.env, expr, &Type::Error);
        }
    }

    /// Fields that could have been meant, and where the field belongs if that is another item.
    fn field_fixes(
        &mut self,
        schema: SchemaId,
        head: &Name,
        setting: &Setting,
        env: &Env,
        taken: &[Arc<str>],
    ) -> (Vec<Fix>, Option<(String, Code)>) {
        let fields: Vec<_> = self.schema(schema).fields.values().filter(|f| !f.is_final).cloned().collect();
        // A field of a record that this one holds: `lr` in a stage is `optimizer.lr`.
        for field in &fields {
            let Type::Record(inner) = field.ty.bare() else { continue };
            let holder = self.schemas.iter().position(|s| {
                s.fields.contains_key(&head.value)
                    && self.resolved.is_library(s.module)
                    && self.extends_index(s, *inner)
                    && self.kind_of(*inner).is_none()
            });
            if let Some(holder) = holder {
                let name = &self.schemas[holder].name;
                let way = format!("{}.{}", field.name, head.value);
                let help = format!("`{}` is a field of `{name}`, which is this one's `{}`", head.value, field.name);
                let fix =
                    Fix { title: format!("write `{way} = …`"), edits: vec![Edit { span: head.span, new_text: way }] };
                return (vec![fix], Some((help, Code::E0318)));
            }
        }
        let near: Vec<String> =
            suggest::similar(&head.value, fields.iter().map(|f| &*f.name)).into_iter().map(str::to_owned).collect();
        let mut fixes = Vec::new();
        for candidate in near {
            if taken.iter().any(|t| **t == *candidate) {
                continue;
            }
            let Some(field) = fields.iter().find(|f| *f.name == *candidate) else { continue };
            let fits = match (&setting.value, setting.path.len()) {
                (Given::Expr(expr), 1) => {
                    let (value, problems) = self.quietly(|this| this.eval_as(env, expr, &field.ty));
                    // Names of the record's own fields are not in scope here, so an unknown name says nothing.
                    let unknown = problems.iter().any(|p| p.code == Code::E0201);
                    unknown || problems.is_empty() && !value.is_error()
                }
                _ => true,
            };
            if fits {
                fixes.push(replace(head.span, &candidate));
            }
        }
        if !fixes.is_empty() {
            return (fixes, None);
        }
        let owners: Vec<String> = self
            .schemas
            .iter()
            .filter(|s| self.resolved.prelude.contains(&s.module))
            .filter(|s| s.fields.get(&head.value).is_some_and(|f| self.schema(f.owner).name == s.name))
            .map(|s| format!("`{}`", s.name))
            .collect();
        if owners.is_empty() {
            return (Vec::new(), None);
        }
        let help =
            format!("`{}` is a field of {}", head.value, owners.iter().take(3).cloned().collect::<Vec<_>>().join(", "));
        (Vec::new(), Some((help, Code::E0318)))
    }

    fn extends_index(&self, schema: &super::schema::SchemaInfo, ancestor: SchemaId) -> bool {
        match self.schema_ids.get(&(schema.module, schema.name.clone())) {
            Some(id) => self.extends(*id, ancestor),
            None => false,
        }
    }

    /// A word after a number that is no unit.
    pub(super) fn unknown_unit(&mut self, word: &Name) {
        let mut problem =
            Problem::new(Code::E0314, word.span, format!("`{}` is not a unit", word.value)).label("unknown unit");
        let alias = match &*word.value {
            "tok" | "toks" => Some("tokens"),
            "iter" | "iters" | "iterations" | "its" => Some("steps"),
            "docs" | "samples" | "examples" | "sequences" | "seqs" => Some("documents"),
            "hr" | "hrs" => Some("h"),
            "mins" => Some("min"),
            "secs" => Some("s"),
            "flos" | "FLOPs" | "FLOPS" | "FLOP" => Some("flops"),
            "percent" | "pct" => Some("%"),
            "usd" | "USD" | "dollars" => Some("$"),
            "mb" | "Mb" => Some("MB"),
            "gb" | "Gb" => Some("GB"),
            _ => None,
        };
        let near: Vec<&str> = match alias {
            Some(alias) => vec![alias],
            None => {
                let mut near = suggest::similar(&word.value, crate::types::Unit::words());
                near.truncate(1);
                near
            }
        };
        for near in near {
            problem = problem.fix(format!("did you mean `{near}`?"), word.span, near);
        }
        if problem.fixes.is_empty() {
            problem = problem
                .help("there are tokens, steps, epochs, documents, s, min, h, days, bytes (KiB, MB …), flops, % and $");
        }
        self.report(problem);
    }
}

fn replace(span: Span, candidate: &str) -> Fix {
    Fix { title: format!("did you mean `{candidate}`?"), edits: vec![Edit { span, new_text: candidate.to_owned() }] }
}

fn list(names: &[Arc<str>]) -> String {
    let mut shown: Vec<&str> = names.iter().take(24).map(|n| &**n).collect();
    if names.len() > shown.len() {
        shown.push("…");
    }
    shown.join(", ")
}
