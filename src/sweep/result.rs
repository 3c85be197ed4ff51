//! The outcome of a sweep, as `exp sweep` prints it.

use super::goal::Goal;
use super::prepare::Prepared;
use super::state::{Entry, PointStatus, State};
use crate::store::Table;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SweepResult {
    pub schema_version: u32,
    /// The sweep's identity.
    pub sweep: String,
    /// In the order of the search, then those that never started.
    pub points: Vec<PointRow>,
    /// Id of the best point; of equals, the first.
    pub best: Option<String>,
    pub cost: Cost,
    /// Place of each point by its objective, equals sharing one; points without an objective have none.
    #[serde(skip)]
    pub ranks: Vec<Option<usize>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PointRow {
    pub id: String,
    pub values: IndexMap<String, String>,
    pub status: PointStatus,
    pub objective: Option<f64>,
    pub seconds: Option<f64>,
    /// Stages that had been made before.
    pub reused: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What the finished points took.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    pub points: usize,
    /// Of training.
    pub seconds: f64,
    /// Stages reused instead of trained again.
    pub reused: u64,
}

impl SweepResult {
    /// Gathers what is known of every point.
    pub fn of(prepared: &Prepared, state: &State, goal: Option<&Goal>) -> SweepResult {
        let candidates = prepared.candidates.iter().map(|c| &c.point);
        let skipped = prepared
            .skipped
            .iter()
            .map(|s| Entry { why: Some(s.why.clone()), ..Entry::new(&s.point, PointStatus::Skipped) });
        let entries = candidates
            .map(|p| state.get(&p.id).cloned().unwrap_or_else(|| Entry::new(p, PointStatus::Waiting)))
            .chain(skipped);
        let points: Vec<PointRow> = entries
            .map(|e| PointRow {
                id: e.id,
                values: e.values,
                status: e.status,
                objective: e.objective,
                seconds: e.seconds,
                reused: e.reused,
                run: e.run,
                why: e.why,
            })
            .collect();
        let done = points.iter().filter(|p| p.status == PointStatus::Done);
        let cost = done.fold(Cost::default(), |c, p| Cost {
            points: c.points + 1,
            seconds: c.seconds + p.seconds.unwrap_or(0.0),
            reused: c.reused + p.reused.unwrap_or(0),
        });
        let ranks = goal.map_or_else(|| vec![None; points.len()], |g| ranks(&points, g));
        let best = ranks.iter().position(|r| *r == Some(1)).and_then(|i| points.get(i)).map(|p| p.id.clone());
        SweepResult { schema_version: 1, sweep: prepared.id.clone(), points, best, cost, ranks }
    }

    /// For people: best first, then those without an objective.
    pub fn table(&self) -> Table {
        // An axis with a condition has no value in some points.
        let mut axes: Vec<&String> = Vec::new();
        for path in self.points.iter().flat_map(|p| p.values.keys()) {
            if !axes.contains(&path) {
                axes.push(path);
            }
        }
        let mut head = vec!["rank".to_owned(), "point".to_owned()];
        head.extend(axes.iter().map(|a| (*a).clone()));
        head.extend(["objective", "status", "took", "reused", "run or reason"].map(str::to_owned));
        let mut table = Table::new(head);
        let mut order: Vec<usize> = (0..self.points.len()).collect();
        order.sort_by_key(|i| self.ranks.get(*i).copied().flatten().unwrap_or(usize::MAX));
        for i in order {
            let Some(point) = self.points.get(i) else { continue };
            let dash = || "-".to_owned();
            let rank = self.ranks.get(i).copied().flatten();
            let mut row = vec![rank.map_or_else(dash, |r| r.to_string()), point.id.clone()];
            row.extend(axes.iter().map(|a| point.values.get(*a).cloned().unwrap_or_else(dash)));
            row.push(point.objective.map_or_else(dash, |v| format!("{v:.4}")));
            row.push(point.status.name().to_owned());
            row.push(point.seconds.map_or_else(dash, |s| format!("{s:.1}s")));
            row.push(point.reused.map_or_else(dash, |r| r.to_string()));
            row.push(point.why.clone().or(point.run.clone()).unwrap_or_else(dash));
            table.row(row);
        }
        table
    }
}

/// Places with gaps after equals: 1, 2, 2, 4.
fn ranks(points: &[PointRow], goal: &Goal) -> Vec<Option<usize>> {
    let better = |a: f64, b: f64| goal.order(a, b) == std::cmp::Ordering::Less && a != b;
    let value = |p: &PointRow| p.objective.filter(|_| p.status == PointStatus::Done);
    points
        .iter()
        .map(|p| value(p).map(|own| 1 + points.iter().filter_map(value).filter(|other| better(*other, own)).count()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::spec::Measured;
    use crate::types::core::{Constant, Core};

    fn row(id: &str, objective: Option<f64>) -> PointRow {
        PointRow {
            id: id.into(),
            values: IndexMap::from([("lr".to_owned(), id.to_owned())]),
            status: if id == "f" { PointStatus::Failed } else { PointStatus::Done },
            objective,
            seconds: Some(1.0),
            reused: Some(0),
            run: None,
            why: None,
        }
    }

    #[test]
    fn equals_share_a_place_and_what_is_missing_comes_last() {
        let points = vec![
            row("a", Some(2.0)),
            row("b", None),
            row("c", Some(1.0)),
            row("d", Some(2.0)),
            row("e", Some(9.0)),
            row("f", Some(0.0)),
        ];
        let measured = || Measured(Core::Const(Constant::None));
        let low = ranks(&points, &Goal::Minimize(measured()));
        assert_eq!(low, [Some(2), None, Some(1), Some(2), Some(4), None]);
        assert_eq!(ranks(&points, &Goal::Maximize(measured()))[..5], [Some(2), None, Some(4), Some(2), Some(1)]);
        let result = SweepResult {
            schema_version: 1,
            sweep: "s".into(),
            best: Some("c".into()),
            cost: Cost::default(),
            ranks: low,
            points,
        };
        let table = result.table().to_string();
        let first: Vec<&str> = table.lines().skip(1).filter_map(|l| l.split_whitespace().nth(1)).collect();
        assert_eq!(first, ["c", "a", "d", "e", "b", "f"], "{table}");
        let json = serde_json::to_value(&result).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["schema_version", "sweep", "points", "best", "cost"]);
        let keys: Vec<&str> = json["points"][0].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["id", "values", "status", "objective", "seconds", "reused"]);
    }
}
