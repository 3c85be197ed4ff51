//! What would fit: the bounds of a stage with other settings, for when its memory does not suffice.

use crate::plan::spec::{Decoder, Precision, Training};
use crate::plan::{self, bytes};
use crate::train::TrainError;

/// The sizes of a stage that its memory follows from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes<'a> {
    pub model: &'a Decoder,
    pub vocab: u64,
    pub sequence: u64,
    pub micro_batch: u64,
    /// Sequences a step.
    pub sequences: u64,
    pub training: &'a Training,
}

/// Blocks computed again, and nothing else.
const AGAIN: &str = "`recompute = true`";

/// A way to need less, and the bound with it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Way {
    settings: String,
    bound: u64,
}

impl Sizes<'_> {
    /// Bytes at most.
    pub fn bound(&self) -> u64 {
        self.with(self.micro_batch, self.training.recompute, self.training.products() != Precision::F32)
    }

    fn with(&self, micro_batch: u64, recompute: bool, half: bool) -> u64 {
        let training = plan::Training { recompute, half, ..plan::Training::from(self.training) };
        plan::memory(self.model, self.vocab, self.sequence, micro_batch, self.sequences, &training).total()
    }

    /// Ways to need less, from the one that changes least: smaller pieces of the batch change rounding (and in f16 which steps
    /// overflow), blocks computed again nothing.
    fn ways(&self) -> Vec<Way> {
        let half = self.training.products() != Precision::F32;
        let mut pieces = Vec::new();
        let mut piece = self.micro_batch.max(1);
        while piece > 1 {
            // The power of two below.
            piece = (piece - 1).checked_ilog2().map_or(1, |power| 1 << power);
            pieces.push(piece);
        }
        let told = |piece: u64| format!("`micro_batch = {piece}`");
        let mut ways: Vec<Way> = pieces
            .iter()
            .map(|p| Way { settings: told(*p), bound: self.with(*p, self.training.recompute, half) })
            .collect();
        if !self.training.recompute {
            let again = std::iter::once(self.micro_batch).chain(pieces).map(|piece| Way {
                settings: match piece == self.micro_batch {
                    true => AGAIN.to_owned(),
                    false => format!("{} with `recompute = true`", told(piece)),
                },
                bound: self.with(piece, true, half),
            });
            ways.extend(again);
        }
        let now = self.bound();
        ways.retain(|way| way.bound < now);
        ways
    }

    /// What to write so that the stage needs less, in the memory that is there if that is known.
    pub fn advice(&self, available: Option<u64>) -> String {
        let now = format!(
            "{} at a time have a bound of {}",
            plan::plural(self.micro_batch, "sequence", "sequences"),
            bytes(self.bound())
        );
        let ways = self.ways();
        let shown = |way: &Way| format!("{} of at most {}", way.settings, bytes(way.bound));
        let least = ways.iter().min_by_key(|way| way.bound);
        let smaller = "a smaller network or shorter sequences need less";
        match (available, least) {
            (_, None) => format!("{now}, and no setting needs less: {smaller}"),
            (Some(available), Some(least)) => match ways.iter().find(|way| way.bound <= available) {
                Some(way) => {
                    format!(
                        "{now}; {} fits into the {} that are free: it needs at most {}",
                        way.settings,
                        bytes(available),
                        bytes(way.bound)
                    )
                }
                None => format!(
                    "{now}; the least is {}, more than the {} that are free: {smaller}",
                    shown(least),
                    bytes(available)
                ),
            },
            (None, Some(least)) => {
                // The largest piece that halves it, blocks computed again, and the least.
                let half = ways.iter().find(|way| way.bound <= self.bound() / 2);
                let again = ways.iter().find(|way| way.settings == AGAIN);
                let mut told: Vec<&Way> = Vec::new();
                for way in half.into_iter().chain(again).chain([least]) {
                    if !told.contains(&way) {
                        told.push(way);
                    }
                }
                format!("{now}; write {}", told.into_iter().map(shown).collect::<Vec<_>>().join(", or "))
            }
        }
    }
}

/// What a device said, if it said that it has no memory left, in a few words.
pub(super) fn out_of_memory(why: &TrainError) -> Option<String> {
    use crate::model::ModelError;
    let message = match why {
        TrainError::Device { message, .. } => message.as_str(),
        TrainError::Model(ModelError::Device(message)) => message.as_str(),
        _ => return None,
    };
    memory_in(message)
}

