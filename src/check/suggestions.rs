//! Unknown names and fields, with suggestions that type-check.
//!
//! A suggestion is tried out, and trying it out evaluates things. That waits until everything has been evaluated once,
//! so that it cannot swallow the problems of what it evaluates first.

use super::examples::Instead;
use super::measured::LOSSES;
use super::records::{Given, Layer, Setting};
use super::schema::FieldInfo;
use super::{Checker, Env, foreign};
use crate::diagnostics::{Code, Edit, Fix, Problem, suggest};
use crate::resolve::EntryKind;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, ItemKind, Name};
use crate::syntax::words;
use crate::types::{SchemaId, Type, Value};
use std::sync::Arc;

/// A problem whose suggestions are still to be worked out.
pub(crate) struct Deferred {
    /// Which problem it is for.
    code: Code,
    span: Span,
    kind: Attempt,
}

/// A field that is set beside the one in question, and the schema whose call makes its value.
struct Taken {
    field: Arc<str>,
    made: Option<Arc<str>>,
}

/// Whether a field is set.
fn is_set(taken: &[Taken], field: &str) -> bool {
    taken.iter().any(|t| *t.field == *field)
}

enum Attempt {
    Name { env: Env, name: Arc<str>, span: Span, want: Type },
    Field { schema: SchemaId, head: Name, setting: Setting, env: Env, taken: Vec<Taken> },
}

