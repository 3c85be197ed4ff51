//! `exp tokenize`: text on stdin to ids on stdout, a line each, and back.

use super::bench;
use super::shared::LabArgs;
use super::trained;
use super::{Exit, Failure, Screen};
use crate::tokenizer::Tokenizer;
use std::io::BufRead;
use std::path::Path;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A `tokenizer.json`, or a run and the name of its tokenizer: `RUN.NAME`.
    #[arg(value_name = "TOKENIZER.json|RUN.NAME")]
    pub tokenizer: String,
    /// Turn ids into text.
    #[arg(long)]
    pub decode: bool,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("tokenize")?;
    let failed = |message: String| Failure::Run { message, help: None };
    let tokenizer = if args.tokenizer.ends_with(".json") {
        Tokenizer::load(Path::new(&args.tokenizer)).map_err(|e| failed(e.to_string()))?
    } else {
        let lab = bench::lab_here(args.lab.lab.as_deref())?;
        let Some((run, name)) = args.tokenizer.split_once('.') else {
            return Err(Failure::Usage {
                message: format!("`{}` is neither a `tokenizer.json` nor `RUN.NAME`", args.tokenizer),
                help: Some("name the tokenizer of a run, as in `RUN.words`".to_owned()),
            });
        };
        let plan = bench::run_named(&lab, run)?.plan().map_err(bench::failed)?;
        trained::tokenizer(&lab, &plan, name)?
    };
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|e| Failure::Read { path: "<stdin>".into(), cause: e.to_string() })?;
        if args.decode {
            let ids = line
                .split_whitespace()
                .map(|word| {
                    word.parse::<u32>().map_err(|_| failed(format!("line {}: `{word}` is no token id", number + 1)))
                })
                .collect::<Result<Vec<u32>, Failure>>()?;
            let text = tokenizer.decode(&ids, false).map_err(|e| failed(format!("line {}: {e}", number + 1)))?;
            screen.raw(&format!("{text}\n"));
        } else {
            let ids = tokenizer.encode(&line).map_err(|e| failed(format!("line {}: {e}", number + 1)))?;
            let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
            screen.raw(&format!("{}\n", ids.join(" ")));
        }
    }
    Ok(Exit::Done)
}
