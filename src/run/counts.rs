//! What finished objects have counted and measured, for planning.

use super::stage::StageFacts;
use crate::plan::{DataCount, Digest, Known, KnownCounts, Workload, split_digest};
use crate::store::{Check, Lab, ObjectKind};
use std::collections::BTreeMap;

/// Counts of everything in a lab.
#[derive(Clone, Debug, Default)]
pub struct LabCounts {
    data: BTreeMap<Digest, DataCount>,
    tokens: BTreeMap<(Digest, Digest), u64>,
    vocab: BTreeMap<Digest, u64>,
    /// FLOPs a second that a device was seen to train with, the latest last.
    rates: Vec<(String, Digest, f64)>,
    device: Option<String>,
}

impl LabCounts {
    /// Reads what the lab's objects say of themselves. `device` is what times are wanted for. Objects that cannot be read
    /// are passed by: they will be made again when they are needed.
    pub fn of(lab: &Lab, device: Option<String>) -> LabCounts {
        let mut counts = LabCounts { device, ..LabCounts::default() };
        let mut objects = lab.objects().unwrap_or_default();
        objects.sort();
        let mut stages: Vec<(String, String, StageFacts)> = Vec::new();
        for reference in objects {
            let Ok(Some(object)) = lab.find(reference.kind, &reference.hash, Check::Sizes) else { continue };
            let facts = &object.manifest.facts;
            let number = |path: &str| facts.pointer(path).and_then(serde_json::Value::as_u64);
            match reference.kind {
                ObjectKind::Dataset => counts.dataset(&reference.hash, facts),
                ObjectKind::Tokenizer => {
                    if let Some(vocab) = number("/vocab") {
                        counts.vocab.insert(reference.hash, vocab);
                    }
                }
                ObjectKind::Tokens => {
                    let text = |path: &str| facts.pointer(path).and_then(|v| v.as_str()).map(str::to_owned);
                    if let (Some(data), Some(tokenizer), Some(tokens)) =
                        (text("/data"), text("/tokenizer"), number("/summary/tokens"))
                    {
                        counts.tokens.insert((data, tokenizer), tokens);
                    }
                }
                ObjectKind::Stage => {
                    if let Ok(stage) = serde_json::from_value::<StageFacts>(facts.clone()) {
                        stages.push((object.manifest.created.clone(), reference.hash, stage));
                    }
                }
                ObjectKind::Eval => {}
            }
        }
        stages.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1)));
        counts.rates = stages
            .into_iter()
            .map(|(_, hash, s)| (s.device.clone(), hash, s.tokens_per_second * s.flops_per_token))
            .collect();
        counts
    }

    fn dataset(&mut self, hash: &str, facts: &serde_json::Value) {
        let mut whole = DataCount { documents: 0, bytes: 0 };
        let splits = facts.get("splits").and_then(|s| s.as_object());
        for (name, split) in splits.into_iter().flatten() {
            let figure = |key: &str| split.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
            let count = DataCount { documents: figure("documents"), bytes: figure("bytes") };
            whole.documents += count.documents;
            whole.bytes += count.bytes;
            self.data.insert(split_digest(&hash.to_owned(), name), count);
        }
        self.data.insert(hash.to_owned(), whole);
    }
}

impl KnownCounts for LabCounts {
    fn data(&self, data: &Digest) -> Option<DataCount> {
        self.data.get(data).copied()
    }

    fn tokens(&self, data: &Digest, tokenizer: &Digest) -> Option<u64> {
        self.tokens.get(&(data.clone(), tokenizer.clone())).copied()
    }

    fn vocab(&self, tokenizer: &Digest) -> Option<u64> {
        self.vocab.get(tokenizer).copied()
    }

    fn tokens_per_second(&self, work: &Workload<'_>) -> Known<f64> {
        let here = |device: &String| self.device.as_ref().is_none_or(|d| d == device);
        let same = self.rates.iter().rev().find(|(d, hash, _)| here(d) && Some(hash) == work.stage);
        match same.or_else(|| self.rates.iter().rev().find(|(d, ..)| here(d))) {
            Some((_, _, rate)) if work.flops_per_token > 0.0 => Known::Value(rate / work.flops_per_token),
            _ => Known::Unknown("this device has not been measured; a run on it will do that".to_owned()),
        }
    }
}
