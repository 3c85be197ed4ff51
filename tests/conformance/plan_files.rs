//! Experiments as people write them, through the whole language.

use emberlab::check::{Options, check_file};
use emberlab::diagnostics::Code;
use emberlab::plan::{Known, Plan, Selection, plan, why};
use emberlab::source::{MemoryWorld, disk::DiskWorld};

const TINY: &str = r#"
experiment tiny {
  seed = 7
}

dataset stories = text("stories/*.txt", license = "CC0-1.0")
  |> keep(doc => doc.words > 3, because = "too short")
  |> split(train = 90%, valid = 10%)

tokenizer words : bpe {
  train_on = stories.train
  vocab    = 512
}

model teller : decoder {
  layers  = 2
  heads   = 4
  width   = 64
  context = 128 tokens
}

stage pretrain : next_token {
  model     = teller
  tokenizer = words
  data      = stories.train
  budget    = 1M tokens
  batch     = 4_096 tokens
  validate  = every(100 steps, on = stories.valid)
  keep      = best(by = valid.loss)
}

eval fluency { of = pretrain, on = stories.valid, metrics = [perplexity] }

expect fluency.perplexity < 30
"#;

fn planned_at(path: &str, text: &str) -> Plan {
    let mut world = MemoryWorld::with(path, text);
    let folder = emberlab::source::path::folder(path).to_owned();
    world.insert(&emberlab::source::path::join(&folder, "stories/a.txt"), "Once there was a fox.");
    let (checked, problems) = check_file(&world, path, &Options::default());
    assert!(!problems.any_error(), "{problems:#?}");
    plan(&checked, &world, &Selection::default()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[track_caller]
fn same(changed: &str) {
    let (before, now) = (planned_at("tiny.exp", TINY), planned_at("tiny.exp", changed));
    assert!(before.hash.value().is_some());
    assert_eq!(before.hash, now.hash);
}

#[test]
fn form_means_nothing() {
    same(&TINY.replace("  ", " ").replace("= 512", "=   0512"));
    same(&format!("# A comment.\n\n{}", TINY.replace("experiment tiny", "## Documentation.\nexperiment tiny")));
    same(&TINY.replace("1M tokens", "1_000_000 tokens").replace("90%", "0.9").replace("10%", "0.1"));
    same(&TINY.replace("layers  = 2\n  heads   = 4", "heads   = 4\n  layers  = 2"));
}

#[test]
fn a_let_or_a_param_means_nothing() {
    same(&TINY.replace("width   = 64", "width   = size").replace("model teller", "let size = 64\nmodel teller"));
    same(
        &TINY.replace("width   = 64", "width   = size").replace("model teller", "param size : Int = 64\nmodel teller"),
    );
}

#[test]
fn amending_means_the_same_as_writing_out() {
    let amended = TINY
        .replace("model teller : decoder {\n  layers  = 2", "model base : decoder {\n  layers  = 9")
        .replace("tokenizer words", "model teller from base {\n  layers = 2\n}\n\ntokenizer words");
    same(&amended);
}

#[test]
fn names_and_places_mean_nothing() {
    same(
        &TINY
            .replace("teller", "net")
            .replace("pretrain", "first")
            .replace("stories.", "tales.")
            .replace("stories =", "tales ="),
    );
    let (here, there) = (planned_at("tiny.exp", TINY), planned_at("/elsewhere/lab/tiny.exp", TINY));
    assert_eq!(here.hash, there.hash);
}

#[test]
fn a_changed_field_is_named_where_it_stands() {
    let before = planned_at("tiny.exp", TINY);
    let now = planned_at("tiny.exp", &TINY.replace("width   = 64", "width   = 128"));
    let reason = why("pretrain", &now, Some(&before), &|_| false);
    // The head's size and the hidden layer's follow from the width, and are not named.
    assert_eq!(reason, "will run: `teller.width` changed 64 → 128 (tiny.exp:18:13)");
}

#[test]
fn a_change_deep_in_a_long_text_is_noticed() {
    let template = format!("template(jinja = \"{} END\")", "word ".repeat(100));
    let tuned = format!(
        "{TINY}\nlet chat = {template}\n\ndataset questions = jsonl(\"q.jsonl\", prompt = \"q\", response = \"a\")\n\nstage tuned : sft {{\n  \
         init = pretrain\n  data = questions\n  budget = 1 epoch\n  template = chat\n}}\n"
    );
    let plan = |text: &str| {
        let mut world = MemoryWorld::with("tiny.exp", text);
        world.insert("stories/a.txt", "Once there was a fox.");
        world.insert("q.jsonl", "{}");
        let (checked, problems) = check_file(&world, "tiny.exp", &Options::default());
        assert!(!problems.any_error(), "{problems:#?}");
        plan(&checked, &world, &Selection::default()).unwrap_or_else(|problems| panic!("{problems:#?}"))
    };
    let reason = why("tuned", &plan(&tuned.replace("END", "FIN")), Some(&plan(&tuned)), &|_| false);
    assert!(reason.starts_with("will run: `tuned.template.jinja` changed (tiny.exp:"), "{reason}");
}

#[test]
fn experiments_of_the_tree_plan() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments");
    let Ok(entries) = std::fs::read_dir(folder) else { return println!("skipped: there is no {folder}") };
    let mut names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    let world = DiskWorld::new(env!("CARGO_MANIFEST_DIR"));
    for name in names.iter().filter(|n| n.ends_with(".exp")) {
        let path = format!("experiments/{name}");
        let (checked, problems) = check_file(&world, &path, &Options::default());
        assert!(!problems.any_error(), "{path}: {problems:#?}");
        let planned = plan(&checked, &world, &Selection::default());
        if checked.name.is_none() {
            let codes: Vec<Code> = planned.err().iter().flatten().map(|p| p.code).collect();
            assert_eq!(codes, [Code::E0613], "{path} is a module");
            continue;
        }
        let plan = planned.unwrap_or_else(|p| panic!("{path}: {p:#?}"));
        for stage in &plan.stages {
            let vocabulary = matches!(stage.estimate.parameters, Known::Unknown(_));
            println!("{path}: {} has {:?} parameters", stage.name, stage.estimate.parameters);
            assert!(!vocabulary || plan.tokenizers.iter().any(|t| t.vocab.value().is_none()), "{path}");
        }
        println!("{}", emberlab::plan::display::text(&plan, None, &emberlab::plan::Statuses::new()));
    }
}
