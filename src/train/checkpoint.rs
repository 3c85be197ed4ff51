//! Checkpoints: everything a stage needs to go on as if it had not stopped.
//!
//! A checkpoint is a folder `step-00000100` with `weights.safetensors`, one file for each thing that the optimiser remembers,
//! and `state.json`. It is written under another name, flushed and renamed, so it is whole or not there; every file's blake3
//! is checked when it is read. The last few are kept: one that does not verify is passed by for the one before.

use super::error::TrainError;
use super::order::Place;
use crate::model::{Layout, ModelError, Params};
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const STATE: &str = "state.json";
/// What the folder of a checkpoint is called while it is being written.
const SAVING: &str = ".saving-";
/// What the name of a checkpoint begins with that another of the same step is about to replace.
const REPLACED: &str = ".replaced-";
const VERSION: u32 = 4;

/// What a job is, field by field, each as JSON text: two jobs are the same when these are equal.
pub(crate) type Fingerprint = BTreeMap<String, String>;

/// What a checkpoint holds besides numbers.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct State {
    pub version: u32,
    /// What the job is, field by field; see [`fingerprint`](super::run).
    pub job: Fingerprint,
    /// Steps done.
    pub step: u64,
    pub place: Place,
    pub tokens: u64,
    pub supervised_tokens: u64,
    /// Places of all rows that were computed, padding included.
    pub positions: u64,
    /// Hash over the rows seen so far.
    pub order: String,
    /// Seconds trained.
    #[serde(with = "exact")]
    pub seconds: f64,
    /// Loss of the last step.
    #[serde(with = "exact_option")]
    pub loss: Option<f64>,
    #[serde(with = "exact_option")]
    pub valid: Option<f64>,
    /// Step of the lowest validation loss.
    pub best_step: Option<u64>,
    #[serde(with = "exact_option")]
    pub best_loss: Option<f64>,
    /// Step of the last validation.
    pub validated: Option<u64>,
    /// Losses of the latest steps, for [`State::limit`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "exact_list")]
    pub recent: Vec<f64>,
    /// The loss from which on a step is taken for a spike, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exact_option")]
    pub limit: Option<f64>,
    /// Steps that were left out.
    #[serde(default)]
    pub skipped: u64,
    /// Of those, the latest, without one between them that was not.
    #[serde(default)]
    pub skipped_in_a_row: u64,
    /// Times that the stage went back to the checkpoint that it would go back to now.
    #[serde(default)]
    pub returns: u64,
    /// Times that the stage went back to a checkpoint.
    #[serde(default)]
    pub rolled_back: u64,
    /// What the loss of the next step is scaled with, where it is, and the good steps since that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<(f32, f32)>,
    /// Steps left out because their gradients overflowed f16.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overflows: u64,
    /// Of those, the latest, without one between them that was not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overflows_in_a_row: u64,
    /// See [`Observer::met`](super::Observer::met).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<u64>,
    /// Whether the observer has ended the stage.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// blake3 of each file.
    pub files: BTreeMap<String, String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// `state.json`: the state and its hash.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sealed {
    state: State,
    blake3: String,
}

/// A checkpoint that was read and verified.
pub(crate) struct Restored {
    pub state: State,
    /// Of each file that was asked for, in that order.
    pub numbers: Vec<Params>,
}

/// Which checkpoints stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    /// So many of the latest.
    pub latest: usize,
    /// Steps between those that a stage may go back to, the latest of which stays too; 0: it goes back to the one before its
    /// first step. Absent: it never does.
    pub returns_to: Option<u64>,
}

impl Kept {
    /// Whether a stage that goes back may go back to the checkpoint of `step`.
    pub fn returns(self, step: u64) -> bool {
        self.returns_to.is_some_and(|every| step == 0 || (every > 0 && step.is_multiple_of(every)))
    }

    /// Whether, of checkpoints at `steps`, the latest first, the one at `index` stays.
    fn keeps(self, steps: &[u64], index: usize) -> bool {
        index < self.latest || steps.iter().position(|step| self.returns(*step)) == Some(index)
    }
}

/// A checkpoint whose numbers the system has, and the disk perhaps not yet.
pub(crate) struct Written {
    folder: PathBuf,
    temporary: tempfile::TempDir,
    state: State,
    files: Vec<String>,
}

