//! `exp check`: all problems, no compute.

use super::analysis::analyse;
use super::files::{self, Files};
use super::shared::Overrides;
use super::{Exit, Failure, Screen};
use crate::check::Options;
use crate::diagnostics::batch::Batch;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Experiments, folders (every `.exp` file below them), or `-` for stdin.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Also report what is legal but unwise.
    #[arg(long)]
    pub pedantic: bool,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    let world = Files::new(&args.files)?;
    let options = Options { overrides: args.overrides.set.clone(), pedantic: args.pedantic };
    let mut batch = Batch::default();
    let paths = files::expand(&args.files)?;
    for path in &paths {
        let (checked, problems) = analyse(&world, path, &options);
        batch.add(&problems, &checked.sources);
    }
    screen.problems(&batch.problems, &batch.sources);
    if batch.problems.is_empty() {
        match paths.as_slice() {
            [one] => screen.note(&format!("{one}: no problems")),
            many => screen.note(&format!("{} files: no problems", many.len())),
        }
    }
    Ok(if batch.problems.any_error() { Exit::Problems } else { Exit::Done })
}
