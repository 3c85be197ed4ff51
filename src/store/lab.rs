//! The folder in which experiments leave their results.

use super::disk;
use super::error::StoreError;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The layout this version writes; a lab with a larger one is refused.
const LAYOUT: u32 = 1;

/// Name of the folder beside an experiment.
pub const FOLDER: &str = ".emberlab";

/// A lab on disk. Several threads and processes may use one at once.
#[derive(Debug)]
pub struct Lab {
    root: PathBuf,
    notices: Mutex<Vec<Notice>>,
}

/// Something the store did that its user should know of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice(pub String);

#[derive(Serialize, Deserialize)]
struct Layout {
    layout: u32,
}

impl Lab {
    /// Where the lab of an experiment is: the folder given, else the one the environment names, else `.emberlab` beside
    /// the experiment's file.
    pub fn place(experiment: &Path, given: Option<&Path>, home: Option<&Path>) -> PathBuf {
        match (given, home) {
            (Some(folder), _) => folder.to_owned(),
            (None, Some(folder)) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => experiment.parent().unwrap_or(Path::new("")).join(FOLDER),
        }
    }

    /// Opens the lab at `root`, making it where there is none.
    ///
    /// # Errors
    /// When it cannot be made, or a newer version wrote it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Lab, StoreError> {
        let root = root.into();
        let layout = root.join("lab.json");
        match disk::read_json::<Layout>(&layout) {
            Ok(found) if found.layout > LAYOUT => {
                return Err(StoreError::NewerLab { path: root, found: found.layout, known: LAYOUT });
            }
            Ok(_) => {}
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                disk::make_folder(&root)?;
                // Results are large and made again from the experiment, so they do not belong under version control.
                let ignore = root.join(".gitignore");
                if !ignore.exists() {
                    disk::replace_bytes(&ignore, b"*\n")?;
                }
                disk::replace_json(&layout, &Layout { layout: LAYOUT })?;
            }
            Err(other) => return Err(other),
        }
        Ok(Lab { root, notices: Mutex::default() })
    }

    /// Opens the lab at `root` only if there is one.
    ///
    /// # Errors
    /// As [`Lab::open`].
    pub fn existing(root: &Path) -> Result<Option<Lab>, StoreError> {
        if root.join("lab.json").is_file() { Lab::open(root).map(Some) } else { Ok(None) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder for one purpose directly under the lab, such as `runs`; it may not exist yet.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The notices since the last call.
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn notice(&self, text: String) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(Notice(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_lies_beside_its_experiment_unless_said_otherwise() {
        let file = Path::new("a/b.exp");
        assert_eq!(Lab::place(file, None, None), Path::new("a/.emberlab"));
        assert_eq!(Lab::place(file, None, Some(Path::new("/lab"))), Path::new("/lab"));
        assert_eq!(Lab::place(file, Some(Path::new("x")), Some(Path::new("/lab"))), Path::new("x"));
    }

    #[test]
    fn a_lab_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Lab::open(folder.path()).unwrap();
        assert!(Lab::existing(folder.path()).unwrap().is_some());
        std::fs::write(folder.path().join("lab.json"), r#"{"layout": 99}"#).unwrap();
        let error = Lab::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("layout 99") && error.contains("--lab DIR"), "{error}");
    }
}
