//! `exp logprobs`: how likely lines of text are, a JSON line for each.

use super::bench;
use super::shared::LabArgs;
use super::trained::Network;
use super::{Exit, Failure, Screen};
use std::io::BufRead;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN` (its last stage; `latest` is the latest run), `RUN.STAGE`, or a folder in the layout of Hugging Face.
    #[arg(value_name = "RUN[.STAGE]|DIR")]
    pub model: String,
    /// The device, as `exp devices` lists it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("logprobs")?;
    let network = Network::find(args.lab.lab.as_deref(), &args.model, screen)?;
    let device = bench::device(args.device.as_deref())?;
    let model = network.load(&device, screen, false)?;
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|e| Failure::Read { path: "<stdin>".into(), cause: e.to_string() })?;
        let (ids, logprobs) = model.likelihood(&line).map_err(|message| Failure::Run { message, help: None })?;
        if ids.len() > model.context() {
            screen.note(&format!(
                "note: line {} has {} tokens, more than the model's context of {}: it is scored window by window, each \
                 window seeing no more than that",
                number + 1,
                ids.len(),
                model.context()
            ));
        }
        let tokens: Vec<String> = ids
            .iter()
            .map(|id| model.tokenizer().decode(&[*id], false).unwrap_or_else(|_| format!("<{id}>")))
            .collect();
        screen.raw(&format!("{}\n", serde_json::json!({ "tokens": tokens, "ids": ids, "logprobs": logprobs })));
    }
    Ok(Exit::Done)
}
