//! What may be written on the command line, besides the arguments of single verbs.

use super::screen::{error_document, sentence};
use super::{Exit, check, completions, doc, explain, fmt, init, plan, show, test};
use crate::diagnostics::render::Format;
use clap::error::ErrorKind;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// Describe language-model experiments, check them, run them.
#[derive(Parser, Debug)]
#[command(
    name = "exp",
    version,
    about,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    propagate_version = false,
    disable_help_subcommand = true,
    after_help = "`exp VERB --help` says more about a verb, `exp explain CODE` about a problem."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that stand before or after any verb.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// How results and problems are written; not every verb has every format.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: FormatChoice,
    /// Whether to use colours; `auto` asks the terminal and NO_COLOR.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Work in this folder.
    #[arg(short = 'C', global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Say nothing but results and problems.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice says still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, ValueEnum)]
pub enum FormatChoice {
    /// Pictures of the source, tables.
    #[default]
    Human,
    /// One line for each problem.
    Concise,
    /// One versioned document on stdout.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Workflow commands of GitHub.
    Github,
}

impl From<FormatChoice> for Format {
    fn from(choice: FormatChoice) -> Format {
        match choice {
            FormatChoice::Human => Format::Human,
            FormatChoice::Concise => Format::Concise,
            FormatChoice::Json => Format::Json,
            FormatChoice::Sarif => Format::Sarif,
            FormatChoice::Github => Format::Github,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Report every problem of an experiment, without computing anything.
    Check(check::Args),
    /// Lay files out in the canonical way.
    Fmt(fmt::Args),
    /// Say what would run and what it costs.
    Plan(plan::Args),
    /// Show a value and where it came from.
    Show(show::Args),
    /// Run the checks and examples that are written in the language.
    Test(test::Args),
    /// Print the reference manual, or a part of it.
    Doc(doc::Args),
    /// Say what a code means, with an example and a way out.
    Explain(explain::Args),
    /// Write a first experiment into a folder.
    Init(init::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
    #[cfg(feature = "engine")]
    #[command(flatten)]
    Engine(super::engine::EngineCommand),
}

/// Verbs of other tools, and what does the same here.
const FOREIGN_VERBS: [(&[&str], &str); 5] = [
    (&["train", "fit", "start", "launch", "execute", "eval", "evaluate"], "run"),
    (&["validate", "lint", "verify", "typecheck"], "check"),
    (&["format"], "fmt"),
    (&["docs", "manual", "man"], "doc"),
    (&["new", "create"], "init"),
];

/// Gives mistakes that people bring from other tools the advice that helps.
fn advise(error: &mut clap::Error, words: &[OsString]) {
    let text = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let advice = match error.kind() {
        ErrorKind::UnknownArgument => {
            let Some(arg) = text(error, ContextKind::InvalidArg) else { return };
            let sets = words.get(1..).unwrap_or_default().iter().find_map(|w| {
                Cli::command().find_subcommand(w).map(|verb| verb.get_arguments().any(|a| a.get_long() == Some("set")))
            });
            match arg.split_once('=') {
                _ if sets != Some(true) => return,
                Some((path, value)) if !arg.starts_with('-') => {
                    format!("fields are set with `--set {}={}`", path.trim_start_matches('+'), value)
                }
                _ if error.get(ContextKind::SuggestedArg).is_some() => return,
                _ => "fields of the experiment are set with `--set path=value`, as in `--set pretrain.batch=4k tokens`"
                    .replace("4k tokens", "\"4k tokens\""),
            }
        }
        ErrorKind::InvalidSubcommand => {
            let Some(verb) = text(error, ContextKind::InvalidSubcommand) else { return };
            let Some((_, own)) = FOREIGN_VERBS.iter().find(|(names, _)| names.contains(&verb.as_str())) else { return };
            match Cli::command().find_subcommand(own) {
                Some(_) => format!("`exp {own}` does that"),
                None => format!("`exp {own}` does that, in a build with the engine"),
            }
        }
        _ => return,
    };
    error.remove(ContextKind::SuggestedSubcommand);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
}

/// Reports what clap found wrong, or prints the help that was asked for.
pub(super) fn complain(mut error: clap::Error, words: &[OsString]) -> Exit {
    advise(&mut error, words);
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked {
        let _ = error.print();
        return Exit::Done;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // `exp` alone asks what there is to do.
        let _ = write!(anstream::stdout(), "{}", error.render().ansi());
        return if words.len() <= 1 { Exit::Done } else { Exit::Usage };
    }
    let wants_json = words.iter().any(|w| w == "--format=json")
        || words.windows(2).any(|pair| matches!(pair, [name, value] if name == "--format" && value == "json"));
    if wants_json {
        let message = error.render().to_string();
        let message = message.trim().trim_start_matches("error:").trim();
        let _ = writeln!(std::io::stdout(), "{:#}", error_document("usage", message, None));
        let first = message.lines().next().unwrap_or(message);
        let _ = write!(anstream::stderr(), "{}", sentence(first, None));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
