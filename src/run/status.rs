//! Whether the things of a plan are in the store, and if not, why they will be made.

use crate::plan::{Plan, Status, Statuses, why};
use crate::store::{Check, Lab, ObjectKind};

/// The statuses of everything in `plan`, explained against the latest run of the same experiment.
pub fn statuses(plan: &Plan, lab: &Lab) -> Statuses {
    let previous = lab
        .runs()
        .unwrap_or_default()
        .into_iter()
        .rev()
        .filter_map(|run| run.plan().ok())
        .find(|earlier| earlier.name == plan.name);
    let mut statuses = Statuses::new();
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
        let cached = !hashes.is_empty() && hashes.iter().all(there);
        let reason = if cached { String::new() } else { why(node.name, plan, previous.as_ref()) };
        statuses.insert(node.name.to_owned(), Status { cached, reason });
    }
    statuses
}
