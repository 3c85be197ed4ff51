//! Published networks: folders in the layout of Hugging Face `transformers`, read as far as planning needs.
//!
//! `config.json` becomes a [`Decoder`], the heads of the safetensors files say where each of its weights lies, and
//! `tokenizer.json` with the files around it says what the special tokens are. No weight is read here. Everything that is
//! known to change what the network computes is either understood or refused by name, and a field of `config.json` that
//! nobody here knows is told. A family is an arm of [`config::decoder`]
//! and a table in [`names`].

mod config;
mod head;
mod names;
mod tokens;

pub use names::{EMBEDDING, Family, HEAD, Place, uncompiled};

use super::spec::{Decoder, PublishedTokenizer, Template};
use crate::diagnostics::{Code, Problem};
use crate::source::{Span, World, WorldError, path};
use head::Stored;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::fmt;

/// A published network as a plan sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Published {
    pub family: Family,
    /// As `config.json` calls it: `mistral` is a Llama to us.
    pub model_type: String,
    /// Number formats of the weights, sorted: `BF16`.
    pub dtypes: Vec<String>,
    /// Files that hold weights, as the world finds them.
    pub weights: Vec<String>,
    /// The chat template of the folder.
    pub template: Option<Template>,
}

/// A folder that has been read.
#[derive(Clone, PartialEq, Debug)]
pub struct Folder {
    pub published: Published,
    pub decoder: Decoder,
    pub tokenizer: PublishedTokenizer,
    /// Where each weight of ours is found, sorted by our name.
    pub places: Vec<Place>,
    /// Files that decide the network besides its weights: `config.json`, the index of the shards.
    pub about: Vec<String>,
    /// `tokenizer.json` and what belongs to it.
    pub tokenizer_files: Vec<String>,
    /// Fields of `config.json` that nobody here knows, and that are set.
    pub unknown: Vec<String>,
    /// What was assumed of a field that is missing, and which fields change nothing here.
    pub notes: Vec<String>,
}

/// Something doubtful about a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doubt {
    pub message: String,
    /// What may follow from it.
    pub note: Option<&'static str>,
    pub help: &'static str,
}

impl Folder {
    /// What is doubtful about the `config.json` of the model called `name`.
    pub fn doubts(&self, name: &str) -> Vec<Doubt> {
        let fields = self.unknown.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", ");
        let are = if self.unknown.len() == 1 { "is" } else { "are" };
        let unknown = (!self.unknown.is_empty()).then(|| Doubt {
            message: format!("the `config.json` of `{name}` sets {fields}, which {are} not known"),
            note: Some("if it changes what the network computes, the results are not those of the published network"),
            help: "compare log-probabilities of a few lines: `exp logprobs FOLDER` prints them",
        });
        let told = (!self.notes.is_empty()).then(|| Doubt {
            message: format!("in the folder of `{name}`, {}", self.notes.join("; ")),
            note: None,
            help: "state in `config.json` what the model was trained with, or remove what changes nothing",
        });
        unknown.into_iter().chain(told).collect()
    }
}

/// Why a folder cannot be used.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    pub code: Code,
    pub message: String,
    pub notes: Vec<String>,
    pub help: String,
    /// Whether the folder, or its `config.json`, is simply not there.
    pub absent: bool,
}

