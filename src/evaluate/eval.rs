//! One evaluation of one stage.

use super::{
    Aggregate, Audit, Estimate, EvaluateError, Item, Judged, Likelihood, PairRow, Part, Scores, TextMetric, likelihoods,
};
use crate::plan::spec::{Eval, Metric, Needs};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::ops::ControlFlow;

/// How an evaluation is carried out.
pub struct Options<'a> {
    /// Root of the resampling for intervals: the experiment's seed.
    pub seed: u64,
    /// Sequences given to the model at a time.
    pub batch: usize,
    /// Renders a prompt by the chat template, up to where the response begins.
    pub render: &'a dyn Fn(&str) -> Result<String, String>,
    /// Where every item is written as a line of JSON ([`Row`]).
    pub dump: Option<&'a mut dyn Write>,
    /// How many of the rows the result keeps, for reports.
    pub keep: usize,
    /// Told the number of items done after each batch; may ask to stop.
    pub watch: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
}

/// What an evaluation of one stage found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EvalResult {
    /// The metrics asked for, in order.
    pub metrics: IndexMap<String, Estimate>,
    /// Figures that came with them: word perplexity beside perplexity, the mean difference beside a gap.
    pub also: IndexMap<String, Estimate>,
    /// Every item's part in each metric, for paired comparisons.
    pub scores: IndexMap<String, Scores>,
    pub audit: Option<Audit>,
    /// Items judged.
    pub n: u64,
    /// blake3 over the items, so that two stages are compared only on the same ones.
    pub items: String,
    /// The first rows.
    pub rows: Vec<Row>,
}

/// One item of an evaluation, as the item-level file holds it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    pub index: u64,
    pub item: Item,
    /// What the model answered, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// The item's own score under each metric.
    pub scores: IndexMap<String, f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PairRow>,
}

/// Judges one stage on `items`.
///
/// Items are taken one batch at a time and not kept; what stays are a few numbers an item.
///
/// # Errors
/// When there are no items, an item is not of the kind that a metric needs, the model fails or gives a likelihood that
/// is not finite, or the item-level file cannot be written.
pub fn eval(
    spec: &Eval,
    items: &mut dyn Iterator<Item = Result<Item, String>>,
    judged: &mut dyn Judged,
    mut options: Options,
) -> Result<EvalResult, EvaluateError> {
    let mut work = Work::new(spec)?;
    let limit = spec.limit.map_or(u64::MAX, |l| u64::try_from(l).unwrap_or(0));
    let mut hasher = blake3::Hasher::new();
    let mut done = 0u64;
    loop {
        let mut batch = Vec::new();
        while batch.len() < options.batch.max(1) && done + (batch.len() as u64) < limit {
            let index = done + batch.len() as u64;
            match items.next() {
                None => break,
                Some(item) => batch.push(item.map_err(|why| EvaluateError::Read { index, why })?),
            }
        }
        if batch.is_empty() {
            break;
        }
        let rows = work.judge(batch, done, judged, &options)?;
        for row in rows {
            // The items' identity is their content in order, framed so that neighbours cannot run together.
            let bytes = serde_json::to_vec(&row.item).map_err(|e| EvaluateError::Write(e.into()))?;
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(&bytes);
            if let Some(dump) = options.dump.as_deref_mut() {
                serde_json::to_writer(&mut *dump, &row).map_err(|e| EvaluateError::Write(e.into()))?;
                dump.write_all(b"\n").map_err(EvaluateError::Write)?;
            }
            done += 1;
            if work.rows.len() < options.keep {
                work.rows.push(row);
            }
        }
        if (options.watch)(done).is_break() {
            return Err(EvaluateError::Stopped(done));
        }
    }
    if done == 0 {
        return Err(EvaluateError::NoItems);
    }
    work.finish(done, hasher.finalize().to_hex().to_string(), options.seed)
}

/// The scores while they are gathered.
struct Work<'a> {
    spec: &'a Eval,
    scores: IndexMap<String, Scores>,
    also: IndexMap<String, Scores>,
    pairs: Vec<PairRow>,
    rows: Vec<Row>,
}

