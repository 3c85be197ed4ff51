//! Unpacking what a stranger sent.
//!
//! Nothing is trusted: the archive is read by a policy of our own, never by the library's `unpack`. Only plain files in
//! plain POSIX headers are accepted, each announced by the manifest with its size and hash; everything goes into a new
//! temporary folder that becomes the target by one rename at the very end. Whatever is refused leaves nothing behind.

use super::error::ShareError;
use super::manifest::{BUNDLE_SCHEMA, BundleFile, BundleManifest};
use crate::store::disk;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// What a bundle may ask for at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes when unpacked.
    pub bytes: u64,
    pub files: usize,
    /// Bytes of the manifest.
    pub manifest: u64,
    /// Times its own size that a bundle may grow to, above the first 64 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 256 << 30, files: 100_000, manifest: 64 << 20, ratio: 1_000 }
    }
}

/// A bundle on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unpacked {
    pub root: PathBuf,
    pub manifest: BundleManifest,
}

impl Unpacked {
    /// The main file of the experiment.
    pub fn main(&self) -> PathBuf {
        self.root.join(&self.manifest.main)
    }
}

/// The first entry of a bundle.
const MANIFEST: &str = "manifest.json";

/// Bytes that may come out whatever the ratio.
const SLACK: u64 = 64 << 20;

/// Unpacks the bundle at `path` into the new folder `target`.
///
/// # Errors
/// When the target exists, the bundle is damaged, or it asks for anything that the policy refuses.
pub fn unpack(path: &Path, target: &Path, limits: &Limits) -> Result<Unpacked, ShareError> {
    if fs::symlink_metadata(target).is_ok() {
        return Err(ShareError::Occupied(target.to_owned()));
    }
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk::make_folder(parent)?;
    let temporary = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(parent)
        .map_err(crate::store::StoreError::io("make a folder in", parent))?;
    let room = temporary.path().join("bundle");
    disk::make_folder(&room)?;
    let manifest = extract(path, &room, limits)?;
    fs::rename(&room, target).map_err(crate::store::StoreError::io("finish", target))?;
    disk::sync_folder(parent);
    Ok(Unpacked { root: target.to_owned(), manifest })
}

/// As [`unpack`], unless `target` is this bundle unpacked before: then that is taken as it is, whatever else has come to lie
/// in the folder, and the answer says `false`.
///
/// # Errors
/// As [`unpack`], and when a file of the bundle has changed since it was unpacked.
pub fn unpack_once(path: &Path, target: &Path, limits: &Limits) -> Result<(Unpacked, bool), ShareError> {
    let Ok(there) = fs::read(target.join(MANIFEST)) else {
        return unpack(path, target, limits).map(|unpacked| (unpacked, true));
    };
    let mut archive = open(path, limits)?;
    let (manifest, text) = archive.manifest()?;
    if there != text {
        return Err(ShareError::Occupied(target.to_owned()));
    }
    for file in &manifest.files {
        let hash = File::open(target.join(&file.path)).and_then(|mut from| {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(&mut from).map(|hasher| hasher.finalize().to_hex().to_string())
        });
        if !hash.is_ok_and(|hash| hash == file.blake3) {
            return Err(ShareError::Altered { folder: target.to_owned(), file: file.path.clone() });
        }
    }
    Ok((Unpacked { root: target.to_owned(), manifest }, false))
}

/// Why `path` may not stand in a bundle, if so.
pub(super) fn unsafe_because(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > 240 {
        return Some("has a path that is empty or longer than 240 bytes");
    }
    if path.nfc().ne(path.chars()) {
        return Some("has a path that is not in Unicode normal form C");
    }
    if path.starts_with('/') {
        return Some("is an absolute path");
    }
    for part in path.split('/') {
        let stem = part.split('.').next().unwrap_or("").to_ascii_lowercase();
        let numbered =
            |name: &str| stem.strip_prefix(name).is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit());
        if part == ".." {
            return Some("leads out of the folder");
        }
        if part.eq_ignore_ascii_case(".emberlab") {
            return Some("lies in a run store, whose results would be taken for computed ones");
        }
        if part.is_empty() || part == "." {
            return Some("has an empty part in its path");
        }
        if part.chars().any(|c| c.is_control() || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')) {
            return Some("has a character in its path that not every system allows");
        }
        if part.ends_with('.') || part.ends_with(' ') || part.starts_with(' ') {
            return Some("has a part that begins or ends with a blank or ends with a dot");
        }
        if matches!(stem.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt") {
            return Some("has a name that Windows reserves");
        }
    }
    None
}

