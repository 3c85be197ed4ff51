//! A dataset expression as a stream of records.

use super::report::Ledger;
use super::{
    DataError, Record, clean, dedup, fields, grammar, html, jsonl, make, mix, pairs, redact, rule, shuffle, split, text,
};
use crate::plan::spec::{Dataset, Lambda, NormalForm, Personal, Ref};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Records in order, up to the first error.
pub type Records<'a> = Box<dyn Iterator<Item = Result<Record, DataError>> + Send + 'a>;

/// What a dataset is made with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The experiment's seed.
    pub seed: u64,
    /// The experiment's folder: patterns are relative to it, and records name their files so.
    pub base: &'a Path,
    /// A folder for temporary files.
    pub scratch: &'a Path,
    /// The folder where another dataset was made (see [`super::make`]), or why there is none.
    pub named: &'a (dyn Fn(&Ref) -> Result<PathBuf, String> + Sync),
    /// Set to stop at the next document.
    pub stop: Option<&'a AtomicBool>,
}

/// The records of a dataset, each with its split if the dataset has any. What steps remove is left out.
///
/// # Errors
/// At once, when a part of the expression cannot work; while reading, when a source or a rule fails.
pub fn stream<'a>(spec: &'a Dataset, context: &Context<'a>) -> Result<Records<'a>, DataError> {
    build(spec, context, &Ledger::new(None), true)
}

/// The records of a dataset, with an account in `ledger`. `block` allows steps to read ahead and work on many records at
/// once; below a `take` they do not, so that the account is exact.
pub(super) fn build<'a>(
    spec: &'a Dataset,
    context: &Context<'a>,
    ledger: &Ledger,
    block: bool,
) -> Result<Records<'a>, DataError> {
    let mut steps = Vec::new();
    let mut below = spec;
    while let Some((step, input)) = each(below) {
        steps.push(step);
        below = input;
    }
    if !steps.is_empty() {
        let input = build(below, context, ledger, block)?;
        let steps = steps.into_iter().rev().map(|step| (ledger.step(step.name()), step)).collect();
        let blocks = if block { BLOCK } else { 1 };
        return Ok(Box::new(Steps {
            input,
            steps,
            ledger: ledger.clone(),
            blocks,
            ready: Vec::new().into_iter(),
            failed: None,
        }));
    }
    let scratch = || context.scratch.to_path_buf();
    match spec {
        Dataset::Text(source) => Ok(counted(text::read(source, context.base)?, "text", context, ledger)),
        Dataset::Jsonl(source) => Ok(counted(jsonl::read(source, context.base)?, "jsonl", context, ledger)),
        Dataset::Preferences(source) => {
            Ok(counted(jsonl::read_preferences(source, context.base)?, "preferences", context, ledger))
        }
        Dataset::Grammar(source) => Ok(counted(grammar::read(source, context.seed)?, "grammar", context, ledger)),
        Dataset::Pairs(source) => Ok(counted(pairs::read(source)?, "pairs", context, ledger)),
        Dataset::Named(named) => {
            let name = &named.dataset.name;
            let folder = (context.named)(&named.dataset).map_err(|why| DataError::Named { name: name.clone(), why })?;
            let reader = make::open_named(&folder, name, named.dataset.split.as_deref())?;
            let whole = named.dataset.split.is_none();
            let records = reader.map(move |record| {
                record.map(|mut record| {
                    // One split of a dataset is a plain dataset, which may be split again.
                    record.split = record.split.filter(|_| whole);
                    record
                })
            });
            Ok(counted(Box::new(records), name, context, ledger))
        }
        Dataset::Dedup(step) => {
            let input = build(&step.input, context, ledger, block)?;
            let number = ledger.step("dedup");
            match step.near {
                None => Ok(dedup::exact(input, ledger.clone(), number)),
                Some(threshold) => dedup::near(input, threshold, block, context.scratch, ledger.clone(), number),
            }
        }
        Dataset::Take(step) => {
            let documents =
                u64::try_from(step.documents).ok().filter(|n| *n > 0).ok_or_else(|| DataError::BadNumber {
                    what: "the number of documents of `take`".into(),
                    wanted: "at least 1",
                    found: step.documents.to_string(),
                })?;
            let input = build(&step.input, context, ledger, false)?;
            let taken = Box::new(input.take(usize::try_from(documents).unwrap_or(usize::MAX)));
            Ok(counted(taken, "take", context, ledger))
        }
        Dataset::Shuffle(step) => {
            let input = build(&step.input, context, ledger, block)?;
            let seed = context.seed.wrapping_add(step.seed as u64);
            Ok(counted(shuffle::shuffle(input, seed, scratch()), "shuffle", context, ledger))
        }
        Dataset::Mix(step) => {
            let mut parts = Vec::new();
            for part in &step.parts {
                parts.push((build(&part.data, context, ledger, false)?, part.weight));
            }
            let number = ledger.step("mix");
            let mixed = mix::mix(parts, ledger.clone(), number)?;
            Ok(counted_as(mixed, number, context, ledger))
        }
        Dataset::Split(step) => {
            let input = build(&step.input, context, ledger, block)?;
            Ok(counted(split::split(step, input, context.seed, scratch())?, "split", context, ledger))
        }
        // The others are steps over single records, which the loop above has taken.
        Dataset::Normalize(_)
        | Dataset::StripHtml(_)
        | Dataset::CollapseWhitespace(_)
        | Dataset::Keep(_)
        | Dataset::Redact(_) => Ok(Box::new(std::iter::empty())),
    }
}

/// Opens the account of a step that removes nothing and counts what it gives.
fn counted<'a>(records: Records<'a>, name: &str, context: &Context<'a>, ledger: &Ledger) -> Records<'a> {
    let number = ledger.step(name);
    counted_as(records, number, context, ledger)
}

