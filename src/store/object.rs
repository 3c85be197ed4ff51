//! Finished work, addressed by the hash of its recipe.
//!
//! An object is made in `work/`, every file is flushed, a manifest is written, and one rename makes it an object. So an
//! object either is complete or is not there. What a disk later does to it is found by sizes and hashes; a damaged
//! object is set aside and made again.

use super::disk;
use super::error::StoreError;
use super::lab::Lab;
use super::lease::{Lease, Owner};
use super::process;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const MANIFEST: &str = "object.json";
const OBJECT_SCHEMA: u32 = 1;

/// What a piece of finished work is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// Documents or samples after every step.
    Dataset,
    Tokenizer,
    /// A dataset as token ids.
    Tokens,
    /// Weights and what was measured on the way.
    Stage,
    /// Results of an evaluation.
    Eval,
}

impl ObjectKind {
    pub const ALL: [ObjectKind; 5] =
        [ObjectKind::Dataset, ObjectKind::Tokenizer, ObjectKind::Tokens, ObjectKind::Stage, ObjectKind::Eval];

    /// Name of its folder under `objects/`.
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::Dataset => "dataset",
            ObjectKind::Tokenizer => "tokenizer",
            ObjectKind::Tokens => "tokens",
            ObjectKind::Stage => "stage",
            ObjectKind::Eval => "eval",
        }
    }

    pub fn parse(name: &str) -> Option<ObjectKind> {
        ObjectKind::ALL.into_iter().find(|k| k.name() == name)
    }
}

/// Names an object.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ObjectRef {
    pub kind: ObjectKind,
    pub hash: String,
}

/// `object.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub schema_version: u32,
    pub kind: ObjectKind,
    /// Hash of the recipe, not of the contents.
    pub hash: String,
    /// What the experiment that made it calls it.
    pub name: String,
    /// UTC.
    pub created: String,
    /// Version that made it.
    pub version: String,
    /// Every other file, sorted by path.
    pub files: Vec<ObjectFile>,
    /// What its maker wants to know of it without opening its files.
    pub facts: Json,
}

/// A file of an object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectFile {
    /// Relative, with `/`.
    pub path: String,
    pub bytes: u64,
    /// In hex.
    pub blake3: String,
}

/// A complete object.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    pub path: PathBuf,
    pub manifest: Manifest,
}

/// How closely an object is looked at before it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// Every file is there with its size.
    Sizes,
    /// Every byte is read and hashed.
    Contents,
}

/// An object, or the right to make it.
#[derive(Debug)]
pub enum Claim {
    Ready(Object),
    Build(Draft),
}

/// An object being made. Dropping it keeps [`Draft::scratch`] for the next attempt.
#[derive(Debug)]
pub struct Draft {
    reference: ObjectRef,
    name: String,
    work: PathBuf,
    target: PathBuf,
    /// Whether an earlier attempt left something in scratch.
    resumed: bool,
    lease: Lease,
}

impl Lab {
    /// The object of a recipe, if it is complete. A damaged one is set aside with a [notice](Lab::take_notices), so that
    /// it will be made again.
    ///
    /// # Errors
    /// When the object cannot be read at all, or cannot be set aside.
    pub fn find(&self, kind: ObjectKind, hash: &str, check: Check) -> Result<Option<Object>, StoreError> {
        let path = self.object_path(kind, hash)?;
        if !path.exists() {
            return Ok(None);
        }
        match Object::read(&path, check) {
            Ok(object) if object.manifest.kind == kind && object.manifest.hash == hash => Ok(Some(object)),
            Ok(object) => {
                let found = &object.manifest;
                let why = format!("its manifest says that it is {} {}", found.kind.name(), found.hash);
                self.set_aside(kind, hash, &why).map(|()| None)
            }
            Err(StoreError::Damaged { why, .. }) => self.set_aside(kind, hash, &why).map(|()| None),
            Err(other) => Err(other),
        }
    }

