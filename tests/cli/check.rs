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

#[test]
fn a_schema_of_a_module_is_named_with_the_module() {
    let sizes = "## Small.\nschema tiny is bpe {\n  vocab : Int in 260..=400 = 300  ## Entries.\n}\n\n## A pair.\nschema pair {\n  one : Int  ## One.\n}\n";
    let main = |variant: &str| {
        format!(
            "experiment t {{ language = 1, seed = 1 }}\nuse \"./sizes.exp\" as sizes\n\nschema both {{ first : sizes.pair }}\n\
             schema other is sizes.tiny {{ final min_frequency : Int = 3 }}\ndataset docs = text(\"a.txt\")\n\
             tokenizer pieces : {variant} {{ train_on = docs }}\n"
        )
    };
    let folder = Folder::with(&[("sizes.exp", sizes), ("main.exp", &main("sizes.tiny")), ("a.txt", "a b c\n")]);
    let ran = folder.exp("check main.exp");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let plan = folder.exp("plan main.exp");
    assert!(plan.out.contains("300"), "{}{}", plan.out, plan.err);
    folder.write("main.exp", main("sizes.tinny"));
    let ran = folder.exp("check main.exp");
    assert!(ran.err.contains("did you mean `sizes.tiny`?"), "{}", ran.err);
    // The arguments of a schema of a module that is not one of tokenizers.
    folder.write("main.exp", main("sizes.pair"));
    assert!(folder.exp("check main.exp").err.contains("E0209"));
    folder.write("main.exp", main("sizes.tiny"));
    assert_eq!(folder.exp("fmt main.exp").code, 0);
    assert!(folder.read("main.exp").contains("tokenizer pieces : sizes.tiny {"));
}

