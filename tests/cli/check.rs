//! `exp check`.

use crate::support::Folder;
use serde_json::Value;

const MODEL: &str = "model teller : decoder {\n  layers = 6\n  heads  = 6\n  width  = 384\n}\n";

/// The codes of a JSON document, in order.
fn codes(document: &Value) -> Vec<&str> {
    document["problems"].as_array().unwrap().iter().filter_map(|p| p["code"].as_str()).collect()
}

#[test]
fn a_sound_file_says_so_on_stderr() {
    let folder = Folder::with(&[("a.exp", MODEL)]);
    let ran = folder.exp("check a.exp").code(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "a.exp: no problems\n"));
    assert_eq!(folder.exp("check -q a.exp").code(0).err, "");
    assert_eq!(codes(&folder.exp("check a.exp --format json").code(0).json()), [""; 0]);
}

#[test]
fn problems_come_with_a_picture_and_code_1() {
    let folder = Folder::with(&[("a.exp", &MODEL.replace("layers = 6", "layers = 0"))]);
    let ran = folder.exp("check a.exp").code(1);
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("error[E0401]"), "{}", ran.err);
    assert!(ran.err.contains("a.exp:2:12"), "{}", ran.err);
    assert!(ran.err.contains("1 problem (1 error); `exp explain E0401` says more"), "{}", ran.err);
    let concise = folder.exp("check a.exp --format concise").code(1);
    assert!(concise.err.starts_with("a.exp:2:12: error[E0401]: "), "{}", concise.err);
    let github = folder.exp("check a.exp --format github").code(1);
    assert!(github.out.starts_with("::error file=a.exp,line=2,"), "{}", github.out);
    let sarif: Value = serde_json::from_str(&folder.exp("check a.exp --format sarif").code(1).out).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "E0401");
}

#[test]
fn an_override_is_checked_as_if_it_stood_in_the_file() {
    let folder = Folder::with(&[("a.exp", MODEL)]);
    assert_eq!(folder.exp("check a.exp --set teller.layers=8").code(0).out, "");
    let wrong = folder.exp("check a.exp --set teller.layers=0 --format json").code(1).json();
    assert_eq!(codes(&wrong), ["E0401"]);
    let unknown = folder.exp("check a.exp --set teler.layers=8 --format json").code(1).json();
    assert_eq!(codes(&unknown), ["E0212"]);
    let malformed = folder.exp("check a.exp --set teller.layers").code(2);
    assert!(malformed.err.contains("path=value"), "{}", malformed.err);
}

#[test]
fn several_files_make_one_document() {
    let folder = Folder::with(&[
        ("one/a.exp", "use \"./shared.exp\" as shared\nlet x = shared.depth\n"),
        ("one/b.exp", "use \"./shared.exp\" as shared\nlet x = shared.depth\n"),
        ("one/shared.exp", "let depth = 6 * \"a\"\n"),
        ("one/.hidden/c.exp", "nonsense"),
    ]);
    let document = folder.exp("check one --format json").code(1).json();
    // The module that both use is wrong once.
    assert_eq!(codes(&document), ["E0311"]);
    assert_eq!(document["problems"][0]["labels"][0]["path"], "one/shared.exp");
}

#[test]
fn stdin_is_a_file() {
    let folder = Folder::new();
    assert_eq!(folder.exp_with("check -", MODEL).code(0).err, "<stdin>: no problems\n");
    let ran = folder.exp_with("check - --format concise", "let a = 1 + \"b\"\n").code(1);
    assert!(ran.err.starts_with("<stdin>:1:"), "{}", ran.err);
}

#[test]
fn a_file_that_cannot_be_read() {
    let folder = Folder::with(&[("storyteller.exp", MODEL), ("folder/a.txt", "")]);
    let ran = folder.exp("check storyteler.exp").code(1);
    assert!(ran.err.contains("error[E0001]"), "{}", ran.err);
    assert!(ran.err.contains("storyteller.exp"), "a near name is suggested: {}", ran.err);
    assert_eq!(codes(&folder.exp("check nothing.exp --format json").code(1).json()), ["E0001"]);
    assert!(folder.exp("check folder").code(2).err.contains("no `.exp` file below `folder`"));
    folder.write("latin.exp", b"let a = \"\xe9\"\n");
    folder.write("latin_1.exp", MODEL);
    let ran = folder.exp("check latin.exp --format json").code(1).json();
    assert_eq!(codes(&ran), ["E0001"]);
    let help = ran["problems"][0]["help"].as_str().unwrap();
    assert!(help.contains("save it as UTF-8"), "a file that exists is not another one: {help}");
    let folder = Folder::with(&[("one/a.exp", "use \"./two\" as two\n"), ("one/two/b.exp", MODEL)]);
    assert!(folder.exp("check one/a.exp").code(1).err.contains("name a file in it"));
}

#[test]
fn a_file_that_is_too_large() {
    let folder = Folder::new();
    folder.write("corpus.exp", "# text\n".repeat(3 << 20));
    assert_eq!(codes(&folder.exp("check corpus.exp --format json").code(1).json()), ["E0002"]);
}
