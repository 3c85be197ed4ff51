//! What must hold between items for the experiment to make sense.

use super::batches::Step;
use super::chain::{Chain, sequence, stated_vocab};
use super::figures::{plural, thousands};
use super::items::Items;
use super::published::Named;
use super::references::{reward, trained_on};
use super::settings;
use super::shape::{self, kindred};
use super::spec::{Dataset, Decoder, Keeping, Model, Needs, Quantity, Stage, Tokenizer, Training, Unit};
use super::{Known, Shape};
use crate::check::pedantic::leaves_out;
use crate::check::{Checked, CheckedItem, Origin};
use crate::diagnostics::{Code, Label, Problem, Problems, Severity};
use crate::source::{Sources, Span};
use crate::syntax::ast::Kind;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Reports everything that does not fit together. Names must be known and nothing in a circle.
pub(super) fn check<'a>(items: &'a Items<'a>, chains: &BTreeMap<&'a str, Chain<'a>>, problems: &mut Problems) {
    for dataset in items.datasets.values() {
        shape::check(items, dataset.from, &dataset.spec, "", problems);
    }
    for tokenizer in items.tokenizers.values() {
        if let Some(text) = trained_on(&tokenizer.spec) {
            shape::check(items, tokenizer.from, text, "train_on", problems);
        }
    }
    for (name, stage) in &items.stages {
        let (item, spec) = (stage.from, &stage.spec);
        let Some(training) = spec.training() else { continue };
        ancestry(items, item, spec, problems);
        if let Some(chain) = chains.get(name) {
            tokenizer(items, item, training, chain, chains, problems);
            template(items, item, spec, chain, problems);
            lengths(item, training, chain, problems);
            settings::check(item, training, chain, problems);
        }
        data(items, item, spec, training, problems);
        keeping(item, training, problems);
    }
    for model in items.models.values() {
        let Model::Decoder(decoder) = &model.spec;
        growing_heads(items, model.from, decoder, problems);
    }
    for eval in items.evals.values() {
        shape::check(items, eval.from, &eval.spec.on, "on", problems);
        metrics(items, eval.from, &eval.spec, problems);
    }
    for review in items.reviews.values() {
        shape::check(items, review.from, &review.spec.on, "on", problems);
    }
}

/// What every stage must have, whatever else may be wrong with it: exactly one of `model` and `init`, and a tokenizer
/// where it starts from fresh weights.
pub(super) fn starts(checked: &Checked, problems: &mut Problems) {
    for item in checked.items.iter().filter(|i| i.kind == Kind::Stage && i.schema != "pretrained") {
        let name = &item.name;
        let given = |field: &str| item.json.get("training").and_then(|s| s.get(field)).filter(|v| !v.is_null());
        let (model, init) = (given("model"), given("init"));
        let may_have = |field| given(field).is_some() || item.gaps.may_hide(field);
        if !may_have("model") && !may_have("init") {
            problems.push(
                Problem::new(Code::E0601, item.span, format!("`{name}` has neither a model nor a stage to start from"))
                    .note("a stage trains fresh weights of a `model`, or goes on from those of another stage")
                    .help("add `model = …` for fresh weights, or `init = …` to continue a stage"),
            );
        }
        if let (Some(_), Some(init)) = (model, init) {
            let init = init.get("ref").and_then(Json::as_str).unwrap_or_default();
            problems.push(
                Problem::new(
                    Code::E0602,
                    item.span_of("model"),
                    format!("`{name}` has both a model and a stage to start from"),
                )
                .label("fresh weights of this model …")
                .also(item.span_of("init"), format!("… or the weights that `{init}` leaves"))
                .help("remove `model` to continue that stage, or `init` to start afresh"),
            );
        }
        // A stage that goes on from another takes that one's, which is looked at there.
        if !may_have("tokenizer") && !may_have("init") {
            problems.push(
                Problem::new(Code::E0604, item.span, format!("`{name}` has no tokenizer"))
                    .note("a stage that starts from fresh weights has no other stage to take one from")
                    .help("add `tokenizer = …`"),
            );
        }
    }
}

