//! The invariants of the architecture that no compiler checks. Each test names the files that break it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test reads the tree, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms each room of `src/` may know. A room that is missing here is an error, so that its place gets decided.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("source", &[]),
    ("random", &[]),
    // A crate of its own.
    ("kernels", &[]),
    ("stdlib", &[]),
    ("diagnostics", &["source"]),
    ("syntax", &["source", "diagnostics"]),
    ("types", &["source", "diagnostics", "syntax"]),
    ("resolve", &["source", "diagnostics", "syntax", "types", "stdlib"]),
    ("check", &["source", "diagnostics", "syntax", "types", "stdlib", "resolve"]),
    ("plan", &["source", "diagnostics", "syntax", "types", "stdlib", "resolve", "check"]),
    ("ide", &["source", "diagnostics", "syntax", "types", "stdlib", "resolve", "check", "plan"]),
    ("lsp", &["source", "diagnostics", "syntax", "types", "stdlib", "resolve", "check", "plan", "ide"]),
    // The store keeps plans, and records that conditions are evaluated over.
    ("store", &["source", "random", "types", "plan"]),
    ("device", &["random"]),
    ("data", &["source", "random", "diagnostics", "types", "plan", "store"]),
    // Shards of tokens are one of the things that a network is trained on: `train::Corpus`.
    ("tokenizer", &["source", "random", "types", "plan", "store", "data", "train"]),
    ("model", &["source", "random", "types", "plan", "store", "device"]),
    ("train", &["source", "random", "types", "plan", "store", "device", "data", "model"]),
    (
        "evaluate",
        &["source", "random", "diagnostics", "types", "plan", "store", "device", "data", "tokenizer", "model", "train"],
    ),
    (
        "run",
        &[
            "source",
            "random",
            "diagnostics",
            "types",
            "check",
            "plan",
            "store",
            "device",
            "data",
            "tokenizer",
            "model",
            "train",
            "evaluate",
            "report",
        ],
    ),
    ("sweep", &["source", "random", "diagnostics", "types", "check", "plan", "store", "run"]),
    ("share", &["source", "diagnostics", "types", "check", "plan", "store", "run"]),
    ("report", &["source", "types", "plan", "store", "evaluate", "sweep"]),
    ("watch", &["types", "plan", "store"]),
];

/// Rooms that are the language: pure, and built without the engine.
const LANGUAGE: &[&str] =
    &["source", "random", "stdlib", "diagnostics", "syntax", "types", "resolve", "check", "plan", "ide"];

/// Files that may panic on purpose, each with the reason why it cannot happen or must.
const MAY_PANIC: &[(&str, &str)] = &[("src/data/redact.rs", "its patterns are constants, and a test compiles each")];

/// What may stand at the top of the repository, besides dot-files and what Cargo builds.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "clippy.toml",
    "rustfmt.toml",
    "deny.toml",
    "grammar",
    "src",
    "experiments",
    "stdlib",
    "tests",
    "docs",
    "benches",
    "fuzz",
    "editors",
];

