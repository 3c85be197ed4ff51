//! The plan as people read it.

use super::datasets::{called, summary};
use super::figures::{bytes, duration, flops, number, plural, thousands};
use super::graph::{Estimate, Known, Plan, PlannedStage};
use super::memory::{adapter_matrices, adapters};
use super::remembered::{Turning, matrices, turning};
use super::spec::{Decoder, Keeping, Metric, Optimizer, Precision, Tokenizer, Training};
use super::status::{Status, Statuses};
use super::totals::{Price, totals};
use std::fmt::Write;

/// The plan as text: data, tokenizers, stages with their costs, what judges them, and totals. Ends with a newline.
pub fn text(plan: &Plan, device: Option<&str>, statuses: &Statuses) -> String {
    let mut out = Page::default();
    let hash = plan.hash.value().map_or_else(|| "no identity yet".to_owned(), |h| format!("plan {}", short(h)));
    out.line(0, &format!("{}  ·  {hash}  ·  seed {}", plan.name, plan.experiment.seed));
    if let Some(why) = plan.hash.reason() {
        out.line(0, &format!("(no identity, because {why})"));
    }
    if let Some(device) = device {
        out.line(0, &format!("on {device}"));
    }
    data(plan, statuses, &mut out);
    tokenizers(plan, statuses, &mut out);
    if !plan.stages.is_empty() {
        out.title("Stages");
    }
    for stage in &plan.stages {
        self::stage(stage, statuses, &mut out);
    }
    judgement(plan, statuses, &mut out);
    if !plan.stages.is_empty() {
        sums(plan, statuses, &mut out);
    }
    out.text
}

/// What a sweep costs, as text of a few lines.
pub fn price_text(price: &Price) -> String {
    let mut out = Page::default();
    let shared = price.stages - price.distinct_stages;
    let mut stages = format!("{} to run", plural(price.distinct_stages - price.cached_stages, "stage", "stages"));
    if price.cached_stages > 0 {
        write!(stages, ", {} in the store", thousands(price.cached_stages)).ok();
    }
    if shared > 0 {
        write!(stages, ", {} shared among points", thousands(shared)).ok();
    }
    out.field("points", &thousands(price.points));
    out.field("stages", &stages);
    out.field("tokens", &show(&price.tokens, |n| thousands(*n)));
    let mut compute = show(&price.flops, |x| format!("{} FLOPs", flops(*x)));
    if let (Known::Value(with), Known::Value(without)) = (&price.flops, &price.unshared_flops)
        && *without > *with
    {
        write!(compute, " ({} FLOPs if nothing were shared)", flops(*without)).ok();
    }
    out.field("compute", &compute);
    out.field("memory", &show(&price.memory_bytes, |n| format!("at most {}", bytes(*n))));
    out.field("disk", &show(&price.disk_bytes, |n| format!("at most {}", bytes(*n))));
    out.field("time", &show(&price.seconds, |s| format!("about {}", duration(*s))));
    out.text
}

fn data(plan: &Plan, statuses: &Statuses, out: &mut Page) {
    if plan.datasets.is_empty() {
        return;
    }
    out.title("Data");
    let rows = plan.datasets.iter().map(|d| {
        let size = match (&d.documents, &d.bytes) {
            (Known::Value(n), Known::Value(b)) => format!("{}, {}", thousands(*n), bytes(*b)),
            _ => "not counted".to_owned(),
        };
        let read = d.inputs.iter().map(|i| i.bytes).sum::<u64>();
        let read = if read == 0 { "–".to_owned() } else { bytes(read) };
        vec![d.name.clone(), summary(d), read, size, state(&d.name, &d.hash, statuses)]
    });
    out.table(&["name", "made from", "reads", "holds", "state"], rows.collect());
}

fn tokenizers(plan: &Plan, statuses: &Statuses, out: &mut Page) {
    if plan.tokenizers.is_empty() {
        return;
    }
    out.title("Tokenizers");
    let rows = plan.tokenizers.iter().map(|t| {
        let (kind, on) = match &t.spec {
            Tokenizer::Bpe(b) => ("bpe", called(&b.train_on)),
            Tokenizer::Characters(c) => ("characters", called(&c.train_on)),
            Tokenizer::Wordpiece(w) => ("wordpiece", called(&w.train_on)),
            Tokenizer::TokenizerJson(p) => ("tokenizer_json", p.file.clone()),
            Tokenizer::Published(p) => ("published", p.file.clone()),
        };
        let entries = t.vocab.value().map_or_else(|| "not counted".to_owned(), |n| thousands(*n));
        vec![
            t.name.clone(),
            kind.to_owned(),
            entries,
            on,
            state_of(&t.name, &t.hash, t.unsupported.as_deref(), statuses),
        ]
    });
    out.table(&["name", "kind", "entries", "from", "state"], rows.collect());
}

