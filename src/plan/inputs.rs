//! Data files: where a pattern is seen from, and what it matches.

use super::Known;
use super::items::Items;
use crate::check::CheckedItem;
use crate::diagnostics::{Code, Problem, Problems};
use crate::source::{FileId, Input, World, WorldError, path};
use std::collections::BTreeMap;

/// Fingerprints data files, each pattern once.
pub(super) struct Inputs<'a> {
    world: &'a dyn World,
    seen: BTreeMap<(String, String), Result<Vec<Input>, WorldError>>,
}

/// The files of one pattern.
pub(super) struct Found {
    /// The pattern as the world sees it.
    pub files: String,
    /// As it was written, for people.
    pub written: String,
    /// The folder that the pattern is relative to.
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
        let base = base(items, span.file);
        let found = self
            .seen
            .entry((base.clone(), pattern.to_owned()))
            .or_insert_with(|| self.world.inputs(&base, pattern))
            .clone();
        let name = &item.name;
        let inputs = match found {
            Ok(inputs) if inputs.is_empty() => {
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
        Found { files: path::join(&base, pattern), written: pattern.to_owned(), base, inputs }
    }
}

/// A path is relative to the file that says it. One given from outside (`--set`) is relative to where the program was
/// started; one that the library computes, to the experiment.
fn base(items: &Items<'_>, file: FileId) -> String {
    let sources = &items.checked.sources;
    let folder = |id| sources.get(id).map_or(String::new(), |f| path::folder(&f.path).to_owned());
    match sources.get(file) {
        Some(f) if f.path.starts_with("--") => String::new(),
        Some(f) if f.is_library() => folder(items.checked.main),
        _ => folder(file),
    }
}
