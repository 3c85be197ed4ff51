//! `exp test`: runs the checks and examples written in the language.
//!
//! Each file is checked, and what its lines expect is compared with what is found: `# error: E0402` at the end of a line, or
//! on a line of its own above it, expects that problem there. A file that expects nothing must have none. Then each example
//! in its documentation, a block fenced with `exp`, is checked in the same way.

mod expectation;

use super::analysis::analyse;
use super::files::{self, Files};
use super::{Exit, Failure, Screen};
use crate::check::Options;
use crate::diagnostics::batch::Batch;
use crate::source::{Sources, World, WorldError};
use crate::syntax::ast::Docs;
use crate::syntax::{Parsed, parse};
use expectation::{Verdict, compare, expectations};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Files, or folders (every `.exp` file below them).
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// One thing that was tried.
struct Outcome {
    /// `tiny.exp`, or `tiny.exp:12` for an example.
    name: String,
    /// What went otherwise than expected; empty if nothing did.
    wrong: Vec<String>,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("test")?;
    let world = Files::new(&args.files)?;
    let mut batch = Batch::default();
    let mut outcomes = Vec::new();
    for path in files::expand(&args.files)? {
        outcomes.push(try_file(&world, &path, &path, &mut batch));
        let Ok(text) = world.read(&path) else { continue };
        let mut sources = Sources::default();
        let file = sources.add(path.as_str(), text);
        for example in examples(&parse(&file)) {
            let line = file.lines.place(&file.text, example.at).line;
            let name = format!("{path}:{line}");
            let folder = crate::source::path::folder(&path);
            let place = crate::source::path::join(folder, &format!("<example at line {line}>.exp"));
            let world = Overlay { below: &world, path: &place, text: example.text.as_str().into() };
            outcomes.push(try_file(&world, &place, &name, &mut batch));
        }
    }
    report(&outcomes, &batch, screen);
    Ok(if outcomes.iter().all(|o| o.wrong.is_empty()) { Exit::Done } else { Exit::Problems })
}

/// Checks one file against what its lines expect. Problems that nothing expected go to `batch`.
fn try_file(world: &dyn World, path: &str, name: &str, batch: &mut Batch) -> Outcome {
    let text = world.read(path).unwrap_or_default();
    let expected = expectations(&text);
    let pedantic = expected.iter().any(|e| e.code.severity() != crate::diagnostics::Severity::Error);
    let (checked, problems) = analyse(world, path, &Options { overrides: Vec::new(), pedantic });
    let Verdict { unexpected, missing } = compare(&expected, &problems, &checked.sources, path);
    let mut wrong: Vec<String> = missing.iter().map(|e| format!("line {}: expected {}", e.line, e.code)).collect();
    for problem in &unexpected {
        let place = checked.sources.place(problem.span());
        wrong.push(format!("line {}: {}: {}", place.line, problem.code, problem.message));
    }
    let mut problems = crate::diagnostics::Problems::default();
    for problem in unexpected {
        problems.push(problem.clone());
    }
    batch.add(&problems, &checked.sources);
    Outcome { name: name.to_owned(), wrong }
}

fn report(outcomes: &[Outcome], batch: &Batch, screen: &Screen) {
    let failed = outcomes.iter().filter(|o| !o.wrong.is_empty()).count();
    if screen.is_json() {
        let tests: Vec<Value> = outcomes
            .iter()
            .map(|o| json!({ "name": o.name, "passed": o.wrong.is_empty(), "wrong": o.wrong }))
            .collect();
        screen.document(
            &json!({ "schema_version": 1, "passed": outcomes.len() - failed, "failed": failed, "tests": tests }),
        );
        return;
    }
    screen.problems(&batch.problems, &batch.sources);
    let (green, red) = (anstyle::AnsiColor::Green.on_default(), anstyle::AnsiColor::Red.on_default());
    let mut out = String::new();
    for outcome in outcomes {
        if outcome.wrong.is_empty() {
            out.push_str(&format!("{green}ok{green:#}      {}\n", outcome.name));
        } else {
            out.push_str(&format!("{red}failed{red:#}  {}\n", outcome.name));
            outcome.wrong.iter().for_each(|line| out.push_str(&format!("          {line}\n")));
        }
    }
    out.push_str(&format!("{} passed, {failed} failed\n", outcomes.len() - failed));
    screen.result(&out);
}

/// A block of the language in documentation.
struct Example {
    text: String,
    /// Offset of the documentation it stands in.
    at: usize,
}

/// The examples in the documentation of a file and its items.
fn examples(parsed: &Parsed) -> Vec<Example> {
    let mut found = Vec::new();
    let docs = parsed.module.docs.iter().chain(parsed.module.items.iter().filter_map(|item| item.docs.as_ref()));
    for docs in docs {
        found.extend(blocks(docs));
    }
    found
}

fn blocks(docs: &Docs) -> Vec<Example> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    for line in docs.text.lines() {
        match &mut current {
            None if line.trim() == "```exp" => current = Some(String::new()),
            None => {}
            Some(text) if line.trim() == "```" => {
                found.push(Example { text: std::mem::take(text), at: docs.span.start as usize });
                current = None;
            }
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}

/// A world with one file more.
struct Overlay<'a> {
    below: &'a dyn World,
    path: &'a str,
    text: Arc<str>,
}

impl World for Overlay<'_> {
    fn read(&self, path: &str) -> Result<Arc<str>, WorldError> {
        if path == self.path { Ok(self.text.clone()) } else { self.below.read(path) }
    }

    fn start(&self, path: &str, length: usize) -> Result<(Vec<u8>, u64), WorldError> {
        self.below.start(path, length)
    }

    fn inputs(&self, base: &str, pattern: &str) -> Result<Vec<crate::source::Input>, WorldError> {
        self.below.inputs(base, pattern)
    }
}
