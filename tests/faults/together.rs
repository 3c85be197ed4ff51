//! Several processes that need the same work.

use crate::victim;
use emberlab::store::{Check, Claim, Lab, ObjectKind};
use serde_json::json;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const HASH: &str = "0011223344556677";

/// The victim: needs one object, and writes down if it was the one to make it.
pub fn make_slowly(place: &Path) {
    let lab = Lab::open(place.join("lab")).unwrap();
    let claim = lab.claim(ObjectKind::Stage, HASH, "shared", Check::Contents, &mut |_| true).unwrap();
    if let Claim::Build(draft) = claim {
        let mut log = File::options().append(true).create(true).open(place.join("makers")).unwrap();
        writeln!(log, "{}", std::process::id()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        fs::write(draft.files().join("weights"), b"weights").unwrap();
        draft.finish(json!({})).unwrap();
    }
}

#[test]
fn of_five_processes_one_makes_and_the_others_wait() {
    let folder = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..5).map(|_| victim("make", folder.path())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(folder.path().join("makers")).unwrap().lines().count(), 1);
    let lab = Lab::open(folder.path().join("lab")).unwrap();
    assert!(lab.find(ObjectKind::Stage, HASH, Check::Contents).unwrap().is_some());
}

#[test]
fn when_the_maker_is_killed_another_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let makers = folder.path().join("makers");
    let mut first = victim("make", folder.path());
    while !makers.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut second = victim("make", folder.path());
    std::thread::sleep(Duration::from_millis(50));
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(second.wait().unwrap().success());
    assert_eq!(fs::read_to_string(makers).unwrap().lines().count(), 2);
}
