//! What was probably meant: each mistake has one message, and where one edit mends it, the edit leaves a file that checks.

use crate::support::Folder;
use serde_json::Value;

const WHOLE: &str = r#"experiment small { language = 1, seed = 7 }

use std.corpora.tales
use std.models.llama

dataset stories = text("data/*.txt", license = "MIT") |> split(train = 90%, valid = 10%)

tokenizer pieces : bpe { train_on = stories.train, vocab = 1_024 }

model teller from llama.tiny { context = 128 tokens }

stage pretrain : next_token {
  model     = teller
  tokenizer = pieces
  data      = stories.train
  budget    = 250 steps
  batch     = 1_024 tokens
  optimizer = adamw(lr = 3e-3)
  validate  = every(50 steps, on = stories.valid)
}

eval fluency { of = [pretrain], on = stories.valid, metrics = [perplexity] }

expect fluency.pretrain.perplexity < 6
"#;

/// The problems of the file after `old` is written `new`, and the file that their first fixes make of it.
fn told(old: &str, new: &str) -> (Vec<Value>, String) {
    assert!(WHOLE.contains(old), "{old}");
    let text = WHOLE.replacen(old, new, 1);
    let folder = Folder::with(&[("a.exp", &text)]);
    let document = folder.exp("check a.exp --format json").code(1).json();
    let problems: Vec<Value> = document["problems"].as_array().unwrap().clone();
    let edits = problems.iter().filter_map(|p| p["fixes"][0]["edits"].as_array()).flatten();
    let mut edits: Vec<(usize, usize, String)> = edits
        .map(|edit| {
            let number = |name: &str| usize::try_from(edit[name].as_u64().unwrap()).unwrap();
            let at = |line: &str, column: &str| {
                let lines = text.split_inclusive('\n').take(number(line) - 1);
                lines.map(str::len).sum::<usize>() + number(column) - 1
            };
            let (start, end) = (at("line", "column"), at("end_line", "end_column"));
            (start, end, edit["new_text"].as_str().unwrap().to_owned())
        })
        .collect();
    edits.sort();
    let mut mended = text;
    for (start, end, new) in edits.into_iter().rev() {
        mended.replace_range(start..end, &new);
    }
    (problems, mended)
}

/// One message of this code, whose fix makes a file without problems that has `line` in it.
fn mends(old: &str, new: &str, code: &str, line: &str) {
    let (problems, mended) = told(old, new);
    assert_eq!(problems.len(), 1, "one cause, one message: {problems:#?}");
    assert_eq!(problems[0]["code"], code, "{problems:#?}");
    assert!(mended.contains(line), "no `{line}` in\n{mended}\n{problems:#?}");
    let folder = Folder::with(&[("a.exp", &mended)]);
    let left = folder.exp("check a.exp --format json").json();
    assert_eq!(left["problems"].as_array().map(Vec::len), Some(0), "{mended}\n{left:#}");
}

fn helps(old: &str, new: &str, code: &str, words: &str) {
    let (problems, _) = told(old, new);
    assert_eq!(problems.len(), 1, "one cause, one message: {problems:#?}");
    assert_eq!(problems[0]["code"], code, "{problems:#?}");
    let help = problems[0]["help"].as_str().unwrap_or_default();
    assert!(help.contains(words), "{problems:#?}");
}

#[test]
fn a_module_of_the_library_that_nobody_named() {
    mends("use std.models.llama\n", "", "E0201", "use std.corpora.tales\nuse std.models.llama\n");
    mends("from llama.tiny", "from gpt2.nano", "E0201", "use std.models.gpt2\n");
    // Without any `use` the line goes below the head of the file.
    let (problems, mended) = told("use std.corpora.tales\nuse std.models.llama\n\n", "");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(mended.contains("seed = 7 }\n\nuse std.models.llama\n\ndataset"), "{mended}");
    // A name out of a module.
    let (problems, mended) = told("|> split", "|> filter(fluent) |> split");
    assert!(problems.iter().any(|p| p["code"] == "E0201"), "{problems:#?}");
    assert!(!mended.contains("use std.data.clean {"), "nothing in the library is called that: {mended}");
}

#[test]
fn a_path_without_quotes() {
    mends("\"data/*.txt\"", "data/*.txt", "E0111", "text(\"data/*.txt\", license");
    mends("\"data/*.txt\"", "data/**/*.txt", "E0111", "text(\"data/**/*.txt\", license");
    mends("\"data/*.txt\"", "./data/a.txt", "E0111", "text(\"./data/a.txt\", license");
    mends("\"data/*.txt\"", "data/a.txt", "E0304", "text(\"data/a.txt\", license");
    mends("\"data/*.txt\"", "corpus.txt", "E0304", "text(\"corpus.txt\", license");
    // A comment is still a comment.
    let (problems, _) = told("  batch     = 1_024 tokens", "  batch     = 1_024 tokens /* a step */");
    assert_eq!(problems[0]["message"], "comments start with `#`", "{problems:#?}");
}