    /// The object of a recipe, or the exclusive right to make it. While another process makes it, `keep_waiting` is asked
    /// about ten times a second. `name` is what the experiment calls it.
    ///
    /// # Errors
    /// [`StoreError::GaveUp`] when `keep_waiting` says no; otherwise when the lab cannot be read or written.
    pub fn claim(
        &self,
        kind: ObjectKind,
        hash: &str,
        name: &str,
        check: Check,
        keep_waiting: &mut dyn FnMut(&Owner) -> bool,
    ) -> Result<Claim, StoreError> {
        if let Some(object) = self.find(kind, hash, check)? {
            return Ok(Claim::Ready(object));
        }
        let lock = self.folder("locks").join(format!("{}-{hash}.lock", kind.name()));
        let lease = Lease::wait(&lock, &format!("{} `{name}`", kind.name()), keep_waiting)?;
        let work = self.work_path(kind, hash);
        // Whoever held the lock may have finished the object meanwhile, or died between its last two steps.
        if let Some(object) = self.find(kind, hash, check)? {
            disk::remove_folder(&work)?;
            lease.remove();
            return Ok(Claim::Ready(object));
        }
        disk::remove_folder(&work.join("files"))?;
        disk::make_folder(&work.join("files"))?;
        disk::make_folder(&work.join("scratch"))?;
        let resumed = disk::files_under(&work.join("scratch")).is_ok_and(|files| !files.is_empty());
        let target = self.object_path(kind, hash)?;
        let reference = ObjectRef { kind, hash: hash.to_owned() };
        Ok(Claim::Build(Draft { reference, name: name.to_owned(), work, target, resumed, lease }))
    }

    /// Moves a damaged object out of the way, and says so.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, kind: ObjectKind, hash: &str, why: &str) -> Result<(), StoreError> {
        let path = self.object_path(kind, hash)?;
        let folder = self.folder("set-aside");
        disk::make_folder(&folder)?;
        for attempt in 0..1000 {
            let place = folder.join(format!("{}-{hash}-{attempt}", kind.name()));
            if place.exists() {
                continue;
            }
            match fs::rename(&path, &place) {
                Ok(()) => {
                    self.notice(format!(
                        "{} {} is damaged ({why}); it was set aside in {} and will be made again",
                        kind.name(),
                        short(hash),
                        place.display()
                    ));
                    return Ok(());
                }
                // Another process was faster.
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(e) => return Err(StoreError::io("set aside", &path)(e)),
            }
        }
        Err(StoreError::malformed(&folder, "it is full of damaged objects; remove them with `exp runs prune`"))
    }

    /// Every complete or damaged object, sorted.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn objects(&self) -> Result<Vec<ObjectRef>, StoreError> {
        let mut found = Vec::new();
        for kind in ObjectKind::ALL {
            let folder = self.folder("objects").join(kind.name());
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io("list", &folder)(e)),
            };
            for entry in entries.flatten() {
                if let Ok(hash) = entry.file_name().into_string()
                    && is_hash(&hash)
                {
                    found.push(ObjectRef { kind, hash });
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Where the object of a recipe is, or would be.
    ///
    /// # Errors
    /// When `hash` is not a hash, so that no text from outside becomes a path.
    pub fn object_path(&self, kind: ObjectKind, hash: &str) -> Result<PathBuf, StoreError> {
        if !is_hash(hash) {
            return Err(StoreError::BadHash(hash.to_owned()));
        }
        Ok(self.folder("objects").join(kind.name()).join(hash))
    }

    /// Where attempts to make the object leave what the next one goes on from; it need not exist.
    pub fn scratch_of(&self, kind: ObjectKind, hash: &str) -> PathBuf {
        self.work_path(kind, hash).join("scratch")
    }

    fn work_path(&self, kind: ObjectKind, hash: &str) -> PathBuf {
        self.folder("work").join(format!("{}-{hash}", kind.name()))
    }
}

impl Object {
    /// Reads and checks the object in the folder `path`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not what its manifest says.
    pub fn read(path: &Path, check: Check) -> Result<Object, StoreError> {
        let manifest = match disk::read_json::<Manifest>(&path.join(MANIFEST)) {
            Ok(manifest) => manifest,
            Err(StoreError::Malformed { why, .. }) => {
                return Err(damaged(path, format!("its manifest is unreadable: {why}")));
            }
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(path, "its manifest is missing".to_owned()));
            }
            Err(other) => return Err(other),
        };
        let object = Object { path: path.to_owned(), manifest };
        object.verify(check)?;
        Ok(object)
    }

    /// Checks every file.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] naming the first file that is missing or differs.
    pub fn verify(&self, check: Check) -> Result<(), StoreError> {
        let found = disk::files_under(&self.path)?;
        for file in &self.manifest.files {
            let size = found.binary_search_by(|(path, _)| path.as_str().cmp(&file.path)).ok().map(|i| found[i].1);
            match size {
                None => return Err(damaged(&self.path, format!("{} is missing", file.path))),
                Some(size) if size != file.bytes => {
                    return Err(damaged(
                        &self.path,
                        format!("{} has {size} bytes instead of {}", file.path, file.bytes),
                    ));
                }
                Some(_) => {}
            }
            if check == Check::Contents && disk::fingerprint(&self.path.join(&file.path))?.0 != file.blake3 {
                return Err(damaged(&self.path, format!("the contents of {} have changed", file.path)));
            }
        }
        Ok(())
    }

    /// Path of one of its files.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the object has no such file.
    pub fn file(&self, name: &str) -> Result<PathBuf, StoreError> {
        if self.manifest.files.iter().any(|f| f.path == name) {
            return Ok(self.path.join(name));
        }
        Err(damaged(&self.path, format!("it has no file {name}")))
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.manifest.files.iter().map(|f| f.bytes).sum()
    }
}

