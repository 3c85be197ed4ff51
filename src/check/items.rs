//! Items: params, declarations, and the main module as a whole.

use super::records::{Given, Layer, Setting};
use super::{Checked, CheckedCondition, CheckedItem, CheckedParam, Checker, Env, Gaps, Origin, foreign};
use crate::diagnostics::{Code, Problem, suggest};
use crate::resolve::{EXPERIMENT, EntryKind};
use crate::source::Span;
use crate::syntax::ast::{self, Expr, ExprKind, FieldOp, ItemKind, Kind};
use crate::types::{ItemId, Phase, RecordId, SchemaId, Traced, Type, Value};
use std::rc::Rc;
use std::sync::Arc;

/// Editions of the language that this version reads.
pub const EDITIONS: std::ops::RangeInclusive<i64> = 1..=1;

impl Checker<'_> {
    /// The value of a param: from outside, or its default.
    pub(super) fn param(&mut self, id: &ItemId, param: &ast::Param) -> Traced {
        let env = Env::module(id.module);
        let ty = match &param.ty {
            Some(written) => self.resolve_type(id.module, written),
            None => match &param.default {
                Some(default) => {
                    let (value, _) = self.quietly(|this| this.eval(&env, default, &Type::Any));
                    self.type_of(&value.value)
                }
                None => Type::Any,
            },
        };
        let default = param.default.as_ref().map(|d| self.eval_as(&env, d, &ty));
        let value = match self.override_of(id, &ty) {
            Some((given, env)) => match given {
                Given::Expr(expr) => self.eval_as(&env, &expr, &ty),
                Given::Text(text) => {
                    let span = self.resolved.overrides.iter().rfind(|o| o.is_of(&id.name));
                    let span = span.map_or(param.name.span, |o| o.value.span);
                    self.fit(Traced::new(Value::Text(text), span, Origin::Override), &ty, &env)
                }
                _ => Traced::new(Value::Error, param.name.span, Origin::Override),
            },
            None => match default {
                Some(value) => value,
                None => {
                    self.report(
                        Problem::new(Code::E0302, param.name.span, format!("param `{}` has no value", id.name))
                            .label("it has no default")
                            .help(format!("give it one with `--set {}=…`, or write a default", id.name)),
                    );
                    Traced::new(Value::Error, param.name.span, Origin::Set)
                }
            },
        };
        self.check_range(&value, &ty, &env, &id.name, param.name.span);
        value
    }

    /// What `--set` gives a param of the main module.
    fn override_of(&mut self, id: &ItemId, ty: &Type) -> Option<(Given, Env)> {
        if id.module != self.resolved.main {
            return None;
        }
        let overrides = &self.resolved.overrides;
        let index = overrides.iter().rposition(|o| o.is_of(&id.name))?;
        self.used_overrides.extend(overrides.iter().enumerate().filter(|(_, o)| o.is_of(&id.name)).map(|(i, _)| i));
        Some((self.override_value(index, ty), Env { origin: Origin::Override, ..Env::module(id.module) }))
    }

    /// A value from outside: an expression, or plain text where a text is wanted.
    fn override_value(&mut self, index: usize, ty: &Type) -> Given {
        let given = &self.resolved.overrides[index];
        let wants_text = ty.alternatives().iter().any(|t| matches!(t.bare(), Type::Text | Type::Path));
        let text = &given.text;
        let quoted = text.trim_start().starts_with(['"', 'r']) && matches!(&*given.value.kind, ExprKind::Text(_));
        if wants_text && !quoted && !(ty.is_optional() && text.trim() == "none") {
            return Given::Text(Arc::from(text.trim()));
        }
        for problem in given.problems.iter().cloned().collect::<Vec<_>>() {
            self.report(problem);
        }
        Given::Expr(given.value.clone())
    }

    /// A declared item as a record: its layers, those of what it is made from, and its schema.
    pub(super) fn declare(&mut self, id: &ItemId) -> Traced {
        let resolved = self.resolved;
        let Some(entry) = resolved.module(id.module).names.get(&id.name) else {
            return Traced::new(Value::Error, Span::new(crate::source::FileId(0), 0, 0), Origin::Set);
        };
        let span = entry.span;
        let error = Traced::new(Value::Error, span, Origin::Set);
        let env = Env::module(id.module);
        let mut layers: Vec<Layer> = Vec::new();
        let mut schema: Option<SchemaId> = None;
        let mut base: Option<RecordId> = None;
        let mut kind = None;
        for (depth, definition) in entry.definitions.iter().enumerate() {
            match &resolved.item(id.module, *definition).kind {
                ItemKind::Dataset(item) => {
                    let Some(dataset) = self.kind_schema(Kind::Dataset) else { return error };
                    let value = self.eval_as(&env, &item.value, &Type::Record(dataset));
                    return self.dataset(id, value, span);
                }
                ItemKind::Decl(decl) => {
                    kind = kind.or(Some(decl.kind.value));
                    let origin = if depth == 0 { Origin::Set } else { Origin::Base };
                    layers.push(Layer {
                        fields: Rc::new(decl.fields.iter().map(setting).collect()),
                        env: Env { origin, ..env.clone() },
                        late: true,
                    });
                    if schema.is_none()
                        && let Some(variant) = &decl.variant
                    {
                        match self.variant(id.module, decl.kind.value, variant) {
                            Some(found) => schema = Some(found),
                            None => return error,
                        }
                    }
                    if base.is_none()
                        && let Some(path) = &decl.base
                    {
                        match self.base_of(&env, decl.kind.value, path) {
                            Some(found) => base = Some(found),
                            None => return error,
                        }
                    }
                }
                ItemKind::Sweep(sweep) => {
                    kind = kind.or(Some(Kind::Sweep));
                    let fields = sweep.fields.iter().filter(|f| f.path.first().is_none_or(|p| &*p.value != "where"));
                    layers.push(Layer { fields: Rc::new(fields.map(setting).collect()), env: env.clone(), late: true });
                }
                _ => return error,
            }
        }
        let Some(kind) = kind else { return error };
        if let Some(base) = base {
            let below = self.record(base).layers.clone();
            layers.extend(below.into_iter().map(|mut layer| {
                if layer.env.origin == Origin::Set {
                    layer.env.origin = Origin::Base;
                }
                layer
            }));
            let inherited = self.record(base).schema;
            match schema {
                None => schema = Some(inherited),
                Some(own) if !self.extends(own, inherited) && !self.extends(inherited, own) => {
                    let (one, two) = (self.schema(own).name.clone(), self.schema(inherited).name.clone());
                    self.report(
                        Problem::new(Code::E0304, span, format!("`{}` is a {one} made from a {two}", id.name))
                            .also(self.record(base).span, format!("this is a {two}"))
                            .help("leave the variant out, or start from something of the same kind"),
                    );
                    return error;
                }
                Some(_) => {}
            }
        }
        let schema = match schema.or_else(|| self.kind_schema(kind).filter(|s| !self.schema(*s).is_family)) {
            Some(schema) => schema,
            None => {
                self.missing_variant(id, kind, span);
                return error;
            }
        };
        let own = entry.definitions.len();
        for layer in &layers[..own.min(layers.len())] {
            self.check_settings(schema, layer, span);
        }
        if let Some(layer) = self.override_layer(id, schema, None) {
            self.check_settings(schema, &layer, span);
            layers.insert(0, layer);
        }
        let record = self.make_record(schema, Some(id.clone()), layers, span);
        Traced::new(Value::Item(id.clone(), record), span, Origin::Set)
    }

    fn dataset(&mut self, id: &ItemId, value: Traced, span: Span) -> Traced {
        match value.value {
            Value::Record(record) => {
                let schema = self.record(record).schema;
                if let Some(layer) = self.override_layer(id, schema, Some(record)) {
                    self.check_settings(schema, &layer, span);
                    self.records[record.0 as usize].layers.insert(0, layer);
                }
                self.records[record.0 as usize].item = Some(id.clone());
                Traced::new(Value::Item(id.clone(), record), span, Origin::Set)
            }
            // Another name for a dataset or a split.
            other => Traced::new(other, span, Origin::Set),
        }
    }

    /// What `--set` gives the fields of an item of the main module; `dataset` is its record if it is a dataset.
    fn override_layer(&mut self, id: &ItemId, schema: SchemaId, dataset: Option<RecordId>) -> Option<Layer> {
        if id.module != self.resolved.main {
            return None;
        }
        let mut settings: Vec<Setting> = Vec::new();
        for index in 0..self.resolved.overrides.len() {
            let given = &self.resolved.overrides[index];
            if given.path.len() < 2 || *given.path[0].value != *id.name {
                continue;
            }
            self.used_overrides.insert(index);
            let span = given.path_span().to(given.value.span);
            let path = match dataset {
                None => given.path[1..].to_vec(),
                Some(record) => match self.dataset_path(&id.name, record, &given.path[1..]) {
                    Ok(path) => path,
                    Err(problem) => {
                        self.report(problem);
                        continue;
                    }
                },
            };
            let ty = match path.as_slice() {
                [only] => self.schema(schema).fields.get(&only.value).map_or(Type::Any, |f| f.ty.clone()),
                _ => Type::Any,
            };
            let value = self.override_value(index, &ty);
            settings.retain(|s| s.path.iter().map(|p| &p.value).ne(path.iter().map(|p| &p.value)));
            settings.push(Setting { path, op: FieldOp::Set, value, span });
        }
        if settings.is_empty() {
            return None;
        }
        let env = Env { origin: Origin::Override, ..Env::module(id.module) };
        Some(Layer { fields: Rc::new(settings), env, late: true })
    }

    /// The schema of a variant, which must belong to the kind.
    fn variant(&mut self, module: u32, kind: Kind, variant: &ast::Name) -> Option<SchemaId> {
        let family = self.kind_schema(kind)?;
        let found = self.find_schema(module, &variant.value).filter(|s| self.extends(*s, family));
        if found.is_some_and(|s| !self.schema(s).is_family) {
            return found;
        }
        let here = |at: u32| at == module || self.resolved.prelude.contains(&at);
        let own = self.schemas.iter().filter(|s| here(s.module));
        let own = own.filter_map(|s| Some((s.name.clone(), *self.schema_ids.get(&(s.module, s.name.clone()))?)));
        let known: Vec<Arc<str>> = (own.chain(self.foreign_schemas(module)))
            .filter(|(_, id)| !self.schema(*id).is_family && self.extends(*id, family))
            .map(|(name, _)| name)
            .collect();
        let text = format!("there is no {} `{}`", kind.keyword(), variant.value);
        let mut problem = Problem::new(Code::E0209, variant.span, text).label("unknown variant");
        let meant = foreign::variant_known_as(kind, &variant.value).filter(|ours| known.iter().any(|k| **k == **ours));
        let near = match meant {
            Some(ours) => vec![ours],
            None => suggest::similar(&variant.value, known.iter().map(|k| &**k)),
        };
        for near in near {
            problem = problem.fix(format!("did you mean `{near}`?"), variant.span, near);
        }
        if problem.fixes.is_empty() {
            let names: Vec<&str> = known.iter().map(|k| &**k).collect();
            problem = problem.help(match super::meant::preset(&variant.value).filter(|_| kind == Kind::Model) {
                Some((module, preset)) => {
                    format!("a preset is what a model is made `from`: `use {module}`, then `model NAME from {preset}`")
                }
                None => format!("there are {}", names.join(", ")),
            });
        }
        self.report(problem);
        None
    }

    fn base_of(&mut self, env: &Env, kind: Kind, path: &Expr) -> Option<RecordId> {
        let value = self.eval(env, path, &Type::Any);
        match &value.value {
            Value::Error => None,
            Value::Item(_, record) if self.kind_of(self.record(*record).schema) == Some(kind) => Some(*record),
            other => {
                let found = self.describe(other);
                let mut problem =
                    Problem::new(Code::E0208, path.span, format!("a {} cannot be made from {found}", kind.keyword()))
                        .label(format!("a {} is wanted", kind.keyword()));
                if let Value::Module(module) = other {
                    let within: Vec<String> =
                        self.items_of(*module, kind).iter().map(|id| id.name.to_string()).collect();
                    let stem = self.source_text(path.span);
                    if let Some(first) = within.first() {
                        problem = problem
                            .help(format!("one of its items, as in `{stem}.{first}`; it has {}", within.join(", ")));
                    }
                }
                self.report(problem);
                None
            }
        }
    }

    fn missing_variant(&mut self, id: &ItemId, kind: Kind, span: Span) {
        let family = self.kind_schema(kind);
        let known = family.map(|family| self.members(family)).unwrap_or_default();
        let keyword = kind.keyword();
        let mut problem = Problem::new(Code::E0209, span, format!("what kind of {keyword} is `{}`?", id.name))
            .label("its variant is missing")
            .help(format!("there are {}", known.join(", ")));
        for near in self.amended_like(id, kind) {
            problem = problem.help(format!("`{near}` is declared in a file that this one amends")).fix(
                format!("did you mean `{near}`?"),
                span,
                near.to_string(),
            );
        }
        for variant in self.variants_with(id, &known) {
            problem =
                problem.fix(format!("`{keyword} {} : {variant}`", id.name), span, format!("{} : {variant}", id.name));
        }
        self.report(problem);
    }

    /// The variants that have most of the fields that an item sets, those with none that they need and it lacks first; of
    /// equals, three at most.
    fn variants_with(&self, id: &ItemId, known: &[String]) -> Vec<String> {
        let entry = self.resolved.module(id.module).names.get(&id.name);
        let item = entry.and_then(|e| e.definitions.first()).map(|d| self.resolved.item(id.module, *d));
        let Some(ItemKind::Decl(decl)) = item.map(|item| &item.kind) else { return Vec::new() };
        let set: Vec<&Arc<str>> = decl.fields.iter().filter_map(|f| Some(&f.path.first()?.value)).collect();
        let score = |name: &String| {
            let schema = self.schemas.iter().find(|s| *s.name == **name && self.resolved.is_library(s.module));
            let fields = schema.map(|s| &s.fields);
            let has = set.iter().filter(|field| fields.is_some_and(|all| all.contains_key(**field))).count();
            let lacks = fields.map_or(0, |all| {
                let needs = all.values().filter(|f| f.default.is_none() && !f.ty.is_optional() && !f.is_rest);
                needs.filter(|f| !set.contains(&&f.name)).count()
            });
            (has, usize::MAX - lacks)
        };
        let best = known.iter().map(score).max();
        known.iter().filter(|name| Some(score(name)) == best).take(3).cloned().collect()
    }

    /// Items of the same kind in the amended files whose name could have been meant by `id`, the likeliest first.
    fn amended_like(&self, id: &ItemId, kind: Kind) -> Vec<Arc<str>> {
        let names = &self.resolved.module(id.module).names;
        let depth = |entry: &crate::resolve::Entry| entry.definitions.first().map(|d| d.0);
        let own = names.get(&id.name).and_then(depth);
        let amended = names.iter().filter(|(_, e)| e.kind == EntryKind::Decl(kind) && depth(e) < own);
        let mut near = suggest::similar(&id.name, amended.map(|(name, _)| &**name));
        near.truncate(2);
        near.into_iter().map(Arc::from).collect()
    }

    /// Evaluates everything that the main module declares, and what that reaches.
    pub(super) fn check_main(&mut self) -> Checked {
        let resolved = self.resolved;
        let main = resolved.main;
        let module = resolved.module(main);
        self.edition();
        // Functions and schemas of the user's are checked once for all their uses.
        for (index, other) in resolved.modules.iter().enumerate() {
            if other.path.starts_with("std/") && index as u32 != main {
                continue;
            }
            for (name, entry) in &other.names {
                let id = ItemId { module: index as u32, name: name.clone() };
                match entry.kind {
                    EntryKind::Fn => self.check_function(&id),
                    EntryKind::Schema => self.check_schema(&id),
                    EntryKind::Param | EntryKind::Let if index as u32 != main => {
                        let value = self.value_of(&id, entry.span);
                        self.force(&value.value);
                    }
                    _ => {}
                }
            }
        }
        let mut params = Vec::new();
        let mut items: Vec<CheckedItem> = Vec::new();
        let mut sweeps = Vec::new();
        for (name, entry) in &module.names {
            let id = ItemId { module: main, name: name.clone() };
            match &entry.kind {
                EntryKind::Param => {
                    let value = self.value_of(&id, entry.span);
                    self.force(&value.value);
                    params.extend(self.checked_param(&id, &value));
                }
                EntryKind::Let => {
                    let value = self.value_of(&id, entry.span);
                    self.force(&value.value);
                }
                EntryKind::Decl(Kind::Sweep) => {
                    if let Some(sweep) = self.checked_sweep(&id) {
                        sweeps.push(sweep);
                    }
                }
                EntryKind::Decl(_) => {
                    let value = self.value_of(&id, entry.span);
                    if let Value::Item(id, _) = value.value {
                        self.reach(&id, &mut items);
                    }
                }
                _ => {}
            }
        }
        let (expects, claims) = self.conditions(&mut items);
        self.unused_overrides();
        let name = items.iter().find(|i| i.kind == Kind::Experiment && i.own).map(|i| i.name.clone());
        Checked {
            sources: resolved.sources.clone(),
            main: module.layers.last().map_or(crate::source::FileId(0), |l| l.file),
            name,
            items,
            expects,
            claims,
            sweeps,
            params,
        }
    }

    /// Adds an item after everything it refers to.
    pub(super) fn reach(&mut self, id: &ItemId, items: &mut Vec<CheckedItem>) {
        let name = self.item_name(id);
        if items.iter().any(|i| i.name == name && i.kind != Kind::Experiment) || self.reaching.contains(id) {
            return;
        }
        let value = self.value_of(id, Span::new(crate::source::FileId(0), 0, 0));
        let Value::Item(_, record) = value.value else { return };
        self.reaching.push(id.clone());
        self.force_record(record);
        let mut output = super::json::Output::default();
        let json = self.record_json(record, "", &mut output);
        for needed in std::mem::take(&mut output.items) {
            self.reach(&needed, items);
        }
        self.reaching.pop();
        let schema = self.record(record).schema;
        let Some(kind) = self.kind_of(schema) else { return };
        let declared = match kind {
            Kind::Experiment => self.experiment_name(id),
            _ => name,
        };
        items.push(CheckedItem {
            kind,
            name: declared,
            schema: self.schema(schema).name.to_string(),
            json,
            leaves: output.leaves,
            span: self.record(record).span,
            own: id.module == self.resolved.main,
            places: output.places,
            gaps: Gaps { wrong: output.wrong, ..Gaps::default() },
        });
    }

    fn experiment_name(&self, id: &ItemId) -> String {
        let entry = self.resolved.module(id.module).names.get(EXPERIMENT);
        let definition = entry.and_then(|e| e.definitions.first());
        match definition.map(|d| &self.resolved.item(id.module, *d).kind) {
            Some(ItemKind::Decl(decl)) => decl.name.value.to_string(),
            _ => EXPERIMENT.to_owned(),
        }
    }

    fn checked_param(&mut self, id: &ItemId, value: &Traced) -> Option<CheckedParam> {
        let entry = self.resolved.module(id.module).names.get(&id.name)?;
        let item = self.resolved.item(id.module, *entry.definitions.first()?);
        let ItemKind::Param(param) = &item.kind else { return None };
        let ty = match &param.ty {
            Some(written) => self.source_text(written.span).to_owned(),
            None => {
                let ty = self.type_of(&value.value);
                self.show_type(&ty)
            }
        };
        let mut output = super::json::Output::default();
        let json = self.value_json(value, &Type::Any, &id.name, &mut output);
        Some(CheckedParam {
            name: id.name.to_string(),
            docs: item.docs.as_ref().map(|d| d.text.to_string()),
            ty,
            shown: self.show(&value.value),
            json,
            origin: value.origin,
            span: param.name.span,
        })
    }

    /// `expect` and `claim` items, those of amended files first.
    fn conditions(&mut self, items: &mut Vec<CheckedItem>) -> (Vec<CheckedCondition>, Vec<CheckedCondition>) {
        let resolved = self.resolved;
        let module = resolved.module(resolved.main);
        let env = Env::module(resolved.main);
        let (mut expects, mut claims) = (Vec::new(), Vec::new());
        for (depth, layer) in module.layers.iter().enumerate() {
            for (index, item) in layer.ast.items.iter().enumerate() {
                match &item.kind {
                    ItemKind::Expect(condition) => {
                        if let Some(core) = self.condition(&env, condition) {
                            expects.push(CheckedCondition {
                                name: None,
                                text: self.one_line(condition.span),
                                condition: core,
                                confidence: None,
                                span: condition.span,
                            });
                        }
                    }
                    ItemKind::Claim(claim) => {
                        let winner = module.names.get(&claim.name.value).and_then(|e| e.definitions.first());
                        if winner.is_some_and(|w| *w != (depth, index)) {
                            continue;
                        }
                        let confidence = self.confidence(&env, claim);
                        if let Some(core) = self.condition(&env, &claim.statement) {
                            claims.push(CheckedCondition {
                                name: Some(claim.name.value.to_string()),
                                text: self.one_line(claim.statement.span),
                                condition: core,
                                confidence: Some(confidence),
                                span: claim.name.span,
                            });
                        }
                    }
                    _ => {}
                }
            }
        }
        let _ = items;
        (expects, claims)
    }

    /// A condition over measured values.
    fn condition(&mut self, env: &Env, condition: &Expr) -> Option<crate::types::core::Core> {
        self.decided(env, condition);
        let value = self.eval(env, condition, &Type::Any);
        match &value.value {
            Value::Error => None,
            Value::Later(later) if later.phase == Phase::Measured && later.ty == Type::Bool => Some(later.core.clone()),
            Value::Later(later) => {
                let found = self.show_type(&later.ty);
                self.report(
                    Problem::new(Code::E0304, condition.span, format!("a condition is wanted, not a {found}"))
                        .help("compare it with something: `… < 30`"),
                );
                None
            }
            other => {
                let found = self.describe(other);
                self.report(
                    Problem::new(Code::E0502, condition.span, "this is known before anything runs")
                        .label(format!("{found} needs no experiment to find out"))
                        .help("compare a measured value, such as `pretrain.valid.loss` or a metric of an eval"),
                );
                None
            }
        }
    }

    fn confidence(&mut self, env: &Env, claim: &ast::Claim) -> f64 {
        let mut confidence = 0.95;
        for field in &claim.with {
            let Some(name) = field.path.first() else { continue };
            if &*name.value != "confidence" || field.path.len() > 1 {
                let text = format!("a claim has no `{}`", name.value);
                let mut problem = Problem::new(Code::E0301, name.span, text)
                    .help("a claim has a `confidence`: a level of error of 5 % is `confidence = 95%`");
                // A level of error, `p = 0.05`, is the other way round.
                for near in suggest::similar(&name.value, ["confidence"]) {
                    problem = problem.fix("did you mean `confidence`?", name.span, near);
                }
                self.report(problem);
                continue;
            }
            let ratio = Type::Quantity(crate::types::Unit::Ratio);
            let value = self.eval_as(env, &field.value, &ratio);
            if let Value::Number(n, _) = value.value {
                if n.as_f64() <= 0.0 || n.as_f64() >= 1.0 {
                    self.report(
                        Problem::new(Code::E0401, value.span, "a confidence lies between 0 % and 100 %")
                            .help("95% is usual"),
                    );
                }
                confidence = n.as_f64();
            }
        }
        confidence
    }

    pub(super) fn one_line(&self, span: Span) -> String {
        self.source_text(span).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The edition is checked first: a file of a later edition may mean something else.
    fn edition(&mut self) {
        let id = ItemId { module: self.resolved.main, name: Arc::from(EXPERIMENT) };
        if !self.resolved.module(id.module).names.contains_key(&id.name) {
            return;
        }
        let value = self.value_of(&id, Span::new(crate::source::FileId(0), 0, 0));
        let Value::Item(_, record) = value.value else { return };
        let language = self.field(record, &Arc::from("language"), self.record(record).span);
        if let Value::Number(n, _) = language.value
            && !n.whole().is_some_and(|e| EDITIONS.contains(&e))
        {
            self.report(
                Problem::new(Code::E0407, language.span, "this edition of the language is not known")
                    .label(format!("this version reads edition {}", EDITIONS.end()))
                    .help("update `exp`, or write an edition that it reads"),
            );
        }
    }

    /// Checks a user's schema with required fields standing for any value.
    fn check_schema(&mut self, id: &ItemId) {
        let Some(schema) = self.schema_ids.get(&(id.module, id.name.clone())).copied() else { return };
        let required: Vec<(Arc<str>, Type, Span)> = self
            .schema(schema)
            .fields
            .values()
            .filter(|f| f.default.is_none() && !f.ty.is_optional())
            .map(|f| (f.name.clone(), f.ty.bare().clone(), f.span))
            .collect();
        let settings = required
            .into_iter()
            .map(|(name, ty, span)| {
                let core = crate::types::core::Core::Arg(name.to_string());
                let later = crate::types::Later { core, ty, phase: Phase::Generic };
                let value = Traced::new(Value::Later(Arc::new(later)), span, Origin::Set);
                Setting {
                    path: vec![crate::source::Spanned::new(name, span)],
                    op: FieldOp::Set,
                    value: Given::Value(value),
                    span,
                }
            })
            .collect();
        let span = self.schema(schema).span;
        let layer = Layer { fields: Rc::new(settings), env: Env::module(id.module), late: true };
        let record = self.make_record(schema, None, vec![layer], span);
        let before = self.problems.len();
        self.force_record(record);
        // A schema may want what only its records can have: "exactly one of the two". Types have been checked, and
        // whether the constraints of the schema itself hold is asked of each record.
        let found = self.problems.split_off(before);
        self.problems.extend(found.into_iter().filter(|p| p.code != Code::E0402 || p.span() != span));
    }

    fn unused_overrides(&mut self) {
        for index in 0..self.resolved.overrides.len() {
            if self.used_overrides.contains(&index) {
                continue;
            }
            let given = &self.resolved.overrides[index];
            let (span, head) = (given.path_span(), given.path[0].value.clone());
            let names = &self.resolved.module(self.resolved.main).names;
            let settable = |e: &EntryKind| matches!(e, EntryKind::Param | EntryKind::Decl(_));
            let known: Vec<Arc<str>> =
                names.iter().filter(|(_, e)| settable(&e.kind)).map(|(n, _)| n.clone()).collect();
            let text = format!("`--set {}` does not name a param or a field", given.dotted());
            let mut problem = Problem::new(Code::E0212, span, text);
            problem = match names.get(&head).map(|e| e.kind.noun()) {
                Some("param") => problem.help(format!("`{head}` is a param: write `--set {head}=…`")),
                Some(noun) if known.contains(&head) => {
                    problem.help(format!("`{head}` is a {noun}: name one of its fields, as in `--set {head}.field=…`"))
                }
                Some(noun) => problem.help(format!("`{head}` is a {noun}; only params and fields of items can be set")),
                None => {
                    let near = self.near_paths(&given.path);
                    for near in &near {
                        problem = problem.fix(format!("did you mean `{near}`?"), span, near.clone());
                    }
                    if near.is_empty() {
                        let known: Vec<&str> = known.iter().map(|k| &**k).collect();
                        problem = problem.help(format!("there are {}", known.join(", ")));
                    }
                    problem
                }
            };
            self.report(problem);
        }
    }
}

fn setting(field: &ast::Field) -> Setting {
    Setting { path: field.path.clone(), op: field.op, value: Given::Expr(field.value.clone()), span: field.span }
}