/// The problems with a line of the user's first, where there is one among their places.
pub(super) fn user_first(problems: Problems, sources: &Sources) -> Problems {
    let is_library = |label: &Label| sources.get(label.span.file).is_some_and(|f| f.is_library());
    let mut sorted = Problems::default();
    for problem in &problems {
        let mut problem = problem.clone();
        if problem.labels.first().is_some_and(is_library)
            && let Some(own) = problem.labels.iter().position(|l| !is_library(l))
        {
            let own = problem.labels.remove(own);
            problem.labels.insert(0, own);
        }
        sorted.push(problem);
    }
    sorted
}

/// A stage goes on from a language model, and is rewarded by a reward model.
fn ancestry(items: &Items<'_>, item: &CheckedItem, stage: &Stage, problems: &mut Problems) {
    let kind = |name: &str| items.stages.get(name);
    if let Some(init) = stage.init()
        && let Some(before) = kind(&init.name)
        && matches!(before.spec, Stage::RewardModel(_))
        && !matches!(stage, Stage::RewardModel(_))
    {
        let message = format!("`{}` cannot start from `{}`, which is a reward model", item.name, init.name);
        problems.push(
            Problem::new(Code::E0611, item.span_of("init"), message)
                .label("needs a language model")
                .also(before.from.span, "a reward model ends in a score instead of a next token")
                .help("start from the stage that the reward model started from"),
        );
    }
    if let Some(by) = reward(stage)
        && let Some(rewarding) = kind(&by.name)
        && !matches!(rewarding.spec, Stage::RewardModel(_))
    {
        let found = rewarding.spec.kind();
        let message = format!("`{}` is rewarded by `{}`, which is not a reward model", item.name, by.name);
        problems.push(
            Problem::new(Code::E0611, item.span_of("reward"), message)
                .label("needs a stage of the kind `reward_model`")
                .also(rewarding.from.span, format!("this is a stage of the kind `{found}`"))
                .help("name a stage of the kind `reward_model`"),
        );
    }
}

/// The same tokenizer along the chain, with no more entries than the embedding.
fn tokenizer(
    items: &Items<'_>,
    item: &CheckedItem,
    common: &Training,
    chain: &Chain<'_>,
    chains: &BTreeMap<&str, Chain<'_>>,
    problems: &mut Problems,
) {
    let Some((tokens, _)) = chain.tokenizer else { return };
    let before = common.init.as_ref().and_then(|i| chains.get(i.name.as_str())).and_then(|c| c.tokenizer);
    if let Some((theirs, place)) = before
        && theirs != tokens
        && chain.published.is_none()
        && items.tokenizers.get(theirs).map(|t| &t.spec) != items.tokenizers.get(tokens).map(|t| &t.spec)
    {
        let message =
            format!("`{}` uses the tokenizer `{tokens}`, but starts from weights trained with `{theirs}`", item.name);
        problems.push(
            Problem::new(Code::E0607, item.span_of("tokenizer"), message)
                .label(format!("`{tokens}` here"))
                .also(place.span_of("tokenizer"), format!("`{theirs}` there"))
                .note("the entries of an embedding mean what the tokenizer it was trained with says")
                .help("leave `tokenizer` out: it is taken from the stage this one starts from"),
        );
        return;
    }
    if let (Some((theirs, _)), Some(published)) = (before, chain.published)
        && theirs != tokens
        && let Some(with) = items.tokenizers.get(tokens)
        && !is_file_of(&with.spec, published)
    {
        let message = format!(
            "`{}` uses the tokenizer `{tokens}`, but its weights were trained with that of a folder",
            item.name
        );
        problems.push(
            Problem::new(Code::W1016, item.span_of("tokenizer"), message)
                .label(format!("`{tokens}` here"))
                .also(published_at(items, item, common), "the folder has one of its own")
                .note("the entries of an embedding mean what the tokenizer it was trained with says: with others it begins anew")
                .help("leave `tokenizer` out for the folder's, unless the embedding is meant to be learnt again"),
        );
    }
    let (Some((model_item, model)), Some(with)) = (chain.model, items.tokenizers.get(tokens)) else { return };
    // Tuning a published network with other tokens is a choice that people make; the tokens must have embeddings.
    if (common.model.is_some() || chain.published.is_some())
        && let Some(rows) = model.vocab
        && let Some(entries) = stated_vocab(&with.spec)
        && rows < entries
    {
        let message = format!("`{}` has {rows} embeddings, but `{tokens}` has {entries} entries", model_item.name);
        problems.push(
            Problem::new(Code::E0607, model_item.span_of("vocab"), message)
                .label(format!("{rows} embeddings"))
                .also(with.from.span_of("vocab"), format!("{entries} entries"))
                .also(item.span_of("tokenizer"), "brought together here")
                .help("leave `vocab` out of the model: it then has as many as the tokenizer"),
        );
    }
}