/// A bundle that is being read.
struct Open<'a> {
    path: &'a Path,
    archive: tar::Archive<Capped<BufReader<zstd::Decoder<'static, BufReader<File>>>>>,
    limits: &'a Limits,
    /// Bytes that its files may have together.
    allowed: u64,
}

fn broken(path: &Path) -> impl Fn(io::Error) -> ShareError {
    move |e| ShareError::NotABundle { path: path.to_owned(), why: e.to_string() }
}

fn open<'a>(path: &'a Path, limits: &'a Limits) -> Result<Open<'a>, ShareError> {
    let broken = broken(path);
    let file = File::open(path).map_err(crate::store::StoreError::io("open", path))?;
    let size = file.metadata().map_err(&broken)?.len();
    let mut decoder = zstd::Decoder::new(file).map_err(&broken)?;
    // 128 MiB of window is what the format's own tools accept without being asked.
    decoder.window_log_max(27).map_err(&broken)?;
    let allowed = limits.bytes.min(size.saturating_mul(limits.ratio).saturating_add(SLACK));
    // Headers and padding come on top of the files.
    let overhead = (limits.files as u64).saturating_mul(1024).saturating_add(limits.manifest).min(SLACK);
    let left = allowed.saturating_add(overhead);
    Ok(Open { path, archive: tar::Archive::new(Capped { from: BufReader::new(decoder), left }), limits, allowed })
}

/// An entry's name, if its header and path are such as a bundle may have.
fn name_of<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String, ShareError> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let refuse = |why: &str| ShareError::Refused { entry: name.clone(), why: why.to_owned() };
    if entry.header().entry_type() != tar::EntryType::Regular || entry.header().as_ustar().is_none() {
        return Err(refuse("is not a plain file (links, folders, devices and extended headers are not accepted)"));
    }
    if std::str::from_utf8(&entry.path_bytes()).is_err() {
        return Err(refuse("has a path that is not UTF-8"));
    }
    match unsafe_because(&name) {
        Some(why) => Err(refuse(why)),
        None => Ok(name),
    }
}

/// The manifest that an entry holds, and its bytes.
fn manifest_in<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    name: &str,
    limits: &Limits,
    allowed: u64,
    broken: &dyn Fn(io::Error) -> ShareError,
) -> Result<(BundleManifest, Vec<u8>), ShareError> {
    let refuse = |why: &str| ShareError::Refused { entry: name.to_owned(), why: why.to_owned() };
    if name != MANIFEST {
        return Err(refuse("comes first, where manifest.json belongs"));
    }
    if entry.size() > limits.manifest {
        return Err(refuse("is too large"));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(broken)?;
    Ok((read_manifest(&text, limits, allowed)?, text))
}

impl Open<'_> {
    /// What the bundle says it holds, and the bytes of that.
    fn manifest(&mut self) -> Result<(BundleManifest, Vec<u8>), ShareError> {
        let broken = broken(self.path);
        let first = self.archive.entries().map_err(&broken)?.raw(true).next();
        let mut entry = first.unwrap_or_else(|| Err(io::Error::other("it is empty"))).map_err(&broken)?;
        let name = name_of(&entry)?;
        manifest_in(&mut entry, &name, self.limits, self.allowed, &broken)
    }
}