impl Fault {
    fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), notes: Vec::new(), help: help.into(), absent: false }
    }

    /// As a problem of the line that names the folder.
    pub fn problem(&self, span: Span) -> Problem {
        let mut problem = Problem::new(self.code, span, self.message.clone()).label("this folder");
        for note in &self.notes {
            problem = problem.note(note.clone());
        }
        problem.help(self.help.clone())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Files of an adapter, as PEFT saves it: it is no model.
const ADAPTER: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

/// The most problems of one kind that are named.
const NAMED: usize = 8;

/// Reads the folder at `folder`, as the world sees it. Weights are not read, only what the heads of their files say.
///
/// # Errors
/// When a file is missing, malformed or cut short; when the network is of a kind that cannot be computed, with every field
/// that it fails for; when the weights are not those of the network; when the tokenizer does not fit it.
pub fn read(world: &dyn World, folder: &str) -> Result<Folder, Fault> {
    let at = |name: &str| path::join(folder, name);
    let config = match object(world, &at(CONFIG)) {
        Err(Unread::Absent) => return Err(absent(world, folder)),
        Err(Unread::Bad(why)) => return Err(malformed(&at(CONFIG), &why)),
        Ok(config) => config,
    };
    let config::Read { family, model_type, decoder, unknown, mut notes } = config::decoder(&config, folder)?;
    let mut about = vec![at(CONFIG)];
    let weights = shards(world, folder, &mut about)?;
    let mut stored: Vec<Vec<Stored>> = Vec::new();
    for file in &weights {
        stored.push(head::read(world, file)?);
    }
    let found = names::places(family, &decoder, &stored, folder).map_err(|mut fault| {
        // A size that was assumed may be why the weights do not fit.
        fault.notes.extend(notes.iter().cloned());
        fault
    })?;
    let places = found.places;
    notes.extend(found.notes);
    let mut dtypes: Vec<String> = stored.iter().flatten().map(|s| s.dtype.clone()).collect();
    dtypes.sort();
    dtypes.dedup();
    let tokens::Read { tokenizer, template, files } = tokens::read(world, folder, &config, &decoder)?;
    let published = Published { family, model_type, dtypes, weights, template };
    Ok(Folder { published, decoder, tokenizer, places, about, tokenizer_files: files, unknown, notes })
}

/// The files that hold the weights: one, or those that the index names.
fn shards(world: &dyn World, folder: &str, about: &mut Vec<String>) -> Result<Vec<String>, Fault> {
    let at = |name: &str| path::join(folder, name);
    if exists(world, &at(WEIGHTS)) {
        return Ok(vec![at(WEIGHTS)]);
    }
    let index = match object(world, &at(INDEX)) {
        Ok(index) => index,
        Err(Unread::Bad(why)) => return Err(malformed(&at(INDEX), &why)),
        Err(Unread::Absent) => return Err(no_weights(world, folder)),
    };
    about.push(at(INDEX));
    let Some(map) = index.get("weight_map").and_then(Json::as_object).filter(|map| !map.is_empty()) else {
        return Err(malformed(&at(INDEX), "it has no `weight_map`"));
    };
    let mut files: Vec<String> = Vec::new();
    for (tensor, file) in map {
        let Some(file) = file.as_str() else {
            return Err(malformed(&at(INDEX), &format!("the file of `{tensor}` is no text")));
        };
        let plain = !file.is_empty() && file != "." && file != ".." && !file.contains(['/', '\\', ':', '\0']);
        if !plain {
            let message = format!("`{}` says that `{tensor}` lies in `{file}`", at(INDEX));
            let help =
                "download the model again from where it is published: an index names files beside it and no others";
            return Err(Fault::new(Code::E0615, message, help));
        }
        if !files.iter().any(|f| f == file) {
            files.push(file.to_owned());
        }
    }
    files.sort();
    let missing: Vec<String> = files.iter().filter(|f| !exists(world, &at(f))).map(|f| format!("`{f}`")).collect();
    if !missing.is_empty() {
        let message = format!("`{folder}` lacks {}, which its index names", listed(&missing));
        return Err(Fault::new(
            Code::E0615,
            message,
            "download the rest of the model; each shard holds part of the weights",
        ));
    }
    Ok(files.iter().map(|f| at(f)).collect())
}

/// An adapter where a model is expected.
fn adapter(world: &dyn World, folder: &str) -> Option<Fault> {
    if !ADAPTER.iter().any(|name| exists(world, &path::join(folder, name))) {
        return None;
    }
    let message = format!("`{folder}` is a PEFT adapter: what was trained beside a model, and no model");
    let help = format!(
        "merge it into its base once: python -c \"from peft import AutoPeftModelForCausalLM as M; \
         M.from_pretrained('{folder}').merge_and_unload().save_pretrained('merged')\", with the tokenizer of its base beside it"
    );
    Some(Fault::new(Code::E0615, message, help))
}

fn absent(world: &dyn World, folder: &str) -> Fault {
    if let Some(fault) = adapter(world, folder) {
        return fault;
    }
    let at = |name: &str| path::join(folder, name);
    let there = [WEIGHTS, INDEX, "tokenizer.json", "pytorch_model.bin"].iter().any(|name| exists(world, &at(name)));
    let (message, help) = if there {
        let message = format!("`{folder}` has no `config.json`");
        (
            message,
            "download the `config.json` that the model is published with: it says what network the weights are of",
        )
    } else {
        let message = format!("there is no model in `{folder}`");
        (
            message,
            "name a folder with `config.json`, `model.safetensors` and `tokenizer.json`, relative to the file that says \
             it; `hf download NAME --local-dir FOLDER` makes one",
        )
    };
    Fault { absent: !there, ..Fault::new(Code::E0615, message, help) }
}

fn no_weights(world: &dyn World, folder: &str) -> Fault {
    let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
    if pickled.iter().any(|name| exists(world, &path::join(folder, name))) {
        let message = format!("the weights in `{folder}` are pickled (`pytorch_model.bin`), and are not read");
        let help = format!(
            "convert them once: python -c \"from transformers import AutoModelForCausalLM as M; \
             M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        );
        let mut fault = Fault::new(Code::E0615, message, help);
        fault.notes.push("reading a pickled file runs whatever program its author put there".to_owned());
        return fault;
    }
    if let Some(fault) = adapter(world, folder) {
        return fault;
    }
    let message = format!("`{folder}` has no `{WEIGHTS}` and no `{INDEX}`");
    Fault::new(Code::E0615, message, "download the weights of the model, as safetensors, into the folder")
}

fn malformed(file: &str, why: &str) -> Fault {
    let help = "download the file again; it is not what was published";
    Fault::new(Code::E0615, format!("`{file}` cannot be read: {why}"), help)
}

/// Whether something is there; whoever reads it says why it cannot be.
fn exists(world: &dyn World, path: &str) -> bool {
    !matches!(world.start(path, 0), Err(WorldError::Missing))
}

/// Why no JSON object was read.
enum Unread {
    Absent,
    Bad(String),
}

/// A file's JSON object.
fn object(world: &dyn World, path: &str) -> Result<Map<String, Json>, Unread> {
    let text = match world.read(path) {
        Ok(text) => text,
        Err(WorldError::Missing) => return Err(Unread::Absent),
        Err(error) => return Err(Unread::Bad(error.to_string())),
    };
    match serde_json::from_str(&text) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(Unread::Bad("it is no JSON object".to_owned())),
        Err(error) => Err(Unread::Bad(format!("it is not valid JSON ({error})"))),
    }
}

/// The first few of a list, and how many more there are.
fn listed(all: &[String]) -> String {
    let shown = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
