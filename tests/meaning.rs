//! Single mistakes of meaning, made in every experiment and in the library: each must be reported, on its line, with the
//! right suggestion where there is one. Mistakes of form are in `mutations.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests prepare files and fail by panicking"
)]

use emberlab::check::{Options, check_file};
use emberlab::diagnostics::Problems;
use emberlab::source::{MemoryWorld, Sources};
use std::collections::BTreeMap;

/// A file with one mistake in it.
struct Mutant {
    kind: &'static str,
    /// Counted from 1.
    line: usize,
    text: String,
    /// What the suggestion should put in.
    expected: Option<String>,
}

const UNITS: [&str; 4] = ["tokens", "steps", "epochs", "documents"];

/// The files that are tried: experiments as they are, library modules as if they were the user's.
fn files() -> Vec<(String, String)> {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut found = Vec::new();
    for name in ["quickstart", "storyteller", "sweep", "shakespeare", "wide"] {
        let path = format!("experiments/{name}.exp");
        found.push((path.clone(), std::fs::read_to_string(format!("{root}/{path}")).unwrap()));
    }
    for name in ["models/llama", "models/gpt2", "optim", "audits/bias", "chat"] {
        let text = std::fs::read_to_string(format!("{root}/stdlib/{name}.exp")).unwrap();
        found.push((format!("mine/{name}.exp"), text));
    }
    found
}

fn world(path: &str, text: &str) -> MemoryWorld {
    let mut world = MemoryWorld::with(path, text);
    for extra in ["experiments/prompts.exp", "experiments/quickstart.exp"] {
        if extra != path {
            let file = format!("{}/{extra}", env!("CARGO_MANIFEST_DIR"));
            world.insert(extra, &std::fs::read_to_string(file).unwrap());
        }
    }
    world
}

fn problems(path: &str, text: &str) -> (Problems, Sources) {
    let (checked, problems) = check_file(&world(path, text), path, &Options::default());
    (problems, checked.sources)
}

/// `word` with one letter left out of its middle.
fn misspelt(word: &str) -> Option<String> {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() < 4 {
        return None;
    }
    let out = letters.len() / 2;
    Some(letters.iter().enumerate().filter(|(i, _)| *i != out).map(|(_, c)| c).collect())
}

fn mutants(text: &str) -> Vec<Mutant> {
    let lines: Vec<&str> = text.lines().collect();
    let mut all = Vec::new();
    let mut put = |kind, line: usize, new: String, expected: Option<String>| {
        let mut changed: Vec<&str> = lines.clone();
        changed[line] = &new;
        all.push(Mutant { kind, line: line + 1, text: changed.join("\n") + "\n", expected });
    };
    let mut kind = "";
    for (number, line) in lines.iter().enumerate() {
        let word = line.split_whitespace().next().unwrap_or("");
        if !line.starts_with(' ') && !line.is_empty() {
            kind = if line.trim_end().ends_with('{') { word } else { "" };
            continue;
        }
        // Fields of declarations, a line each, whose value ends with the line.
        let known = ["experiment", "tokenizer", "model", "stage", "eval"].contains(&kind);
        let Some((name, value)) =
            line.split_once('=').filter(|_| known && line.starts_with("  ") && !line.starts_with("   "))
        else {
            continue;
        };
        let (name, value) = (name.trim(), value.split('#').next().unwrap_or("").trim());
        let whole = value.matches('(').count() == value.matches(')').count()
            && value.matches('[').count() == value.matches(']').count();
        if name.contains(['.', '+']) || !whole || value.is_empty() || line.contains("==") {
            continue;
        }
        if let Some(wrong) = misspelt(name) {
            put("misspelt field", number, line.replacen(name, &wrong, 1), Some(name.to_owned()));
        }
        put("field set twice", number, format!("{line}\n{line}"), None);
        let at = line.find('=').unwrap() + 1;
        let head = &line[..at];
        if value.starts_with(|c: char| c.is_ascii_digit()) {
            put("wrong type", number, format!("{head} \"many\""), None);
            if value.chars().all(|c| c.is_ascii_digit() || c == '_') {
                put("out of range", number, format!("{head} -3"), None);
                put("unit too many", number, format!("{head} {value} flops"), Some(value.to_owned()));
            }
            for unit in UNITS {
                if value.ends_with(unit) {
                    let wrong = misspelt(unit).unwrap();
                    put("misspelt unit", number, line.replacen(unit, &wrong, 1), Some(unit.to_owned()));
                    put("unit left out", number, line.replacen(&format!(" {unit}"), "", 1), Some(value.to_owned()));
                    put("other dimension", number, line.replacen(unit, "GiB", 1), None);
                }
            }
        } else if value.starts_with('"') {
            put("wrong type", number, format!("{head} 12"), None);
        } else if value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && value.parse::<f64>().is_err() {
            if let Some(wrong) = misspelt(value)
                && !["true", "false", "none"].contains(&value)
            {
                put("misspelt name", number, format!("{head} {wrong}"), Some(value.to_owned()));
            }
            put("wrong type", number, format!("{head} [1, 2]"), None);
        } else if let Some((call, rest)) = value.split_once('(')
            && call.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            && let Some(wrong) = misspelt(call)
        {
            put("misspelt function", number, format!("{head} {wrong}({rest}"), Some(call.to_owned()));
            put("unknown argument", number, format!("{head} {call}(wrong_one = 1, {rest}"), None);
        }
        let stranger = if kind == "model" { "batch = 4 documents" } else { "layers = 4" };
        put("wrong section", number, format!("  {stranger}\n{line}"), None);
    }
    all
}

