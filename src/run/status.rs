//! Whether the things of a plan are in the store, and if not, why they will be made.

use crate::plan::{Plan, Status, Statuses, nearest, why};
use crate::store::{Check, Lab, ObjectKind};
use std::collections::BTreeMap;

/// Runs of the same experiment that a reason is looked for in.
const LOOKED_AT: usize = 20;

/// The step of the latest checkpoint of a stage that was begun and not finished.
fn resumes_at(lab: &Lab, hash: &str) -> Option<u64> {
    crate::train::latest_step(&lab.scratch_of(ObjectKind::Stage, hash))
}

/// The statuses of everything in `plan`, explained against the run of the same experiment that is most like it.
pub fn statuses(plan: &Plan, lab: &Lab) -> Statuses {
    let mut cached: BTreeMap<&str, bool> = BTreeMap::new();
    for node in plan.nodes() {
        let hashes: Vec<Option<&String>> = match plan.evals.iter().find(|e| node.kind == "eval" && e.name == node.name)
        {
            // An evaluation is done when every stage has been judged.
            Some(eval) => eval.cells.iter().map(|c| c.hash.value()).collect(),
            None => vec![node.hash.value()],
        };
        let kind = match node.kind {
            "dataset" => ObjectKind::Dataset,
            "tokenizer" => ObjectKind::Tokenizer,
            "stage" => ObjectKind::Stage,
            "eval" => ObjectKind::Eval,
            _ => continue,
        };
        let there = |hash: &Option<&String>| {
            hash.is_some_and(|h| lab.find(kind, h, Check::Sizes).is_ok_and(|found| found.is_some()))
        };
        cached.insert(node.name, !hashes.is_empty() && hashes.iter().all(there));
    }
    // Plans are read only where something needs a reason.
    let mut earlier: Vec<Plan> = Vec::new();
    if cached.values().any(|cached| !cached) {
        let runs = lab.runs().unwrap_or_default().into_iter().rev();
        let plans = runs.filter_map(|run| run.plan().ok()).filter(|earlier| earlier.name == plan.name);
        earlier = plans.take(LOOKED_AT).collect();
        earlier.reverse();
    }
    let is_cached = |name: &str| cached.get(name).copied().unwrap_or(false);
    let status = |(name, cached): (&&str, &bool)| {
        let reason = if *cached { String::new() } else { why(name, plan, nearest(name, plan, &earlier), &is_cached) };
        let stage = plan.stages.iter().find(|s| s.name == **name && !cached);
        let resumes_at = stage.and_then(|s| s.hash.value()).and_then(|hash| resumes_at(lab, hash));
        ((*name).to_owned(), Status { cached: *cached, reason, resumes_at })
    };
    cached.iter().map(status).collect()
}
