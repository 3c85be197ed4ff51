//! What a sweep has done so far: `sweeps/ID/points.jsonl`, only ever appended to; the last line about a point counts.

use super::points::Point;
use super::prepare::Prepared;
use crate::store::{Attempt, Lab, Lease, StoreError, disk};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The state of one sweep. Only one process holds it.
#[derive(Debug)]
pub struct State {
    pub folder: PathBuf,
    entries: IndexMap<String, Entry>,
    file: File,
    _lease: Lease,
}

/// What became of a point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub values: IndexMap<String, String>,
    pub status: PointStatus,
    pub objective: Option<f64>,
    /// Of computing, without what was reused.
    pub seconds: Option<f64>,
    /// Stages that had been made before.
    pub reused: Option<u64>,
    pub run: Option<String>,
    /// Why it failed or was skipped.
    pub why: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointStatus {
    Waiting,
    Running,
    Done,
    Failed,
    /// On request; it goes on when the sweep does.
    Stopped,
    /// Not valid, so it never started.
    Skipped,
}

impl PointStatus {
    pub fn name(self) -> &'static str {
        match self {
            PointStatus::Waiting => "waiting",
            PointStatus::Running => "running",
            PointStatus::Done => "done",
            PointStatus::Failed => "failed",
            PointStatus::Stopped => "stopped",
            PointStatus::Skipped => "skipped",
        }
    }
}

impl Entry {
    pub fn new(point: &Point, status: PointStatus) -> Entry {
        Entry {
            id: point.id.clone(),
            values: point.values.clone(),
            status,
            objective: None,
            seconds: None,
            reused: None,
            run: None,
            why: None,
        }
    }
}

impl State {
    /// Opens the state of a sweep, making it where there is none.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process runs the sweep; otherwise when the lab cannot be read or written.
    pub fn open(lab: &Lab, prepared: &Prepared) -> Result<State, StoreError> {
        let folder = lab.folder("sweeps").join(&prepared.id);
        disk::make_folder(&folder)?;
        let lease = match Lease::attempt(&folder.join("lock"))? {
            Attempt::Taken(lease) => lease,
            Attempt::Held(owner) => return Err(StoreError::Busy { what: format!("the sweep {}", prepared.id), owner }),
        };
        disk::replace_json(&folder.join("sweep.json"), prepared)?;
        let path = folder.join("points.jsonl");
        let entries = read(&path)?;
        // A torn last line gets an end, so that it spoils no other.
        let torn = fs::read(&path).is_ok_and(|bytes| bytes.last().is_some_and(|b| *b != b'\n'));
        let mut file = File::options().append(true).create(true).open(&path).map_err(StoreError::io("open", &path))?;
        if torn {
            file.write_all(b"\n").map_err(StoreError::io("mend", &path))?;
        }
        let mut state = State { folder, entries, file, _lease: lease };
        for skipped in &prepared.skipped {
            if !state.entries.contains_key(&skipped.point.id) {
                let why = Some(skipped.why.clone());
                state.put(Entry { why, ..Entry::new(&skipped.point, PointStatus::Skipped) })?;
            }
        }
        Ok(state)
    }

    /// What is known of a point.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// Appends what became of a point, and flushes it to the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&mut self, entry: Entry) -> Result<(), StoreError> {
        let path = self.folder.join("points.jsonl");
        let mut line = serde_json::to_vec(&entry).map_err(|e| StoreError::malformed(&path, e))?;
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(StoreError::io("append to", &path))?;
        self.entries.insert(entry.id.clone(), entry);
        Ok(())
    }
}

/// The last entry of each point; lines that are none are passed over.
fn read(path: &Path) -> Result<IndexMap<String, Entry>, StoreError> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(StoreError::io("read", path)(e)),
    };
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
    Ok(entries.map(|e| (e.id.clone(), e)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::prepare::tests::prepared;

    #[test]
    fn the_last_line_about_a_point_counts_and_a_torn_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let prepared = prepared();
        let point = &prepared.candidates[0].point;
        let mut state = State::open(&lab, &prepared).unwrap();
        assert!(matches!(State::open(&lab, &prepared), Err(StoreError::Busy { .. })));
        state.put(Entry::new(point, PointStatus::Running)).unwrap();
        state.put(Entry::new(point, PointStatus::Done)).unwrap();
        state.file.write_all(b"{\"id\": \"torn").unwrap();
        drop(state);
        let mut state = State::open(&lab, &prepared).unwrap();
        assert_eq!(state.get(&point.id).unwrap().status, PointStatus::Done);
        state.put(Entry::new(&prepared.candidates[1].point, PointStatus::Failed)).unwrap();
        drop(state);
        let state = State::open(&lab, &prepared).unwrap();
        assert_eq!(state.get(&prepared.candidates[1].point.id).unwrap().status, PointStatus::Failed);
        assert_eq!(state.get(&prepared.skipped[0].point.id).unwrap().status, PointStatus::Skipped);
    }
}
