//! Stopping on request.

use crate::victim;
use emberlab::run::signals::{STOPPED, Stop};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The victim: works until it is asked to stop, and then takes as long to save as the test lets it.
pub fn work_until_asked(place: &Path) {
    let stop = Stop::on_signals().unwrap();
    fs::write(place.join("ready"), b"").unwrap();
    while !stop.asked() {
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(place.join("asked"), stop.name()).unwrap();
    while !place.join("save").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::process::exit(STOPPED);
}

#[cfg(unix)]
fn send(signal: i32, child: &std::process::Child) {
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

fn wait_for(path: &Path) {
    let begin = Instant::now();
    // The file is written a moment after it is made.
    while fs::read(path).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(20));
}

#[cfg(unix)]
#[test]
fn the_first_signal_asks_and_the_second_ends() {
    for (signal, name) in [(libc::SIGINT, "SIGINT"), (libc::SIGTERM, "SIGTERM"), (libc::SIGUSR1, "SIGUSR1")] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = victim("wait", folder.path());
        wait_for(&folder.path().join("ready"));
        send(signal, &child);
        wait_for(&folder.path().join("asked"));
        assert_eq!(fs::read_to_string(folder.path().join("asked")).unwrap(), name);
        assert!(child.try_wait().unwrap().is_none(), "one signal ends nothing");
        fs::write(folder.path().join("save"), b"").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(75));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = victim("wait", folder.path());
    wait_for(&folder.path().join("ready"));
    send(libc::SIGINT, &child);
    wait_for(&folder.path().join("asked"));
    send(libc::SIGINT, &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
