//! Datasets of the plan: their files, identities and facts.

use super::counts::KnownCounts;
use super::facts;
use super::figures::plural;
use super::graph::{Digest, Fact, Known, PlannedDataset, PlannedSource, Shape};
use super::inputs::Inputs;
use super::items::Items;
use super::meaning::{self, DataFrom, split_digest};
use super::references::of_dataset;
use super::shape::kindred;
use super::spec::{Dataset, Named, Ref, SplitBy, TextUnit};
use super::version;
use crate::check::CheckedItem;
use crate::diagnostics::{Code, Problem, Problems};
use crate::source::{Input, World};

/// The datasets made so far.
pub(super) struct Datasets<'a> {
    pub items: &'a Items<'a>,
    pub counts: &'a dyn KnownCounts,
    pub seed: i64,
    pub inputs: Inputs<'a>,
    pub planned: Vec<PlannedDataset>,
    pub problems: Problems,
}

/// What walking over one expression gathers.
#[derive(Default)]
struct Gathered {
    inputs: Vec<Input>,
    sources: Vec<PlannedSource>,
    facts: Vec<Fact>,
    random: bool,
}

/// A dataset as something else uses it.
pub(super) struct Used {
    /// By name, whether it was written so or in place.
    pub data: Dataset,
    pub hash: Known<Digest>,
    /// Name of the dataset.
    pub name: String,
    /// Path of the field, if the dataset is written in place there.
    pub in_place: Option<String>,
}

impl<'a> Datasets<'a> {
    pub fn new(items: &'a Items<'a>, world: &'a dyn World, counts: &'a dyn KnownCounts, seed: i64) -> Datasets<'a> {
        let inputs = Inputs::new(world);
        Datasets { items, counts, seed, inputs, planned: Vec::new(), problems: Problems::default() }
    }

    /// Plans the expression at `path` of `item` as the dataset `name`. Datasets it names must have been planned.
    pub fn plan(&mut self, name: String, item: &CheckedItem, data: &Dataset, path: &str) {
        let mut gathered = Gathered::default();
        let hash = self.walk(item, data, path, &mut gathered);
        if let Dataset::Split(split) = data
            && split.by != SplitBy::Position
            && let Some(most) = most_documents(data, &gathered.sources).filter(|most| *most < split.parts.len())
        {
            self.problems.push(too_few(item, &name, data, most, split.parts.len()));
        }
        let mut facts = facts::of_item(&self.items.checked.sources, item, path, &[]);
        facts.append(&mut gathered.facts);
        if gathered.random {
            facts.push(facts::of_seed(self.items, self.seed));
        }
        facts.push(facts::of_version("data", version::DATA));
        let mut depends_on: Vec<String> = Vec::new();
        for reference in of_dataset(data, path) {
            if !depends_on.contains(&reference.to.name) {
                depends_on.push(reference.to.name.clone());
            }
        }
        let counted = hash.clone().and_then(|h| match self.counts.data(&h) {
            Some(count) => Known::Value(count),
            None => Known::Unknown(format!("`{name}` has not been made yet")),
        });
        self.planned.push(PlannedDataset {
            // Expressions whose shape is not known have been reported.
            shape: kindred(self.items, item, data, path).map_or(Shape::Documents, |k| k.shape),
            name,
            spec: data.clone(),
            hash,
            inputs: gathered.inputs,
            sources: gathered.sources,
            documents: counted.clone().map(|c| c.documents),
            bytes: counted.map(|c| c.bytes),
            depends_on,
            facts,
        });
    }

    /// The dataset at `path` of `item`; one written there becomes a dataset of its own, named after the field.
    pub fn used(&mut self, item: &CheckedItem, data: &Dataset, path: &str) -> Used {
        if let Dataset::Named(named) = data {
            return Used {
                data: data.clone(),
                hash: self.hash_of(&named.dataset),
                name: named.dataset.name.clone(),
                in_place: None,
            };
        }
        let name = format!("{}.{path}", item.name);
        self.plan(name.clone(), item, data, path);
        let dataset = Ref { name: name.clone(), split: None };
        Used {
            hash: self.hash_of(&dataset),
            data: Dataset::Named(Named { dataset }),
            name,
            in_place: Some(path.to_owned()),
        }
    }

    /// The identity of a planned dataset, or of a split of one.
    pub fn hash_of(&self, dataset: &Ref) -> Known<Digest> {
        let found = self.planned.iter().find(|d| d.name == dataset.name);
        let hash =
            found.map_or_else(|| Known::Unknown(format!("there is no dataset `{}`", dataset.name)), |d| d.hash.clone());
        match &dataset.split {
            Some(split) => hash.map(|h| split_digest(&h, split)),
            None => hash,
        }
    }

    /// Finds the files of an expression and gives its identity.
    fn walk(&mut self, item: &CheckedItem, data: &Dataset, path: &str, into: &mut Gathered) -> Known<Digest> {
        let below = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
        into.random |= meaning::is_random(data);
        let mut from = DataFrom { input: None, contents: None, parts: Vec::new() };
        match data {
            Dataset::Named(named) => return self.hash_of(&named.dataset),
            Dataset::Mix(mix) => {
                // Every part is walked, so that all files are known, before the first reason ends it.
                let parts: Vec<Known<Digest>> = (mix.parts.iter().enumerate())
                    .map(|(i, part)| self.walk(item, &part.data, &below(&format!("parts.{i}.data")), into))
                    .collect();
                for part in parts {
                    match part {
                        Known::Value(hash) => from.parts.push(hash),
                        Known::Unknown(why) => return Known::Unknown(why),
                    }
                }
            }
            _ => {}
        }
        if let Some(files) = files_of(data) {
            match self.read(item, files, &below("files"), into) {
                Known::Value(contents) => from.contents = Some(contents),
                Known::Unknown(why) => return Known::Unknown(why),
            }
        } else if let Some(input) = data.input() {
            match self.walk(item, input, &below("input"), into) {
                Known::Value(hash) => from.input = Some(hash),
                Known::Unknown(why) => return Known::Unknown(why),
            }
        }
        Known::Value(meaning::data(data, from, self.seed))
    }

    fn read(&mut self, item: &CheckedItem, files: &str, leaf: &str, into: &mut Gathered) -> Known<Vec<Digest>> {
        let found = self.inputs.find(self.items, item, leaf, files, &mut self.problems);
        into.facts.extend(facts::of_files(&found));
        let inputs = found.inputs.value().map_or(&[][..], Vec::as_slice);
        into.sources.push(PlannedSource { files: found.files.clone(), inputs: inputs.len() });
        into.inputs.extend_from_slice(inputs);
        found.inputs.map(|inputs| inputs.into_iter().map(|i| i.digest).collect())
    }
}

