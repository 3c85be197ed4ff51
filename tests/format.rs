//! The canonical layout: over every file of the tree, over chosen layouts, and over thousands of random ones.
//!
//! Four things hold for each: the result parses, says the same, keeps every comment, and is its own layout. The first
//! three are also checked by `format` itself, which refuses otherwise, so `Ok` is their proof.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test reads the tree, and fails by panicking"
)]

use emberlab::random::Stream;
use emberlab::source::{SourceFile, Sources};
use emberlab::syntax::{format, parse};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn file(text: &str) -> Arc<SourceFile> {
    Sources::default().add("test.exp", text)
}

/// The layout of `text`, once it was seen to be stable.
#[track_caller]
fn laid_out(name: &str, text: &str) -> String {
    let once = format(&file(text)).unwrap_or_else(|p| panic!("{name} is refused: {:?}\n{text}", p.sorted()));
    let twice =
        format(&file(&once)).unwrap_or_else(|p| panic!("the layout of {name} is refused: {:?}\n{once}", p.sorted()));
    if let Some((n, (a, b))) = once.lines().zip(twice.lines()).enumerate().find(|(_, (a, b))| a != b) {
        let around: Vec<&str> = once.lines().skip(n.saturating_sub(4)).take(8).collect();
        panic!(
            "the layout of {name} is not stable: line {}\n  {a}\nbecomes\n  {b}\naround\n{}",
            n + 1,
            around.join("\n")
        );
    }
    assert_eq!(once, twice, "the layout of {name} is not stable");
    for line in once.lines() {
        assert_eq!(line.trim_end(), line, "a blank at the end of a line of {name}");
    }
    assert!(!once.contains("\n\n\n"), "two blank lines in {name}");
    once
}

/// Every `.exp` file of the tree.
fn tree() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "exp") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["stdlib", "experiments", "tests"] {
        walk(&root.join(folder), &mut found);
    }
    found.sort();
    found
}

/// The texts of the tree that have no mistake of form.
fn sound() -> Vec<(String, String)> {
    let texts = tree().into_iter().filter_map(|p| Some((p.display().to_string(), std::fs::read_to_string(p).ok()?)));
    texts.filter(|(_, text)| !parse(&file(text)).problems.any_error()).collect()
}

#[test]
fn every_file_of_the_tree_has_a_stable_layout() {
    let texts = sound();
    assert!(!texts.is_empty());
    for (name, text) in texts {
        laid_out(&name, &text);
    }
}

/// `NAME.exp` becomes `NAME.formatted.exp`; a file without that pair is laid out already.
#[test]
fn chosen_layouts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format");
    for path in tree().into_iter().filter(|p| p.starts_with(&folder)) {
        let name = path.display().to_string();
        if name.ends_with(".formatted.exp") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let golden = path.with_extension("formatted.exp");
        let result = laid_out(&name, &text);
        if std::env::var_os("UPDATE_TEST_FILES").is_some() && result != text {
            std::fs::write(&golden, &result).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or(text);
        assert_eq!(result, wanted, "{name}");
    }
}

/// Changes blanks, line breaks and comments of `text` where that keeps it well formed.
fn shaken(text: &str, seed: u64) -> String {
    let mut draws = Stream::new(seed, "shake").at(0);
    let mut out = String::new();
    let (mut depth, mut in_text, mut in_block) = (0usize, false, false);
    let bytes: Vec<char> = text.chars().collect();
    let mut i = 0;
    let mut n = 0;
    while i < bytes.len() {
        let c = bytes[i];
        let triple = bytes[i..].starts_with(&['"', '"', '"']);
        if triple && !in_text {
            in_block = !in_block;
            out.push_str("\"\"\"");
            i += 3;
            continue;
        }
        if in_block || in_text {
            out.push(c);
            if in_text && c == '\\' && i + 1 < bytes.len() {
                i += 1;
                out.push(bytes[i]);
            } else if in_text && c == '"' {
                in_text = false;
            }
            i += 1;
            continue;
        }
        n += 1;
        match c {
            '#' => {
                while i < bytes.len() && bytes[i] != '\n' {
                    out.push(bytes[i]);
                    i += 1;
                }
                continue;
            }
            '"' => {
                in_text = true;
                out.push(c);
            }
            '(' | '[' => {
                depth += 1;
                out.push(c);
                match draws.below(8) {
                    0 => out.push('\n'),
                    1 => out.push_str("  "),
                    2 => out.push_str(&format!(" # note {n}\n")),
                    _ => {}
                }
            }
            ')' | ']' => {
                match draws.below(8) {
                    0 => out.push_str("\n "),
                    1 => out.push(' '),
                    2 => out.push_str(&format!(" # note {n}\n")),
                    _ => {}
                }
                depth = depth.saturating_sub(1);
                out.push(c);
            }
            ' ' if i > 0 && bytes[i - 1] != '\n' => match draws.below(10) {
                0 => out.push_str("   "),
                1 => out.push('\t'),
                2 if depth > 0 && free(&bytes, i) => out.push('\n'),
                3 if depth > 0 && free(&bytes, i) => out.push_str(&format!(" # note {n}\n")),
                _ => out.push(' '),
            },
            '\n' => {
                match draws.below(12) {
                    0 => out.push('\n'),
                    1 => out.push_str("\n\n"),
                    2 => out.push_str(&format!("\n# note {n}")),
                    3 if !out.ends_with('\n') => out.push_str(&format!(" # note {n}")),
                    4 => out.push_str("  "),
                    _ => {}
                }
                out.push('\n');
            }
            c => out.push(c),
        }
        i += 1;
    }
    out
}

/// Whether a blank inside brackets may become a line break: not between a number and its unit.
fn free(text: &[char], at: usize) -> bool {
    let digit = text[..at].iter().rev().take_while(|c| c.is_alphanumeric() || **c == '_').any(char::is_ascii_digit);
    !(digit && text.get(at + 1).is_some_and(|c| c.is_alphabetic()))
}

#[test]
fn random_layouts_say_the_same_and_settle() {
    let texts = sound();
    let mut tried = 0;
    for seed in 0..60 {
        for (name, text) in &texts {
            let shaken = shaken(text, seed);
            // Some shakes break a line where none may be broken; those are no test of the layout.
            if parse(&file(&shaken)).problems.any_error() {
                continue;
            }
            tried += 1;
            laid_out(&format!("{name} shaken with {seed}"), &shaken);
        }
    }
    assert!(tried > 100, "only {tried} layouts were well formed");
    println!("{tried} random layouts");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let problems = format(&file("model m {\n  a == 1\n}\n")).expect_err("a mistake of form");
    assert_eq!(problems.len(), 1);
}
