//! The points that a search tries.

use super::axis;
use super::error::SearchError;
use crate::check::{CheckedAxis, CheckedSweep};
use crate::plan::spec;
use crate::random::Stream;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// As many points as a grid may have.
const MOST: u128 = 100_000;

/// One setting of every axis.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Hash of the values: the same point has the same name in every sweep, in whatever order its axes stand.
    pub id: String,
    /// By the path of the axis, in the order of the axes; values as the language writes them.
    pub values: IndexMap<String, String>,
}

impl Point {
    pub fn new(values: IndexMap<String, String>) -> Point {
        let mut sorted: Vec<(&String, &String)> = values.iter().collect();
        sorted.sort();
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"emberlab point 1");
        for (path, value) in sorted {
            for text in [path, value] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        let id = hasher.finalize().to_hex().chars().take(10).collect();
        Point { id, values }
    }

    /// The point with the values of the axes that `counts` holds for.
    pub(super) fn only(&self, counts: &dyn Fn(&str) -> bool) -> Point {
        Point::new(self.values.iter().filter(|(path, _)| counts(path)).map(|(p, v)| (p.clone(), v.clone())).collect())
    }

    /// The values as `--set` takes them: paths and texts.
    pub fn overrides(&self) -> Vec<(String, String)> {
        self.values.iter().map(|(path, value)| (path.clone(), value.clone())).collect()
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.values.iter().map(|(path, value)| format!("{path} = {value}")).collect();
        f.write_str(&parts.join(", "))
    }
}

/// The settings of a sweep.
///
/// # Errors
/// When they do not fit [`spec::Sweep`].
pub(super) fn settings(sweep: &CheckedSweep) -> Result<spec::Sweep, SearchError> {
    serde_json::from_value(sweep.json.clone())
        .map_err(|e| SearchError::Malformed { sweep: sweep.name.clone(), why: e.to_string() })
}

/// Every point that the sweep's search tries, each once, in order. Nothing has been checked yet, and axes with a condition
/// have a value in every point: [`prepare`](super::prepare()) takes it out where the condition does not hold.
///
/// # Errors
/// When the search or its early stopping cannot run yet, or an axis has no values.
pub fn points(sweep: &CheckedSweep) -> Result<Vec<Point>, SearchError> {
    let settings = settings(sweep)?;
    refuse_what_is_missing(sweep, &settings)?;
    if sweep.axes.is_empty() {
        return Err(SearchError::NoAxes(sweep.name.clone()));
    }
    for axis in &sweep.axes {
        if let Some(why) = axis::problem(&axis.values) {
            return Err(SearchError::BadAxis { sweep: sweep.name.clone(), axis: axis.path.clone(), why });
        }
    }
    let mut all = match settings.search {
        spec::Search::Grid(grid) => grid_points(sweep, usize::try_from(grid.points).unwrap_or(1))?,
        spec::Search::Random(random) => {
            let trials = u64::try_from(random.trials).unwrap_or(0);
            (0..trials).map(|k| random_point(&sweep.axes, random.seed as u64, k)).collect()
        }
        spec::Search::Sobol(_) | spec::Search::Tpe(_) => Vec::new(),
    };
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|p| seen.insert(p.id.clone()));
    Ok(all)
}

fn refuse_what_is_missing(sweep: &CheckedSweep, settings: &spec::Sweep) -> Result<(), SearchError> {
    let refuse = |what, missing| Err(SearchError::Unsupported { sweep: sweep.name.clone(), what, missing });
    match settings.search {
        spec::Search::Sobol(_) => return refuse("sobol", "there is no quasi-random sampler"),
        spec::Search::Tpe(_) => return refuse("tpe", "there is no sampler that learns from finished points"),
        spec::Search::Grid(_) | spec::Search::Random(_) => {}
    }
    let why = "points cannot be stopped early yet";
    match settings.stop {
        Some(spec::Stop::Asha(_)) => refuse("asha", why),
        Some(spec::Stop::Hyperband(_)) => refuse("hyperband", why),
        Some(spec::Stop::Median(_)) => refuse("median", why),
        None => Ok(()),
    }
}

/// Every combination; the last axis changes fastest.
fn grid_points(sweep: &CheckedSweep, points: usize) -> Result<Vec<Point>, SearchError> {
    let columns: Vec<Vec<String>> = sweep.axes.iter().map(|a| axis::spread(&a.values, points)).collect();
    let count = columns.iter().fold(1u128, |product, c| product.saturating_mul(c.len() as u128));
    if count > MOST {
        return Err(SearchError::TooMany { sweep: sweep.name.clone(), count, limit: MOST });
    }
    let mut rows: Vec<IndexMap<String, String>> = vec![IndexMap::new()];
    for (axis, column) in sweep.axes.iter().zip(&columns) {
        rows = rows
            .iter()
            .flat_map(|row| {
                column.iter().map(|value| {
                    let mut row = row.clone();
                    row.insert(axis.path.clone(), value.clone());
                    row
                })
            })
            .collect();
    }
    Ok(rows.into_iter().map(Point::new).collect())
}

