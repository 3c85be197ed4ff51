//! Single slips of form in every file of the tree: each is one problem, on the line of the slip.
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
use emberlab::syntax::parse;
use std::path::Path;
use std::sync::Arc;

fn file(text: &str) -> Arc<SourceFile> {
    Sources::default().add("slip.exp", text)
}

fn texts() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "exp")
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                found.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["stdlib", "experiments", "tests/format"] {
        walk(&root.join(folder), &mut found);
    }
    found.retain(|(_, text)| parse(&file(text)).problems.is_empty());
    found
}

/// A slip: what is searched, and what takes its place.
const SLIPS: [(&str, &str, &str); 21] = [
    ("`==` for `=`", " = ", " == "),
    ("`:` for `=`", " = ", ": "),
    ("no `=`", " = ", " "),
    ("no `(`", "(", ""),
    ("no `)`", ")", ""),
    ("two `)`", ")", "))"),
    ("`]` for `)`", ")", "]"),
    ("no `[`", "[", ""),
    ("no `]`", "]", ""),
    ("no `{`", " {\n", "\n"),
    ("no `}`", "\n}\n", "\n\n"),
    ("two `}`", "\n}\n", "\n}\n}\n"),
    ("no comma", ", ", " "),
    ("two commas", ", ", ",, "),
    ("no quote", "\"", ""),
    ("`;` behind a field", "\n  ", ";\n  "),
    ("`//` for `#`", " # ", " // "),
    ("`->` for `=>`", " => ", " -> "),
    ("no value", " = ", " =\n"),
    ("`&&` for `and`", " and ", " && "),
    ("a stray brace", "\n  ", " }\n  "),
];

/// Whether `at` lies in a text or a comment, roughly: an odd number of quotes or a `#` stands before it on its line.
fn is_prose(text: &str, at: usize) -> bool {
    let line = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let before = &text[line..at];
    before.contains('#') || before.matches('"').count() % 2 == 1 || text[..at].matches("\"\"\"").count() % 2 == 1
}

/// Whether a bracket is open at `at`, roughly.
fn is_inside(text: &str, at: usize) -> bool {
    let start = text[..at].rfind("\n\n").unwrap_or(0);
    let before = &text[start..at];
    before.matches(['(', '[']).count() > before.matches([')', ']']).count()
}

#[test]
fn each_slip_is_one_problem_on_its_line() {
    let (mut tried, mut found, mut exact, mut single) = (0, 0, 0, 0);
    let mut misses = Vec::new();
    for (name, text) in texts() {
        for (index, (what, old, new)) in SLIPS.iter().enumerate() {
            let places: Vec<usize> =
                text.match_indices(old).map(|(at, _)| at).filter(|at| !is_prose(&text, *at)).collect();
            if places.is_empty() {
                continue;
            }
            let mut draws = Stream::new(7, "slips").at(index as u64);
            for _ in 0..2.min(places.len()) {
                let at = places[draws.below(places.len() as u64) as usize];
                let mut end = at + old.len();
                if *what == "no value" {
                    end = text[at..].find('\n').map_or(text.len(), |n| at + n);
                }
                let new = if *what == "no value" { " =" } else { new };
                let slipped = format!("{}{new}{}", &text[..at], &text[end..]);
                let source = file(&slipped);
                let parsed = parse(&source);
                // In brackets a value may stand on the next line, and `==` compares: that is no slip of form.
                if matches!(*what, "no value" | "`==` for `=`" | "`;` behind a field") && is_inside(&text, at) {
                    continue;
                }
                tried += 1;
                // A slip that starts with a line break stands on the next line, if it has one.
                let line =
                    source.lines.place(&slipped, at + usize::from(old.starts_with('\n') && new.starts_with('\n'))).line;
                let lines: Vec<usize> = parsed
                    .problems
                    .iter()
                    .map(|p| source.lines.place(&slipped, p.span().start as usize).line)
                    .collect();
                let touches = parsed.problems.iter().any(|p| {
                    p.labels.iter().any(|l| {
                        let place = source.lines.place(&slipped, l.span.start as usize).line;
                        place.abs_diff(line) <= usize::from(old.starts_with('\n') || new.is_empty())
                    })
                });
                found += usize::from(!lines.is_empty());
                single += usize::from(lines.len() == 1);
                exact += usize::from(lines.contains(&line) || touches);
                if lines.len() != 1 || !touches {
                    let told: Vec<String> = parsed
                        .problems
                        .iter()
                        .zip(&lines)
                        .map(|(p, l)| format!("{} {l}: {}", p.code, p.message))
                        .collect();
                    let shown = slipped.lines().nth(line - 1).unwrap_or("");
                    misses.push(format!("{name}:{line} {what}\n    {shown}\n    {told:?}"));
                }
            }
        }
    }
    for miss in &misses {
        println!("{miss}");
    }
    println!("{tried} slips: {found} found, {exact} placed, {single} told once");
    assert!(tried > 300, "only {tried} slips");
    assert!(exact * 100 >= tried * 95, "only {exact} of {tried} were placed");
    assert!(single * 100 >= tried * 90, "only {single} of {tried} were told once");
}
