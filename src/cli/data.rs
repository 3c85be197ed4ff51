//! `exp data`: makes a dataset and nothing else.
#![allow(clippy::disallowed_methods, reason = "this verb reads and writes the files that the command line names")]

use super::bench::{self, Request};
use super::shared::{LabArgs, Overrides};
use super::{Exit, Failure, Screen};
use crate::data;
use crate::diagnostics::suggest::similar;
use crate::plan::Plan;
use crate::report::{Align, Table, format};
use crate::run::display::Form;
use crate::run::{self, Bench};
use crate::store::Check;
use indexmap::IndexMap;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: String,
    /// The dataset.
    #[arg(value_name = "DATASET")]
    pub dataset: String,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Only this split.
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// Write the documents here: `.jsonl` or `.jsonl.zst`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write every removed document here, with the reason.
    #[arg(long, value_name = "FILE")]
    pub removed: Option<PathBuf>,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("data")?;
    let file = Path::new(&args.file);
    let lab = bench::lab(file, args.lab.lab.as_deref())?;
    let request = Request { file, overrides: &args.overrides.set, until: None, device: None, warns: true };
    let plan = match bench::planned(&request, Some(&lab), screen)? {
        Ok(planned) => planned.plan,
        Err(exit) => return Ok(exit),
    };
    let wanted = needed(&plan, &args.dataset)?;
    let chosen = bench::device(Some("cpu"))?;
    let stop = bench::stop(Form::choose(false, screen.is_quiet()))?;
    let bench = Bench {
        lab: &lab,
        device: &chosen,
        base: Path::new(""),
        home: &bench::home(file),
        stop: &stop,
        check: Check::Sizes,
    };
    let mut folders = IndexMap::new();
    for planned in plan.datasets.iter().filter(|d| wanted.contains(&d.name.as_str())) {
        let made = run::make_dataset(&bench, &plan, planned, &folders, &mut |making| {
            match making {
                run::Making::Begins(_) => screen.note(&format!("making `{}`", planned.name)),
                run::Making::Waits(text) => screen.note(&text),
            }
            Ok(())
        });
        let (object, _) = match made {
            Ok(made) => made,
            Err(run::Failure::Stopped) => return Ok(Exit::Stopped),
            Err(failure) => return Err(super::run::failed(&failure)),
        };
        folders.insert(planned.name.clone(), object.path);
    }
    let (Some(folder), Some(planned)) = (folders.get(&args.dataset), plan.dataset(&args.dataset)) else {
        return Err(unknown(&plan, &args.dataset));
    };
    let failed = |e: data::DataError| Failure::Run { message: e.to_string(), help: None };
    let report = data::report(folder).map_err(failed)?;
    if let Some(split) = &args.split
        && !report.splits.contains_key(split)
    {
        let names: Vec<&str> = report.splits.keys().map(String::as_str).collect();
        return Err(Failure::Usage {
            message: format!("`{}` has no split `{split}`", args.dataset),
            help: Some(format!("it has {}", names.join(", "))),
        });
    }
    if let Some(out) = &args.out {
        write(folder, args.split.as_deref(), out)?;
    }
    if let Some(removed) = &args.removed {
        unpack(&folder.join("removed.jsonl.zst"), removed)?;
    }
    if screen.is_json() {
        let splits: IndexMap<&String, _> = report
            .splits
            .iter()
            .filter(|(name, _)| args.split.as_ref().is_none_or(|s| s == *name))
            .map(|(name, s)| (name, json!({ "documents": s.documents, "bytes": s.bytes, "tokens": null })))
            .collect();
        let steps: Vec<_> = report
            .steps
            .iter()
            .map(|s| json!({ "step": s.step, "kept": s.kept, "removed": s.removed, "reasons": s.reasons }))
            .collect();
        screen.document(&json!({
            "schema_version": 1, "dataset": args.dataset, "hash": planned.hash.value(), "splits": splits, "steps": steps,
        }));
    } else {
        screen.result(&text(&report, args.split.as_deref()));
    }
    Ok(Exit::Done)
}

/// The dataset and those that it is made from.
fn needed<'p>(plan: &'p Plan, name: &str) -> Result<Vec<&'p str>, Failure> {
    let Some(dataset) = plan.dataset(name) else { return Err(unknown(plan, name)) };
    let mut wanted = vec![dataset.name.as_str()];
    let mut next = 0;
    while let Some(dataset) = wanted.get(next).and_then(|name| plan.dataset(name)) {
        let more: Vec<&str> = dataset.depends_on.iter().map(String::as_str).filter(|n| !wanted.contains(n)).collect();
        wanted.extend(more);
        next += 1;
    }
    Ok(wanted)
}

