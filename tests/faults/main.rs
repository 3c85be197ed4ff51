//! What the store survives: kills at any moment, full disks, and two processes at once.
//!
//! The tests start this same binary again as a victim; an environment variable tells it which part to play.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::exit,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test reads the tree, and fails by panicking"
)]
#![cfg(feature = "engine")]

mod disk_full;
mod kill;
mod signals;
mod together;

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Tells a victim what to do.
const PART: &str = "EMBERLAB_FAULT_PART";
/// Tells a victim where.
const PLACE: &str = "EMBERLAB_FAULT_PLACE";

/// Starts this binary again to play `part` in the folder `place`.
fn victim(part: &str, place: &Path) -> Child {
    let own = std::env::current_exe().expect("the test knows its own binary");
    Command::new(own)
        .args(["--exact", "victim_plays_its_part", "--nocapture", "--quiet"])
        .env(PART, part)
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the binary starts again")
}

/// Does nothing unless this process was started as a victim.
#[test]
fn victim_plays_its_part() {
    let (Ok(part), Ok(place)) = (std::env::var(PART), std::env::var(PLACE)) else { return };
    let place = Path::new(&place);
    match part.as_str() {
        "write" => kill::write_for_ever(place),
        "make" => together::make_slowly(place),
        "wait" => signals::work_until_asked(place),
        other => panic!("no part is called {other}"),
    }
}
