//! Floating-point operations of training.
//!
//! A token costs `6·N + 12·L·H·Q·T`: two operations a parameter in the forward pass and four in the backward pass, and
//! attention over a sequence of `T` tokens with `L` blocks of `H` heads of size `Q` (PaLM, appendix B; nanoGPT). `N` is
//! the number of parameters that a token is multiplied with: learned positions are left out, and so is an embedding that
//! is not also the output layer, because looking up costs no operation, and experts that it does not go through. The causal mask is not deducted; a
//! window is. Recomputation is not counted: this is what the model needs, not what the hardware is asked to do.

use super::parameters::{Parameters, size};
use super::spec::Decoder;

/// Operations to train on one token in a sequence of `sequence` tokens, forward and backward.
pub fn training_flops_per_token(model: &Decoder, parameters: &Parameters, sequence: u64) -> f64 {
    6.0 * parameters.multiplied() as f64 + 12.0 * attention_products(model, sequence)
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
}