/// Whether a tokenizer is the file that belongs to a published network.
fn is_file_of(tokenizer: &Tokenizer, published: &Named) -> bool {
    match (tokenizer, &published.folder.tokenizer) {
        (Tokenizer::TokenizerJson(own), theirs) => own.file == theirs.file,
        (Tokenizer::Published(own), theirs) => own.file == theirs.file,
        _ => false,
    }
}

/// Where the published network that a stage comes from is named.
fn published_at(items: &Items<'_>, item: &CheckedItem, common: &Training) -> Span {
    let mut at = common.init.as_ref();
    // No more steps than there are stages; circles have been reported.
    for _ in 0..items.stages.len() {
        let Some(before) = at.and_then(|init| items.stages.get(init.name.as_str())) else { break };
        match before.spec.training() {
            None => return before.from.span_of("folder"),
            Some(training) => at = training.init.as_ref(),
        }
    }
    item.span_of("init")
}

/// A stage that tunes a published network, and neither it nor any stage before it says what prompts look like.
fn template(items: &Items<'_>, item: &CheckedItem, spec: &Stage, chain: &Chain<'_>, problems: &mut Problems) {
    let (Some(published), Some(init)) = (chain.published, spec.init()) else { return };
    if spec.template().is_none() || states_template(item) || published.folder.published.template.is_some() {
        return;
    }
    // A stage before it that has a template has been told the same.
    let mut before = items.stages.get(init.name.as_str());
    while let Some(stage) = before {
        if stage.spec.template().is_some() {
            return;
        }
        before = stage.spec.init().and_then(|init| items.stages.get(init.name.as_str()));
    }
    problems.push(
        Problem::new(
            Code::W1013,
            item.span_of("init"),
            format!("`{}` tunes a published model that has no chat template", item.name),
        )
        .label("its folder says nothing of prompts")
        .note("the library's template is used; unless the tokenizer has its markers, such as `<|user|>`, as tokens, they are plain text")
        .help("state the template of the publisher, or `template = chat_template()` if the library's is meant"),
    );
}

/// Sequences fit the context, and batches hold them.
fn lengths(item: &CheckedItem, stage: &Training, chain: &Chain<'_>, problems: &mut Problems) {
    let Some((model_item, model)) = chain.model else { return };
    let length = sequence(stage, model);
    if length > super::parameters::size(model.context) {
        let message = format!(
            "sequences of `{}` are {length} tokens, longer than the {} of `{}`",
            item.name, model.context, model_item.name
        );
        problems.push(
            Problem::new(Code::E0609, item.span_of("sequence"), message)
                .label(format!("{length} tokens"))
                .also(model_item.span_of("context"), format!("at most {}", model.context))
                .help("shorten `sequence`, leave it out, or give the model a longer context"),
        );
    }
    let batch = stage.batch;
    // One below a token is out of its range, which has been reported.
    if batch.unit == Unit::Tokens && (1.0..length as f64).contains(&batch.amount) {
        let message = format!("the batch of `{}` is smaller than one sequence", item.name);
        let (field, place) = match stage.sequence {
            Some(_) => ("sequence", item.span_of("sequence")),
            None => ("context", model_item.span_of("context")),
        };
        let tokens = thousands(length);
        let mut problem = Problem::new(Code::W1004, item.span_of("batch"), message)
            .label(format!("a step learns from one sequence of {tokens} tokens all the same"))
            .also(place, format!("`{field}` is {tokens} tokens"))
            .help(format!("write `batch = {length} tokens` or a multiple of it, or shorten the sequences"));
        problem.severity = Severity::Warning;
        problems.push(problem);
    }
    let sequences = Step::of(batch, length).sequences;
    let whole = sequences.saturating_mul(length);
    if batch.unit == Unit::Tokens && batch.amount >= length as f64 && leaves_out(batch.amount, length as f64) {
        let message = format!("the batch of `{}` is not a whole number of sequences", item.name);
        let mut problem = Problem::new(Code::W1004, item.span_of("batch"), message)
            .label(format!(
                "a step learns from {} of these {} tokens",
                thousands(whole),
                thousands(batch.amount as u64)
            ))
            .note(format!("only whole sequences of {} tokens are learnt from", thousands(length)))
            .help(format!("write `batch = {whole} tokens`, or {} for one more", whole.saturating_add(length)));
        problem.severity = Severity::Warning;
        problems.push(problem);
    }
    if let Some(micro) = stage.micro_batch.filter(|micro| super::parameters::size(*micro) > sequences) {
        problems.push(
            Problem::new(
                Code::W1014,
                item.span_of("micro_batch"),
                format!("the micro-batch of `{}` is larger than its batch", item.name),
            )
            .label(format!("{} at a time", plural(super::parameters::size(micro), "sequence", "sequences")))
            .also(item.span_of("batch"), format!("a step has {sequences}"))
            .help(format!(
                "leave `micro_batch` out, or set it to at most {sequences}; it is `batch` that says how much a step learns from"
            )),
        );
    }
}

