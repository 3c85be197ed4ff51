//! A network that a command line names: `RUN` or `RUN.STAGE`, or a folder in the layout of Hugging Face.

use super::bench;
use super::{Failure, Screen};
use crate::device::Chosen;
use crate::diagnostics::Code;
use crate::model::Decoder;
use crate::plan::hugging::{self, Folder};
use crate::plan::spec::{self, Template};
use crate::plan::{Plan, PlannedStage};
use crate::run::{ADAPTER, Model, WEIGHTS};
use crate::source::disk::DiskWorld;
use crate::source::{World, WorldError};
use crate::store::{Check, Lab, Object, ObjectKind};
use crate::tokenizer::{Chat, Tokenizer};
use std::path::{Path, PathBuf};

/// A network with its tokenizer.
pub enum Network {
    Stage(Box<Stage>),
    Folder(Box<Published>),
}

/// A folder in the layout of Hugging Face.
pub struct Published {
    folder: Folder,
    tokenizer: Tokenizer,
}

impl Network {
    /// What `name` means: a folder if one of that name is there or it is written as a path, else a stage of a run in the lab
    /// at `lab`, or in the one that belongs here. What is doubtful about a folder is told.
    pub fn find(lab: Option<&Path>, name: &str, screen: &Screen) -> Result<Network, Failure> {
        let world = DiskWorld::new("");
        let holds = |file: &str| {
            let at = crate::source::path::join(name, file);
            !matches!(world.start(&at, 0), Err(WorldError::Missing))
        };
        let is_there = holds("config.json");
        if !is_there && holds("adapter_config.json") {
            return Err(Failure::Usage {
                message: format!("`{name}` is an adapter in the layout of PEFT, which is no network by itself"),
                help: Some(
                    "name the run that trained it, or export that without `--adapter`: the adapter is then worked into the \
                     network; an adapter from elsewhere is merged by PEFT (`merge_and_unload`) and saved"
                        .to_owned(),
                ),
            });
        }
        if !is_there && !name.contains('/') {
            let lab = bench::lab_here(lab)?;
            return Ok(Network::Stage(Box::new(Stage::find(&lab, name)?)));
        }
        let folder = hugging::read(&world, name).map_err(|fault| {
            let (message, help) = (fault.to_string(), Some(fault.help));
            if fault.absent { Failure::Usage { message, help } } else { Failure::Run { message, help } }
        })?;
        for doubt in folder.doubts(name) {
            let code = Code::W1012;
            let note = doubt.note.map_or_else(String::new, |note| format!("; {note}"));
            screen.note(&format!("warning[{code}]: {}{note}", doubt.message));
        }
        let file = PathBuf::from(&folder.tokenizer.file);
        let tokenizer = Tokenizer::load_as(&file, &spec::Tokenizer::Published(folder.tokenizer.clone()))
            .map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
        Ok(Network::Folder(Box::new(Published { folder, tokenizer })))
    }

    /// What it is called, where the command line says `given`: a stage has a name of its own.
    pub fn name<'a>(&'a self, given: &'a str) -> &'a str {
        match self {
            Network::Stage(stage) => &stage.planned().name,
            Network::Folder(_) => given,
        }
    }

    /// Whether it has a chat template.
    pub fn answers(&self) -> bool {
        match self {
            Network::Stage(stage) => stage.plan().template_of(&stage.planned().name).is_some(),
            Network::Folder(published) => published.folder.published.template.is_some(),
        }
    }

    /// The network, ready to write. With `talks`, prompts go through its chat template, if it has one. Numbers in a
    /// folder's weights that are none are told.
    pub fn load(&self, device: &Chosen, screen: &Screen, talks: bool) -> Result<Model<'_>, Failure> {
        match self {
            Network::Stage(stage) => stage.load(device),
            Network::Folder(published) => {
                let Published { folder, tokenizer } = &**published;
                let template = folder.published.template.as_ref().filter(|_| talks);
                let chat = chat(template, tokenizer)?;
                let (decoder, not_finite) = Decoder::published(folder, Path::new(""), &device.device)
                    .map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
                if let Some(text) = not_finite.told() {
                    screen.note(&format!("warning: {text}"));
                }
                Ok(Model::of(decoder, tokenizer, chat))
            }
        }
    }
}

