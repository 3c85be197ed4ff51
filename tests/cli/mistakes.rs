//! What newcomers write in place of what the language has, and what they are told.

use crate::support::Folder;
use serde_json::Value;

/// An experiment with one line in its model, its pretraining and its tuning.
fn experiment(model: &str, pretrain: &str, tuned: &str) -> String {
    format!(
        r#"
dataset stories = text("stories.txt") |> split(train = 90%, valid = 10%)
dataset questions = jsonl("questions.jsonl", prompt = "q", response = "a")
tokenizer letters : characters {{ train_on = stories.train }}
model teller : decoder {{
  layers = 2, heads = 2, width = 32, context = 64 tokens
  {model}
}}
stage pretrain : next_token {{
  model = teller, tokenizer = letters, data = stories.train, budget = 10 steps
  {pretrain}
}}
stage tuned : sft {{
  init = pretrain, data = questions, budget = 10 steps
  {tuned}
}}
"#
    )
}

/// The code, help and titles of fixes of the only problem that a line makes.
#[track_caller]
fn told(model: &str, pretrain: &str, tuned: &str) -> (String, String, Vec<String>) {
    let text = experiment(model, pretrain, tuned);
    let folder = Folder::with(&[("a.exp", text.as_str()), ("stories.txt", "a"), ("questions.jsonl", "")]);
    let document = folder.exp("check a.exp --format json").json();
    let problems = document["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{document:#}");
    let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let titles = problems[0]["fixes"].as_array().unwrap().iter().map(|fix| of(&fix["title"])).collect();
    (of(&problems[0]["code"]), of(&problems[0]["help"]), titles)
}

#[test]
fn symbols_of_other_tools_lead_to_ours() {
    for (theirs, ours) in [
        ("bf16", "mixed_bf16"),
        ("bfloat16", "mixed_bf16"),
        ("fp16", "mixed_f16"),
        ("f16", "mixed_f16"),
        ("float16", "mixed_f16"),
        ("\"bf16\"", "mixed_bf16"),
        ("fp32", "f32"),
    ] {
        let (code, _, titles) = told("", &format!("precision = {theirs}"), "");
        assert!(["E0304", "E0305"].contains(&code.as_str()), "{theirs}: {code}");
        assert_eq!(titles, [format!("did you mean `{ours}`?")], "{theirs}");
    }
    assert_eq!(told("position = rope", "", "").2, ["did you mean `rotary`?"]);
    // What is meant elsewhere by a word is nothing here if this field has not got it.
    assert!(told("norm = bf16", "", "").2.is_empty());
}

#[test]
fn truth_values_are_true_and_false() {
    for (theirs, ours) in [("yes", "true"), ("no", "false"), ("on", "true"), ("\"yes\"", "true"), ("0", "false")] {
        assert_eq!(told("", "", &format!("packed = {theirs}")).2, [format!("write `{ours}`")], "{theirs}");
    }
    assert_eq!(told("", "", "packed = 3").1, "write `true` or `false`");
}

#[test]
fn where_a_record_is_wanted_one_is_shown() {
    for (line, shown) in [
        ("experts = 8", "write `experts(count = 8, active = 2)`"),
        ("experts = true", "write `experts(count = …, active = 2)`"),
        ("experts.count = 8", "set it as a whole: `experts = experts(count = 8)`"),
        ("mup = true", "write `mup(base_width = …)`"),
        ("mup = 32", "write `mup(base_width = 32)`"),
        ("mup.base_width = 4", "set it as a whole: `mup = mup(base_width = 4)`"),
        ("mup.base_head_dim = 4", "set it as a whole: `mup = mup(base_width = …, base_head_dim = 4)`"),
    ] {
        assert_eq!(told(line, "", "").1, shown, "{line}");
    }
    for (line, shown) in [
        ("on_spike = skip", "write `spike(action = skip)`"),
        ("on_spike = true", "write `spike(factor = 2.0)`"),
        ("on_spike.factor = 3.0", "set it as a whole: `on_spike = spike(factor = 3.0)`"),
        ("optimizer = \"adamw\"", "write `adamw(lr = 1e-3)`"),
    ] {
        assert_eq!(told("", line, "").1, shown, "{line}");
    }
    assert_eq!(told("", "", "adapter = 8").1, "write `lora(rank = 8)`");
    assert_eq!(told("", "", "template = r\"{{ m }}\"").1, "write `template(jinja = r\"{{ m }}\")`");
    let long = "template = r\"{% for m in messages %}{{ m.content }}{% endfor %}\"";
    assert_eq!(told("", "", long).1, "write `template(jinja = r\"…\")`");
}

#[test]
fn a_template_in_a_text_that_is_not_raw_is_recognised() {
    let (code, help, titles) =
        told("", "", "template = template(jinja = \"{% for m in messages %}{{ m }}{% endfor %}\")");
    assert_eq!((code.as_str(), titles), ("E0111", vec!["write it raw".to_owned()]));
    assert!(help.contains("`r\"…\"`"), "{help}");
}

#[test]
fn a_micro_batch_counts_sequences() {
    let (code, help, titles) = told("", "micro_batch = 4096 tokens", "");
    assert!(code == "E0312" && titles.is_empty() && help.contains("counts sequences"), "{code} {help} {titles:?}");
    // Documents are sequences.
    assert_eq!(told("", "micro_batch = 4 documents", "").2, ["leave the unit out"]);
    assert_eq!(told("", "micro_batch = 64", "").0, "W1014");
    assert_eq!(told("", "batch = 100 tokens", "").0, "W1004");
}

#[test]
fn a_line_of_the_concise_format_has_what_was_meant() {
    let text = experiment("layer_ = 3", "precision = bf16", "");
    let folder = Folder::with(&[("a.exp", text.as_str()), ("stories.txt", "a"), ("questions.jsonl", "")]);
    let err = folder.exp("check a.exp --format concise").code(1).err;
    assert!(err.lines().any(|line| line.ends_with("; did you mean `mixed_bf16`?")), "{err}");
}