/// muP with a fixed number of heads, which then grow with the width, and nothing that scales their scores for it.
fn growing_heads(items: &Items<'_>, item: &CheckedItem, model: &Decoder, problems: &mut Problems) {
    let Some(mup) = model.mup.filter(|mup| mup.base_head_dim.is_none()) else { return };
    let leaf = |path: &str| item.leaves.iter().find(|leaf| leaf.path == path);
    let (Some(heads), Some(size)) = (leaf("heads"), leaf("head_dim")) else { return };
    // What is computed may follow from the width; a bare number does not.
    let is_bare = items.checked.sources.text(heads.span).chars().all(|c| c.is_ascii_digit() || c == '_');
    if !is_bare || size.origin != Origin::Default {
        return;
    }
    let heads_of = |width: i64| width.checked_div(model.heads).filter(|n| *n > 0 && width % model.heads == 0);
    let base = heads_of(mup.base_width);
    let help = match base {
        Some(base) => format!(
            "add their size at the base, `mup(base_width = {}, base_head_dim = {base})`, or let there be more of them, \
             `heads = width / {base}`",
            mup.base_width
        ),
        None => "add their size at the base to `mup` as `base_head_dim`, or let there be more of them, as in `heads = width / 64`"
            .to_owned(),
    };
    problems.push(
        Problem::new(Code::W1015, item.span_of("mup"), format!("heads of `{}` grow with its width", item.name))
            .label("rates found at one width will not fit another")
            .also(heads.span, format!("{} at every width", plural(model.heads.unsigned_abs(), "head", "heads")))
            .note("scores of larger heads are larger: muP scales them by 1/head_dim, if it knows the size at the base")
            .help(help),
    );
}

/// Training and validation data are of the shape that the objective learns from.
fn data(items: &Items<'_>, item: &CheckedItem, stage: &Stage, common: &Training, problems: &mut Problems) {
    let mut fits = |data: &Dataset, path: &str| {
        shape::check(items, item, data, path, problems);
        let Some(found) = kindred(items, item, data, path) else { return };
        let (allowed, wanted): (&[Shape], &str) = match stage {
            Stage::Pretrained(_) => return,
            Stage::NextToken(_) => (&[Shape::Documents, Shape::Samples], "documents or samples"),
            Stage::Sft(_) => (&[Shape::Samples], "samples with a prompt and a response"),
            Stage::RewardModel(_) | Stage::Dpo(_) => (&[Shape::Preferences], "preferences"),
            Stage::Ppo(_) | Stage::Grpo(_) => {
                (&[Shape::Samples, Shape::Preferences], "prompts: samples or preferences")
            }
        };
        if allowed.contains(&found.shape) {
            return;
        }
        let message = format!("`{}` ({}) learns from {wanted}, not from {}", item.name, stage.kind(), found.shape);
        problems.push(
            Problem::new(Code::E0605, item.span_of(path), message)
                .label(format!("holds {}", found.shape))
                .also(found.place, format!("because its source is `{}`", found.source))
                .help(remedy(stage, found.shape)),
        );
    };
    fits(&common.data, "data");
    if let Some(every) = &common.validate {
        fits(&every.on, "validate.on");
    }
}

