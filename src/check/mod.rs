//! `Resolved → Checked`: every field gets a type, a value and a provenance.
//!
//! There is one evaluator. A value that is not known yet (the document of a lambda, a measurement, the parameter of a
//! function whose body is checked for all callers) evaluates to [`Value::Later`], which carries its type and the
//! expression still to be computed. Type checking is evaluation over such values, and what a lambda compiles to is the
//! expression that its body leaves over.
//!
//! Fields are evaluated when they are asked for, once: that gives late binding, and a circle shows itself as a field
//! that is asked for while it is being evaluated.

pub mod builtins;
mod calls;
mod checked;
mod evaluate;
mod examples;
mod fields;
mod fit;
mod foreign;
mod items;
mod json;
mod meant;
mod measured;
mod operators;
mod paths;
pub mod pedantic;
mod records;
mod report;
pub mod schema;
mod show;
mod suggestions;
mod sweeps;
mod written;

pub use checked::*;

use crate::diagnostics::{Code, Problem, Problems};
use crate::resolve::{Resolved, resolve};
use crate::source::{SourceFile, Span, World};
use crate::types::{ItemId, RecordId, SchemaId, Traced};
use records::Record;
use schema::SchemaInfo;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// What may be asked of a check besides the file.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// `--set`: the path of a field or param, and the text of its value.
    pub overrides: Vec<(String, String)>,
    /// Whether to look for what is legal but unwise.
    pub pedantic: bool,
}

/// Parses, resolves and checks the file at `path`.
pub fn check_file(world: &dyn World, path: &str, options: &Options) -> (Checked, Problems) {
    let (resolved, mut problems) = resolve(world, path, &options.overrides);
    let (mut checked, found) = check(&resolved);
    problems.extend(found);
    note_gaps(&mut checked, &resolved, &problems);
    if options.pedantic && !problems.any_error() {
        problems.extend(pedantic::look(&checked, &resolved));
    }
    (checked, problems)
}

/// Notes in each item what of it could not be read, or names nothing.
fn note_gaps(checked: &mut Checked, resolved: &Resolved, problems: &Problems) {
    let names = &resolved.module(resolved.main).names;
    let sources = &checked.sources;
    for item in &mut checked.items {
        let definitions = names.get(item.name.as_str()).map_or(&[][..], |entry| &entry.definitions);
        let extents: Vec<Span> = definitions.iter().map(|d| resolved.item(resolved.main, *d).span).collect();
        let set = format!("{}.", item.name);
        let is_in = |span: Span| {
            let given = |f: &SourceFile| f.path.starts_with("--") && f.text.starts_with(&set);
            match item.own {
                true => extents.iter().any(|e| e.contains(span)) || sources.get(span.file).is_some_and(|f| given(f)),
                false => span.file == item.span.file,
            }
        };
        for problem in problems.iter().filter(|p| p.is_error() && is_in(p.span())) {
            match problem.code {
                Code::E0301 | Code::E0318 => item.gaps.unknown.push(sources.text(problem.span()).to_owned()),
                code if code.name().starts_with("E01") => item.gaps.unreadable = true,
                _ => {}
            }
        }
    }
}

/// Evaluates everything that the main module declares.
pub fn check(resolved: &Resolved) -> (Checked, Problems) {
    let mut checker = Checker::new(resolved);
    checker.load_schemas();
    let checked = checker.check_main();
    checker.finish_suggestions();
    let mut problems = Problems::default();
    for problem in checker.problems.into_iter().chain(checker.lasting) {
        problems.push(problem);
    }
    (checked, problems)
}

