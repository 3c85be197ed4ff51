//! The folder of one run: `runs/ID/`.

use super::curves::{Curve, curves};
use super::disk;
use super::environment::Environment;
use super::error::StoreError;
use super::event::{Event, Line, Observer};
use super::id;
use super::journal::{Journal, read_events};
use super::lab::Lab;
use super::lease::{Attempt, Lease, Owner};
use super::object::{ObjectKind, ObjectRef};
use super::record::{Record, Status};
use crate::plan::Plan;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A run being written. Only one process holds it.
#[derive(Debug)]
pub struct Run {
    folder: RunFolder,
    journal: Journal,
    resumed: bool,
    failure: Option<StoreError>,
    _lease: Lease,
}

/// A run to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunFolder {
    pub id: String,
    pub path: PathBuf,
}

/// `checkpoints/STAGE.json`: where the weights of a stage are. They lie with the stage's object, which several runs may
/// share, so a run only points at them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CheckpointRef {
    pub object: ObjectRef,
    /// Folder of the object (or, before the stage is finished, of the work) relative to the lab, with `/`.
    pub folder: String,
    pub step: u64,
}

impl Lab {
    /// Begins a run of `plan`, or goes on with the latest one of the same plan and device that was stopped or killed.
    ///
    /// # Errors
    /// When the plan's hash is not known yet, or the lab cannot be written.
    pub fn begin(&self, plan: &Plan, environment: &Environment) -> Result<Run, StoreError> {
        let hash = match plan.hash.value() {
            Some(hash) => hash,
            None => return Err(StoreError::Unplanned(plan.hash.reason().unwrap_or("an input is missing").to_owned())),
        };
        if let Some(run) = self.unfinished(hash, environment)? {
            return Ok(run);
        }
        self.fresh(plan, hash, environment)
    }

    /// Begins a run of `plan` without looking for one to go on with.
    fn fresh(&self, plan: &Plan, hash: &str, environment: &Environment) -> Result<Run, StoreError> {
        let runs = self.folder("runs");
        disk::make_folder(&runs)?;
        let base = id::run_id(hash, Timestamp::now());
        for attempt in 1..10_000 {
            let id = if attempt == 1 { base.clone() } else { format!("{base}-{attempt}") };
            let path = runs.join(&id);
            match fs::create_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.map_err(StoreError::io("make the folder", &path))?,
            }
            let folder = RunFolder { id, path };
            let Attempt::Taken(lease) = Lease::attempt(&folder.lock())? else { continue };
            disk::make_folder(&folder.path.join("checkpoints"))?;
            disk::replace_json(&folder.path.join("plan.json"), plan)?;
            disk::replace_json(&folder.path.join("environment.json"), environment)?;
            let record = Record::begin(&folder.id, &plan.name, hash, environment.device.clone());
            disk::replace_json(&folder.path.join("record.json"), &record)?;
            let journal = Journal::open(&folder.events())?;
            return Ok(Run { folder, journal, resumed: false, failure: None, _lease: lease });
        }
        Err(StoreError::malformed(&runs, "no free name for a run"))
    }

    /// The latest run of the plan that another process left unfinished, taken over.
    fn unfinished(&self, hash: &str, environment: &Environment) -> Result<Option<Run>, StoreError> {
        for folder in self.runs()?.into_iter().rev() {
            let Ok(record) = folder.record() else { continue };
            let open = matches!(record.status, Status::Running | Status::Stopped);
            if record.plan_hash != hash || !open || record.device != environment.device {
                continue;
            }
            let Attempt::Taken(lease) = Lease::attempt(&folder.lock())? else { continue };
            disk::make_folder(&folder.path.join("checkpoints"))?;
            let journal = Journal::open(&folder.events())?;
            return Ok(Some(Run { folder, journal, resumed: true, failure: None, _lease: lease }));
        }
        Ok(None)
    }

    /// Every run, oldest first.
    ///
    /// # Errors
    /// When the folder of runs cannot be listed.
    pub fn runs(&self) -> Result<Vec<RunFolder>, StoreError> {
        let root = self.folder("runs");
        let entries = match fs::read_dir(&root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StoreError::io("list", &root)(e)),
        };
        let mut found: Vec<RunFolder> = entries
            .flatten()
            .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
            .filter_map(|e| Some(RunFolder { id: e.file_name().into_string().ok()?, path: e.path() }))
            // What `prune` was killed over.
            .filter(|run| !run.id.starts_with('.'))
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    /// The run that `wanted` names: `latest`, a whole id, its beginning, or its words (then the latest with these).
    ///
    /// # Errors
    /// When there is none, with the latest few, or when it is not clear which is meant.
    pub fn run_named(&self, wanted: &str) -> Result<RunFolder, StoreError> {
        let runs = self.runs()?;
        // A run that another process is just beginning has nothing to tell yet.
        let begun = |run: &&RunFolder| run.path.join("record.json").exists();
        if wanted == "latest"
            && let Some(last) = runs.iter().rev().find(begun).or(runs.last())
        {
            return Ok(last.clone());
        }
        if let Some(exact) = runs.iter().find(|r| r.id == wanted) {
            return Ok(exact.clone());
        }
        if !wanted.is_empty()
            && let Some(named) = runs.iter().rev().find(|r| r.words() == wanted)
        {
            return Ok(named.clone());
        }
        let matches: Vec<&RunFolder> = runs
            .iter()
            .filter(|r| !wanted.is_empty() && r.id.starts_with(wanted) || r.words().starts_with(wanted))
            .collect();
        match matches.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(StoreError::NoRun {
                wanted: wanted.to_owned(),
                near: runs.iter().rev().take(3).map(|r| r.id.clone()).collect(),
            }),
            many => Err(StoreError::AmbiguousRun {
                wanted: wanted.to_owned(),
                matches: many.iter().map(|r| r.id.clone()).collect(),
            }),
        }
    }
}

