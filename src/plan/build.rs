//! `Checked → Plan`.

use super::chain::{Chain, chains, sequence, stated_vocab};
use super::checks::states_template;
use super::counts::{KnownCounts, Uncounted};
use super::datasets::{Datasets, called};
use super::estimate::{Costed, estimate};
use super::graph::*;
use super::items::{Item, Items};
use super::meaning::{self, StageFrom, effective_seed, json_of};
use super::published::{Folders, template_of};
use super::references::{order, reward, sorted};
use super::select::{Selection, select};
use super::{checks, facts, spec, unsupported, version};
use crate::check::Checked;
use crate::diagnostics::{Code, Problem, Problems, Severity};
use crate::source::{Span, World, path};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Version of the JSON form of a plan.
const SCHEMA_VERSION: u32 = 1;

/// Plans a checked experiment.
///
/// The world is asked only for the identity of data files. Data that is not there is no problem: what depends on it has
/// no identity yet, and says why.
///
/// # Errors
/// When items do not fit together (circles, missing tokenizers, data of the wrong shape, budgets below one step), or there
/// is nothing to run.
pub fn plan(checked: &Checked, world: &dyn World, selection: &Selection) -> Result<Plan, Problems> {
    plan_with(checked, world, selection, &Uncounted)
}

/// As [`plan`], with what earlier runs have counted and measured. Counts fill in figures; they never change a hash.
///
/// # Errors
/// As [`plan`].
pub fn plan_with(
    checked: &Checked,
    world: &dyn World,
    selection: &Selection,
    counts: &dyn KnownCounts,
) -> Result<Plan, Problems> {
    let (plan, problems) = plan_told(checked, world, selection, counts);
    plan.ok_or(problems)
}

/// As [`plan_with`], with what was found on the way: errors if there is no plan, warnings if there is one.
pub fn plan_told(
    checked: &Checked,
    world: &dyn World,
    selection: &Selection,
    counts: &dyn KnownCounts,
) -> (Option<Plan>, Problems) {
    let (plan, mut problems) = everything(checked, world, counts);
    let Some(plan) = plan else { return (None, problems) };
    let whole = Items::read(checked, &mut Problems::default()).whole();
    if plan.nodes().next().is_none() {
        problems.push(nothing(whole));
        return (None, problems);
    }
    match select(plan, selection, whole) {
        Ok(plan) => (Some(plan), problems),
        Err(found) => {
            problems.extend(found);
            (None, problems)
        }
    }
}

