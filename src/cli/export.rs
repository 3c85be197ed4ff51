//! `exp export`: a trained stage as a folder that Hugging Face `transformers` loads as it is.
#![allow(clippy::disallowed_methods, reason = "this verb writes the folder that the command line names")]

use super::bench;
use super::shared::LabArgs;
use super::trained::Stage;
use super::{Exit, Failure, Screen};
use crate::model::hugging::{self, Family, Specials};
use crate::model::{Architecture, Layout, load_segments, named, write_weights_with};
use crate::store::{Record, disk};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN` (its last stage) or `RUN.STAGE`.
    #[arg(value_name = "RUN[.STAGE]")]
    pub model: String,
    /// The folder to make; it must not hold anything yet.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("export")?;
    let lab = bench::lab_here(args.lab.lab.as_deref())?;
    let stage = Stage::find(&lab, &args.model)?;
    let failed = |message: String| Failure::Run { message, help: None };
    let architecture = Architecture::new(&stage.planned().model, Some(stage.tokenizer().vocab()))
        .map_err(|e| failed(e.to_string()))?;
    let family = hugging::family(&architecture).map_err(|why| Failure::Usage {
        message: format!("`{}` cannot be exported: {why}", stage.planned().name),
        help: Some("weights lie in the store as safetensors; `exp runs show` names the run's folder".to_owned()),
    })?;
    if std::fs::read_dir(&args.to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::Usage {
            message: format!("`{}` is not empty", args.to.display()),
            help: Some("name a folder that does not exist yet; nothing was changed".to_owned()),
        });
    }
    let run = args.model.rsplit_once('.').map_or(args.model.as_str(), |(run, _)| run);
    let record = bench::run_named(&lab, run)?.current_record().map_err(bench::failed)?;
    let files = files(&stage, &architecture, family, &record)?;
    // Read as the network reads them: what is missing or misshaped is an error here, and never written as zeros.
    let layout = Layout::new(&architecture);
    let host = load_segments(&layout, stage.weights()).map_err(|e| failed(e.to_string()))?;
    let theirs = hugging::weights(family, &architecture, named(&layout, &host));
    let unwritable = |e: std::io::Error| Failure::Write { path: args.to.display().to_string(), cause: e.to_string() };
    std::fs::create_dir_all(&args.to).map_err(unwritable)?;
    // The weights last: a folder with weights is whole.
    for (name, text) in &files {
        disk::replace_bytes(&args.to.join(name), text.as_bytes()).map_err(bench::failed)?;
    }
    // `transformers` refuses weights that do not say which framework they are for.
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    write_weights_with(&theirs, Some(about), &args.to.join("model.safetensors")).map_err(|e| failed(e.to_string()))?;
    if screen.is_json() {
        let mut names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        names.push("model.safetensors");
        screen.document(&json!({
            "schema_version": 1,
            "to": args.to.display().to_string(),
            "family": family.model_type(),
            "parameters": architecture.parameters(),
            "files": names,
        }));
    } else {
        screen.result(&format!("{}\n", args.to.display()));
        screen.note(&format!("{} as a {} of `transformers`", stage.planned().name, family.model_type()));
    }
    Ok(Exit::Done)
}

/// Everything but the weights: name and text.
fn files(
    stage: &Stage,
    architecture: &Architecture,
    family: Family,
    record: &Record,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let failed = |message: String| Failure::Run { message, help: None };
    let tokenizer = stage.tokenizer();
    let specials = Specials { end: tokenizer.end(), pad: tokenizer.pad() };
    let token = |id: u32| tokenizer.entry(id).unwrap_or_default();
    let mut about_tokens = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": architecture.context,
        "bos_token": token(specials.end),
        "eos_token": token(specials.end),
        "pad_token": token(specials.pad),
        "clean_up_tokenization_spaces": false,
    });
    if let Some(unknown) = tokenizer.unknown() {
        about_tokens["unk_token"] = Json::String(token(unknown));
    }
    // Of the stage, or of the nearest one it comes from.
    let mut at = Some(stage.planned());
    while let Some(planned) = at {
        if let Some(template) = planned.spec.template() {
            about_tokens["chat_template"] = Json::String(template.jinja.clone());
            break;
        }
        let init = planned.spec.common().init.as_ref().map(|init| init.name.clone());
        at = init.and_then(|name| stage.plan().stages.iter().find(|s| s.name == name));
    }
    let generation = json!({
        "bos_token_id": specials.end,
        "eos_token_id": specials.end,
        "pad_token_id": specials.pad,
    });
    let text = |json: &Json| serde_json::to_string_pretty(json).map(|t| t + "\n").map_err(|e| failed(e.to_string()));
    Ok(vec![
        ("config.json", text(&hugging::config(family, architecture, specials))?),
        ("generation_config.json", text(&generation)?),
        ("tokenizer.json", tokenizer.to_json().map_err(|e| failed(e.to_string()))?),
        ("tokenizer_config.json", text(&about_tokens)?),
        ("README.md", card(stage, architecture, family, record)),
    ])
}

/// The model card.
fn card(stage: &Stage, architecture: &Architecture, family: Family, record: &Record) -> String {
    let (plan, planned) = (stage.plan(), stage.planned());
    let mut out = String::from("---\nlibrary_name: transformers\n");
    if let Some(license) = &plan.experiment.license {
        let _ = writeln!(out, "license: {}", license.to_lowercase());
    }
    let _ = writeln!(out, "---\n\n# {}.{}\n", plan.name, planned.name);
    if let Some(description) = &plan.experiment.description {
        let _ = writeln!(out, "{description}\n");
    }
    let _ = writeln!(
        out,
        "A {} of {} parameters with a context of {} tokens, the stage `{}` of run `{}` (plan `{}`).\n",
        family.model_type(),
        architecture.parameters(),
        architecture.context,
        planned.name,
        record.run,
        record.plan_hash
    );
    if let Some(trained) = record.stages.get(&planned.name) {
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
    out.push_str("Made with Emberlab; the experiment's file says the rest.\n");
    out
}
