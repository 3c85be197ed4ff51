//! What of an item enters its hash.
//!
//! A meaning is the item's typed value with every reference replaced by the identity of what it refers to, every file by
//! its contents, every seed by the effective one, and without what changes no result. The decision record
//! `docs/decisions/0002-plan-hash.md` lists each field that is left out, and why.

use super::canonical::digest;
use super::hugging::Folder;
use super::spec::{self, Dataset, Decoder, OnSpike, Precision, Quantity, Unit};
use super::{Digest, version};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

/// The identity of one split of a dataset.
pub fn split_digest(dataset: &Digest, split: &str) -> Digest {
    digest("split", &json!([dataset, split]))
}

/// The seed that a random choice uses: an item's own seed added to the experiment's.
pub fn effective_seed(experiment: i64, own: i64) -> u64 {
    experiment.wrapping_add(own) as u64
}

/// Whether the step or source itself (not its input) makes random choices.
pub(super) fn is_random(data: &Dataset) -> bool {
    match data {
        Dataset::Grammar(_) | Dataset::Shuffle(_) | Dataset::Mix(_) => true,
        Dataset::Split(s) => s.by == spec::SplitBy::Hash,
        _ => false,
    }
}

/// What a dataset expression is made from, as identities.
pub(super) struct DataFrom {
    /// Of the input of a step.
    pub input: Option<Digest>,
    /// Of the files of a source, in order.
    pub contents: Option<Vec<Digest>>,
    /// Of the parts of a mixture.
    pub parts: Vec<Digest>,
}

/// The identity of a source, step or mixture. A name has none of its own: it is what it names.
pub(super) fn data(data: &Dataset, from: DataFrom, seed: i64) -> Digest {
    let mut fields = object(data);
    for left_out in ["input", "license", "files", "because"] {
        fields.remove(left_out);
    }
    fields.insert("input".into(), json!(from.input));
    fields.insert("contents".into(), json!(from.contents));
    fields.insert("version".into(), json!(version::DATA));
    match data {
        Dataset::Mix(mix) => {
            let parts: Vec<Json> =
                mix.parts.iter().zip(&from.parts).map(|(p, data)| json!({"data": data, "weight": p.weight})).collect();
            fields.insert("parts".into(), json!(parts));
        }
        Dataset::Keep(keep) => {
            fields.insert("rule".into(), expression(&json_of(&keep.rule.body), &|path| json!(path)));
        }
        _ => {}
    }
    if is_random(data) {
        let own = fields.get("seed").and_then(Json::as_i64).unwrap_or(0);
        fields.insert("seed".into(), json!(effective_seed(seed, own)));
    }
    digest("data", &Json::Object(fields))
}

/// The identity of a tokenizer trained on `text`, or read from a file with `contents`.
pub(super) fn tokenizer(tokenizer: &spec::Tokenizer, text: Option<&Digest>, contents: Option<&[Digest]>) -> Digest {
    let mut fields = object(tokenizer);
    fields.remove("file");
    fields.insert("train_on".into(), json!(text));
    fields.insert("contents".into(), json!(contents));
    fields.insert("version".into(), json!(version::TOKENIZER));
    digest("tokenizer", &Json::Object(fields))
}

/// What a stage is made from, as identities.
pub(super) struct StageFrom<'a> {
    /// The network of a stage that starts from fresh weights.
    pub model: Option<&'a Decoder>,
    /// Entries of the embedding, as far as the experiment says.
    pub vocab: Option<i64>,
    pub init: Option<Digest>,
    pub reward: Option<Digest>,
    pub tokenizer: Digest,
    pub data: Digest,
    pub validate_on: Option<Digest>,
    /// Tokens in a sequence, the default filled in.
    pub sequence: u64,
    pub seed: u64,
}