/// Everything that planning can say of an experiment. One that is not `sound`, because the checker has found errors, is
/// not priced, and what concerns items with errors is left out.
pub fn look(checked: &Checked, world: &dyn World, sound: bool) -> Problems {
    let mut problems = Problems::default();
    if !sound {
        checks::starts(checked, &mut problems);
        let items = Items::read(checked, &mut Problems::default());
        let order = sorted(&items, &mut problems);
        if !problems.iter().any(|p| matches!(p.code, Code::E0206 | Code::E0603)) {
            // What has errors may name any folder; none is read.
            let folders = Folders::default();
            checks::check(&items, &chains(&items, &folders, &order.stages), &mut problems);
        }
        return checks::user_first(problems, &checked.sources);
    }
    let (plan, found) = everything(checked, world, &Uncounted);
    problems.extend(found);
    let main = checked.sources.get(checked.main);
    let blank = main.is_some_and(|f| f.text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')));
    if plan.is_some_and(|plan| plan.nodes().next().is_none()) && (blank || checked.name.is_some()) {
        let mut problem = nothing(Items::read(checked, &mut Problems::default()).whole());
        problem.severity = Severity::Warning;
        problems.push(problem);
    }
    problems
}

fn nothing(whole: Span) -> Problem {
    Problem::new(Code::E0613, whole, "there is nothing to run")
        .note("no dataset, tokenizer, stage, eval or review is declared")
        .help("declare one, or name another file; `exp init DIR` writes a first experiment")
}

/// The whole plan, if there are no errors.
fn everything(checked: &Checked, world: &dyn World, counts: &dyn KnownCounts) -> (Option<Plan>, Problems) {
    let mut problems = Problems::default();
    let plan = build(checked, world, counts, &mut problems);
    let problems = checks::user_first(problems, &checked.sources);
    (plan.filter(|_| !problems.any_error()), problems)
}

fn build(checked: &Checked, world: &dyn World, counts: &dyn KnownCounts, problems: &mut Problems) -> Option<Plan> {
    let items = Items::read(checked, problems);
    if problems.any_error() {
        return None;
    }
    let order = order(&items, problems);
    if problems.any_error() {
        return None;
    }
    let folders = Folders::read(&items, world, problems);
    let chains = chains(&items, &folders, &order.stages);
    checks::starts(checked, problems);
    checks::check(&items, &chains, problems);
    if problems.any_error() {
        return None;
    }
    let seed = items.experiment().seed;
    let mut build = Build {
        items: &items,
        chains: &chains,
        seed,
        data: Datasets::new(&items, world, counts, seed),
        tokenizers: Vec::new(),
        stages: Vec::new(),
    };
    for name in &order.datasets {
        if let Some(Item { from, spec }) = items.datasets.get(name) {
            build.data.plan((*name).to_owned(), from, spec, "");
        }
    }
    for item in items.tokenizers.values() {
        build.tokenizer(item);
    }
    for name in &order.stages {
        if let (Some(item), Some(chain)) = (items.stages.get(name), chains.get(name)) {
            match (item.spec.training(), folders.of(name)) {
                (Some(training), _) => build.stage(item, training, chain),
                (None, Some(folder)) => build.pretrained(item, folder),
                // The world does not look for data, so nothing is known of this network.
                (None, None) => {}
            }
        }
    }
    let evals: Vec<PlannedEval> = items.evals.values().map(|e| build.eval(e)).collect();
    let reviews: Vec<PlannedReview> = items.reviews.values().map(|r| build.review(r)).collect();
    problems.extend(build.data.problems);
    if problems.any_error() {
        return None;
    }
    let mut plan = Plan {
        schema_version: SCHEMA_VERSION,
        name: checked.name.clone().unwrap_or_else(|| stem(checked)),
        experiment: items.experiment(),
        hash: Known::Unknown(String::new()),
        datasets: build.data.planned,
        tokenizers: build.tokenizers,
        stages: build.stages,
        evals,
        reviews,
        expects: expects(checked),
        claims: claims(checked),
    };
    plan.hash = whole(&plan);
    Some(plan)
}

pub(super) struct Build<'a> {
    pub(super) items: &'a Items<'a>,
    chains: &'a BTreeMap<&'a str, Chain<'a>>,
    seed: i64,
    pub(super) data: Datasets<'a>,
    pub(super) tokenizers: Vec<PlannedTokenizer>,
    pub(super) stages: Vec<PlannedStage>,
}

