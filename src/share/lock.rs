//! `NAME.exp.lock`: what an experiment was made of, down to the byte. It is committed beside the experiment, and `--locked`
//! refuses to run on anything else.

use super::error::ShareError;
use crate::plan::{Plan, spec};
use crate::source::{Input, path};
use crate::store::disk;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const LOCK_VERSION: u32 = 1;

const HEADER: &str =
    "# Written by `exp lock`, to be committed. `exp run --locked` runs on these inputs and no others.\n";

/// The contents of a lock, in the order in which they are written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    pub lock_version: u32,
    pub experiment: String,
    /// Edition of the language.
    pub language: i64,
    /// Version of the program that wrote it. Another version is told, and no error.
    pub program: String,
    /// Sorted by path.
    #[serde(default, rename = "input", skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<LockedInput>,
    /// Sorted by name.
    #[serde(default, rename = "tokenizer", skip_serializing_if = "Vec::is_empty")]
    pub tokenizers: Vec<LockedTokenizer>,
}

/// A data file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedInput {
    /// Relative to the experiment's folder, with `/`; absolute where the experiment says so.
    pub path: String,
    /// The path or pattern that names it in the experiment.
    pub written: String,
    pub bytes: u64,
    /// In hex.
    pub blake3: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

/// A tokenizer. Training one is not reproducible for every algorithm, so the artefact is pinned, not only its recipe.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedTokenizer {
    pub name: String,
    /// Hash of how it is made.
    pub recipe: String,
    /// blake3 of `tokenizer.json`; absent until it has been made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact: Option<String>,
}

/// One way in which an experiment differs from its lock.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LockDifference {
    #[error("`{path}` has changed: {was} when it was locked, {is} now")]
    Changed { path: String, was: String, is: String },
    #[error("`{0}` is locked, but the experiment does not read it or it is not there")]
    Gone(String),
    #[error("`{0}` is read by the experiment, but was not there when it was locked")]
    New(String),
    #[error("the licence of `{path}` was {was} and is {is}")]
    License { path: String, was: String, is: String },
    #[error("the recipe of the tokenizer `{0}` has changed")]
    Recipe(String),
    #[error("the tokenizer `{name}` came out otherwise: {was} when it was locked, {is} now")]
    Artefact { name: String, was: String, is: String },
    #[error("the experiment is `{is}`, and the lock is for `{was}`")]
    Experiment { was: String, is: String },
    #[error("the language edition was {was} and is {is}")]
    Language { was: i64, is: i64 },
    #[error("the lock was written by version {was}, and this is {is}")]
    Program { was: String, is: String },
}

impl Lock {
    /// Where the lock of an experiment is: `storyteller.exp.lock` beside `storyteller.exp`.
    pub fn place(experiment: &Path) -> PathBuf {
        let mut name = experiment.as_os_str().to_owned();
        name.push(".lock");
        PathBuf::from(name)
    }

    /// The lock of a plan whose main file lies in `folder`, as the plan's inputs see it. `artefacts` are the blake3 of the
    /// tokenizers made so far, by name.
    pub fn of(plan: &Plan, folder: &str, artefacts: &BTreeMap<String, String>) -> Lock {
        let mut inputs: BTreeMap<String, LockedInput> = BTreeMap::new();
        for dataset in &plan.datasets {
            let sources = sources(&dataset.spec);
            for input in &dataset.inputs {
                let (written, license) = source_of(&input.path, &sources);
                let path = relative(folder, &input.path, &written);
                let entry = LockedInput {
                    path: path.clone(),
                    written,
                    bytes: input.bytes,
                    blake3: input.digest.clone(),
                    license,
                };
                let known = inputs.entry(path).or_insert_with(|| entry.clone());
                // Two datasets may read one file, and only one of them say its licence.
                known.license = known.license.take().or(entry.license);
            }
        }
        for (written, input) in others(plan) {
            let path = relative(folder, &input.path, written);
            inputs.entry(path.clone()).or_insert_with(|| LockedInput {
                path,
                written: written.to_owned(),
                bytes: input.bytes,
                blake3: input.digest.clone(),
                license: None,
            });
        }
        let mut tokenizers: Vec<LockedTokenizer> = plan
            .tokenizers
            .iter()
            .map(|t| LockedTokenizer {
                name: t.name.clone(),
                recipe: t.hash.value().cloned().unwrap_or_default(),
                artefact: artefacts.get(&t.name).cloned(),
            })
            .collect();
        tokenizers.sort_by(|a, b| a.name.cmp(&b.name));
        Lock {
            lock_version: LOCK_VERSION,
            experiment: plan.name.clone(),
            language: plan.experiment.language,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            inputs: inputs.into_values().collect(),
            tokenizers,
        }
    }

