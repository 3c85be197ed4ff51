//! Bundling an experiment, what it reads and what came out of it.
//!
//! The same contents give the same bytes: entries are sorted, nothing of the machine or the hour goes in, and the
//! compressor runs on one thread.

use super::crate_metadata::{self, About};
use super::error::ShareError;
use super::lock::{Lock, others};
use super::manifest::{BUNDLE_SCHEMA, BundleFile, BundleManifest};
use super::unpack::unsafe_because;
use crate::plan::Plan;
use crate::store::{Curve, Environment, Record, StoreError, disk};
use indexmap::IndexMap;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Compression that pays for text without making large data tedious.
const ZSTD_LEVEL: i32 = 12;

/// Bytes of published weights that a bundle takes. What is larger is better fetched from where it is published; the bundle's
/// lock says which files they must be.
const MOST_WEIGHTS: u64 = 2 << 30;

/// What goes into a bundle.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    pub plan: &'a Plan,
    pub lock: &'a Lock,
    /// The main file first, then its modules; the library's own files are part of the program and stay out.
    pub sources: &'a [SourceText],
    pub overrides: &'a [(String, String)],
    /// Whether the data files go in, and with them those of published networks and tokenizers.
    pub data: bool,
    /// The run to reproduce, with its curves.
    pub record: Option<(&'a Record, &'a IndexMap<String, Curve>)>,
    pub environment: Option<&'a Environment>,
    /// For the crate's metadata: `2026-11-24`.
    pub date: &'a str,
}

/// A file of the experiment, as it was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceText {
    /// As the world names it.
    pub path: String,
    pub text: String,
}

/// Where the bytes of an entry come from.
enum Bytes {
    Here(Vec<u8>),
    File(PathBuf),
}