fn counted_as<'a>(records: Records<'a>, number: usize, context: &Context<'a>, ledger: &Ledger) -> Records<'a> {
    let (ledger, stop) = (ledger.clone(), context.stop);
    Box::new(records.map(move |record| {
        if stop.is_some_and(|s| s.load(Ordering::Relaxed)) {
            return Err(DataError::Stopped);
        }
        let record = record?;
        ledger.kept(number, record.bytes(), false);
        Ok(record)
    }))
}

/// Records worked on at once, and the bytes of text from which fewer are.
const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = 4 << 20;

/// A step that looks at one record at a time.
enum Step<'a> {
    Normalize(NormalForm),
    StripHtml,
    Collapse,
    /// The rule, and the reason that a document it does not hold for is removed.
    Keep(&'a Lambda, String),
    Redact(&'a [Personal]),
}

impl Step<'_> {
    fn name(&self) -> &'static str {
        match self {
            Step::Normalize(_) => "normalize",
            Step::StripHtml => "strip_html",
            Step::Collapse => "collapse_whitespace",
            Step::Keep(..) => "keep",
            Step::Redact(_) => "redact",
        }
    }
}

/// The step and its input, if the expression is a step over single records.
fn each(spec: &Dataset) -> Option<(Step<'_>, &Dataset)> {
    Some(match spec {
        Dataset::Normalize(step) => (Step::Normalize(step.form), &step.input),
        Dataset::StripHtml(step) => (Step::StripHtml, &step.input),
        Dataset::CollapseWhitespace(step) => (Step::Collapse, &step.input),
        Dataset::Keep(step) => {
            let reason =
                step.because.clone().unwrap_or_else(|| format!("does not hold: {}", rule::shown(&step.rule.body)));
            (Step::Keep(&step.rule, reason), &step.input)
        }
        Dataset::Redact(step) => (Step::Redact(&step.kinds), &step.input),
        _ => return None,
    })
}

/// A run of steps over single records, done for a block of records at once and accounted in order.
struct Steps<'a> {
    input: Records<'a>,
    steps: Vec<(usize, Step<'a>)>,
    ledger: Ledger,
    blocks: usize,
    ready: std::vec::IntoIter<Outcome>,
    failed: Option<DataError>,
}

/// How one record fared.
struct Outcome {
    record: Record,
    /// For each step passed: the bytes of text after it, whether it changed the text, and how often.
    passed: Vec<(u64, bool, usize)>,
    end: End,
}

enum End {
    Kept,
    /// The number of the step that removed it is the number of those passed.
    Removed(String),
    Failed(DataError),
}

impl Iterator for Steps<'_> {
    type Item = Result<Record, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(outcome) = self.ready.next() {
                match self.account(outcome) {
                    Ok(None) => continue,
                    Ok(Some(record)) => return Some(Ok(record)),
                    Err(error) => return Some(Err(error)),
                }
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            let (mut block, mut bytes) = (Vec::new(), 0);
            while block.len() < self.blocks && bytes < BLOCK_BYTES {
                match self.input.next() {
                    Some(Ok(record)) => {
                        bytes += record.bytes();
                        block.push(record);
                    }
                    Some(Err(error)) => {
                        self.failed = Some(error);
                        break;
                    }
                    None => break,
                }
            }
            if block.is_empty() && self.failed.is_none() {
                return None;
            }
            let steps = &self.steps;
            let outcomes: Vec<_> = if block.len() == 1 {
                block.into_iter().map(|record| apply(steps, record)).collect()
            } else {
                block.into_par_iter().map(|record| apply(steps, record)).collect()
            };
            self.ready = outcomes.into_iter();
        }
    }
}

impl Steps<'_> {
    fn account(&self, outcome: Outcome) -> Result<Option<Record>, DataError> {
        let mut steps = self.steps.iter();
        for ((bytes, changed, count), (number, step)) in outcome.passed.iter().zip(&mut steps) {
            self.ledger.kept(*number, *bytes, *changed);
            if matches!(step, Step::Redact(_)) && *count > 0 {
                self.ledger.detail(*number, "replaced", *count as u64);
            }
        }
        match outcome.end {
            End::Kept => Ok(Some(outcome.record)),
            End::Failed(error) => Err(error),
            End::Removed(reason) => {
                if let Some((number, _)) = steps.next() {
                    self.ledger.removed(*number, outcome.record, &reason, None)?;
                }
                Ok(None)
            }
        }
    }
}

fn apply(steps: &[(usize, Step<'_>)], mut record: Record) -> Outcome {
    let mut passed = Vec::with_capacity(steps.len());
    for (_, step) in steps {
        let mut count = 0;
        let changed = match step {
            Step::Normalize(form) => record.rewrite(|t| clean::normalize(t, *form)),
            Step::StripHtml => record.rewrite(html::strip),
            Step::Collapse => record.rewrite(clean::collapse),
            Step::Redact(kinds) => {
                let total = std::cell::Cell::new(0);
                let changed = record.rewrite(|t| {
                    redact::redact(t, kinds).map(|(new, n)| {
                        total.set(total.get() + n);
                        new
                    })
                });
                count = total.get();
                changed
            }
            Step::Keep(rule, because) => {
                match rule.body.eval(&fields::Document(&record)).and_then(|value| value.truth()) {
                    Ok(true) => false,
                    Ok(false) => {
                        return Outcome { record, passed, end: End::Removed(because.clone()) };
                    }
                    Err(why) => {
                        let place = record.source.clone();
                        return Outcome { record, passed, end: End::Failed(DataError::Rule { place, why }) };
                    }
                }
            }
        };
        passed.push((record.bytes(), changed, count));
    }
    Outcome { record, passed, end: End::Kept }
}
