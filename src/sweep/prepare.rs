//! Checking every point before the first one runs, and counting what points share.

use super::error::SearchError;
use super::points::{Point, points};
use crate::check::CheckedSweep;
use crate::plan::{Estimate, Known, Plan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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

/// Why there is no plan for a point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The point is not valid.
    Invalid(String),
    /// The axis of this path counts at the point (its `when` holds there), and the point has no value for it.
    Lacks(String),
}

/// Gives the plan of the experiment under the overrides of a point (paths and values as the language writes them), or why
/// there is none.
pub type CheckPoint<'a> = Ask<'a, Plan>;

/// What is found out of the experiment under the overrides of a point, or why there is nothing.
pub type Ask<'a, T> = &'a mut dyn FnMut(&[(String, String)]) -> Result<T, Refusal>;

/// Checks every point with `check_point`. An axis whose `when` does not hold at a point is no part of it, and points that
/// differ in nothing else are one. Points whose plan equals an earlier one's do not start either.
///
/// # Errors
/// When the search cannot run, or no point is valid.
pub fn prepare(sweep: &CheckedSweep, check_point: CheckPoint<'_>) -> Result<Prepared, SearchError> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut skipped = Vec::new();
    let mut by_plan: BTreeMap<String, String> = BTreeMap::new();
    let mut reduce = Reduce::new(sweep);
    let mut seen = BTreeSet::new();
    for whole in points(sweep)? {
        let (point, judged) = reduce.point(&whole, check_point);
        if !seen.insert(point.id.clone()) {
            continue;
        }
        let judged = judged.and_then(|plan| match &plan.hash {
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

/// Takes the values of axes that do not count out of points.
pub struct Reduce {
    /// The axes with a condition.
    conditional: Vec<String>,
    /// The axis that a part of a point lacks next, by the part's name.
    lacks: BTreeMap<String, String>,
}

impl Reduce {
    pub fn new(sweep: &CheckedSweep) -> Reduce {
        let conditional = sweep.axes.iter().filter(|a| a.condition.is_some()).map(|a| a.path.clone()).collect();
        Reduce { conditional, lacks: BTreeMap::new() }
    }

    /// The point with the values that count, and what `check` says of it. It starts without the axes that have a condition
    /// and takes on those that it turns out to lack, so no value is ever set where its axis does not count.
    pub fn point<T>(&mut self, whole: &Point, check: Ask<'_, T>) -> (Point, Result<T, String>) {
        let mut taken: Vec<String> = Vec::new();
        loop {
            let counts = |path: &str| taken.iter().any(|t| t == path) || !self.conditional.iter().any(|c| c == path);
            let part = whole.only(&counts);
            let lacks = match self.lacks.get(&part.id) {
                Some(path) => path.clone(),
                None => match check(&part.overrides()) {
                    Ok(found) => return (part, Ok(found)),
                    Err(Refusal::Invalid(why)) => return (part, Err(why)),
                    Err(Refusal::Lacks(path)) => {
                        self.lacks.insert(part.id.clone(), path.clone());
                        path
                    }
                },
            };
            if taken.contains(&lacks) || !whole.values.contains_key(&lacks) {
                return (part, Err(format!("the axis `{lacks}` has no value")));
            }
            taken.push(lacks);
        }
    }
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
                Err(Refusal::Invalid("it is too large".into()))
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
            prepare(&sweep(&axes, json!({ "is": "grid", "points": 3 })), &mut |_| Err(Refusal::Invalid("no".into())))
                .unwrap_err();
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

#[cfg(test)]
mod reduce_tests {
    use super::*;
    use crate::sweep::points::tests::{choices, sweep};
    use serde_json::json;

    fn value<'a>(values: &'a [(String, String)], path: &str) -> Option<&'a str> {
        values.iter().find(|(p, _)| p == path).map(|(_, v)| v.as_str())
    }

    /// Dropout counts with two layers, and its seed only with dropout.
    fn check(values: &[(String, String)]) -> Result<(), Refusal> {
        let deep = value(values, "layers") == Some("2");
        let drops = value(values, "dropout");
        for (path, counts) in [("dropout", deep), ("seed", deep && drops == Some("10%"))] {
            let given = value(values, path).is_some();
            assert!(counts || !given, "`{path}` is set where it does not count: {values:?}");
            if counts && !given {
                return Err(Refusal::Lacks(path.to_owned()));
            }
        }
        Ok(())
    }

    fn reduced(search: serde_json::Value) -> Vec<String> {
        let axes =
            [("layers", choices(&["1", "2"])), ("dropout", choices(&["0%", "10%"])), ("seed", choices(&["1", "2"]))];
        let mut sweep = sweep(&axes, search);
        for axis in &mut sweep.axes[1..] {
            axis.condition = Some("a condition".into());
        }
        let mut reduce = Reduce::new(&sweep);
        let mut all: Vec<String> = Vec::new();
        for whole in points(&sweep).unwrap() {
            let (point, judged) = reduce.point(&whole, &mut check);
            judged.unwrap();
            if !all.contains(&point.to_string()) {
                all.push(point.to_string());
            }
        }
        all
    }

    #[test]
    fn an_axis_that_does_not_count_is_no_part_of_a_point() {
        let wanted = [
            "layers = 1",
            "layers = 2, dropout = 0%",
            "layers = 2, dropout = 10%, seed = 1",
            "layers = 2, dropout = 10%, seed = 2",
        ];
        assert_eq!(reduced(json!({ "is": "grid", "points": 3 })), wanted);
        let mut drawn = reduced(json!({ "is": "random", "trials": 64, "seed": 1 }));
        drawn.sort();
        assert_eq!(drawn, wanted);
    }

    #[test]
    fn an_axis_that_never_comes_to_count_is_no_endless_loop() {
        let mut reduce = Reduce::new(&sweep(&[("a", choices(&["1"]))], json!({ "is": "grid", "points": 3 })));
        let whole = Point::new(indexmap::IndexMap::from([("a".to_owned(), "1".to_owned())]));
        let (_, judged) = reduce.point::<()>(&whole, &mut |_| Err(Refusal::Lacks("b".into())));
        assert_eq!(judged.unwrap_err(), "the axis `b` has no value");
    }
}