#[test]
fn a_text_whose_end_is_missing_takes_nothing_along() {
    mends("\"data/*.txt\", license", "\"data/*.txt, license", "E0109", "text(\"data/*.txt\", license = \"MIT\")");
    mends("license = \"MIT\")", "license = \"MIT)", "E0109", "license = \"MIT\")");
    mends("\"data/*.txt\"", "\"data/*.txt", "E0109", "text(\"data/*.txt\", license = \"MIT\")");
}

#[test]
fn what_cannot_be_read_is_not_missing_as_well() {
    let (problems, _) = told("tokens }\n\nstage", "tokens } ]\n\nstage");
    assert!(problems.iter().all(|p| p["code"] != "E0201"), "{problems:#?}");
    let (problems, _) = told("license = \"MIT\")", "license = = \"MIT\")");
    assert!(problems.iter().all(|p| p["code"] != "E0201"), "{problems:#?}");
}

#[test]
fn variants_by_the_fields_of_the_item_or_by_other_names() {
    mends("pretrain : next_token {", "pretrain {", "E0209", "stage pretrain : next_token {");
    mends(": next_token {", ": pretraining {", "E0209", "stage pretrain : next_token {");
    mends(": bpe {", ": byte_level {", "E0209", "tokenizer pieces : bpe {");
    mends("pretrain : next_token {", "pretrain: next_token:", "E0101", "stage pretrain: next_token {");
}

#[test]
fn what_needs_no_quotes() {
    mends("= 250 steps", "= \"250 steps\"", "E0304", "budget    = 250 steps");
    mends("tokenizer = pieces", "tokenizer = \"pieces\"", "E0304", "tokenizer = pieces");
    mends("= stories.train\n", "= \"stories.train\"\n", "E0304", "data      = stories.train\n");
    mends("= adamw(lr = 3e-3)", "= adamw(lr = \"3e-3\")", "E0304", "adamw(lr = 3e-3)");
    helps("= teller", "= \"gpt2\"", "E0304", "model NAME from gpt2.small");
    helps("= pieces", "= \"gpt2\"", "E0304", "tokenizer NAME : tokenizer_json");
    helps("from llama.tiny {", "from \"gpt2\" {", "E0111", "use std.models.gpt2");
    helps("= stories.train\n", "= \"data/more.jsonl\"\n", "E0304", "write `jsonl(\"data/more.jsonl\")`");
}

#[test]
fn numbers_of_the_user_stand_in_what_is_proposed() {
    let stage = "  budget    = 250 steps\n";
    mends(stage, "  num_train_epochs = 5\n", "E0301", "  budget = 5 epochs\n");
    mends(stage, "  max_steps = 77\n", "E0301", "  budget = 77 steps\n");
    mends("  batch     = 1_024 tokens\n", "  warmup_ratio = 0.1\n", "E0301", "schedule = cosine(warmup = 0.1)");
    helps(
        "  batch     = 1_024 tokens\n",
        "  batch = 8 documents\n  per_device_train_batch_size = 4\n",
        "E0301",
        "`micro_batch = 4`",
    );
    mends("context = 128 tokens }", "max_position_embeddings = 64 }", "E0301", "{ context = 64 tokens }");
}

#[test]
fn two_values_of_one_field_are_one_too_many() {
    let (problems, _) =
        told("  optimizer = adamw(lr = 3e-3)\n", "  optimizer = adamw(lr = 3e-3)\n  optimizer.lr = 1e-3\n");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(problems[0]["code"], "E0303");
    // What the call leaves open may be set beside it.
    let text = WHOLE.replacen("adamw(lr = 3e-3)\n", "adamw(beta2 = 0.98)\n  optimizer.lr = 1e-3\n", 1);
    Folder::with(&[("a.exp", &text)]).exp("check a.exp").code(0);
}

#[test]
fn measurements_are_named_by_where_they_are_made() {
    mends(
        "expect fluency.pretrain.perplexity",
        "expect pretrain.perplexity",
        "E0310",
        "expect fluency.pretrain.perplexity < 6",
    );
    let sweep = |objective: &str| {
        format!("sweep rates {{\n  over {{ pretrain.optimizer.lr in [1e-3, 3e-3] }}\n  minimize = {objective}\n}}\n")
    };
    mends("expect", &format!("{}expect", sweep("eval_loss")), "E0201", "minimize = pretrain.valid.loss");
    mends("expect", &format!("{}expect", sweep("valid.loss")), "E0201", "minimize = pretrain.valid.loss");
    mends(
        "expect",
        "sweep rates {\n  pretrain.optimizer.lr = [1e-3, 3e-3]\n  minimize = pretrain.valid.loss\n}\nexpect",
        "E0301",
        "over { pretrain.optimizer.lr in [1e-3, 3e-3] }",
    );
    helps("budget    = 250 steps", "budget    = 250 steps\n  until = 3 epochs", "E0502", "`budget = 3 epochs`");
    mends("= 250 steps", "= 250 minibatches", "E0314", "budget    = 250 steps");
}

