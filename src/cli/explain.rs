//! `exp explain`: the catalogue of problems.

use super::{Exit, Failure, Screen, markdown};
use crate::diagnostics::suggest::similar;
use crate::diagnostics::{Code, Severity};
use serde_json::{Value, json};
use std::fmt::Write;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A code such as E0402; without one, all are listed.
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("explain")?;
    match &args.code {
        None => list(screen),
        Some(name) => one(find(name)?, screen),
    }
    Ok(Exit::Done)
}

fn find(name: &str) -> Result<Code, Failure> {
    // `error[E0402]` and `402` are what people paste.
    let digits = name.trim().trim_start_matches("error[").trim_start_matches("warning[").trim_end_matches(']');
    let padded = format!("E{:0>4}", digits.trim_start_matches(['E', 'e']));
    Code::parse(digits).or_else(|| Code::parse(&padded)).ok_or_else(|| {
        let near = similar(&name.to_uppercase(), Code::ALL.iter().map(|c| c.name()));
        Failure::UnknownCode { code: name.to_owned(), similar: near.into_iter().map(str::to_owned).collect() }
    })
}

fn one(code: Code, screen: &Screen) {
    if screen.is_json() {
        let mut object = summary(code);
        object["schema_version"] = 1.into();
        object["explanation"] = code.explanation().into();
        screen.document(&object);
    } else {
        let titled = code.explanation().replacen("# ", &format!("# {code}: "), 1);
        screen.result(&markdown::render(&titled, screen.width()));
    }
}

fn list(screen: &Screen) {
    if screen.is_json() {
        let codes: Vec<Value> = Code::ALL.iter().map(|c| summary(*c)).collect();
        screen.document(&json!({ "schema_version": 1, "codes": codes }));
        return;
    }
    let mut out = String::new();
    for code in Code::ALL {
        let _ = writeln!(out, "{code}  {}", code.title());
    }
    screen.result(&out);
    screen.note("`exp explain CODE` says more");
}

fn summary(code: Code) -> Value {
    let severity = match code.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Pedantic => "pedantic",
    };
    json!({ "code": code.name(), "severity": severity, "title": code.title() })
}