impl Written {
    /// Hands the numbers of a checkpoint to the system. Each of `files` has a name, and numbers that lie as a layout says.
    ///
    /// # Errors
    /// When the disk or the device fails.
    pub fn new(folder: &Path, files: &[(&str, &Layout, Params)], state: State) -> Result<Written, TrainError> {
        let failed = |e: std::io::Error| TrainError::Checkpoint { path: at(folder, state.step), cause: e.to_string() };
        fs::create_dir_all(folder).map_err(failed)?;
        let temporary = tempfile::Builder::new().prefix(SAVING).tempdir_in(folder).map_err(failed)?;
        let mut names = Vec::new();
        for (name, layout, params) in files {
            let name = file_name(name);
            crate::model::hand_over_segments(layout, &params.to_host()?, &temporary.path().join(&name))?;
            names.push(name);
        }
        Ok(Written { folder: folder.to_owned(), temporary, state, files: names })
    }

    /// Waits until the disk has it all, gives the checkpoint its name, and removes those that are `kept` no more.
    ///
    /// # Errors
    /// When the disk fails; the checkpoints before it are untouched.
    pub fn settle(self, kept: Kept) -> Result<PathBuf, TrainError> {
        let Written { folder, temporary, mut state, files } = self;
        let step = state.step;
        let path = at(&folder, step);
        let failed = |e: std::io::Error| TrainError::Checkpoint { path: path.clone(), cause: e.to_string() };
        state.version = VERSION;
        state.files.clear();
        for name in files {
            let file = temporary.path().join(&name);
            // Windows lets only those who may write wait for the disk.
            fs::OpenOptions::new().write(true).open(&file).and_then(|file| file.sync_all()).map_err(failed)?;
            state.files.insert(name, hash_file(&file).map_err(failed)?);
        }
        let sealed = Sealed { blake3: seal(&state), state };
        let text = serde_json::to_string_pretty(&sealed).map_err(|e| failed(e.into()))?;
        let mut file = fs::File::create(temporary.path().join(STATE)).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        sync_folder(temporary.path()).map_err(failed)?;
        // A folder of this name is one that did not verify, or the same step before its validation. It may be the only one
        // there is, so it stays until the new one has the name; see `tidy`.
        let before = path.exists().then(|| replaced(&folder, step));
        if let Some(before) = &before {
            remove_if_there(before).map_err(failed)?;
            fs::rename(&path, before).map_err(failed)?;
        }
        if let Err(e) = fs::rename(temporary.keep(), &path) {
            if let Some(before) = &before {
                fs::rename(before, &path).map_err(failed)?;
            }
            return Err(failed(e));
        }
        sync_folder(&folder).map_err(failed)?;
        if let Some(before) = &before {
            fs::remove_dir_all(before).map_err(failed)?;
        }
        let (steps, paths): (Vec<u64>, Vec<PathBuf>) = list(&folder).into_iter().rev().unzip();
        for (i, old) in paths.iter().enumerate().filter(|(i, _)| !kept.keeps(&steps, *i)) {
            debug_assert!(i > 0, "the one just written is kept");
            fs::remove_dir_all(old).map_err(failed)?;
        }
        Ok(path)
    }
}

/// Where the checkpoint of a step lies.
pub(crate) fn at(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("step-{step:08}"))
}

/// Where the checkpoint of a step lies that another one is about to replace.
fn replaced(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("{REPLACED}step-{step:08}"))
}

/// The newest checkpoint of a folder that is wanted, by its step, and verifies; and notices about those that do not.
///
/// # Errors
/// When the newest that verifies belongs to another job, or the device fails.
pub(crate) fn restore(
    folder: &Path,
    files: &[(&str, &Layout)],
    job: &Fingerprint,
    device: &Device,
    wanted: impl Fn(u64) -> bool,
) -> Result<(Option<Restored>, Vec<String>), TrainError> {
    let mut notices = Vec::new();
    tidy(folder);
    for (_, path) in list(folder).into_iter().rev().filter(|(step, _)| wanted(*step)) {
        let state = match read_state(&path) {
            Ok(state) => state,
            Err(cause) => {
                notices.push(passed_by(&path, &cause));
                continue;
            }
        };
        if let Some((field, was, is)) = difference(&state.job, job) {
            return Err(TrainError::OtherJob { path, field, was, is });
        }
        let read = files.iter().map(|(name, layout)| read_params(&path, &file_name(name), &state, layout, device));
        match read.collect() {
            Ok(numbers) => return Ok((Some(Restored { state, numbers }), notices)),
            Err(cause) => notices.push(passed_by(&path, &cause)),
        }
    }
    Ok((None, notices))
}

