//! The parser from outside.

use super::*;
use crate::source::{SourceFile, Sources};
use std::sync::Arc;

fn file(text: &str) -> Arc<SourceFile> {
    Sources::default().add("test.exp", text)
}

/// Every problem of `text`: `CODE line:column message`.
fn problems(text: &str) -> Vec<String> {
    let file = file(text);
    let parsed = parse(&file);
    let sorted = parsed.problems.sorted();
    sorted
        .iter()
        .map(|p| {
            let place = file.lines.place(&file.text, p.span().start as usize);
            format!("{} {}:{} {}", p.code, place.line, place.column, p.message)
        })
        .collect()
}

#[test]
fn scratch() {
    let Ok(path) = std::env::var("EXP_SCRATCH") else { return };
    for path in path.split(',') {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let start = std::time::Instant::now();
        let file = file(&text);
        let parsed = parse(&file);
        println!(
            "{path}: {} items, {} comments, {:?}",
            parsed.module.items.len(),
            parsed.comments.len(),
            start.elapsed()
        );
        if std::env::var("EXP_DUMP").is_ok() {
            println!("{:#?}", parsed.module);
        }
        for p in parsed.problems.sorted().iter().take(30) {
            let place = file.lines.place(&file.text, p.span().start as usize);
            let line = text.lines().nth(place.line - 1).unwrap_or("");
            println!(
                "{} {}:{} {}\n    | {line}\n    [{}] help: {:?} fix: {:?}",
                p.code,
                place.line,
                place.column,
                p.message,
                p.labels.iter().map(|l| l.text.clone()).collect::<Vec<_>>().join(" / "),
                p.help,
                p.fixes.iter().map(|f| (f.title.clone(), f.edits[0].new_text.clone())).collect::<Vec<_>>()
            );
        }
    }
}
