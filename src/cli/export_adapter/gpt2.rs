//! Adapters of GPT-2, whose queries, keys and values are one matrix in `transformers`.

use crate::cli::Failure;
use crate::model::Named;
use crate::plan::spec::{Lora, LoraTarget};
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What makes up `c_attn`, in the order of its rows.
const JOINT: [LoraTarget; 3] = [LoraTarget::Query, LoraTarget::Key, LoraTarget::Value];

/// What an adapter consists of, as PEFT calls it.
const PARTS: [&str; 3] = ["lora_A.weight", "lora_B.weight", "lora_magnitude_vector"];

/// Adapters under the names of GPT-2's modules, and what the configuration says of them.
pub(super) struct Renamed {
    pub weights: Vec<Named<'static>>,
    pub modules: Vec<&'static str>,
    /// Rank and `alpha` of `c_attn`, where they are others than of the rest.
    pub patterns: Option<(usize, f64)>,
}

/// The adapters of a network of GPT-2's kind as PEFT has them.
///
/// Those of queries, keys and values become one adapter of `c_attn`: `A` `[n·rank, in]` holds theirs one above the other, `B`
/// `[3·width, n·rank]` is theirs on a diagonal and nothing elsewhere, so that the product is the same. Its `alpha` makes up for
/// the rank, `n` times the others'.
///
/// # Errors
/// When only some of the three have magnitudes, since those of DoRA are of every row of a matrix; and when the adapters are not
/// those of such a network.
pub(super) fn renamed(adapters: Vec<Named<'static>>, lora: &Lora) -> Result<Renamed, Failure> {
    let joint: Vec<LoraTarget> = JOINT.into_iter().filter(|target| lora.on.contains(target)).collect();
    if lora.magnitude && !matches!(joint.len(), 0 | 3) {
        return Err(Failure::Usage {
            message: "the magnitudes of these adapters have no counterpart in PEFT: GPT-2 of `transformers` holds queries, keys \
                      and values as one matrix, every row of which has one"
                .to_owned(),
            help: Some(
                "adapt all three or none of them, `on = [query, key, value, …]`, or leave `--adapter` out to export the network \
                 with the adapters worked in"
                    .to_owned(),
            ),
        });
    }
    let strange = |name: &str| Failure::Run { message: format!("`{name}` is no adapter of a GPT-2"), help: None };
    let mut weights = Vec::new();
    let mut layers: BTreeMap<usize, BTreeMap<String, Named<'static>>> = BTreeMap::new();
    for adapter in adapters {
        let (layer, rest) = placed(&adapter.name).ok_or_else(|| strange(&adapter.name))?;
        layers.entry(layer).or_default().insert(rest.to_owned(), adapter);
    }
    let mut rank = 0;
    for (layer, mut parts) in layers {
        let block = format!("base_model.model.transformer.h.{layer}");
        for (target, module) in
            [(LoraTarget::Output, "attn.c_proj"), (LoraTarget::Up, "mlp.c_fc"), (LoraTarget::Down, "mlp.c_proj")]
        {
            for part in PARTS {
                if let Some(found) = parts.remove(&format!("{}.{part}", target.module())) {
                    weights.push(Named { name: Cow::Owned(format!("{block}.{module}.{part}")), ..found });
                }
            }
        }
        if !joint.is_empty() {
            let mut taken = Vec::new();
            for target in &joint {
                let take = |part: &str| parts.remove(&format!("{}.{part}", target.module()));
                let [down, up, lengths] = PARTS.map(take);
                let (Some(down), Some(up)) = (down, up) else { return Err(strange(&format!("{block}.attn.c_attn"))) };
                taken.push(Part { target: *target, down, up, lengths });
            }
            let sizes = taken.iter().map(Part::sizes).collect::<BTreeSet<_>>();
            let Some(Some((shared, rows))) = sizes.first().copied().filter(|_| sizes.len() == 1) else {
                return Err(strange(&format!("{block}.attn.c_attn")));
            };
            rank = shared;
            let [down, up, lengths] = together(&taken, rank, rows);
            for (part, (shape, numbers)) in PARTS.into_iter().zip([down, up, lengths]) {
                if !numbers.is_empty() {
                    let name = Cow::Owned(format!("{block}.attn.c_attn.{part}"));
                    weights.push(Named { name, shape, numbers: Cow::Owned(numbers) });
                }
            }
        }
        if let Some(left) = parts.keys().next() {
            return Err(strange(left));
        }
    }
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    let mut modules: Vec<&str> = Vec::new();
    if !joint.is_empty() {
        modules.push("c_attn");
    }
    // Two modules are called `c_proj`, and are told apart by what they are part of.
    let others = [(LoraTarget::Output, "attn.c_proj"), (LoraTarget::Up, "c_fc"), (LoraTarget::Down, "mlp.c_proj")];
    modules.extend(others.into_iter().filter(|(target, _)| lora.on.contains(target)).map(|(_, module)| module));
    let times = joint.len() as f64;
    let alpha = lora.alpha * if lora.rank_stabilized { times.sqrt() } else { times };
    let patterns = (joint.len() > 1).then_some((joint.len() * rank, alpha));
    Ok(Renamed { weights, modules, patterns })
}