#[test]
fn what_may_be_left_out_is_turned_off_with_none() {
    mends("  batch     = 1_024 tokens\n", "  clip = 0\n", "E0401", "clip = none");
}

#[test]
fn projections_have_other_names_elsewhere() {
    let tuned = |on: &str| {
        format!(
            "stage tuned : next_token {{\n  init = pretrain\n  data = stories.train\n  budget = 9 steps\n  adapter = lora(on = [{on}])\n}}\n\nexpect"
        )
    };
    mends("expect", &tuned("q_proj"), "E0305", "on = [query]");
    mends("expect", &tuned("\"v_proj\""), "E0304", "on = [value]");
    mends("expect", &tuned("up_proj"), "E0305", "on = [up]");
}

#[test]
fn parts_of_a_split_have_names() {
    mends("split(train = 90%, valid = 10%)", "split(0.9, 0.1)", "E0307", "split(train = 0.9, valid = 0.1)");
}

#[test]
fn an_import_that_fails_is_one_problem() {
    for line in ["use llama\n", "use models.llama\n", "use emberlab.llama\n"] {
        mends("use std.models.llama\n", line, "E0203", "use std.models.llama\n");
    }
}

#[test]
fn a_list_without_its_brackets_is_one_problem() {
    helps("metrics = [perplexity] }", "metrics = perplexity, bits_per_byte }", "E0101", "the two are a list");
}

/// The codes of the problems, and every edit that is offered.
fn offers(old: &str, new: &str) -> (Vec<String>, Vec<String>) {
    let (problems, _) = told(old, new);
    let codes = problems.iter().map(|p| p["code"].as_str().unwrap().to_owned()).collect();
    let fixes = problems.iter().flat_map(|p| p["fixes"].as_array().unwrap());
    (codes, fixes.filter_map(|f| f["edits"][0]["new_text"].as_str()).map(str::to_owned).collect())
}

#[test]
fn no_edit_turns_a_slip_into_something_else() {
    // A level of error is not a confidence.
    let claim = "claim better = fluency.pretrain.perplexity < 6 with p = 0.05\n\nexpect";
    assert_eq!(offers("expect", claim), (vec!["E0301".to_owned()], vec![]));
    // Python's whole division is no comment.
    mends("vocab = 1_024 }", "vocab = 2_048 // 2 }", "E0111", "vocab = 2_048 / 2 }");
    // A preset is no variant.
    helps(
        "teller from llama.tiny {",
        "teller : gpt2 {",
        "E0209",
        "`use std.models.gpt2`, then `model NAME from gpt2.small`",
    );
    mends("from llama.tiny {", "from gpt2.small {", "E0201", "use std.models.gpt2");
    let (_, edits) = offers(": bpe {", ": gpt2 {");
    assert!(!edits.iter().any(|e| e == "bpe"), "{edits:?}");
}

#[test]
fn edits_offered_for_foreign_names_can_be_taken() {
    let eval = |decoding: &str| format!("limit = 3, decoding = {decoding}, of = [pretrain]");
    mends("of = [pretrain]", &eval("greedy(max_new_tokens = 16)"), "E0308", "greedy(max_tokens = 16 tokens)");
    helps("of = [pretrain]", &eval("sampling(temperature = 0.5, do_sample = true)"), "E0308", "which is given already");
    mends("  batch     = 1_024 tokens\n", "  until = valid_loss < 1\n", "E0201", "until = valid.loss < 1");
    let warmup = "  schedule = cosine()\n  warmup = 10 steps\n";
    helps("  batch     = 1_024 tokens\n", warmup, "E0318", "`warmup` is a field of `cosine`");
    let sweep = "sweep rates {\n  over { pretrain.optimizer.lr in log(1e-4, 1e-2) }\n  minimize = pretrain.valid.loss\n}\nexpect";
    mends("expect", sweep, "E0307", "in log(1e-4 .. 1e-2)");
    mends("expect", &sweep.replace("over {", "over = {").replace("1e-4, ", "1e-4 .. "), "E0111", "  over  { pretrain");
    mends("|> split", "|> dedup(threshold = 0.8) |> split", "E0301", "dedup(near = 0.8)");
    mends("metrics = [perplexity]", "metrics = [ppl]", "E0201", "metrics = [perplexity]");
}

