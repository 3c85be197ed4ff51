//! `exp show`: a value, and where it came from.

use super::analysis::analyse;
use super::files::Files;
use super::shared::Overrides;
use super::{Exit, Failure, Screen};
use crate::check::{Checked, Options, Origin};
use crate::diagnostics::render::text;
use crate::diagnostics::suggest::similar;
use crate::source::Span;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment, or `-` for stdin.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// An item, a field or a parameter: `teller`, `teller.layers`, `size`; without it, all are shown.
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
        Some(path) => select(all, path)?,
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
        item.leaves.iter().map(|leaf| Row {
            path: format!("{}.{}", item.name, leaf.path),
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

/// The rows at `path` and below it.
fn select<'a>(all: Vec<Row<'a>>, path: &str) -> Result<Vec<Row<'a>>, Failure> {
    let below = format!("{path}.");
    let indexed = format!("{path}[");
    let hit = |row: &Row| row.path == path || row.path.starts_with(&below) || row.path.starts_with(&indexed);
    if all.iter().any(hit) {
        return Ok(all.into_iter().filter(|row| hit(row)).collect());
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
