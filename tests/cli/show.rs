//! `exp show`.

use crate::support::Folder;

const FILE: &str = "param size : one of [tiny, small] = tiny  ## How large.\n\n\
                    model small : decoder {\n  layers = if size == tiny then 2 else 4\n  heads  = 4\n  width  = 16 * heads\n}\n\n\
                    model wide from small {\n  width = 128\n}\n";

#[test]
fn a_value_and_where_it_came_from() {
    let folder = Folder::with(&[("a.exp", FILE)]);
    assert_eq!(folder.exp("show a.exp small.width").code(0).out, "small.width = 64\n");
    let why = folder.exp("show a.exp wide.layers --why").code(0).out;
    assert!(why.starts_with("wide.layers = 2\n") && why.contains("from the item it amends, a.exp:4:"), "{why}");
    let set = folder.exp("show a.exp wide.heads --why --set wide.heads=8").code(0).out;
    assert!(set.contains("given by --set"), "{set}");
    let default = folder.exp("show a.exp wide.dropout --why").code(0).out;
    assert!(default.contains("the schema's default, std/prelude/model.exp:"), "{default}");
}

#[test]
fn an_item_shows_all_its_fields() {
    let folder = Folder::with(&[("a.exp", FILE)]);
    let ran = folder.exp("show a.exp small --format json").code(0).json();
    let values = ran["values"].as_array().unwrap();
    assert!(values.iter().any(|v| v["path"] == "small.heads" && v["value"] == 4 && v["line"] == 5), "{ran:#}");
    assert!(values.iter().all(|v| v["path"].as_str().unwrap().starts_with("small.")));
    assert!(folder.exp("show a.exp").out.contains("size"));
}

#[test]
fn a_misspelt_path_gets_a_suggestion() {
    let folder = Folder::with(&[("a.exp", FILE)]);
    let ran = folder.exp("show a.exp small.widht").code(2);
    assert!(ran.err.contains("did you mean `small.width`?"), "{}", ran.err);
    let ran = folder.exp("show a.exp smal --format json").code(2);
    assert_eq!(ran.json()["error"]["kind"], "unknown_name");
}

#[test]
fn a_broken_experiment_shows_its_problems() {
    let folder = Folder::with(&[("a.exp", "let a = 1 + \"b\"\n")]);
    assert!(folder.exp("show a.exp a").code(1).err.contains("error[E0311]"));
}

const CHAIN: &str = "experiment study {\n  seed = 3\n}\n\n\
                     dataset stories = text(\"x/*.txt\") |> shuffle() |> take(500 documents) |> shuffle(seed = 2)\n";

#[test]
fn the_experiment_has_its_kind_for_a_name() {
    let folder = Folder::with(&[("a.exp", CHAIN)]);
    let all = folder.exp("show a.exp experiment --why").code(0).out;
    assert!(all.contains("experiment.seed = 3\n  written here, a.exp:2:10"), "{all}");
    assert!(all.contains("experiment.language = 1\n  the schema's default, std/prelude/experiment.exp:"), "{all}");
    assert_eq!(folder.exp("show a.exp experiment.seed").code(0).out, "experiment.seed = 3\n");
    assert_eq!(folder.exp("show a.exp study.seed").code(0).out, "experiment.seed = 3\n");
    let set = folder.exp("show a.exp experiment.seed --set experiment.seed=7").code(0).out;
    assert_eq!(set, "experiment.seed = 7\n", "the path is that of --set");
    assert!(folder.exp("show a.exp experiment.sed").code(2).err.contains("did you mean `experiment.seed`?"));
}

#[test]
fn the_steps_between_may_be_left_out() {
    let folder = Folder::with(&[("a.exp", CHAIN)]);
    let shown = folder.exp("show a.exp stories.documents").code(0).out;
    assert_eq!(shown, "stories.input.documents = 500 documents\n");
    let several = folder.exp("show a.exp stories.seed").code(0).out;
    assert_eq!(several, "stories.seed = 2\n", "the last step has one itself");
    let deeper = folder.exp("show a.exp stories.license").code(0).out;
    assert_eq!(deeper, "stories.input.input.input.license = none\n");
}