fn stage(stage: &PlannedStage, statuses: &Statuses, out: &mut Page) {
    let e = &stage.estimate;
    out.gap();
    let state = match &stage.unsupported {
        Some(why) => format!("cannot run: {why}"),
        None => state(&stage.name, &stage.hash, statuses),
    };
    out.line(2, &format!("{} : {}  –  {state}", stage.name, stage.spec.kind()));
    let start = match (stage.spec.init(), &stage.published) {
        (Some(init), _) => format!("continues `{}`", init.name),
        (None, Some(published)) => format!("a published {}", published.model_type),
        (None, None) => "starts from fresh weights".to_owned(),
    };
    out.field("network", &format!("{}: {}; {start}", stage.model_name, network(&stage.model)));
    if let Some(mup) = &stage.model.mup {
        let times = number(mup.widening(stage.model.width));
        out.field(
            "",
            &format!("muP: {times} times as wide as the base of {}", thousands(mup.base_width.max(0) as u64)),
        );
    }
    let active = e.parts.value().filter(|parts| parts.mixtures.is_some()).map(|parts| parts.active());
    let active = active.map(|n| format!(", of which a token uses {}", thousands(n))).unwrap_or_default();
    out.field("parameters", &show(&e.parameters, |n| format!("{}{active}", thousands(*n))));
    if let Some(p) = e.parts.value() {
        let mut parts = vec![format!("embedding {}", thousands(p.embedding))];
        if p.positions > 0 {
            parts.push(format!("positions {}", thousands(p.positions)));
        }
        if p.mixed() < p.layers {
            parts.push(format!("{} × {}", plural(p.layers - p.mixed(), "block", "blocks"), thousands(p.block())));
        }
        if let Some(mixtures) = &p.mixtures {
            let blocks = plural(p.mixed(), "block", "blocks");
            let (count, all) = (thousands(mixtures.count), thousands(p.mixed_block()));
            parts.push(format!("{blocks} with {count} experts each × {all}"));
        }
        if p.values > 0 {
            parts.push(format!("values {}", thousands(p.values)));
        }
        parts.push(format!("norm {}", thousands(p.final_norm)));
        parts.push(if p.output > 0 { format!("output {}", thousands(p.output)) } else { "output tied".to_owned() });
        out.field("", &parts.join(" + "));
    }
    let Some(common) = stage.spec.training() else {
        return published(stage, out);
    };
    if let Some(adapter) = &common.adapter {
        let trained = adapters(&stage.model, adapter);
        let share = |all: &u64| number(100.0 * trained as f64 / (*all).max(1) as f64);
        out.field(
            "trained",
            &show(&e.parameters, |all| {
                format!(
                    "{} numbers in adapters, {} % of the network's {}",
                    thousands(trained),
                    share(all),
                    thousands(*all)
                )
            }),
        );
    }
    if let Some(format) = common.products().half() {
        let scaled = if common.products() == Precision::MixedF16 { "; the loss is scaled" } else { "" };
        out.field(
            "precision",
            &format!(
                "{}: {format} into matrix products; weights, sums, norms, losses and the optimiser in f32{scaled}",
                common.products().name()
            ),
        );
    }
    let mut from = format!("{} through {}", called(&common.data), stage.tokenizer);
    if let Some(every) = &common.validate {
        write!(from, "; validates on {}", called(&every.on)).ok();
    }
    if matches!(common.keep, Keeping::Best(_)) {
        from.push_str(", keeps the best");
    }
    out.field("data", &from);
    out.field("length", &length(e));
    out.field("", &e.derivation);
    let batch =
        format!("{} of {}", plural(e.sequences, "sequence", "sequences"), plural(e.sequence, "token", "tokens"));
    out.field("step", &format!("{batch}{}", at_a_time(e, common)));
    if stage.unsupported.is_some() {
        out.field("needs", &stage.depends_on.join(", "));
        return;
    }
    let mut compute = show(&e.flops, |x| format!("{} FLOPs", flops(*x)));
    let again = if common.recompute { "blocks computed again" } else { "" };
    let (all, on_gpu) = (e.hardware_flops.as_ref().and_then(Known::value), e.gpu_flops.as_ref().and_then(Known::value));
    // Where nothing is measured yet, a CPU is taken for granted.
    let every = all.is_some() && all == on_gpu;
    let more = if every && common.recompute { " and " } else { "" };
    let experts = if every { "every expert computed for every token" } else { "" };
    if let Some(all) = all {
        write!(compute, "; {} with {again}{more}{experts}", flops(*all)).ok();
    }
    if let Some(all) = on_gpu.filter(|_| !every) {
        write!(compute, "; {} on a GPU, which computes every expert for every token", flops(*all)).ok();
    }
    out.field("compute", &compute);
    if let (Optimizer::Soap(soap), Some(parts)) = (&common.optimizer, e.parts.value()) {
        let matrices = match &common.adapter {
            None => matrices(&stage.model, parts),
            Some(adapter) => adapter_matrices(&stage.model, adapter),
        };
        let Turning { step, follow, first } = turning(soap, &matrices);
        let (step, follow, first) = (flops(step), flops(follow), flops(first));
        let every = plural(soap.precondition_frequency.unsigned_abs(), "step", "steps");
        out.field("", &format!("SOAP: {step} FLOPs more a step; every {every} {follow} on the CPU, and {first} once"));
    }
    out.field(
        "memory",
        &show(&e.memory, |m| {
            format!(
                "at most {}: weights {}, gradients {}, optimizer {}, activations {}, batch {}",
                bytes(m.total()),
                bytes(m.weights),
                bytes(m.gradients),
                bytes(m.optimizer),
                bytes(m.activations),
                bytes(m.batch)
            )
        }),
    );
    out.field("disk", &show(&e.disk_bytes, |n| format!("at most {}", bytes(*n))));
    out.field("time", &show(&e.seconds, |s| format!("about {}", duration(*s))));
    out.field("needs", &stage.depends_on.join(", "));
}