#[test]
fn every_mistake_of_meaning_is_told_on_its_line() {
    let mut tally: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    let mut missed: Vec<String> = Vec::new();
    for (path, text) in files() {
        let (before, _) = problems(&path, &text);
        assert!(!before.any_error(), "{path} has problems before any mistake is made");
        for mutant in mutants(&text) {
            let (found, sources) = problems(&path, &mutant.text);
            let errors: Vec<_> = found.sorted().into_iter().filter(|p| p.is_error()).collect();
            let row = tally.entry(mutant.kind).or_default();
            row[0] += 1;
            // A repeated field is told at its second place, the line after.
            let lines = [mutant.line, mutant.line + usize::from(mutant.kind == "field set twice")];
            let here = |p: &&&emberlab::diagnostics::Problem| {
                let file = sources.get(p.span().file).map(|f| f.path.to_string());
                file.as_deref() == Some(&*path) && lines.contains(&sources.place(p.span()).line)
            };
            let Some(problem) = errors.iter().find(here) else {
                let told: Vec<String> = errors.iter().map(|p| format!("{} {}", p.code, p.message)).collect();
                missed.push(format!("{path}:{} {}: {}", mutant.line, mutant.kind, told.join("; ")));
                continue;
            };
            row[1] += 1;
            row[2] += usize::from(errors.len() == 1);
            if let Some(expected) = &mutant.expected {
                row[3] += 1;
                let right = problem.fixes.iter().any(|f| f.edits.iter().any(|e| e.new_text.trim() == *expected));
                row[4] += usize::from(right);
                if !right {
                    let fixes: Vec<&str> = problem.fixes.iter().map(|f| f.title.as_str()).collect();
                    let (line, kind) = (mutant.line, mutant.kind);
                    missed.push(format!(
                        "{path}:{line} {kind}: wanted `{expected}`, suggested {fixes:?}: {}",
                        problem.message
                    ));
                }
            }
        }
    }
    let mut all = [0; 5];
    for (kind, row) in &tally {
        println!(
            "{kind:<20} {:>4} made, {:>4} located, {:>4} told once, {:>4} of {:>4} suggestions right",
            row[0], row[1], row[2], row[4], row[3]
        );
        all.iter_mut().zip(row).for_each(|(a, r)| *a += r);
    }
    let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    println!(
        "{} mistakes: {:.1} % located exactly, {:.1} % told exactly once, {:.1} % of suggestions right",
        all[0],
        share(all[1], all[0]),
        share(all[2], all[0]),
        share(all[4], all[3])
    );
    for line in missed.iter().take(40) {
        println!("  missed {line}");
    }
    assert!(all[0] >= 300, "only {} mistakes were made", all[0]);
    assert!(share(all[1], all[0]) >= 99.0, "too many mistakes are told elsewhere or not at all");
    assert!(share(all[4], all[3]) >= 95.0, "too many suggestions are wrong");
}
