//! `exp test`.

use crate::support::Folder;

#[test]
fn lines_say_what_they_expect() {
    let folder =
        Folder::with(&[("a.exp", "let a = 1 + \"b\"  # error: E0311\n\n# error: E0201\nlet c = missing\nlet d = 2\n")]);
    let ran = folder.exp("test a.exp").code(0);
    assert_eq!(ran.out, "ok      a.exp\n1 passed, 0 failed\n");
}

#[test]
fn what_is_not_expected_fails() {
    let folder = Folder::with(&[("a.exp", "let a = 1  # error: E0311\nlet b = missing\n")]);
    let ran = folder.exp("test a.exp").code(1);
    assert!(ran.out.contains("line 1: expected E0311"), "{}", ran.out);
    assert!(ran.out.contains("line 2: E0201: "), "{}", ran.out);
    assert!(ran.out.ends_with("0 passed, 1 failed\n"), "{}", ran.out);
    assert!(ran.err.contains("error[E0201]"), "{}", ran.err);
    let document = folder.exp("test a.exp --format json").code(1).json();
    assert_eq!(document["failed"], 1);
}

#[test]
fn examples_in_documentation_are_run() {
    let text = "## How deep.\n##\n## ```exp\n## let depth = 6\n## ```\n##\n## ```exp\n## let depth = missing\n## ```\nlet depth = 6\n";
    let folder = Folder::with(&[("a.exp", text)]);
    let ran = folder.exp("test a.exp").code(1);
    assert!(ran.out.ends_with("2 passed, 1 failed\n"), "{}", ran.out);
}