    /// As the file holds it.
    pub fn text(&self) -> String {
        // A lock holds nothing that TOML cannot say.
        format!("{HEADER}{}", toml::to_string(self).unwrap_or_default())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written; a lock that was there stays.
    pub fn write(&self, path: &Path) -> Result<(), ShareError> {
        Ok(disk::replace_bytes(path, self.text().as_bytes())?)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it is missing, malformed, or of a later version.
    pub fn read(path: &Path) -> Result<Lock, ShareError> {
        let bad = |why: String| ShareError::BadLock { path: path.to_owned(), why };
        let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
        let lock: Lock = toml::from_str(&text).map_err(|e| bad(e.message().to_owned()))?;
        if lock.lock_version > LOCK_VERSION {
            return Err(bad(format!(
                "it has version {}, and this program reads up to {LOCK_VERSION}",
                lock.lock_version
            )));
        }
        Ok(lock)
    }

    /// Every way in which `now` differs from this lock, in the lock's order. An artefact that is not known on one side is
    /// no difference.
    pub fn differences(&self, now: &Lock) -> Vec<LockDifference> {
        let mut all = Vec::new();
        if self.experiment != now.experiment {
            all.push(LockDifference::Experiment { was: self.experiment.clone(), is: now.experiment.clone() });
        }
        if self.language != now.language {
            all.push(LockDifference::Language { was: self.language, is: now.language });
        }
        for was in &self.inputs {
            let Some(is) = now.inputs.iter().find(|i| i.path == was.path) else {
                all.push(LockDifference::Gone(was.path.clone()));
                continue;
            };
            if (was.bytes, &was.blake3) != (is.bytes, &is.blake3) {
                all.push(LockDifference::Changed { path: was.path.clone(), was: contents(was), is: contents(is) });
            }
            if was.license != is.license {
                let (path, was, is) = (was.path.clone(), licence(was), licence(is));
                all.push(LockDifference::License { path, was, is });
            }
        }
        let new = now.inputs.iter().filter(|i| !self.inputs.iter().any(|w| w.path == i.path));
        all.extend(new.map(|i| LockDifference::New(i.path.clone())));
        for was in &self.tokenizers {
            let Some(is) = now.tokenizers.iter().find(|t| t.name == was.name) else {
                all.push(LockDifference::Recipe(was.name.clone()));
                continue;
            };
            if was.recipe != is.recipe {
                all.push(LockDifference::Recipe(was.name.clone()));
            }
            if let (Some(a), Some(b)) = (&was.artefact, &is.artefact)
                && a != b
            {
                let (name, was, is) = (was.name.clone(), short(a), short(b));
                all.push(LockDifference::Artefact { name, was, is });
            }
        }
        if self.program != now.program {
            all.push(LockDifference::Program { was: self.program.clone(), is: now.program.clone() });
        }
        all
    }
}

impl LockDifference {
    /// Whether `--locked` refuses to run because of it.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, LockDifference::Program { .. })
    }
}

/// Files that are no data: those of published networks and tokenizers, each with what names it in the experiment.
pub(super) fn others(plan: &Plan) -> impl Iterator<Item = (&str, &Input)> {
    let tokenizers = plan.tokenizers.iter().filter_map(|tokenizer| match &tokenizer.spec {
        spec::Tokenizer::TokenizerJson(t) => Some((t.file.as_str(), &tokenizer.inputs)),
        spec::Tokenizer::Published(t) => Some((path::folder(&t.file), &tokenizer.inputs)),
        _ => None,
    });
    let stages = plan.stages.iter().filter_map(|stage| match &stage.spec {
        spec::Stage::Pretrained(s) => Some((s.folder.as_str(), &stage.inputs)),
        _ => None,
    });
    tokenizers.chain(stages).flat_map(|(written, inputs)| inputs.iter().map(move |input| (written, input)))
}

fn contents(input: &LockedInput) -> String {
    format!("{} ({} bytes)", short(&input.blake3), input.bytes)
}

fn licence(input: &LockedInput) -> String {
    input.license.clone().unwrap_or_else(|| "not stated".to_owned())
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// `file` seen from `folder`; as it is where the experiment itself names it by an absolute path.
pub(super) fn relative(folder: &str, file: &str, written: &str) -> String {
    let (folder, file) = (path::normal(folder), path::normal(file));
    if written.starts_with('/') || file.starts_with('/') != folder.starts_with('/') {
        return file;
    }
    let parts = |p: &str| p.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (from, to) = (parts(&folder), parts(&file));
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b && *a != "..").count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - shared);
    up.chain(to.into_iter().skip(shared)).collect::<Vec<_>>().join("/")
}

