//! `exp generate`: text from a trained stage.

use super::bench;
use super::shared::LabArgs;
use super::trained::Network;
use super::{Exit, Failure, Screen};
use crate::plan::spec::Decoding;
use crate::run::Written;
use std::io::Read;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN` (its last stage), `RUN.STAGE`, or a folder in the layout of Hugging Face.
    #[arg(value_name = "RUN[.STAGE]|DIR")]
    pub model: String,
    /// What comes before the generated text; by default what stdin holds.
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// The longest text, in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub max_tokens: u32,
    /// 0 always takes the likeliest token.
    #[arg(long, value_name = "T", default_value_t = 0.8, allow_negative_numbers = true)]
    pub temperature: f64,
    /// Only the so many likeliest tokens; 0 is all of them.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub top_k: u32,
    /// Only the likeliest tokens that hold this share, from 0 (the likeliest one) to 1 (all).
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    pub top_p: f64,
    /// Root of the random choices.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// The device, as `exp devices` lists it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("generate")?;
    check(args)?;
    let prompt = match &args.prompt {
        Some(prompt) => prompt.clone(),
        None => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|e| Failure::Read { path: "<stdin>".into(), cause: e.to_string() })?;
            text.trim_end_matches('\n').to_owned()
        }
    };
    let network = Network::find(args.lab.lab.as_deref(), &args.model)?;
    let device = bench::device(args.device.as_deref())?;
    let model = network.load(&device)?;
    let decoding = Decoding {
        max_tokens: i64::from(args.max_tokens),
        temperature: args.temperature,
        top_k: (args.top_k > 0).then_some(i64::from(args.top_k)),
        top_p: args.top_p,
        seed: i64::from_ne_bytes(args.seed.to_ne_bytes()),
    };
    let failed = |message: String| Failure::Run { message, help: None };
    let rendered = model.render(&prompt).map_err(failed)?;
    let written = model.write(&rendered, &decoding).map_err(failed)?;
    if screen.is_json() {
        screen.document(&serde_json::json!({
            "schema_version": 1, "prompt": prompt, "text": written.text, "prompt_cut": written.prompt_cut,
        }));
    } else {
        screen.raw(&format!("{}\n", written.text));
    }
    told(&written, model.context(), screen);
    Ok(Exit::Done)
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

fn check(args: &Args) -> Result<(), Failure> {
    let refuse = |message: String, help: &str| Err(Failure::Usage { message, help: Some(help.to_owned()) });
    if !(args.temperature >= 0.0 && args.temperature.is_finite()) {
        let message = format!("`--temperature` is 0 or more, and not {}", args.temperature);
        return refuse(message, "0 always takes the likeliest token, 1 draws as the model says");
    }
    if !(0.0..=1.0).contains(&args.top_p) {
        let message = format!("`--top-p` lies between 0 and 1, and {} does not", args.top_p);
        return refuse(message, "1 keeps every token, 0.95 leaves out the unlikeliest");
    }
    Ok(())
}
