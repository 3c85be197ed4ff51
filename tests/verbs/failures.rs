//! What is said when a run fails.

use crate::{HEAD, STAGES, exp, folder};

#[test]
fn an_error_is_told_once_and_gets_no_help_that_is_untrue() {
    let place = folder(
        r#"
dataset notes = jsonl("notes.jsonl", text = "text")
tokenizer letters : characters { train_on = notes }
"#,
    );
    std::fs::write(place.path().join("notes.jsonl"), "{\"text\": \"a\"}\n{\"text\": \"b\"\n").unwrap();
    for words in [&["run", "small.exp", "--device", "cpu"][..], &["run", "small.exp", "--device", "cpu", "-q"]] {
        let ran = exp(place.path(), words);
        assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
        assert_eq!(ran.err.matches("notes.jsonl").count(), 1, "{}", ran.err);
        assert!(!ran.err.contains("same command"), "{}", ran.err);
    }
    let events = exp(place.path(), &["run", "small.exp", "--device", "cpu", "--events", "json"]);
    assert!(events.err.contains("\"status\":\"failed\",") && events.err.contains("\"why\":\""), "{}", events.err);
}

#[test]
fn what_a_machine_failed_at_goes_on_with_the_same_command() {
    let place = folder(STAGES);
    // A file where the folder of objects belongs.
    std::fs::create_dir(place.path().join(".emberlab")).unwrap();
    std::fs::write(place.path().join(".emberlab/objects"), HEAD).unwrap();
    let ran = exp(place.path(), &["run", "small.exp", "--device", "cpu"]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    let errors: Vec<&str> = ran.err.lines().filter(|line| line.contains("cannot ")).collect();
    assert_eq!(errors.len(), 1, "{}", ran.err);
    assert!(ran.err.contains("the same command goes on from there"), "{}", ran.err);
}

#[test]
fn a_sample_that_cannot_be_used_is_told_before_anything_is_trained() {
    let stages = STAGES.replace("questions.train", "mine").replace(
        "stage tuned",
        "dataset mine = jsonl(\"mine.jsonl\", prompt = \"q\", response = \"a\")\n\nstage tuned",
    );
    let place = folder(&stages);
    std::fs::write(
        place.path().join("mine.jsonl"),
        "{\"q\": \"Who?\", \"a\": \"Max.\"}\n{\"q\": \"Who?\", \"a\": \"\"}\n",
    )
    .unwrap();
    let ran = exp(place.path(), &["run", "small.exp", "--device", "cpu", "--events", "json"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("mine.jsonl:2") && ran.err.contains("`mine` as tokens of `pieces`"), "{}", ran.err);
    assert!(!ran.err.contains("stage_started"), "{}", ran.err);
}

#[test]
fn a_split_that_got_nothing_is_told_by_its_name() {
    let stages = STAGES.replace("stories.valid", "one.valid").replace(
        "stage pretrain",
        "dataset one = text(\"one.txt\") |> split(train = 90%, valid = 10%)\n\nstage pretrain",
    );
    let place = folder(&stages);
    std::fs::write(place.path().join("one.txt"), "A cat sat.\n\nA dog ran.\n").unwrap();
    let ran = exp(place.path(), &["run", "small.exp", "--device", "cpu"]);
    assert!(ran.err.contains("the whole dataset is one document"), "{}", ran.err);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(
        ran.err.contains("`one.valid` has no documents") && ran.err.contains("document = paragraph"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("step 1/"), "before anything was trained: {}", ran.err);
}

#[test]
fn an_eval_without_items_is_told_before_anything_is_trained() {
    let judged = "\ndataset one = text(\"one.txt\") |> split(train = 90%, test = 10%)\n\n\
                  eval fluency {\n  of      = [pretrain]\n  on      = one.test\n  metrics = [perplexity]\n}\n";
    let place = folder(&format!("{STAGES}{judged}"));
    std::fs::write(place.path().join("one.txt"), "A cat sat.\n\nA dog ran.\n").unwrap();
    let ran = exp(place.path(), &["run", "small.exp", "--device", "cpu", "--events", "json"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("`one.test` has no documents") && !ran.err.contains("stage_started"), "{}", ran.err);
}

#[test]
fn a_training_that_diverged_says_so() {
    let stage = |lr: &str| {
        format!(
            "\nstage wild : next_token {{ model = teller, tokenizer = pieces, data = stories.train, budget = 12 steps, batch = 8 \
             documents, optimizer = adamw(lr = {lr}), schedule = constant(warmup = 0 steps) }}\n"
        )
    };
    let words = ["run", "small.exp", "--device", "cpu", "--format", "json"];
    let place = folder(&stage("10.0"));
    let ran = exp(place.path(), &words);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("worse than guessing among its 384 tokens (5.95)"), "{}", ran.err);
    assert!(ran.out.contains("the training diverged"), "the record keeps it: {}", ran.out);
    let tame = exp(folder(&stage("1e-3")).path(), &words);
    assert!(tame.code == 0 && !tame.err.contains("guessing"), "{}", tame.err);
}
