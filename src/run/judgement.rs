//! Evaluations: each stage judged once, and kept.

use super::making::data_name;
use super::stage::WEIGHTS;
use super::{Failure, Model, Walk};
use crate::data::Record;
use crate::evaluate::{self, EvalResult, Item, Options};
use crate::plan::spec::Dataset;
use crate::plan::{self, PlannedCell, PlannedEval};
use crate::store::{Claim, Draft, Estimate, Event, Object, ObjectKind};
use crate::tokenizer::Chat;
use indexmap::IndexMap;
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::time::Instant;

/// File of an evaluation's object: an [`EvalResult`].
pub const RESULT: &str = "result.json";
/// File of an evaluation's object: every item with its scores, one a line.
pub const ITEMS: &str = "items.jsonl";
/// Rows kept for the report.
const ROWS: usize = 8;

impl Walk<'_> {
    pub(super) fn eval(&mut self, planned: &PlannedEval) -> Result<(), Failure> {
        for cell in &planned.cells {
            self.cell(planned, cell)?;
        }
        Ok(())
    }

    /// Whether there is anything to judge on, asked before anything is trained.
    pub(super) fn look(&self, planned: &PlannedEval) -> Result<(), Failure> {
        match self.records(&planned.spec.on)?.next() {
            Some(_) => Ok(()),
            None => Err(Failure::Empty { data: data_name(&planned.spec.on) }),
        }
    }

    fn cell(&mut self, planned: &PlannedEval, cell: &PlannedCell) -> Result<(), Failure> {
        self.stopped()?;
        let hash = self.hash_of(&planned.name, &cell.hash)?;
        let started = Instant::now();
        let label = format!("{} of {}", planned.name, cell.stage);
        let (object, cached) = match self.claim(ObjectKind::Eval, &hash, &label)? {
            Claim::Ready(object) => (object, true),
            Claim::Build(draft) => (self.judge(planned, cell, draft)?, false),
        };
        self.used(ObjectKind::Eval, &hash, cached)?;
        let result = read(&object).map_err(|why| Failure::Judge {
            eval: planned.name.clone(),
            stage: cell.stage.clone(),
            why,
        })?;
        let mut metrics: IndexMap<String, Estimate> =
            result.metrics.iter().map(|(n, e)| (n.clone(), estimate(e))).collect();
        metrics.extend(by_contrast(&result));
        self.tell(Event::EvalFinished {
            eval: planned.name.clone(),
            stage: cell.stage.clone(),
            hash,
            cached,
            metrics: metrics.clone(),
            seconds: started.elapsed().as_secs_f64(),
        })?;
        self.measured.eval(&planned.name, &cell.stage, &result);
        self.record.evals.entry(planned.name.clone()).or_default().insert(cell.stage.clone(), metrics);
        Ok(())
    }

    /// How many items an evaluation will judge.
    fn items_of(&self, planned: &PlannedEval) -> u64 {
        let Dataset::Named(named) = &planned.spec.on else { return 0 };
        let Some(folder) = self.datasets.get(&named.dataset.name) else { return 0 };
        let Ok(report) = crate::data::report(folder) else { return 0 };
        let wanted = |name: &String| named.dataset.split.as_ref().is_none_or(|split| split == name);
        let there = report.splits.iter().filter(|(name, _)| wanted(name)).map(|(_, split)| split.documents).sum();
        planned.spec.limit.and_then(|l| u64::try_from(l).ok()).map_or(there, |limit| limit.min(there))
    }

    fn judge(&mut self, planned: &PlannedEval, cell: &PlannedCell, draft: Draft) -> Result<Object, Failure> {
        let failed = |why: String| Failure::Judge { eval: planned.name.clone(), stage: cell.stage.clone(), why };
        let plan = self.plan;
        let Some(stage) = plan.stages.iter().find(|s| s.name == cell.stage) else {
            return Err(failed(format!("there is no stage `{}` in this plan", cell.stage)));
        };
        // A stage that was never tuned has no template, and goes on from the bare prompt.
        let template = planned.spec.template.as_ref().or_else(|| plan.template_of(&stage.name));
        let items = self.items_of(planned);
        self.tell(Event::EvalStarted { eval: planned.name.clone(), stage: cell.stage.clone(), items })?;
        let Some(trained) = self.tokenizers.get(&stage.tokenizer) else {
            return Err(failed(format!("tokenizer `{}` has not been made", stage.tokenizer)));
        };
        let Some(weights) = self.stages.get(&stage.name) else {
            return Err(failed(format!("stage `{}` has not run", stage.name)));
        };
        let chat = match template {
            Some(template) => Some(Chat::of(template, &trained.tokenizer).map_err(|e| failed(e.to_string()))?),
            None => None,
        };
        let rendering = match template {
            Some(template) => Some(Chat::of(template, &trained.tokenizer).map_err(|e| failed(e.to_string()))?),
            None => None,
        };
        let mut model = Model::load(&stage.model, &weights.file(WEIGHTS)?, &trained.tokenizer, chat, self.bench.device)
            .map_err(|why| Failure::Model { name: stage.name.clone(), why })?;
        let records = self.records(&planned.spec.on)?;
        let mut items = records.map(|r| r.map(item).map_err(|e| e.to_string()));
        let file = std::fs::File::create(draft.files().join(ITEMS))
            .map_err(|e| failed(format!("cannot write the items: {e}")))?;
        let mut file = BufWriter::new(file);
        let stop = self.bench.stop;
        let render = |prompt: &str| match &rendering {
            Some(chat) => {
                let pieces = chat.prompt(prompt).map_err(|e| e.to_string())?;
                Ok(pieces.into_iter().map(|p| p.text).collect())
            }
            None => Ok(prompt.to_owned()),
        };
        // The seed that the cell's hash holds: the experiment's with the decoding's.
        let seed = plan.seed(planned.spec.decoding.seed);
        let mut spec = planned.spec.clone();
        spec.decoding.seed = i64::from_ne_bytes(seed.to_ne_bytes());
        let result = evaluate::eval(
            &spec,
            &mut items,
            &mut model,
            Options {
                seed,
                batch: plan::JUDGED_AT_ONCE,
                render: &render,
                dump: Some(&mut file),
                keep: ROWS,
                watch: &mut |_| if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) },
            },
        );
        if stop.asked() {
            return Err(Failure::Stopped);
        }
        let result =
            result.map_err(|why| Failure::Eval { eval: planned.name.clone(), stage: cell.stage.clone(), why })?;
        let (tokens, unknown) = model.unknown();
        if unknown > 0 {
            self.tell(Event::warning(format!(
                "`{}` of `{}`: {unknown} of {tokens} tokens are characters that tokenizer `{}` does not know; a perplexity \
                 or bits per byte over them cannot be compared with those of a tokenizer that writes them out",
                planned.name, cell.stage, stage.tokenizer
            )))?;
        }
        std::io::Write::flush(&mut file).map_err(|e| failed(format!("cannot write the items: {e}")))?;
        drop(file);
        let json = serde_json::to_vec(&result).map_err(|e| failed(e.to_string()))?;
        std::fs::write(draft.files().join(RESULT), json).map_err(|e| failed(format!("cannot keep the result: {e}")))?;
        let facts = serde_json::json!({ "on": data_name(&planned.spec.on), "n": result.n });
        Ok(draft.finish(facts)?)
    }
}

