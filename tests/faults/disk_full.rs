//! A disk that fills up, and one that may not be written.

use emberlab::store::{Check, Claim, Lab, ObjectKind, StoreError, disk};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

const HASH: &str = "8899aabbccddeeff";

/// A file system of its own with room for one MiB, if this process may make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().ok()?;
        let made = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|o| o.status.success());
        made.then_some(SmallDisk(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_spoils_nothing() {
    let Some(small) = SmallDisk::new() else {
        println!("skipped: this process may not mount a small disk");
        return;
    };
    let lab = Lab::open(small.path().join("lab")).unwrap();
    let record = small.path().join("record.json");
    disk::replace_bytes(&record, b"before").unwrap();
    let claim = lab.claim(ObjectKind::Dataset, HASH, "d", Check::Sizes, &mut |_| false).unwrap();
    let Claim::Build(draft) = claim else { panic!("nothing has been made") };
    fs::write(draft.files().join("data"), b"small").unwrap();
    // Fill it to the last byte.
    let filler = small.path().join("filler");
    let mut size = 2 << 20;
    while size > 0 {
        let mut bytes = fs::read(&filler).unwrap_or_default();
        bytes.resize(bytes.len() + size, 0);
        if fs::write(&filler, &bytes).is_err() {
            size /= 2;
        }
    }
    let error = disk::replace_bytes(&record, &[b'x'; 100_000]).unwrap_err().to_string();
    assert!(error.contains("free some space") && error.contains("intact"), "{error}");
    assert_eq!(fs::read(&record).unwrap(), b"before");
    let failed = draft.finish(json!({}));
    assert!(matches!(failed, Err(StoreError::Io { .. })), "there is no room for the manifest");
    assert!(lab.find(ObjectKind::Dataset, HASH, Check::Sizes).unwrap().is_none(), "and so no object");
    fs::remove_file(&filler).unwrap();
    let Claim::Build(draft) = lab.claim(ObjectKind::Dataset, HASH, "d", Check::Sizes, &mut |_| false).unwrap() else {
        panic!("nothing has been made")
    };
    fs::write(draft.files().join("data"), b"small").unwrap();
    draft.finish(json!({})).unwrap();
}

#[test]
fn a_lab_that_cannot_be_made_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Lab::open(file.join("lab")).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }) && error.to_string().contains("lab"), "{error}");
}
