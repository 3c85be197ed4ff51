//! Why the store could not do what was asked.

use super::lease::Owner;
use std::io;
use std::path::{Path, PathBuf};

/// A cause, with its place and a way out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {doing} `{}`: {}", path.display(), explain(source))]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "the lab `{}` has layout {found}, and this version reads up to {known}; use the version that wrote it or another \
         lab (--lab DIR)", path.display()
    )]
    NewerLab { path: PathBuf, found: u32, known: u32 },
    #[error("{what} is in use by {owner}; wait for it to end, or stop it")]
    Busy { what: String, owner: Owner },
    #[error("stopped while waiting for {what}, which {owner} is making")]
    GaveUp { what: String, owner: Owner },
    #[error("`{}` cannot be understood: {why}", path.display())]
    Malformed { path: PathBuf, why: String },
    #[error("`{0}` is not a content hash in lower-case hex")]
    BadHash(String),
    #[error("{what} is damaged: {why}")]
    Damaged { what: String, why: String },
    #[error("no run is called `{wanted}`{}", near_names(near))]
    NoRun { wanted: String, near: Vec<String> },
    #[error("`{wanted}` could be any of {}; write more of the name", matches.join(", "))]
    AmbiguousRun { wanted: String, matches: Vec<String> },
    #[error("the experiment cannot run yet: {0}")]
    Unplanned(String),
    #[error("the index `{}` does not work: {why}; it is a cache and can be deleted", path.display())]
    Index { path: PathBuf, why: String },
}

impl StoreError {
    /// For `map_err`: what was being done, and to which path.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { doing, path, source }
    }

    pub(crate) fn malformed(path: &Path, why: impl std::fmt::Display) -> StoreError {
        StoreError::Malformed { path: path.to_owned(), why: why.to_string() }
    }
}

/// The system's message, with what the user can do where that is known.
pub(crate) fn explain(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space or choose another lab with --lab DIR; what was stored before is intact"
        }
        io::ErrorKind::PermissionDenied => "check who may write there, or choose another lab with --lab DIR",
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only; choose another lab with --lab DIR",
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}

fn near_names(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::StoreError;
    use std::io;
    use std::path::Path;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = StoreError::io("write", Path::new("lab/x"))(io::Error::from(io::ErrorKind::StorageFull));
        let text = error.to_string();
        assert!(text.starts_with("cannot write `lab/x`: "), "{text}");
        assert!(text.contains("free some space") && text.contains("intact"), "{text}");
    }
}
