//! Why something could not be shared, or a bundle not be trusted.

use crate::store::StoreError;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    #[error(
        "the published weights of this experiment have {bytes} bytes, and a bundle takes {most} at most; `--no-data` leaves \
         weights and data out, and the lock in the bundle says which files they must be"
    )]
    LargeWeights { bytes: u64, most: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot read the lock `{}`: {why}; make it again with `exp lock`", path.display())]
    BadLock { path: PathBuf, why: String },
    #[error("the input `{path}` has changed since the experiment was planned; plan it again, then pack")]
    Changed { path: String },
    #[error(
        "the experiment names its data by the absolute path `{0}`, which means nothing elsewhere; write it relative to \
         the experiment, or pack with --no-data"
    )]
    AbsolutePath(String),
    #[error("`{path}` cannot go into a bundle: {why}")]
    Unpackable { path: String, why: String },
    #[error("the experiment and its files have no folder in common")]
    Scattered,
    #[error("`{}` is not a bundle, or is damaged: {why}", path.display())]
    NotABundle { path: PathBuf, why: String },
    #[error("the bundle was refused, and nothing was unpacked: `{entry}` {why}")]
    Refused { entry: String, why: String },
    #[error("`{}` exists already, and is not this bundle unpacked; choose a folder that does not exist", .0.display())]
    Occupied(PathBuf),
    #[error(
        "`{}` was unpacked from this bundle, and `{file}` has changed since; choose another folder, or remove that one",
        folder.display()
    )]
    Altered { folder: PathBuf, file: String },
}
