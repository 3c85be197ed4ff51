//! The world on disk. The only place of the language that touches a file system.
#![allow(clippy::disallowed_methods, reason = "this is the door that the rest of the language must use")]

use super::path;
use super::world::{Input, World, WorldError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest source file that is read, in MiB.
const LARGEST_SOURCE: u64 = 64;

/// Files of this machine; relative paths are seen from `root`.
#[derive(Clone, Debug)]
pub struct DiskWorld {
    root: PathBuf,
}

impl DiskWorld {
    /// A world seen from `root`; an empty root is the current directory.
    pub fn new(root: impl Into<PathBuf>) -> DiskWorld {
        DiskWorld { root: root.into() }
    }

    fn at(&self, path: &str) -> PathBuf {
        if self.root.as_os_str().is_empty() { PathBuf::from(path) } else { self.root.join(path) }
    }
}

impl World for DiskWorld {
    fn read(&self, path: &str) -> Result<Arc<str>, WorldError> {
        let place = self.at(path);
        let meta = std::fs::metadata(&place).map_err(|e| linked(&place, cause(&e)))?;
        regular(&meta)?;
        if meta.len() > LARGEST_SOURCE << 20 {
            return Err(WorldError::TooLarge(LARGEST_SOURCE));
        }
        let bytes = std::fs::read(&place).map_err(|e| cause(&e))?;
        let text = String::from_utf8(bytes).map_err(|e| WorldError::NotText(e.utf8_error().valid_up_to()))?;
        // A byte-order mark is how some editors say "UTF-8"; it is not part of the text.
        Ok(Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text)))
    }

    fn start(&self, path: &str, length: usize) -> Result<(Vec<u8>, u64), WorldError> {
        let place = self.at(path);
        let meta = std::fs::metadata(&place).map_err(|e| linked(&place, cause(&e)))?;
        regular(&meta)?;
        let mut bytes = Vec::new();
        // No more is reserved than the file has, whatever its contents say of their length.
        let file = std::fs::File::open(&place).map_err(|e| cause(&e))?;
        file.take(length as u64).read_to_end(&mut bytes).map_err(|e| cause(&e))?;
        Ok((bytes, meta.len()))
    }

    fn inputs(&self, base: &str, pattern: &str) -> Result<Vec<Input>, WorldError> {
        let wanted = self.at(&path::join(base, pattern));
        let wanted = wanted.to_string_lossy().into_owned();
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
        let found = glob::glob_with(&wanted, options)
            .map_err(|e| WorldError::BadPattern(pattern.to_owned(), e.msg.to_owned()))?;
        let mut inputs = Vec::new();
        for entry in found {
            let place = entry.map_err(|e| cause(e.error()))?;
            if place.is_file() {
                inputs.push(fingerprint(&place)?);
            }
        }
        inputs.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(inputs)
    }

    fn neighbours(&self, path: &str) -> Vec<String> {
        let folder = path::folder(path);
        let place = if folder.is_empty() { self.at(".") } else { self.at(folder) };
        let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
        let files = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| !t.is_dir()));
        let mut names: Vec<String> =
            files.filter_map(|e| e.file_name().into_string().ok()).map(|n| path::join(folder, &n)).collect();
        names.sort();
        names
    }

    fn siblings(&self, folder: &str) -> Vec<String> {
        let place = if folder.is_empty() { self.at(".") } else { self.at(folder) };
        let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .filter(|n| n.ends_with(".exp"))
            .map(|n| path::join(folder, &n))
            .collect();
        names.sort();
        names
    }
}

/// What is missing at the end of a link is no missing file: the link is what has to be mended.
fn linked(place: &Path, error: WorldError) -> WorldError {
    match std::fs::read_link(place) {
        Ok(target) if error == WorldError::Missing => {
            WorldError::Other(format!("it is a link to `{}`, where there is nothing", target.display()))
        }
        _ => error,
    }
}

/// Refuses folders, and what may never end or never begin: a pipe that nobody writes to waits for ever.
fn regular(meta: &std::fs::Metadata) -> Result<(), WorldError> {
    match (meta.is_dir(), meta.is_file()) {
        (true, _) => Err(WorldError::Folder),
        (_, true) => Ok(()),
        _ => Err(WorldError::Special),
    }
}

/// Size and blake3 of one file, read as a stream.
fn fingerprint(place: &Path) -> Result<Input, WorldError> {
    let file = std::fs::File::open(place).map_err(|e| cause(&e))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&file).map_err(|e| cause(&e))?;
    Ok(Input {
        path: place.to_string_lossy().replace('\\', "/"),
        bytes: hasher.count(),
        digest: hasher.finalize().to_hex().to_string(),
    })
}

fn cause(error: &std::io::Error) -> WorldError {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => WorldError::Missing,
        std::io::ErrorKind::IsADirectory => WorldError::Folder,
        _ => WorldError::Other(error.to_string()),
    }
}
