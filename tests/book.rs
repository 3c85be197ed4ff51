//! The experiments in the book, the README and the library's documentation are read as the language they are: a block
//! that opens with ```` ```exp ```` checks as a whole file, one that opens with ```` ```exp fragment ```` has the right
//! form.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test reads the tree, and fails by panicking"
)]

use emberlab::check::{Options, check_file};
use emberlab::diagnostics::render::{Format, Style, render};
use emberlab::source::{MemoryWorld, Sources};
use emberlab::stdlib;
use emberlab::syntax::parse;
use std::fmt::Write;
use std::path::Path;

/// A block and where it stands.
struct Block {
    place: String,
    fragment: bool,
    text: String,
}

/// The experiments among the fenced blocks of a Markdown text.
fn blocks(path: &str, markdown: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    // The language that the open fence names.
    let mut open: Option<&str> = None;
    for (number, line) in markdown.lines().enumerate() {
        match (open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(language);
                if language == "exp" || language == "exp fragment" {
                    let place = format!("{path}:{}", number + 1);
                    found.push(Block { place, fragment: language != "exp", text: String::new() });
                }
            }
            (Some(_), Some(_)) => open = None,
            (Some("exp" | "exp fragment"), None) => {
                if let Some(block) = found.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            _ => {}
        }
    }
    assert!(open.is_none(), "{path}: a fence is not closed");
    found
}

/// The errors of a block, as a person would see them.
fn errors(block: &Block) -> Option<String> {
    let (problems, sources) = if block.fragment {
        let mut sources = Sources::default();
        let file = sources.add("block.exp", block.text.as_str());
        (parse(&file).problems, sources)
    } else {
        let world = MemoryWorld::with("block.exp", &block.text);
        let (checked, problems) = check_file(&world, "block.exp", &Options::default());
        (problems, checked.sources)
    };
    (!problems.is_empty())
        .then(|| format!("{}\n{}", block.place, render(Format::Human, &problems.sorted(), &sources, Style::default())))
}

fn check(blocks: &[Block]) {
    let mut message = String::new();
    for problem in blocks.iter().filter_map(errors) {
        let _ = writeln!(message, "{problem}");
    }
    assert!(message.is_empty(), "{message}");
}

#[test]
fn the_book_and_the_readme_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> = std::fs::read_dir(root.join("docs/src"))
        .expect("the book")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.push(root.join("README.md"));
    pages.sort();
    let blocks: Vec<Block> = pages
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("a page");
            blocks(&path.strip_prefix(root).unwrap_or(path).to_string_lossy(), &text)
        })
        .collect();
    assert!(blocks.iter().filter(|b| !b.fragment).count() >= 12, "the book has lost its whole experiments");
    check(&blocks);
}

#[test]
fn every_page_is_in_the_summary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src");
    let summary = std::fs::read_to_string(folder.join("SUMMARY.md")).expect("the summary");
    for entry in std::fs::read_dir(&folder).expect("the book") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name} is not in the summary");
    }
}

#[test]
fn the_examples_of_the_library_are_right() {
    let mut all = Vec::new();
    for (path, text) in stdlib::files() {
        let documentation: String = text
            .lines()
            .map(|line| line.strip_prefix("## ").or(line.strip_prefix("##")).unwrap_or_default())
            .fold(String::new(), |all, line| all + line + "\n");
        let found = blocks(path, &documentation);
        assert!(path.starts_with("std/prelude/") || !found.is_empty(), "{path} has no example");
        all.extend(found);
    }
    check(&all);
}
