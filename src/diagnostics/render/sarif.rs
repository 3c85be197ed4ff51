//! SARIF 2.1.0 (OASIS, 2020), for services that collect findings.

use super::json::pretty;
use super::region::Region;
use crate::diagnostics::{Code, Fix, Label, Problem, Severity};
use crate::source::{Sources, Span};
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) fn render(problems: &[&Problem], sources: &Sources) -> String {
    let mut codes: Vec<Code> = problems.iter().map(|p| p.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Emberlab",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|c| rule(*c)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": problems.iter().map(|p| result(p, &codes, sources)).collect::<Vec<_>>(),
        }],
    });
    let mut out = pretty(&log);
    out.push('\n');
    out
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.name(),
        "shortDescription": { "text": code.title() },
        "help": { "text": code.explanation(), "markdown": code.explanation() },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn result(problem: &Problem, codes: &[Code], sources: &Sources) -> Value {
    let mut message = problem.message.clone();
    for line in problem.notes.iter().chain(&problem.help) {
        let _ = write!(message, "\n{line}");
    }
    let others: Vec<Value> = problem.labels.iter().skip(1).enumerate().map(|(i, l)| related(i, l, sources)).collect();
    let fixes: Vec<Value> = problem.fixes.iter().map(|f| fix(f, sources)).collect();
    let mut result = json!({
        "ruleId": problem.code.name(),
        "ruleIndex": codes.iter().position(|c| *c == problem.code),
        "level": level(problem.severity),
        "message": { "text": message },
        "locations": [{ "physicalLocation": physical(problem.span(), sources) }],
    });
    if let Some(object) = result.as_object_mut() {
        if !others.is_empty() {
            object.insert("relatedLocations".into(), others.into());
        }
        if !fixes.is_empty() {
            object.insert("fixes".into(), fixes.into());
        }
    }
    result
}

fn related(index: usize, label: &Label, sources: &Sources) -> Value {
    json!({
        "id": index + 1,
        "physicalLocation": physical(label.span, sources),
        "message": { "text": label.text },
    })
}

/// A fix has one change for each file it touches.
fn fix(fix: &Fix, sources: &Sources) -> Value {
    let mut paths: Vec<&str> = Vec::new();
    for edit in &fix.edits {
        let path = Region::of(edit.span, sources).path;
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let changes: Vec<Value> = paths
        .into_iter()
        .map(|path| {
            let here = fix.edits.iter().filter(|e| Region::of(e.span, sources).path == path);
            let replacements: Vec<Value> = here
                .map(|e| json!({ "deletedRegion": region(e.span, sources), "insertedContent": { "text": e.new_text } }))
                .collect();
            json!({ "artifactLocation": { "uri": uri(path) }, "replacements": replacements })
        })
        .collect();
    json!({ "description": { "text": fix.title }, "artifactChanges": changes })
}

fn physical(span: Span, sources: &Sources) -> Value {
    let path = Region::of(span, sources).path;
    json!({ "artifactLocation": { "uri": uri(path) }, "region": region(span, sources) })
}

fn region(span: Span, sources: &Sources) -> Value {
    let at = Region::of(span, sources);
    json!({
        "startLine": at.start.line,
        "startColumn": at.start.column,
        "endLine": at.end.line,
        "endColumn": at.end.column,
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Pedantic => "note",
    }
}

/// A path as a URI reference (RFC 3986): everything but unreserved characters and `/` is percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(byte as char),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