/// The identity of a stage. `measured` gives the identity of what a measurement's path speaks of.
pub(super) fn stage(stage: &spec::Stage, from: &StageFrom<'_>, measured: &dyn Fn(&[String]) -> Json) -> Digest {
    let mut fields = object(stage);
    let mut common = match fields.remove("training") {
        Some(Json::Object(common)) => common,
        _ => Map::new(),
    };
    // `checkpoint` decides how much a stopped run repeats, `micro_batch` and `recompute` what fits into memory. Only a stage
    // that goes back to its checkpoints depends on where they are.
    let goes_back = stage.training().and_then(|t| t.on_spike.as_ref()).is_some_and(|s| s.action == OnSpike::RollBack);
    let checkpoint = if goes_back { None } else { Some("checkpoint") };
    // The gradients of each micro-batch are rounded by themselves, and in f16 what is summed up for longer overflows sooner.
    let cut =
        if stage.training().is_some_and(|t| t.products() == Precision::MixedF16) { None } else { Some("micro_batch") };
    for left_out in ["checkpoints", "recompute"].into_iter().chain(checkpoint).chain(cut) {
        common.remove(left_out);
    }
    // Such a stage once took each token for a third dearer than it is, so a budget of operations buys more steps now.
    if stage.training().is_some_and(|t| t.adapter.is_some() && t.budget.unit == Unit::Flops) {
        common.insert("operations".into(), json!("of adapters"));
    }
    // Said or not, f32 is the same.
    if stage.training().is_some_and(|t| t.products() == Precision::F32) {
        common.insert("precision".into(), Json::Null);
    }
    for condition in ["keep", "until"] {
        if let Some(value) = common.get_mut(condition) {
            *value = expression(value, measured);
        }
    }
    let every = stage.training().and_then(|t| t.validate.as_ref());
    let validate = every.map(|e| json!({"period": quantity(e.period), "on": from.validate_on, "tokens": e.tokens}));
    let model = from.model.map(|m| {
        let mut fields = object(m);
        fields.insert("vocab".into(), json!(from.vocab));
        fields
    });
    common.insert("validate".into(), json!(validate));
    common.insert("model".into(), json!(model));
    common.insert("init".into(), json!(from.init));
    common.insert("tokenizer".into(), json!(from.tokenizer));
    common.insert("data".into(), json!(from.data));
    common.insert("sequence".into(), json!(from.sequence));
    common.insert("seed".into(), json!(from.seed));
    fields.insert("stage".into(), Json::Object(common));
    fields.insert("reward".into(), json!(from.reward));
    fields.insert("version".into(), json!(version::TRAINING));
    digest("stage", &Json::Object(fields))
}

/// The identity of a published network: what it computes, the contents of its files of weights, and its tokenizer.
pub(super) fn published(folder: &Folder, mut weights: Vec<Digest>, tokenizer: &Digest) -> Digest {
    // Files are told apart by their contents; what they are called is no part of it.
    weights.sort();
    let parts = json!({
        "is": "pretrained",
        "network": folder.decoder,
        "weights": weights,
        "tokenizer": tokenizer,
        "version": version::IMPORT,
    });
    digest("stage", &parts)
}

/// The identity of one stage judged by an evaluation, on data.
pub(super) fn cell(eval: &spec::Eval, stage: &Digest, on: &Digest, seed: i64) -> Digest {
    let mut fields = object(eval);
    fields.insert("of".into(), json!(stage));
    fields.insert("on".into(), json!(on));
    if let Some(Json::Object(decoding)) = fields.get_mut("decoding") {
        decoding.insert("seed".into(), json!(effective_seed(seed, eval.decoding.seed)));
    }
    fields.insert("version".into(), json!(version::EVALUATION));
    digest("cell", &Json::Object(fields))
}

/// The identity of a review.
pub(super) fn review(review: &spec::Review, of: &[Digest], on: &Digest, seed: i64) -> Digest {
    let mut fields = object(review);
    fields.insert("of".into(), json!(of));
    fields.insert("on".into(), json!(on));
    fields.insert("seed".into(), json!(effective_seed(seed, 0)));
    digest("review", &Json::Object(fields))
}

/// The meaning of a compiled expression in JSON: the name of a lambda's parameter is not part of it, and a path to a
/// measurement becomes what `measured` says.
pub(super) fn expression(value: &Json, measured: &dyn Fn(&[String]) -> Json) -> Json {
    match value {
        Json::Array(items) => Json::Array(items.iter().map(|i| expression(i, measured)).collect()),
        Json::Object(fields) => {
            let only = if fields.len() == 1 { fields.iter().next() } else { None };
            match only {
                Some((key, Json::String(_))) if key == "arg" => json!({"arg": "_"}),
                Some((key, Json::Array(path))) if key == "measure" => {
                    let path: Vec<String> = path.iter().filter_map(|p| p.as_str().map(str::to_owned)).collect();
                    json!({"measure": measured(&path)})
                }
                _ => Json::Object(fields.iter().map(|(k, v)| (k.clone(), expression(v, measured))).collect()),
            }
        }
        other => other.clone(),
    }
}

pub(super) fn json_of(value: &impl Serialize) -> Json {
    // Serialising plain data into a tree of values cannot fail; no map here has keys that are not text.
    serde_json::to_value(value).unwrap_or(Json::Null)
}

fn quantity(q: Quantity) -> Json {
    json_of(&q)
}

fn object(value: &impl Serialize) -> Map<String, Json> {
    match json_of(value) {
        Json::Object(fields) => fields,
        _ => Map::new(),
    }
}
