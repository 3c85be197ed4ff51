//! `exp logprobs`: how likely lines of text are, a JSON line for each.

use super::bench;
use super::shared::LabArgs;
use super::trained::Stage;
use super::{Exit, Failure, Screen};
use std::io::BufRead;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN` (its last stage) or `RUN.STAGE`.
    #[arg(value_name = "RUN[.STAGE]")]
    pub model: String,
    /// The device, as `exp devices` lists it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("logprobs")?;
    let lab = bench::lab_here(args.lab.lab.as_deref())?;
    let stage = Stage::find(&lab, &args.model)?;
    let device = bench::device(args.device.as_deref())?;
    let model = stage.load(&device)?;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Failure::Read { path: "<stdin>".into(), cause: e.to_string() })?;
        let (ids, logprobs) = model.likelihood(&line).map_err(|message| Failure::Run { message, help: None })?;
        let tokens: Vec<String> = ids
            .iter()
            .map(|id| model.tokenizer().decode(&[*id], false).unwrap_or_else(|_| format!("<{id}>")))
            .collect();
        screen.raw(&format!("{}\n", serde_json::json!({ "tokens": tokens, "ids": ids, "logprobs": logprobs })));
    }
    Ok(Exit::Done)
}