/// `name` is no dataset: what it is instead, or what it may have been meant to be.
fn unknown(plan: &Plan, name: &str) -> Failure {
    let names = || plan.datasets.iter().map(|d| d.name.as_str());
    let quoted = |names: &[&str]| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>();
    let all = match names().next() {
        Some(_) => format!("the experiment has {}", quoted(&names().collect::<Vec<_>>()).join(", ")),
        None => "the experiment has no dataset".to_owned(),
    };
    let split = name.split_once('.').filter(|(dataset, _)| plan.dataset(dataset).is_some());
    let message = match plan.node(name) {
        Some(node) => format!("`{name}` is {} and not a dataset", article(node.kind)),
        None => format!("there is no dataset `{name}`"),
    };
    let help = match (split, similar(name, names()).as_slice()) {
        (Some((dataset, split)), _) => format!("write `{dataset} --split {split}`"),
        (None, []) => all,
        (None, near) => format!("did you mean {}? {all}", quoted(near).join(" or ")),
    };
    Failure::Usage { message, help: Some(help) }
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

fn text(report: &data::Report, split: Option<&str>) -> String {
    let mut splits = Table::new(&[("split", Align::Left), ("documents", Align::Right), ("bytes", Align::Right)]);
    for (name, s) in report.splits.iter().filter(|(name, _)| split.is_none_or(|s| s == name.as_str())) {
        splits.row([name.clone(), format::count(s.documents), format::bytes(s.bytes)]);
    }
    let columns = [("step", Align::Left), ("kept", Align::Right), ("removed", Align::Right), ("reasons", Align::Left)];
    let mut steps = Table::new(&columns);
    for s in &report.steps {
        let reasons: Vec<String> = s.reasons.iter().map(|(reason, n)| format!("{reason}: {n}")).collect();
        steps.row([s.step.clone(), format::count(s.kept), format::count(s.removed), reasons.join("; ")]);
    }
    let mut out = splits.render(None);
    if !report.steps.is_empty() {
        out.push('\n');
        out.push_str(&steps.render(None));
    }
    for warning in &report.warnings {
        out.push_str(&format!("\nwarning: {warning}\n"));
    }
    out
}

/// Writes the records of a dataset as lines of JSON, compressed if the name ends in `.zst`.
fn write(folder: &Path, split: Option<&str>, out: &Path) -> Result<(), Failure> {
    let failed = |cause: String| Failure::Write { path: out.display().to_string(), cause };
    let name = out.to_string_lossy();
    if !name.ends_with(".jsonl") && !name.ends_with(".jsonl.zst") {
        return Err(Failure::Usage {
            message: format!("`{name}` is neither `.jsonl` nor `.jsonl.zst`"),
            help: Some("this version writes no other format".to_owned()),
        });
    }
    let records = data::open(folder, split).map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
    let file = File::create(out).map_err(|e| failed(e.to_string()))?;
    if name.ends_with(".zst") {
        let mut encoder = zstd::stream::write::Encoder::new(file, 3).map_err(|e| failed(e.to_string()))?;
        lines(records, &mut encoder, &failed)?;
        // The end of the compressed stream is written here; dropping the encoder would hide a full disk.
        return encoder.finish().map(drop).map_err(|e| failed(e.to_string()));
    }
    let mut file = BufWriter::new(file);
    lines(records, &mut file, &failed)?;
    file.flush().map_err(|e| failed(e.to_string()))
}

/// The records as lines of JSON.
fn lines(records: data::Reader, file: &mut dyn Write, failed: &dyn Fn(String) -> Failure) -> Result<(), Failure> {
    for record in records {
        let record = record.map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
        let mut line = serde_json::Map::new();
        match (&record.pair, &record.prompt, &record.response) {
            (Some(pair), ..) => {
                line.insert("first".to_owned(), json!(pair.first));
                line.insert("second".to_owned(), json!(pair.second));
                line.insert("contrast".to_owned(), json!(pair.contrast));
            }
            (None, Some(prompt), Some(response)) => {
                line.insert("prompt".to_owned(), json!(prompt));
                line.insert("response".to_owned(), json!(response));
            }
            _ => {
                line.insert("text".to_owned(), json!(record.text));
            }
        }
        if let Some(rejected) = &record.rejected {
            line.insert("rejected".to_owned(), json!(rejected));
        }
        if let Some(split) = &record.split {
            line.insert("split".to_owned(), json!(&**split));
        }
        line.insert("source".to_owned(), json!(record.source));
        writeln!(file, "{}", serde_json::Value::Object(line)).map_err(|e| failed(e.to_string()))?;
    }
    Ok(())
}

fn unpack(from: &Path, to: &Path) -> Result<(), Failure> {
    let read = |e: std::io::Error| Failure::Read { path: from.display().to_string(), cause: e.to_string() };
    let failed = |e: std::io::Error| Failure::Write { path: to.display().to_string(), cause: e.to_string() };
    let decoder = zstd::stream::read::Decoder::new(File::open(from).map_err(read)?).map_err(read)?;
    let mut decoder = std::io::BufReader::new(decoder);
    let mut out = BufWriter::new(File::create(to).map_err(failed)?);
    let mut block = [0; 1 << 16];
    loop {
        let n = decoder.read(&mut block).map_err(read)?;
        if n == 0 {
            return out.flush().map_err(failed);
        }
        out.write_all(&block[..n]).map_err(failed)?;
    }
}
