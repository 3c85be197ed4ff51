//! `exp runs`: the run store.

use super::shared::LabArgs;

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
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// What differs between two runs: values, data, code, results.
    Diff {
        #[arg(value_name = "RUN")]
        left: String,
        #[arg(value_name = "RUN")]
        right: String,
    },
    /// Results of several runs side by side.
    Compare {
        #[arg(value_name = "RUN", required = true, num_args = 2..)]
        runs: Vec<String>,
    },
    /// Remove what no kept run needs.
    Prune {
        /// Say what would go, and remove nothing.
        #[arg(long)]
        dry_run: bool,
    },
}
