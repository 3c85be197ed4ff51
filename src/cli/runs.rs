//! `exp runs`: the run store.

use super::bench;
use super::shared::LabArgs;
use super::{Exit, Failure, Screen};
use crate::store::{Event, Keep, Query, RunFolder, compare, diff};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    pub action: Option<Action>,
    #[command(flatten)]
    pub lab: LabArgs,
}

/// What to do; without one, runs are listed.
#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// All runs, the latest first.
    List,
    /// One run: its record.
    Show {
        /// A run by its id or words, the beginning of either, or `latest`.
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// What differs between two runs: values, data, code, results.
    Diff {
        /// A run by its id or words, the beginning of either, or `latest`.
        #[arg(value_name = "RUN")]
        left: String,
        /// The run that it is compared with.
        #[arg(value_name = "RUN")]
        right: String,
    },
    /// Results of several runs side by side.
    Compare {
        /// Runs by their ids or words, the beginning of either, or `latest`.
        #[arg(value_name = "RUN", required = true, num_args = 2..)]
        runs: Vec<String>,
    },
    /// Remove what no kept run needs.
    Prune {
        /// Remove it; without this, only say what would go.
        #[arg(long)]
        apply: bool,
    },
}

/// Why a run ended, if it failed.
fn why(folder: &RunFolder) -> Option<String> {
    let lines = folder.read_events().ok()?;
    lines.into_iter().rev().find_map(|line| match line.event {
        Event::RunFinished { why, .. } => Some(why),
        _ => None,
    })?
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("runs")?;
    let lab = bench::lab_here(args.lab.lab.as_deref())?;
    let named = |name: &String| bench::run_named(&lab, name);
    match args.action.as_ref().unwrap_or(&Action::List) {
        Action::List => {
            let listing = lab.list(&Query::default()).map_err(bench::failed)?;
            tell(screen, &listing, || listing.table(None).to_string());
        }
        Action::Show { run } => {
            let folder = named(run)?;
            let record = folder.current_record().map_err(bench::failed)?;
            tell(screen, &record, || match why(&folder) {
                Some(why) => format!("{}\nfailed  {why}\n", super::summary::of(&record)),
                None => super::summary::of(&record),
            });
        }
        Action::Diff { left, right } => {
            let difference = diff(&named(left)?, &named(right)?).map_err(bench::failed)?;
            tell(screen, &difference, || difference.render(screen.terminal()));
        }
        Action::Compare { runs } => {
            let folders = runs.iter().map(named).collect::<Result<Vec<RunFolder>, Failure>>()?;
            let comparison = compare(&folders).map_err(bench::failed)?;
            tell(screen, &comparison, || comparison.table().to_string());
        }
        Action::Prune { apply } => {
            let pruning = lab.prunable(&Keep::default()).map_err(bench::failed)?;
            tell(screen, &pruning, || pruning.table().to_string());
            if *apply {
                pruning.apply().map_err(bench::failed)?;
            } else {
                screen.note("nothing was removed; `--apply` removes it");
            }
        }
    }
    Ok(Exit::Done)
}

fn tell(screen: &Screen, value: &impl serde::Serialize, text: impl FnOnce() -> String) {
    if screen.is_json() {
        screen.document(&serde_json::to_value(value).unwrap_or_default());
    } else {
        screen.result(&text());
    }
}