/// What there is to say of a published network besides its size.
fn published(stage: &PlannedStage, out: &mut Page) {
    let vocab = stage.model.vocab.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
    out.field("vocabulary", &format!("{} through {}", plural(vocab, "embedding", "embeddings"), stage.tokenizer));
    if let Some(published) = &stage.published {
        let files = plural(published.weights.len() as u64, "file", "files");
        let read: u64 = stage.inputs.iter().map(|i| i.bytes).sum();
        let read = if read > 0 { format!(", {}", bytes(read)) } else { String::new() };
        out.field("weights", &format!("{} in {files}{read}", published.dtypes.join(", ").to_lowercase()));
        out.field("template", if published.template.is_some() { "its own" } else { "none" });
    }
    out.field("disk", &show(&stage.estimate.disk_bytes, |n| format!("at most {}", bytes(*n))));
}

fn judgement(plan: &Plan, statuses: &Statuses, out: &mut Page) {
    if !plan.evals.is_empty() || !plan.reviews.is_empty() {
        out.title("Judgement");
    }
    let of = |cells: &[super::spec::Ref]| cells.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
    let evals = plan.evals.iter().map(|e| {
        let metrics: Vec<&str> = e.spec.metrics.iter().map(Metric::name).collect();
        let state = state_of(&e.name, &e.hash, e.unsupported.as_deref(), statuses);
        vec![e.name.clone(), of(&e.spec.of), called(&e.spec.on), metrics.join(", "), state]
    });
    let reviews = plan.reviews.iter().map(|r| {
        let people = format!(
            "{} × {}",
            plural(r.spec.samples.max(0) as u64, "sample", "samples"),
            plural(r.spec.raters.max(0) as u64, "rater", "raters")
        );
        let state = state_of(&r.name, &r.hash, r.unsupported.as_deref(), statuses);
        vec![r.name.clone(), of(&r.spec.of), called(&r.spec.on), people, state]
    });
    out.table(&["name", "of", "on", "measures", "state"], evals.chain(reviews).collect());
    if !plan.expects.is_empty() || !plan.claims.is_empty() {
        out.gap();
    }
    for expect in &plan.expects {
        out.line(2, &format!("expect {}", expect.text));
    }
    for claim in &plan.claims {
        let confidence = number(claim.confidence * 100.0);
        out.line(2, &format!("claim {} = {}  with confidence = {confidence}%", claim.name, claim.text));
    }
}

fn sums(plan: &Plan, statuses: &Statuses, out: &mut Page) {
    let sum = totals(plan, statuses);
    out.title("Total");
    let mut stages = plural(sum.stages, "stage", "stages");
    if sum.cached > 0 {
        write!(stages, ", {} in the store", thousands(sum.cached)).ok();
    }
    out.field("to run", &stages);
    out.field("tokens", &show(&sum.tokens, |n| thousands(*n)));
    out.field("compute", &show(&sum.flops, |x| format!("{} FLOPs", flops(*x))));
    out.field("memory", &show(&sum.memory_bytes, |n| format!("at most {}", bytes(*n))));
    out.field("disk", &show(&sum.disk_bytes, |n| format!("at most {}", bytes(*n))));
    out.field("time", &show(&sum.seconds, |s| format!("about {}", duration(*s))));
}

