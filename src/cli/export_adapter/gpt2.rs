//! Adapters of GPT-2, whose queries, keys and values are one matrix in `transformers`.

use crate::cli::Failure;
use crate::model::Named;
use crate::plan::spec::{Lora, LoraTarget};
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What makes up `c_attn`, in the order of its rows.
const JOINT: [LoraTarget; 3] = [LoraTarget::Query, LoraTarget::Key, LoraTarget::Value];

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
/// When only some of the three have magnitudes: those of DoRA are of every row of a matrix.
pub(super) fn renamed(adapters: Vec<Named<'static>>, lora: &Lora, width: usize) -> Result<Renamed, Failure> {
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
    let rank = usize::try_from(lora.rank).unwrap_or(1);
    let mut weights = Vec::new();
    let mut layers: BTreeMap<usize, BTreeMap<String, Named<'static>>> = BTreeMap::new();
    for adapter in adapters {
        let Some((layer, rest)) = placed(&adapter.name) else { continue };
        layers.entry(layer).or_default().insert(rest.to_owned(), adapter);
    }
    for (layer, mut parts) in layers {
        let block = format!("base_model.model.transformer.h.{layer}");
        for (target, module) in
            [(LoraTarget::Output, "attn.c_proj"), (LoraTarget::Up, "mlp.c_fc"), (LoraTarget::Down, "mlp.c_proj")]
        {
            for part in ["lora_A.weight", "lora_B.weight", "lora_magnitude_vector"] {
                if let Some(found) = parts.remove(&format!("{}.{part}", target.module())) {
                    weights.push(Named { name: Cow::Owned(format!("{block}.{module}.{part}")), ..found });
                }
            }
        }
        if joint.is_empty() {
            continue;
        }
        let mut take = |target: LoraTarget, part: &str| parts.remove(&format!("{}.{part}", target.module()));
        let inner = joint.len() * rank;
        let (mut down, mut up, mut lengths) = (Vec::new(), vec![0.0f32; 3 * width * inner], Vec::new());
        for (n, target) in joint.iter().enumerate() {
            let (Some(a), Some(b)) = (take(*target, "lora_A.weight"), take(*target, "lora_B.weight")) else { continue };
            down.extend_from_slice(&a.numbers);
            let first = JOINT.iter().position(|t| t == target).unwrap_or(0) * width;
            for (row, numbers) in b.numbers.chunks_exact(rank).enumerate() {
                let at = (first + row) * inner + n * rank;
                up[at..at + rank].copy_from_slice(numbers);
            }
            lengths.extend(take(*target, "lora_magnitude_vector").iter().flat_map(|m| m.numbers.to_vec()));
        }
        let mut keep = |part: &str, shape: Vec<usize>, numbers: Vec<f32>| {
            let name = Cow::Owned(format!("{block}.attn.c_attn.{part}"));
            weights.push(Named { name, shape, numbers: Cow::Owned(numbers) });
        };
        keep("lora_A.weight", vec![inner, down.len() / inner], down);
        keep("lora_B.weight", vec![3 * width, inner], up);
        if !lengths.is_empty() {
            keep("lora_magnitude_vector", vec![lengths.len()], lengths);
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
}
