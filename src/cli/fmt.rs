//! `exp fmt`: the canonical layout. It has no options, so that there is nothing to argue about.

use super::files::{self, Files, STDIN};
use super::{Exit, Failure, Screen};
use crate::diagnostics::batch::Batch;
use crate::diagnostics::{Code, Problem, Problems, render};
use crate::source::{FileId, SourceFile, Sources, Span, World, WorldError};
use crate::syntax;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Files, folders (every `.exp` file below them), or `-` for stdin, whose layout goes to stdout.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Change nothing; list the files that are laid out otherwise, and end with code 1 if there are any.
    #[arg(long)]
    pub check: bool,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    let world = Files::new(&args.files)?;
    let mut batch = Batch::default();
    let mut done: Vec<Value> = Vec::new();
    let mut changed: Vec<String> = Vec::new();
    for path in files::expand(&args.files)? {
        let Some((before, after)) = layout(&world, &path, &mut batch) else { continue };
        let differs = before != after;
        done.push(json!({ "path": path, "changed": differs }));
        if path == STDIN && !args.check && !screen.is_json() {
            screen.raw(&after);
        } else if differs {
            if !args.check && path != STDIN {
                files::replace(&path, &after)?;
            }
            changed.push(path);
        }
    }
    if screen.is_json() {
        let sorted = batch.problems.sorted();
        let mut document = render::document(&sorted, &batch.sources);
        document["files"] = done.into();
        screen.document(&document);
    } else {
        screen.result(&changed.iter().map(|path| format!("{path}\n")).collect::<String>());
        screen.problems(&batch.problems, &batch.sources);
        let verb = if args.check { "would change" } else { "changed" };
        if !changed.is_empty() {
            screen.note(&format!("{} of {} files {verb}", changed.len(), done.len()));
        }
    }
    let fine = !batch.problems.any_error() && (changed.is_empty() || !args.check);
    Ok(if fine { Exit::Done } else { Exit::Problems })
}

/// A file as it is and as it should be; absent, with its problems in `batch`, if it cannot be laid out.
fn layout(world: &Files, path: &str, batch: &mut Batch) -> Option<(String, String)> {
    let mut sources = Sources::default();
    match world.read(path) {
        Ok(text) => {
            let file = sources.add(path, text);
            match syntax::format(&file) {
                Ok(after) => return Some((file.text.to_string(), after)),
                Err(problems) => batch.add(&problems, &sources),
            }
        }
        Err(error) => {
            let file = sources.add(path, "");
            let mut problems = Problems::default();
            problems.push(unreadable(&file, &error));
            batch.add(&problems, &sources);
        }
    }
    None
}

/// The problem with a file that cannot be read.
fn unreadable(file: &SourceFile, error: &WorldError) -> Problem {
    Problem::new(Code::E0001, Span::new(FileId(file.id.0), 0, 0), format!("`{}` cannot be read: {error}", file.path))
}
