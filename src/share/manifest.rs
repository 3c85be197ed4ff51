//! `manifest.json`, the first entry of a bundle: what follows, with the size and hash of each file.

use serde::{Deserialize, Serialize};

/// Version of bundles.
pub const BUNDLE_SCHEMA: u32 = 1;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleManifest {
    pub schema_version: u32,
    pub experiment: String,
    /// Version of the program that packed it.
    pub program: String,
    /// Path of the main file in the bundle.
    pub main: String,
    pub plan_hash: String,
    /// What was given with `--set`: paths and values as the language writes them.
    pub overrides: Vec<(String, String)>,
    /// Whether the data lies in the bundle, or only its hashes in the lock.
    pub data: bool,
    /// The run whose record it holds.
    pub run: Option<String>,
    /// Every other file, sorted by path.
    pub files: Vec<BundleFile>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// Relative, with `/`.
    pub path: String,
    pub bytes: u64,
    /// In hex.
    pub blake3: String,
}

impl BundleManifest {
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|f| f.path == path)
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, f| sum.saturating_add(f.bytes))
    }
}
