//! `exp report`, `exp runs diff` and `exp score`.

use crate::{RUN, STAGES, exp, folder, json, trained};

#[test]
fn a_report_is_html_and_nothing_else() {
    let (at, run, _) = trained();
    for (name, help) in [("x.pdf", "a browser prints it"), ("x.md", "write it as `x.html`"), ("x", "`x.html`")] {
        let ran = exp(at, &["report", run, "--out", name]);
        assert_eq!(ran.code, 2, "{}", ran.out);
        assert!(ran.err.contains("a report is HTML") && ran.err.contains(help), "{name}: {}", ran.err);
        assert!(!at.join(name).exists());
    }
    for name in ["x.html", "x.HTM"] {
        let ran = exp(at, &["report", run, "--out", name]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(std::fs::read_to_string(at.join(name)).unwrap().starts_with("<!"));
    }
}

#[test]
fn samples_are_written_with_the_template_that_judges() {
    // What comes after tuning and has no template of its own is judged with the one it was tuned with.
    let more = "stage more : next_token { init = tuned, data = questions.train, budget = 1 steps, batch = 4 documents }\n\
                stage read : next_token { init = tuned, data = stories.train, budget = 1 steps, batch = 4 documents }\n";
    let place = folder(&format!("{}{more}", STAGES.replace("40 steps", "2 steps").replace("10 steps", "1 steps")));
    let ran = exp(place.path(), &[&RUN[..], &["--events", "json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let prompts = |stage: &str| -> Vec<String> {
        let events = ran.err.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let samples = events.filter(|e| e["event"] == "sample" && e["stage"] == stage);
        samples.map(|e| e["prompt"].as_str().unwrap().to_owned()).collect()
    };
    let asked = prompts("tuned");
    assert!(asked.len() == 4 && asked.iter().all(|prompt| !prompt.is_empty()), "{asked:?}");
    assert_eq!(prompts("more"), asked);
    // A stage that learns from texts is asked nothing.
    assert_eq!(prompts("read"), [""; 4]);
}

#[test]
fn a_difference_is_readable_and_whole() {
    let (at, run, _) = trained();
    let other =
        ["run", "small.exp", "--device", "cpu", "--format", "json", "--until", "pretrain", "--lab", ".emberlab"];
    let lr = ["--set", "pretrain.optimizer.lr=1e-3", "--set", "experiment.seed=4"];
    let second = json(at, &[&other[..], &lr].concat());
    let ran = exp(at, &["runs", "diff", run, second["run"].as_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("pretrain.optimizer.lr"), "{}", ran.out);
    // The grammar of the tales is one long value: it stands whole on a line of its own, and pads no other.
    assert!(ran.out.lines().filter(|l| l.len() > 300).all(|l| l.trim_start().starts_with(['+', '-'])), "{}", ran.out);
}

#[test]
fn rouge_stems_by_default_and_a_flag_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("p.txt"), "the foxes ran\n").unwrap();
    std::fs::write(at.join("r.txt"), "the fox running\n").unwrap();
    let value = |metric: &str, more: &[&str]| {
        let words = ["score", metric, "--predictions", "p.txt", "--references", "r.txt", "--format", "json"];
        let report = json(at, &[&words[..], more].concat());
        report["metrics"][metric]["value"].as_f64().unwrap()
    };
    let (stemmed, plain) = (2.0 / 3.0, 1.0 / 3.0);
    assert_eq!(value("rouge_l", &[]), stemmed);
    assert_eq!(value("rouge_l", &["--stem", "false"]), plain);
    assert_eq!(value("rouge_l:plain", &[]), plain);
}
