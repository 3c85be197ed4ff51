//! Text that was made to hurt: the parser returns in bounded time, whatever it is given.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test stops by panicking, says what it measured, and reads the files of the tree"
)]

use emberlab::random::{Draws, Stream};
use emberlab::source::{SourceFile, Sources};
use emberlab::syntax::{format, fuzz, parse, words};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the fuzz targets run.
#[path = "../fuzz/src/lib.rs"]
mod targets;

fn file(text: &str) -> Arc<SourceFile> {
    Sources::default().add("hostile.exp", text)
}

/// How long one text may take in this unoptimised build, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn survives(name: &str, text: &str) -> usize {
    let start = Instant::now();
    let parsed = parse(&file(text));
    let taken = start.elapsed();
    if text.len() > 1 << 20 {
        println!("{name}: {} MiB in {taken:?}", text.len() >> 20);
    }
    assert!(taken < PATIENCE, "{name} took {taken:?}");
    for problem in &parsed.problems {
        assert!(!problem.message.is_empty());
    }
    parsed.problems.len()
}

/// The sound texts that others are made from.
fn seeds() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in ["stdlib", "experiments", "tests/format"] {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        let mut paths: Vec<_> =
            entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "exp")).collect();
        paths.sort();
        texts.extend(paths.into_iter().filter_map(|p| std::fs::read_to_string(p).ok()));
    }
    texts
}

fn pick<'t>(draws: &mut Draws, list: &[&'t str]) -> &'t str {
    list[draws.below(list.len() as u64) as usize]
}

#[test]
fn random_bytes() {
    for index in 0..1_500 {
        let mut draws = Stream::new(1, "bytes").at(index);
        let length = draws.below(400);
        let bytes: Vec<u8> = (0..length).map(|_| draws.next_u64() as u8).collect();
        fuzz(&bytes);
    }
}

#[test]
fn random_tokens() {
    let marks = [
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "=",
        "==",
        ":",
        ",",
        ".",
        "..",
        "|>",
        "=>",
        "+",
        "-",
        "**",
        "\"",
        "\"\"\"",
        "r\"",
        "#",
        "##",
        "\n",
        "\n",
        " ",
        "'",
        "\\",
        "%",
        "$",
        "1",
        "2_000",
        "1e-3",
        "10M",
        "tokens",
        "name",
        "teller.layers",
        "é",
        "\u{a0}",
        "?",
        "|",
        "+=",
        ";",
        "<<EOF",
        "//",
        "{x}",
        "\r\n",
        "0x1f",
        "True",
    ];
    let all: Vec<&str> = marks
        .into_iter()
        .chain(words::ITEM_WORDS)
        .chain(words::KIND_WORDS)
        .chain(words::HARD_WORDS)
        .chain(words::SOFT_WORDS)
        .collect();
    for index in 0..3_000 {
        let mut draws = Stream::new(2, "tokens").at(index);
        let mut text = String::new();
        for _ in 0..draws.below(80) {
            text.push_str(pick(&mut draws, &all));
            if draws.below(3) > 0 {
                text.push(' ');
            }
        }
        fuzz(text.as_bytes());
    }
}

/// Pieces of sound files one after the other, with a few marks changed.
fn splices(name: &str, count: u64) -> impl Iterator<Item = Vec<u8>> {
    let texts = seeds();
    assert!(!texts.is_empty());
    let stream = Stream::new(3, name);
    (0..count).map(move |index| {
        let mut draws = stream.at(index);
        let mut bytes = Vec::new();
        for _ in 0..1 + draws.below(3) {
            let text = texts[draws.below(texts.len() as u64) as usize].as_bytes();
            let start = draws.below(text.len() as u64 + 1) as usize;
            let length = draws.below(1 + (text.len() - start).min(3_000) as u64) as usize;
            bytes.extend_from_slice(&text[start..start + length]);
        }
        for _ in 0..draws.below(4) {
            if !bytes.is_empty() {
                let at = draws.below(bytes.len() as u64) as usize;
                bytes[at] = b"{}()[]\"#\n=:,.|"[draws.below(14) as usize];
            }
        }
        bytes
    })
}

#[test]
fn cut_and_spliced_files() {
    for bytes in splices("splices", 400) {
        targets::parse(&bytes);
        targets::format(&bytes);
    }
}

#[test]
fn cut_and_spliced_experiments_are_checked() {
    for bytes in splices("experiments", 150) {
        targets::check(&bytes);
    }
}