#[test]
fn modules_depend_only_downwards() {
    let table: BTreeMap<&str, &[&str]> = MAY_KNOW.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let room = file.room();
        // The top of the crate and the command line may know everything.
        if matches!(room.as_str(), "lib" | "main" | "cli") {
            continue;
        }
        let Some(allowed) = table.get(room.as_str()) else {
            wrong.push(format!("{}: the room `{room}` has no place in the table", file.path));
            continue;
        };
        for used in rooms_used(&file.code) {
            if used != room && !allowed.contains(&used.as_str()) && table.contains_key(used.as_str()) {
                wrong.push(format!("{}: `{room}` may not know `{used}`", file.path));
            }
            if used == "cli" {
                wrong.push(format!("{}: nothing may know `cli`", file.path));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn libraries_stay_in_their_rooms() {
    let homes: &[(&str, &[&str])] = &[
        ("pest", &["src/syntax/"]),
        ("pest_derive", &["src/syntax/"]),
        ("miette", &["src/diagnostics/render/human.rs"]),
        ("burn", &["src/model/", "src/train/", "src/evaluate/", "src/device"]),
        ("lsp_types", &["src/lsp/"]),
        ("lsp_server", &["src/lsp/"]),
        ("clap", &["src/cli/"]),
    ];
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        for (library, places) in homes {
            let named = paths(&file.code).any(|path| path.split("::").next() == Some(library));
            if named && !places.iter().any(|p| file.path.starts_with(p)) {
                wrong.push(format!("{}: names `{library}`", file.path));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_language_reads_the_outside_only_through_its_world() {
    let doors =
        ["std::fs", "std::env", "std::net", "std::process", "std::thread", "std::time", "SystemTime", "Instant"];
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        if !LANGUAGE.contains(&file.room().as_str()) || file.path == "src/source/disk.rs" {
            continue;
        }
        for path in paths(&file.code) {
            if doors.iter().any(|d| path == *d || path.starts_with(&format!("{d}::"))) {
                wrong.push(format!("{}: names `{path}`", file.path));
            }
        }
        if file.text.contains("clippy::disallowed_methods") {
            wrong.push(format!("{}: opens a door of its own", file.path));
        }
    }
    assert_none(&wrong);
}

#[test]
fn files_are_small() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "grammar", "stdlib", "experiments", "benches"] {
        for path in files(folder) {
            let lines = read(&path).lines().count();
            if lines > 1_000 && matches!(extension(&path), "rs" | "pest" | "exp") {
                wrong.push(format!("{}: {lines} lines", shown(&path)));
            }
        }
    }
    assert_none(&wrong);
    let mut sizes: Vec<usize> = rust_files("src").iter().map(|f| f.text.lines().count()).collect();
    sizes.sort_unstable();
    let at = |share: usize| sizes[(sizes.len() - 1) * share / 100];
    println!("{} files; median {} lines, 90 % within {}, longest {}", sizes.len(), at(50), at(90), at(100));
    assert!(at(50) < 200, "the median file has {} lines", at(50));
    assert!(at(90) < 600, "nine files of ten have up to {} lines", at(90));
}

#[test]
fn nothing_panics_on_purpose() {
    let calls = [".unwrap()", ".expect(", ".unwrap_err()", ".expect_err(", "panic!(", "unreachable!("];
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        if MAY_PANIC.iter().any(|(path, _)| *path == file.path) {
            continue;
        }
        for (number, line) in file.code.lines().enumerate() {
            if let Some(call) = calls.iter().find(|c| line.contains(**c)) {
                wrong.push(format!("{}:{}: {call}", file.path, number + 1));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn nothing_is_left_undone() {
    // Put together here, so that this file does not find itself.
    let marks = [
        "to".to_owned() + "do!(",
        "un".to_owned() + "implemented!(",
        "#[ig".to_owned() + "nore",
        "db".to_owned() + "g!(",
    ];
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in files(folder).into_iter().filter(|p| extension(p) == "rs") {
            let text = read(&path);
            for mark in marks.iter().filter(|m| text.contains(m.as_str())) {
                wrong.push(format!("{}: {mark}", shown(&path)));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn nothing_names_a_machine() {
    let marks = ["/ho".to_owned() + "me/", "/ro".to_owned() + "ot/", "/wo".to_owned() + "rk/", "/mn".to_owned() + "t/"];
    let mut wrong = Vec::new();
    for path in all_files() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for mark in marks.iter().filter(|m| text.contains(m.as_str())) {
            wrong.push(format!("{}: {mark}", shown(&path)));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    use emberlab::diagnostics::Code;
    let mut pages: Vec<String> =
        files("src/diagnostics/codes").iter().filter_map(|p| Some(p.file_stem()?.to_str()?.to_owned())).collect();
    pages.sort();
    let codes: Vec<&str> = Code::ALL.iter().map(|c| c.name()).collect();
    assert_eq!(pages, codes);
    let mut wrong = Vec::new();
    for code in Code::ALL {
        let headings: Vec<&str> =
            code.explanation().lines().filter(|l| l.starts_with("# ") || l.starts_with("## ")).collect();
        let title = format!("# {}", code.title());
        if headings.iter().filter(|h| !h.starts_with("## file")).copied().collect::<Vec<_>>().first()
            != Some(&title.as_str())
        {
            wrong.push(format!("{code}: the page's title is not `{title}`"));
        }
        for wanted in ["## What it means", "## Example", "## How to fix"] {
            if headings.iter().filter(|h| **h == wanted).count() != 1 {
                wrong.push(format!("{code}: one heading `{wanted}` is wanted"));
            }
        }
        if code.explanation().lines().any(|l| l.chars().count() > 120 && !l.contains("[[[[")) {
            wrong.push(format!("{code}: a line is wider than 120 columns"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn everything_in_the_library_is_documented() {
    let mut wrong = Vec::new();
    for path in files("stdlib").into_iter().filter(|p| extension(p) == "exp") {
        let text = read(&path);
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            let opens =
                ["schema ", "fn ", "model ", "dataset ", "tokenizer ", "stage ", "eval ", "review ", "sweep ", "let "]
                    .iter()
                    .any(|k| line.starts_with(k));
            if opens && !before.starts_with("##") {
                wrong.push(format!("{}:{}: {line}", shown(&path), number + 1));
            }
            before = line;
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_top_of_the_repository_is_as_designed() {
    let ignored = read(Path::new(".gitignore"));
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let built = ignored.lines().any(|l| l.trim_matches('/') == name);
        if !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()) && !built {
            wrong.push(name);
        }
    }
    assert_none(&wrong);
}

// ---- reading the tree ------------------------------------------------------------------------------------------------

/// A Rust file: as it is, and without comments, texts and tests.
struct RustFile {
    path: String,
    text: String,
    code: String,
}

impl RustFile {
    /// `src/check/mod.rs` and `src/check.rs` belong to `check`.
    fn room(&self) -> String {
        let rest = self.path.trim_start_matches("src/");
        rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs").to_owned()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|e| e.to_str()).unwrap_or("")
}

/// All files below a folder of the repository, sorted; none if there is no such folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries.flatten() {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Everything that is kept: the folders of the design and the files beside them.
fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in TOP_LEVEL.iter().chain(&[".ci", ".github", ".gitignore"]) {
        if root().join(name).is_dir() { found.extend(files(name)) } else { found.push(PathBuf::from(name)) }
    }
    found.retain(|p| !p.ends_with("Cargo.lock"));
    found
}

fn rust_files(folder: &str) -> Vec<RustFile> {
    let rust = files(folder).into_iter().filter(|p| extension(p) == "rs");
    rust.map(|path| {
        let text = read(&path);
        let is_test = shown(&path).ends_with("tests.rs") || path.components().any(|c| c.as_os_str() == "tests");
        let code = if is_test { String::new() } else { code_only(&text) };
        RustFile { path: shown(&path), text, code }
    })
    .collect()
}

/// `text` with comments, texts and the module of tests blanked; lines keep their numbers.
fn code_only(text: &str) -> String {
    let text = &text[..tests_begin(text)];
    let mut out = String::with_capacity(text.len());
    let chars: Vec<char> = text.chars().collect();
    let mut i = 0;
    while i < chars.len() {
        let rest = |n: usize| chars.get(i + n).copied();
        match chars[i] {
            '/' if rest(1) == Some('/') => {
                while i < chars.len() && chars[i] != '\n' {
                    i += 1;
                }
            }
            'r' if !word_before(&chars, i)
                && (rest(1) == Some('"') || (rest(1) == Some('#') && matches!(rest(2), Some('"' | '#')))) =>
            {
                let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
                i += hashes + 2;
                while i < chars.len() {
                    if chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
                        i += hashes + 1;
                        break;
                    }
                    push_break(&mut out, chars[i]);
                    i += 1;
                }
                out.push_str("\"\"");
            }
            '"' => {
                i += 1;
                while i < chars.len() && chars[i] != '"' {
                    if chars[i] == '\\' {
                        i += 1;
                    }
                    push_break(&mut out, chars.get(i).copied().unwrap_or(' '));
                    i += 1;
                }
                i += 1;
                out.push_str("\"\"");
            }
            '\'' if rest(2) == Some('\'') && rest(1) != Some('\\') => {
                i += 3;
                out.push_str("' '");
            }
            '\'' if rest(1) == Some('\\') => {
                i += 3;
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i += 1;
                out.push_str("' '");
            }
            c => {
                out.push(c);
                i += 1;
            }
        }
    }
    out
}

/// Where the module of tests begins, if the file has one: `#[cfg(test)]` or `#[cfg(all(test, unix))]`, perhaps further attributes, and `mod … {`.
fn tests_begin(text: &str) -> usize {
    text.match_indices("#[cfg(")
        .find(|(at, _)| {
            let head = text[*at..].lines().next().unwrap_or("");
            let after = text[*at..].lines().skip(1).find(|l| !l.starts_with("#[")).unwrap_or("");
            head.contains("test") && after.contains("mod ") && after.ends_with('{')
        })
        .map_or(text.len(), |(at, _)| at)
}

fn push_break(out: &mut String, c: char) {
    if c == '\n' {
        out.push('\n');
    }
}

fn word_before(chars: &[char], i: usize) -> bool {
    i > 0 && (chars[i - 1].is_alphanumeric() || chars[i - 1] == '_')
}

/// Every path of names in the code: `crate::source::Span`, `burn::tensor`.
fn paths(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .map(|p| p.trim_matches(':'))
        .filter(|p| !p.is_empty())
}

/// The rooms of this crate that the code names.
fn rooms_used(code: &str) -> Vec<String> {
    let mut rooms: Vec<String> = paths(code)
        .filter_map(|p| p.strip_prefix("crate::"))
        .filter_map(|p| p.split("::").next().map(str::to_owned))
        .collect();
    // `use crate::{source::Span, syntax::ast}`
    for group in code.split("use crate::{").skip(1) {
        let mut depth = 0;
        let mut current = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => current.push(' '),
                _ if depth == 0 => current.push(c),
                _ => {}
            }
        }
        rooms.extend(paths(&current).filter_map(|p| p.split("::").next().map(str::to_owned)));
    }
    rooms.sort();
    rooms.dedup();
    rooms
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} found:\n  {}", wrong.len(), wrong.join("\n  "));
}

#[test]
fn the_reader_of_code_sees_only_code() {
    let code = code_only(
        "use a::b; // crate::cli\nlet s = \"crate::x \\\" y\"; let c = '\"'; let r = r#\"crate::z\"#;\n#[cfg(test)]\nmod tests {\n x.unwrap()",
    );
    assert_eq!(code, "use a::b; \nlet s = \"\"; let c = ' '; let r = \"\";\n");
    assert_eq!(
        rooms_used("use crate::{source::{Span, x}, syntax::ast}; crate::plan::Plan"),
        ["plan", "source", "syntax"]
    );
}
