//! Problems as JSON. The shape is an interface: it changes only with [`SCHEMA_VERSION`].

use super::region::Region;
use crate::diagnostics::{Edit, Fix, Label, Problem, Severity};
use crate::source::{Sources, Span};
use serde_json::{Map, Value, json};

/// Raised when a field is renamed, removed or given another meaning.
const SCHEMA_VERSION: u32 = 1;

/// The document of `exp check --format json`.
pub fn document(problems: &[&Problem], sources: &Sources) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "problems": problems.iter().map(|p| problem_json(p, sources)).collect::<Vec<_>>(),
    })
}

/// One problem. `help` holds all that is said beyond the message: the reasons first, then the way out.
pub fn problem_json(problem: &Problem, sources: &Sources) -> Value {
    let help: Vec<&str> = problem.notes.iter().map(String::as_str).chain(problem.help.as_deref()).collect();
    json!({
        "code": problem.code.name(),
        "severity": severity(problem.severity),
        "title": problem.code.title(),
        "message": problem.message,
        "help": if help.is_empty() { Value::Null } else { Value::from(help.join("\n")) },
        "labels": problem.labels.iter().enumerate().map(|(i, l)| label(l, i == 0, sources)).collect::<Vec<_>>(),
        "fixes": problem.fixes.iter().map(|f| fix(f, sources)).collect::<Vec<_>>(),
    })
}

pub(super) fn render(problems: &[&Problem], sources: &Sources) -> String {
    let mut out = pretty(&document(problems, sources));
    out.push('\n');
    out
}

/// `{:#}` of a JSON value is its indented form and cannot fail.
pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Pedantic => "pedantic",
    }
}

fn label(label: &Label, primary: bool, sources: &Sources) -> Value {
    let mut object = place(label.span, sources);
    object.insert("text".into(), label.text.as_str().into());
    object.insert("primary".into(), primary.into());
    Value::Object(object)
}

fn fix(fix: &Fix, sources: &Sources) -> Value {
    json!({ "title": fix.title, "edits": fix.edits.iter().map(|e| edit(e, sources)).collect::<Vec<_>>() })
}

fn edit(edit: &Edit, sources: &Sources) -> Value {
    let mut object = place(edit.span, sources);
    object.insert("new_text".into(), edit.new_text.as_str().into());
    Value::Object(object)
}

fn place(span: Span, sources: &Sources) -> Map<String, Value> {
    let at = Region::of(span, sources);
    let mut object = Map::new();
    object.insert("path".into(), at.path.into());
    object.insert("line".into(), at.start.line.into());
    object.insert("column".into(), at.start.column.into());
    object.insert("end_line".into(), at.end.line.into());
    object.insert("end_column".into(), at.end.column.into());
    object
}
