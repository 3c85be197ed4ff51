//! Paths of fields, as `--set` and the axes of a sweep write them.
//!
//! The path of a dataset's field may leave out the steps between: `stories.documents` is the one field of that name in
//! the chain of steps that makes `stories`, whose full path is `stories.input.input.documents`.

use super::Checker;
use super::foreign;
use super::records::Given;
use crate::diagnostics::{Code, Problem, suggest};
use crate::resolve::EntryKind;
use crate::source::Spanned;
use crate::syntax::ast::{FieldOp, Kind, Name};
use crate::types::{ItemId, RecordId, Type, Value};
use std::sync::Arc;

/// Records within records, at most.
const DEEPEST: usize = 16;

impl Checker<'_> {
    /// `path` within the dataset `owner` in full. A path that means no field or several is the problem.
    pub(super) fn dataset_path(&mut self, owner: &str, record: RecordId, path: &[Name]) -> Result<Vec<Name>, Problem> {
        let Some(head) = path.first() else { return Ok(Vec::new()) };
        let has = |this: &Self, record: RecordId, name: &str| {
            this.schema(this.record(record).schema).fields.contains_key(name)
        };
        if has(self, record, &head.value) {
            return Ok(path.to_vec());
        }
        let chain = self.chain_of(record);
        let depths: Vec<usize> = (1..chain.len()).filter(|d| has(self, chain[*d], &head.value)).collect();
        let full = |depth: usize| {
            let input = Spanned::new(Arc::from("input"), head.span);
            std::iter::repeat_n(input, depth).chain(path.iter().cloned()).collect::<Vec<Name>>()
        };
        if let [only] = depths.as_slice() {
            return Ok(full(*only));
        }
        if depths.is_empty() {
            return Err(self.no_field_of_chain(owner, &chain, head));
        }
        let ways: Vec<String> = depths.iter().map(|d| dotted(owner, &full(*d))).collect();
        let text = format!("several steps of `{owner}` have a `{}`", head.value);
        Err(Problem::new(Code::E0207, head.span, text)
            .label("which of them?")
            .help(format!("write {}", ways.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" or "))))
    }

    fn no_field_of_chain(&self, owner: &str, chain: &[RecordId], head: &Name) -> Problem {
        let mut known: Vec<Arc<str>> = Vec::new();
        for record in chain {
            for field in self.schema(self.record(*record).schema).fields.keys().filter(|f| &***f != "input") {
                if !known.contains(field) {
                    known.push(field.clone());
                }
            }
        }
        let mut problem = Problem::new(Code::E0301, head.span, format!("`{owner}` has no field `{}`", head.value))
            .label("unknown field")
            .help(format!("its steps have {}", known.iter().map(|k| &**k).collect::<Vec<_>>().join(", ")));
        for near in suggest::similar(&head.value, known.iter().map(|k| &**k)) {
            problem = problem.fix(format!("did you mean `{near}`?"), head.span, near);
        }
        problem
    }

    /// The records of a dataset's steps, the last step first. Other datasets that it starts from are not among them.
    fn chain_of(&mut self, record: RecordId) -> Vec<RecordId> {
        let mut chain = vec![record];
        while let Some(input) = chain.last().copied().and_then(|r| self.input_of(r)) {
            if chain.contains(&input) || chain.len() > DEEPEST * 4 {
                break;
            }
            chain.push(input);
        }
        chain
    }

    /// What a step works on, found without evaluating the step: it may still be amended.
    fn input_of(&mut self, record: RecordId) -> Option<RecordId> {
        let input: Arc<str> = Arc::from("input");
        let ty = self.schema(self.record(record).schema).fields.get(&input)?.ty.clone();
        let layers = self.record(record).layers.clone();
        let (env, given) = layers.iter().find_map(|layer| {
            let set = layer
                .fields
                .iter()
                .find(|s| s.op == FieldOp::Set && matches!(s.path.as_slice(), [only] if only.value == input))?;
            Some((layer.scope(record, &input), set.value.clone()))
        })?;
        let value = match given {
            Given::Value(value) => value.value,
            Given::Expr(expr) => self.quietly(|this| this.eval_as(&env, &expr, &ty)).0.value,
            _ => return None,
        };
        if let Value::Record(inner) = value { Some(inner) } else { None }
    }

    /// At most three paths that may have been meant by `path`, which names nothing.
    pub(super) fn near_paths(&mut self, path: &[Name]) -> Vec<String> {
        let written = path.iter().map(|p| &*p.value).collect::<Vec<_>>().join(".");
        let Some(last) = path.last().map(|p| p.value.clone()) else { return Vec::new() };
        let all = self.settable_paths();
        // A field of that name, or of the name that it has here.
        let mut names = vec![last.to_string()];
        names.extend(foreign::known_as(&last).map(|k| k.ours.rsplit('.').next().unwrap_or(k.ours).to_owned()));
        let mut exact: Vec<&String> =
            all.iter().filter(|p| p.rsplit('.').next().is_some_and(|l| names.iter().any(|n| n == l))).collect();
        if path.len() > 1 {
            // The name of the item is wrong: the likeliest one first.
            exact.sort_by(|a, b| likeness(b, &written).total_cmp(&likeness(a, &written)));
            if let Some(near) = suggest::similar(&written, all.iter().map(String::as_str)).first() {
                exact.retain(|p| p != near);
                return std::iter::once((*near).to_owned()).chain(exact.into_iter().cloned()).take(3).collect();
            }
        } else {
            exact.sort_by_key(|p| p.matches('.').count());
        }
        if !exact.is_empty() {
            return exact.into_iter().take(3).cloned().collect();
        }
        let near = suggest::similar(&written, all.iter().map(String::as_str));
        if !near.is_empty() {
            return near.into_iter().map(str::to_owned).collect();
        }
        let lasts: Vec<&str> = all.iter().filter_map(|p| p.rsplit('.').next()).collect();
        let near = suggest::similar(&last, lasts.iter().copied());
        all.iter().filter(|p| p.rsplit('.').next().is_some_and(|l| near.contains(&l))).take(3).cloned().collect()
    }

    /// Every path that `--set` may name: params, and the fields of items; those of the experiment first.
    fn settable_paths(&mut self) -> Vec<String> {
        let module = self.resolved.main;
        let resolved = self.resolved;
        let mut paths = Vec::new();
        let mut experiment = Vec::new();
        for (name, entry) in &resolved.module(module).names {
            match &entry.kind {
                EntryKind::Param => paths.push(name.to_string()),
                EntryKind::Decl(kind) if *kind != Kind::Sweep => {
                    let id = ItemId { module, name: name.clone() };
                    let Value::Item(_, record) = self.value_of(&id, entry.span).value else { continue };
                    let into = if *kind == Kind::Experiment { &mut experiment } else { &mut paths };
                    match kind {
                        Kind::Dataset => self.dataset_paths(name, record, into),
                        _ => self.field_paths(name, record, 0, into),
                    }
                }
                _ => {}
            }
        }
        experiment.append(&mut paths);
        experiment
    }

    /// The fields of a dataset's steps; those that one step alone has by their short path.
    fn dataset_paths(&mut self, owner: &str, record: RecordId, paths: &mut Vec<String>) {
        let chain = self.chain_of(record);
        let mut seen: Vec<(Arc<str>, usize)> = Vec::new();
        for (depth, record) in chain.iter().enumerate() {
            let fields = &self.schema(self.record(*record).schema).fields;
            seen.extend(
                fields.values().filter(|f| !f.is_final && &*f.name != "input").map(|f| (f.name.clone(), depth)),
            );
        }
        for (name, depth) in &seen {
            let alone = seen.iter().filter(|(n, _)| n == name).count() == 1;
            paths.push(format!("{owner}.{}{name}", "input.".repeat(if alone { 0 } else { *depth })));
        }
    }

    fn field_paths(&mut self, prefix: &str, record: RecordId, depth: usize, paths: &mut Vec<String>) {
        let fields: Vec<_> =
            self.schema(self.record(record).schema).fields.values().filter(|f| !f.is_final).cloned().collect();
        for field in fields {
            let path = format!("{prefix}.{}", field.name);
            let is_dataset = matches!(field.ty.bare(), Type::Record(s) if self.kind_of(*s) == Some(Kind::Dataset));
            paths.push(path.clone());
            if depth < DEEPEST
                && !is_dataset
                && let Value::Record(inner) = self.field(record, &field.name, field.span).value
            {
                self.field_paths(&path, inner, depth + 1, paths);
            }
        }
    }
}

fn dotted(owner: &str, path: &[Name]) -> String {
    std::iter::once(owner).chain(path.iter().map(|p| &*p.value)).collect::<Vec<_>>().join(".")
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(a, b)
}
