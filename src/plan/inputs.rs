//! Data files: what a pattern matches.

use super::Known;
use super::items::Items;
use crate::check::CheckedItem;
use crate::diagnostics::{Code, Problem, Problems, suggest};
use crate::source::{Input, Span, World, WorldError, path};
use std::collections::BTreeMap;

/// A pattern that matches just this path.
fn literal(path: &str) -> String {
    path.chars().fold(String::new(), |mut pattern, c| {
        match c {
            '[' | ']' | '*' | '?' => pattern.extend(['[', c, ']']),
            c => pattern.push(c),
        }
        pattern
    })
}

/// Fingerprints data files, each pattern once.
pub(super) struct Inputs<'a> {
    world: &'a dyn World,
    seen: BTreeMap<String, Result<Vec<Input>, WorldError>>,
}

/// The files of one pattern.
pub(super) struct Found {
    /// The pattern as the world sees it; the checker has resolved it against the file that says it.
    pub files: String,
    /// The folder of that file, from which its contents are named to people.
    pub base: String,
    pub inputs: Known<Vec<Input>>,
}

impl<'a> Inputs<'a> {
    pub fn new(world: &'a dyn World) -> Inputs<'a> {
        Inputs { world, seen: BTreeMap::new() }
    }

    /// The files that `pattern`, written at the leaf `leaf` of `item`, names. A malformed pattern is reported.
    pub fn find(
        &mut self,
        items: &Items<'_>,
        item: &CheckedItem,
        leaf: &str,
        pattern: &str,
        problems: &mut Problems,
    ) -> Found {
        let span = item.span_of(leaf);
        let found = self.seen.entry(pattern.to_owned()).or_insert_with(|| self.world.inputs("", pattern)).clone();
        let name = &item.name;
        let inputs = match found {
            Ok(inputs) if inputs.is_empty() => {
                if self.world.looks_for_data() {
                    problems.push(self.missing(pattern, span));
                }
                Known::Unknown(format!("no file matches `{pattern}`, which `{name}` reads"))
            }
            Ok(inputs) => Known::Value(inputs),
            Err(error @ WorldError::BadPattern(..)) => {
                let help =
                    "`*` stands for any part of a name, `**` for any folders, `?` for one character, `[ab]` for either";
                problems.push(Problem::new(Code::E0408, span, error.to_string()).help(help));
                Known::Unknown(error.to_string())
            }
            Err(error) => Known::Unknown(format!("`{pattern}`, which `{name}` reads, cannot be read: {error}")),
        };
        let base = items.checked.sources.get(span.file).map_or("", |f| path::folder(&f.path)).to_owned();
        Found { files: pattern.to_owned(), base, inputs }
    }

    /// The files at these paths below `folder`, which `item` names; one that is not there is a reason and no problem.
    pub fn exact(&mut self, items: &Items<'_>, item: &CheckedItem, folder: &str, paths: &[String]) -> Found {
        let mut all: Vec<Input> = Vec::new();
        let mut reason = None;
        for path in paths {
            let pattern = literal(path);
            let found = self.seen.entry(pattern.clone()).or_insert_with(|| self.world.inputs("", &pattern)).clone();
            match found {
                Ok(inputs) if inputs.is_empty() => {
                    reason.get_or_insert_with(|| {
                        format!("`{path}`, which `{}` reads, has not been looked at", item.name)
                    });
                }
                Ok(inputs) => all.extend(inputs),
                Err(error) => {
                    let name = &item.name;
                    reason.get_or_insert_with(|| format!("`{path}`, which `{name}` reads, cannot be read: {error}"));
                }
            }
        }
        let place = item.span_of("folder");
        let base = items.checked.sources.get(place.file).map_or("", |f| path::folder(&f.path)).to_owned();
        Found { files: folder.to_owned(), base, inputs: reason.map_or(Known::Value(all), Known::Unknown) }
    }

    fn missing(&self, pattern: &str, span: Span) -> Problem {
        let files = self.world.neighbours(pattern);
        let near = suggest::similar(path::name(pattern), files.iter().map(|n| path::name(n)));
        let problem = Problem::new(Code::W1011, span, format!("no file matches `{pattern}`"))
            .label("there is nothing to read here");
        match near.first() {
            Some(near) => problem.help(format!("did you mean `{}`?", path::join(path::folder(pattern), near))),
            None if pattern.contains('~') => problem.help(
                "`~` is not the home folder here: write the path from the folder of the file, or from the root of the disk",
            ),
            None => problem.help("paths in a file are relative to its folder, those of `--set` to where you are"),
        }
    }
}
