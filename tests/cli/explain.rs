//! `exp explain`.

use crate::support::Folder;
use emberlab::diagnostics::Code;

#[test]
fn every_code_is_listed_and_explained() {
    let folder = Folder::new();
    let listed = folder.exp("explain").code(0);
    assert_eq!(listed.out.lines().count(), Code::ALL.len());
    let document = folder.exp("explain --format json").code(0).json();
    assert_eq!(document["codes"].as_array().unwrap().len(), Code::ALL.len());
    let one = folder.exp("explain e0402").code(0);
    assert!(one.out.starts_with("E0402: constraint does not hold\n"), "{}", one.out);
    assert!(one.out.contains("How to fix"));
    assert_eq!(folder.exp("explain 402").out, one.out);
    assert_eq!(folder.exp("explain E0402 --format json").json()["code"], "E0402");
}

#[test]
fn a_code_that_does_not_exist() {
    let ran = Folder::new().exp("explain E0999").code(2);
    assert!(ran.err.contains("there is no code `E0999`"), "{}", ran.err);
    assert!(ran.err.contains("help:"), "{}", ran.err);
}