/// Whole experiments with a value exchanged for another of the same file: mostly of the right form, rarely of the right
/// meaning.
#[test]
fn experiments_with_exchanged_values_are_checked() {
    let texts = seeds();
    for index in 0..150 {
        let mut draws = Stream::new(4, "values").at(index);
        let mut lines: Vec<&str> =
            pick(&mut draws, &texts.iter().map(String::as_str).collect::<Vec<_>>()).lines().collect();
        let values: Vec<usize> = (0..lines.len()).filter(|n| lines[*n].contains(" = ")).collect();
        let exchanged: Vec<String> = (0..if values.is_empty() { 0 } else { 4 })
            .map(|_| {
                let [a, b] = [(); 2].map(|()| values[draws.below(values.len() as u64) as usize]);
                let head = lines[a].split(" = ").next().unwrap_or_default();
                format!("{head} = {}", lines[b].split_once(" = ").map_or("", |(_, value)| value))
            })
            .collect();
        for line in &exchanged {
            let at = values[draws.below(values.len() as u64) as usize];
            lines[at] = line;
        }
        targets::check(lines.join("\n").as_bytes());
    }
}

#[test]
fn ten_thousand_brackets_of_each_kind() {
    for open in ["(", "[", "{", "\"{", "\"\"\"{", "f(", "a[", "if ", "if a then ", "x = {"] {
        for (before, after) in [("let x = ", ""), ("model m {\n a = ", "\n}"), ("", ""), ("schema s { a : ", "}")] {
            let found = survives(open, &format!("{before}{}{after}\n", open.repeat(10_000)));
            assert!(found > 0, "{open}");
        }
    }
    for close in [")", "]", "}"] {
        assert!(survives(close, &close.repeat(10_000)) > 0);
        assert!(survives(close, &format!("{close}\n").repeat(10_000)) > 0);
    }
    for chain in [
        "a.",
        "- ",
        "not ",
        "x => ",
        "a => ",
        "if a then b else ",
        "a + ",
        "a ** ",
        "a |> ",
        "a in ",
        "a < ",
        "1 .. ",
        "f()(",
        "A | ",
        "T?",
        "##\n",
    ] {
        survives(chain, &format!("let x = {}f()\n", chain.repeat(10_000)));
        survives(chain, &format!("let x : {}T = 1\n", chain.repeat(10_000)));
    }
}

/// What passes the limits must also be safe for whoever walks the tree: drop, compare, print and lay out at the limit.
#[test]
fn the_deepest_trees_that_pass() {
    for (open, close, times) in [
        ("(", ")", 63),
        ("[", "]", 63),
        ("f(x = ", ")", 63),
        ("\"{", "}\"", 31),
        ("a + (", ")", 60),
        ("x => ", "", 200),
        ("- ", "", 200),
        ("a.", "", 200),
    ] {
        let text = format!("let x = {}f(){}\n", open.repeat(times), close.repeat(times));
        assert_eq!(survives(open, &text), 0, "{open}");
        let parsed = parse(&file(&text));
        assert_eq!(parsed.module.clone(), parsed.module);
        assert!(format!("{:?}", parsed.module).len() > 100);
        assert!(format(&file(&text)).is_ok(), "{open}");
    }
}

#[test]
fn ten_megabytes() {
    let size = 10 << 20;
    let line = |piece: &str| piece.repeat(size / piece.len());
    assert!(survives("one line of letters", &line("a")) > 0);
    assert!(survives("one line of list", &format!("let x = [{}]\n", line("1, "))) > 0);
    assert!(survives("one line of quotes", &line("\"")) > 0);
    assert!(survives("one line of blanks", &format!("let x = {}", line(" "))) > 0);
    assert!(survives("one line of brackets", &line("(")) > 0);
    assert!(survives("lines of quotes", &line("\"\n")) > 0);
    assert!(survives("lines of broken items", &line("let = 3\n")) > 0);
    assert!(survives("lines of open items", &line("model m {\n")) > 0);
    assert!(survives("lines of closed braces", &line("}\n")) > 0);
    assert_eq!(survives("lines of comments", &line("# comment\n")), 0);
    assert_eq!(survives("blank lines", &line("\n")), 0);
    let item = "model m_0 from llama.tiny {\n  layers = 6\n  width  = 64 * heads\n}\n\n";
    assert_eq!(survives("valid items", &line(item)), 0);
    assert!(survives("too much", &"# comment\n".repeat(2 << 20)) > 0);
}

/// Twenty times the lines take about twenty times as long.
#[test]
fn time_is_linear_in_lines() {
    let item = "stage s : next_token {\n  model     = teller\n  budget    = 10M tokens  # so many\n  optimizer = adamw(lr = 1e-3, weight_decay = 0.1)\n}\n\n";
    let time = |lines: usize| {
        let text = item.repeat(lines / 6);
        let best = (0..3).map(|_| {
            let start = Instant::now();
            assert_eq!(survives("items", &text), 0);
            start.elapsed()
        });
        best.min().unwrap_or_default()
    };
    let (small, large) = (time(5_000), time(100_000));
    println!("5,000 lines: {small:?}; 100,000 lines: {large:?}");
    // Twice that leaves room for a machine that does other things too.
    assert!(large < small * 60 + Duration::from_millis(500), "{small:?} grew to {large:?}");
}