impl Run {
    pub fn id(&self) -> &str {
        &self.folder.id
    }

    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Whether an earlier process began it.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// Appends an event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&self, event: &Event) -> Result<(), StoreError> {
        self.journal.push(event)
    }

    /// The first event that could not be written through the [`Observer`], if any: a run whose events cannot be kept
    /// must stop.
    pub fn failure(&mut self) -> Option<StoreError> {
        self.failure.take()
    }

    /// Replaces `record.json`.
    ///
    /// # Errors
    /// When it cannot be written; the previous record then stays.
    pub fn write_record(&self, record: &Record) -> Result<(), StoreError> {
        disk::replace_json(&self.folder.path.join("record.json"), record)
    }

    /// Replaces `checkpoints/STAGE.json`.
    ///
    /// # Errors
    /// When it cannot be written, or `stage` cannot be a file's name.
    pub fn point_at(&self, stage: &str, checkpoint: &CheckpointRef) -> Result<(), StoreError> {
        disk::replace_json(&self.folder.checkpoint_path(stage)?, checkpoint)
    }

    /// Writes a further file into the run's folder.
    ///
    /// # Errors
    /// When it cannot be written, or `name` cannot be a file's name.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        disk::replace_bytes(&self.folder.path.join(plain_name(&self.folder.path, name)?), bytes)
    }
}

impl Observer for Run {
    fn event(&mut self, event: &Event) {
        if let Err(error) = self.journal.push(event) {
            self.failure.get_or_insert(error);
        }
    }
}

impl RunFolder {
    /// # Errors
    /// When the record is missing or malformed.
    pub fn record(&self) -> Result<Record, StoreError> {
        disk::read_json(&self.path.join("record.json"))
    }

    /// The record, with the status that is true now: a run that says it is running, but that no process holds, was
    /// killed and can be resumed.
    ///
    /// # Errors
    /// As [`RunFolder::record`].
    pub fn current_record(&self) -> Result<Record, StoreError> {
        let mut record = self.record()?;
        if record.status == Status::Running && !self.is_live() {
            record.status = Status::Stopped;
        }
        Ok(record)
    }

    /// # Errors
    /// When the plan is missing or malformed.
    pub fn plan(&self) -> Result<Plan, StoreError> {
        disk::read_json(&self.path.join("plan.json"))
    }

    /// # Errors
    /// When the environment is missing or malformed.
    pub fn environment(&self) -> Result<Environment, StoreError> {
        disk::read_json(&self.path.join("environment.json"))
    }

    /// # Errors
    /// When the events cannot be read.
    pub fn read_events(&self) -> Result<Vec<Line>, StoreError> {
        read_events(&self.events())
    }

    /// # Errors
    /// When the events cannot be read.
    pub fn curves(&self) -> Result<IndexMap<String, Curve>, StoreError> {
        Ok(curves(&self.read_events()?))
    }

    /// Where the weights of `stage` are.
    ///
    /// # Errors
    /// When the run has none.
    pub fn checkpoint(&self, stage: &str) -> Result<CheckpointRef, StoreError> {
        disk::read_json(&self.checkpoint_path(stage)?)
    }

    /// Every object the run speaks of: those its events name and those its plan would make.
    pub fn references(&self) -> Vec<ObjectRef> {
        let mut all = Vec::new();
        if let Ok(plan) = self.plan() {
            let mut add = |kind, hash: Option<&String>| all.extend(hash.map(|h| ObjectRef { kind, hash: h.clone() }));
            plan.datasets.iter().for_each(|n| add(ObjectKind::Dataset, n.hash.value()));
            plan.tokenizers.iter().for_each(|n| add(ObjectKind::Tokenizer, n.hash.value()));
            plan.stages.iter().for_each(|n| add(ObjectKind::Stage, n.hash.value()));
            plan.evals.iter().for_each(|n| add(ObjectKind::Eval, n.hash.value()));
        }
        for line in self.read_events().unwrap_or_default() {
            if let Event::Object { kind, hash, .. } = line.event {
                all.push(ObjectRef { kind, hash });
            }
        }
        all.sort();
        all.dedup();
        all
    }

    /// Whether a living process writes the run.
    pub fn is_live(&self) -> bool {
        Lease::is_held(&self.lock())
    }