/// Trial `k` of a random search: a function of the seed, `k` and the axis's path, so it is the same for any number of
/// workers and trials, and another axis changes only its own values.
fn random_point(axes: &[CheckedAxis], seed: u64, k: u64) -> Point {
    let draw = |path: &str| Stream::new(seed, &format!("sweep/{path}")).at(k).uniform();
    Point::new(axes.iter().map(|a| (a.path.clone(), axis::at(&a.values, draw(&a.path)))).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::check::AxisValues;
    use crate::source::{FileId, Span};
    use serde_json::{Value as Json, json};

    pub(crate) fn sweep(axes: &[(&str, AxisValues)], search: Json) -> CheckedSweep {
        let span = Span::new(FileId(0), 0, 0);
        CheckedSweep {
            name: "shape".into(),
            axes: axes
                .iter()
                .map(|(path, values)| CheckedAxis {
                    path: (*path).to_owned(),
                    values: values.clone(),
                    condition: None,
                    active: true,
                    span,
                })
                .collect(),
            json: json!({ "search": search, "stop": null, "minimize": { "measure": ["pretrain", "valid", "loss"] }, "maximize": null }),
            constraint: None,
            objective: None,
            holds: true,
            span,
        }
    }

    pub(crate) fn choices(values: &[&str]) -> AxisValues {
        AxisValues::Choices(values.iter().map(|v| (*v).to_owned()).collect())
    }

    fn rates() -> AxisValues {
        AxisValues::Log { low: 1e-4, high: 1e-2, unit: String::new(), whole: false }
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let axes = [("teller.layers", choices(&["4", "6", "6"])), ("pretrain.optimizer.lr", rates())];
        let all = points(&sweep(&axes, json!({ "is": "grid", "points": 3 }))).unwrap();
        let shown: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 6);
        assert_eq!(shown[1], "teller.layers = 4, pretrain.optimizer.lr = 0.001");
        assert_eq!(shown[3], "teller.layers = 6, pretrain.optimizer.lr = 0.0001");
    }

    #[test]
    fn a_trial_depends_on_seed_and_number_only() {
        let axes = [("a", choices(&["1", "2", "3", "4"])), ("b", rates())];
        let random =
            |trials, seed| points(&sweep(&axes, json!({ "is": "random", "trials": trials, "seed": seed }))).unwrap();
        assert_eq!(random(8, 1)[..4], random(4, 1)[..]);
        assert_ne!(random(4, 1), random(4, 2));
        let alone = points(&sweep(&axes[1..], json!({ "is": "random", "trials": 4, "seed": 1 }))).unwrap();
        for (with, without) in random(4, 1).iter().zip(&alone) {
            assert_eq!(with.values["b"], without.values["b"], "another axis moves nothing");
        }
    }

    #[test]
    fn an_id_is_the_values_whatever_their_order() {
        let point = |pairs: &[(&str, &str)]| {
            Point::new(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
        };
        assert_eq!(point(&[("a", "1"), ("b", "2")]).id, point(&[("b", "2"), ("a", "1")]).id);
        assert_ne!(point(&[("a", "1"), ("b", "2")]).id, point(&[("a", "2"), ("b", "1")]).id);
        assert_ne!(point(&[("a", "1b")]).id, point(&[("a1", "b")]).id);
    }

    #[test]
    fn what_cannot_run_is_refused_before_anything_starts() {
        let axes = [("a", choices(&["1"]))];
        let error = points(&sweep(&axes, json!({ "is": "tpe", "trials": 24, "seed": 0 }))).unwrap_err().to_string();
        assert!(error.contains("`tpe`") && error.contains("random(trials"), "{error}");
        let mut stopped = sweep(&axes, json!({ "is": "grid", "points": 3 }));
        stopped.json["stop"] = json!({ "is": "asha", "first": { "amount": 100.0, "unit": "steps" }, "factor": 3 });
        assert!(points(&stopped).unwrap_err().to_string().contains("`asha`"));
        let wide: Vec<String> = (0..400).map(|i| i.to_string()).collect();
        let axes = [("a", AxisValues::Choices(wide.clone())), ("b", AxisValues::Choices(wide))];
        let error = points(&sweep(&axes, json!({ "is": "grid", "points": 1 }))).unwrap_err().to_string();
        assert!(error.contains("160000 points"), "{error}");
    }
}
