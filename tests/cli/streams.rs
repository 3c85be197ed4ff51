//! What goes where, and how commands end.

use crate::support::Folder;
use std::io::Read;
use std::process::Stdio;

#[test]
fn alone_it_says_what_there_is() {
    let ran = Folder::new().exp("").code(0);
    assert!(ran.out.contains("Usage: exp"), "{}", ran.out);
    assert!(ran.out.contains("explain"), "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn a_misspelt_verb_gets_a_suggestion() {
    let ran = Folder::new().exp("explian E0301").code(2);
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("'explain'"), "{}", ran.err);
}

#[test]
fn wrong_usage_is_a_document_with_json() {
    for words in ["--format json explian", "explain --format=json --nothing", "explain nonsense --format json"] {
        let ran = Folder::new().exp(words).code(2);
        assert!(ran.json()["error"]["message"].is_string(), "{}", ran.out);
        assert!(!ran.err.is_empty());
    }
}

#[test]
fn a_folder_that_is_not_there() {
    let ran = Folder::new().exp("-C nowhere explain").code(2);
    assert!(ran.err.contains("cannot go to the folder `nowhere`"), "{}", ran.err);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = Folder::new();
    let mut child = folder.command().arg("explain").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
    assert!(!err.contains("bug"), "{err}");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let folder = Folder::new();
    assert!(!folder.exp("explain E0301").out.contains('\u{1b}'));
    assert!(folder.exp("--color always explain E0301").out.contains('\u{1b}'));
    let ran = folder.command().args(["explain", "E0301"]).env("NO_COLOR", "1").output().unwrap();
    assert!(!ran.stdout.contains(&0x1b));
}
