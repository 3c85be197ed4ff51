//! Freeing space: runs nobody needs, and objects no kept run speaks of.

use super::disk;
use super::error::StoreError;
use super::lab::Lab;
use super::lease::{Attempt, Lease};
use super::object::{Manifest, ObjectRef, short};
use super::process;
use super::record::Status;
use super::run::RunFolder;
use super::table::{Table, bytes};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Which runs stay. A run that lives always does.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Keep {
    /// The latest so many finished runs of each experiment; absent: all.
    pub last: Option<usize>,
    /// Runs younger than this; absent: age does not matter.
    pub younger_than: Option<Duration>,
    /// Runs by id, whatever else holds.
    pub named: BTreeSet<String>,
}

/// What would go. Nothing has gone until [`Pruning::apply`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Pruning {
    pub schema_version: u32,
    pub remove: Vec<Removal>,
    /// Over all of it.
    pub bytes: u64,
}

/// One folder that would go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Removal {
    /// A run's id, or an object's kind and hash.
    pub what: String,
    pub reason: Reason,
    pub bytes: u64,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    lock: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Failed,
    /// Neither among the latest nor young enough.
    Old,
    /// It never got as far as a record.
    Empty,
    /// No kept run speaks of it.
    Unreferenced,
    /// Work in progress that nobody goes on with.
    Abandoned,
    /// Set aside as damaged.
    Damaged,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Reason::Failed => "failed",
            Reason::Old => "old",
            Reason::Empty => "never started",
            Reason::Unreferenced => "no kept run needs it",
            Reason::Abandoned => "unfinished work of no kept run",
            Reason::Damaged => "damaged",
        }
    }
}

impl Lab {
    /// What `keep` does not keep. Failed runs always go, stopped ones count as old by their age only, and an object goes
    /// when no run that stays speaks of it and it is older than the oldest living run.
    ///
    /// # Errors
    /// When the lab cannot be listed.
    pub fn prunable(&self, keep: &Keep) -> Result<Pruning, StoreError> {
        let runs = self.runs()?;
        let mut remove = Vec::new();
        let mut needed: BTreeSet<ObjectRef> = BTreeSet::new();
        let mut earliest_live: Option<String> = None;
        let mut finished: BTreeMap<String, usize> = BTreeMap::new();
        for run in runs.iter().rev() {
            let live = run.is_live();
            let reason = if live { None } else { keep.against(run, &mut finished) };
            match reason.filter(|_| !keep.named.contains(&run.id)) {
                Some(reason) => remove.push(Removal {
                    what: run.id.clone(),
                    reason,
                    bytes: disk::size_of(&run.path),
                    path: run.path.clone(),
                    lock: Some(run.path.join("lock")),
                }),
                None => needed.extend(run.references()),
            }
            if live {
                earliest_live = begun(&run.id).map(process::stamp).or(earliest_live);
            }
        }
        for object in self.objects()? {
            let path = self.object_path(object.kind, &object.hash)?;
            let manifest = disk::read_json::<Manifest>(&path.join("object.json")).ok();
            // A living run may be about to speak of what it has just made.
            let recent = match (&manifest, &earliest_live) {
                (Some(m), Some(live)) => m.created >= *live,
                _ => false,
            };
            if needed.contains(&object) || recent {
                continue;
            }
            let name = manifest.map(|m| format!(" ({})", m.name)).unwrap_or_default();
            remove.push(Removal {
                what: format!("{} {}{name}", object.kind.name(), short(&object.hash)),
                reason: Reason::Unreferenced,
                bytes: disk::size_of(&path),
                path,
                lock: Some(self.folder("locks").join(format!("{}-{}.lock", object.kind.name(), object.hash))),
            });
        }
        for (name, path) in folders_in(&self.folder("work")) {
            let wanted = needed.iter().any(|o| format!("{}-{}", o.kind.name(), o.hash) == name);
            let lock = self.folder("locks").join(format!("{name}.lock"));
            if !wanted && !Lease::is_held(&lock) {
                let (reason, bytes) = (Reason::Abandoned, disk::size_of(&path));
                remove.push(Removal { what: format!("work {name}"), reason, bytes, path, lock: Some(lock) });
            }
        }
        for (name, path) in folders_in(&self.folder("set-aside")) {
            let bytes = disk::size_of(&path);
            remove.push(Removal { what: name, reason: Reason::Damaged, bytes, path, lock: None });
        }
        let bytes = remove.iter().map(|r| r.bytes).sum();
        Ok(Pruning { schema_version: 1, remove, bytes })
    }
}

impl Keep {
    /// Why a run that nobody writes should go, if it should. Runs are asked newest first.
    fn against(&self, run: &RunFolder, finished: &mut BTreeMap<String, usize>) -> Option<Reason> {
        let Ok(record) = run.current_record() else { return Some(Reason::Empty) };
        let old = self.younger_than.is_some_and(|limit| age(run).is_some_and(|a| a > limit));
        match record.status {
            Status::Failed => Some(Reason::Failed),
            Status::Done => {
                let newer = finished.entry(record.experiment).or_default();
                *newer += 1;
                let beyond = self.last.map(|last| *newer > last);
                // With both conditions given, a run stays if either keeps it.
                let goes = match (beyond, self.younger_than) {
                    (Some(beyond), Some(_)) => beyond && old,
                    (Some(beyond), None) => beyond,
                    (None, _) => old,
                };
                goes.then_some(Reason::Old)
            }
            Status::Running | Status::Stopped => old.then_some(Reason::Old),
        }
    }
}

