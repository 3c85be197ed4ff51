//! `exp score`: metrics over two files.
#![allow(clippy::disallowed_methods, reason = "this verb reads and writes the files that the command line names")]

use super::{Exit, Failure, Screen};
use crate::evaluate;
use crate::report::{Align, Table, format};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Metrics, by the names that evaluations use: `rouge_l`, `token_f1`, `exact_match`.
    #[arg(value_name = "METRIC", required = true)]
    pub metrics: Vec<String>,
    /// What was answered: a text file, one item a line, or jsonl.
    #[arg(long, value_name = "FILE")]
    pub predictions: PathBuf,
    /// What should have been answered, in the same order.
    #[arg(long, value_name = "FILE")]
    pub references: PathBuf,
    /// Whether ROUGE reduces words to their stems first, as evaluations do; `rouge_l:stem` and `rouge_l:plain` say it for one
    /// metric.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub stem: bool,
    /// Write each item's values here.
    #[arg(long, value_name = "FILE")]
    pub by_item: Option<PathBuf>,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("score")?;
    let mut file = match &args.by_item {
        Some(path) => {
            let made = std::fs::File::create(path);
            let failed = |e: std::io::Error| Failure::Write { path: path.display().to_string(), cause: e.to_string() };
            Some(BufWriter::new(made.map_err(failed)?))
        }
        None => None,
    };
    let by_item = file.as_mut().map(|f| f as &mut dyn Write);
    let report = evaluate::score(&args.metrics, &args.predictions, &args.references, args.stem, by_item)
        .map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
    if let (Some(mut file), Some(path)) = (file, &args.by_item) {
        file.flush().map_err(|e| Failure::Write { path: path.display().to_string(), cause: e.to_string() })?;
    }
    if screen.is_json() {
        screen.document(&serde_json::to_value(&report).unwrap_or_default());
        return Ok(Exit::Done);
    }
    let columns = [
        ("metric", Align::Left),
        ("value", Align::Right),
        ("95 % interval", Align::Left),
        ("n", Align::Right),
        ("signature", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for (name, e) in &report.metrics {
        let interval = match (e.low, e.high) {
            (Some(low), Some(high)) => format!("[{}, {}]", format::number(low), format::number(high)),
            _ => String::new(),
        };
        table.row([name.clone(), format::number(e.value), interval, format::count(e.n), e.signature.clone()]);
    }
    screen.result(&table.render(None));
    Ok(Exit::Done)
}
