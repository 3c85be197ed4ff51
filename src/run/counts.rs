//! What finished objects have counted and measured, for planning.

use super::stage::StageFacts;
use crate::plan::spec::Precision;
use crate::plan::{DataCount, Digest, Known, KnownCounts, Workload, digest, split_digest};
use crate::store::{Check, Lab, ObjectKind};
use std::collections::BTreeMap;

/// Counts of everything in a lab.
#[derive(Clone, Debug, Default)]
pub struct LabCounts {
    data: BTreeMap<Digest, DataCount>,
    /// By data, tokenizer and, where a chat template wrote the texts, the template.
    tokens: BTreeMap<(Digest, Digest, Option<Digest>), u64>,
    /// Of the longest document, likewise.
    longest: BTreeMap<(Digest, Digest, Option<Digest>), u64>,
    vocab: BTreeMap<Digest, u64>,
    /// The latest last.
    rates: Vec<Rate>,
    device: Option<String>,
}

/// How fast a stage was trained.
#[derive(Clone, Debug)]
struct Rate {
    /// As if it had computed in f32, which is how devices are asked for.
    device: String,
    precision: Precision,
    stage: Digest,
    /// Padding included: a device computes it like any other token.
    flops_per_second: f64,
    flops_per_token: f64,
    /// Tokens of a forward pass, if that is known.
    pass: Option<f64>,
}

impl Rate {
    fn of(stage: Digest, facts: StageFacts) -> Rate {
        let precision = facts.precision.unwrap_or_default();
        let tokens_per_second = match facts.positions {
            Some(positions) => positions as f64 / facts.seconds.max(1e-9),
            None => facts.tokens_per_second,
        };
        let flops_per_token = facts.hardware_flops_per_token.unwrap_or(facts.flops_per_token);
        Rate {
            device: in_f32(&facts.device, precision),
            precision,
            stage,
            flops_per_second: tokens_per_second * flops_per_token,
            flops_per_token,
            pass: facts.shape.map(|(sequence, rows)| sequence as f64 * rows as f64),
        }
    }

    /// How unlike `work` it is, in powers of e. Small networks and short passes leave a device waiting, so their rates say
    /// little about large ones.
    fn distance(&self, work: &Workload<'_>) -> f64 {
        let apart = |a: f64, b: f64| (a.max(1.0).ln() - b.max(1.0).ln()).abs();
        // A stage of an earlier version, whose pass is not known, may be a few times longer or shorter.
        let pass = self.pass.map_or(2.0, |pass| apart(pass, work.sequence as f64 * work.micro_batch as f64));
        apart(self.flops_per_token, work.flops_per_token) + pass
    }
}

