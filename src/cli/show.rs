//! `exp show`: a value, and where it came from.

use super::analysis::analyse;
use super::files::Files;
use super::shared::Overrides;
use super::{Exit, Failure, Screen};
use crate::check::{Checked, CheckedItem, Options, Origin};
use crate::diagnostics::render::text;
use crate::diagnostics::suggest::similar;
use crate::source::Span;
use crate::syntax::ast::Kind;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment, or `-` for stdin.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// An item, a field or a parameter: `teller`, `teller.layers`, `experiment.seed`, `size`; without it, all are shown.
    #[arg(value_name = "PATH")]
    pub path: Option<String>,
    /// Say where each value came from.
    #[arg(long)]
    pub why: bool,
    #[command(flatten)]
    pub overrides: Overrides,
}

/// A value with its full path.
struct Row<'a> {
    path: String,
    shown: &'a str,
    json: Value,
    origin: Origin,
    span: Span,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("show")?;
    let names = [args.file.clone()];
    let world = Files::new(&names)?;
    let file = super::files::single(&args.file);
    let options = Options { overrides: args.overrides.set.clone(), pedantic: false };
    let (checked, problems) = analyse(&world, &file, &options);
    if problems.any_error() {
        screen.problems(&problems, &checked.sources);
        return Ok(Exit::Problems);
    }
    let all = rows(&checked);
    let wanted = match &args.path {
        None => all,
        Some(path) => select(all, &full(path, &checked))?,
    };
    if screen.is_json() {
        let values: Vec<Value> = wanted.iter().map(|row| row.document(&checked)).collect();
        screen.document(&json!({ "schema_version": 1, "values": values }));
    } else {
        screen.result(&table(&wanted, &checked, args.why));
    }
    Ok(Exit::Done)
}

fn rows(checked: &Checked) -> Vec<Row<'_>> {
    let params = checked.params.iter().map(|p| Row {
        path: p.name.clone(),
        shown: &p.shown,
        json: p.json.clone(),
        origin: p.origin,
        span: p.span,
    });
    let leaves = checked.items.iter().flat_map(|item| {
        // The one experiment of a file is called by its kind, as `--set` and the axes of a sweep call it.
        let name = if item.kind == Kind::Experiment { item.kind.keyword() } else { item.name.as_str() };
        item.leaves.iter().map(move |leaf| Row {
            path: format!("{name}.{}", leaf.path),
            shown: &leaf.shown,
            json: find(&item.json, &leaf.path).cloned().unwrap_or(Value::Null),
            origin: leaf.origin,
            span: leaf.span,
        })
    });
    params.chain(leaves).collect()
}

/// The value at a dotted path. Fields that every stage has stand in a record of their own, which the path does not name.
fn find<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(f, r)| (f, Some(r)));
    let next = match json {
        Value::Array(list) => list.get(first.parse::<usize>().ok()?)?,
        _ => json.get(first).or_else(|| json.get("stage")?.get(first))?,
    };
    rest.map_or(Some(next), |rest| find(next, rest))
}

/// The path as rows have it: the experiment may be called by its name.
fn full(path: &str, checked: &Checked) -> String {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let named = |i: &&CheckedItem| i.name == head;
    let is_experiment = checked.items.iter().filter(named).all(|i| i.kind == Kind::Experiment);
    if !is_experiment || !checked.items.iter().any(|i| named(&i)) {
        return path.to_owned();
    }
    let kind = Kind::Experiment.keyword();
    rest.map_or_else(|| kind.to_owned(), |rest| format!("{kind}.{rest}"))
}

/// The rows at `path` and below it. The path of a dataset's field may leave out the steps between.
fn select<'a>(all: Vec<Row<'a>>, path: &str) -> Result<Vec<Row<'a>>, Failure> {
    let below = |path: &str| {
        let (path, dotted, indexed) = (path.to_owned(), format!("{path}."), format!("{path}["));
        move |row: &Row| row.path == path || row.path.starts_with(&dotted) || row.path.starts_with(&indexed)
    };
    let mut places = vec![path.to_owned()];
    if let Some((item, field)) = path.split_once('.')
        && !all.iter().any(below(path))
    {
        let deep = |steps: usize| format!("{item}.{}{field}", "input.".repeat(steps));
        let deepest = all.iter().map(|row| row.path.matches(".input").count()).max().unwrap_or(0);
        places = (1..=deepest).map(deep).filter(|place| all.iter().any(below(place))).collect();
    }
    match places.as_slice() {
        [only] if all.iter().any(below(only)) => {
            let hit = below(only);
            return Ok(all.into_iter().filter(|row| hit(row)).collect());
        }
        [_, _, ..] => {
            let ways: Vec<String> = places.iter().map(|p| format!("`{p}`")).collect();
            return Err(Failure::Usage {
                message: format!("`{path}` could mean several values"),
                help: Some(format!("name one of {}", ways.join(", "))),
            });
        }
        _ => {}
    }
    // Compare like with like: items with an item, full paths with a path.
    let depth = path.matches('.').count();
    let mut known: Vec<String> =
        all.iter().map(|row| row.path.split('.').take(depth + 1).collect::<Vec<_>>().join(".")).collect();
    known.dedup();
    let near = similar(path, known.iter().map(String::as_str));
    Err(Failure::UnknownName { name: path.to_owned(), similar: near.into_iter().map(str::to_owned).collect() })
}

fn table(rows: &[Row], checked: &Checked, why: bool) -> String {
    let width = rows.iter().map(|row| row.path.chars().count()).max().unwrap_or(0);
    let dim = anstyle::Style::new().dimmed();
    let mut out = String::new();
    for row in rows {
        let path = if why { row.path.clone() } else { format!("{:width$}", row.path) };
        let _ = writeln!(out, "{path} = {}", text::visible(row.shown));
        if why {
            let _ = writeln!(out, "  {dim}{}, {}{dim:#}", origin(row.origin), row.place(checked));
        }
    }
    out
}

impl Row<'_> {
    /// `storyteller.exp:52:13`
    fn place(&self, checked: &Checked) -> String {
        let path = checked.sources.get(self.span.file).map_or("", |f| &f.path);
        let place = checked.sources.place(self.span);
        format!("{path}:{}:{}", place.line, place.column)
    }

    fn document(&self, checked: &Checked) -> Value {
        let place = checked.sources.place(self.span);
        json!({
            "path": self.path,
            "value": self.json,
            "shown": self.shown,
            "origin": match self.origin {
                Origin::Set => "set",
                Origin::Base => "base",
                Origin::Default => "default",
                Origin::Override => "override",
            },
            "file": checked.sources.get(self.span.file).map(|f| f.path.to_string()),
            "line": place.line,
            "column": place.column,
        })
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Set => "written here",
        Origin::Base => "from the item it amends",
        Origin::Default => "the schema's default",
        Origin::Override => "given by --set",
    }
}
