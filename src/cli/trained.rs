//! A trained stage that a command line names: `RUN` or `RUN.STAGE`.

use super::Failure;
use super::bench;
use crate::device::Chosen;
use crate::plan::{Plan, PlannedStage};
use crate::run::{Model, WEIGHTS};
use crate::store::{Check, Lab, ObjectKind};
use crate::tokenizer::{Chat, Tokenizer};
use std::path::{Path, PathBuf};

/// Where a trained stage lies, and how it is used.
pub struct Stage {
    plan: Plan,
    index: usize,
    weights: PathBuf,
    tokenizer: Tokenizer,
}

impl Stage {
    /// The stage that `name` means; without a stage, the last one of the run.
    pub fn find(lab: &Lab, name: &str) -> Result<Stage, Failure> {
        let (run, stage) = match name.rsplit_once('.') {
            Some((run, stage)) => (run, Some(stage)),
            None => (name, None),
        };
        let plan = bench::run_named(lab, run)?.plan().map_err(bench::failed)?;
        let index = match stage {
            Some(stage) => plan.stages.iter().position(|s| s.name == stage),
            None => plan.stages.len().checked_sub(1),
        };
        let Some(index) = index else {
            let names: Vec<&str> = plan.stages.iter().map(|s| s.name.as_str()).collect();
            return Err(Failure::Usage {
                message: format!("the run has no stage `{}`", stage.unwrap_or_default()),
                help: Some(format!("it has {}", names.join(", "))),
            });
        };
        let planned = &plan.stages[index];
        let weights = object(lab, ObjectKind::Stage, planned.hash.value(), &planned.name, WEIGHTS)?;
        let tokenizer = tokenizer(lab, &plan, &planned.tokenizer)?;
        Ok(Stage { plan, index, weights, tokenizer })
    }

    /// The plan of its run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The file of its weights.
    pub fn weights(&self) -> &Path {
        &self.weights
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub fn planned(&self) -> &PlannedStage {
        &self.plan.stages[self.index]
    }

    /// The network, ready to write.
    pub fn load(&self, device: &Chosen) -> Result<Model<'_>, Failure> {
        let failed = |message: String| Failure::Run { message, help: None };
        let chat = match self.planned().spec.template() {
            Some(template) => {
                Some(Chat::new(template, self.tokenizer.specials().keys()).map_err(|e| failed(e.to_string()))?)
            }
            None => None,
        };
        Model::load(&self.planned().model, &self.weights, &self.tokenizer, chat, device)
            .map_err(|e| failed(e.to_string()))
    }
}

/// A tokenizer of a run.
pub fn tokenizer(lab: &Lab, plan: &Plan, name: &str) -> Result<Tokenizer, Failure> {
    let Some(planned) = plan.tokenizers.iter().find(|t| t.name == name) else {
        let names: Vec<&str> = plan.tokenizers.iter().map(|t| t.name.as_str()).collect();
        return Err(Failure::Usage {
            message: format!("the run has no tokenizer `{name}`"),
            help: Some(format!("it has {}", names.join(", "))),
        });
    };
    let file = object(lab, ObjectKind::Tokenizer, planned.hash.value(), name, "tokenizer.json")?;
    Tokenizer::load(&file).map_err(|e| Failure::Run { message: e.to_string(), help: None })
}

fn object(lab: &Lab, kind: ObjectKind, hash: Option<&String>, name: &str, file: &str) -> Result<PathBuf, Failure> {
    let found = match hash {
        Some(hash) => lab.find(kind, hash, Check::Sizes).map_err(bench::failed)?,
        None => None,
    };
    match found {
        Some(object) => object.file(file).map_err(bench::failed),
        None => Err(Failure::Run {
            message: format!("`{name}` is not in the store"),
            help: Some("run the experiment again; what is there already is not repeated".to_owned()),
        }),
    }
}
