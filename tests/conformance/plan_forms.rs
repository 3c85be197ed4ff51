//! The plan as people and programs read it.

use crate::lab::Lab;
use emberlab::plan::{DataCount, Digest, Known, KnownCounts, Plan, Status, Statuses, Workload, display, json, price};
use serde_json::json;

fn statuses() -> Statuses {
    let status = |cached, reason: &str| Status { cached, reason: reason.to_owned(), resumes_at: None };
    Statuses::from([
        ("stories".to_owned(), status(true, "")),
        ("pretrain".to_owned(), status(false, "will run: `teller.width` changed 512 → 384 (tiny.exp:42:3)")),
    ])
}

struct Counted;

impl KnownCounts for Counted {
    fn data(&self, _: &Digest) -> Option<DataCount> {
        Some(DataCount { documents: 12_345, bytes: 4_000_000 })
    }
    fn tokens(&self, _: &Digest, _: &Digest) -> Option<u64> {
        Some(1_250_000)
    }
    fn tokens_per_second(&self, _: &Workload<'_>) -> Known<f64> {
        Known::Value(4000.0)
    }
}

#[test]
fn people_read_it() {
    insta::assert_snapshot!("plan_text", display::text(&Lab::storyteller().plan(), None, &statuses()));
    let counted = Lab::storyteller().counted(&Counted).expect("it plans");
    insta::assert_snapshot!("plan_text_counted", display::text(&counted, Some("CPU (flex), 2 threads"), &statuses()));
}

#[test]
fn programs_read_it() {
    let plan = Lab::storyteller().plan();
    let document = json::json(&plan, Some("cpu"), &statuses());
    insta::assert_snapshot!("plan_json", serde_json::to_string_pretty(&document).expect("it serialises"));
    let keys: Vec<&str> = document.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
    for promised in ["schema_version", "experiment", "hash", "device", "stages", "datasets", "totals"] {
        assert!(keys.contains(&promised), "{promised}");
    }
    for promised in [
        "name",
        "kind",
        "hash",
        "cached",
        "reason",
        "parameters",
        "tokens",
        "steps",
        "flops",
        "memory_bytes",
        "seconds",
        "depends_on",
    ] {
        assert!(document["stages"][0].get(promised).is_some(), "{promised}");
    }
    assert_eq!(document["stages"][0]["seconds"], json!(null));
    assert!(document["stages"][0]["reasons"]["seconds"].is_string(), "an absent figure has its reason");
}

#[test]
fn a_plan_survives_storing() {
    let plan = Lab::storyteller().plan();
    let text = serde_json::to_string(&plan).expect("it serialises");
    assert_eq!(serde_json::from_str::<Plan>(&text).expect("it deserialises"), plan);
}

#[test]
fn points_of_a_sweep_share_their_stages() {
    let points: Vec<(Plan, Statuses)> = [1e-3, 3e-4, 1e-4]
        .iter()
        .map(|lr| {
            let mut lab = Lab::storyteller();
            lab.common("tuned")["optimizer"]["lr"] = json!(lr);
            (lab.counted(&Counted).expect("it plans"), Statuses::new())
        })
        .collect();
    let price = price(&points);
    assert_eq!((price.points, price.stages, price.distinct_stages), (3, 6, 4), "one pretraining, three tunings");
    // 3 × (3 datasets, a tokenizer, 3 evaluations); the data and the tokenizer are shared, the judgements are not.
    assert_eq!((price.others, price.distinct_others), (21, 4 + 9));
    let one = |p: &Plan, i: usize| p.stages[i].estimate.flops.value().copied().unwrap_or(0.0);
    let expected = one(&points[0].0, 0) + 3.0 * one(&points[0].0, 1);
    assert_eq!(price.flops, Known::Value(expected));
    insta::assert_snapshot!("price_text", display::price_text(&price));
}
