//! What a stage will cost.

use super::batches::Step;
use super::chain::sequence;
use super::checks;
use super::counts::{KnownCounts, Workload};
use super::flops::stage_flops_per_token;
use super::graph::{Digest, Estimate, Known};
use super::length::{Amounts, Budget, Rows, length, row_length};
use super::memory::{adapters, memory, micro_batch, remembered_of_adapters};
use super::parameters::{Parameters, parameters};
use super::remembered::remembered;
use super::settings;
use super::spec::{Decoder, Keeping, OnSpike, Stage, Training};
use super::unsupported;
use crate::check::CheckedItem;
use crate::diagnostics::Problems;

/// Everything that the cost of a stage follows from.
pub(super) struct Costed<'a> {
    pub item: &'a CheckedItem,
    pub stage: &'a Stage,
    pub training: &'a Training,
    pub model: &'a Decoder,
    /// How the training data is called, and its identity.
    pub data: (String, Known<Digest>),
    pub tokenizer: Known<Digest>,
    /// Entries of the tokenizer.
    pub vocab: Known<u64>,
    pub hash: Known<Digest>,
}

/// Prices a stage; reports a budget that buys no step, and what does not come within it.
pub(super) fn estimate(of: &Costed<'_>, counts: &dyn KnownCounts, problems: &mut Problems) -> Estimate {
    let common = of.training;
    let sequence = sequence(common, of.model);
    let step = Step::of(common.batch, sequence).growing(common.growth.as_ref());
    let vocab = match of.model.vocab {
        Some(rows) => Known::Value(super::parameters::size(rows)),
        None => of.vocab.clone(),
    };
    let parts: Known<Parameters> = vocab.clone().map(|v| parameters(of.model, v));
    let executed: Known<()> = match unsupported::stage(of.stage) {
        None => Known::Value(()),
        Some(why) => Known::Unknown(why),
    };
    let cost = |every| {
        let parts = executed.clone().and_then(|()| parts.clone());
        parts.map(|parts| stage_flops_per_token(of.model, &parts, sequence, common, every))
    };
    let mixed = of.model.experts.is_some();
    let each = cost(counts.every_expert());
    let on_gpu = mixed.then(|| cost(true));
    let flops_per_token = each.clone().map(|each| each.model);
    let micro = executed.clone().and_then(|()| vocab.clone()).map(|vocab| match common.micro_batch {
        Some(given) => super::parameters::size(given).clamp(1, step.sequences),
        None => micro_batch(of.model, sequence, step.sequences, vocab, &common.into(), counts.activation_bytes()),
    });
    let speed = micro.clone().and_then(|micro_batch| {
        let (Known::Value(vocab), Known::Value(each)) = (&vocab, &each) else {
            return Known::Unknown("its cost is not known yet".to_owned());
        };
        counts.tokens_per_second(&Workload {
            model: of.model,
            vocab: *vocab,
            sequence,
            micro_batch,
            flops_per_token: each.hardware,
            precision: common.products(),
            stage: of.hash.value(),
        })
    });
    let rows = if matches!(of.stage, Stage::NextToken(_)) { Rows::Packed } else { Rows::Padded };
    let length = length(&Budget {
        budget: common.budget,
        step,
        rows,
        data: amounts(of, counts),
        flops_per_token: flops_per_token.clone(),
        tokens_per_second: speed.clone(),
    });
    checks::budget(of.item, common.budget, &length.steps, &length.derivation, problems);
    settings::pace(of.item, common, &length.steps, step, rows, problems);
    let row = row(of, counts, sequence);
    let positions = length.steps.clone().map(|steps| step.sequences_in(steps).saturating_mul(row));
    let mut derivation = length.derivation;
    if common.until.is_some() {
        derivation.push_str("; fewer if `until` holds earlier");
    }
    let memory = executed
        .and_then(|()| vocab.clone())
        .and_then(|vocab| micro.clone().map(|m| memory(of.model, vocab, sequence, m, step.sequences, &common.into())));
    Estimate {
        parameters: parts.clone().map(|p| p.total()),
        disk_bytes: parts.clone().map(|p| disk(of.model, &p, common)),
        parts,
        sequences: step.sequences,
        sequence,
        micro_batch: micro,
        tokens: length.tokens,
        steps: length.steps,
        epochs: length.epochs,
        derivation,
        flops: flops_per_token.and_then(|each| positions.clone().map(|n| each * n as f64)),
        hardware_flops: (common.recompute || mixed && counts.every_expert())
            .then(|| each.and_then(|each| positions.clone().map(|n| each.hardware * n as f64))),
        gpu_flops: on_gpu.map(|each| each.and_then(|each| positions.clone().map(|n| each.hardware * n as f64))),
        fitted: common.micro_batch.is_none().then(|| counts.activation_bytes()),
        memory,
        seconds: speed.and_then(|speed| positions.map(|n| n as f64 / speed.max(f64::MIN_POSITIVE))),
    }
}

