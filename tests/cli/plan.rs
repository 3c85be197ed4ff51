//! `exp plan` from the outside.

use crate::support::Folder;
use serde_json::json;

fn sweep() -> Folder {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/sweep.exp")).unwrap();
    Folder::with(&[("sweep.exp", &text)])
}

#[test]
fn sweeps_are_listed_and_priced() {
    let ran = sweep().exp("plan sweep.exp");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let sweeps = ran.out.split_once("\nSweeps\n").expect("a section").1;
    assert!(sweeps.contains("rates : grid over pretrain.optimizer.lr, teller.layers, experiment.seed"), "{sweeps}");
    assert!(sweeps.contains("drawn : random over"), "{sweeps}");
    // 4 rates, 2 depths, 3 seeds, less the three of the highest rate and two layers.
    assert!(sweeps.contains("points      21"), "{sweeps}");
    assert!(sweeps.contains("skipped     3: `where` does not hold"), "{sweeps}");
    assert!(sweeps.contains("stages      21 stages to run"), "{sweeps}");
    assert!(sweeps.contains("FLOPs"), "{sweeps}");
}

#[test]
fn programs_read_the_same_prices() {
    let document = sweep().exp("plan sweep.exp --format json").json();
    let rates = &document["sweeps"][0];
    assert_eq!(rates["name"], json!("rates"));
    assert_eq!(rates["price"]["points"], json!(21));
    assert_eq!(rates["price"]["distinct_stages"], json!(21));
    assert_eq!(rates["skipped"].as_array().map(Vec::len), Some(3));
    let one = document["stages"][0]["flops"].as_f64().unwrap();
    let all = rates["price"]["flops"].as_f64().unwrap();
    assert!(all > 15.0 * one && all < 30.0 * one, "{all} of {one}");
    // Time is known only where this device has been measured.
    assert!(rates["price"]["seconds"].is_null() && rates["price"]["reasons"]["seconds"].is_string());
}

#[test]
fn a_sweep_that_cannot_run_or_is_too_large_says_so() {
    let folder = sweep();
    let text = folder.read("sweep.exp");
    folder.write("sweep.exp", text.replace("random(trials = 6)", "tpe(trials = 6)").replace("1..=3", "1..=400"));
    let ran = folder.exp("plan sweep.exp");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("cannot run: the sweep `drawn` uses `tpe`"), "{}", ran.out);
    assert!(ran.out.contains("not priced: 3200 points"), "{}", ran.out);
}

#[test]
fn a_part_of_the_plan_has_no_sweeps() {
    let ran = sweep().exp("plan sweep.exp --until pretrain");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.out.contains("Sweeps"), "{}", ran.out);
}

#[test]
fn a_missing_data_file_is_told_with_its_place_and_the_nearest_name() {
    let text = "experiment e { language = 1, seed = 1 }\ndataset lines = text(\"books/alise.txt\")\n";
    let folder = Folder::with(&[("e.exp", text), ("books/alice.txt", "a b\n")]);
    assert!(folder.exp("check e.exp").err.contains("no problems"), "check does not look at data");
    let ran = folder.exp("plan e.exp");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("warning[W1011]") && ran.err.contains("e.exp:2:22"), "{}", ran.err);
    assert!(ran.err.contains("did you mean `books/alice.txt`?"), "{}", ran.err);
}

/// The experiment with this sweep instead of its own.
fn with_sweep(axes: &str) -> Folder {
    let folder = sweep();
    let text = folder.read("sweep.exp");
    let before = text.split_once("sweep rates {").unwrap().0;
    let items = "sweep mine {\n  over {\nAXES\n  }\n  minimize = pretrain.valid.loss\n}\n".replace("AXES", axes);
    folder.write("sweep.exp", format!("{before}{items}"));
    folder
}

