//! `exp doc`: the reference manual, made from the library's own documentation.

mod html;
mod keywords;
mod manual;
mod page;

use super::{Exit, Failure, Screen, markdown};
use manual::{Found, Manual};
use serde_json::json;
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
    if let Some((name, docs)) = args.name.as_deref().filter(|n| manual.find(n).is_none()).and_then(keywords::find) {
        if screen.is_json() {
            let entry = json!({ "name": name, "module": null, "kind": "keyword", "signature": name, "docs": docs,
                "fields": [], "checks": [], "base": null, "inherited": [], "variants": [] });
            screen.document(&json!({ "schema_version": 1, "entries": [entry] }));
        } else if args.markdown {
            screen.raw(&keywords::page(name, docs));
        } else {
            screen.result(&markdown::render(&keywords::page(name, docs), screen.width()));
        }
        return Ok(Exit::Done);
    }
    if let Some((text, json)) =
        args.name.as_deref().filter(|n| manual.find(n).is_none()).and_then(|n| fields(&manual, n))
    {
        if screen.is_json() {
            screen.document(&json!({ "schema_version": 1, "entries": json }));
        } else if args.markdown {
            screen.raw(&text);
        } else {
            screen.result(&markdown::render(&text, screen.width()));
        }
        return Ok(Exit::Done);
    }
    if screen.is_json() {
        let pages = match &args.name {
            Some(name) => match find(&manual, name)? {
                Found::Module(module) => module.entries.iter().collect(),
                Found::Entries(entries) => entries,
            },
            None => manual.entries(),
        };
        let entries: Vec<_> = pages.into_iter().map(page::entry_json).collect();
        screen.document(&json!({ "schema_version": 1, "entries": entries }));
        return Ok(Exit::Done);
    }
    let text = match &args.name {
        None if args.markdown => manual.modules.iter().map(page::module).collect::<Vec<_>>().join("\n"),
        None => page::contents(&manual),
        Some(name) => match find(&manual, name)? {
            Found::Module(module) => page::module(module),
            Found::Entries(entries) => {
                let mut text = entries.into_iter().map(page::entry).collect::<Vec<_>>().join("\n");
                for module in manual.modules_called(name) {
                    text.push_str(&format!("\nThere is a module of that name too: `exp doc {}`.\n", module.name));
                }
                text
            }
        },
    };
    if args.markdown {
        screen.raw(&text);
    } else {
        screen.result(&markdown::render(&text, screen.width()));
    }
    Ok(Exit::Done)
}

/// The page of a field, by its own name or by one that other tools have for it, and the schemas that have it.
fn fields(manual: &Manual, name: &str) -> Option<(String, Vec<serde_json::Value>)> {
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
    let schemas = found.iter().map(|(entry, _)| page::entry_json(entry)).collect();
    Some((page::fields(called, foreign, &found), schemas))
}

/// What is called `name`.
fn find<'a>(manual: &'a Manual, name: &str) -> Result<Found<'a>, Failure> {
    manual.find(name).ok_or_else(|| Failure::UnknownName { name: name.to_owned(), similar: manual.near(name) })
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