fn extract(path: &Path, room: &Path, limits: &Limits) -> Result<BundleManifest, ShareError> {
    let broken = broken(path);
    let Open { mut archive, allowed, .. } = open(path, limits)?;
    let mut manifest: Option<(BundleManifest, BTreeMap<String, BundleFile>)> = None;
    for entry in archive.entries().map_err(&broken)?.raw(true) {
        let mut entry = entry.map_err(&broken)?;
        let name = name_of(&entry)?;
        let refuse = |why: &str| ShareError::Refused { entry: name.clone(), why: why.to_owned() };
        let bytes = entry.size();
        match &mut manifest {
            None => {
                let (read, text) = manifest_in(&mut entry, &name, limits, allowed, &broken)?;
                write_new(&room.join(&name), &mut text.as_slice()).map_err(&broken)?;
                let files = read.files.iter().map(|f| (f.path.clone(), f.clone())).collect();
                manifest = Some((read, files));
            }
            Some((_, awaited)) => {
                let Some(file) = awaited.remove(&name) else {
                    return Err(refuse("is not in the manifest, or comes twice"));
                };
                if bytes != file.bytes {
                    return Err(refuse(&format!("has {bytes} bytes, and the manifest says {}", file.bytes)));
                }
                let place = room.join(&name);
                if let Some(folder) = place.parent() {
                    disk::make_folder(folder)?;
                }
                let digest = write_new(&place, &mut entry).map_err(&broken)?;
                if digest != file.blake3 {
                    return Err(refuse("does not have the contents that the manifest says"));
                }
            }
        }
    }
    let mut rest = Vec::new();
    archive.into_inner().take(1 << 20).read_to_end(&mut rest).map_err(&broken)?;
    if rest.iter().any(|b| *b != 0) {
        return Err(broken(io::Error::other("something follows its end")));
    }
    match manifest {
        None => Err(broken(io::Error::other("it is empty"))),
        Some((manifest, awaited)) => match awaited.into_keys().next() {
            Some(entry) => {
                Err(ShareError::Refused { entry, why: "is in the manifest and not in the bundle".to_owned() })
            }
            None => Ok(manifest),
        },
    }
}

/// Reads and judges a manifest before anything else is read.
fn read_manifest(text: &[u8], limits: &Limits, allowed: u64) -> Result<BundleManifest, ShareError> {
    let refuse = |entry: &str, why: String| ShareError::Refused { entry: entry.to_owned(), why };
    let manifest: BundleManifest =
        serde_json::from_slice(text).map_err(|e| refuse("manifest.json", format!("cannot be read: {e}")))?;
    if manifest.schema_version > BUNDLE_SCHEMA {
        let why = format!("has version {}, and this program reads up to {BUNDLE_SCHEMA}", manifest.schema_version);
        return Err(refuse("manifest.json", why));
    }
    if manifest.files.len() > limits.files {
        return Err(refuse("manifest.json", format!("announces {} files", manifest.files.len())));
    }
    if manifest.bytes() > allowed {
        return Err(refuse("manifest.json", format!("announces {} bytes, far more than it should", manifest.bytes())));
    }
    // Names that differ only in case, or a file where another has a folder, would meet on some file systems.
    let mut spelt: BTreeMap<String, String> = BTreeMap::new();
    let mut files: BTreeSet<String> = BTreeSet::from([MANIFEST.to_owned()]);
    for file in &manifest.files {
        if let Some(why) = unsafe_because(&file.path) {
            return Err(refuse(&file.path, why.to_owned()));
        }
        if !files.insert(fold(&file.path)) {
            return Err(refuse(&file.path, "is announced twice, or differs from another only in case".to_owned()));
        }
        for (at, _) in file.path.match_indices('/') {
            let folder = &file.path[..at];
            let known = spelt.entry(fold(folder)).or_insert_with(|| folder.to_owned());
            if known != folder {
                return Err(refuse(&file.path, format!("lies in a folder that `{known}` differs from only in case")));
            }
        }
    }
    if let Some(both) = files.iter().find(|f| spelt.contains_key(*f)) {
        return Err(refuse(both, "is both a file and a folder".to_owned()));
    }
    if !manifest.has(&manifest.main) {
        return Err(refuse(&manifest.main, "is the main file and not in the bundle".to_owned()));
    }
    Ok(manifest)
}

/// A name as a file system that does not tell case apart sees it.
fn fold(path: &str) -> String {
    path.nfkd().collect::<String>().to_lowercase().nfkc().collect()
}

/// Writes a file that must not exist, and gives its blake3.
fn write_new(path: &Path, from: &mut dyn Read) -> io::Result<String> {
    let mut file = File::create_new(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer)?;
        let Some(part) = buffer.get(..count).filter(|p| !p.is_empty()) else { break };
        hasher.update(part);
        file.write_all(part)?;
    }
    file.sync_all()?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Ends with an error, rather than go on, where a bomb would.
struct Capped<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other("it unpacks to far more than its size allows"))?;
        Ok(count)
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
