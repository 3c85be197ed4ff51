//! An upper bound on the memory of judging: a network's weights, and what goes through it at once on the way forward.

use super::memory::{MASK_COPIES, forward};
use super::parameters::{Parameters, size};
use super::spec::Decoder;

/// Items that are judged together.
pub const JUDGED_AT_ONCE: usize = 32;

/// Tokens that go through a network at once for their likelihood, at most, unless one window has more: a batch of few windows of
/// a long context takes as much memory as one of many short ones.
pub const TOKENS_AT_ONCE: usize = 1 << 14;

/// Keys and values that are cached at once while text is generated, in bytes, at most, unless one text has more.
pub const CACHE_BYTES: usize = 2 << 30;

/// Columns of prompts that are read at once, of all texts of a batch together.
pub const READ_AT_ONCE: usize = 1 << 11;

/// Bytes to judge the network `model`, whose parameters are `parts`, by likelihood or by what it writes.
pub fn judging(model: &Decoder, parts: &Parameters) -> u64 {
    let context = size(model.context);
    let vocab = parts.embedding / size(model.width).max(1);
    let all = context.saturating_mul(JUDGED_AT_ONCE as u64);
    let (each, logits) = forward(model, context, vocab);
    // Windows are padded to sixteen tokens.
    let scored = all.min(context.max(TOKENS_AT_ONCE as u64).saturating_add(16));
    // Windows see what is before them, all in the same way: one mask is that of all rows.
    let masks = context.saturating_mul(context).saturating_mul(MASK_COPIES);
    let likelihood = scored.saturating_mul(each).saturating_add(masks).saturating_add(logits(scored));
    let column = size(model.layers).saturating_mul(2 * size(model.kv_heads)).saturating_mul(size(model.head_dim));
    let cached = column.saturating_mul(all.min(context.max(CACHE_BYTES as u64 / 4 / column.max(1))));
    // What reads a prompt looks at all that is cached: on a GPU with scores of every pair, and a mask for each text.
    let scores = size(model.heads).saturating_mul(4).saturating_add(MASK_COPIES).saturating_mul(context);
    let read = all.min(READ_AT_ONCE.max(64 * JUDGED_AT_ONCE) as u64).saturating_mul(each.saturating_add(scores));
    let written = cached.saturating_add(read).saturating_add(logits(JUDGED_AT_ONCE as u64));
    parts.total().saturating_add(likelihood.max(written)).saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parameters::{parameters, published::llama};

    /// SmolLM of 135 million parameters.
    fn smollm(context: i64) -> Decoder {
        Decoder { context, ..llama([30, 576, 9, 3, 64, 1536], true) }
    }

    #[test]
    fn a_long_context_takes_no_more_than_its_share() {
        let of = |context| {
            let model = smollm(context);
            judging(&model, &parameters(&model, 49_152))
        };
        let weights = 4 * 134_515_008;
        assert!(of(128) > weights && of(128) < weights + (2 << 30), "{}", of(128));
        assert!(of(8_192) > of(512));
        assert!(of(8_192) < weights + (8 << 30), "{}", of(8_192));
    }
}