impl Build<'_> {
    fn tokenizer(&mut self, item: &Item<'_, spec::Tokenizer>) {
        let from = item.from;
        let mut spec = item.spec.clone();
        let mut own = Vec::new();
        let mut depends_on = Vec::new();
        let mut in_place = Vec::new();
        let mut inputs = Vec::new();
        let hash = match &mut spec {
            spec::Tokenizer::TokenizerJson(spec::TokenizerJson { file, .. })
            | spec::Tokenizer::Published(spec::PublishedTokenizer { file, .. }) => {
                let found = self.data.inputs.find(self.items, from, "file", file, &mut self.data.problems);
                own = facts::of_files(&found);
                inputs = found.inputs.value().cloned().unwrap_or_default();
                found.inputs.map(|i| {
                    let contents: Vec<Digest> = i.into_iter().map(|i| i.digest).collect();
                    meaning::tokenizer(&item.spec, None, Some(&contents))
                })
            }
            spec::Tokenizer::Bpe(spec::Bpe { train_on, .. })
            | spec::Tokenizer::Characters(spec::Characters { train_on, .. })
            | spec::Tokenizer::Wordpiece(spec::Wordpiece { train_on, .. }) => {
                let used = self.data.used(from, train_on, "train_on");
                *train_on = used.data;
                depends_on.push(used.name);
                in_place.extend(used.in_place);
                used.hash.map(|text| meaning::tokenizer(&item.spec, Some(&text), None))
            }
        };
        let counts = self.data.counts;
        // A text may have fewer pairs than there are entries asked for; one that has been trained tells.
        let made = hash.value().and_then(|hash| counts.vocab(hash));
        let vocab = match (made, stated_vocab(&spec)) {
            (Some(entries), _) => Known::Value(entries),
            (None, Some(entries)) => Known::Value(super::parameters::size(entries)),
            (None, None) => {
                Known::Unknown(format!("the characters of `{}` are not known until it is trained", from.name))
            }
        };
        let mut facts = facts::of_item(&self.items.checked.sources, from, "", &in_place);
        facts.retain(|f| !(f.path.ends_with(".file") && matches!(spec, spec::Tokenizer::TokenizerJson(_))));
        facts.append(&mut own);
        facts.push(facts::of_version("tokenizer", version::TOKENIZER));
        self.tokenizers.push(PlannedTokenizer {
            name: from.name.clone(),
            unsupported: unsupported::tokenizer(&spec),
            spec,
            hash,
            vocab,
            inputs,
            depends_on,
            facts,
        });
    }

    fn stage(&mut self, item: &Item<'_, spec::Stage>, training: &spec::Training, chain: &Chain<'_>) {
        let (from, mut spec) = (item.from, item.spec.clone());
        // Checked before: every stage has a network and a tokenizer.
        let (Some((model_item, model)), Some((tokenizer, _))) = (chain.model, chain.tokenizer) else { return };
        let data = self.data.used(from, &training.data, "data");
        let every = training.validate.as_ref();
        let validate = every.map(|every| self.data.used(from, &every.on, "validate.on"));
        if let Some(common) = spec.training_mut() {
            common.data = data.data.clone();
            if let (Some(every), Some(used)) = (&mut common.validate, &validate) {
                every.on = used.data.clone();
            }
        }
        let init = training.init.as_ref();
        // What a published network was tuned with is what tuning it further goes on with, unless the stage says otherwise.
        let mut inherited = None;
        if let (Some(_), Some(init), Some(own)) = (chain.published, init, spec.template_mut())
            && !states_template(from)
            && let Some(template) = template_of(&self.stages, &init.name)
        {
            *own = template.clone();
            inherited = Some(facts::of_template(&from.name, template));
        }
        let mut depends_on: Vec<String> = Vec::new();
        let needs = [Some(&data.name), validate.as_ref().map(|v| &v.name), init.map(|i| &i.name)];
        let tokens = tokenizer.to_owned();
        let rewarding = reward(&item.spec).map(|r| r.name.clone());
        for need in needs.into_iter().flatten().chain([&tokens]).chain(&rewarding) {
            if !depends_on.contains(need) {
                depends_on.push(need.clone());
            }
        }
        let seed = effective_seed(self.seed, training.seed);
        let known = self.tokenizers.iter().find(|t| t.name == tokenizer);
        let absent = || Known::Unknown(format!("there is no tokenizer `{tokenizer}`"));
        let tokenizer_hash = known.map_or_else(absent, |t| t.hash.clone());
        let hash = gather([
            Some(tokenizer_hash.clone()),
            Some(data.hash.clone()),
            validate.as_ref().map(|v| v.hash.clone()),
            init.map(|i| self.stage_hash(&i.name)),
            rewarding.as_ref().map(|r| self.stage_hash(r)),
        ])
        .map(|[tokenizer, data, validate_on, init, reward]| {
            let fresh = training.model.is_some();
            let stated = known.and_then(|t| stated_vocab(&t.spec));
            let parts = StageFrom {
                model: fresh.then_some(model),
                vocab: model.vocab.or(stated),
                init,
                reward,
                tokenizer: tokenizer.unwrap_or_default(),
                data: data.unwrap_or_default(),
                validate_on,
                sequence: sequence(training, model),
                seed,
            };
            meaning::stage(&spec, &parts, &|path| self.measured(&from.name, path))
        });
        let sources = &self.items.checked.sources;
        let mut in_place: Vec<String> =
            data.in_place.iter().chain(validate.iter().flat_map(|v| &v.in_place)).cloned().collect();
        if inherited.is_some() {
            in_place.push("template".to_owned());
        }
        let mut facts = facts::of_item(sources, from, "", &in_place);
        facts.extend(inherited);
        if init.is_none() {
            facts.extend(facts::of_item(sources, model_item, "", &[]));
        }
        facts.push(facts::of_seed(self.items, self.seed));
        facts.push(facts::of_version("training", version::TRAINING));
        let vocab =
            known.map_or_else(|| Known::Unknown(format!("there is no tokenizer `{tokenizer}`")), |t| t.vocab.clone());
        let estimate = estimate(
            &Costed {
                item: from,
                stage: &spec,
                training,
                model,
                data: (called(&data.data), data.hash),
                tokenizer: tokenizer_hash,
                vocab,
                hash: hash.clone(),
            },
            self.data.counts,
            &mut self.data.problems,
        );
        let unsupported =
            unsupported::stage(&spec).or_else(|| known.and_then(|t| t.unsupported.clone())).or_else(|| {
                [init.map(|i| &i.name), rewarding.as_ref()].into_iter().flatten().find_map(|s| self.blocked(s))
            });
        self.stages.push(PlannedStage {
            name: from.name.clone(),
            spec,
            model_name: model_item.name.clone(),
            model: model.clone(),
            tokenizer: tokens,
            hash,
            inputs: Vec::new(),
            published: None,
            depends_on,
            facts,
            estimate,
            unsupported,
        });
    }

    fn eval(&mut self, item: &Item<'_, spec::Eval>) -> PlannedEval {
        let (from, mut spec) = (item.from, item.spec.clone());
        let on = self.data.used(from, &item.spec.on, "on");
        spec.on = on.data;
        let of = names(&spec.of);
        let cells: Vec<PlannedCell> = of
            .iter()
            .map(|stage| PlannedCell {
                stage: stage.clone(),
                hash: gather([Some(self.stage_hash(stage)), Some(on.hash.clone())]).map(|[stage, data]| {
                    meaning::cell(&item.spec, &stage.unwrap_or_default(), &data.unwrap_or_default(), self.seed)
                }),
            })
            .collect();
        let hash = all(cells.iter().map(|c| &c.hash)).map(|cells| super::canonical::digest("eval", &json!(cells)));
        let mut facts =
            facts::of_item(&self.items.checked.sources, from, "", &on.in_place.into_iter().collect::<Vec<_>>());
        facts.push(facts::of_seed(self.items, self.seed));
        facts.push(facts::of_version("evaluation", version::EVALUATION));
        PlannedEval {
            name: from.name.clone(),
            hash,
            cells,
            unsupported: of.iter().find_map(|s| self.blocked(s)),
            depends_on: [on.name].into_iter().chain(of).collect(),
            spec,
            facts,
        }
    }

    fn review(&mut self, item: &Item<'_, spec::Review>) -> PlannedReview {
        let (from, mut spec) = (item.from, item.spec.clone());
        let on = self.data.used(from, &item.spec.on, "on");
        spec.on = on.data;
        let of = names(&spec.of);
        let stages: Vec<Known<Digest>> = of.iter().map(|s| self.stage_hash(s)).collect();
        let hash = on
            .hash
            .and_then(|data| all(stages.iter()).map(|stages| meaning::review(&item.spec, &stages, &data, self.seed)));
        let mut facts =
            facts::of_item(&self.items.checked.sources, from, "", &on.in_place.into_iter().collect::<Vec<_>>());
        facts.push(facts::of_seed(self.items, self.seed));
        PlannedReview {
            name: from.name.clone(),
            hash,
            depends_on: [on.name].into_iter().chain(of).collect(),
            spec,
            facts,
            unsupported: unsupported::review(),
        }
    }

    fn stage_hash(&self, name: &str) -> Known<Digest> {
        let stage = self.stages.iter().find(|s| s.name == name);
        stage.map_or_else(|| Known::Unknown(format!("there is no stage `{name}`")), |s| s.hash.clone())
    }

    /// Why what depends on the stage `name` cannot run, if it cannot.
    fn blocked(&self, name: &str) -> Option<String> {
        let why = self.stages.iter().find(|s| s.name == name)?.unsupported.as_ref()?;
        // The reason is that of the first stage that cannot run, so that a chain of them does not pile up sentences.
        Some(if why.starts_with("needs `") { why.clone() } else { format!("needs `{name}`: {why}") })
    }

    /// What a measurement named in `keep` or `until` of the stage `own` speaks of, without names of items.
    fn measured(&self, own: &str, path: &[String]) -> Json {
        match path.split_first() {
            Some((first, rest)) if first == own => json!({"own": rest}),
            Some((first, rest)) if self.chains.contains_key(first.as_str()) => {
                json!({"of": self.stage_hash(first).value(), "path": rest})
            }
            // `valid.loss` within a stage is its own.
            _ => json!({"own": path}),
        }
    }
}