/// What a device is called that is called `device` where it computes with a precision.
fn in_f32(device: &str, precision: Precision) -> String {
    match device.strip_suffix(&format!("{})", precision.name())) {
        Some(rest) => format!("{rest}{})", Precision::F32.name()),
        None => device.to_owned(),
    }
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
                        // An object of an earlier version does not say which template it was.
                        let chat = facts.pointer("/chat").and_then(serde_json::Value::as_bool).unwrap_or(false);
                        let template = text("/template").or_else(|| chat.then(String::new));
                        let key = (data, tokenizer, template);
                        if let Some(longest) = number("/summary/longest").filter(|n| *n > 0) {
                            counts.longest.insert(key.clone(), longest);
                        }
                        counts.tokens.insert(key, tokens);
                    }
                }
                ObjectKind::Stage => {
                    // A published network was not trained, and says nothing of speed.
                    let trained = |stage: &StageFacts| stage.steps > 0;
                    if let Some(stage) = serde_json::from_value::<StageFacts>(facts.clone()).ok().filter(trained) {
                        stages.push((object.manifest.created.clone(), reference.hash, stage));
                    }
                }
                ObjectKind::Eval => {}
            }
        }
        stages.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1)));
        counts.rates = stages.into_iter().map(|(_, hash, facts)| Rate::of(hash, facts)).collect();
        counts
    }

    /// The device that was measured last.
    pub fn latest_device(&self) -> Option<String> {
        self.rates.last().map(|rate| rate.device.clone())
    }

    /// The same counts, with the times of another device.
    pub fn on(self, device: Option<String>) -> LabCounts {
        LabCounts { device, ..self }
    }

    /// Tokens in data under a tokenizer, as `template` writes them or, without one, as they stand.
    fn tokens_as(&self, data: &Digest, tokenizer: &Digest, template: Option<&Digest>) -> Option<u64> {
        self.tokens.get(&(data.clone(), tokenizer.clone(), template.cloned())).copied()
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
        self.tokens_as(data, tokenizer, None)
    }

    fn chat_tokens(&self, data: &Digest, tokenizer: &Digest, template: &str) -> Option<u64> {
        self.tokens_as(data, tokenizer, Some(&digest("template", &serde_json::json!(template))))
    }

    fn longest(&self, data: &Digest, tokenizer: &Digest, template: &str) -> Option<u64> {
        let template = digest("template", &serde_json::json!(template));
        self.longest.get(&(data.clone(), tokenizer.clone(), Some(template))).copied()
    }

    fn vocab(&self, tokenizer: &Digest) -> Option<u64> {
        self.vocab.get(tokenizer).copied()
    }

    fn every_expert(&self) -> bool {
        // What a device is shown as begins with its name.
        self.device.as_ref().is_some_and(|device| !device.starts_with("cpu"))
    }

    fn tokens_per_second(&self, work: &Workload<'_>) -> Known<f64> {
        let of = |r: &&Rate| r.precision == work.precision && self.device.as_ref().is_none_or(|d| *d == r.device);
        let here = || self.rates.iter().rev().filter(of);
        let same = here().find(|rate| Some(&rate.stage) == work.stage);
        // The first of equals is the latest.
        let nearest = || here().min_by(|a, b| a.distance(work).total_cmp(&b.distance(work)));
        match same.or_else(nearest) {
            Some(rate) if work.flops_per_token > 0.0 => Known::Value(rate.flops_per_second / work.flops_per_token),
            _ => Known::Unknown("this device has not been measured; a run on it will do that".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::spec;

    fn facts(tokens: u64, positions: Option<u64>, flops_per_token: f64, shape: (u64, u64)) -> StageFacts {
        StageFacts {
            parameters: 1,
            steps: 1,
            tokens,
            supervised_tokens: tokens,
            train_loss: 1.0,
            valid_loss: None,
            seconds: 10.0,
            tokens_per_second: tokens as f64 / 10.0,
            peak_memory_bytes: None,
            weights_hash: String::new(),
            data_order: String::new(),
            flops_per_token,
            hardware_flops_per_token: None,
            device: "cpu".to_owned(),
            positions,
            shape: Some(shape),
            warnings: Vec::new(),
            start: None,
            precision: None,
            scaling: None,
            experts: None,
        }
    }

    fn model() -> spec::Decoder {
        spec::Decoder {
            layers: 1,
            heads: 1,
            kv_heads: 1,
            width: 8,
            head_dim: 8,
            hidden: 8,
            context: 64,
            ..spec::Decoder::default()
        }
    }

    #[test]
    fn padding_is_work_too() {
        // 1,000 tokens in rows with room for 3,000, in ten seconds.
        let rate = Rate::of("a".into(), facts(1_000, Some(3_000), 1e6, (64, 8)));
        let counts = LabCounts { rates: vec![rate], device: Some("cpu".into()), ..LabCounts::default() };
        let model = model();
        let work = Workload {
            model: &model,
            vocab: 8,
            sequence: 64,
            micro_batch: 8,
            flops_per_token: 2e6,
            stage: None,
            precision: Precision::F32,
        };
        assert_eq!(counts.tokens_per_second(&work), Known::Value(150.0));
        let mixed = Workload { precision: Precision::MixedF16, ..work };
        assert!(matches!(counts.tokens_per_second(&mixed), Known::Unknown(_)), "another precision has another speed");
        let mut given = facts(1_000, Some(3_000), 1e6, (64, 8));
        (given.device, given.precision) = ("cpu (two, mixed_f16)".into(), Some(Precision::MixedF16));
        let rate = Rate::of("a".into(), given);
        assert_eq!(rate.device, "cpu (two, f32)");
        let counts_mixed =
            LabCounts { rates: vec![rate], device: Some("cpu (two, f32)".into()), ..LabCounts::default() };
        assert_eq!(counts_mixed.tokens_per_second(&mixed), Known::Value(150.0));
        let elsewhere = LabCounts { device: Some("vulkan".into()), ..counts.clone() };
        assert!(matches!(elsewhere.tokens_per_second(&work), Known::Unknown(_)));
        let again = StageFacts { hardware_flops_per_token: Some(2e6), ..facts(1_000, Some(3_000), 1e6, (64, 8)) };
        assert_eq!(Rate::of("a".into(), again).flops_per_second, 6e8, "blocks computed again are work too");
        // An object of an earlier version does not say how much it padded.
        assert_eq!(Rate::of("a".into(), facts(1_000, None, 1e6, (64, 8))).flops_per_second, 1e8);
    }

    #[test]
    fn the_work_most_alike_says_how_fast() {
        let rates = [("small", 1e6, (16, 4), 10.0), ("large", 1e9, (1024, 16), 90.0), ("late", 1e6, (16, 4), 20.0)];
        let rates = rates.map(|(name, flops, shape, speed)| Rate {
            flops_per_second: speed * flops,
            ..Rate::of(name.into(), facts(1, Some(1), flops, shape))
        });
        let counts = LabCounts { rates: rates.to_vec(), ..LabCounts::default() };
        let model = model();
        let speed = |flops_per_token, (sequence, micro_batch), stage: Option<&str>| {
            let stage = stage.map(str::to_owned);
            let work = Workload {
                model: &model,
                vocab: 8,
                sequence,
                micro_batch,
                flops_per_token,
                stage: stage.as_ref(),
                precision: Precision::F32,
            };
            counts.tokens_per_second(&work).value().copied().map(f64::round)
        };
        assert_eq!(speed(1e6, (16, 4), None), Some(20.0), "of equals the latest");
        assert_eq!(speed(1e9, (512, 16), None), Some(90.0));
        assert_eq!(speed(1e6, (16, 4), Some("small")), Some(10.0), "the stage itself knows best");
    }

    #[test]
    fn what_a_template_writes_is_counted_apart() {
        let mut counts = LabCounts::default();
        let (data, words) = ("data".to_owned(), "words".to_owned());
        let written_by = |template: &str| digest("template", &serde_json::json!(template));
        let keys = [(None, 100), (Some(written_by("chat")), 300), (Some(written_by("other")), 400)];
        counts.tokens.extend(keys.map(|(template, tokens)| ((data.clone(), words.clone(), template), tokens)));
        assert_eq!(counts.tokens(&data, &words), Some(100));
        assert_eq!(counts.chat_tokens(&data, &words, "chat"), Some(300));
        assert_eq!(counts.chat_tokens(&data, &words, "other"), Some(400));
        assert_eq!(counts.chat_tokens(&data, &words, "a third"), None);
    }
}
