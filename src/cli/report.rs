//! `exp report`: one HTML file about one or more runs.
#![allow(clippy::disallowed_methods, reason = "this verb reads and writes the files that the command line names")]

use super::bench;
use super::shared::LabArgs;
use super::{Exit, Failure, Screen};
use crate::check::Checked;
use crate::report::{self, SourceView};
use crate::run::view;
use crate::store::{RunFolder, disk};
use std::path::Path;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The runs, by their ids or words, the beginning of either, or `latest`.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,
    /// Where to write it; by default into the folder of the first run.
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub lab: LabArgs,
}

/// File of a run's folder that holds the experiment's files as they were.
const SOURCES: &str = "sources.json";

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("report")?;
    if let Some(out) = &args.out {
        only_html(out)?;
    }
    let lab = bench::lab_here(args.lab.lab.as_deref())?;
    let mut views = Vec::new();
    let mut first = None;
    for name in &args.runs {
        let folder = bench::run_named(&lab, name)?;
        views.push(view::view(&lab, &folder, kept_sources(&folder)).map_err(bench::failed)?);
        first.get_or_insert(folder);
    }
    let Some(first) = first else {
        return Err(Failure::Usage { message: "name at least one run".to_owned(), help: None });
    };
    let place = args.out.clone().unwrap_or_else(|| first.path.join("report.html"));
    write(&place, &report::html(&views))?;
    if screen.is_json() {
        screen.document(&serde_json::json!({ "schema_version": 1, "report": place.display().to_string() }));
    } else {
        screen.result(&format!("{}\n", place.display()));
    }
    Ok(Exit::Done)
}

/// Refuses names under which nobody would look for HTML.
fn only_html(out: &Path) -> Result<(), Failure> {
    let ending = out.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    if matches!(ending.as_deref(), Some("html" | "htm")) {
        return Ok(());
    }
    Err(Failure::Usage {
        message: format!("a report is HTML, and `{}` ends in neither `.html` nor `.htm`", out.display()),
        help: Some(match ending.as_deref() {
            Some("pdf") => "write a `.html` file; a browser prints it as a PDF".to_owned(),
            _ => format!("write it as `{}`", out.with_extension("html").display()),
        }),
    })
}

/// The files of an experiment, without the library's.
pub(super) fn sources(checked: &Checked) -> Vec<SourceView> {
    let own = checked.sources.iter().filter(|f| !f.is_library() && !f.path.starts_with("--"));
    own.map(|f| SourceView { path: f.path.to_string(), text: f.text.to_string() }).collect()
}

/// Keeps an experiment's files with its run, so that a report can be written again when they have changed.
pub(super) fn keep_sources(folder: &RunFolder, sources: &[SourceView]) -> Result<(), Failure> {
    let json = serde_json::to_vec(sources).unwrap_or_default();
    disk::replace_bytes(&folder.path.join(SOURCES), &json).map_err(bench::failed)
}

fn kept_sources(folder: &RunFolder) -> Vec<SourceView> {
    let text = std::fs::read(folder.path.join(SOURCES)).ok();
    text.and_then(|t| serde_json::from_slice(&t).ok()).unwrap_or_default()
}

/// Writes a report in one step.
pub(super) fn write(place: &Path, html: &str) -> Result<(), Failure> {
    disk::replace_bytes(place, html.as_bytes()).map_err(bench::failed)
}
