//! The one door to the outside.

use std::sync::Arc;

/// Why something outside could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WorldError {
    #[error("there is no such file")]
    Missing,
    #[error("it is a folder, not a file")]
    Folder,
    #[error("it is a pipe or a device, not a file")]
    Special,
    #[error("it is not UTF-8 text (first bad byte at offset {0})")]
    NotText(usize),
    #[error("it is larger than the limit of {0} MiB")]
    TooLarge(u64),
    #[error("`{0}` is not a valid file pattern: {1}")]
    BadPattern(String, String),
    #[error("{0}")]
    Other(String),
}

/// A data file that an experiment reads.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Input {
    /// Path with `/`, as the world finds it again.
    pub path: String,
    pub bytes: u64,
    /// blake3 of the contents, in hex.
    pub digest: String,
}

/// Everything the language may ask of the outside: its source files, and the identity of the data they name.
///
/// Paths use `/` and are relative to wherever the world is rooted, or absolute.
pub trait World {
    /// The text of a source file.
    ///
    /// # Errors
    /// When the file is missing, a folder, too large or not UTF-8.
    fn read(&self, path: &str) -> Result<Arc<str>, WorldError>;

    /// The data files that `pattern` (a path or a glob) names, relative to the folder `base`, sorted by path.
    ///
    /// # Errors
    /// When the pattern is malformed or a file cannot be read. No match is `Ok` and empty.
    fn inputs(&self, base: &str, pattern: &str) -> Result<Vec<Input>, WorldError>;

    /// The first `length` bytes of a file (all of them if it is shorter), and how many it has.
    ///
    /// # Errors
    /// When the file is missing, a folder, or cannot be read.
    fn start(&self, path: &str, length: usize) -> Result<(Vec<u8>, u64), WorldError> {
        let text = self.read(path)?;
        Ok((text.bytes().take(length).collect(), text.len() as u64))
    }

    /// Whether [`World::inputs`] looks; where it does not, finding nothing means nothing.
    fn looks_for_data(&self) -> bool {
        true
    }

    /// Names of the data files beside the one that `path` names, for suggestions. A world that cannot list gives none.
    fn neighbours(&self, path: &str) -> Vec<String> {
        let _ = path;
        Vec::new()
    }

    /// Names of the `.exp` files in `folder`, for suggestions. A world that cannot list gives none.
    fn siblings(&self, folder: &str) -> Vec<String> {
        let _ = folder;
        Vec::new()
    }
}
