//! Stages of the kind `pretrained`: their folders, identities and tokenizers in a plan.

use super::build::Build;
use super::facts;
use super::graph::{Digest, Estimate, Known, Memory, PlannedStage, PlannedTokenizer};
use super::hugging::{self, Doubt, Folder};
use super::inputs::Found;
use super::items::{Item, Items};
use super::parameters::{parameters, size};
use super::spec::{self, Stage, Template};
use super::{Plan, meaning, version};
use crate::check::CheckedItem;
use crate::diagnostics::{Code, Problem, Problems};
use crate::source::{Input, World};
use std::collections::BTreeMap;

/// The folders of the published networks, by the stage that names them.
#[derive(Default)]
pub(super) struct Folders {
    found: BTreeMap<String, Named>,
}

/// A folder, and how its tokenizer is called.
pub(super) struct Named {
    pub folder: Folder,
    pub tokenizer: String,
}

impl Folders {
    /// Reads the folder of every `pretrained` stage; what is wrong with one is reported. Where the world does not look for
    /// data, a folder that is not there is no problem, and nothing is known of its network.
    pub fn read(items: &Items<'_>, world: &dyn World, problems: &mut Problems) -> Folders {
        let mut folders = Folders::default();
        for (name, Item { from, spec }) in &items.stages {
            let Stage::Pretrained(pretrained) = spec else { continue };
            match hugging::read(world, &pretrained.folder) {
                Err(fault) if fault.absent && !world.looks_for_data() => {}
                Err(fault) => problems.push(fault.problem(from.span_of("folder"))),
                Ok(folder) => {
                    for doubt in folder.doubts(&from.name) {
                        problems.push(doubtful(from, doubt));
                    }
                    let tokenizer = format!("{name}.tokenizer");
                    folders.found.insert((*name).to_owned(), Named { folder, tokenizer });
                }
            }
        }
        folders
    }

    /// The folder of a stage.
    pub fn of(&self, stage: &str) -> Option<&Named> {
        self.found.get(stage)
    }
}

fn doubtful(from: &CheckedItem, doubt: Doubt) -> Problem {
    let problem = Problem::new(Code::W1012, from.span_of("folder"), doubt.message).label("this folder");
    let problem = match doubt.note {
        Some(note) => problem.note(note),
        None => problem,
    };
    problem.help(doubt.help)
}

impl Build<'_> {
    /// Plans a published network and its tokenizer.
    pub(super) fn pretrained(&mut self, item: &Item<'_, Stage>, named: &Named) {
        let (from, Named { folder, tokenizer }) = (item.from, named);
        let Stage::Pretrained(pretrained) = &item.spec else { return };
        let weights = self.files(from, pretrained, &folder.published.weights);
        let about = self.files(from, pretrained, &folder.about);
        let words = self.files(from, pretrained, &folder.tokenizer_files);
        let digests = |found: &Found| -> Known<Vec<Digest>> {
            found.inputs.clone().map(|inputs| inputs.into_iter().map(|i| i.digest).collect())
        };
        let spec = spec::Tokenizer::Published(folder.tokenizer.clone());
        let tokenizer_hash = digests(&words).map(|files| meaning::tokenizer(&spec, None, Some(&files)));
        let hash = tokenizer_hash
            .clone()
            .and_then(|words| digests(&weights).map(|weights| meaning::published(folder, weights, &words)));
        let mut facts = facts::of_files(&words);
        facts.push(facts::of_version("tokenizer", version::TOKENIZER));
        self.tokenizers.push(PlannedTokenizer {
            name: tokenizer.clone(),
            spec,
            hash: tokenizer_hash,
            vocab: Known::Value(size(folder.tokenizer.vocab)),
            inputs: words.inputs.value().cloned().unwrap_or_default(),
            depends_on: Vec::new(),
            facts,
            unsupported: None,
        });
        let mut facts = facts::of_files(&weights);
        facts.push(facts::of_version("import", version::IMPORT));
        let inputs: Vec<Input> =
            [weights, about].into_iter().filter_map(|f| f.inputs.value().cloned()).flatten().collect();
        self.stages.push(PlannedStage {
            name: from.name.clone(),
            spec: item.spec.clone(),
            model_name: from.name.clone(),
            model: folder.decoder.clone(),
            tokenizer: tokenizer.clone(),
            hash,
            inputs,
            published: Some(folder.published.clone()),
            depends_on: vec![tokenizer.clone()],
            facts,
            estimate: estimate(folder),
            unsupported: None,
        });
    }

    /// Fingerprints files of a folder.
    fn files(&mut self, from: &CheckedItem, pretrained: &spec::Pretrained, files: &[String]) -> Found {
        self.data.inputs.exact(self.items, from, &pretrained.folder, files)
    }
}

/// Nothing is trained; the weights are written down once, matrix by matrix.
fn estimate(folder: &Folder) -> Estimate {
    let vocab = size(folder.decoder.vocab.unwrap_or(0));
    let parts = parameters(&folder.decoder, vocab);
    let bytes = |numbers: u64| numbers.saturating_mul(4);
    let nothing = || "a published network is not trained".to_owned();
    Estimate {
        parameters: Known::Value(parts.total()),
        parts: Known::Value(parts),
        sequences: 0,
        sequence: size(folder.decoder.context),
        micro_batch: Known::Unknown(nothing()),
        tokens: Known::Value(0),
        steps: Known::Value(0),
        epochs: Known::Unknown(nothing()),
        derivation: nothing(),
        flops: Known::Value(0.0),
        hardware_flops: None,
        gpu_flops: None,
        fitted: None,
        memory: Known::Value(Memory {
            weights: bytes(parts.largest()),
            gradients: 0,
            optimizer: 0,
            activations: 0,
            batch: 0,
        }),
        disk_bytes: Known::Value(bytes(parts.total())),
        seconds: Known::Value(0.0),
    }
}

impl PlannedStage {
    /// The chat template that it states, or its folder brings.
    pub fn template(&self) -> Option<&Template> {
        self.spec.template().or(self.published.as_ref().and_then(|p| p.template.as_ref()))
    }
}

impl Plan {
    /// The chat template of a stage, or of the nearest one it comes from.
    pub fn template_of(&self, stage: &str) -> Option<&Template> {
        template_of(&self.stages, stage)
    }
}

/// The chat template of a stage among `stages`, or of the nearest one it comes from.
pub(super) fn template_of<'p>(stages: &'p [PlannedStage], stage: &str) -> Option<&'p Template> {
    let mut at = stages.iter().find(|s| s.name == stage)?;
    loop {
        if let Some(template) = at.template() {
            return Some(template);
        }
        let init = at.spec.init()?;
        at = stages.iter().find(|s| s.name == init.name)?;
    }
}
