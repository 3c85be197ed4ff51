//! Writing so that a kill at any moment leaves the previous state readable: temporary name, flush, rename.

use super::error::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Replaces `path` by what `write` writes, or leaves it exactly as it was.
///
/// # Errors
/// When the file cannot be written, flushed or renamed; the temporary file is removed.
pub fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), StoreError> {
    let temporary = temporary_beside(path);
    let made = File::create_new(&temporary).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)
    });
    if let Err(error) = made {
        // The first error is the one worth reporting; a leftover is removed by `prune`.
        let _ = fs::remove_file(&temporary);
        return Err(StoreError::io("write", path)(error));
    }
    if let Some(folder) = path.parent() {
        sync_folder(folder);
    }
    Ok(())
}

/// [`replace`] with these bytes.
pub fn replace_bytes(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    replace(path, |out| out.write_all(bytes))
}

/// [`replace`] with `value` as indented JSON and a line break.
pub fn replace_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    replace(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
        out.write_all(b"\n")
    })
}

/// Reads a JSON document.
///
/// # Errors
/// When the file cannot be read, or is not what `T` expects.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, StoreError> {
    let bytes = fs::read(path).map_err(StoreError::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|e| StoreError::malformed(path, e))
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::io("make the folder", path))
}

/// Removes a folder with all in it; one that is not there is fine.
pub fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Makes renames in `folder` durable. File systems that cannot flush a folder are left alone: there the rename is still
/// atomic, only its moment is not known.
pub fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let _ = File::open(folder).and_then(|f| f.sync_all());
    }
    #[cfg(not(unix))]
    let _ = folder;
}

/// Every regular file under `root`, as sorted relative paths with `/`, and its size in bytes. Links are errors: nothing
/// in the store is one.
pub fn files_under(root: &Path) -> Result<Vec<(String, u64)>, StoreError> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(StoreError::io("list", &folder))?;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", &folder))?;
            let path = entry.path();
            let name =
                entry.file_name().into_string().map_err(|_| StoreError::malformed(&path, "the name is not UTF-8"))?;
            let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let meta = fs::symlink_metadata(&path).map_err(StoreError::io("look at", &path))?;
            if meta.is_dir() {
                folders.push((path, relative));
            } else if meta.is_file() {
                found.push((relative, meta.len()));
            } else {
                return Err(StoreError::malformed(&path, "it is neither a file nor a folder"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes of the regular files under `root`; what cannot be read counts nothing.
pub fn size_of(root: &Path) -> u64 {
    files_under(root).map(|files| files.iter().map(|f| f.1).sum()).unwrap_or(0)
}

/// blake3 of a file's contents in hex, read as a stream, and its size.
pub fn fingerprint(path: &Path) -> Result<(String, u64), StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(StoreError::io("read", path))?;
    Ok((hasher.finalize().to_hex().to_string(), hasher.count()))
}

/// A name in the same folder, so that the rename stays on one file system; no other writer uses it.
fn temporary_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}.{count}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        replace_bytes(&path, b"old").unwrap();
        let error = replace(&path, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.to_string().contains("free some space"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(files_under(folder.path()).unwrap(), [("record.json".into(), 3)]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("out")).unwrap();
        assert!(files_under(folder.path()).unwrap_err().to_string().contains("neither a file nor a folder"));
    }
}
