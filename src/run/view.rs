//! A run as the report shows it, gathered from its folder and from the objects it used.

use super::gates::{VERDICTS, Verdicts};
use super::judgement;
use super::making::data_name;
use super::samples::{SAMPLES, Sample};
use super::stage::{CURVE, StageFacts};
use crate::data;
use crate::plan::{Plan, PlannedStage};
use crate::report::{
    ClaimView, Curve, DatasetView, DeviceView, EvalView, ExpectView, FactView, Pair, RunView, SampleView, SourceView,
    SplitView, StageView, StepView, TokenizerView,
};
use crate::store::{self, Check, Event, Lab, Line, Object, ObjectKind, RunFolder, StoreError};

/// Everything the report shows of a run. `sources` are the experiment's files, when they are at hand.
///
/// # Errors
/// When the run's folder cannot be read. Objects that are gone leave their part of the report out.
pub fn view(lab: &Lab, folder: &RunFolder, sources: Vec<SourceView>) -> Result<RunView, StoreError> {
    let plan = folder.plan()?;
    let record = folder.current_record()?;
    let environment = folder.environment()?;
    let lines = folder.read_events()?;
    let curves = folder.curves()?;
    let verdicts: Verdicts = std::fs::read(folder.path.join(VERDICTS))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let object = |kind, hash: Option<&String>| -> Option<Object> { lab.find(kind, hash?, Check::Sizes).ok().flatten() };
    let mut run = RunView {
        experiment: plan.name.clone(),
        description: plan.experiment.description.clone(),
        authors: plan.experiment.authors.clone(),
        license: plan.experiment.license.clone(),
        run: folder.id.clone(),
        plan_hash: record.plan_hash.clone(),
        status: status(&record),
        started: lines.first().map(|l| l.at.clone()),
        seconds: lines.iter().rev().find_map(|l| match &l.event {
            Event::RunFinished { seconds, .. } => Some(*seconds),
            _ => None,
        }),
        failure: lines
            .iter()
            .rev()
            .find_map(|l| match &l.event {
                Event::RunFinished { why, .. } => Some(why.clone()),
                _ => None,
            })
            .flatten(),
        seed: Some(plan.experiment.seed),
        device: DeviceView {
            backend: record.device.backend.clone(),
            adapter: record.device.adapter.clone(),
            driver: record.device.driver.clone(),
            dtype: record.device.dtype.clone(),
        },
        versions: vec![
            pair("Emberlab", &environment.version),
            pair("language edition", &environment.language.to_string()),
            pair("system", &format!("{} {}", environment.os, environment.arch)),
            pair("processor", &format!("{}, {} threads", environment.cpu, environment.threads)),
        ],
        sources,
        ..RunView::default()
    };
    for planned in &plan.datasets {
        if let Some(object) = object(ObjectKind::Dataset, planned.hash.value()) {
            run.datasets.extend(dataset(&planned.name, &object));
        }
    }
    for planned in &plan.tokenizers {
        if let Some(object) = object(ObjectKind::Tokenizer, planned.hash.value()) {
            run.tokenizers.push(tokenizer(planned, &object));
        }
    }
    for planned in &plan.stages {
        let found = object(ObjectKind::Stage, planned.hash.value());
        let curve = curves.get(&planned.name).cloned();
        run.stages.push(stage(planned, &record, found.as_ref(), curve));
    }
    for eval in &plan.evals {
        for cell in &eval.cells {
            let Some(object) = object(ObjectKind::Eval, cell.hash.value()) else { continue };
            let Ok(result) = judgement::read(&object) else { continue };
            let better = |metric: &str| {
                let found = eval.spec.metrics.iter().find(|m| m.name() == metric);
                match found.map(|m| m.common().better) {
                    Some(crate::plan::spec::Better::Higher) => "higher".to_owned(),
                    Some(crate::plan::spec::Better::Lower) => "lower".to_owned(),
                    None => String::new(),
                }
            };
            run.evals.push(EvalView::of(&eval.name, &cell.stage, &data_name(&eval.spec.on), &result, better));
        }
    }
    run.expects = verdicts.expects.iter().map(ExpectView::from).collect();
    run.claims = verdicts.claims.iter().map(ClaimView::from).collect();
    run.facts = facts(&plan);
    notices(&lines, &mut run);
    Ok(run)
}

/// The curves of a run; a stage that it found in the store brings its own.
///
/// # Errors
/// When the run's folder cannot be read.
pub fn curves(lab: &Lab, folder: &RunFolder) -> Result<indexmap::IndexMap<String, store::Curve>, StoreError> {
    let mut curves = folder.curves()?;
    for planned in &folder.plan()?.stages {
        let logged = curves.get(&planned.name).is_some_and(|c| !c.steps.is_empty());
        let Some(hash) = planned.hash.value().filter(|_| !logged) else { continue };
        let Some(object) = lab.find(ObjectKind::Stage, hash, Check::Sizes)? else { continue };
        let text = object.file(CURVE).ok().and_then(|path| std::fs::read(path).ok());
        if let Some(curve) = text.and_then(|text| serde_json::from_slice(&text).ok()) {
            curves.insert(planned.name.clone(), curve);
        }
    }
    Ok(curves)
}

fn status(record: &store::Record) -> crate::report::Status {
    match record.status {
        store::Status::Running => crate::report::Status::Running,
        store::Status::Done if record.misses_a_gate() => crate::report::Status::Unmet,
        store::Status::Done => crate::report::Status::Done,
        store::Status::Stopped => crate::report::Status::Stopped,
        store::Status::Failed => crate::report::Status::Failed,
    }
}