/// cubecl, wgpu and drivers each have their own words for it.
fn memory_in(message: &str) -> Option<String> {
    const SIZE: &str = "can't allocate buffer of size: ";
    let lower = message.to_ascii_lowercase();
    if let Some((_, rest)) = lower.split_once(SIZE) {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let size = digits.parse().map_or_else(|_| "of this size".to_owned(), |n| format!("of {}", bytes(n)));
        return Some(format!("it has no room for a buffer {size}"));
    }
    let words =
        ["out of memory", "outofmemory", "out_of_memory", "not enough memory", "memory allocation", "buffer too big"];
    let found = words.iter().any(|word| lower.contains(word));
    found.then(|| format!("it is out of memory ({})", message.lines().next().unwrap_or_default().trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn training(fields: &serde_json::Value) -> Training {
        let mut all = json!({
            "model": null, "init": null, "tokenizer": null, "data": {"is": "named", "dataset": {"ref": "x"}},
            "budget": {"amount": 1.0, "unit": "steps"}, "batch": {"amount": 16.0, "unit": "documents"},
            "micro_batch": null, "recompute": false, "precision": null, "sequence": null,
            "optimizer": {"is": "sgd", "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0},
            "groups": plan::spec::Groups::default(),
            "schedule": {"is": "constant", "warmup": {"amount": 0.0, "unit": "steps"}}, "adapter": null, "clip": null,
            "z_loss": 0.0, "ema": null, "growth": null, "on_spike": null, "validate": null, "keep": {"is": "last"},
            "until": null, "checkpoint": 10, "checkpoints": 2, "seed": 0,
        });
        for (key, value) in fields.as_object().unwrap() {
            all[key] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn model() -> Decoder {
        Decoder {
            layers: 12,
            heads: 12,
            kv_heads: 12,
            width: 768,
            head_dim: 64,
            hidden: 2048,
            context: 1024,
            ..Decoder::default()
        }
    }

    #[test]
    fn the_setting_that_changes_least_and_fits_is_named() {
        let (model, training) = (model(), training(&json!({})));
        let sizes =
            Sizes { model: &model, vocab: 32_000, sequence: 512, micro_batch: 12, sequences: 16, training: &training };
        let (bound, eight, again) = (sizes.bound(), sizes.with(8, false, false), sizes.with(1, true, false));
        assert!(again < eight && eight < bound);
        let told = sizes.advice(Some(eight));
        assert!(told.contains("12 sequences at a time have a bound of"), "{told}");
        assert!(told.contains(&format!("`micro_batch = 8` fits into the {} that are free", bytes(eight))), "{told}");
        let told = sizes.advice(Some(sizes.with(1, false, false) - 1));
        assert!(told.contains("`recompute = true` fits") || told.contains("with `recompute = true` fits"), "{told}");
        let told = sizes.advice(Some(again - 1));
        let least = format!("the least is `micro_batch = 1` with `recompute = true` of at most {}", bytes(again));
        assert!(told.contains(&least) && told.contains("a smaller network"), "{told}");
        // Where nobody knows what is free, half of it, and the least.
        let told = sizes.advice(None);
        assert!(told.contains("write `micro_batch = ") && told.contains(&bytes(again)), "{told}");
        let one = Sizes { micro_batch: 1, ..sizes };
        assert!(one.advice(None).contains("write `recompute = true` of at most"), "{}", one.advice(None));
    }

    #[test]
    fn what_needs_least_already_is_told_so() {
        let (model, training) = (model(), training(&json!({"recompute": true})));
        let sizes =
            Sizes { model: &model, vocab: 32_000, sequence: 512, micro_batch: 1, sequences: 1, training: &training };
        assert!(sizes.advice(None).contains("no setting needs less"), "{}", sizes.advice(None));
    }

    #[test]
    fn words_for_no_memory_are_known() {
        let cubecl = "An IO error happened\nCaused by:\n  can't allocate buffer of size: 2147483648\nNo backtrace";
        assert_eq!(memory_in(cubecl).unwrap(), "it has no room for a buffer of 2.0 GiB");
        assert_eq!(memory_in("Validation\nNot enough memory left.").unwrap(), "it is out of memory (Validation)");
        assert!(memory_in("ERROR_OUT_OF_MEMORY in vkAllocateMemory").is_some());
        assert_eq!(memory_in("the kernel did not compile"), None);
    }
}