fn remedy(stage: &Stage, found: Shape) -> String {
    match (stage, found) {
        (Stage::Sft(_), Shape::Documents) => {
            "name the fields of each sample, as in `jsonl(\"…\", prompt = \"question\", response = \"answer\")`, or use a \
             `next_token` stage"
        }
        (Stage::Dpo(_) | Stage::RewardModel(_), _) => "read the data with `preferences(\"…\")`",
        (_, Shape::Preferences) => "use a `dpo` or `reward_model` stage for preferences",
        (_, Shape::Pairs) => "pairs of sentences are for an `eval`; train on text or samples",
        _ => "choose data of that shape, or another kind of stage",
    }
    .to_owned()
}

/// `keep = best(by = valid.loss)` needs validation.
fn keeping(item: &CheckedItem, common: &Training, problems: &mut Problems) {
    if common.validate.is_some() {
        return;
    }
    let best = if let Keeping::Best(best) = &common.keep { Some((&best.by.0, "keep.by")) } else { None };
    let until = common.until.as_ref().map(|until| (&until.0, "until"));
    for (condition, path) in best.into_iter().chain(until) {
        let validates = |measure: &&[String]| match measure {
            [first, ..] if first == "valid" => true,
            [own, second, ..] => *own == item.name && second == "valid",
            _ => false,
        };
        if let Some(measure) = condition.measures().iter().find(|m| validates(m)) {
            let message = format!("nothing measures `{}`: `{}` does not validate", measure.join("."), item.name);
            problems.push(
                Problem::new(Code::E0503, item.span_of(path), message)
                    .label("needs validation")
                    .help("add `validate = every(100 steps, on = …)`"),
            );
        }
    }
}

/// Each metric can be computed from the items of the data.
fn metrics(items: &Items<'_>, item: &CheckedItem, eval: &super::spec::Eval, problems: &mut Problems) {
    for (i, metric) in eval.metrics.iter().enumerate() {
        if let Some(first) = eval.metrics[..i].iter().position(|m| m.name() == metric.name()) {
            let message = format!("`{}` measures `{}` twice", item.name, metric.name());
            problems.push(
                Problem::new(Code::E0202, item.span_of(&format!("metrics.{i}")), message)
                    .label("its value would have the same name")
                    .also(item.span_of(&format!("metrics.{first}")), "first here")
                    .help("remove one of them, or measure it in an `eval` of its own"),
            );
        }
    }
    let Some(found) = kindred(items, item, &eval.on, "on") else { return };
    for (i, metric) in eval.metrics.iter().enumerate() {
        let needs = metric.common().needs;
        let (fits, wanted) = match needs {
            Needs::Text => (found.shape == Shape::Documents, "documents"),
            Needs::Response => (found.shape == Shape::Samples, "samples with a response to compare with"),
            Needs::Pairs => (found.shape == Shape::Pairs, "pairs of sentences"),
        };
        if fits {
            continue;
        }
        let help = match needs {
            Needs::Pairs => "judge on pairs, such as `bias.paired_sentences` of `std.audits.bias`",
            Needs::Response => "judge on samples, such as `jsonl(\"…\", prompt = \"…\", response = \"…\")`",
            Needs::Text => {
                "judge on documents; how likely responses are is what a stage's `validate` measures, as `valid.loss`"
            }
        };
        problems.push(
            Problem::new(
                Code::E0606,
                item.span_of(&format!("metrics.{i}")),
                format!("`{}` needs {wanted}", metric.name()),
            )
            .label(format!("cannot be computed from {}", found.shape))
            .also(item.span_of("on"), format!("holds {}", found.shape))
            .also(found.place, format!("because its source is `{}`", found.source))
            .help(help),
        );
    }
}

/// A budget that buys no step.
pub(super) fn budget(
    item: &CheckedItem,
    budget: Quantity,
    steps: &Known<u64>,
    derivation: &str,
    problems: &mut Problems,
) {
    if steps == &Known::Value(0) || budget.amount <= 0.0 {
        problems.push(
            Problem::new(
                Code::E0610,
                item.span_of("budget"),
                format!("the budget of `{}` is less than one step", item.name),
            )
            .label(derivation)
            .also(item.span_of("batch"), "the size of a step")
            .help("raise `budget`, or lower `batch`"),
        );
    }
}

/// Whether a stage says which chat template it uses.
pub(super) fn states_template(from: &CheckedItem) -> bool {
    let own = |path: &str| path == "template" || path.starts_with("template.");
    from.leaves.iter().any(|leaf| own(&leaf.path) && leaf.origin != Origin::Default)
}