impl Work<'_> {
    fn new(spec: &Eval) -> Result<Work<'_>, EvaluateError> {
        let mut scores: IndexMap<String, Scores> = IndexMap::new();
        for metric in &spec.metrics {
            if scores.insert(metric.name().to_owned(), empty(metric)).is_some() {
                return Err(EvaluateError::Twice(metric.name().into()));
            }
        }
        Ok(Work { spec, scores, also: IndexMap::new(), pairs: Vec::new(), rows: Vec::new() })
    }

    /// Scores a batch whose first item has index `first`.
    fn judge(
        &mut self,
        batch: Vec<Item>,
        first: u64,
        judged: &mut dyn Judged,
        options: &Options,
    ) -> Result<Vec<Row>, EvaluateError> {
        let needs = |wanted: Needs| self.spec.metrics.iter().find(|m| need(m) == wanted);
        let mut rows: Vec<Row> = batch
            .into_iter()
            .enumerate()
            .map(|(i, item)| Row { index: first + i as u64, item, response: None, scores: IndexMap::new(), pair: None })
            .collect();
        if let Some(metric) = needs(Needs::Text) {
            let texts: Vec<&str> = rows
                .iter()
                .map(|row| match &row.item {
                    Item::Document { text } => Ok(text.as_str()),
                    _ => Err(wrong(row, metric, "documents")),
                })
                .collect::<Result<_, _>>()?;
            let likelihoods = likelihoods(judged, &texts, options.batch, first)?;
            for (row, likelihood) in rows.iter_mut().zip(&likelihoods) {
                self.text(row, likelihood);
            }
        }
        if let Some(metric) = needs(Needs::Response) {
            self.respond(&mut rows, metric, judged, options)?;
        }
        if let Some(metric) = needs(Needs::Pairs) {
            self.compare(&mut rows, metric, judged, options.batch)?;
        }
        Ok(rows)
    }

    fn text(&mut self, row: &mut Row, likelihood: &Likelihood) {
        for metric in &self.spec.metrics {
            let part = match metric {
                Metric::Perplexity(_) => Part { numerator: -likelihood.nats, denominator: likelihood.tokens as f64 },
                Metric::BitsPerByte(_) => {
                    Part { numerator: -likelihood.nats / std::f64::consts::LN_2, denominator: likelihood.bytes as f64 }
                }
                _ => continue,
            };
            add(&mut self.scores, metric.name(), part, row);
        }
        let words = Part { numerator: -likelihood.nats, denominator: likelihood.words as f64 };
        self.also("word_perplexity", Aggregate::ExpRatio, "word_perplexity|words:whitespace|first:given-start", words);
    }

    fn respond(
        &mut self,
        rows: &mut [Row],
        metric: &Metric,
        judged: &mut dyn Judged,
        options: &Options,
    ) -> Result<(), EvaluateError> {
        let mut prompts = Vec::with_capacity(rows.len());
        for row in &*rows {
            let Item::Sample { prompt, .. } = &row.item else {
                return Err(wrong(row, metric, "samples with a prompt and a response"));
            };
            let rendered = (options.render)(prompt).map_err(|why| EvaluateError::Template { index: row.index, why })?;
            prompts.push(rendered);
        }
        let index = rows.first().map_or(0, |r| r.index);
        let responses =
            judged.respond(&prompts, &self.spec.decoding).map_err(|why| EvaluateError::Model { index, why })?;
        if responses.len() != rows.len() {
            return Err(EvaluateError::Shape { index, expected: rows.len(), got: responses.len() });
        }
        for (row, given) in rows.iter_mut().zip(responses) {
            let Item::Sample { response, .. } = &row.item else { continue };
            let references = [response.clone()];
            for metric in &self.spec.metrics {
                if let Some(text) = TextMetric::of(metric) {
                    add(&mut self.scores, metric.name(), Part::mean(text.score(&references, &given)), row);
                }
            }
            let words = given.split_whitespace().count() as f64;
            self.also("response_words", Aggregate::Ratio, "response_words|words:whitespace|mean", Part::mean(words));
            row.response = Some(given);
        }
        Ok(())
    }

    fn compare(
        &mut self,
        rows: &mut [Row],
        metric: &Metric,
        judged: &mut dyn Judged,
        batch: usize,
    ) -> Result<(), EvaluateError> {
        let mut sentences = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in &*rows {
            let Item::Pair { first, second, .. } = &row.item else {
                return Err(wrong(row, metric, "pairs of sentences"));
            };
            sentences.0.push(first.as_str());
            sentences.1.push(second.as_str());
        }
        let index = rows.first().map_or(0, |r| r.index);
        let firsts = likelihoods(judged, &sentences.0, batch, index)?;
        let seconds = likelihoods(judged, &sentences.1, batch, index)?;
        for ((row, a), b) in rows.iter_mut().zip(firsts).zip(seconds) {
            let Item::Pair { contrast, .. } = &row.item else { continue };
            let pair = PairRow {
                contrast: contrast.clone(),
                first_nats: a.nats,
                second_nats: b.nats,
                first_tokens: a.tokens,
                second_tokens: b.tokens,
            };
            add(&mut self.scores, metric.name(), Part::mean(pair.preference()), row);
            self.also(
                "absolute_difference",
                Aggregate::Ratio,
                "absolute_difference|nats|mean",
                Part::mean(pair.difference().abs()),
            );
            self.pairs.push(pair.clone());
            row.pair = Some(pair);
        }
        Ok(())
    }

    fn also(&mut self, name: &str, aggregate: Aggregate, signature: &str, part: Part) {
        let empty = || Scores { aggregate, parts: Vec::new(), signature: signature.to_owned() };
        self.also.entry(name.to_owned()).or_insert_with(empty).parts.push(part);
    }

    fn finish(self, n: u64, items: String, seed: u64) -> Result<EvalResult, EvaluateError> {
        let mut metrics = IndexMap::new();
        for (name, scores) in &self.scores {
            let estimate = scores.estimate(seed);
            if !estimate.value.is_finite() {
                return Err(EvaluateError::Empty(name.clone()));
            }
            metrics.insert(name.clone(), estimate);
        }
        let also = self.also.iter().map(|(name, scores)| (name.clone(), scores.estimate(seed)));
        let also = also.filter(|(_, estimate)| estimate.value.is_finite()).collect();
        Ok(EvalResult { metrics, also, audit: Audit::of(&self.pairs), scores: self.scores, n, items, rows: self.rows })
    }
}