impl Draft {
    /// The folder whose files become the object; empty at first.
    pub fn files(&self) -> PathBuf {
        self.work.join("files")
    }

    /// A folder for checkpoints and the like: it survives a kill, and goes once the object is finished.
    pub fn scratch(&self) -> PathBuf {
        self.work.join("scratch")
    }

    /// Whether an earlier attempt left something in [`Draft::scratch`].
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    pub fn reference(&self) -> &ObjectRef {
        &self.reference
    }

    /// Makes the files an object.
    ///
    /// # Errors
    /// When they cannot be flushed, hashed or renamed. Scratch stays, so that the work can be finished later.
    pub fn finish(self, facts: Json) -> Result<Object, StoreError> {
        let folder = self.files();
        let manifest_path = folder.join(MANIFEST);
        let mut files = Vec::new();
        for (path, _) in disk::files_under(&folder)? {
            let place = folder.join(&path);
            let (blake3, bytes) = disk::fingerprint(&place)?;
            File::open(&place).and_then(|f| f.sync_all()).map_err(StoreError::io("flush", &place))?;
            files.push(ObjectFile { path, bytes, blake3 });
        }
        let manifest = Manifest {
            schema_version: OBJECT_SCHEMA,
            kind: self.reference.kind,
            hash: self.reference.hash.clone(),
            name: self.name.clone(),
            created: process::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            files,
            facts,
        };
        disk::replace_json(&manifest_path, &manifest)?;
        let mut folders: Vec<PathBuf> =
            manifest.files.iter().filter_map(|f| Some(folder.join(&f.path).parent()?.to_owned())).collect();
        folders.dedup();
        folders.iter().for_each(|f| disk::sync_folder(f));
        if let Some(parent) = self.target.parent() {
            disk::make_folder(parent)?;
        }
        fs::rename(&folder, &self.target).map_err(StoreError::io("finish", &self.target))?;
        if let Some(parent) = self.target.parent() {
            disk::sync_folder(parent);
        }
        disk::remove_folder(&self.work)?;
        self.lease.remove();
        Ok(Object { path: self.target, manifest })
    }

    /// Gives the work up and removes what was made of it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn abandon(self) -> Result<(), StoreError> {
        disk::remove_folder(&self.work)?;
        self.lease.remove();
        Ok(())
    }
}

/// The first characters of a hash, enough for people to tell objects apart.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn damaged(path: &Path, why: String) -> StoreError {
    StoreError::Damaged { what: format!("the object `{}`", path.display()), why }
}