/// The state of one check.
pub(crate) struct Checker<'r> {
    pub(crate) resolved: &'r Resolved,
    pub(crate) schemas: Vec<SchemaInfo>,
    schema_ids: HashMap<(u32, Arc<str>), SchemaId>,
    records: Vec<Record>,
    /// Values of params, lets and items.
    values: HashMap<ItemId, State>,
    problems: Vec<Problem>,
    /// Problems of values that were first asked for during a trial: the value is kept, so they are too.
    lasting: Vec<Problem>,
    /// Trials going on, whose problems are dropped.
    trials: u32,
    /// Records within records that are being evaluated.
    forcing: usize,
    /// Places whose suggestions are worked out at the end, when everything has been evaluated once.
    deferred: Vec<suggestions::Deferred>,
    /// Calls and declarations of the user's that are being evaluated, outermost first.
    sites: Vec<Span>,
    /// Functions being called, outermost first.
    calls: Vec<ItemId>,
    /// Fields and names being evaluated, outermost first, to name the edges of a circle.
    path: Vec<(String, Span)>,
    /// In a branch that is not taken only types matter, not values.
    dry: u32,
    /// Expressions evaluated so far.
    spent: u64,
    exhausted: bool,
    forced: HashSet<RecordId>,
    /// Items being put into the result, outermost first.
    reaching: Vec<ItemId>,
    /// Overrides that named something.
    used_overrides: HashSet<usize>,
    /// Whether numbers are shown for people, without the dust of binary fractions.
    brief: bool,
    /// Texts that were tried without their quotes.
    unquoted: usize,
}

/// Whether a value has been evaluated.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Busy,
    Done(Traced),
}

/// What names mean at a place.
#[derive(Clone, Debug)]
pub(crate) struct Env {
    pub module: u32,
    /// The record whose fields are in scope.
    pub record: Option<RecordId>,
    /// The field that is being evaluated; its own name means something outside the record.
    pub field: Option<Arc<str>>,
    pub locals: Option<Rc<Local>>,
    pub origin: Origin,
}

/// A parameter of a function or lambda, or the variable of a comprehension.
#[derive(Debug)]
pub(crate) struct Local {
    name: Arc<str>,
    value: Traced,
    outer: Option<Rc<Local>>,
}

impl Env {
    pub fn module(module: u32) -> Env {
        Env { module, record: None, field: None, locals: None, origin: Origin::Set }
    }

    pub fn with(&self, name: Arc<str>, value: Traced) -> Env {
        let locals = Some(Rc::new(Local { name, value, outer: self.locals.clone() }));
        Env { locals, ..self.clone() }
    }

    fn local(&self, name: &str) -> Option<&Traced> {
        let mut at = self.locals.as_ref();
        while let Some(local) = at {
            if &*local.name == name {
                return Some(&local.value);
            }
            at = local.outer.as_ref();
        }
        None
    }
}

/// Names of the library's fields that other tools call `name`, the last part of their paths: `lr` for `learning_rate`.
pub fn fields_known_as(name: &str) -> Vec<&'static str> {
    let mut names: Vec<&str> =
        foreign::known_as(name).map(|known| known.ours.rsplit('.').next().unwrap_or(known.ours)).collect();
    names.dedup();
    names
}

/// The largest number of expressions that one check evaluates.
const MOST_EXPRESSIONS: u64 = 20_000_000;
/// The deepest nesting of evaluations.
const DEEPEST: usize = 250;

impl<'r> Checker<'r> {
    pub(crate) fn new(resolved: &'r Resolved) -> Checker<'r> {
        Checker {
            resolved,
            schemas: Vec::new(),
            schema_ids: HashMap::new(),
            records: Vec::new(),
            values: HashMap::new(),
            problems: Vec::new(),
            lasting: Vec::new(),
            trials: 0,
            forcing: 0,
            deferred: Vec::new(),
            sites: Vec::new(),
            calls: Vec::new(),
            path: Vec::new(),
            dry: 0,
            spent: 0,
            exhausted: false,
            forced: HashSet::new(),
            reaching: Vec::new(),
            used_overrides: HashSet::new(),
            brief: false,
            unquoted: 0,
        }
    }

    pub(crate) fn source_text(&self, span: Span) -> &'r str {
        self.resolved.sources.text(span)
    }
}
