//! `exp fmt`.

use crate::support::Folder;

const MESSY: &str = "let  a=1   # kept\nmodel m : decoder {layers=6\n heads=6\n   width=384 }\n";

#[test]
fn a_file_is_laid_out_once() {
    let folder = Folder::with(&[("a.exp", MESSY), ("b/c.exp", "let b = 2\n")]);
    let check = folder.exp("fmt --check .").code(1);
    assert_eq!(check.out, "a.exp\n");
    assert_eq!(folder.read("a.exp"), MESSY, "--check changes nothing");
    let ran = folder.exp("fmt .").code(0);
    assert_eq!(ran.out, "a.exp\n");
    let after = folder.read("a.exp");
    assert!(after.contains("# kept") && after != MESSY, "{after}");
    assert_eq!(folder.exp("fmt --check .").code(0).out, "");
    assert_eq!(folder.exp("fmt .").code(0).out, "");
    assert_eq!(folder.read("a.exp"), after);
}

#[test]
fn stdin_goes_to_stdout() {
    let folder = Folder::new();
    assert_eq!(folder.exp_with("fmt -", "let  a=1\n").code(0).out, "let a = 1\n");
    assert_eq!(folder.exp_with("fmt - --check", "let  a=1\n").code(1).out, "<stdin>\n");
}

#[test]
fn a_broken_file_is_refused_and_the_others_are_not() {
    let broken = "model m : decoder {\n  layers = [1,\n";
    let folder = Folder::with(&[("a.exp", broken), ("b.exp", "let  b=2\n")]);
    let ran = folder.exp("fmt a.exp b.exp missing.exp").code(1);
    assert_eq!(folder.read("a.exp"), broken);
    assert_eq!(folder.read("b.exp"), "let b = 2\n");
    assert!(ran.err.contains("a.exp:") && ran.err.contains("`missing.exp` cannot be read"), "{}", ran.err);
    let document = folder.exp("fmt a.exp b.exp --format json").code(1).json();
    assert_eq!(document["files"][0]["path"], "b.exp");
    assert_eq!(document["files"][0]["changed"], false);
}

#[cfg(unix)]
#[test]
fn a_link_and_the_permissions_stay() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::with(&[("real/a.exp", "let  a=1\n")]);
    std::fs::set_permissions(folder.path("real/a.exp"), std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real/a.exp", folder.path("a.exp")).unwrap();
    folder.exp("fmt a.exp").code(0);
    assert!(folder.path("a.exp").is_symlink());
    assert_eq!(folder.read("real/a.exp"), "let a = 1\n");
    let mode = std::fs::metadata(folder.path("real/a.exp")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(folder.path("real")).unwrap().count(), 1, "no temporary file is left");
}