#[test]
fn numbers_are_read_as_people_write_them() {
    mends("= 250 steps", "= 1,000 steps", "E0108", "budget    = 1_000 steps");
    mends("= 1_024 tokens\n", "= 1,048,576 tokens\n", "E0108", "batch     = 1_048_576 tokens");
    mends("= 1_024 tokens\n", "= 10K tokens\n", "E0108", "batch     = 10k tokens");
    mends("= 250 steps", "= 80", "E0313", "budget    = 80 steps");
    mends("= 1_024 tokens\n", "= 8\n", "E0313", "batch     = 8 documents");
    assert_eq!(offers("vocab = 1_024 }", "vocab = ${size} }").1, ["size"]);
}

#[test]
fn a_variant_that_is_not_there_leaves_no_echo_in_what_judges_it() {
    mends(": next_token {", ": clm {", "E0209", "stage pretrain : next_token {");
}

#[test]
fn a_condition_outside_the_scale_of_its_metric_is_told() {
    let folder = |expect: &str| {
        let text = WHOLE.replacen("expect fluency.pretrain.perplexity < 6", expect, 1);
        let document = Folder::with(&[("a.exp", &text)]).exp("check a.exp --format json").json();
        document["problems"].as_array().unwrap().clone()
    };
    for (expect, said) in [
        ("expect fluency.pretrain.perplexity < 0.5", Some("this never holds")),
        ("expect fluency.pretrain.perplexity > 0.5", Some("this always holds")),
        ("expect 0.5 > fluency.pretrain.perplexity", Some("this never holds")),
        ("expect fluency.pretrain.perplexity < 50", None),
    ] {
        let problems = folder(expect);
        let found = problems.iter().find(|p| p["code"] == "W1018").and_then(|p| p["message"].as_str());
        match said {
            Some(said) => assert!(found.is_some_and(|f| f.contains(said)), "{expect}: {problems:#?}"),
            None => assert!(found.is_none(), "{expect}: {problems:#?}"),
        }
    }
}

/// Files that say something unusual and are right.
#[test]
fn what_is_right_stays_right() {
    let with = |old: &str, new: &str| {
        let text = WHOLE.replacen(old, new, 1);
        let document = Folder::with(&[("a.exp", &text)]).exp("check a.exp --format json").json();
        assert_eq!(document["problems"].as_array().map(Vec::len), Some(0), "{text}\n{document:#}");
    };
    with("expect", "let note = \"\"\"\n  budget = 1,000 steps\n\"\"\"\n\nexpect");
    with("expect", "let many = [\n  1,200,\n  300\n]\n\nexpect");
    with("expect", "let half = 10 / 2\nlet name = \"a/b.txt\"\n\nexpect");
    // What a function does with its arguments is its own affair.
    let function = "fn mine(lr : Float) : optimizer = adamw(lr = lr / 10, beta1 = 0.8)\n\nstage pretrain";
    let text = WHOLE.replacen("stage pretrain", function, 1);
    let text = text.replacen("adamw(lr = 3e-3)\n", "mine(lr = 1e-3)\n  optimizer.lr = 5e-4\n", 1);
    Folder::with(&[("a.exp", &text)]).exp("check a.exp").code(0);
    let blend = "schema blend { total : Int\n  rest parts : Map[Ratio]\n}\n\nlet mine = blend(3, a = 10%)\n\nexpect";
    with("expect", blend);
}

#[test]
fn edits_keep_the_value() {
    let model = |field: &str| format!("context = 128 tokens, {field} }}");
    mends("context = 128 tokens }", &model("dropout = 0,125"), "E0108", "dropout = 0.125");
    mends("context = 128 tokens }", &model("dropout = 0,5"), "E0108", "dropout = 0.5");
    // Which way a metric is better is not for an edit to say.
    let sweep = |field: &str| {
        format!("sweep s {{\n  over {{ pretrain.optimizer.lr in [1e-3, 3e-3] }}\n  {field}\n}}\n\nexpect")
    };
    assert!(offers("expect", &sweep("metric = fluency.pretrain.perplexity")).1.is_empty());
    // Two axes belong into one block.
    let two = "sweep s {\n  pretrain.optimizer.lr = [1e-3, 3e-3]\n  teller.layers = [2, 4]\n  minimize = pretrain.valid.loss\n}\n\nexpect";
    assert!(offers("expect", two).1.is_empty());
}

#[test]
fn a_file_in_another_format_is_told_as_one() {
    for (text, other) in [("{\n  \"model\": 3\n}\n", "JSON"), ("[model]\nlayers = 3\n", "TOML")] {
        let told = Folder::with(&[("a.exp", text)]).exp("check a.exp").code(1);
        assert!((told.out + &told.err).contains(&format!("this is no {other}: items are")), "{text}");
    }
}