/// Places of a row that are computed, at most: rows of samples are cut to the longest of their batch.
fn row(of: &Costed<'_>, counts: &dyn KnownCounts, sequence: u64) -> u64 {
    let longest = match (of.stage.template(), &of.data.1, &of.tokenizer) {
        // The last token is only ever predicted.
        (Some(template), Known::Value(data), Known::Value(tokenizer)) => {
            counts.longest(data, tokenizer, &template.jinja).map(|n| n.saturating_sub(1))
        }
        _ => None,
    };
    longest.map_or(sequence, |longest| row_length(longest, sequence))
}

fn amounts(of: &Costed<'_>, counts: &dyn KnownCounts) -> Amounts {
    let (name, hash) = &of.data;
    let not_yet = |what: &str| Known::Unknown(format!("{what} of `{name}` have not been counted yet"));
    let documents = hash.clone().and_then(|h| match counts.data(&h) {
        Some(count) => Known::Value(count.documents),
        None => not_yet("the documents"),
    });
    let tokens = hash.clone().and_then(|data| {
        of.tokenizer.clone().and_then(|tokenizer| {
            let counted = match of.stage.template() {
                Some(template) => counts.chat_tokens(&data, &tokenizer, &template.jinja),
                None => counts.tokens(&data, &tokenizer),
            };
            counted.map_or_else(|| not_yet("the tokens"), Known::Value)
        })
    });
    Amounts { name: name.clone(), tokens, documents }
}

/// Bytes on disk at most: the weights that are handed on, those that were best so far, and the checkpoints to resume from
/// (those that are kept and the one being written), each with weights, their average where there is one, and what the
/// optimiser remembers; all in f32.
fn disk(model: &Decoder, parts: &Parameters, common: &Training) -> u64 {
    let best = u64::from(matches!(common.keep, Keeping::Best(_)));
    // Of adapters, checkpoints and the best so far hold nothing else; what is handed on is the network and them.
    let (trained, moments, handed) = match &common.adapter {
        None => (parts.total(), remembered(model, parts, &common.optimizer), parts.total()),
        Some(adapter) => {
            let trained = adapters(model, adapter);
            let moments = remembered_of_adapters(model, adapter, &common.optimizer);
            (trained, moments, parts.total().saturating_add(trained))
        }
    };
    let checkpoint = trained.saturating_mul(1 + u64::from(common.ema.is_some())).saturating_add(moments);
    // A stage that may go back keeps the one it would go back to besides.
    let goes_back = common.on_spike.as_ref().is_some_and(|spike| spike.action == OnSpike::RollBack);
    let kept = super::parameters::size(common.checkpoints).saturating_add(u64::from(goes_back));
    let results = handed.saturating_add(trained.saturating_mul(best));
    results.saturating_add(checkpoint.saturating_mul(kept.saturating_add(1))).saturating_mul(4)
}
