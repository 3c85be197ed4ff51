//! Scores two line-aligned files: predictions and references.

use super::text::{NAMES, TextMetric};
use super::{Estimate, Scores};
use crate::diagnostics::suggest::similar;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

/// Fields in which a prediction is looked for, in order.
const PREDICTION: [&str; 7] = ["prediction", "predicted", "response", "output", "generated", "answer", "text"];
/// Fields in which references are looked for, in order.
const REFERENCE: [&str; 8] = ["references", "reference", "targets", "target", "answers", "answer", "response", "text"];

/// What two files scored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ScoreReport {
    pub schema_version: u32,
    /// Lines compared.
    pub n: u64,
    pub metrics: IndexMap<String, Estimate>,
}

/// One line, as the item-level file holds it.
#[derive(Serialize)]
struct ItemRow<'a> {
    line: u64,
    prediction: &'a str,
    references: &'a [String],
    scores: IndexMap<&'a str, f64>,
}

/// Why two files could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    #[error("`{name}` is not a metric that compares texts{}; there are {}", hint(.suggestions), NAMES.join(", "))]
    UnknownMetric { name: String, suggestions: Vec<String> },
    #[error(
        "`{0}` needs the likelihoods of a model, which two files of text do not hold; `exp logprobs` prints those of a \
         trained stage"
    )]
    NeedsModel(String),
    #[error("the metric `{0}` is asked for twice; name it once")]
    Twice(String),
    #[error("no metric was named; there are {}", NAMES.join(", "))]
    NoMetrics,
    #[error("`{path}` could not be read: {why}")]
    Read { path: String, why: std::io::Error },
    #[error("`{path}`, line {line}: {why}")]
    Line { path: String, line: u64, why: String },
    #[error(
        "the files are not aligned: `{predictions}` has {predicted} lines and `{references}` has {referred}; line n of \
         one must belong to line n of the other"
    )]
    Misaligned { predictions: String, predicted: u64, references: String, referred: u64 },
    #[error("`{0}` has no lines, so there is nothing to score")]
    Empty(String),
    #[error("the item-level scores could not be written: {0}")]
    Write(#[source] std::io::Error),
}

/// Scores `predictions` against `references`, line by line.
///
/// Either file is plain text (a line each) or, by its name or its first line, lines of JSON: a string, a list of strings
/// (references), or an object in which a field of a usual name holds them. Both may be compressed with gzip or zstd. Of
/// several references the best counts. `stem` is whether ROUGE stems words, where a name does not say. `by_item` receives
/// each line's scores as a line of JSON.
///
/// # Errors
/// When a metric is unknown, a file cannot be read, a line has no text where one is looked for, or the files have
/// different numbers of lines.
pub fn score(
    metrics: &[String],
    predictions: &Path,
    references: &Path,
    stem: bool,
    mut by_item: Option<&mut dyn Write>,
) -> Result<ScoreReport, ScoreError> {
    let mut chosen: IndexMap<&str, (TextMetric, Scores)> = IndexMap::new();
    for name in metrics {
        let metric = named(name, stem)?;
        if chosen.insert(name, (metric, metric.scores())).is_some() {
            return Err(ScoreError::Twice(name.clone()));
        }
    }
    if chosen.is_empty() {
        return Err(ScoreError::NoMetrics);
    }
    let mut predicted = Lines::open(predictions)?;
    let mut referred = Lines::open(references)?;
    let mut n = 0;
    loop {
        let (prediction, references) = match (predicted.texts(&PREDICTION)?, referred.texts(&REFERENCE)?) {
            (Some(prediction), Some(references)) => (predicted.only(prediction)?, references),
            (None, None) => break,
            _ => {
                return Err(ScoreError::Misaligned {
                    predictions: predicted.path.clone(),
                    predicted: predicted.count()?,
                    references: referred.path.clone(),
                    referred: referred.count()?,
                });
            }
        };
        n += 1;
        let mut row = ItemRow { line: n, prediction: &prediction, references: &references, scores: IndexMap::new() };
        for (name, (metric, scores)) in &mut chosen {
            let score = metric.score(&references, &prediction);
            scores.parts.push(super::Part::mean(score));
            row.scores.insert(name, score);
        }
        if let Some(out) = by_item.as_deref_mut() {
            serde_json::to_writer(&mut *out, &row).map_err(|e| ScoreError::Write(e.into()))?;
            out.write_all(b"\n").map_err(ScoreError::Write)?;
        }
    }
    if n == 0 {
        return Err(ScoreError::Empty(predicted.path));
    }
    let metrics = chosen.into_iter().map(|(name, (_, scores))| (name.to_owned(), scores.estimate(0))).collect();
    Ok(ScoreReport { schema_version: 1, n, metrics })
}