    /// Takes the run for oneself, or says who has it.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when a living process writes it.
    pub fn take(&self) -> Result<Lease, StoreError> {
        match Lease::attempt(&self.lock())? {
            Attempt::Taken(lease) => Ok(lease),
            Attempt::Held(owner) => Err(self.busy(owner)),
        }
    }

    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The three words of the id.
    pub fn words(&self) -> &str {
        self.id.splitn(3, '-').nth(2).unwrap_or("")
    }

    fn busy(&self, owner: Owner) -> StoreError {
        StoreError::Busy { what: format!("run {}", self.id), owner }
    }

    fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    fn checkpoint_path(&self, stage: &str) -> Result<PathBuf, StoreError> {
        let folder = self.path.join("checkpoints");
        Ok(folder.join(format!("{}.json", plain_name(&folder, stage)?)))
    }
}

/// `name`, if it cannot lead out of a folder.
fn plain_name<'a>(folder: &Path, name: &'a str) -> Result<&'a str, StoreError> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if plain && !name.is_empty() && !name.starts_with('.') {
        Ok(name)
    } else {
        Err(StoreError::malformed(folder, format!("`{name}` cannot be the name of a file")))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::{Known, spec};
    use crate::store::{Device, record};

    /// A plan without nodes.
    pub(crate) fn plan(name: &str, hash: &str) -> Plan {
        Plan {
            schema_version: 1,
            name: name.into(),
            experiment: spec::Experiment {
                language: 1,
                seed: 1,
                license: None,
                authors: Vec::new(),
                description: None,
            },
            hash: Known::Value(hash.into()),
            datasets: Vec::new(),
            tokenizers: Vec::new(),
            stages: Vec::new(),
            evals: Vec::new(),
            reviews: Vec::new(),
            expects: Vec::new(),
            claims: Vec::new(),
        }
    }

    pub(crate) fn environment() -> Environment {
        Environment::of(Path::new("."), 1, Device { name: "cpu".into(), ..Device::default() })
    }

    fn lab() -> (tempfile::TempDir, Lab) {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        (folder, lab)
    }

    #[test]
    fn a_run_leaves_the_published_files() {
        let (_folder, lab) = lab();
        let run = lab.begin(&plan("tiny", "aa"), &environment()).unwrap();
        run.push(&Event::info("hello")).unwrap();
        run.write_record(&record::tests::example(run.id(), 2.0)).unwrap();
        let folder = run.folder().clone();
        drop(run);
        for name in ["events.jsonl", "record.json", "plan.json", "environment.json", "checkpoints"] {
            assert!(folder.path.join(name).exists(), "{name}");
        }
        assert_eq!(folder.read_events().unwrap().len(), 1);
        assert_eq!(folder.plan().unwrap(), plan("tiny", "aa"));
        assert_eq!(folder.record().unwrap().status, Status::Done);
    }

    #[test]
    fn a_killed_run_goes_on_and_a_finished_one_does_not() {
        let (_folder, lab) = lab();
        let first = lab.begin(&plan("tiny", "aa"), &environment()).unwrap();
        let id = first.id().to_owned();
        let beside = lab.begin(&plan("tiny", "aa"), &environment()).unwrap();
        assert!(!beside.resumed() && beside.id() != id, "a living run is left alone");
        beside.write_record(&Record { status: Status::Done, ..beside.folder().record().unwrap() }).unwrap();
        drop(beside);
        let folder = first.folder().clone();
        drop(first);
        assert_eq!(folder.current_record().unwrap().status, Status::Stopped);
        let again = lab.begin(&plan("tiny", "aa"), &environment()).unwrap();
        assert!(again.resumed() && again.id() == id);
        let other = lab.begin(&plan("tiny", "bb"), &environment()).unwrap();
        assert!(!other.resumed(), "another plan is another run");
    }

    #[test]
    fn a_run_is_found_by_what_people_write() {
        let (_folder, lab) = lab();
        let run = lab.begin(&plan("tiny", "aa"), &environment()).unwrap().folder().clone();
        let other = lab.begin(&plan("tiny", "bb"), &environment()).unwrap().folder().clone();
        for wanted in [run.id.as_str(), run.words(), &run.id[..run.id.len() - 2]] {
            assert_eq!(lab.run_named(wanted).unwrap(), run, "{wanted}");
        }
        let latest = run.id.clone().max(other.id);
        assert_eq!(lab.run_named("latest").unwrap().id, latest);
        fs::create_dir(lab.folder("runs").join("99991231-235959-just-being-begun")).unwrap();
        assert_eq!(lab.run_named("latest").unwrap().id, latest, "what is only being begun has nothing to tell");
        assert!(matches!(lab.run_named("20"), Err(StoreError::AmbiguousRun { .. })));
        let error = lab.run_named("nothing").unwrap_err().to_string();
        assert!(error.contains("`nothing`") && error.contains(&run.id), "{error}");
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_folder() {
        let (_folder, lab) = lab();
        let run = lab.begin(&plan("tiny", "aa"), &environment()).unwrap();
        assert!(run.write_file("../x", b"").is_err() && run.write_file("", b"").is_err());
        assert!(run.write_file("samples.jsonl", b"").is_ok());
    }
}