/// The gap of each contrast of an audit that has several: leanings in opposite directions cancel in the whole.
fn by_contrast(result: &EvalResult) -> IndexMap<String, Estimate> {
    let Some(audit) = result.audit.as_ref().filter(|audit| audit.contrasts.len() > 1) else { return IndexMap::new() };
    let row = |row: &evaluate::ContrastRow| {
        // The interval of a share, seen from one half.
        let away = |share: f64| (share - 0.5).abs();
        let low = if row.low <= 0.5 && row.high >= 0.5 { 0.0 } else { away(row.low).min(away(row.high)) };
        let high = away(row.low).max(away(row.high));
        let name = format!("preference_gap of {}", row.contrast);
        (name, Estimate { value: row.gap, low: Some(low), high: Some(high), n: row.pairs })
    };
    audit.contrasts.iter().map(row).collect()
}

/// The result that an evaluation's object holds.
pub(super) fn read(object: &Object) -> Result<EvalResult, String> {
    let file = object.file(RESULT).map_err(|e| e.to_string())?;
    let text = std::fs::read(file).map_err(|e| e.to_string())?;
    serde_json::from_slice(&text).map_err(|e| format!("its result is damaged: {e}"))
}

fn item(record: Record) -> Item {
    match (record.pair, record.prompt, record.response) {
        (Some(pair), ..) => Item::Pair { first: pair.first, second: pair.second, contrast: pair.contrast },
        (None, Some(prompt), Some(response)) => Item::Sample { prompt, response },
        _ => Item::Document { text: record.text },
    }
}

/// An estimate as a record keeps it.
pub(super) fn estimate(e: &evaluate::Estimate) -> Estimate {
    Estimate { value: e.value, low: e.low, high: e.high, n: e.n }
}
