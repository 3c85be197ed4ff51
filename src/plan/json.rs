//! The plan as other programs read it.
//!
//! A figure that is not known is `null`, and `reasons` of the same object says why, by the figure's name.

use super::graph::{Known, Plan};
use super::memory::adapters;
use super::status::{Status, Statuses};
use super::totals::{Price, totals};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

/// The JSON document of `exp plan`: `schema_version`, `experiment`, `hash`, `device`, `stages`, `datasets`, `tokenizers`,
/// `evals`, `totals`.
pub fn json(plan: &Plan, device: Option<&str>, statuses: &Statuses) -> Json {
    let stages: Vec<Json> = plan
        .stages
        .iter()
        .map(|stage| {
            let e = &stage.estimate;
            Object::new(&stage.name, statuses)
                .put("kind", stage.spec.kind())
                .known("hash", &stage.hash)
                .status()
                .known("parameters", &e.parameters)
                .put_some(
                    "active_parameters",
                    e.parts.value().filter(|p| p.mixtures.is_some()).map(|parts| json!(parts.active())),
                )
                .put_some(
                    "trained_parameters",
                    stage
                        .spec
                        .training()
                        .and_then(|t| t.adapter.as_ref())
                        .map(|adapter| json!(adapters(&stage.model, adapter))),
                )
                .put_some(
                    "published",
                    stage.published.as_ref().map(|p| {
                        json!({
                            "model_type": p.model_type, "context": stage.model.context, "vocab": stage.model.vocab,
                            "dtypes": p.dtypes, "files": p.weights.len(), "chat_template": p.template.is_some(),
                        })
                    }),
                )
                .put_some("precision", stage.spec.training().map(|t| json!(t.products())))
                .known("tokens", &e.tokens)
                .known("steps", &e.steps)
                .known("epochs", &e.epochs)
                .put("derivation", &e.derivation)
                .known("flops", &e.flops)
                .put_some("hardware_flops", e.hardware_flops.as_ref().map(|all| json!(all.value())))
                .put_some("gpu_flops", e.gpu_flops.as_ref().map(|all| json!(all.value())))
                .known("memory_bytes", &e.memory.clone().map(|m| m.total()))
                .known("memory", &e.memory)
                .known("micro_batch", &e.micro_batch)
                .put_some("micro_batch_fits", e.fitted.map(|bytes| json!(bytes)))
                .known("disk_bytes", &e.disk_bytes)
                .known("seconds", &e.seconds)
                .put("unsupported", &stage.unsupported)
                .put("depends_on", &stage.depends_on)
                .done()
        })
        .collect();
    let datasets: Vec<Json> = plan
        .datasets
        .iter()
        .map(|dataset| {
            Object::new(&dataset.name, statuses)
                .known("hash", &dataset.hash)
                .status()
                .put("shape", dataset.shape)
                .known("documents", &dataset.documents)
                .known("bytes", &dataset.bytes)
                .put("inputs", dataset.inputs.len())
                .put("input_bytes", dataset.inputs.iter().map(|i| i.bytes).sum::<u64>())
                .put("depends_on", &dataset.depends_on)
                .done()
        })
        .collect();
    let tokenizers: Vec<Json> = plan
        .tokenizers
        .iter()
        .map(|tokenizer| {
            Object::new(&tokenizer.name, statuses)
                .known("hash", &tokenizer.hash)
                .status()
                .known("vocab", &tokenizer.vocab)
                .put("unsupported", &tokenizer.unsupported)
                .put("depends_on", &tokenizer.depends_on)
                .done()
        })
        .collect();
    let evals: Vec<Json> = plan
        .evals
        .iter()
        .map(|eval| {
            let metrics: Vec<&str> = eval.spec.metrics.iter().map(super::spec::Metric::name).collect();
            Object::new(&eval.name, statuses)
                .known("hash", &eval.hash)
                .status()
                .put("metrics", metrics)
                .put("unsupported", &eval.unsupported)
                .put("depends_on", &eval.depends_on)
                .done()
        })
        .collect();
    let sum = totals(plan, statuses);
    let totals = Object::default()
        .put("stages", sum.stages)
        .put("cached", sum.cached)
        .known("tokens", &sum.tokens)
        .known("steps", &sum.steps)
        .known("flops", &sum.flops)
        .known("memory_bytes", &sum.memory_bytes)
        .known("disk_bytes", &sum.disk_bytes)
        .known("seconds", &sum.seconds)
        .done();
    Object::default()
        .put("schema_version", plan.schema_version)
        .put("experiment", &plan.name)
        .known("hash", &plan.hash)
        .put("device", device)
        .put("stages", stages)
        .put("datasets", datasets)
        .put("tokenizers", tokenizers)
        .put("evals", evals)
        .put("totals", totals)
        .done()
}

/// What a sweep costs: `points`, `stages` (over all points), `distinct_stages`, `cached_stages`, and the figures of those
/// that would run.
pub fn price(price: &Price) -> Json {
    Object::default()
        .put("points", price.points)
        .put("stages", price.stages)
        .put("distinct_stages", price.distinct_stages)
        .put("cached_stages", price.cached_stages)
        .known("tokens", &price.tokens)
        .known("flops", &price.flops)
        .known("unshared_flops", &price.unshared_flops)
        .known("memory_bytes", &price.memory_bytes)
        .known("disk_bytes", &price.disk_bytes)
        .known("seconds", &price.seconds)
        .done()
}

/// An object under construction, with the reasons for what is null in it.
#[derive(Default)]
struct Object {
    fields: Map<String, Json>,
    reasons: Map<String, Json>,
    status: Status,
}

impl Object {
    fn new(name: &str, statuses: &Statuses) -> Object {
        let status = statuses.get(name).cloned().unwrap_or_default();
        Object { status, ..Object::default() }.put("name", name)
    }

    fn put(mut self, key: &str, value: impl Serialize) -> Object {
        self.fields.insert(key.to_owned(), super::meaning::json_of(&value));
        self
    }

    /// A field that only some objects have.
    fn put_some(self, key: &str, value: Option<Json>) -> Object {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    fn known<T: Serialize>(mut self, key: &str, value: &Known<T>) -> Object {
        if let Known::Unknown(why) = value {
            self.reasons.insert(key.to_owned(), json!(why));
        }
        self.put(key, value.value())
    }

    fn status(self) -> Object {
        let Status { cached, reason, resumes_at } = self.status.clone();
        self.put("cached", cached).put("reason", reason).put_some("resumes_at", resumes_at.map(|step| json!(step)))
    }

    fn done(mut self) -> Json {
        if !self.reasons.is_empty() {
            self.fields.insert("reasons".to_owned(), Json::Object(self.reasons));
        }
        Json::Object(self.fields)
    }
}
