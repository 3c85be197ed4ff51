//! Checking every point before the first one runs, and counting what points share.

use super::error::SearchError;
use super::points::{Point, points};
use crate::check::CheckedSweep;
use crate::plan::{Estimate, Known, Plan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A sweep that is ready to run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Prepared {
    /// Name and a hash over the points and their plans: the same sweep of the same experiment, and no other.
    pub id: String,
    pub name: String,
    pub candidates: Vec<Candidate>,
    /// Points that do not start, with the reason.
    pub skipped: Vec<Skipped>,
    pub sharing: Sharing,
}

/// A valid point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    pub point: Point,
    pub plan_hash: String,
    pub stages: Vec<Node>,
}

/// A stage of a point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    pub hash: String,
    /// Forward and backward, if known.
    pub flops: Option<f64>,
    pub seconds: Option<f64>,
}

/// A point that does not start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Skipped {
    pub point: Point,
    pub why: String,
    /// It comes to the same as another point.
    #[serde(default)]
    pub same: bool,
}

/// What points have in common.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sharing {
    /// Stages over all points.
    pub stages: usize,
    /// Stages that are trained, each once.
    pub distinct: usize,
    /// Over the distinct stages; absent where one is not known.
    pub flops: Option<f64>,
    pub seconds: Option<f64>,
}

/// Gives the plan of the experiment under the overrides of a point (paths and values as the language writes them), or why
/// the point is not valid.
pub type CheckPoint<'a> = &'a mut dyn FnMut(&[(String, String)]) -> Result<Plan, String>;

/// Checks every point with `check_point`, which gives the point's plan or why it is not valid. Points whose plan equals
/// an earlier one's (an axis that is not used there) do not start either.
///
/// # Errors
/// When the search cannot run, or no point is valid.
pub fn prepare(sweep: &CheckedSweep, check_point: CheckPoint<'_>) -> Result<Prepared, SearchError> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut skipped = Vec::new();
    let mut by_plan: BTreeMap<String, String> = BTreeMap::new();
    for point in points(sweep)? {
        let judged = check_point(&point.overrides()).and_then(|plan| match &plan.hash {
            Known::Value(hash) => Ok((hash.clone(), stages(&plan))),
            Known::Unknown(why) => Err(why.clone()),
        });
        let (why, same) = match judged {
            Ok((plan_hash, stages)) => match by_plan.get(&plan_hash) {
                Some(same) => (format!("it comes to the same as point {same}"), true),
                None => {
                    by_plan.insert(plan_hash.clone(), point.id.clone());
                    candidates.push(Candidate { point, plan_hash, stages });
                    continue;
                }
            },
            Err(why) => (why, false),
        };
        skipped.push(Skipped { point, why, same });
    }
    if candidates.is_empty() {
        let (point, why) = match skipped.into_iter().next() {
            Some(first) => (first.point.to_string(), first.why),
            None => ("none".to_owned(), "there are none to try".to_owned()),
        };
        return Err(SearchError::NothingValid { sweep: sweep.name.clone(), point, why });
    }
    let (id, sharing) = (identity(&sweep.name, &candidates), sharing(&candidates));
    Ok(Prepared { id, name: sweep.name.clone(), candidates, skipped, sharing })
}

fn stages(plan: &Plan) -> Vec<Node> {
    let known = |estimate: &Known<f64>| estimate.value().copied();
    plan.stages
        .iter()
        .filter_map(|s| {
            let Estimate { flops, seconds, .. } = &s.estimate;
            Some(Node {
                name: s.name.clone(),
                hash: s.hash.value()?.clone(),
                flops: known(flops),
                seconds: known(seconds),
            })
        })
        .collect()
}

fn identity(name: &str, candidates: &[Candidate]) -> String {
    let mut lines: Vec<String> = candidates.iter().map(|c| format!("{} {}", c.point.id, c.plan_hash)).collect();
    lines.sort();
    let hash = blake3::hash(format!("emberlab sweep 1\n{}", lines.join("\n")).as_bytes());
    format!("{name}-{}", hash.to_hex().chars().take(10).collect::<String>())
}

fn sharing(candidates: &[Candidate]) -> Sharing {
    let mut distinct: BTreeMap<&str, &Node> = BTreeMap::new();
    let mut stages = 0;
    for node in candidates.iter().flat_map(|c| &c.stages) {
        stages += 1;
        distinct.entry(&node.hash).or_insert(node);
    }
    let sum = |figure: fn(&Node) -> Option<f64>| distinct.values().map(|n| figure(n)).sum::<Option<f64>>();
    Sharing { stages, distinct: distinct.len(), flops: sum(|n| n.flops), seconds: sum(|n| n.seconds) }
}

impl std::fmt::Display for Sharing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let saved = self.stages - self.distinct;
        write!(f, "{} stages, {} of them shared, so {} to train", self.stages, saved, self.distinct)
    }
}

#[cfg(all(test, feature = "engine"))]
pub(super) mod tests {
    use super::*;
    use crate::store::run_tests::plan;
    use crate::sweep::points::tests::{choices, sweep};
    use serde_json::json;

    /// Two layers by three rates, of which one pair is refused.
    pub(crate) fn prepared() -> Prepared {
        let axes = [("teller.layers", choices(&["4", "6"])), ("tuned.optimizer.lr", choices(&["1", "2", "3"]))];
        prepare(&sweep(&axes, json!({ "is": "grid", "points": 3 })), &mut |values| {
            let text = format!("{values:?}");
            if text.contains("\"6\"") && text.contains("\"3\"") {
                Err("it is too large".into())
            } else {
                Ok(plan("tiny", &text))
            }
        })
        .unwrap()
    }

    #[test]
    fn points_that_are_not_valid_never_start() {
        let first = prepared();
        assert_eq!(first.candidates.len(), 5);
        assert_eq!(first.skipped.len(), 1);
        assert_eq!(first.skipped[0].why, "it is too large");
        assert!(first.id.starts_with("shape-"));
        assert_eq!(first.id, prepared().id);
    }

    #[test]
    fn an_axis_that_is_not_used_makes_no_second_point() {
        let axes = [("a", choices(&["1", "2"]))];
        let prepared =
            prepare(&sweep(&axes, json!({ "is": "grid", "points": 3 })), &mut |_| Ok(plan("tiny", "one"))).unwrap();
        assert_eq!((prepared.candidates.len(), prepared.skipped.len()), (1, 1));
        assert!(prepared.skipped[0].why.contains(&prepared.candidates[0].point.id));
    }

    #[test]
    fn nothing_valid_is_an_error_with_a_reason() {
        let axes = [("a", choices(&["1"]))];
        let error =
            prepare(&sweep(&axes, json!({ "is": "grid", "points": 3 })), &mut |_| Err("no".into())).unwrap_err();
        assert!(error.to_string().contains("a = 1, is not because no"), "{error}");
    }

    #[test]
    fn shared_stages_are_counted_once() {
        let node = |hash: &str, flops| Node { name: String::new(), hash: hash.into(), flops, seconds: None };
        let candidate = |id: &str| Candidate {
            point: Point::new(indexmap::IndexMap::from([("a".to_owned(), id.to_owned())])),
            plan_hash: id.into(),
            stages: vec![node("pretrain", Some(10.0)), node(id, Some(1.0))],
        };
        let shared = sharing(&[candidate("x"), candidate("y")]);
        assert_eq!(shared, Sharing { stages: 4, distinct: 3, flops: Some(12.0), seconds: None });
        assert_eq!(shared.to_string(), "4 stages, 1 of them shared, so 3 to train");
    }
}
