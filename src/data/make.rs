//! Makes a dataset: its splits, its removed documents and its report, in a folder.

use super::pipeline::{Context, build};
use super::record::Line;
use super::report::{Ledger, Report, SplitReport};
use super::split::ordered;
use super::{DataError, Record};
use crate::diagnostics::suggest::similar;
use crate::plan::spec::Dataset;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// The list of removed documents.
pub(super) const REMOVED: &str = "removed.jsonl.zst";
/// The report, a [`Report`] in JSON.
const REPORT: &str = "report.json";
/// The split of a dataset that has none.
const WHOLE: &str = "all";
/// Compression of what is written; 3 is zstd's usual level.
const LEVEL: i32 = 3;
/// Documents between two calls of the observer.
const STRIDE: u64 = 1_000;

/// A dataset that was made.
#[derive(Clone, PartialEq, Debug)]
pub struct Made {
    pub report: Report,
}

/// How far making a dataset has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    pub documents: u64,
    /// Bytes of text.
    pub bytes: u64,
}

/// Makes a dataset in `folder`, which must exist.
///
/// It writes `SPLIT.jsonl.zst` for each split (`all.jsonl.zst` when there is none), `removed.jsonl.zst` with each removed
/// document, its step and the reason, and `report.json`. The same expression, seed and files give the same bytes, for any
/// number of threads. Each file is flushed to disk; making the folder appear at once is the caller's part.
///
/// # Errors
/// When a source cannot be read, a rule fails, nothing is left, or the folder cannot be written.
pub fn make(
    spec: &Dataset,
    context: &Context<'_>,
    folder: &Path,
    observe: &mut dyn FnMut(Progress),
) -> Result<Made, DataError> {
    let ledger = Ledger::new(Some(create(folder, REMOVED)?));
    let mut files: BTreeMap<String, Open> = declared(spec)
        .into_iter()
        .map(|name| Ok((name.clone(), Open::new(folder, &name)?)))
        .collect::<Result<_, DataError>>()?;
    let mut progress = Progress { documents: 0, bytes: 0 };
    for record in build(spec, context, &ledger, true)? {
        let record = record?;
        progress.documents += 1;
        progress.bytes += record.bytes();
        if progress.documents.is_multiple_of(STRIDE) {
            observe(progress);
        }
        let split = record.split.as_deref().unwrap_or(WHOLE);
        if !files.contains_key(split) {
            files.insert(split.to_owned(), Open::new(folder, split)?);
        }
        if let Some(file) = files.get_mut(split) {
            file.write(record)?;
        }
    }
    observe(progress);
    let mut report = Report { schema_version: 1, steps: ledger.steps(), ..Report::default() };
    for (name, file) in files {
        report.splits.insert(name, file.finish()?);
    }
    if let Some(removed) = ledger.finish() {
        flush(removed, REMOVED)?;
    }
    if progress.documents == 0 {
        return Err(DataError::Nothing { why: why_nothing(&report) });
    }
    report.warnings = warnings(&report);
    let text = serde_json::to_vec_pretty(&report).map_err(|e| written(REPORT, e.into()))?;
    let mut file = File::create(folder.join(REPORT)).map_err(|why| written(REPORT, why))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(|why| written(REPORT, why))?;
    Ok(Made { report })
}

/// The records of a made dataset, in order.
pub struct Reader {
    parts: std::vec::IntoIter<(String, File)>,
    open: Option<(String, Lines)>,
}

type Lines = std::io::Lines<BufReader<zstd::stream::read::Decoder<'static, BufReader<File>>>>;

/// Opens a split of a dataset made in `folder`, or all of them one after the other (`train` first).
///
/// # Errors
/// When there is no such split, or the folder holds no made dataset.
pub fn open(folder: &Path, split: Option<&str>) -> Result<Reader, DataError> {
    open_named(folder, &folder.to_string_lossy(), split)
}

/// [`open`], with the name that messages give the dataset.
pub(super) fn open_named(folder: &Path, name: &str, split: Option<&str>) -> Result<Reader, DataError> {
    let report = report(folder)?;
    let names: Vec<String> = match split {
        None => ordered(report.splits.keys()).into_iter().cloned().collect(),
        Some(split) if report.splits.contains_key(split) => vec![split.to_owned()],
        Some(split) => {
            return Err(DataError::NoSplit {
                name: name.to_owned(),
                split: split.to_owned(),
                near: similar(split, report.splits.keys().map(String::as_str)).into_iter().map(str::to_owned).collect(),
                present: report.splits.keys().map(|s| format!("`{s}`")).collect::<Vec<_>>().join(", "),
            });
        }
    };
    let parts = names.into_iter().map(|name| {
        let file = file_name(&name);
        let opened = File::open(folder.join(&file)).map_err(|why| DataError::Read { file, why })?;
        Ok((name, opened))
    });
    Ok(Reader { parts: parts.collect::<Result<Vec<_>, DataError>>()?.into_iter(), open: None })
}

/// The report of a dataset made in `folder`.
///
/// # Errors
/// When it is missing or damaged.
pub fn report(folder: &Path) -> Result<Report, DataError> {
    let text = std::fs::read(folder.join(REPORT)).map_err(|why| DataError::Read { file: REPORT.into(), why })?;
    serde_json::from_slice(&text).map_err(|e| DataError::Damaged { file: REPORT.into(), why: e.to_string() })
}

