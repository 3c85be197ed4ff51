//! The manual as Markdown and JSON.

use super::manual::{Entry, Field, Manual, Module};
use serde_json::{Value, json};
use std::fmt::Write;

/// What there is, a line each.
pub fn contents(manual: &Manual) -> String {
    let mut out = String::new();
    for module in &manual.modules {
        let _ = writeln!(out, "# {}\n", module.name);
        let width = module.entries.iter().map(|e| e.name.len()).max().unwrap_or(0);
        let _ = writeln!(out, "```");
        for entry in &module.entries {
            let _ = writeln!(out, "{:width$}  {}", entry.name, summary(&entry.docs));
        }
        let _ = writeln!(out, "```\n");
    }
    out
}

/// A whole module.
pub fn module(module: &Module) -> String {
    let mut out = format!("# {}\n\n", module.name);
    if !module.docs.is_empty() {
        let _ = writeln!(out, "{}\n", module.docs);
    }
    let usage = if module.is_prelude() {
        "These names are known everywhere.".to_owned()
    } else {
        format!("`use {}` brings it in.", module.name)
    };
    let _ = writeln!(out, "{usage}\n");
    for one in &module.entries {
        out.push_str(&entry(one).replacen("# ", "## ", 1));
        out.push('\n');
    }
    out
}

/// One thing.
pub fn entry(entry: &Entry) -> String {
    let mut out = format!("# {}\n\n```exp\n{}\n```\n\n", entry.name, entry.signature);
    if !entry.docs.is_empty() {
        let _ = writeln!(out, "{}\n", entry.docs);
    }
    for field in &entry.fields {
        let _ = writeln!(out, "- {}", field_line(field));
    }
    if !entry.fields.is_empty() {
        out.push('\n');
    }
    if let Some(base) = entry.base.as_ref().filter(|_| !entry.inherited.is_empty()) {
        let _ = writeln!(out, "It has the fields of `{base}` too:\n");
        for field in &entry.inherited {
            let _ = writeln!(out, "- {}", field_line(field));
        }
        out.push('\n');
    }
    if !entry.variants.is_empty() {
        let _ = writeln!(out, "One of these is written for it:\n");
        for (name, docs) in &entry.variants {
            let _ = writeln!(out, "- `{name}` — {}", summary(docs));
        }
        out.push('\n');
    }
    for (condition, because) in &entry.checks {
        let condition = condition.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            out,
            "- must hold: `{condition}`{}",
            if because.is_empty() { String::new() } else { format!(" ({because})") }
        );
    }
    out.trim_end().to_owned() + "\n"
}

/// The fields that a name means, each with the schema that has it. `foreign` is what other tools call it.
pub fn fields(name: &str, foreign: Option<&str>, found: &[(&Entry, &Field)]) -> String {
    let mut out = format!("# {}\n\n", foreign.unwrap_or(name));
    if let Some(foreign) = foreign {
        let _ = writeln!(out, "What others call `{foreign}` is `{name}` here.\n");
    }
    for (entry, field) in found {
        let _ = writeln!(out, "- of `{}`: {}", entry.name, field_line(field));
    }
    out
}

fn field_line(field: &Field) -> String {
    let mut head = field.name.clone();
    if !field.ty.is_empty() {
        let _ = write!(head, " : {}", field.ty);
    }
    if !field.default.is_empty() {
        let _ = write!(head, " = {}", field.default);
    }
    let head = head.split_whitespace().collect::<Vec<_>>().join(" ");
    let docs = field.docs.split_whitespace().collect::<Vec<_>>().join(" ");
    if docs.is_empty() { format!("`{head}`") } else { format!("`{head}` — {docs}") }
}

/// The first sentence.
pub fn summary(docs: &str) -> String {
    let paragraph = docs.split("\n\n").next().unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ");
    // `et al.` ends no sentence.
    let ends = paragraph.match_indices(". ").map(|(at, _)| at).find(|at| !paragraph[..*at].ends_with(" al"));
    match ends {
        Some(end) => paragraph[..=end].to_owned(),
        None => paragraph,
    }
}

pub fn entry_json(entry: &Entry) -> Value {
    json!({
        "name": entry.name,
        "module": entry.module,
        "kind": entry.kind,
        "signature": entry.signature,
        "docs": entry.docs,
        "fields": entry.fields.iter().map(|f| json!({
            "name": f.name,
            "type": f.ty,
            "default": if f.default.is_empty() { Value::Null } else { f.default.as_str().into() },
            "docs": f.docs,
        })).collect::<Vec<_>>(),
        "checks": entry.checks.iter().map(|(condition, because)| json!({
            "condition": condition,
            "because": because,
        })).collect::<Vec<_>>(),
        "base": entry.base,
        "inherited": entry.inherited.iter().map(|f| &f.name).collect::<Vec<_>>(),
        "variants": entry.variants.iter().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}
