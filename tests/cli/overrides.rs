//! `--set`, and the paths that it takes.

use crate::support::Folder;
use serde_json::Value;

const FILE: &str = r#"experiment study {
  seed = 1
}

dataset stories = text("x/*.txt")
  |> shuffle()
  |> take(500 documents)
  |> keep(d => d.words > 3)
  |> shuffle(seed = 3)
  |> split(train = 90%, valid = 10%)

dataset questions = jsonl("q.jsonl", prompt = "question", response = "answer")

tokenizer words : bpe {
  train_on = stories.train
}

model teller : decoder {
  layers = 2
  heads  = 2
  width  = 64
}

stage pretrain : next_token {
  model     = teller
  tokenizer = words
  data      = stories.train
  budget    = 100 steps
}

stage tuned : sft {
  init   = pretrain
  data   = questions
  budget = 1 epoch
}

eval answers {
  of      = tuned
  on      = questions
  metrics = [rouge_l, exact_match]
}
"#;

/// The one problem that `--set` makes.
fn problem(set: &str) -> Value {
    let folder = Folder::with(&[("a.exp", FILE)]);
    let output = folder.command().args(["check", "a.exp", "--format", "json", "--set", set]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = document["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{set}: {problems:#?}");
    problems[0].clone()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().filter_map(|edit| edit["edits"][0]["new_text"].as_str()).collect()
}

/// The text under the first label, which must lie in the override.
fn blamed(set: &str, problem: &Value) -> String {
    let label = &problem["labels"][0];
    assert_eq!(label["path"], "--set", "{set}: {problem:#}");
    let start = label["column"].as_u64().unwrap() as usize - 1;
    let end = label["end_column"].as_u64().unwrap() as usize - 1;
    set.chars().skip(start).take(end - start).collect()
}

#[test]
fn a_path_that_names_nothing_gets_paths_that_do() {
    for (set, near) in [
        ("seed=3", &["experiment.seed", "pretrain.seed", "tuned.seed"][..]),
        ("lr=1e-3", &["pretrain.optimizer.lr", "tuned.optimizer.lr"]),
        ("learning_rate=1e-3", &["pretrain.optimizer.lr", "tuned.optimizer.lr"]),
        ("layers=3", &["teller.layers"]),
        ("teler.layers=3", &["teller.layers"]),
        ("laers=3", &["teller.layers"]),
        ("documents=3 documents", &["stories.documents"]),
    ] {
        let found = problem(set);
        assert_eq!(found["code"], "E0212", "{set}");
        assert_eq!(texts(&found["fixes"]), near, "{set}: {found:#}");
        assert_eq!(blamed(set, &found), set.split('=').next().unwrap());
    }
}

#[test]
fn an_error_points_at_the_override_first() {
    for (set, code, place) in [
        ("teller.layers=0", "E0401", "0"),
        ("teller.width=65", "E0402", "65"),
        ("pretrain.optimizer.lr=100", "E0401", "100"),
        ("pretrain.optimizer=adamw(lr = 100)", "E0401", "100"),
        ("pretrain.optimizer.beta3=0.5", "E0308", "beta3"),
        ("pretrain.lr=1e-3", "E0318", "lr"),
        ("pretrain.budget=ten", "E0201", "ten"),
        ("pretrain.budget=10", "E0313", "10"),
        ("pretrain.schedule=cosine(warmup = 200 steps)", "E0612", "200 steps"),
        ("pretrain.schedule.warmup=200 steps", "E0612", "200 steps"),
        ("pretrain.schedule.warmup=150%", "E0401", "150%"),
        ("answers.metrics=[perplexity]", "E0606", "perplexity"),
        ("answers.metrics=[rouge_l, preference_gap]", "E0606", "preference_gap"),
        ("tuned.init=pretrained", "E0304", "pretrained"),
        ("stories.documents=0 documents", "E0401", "0 documents"),
        ("stories.docments=3", "E0301", "docments"),
    ] {
        let found = problem(set);
        assert_eq!((found["code"].as_str().unwrap(), blamed(set, &found).as_str()), (code, place), "{set}: {found:#}");
    }
    let renamed = problem("pretrain.lr=1e-3");
    assert_eq!(texts(&renamed["fixes"]), ["optimizer.lr"], "the edit is one of the path");
    let long = problem("teller.width=65");
    assert!(long["labels"].as_array().unwrap().iter().any(|l| l["path"] == "std/prelude/model.exp"), "{long:#}");
}

#[test]
fn the_steps_of_a_dataset_may_be_left_out() {
    let folder = Folder::with(&[("a.exp", FILE)]);
    let shown = |set: &str, path: &str| {
        let output = folder.command().args(["show", "a.exp", path, "--set", set]).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let full = "stories.input.input.input.documents = 7 documents\n";
    assert_eq!(shown("stories.documents=7 documents", "stories.documents"), full);
    assert_eq!(shown("stories.input.input.input.documents=7 documents", "stories.documents"), full);
    assert_eq!(shown("stories.by=order", "stories.by"), "stories.by = order\n");
    let several = problem("stories.seed=7");
    assert_eq!(several["code"], "E0207");
    let help = several["help"].as_str().unwrap();
    assert_eq!(help, "write `stories.input.seed` or `stories.input.input.input.input.seed`");
}

#[test]
fn an_axis_of_a_sweep_takes_the_same_paths() {
    let sweep = |path: &str| {
        let axes = format!("\nsweep sizes {{\n  over {{ {path} in [100 documents, 200 documents] }}\n");
        Folder::with(&[("a.exp", &format!("{FILE}{axes}  minimize = pretrain.train.loss\n}}\n"))])
    };
    sweep("stories.documents").exp("check a.exp").code(0);
    assert!(sweep("stories.docments").exp("check a.exp").code(1).err.contains("did you mean `documents`?"));
    let several = sweep("stories.seed").exp("check a.exp").code(1).err;
    assert!(several.contains("error[E0207]") && several.contains("`stories.input.seed` or"), "{several}");
}

#[test]
fn settings_in_the_style_of_other_tools_are_told_ours() {
    let folder = Folder::with(&[("a.exp", FILE)]);
    let hydra = folder.exp("plan a.exp teller.layers=2").code(2).err;
    assert!(hydra.contains("fields are set with `--set teller.layers=2`"), "{hydra}");
    let flag = folder.exp("plan a.exp --epochs 3").code(2).err;
    assert!(flag.contains("`--set path=value`") && !flag.contains("-- --epochs"), "{flag}");
    let near = folder.exp("plan a.exp --untill pretrain").code(2).err;
    assert!(near.contains("'--until'") && !near.contains("--set path"), "{near}");
    let verb = folder.exp("train a.exp").code(2).err;
    assert!(verb.contains("`exp run` does that"), "{verb}");
}