/// What a metric is computed on; decided here rather than read from `metric.needs`, which a user's preset may misstate.
fn need(metric: &Metric) -> Needs {
    match metric {
        Metric::Perplexity(_) | Metric::BitsPerByte(_) => Needs::Text,
        Metric::Rouge1(_) | Metric::Rouge2(_) | Metric::RougeL(_) | Metric::TokenF1(_) | Metric::ExactMatch(_) => {
            Needs::Response
        }
        Metric::PreferenceGap(_) => Needs::Pairs,
    }
}

fn empty(metric: &Metric) -> Scores {
    let of = |aggregate, signature: &str| Scores { aggregate, parts: Vec::new(), signature: signature.into() };
    match metric {
        Metric::Perplexity(_) => {
            of(Aggregate::ExpRatio, "perplexity|per:token|first:given-start|end:uncounted|windows:rolling")
        }
        Metric::BitsPerByte(_) => {
            of(Aggregate::Ratio, "bits_per_byte|bytes:utf-8|first:given-start|end:uncounted|windows:rolling")
        }
        Metric::PreferenceGap(_) => {
            of(Aggregate::GapFromHalf, "preference_gap|after:crows-pairs|likelihood:whole-sentence|ties:half")
        }
        other => TextMetric::of(other).map_or_else(|| of(Aggregate::Ratio, other.name()), TextMetric::scores),
    }
}

fn add(scores: &mut IndexMap<String, Scores>, name: &str, part: Part, row: &mut Row) {
    if let Some(scores) = scores.get_mut(name) {
        scores.parts.push(part);
        if let Some(own) = scores.item(scores.parts.len() - 1) {
            row.scores.insert(name.to_owned(), own);
        }
    }
}

fn wrong(row: &Row, metric: &Metric, needs: &'static str) -> EvaluateError {
    EvaluateError::WrongItem { index: row.index, kind: row.item.kind(), metric: metric.name().into(), needs }
}