/// How a dataset is called where it is used: `stories.train`.
pub(super) fn called(data: &Dataset) -> String {
    match data {
        Dataset::Named(named) => match &named.dataset.split {
            Some(split) => format!("{}.{split}", named.dataset.name),
            None => named.dataset.name.clone(),
        },
        other => other.word().to_owned(),
    }
}

/// One line on what a dataset is made from: `text (24 files) → keep → dedup → split`.
pub(super) fn summary(planned: &PlannedDataset) -> String {
    let mut steps = Vec::new();
    let mut at = &planned.spec;
    while let Some(input) = at.input() {
        steps.push(at.word().to_owned());
        at = input;
    }
    let files = || plural(planned.inputs.len() as u64, "file", "files");
    steps.push(match at {
        Dataset::Named(_) => called(at),
        Dataset::Mix(mix) => {
            let parts: Vec<String> = mix.parts.iter().map(|p| called(&p.data)).collect();
            format!("mix of {}", parts.join(", "))
        }
        Dataset::Grammar(g) => {
            format!("grammar ({} {})", super::figures::thousands(super::parameters::size(g.documents)), "documents")
        }
        Dataset::Pairs(p) => format!("pairs ({} × {})", p.templates.len(), p.contrasts.len()),
        source => format!("{} ({})", source.word(), files()),
    });
    steps.reverse();
    steps.join(" → ")
}

/// The most documents that a dataset can have, where its source alone says so: one a file, or as many as a grammar writes.
fn most_documents(data: &Dataset, sources: &[PlannedSource]) -> Option<usize> {
    match source_of(data) {
        Dataset::Text(text) if text.document == TextUnit::File => {
            sources.first().map(|source| source.inputs).filter(|files| *files > 0)
        }
        Dataset::Grammar(grammar) => Some(super::parameters::size(grammar.documents) as usize),
        _ => None,
    }
}

fn source_of(mut data: &Dataset) -> &Dataset {
    while let Some(input) = data.input() {
        data = input;
    }
    data
}

/// The warning about a split of fewer documents than it has parts.
fn too_few(item: &CheckedItem, name: &str, data: &Dataset, most: usize, parts: usize) -> Problem {
    let documents = plural(most as u64, "document", "documents");
    let problem = Problem::new(
        Code::W1017,
        item.span_of("parts"),
        format!("`{name}` has {documents} at most, which cannot fill {parts} splits"),
    )
    .label("some of these get nothing");
    problem.help(match source_of(data) {
        Dataset::Text(_) => {
            "a file is one document unless the source says otherwise: `text(…, document = paragraph)` or `document = line`"
        }
        _ => "let it write more documents",
    })
}

fn files_of(data: &Dataset) -> Option<&str> {
    match data {
        Dataset::Text(s) => Some(&s.files),
        Dataset::Jsonl(s) => Some(&s.files),
        Dataset::Preferences(s) => Some(&s.files),
        _ => None,
    }
}
