//! What became of every document.

use super::record::Line;
use super::{DataError, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What making a dataset did. It is written as `report.json`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub schema_version: u32,
    pub splits: BTreeMap<String, SplitReport>,
    /// The steps in the order in which documents pass them.
    pub steps: Vec<StepReport>,
    /// What is probably not meant: a split without documents, a step that removed nearly everything.
    pub warnings: Vec<String>,
}

/// One split of a made dataset.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SplitReport {
    /// Documents, samples, preferences or pairs.
    pub documents: u64,
    /// Bytes of text.
    pub bytes: u64,
}

/// One step of a dataset.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StepReport {
    /// The step as the language names it: `keep`.
    pub step: String,
    /// Documents that came out, and their bytes of text.
    pub kept: u64,
    pub bytes: u64,
    pub removed: u64,
    /// Documents whose text the step changed.
    pub changed: u64,
    /// Removed documents by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Further figures of the step, such as how many e-mail addresses were replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, u64>,
}

/// A removed document as a line of `removed.jsonl.zst`.
#[derive(Serialize)]
struct Removed<'a> {
    step: usize,
    name: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    because_of: Option<&'a str>,
    #[serde(flatten)]
    record: Line,
}

/// Where removed documents are written.
pub(super) type RemovedFile = zstd::stream::write::Encoder<'static, BufWriter<File>>;

/// The account that all the steps of a dataset keep together.
#[derive(Clone)]
pub(super) struct Ledger(Arc<Mutex<Inner>>);

struct Inner {
    steps: Vec<StepReport>,
    removed: Option<RemovedFile>,
}

impl Ledger {
    /// A new account; removed documents are written to `removed` if there is one.
    pub fn new(removed: Option<RemovedFile>) -> Ledger {
        Ledger(Arc::new(Mutex::new(Inner { steps: Vec::new(), removed })))
    }

    /// Opens the account of a step and gives its number.
    pub fn step(&self, name: &str) -> usize {
        self.with(|inner| {
            inner.steps.push(StepReport { step: name.to_owned(), ..StepReport::default() });
            inner.steps.len() - 1
        })
    }

    /// Counts a document that passed a step with so many bytes of text.
    pub fn kept(&self, step: usize, bytes: u64, changed: bool) {
        self.with(|inner| {
            if let Some(step) = inner.steps.get_mut(step) {
                step.kept += 1;
                step.bytes += bytes;
                step.changed += u64::from(changed);
            }
        });
    }

    /// Counts a removed document and writes it to the list.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn removed(
        &self,
        step: usize,
        record: Record,
        reason: &str,
        because_of: Option<&str>,
    ) -> Result<(), DataError> {
        self.with(|inner| {
            let Inner { steps, removed } = inner;
            let Some(account) = steps.get_mut(step) else { return Ok(()) };
            account.removed += 1;
            *account.reasons.entry(reason.to_owned()).or_default() += 1;
            let Some(out) = removed else { return Ok(()) };
            let line = Removed { step: step + 1, name: &account.step, reason, because_of, record: record.into() };
            let written = serde_json::to_writer(&mut *out, &line).map_err(std::io::Error::from);
            written
                .and_then(|()| out.write_all(b"\n"))
                .map_err(|why| DataError::Write { file: super::make::REMOVED.to_owned(), why })
        })
    }

    pub fn detail(&self, step: usize, name: &str, count: u64) {
        self.with(|inner| {
            if let Some(step) = inner.steps.get_mut(step) {
                *step.details.entry(name.to_owned()).or_default() += count;
            }
        });
    }

    /// Ends the list of removed documents and gives its file.
    pub fn finish(&self) -> Option<std::io::Result<BufWriter<File>>> {
        self.with(|inner| inner.removed.take().map(RemovedFile::finish))
    }

    pub fn steps(&self) -> Vec<StepReport> {
        self.with(|inner| inner.steps.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        // The account is a set of counters, so it stays meaningful even if a thread panicked while holding it.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
