//! What was probably meant by something that fails: a library module that nobody named with `use`, a path or a name in the
//! wrong dress, a metric asked of a stage.

use super::{Checker, Env};
use crate::diagnostics::{Code, Edit, Fix, Problem};
use crate::resolve::EntryKind;
use crate::source::{SourceFile, Span};
use crate::stdlib;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, ItemKind, Kind, Name};
use crate::syntax::{parse_expr, words};
use crate::types::{ItemId, RecordId, Traced, Type, Value};

/// Endings of files that a path without quotes is told by.
const ENDINGS: [&str; 12] =
    ["txt", "json", "jsonl", "csv", "tsv", "md", "gz", "zst", "parquet", "html", "exp", "safetensors"];

/// How many texts of one check are tried without their quotes.
const MOST_UNQUOTED: usize = 64;

impl Checker<'_> {
    /// The edit that brings a name of the library into the file of `module`: a whole module, or one name out of it.
    pub(super) fn import_of(&self, module: u32, name: &str) -> Option<Fix> {
        let dotted = |path: &str| path.trim_end_matches(".exp").replace('/', ".");
        let modules = || stdlib::files().filter(|(path, _)| !path.starts_with("std/prelude/"));
        let is_module = |path: &str| path.rsplit('/').next().is_some_and(|file| file.trim_end_matches(".exp") == name);
        let line = match modules().find(|(path, _)| is_module(path)) {
            Some((path, _)) => format!("use {}", dotted(path)),
            None => {
                let mut owners = modules().filter(|(_, text)| text.lines().any(|line| defines(line, name)));
                let (path, _) = owners.next()?;
                // A name of several modules says nothing of which is meant.
                if owners.next().is_some() {
                    return None;
                }
                format!("use {} {{ {name} }}", dotted(path))
            }
        };
        let layer = self.resolved.module(module).layers.last()?;
        let items = &layer.ast.items;
        let is = |wanted: fn(&ItemKind) -> bool| items.iter().rev().find(move |item| wanted(&item.kind));
        let uses = is(|kind| matches!(kind, ItemKind::Use(_)));
        let head = is(|kind| matches!(kind, ItemKind::Decl(decl) if decl.kind.value == Kind::Experiment));
        let (at, new_text) = match (uses, head) {
            (Some(last), _) => (last.span.end, format!("\n{line}")),
            (None, Some(head)) => (head.span.end, format!("\n\n{line}")),
            (None, None) => {
                let first = items.first()?;
                (first.docs.as_ref().map_or(first.span.start, |docs| docs.span.start), format!("{line}\n\n"))
            }
        };
        let span = Span { file: layer.file, start: at, end: at };
        Some(Fix { title: format!("add `{line}`"), edits: vec![Edit { span, new_text }] })
    }

    /// A path without quotes where a text is wanted, read as a division or as a field: `data/a.txt`, `corpus.txt`.
    pub(super) fn bare_path(&mut self, env: &Env, expr: &Expr, want: &Type) -> Option<Problem> {
        let whole = match &*expr.kind {
            ExprKind::Binary(op, ..) => op.value == BinaryOp::Divide,
            ExprKind::Field(_, name) => ENDINGS.contains(&&*name.value),
            _ => false,
        };
        let takes_text = |t: &Type| matches!(t.bare(), Type::Text | Type::Path);
        if !whole || !want.alternatives().iter().any(takes_text) {
            return None;
        }
        let mut first = expr;
        while let ExprKind::Binary(_, inner, _) | ExprKind::Field(inner, _) = &*first.kind {
            first = inner;
        }
        let ExprKind::Name(name) = &*first.kind else { return None };
        let (known, _) = self.quietly(|this| this.lookup(env, name, first.span).is_some());
        let text = self.source_text(expr.span);
        (!known && !text.contains(['"', '\n'])).then(|| {
            Problem::new(Code::E0304, expr.span, "a path stands in quotes").fix(
                "add the quotes",
                expr.span,
                format!("\"{text}\""),
            )
        })
    }

    /// What stands in quotes and would be right without them: `budget = "10 steps"`, `tokenizer = "pieces"`.
    pub(super) fn unquoted(&mut self, env: &Env, value: &Traced, want: &Type) -> Option<Fix> {
        let Value::Text(text) = &value.value else { return None };
        let span = value.span;
        // Each attempt reads as many blanks as stand before it.
        self.unquoted += 1;
        if self.unquoted > MOST_UNQUOTED {
            return None;
        }
        let plain = !text.is_empty() && text.len() < 200 && !text.contains(['\n', '\\', '"', '{']);
        if !plain || self.source_text(span) != format!("\"{text}\"") {
            return None;
        }
        let path = self.resolved.sources.get(span.file)?.path.clone();
        // It is read where it stands, so that its places are those of the file.
        let blank = format!("{}{text}", " ".repeat(span.start as usize + 1));
        let (expr, problems) = parse_expr(&SourceFile::new(span.file, path, blank));
        if problems.iter().next().is_some() {
            return None;
        }
        // A schema by its name alone is better shown as a call.
        let (bare, _) = self.quietly(|this| this.eval(env, &expr, want));
        if matches!(bare.value, Value::Schema(_)) {
            return None;
        }
        let (inner, problems) = self.quietly(|this| this.fit(bare, want, env));
        (problems.is_empty() && !inner.is_error()).then(|| Fix {
            title: "remove the quotes".to_owned(),
            edits: vec![Edit { span, new_text: text.to_string() }],
        })
    }

    /// How an item is declared that `want` has by name, for people who wrote the name of a published one as a text.
    pub(super) fn declared_elsewhere(&self, want: &Type, text: &str) -> Option<String> {
        let kind = want.alternatives().iter().find_map(|t| match t.bare() {
            Type::Record(schema) => self.kind_of(*schema),
            _ => None,
        })?;
        Some(match kind {
            Kind::Model => "a model is an item of its own, `model NAME from gpt2.small {}` with `use std.models.gpt2`, and named \
                            here; published weights are a stage, `stage base : pretrained { folder = \"…\" }`, and `init = base` \
                            starts from them"
                .to_owned(),
            Kind::Tokenizer => "a tokenizer is an item of its own, `tokenizer NAME : bpe { train_on = … }` or one made elsewhere, \
                                `tokenizer NAME : tokenizer_json { file = \"…\", vocab = … }`, and named here"
                .to_owned(),
            Kind::Stage => "a stage is named without quotes; published weights are one of their own, \
                            `stage base : pretrained { folder = \"…\" }`"
                .to_owned(),
            Kind::Dataset if text.ends_with("jsonl") || text.ends_with("json") => format!("write `jsonl(\"{text}\")`"),
            Kind::Dataset if text.contains(['/', '.', '*']) => format!("write `text(\"{text}\")`"),
            Kind::Dataset => "a dataset is named without quotes, or made of files: `text(\"data/*.txt\")`, \
                              `jsonl(\"data/*.jsonl\")`"
                .to_owned(),
            _ => return None,
        })
    }

    /// The evals that measure `name` of a stage: `fluency.pretrain.perplexity` for `pretrain.perplexity`.
    pub(super) fn measured_by(&mut self, stage: &ItemId, name: &Name) -> Vec<String> {
        if !self.is_a_stage(stage) {
            return Vec::new();
        }
        let called = self.item_name(stage);
        let mut ways = Vec::new();
        for eval in self.items_of(stage.module, Kind::Eval) {
            let at = name.span;
            let (value, _) = self.quietly(|this| this.value_of(&eval, at));
            let Value::Item(_, record) = value.value else { continue };
            let ((judged, metrics), _) = self.quietly(|this| (this.judged(record), this.metrics(record)));
            if metrics.contains(&name.value) && judged.iter().any(|s| **s == *called) {
                ways.push(format!("{}.{called}.{}", eval.name, name.value));
            }
        }
        ways
    }

    fn is_a_stage(&self, id: &ItemId) -> bool {
        let entry = self.resolved.module(id.module).names.get(&id.name);
        entry.is_some_and(|entry| entry.kind == EntryKind::Decl(Kind::Stage))
    }

    /// The items of one kind that a module declares.
    pub(super) fn items_of(&self, module: u32, kind: Kind) -> Vec<ItemId> {
        let names = &self.resolved.module(module).names;
        let declared = names.iter().filter(|(_, entry)| entry.kind == EntryKind::Decl(kind));
        declared.map(|(name, _)| ItemId { module, name: name.clone() }).collect()
    }

    /// `pretrain.valid.loss` for the stages of a module that validate.
    pub(super) fn validation_losses(&mut self, module: u32) -> Vec<String> {
        let mut ways = Vec::new();
        for stage in self.items_of(module, Kind::Stage) {
            let span = self.resolved.module(module).names[&stage.name].span;
            let (value, _) = self.quietly(|this| this.value_of(&stage, span));
            let Value::Item(_, record) = value.value else { continue };
            if self.validates(record, span) {
                ways.push(format!("{}.valid.loss", stage.name));
            }
        }
        ways
    }

    fn validates(&mut self, record: RecordId, span: Span) -> bool {
        let schema = self.record(record).schema;
        let known = self.schema(schema).fields.contains_key("validate");
        known && !matches!(self.field(record, &"validate".into(), span).value, Value::None | Value::Error)
    }
}

/// The module of published networks that is called `name`, and the first network in it: `std.models.gpt2` and `gpt2.small`.
pub(super) fn preset(name: &str) -> Option<(String, String)> {
    let name = name.to_ascii_lowercase();
    let text = stdlib::file(&format!("std/models/{name}.exp"))?;
    let first = text.lines().find_map(|line| line.strip_prefix("model "))?;
    Some((format!("std.models.{name}"), format!("{name}.{}", words::first_word(first))))
}

/// Whether a line of a library file defines `name` on its top level.
fn defines(line: &str, name: &str) -> bool {
    let word = words::first_word(line);
    let rest = line[word.len()..].trim_start();
    let item = words::opens_item(word) && !matches!(word, "use" | "amends" | "expect");
    item && words::first_word(rest) == name
}
