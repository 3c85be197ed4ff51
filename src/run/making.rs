//! Datasets, tokenizers and tokens: made once, found again by their hashes.

use super::{Bench, Failure, Walk};
use crate::data::{self, Context};
use crate::plan::spec::{self, Dataset, Ref, Template};
use crate::plan::{Digest, Known, Plan, PlannedDataset, PlannedTokenizer, digest};
use crate::store::{Claim, Draft, Event, Object, ObjectKind};
use crate::tokenizer::{self, Chat, Shards, TokenWriter, Tokenizer, TokenizerError};
use indexmap::IndexMap;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// File of a tokenizer's object.
const TOKENIZER: &str = "tokenizer.json";

/// A tokenizer that is ready.
pub(super) struct Trained {
    pub tokenizer: Tokenizer,
    pub hash: Digest,
}

impl Walk<'_> {
    pub(super) fn dataset(&mut self, planned: &PlannedDataset) -> Result<(), Failure> {
        self.stopped()?;
        let started = Instant::now();
        let (plan, bench) = (self.plan, self.bench);
        let folders = std::mem::take(&mut self.datasets);
        let made = make_dataset(bench, plan, planned, &folders, &mut |making| match making {
            Making::Begins(hash) => {
                self.tell(Event::DataStarted { dataset: planned.name.clone(), hash: hash.to_owned() })
            }
            Making::Waits(text) => self.tell(Event::info(text)),
        });
        self.datasets = folders;
        let (object, cached) = made?;
        let hash = object.manifest.hash.clone();
        self.used(ObjectKind::Dataset, &hash, cached)?;
        if !cached {
            let report = data::report(&object.path).map_err(|why| Failure::Data { name: planned.name.clone(), why })?;
            for warning in &report.warnings {
                self.tell(Event::warning(format!("dataset `{}`: {warning}", planned.name)))?;
            }
        }
        self.data_finished(planned, &hash, &object, cached, started.elapsed().as_secs_f64())?;
        self.datasets.insert(planned.name.clone(), object.path);
        Ok(())
    }

    fn data_finished(
        &mut self,
        planned: &PlannedDataset,
        hash: &str,
        object: &Object,
        cached: bool,
        seconds: f64,
    ) -> Result<(), Failure> {
        let failed = |why| Failure::Data { name: planned.name.clone(), why };
        let report = data::report(&object.path).map_err(failed)?;
        self.tell(Event::DataFinished {
            dataset: planned.name.clone(),
            hash: hash.to_owned(),
            cached,
            documents: report.splits.values().map(|s| s.documents).sum(),
            bytes: report.splits.values().map(|s| s.bytes).sum(),
            removed: report.steps.iter().map(|s| s.removed).sum(),
            seconds,
        })
    }

    pub(super) fn tokenizer(&mut self, planned: &PlannedTokenizer) -> Result<(), Failure> {
        self.stopped()?;
        let hash = self.hash_of(&planned.name, &planned.hash)?;
        let failed = |why| Failure::Tokenizer { name: planned.name.clone(), why };
        let started = Instant::now();
        let (object, cached) = match self.claim(ObjectKind::Tokenizer, &hash, &planned.name)? {
            Claim::Ready(object) => (object, true),
            Claim::Build(draft) => {
                self.tell(Event::TokenizerStarted { tokenizer: planned.name.clone(), hash: hash.clone() })?;
                let records = || match train_on(&planned.spec) {
                    Some(on) => self.records(on).map(|records| Some(self.until_stopped(records))),
                    None => Ok(None),
                };
                let empty = || -> data::Records<'_> { Box::new(std::iter::empty()) };
                let made = tokenizer::make(&planned.spec, records()?.unwrap_or_else(empty), self.bench.base);
                self.stopped()?;
                let trained = made.map_err(failed)?;
                match &planned.spec {
                    // A published tokenizer is kept as it was published, to the byte.
                    spec::Tokenizer::Published(_) => self.copy(planned, &draft)?,
                    _ => trained.save(&draft.files().join(TOKENIZER)).map_err(failed)?,
                }
                let figures = match records()? {
                    Some(records) => {
                        let measured = tokenizer::measure(&trained, records);
                        self.stopped()?;
                        measured.map_err(failed)?
                    }
                    None => tokenizer::Figures::default(),
                };
                let facts = json!({ "vocab": trained.vocab(), "figures": figures });
                (draft.finish(facts)?, false)
            }
        };
        self.used(ObjectKind::Tokenizer, &hash, cached)?;
        let trained = Tokenizer::load_as(&object.file(TOKENIZER)?, &planned.spec).map_err(failed)?;
        if let (false, Some(asked)) = (cached, asked(&planned.spec))
            && trained.vocab() < asked
        {
            self.tell(Event::warning(format!(
                "tokenizer `{}` has {} of the {asked} entries asked for: its text has no further pairs that are seen often enough",
                planned.name,
                trained.vocab()
            )))?;
        }
        let figure = |name: &str| object.manifest.facts.pointer(&format!("/figures/{name}")).and_then(|v| v.as_f64());
        let artefact = object.manifest.files.iter().find(|f| f.path == TOKENIZER).map(|f| f.blake3.clone());
        self.tell(Event::TokenizerFinished {
            tokenizer: planned.name.clone(),
            hash: hash.clone(),
            cached,
            vocab: trained.vocab() as u64,
            bytes_per_token: figure("bytes_per_token").unwrap_or(f64::NAN),
            artefact: artefact.unwrap_or_default(),
            seconds: started.elapsed().as_secs_f64(),
        })?;
        self.tokenizers.insert(planned.name.clone(), Trained { tokenizer: trained, hash });
        Ok(())
    }

    /// Copies the files of a published tokenizer into its object.
    fn copy(&self, planned: &PlannedTokenizer, draft: &Draft) -> Result<(), Failure> {
        for input in &planned.inputs {
            let failed = |why: std::io::Error| Failure::Tokenizer {
                name: planned.name.clone(),
                why: TokenizerError::File { file: input.path.clone(), why },
            };
            let bytes = std::fs::read(self.bench.base.join(&input.path)).map_err(failed)?;
            if blake3::hash(&bytes).to_hex().as_str() != input.digest {
                let why = "it has changed since the plan was made; run the command again".to_owned();
                return Err(failed(std::io::Error::other(why)));
            }
            std::fs::write(draft.files().join(crate::source::path::name(&input.path)), bytes).map_err(failed)?;
        }
        Ok(())
    }

    /// The records of a dataset that a plan names, in order.
    pub(super) fn records(&self, data: &Dataset) -> Result<data::Records<'static>, Failure> {
        let Dataset::Named(named) = data else {
            return Err(Failure::Unplanned {
                name: "a dataset written in place".to_owned(),
                why: "the plan gives every dataset a name".to_owned(),
            });
        };
        let reference = &named.dataset;
        let Some(folder) = self.datasets.get(&reference.name) else {
            let why = "it has not been made".to_owned();
            return Err(Failure::Unplanned { name: reference.name.clone(), why });
        };
        let reader = data::open(folder, reference.split.as_deref())
            .map_err(|why| Failure::Data { name: reference.name.clone(), why })?;
        Ok(Box::new(reader))
    }

    /// The same records, which end early when a stop is asked for: whoever has read them must look.
    fn until_stopped<'r>(&self, records: data::Records<'r>) -> data::Records<'r> {
        let stop = self.bench.stop.clone();
        Box::new(records.take_while(move |_| !stop.asked()))
    }

    /// A dataset as tokens on disk; with a chat template only responses carry loss.
    pub(super) fn tokens(
        &mut self,
        data: &Dataset,
        tokenizer: &str,
        template: Option<&Template>,
    ) -> Result<(Shards, Digest), Failure> {
        self.stopped()?;
        let name = data_name(data);
        let data_hash = self.hash_of(&name, &self.plan.data_hash(data))?;
        let unmade = || Failure::Unplanned { name: tokenizer.to_owned(), why: "it has not been made".to_owned() };
        let made_by = self.tokenizers.get(tokenizer).ok_or_else(unmade)?.hash.clone();
        let jinja = template.map(|t| t.jinja.as_str());
        let recipe = json!({ "data": data_hash, "tokenizer": made_by, "template": jinja });
        let written_by = jinja.map(|text| digest("template", &json!(text)));
        let facts = json!({
            "data": data_hash, "tokenizer": made_by, "chat": jinja.is_some(), "template": written_by,
        });
        let hash = digest("tokens", &recipe);
        let failed = |why| Failure::Tokens { data: name.clone(), tokenizer: tokenizer.to_owned(), why };
        let (object, cached) = match self.claim(ObjectKind::Tokens, &hash, &name)? {
            Claim::Ready(object) => (object, true),
            Claim::Build(draft) => {
                let tokenizer = &self.tokenizers.get(tokenizer).ok_or_else(unmade)?.tokenizer;
                let chat = match template {
                    Some(template) => Some(Chat::of(template, tokenizer).map_err(failed)?),
                    None => None,
                };
                let writer = TokenWriter::create(&draft.files(), tokenizer.vocab(), chat.is_some()).map_err(failed)?;
                let records = self.until_stopped(self.records(data)?);
                let written = tokenizer::write(tokenizer, chat.as_ref(), records, writer, &mut |_, _| {});
                self.stopped()?;
                let summary = written.map_err(failed)?;
                let mut facts = facts;
                facts["summary"] = serde_json::to_value(&summary).unwrap_or_default();
                (draft.finish(facts)?, false)
            }
        };
        self.used(ObjectKind::Tokens, &hash, cached)?;
        let shards = Shards::open(&object.path).map_err(failed)?;
        if shards.summary().tokens == 0 {
            return Err(Failure::Empty { data: name });
        }
        if shards.summary().unknown > 0 && self.doubted.insert(hash.clone()) {
            let text = format!(
                "{} of the {} tokens of `{name}` are characters that tokenizer `{tokenizer}` does not know",
                shards.summary().unknown,
                shards.summary().tokens
            );
            self.tell(Event::warning(text))?;
        }
        Ok((shards, hash))
    }

    /// The hash of a thing; a run needs it.
    pub(super) fn hash_of(&self, name: &str, hash: &Known<Digest>) -> Result<Digest, Failure> {
        match hash {
            Known::Value(hash) => Ok(hash.clone()),
            Known::Unknown(why) => Err(Failure::Unplanned { name: name.to_owned(), why: why.clone() }),
        }
    }

    /// An object, or the right to make it; waits while another process makes it.
    pub(super) fn claim(&mut self, kind: ObjectKind, hash: &str, name: &str) -> Result<Claim, Failure> {
        claim(self.bench, kind, hash, name, &mut |text| self.tell(Event::info(text)))
    }

    pub(super) fn used(&mut self, kind: ObjectKind, hash: &str, cached: bool) -> Result<(), Failure> {
        self.tell(Event::Object { kind, hash: hash.to_owned(), cached })
    }
}