fn is_hash(text: &str) -> bool {
    (8..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HASH: &str = "0123456789abcdef";

    fn lab() -> (tempfile::TempDir, Lab) {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        (folder, lab)
    }

    fn claim(lab: &Lab) -> Claim {
        lab.claim(ObjectKind::Stage, HASH, "pretrain", Check::Contents, &mut |_| false).unwrap()
    }

    fn draft(lab: &Lab) -> Draft {
        match claim(lab) {
            Claim::Build(draft) => draft,
            Claim::Ready(_) => panic!("nothing has been made"),
        }
    }

    fn make(lab: &Lab) -> Object {
        let draft = draft(lab);
        fs::write(draft.files().join("weights.safetensors"), b"weights").unwrap();
        draft.finish(json!({ "parameters": 7 })).unwrap()
    }

    #[test]
    fn made_once_and_found_again() {
        let (_folder, lab) = lab();
        let made = make(&lab);
        assert_eq!(made.manifest.facts["parameters"], 7);
        let Claim::Ready(found) = claim(&lab) else { panic!("it has been made") };
        assert_eq!(found, made);
        assert_eq!(lab.objects().unwrap(), [ObjectRef { kind: ObjectKind::Stage, hash: HASH.into() }]);
        assert!(disk::files_under(&lab.folder("work")).unwrap().is_empty());
        assert!(disk::files_under(&lab.folder("locks")).unwrap().is_empty());
    }

    #[test]
    fn scratch_survives_and_half_made_files_do_not() {
        let (_folder, lab) = lab();
        let first = draft(&lab);
        assert!(!first.resumed());
        fs::write(first.scratch().join("last"), b"step 500").unwrap();
        fs::write(first.files().join("half"), b"half").unwrap();
        drop(first);
        let second = draft(&lab);
        assert!(second.resumed());
        assert_eq!(fs::read(second.scratch().join("last")).unwrap(), b"step 500");
        assert!(disk::files_under(&second.files()).unwrap().is_empty());
        second.abandon().unwrap();
        assert!(!draft(&lab).resumed());
    }

    #[test]
    fn two_makers_do_not_meet() {
        let (_folder, lab) = lab();
        let _first = draft(&lab);
        let refused = lab.claim(ObjectKind::Stage, HASH, "pretrain", Check::Sizes, &mut |_| false).unwrap_err();
        assert!(refused.to_string().contains("stage `pretrain`"), "{refused}");
    }

    #[test]
    fn whatever_happens_to_an_object_is_noticed() {
        type Harm = fn(&Path);
        let damage: [(&str, Harm, &str); 5] = [
            ("cut short", |p| fs::write(p.join("weights.safetensors"), b"weig").unwrap(), "has 4 bytes instead of 7"),
            ("a flipped bit", |p| fs::write(p.join("weights.safetensors"), b"weiGhts").unwrap(), "have changed"),
            ("a lost file", |p| fs::remove_file(p.join("weights.safetensors")).unwrap(), "is missing"),
            ("a torn manifest", |p| fs::write(p.join(MANIFEST), b"{\"sch").unwrap(), "manifest is unreadable"),
            ("no manifest", |p| fs::remove_file(p.join(MANIFEST)).unwrap(), "manifest is missing"),
        ];
        for (what, harm, says) in damage {
            let (_folder, lab) = lab();
            harm(&make(&lab).path);
            assert!(lab.find(ObjectKind::Stage, HASH, Check::Contents).unwrap().is_none(), "{what}");
            let notices = lab.take_notices();
            assert!(notices.len() == 1 && notices[0].0.contains(says), "{what}: {notices:?}");
            make(&lab);
            assert!(lab.find(ObjectKind::Stage, HASH, Check::Contents).unwrap().is_some(), "{what}: made again");
        }
    }

    #[test]
    fn text_from_outside_is_never_a_path() {
        let (_folder, lab) = lab();
        let error = lab.find(ObjectKind::Stage, "../../../etc", Check::Sizes).unwrap_err();
        assert!(matches!(error, StoreError::BadHash(_)));
    }
}
