//! `exp init` and `exp completions`.

use crate::support::Folder;

#[test]
fn a_first_experiment_is_written_once() {
    let folder = Folder::new();
    let ran = folder.exp("init my-study").code(0);
    assert_eq!(ran.out, "my-study/my_study.exp\nmy-study/.gitignore\n");
    assert!(folder.read("my-study/my_study.exp").contains("experiment my_study {"));
    let ignore = folder.read("my-study/.gitignore");
    assert!(ignore.lines().any(|l| l == "!*.exp") && ignore.lines().any(|l| l == ".emberlab/"));
    let again = folder.exp("init my-study").code(2);
    assert!(again.err.contains("already exists"), "{}", again.err);
}

#[test]
fn the_first_experiment_is_sound() {
    let folder = Folder::new();
    folder.exp("init study").code(0);
    assert!(folder.exp("check --pedantic study").code(0).err.contains("no problems"));
    folder.exp("fmt --check study").code(0);
    let plan = folder.exp("plan study/study.exp --format json").code(0).json();
    assert_eq!(plan["experiment"], "study");
    assert_eq!(plan["stages"][0]["name"], "pretrain");
}

#[test]
fn a_word_of_the_language_names_no_experiment() {
    for word in ["in", "and", "not", "for", "model"] {
        let folder = Folder::new();
        let ran = folder.exp(&format!("init {word}")).code(0);
        assert_eq!(ran.out, format!("{word}/first_experiment.exp\n{word}/.gitignore\n"));
        assert!(ran.err.contains(&format!("`{word}` is a word of the language")), "{}", ran.err);
        folder.exp(&format!("check {word}")).code(0);
    }
}

#[test]
fn an_ignore_file_is_left_alone() {
    let folder = Folder::with(&[("a/.gitignore", "target\n")]);
    let ran = folder.exp("init a --format json").code(0);
    assert_eq!(ran.json()["written"].as_array().unwrap().len(), 1);
    assert_eq!(folder.read("a/.gitignore"), "target\n");
    assert!(ran.err.contains("!*.exp"), "{}", ran.err);
}

#[test]
fn shells_get_their_scripts() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = Folder::new().exp(&format!("completions {shell}")).code(0);
        assert!(ran.out.contains("explain"), "{shell}");
    }
}