fn dataset(name: &str, object: &Object) -> Option<DatasetView> {
    let report = data::report(&object.path).ok()?;
    let splits = report.splits.iter().map(|(name, s)| SplitView {
        name: name.clone(),
        documents: s.documents,
        bytes: s.bytes,
        tokens: None,
    });
    let steps = report.steps.iter().map(|s| StepView {
        step: s.step.clone(),
        kept: s.kept,
        removed: s.removed,
        reasons: s.reasons.iter().map(|(reason, count)| (reason.clone(), *count)).collect(),
    });
    Some(DatasetView {
        name: name.to_owned(),
        hash: object.manifest.hash.clone(),
        splits: splits.collect(),
        steps: steps.collect(),
    })
}

fn tokenizer(planned: &crate::plan::PlannedTokenizer, object: &Object) -> TokenizerView {
    let facts = &object.manifest.facts;
    let figures = facts.get("figures").and_then(|f| f.as_object());
    let kind = serde_json::to_value(&planned.spec).ok();
    let kind = kind.as_ref().and_then(|k| k.get("is")).and_then(|k| k.as_str()).unwrap_or_default();
    TokenizerView {
        name: planned.name.clone(),
        kind: kind.to_owned(),
        vocabulary: facts.get("vocab").and_then(serde_json::Value::as_u64).unwrap_or(0),
        figures: figures
            .into_iter()
            .flatten()
            .filter(|(_, value)| value.is_number())
            .map(|(name, value)| pair(&name.replace('_', " "), &figure(value)))
            .collect(),
        example: Vec::new(),
    }
}

fn figure(value: &serde_json::Value) -> String {
    match (value.as_u64(), value.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(x)) => format!("{x:.3}"),
        _ => value.to_string(),
    }
}

fn stage(
    planned: &PlannedStage,
    record: &store::Record,
    object: Option<&Object>,
    curve: Option<store::Curve>,
) -> StageView {
    let facts = object.and_then(|o| serde_json::from_value::<StageFacts>(o.manifest.facts.clone()).ok());
    let read = |name: &str| object.and_then(|o| o.file(name).ok()).and_then(|p| std::fs::read(p).ok());
    // A stage that was found in the store has its curve there; one that trained in this run has it among the events.
    let curve = curve
        .filter(|c| !c.steps.is_empty())
        .or_else(|| read(CURVE).and_then(|text| serde_json::from_slice(&text).ok()))
        .unwrap_or_default();
    let samples: Vec<Sample> = read(SAMPLES).and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let of = |pick: fn(&store::StepPoint) -> f64| Curve::of(curve.steps.iter().map(|p| (p.step as f64, pick(p))));
    let result = record.stages.get(&planned.name);
    let mut more = vec![pair("budget", &planned.estimate.derivation)];
    if let Some(facts) = &facts {
        more.push(pair("weights", &facts.weights_hash));
        if !facts.data_order.is_empty() {
            more.push(pair("data order", &facts.data_order));
        }
        more.push(pair("device", &facts.device));
        if let Some(experts) = &facts.experts {
            let busiest = format!("{:.1} % of the tokens of its block", 100.0 * experts.busiest);
            more.push(pair("balance loss of experts", &format!("{:.5}", experts.balance_loss)));
            more.push(pair("busiest expert", &busiest));
        }
    }
    StageView {
        name: planned.name.clone(),
        kind: planned.spec.kind().to_owned(),
        model: planned.model_name.clone(),
        hash: planned.hash.value().cloned().unwrap_or_default(),
        cached: result.is_some_and(|r| r.cached),
        status: result.is_none().then(|| "not finished".to_owned()),
        parameters: facts.as_ref().map(|f| f.parameters),
        steps: facts.as_ref().map(|f| f.steps),
        tokens: facts.as_ref().map(|f| f.tokens),
        supervised_tokens: facts.as_ref().map(|f| f.supervised_tokens),
        train_loss: facts.as_ref().map(|f| f.train_loss).filter(|loss| loss.is_finite()),
        valid_loss: facts.as_ref().and_then(|f| f.valid_loss),
        seconds: facts.as_ref().map(|f| f.seconds),
        tokens_per_second: facts.as_ref().map(|f| f.tokens_per_second),
        peak_memory_bytes: facts.as_ref().and_then(|f| f.peak_memory_bytes),
        flops: facts.as_ref().map(|f| f.flops_per_token * f.positions.unwrap_or(f.tokens) as f64),
        more,
        train: of(|p| p.loss),
        valid: Curve::of(curve.valid.iter().map(|p| (p.step as f64, p.loss))),
        learning_rate: of(|p| p.lr),
        throughput: of(|p| p.tokens_per_second),
        gradient_norm: of(|p| p.grad_norm),
        samples: samples
            .into_iter()
            .map(|s| SampleView { prompt: s.prompt, text: s.text, decoding: s.decoding })
            .collect(),
    }
}

fn facts(plan: &Plan) -> Vec<FactView> {
    plan.nodes()
        .flat_map(|node| node.facts)
        .map(|f| FactView { path: f.path.clone(), value: f.value.clone(), place: f.place.clone() })
        .collect()
}

/// Warnings of a run belong to its versions: they say what its figures rest on.
fn notices(lines: &[Line], run: &mut RunView) {
    for line in lines {
        if let Event::Notice { level: store::Level::Warning, text } = &line.event {
            run.versions.push(pair("warning", text));
        }
    }
}

fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.to_owned(), value: value.to_owned() }
}
