//! Settings of a training stage that must fit its network and its length.

use super::batches::Step;
use super::chain::Chain;
use super::figures::plural;
use super::spec::{
    Adapter, Group, Groups, LoraTarget, Optimizer, Precision, Quantity, Schedule, Training, Unit, WATCHED_EVERY,
};
use super::{Known, Rows};
use crate::check::CheckedItem;
use crate::diagnostics::{Code, Problem, Problems};

/// Reports settings that could have no effect on the network that is trained.
pub(super) fn check(item: &CheckedItem, common: &Training, chain: &Chain<'_>, problems: &mut Problems) {
    let Some((model_item, model)) = chain.model else { return };
    if model.tied && common.groups.head != Group::default() {
        problems.push(
            Problem::new(
                Code::E0614,
                item.span_of("groups.head"),
                format!("`{}` gives rates for an output matrix that `{}` does not have", item.name, model_item.name),
            )
            .label("for an output matrix of its own")
            .also(model_item.span_of("tied"), "the output shares the embedding")
            .help("set `groups.embedding` instead, or `tied = false` in the model"),
        );
    }
    let precision = common.products();
    if model.experts.is_some() && precision != Precision::F32 {
        let message = format!("`{}` multiplies in `{}`, which is not built for experts", item.name, precision.name());
        problems.push(
            Problem::new(Code::E0614, item.span_of("precision"), message)
                .label("experts multiply in f32 only")
                .also(model_item.span_of("experts"), "the network has experts")
                .help("leave `precision` out for f32"),
        );
    }
    // Adapters have the rate that is given.
    if let (Some(_), Optimizer::Soap(_), None) = (&model.mup, &common.optimizer, &common.adapter) {
        let message =
            format!("`{}` carries SOAP's rate to another width, for which no rule is known to hold", item.name);
        problems.push(
            Problem::new(Code::E0614, item.span_of("optimizer"), message)
                .label("steps of SOAP are as large as their gradients are of high rank")
                .also(model_item.span_of("mup"), "the network's rates follow from its width")
                .help("train with `muon` or `adamw`, or leave `mup` out and tune the rate at this width"),
        );
    }
    if model.experts.is_some() && model.mixtures() == 0 {
        problems.push(
            Problem::new(
                Code::E0614,
                model_item.span_of("experts.every"),
                format!("no block of `{}` has experts", model_item.name),
            )
            .label("more than there are blocks")
            .also(model_item.span_of("layers"), plural(model.layers.unsigned_abs(), "block", "blocks"))
            .also(item.span, "trained here")
            .help("let more blocks have experts, or leave `experts` out"),
        );
    }
    if let Some(values) = model.value_embeddings.filter(|values| values.channels > model.width) {
        let see = format!("gates of `{}` see more numbers than there are", model_item.name);
        problems.push(
            Problem::new(Code::E0614, model_item.span_of("value_embeddings.channels"), see)
                .label(plural(values.channels.unsigned_abs(), "number", "numbers"))
                .also(model_item.span_of("width"), format!("the width is {}", model.width))
                .also(item.span, "trained here")
                .help(format!("set `channels` to at most {}", model.width)),
        );
    }
    if let Some(Adapter::Lora(lora)) = &common.adapter {
        if common.init.is_none() {
            problems.push(
                Problem::new(
                    Code::E0614,
                    item.span_of("adapter"),
                    format!("`{}` adapts a network that has learnt nothing", item.name),
                )
                .label("its own weights would stay as they were drawn")
                .help("start from a stage with `init`, or leave `adapter` out to train the network itself"),
            );
        }
        let of_experts = |target: &LoraTarget| matches!(target, LoraTarget::Gate | LoraTarget::Up | LoraTarget::Down);
        if model.experts.is_some() && lora.on.iter().any(of_experts) {
            problems.push(
                Problem::new(
                    Code::E0614,
                    item.span_of("adapter"),
                    format!("`{}` adapts experts, which this version cannot", item.name),
                )
                .label("`gate`, `up` and `down` are matrices of experts here")
                .also(model_item.span_of("experts"), "the network has experts")
                .note("without `on`, all matrices of a block are adapted")
                .help("adapt attention alone: `on = [query, key, value, output]`"),
            );
        }
        let Groups { embedding, hidden: _, head, vectors } = &common.groups;
        let usual = Groups::default();
        for (group, usual, name, trained) in [
            (embedding, usual.embedding, "embedding", false),
            (head, usual.head, "head", false),
            (vectors, usual.vectors, "vectors", lora.magnitude),
        ] {
            if *group != usual && !trained {
                problems.push(
                    Problem::new(
                        Code::E0614,
                        item.span_of(&format!("groups.{name}")),
                        format!("`{}` gives rates for weights that its adapters leave as they are", item.name),
                    )
                    .label("adapters are matrices of blocks")
                    .also(item.span_of("adapter"), "only these are trained")
                    .help("set `groups.hidden` instead, or leave the group out"),
                );
            }
        }
    }
    let length = super::chain::sequence(common, model);
    if let Some(growth) = &common.growth
        && let (first, full) = (Step::of(growth.from, length).sequences, Step::of(common.batch, length).sequences)
        && first > full
    {
        let sequences = |n| plural(n, "sequence", "sequences");
        problems.push(
            Problem::new(
                Code::E0614,
                item.span_of("growth.from"),
                format!("the batch of `{}` would shrink instead of growing", item.name),
            )
            .label(format!("{} at first", sequences(first)))
            .also(item.span_of("batch"), format!("{} in the end", sequences(full)))
            .help("start from fewer, or raise `batch`"),
        );
    }
}