fn network(model: &Decoder) -> String {
    let heads = if model.kv_heads == model.heads {
        plural(model.heads.max(0) as u64, "head", "heads")
    } else {
        format!("{} heads over {} key/value heads", model.heads, model.kv_heads)
    };
    let experts = model
        .experts
        .as_ref()
        .map_or_else(String::new, |experts| format!(", {} of {} experts a token", experts.active, experts.count));
    format!(
        "{} × {} wide, {heads}{experts}, context {}",
        plural(model.layers.max(0) as u64, "block", "blocks"),
        model.width,
        thousands(model.context.max(0) as u64)
    )
}

/// How many sequences go through the device at once, and why so many.
fn at_a_time(e: &Estimate, common: &Training) -> String {
    let Some(micro) = e.micro_batch.value() else { return String::new() };
    let all = *micro >= e.sequences;
    let so_many = if all { "all at once".to_owned() } else { format!("{} at a time", thousands(*micro)) };
    match e.fitted {
        None if all => String::new(),
        None => format!(", {so_many}, as `micro_batch` says"),
        Some(_) if all && !common.recompute => format!(", {so_many}"),
        Some(limit) => {
            let more = if common.recompute { ", more of them with `recompute`" } else { "" };
            format!(", {so_many}: as many as have activations within {}{more}; `micro_batch` sets it", bytes(limit))
        }
    }
}

fn length(e: &Estimate) -> String {
    match &e.steps {
        Known::Unknown(why) => format!("unknown: {why}"),
        Known::Value(steps) => {
            let mut parts = vec![plural(*steps, "step", "steps")];
            if let Some(tokens) = e.tokens.value() {
                parts.insert(0, plural(*tokens, "token", "tokens"));
            }
            if let Some(epochs) = e.epochs.value() {
                parts.push(format!("{} {}", number(*epochs), if *epochs == 1.0 { "epoch" } else { "epochs" }));
            }
            parts.join(", ")
        }
    }
}

fn state<T>(name: &str, hash: &Known<T>, statuses: &Statuses) -> String {
    state_of(name, hash, None, statuses)
}

fn state_of<T>(name: &str, hash: &Known<T>, unsupported: Option<&str>, statuses: &Statuses) -> String {
    if let Some(why) = unsupported {
        // The stage that is meant says what is missing.
        let short = if why.starts_with("needs `") { why.split(": ").next().unwrap_or(why) } else { why };
        return format!("cannot run: {short}");
    }
    match (statuses.get(name), hash) {
        (Some(status), _) if status.cached => "cached".to_owned(),
        (_, Known::Unknown(why)) => format!("cannot run yet: {why}"),
        (Some(Status { reason, resumes_at: Some(step), .. }), _) => {
            let reason = if reason.is_empty() { "will run" } else { reason };
            format!("{reason}; goes on from its checkpoint of step {}", thousands(*step))
        }
        (Some(status), _) if !status.reason.is_empty() => status.reason.clone(),
        _ => "will run".to_owned(),
    }
}

fn show<T>(figure: &Known<T>, text: impl Fn(&T) -> String) -> String {
    match figure {
        Known::Value(value) => text(value),
        Known::Unknown(why) => format!("unknown: {why}"),
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Text under construction.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        let line = format!("{:indent$}{text}", "");
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn gap(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn title(&mut self, title: &str) {
        self.gap();
        self.line(0, title);
    }

    fn field(&mut self, name: &str, value: &str) {
        self.line(4, &format!("{name:<11} {value}"));
    }

    /// Columns as wide as their widest cell; the last is free.
    fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        if rows.is_empty() {
            return;
        }
        let width = |text: &str| unicode_width::UnicodeWidthStr::width(text);
        let widths: Vec<usize> = (head.iter().enumerate())
            .map(|(i, title)| rows.iter().filter_map(|r| r.get(i)).map(|c| width(c)).fold(width(title), usize::max))
            .collect();
        let head = head.iter().map(|h| (*h).to_owned()).collect();
        for row in std::iter::once(head).chain(rows) {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(c, w)| format!("{c}{:1$}", "", w.saturating_sub(width(c)))).collect();
            self.line(2, &cells.join("  "));
        }
    }
}