/// Writes the bundle to `target`. Relative paths of the plan and the sources are seen from `root`.
///
/// # Errors
/// When a file has changed since the plan, cannot be named in a bundle, or the bundle cannot be written; a bundle that
/// was there then stays.
pub fn pack(contents: &Contents<'_>, root: &Path, target: &Path) -> Result<BundleManifest, ShareError> {
    let (mut entries, main) = experiment(contents, root)?;
    entries.insert("plan.json".to_owned(), json(contents.plan)?);
    if let Some((record, curves)) = contents.record {
        entries.insert("record.json".to_owned(), json(record)?);
        entries.insert("curves.json".to_owned(), json(curves)?);
    }
    if let Some(environment) = contents.environment {
        // The name of a private machine is nobody else's business.
        let environment = Environment { host: String::new(), ..environment.clone() };
        entries.insert("environment.json".to_owned(), json(&environment)?);
    }
    let mut files = entries.iter().map(|(path, bytes)| describe(path, bytes)).collect::<Result<Vec<_>, _>>()?;
    let about = About {
        plan: contents.plan,
        lock: contents.lock,
        main: &main,
        record: contents.record.map(|r| r.0),
        date: contents.date,
    };
    let metadata = json(&crate_metadata::write(&about, &files))?;
    files.push(describe(crate_metadata::NAME, &metadata)?);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    entries.insert(crate_metadata::NAME.to_owned(), metadata);
    let manifest = BundleManifest {
        schema_version: BUNDLE_SCHEMA,
        experiment: contents.plan.name.clone(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        main,
        plan_hash: contents.plan.hash.value().cloned().unwrap_or_default(),
        overrides: contents.overrides.to_vec(),
        data: contents.data,
        run: contents.record.map(|(record, _)| record.run.clone()),
        files,
    };
    let first = to_json(&manifest)?;
    disk::replace(target, |out| {
        let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
        encoder.include_checksum(true)?;
        let mut archive = tar::Builder::new(encoder);
        append(&mut archive, "manifest.json", first.len() as u64, &mut first.as_slice())?;
        for file in &manifest.files {
            match entries.get(&file.path) {
                Some(Bytes::Here(bytes)) => append(&mut archive, &file.path, file.bytes, &mut bytes.as_slice())?,
                Some(Bytes::File(place)) => append(&mut archive, &file.path, file.bytes, &mut File::open(place)?)?,
                None => {}
            }
        }
        archive.into_inner()?.finish()?.flush()
    })?;
    Ok(manifest)
}

/// The experiment's own files, its lock and its data under `experiment/`, laid out as they lie on disk, so that the
/// experiment's relative paths hold; and the path of the main file.
fn experiment(contents: &Contents<'_>, root: &Path) -> Result<(BTreeMap<String, Bytes>, String), ShareError> {
    let mut placed: Vec<(Vec<String>, Bytes)> = Vec::new();
    for source in contents.sources {
        placed.push((parts(root, &source.path)?, Bytes::Here(source.text.clone().into_bytes())));
    }
    let Some(main) = placed.first().map(|(path, _)| path.clone()) else { return Err(ShareError::Scattered) };
    if contents.data {
        for input in &contents.lock.inputs {
            if input.written.starts_with('/') {
                return Err(ShareError::AbsolutePath(input.written.clone()));
            }
        }
        let weights: u64 = contents.plan.stages.iter().flat_map(|s| &s.inputs).map(|input| input.bytes).sum();
        if weights > MOST_WEIGHTS {
            return Err(ShareError::LargeWeights { bytes: weights, most: MOST_WEIGHTS });
        }
        let data = contents.plan.datasets.iter().flat_map(|d| &d.inputs);
        for input in data.chain(others(contents.plan).map(|(_, input)| input)) {
            let place = root.join(&input.path);
            let (digest, bytes) = disk::fingerprint(&place)?;
            if (&digest, bytes) != (&input.digest, input.bytes) {
                return Err(ShareError::Changed { path: input.path.clone() });
            }
            placed.push((parts(root, &input.path)?, Bytes::File(place)));
        }
    }
    let mut lock = main.clone();
    if let Some(name) = lock.last_mut() {
        name.push_str(".lock");
    }
    placed.push((lock, Bytes::Here(contents.lock.text().into_bytes())));
    // The folder that holds everything is left out of the names.
    let shared = placed.iter().fold(usize::MAX, |shared, (path, _)| {
        let alike = main.iter().zip(path).take_while(|(a, b)| a == b).count();
        shared.min(alike).min(path.len().saturating_sub(1))
    });
    let name = |path: &[String]| format!("experiment/{}", path.get(shared..).unwrap_or_default().join("/"));
    let main = name(&main);
    Ok((placed.into_iter().map(|(path, bytes)| (name(&path), bytes)).collect(), main))
}

/// The parts of an absolute path, without `.` and `..`.
fn parts(root: &Path, path: &str) -> Result<Vec<String>, ShareError> {
    let refuse = |why: &str| ShareError::Unpackable { path: path.to_owned(), why: why.to_owned() };
    let whole = std::path::absolute(root.join(path)).map_err(|e| refuse(&e.to_string()))?;
    let text = whole.to_str().ok_or_else(|| refuse("its name is not UTF-8"))?.replace('\\', "/");
    Ok(crate::source::path::normal(&text).split('/').filter(|p| !p.is_empty()).map(str::to_owned).collect())
}

fn describe(path: &str, bytes: &Bytes) -> Result<BundleFile, ShareError> {
    if let Some(why) = unsafe_because(path) {
        return Err(ShareError::Unpackable { path: path.to_owned(), why: why.to_owned() });
    }
    let (blake3, bytes) = match bytes {
        Bytes::Here(bytes) => (blake3::hash(bytes).to_hex().to_string(), bytes.len() as u64),
        Bytes::File(place) => disk::fingerprint(place)?,
    };
    Ok(BundleFile { path: path.to_owned(), bytes, blake3 })
}

/// Appends one file with exactly `size` bytes, with nothing of the machine or the hour in its header.
fn append<W: Write>(archive: &mut tar::Builder<W>, path: &str, size: u64, from: &mut dyn Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    let mut exact = Exact { from, left: size };
    archive.append(&header, &mut exact)?;
    if exact.left > 0 {
        return Err(io::Error::other(format!("`{path}` became shorter while it was packed")));
    }
    Ok(())
}

/// Reads so many bytes and no more, so that a file that grows does not upset the archive.
struct Exact<'a> {
    from: &'a mut dyn Read,
    left: u64,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.from.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

fn json<T: Serialize>(value: &T) -> Result<Bytes, ShareError> {
    to_json(value).map(Bytes::Here)
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, ShareError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| StoreError::malformed(Path::new("the bundle"), e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::share::lock::tests::example;
    use crate::store::run_tests::{environment, record};

    /// Packs the example experiment, whose data and main file lie in `root/lab`.
    pub(crate) fn packed(root: &Path, target: &Path, data: bool) -> Result<BundleManifest, ShareError> {
        std::fs::create_dir_all(root.join("lab/data")).unwrap();
        std::fs::write(root.join("lab/data/a.txt"), "once").unwrap();
        let plan = example("once");
        let lock = Lock::of(&plan, "lab", &BTreeMap::new());
        let sources = [
            SourceText { path: "lab/storyteller.exp".into(), text: "experiment storyteller {}\n".into() },
            SourceText { path: "lab/parts/prompts.exp".into(), text: "# prompts\n".into() },
        ];
        let (record, environment) = (record("20261124-081530-able-agate-acorn", 2.0), environment());
        let curves = IndexMap::new();
        let contents = Contents {
            plan: &plan,
            lock: &lock,
            sources: &sources,
            overrides: &[("size".into(), "small".into())],
            data,
            record: Some((&record, &curves)),
            environment: Some(&environment),
            date: "2026-11-24",
        };
        pack(&contents, root, target)
    }

    #[test]
    fn the_same_contents_give_the_same_bytes_wherever_they_lie() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (a.path().join("x.tar.zst"), b.path().join("y.tar.zst"));
        packed(a.path(), &first, true).unwrap();
        packed(b.path(), &second, true).unwrap();
        assert_eq!(std::fs::read(first).unwrap(), std::fs::read(second).unwrap());
    }

    #[test]
    fn the_manifest_names_all_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = packed(folder.path(), &folder.path().join("x.tar.zst"), true).unwrap();
        let paths: Vec<&str> = manifest.files.iter().map(|f| f.path.as_str()).collect();
        let expected = [
            "curves.json",
            "environment.json",
            "experiment/data/a.txt",
            "experiment/parts/prompts.exp",
            "experiment/storyteller.exp",
            "experiment/storyteller.exp.lock",
            "plan.json",
            "record.json",
            "ro-crate-metadata.json",
        ];
        assert_eq!(paths, expected);
        assert_eq!(manifest.main, "experiment/storyteller.exp");
        let without = packed(folder.path(), &folder.path().join("x.tar.zst"), false).unwrap();
        assert!(!without.has("experiment/data/a.txt") && !without.data);
    }

    #[test]
    fn data_that_changed_since_the_plan_is_not_packed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x.tar.zst");
        packed(folder.path(), &target, true).unwrap();
        let before = std::fs::read(&target).unwrap();
        let plan = example("twice");
        let lock = Lock::of(&plan, "lab", &BTreeMap::new());
        let sources = [SourceText { path: "lab/storyteller.exp".into(), text: String::new() }];
        let contents = Contents {
            plan: &plan,
            lock: &lock,
            sources: &sources,
            overrides: &[],
            data: true,
            record: None,
            environment: None,
            date: "2026-11-24",
        };
        let error = pack(&contents, folder.path(), &target).unwrap_err();
        assert!(error.to_string().contains("`lab/data/a.txt` has changed"), "{error}");
        assert_eq!(std::fs::read(&target).unwrap(), before);
    }
}
