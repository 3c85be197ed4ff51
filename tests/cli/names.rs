//! Names that other tools have for fields, and words of the wrong kind.

use crate::support::Folder;
use serde_json::Value;

const HEAD: &str = r#"dataset stories = text("x/*.txt") |> split(train = 90%, valid = 10%)

tokenizer words : bpe {
  train_on = stories.train
}
"#;

/// The problem with this code, and the texts that its suggestions put in.
fn told(text: &str, code: &str) -> (Value, Vec<String>) {
    let folder = Folder::with(&[("a.exp", text)]);
    let document = folder.exp("check a.exp --format json").code(1).json();
    let problems = document["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "one cause, one message: {problems:#?}");
    let found = problems[0].clone();
    assert_eq!(found["code"], code, "{found:#}");
    let fixes = found["fixes"].as_array().unwrap();
    let texts = fixes.iter().filter_map(|f| f["edits"][0]["new_text"].as_str()).map(str::to_owned).collect();
    (found, texts)
}

fn model(field: &str) -> String {
    let others = ["layers = 2", "heads = 2", "width = 64"];
    let known = |ours: &str| field.starts_with(ours);
    let others: Vec<&str> = others.into_iter().filter(|f| !known(f.split(' ').next().unwrap())).collect();
    format!("model teller : decoder {{ {}, {field} }}\n", others.join(", "))
}

fn stage(fields: &str) -> String {
    format!(
        "{HEAD}\n{}\nstage pretrain : next_token {{\n  model = teller\n  tokenizer = words\n  data = stories.train\n  {fields}\n}}\n",
        model("kv_heads = 2")
    )
}

#[test]
fn fields_of_networks_have_other_names_elsewhere() {
    for (theirs, ours) in [
        ("vocab_size = 512", "vocab"),
        ("intermediate_size = 128", "hidden"),
        ("num_key_value_heads = 1", "kv_heads"),
        ("rms_norm_eps = 1e-6", "norm_epsilon"),
        ("tie_word_embeddings = false", "tied"),
        ("hidden_act = gelu", "activation"),
    ] {
        let (found, fixes) = told(&model(theirs), "E0301");
        assert_eq!(fixes, [ours], "{theirs}: {found:#}");
    }
    // The value would not be right as it stands.
    let (found, fixes) = told(&model("block_size = 256"), "E0301");
    assert_eq!(fixes, ["context = 256 tokens"], "{found:#}");
    let (found, fixes) = told(&model("block_size = \"long\""), "E0301");
    assert!(fixes.is_empty());
    assert!(found["help"].as_str().unwrap().contains("`context = 1_024 tokens`"), "{found:#}");
    // A required field under its other name is not missing as well.
    let text = "model teller : decoder { n_layer = 2, heads = 2, width = 64 }\n";
    assert_eq!(told(text, "E0301").1, ["layers"]);
}

#[test]
fn fields_of_stages_have_other_names_elsewhere() {
    let (_, fixes) = told(&stage("budget = 9 steps\n  learning_rate = 1e-3"), "E0301");
    assert_eq!(fixes, ["optimizer.lr"]);
    // Where the optimiser is set already, a second rate beside it would be one too many.
    for (theirs, code) in [("learning_rate = 3e-4", "E0301"), ("lr = 3e-4", "E0318")] {
        let (found, fixes) =
            told(&stage(&format!("budget = 9 steps\n  optimizer = adamw(lr = 1e-3)\n  {theirs}")), code);
        assert!(
            fixes.is_empty() && found["help"].as_str().unwrap().contains("set already: write it there"),
            "{found:#}"
        );
    }
    let (_, fixes) = told(&stage("budget = 9 steps\n  max_grad_norm = 1.0"), "E0301");
    assert_eq!(fixes, ["clip"]);
    let (_, fixes) = told(&stage("budget = 9 steps\n  optimizer = adamw(learning_rate = 1e-3)"), "E0308");
    assert_eq!(fixes, ["lr"]);
    for (theirs, ours) in [
        ("num_train_epochs = 2", "budget = 2 epochs"),
        ("max_steps = 50", "budget = 50 steps"),
        ("budget = 9 steps\n  warmup_ratio = 0.06", "schedule = cosine(warmup = 0.06)"),
        ("budget = 9 steps\n  warmup_steps = 10", "schedule = cosine(warmup = 10 steps)"),
    ] {
        let (found, fixes) = told(&stage(theirs), "E0301");
        assert_eq!(fixes, [ours], "{found:#}");
    }
    for (theirs, words) in [
        // Half a step is none.
        ("max_steps = 0.5", "`budget = 1_000 steps`"),
        ("budget = 9 steps\n  gradient_accumulation_steps = 4", "accumulated in portions of `micro_batch`"),
        ("budget = 9 steps\n  per_device_train_batch_size = 4", "write `micro_batch = 4`"),
        ("budget = 9 steps\n  lr_scheduler_type = \"cosine\"", "`schedule = cosine()`"),
        ("budget = 9 steps\n  eval_steps = 100", "`validate = every(100 steps, on = …)`"),
    ] {
        let (found, fixes) = told(&stage(theirs), "E0301");
        assert!(fixes.is_empty() && found["help"].as_str().unwrap().contains(words), "{theirs}: {found:#}");
    }
}

#[test]
fn what_other_tools_can_be_told_is_known() {
    for (theirs, ours) in [("gradient_checkpointing = true", "recompute"), ("save_total_limit = 3", "checkpoints")] {
        let (found, fixes) = told(&stage(&format!("budget = 9 steps\n  {theirs}")), "E0301");
        assert_eq!(fixes, [ours], "{theirs}: {found:#}");
    }
    for (theirs, words) in [
        ("num_epochs = 3", "which is set already; to change it, write `budget = 3 epochs`"),
        ("batch = 3 documents\n  gradient_accumulation_steps = 8", "write the whole step as `batch`"),
        ("use_dora = true", "`adapter = lora(magnitude = true)`"),
        ("lora_r = 8", "`adapter = lora(rank = 8, alpha = 16)`"),
        ("sample_packing = true", "rows are always full"),
        ("output_dir = \"out\"", "`exp export` writes weights"),
        ("logging_steps = 10", "every step is kept without asking"),
        ("resume_from_checkpoint = true", "goes on from the last checkpoint by itself"),
        ("val_set_size = 0.1", "`|> split(train = 95%, valid = 5%)`"),
        ("load_in_4bit = true", "are not built"),
        ("n_gpu = 2", "one device per run"),
    ] {
        let (found, fixes) = told(&stage(&format!("budget = 9 steps\n  {theirs}")), "E0301");
        assert!(fixes.is_empty() && found["help"].as_str().unwrap().contains(words), "{theirs}: {found:#}");
    }
    for (theirs, fixed) in [("r = 8", "rank"), ("lora_alpha = 16", "alpha"), ("use_rslora = true", "rank_stabilized")] {
        let tuned = "stage tuned : sft { init = pretrain, data = stories.train, budget = 9 steps, adapter = lora(";
        let text = format!("{}\n{tuned}{theirs}) }}\n", stage("budget = 9 steps"));
        let folder = Folder::with(&[("a.exp", &text)]);
        let document = folder.exp("check a.exp --format json").code(1).json();
        let problems = document["problems"].as_array().unwrap();
        let found = problems.iter().find(|p| p["code"] == "E0308").unwrap_or_else(|| panic!("{problems:#?}"));
        assert_eq!(found["fixes"][0]["edits"][0]["new_text"], fixed, "{theirs}: {found:#}");
    }
    for optimizer in ["\"adam\"", "\"adamw_torch\"", "\"adamw_torch_fused\""] {
        let (found, _) = told(&stage(&format!("budget = 9 steps\n  optimizer = {optimizer}")), "E0304");
        assert!(found["help"].as_str().unwrap().contains("`adamw(lr = 1e-3)`"), "{found:#}");
    }
}

#[test]
fn a_number_that_may_be_a_share_or_a_count_needs_its_unit() {
    for number in ["1", "10", "100"] {
        let (found, fixes) =
            told(&stage(&format!("budget = 9 steps\n  schedule = linear(warmup = {number})")), "E0313");
        let share = if number == "1" { "100%".to_owned() } else { format!("{number}%") };
        let wanted = [format!("{number} steps"), format!("{number} tokens"), share];
        assert_eq!(fixes, wanted, "{found:#}");
    }
    // These say what they are.
    for warmup in ["0", "0.02", "1.0", "0.5 * 2", "100 steps / 100 steps", "100%", "2%", "1 steps"] {
        let text = stage(&format!("budget = 9 steps\n  schedule = linear(warmup = {warmup})"));
        let folder = Folder::with(&[("a.exp", &text)]);
        folder.exp("check a.exp").code(0);
    }
}

#[test]
fn a_value_after_a_comma_without_brackets_is_told_of_lists() {
    let text = stage("budget = 9 steps")
        + "\neval fluency {\n  of = pretrain\n  on = stories.valid\n  metrics = perplexity, bits_per_byte\n}\n";
    let folder = Folder::with(&[("a.exp", &text)]);
    let ran = folder.exp("check a.exp").code(1);
    assert!(ran.err.contains("`bits_per_byte` has no value") && ran.err.contains("the two are a list"), "{}", ran.err);
}

#[test]
fn a_word_of_the_wrong_kind_may_be_a_slip() {
    let text = stage("budget = 9 steps")
        + "\nstage more : next_token {\n  init = pretrained\n  data = stories.train\n  budget = 9 steps\n}\n";
    let (found, fixes) = told(&text, "E0304");
    assert_eq!(fixes, ["pretrain"], "{found:#}");
}

#[test]
fn values_are_shown_without_dust() {
    let folder = Folder::with(&[("a.exp", "dataset stories = text(\"x/*.txt\") |> split(train = 90%, valid = 5%)\n")]);
    let ran = folder.exp("check a.exp").code(1);
    assert!(ran.err.contains("`sum(parts) - 1` is -0.05\n"), "{}", ran.err);
    assert!(ran.err.contains("they add up to 95 %"), "{}", ran.err);
    let near = "schema s {\n  a : Float\n  check(a == 1)\n}\nlet x = s(a = 1.0000000000000002)\n";
    let folder = Folder::with(&[("a.exp", near)]);
    let ran = folder.exp("check a.exp").code(1);
    assert!(ran.err.contains("`a` is 1.0000000000000002\n"), "a real difference is shown: {}", ran.err);
}
