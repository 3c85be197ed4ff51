//! Why something runs again.

use crate::lab::{Lab, amount};
use emberlab::plan::{nearest, why};
use serde_json::json;

#[track_caller]
fn because(change: impl FnOnce(&mut Lab), name: &str) -> String {
    let mut lab = Lab::storyteller();
    let before = lab.plan();
    change(&mut lab);
    why(name, &lab.plan(), Some(&before), &|_| false)
}

#[test]
fn the_changed_field_is_named() {
    assert_eq!(
        because(|lab| lab.item("teller")["width"] = json!(1024), "pretrain"),
        "will run: `teller.width` changed 384 → 1024 (tiny.exp:36:3)"
    );
    assert_eq!(
        because(|lab| lab.common("pretrain")["budget"] = amount(2e7, "tokens"), "pretrain"),
        "will run: `pretrain.budget` changed 10000000.0 tokens → 20000000.0 tokens (tiny.exp:58:3)"
    );
    assert_eq!(
        because(|lab| lab.item("storyteller")["seed"] = json!(43), "tuned").split(';').next(),
        Some("will run: `experiment.seed` changed 42 → 43 (tiny.exp:3:3)")
    );
}

/// What changes no result elsewhere.
#[test]
fn a_field_that_counts_in_some_stages_only_is_named_there() {
    let pieces = |precision: &str| {
        let set = |lab: &mut Lab, pieces: i64| {
            lab.common("tuned")["precision"] = json!(precision);
            lab.common("tuned")["micro_batch"] = json!(pieces);
        };
        let [mut before, mut now] = [Lab::storyteller(), Lab::storyteller()];
        set(&mut before, 2);
        set(&mut now, 4);
        why("tuned", &now.plan(), Some(&before.plan()), &|_| false)
    };
    let told = pieces("mixed_f16");
    assert!(told.starts_with("will run: `tuned.micro_batch` changed 2 → 4"), "{told}");
    assert_eq!(pieces("mixed_bf16"), "will run: no run has finished it, or its result has been removed");
    let places = |action: &str| {
        let set = |lab: &mut Lab, checkpoint: i64| {
            lab.common("pretrain")["on_spike"] = json!({"factor": 2.0, "window": 50, "action": action});
            lab.common("pretrain")["checkpoint"] = json!(checkpoint);
        };
        let [mut before, mut now] = [Lab::storyteller(), Lab::storyteller()];
        set(&mut before, 5);
        set(&mut now, 7);
        why("pretrain", &now.plan(), Some(&before.plan()), &|_| false)
    };
    let told = places("roll_back");
    assert!(told.starts_with("will run: `pretrain.checkpoint` changed 5 → 7"), "{told}");
    assert_eq!(places("skip"), "will run: no run has finished it, or its result has been removed");
}

#[test]
fn the_upstream_reason_is_named_with_its_cause() {
    assert_eq!(
        because(|lab| lab.item("words")["vocab"] = json!(8192), "pretrain"),
        "will run: because `words` will be made again (`words.vocab` changed 4096 → 8192 (tiny.exp:27:3))"
    );
    assert_eq!(
        because(|lab| lab.files[0].1.push('!'), "answers"),
        "will run: because `tuned` will be made again (contents of data/stories/a.txt changed)"
    );
    assert_eq!(because(|lab| lab.files[0].1.push('!'), "stories"), "will run: contents of data/stories/a.txt changed");
}

#[test]
fn nothing_to_compare_with_is_said() {
    let lab = Lab::storyteller();
    assert_eq!(why("pretrain", &lab.plan(), None, &|_| false), "will run: nothing like it has run before");
    assert_eq!(because(|_| {}, "pretrain"), "will run: no run has finished it, or its result has been removed");
    assert_eq!(
        because(|lab| lab.files.clear(), "pretrain"),
        "cannot run yet: no file matches `data/stories/*.txt`, which `stories` reads"
    );
}

#[test]
fn a_thing_is_compared_with_its_nearest_variant_and_what_is_there_is_not_made_again() {
    let mut far = Lab::storyteller();
    far.common("pretrain")["optimizer"]["lr"] = json!(0.5);
    far.common("tuned")["optimizer"]["lr"] = json!(0.5);
    let mut near = Lab::storyteller();
    near.common("tuned")["optimizer"]["lr"] = json!(0.25);
    let now = Lab::storyteller().plan();
    let earlier = [near.plan(), far.plan()];
    let found = nearest("tuned", &now, &earlier);
    let reason = why("tuned", &now, found, &|_| false);
    assert!(reason.contains("0.25") && !reason.contains("made again"), "{reason}");
    let reason = why("tuned", &now, Some(&earlier[1]), &|name| name == "pretrain");
    assert!(reason.contains("because `pretrain` is another one") && !reason.contains("made again"), "{reason}");
}