/// The adapter of one of the three: `down` `[rank, in]`, `up` `[rows, rank]`, and of DoRA the lengths of its rows.
struct Part {
    target: LoraTarget,
    down: Named<'static>,
    up: Named<'static>,
    lengths: Option<Named<'static>>,
}

impl Part {
    /// Rank and rows, if the two matrices fit each other.
    fn sizes(&self) -> Option<(usize, usize)> {
        let ([rank, _], [rows, inner]) = (self.down.shape.as_slice(), self.up.shape.as_slice()) else { return None };
        (*rank > 0 && inner == rank).then_some((*rank, *rows))
    }
}

/// Shapes and numbers of the adapter of the whole matrix, in the order of [`PARTS`]; no lengths where there are none.
fn together(parts: &[Part], rank: usize, rows: usize) -> [(Vec<usize>, Vec<f32>); 3] {
    let inner = parts.len() * rank;
    let (mut down, mut up, mut lengths) = (Vec::new(), vec![0.0f32; JOINT.len() * rows * inner], Vec::new());
    for (n, part) in parts.iter().enumerate() {
        down.extend_from_slice(&part.down.numbers);
        let place = JOINT.iter().position(|target| *target == part.target).unwrap_or(0) * rows;
        for (row, numbers) in part.up.numbers.chunks_exact(rank).enumerate() {
            let at = (place + row) * inner + n * rank;
            up[at..at + rank].copy_from_slice(numbers);
        }
        lengths.extend(part.lengths.iter().flat_map(|lengths| lengths.numbers.iter().copied()));
    }
    [(vec![inner, down.len() / inner], down), (vec![JOINT.len() * rows, inner], up), (vec![lengths.len()], lengths)]
}

/// Layer and the rest of the name of an adapter, under the names of Llama's modules.
fn placed(name: &str) -> Option<(usize, &str)> {
    let (layer, rest) = name.strip_prefix("base_model.model.model.layers.")?.split_once('.')?;
    Some((layer.parse().ok()?, rest))
}

/// Adds to `adapter_config.json` what is other for a module than for the rest, and that weights of GPT-2 lie the other way.
pub(super) fn configure(config: &mut Json, patterns: Option<(usize, f64)>) {
    config["fan_in_fan_out"] = json!(true);
    if let Some((rank, alpha)) = patterns {
        config["rank_pattern"] = json!({ "c_attn": rank });
        config["alpha_pattern"] = json!({ "c_attn": super::number(alpha) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_have_a_place_in_a_layer() {
        let name = "base_model.model.model.layers.11.self_attn.q_proj.lora_A.weight";
        assert_eq!(placed(name), Some((11, "self_attn.q_proj.lora_A.weight")));
        assert_eq!(placed("lm_head.lora_A.weight"), None);
    }

    #[test]
    fn an_adapter_that_has_no_place_is_not_left_out() {
        let lora = |on| Lora { rank: 1, alpha: 1.0, on, rank_stabilized: false, magnitude: false };
        let named = |name: &str| Named {
            name: Cow::Owned(format!("base_model.model.model.layers.0.{name}")),
            shape: vec![1, 1],
            numbers: Cow::Owned(vec![1.0]),
        };
        for (names, on) in [
            (vec!["mlp.gate_proj.lora_A.weight"], vec![LoraTarget::Up]),
            (vec!["self_attn.q_proj.lora_A.weight"], vec![LoraTarget::Query]),
        ] {
            assert!(renamed(names.into_iter().map(named).collect(), &lora(on)).is_err());
        }
    }
}