impl Reader {
    fn advance(&mut self) -> Result<Option<Record>, DataError> {
        loop {
            if let Some((split, lines)) = &mut self.open {
                let damaged = |why: String| DataError::Damaged { file: file_name(split), why };
                if let Some(line) = lines.next() {
                    let line = line.map_err(|e| damaged(e.to_string()))?;
                    let line = serde_json::from_str::<Line>(&line).map_err(|e| damaged(e.to_string()))?;
                    let mut record = Record::from(line);
                    record.split = (split != WHOLE).then(|| split.as_str().into());
                    return Ok(Some(record));
                }
            }
            let Some((split, file)) = self.parts.next() else { return Ok(None) };
            let decoder = zstd::stream::read::Decoder::new(file)
                .map_err(|why| DataError::Read { file: file_name(&split), why })?;
            self.open = Some((split, BufReader::with_capacity(1 << 16, decoder).lines()));
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Record, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            (self.open, self.parts) = (None, Vec::new().into_iter());
        }
        next.transpose()
    }
}

/// A split while it is written.
struct Open {
    file: zstd::stream::write::Encoder<'static, BufWriter<File>>,
    name: String,
    report: SplitReport,
}

impl Open {
    fn new(folder: &Path, split: &str) -> Result<Open, DataError> {
        // A split's name becomes a file's name, so it must not be able to lead elsewhere.
        if split.is_empty() || !split.chars().all(|c| c.is_alphanumeric() || c == '_') || split == "removed" {
            return Err(DataError::BadNumber {
                what: "the name of a split".into(),
                wanted: "letters, digits and `_`, and not `removed`",
                found: format!("`{split}`"),
            });
        }
        let name = file_name(split);
        Ok(Open { file: create(folder, &name)?, name, report: SplitReport::default() })
    }

    fn write(&mut self, mut record: Record) -> Result<(), DataError> {
        self.report.documents += 1;
        self.report.bytes += record.bytes();
        // The file says which split it is.
        record.split = None;
        serde_json::to_writer(&mut self.file, &Line::from(record))
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|why| written(&self.name, why))
    }

    fn finish(self) -> Result<SplitReport, DataError> {
        flush(self.file.finish(), &self.name)?;
        Ok(self.report)
    }
}

/// The splits that the outermost `split` of an expression declares, so that one without documents is still there.
fn declared(spec: &Dataset) -> Vec<String> {
    match spec {
        Dataset::Split(split) => split.parts.keys().cloned().collect(),
        Dataset::Normalize(step) => declared(&step.input),
        Dataset::StripHtml(step) => declared(&step.input),
        Dataset::CollapseWhitespace(step) => declared(&step.input),
        Dataset::Keep(step) => declared(&step.input),
        Dataset::Redact(step) => declared(&step.input),
        Dataset::Dedup(step) => declared(&step.input),
        Dataset::Take(step) => declared(&step.input),
        Dataset::Shuffle(step) => declared(&step.input),
        _ => Vec::new(),
    }
}

fn why_nothing(report: &Report) -> String {
    let worst = report.steps.iter().max_by_key(|s| s.removed).filter(|s| s.removed > 0);
    match worst.and_then(|s| Some((s, s.reasons.iter().max_by_key(|(_, n)| **n)?))) {
        Some((step, (reason, count))) => {
            format!(": `{}` removed {} of them ({reason}: {count})", step.step, step.removed)
        }
        None => ": the source has none".to_owned(),
    }
}

fn warnings(report: &Report) -> Vec<String> {
    let documents: u64 = report.splits.values().map(|s| s.documents).sum();
    let why = match documents {
        1 => "the whole dataset is one document, as every file of `text` is unless it says `document = paragraph`",
        _ => "the dataset has too few documents for its share, or too few that differ: equal ones stay together",
    };
    let empty = report.splits.iter().filter(|(_, s)| s.documents == 0);
    let mut warnings: Vec<String> =
        empty.map(|(name, _)| format!("the split `{name}` has no documents; {why}")).collect();
    for step in &report.steps {
        let met = step.kept + step.removed;
        if met >= 20 && step.removed * 20 >= met * 19 {
            warnings.push(format!("`{}` removed {} of {met} documents", step.step, step.removed));
        }
    }
    warnings
}

fn file_name(split: &str) -> String {
    format!("{split}.jsonl.zst")
}

fn create(folder: &Path, name: &str) -> Result<zstd::stream::write::Encoder<'static, BufWriter<File>>, DataError> {
    let file = File::create(folder.join(name)).map_err(|why| written(name, why))?;
    zstd::stream::write::Encoder::new(BufWriter::new(file), LEVEL).map_err(|why| written(name, why))
}

fn flush(finished: std::io::Result<BufWriter<File>>, name: &str) -> Result<(), DataError> {
    finished
        .and_then(|out| out.into_inner().map_err(std::io::IntoInnerError::into_error))
        .and_then(|file| file.sync_all())
        .map_err(|why| written(name, why))
}

fn written(name: &str, why: std::io::Error) -> DataError {
    DataError::Write { file: name.to_owned(), why }
}
