//! The parser from outside.

use super::ast::{ExprKind, ItemKind, Member, Module, TextPart};
use super::*;
use crate::diagnostics::Edit;
use crate::source::{SourceFile, Sources};
use std::sync::Arc;

mod mistakes;
mod reading;

fn file(text: &str) -> Arc<SourceFile> {
    Sources::default().add("test.exp", text)
}

/// The module of a text without problems.
fn module(text: &str) -> Module {
    let found = problems(text);
    assert!(found.is_empty(), "{found:?} in\n{text}");
    parse(&file(text)).module
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

/// The text after the first fix of every problem was made.
fn fixed(text: &str) -> String {
    let file = file(text);
    let mut edits: Vec<Edit> =
        parse(&file).problems.iter().filter_map(|p| p.fixes.first()).flat_map(|f| f.edits.clone()).collect();
    edits.sort_by_key(|e| std::cmp::Reverse((e.span.start, e.span.end)));
    let mut text = text.to_owned();
    for edit in edits {
        text.replace_range(edit.span.range(), &edit.new_text);
    }
    text
}

/// Prints what the parser says about the files named by `EXP_SCRATCH`, for work on messages.
#[test]
fn scratch() {
    let Ok(paths) = std::env::var("EXP_SCRATCH") else { return };
    for path in paths.split(',') {
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
        for p in parsed.problems.sorted().iter().take(30) {
            let place = file.lines.place(&file.text, p.span().start as usize);
            println!("{} {}:{} {} — {:?}", p.code, place.line, place.column, p.message, p.labels[0].text);
        }
        match format(&file) {
            Ok(out) => println!("{out}"),
            Err(problems) => println!("not formatted: {:?}", problems.sorted().first()),
        }
    }
}
