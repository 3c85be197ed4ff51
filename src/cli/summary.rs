//! The outcome of a run for people: stages, judgements, gates.

use crate::report::{Align, Table, format};
use crate::store::{Record, Verdict};
use std::fmt::Write;

/// A record as text.
pub fn of(record: &Record) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "run     {}  ({}, {})", record.run, record.status.name(), record.device);
    if !record.stages.is_empty() {
        let columns = [
            ("stage", Align::Left),
            ("train loss", Align::Right),
            ("valid loss", Align::Right),
            ("tokens", Align::Right),
            ("with loss", Align::Right),
            ("tokens/s", Align::Right),
            ("time", Align::Right),
            ("", Align::Left),
        ];
        let mut table = Table::new(&columns);
        for (name, stage) in &record.stages {
            table.row([
                name.clone(),
                if stage.loss.train.is_finite() { format!("{:.4}", stage.loss.train) } else { "–".to_owned() },
                stage.loss.valid.map_or_else(|| "–".to_owned(), |v| format!("{v:.4}")),
                format::count(stage.tokens),
                format::count(stage.supervised_tokens),
                format::count(stage.tokens_per_second as u64),
                format::duration(stage.seconds),
                if stage.cached { "cached".to_owned() } else { String::new() },
            ]);
        }
        let _ = write!(out, "\n{}", table.render(None));
    }
    if !record.evals.is_empty() {
        let columns = [
            ("eval", Align::Left),
            ("stage", Align::Left),
            ("metric", Align::Left),
            ("value", Align::Right),
            ("95 % interval", Align::Left),
            ("n", Align::Right),
        ];
        let mut table = Table::new(&columns);
        for (eval, stages) in &record.evals {
            for (stage, metrics) in stages {
                for (metric, e) in metrics {
                    let interval = match (e.low, e.high) {
                        (Some(low), Some(high)) => format!("[{}, {}]", format::number(low), format::number(high)),
                        _ => String::new(),
                    };
                    table.row([
                        eval.clone(),
                        stage.clone(),
                        metric.clone(),
                        format::number(e.value),
                        interval,
                        format::count(e.n),
                    ]);
                }
            }
        }
        let _ = write!(out, "\n{}", table.render(None));
    }
    if !record.expects.is_empty() || !record.claims.is_empty() {
        out.push('\n');
    }
    for expect in &record.expects {
        let word = match expect.met {
            Some(true) => "met    ",
            Some(false) => "UNMET  ",
            None => "unknown",
        };
        let _ = writeln!(out, "expect  {word}  {}", expect.text);
    }
    for claim in &record.claims {
        let word = match claim.verdict {
            Verdict::Supported => "supported",
            Verdict::Refuted => "REFUTED",
            Verdict::Undecided => "undecided",
        };
        let _ = writeln!(out, "claim   {word}  {}: {}", claim.name, claim.text);
    }
    out
}