fn file_name(name: &str) -> String {
    format!("{name}.safetensors")
}

/// Removes the checkpoints of later steps than `step`.
///
/// # Errors
/// When one cannot be removed.
pub(crate) fn remove_after(folder: &Path, step: u64) -> Result<(), TrainError> {
    for (_, path) in list(folder).into_iter().filter(|(of, _)| *of > step) {
        fs::remove_dir_all(&path).map_err(|e| TrainError::Checkpoint { path: path.clone(), cause: e.to_string() })?;
    }
    Ok(())
}

fn passed_by(path: &Path, cause: &str) -> String {
    format!("the checkpoint {} is damaged ({cause}); going back to the one before it", path.display())
}

/// Checkpoint folders by step, oldest first.
fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
            Some((step, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// The step of the latest checkpoint in a folder, if one is there; whether it is sound shows when it is read.
pub fn latest_step(folder: &Path) -> Option<u64> {
    // One that was to be replaced and was not gets its name back before it is read.
    let aside = fs::read_dir(folder).into_iter().flatten().flatten();
    let aside = aside
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix(REPLACED)?.strip_prefix("step-")?.parse().ok());
    let named = list(folder).last().map(|(step, _)| *step);
    aside.chain(named).max().filter(|step| *step > 0)
}

/// Removes what a killed save left, and gives a checkpoint its name back that was to be replaced and was not. Failing to is
/// harmless, so it is not an error: what has no name is not read.
fn tidy(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        match name.strip_prefix(REPLACED).map(|name| folder.join(name)) {
            Some(path) if !path.exists() => {
                let _ = fs::rename(entry.path(), path);
            }
            None if !name.starts_with(SAVING) => {}
            _ => {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn remove_if_there(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn read_state(path: &Path) -> Result<State, String> {
    let text = fs::read(path.join(STATE)).map_err(|e| format!("{STATE}: {e}"))?;
    let sealed: Sealed = serde_json::from_slice(&text).map_err(|e| format!("{STATE}: {e}"))?;
    if seal(&sealed.state) != sealed.blake3 {
        return Err(format!("{STATE} does not match its hash"));
    }
    if sealed.state.version != VERSION {
        return Err(format!("it has version {}, and this program reads {VERSION}", sealed.state.version));
    }
    Ok(sealed.state)
}

fn read_params(path: &Path, name: &str, state: &State, layout: &Layout, device: &Device) -> Result<Params, String> {
    let file = path.join(name);
    let hash = hash_file(&file).map_err(|e| format!("{name}: {e}"))?;
    if state.files.get(name) != Some(&hash) {
        return Err(format!("{name} does not match its hash"));
    }
    let host = crate::model::load_segments(layout, &file).map_err(|e: ModelError| e.to_string())?;
    Ok(Params::from_host(host, device))
}

/// The first field two jobs differ in: its name and both values.
fn difference(was: &Fingerprint, is: &Fingerprint) -> Option<(String, String, String)> {
    let mut fields: Vec<&String> = was.keys().chain(is.keys()).collect();
    fields.sort();
    let field = fields.into_iter().find(|field| was.get(*field) != is.get(*field))?;
    let show = |job: &Fingerprint| job.get(field).cloned().unwrap_or_else(|| "absent".to_owned());
    Some((field.clone(), show(was), show(is)))
}

/// Numbers as text: JSON readers may round a number's last digit, and resuming must not.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// As [`exact`], for a number that may be absent.
mod exact_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|value| value.to_string()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// As [`exact`], for a list of numbers.
mod exact_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        values.iter().map(f64::to_string).collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

fn seal(state: &State) -> String {
    let text = serde_json::to_vec(state).unwrap_or_default();
    blake3::hash(&text).to_hex().to_string()
}

fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Makes the entries of a folder last. Windows has no such call and needs none.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}