impl Pruning {
    /// Removes it all. A run or object that a process has taken meanwhile stays.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    pub fn apply(&self) -> Result<(), StoreError> {
        for removal in &self.remove {
            let lease = match removal.lock.as_deref().map(Lease::attempt).transpose()? {
                Some(Attempt::Held(_)) => continue,
                Some(Attempt::Taken(lease)) => Some(lease),
                None => None,
            };
            vanish(&removal.path)?;
            if let Some(lease) = lease {
                lease.remove();
            }
        }
        Ok(())
    }

    pub fn table(&self) -> Table {
        let mut table = Table::new(["would go", "size", "because"]);
        for removal in &self.remove {
            table.row([removal.what.clone(), bytes(removal.bytes), removal.reason.text().to_owned()]);
        }
        table
    }
}

/// Renames a folder before removing it, so that a kill leaves no half of it under its name.
fn vanish(path: &Path) -> Result<(), StoreError> {
    let hidden = path.with_file_name(format!(
        ".{}.{}.gone",
        path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default(),
        std::process::id()
    ));
    match fs::rename(path, &hidden) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(StoreError::io("remove", path)(e)),
        Ok(()) => disk::remove_folder(&hidden),
    }
}

fn folders_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .filter_map(|e| Some((e.file_name().into_string().ok()?, e.path())))
        .collect();
    found.sort();
    found
}

fn age(run: &RunFolder) -> Option<Duration> {
    let written = fs::metadata(run.events()).or_else(|_| fs::metadata(&run.path)).ok()?.modified().ok()?;
    SystemTime::now().duration_since(written).ok()
}

/// When a run began, from its id, less a margin for clocks that differ between machines.
fn begun(id: &str) -> Option<Timestamp> {
    let moment = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", id.get(..15)?).ok()?;
    let begun = jiff::tz::TimeZone::UTC.to_timestamp(moment).ok()?;
    begun.checked_sub(SignedDuration::from_mins(10)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::tests::example;
    use crate::store::run::tests::{environment, plan};
    use crate::store::{Check, Claim, Event, ObjectKind, Record, Run};
    use serde_json::json;

    fn object(lab: &Lab, hash: &str) {
        let claim = lab.claim(ObjectKind::Dataset, hash, "stories", Check::Sizes, &mut |_| false).unwrap();
        let Claim::Build(draft) = claim else { panic!("it is new") };
        fs::write(draft.files().join("data"), b"text").unwrap();
        draft.finish(json!({})).unwrap();
    }

    fn run(lab: &Lab, status: Status, uses: &str) -> Run {
        let run = lab.begin(&plan("tiny", "aa"), &environment()).unwrap();
        run.push(&Event::Object { kind: ObjectKind::Dataset, hash: uses.into(), cached: false }).unwrap();
        run.write_record(&Record { status, ..example(run.id(), 1.0) }).unwrap();
        run
    }

    fn named(pruning: &Pruning) -> Vec<(&str, Reason)> {
        pruning.remove.iter().map(|r| (r.what.as_str(), r.reason)).collect()
    }

    #[test]
    fn what_a_kept_run_needs_stays() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let (old, new) = ("a".repeat(16), "b".repeat(16));
        object(&lab, &old);
        object(&lab, &new);
        let first = run(&lab, Status::Done, &old).folder().clone();
        let failed = run(&lab, Status::Failed, &old).folder().clone();
        let last = run(&lab, Status::Done, &new).folder().clone();

        let careful = lab.prunable(&Keep::default()).unwrap();
        assert_eq!(named(&careful), [(failed.id.as_str(), Reason::Failed)]);
        let strict = lab.prunable(&Keep { last: Some(1), ..Keep::default() }).unwrap();
        let gone = "dataset aaaaaaaaaaaa (stories)";
        let expected =
            [(failed.id.as_str(), Reason::Failed), (first.id.as_str(), Reason::Old), (gone, Reason::Unreferenced)];
        let mut found = named(&strict);
        found.sort_by_key(|f| expected.iter().position(|e| e == f));
        assert_eq!(found, expected);
        assert!(first.path.exists(), "nothing goes before it is applied");

        strict.apply().unwrap();
        assert_eq!(lab.runs().unwrap(), [last]);
        assert_eq!(lab.objects().unwrap(), [ObjectRef { kind: ObjectKind::Dataset, hash: new }]);
        assert!(lab.prunable(&Keep { last: Some(1), ..Keep::default() }).unwrap().remove.is_empty());
    }

    #[test]
    fn a_living_run_and_what_it_makes_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let live = run(&lab, Status::Failed, &"a".repeat(16));
        object(&lab, &"c".repeat(16));
        let keep = Keep { last: Some(0), younger_than: Some(Duration::ZERO), named: BTreeSet::new() };
        assert!(lab.prunable(&keep).unwrap().remove.is_empty());
        drop(live);
        assert_eq!(lab.prunable(&keep).unwrap().remove.len(), 2);
    }
}