#[test]
fn an_axis_counts_only_where_its_condition_holds() {
    for axes in [
        "teller.position in [rotary, learned]\nteller.rope_theta in [1e4, 1e5] when teller.position == rotary",
        "teller.rope_theta in [1e4, 1e5] when teller.position == rotary\nteller.position in [rotary, learned]",
        "teller.layers in [1, 2]\nteller.dropout in [0%, 10%] when teller.layers == 2",
    ] {
        let ran = with_sweep(axes).exp("plan sweep.exp --format json");
        assert_eq!(ran.code, 0, "{}", ran.err);
        let sweep = &ran.json()["sweeps"][0];
        assert_eq!(sweep["price"]["points"], 3, "{sweep}");
        assert_eq!(sweep["skipped"], serde_json::json!([]), "{sweep}");
    }
}

#[test]
fn a_record_means_the_same_wherever_its_list_stands() {
    let folder = with_sweep("pretrain.optimizer in recipes.opts\npretrain.sequence in [32 tokens, 64 tokens]");
    let text =
        folder.read("sweep.exp").replace("use std.models", "use \"./recipes.exp\"\nlet fast = 5e-2\nuse std.models");
    folder.write("sweep.exp", &text);
    let pick = |list: &str, rate: &str| {
        folder.write("recipes.exp", format!("let fast = 3e-3\nlet opts = {list}\n"));
        let ran = folder.exp("plan sweep.exp --format json");
        assert_eq!(ran.code, 0, "{}", ran.out);
        assert_eq!(ran.json()["sweeps"][0]["price"]["points"], 4, "{}", ran.out);
        let right = text.replace("minimize", &format!("where = pretrain.optimizer.lr == {rate}\n  minimize"));
        folder.write("sweep.exp", right);
        let ran = folder.exp("plan sweep.exp --format json");
        assert_eq!(ran.json()["sweeps"][0]["price"]["points"], 2, "{}", ran.out);
        let impossible = text.replace("minimize", "where = pretrain.optimizer.lr > 1.0\n  minimize");
        folder.write("sweep.exp", impossible);
        let ran = folder.exp("check sweep.exp");
        folder.write("sweep.exp", &text);
        ran.err
    };
    let told = pick("[adamw(lr = fast), adamw(lr = fast * 2, weight_decay = 0.2)]", "3e-3");
    assert!(told.contains("pretrain.optimizer = adamw(lr = 0.003), "), "{told}");
    let told = pick("[adamw(lr = x) for x in [1e-3, 1e-2]]", "1e-2");
    assert!(told.contains("pretrain.optimizer = adamw(lr = 0.001), "), "{told}");
}

#[test]
fn a_range_over_a_field_of_whole_numbers_has_whole_ones() {
    for axis in ["linear(1 .. 4)", "log(1 .. 4)"] {
        let ran = with_sweep(&format!("teller.layers in {axis}")).exp("plan sweep.exp --format json");
        let sweep = &ran.json()["sweeps"][0];
        assert_eq!(sweep["price"]["points"], 4, "{sweep}");
        assert_eq!(sweep["skipped"], serde_json::json!([]), "{sweep}");
    }
}

#[test]
fn a_split_that_cannot_be_filled_is_told_before_anything_runs() {
    let text = |source: &str| {
        format!("dataset stories = text(\"data/*.txt\"{source}) |> dedup() |> split(train = 90%, valid = 10%)\n")
    };
    let folder = |source: &str, files: usize| {
        let names: Vec<String> = (0..files).map(|n| format!("data/{n}.txt")).collect();
        let mut all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "One.\n\nTwo.\n")).collect();
        let text = text(source);
        all.push(("a.exp", &text));
        Folder::with(&all).exp("plan a.exp").code(0).err.matches("warning[W1017]").count()
    };
    assert_eq!(folder("", 1), 1, "one file is one document");
    assert_eq!(folder("", 2), 0);
    assert_eq!(folder(", document = paragraph", 1), 0);
    // By position one document stands in every split.
    let by_position = text("").replace("valid = 10%)", "valid = 10%, by = position)");
    let whole = Folder::with(&[("data/0.txt", "One.\n"), ("a.exp", &by_position)]).exp("plan a.exp").code(0);
    assert!(!whole.err.contains("W1017"), "{}", whole.err);
}
