//! `exp doc`: the reference manual, made from the library's own documentation.

mod html;
mod manual;
mod page;

use super::{Exit, Failure, Screen, markdown};
use crate::diagnostics::suggest::similar;
use manual::Manual;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A module (`std.models.llama`) or anything it defines (`decoder`, `llama.tiny`); without one, all are listed.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Write the whole manual as web pages into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    pub html: Option<PathBuf>,
    /// Print Markdown as it is; without NAME, the whole manual.
    #[arg(long, conflicts_with = "html")]
    pub markdown: bool,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("doc")?;
    let manual = Manual::of_library();
    if let Some(folder) = &args.html {
        write_html(&manual, folder, screen)?;
        return Ok(Exit::Done);
    }
    if screen.is_json() {
        let pages = match &args.name {
            Some(name) => find(&manual, name)?,
            None => manual.entries(),
        };
        let entries: Vec<_> = pages.into_iter().map(page::entry_json).collect();
        screen.document(&json!({ "schema_version": 1, "entries": entries }));
        return Ok(Exit::Done);
    }
    let text = match &args.name {
        None if args.markdown => manual.modules.iter().map(page::module).collect::<Vec<_>>().join("\n"),
        None => page::contents(&manual),
        Some(name) => match manual.modules.iter().find(|m| m.name == *name || m.name == format!("std.{name}")) {
            Some(module) => page::module(module),
            None => find(&manual, name)?.into_iter().map(page::entry).collect::<Vec<_>>().join("\n"),
        },
    };
    if args.markdown {
        screen.raw(&text);
    } else {
        screen.result(&markdown::render(&text, screen.width()));
    }
    Ok(Exit::Done)
}

/// The entries called `name`; a name may be found in several modules.
fn find<'a>(manual: &'a Manual, name: &str) -> Result<Vec<&'a manual::Entry>, Failure> {
    let in_module: Vec<_> = manual
        .modules
        .iter()
        .filter(|m| m.name == name || m.name == format!("std.{name}"))
        .flat_map(|m| &m.entries)
        .collect();
    if !in_module.is_empty() {
        return Ok(in_module);
    }
    let found: Vec<_> = manual.entries().into_iter().filter(|e| e.is_called(name)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let entries = manual.entries();
    let known = entries.iter().map(|e| e.name.as_str()).chain(manual.modules.iter().map(|m| m.name.as_str()));
    let near = similar(name.rsplit('.').next().unwrap_or(name), known);
    Err(Failure::UnknownName { name: name.to_owned(), similar: near.into_iter().map(str::to_owned).collect() })
}

#[allow(clippy::disallowed_methods, reason = "writing the manual is what was asked for")]
fn write_html(manual: &Manual, folder: &Path, screen: &Screen) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |e: std::io::Error| Failure::Write { path, cause: e.to_string() }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut written = Vec::new();
    for (name, text) in html::pages(manual) {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(failed(&path))?;
        written.push(path.display().to_string());
    }
    if screen.is_json() {
        screen.document(&json!({ "schema_version": 1, "written": written }));
    } else {
        screen.result(&written.iter().map(|path| format!("{path}\n")).collect::<String>());
    }
    Ok(())
}