/// The identity of the whole: of everything that is made, and of what is asked of it; in no particular order, because
/// the order of items in a file means nothing.
fn whole(plan: &Plan) -> Known<Digest> {
    let mut made = match all(plan.nodes().map(|n| n.hash)) {
        Known::Value(made) => made,
        Known::Unknown(why) => return Known::Unknown(why),
    };
    made.sort();
    let meaning = |condition: &spec::Measured| meaning::expression(&json_of(condition), &|path| asked(plan, path));
    let mut conditions: Vec<Digest> = (plan.expects.iter().map(|e| json!({"expect": meaning(&e.condition)})))
        .chain(plan.claims.iter().map(|c| json!({"claim": meaning(&c.statement), "confidence": c.confidence})))
        .map(|condition| super::canonical::digest("condition", &condition))
        .collect();
    conditions.sort();
    let parts = json!({"language": plan.experiment.language, "made": made, "conditions": conditions});
    Known::Value(super::canonical::digest("plan", &parts))
}

/// The path of a measurement with identities in the place of names: of an evaluation and the stage it judged, or of a
/// stage.
fn asked(plan: &Plan, path: &[String]) -> Json {
    let hash = |name: &str| plan.node(name).and_then(|n| n.hash.value());
    let Some((first, rest)) = path.split_first() else { return json!([]) };
    let judged = plan.evals.iter().find(|e| e.name == *first).and_then(|eval| {
        // A stage of a module may be called by its own name alone.
        let called = rest.first()?;
        let own = |stage: &str| stage.rsplit('.').next() == Some(called);
        let cell = eval.cells.iter().find(|c| c.stage == *called).or(eval.cells.iter().find(|c| own(&c.stage)))?;
        Some(json!([hash(first), hash(&cell.stage), rest.get(1..)]))
    });
    judged.unwrap_or_else(|| match hash(first) {
        Some(identity) => json!([identity, rest]),
        None => json!(path),
    })
}

