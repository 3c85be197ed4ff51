//! The files that a command line names.
#![allow(clippy::disallowed_methods, reason = "finding and rewriting source files is what these verbs are for")]

use super::Failure;
use crate::source::disk::DiskWorld;
use crate::source::{Input, World, WorldError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// How text on stdin is named in messages.
pub const STDIN: &str = "<stdin>";

/// The text on stdin, or why it cannot be read. A stream has no second reading.
static TEXT: OnceLock<Result<Arc<str>, String>> = OnceLock::new();

/// The disk as seen from the working folder, with stdin as one more file if it is asked for.
#[derive(Debug)]
pub struct Files {
    disk: DiskWorld,
    stdin: Option<Arc<str>>,
}

impl Files {
    /// The world that the named files live in. `-` among them is the text on stdin, which is read to its end once, however
    /// many worlds are made.
    ///
    /// # Errors
    /// When stdin cannot be read or is not UTF-8.
    pub fn new(names: &[PathBuf]) -> Result<Files, Failure> {
        let mut files = Files { disk: DiskWorld::new(""), stdin: None };
        if names.iter().any(|n| n.as_os_str() == "-") {
            let text = TEXT.get_or_init(|| {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).map_err(|e| e.to_string())?;
                Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).into())
            });
            let failed = |cause| Failure::Read { path: STDIN.into(), cause };
            files.stdin = Some(text.clone().map_err(failed)?);
        }
        Ok(files)
    }
}

impl World for Files {
    fn read(&self, path: &str) -> Result<Arc<str>, WorldError> {
        match &self.stdin {
            Some(text) if path == STDIN => Ok(text.clone()),
            _ => self.disk.read(path),
        }
    }

    fn start(&self, path: &str, length: usize) -> Result<(Vec<u8>, u64), WorldError> {
        self.disk.start(path, length)
    }

    fn inputs(&self, base: &str, pattern: &str) -> Result<Vec<Input>, WorldError> {
        self.disk.inputs(base, pattern)
    }

    fn neighbours(&self, path: &str) -> Vec<String> {
        self.disk.neighbours(path)
    }

    fn siblings(&self, folder: &str) -> Vec<String> {
        self.disk.siblings(folder)
    }
}

/// The files that `names` mean: a folder means every `.exp` file below it, in order; `-` is stdin. Names of files that do not
/// exist stay, so that whoever reads them says so.
///
/// # Errors
/// When a folder cannot be listed or holds no experiment.
pub fn expand(names: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            found.push(STDIN.to_owned());
        } else if name.is_dir() {
            let before = found.len();
            list(name, &mut found)?;
            if found.len() == before {
                return Err(Failure::Usage {
                    message: format!("there is no `.exp` file below `{}`", name.display()),
                    help: None,
                });
            }
        } else {
            found.push(shown(name));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

/// The one file that `name` means; `-` is stdin.
pub fn single(name: &Path) -> String {
    if name.as_os_str() == "-" { STDIN.to_owned() } else { shown(name) }
}

/// Adds the `.exp` files below `folder`. Folders whose names begin with a dot, and `target`, hold nothing of the user's.
fn list(folder: &Path, found: &mut Vec<String>) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Read { path: folder.display().to_string(), cause: e.to_string() };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    for path in entries {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // A link to a folder could lead back here.
        if path.is_dir() && !path.is_symlink() {
            if !name.starts_with('.') && name != "target" {
                list(&path, found)?;
            }
        } else if name.ends_with(".exp") {
            found.push(shown(&path));
        }
    }
    Ok(())
}

/// A path as the language writes it.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    text.strip_prefix("./").map_or_else(|| text.clone(), str::to_owned)
}

/// Replaces the contents of a file in one step: whoever reads it sees the old text or the new one.
///
/// # Errors
/// When the folder cannot be written to; the file is then as it was.
pub fn replace(path: &str, text: &str) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Write { path: path.to_owned(), cause: e.to_string() };
    // A link stays a link; what it leads to is replaced.
    let target = std::fs::canonicalize(path).map_err(failed)?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = target.with_file_name(name);
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.set_permissions(std::fs::metadata(&target)?.permissions())?;
        file.sync_all()?;
        std::fs::rename(&temporary, &target)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(failed)
}
