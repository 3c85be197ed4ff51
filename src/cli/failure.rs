//! What can go wrong outside an experiment.

use super::Exit;

/// Why a command could not do its work. Problems in an experiment are not failures; they have places and codes.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("cannot go to the folder `{path}`: {cause}")]
    Folder { path: String, cause: String },
    #[error("cannot read `{path}`: {cause}")]
    Read { path: String, cause: String },
    #[error("cannot write `{path}`: {cause}")]
    Write { path: String, cause: String },
    #[error("`{path}` already exists")]
    Exists { path: String },
    #[error("there is no code `{code}`")]
    UnknownCode { code: String, similar: Vec<String> },
    #[error("nothing is called `{name}`")]
    UnknownName { name: String, similar: Vec<String> },
    #[error("`exp {verb}` has no `--format {format}`")]
    Format { verb: &'static str, format: &'static str },
    #[error("{message}")]
    Usage { message: String, help: Option<String> },
    /// The engine's own account of what failed.
    #[error("{message}")]
    Run { message: String, help: Option<String> },
}

impl Failure {
    /// A way out.
    pub fn help(&self) -> Option<String> {
        match self {
            Failure::Folder { .. } => Some("give `-C` a folder that exists".into()),
            Failure::Read { .. } | Failure::Write { .. } => None,
            Failure::Exists { .. } => Some("nothing was written; move it away, or choose another folder".into()),
            Failure::UnknownCode { similar, .. } => {
                Some(did_you_mean(similar).unwrap_or_else(|| "`exp explain` without a code lists them all".into()))
            }
            Failure::UnknownName { similar, .. } => did_you_mean(similar),
            Failure::Format { .. } => Some("use `--format human` or `--format json`".into()),
            Failure::Usage { help, .. } | Failure::Run { help, .. } => help.clone(),
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Failure::Folder { .. }
            | Failure::UnknownCode { .. }
            | Failure::UnknownName { .. }
            | Failure::Format { .. }
            | Failure::Usage { .. }
            | Failure::Exists { .. } => Exit::Usage,
            Failure::Read { .. } | Failure::Write { .. } | Failure::Run { .. } => Exit::Failed,
        }
    }

    /// A name for programs; it does not change when the sentence does.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Folder { .. } => "folder",
            Failure::Read { .. } => "read",
            Failure::Write { .. } => "write",
            Failure::Exists { .. } => "exists",
            Failure::UnknownCode { .. } => "unknown_code",
            Failure::UnknownName { .. } => "unknown_name",
            Failure::Format { .. } | Failure::Usage { .. } => "usage",
            Failure::Run { .. } => "run",
        }
    }
}

/// `did you mean …?`, if there is anything to suggest.
fn did_you_mean(similar: &[String]) -> Option<String> {
    let names: Vec<String> = similar.iter().map(|n| format!("`{n}`")).collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}
