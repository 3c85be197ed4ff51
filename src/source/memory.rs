//! A world held in memory: tests, and the buffers of an editor.

use super::path;
use super::world::{Input, World, WorldError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Source and data files by path.
#[derive(Clone, Default, Debug)]
pub struct MemoryWorld {
    files: BTreeMap<String, Arc<str>>,
}

impl MemoryWorld {
    /// A world with one file.
    pub fn with(path: &str, text: &str) -> MemoryWorld {
        let mut world = MemoryWorld::default();
        world.insert(path, text);
        world
    }

    pub fn insert(&mut self, path: &str, text: &str) {
        self.files.insert(path::normal(path), Arc::from(text));
    }
}

impl World for MemoryWorld {
    fn read(&self, path: &str) -> Result<Arc<str>, WorldError> {
        self.files.get(&path::normal(path)).cloned().ok_or(WorldError::Missing)
    }

    fn inputs(&self, base: &str, pattern: &str) -> Result<Vec<Input>, WorldError> {
        let wanted = path::join(base, pattern);
        let prefix = wanted.split('*').next().unwrap_or(&wanted);
        let suffix = wanted.rsplit('*').next().unwrap_or("");
        let glob = wanted.contains('*');
        let hit = |p: &str| if glob { p.starts_with(prefix) && p.ends_with(suffix) } else { p == wanted };
        Ok(self
            .files
            .iter()
            .filter(|(p, _)| hit(p))
            .map(|(p, text)| Input {
                path: p.clone(),
                bytes: text.len() as u64,
                digest: blake3::hash(text.as_bytes()).to_hex().to_string(),
            })
            .collect())
    }

    fn siblings(&self, folder: &str) -> Vec<String> {
        self.files.keys().filter(|p| path::folder(p) == folder && p.ends_with(".exp")).cloned().collect()
    }
}