fn chat(template: Option<&Template>, tokenizer: &Tokenizer) -> Result<Option<Chat>, Failure> {
    let chat = template.map(|template| Chat::of(template, tokenizer)).transpose();
    chat.map_err(|e| {
        let help = "a published model has it in `chat_template.jinja` or, with that name as a field, in \
                    `tokenizer_config.json`; correct it there, or take it away, and prompts are continued as they are";
        Failure::Run { message: e.to_string(), help: Some(help.to_owned()) }
    })
}

/// Where a trained stage lies, and how it is used.
pub struct Stage {
    plan: Plan,
    index: usize,
    weights: PathBuf,
    /// The file of its adapters, if it trained those.
    adapter: Option<PathBuf>,
    tokenizer: Tokenizer,
    /// Files of the tokenizer's object: name and place.
    tokenizer_files: Vec<(String, PathBuf)>,
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
        let trained = object(lab, ObjectKind::Stage, planned.hash.value(), &planned.name)?;
        let weights = trained.file(WEIGHTS).map_err(bench::failed)?;
        let adapter = trained.manifest.files.iter().find(|file| file.path == ADAPTER);
        let adapter = adapter.map(|file| trained.file(&file.path)).transpose().map_err(bench::failed)?;
        let (object, tokenizer) = tokenizer_of(lab, &plan, &planned.tokenizer)?;
        let files = object.manifest.files.iter().map(|file| Ok((file.path.clone(), object.file(&file.path)?)));
        let tokenizer_files = files.collect::<Result<Vec<_>, _>>().map_err(bench::failed)?;
        Ok(Stage { plan, index, weights, adapter, tokenizer, tokenizer_files })
    }

    /// The plan of its run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The file of its weights.
    pub fn weights(&self) -> &Path {
        &self.weights
    }

    /// The file of its adapters, if it trained those.
    pub fn adapter(&self) -> Option<&Path> {
        self.adapter.as_deref()
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The files of its tokenizer: name and place.
    pub fn tokenizer_files(&self) -> &[(String, PathBuf)] {
        &self.tokenizer_files
    }

    pub fn planned(&self) -> &PlannedStage {
        &self.plan.stages[self.index]
    }

    /// The network, ready to write.
    pub fn load(&self, device: &Chosen) -> Result<Model<'_>, Failure> {
        let failed = |message: String| Failure::Run { message, help: None };
        let chat = chat(self.plan.template_of(&self.planned().name), &self.tokenizer)?;
        Model::load(&self.planned().model, &self.weights, &self.tokenizer, chat, device)
            .map_err(|e| failed(e.to_string()))
    }
}

/// A tokenizer of a run.
pub fn tokenizer(lab: &Lab, plan: &Plan, name: &str) -> Result<Tokenizer, Failure> {
    tokenizer_of(lab, plan, name).map(|(_, tokenizer)| tokenizer)
}

fn tokenizer_of(lab: &Lab, plan: &Plan, name: &str) -> Result<(Object, Tokenizer), Failure> {
    let Some(planned) = plan.tokenizers.iter().find(|t| t.name == name) else {
        let names: Vec<&str> = plan.tokenizers.iter().map(|t| t.name.as_str()).collect();
        return Err(Failure::Usage {
            message: format!("the run has no tokenizer `{name}`"),
            help: Some(format!("it has {}", names.join(", "))),
        });
    };
    let object = object(lab, ObjectKind::Tokenizer, planned.hash.value(), name)?;
    let file = object.file("tokenizer.json").map_err(bench::failed)?;
    let tokenizer =
        Tokenizer::load_as(&file, &planned.spec).map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
    Ok((object, tokenizer))
}

fn object(lab: &Lab, kind: ObjectKind, hash: Option<&String>, name: &str) -> Result<Object, Failure> {
    let found = match hash {
        Some(hash) => lab.find(kind, hash, Check::Sizes).map_err(bench::failed)?,
        None => None,
    };
    match found {
        Some(object) => Ok(object),
        None => Err(Failure::Run {
            message: format!("`{name}` is not in the store"),
            help: Some("run the experiment again; what is there already is not repeated".to_owned()),
        }),
    }
}
