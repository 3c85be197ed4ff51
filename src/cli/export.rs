//! `exp export`: a trained stage as a folder that Hugging Face `transformers` loads as it is.
#![allow(clippy::disallowed_methods, reason = "this verb writes the folder that the command line names")]

use super::bench;
use super::shared::LabArgs;
use super::trained::Stage;
use super::{Exit, Failure, Screen};
use crate::model::hugging::{self, Family, Specials};
use crate::model::{Architecture, Described, Layout, Named, NumberFormat, load_segments, named, write_stream};
use crate::plan::{PlannedStage, parameters};
use crate::store::{Record, disk};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN` (its last stage; `latest` is the latest run) or `RUN.STAGE`.
    #[arg(value_name = "RUN[.STAGE]")]
    pub model: String,
    /// The folder to make; it must not hold anything yet.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// How the numbers are written; 16-bit ones are rounded to the nearest.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Dtype::F32)]
    pub dtype: Dtype,
    /// The largest file of weights, such as `500MB` or `2GiB`; more weights go into several, with an index.
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = size)]
    pub max_shard: u64,
    /// Write the adapters that the stage trained instead of the network, as a folder that PEFT loads.
    #[arg(long, conflicts_with = "max_shard")]
    pub adapter: bool,
    #[command(flatten)]
    pub lab: LabArgs,
}

/// How numbers are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Dtype {
    F32,
    Bf16,
    F16,
}

impl From<Dtype> for NumberFormat {
    fn from(dtype: Dtype) -> NumberFormat {
        match dtype {
            Dtype::F32 => NumberFormat::F32,
            Dtype::Bf16 => NumberFormat::Bf16,
            Dtype::F16 => NumberFormat::F16,
        }
    }
}

/// A size in bytes: `5GB`, `64 MiB`, `1000`.
fn size(text: &str) -> Result<u64, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '_'));
    let number: f64 =
        text[..text.len() - unit.len()].replace('_', "").parse().map_err(|_| "it begins with a number")?;
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        _ => return Err("it ends in B, KB, MB, GB, KiB, MiB or GiB".to_owned()),
    };
    let bytes = number * factor;
    if bytes >= 1.0 { Ok(bytes as u64) } else { Err("it must be at least one byte".to_owned()) }
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("export")?;
    let lab = bench::lab_here(args.lab.lab.as_deref())?;
    let stage = Stage::find(&lab, &args.model)?;
    let failed = |message: String| Failure::Run { message, help: None };
    let run = args.model.rsplit_once('.').map_or(args.model.as_str(), |(run, _)| run);
    let record = bench::run_named(&lab, run)?.current_record().map_err(bench::failed)?;
    if args.adapter {
        return super::export_adapter::run(args, &stage, &record, screen);
    }
    let architecture = Architecture::new(&stage.planned().model, Some(stage.tokenizer().vocab()))
        .map_err(|e| failed(e.to_string()))?;
    let family = hugging::family(&architecture).map_err(|why| Failure::Usage {
        message: format!("`{}` cannot be exported: {why}", stage.planned().name),
        help: Some("weights lie in the store as safetensors; `exp runs show` names the run's folder".to_owned()),
    })?;
    empty(&args.to)?;
    let format = NumberFormat::from(args.dtype);
    let files = files(&stage, &architecture, family, format, &record)?;
    // Read as the network reads them: what is missing or misshaped is an error here, and never written as zeros.
    let layout = Layout::new(&architecture);
    let host = load_segments(&layout, stage.weights()).map_err(|e| failed(e.to_string()))?;
    let mut theirs = hugging::weights(family, &architecture, named(&layout, &host));
    theirs.sort_by(|a, b| a.name.cmp(&b.name));
    let unwritable = |e: std::io::Error| Failure::Write { path: args.to.display().to_string(), cause: e.to_string() };
    std::fs::create_dir_all(&args.to).map_err(unwritable)?;
    // The weights last: a folder with weights is whole.
    for (name, bytes) in &files {
        disk::replace_bytes(&args.to.join(name), bytes).map_err(bench::failed)?;
    }
    let written = shards(&theirs, format, args.max_shard, &args.to)?;
    if screen.is_json() {
        let names: Vec<&str> = files.iter().map(|(name, _)| name).chain(&written).map(String::as_str).collect();
        screen.document(&json!({
            "schema_version": 1,
            "to": args.to.display().to_string(),
            "family": family.model_type(),
            "parameters": architecture.parameters(),
            "dtype": format.torch(),
            "files": names,
        }));
    } else {
        screen.result(&format!("{}\n", args.to.display()));
        screen.note(&format!("{} as a {} of `transformers`", stage.planned().name, family.model_type()));
    }
    Ok(Exit::Done)
}

/// Refuses a folder that holds something.
pub(super) fn empty(to: &Path) -> Result<(), Failure> {
    if std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::Usage {
            message: format!("`{}` is not empty", to.display()),
            help: Some("name a folder that does not exist yet; nothing was changed".to_owned()),
        });
    }
    Ok(())
}

/// Writes the weights, in as many files as the limit asks for, and then their index if there are several; gives their names.
fn shards(theirs: &[Named<'_>], format: NumberFormat, most: u64, to: &Path) -> Result<Vec<String>, Failure> {
    let failed = |message: String| Failure::Run { message, help: None };
    let described: Vec<Described> =
        theirs.iter().map(|w| Described { name: w.name.to_string(), shape: w.shape.clone() }).collect();
    // A tensor is never cut: one that is larger than the limit has a file of its own.
    let (mut groups, mut filled): (Vec<std::ops::Range<usize>>, u64) = (Vec::new(), 0);
    for (index, tensor) in described.iter().enumerate() {
        let bytes = tensor.bytes(format);
        match groups.last_mut() {
            Some(group) if filled.saturating_add(bytes) <= most => group.end = index + 1,
            _ => {
                groups.push(index..index + 1);
                filled = 0;
            }
        }
        filled += bytes;
    }
    // `transformers` refuses weights that do not say which framework they are for.
    let about = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let several = groups.len() > 1;
    let (mut names, mut map) = (Vec::new(), serde_json::Map::new());
    for (number, group) in groups.iter().enumerate() {
        let name = match several {
            true => format!("model-{:05}-of-{:05}.safetensors", number + 1, groups.len()),
            false => "model.safetensors".to_owned(),
        };
        let (first, tensors) = (group.start, described.get(group.clone()).unwrap_or_default());
        write_stream(&to.join(&name), &about, format, tensors, &mut |index| Ok(theirs[first + index].numbers.to_vec()))
            .map_err(|e| failed(e.to_string()))?;
        map.extend(tensors.iter().map(|t| (t.name.clone(), json!(name))));
        names.push(name);
    }
    if several {
        let total: u64 = described.iter().map(|t| t.bytes(format)).sum();
        let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
        let name = "model.safetensors.index.json".to_owned();
        let text = serde_json::to_string_pretty(&index).map_err(|e| failed(e.to_string()))? + "\n";
        disk::replace_bytes(&to.join(&name), text.as_bytes()).map_err(bench::failed)?;
        names.push(name);
    }
    Ok(names)
}

/// Everything but the weights: name and contents.
fn files(
    stage: &Stage,
    architecture: &Architecture,
    family: Family,
    format: NumberFormat,
    record: &Record,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let failed = |message: String| Failure::Run { message, help: None };
    let tokenizer = stage.tokenizer();
    let specials = Specials { end: tokenizer.end(), pad: tokenizer.pad() };
    let mut config = hugging::config(family, architecture, specials);
    config["torch_dtype"] = json!(format.torch());
    let own = match tokenizer.published() {
        Some(published) => {
            config["bos_token_id"] = json!(published.begin);
            if !published.stops.is_empty() {
                let ends: Vec<u32> = std::iter::once(published.end).chain(published.stops.iter().copied()).collect();
                config["eos_token_id"] = json!(ends);
            }
            published_tokenizer(stage)?
        }
        None => own_tokenizer(stage, architecture, specials)?,
    };
    let mut files = vec![("config.json".to_owned(), pretty(&config)?)];
    files.extend(own);
    files.push(("README.md".to_owned(), card(stage, architecture, family, record).into_bytes()));
    // One file of each name, whoever brings it.
    let mut seen = std::collections::BTreeSet::new();
    if let Some((name, _)) = files.iter().find(|(name, _)| !seen.insert(name.clone())) {
        return Err(failed(format!("`{name}` would be written twice")));
    }
    Ok(files)
}

pub(super) fn pretty(json: &Json) -> Result<Vec<u8>, Failure> {
    let text = serde_json::to_string_pretty(json).map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
    Ok((text + "\n").into_bytes())
}

/// The files of a tokenizer that was published: as they were, unless the stage has another chat template than they say.
fn published_tokenizer(stage: &Stage) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut files = Vec::new();
    for (name, place) in stage.tokenizer_files() {
        let unread = |e: std::io::Error| Failure::Read { path: place.display().to_string(), cause: e.to_string() };
        files.push((name.clone(), std::fs::read(place).map_err(unread)?));
    }
    let plan = stage.plan();
    let theirs = plan.stages.iter().filter(|s| s.published.is_some() && s.tokenizer == stage.planned().tokenizer);
    let theirs = theirs.filter_map(|s| s.template()).next();
    let template = plan.template_of(&stage.planned().name);
    if template.map(|t| &t.jinja) == theirs.map(|t| &t.jinja) {
        return Ok(files);
    }
    const ABOUT: &str = "tokenizer_config.json";
    files.retain(|(name, _)| name != "chat_template.jinja");
    let about = files.iter().position(|(name, _)| name == ABOUT);
    let mut fields: Json = match about {
        Some(i) => serde_json::from_slice(&files[i].1)
            .map_err(|e| Failure::Run { message: format!("the model's `{ABOUT}` is not JSON: {e}"), help: None })?,
        None => json!({}),
    };
    fields["chat_template"] = json!(template.map(|t| &t.jinja));
    files.retain(|(name, _)| name != ABOUT);
    files.push((ABOUT.to_owned(), pretty(&fields)?));
    Ok(files)
}

/// The files of a tokenizer that was made here.
fn own_tokenizer(
    stage: &Stage,
    architecture: &Architecture,
    specials: Specials,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let tokenizer = stage.tokenizer();
    let token = |id: u32| tokenizer.entry(id).unwrap_or_default();
    let mut about = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": architecture.context,
        "bos_token": token(specials.end),
        "eos_token": token(specials.end),
        "pad_token": token(specials.pad),
        "clean_up_tokenization_spaces": false,
    });
    if let Some(unknown) = tokenizer.unknown() {
        about["unk_token"] = Json::String(token(unknown));
    }
    // Of the stage, or of the nearest one it comes from.
    if let Some(template) = stage.plan().template_of(&stage.planned().name) {
        about["chat_template"] = Json::String(template.jinja.clone());
    }
    let generation = json!({
        "bos_token_id": specials.end,
        "eos_token_id": specials.end,
        "pad_token_id": specials.pad,
    });
    let tokens = tokenizer.to_json().map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
    Ok(vec![
        ("generation_config.json".to_owned(), pretty(&generation)?),
        ("tokenizer.json".to_owned(), tokens.into_bytes()),
        ("tokenizer_config.json".to_owned(), pretty(&about)?),
    ])
}

/// How a model card begins.
pub(super) fn head(stage: &Stage, library: &str) -> String {
    let plan = stage.plan();
    let mut out = format!("---\nlibrary_name: {library}\n");
    if let Some(license) = &plan.experiment.license {
        let _ = writeln!(out, "license: {}", license.to_lowercase());
    }
    let _ = writeln!(out, "---\n\n# {}.{}\n", plan.name, stage.planned().name);
    if let Some(description) = &plan.experiment.description {
        let _ = writeln!(out, "{description}\n");
    }
    out
}

/// The model card.
fn card(stage: &Stage, architecture: &Architecture, family: Family, record: &Record) -> String {
    let planned = stage.planned();
    let mut out = head(stage, "transformers");
    let parts = parameters(&planned.model, architecture.vocab as u64);
    let active = match parts.mixtures {
        Some(_) => format!(", of which a token uses {},", parts.active()),
        None => String::new(),
    };
    let _ = writeln!(
        out,
        "A {} of {} parameters{active} with a context of {} tokens, the stage `{}` of run `{}` (plan `{}`).\n",
        family.model_type(),
        architecture.parameters(),
        architecture.context,
        planned.name,
        record.run,
        record.plan_hash
    );
    out.push_str(&measured(planned, record));
    out.push_str("Made with Emberlab; the experiment's file says the rest.\n");
    out
}

/// What a run measured of a stage, for its card.
pub(super) fn measured(planned: &PlannedStage, record: &Record) -> String {
    let mut out = String::new();
    if let Some(trained) = record.stages.get(&planned.name).filter(|s| s.tokens > 0) {
        let _ = writeln!(
            out,
            "Trained on {} tokens, to a loss of {:.4}{}.\n",
            trained.tokens,
            trained.loss.train,
            trained.loss.valid.map_or_else(String::new, |v| format!(" and a validation loss of {v:.4}"))
        );
    }
    let rows: Vec<String> = record
        .evals
        .iter()
        .filter_map(|(eval, stages)| Some((eval, stages.get(&planned.name)?)))
        .flat_map(|(eval, metrics)| {
            metrics.iter().map(move |(metric, e)| {
                let interval = match (e.low, e.high) {
                    (Some(low), Some(high)) => format!("{low:.4} to {high:.4}"),
                    _ => String::new(),
                };
                format!("| {eval} | {metric} | {:.4} | {interval} | {} |", e.value, e.n)
            })
        })
        .collect();
    if !rows.is_empty() {
        let _ = writeln!(out, "| evaluation | metric | value | 95 % interval | n |\n| --- | --- | --- | --- | --- |");
        let _ = writeln!(out, "{}\n", rows.join("\n"));
    }
    out
}