/// What has to come within a stage of so many steps: the warm-up, and, at least once, validation.
pub(super) fn pace(
    item: &CheckedItem,
    common: &Training,
    steps: &Known<u64>,
    step: Step,
    rows: Rows,
    problems: &mut Problems,
) {
    let Some(steps) = steps.value().copied().filter(|steps| *steps > 0) else { return };
    // How many tokens a padded step learns from depends on the data.
    let counted = |quantity: Quantity| match quantity.unit {
        Unit::Steps => Some(quantity.amount.round()),
        Unit::Tokens if rows == Rows::Packed => Some(step.for_tokens(quantity.amount).ceil()),
        _ => None,
    };
    let lasts = || format!("the stage lasts {}", plural(steps, "step", "steps"));
    if let Some(long) = common.schedule.warmup().and_then(counted).filter(|n| *n > steps as f64) {
        problems.push(
            Problem::new(
                Code::E0612,
                item.span_of("schedule.warmup"),
                format!("the warm-up of `{}` is longer than the stage", item.name),
            )
            .label(format!("{} of warm-up", plural(long as u64, "step", "steps")))
            .also(item.span_of("budget"), lasts())
            .help("shorten it, or give it as a share of the stage, such as `warmup = 2%`"),
        );
    }
    schedule(item, &common.schedule, steps, &counted, problems);
    if let Some(growth) = step.growth.filter(|growth| growth.steps > steps) {
        problems.push(
            Problem::new(
                Code::E0614,
                item.span_of("growth.over"),
                format!("the batch of `{}` is never full", item.name),
            )
            .label(format!("it grows over {}", plural(growth.steps, "step", "steps")))
            .also(item.span_of("budget"), lasts())
            .help("let it grow over fewer steps, or train longer"),
        );
    }
    // A validation is an occasion to look, too.
    let looked = |window: u64| if common.validate.is_some() { window } else { window.next_multiple_of(WATCHED_EVERY) };
    if let Some(spike) = &common.on_spike
        && looked(spike.window.unsigned_abs()) >= steps
    {
        problems.push(
            Problem::new(
                Code::W1014,
                item.span_of("on_spike.window"),
                format!("`{}` is over before a leap of its loss could be told", item.name),
            )
            .label(format!("the median is over {} before it", plural(spike.window.unsigned_abs(), "step", "steps")))
            .also(item.span_of("budget"), lasts())
            .note("a loss or gradient that is not finite is acted upon all the same")
            .help(format!("lower `window` to well below {steps}, or train longer")),
        );
    }
    if let Some(every) = &common.validate
        && let Some(period) = counted(every.period).filter(|n| *n > steps as f64)
    {
        problems.push(
            Problem::new(
                Code::W1010,
                item.span_of("validate.period"),
                format!("`{}` validates only at its end", item.name),
            )
            .label(format!("every {}", plural(period as u64, "step", "steps")))
            .also(item.span_of("budget"), lasts())
            .help("validate more often, or train longer"),
        );
    }
}

/// Parts of a schedule that do not come within the stage, or not in this order.
fn schedule(
    item: &CheckedItem,
    schedule: &Schedule,
    steps: u64,
    counted: &dyn Fn(Quantity) -> Option<f64>,
    problems: &mut Problems,
) {
    let place = |quantity: Quantity| match quantity.unit {
        Unit::Ratio | Unit::One => Some((quantity.amount * steps as f64).round()),
        _ => counted(quantity),
    };
    match schedule {
        Schedule::Wsd(s) => {
            let (Some(warmup), Some(decay)) = (place(s.warmup), place(s.decay)) else { return };
            // A warm-up that is too long by itself has been told.
            if warmup <= steps as f64 && warmup + decay > steps as f64 {
                let count = |n: f64| plural(n as u64, "step", "steps");
                problems.push(
                    Problem::new(
                        Code::E0614,
                        item.span_of("schedule.decay"),
                        format!("warm-up and decay of `{}` are longer than the stage", item.name),
                    )
                    .label(format!("{} of decay", count(decay)))
                    .also(item.span_of("schedule.warmup"), format!("{} of warm-up", count(warmup)))
                    .also(item.span_of("budget"), format!("the stage lasts {}", count(steps as f64)))
                    .help("shorten one of them, or train longer"),
                );
            }
        }
        Schedule::Piecewise(s) => {
            let places: Option<Vec<f64>> = s.points.iter().map(|point| place(point.at)).collect();
            let Some(places) = places else { return };
            if let Some(i) = (1..places.len()).find(|i| places[*i] < places[i - 1]) {
                let of = |i: usize| item.span_of(&format!("schedule.points.{i}"));
                problems.push(
                    Problem::new(Code::E0614, of(i), format!("the points of `{}` are out of order", item.name))
                        .label(format!("at step {}", places[i]))
                        .also(of(i - 1), format!("comes before this, and lies at step {}", places[i - 1]))
                        .help("put them in the order of their places"),
                );
            }
        }
        _ => {}
    }
}