#[test]
fn a_file_with_nothing_in_it() {
    let folder = Folder::with(&[("a.exp", "# later\n"), ("b.exp", ""), ("c.exp", "let depth = 6\n")]);
    for file in ["a.exp", "b.exp"] {
        let ran = folder.exp(&format!("check {file}")).code(0);
        assert!(ran.err.contains("warning[E0613]") && ran.err.contains("there is nothing to run"), "{}", ran.err);
    }
    folder.write("d.exp", "experiment d {\n  seed = 1\n}\n");
    assert!(folder.exp("check d.exp").code(0).err.contains("warning[E0613]"));
    assert!(folder.exp("check c.exp").code(0).err.contains("no problems"), "a module is not run");
    for file in ["a.exp", "b.exp", "c.exp", "d.exp"] {
        assert!(folder.exp(&format!("plan {file}")).code(1).err.contains("error[E0613]"), "{file}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let text = r#"dataset stories = text("x/*.txt") |> split(train = 90%, valid = 10%)

model teller : decoder {
  layers = 2
  heads  = 2
  widht  = 64
}

stage one : next_token {
  data   = stories.train
  budget = 10 steps
}

stage two : next_token {
  model       = teller
  init        = one
  data        = stories.train
  budget      = 10 steps
  micro_batch = 0
}

stage three : next_token {
  modle       = teller
  data        = stories.train
  budget      = 10 steps
}

eval answers {
  of      = one
  on      = stories.valid
  metrics = [rouge_l]
}
"#;
    let folder = Folder::with(&[("a.exp", text)]);
    let document = folder.exp("check a.exp --format json").code(1).json();
    let mut codes = codes(&document);
    codes.sort_unstable();
    // Stage `three` has a field that may have been meant as its model.
    assert_eq!(codes, ["E0301", "E0301", "E0401", "E0601", "E0602", "E0604", "E0604", "E0606"], "{document:#}");
}

#[test]
fn a_batch_below_one_sequence_is_told() {
    let text = |batch: &str| {
        format!(
            "dataset stories = text(\"x/*.txt\")\ntokenizer words : bpe {{ train_on = stories }}\n\
             model teller : decoder {{ layers = 2, heads = 2, width = 64, context = 256 tokens }}\n\
             stage pretrain : next_token {{\n  model = teller\n  tokenizer = words\n  data = stories\n  \
             budget = 10 steps\n  batch = {batch}\n}}\n"
        )
    };
    let texts = ["1 tokens", "1_100 tokens", "1_000 tokens"].map(text);
    let folder = Folder::with(&[("a.exp", &texts[0]), ("b.exp", &texts[1]), ("c.exp", &texts[2])]);
    let ran = folder.exp("check a.exp").code(0);
    assert!(ran.err.contains("warning[W1004]: the batch of `pretrain` is smaller than one sequence"), "{}", ran.err);
    assert!(ran.err.contains("learns from one sequence of 256 tokens all the same"), "{}", ran.err);
    assert!(folder.exp("check b.exp").code(0).err.contains("no problems"));
    let set =
        folder.command().args(["check", "a.exp", "--format", "json", "--set", "pretrain.batch=-4 tokens"]).output();
    let document: Value = serde_json::from_slice(&set.unwrap().stdout).unwrap();
    assert_eq!(codes(&document), ["E0401"], "one cause, one message");
    let ran = folder.exp("check b.exp --pedantic").code(0);
    assert!(ran.err.contains("learns from the 4 that are whole: 1024 tokens"), "{}", ran.err);
    // Where much is left out, it is told unasked, and once.
    for words in ["check c.exp", "check c.exp --pedantic"] {
        let ran = folder.exp(words).code(0);
        assert_eq!(ran.err.matches("[W1004]").count(), 1, "{}", ran.err);
        assert!(ran.err.contains("a step learns from 768 of these 1,000 tokens"), "{}", ran.err);
    }
}

#[test]
fn a_count_without_sense_is_told_where_it_stands() {
    for (model, place) in [
        ("layers = 2, heads = 2, width = 64, context = 1_000_000_000_000 tokens", "context"),
        ("layers = 100_000, heads = 2, width = 64", "layers"),
        ("layers = 2, heads = 2, width = 1_000_000_000", "width"),
        ("layers = 2, heads = 2, width = 64, vocab = 9_000_000_000_000_000_000", "vocab"),
    ] {
        let folder = Folder::with(&[("a.exp", &format!("model teller : decoder {{ {model} }}\n"))]);
        let document = folder.exp("check a.exp --format json").code(1).json();
        assert_eq!(codes(&document), ["E0401"], "{model}");
        assert!(document["problems"][0]["message"].as_str().unwrap().contains(place), "{document:#}");
    }
}

#[test]
fn a_sweep_without_a_valid_point_is_told() {
    let text = |axis: &str, condition: &str| {
        format!(
            "dataset stories = text(\"x/*.txt\")\ntokenizer words : bpe {{ train_on = stories }}\n\
             model teller : decoder {{ layers = 2, heads = 2, width = 64 }}\n\
             stage pretrain : next_token {{ model = teller, tokenizer = words, data = stories, budget = 10 steps }}\n\
             sweep sizes {{\n  over {{ {axis} }}\n{condition}  minimize = pretrain.train.loss\n}}\n"
        )
    };
    for (axis, condition, valid) in [
        ("teller.width in [63, 65]", "", false),
        ("teller.width in [63, 65, 68]", "", true),
        ("teller.width in [64, 66]", "  where = teller.width > 100\n", false),
        ("teller.width in [64, 168]", "  where = teller.width > 100\n", true),
        ("pretrain.schedule.warmup in [20 steps, 30 steps]", "", false),
        ("pretrain.optimizer.lr in log(1e-4 .. 1e-3)", "  where = teller.width > 100\n", true),
    ] {
        let folder = Folder::with(&[("a.exp", &text(axis, condition))]);
        let ran = folder.exp("check a.exp");
        assert_eq!(ran.err.contains("error[E0803]"), !valid, "{axis}: {}", ran.err);
        assert_eq!(ran.code, i32::from(!valid), "{axis}: {}", ran.err);
    }
    // Many points take long to try; that the first ones are not valid says nothing of the others.
    let many = Folder::with(&[("a.exp", &text("teller.layers in 1..=200", "  where = teller.width > 100\n"))]);
    let ran = many.exp("check a.exp");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("warning[E0803]: none of the first 24 points of sweep `sizes` is valid"), "{}", ran.err);
}

/// The codes of the problems, in the order of their places.
fn told(files: &[(&str, &str)]) -> (Vec<String>, String) {
    let folder = Folder::with(files);
    let ran = folder.exp("check a.exp --format json");
    let document = ran.json();
    let problems = document["problems"].as_array().unwrap();
    (problems.iter().map(|p| p["code"].as_str().unwrap().to_owned()).collect(), ran.out)
}

const SMALL: &str = "dataset stories = text(\"x/*.txt\")\ntokenizer words : bpe { train_on = stories }\n\
    model small : decoder { layers = 2, heads = 2, width = 64 }\n\
    stage pretrain : next_token { model = small, tokenizer = words, data = stories, budget = 10 steps }\n";

#[test]
fn what_follows_from_a_mistake_is_not_told() {
    let gelu = SMALL.replace("width = 64", "width = 64, activation = \"gelu\"");
    assert_eq!(told(&[("a.exp", &gelu)]).0, ["E0304"]);
    let none = SMALL.replace("10 steps", "10 steps, optimizer = adamw(lr = None)");
    assert_eq!(told(&[("a.exp", &none)]).0, ["E0111"]);
    let more = |line: &str| told(&[("a.exp", &format!("{SMALL}{line}\n"))]).0;
    assert_eq!(more("dataset mixed = mix([stories, stories])"), ["E0304"]);
    assert_eq!(more("sweep s { over { small.layers in [1, 2] } minimize = pretrain.train.loss }"), ["E0117"]);
    let lost = more("sweep s {\n  over { small.layers in }\n  minimize = pretrain.train.loss\n}");
    assert!(lost.len() == 1 && lost[0] != "E0801", "{lost:?}");
    assert_eq!(more("let long = [n for n in 1..=2_000_000]"), ["E0004"]);
    assert_eq!(more("let long = [n for n in 1..=1_000]"), [""; 0]);
}

#[test]
fn a_misspelt_item_of_an_amended_file_is_suggested() {
    let (found, out) = told(&[("base.exp", SMALL), ("a.exp", "amends \"base.exp\"\n\nmodel smal { width = 96 }\n")]);
    assert_eq!(found, ["E0209"]);
    let (near, other) = (out.find("did you mean `small`?").expect("a suggestion"), out.find("smal : decoder").unwrap());
    assert!(near < other, "{out}");
    let (found, _) = told(&[("base.exp", SMALL), ("a.exp", "amends base.exp\n\nmodel small { width = 96 }\n")]);
    assert_eq!(found, ["E0111"], "the path is read without its quotes");
}

#[test]
fn shares_above_one_are_told_how_shares_are_written() {
    let line = "dataset parts = stories |> split(train = 90, valid = 10)\n";
    let (found, out) = told(&[("a.exp", &format!("{SMALL}{line}"))]);
    assert_eq!(found, ["E0402"]);
    assert!(out.contains("as in `90%`"), "{out}");
}

#[test]
fn values_of_an_axis_that_cannot_be_settings_are_told() {
    let text = SMALL.replace("text(\"x/*.txt\")", "text(\"x/*.txt\") |> keep(d => d.words > 3)");
    let rules = |list: &str| {
        let sweep = format!("sweep s {{\n  over {{ stories.rule in {list} }}\n  minimize = pretrain.train.loss\n}}\n");
        let module = "let few = 2\nfn wordy(d : document) : Bool = d.words > few\nschema mine is sgd { }\n";
        told(&[("parts.exp", module), ("a.exp", &format!("use \"./parts.exp\"\nlet n = 9\n{text}{sweep}"))]).0
    };
    assert_eq!(rules("[d => d.words > n, d => d.words > 4]"), [""; 0]);
    assert_eq!(rules("[parts.wordy, d => d.words > 4]"), [""; 0]);
    assert_eq!(rules("[d => d.words > k for k in 1..=2]"), ["E0304"], "`k` means nothing to a setting");
    let sweep = "sweep s {\n  over { pretrain.optimizer in parts.opts }\n  minimize = pretrain.train.loss\n}\n";
    let opts = |head: &str| {
        let module = "schema mine is sgd { }\nlet opts = [mine(lr = 0.1)]\n";
        told(&[("parts.exp", module), ("a.exp", &format!("{head}\n{text}{sweep}"))]).0
    };
    assert_eq!(opts("use \"./parts.exp\""), [""; 0], "a schema of a module is named with the module");
}

#[test]
fn initial_weights_and_mup_must_fit_the_network() {
    let with = |more: &str| MODEL.replace("width  = 384\n", &format!("width  = 384\n{more}"));
    let folder = Folder::with(&[
        ("nano.exp", &with("  init_kind = nanochat\n")),
        ("untied.exp", &with("  init_kind = nanochat\n  tied = false\n")),
        ("both.exp", &with("  init_kind = fan_in\n  mup = mup(base_width = 96)\n")),
        ("cut.exp", &with("  init_kind = truncated\n  mup = mup(base_width = 96, base_head_dim = 16)\n")),
    ]);
    let nano = folder.exp("check nano.exp").code(1).err;
    assert!(nano.contains("one matrix cannot be both"), "{nano}");
    let both = folder.exp("check both.exp").code(1).err;
    assert!(both.contains("muP says itself"), "{both}");
    folder.exp("check untied.exp").code(0);
    folder.exp("check cut.exp").code(0);
}