/// What to do about an unknown name or field.
#[derive(Default)]
struct WayOut {
    fixes: Vec<Fix>,
    help: Option<String>,
    /// A code that says more than the one the problem has.
    code: Option<Code>,
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
            let way = match &kind {
                Attempt::Name { env, name, span, want } => {
                    WayOut { fixes: self.name_fixes(env, name, *span, want), ..WayOut::default() }
                }
                Attempt::Field { schema, head, setting, env, taken } => {
                    self.field_fixes(*schema, head, setting, env, taken)
                }
            };
            for problem in self.problems.iter_mut().chain(&mut self.lasting).filter(|p| wanted(p)) {
                if way.help.is_some() {
                    problem.help.clone_from(&way.help);
                } else if !way.fixes.is_empty() && problem.code == Code::E0301 {
                    problem.help = None;
                }
                problem.code = way.code.unwrap_or(problem.code);
                problem.fixes = way.fixes.iter().take(3).cloned().collect();
            }
        }
    }

    /// Reports a bare word that means something of another kind than is wanted; a similar name may be of the right kind.
    pub(super) fn misfit_name(&mut self, problem: Problem, env: &Env, want: &Type) {
        let span = problem.span();
        let text = self.source_text(span);
        let is_name = !text.is_empty() && words::first_word(text).len() == text.len();
        if is_name && problem.code == Code::E0304 && problem.fixes.is_empty() {
            let kind = Attempt::Name { env: env.clone(), name: Arc::from(text), span, want: want.clone() };
            self.defer(problem, kind);
        } else {
            self.report(problem);
        }
    }

    pub(super) fn unknown_name(&mut self, env: &Env, name: &Arc<str>, span: Span, want: &Type) {
        let symbols = want.symbols();
        let problem = if symbols.is_empty() {
            let mut problem =
                Problem::new(Code::E0201, span, format!("there is no `{name}` here")).label("unknown name");
            let wants = |ty: &Type| want.alternatives().iter().any(|t| t.bare() == ty);
            if matches!(want.bare(), Type::Text | Type::Path) {
                problem = problem.help(format!("a text is written in quotes: `\"{name}\"`"));
            } else if let Some(truth) = foreign::truth(name).filter(|_| wants(&Type::Bool)) {
                problem = problem.fix(format!("write `{truth}`"), span, truth);
            } else if let Some(example) = self.example_for(want, Instead::Word(name)) {
                problem = problem.help(example);
            } else if let Some(import) = self.import_of(env.module, name) {
                problem.fixes.push(import);
            } else if matches!(&**name, "valid" | "train") || wants(&Type::Measured) {
                problem.fixes.extend(self.validation_losses(env.module).into_iter().map(|way| Fix {
                    title: format!("`{way}`"),
                    edits: vec![Edit { span: self.measured_path(span), new_text: way }],
                }));
                problem.help =
                    Some("what is measured is named by where: `STAGE.valid.loss`, `EVAL.STAGE.METRIC`".into());
            }
            problem
        } else {
            Problem::new(Code::E0305, span, format!("`{name}` is not among the symbols allowed here"))
                .label(format!("one of {} is wanted", symbols.join(", ")))
        };
        self.defer(problem, Attempt::Name { env: env.clone(), name: name.clone(), span, want: want.clone() });
    }

    /// A name with what is asked of it: `valid.loss`.
    fn measured_path(&self, span: Span) -> Span {
        let Some(file) = self.resolved.sources.get(span.file) else { return span };
        let behind = file.text.get(span.end as usize..).unwrap_or("");
        let len = match behind.strip_prefix('.') {
            Some(field) => 1 + words::first_word(field).len() as u32,
            None => 0,
        };
        Span { end: span.end + len, ..span }
    }

    fn name_fixes(&mut self, env: &Env, name: &Arc<str>, span: Span, want: &Type) -> Vec<Fix> {
        let symbols = want.symbols();
        let mut known: Vec<Arc<str>> = symbols.clone();
        known.extend(self.names_in_scope(env));
        let called: Vec<String> = foreign::symbols_known_as(name)
            .filter(|ours| symbols.iter().any(|s| **s == **ours))
            .map(str::to_owned)
            .collect();
        let called = if called.is_empty() {
            foreign::names_known_as(name)
                .filter(|ours| known.iter().any(|k| **k == **ours))
                .map(str::to_owned)
                .collect()
        } else {
            called
        };
        let near = match called.is_empty() {
            true => suggest::similar(name, known.iter().map(|k| &**k)).into_iter().map(str::to_owned).collect(),
            false => called,
        };
        near.into_iter()
            .filter(|candidate| {
                symbols.iter().any(|s| **s == **candidate) || self.would_fit(env, candidate, span, want)
            })
            .map(|candidate| match candidate.as_str() {
                // Within a stage its measurements are meant by their losses.
                "valid" | "train" if measurable(want) => replace(span, &format!("{candidate}.loss")),
                _ => replace(span, &candidate),
            })
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
        // A family is nothing that could be written.
        let family = matches!(&value.value, Value::Schema(id) if self.schema(*id).is_family);
        problems.is_empty() && !value.is_error() && !family
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
        let ways = match value {
            Value::Item(id, _) => self.measured_by(id, name),
            _ => Vec::new(),
        };
        if let Value::Item(id, _) = value {
            let base = Span { start: name.span.start.saturating_sub(id.name.len() as u32 + 1), ..name.span };
            let as_written = self.source_text(base).starts_with(&*id.name);
            for way in ways.into_iter().filter(|_| as_written) {
                problem = problem.fix(format!("`{way}`"), base, way);
            }
        }
        if !problem.fixes.is_empty() {
            problem = problem.help("metrics are measured by an `eval`, and named by it");
        }
        for near in suggest::similar(&name.value, known.iter().map(|k| &**k)) {
            problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
        }
        if problem.fixes.is_empty() && matches!(value, Value::Item(..)) && LOSSES.contains(&&*name.value) {
            problem = problem.help(format!(
                "losses are `valid.{0}` and `train.{0}` of a stage; other metrics are measured by an `eval`: `EVAL.STAGE.METRIC`",
                name.value
            ));
        } else if problem.fixes.is_empty() && !known.is_empty() {
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
            .filter_map(|s| {
                let made = match &s.value {
                    Given::Expr(value) => match &*value.kind {
                        ExprKind::Call(callee, _) => match &*callee.kind {
                            ExprKind::Name(name) => Some(name.clone()),
                            _ => None,
                        },
                        _ => None,
                    },
                    _ => None,
                };
                Some(Taken { field: s.path.first()?.value.clone(), made })
            })
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
    fn field_fixes(&mut self, schema: SchemaId, head: &Name, setting: &Setting, env: &Env, taken: &[Taken]) -> WayOut {
        let fields: Vec<_> = self.schema(schema).fields.values().filter(|f| !f.is_final).cloned().collect();
        // A field of a record that this one holds: `lr` in a stage is `optimizer.lr`.
        for field in &fields {
            let Some(name) = self.holder(field, &head.value).map(|h| self.schemas[h].name.clone()) else { continue };
            // What the field is made with says more than the first that could be.
            let made = taken.iter().find(|t| t.field == field.name).and_then(|t| t.made.clone());
            let name = made.unwrap_or(name);
            let way = format!("{}.{}", field.name, head.value);
            let help = format!("`{}` is a field of `{name}`, which is this one's `{}`", head.value, field.name);
            if is_set(taken, &field.name) {
                let help = format!("{help} and set already: write it there");
                return WayOut { fixes: Vec::new(), help: Some(help), code: Some(Code::E0318) };
            }
            return WayOut { fixes: vec![write(head.span, way)], help: Some(help), code: Some(Code::E0318) };
        }
        if &*self.schema(schema).name == "sweep"
            && let Given::Expr(values) = &setting.value
            && (setting.path.len() > 1 || &*head.value == "over")
        {
            return self.axis_outside(env.module, setting, values);
        }
        if let Some(way) = self.known_elsewhere(&fields, head, setting, env, taken) {
            return way;
        }
        if let Some(why) = foreign::not_built(&head.value) {
            return WayOut { help: Some(why.to_owned()), ..WayOut::default() };
        }
        let near: Vec<String> =
            suggest::similar(&head.value, fields.iter().map(|f| &*f.name)).into_iter().map(str::to_owned).collect();
        let mut fixes = Vec::new();
        for candidate in near {
            if is_set(taken, &candidate) {
                continue;
            }
            let Some(field) = fields.iter().find(|f| *f.name == *candidate) else { continue };
            if self.setting_fits(setting, env, &field.ty) {
                fixes.push(replace(head.span, &candidate));
            }
        }
        if !fixes.is_empty() {
            return WayOut { fixes, ..WayOut::default() };
        }
        let owners = self.schemas.iter().zip(0..).filter(|(s, _)| self.resolved.prelude.contains(&s.module));
        let owners = owners
            .filter(|(s, _)| s.fields.get(&head.value).is_some_and(|f| self.schema(f.owner).name == s.name))
            // Nobody writes the name of a family.
            .flat_map(|(s, id)| if s.is_family { self.members(SchemaId(id)) } else { vec![s.name.to_string()] });
        let mut seen = std::collections::BTreeSet::new();
        let owners: Vec<String> = owners.filter(|o| seen.insert(o.clone())).map(|o| format!("`{o}`")).collect();
        if owners.is_empty() {
            return WayOut::default();
        }
        let help =
            format!("`{}` is a field of {}", head.value, owners.iter().take(3).cloned().collect::<Vec<_>>().join(", "));
        WayOut { fixes: Vec::new(), help: Some(help), code: Some(Code::E0318) }
    }

    /// An axis that stands among the fields of its sweep, or `over` without its block.
    fn axis_outside(&self, module: u32, setting: &Setting, values: &Expr) -> WayOut {
        let path: Vec<&str> = setting.path.iter().map(|name| &*name.value).collect();
        let (path, values) = (path.join("."), self.source_text(values.span));
        let help = "axes stand in a block of their own: `over { pretrain.optimizer.lr in [1e-3, 3e-3] }`".to_owned();
        let mut way = WayOut { help: Some(help), ..WayOut::default() };
        // One block has all axes; several edits would each make their own.
        let items = self.resolved.module(module).layers.iter().flat_map(|layer| &layer.ast.items);
        let own = items.filter_map(|item| match &item.kind {
            ItemKind::Sweep(sweep) => Some(sweep),
            _ => None,
        });
        let alone = own
            .filter(|sweep| sweep.fields.iter().any(|f| f.span == setting.span))
            .all(|sweep| sweep.over.is_none() && sweep.fields.iter().filter(|f| f.path.len() > 1).count() == 1);
        if path.contains('.') && values.len() < 200 && alone {
            let new_text = format!("over {{ {path} in {values} }}");
            way.fixes.push(Fix {
                title: format!("write `over {{ {path} in … }}`"),
                edits: vec![Edit { span: setting.span, new_text }],
            });
        }
        way
    }

    /// A field that other tools call `head`.
    fn known_elsewhere(
        &mut self,
        fields: &[FieldInfo],
        head: &Name,
        setting: &Setting,
        env: &Env,
        taken: &[Taken],
    ) -> Option<WayOut> {
        let mut set = None;
        for known in foreign::known_as(&head.value) {
            let (first, inner) = known.ours.split_once('.').map_or((known.ours, None), |(f, i)| (f, Some(i)));
            let Some(field) = fields.iter().find(|f| *f.name == *first) else { continue };
            let ty = match inner {
                None if is_set(taken, &field.name) => {
                    set.get_or_insert(known);
                    continue;
                }
                None => Some(field.ty.clone()),
                Some(inner) if is_set(taken, &field.name) && self.holder(field, inner).is_some() => {
                    let (theirs, outer) = (&head.value, &field.name);
                    let help = format!(
                        "what others call `{theirs}` is `{inner}` of `{outer}`, which is set already: write it there"
                    );
                    return Some(WayOut { help: Some(help), ..WayOut::default() });
                }
                Some(inner) => match self.holder(field, inner) {
                    Some(holder) => self.schemas[holder].fields.get(inner).map(|f| f.ty.clone()),
                    None => continue,
                },
            };
            let fits = known.instead.is_none() && ty.as_ref().is_some_and(|ty| self.setting_fits(setting, env, ty));
            let mut fixes = if fits { vec![write(head.span, known.ours.to_owned())] } else { Vec::new() };
            let help = match known.instead {
                Some(instead) => {
                    let (instead, whole) = foreign::with_number(instead, self.number_of(setting));
                    let code = instead.trim_matches('`');
                    if whole && !known.ours.split('.').next().is_some_and(|field| is_set(taken, field)) {
                        let edits = vec![Edit { span: setting.span, new_text: code.to_owned() }];
                        fixes.push(Fix { title: format!("write `{code}`"), edits });
                    }
                    format!("what others call `{}` is `{}` here: write {instead}", head.value, known.ours)
                }
                None => format!("what others call `{}` is `{}` here", head.value, known.ours),
            };
            return Some(WayOut { fixes, help: Some(help), code: None });
        }
        // What is set already may say something else, so nothing is called superfluous.
        let known = set?;
        let help = match known.instead {
            Some(instead) => format!(
                "what others call `{}` is `{}` here, which is set already; to change it, write {}",
                head.value,
                known.ours,
                foreign::with_number(instead, self.number_of(setting)).0
            ),
            None => format!("what others call `{}` is `{}` here, which is set already", head.value, known.ours),
        };
        Some(WayOut { help: Some(help), ..WayOut::default() })
    }

    /// The plain number that a field is set to, as written.
    fn number_of(&self, setting: &Setting) -> Option<&str> {
        let Given::Expr(expr) = &setting.value else { return None };
        let ExprKind::Number(number) = &*expr.kind else { return None };
        number.unit.is_none().then(|| self.source_text(expr.span))
    }

    /// The library schema with a field `name` among those that `field` may hold a record of.
    fn holder(&self, field: &FieldInfo, name: &str) -> Option<usize> {
        let Type::Record(inner) = field.ty.bare() else { return None };
        self.schemas.iter().position(|s| {
            s.fields.contains_key(name)
                && self.resolved.is_library(s.module)
                && self.extends_index(s, *inner)
                && self.kind_of(*inner).is_none()
        })
    }

    /// Whether what is set would be right for a field of the type `ty`.
    fn setting_fits(&mut self, setting: &Setting, env: &Env, ty: &Type) -> bool {
        match (&setting.value, setting.path.len()) {
            (Given::Expr(expr), 1) => {
                let (value, problems) = self.quietly(|this| this.eval_as(env, expr, ty));
                // Names of the record's own fields are not in scope here, so an unknown name says nothing.
                let unknown = problems.iter().any(|p| p.code == Code::E0201);
                unknown || problems.is_empty() && !value.is_error()
            }
            _ => true,
        }
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
            "iter" | "iters" | "iterations" | "its" | "batches" | "minibatches" | "updates" => Some("steps"),
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

/// Whether a measurement may stand where `want` is wanted.
fn measurable(want: &Type) -> bool {
    want.alternatives().iter().any(|t| matches!(t.bare(), Type::Any | Type::Measured))
}

fn replace(span: Span, candidate: &str) -> Fix {
    Fix { title: format!("did you mean `{candidate}`?"), edits: vec![Edit { span, new_text: candidate.to_owned() }] }
}

fn write(span: Span, way: String) -> Fix {
    Fix { title: format!("write `{way} = …`"), edits: vec![Edit { span, new_text: way }] }
}

fn list(names: &[Arc<str>]) -> String {
    let mut shown: Vec<&str> = names.iter().take(24).map(|n| &**n).collect();
    if names.len() > shown.len() {
        shown.push("…");
    }
    shown.join(", ")
}
