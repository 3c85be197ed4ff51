//! Floating-point operations of training.
//!
//! A token costs `6·N + 12·L·H·Q·T`: two operations a parameter in the forward pass and four in the backward pass, and
//! attention over a sequence of `T` tokens with `L` blocks of `H` heads of size `Q` (PaLM, appendix B; nanoGPT). `N` is
//! the number of parameters that a token is multiplied with: learned positions are left out, and so is an embedding that
//! is not also the output layer, because looking up costs no operation, and experts that it does not go through. The causal
//! mask is not deducted; a window is. Recomputation is not counted in that: it is what the model needs, not what the hardware is asked to do.
//!
//! A stage that trains adapters makes no gradient of the matrices beside them, which is two of the six operations; its adapters
//! cost their own six, of which DoRA needs two, and two for the gradient of each matrix that it adapts, through which it gets
//! those of its own parts. A GPU computes every expert for every token, and the first matrices of each once more on the way
//! back; on the CPU a token goes through its own experts alone. What is done once a pass and not once a token (DoRA's products of the two parts) is left out.

use super::memory::{adapted, adapters};
use super::parameters::{Parameters, size};
use super::spec::{Adapter, Decoder, Training};
use serde::Serialize;

/// Operations to train on one token, forward and backward.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Flops {
    /// What the objective needs.
    pub model: f64,
    /// What a device is asked to do: with `recompute`, the forward pass of the blocks once more; with mixtures where every expert
    /// is computed for every token, those that do not count as well.
    pub hardware: f64,
}

/// Operations to train on one token in a sequence of `sequence` tokens with all weights, forward and backward.
pub fn training_flops_per_token(model: &Decoder, parameters: &Parameters, sequence: u64) -> f64 {
    6.0 * parameters.multiplied() as f64 + 12.0 * attention_products(model, sequence)
}

/// The same for a stage as it is set: with its adapters, and with blocks computed again where it asks for that. With `every`,
/// each expert of a mixture is computed for every token, as on a GPU.
pub fn stage_flops_per_token(
    model: &Decoder,
    parameters: &Parameters,
    sequence: u64,
    stage: &Training,
    every: bool,
) -> Flops {
    let attention = attention_products(model, sequence);
    // All that a token is multiplied with but the last norm and the output.
    let head = if parameters.output > 0 { parameters.output } else { parameters.embedding };
    let blocks = parameters.multiplied().saturating_sub(head).saturating_sub(parameters.final_norm) as f64;
    let (mut flops, mut again) =
        (training_flops_per_token(model, parameters, sequence), 2.0 * blocks + 4.0 * attention);
    if let Some(adapter) = &stage.adapter {
        let Adapter::Lora(lora) = adapter;
        // Magnitudes scale rows; what is multiplied is in the matrices.
        let matrices = Adapter::Lora(super::spec::Lora { magnitude: false, ..lora.clone() });
        let own = adapters(model, &matrices) as f64;
        flops -= 2.0 * parameters.multiplied() as f64;
        flops += if lora.magnitude { 2.0 * own + 2.0 * adapted(model, adapter) as f64 } else { 6.0 * own };
        again += 2.0 * own;
    }
    let mut beside = 0.0;
    if let Some(mixtures) = parameters.mixtures.filter(|_| every) {
        let experts = mixtures.expert as f64 * mixtures.count as f64 * mixtures.blocks as f64;
        let idle = experts - mixtures.expert as f64 * mixtures.active as f64 * mixtures.blocks as f64;
        // Adapters make no gradient of experts.
        beside += if stage.adapter.is_some() { 4.0 } else { 6.0 } * idle;
        // One of two first matrices is a gate.
        beside += 2.0 * experts * if model.activation.gated() { 2.0 / 3.0 } else { 0.5 };
        again += 2.0 * idle;
    }
    Flops { model: flops, hardware: flops + beside + if stage.recompute { again } else { 0.0 } }
}

/// Operations of one forward pass over one sequence, counting each matrix product and nothing else.
///
/// nanoGPT's `transformer_sizing` counts so; training is three times that.
pub fn forward_flops(model: &Decoder, vocab: u64, sequence: u64) -> f64 {
    let bare = Decoder { bias: false, ..model.clone() };
    let parts = super::parameters::parameters(&bare, vocab);
    let idle = parts.total() - parts.active();
    let matrices = (parts.blocks() - idle) as f64 + parts.embedding as f64;
    let tokens = sequence as f64;
    2.0 * matrices * tokens + 4.0 * attention_products(model, sequence) * tokens
}

/// `L·H·Q·T`, where a block with a window has that for its `T`.
fn attention_products(model: &Decoder, sequence: u64) -> f64 {
    let sees = |layer| model.window_of(layer).map_or(sequence, |window| size(window).min(sequence)) as f64;
    let seen: f64 = match model.window {
        None => size(model.layers) as f64 * sequence as f64,
        Some(_) => (0..size(model.layers) as usize).map(sees).sum(),
    };
    seen * size(model.heads) as f64 * size(model.head_dim) as f64
}