fn named(name: &str, stem: bool) -> Result<TextMetric, ScoreError> {
    if let Some(metric) = TextMetric::named(name, stem) {
        return Ok(metric);
    }
    if matches!(name, "perplexity" | "bits_per_byte" | "word_perplexity" | "preference_gap") {
        return Err(ScoreError::NeedsModel(name.into()));
    }
    // Names from other tools are answered by ours.
    let known = match name.to_lowercase().replace(['-', ' '], "_").as_str() {
        "f1" | "squad_f1" => vec!["token_f1"],
        "em" | "accuracy" | "exact" => vec!["exact_match"],
        "rouge" => vec!["rouge_1", "rouge_2", "rouge_l"],
        _ => similar(name, NAMES),
    };
    Err(ScoreError::UnknownMetric { name: name.into(), suggestions: known.into_iter().map(Into::into).collect() })
}

fn hint(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        some => format!(" (did you mean {}?)", some.iter().map(|s| format!("`{s}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// A file of lines, perhaps compressed, perhaps of JSON.
struct Lines {
    path: String,
    reader: Box<dyn BufRead>,
    json: Option<bool>,
    line: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Lines, ScoreError> {
        let shown = path.display().to_string();
        let read = |why| ScoreError::Read { path: shown.clone(), why };
        #[allow(clippy::disallowed_methods, reason = "files named on the command line are what scoring reads")]
        let mut file = BufReader::new(File::open(path).map_err(read)?);
        let start = file.fill_buf().map_err(read)?;
        // Compression is told by the first bytes, whatever the file is called.
        let reader: Box<dyn Read> = if start.starts_with(&[0x1f, 0x8b]) {
            Box::new(flate2::bufread::MultiGzDecoder::new(file))
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Box::new(zstd::Decoder::with_buffer(file).map_err(read)?)
        } else {
            Box::new(file)
        };
        let name = shown.trim_end_matches(".gz").trim_end_matches(".zst").to_lowercase();
        let json = match name.rsplit('.').next() {
            Some("jsonl" | "ndjson" | "json") => Some(true),
            Some("txt" | "text") => Some(false),
            _ => None,
        };
        Ok(Lines { path: shown, reader: Box::new(BufReader::new(reader)), json, line: 0 })
    }

    /// The next line without its end.
    fn next(&mut self) -> Result<Option<String>, ScoreError> {
        let mut bytes = Vec::new();
        let read = self.reader.read_until(b'\n', &mut bytes);
        if read.map_err(|why| ScoreError::Read { path: self.path.clone(), why })? == 0 {
            return Ok(None);
        }
        self.line += 1;
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        if self.line == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        String::from_utf8(bytes).map(Some).map_err(|_| self.fault("the line is not UTF-8; convert the file first"))
    }

    /// The texts on the next line.
    fn texts(&mut self, fields: &[&str]) -> Result<Option<Vec<String>>, ScoreError> {
        let Some(line) = self.next()? else { return Ok(None) };
        let json = *self
            .json
            .get_or_insert_with(|| matches!(serde_json::from_str(&line), Ok(Value::Object(_) | Value::Array(_))));
        if !json {
            return Ok(Some(vec![line]));
        }
        let value: Value = serde_json::from_str(&line).map_err(|e| {
            self.fault(&format!(
                "this is not JSON ({e}); each line must hold one JSON value, and a text file ends in .txt"
            ))
        })?;
        let found = match &value {
            Value::Object(object) => fields.iter().find_map(|f| object.get(*f)).ok_or_else(|| {
                let has: Vec<&str> = object.keys().map(String::as_str).take(12).collect();
                self.fault(&format!("no field is called {}; the line has {}", fields.join(", "), has.join(", ")))
            })?,
            other => other,
        };
        let texts = match found {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => items.iter().map(|i| i.as_str().map(str::to_owned)).collect(),
            // SQuAD keeps its answers one level deeper.
            Value::Object(inner) => inner
                .get("text")
                .and_then(Value::as_array)
                .and_then(|items| items.iter().map(|i| i.as_str().map(str::to_owned)).collect()),
            _ => None,
        };
        match texts {
            Some(texts) if !texts.is_empty() => Ok(Some(texts)),
            Some(_) => {
                Err(self.fault("the list of references is empty; give at least one, which may be an empty text"))
            }
            None => Err(self.fault("the value is neither a text nor a list of texts")),
        }
    }

    fn only(&self, mut texts: Vec<String>) -> Result<String, ScoreError> {
        match (texts.pop(), texts.is_empty()) {
            (Some(text), true) => Ok(text),
            _ => Err(self.fault("there are several predictions; each line must hold one")),
        }
    }

    /// How many lines the file has in all; reads the rest of it.
    fn count(&mut self) -> Result<u64, ScoreError> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = self.reader.read_until(b'\n', &mut bytes);
            if read.map_err(|why| ScoreError::Read { path: self.path.clone(), why })? == 0 {
                return Ok(self.line);
            }
            self.line += 1;
        }
    }

    fn fault(&self, why: &str) -> ScoreError {
        ScoreError::Line { path: self.path.clone(), line: self.line, why: why.to_owned() }
    }
}