/// The files that a dataset reads by name, and their licences.
fn sources(dataset: &spec::Dataset) -> Vec<(&str, Option<&str>)> {
    use spec::Dataset as D;
    match dataset {
        D::Text(d) => vec![(&d.files, d.license.as_deref())],
        D::Jsonl(d) => vec![(&d.files, d.license.as_deref())],
        D::Preferences(d) => vec![(&d.files, d.license.as_deref())],
        D::Grammar(_) | D::Pairs(_) | D::Named(_) => Vec::new(),
        D::Normalize(d) => sources(&d.input),
        D::StripHtml(d) => sources(&d.input),
        D::CollapseWhitespace(d) => sources(&d.input),
        D::Keep(d) => sources(&d.input),
        D::Redact(d) => sources(&d.input),
        D::Dedup(d) => sources(&d.input),
        D::Take(d) => sources(&d.input),
        D::Shuffle(d) => sources(&d.input),
        D::Split(d) => sources(&d.input),
        D::Mix(d) => d.parts.iter().flat_map(|p| sources(&p.data)).collect(),
    }
}

/// The source that names `file`: the only one, or the first whose pattern fits.
fn source_of(file: &str, sources: &[(&str, Option<&str>)]) -> (String, Option<String>) {
    let fits = |written: &str| {
        let tail = path::normal(written);
        let tail = tail.trim_start_matches("../").trim_start_matches('/');
        glob::Pattern::new(&format!("**/{tail}")).is_ok_and(|p| p.matches(file))
    };
    let found = match sources {
        [only] => Some(only),
        many => many.iter().find(|(written, _)| fits(written)),
    };
    match found {
        Some((written, license)) => ((*written).to_owned(), license.map(str::to_owned)),
        None => (file.to_owned(), None),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plan::{Known, PlannedDataset, PlannedTokenizer};
    use crate::source::Input;
    use crate::store::run_tests::plan;

    fn text(files: &str, license: Option<&str>) -> spec::Dataset {
        spec::Dataset::Text(spec::Text {
            files: files.into(),
            license: license.map(str::to_owned),
            document: spec::TextUnit::File,
        })
    }

    /// A plan that reads `lab/data/a.txt` through a pattern, from an experiment in `lab`.
    pub(crate) fn example(contents: &str) -> Plan {
        let mut plan = plan("storyteller", "aa");
        plan.datasets.push(PlannedDataset {
            name: "stories".into(),
            spec: text("data/**/*.txt", Some("CC0-1.0")),
            shape: crate::plan::Shape::Documents,
            sources: Vec::new(),
            documents: Known::Value(1),
            bytes: Known::Value(contents.len() as u64),
            hash: Known::Value("bb".repeat(8)),
            inputs: vec![Input {
                path: "lab/data/a.txt".into(),
                bytes: contents.len() as u64,
                digest: blake3::hash(contents.as_bytes()).to_hex().to_string(),
            }],
            depends_on: Vec::new(),
            facts: Vec::new(),
        });
        plan.tokenizers.push(PlannedTokenizer {
            name: "words".into(),
            spec: spec::Tokenizer::TokenizerJson(spec::TokenizerJson { file: "t.json".into(), vocab: 8 }),
            vocab: Known::Value(8),
            inputs: Vec::new(),
            unsupported: None,
            hash: Known::Value("cc".repeat(8)),
            depends_on: Vec::new(),
            facts: Vec::new(),
        });
        plan
    }

    fn lock(contents: &str, artefact: &str) -> Lock {
        let artefacts = BTreeMap::from([("words".to_owned(), artefact.to_owned())]);
        Lock::of(&example(contents), "lab", &artefacts)
    }

    #[test]
    fn the_file_reads_as_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = Lock::place(&folder.path().join("storyteller.exp"));
        let written = lock("once", "dd");
        written.write(&path).unwrap();
        assert!(path.ends_with("storyteller.exp.lock"));
        assert_eq!(Lock::read(&path).unwrap(), written);
        let text = std::fs::read_to_string(&path).unwrap();
        for line in [
            "language = 1",
            "path = \"data/a.txt\"",
            "written = \"data/**/*.txt\"",
            "license = \"CC0-1.0\"",
            "bytes = 4",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        std::fs::write(&path, "lock_version = true").unwrap();
        assert!(Lock::read(&path).unwrap_err().to_string().contains("exp lock"));
    }

    #[test]
    fn each_difference_is_named() {
        let was = lock("once", "dd");
        assert_eq!(was.differences(&was), []);
        let mut is = lock("twice", "ee");
        is.language = 2;
        is.program = "9.9.9".into();
        is.inputs.push(LockedInput { path: "data/b.txt".into(), ..is.inputs[0].clone() });
        is.inputs[0].license = None;
        let told: Vec<String> = was.differences(&is).iter().map(ToString::to_string).collect();
        let parts = [
            "language edition",
            "`data/a.txt` has changed",
            "was CC0-1.0 and is not stated",
            "`data/b.txt` is read",
            "`words` came out otherwise",
            "9.9.9",
        ];
        assert_eq!(told.len(), parts.len(), "{told:#?}");
        for (line, part) in told.iter().zip(parts) {
            assert!(line.contains(part), "{line} / {part}");
        }
        assert!(!was.differences(&is)[5].is_fatal() && was.differences(&is)[0].is_fatal());
        assert_eq!(
            is.differences(&was)[3].to_string(),
            "`data/b.txt` is locked, but the experiment does not read it or it is not there"
        );
    }

    #[test]
    fn paths_are_seen_from_the_experiment() {
        assert_eq!(relative("lab", "lab/data/a.txt", "data/a.txt"), "data/a.txt");
        assert_eq!(relative("", "data/a.txt", "data/a.txt"), "data/a.txt");
        assert_eq!(relative("lab/x", "lab/data/a.txt", "../data/a.txt"), "../data/a.txt");
        assert_eq!(relative("/lab/x", "/lab/data/a.txt", "../data/a.txt"), "../data/a.txt");
        assert_eq!(relative("/lab", "/lab/data/a.txt", "/lab/data/a.txt"), "/lab/data/a.txt");
    }

    #[test]
    fn a_file_gets_the_licence_of_the_source_that_names_it() {
        let mix = spec::Dataset::Mix(spec::Mix {
            parts: vec![
                spec::MixPart { data: text("../books/*.txt", Some("MIT")), weight: 1.0 },
                spec::MixPart { data: text("news/**/*.txt", Some("CC0-1.0")), weight: 1.0 },
            ],
        });
        let license = |file: &str| source_of(file, &sources(&mix)).1;
        assert_eq!(license("lab/news/2026/a.txt").as_deref(), Some("CC0-1.0"));
        assert_eq!(license("books/a.txt").as_deref(), Some("MIT"));
        assert_eq!(license("else.txt"), None);
    }
}
