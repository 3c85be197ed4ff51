//! `exp generate`: text from a trained stage.

use super::bench;
use super::shared::LabArgs;
use super::trained::Stage;
use super::{Exit, Failure, Screen};
use crate::plan::spec::Decoding;
use std::io::Read;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN` (its last stage) or `RUN.STAGE`.
    #[arg(value_name = "RUN[.STAGE]")]
    pub model: String,
    /// What comes before the generated text; by default what stdin holds.
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// The longest text, in tokens.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub max_tokens: u32,
    /// 0 always takes the likeliest token.
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    pub temperature: f64,
    /// Only the so many likeliest tokens.
    #[arg(long, value_name = "N")]
    pub top_k: Option<u32>,
    /// Only the likeliest tokens that hold this share, from 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
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
    let prompt = match &args.prompt {
        Some(prompt) => prompt.clone(),
        None => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|e| Failure::Read { path: "<stdin>".into(), cause: e.to_string() })?;
            text.trim_end_matches('\n').to_owned()
        }
    };
    if !(0.0..=1.0).contains(&args.top_p) || args.temperature < 0.0 || !args.temperature.is_finite() {
        return Err(Failure::Usage {
            message: "`--top-p` lies between 0 and 1, and `--temperature` is 0 or more".to_owned(),
            help: None,
        });
    }
    let lab = bench::lab_here(args.lab.lab.as_deref())?;
    let stage = Stage::find(&lab, &args.model)?;
    let device = bench::device(args.device.as_deref())?;
    let model = stage.load(&device)?;
    let decoding = Decoding {
        max_tokens: i64::from(args.max_tokens),
        temperature: args.temperature,
        top_k: args.top_k.map(i64::from),
        top_p: args.top_p,
        seed: i64::try_from(args.seed).unwrap_or(i64::MAX),
    };
    let failed = |message: String| Failure::Run { message, help: None };
    let rendered = model.render(&prompt).map_err(failed)?;
    let texts = model.continuations(&[rendered], &decoding).map_err(failed)?;
    let text = texts.first().map_or("", |t| t.as_str());
    if screen.is_json() {
        screen.document(&serde_json::json!({ "schema_version": 1, "prompt": prompt, "text": text }));
    } else {
        screen.raw(&format!("{text}\n"));
    }
    Ok(Exit::Done)
}
