//! `exp doc`: the reference manual, made from the library's own documentation.

mod html;
mod keywords;
mod manual;
mod page;

use super::{Exit, Failure, Screen, markdown};
use manual::{Entry, Found, Manual};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A module (`std.models.llama`, `tales`) or anything it defines (`decoder`, `llama.tiny`); without one, all are listed.
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
    let (text, entries) = match &args.name {
        None if args.markdown => {
            (manual.modules.iter().map(page::module).collect::<Vec<_>>().join("\n"), manual.entries())
        }
        None => (page::contents(&manual), manual.entries()),
        Some(name) => match manual.find(name) {
            Some(Found::Module(module)) => (page::module(module), module.entries.iter().collect()),
            Some(Found::Entries(entries)) => {
                let mut text = entries.iter().map(|entry| page::entry(entry)).collect::<Vec<_>>().join("\n");
                for module in manual.modules_called(name) {
                    text.push_str(&format!("\nThere is a module of that name too: `exp doc {}`.\n", module.name));
                }
                (text, entries)
            }
            None => match (keywords::find(name), fields(&manual, name)) {
                (Some((name, docs)), _) => {
                    return Ok(show(args, screen, &keywords::page(name, docs), || {
                        vec![json!({ "name": name, "module": null, "kind": "keyword", "signature": name, "docs": docs,
                        "fields": [], "checks": [], "base": null, "inherited": [], "variants": [] })]
                    }));
                }
                (None, Some(found)) => found,
                (None, None) => {
                    return Err(Failure::UnknownName { name: name.clone(), similar: manual.near(name) });
                }
            },
        },
    };
    Ok(show(args, screen, &text, || entries.into_iter().map(page::entry_json).collect()))
}

/// Shows a page as it was asked for.
fn show(args: &Args, screen: &Screen, text: &str, entries: impl FnOnce() -> Vec<Value>) -> Exit {
    if screen.is_json() {
        screen.document(&json!({ "schema_version": 1, "entries": entries() }));
    } else if args.markdown {
        screen.raw(text);
    } else {
        screen.result(&markdown::render(text, screen.width()));
    }
    Exit::Done
}

/// The page of a field, by its own name or by one that other tools have for it, and the schemas that have it.
fn fields<'a>(manual: &'a Manual, name: &str) -> Option<(String, Vec<&'a Entry>)> {
    let own = manual.fields_called(name);
    let (called, foreign, found) = if own.is_empty() {
        let (called, found) = crate::check::fields_known_as(name).into_iter().find_map(|ours| {
            let found = manual.fields_called(ours);
            (!found.is_empty()).then_some((ours, found))
        })?;
        (called, Some(name), found)
    } else {
        (name, None, own)
    };
    let text = page::fields(called, foreign, &found);
    Some((text, found.into_iter().map(|(entry, _)| entry).collect()))
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