fn expects(checked: &Checked) -> Vec<spec::Expect> {
    let expect = |c: &crate::check::CheckedCondition| spec::Expect {
        text: c.text.clone(),
        condition: spec::Measured(c.condition.clone()),
    };
    checked.expects.iter().map(expect).collect()
}

fn claims(checked: &Checked) -> Vec<spec::Claim> {
    let claim = |(i, c): (usize, &crate::check::CheckedCondition)| spec::Claim {
        name: c.name.clone().unwrap_or_else(|| format!("claim_{}", i + 1)),
        text: c.text.clone(),
        statement: spec::Measured(c.condition.clone()),
        confidence: c.confidence.unwrap_or(0.95),
    };
    checked.claims.iter().enumerate().map(claim).collect()
}

fn names(of: &[spec::Ref]) -> Vec<String> {
    of.iter().map(|s| s.name.clone()).collect()
}

/// All identities, or the first reason why one is unknown; an absent one stays absent.
fn gather<const N: usize>(hashes: [Option<Known<Digest>>; N]) -> Known<[Option<Digest>; N]> {
    let mut reason = None;
    let found = hashes.map(|hash| match hash {
        None => None,
        Some(Known::Value(digest)) => Some(digest),
        Some(Known::Unknown(why)) => {
            reason.get_or_insert(why);
            None
        }
    });
    reason.map_or(Known::Value(found), Known::Unknown)
}

fn all<'a>(hashes: impl Iterator<Item = &'a Known<Digest>>) -> Known<Vec<Digest>> {
    hashes
        .map(|h| match h {
            Known::Value(digest) => Ok(digest.clone()),
            Known::Unknown(why) => Err(why.clone()),
        })
        .collect::<Result<Vec<_>, _>>()
        .into()
}

/// The file's own name, for a file that declares no experiment.
fn stem(checked: &Checked) -> String {
    let file = checked.sources.get(checked.main).map_or("", |f| path::name(&f.path));
    file.strip_suffix(".exp").unwrap_or(file).to_owned()
}