#[cfg(test)]
mod tests {
    use super::super::parameters::{parameters, published};
    use super::super::spec::{Experts, Groups, Lora, LoraTarget};
    use super::*;

    #[test]
    fn agrees_with_the_published_counts_for_gpt2() {
        let model = published::gpt2(false);
        assert_eq!(forward_flops(&model, 50_257, 1024), 291_648_307_200.0);
        assert_eq!(3.0 * forward_flops(&model, 50_257, 1024), 874_944_921_600.0);
        let palm = 1024.0 * training_flops_per_token(&model, &parameters(&model, 50_257), 1024);
        assert_eq!(palm, 875_062_886_400.0);
    }

    #[test]
    fn an_embedding_that_only_looks_up_costs_nothing() {
        let tied = published::llama([2, 8, 2, 1, 4, 16], true);
        let untied = Decoder { tied: false, ..tied.clone() };
        let cost = |m: &Decoder| training_flops_per_token(m, &parameters(m, 10), 4);
        assert_eq!(cost(&tied), cost(&untied));
    }

    /// By hand, of a network with one block: width 8, two heads of 4 over one key/value head, hidden layer 16, 10 entries,
    /// rows of 4 tokens. Queries 64, keys and values 32 each, output 64, and three matrices of 128 make 576 in matrices; with
    /// 16 of two norms 592 in the block, with 80 of the output and 8 of the last norm N = 680. Attention L·H·Q·T = 1·2·4·4 = 32.
    #[test]
    fn adapters_and_blocks_computed_again_cost_what_is_computed() {
        let model = published::llama([1, 8, 2, 1, 4, 16], true);
        let parts = parameters(&model, 10);
        assert_eq!((parts.multiplied(), parts.block()), (680, 592));
        let flops = |adapter: Option<Adapter>, recompute| {
            let stage = Training { adapter, recompute, ..plain() };
            let Flops { model: needed, hardware } = stage_flops_per_token(&model, &parts, 4, &stage, false);
            (needed, hardware)
        };
        let whole = 6.0 * 680.0 + 12.0 * 32.0;
        assert_eq!(flops(None, false), (whole, whole));
        assert_eq!(flops(None, true), (whole, whole + 2.0 * 592.0 + 4.0 * 32.0));
        // Rank 2 on queries (8 to 8) and the last matrix (16 to 8): 2·16 + 2·24 = 80 numbers, beside 64 + 128 = 192.
        let lora = |magnitude| {
            let on = vec![LoraTarget::Query, LoraTarget::Down];
            Some(Adapter::Lora(Lora { rank: 2, alpha: 4.0, on, rank_stabilized: false, magnitude }))
        };
        let frozen = 4.0 * 680.0 + 12.0 * 32.0;
        assert_eq!(flops(lora(false), false), (frozen + 480.0, frozen + 480.0));
        assert_eq!(flops(lora(false), true).1, frozen + 480.0 + 2.0 * 592.0 + 4.0 * 32.0 + 160.0);
        assert_eq!(flops(lora(true), false).0, frozen + 160.0 + 2.0 * 192.0);
    }

    /// By hand, of one block as above with four experts of 3·8·16 = 384, of which a token uses one, and a router of 8·4: idle are
    /// 3·384 = 1,152, and the first matrices of all experts are two thirds of 1,536.
    #[test]
    fn where_every_expert_is_computed_the_idle_ones_cost_as_well() {
        let model = Decoder {
            experts: Some(Experts {
                count: 4,
                active: 1,
                hidden: None,
                renormalize: true,
                every: None,
                balance: 0.01,
                z_loss: None,
            }),
            ..published::llama([1, 8, 2, 1, 4, 16], true)
        };
        let parts = parameters(&model, 10);
        let flops =
            |recompute, every| stage_flops_per_token(&model, &parts, 4, &Training { recompute, ..plain() }, every);
        let gathered = flops(false, false);
        assert_eq!(gathered.model, gathered.hardware);
        assert_eq!(gathered.model, 6.0 * (680.0 + 32.0) + 12.0 * 32.0);
        let every = flops(false, true);
        assert_eq!((every.model, every.hardware), (gathered.model, gathered.model + 6.0 * 1152.0 + 2.0 * 1024.0));
        assert_eq!(flops(true, true).hardware - every.hardware, 2.0 * (592.0 + 32.0 + 1152.0) + 4.0 * 32.0);
    }

    fn plain() -> Training {
        let named = |name: &str| serde_json::json!({"is": "named", "dataset": {"ref": name}});
        let amount = |amount: f64, unit: &str| serde_json::json!({"amount": amount, "unit": unit});
        serde_json::from_value(serde_json::json!({
            "data": named("stories"), "budget": amount(1.0, "steps"), "batch": amount(1.0, "documents"),
            "recompute": false, "groups": Groups::default(), "z_loss": 0.0, "keep": {"is": "last"}, "checkpoint": 1,
            "checkpoints": 1, "seed": 0, "schedule": {"is": "constant", "warmup": amount(0.0, "steps")},
            "optimizer": {"is": "sgd", "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0},
        }))
        .unwrap()
    }
}