/// What a making says of itself.
pub enum Making<'a> {
    /// It begins, for the dataset of this hash.
    Begins(&'a str),
    /// Another process is at it, and is waited for; in words.
    Waits(String),
}

/// How long another process is waited for without a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// An object, or the right to make it; waits while another process makes it, which `waits` is told once.
fn claim(
    bench: &Bench<'_>,
    kind: ObjectKind,
    hash: &str,
    name: &str,
    waits: &mut dyn FnMut(String) -> Result<(), Failure>,
) -> Result<Claim, Failure> {
    let since = Instant::now();
    let mut told = None;
    let claim = bench.lab.claim(kind, hash, name, bench.check, &mut |owner| {
        if told.is_none() && since.elapsed() >= PATIENCE {
            told = Some(waits(format!("waiting for {} `{name}`, which {owner} is making", kind.name())));
        }
        // An event that cannot be kept must end the run.
        !bench.stop.asked() && !matches!(told, Some(Err(_)))
    });
    match (claim, told) {
        (_, Some(Err(failure))) => Err(failure),
        (Err(_), _) if bench.stop.asked() => Err(Failure::Stopped),
        (other, _) => Ok(other?),
    }
}

/// A dataset's object: found, or made now after `says` was told that it begins. `folders` are those of the datasets it is
/// made from.
///
/// # Errors
/// When an input is missing, a source cannot be read, or the store cannot be written.
pub fn make_dataset(
    bench: &Bench<'_>,
    plan: &Plan,
    planned: &PlannedDataset,
    folders: &IndexMap<String, PathBuf>,
    says: &mut dyn FnMut(Making<'_>) -> Result<(), Failure>,
) -> Result<(Object, bool), Failure> {
    let hash = match &planned.hash {
        Known::Value(hash) => hash,
        Known::Unknown(why) => return Err(Failure::Unplanned { name: planned.name.clone(), why: why.clone() }),
    };
    let mut waits = |text| says(Making::Waits(text));
    let draft = match claim(bench, ObjectKind::Dataset, hash, &planned.name, &mut waits)? {
        Claim::Ready(object) => return Ok((object, true)),
        Claim::Build(draft) => draft,
    };
    says(Making::Begins(hash))?;
    let named = |reference: &Ref| -> Result<PathBuf, String> {
        folders.get(&reference.name).cloned().ok_or_else(|| "it has not been made".to_owned())
    };
    let context = Context {
        seed: plan.seed(0),
        base: bench.base,
        scratch: &draft.scratch(),
        named: &named,
        stop: Some(bench.stop.flag()),
    };
    let made = data::make(&planned.spec, &context, &draft.files(), &mut |_| {});
    if bench.stop.asked() {
        return Err(Failure::Stopped);
    }
    let made = made.map_err(|why| Failure::Data { name: planned.name.clone(), why })?;
    let splits: serde_json::Map<String, serde_json::Value> = made
        .report
        .splits
        .iter()
        .map(|(name, s)| (name.clone(), json!({ "documents": s.documents, "bytes": s.bytes })))
        .collect();
    Ok((draft.finish(json!({ "splits": splits }))?, false))
}

/// What the experiment calls a dataset: `stories.train`.
pub(super) fn data_name(data: &Dataset) -> String {
    match data {
        Dataset::Named(named) => match &named.dataset.split {
            Some(split) => format!("{}.{split}", named.dataset.name),
            None => named.dataset.name.clone(),
        },
        _ => "a dataset".to_owned(),
    }
}

/// Entries that a tokenizer which is trained was asked to have.
fn asked(spec: &spec::Tokenizer) -> Option<usize> {
    match spec {
        spec::Tokenizer::Bpe(bpe) => usize::try_from(bpe.vocab).ok(),
        _ => None,
    }
}

fn train_on(spec: &spec::Tokenizer) -> Option<&Dataset> {
    match spec {
        spec::Tokenizer::Bpe(t) => Some(&t.train_on),
        spec::Tokenizer::Characters(t) => Some(&t.train_on),
        spec::Tokenizer::Wordpiece(t) => Some(&t.train_on),
        spec::Tokenizer::TokenizerJson(_) | spec::Tokenizer::Published(_) => None,
    }
}
