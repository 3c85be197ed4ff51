//! `exp generate`: text from a trained stage.

use super::bench;
use super::sampling::Sampling;
use super::shared::LabArgs;
use super::trained::Network;
use super::{Exit, Failure, Screen};
use crate::model::Finish;
use crate::run::Written;
use std::io::Read;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN` (its last stage; `latest` is the latest run), `RUN.STAGE`, or a folder in the layout of Hugging Face.
    #[arg(value_name = "RUN[.STAGE]|DIR")]
    pub model: String,
    /// What comes before the generated text; by default what stdin holds.
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// The longest text, in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub max_tokens: u32,
    #[command(flatten)]
    pub sampling: Sampling,
    /// Show text as it comes, also where stdout is no terminal.
    #[arg(long)]
    pub stream: bool,
    /// The device, as `exp devices` lists it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("generate")?;
    let decoding = args.sampling.decoding(args.max_tokens)?;
    if args.stream && screen.is_json() {
        let help = "leave out one of the two".to_owned();
        let message = "`--stream` shows text as it comes, and JSON is one document at the end".to_owned();
        return Err(Failure::Usage { message, help: Some(help) });
    }
    let prompt = match &args.prompt {
        Some(prompt) => prompt.clone(),
        None => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|e| Failure::Read { path: "<stdin>".into(), cause: e.to_string() })?;
            text.trim_end_matches('\n').to_owned()
        }
    };
    let network = Network::find(args.lab.lab.as_deref(), &args.model, screen)?;
    let device = bench::device(args.device.as_deref())?;
    let model = network.load(&device, screen, true)?;
    let interrupt = bench::interrupt()?;
    let streams = !screen.is_json() && (args.stream || screen.terminal().is_some());
    let mut show = |text: &str| {
        if streams && !text.is_empty() {
            screen.raw(text);
        }
        !interrupt.asked()
    };
    let written = interrupt.during(|| model.write(&prompt, &decoding, &mut show));
    let written = written.map_err(|message| Failure::Run { message, help: None })?;
    if screen.is_json() {
        screen.document(&serde_json::json!({
            "schema_version": 1, "prompt": prompt, "text": written.text, "tokens": written.tokens,
            "finish": written.finish, "prompt_cut": written.prompt_cut,
        }));
    } else if streams {
        screen.raw("\n");
    } else {
        screen.raw(&format!("{}\n", written.text));
    }
    told(&written, model.context(), screen);
    Ok(if written.finish == Finish::Interrupted { Exit::Interrupted } else { Exit::Done })
}

/// Says where the context was too short.
fn told(written: &Written, context: usize, screen: &Screen) {
    if written.prompt_cut > 0 {
        screen.note(&format!(
            "note: the prompt is longer than the model's context of {context} tokens; its first {} were left out",
            written.prompt_cut
        ));
    }
    if written.rolls > 0 {
        screen.note(&format!(
            "note: prompt and text are longer than the model's context of {context} tokens; each time it was full, the text \
             went on from its last {}",
            context / 2
        ));
    }
}
