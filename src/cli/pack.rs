//! `exp pack`: a bundle that another machine can reproduce.

use super::bench::{self, Request};
use super::shared::{LabArgs, Overrides};
use super::{Exit, Failure, Screen};
use crate::share::{Contents, SourceText, pack};
use crate::store::{Lab, Status};
use std::path::Path;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Where to write it; by default `NAME.tar.zst`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Leave the data files and published weights out; only their hashes go in.
    #[arg(long)]
    pub no_data: bool,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("pack")?;
    let file = Path::new(&args.file);
    let request = Request { file, overrides: &args.overrides.set, until: None, device: None, warns: true };
    let planned = match bench::planned(&request, None, screen)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    let failed = |message: String| Failure::Run { message, help: None };
    let lock = super::lock::of(file, &planned.plan, args.lab.lab.as_deref())?;
    let own = planned.checked.sources.iter().filter(|f| !f.is_library() && !f.path.starts_with("--"));
    let sources: Vec<SourceText> =
        own.map(|f| SourceText { path: f.path.to_string(), text: f.text.to_string() }).collect();
    // The latest finished run of exactly this plan goes in, so that a reproduction has something to compare with.
    let mut latest = None;
    if let Some(lab) = Lab::existing(&bench::lab_place(file, args.lab.lab.as_deref())).map_err(bench::failed)? {
        for folder in lab.runs().map_err(bench::failed)?.into_iter().rev() {
            let Ok(record) = folder.record() else { continue };
            if record.status == Status::Done && Some(&record.plan_hash) == planned.plan.hash.value() {
                let curves = crate::run::view::curves(&lab, &folder).map_err(bench::failed)?;
                let environment = folder.environment().map_err(bench::failed)?;
                latest = Some((record, curves, environment));
                break;
            }
        }
    }
    let date = latest.as_ref().map_or_else(crate::store::process::now, |(record, ..)| record.run.clone());
    let date = date_of(&date);
    let contents = Contents {
        plan: &planned.plan,
        lock: &lock,
        sources: &sources,
        overrides: &args.overrides.set,
        data: !args.no_data,
        record: latest.as_ref().map(|(record, curves, _)| (record, curves)),
        environment: latest.as_ref().map(|(.., environment)| environment),
        date: &date,
    };
    let target = args.out.clone().unwrap_or_else(|| format!("{}.tar.zst", planned.plan.name).into());
    let manifest = pack(&contents, Path::new(""), &target).map_err(|e| failed(e.to_string()))?;
    if screen.is_json() {
        screen.document(&serde_json::json!({
            "schema_version": 1, "bundle": target.display().to_string(), "files": manifest.files.len(),
            "bytes": manifest.bytes(), "run": manifest.run,
        }));
    } else {
        let run = manifest.run.map_or_else(|| "no finished run of it".to_owned(), |r| format!("run {r}"));
        screen.result(&format!("{} ({} files, {run})\n", target.display(), manifest.files.len()));
    }
    Ok(Exit::Done)
}

/// The day in a run's id or a time: `2026-11-24`.
fn date_of(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_digit).take(8).collect();
    match (digits.get(..4), digits.get(4..6), digits.get(6..8)) {
        (Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        _ => "1970-01-01".to_owned(),
    }
}
