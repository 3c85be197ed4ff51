//! Sweeps: parallel coordinates, the objective over each axis, and the ranked table.

use super::chart::{line, place};
use super::format::{duration, hash, number};
use super::html::Html;
use super::scale::Scale;
use super::view::{PointView, SweepView};

/// Points that the ranked table shows.
const MOST_ROWS: usize = 100;

/// How one axis lays its values on a stretch of the page.
enum Axis {
    Numbers(Scale),
    /// Values in the order of their first appearance.
    Names(Vec<String>, f64, f64),
}

impl Axis {
    fn of(values: &[&str], log: bool, from: f64, to: f64) -> Axis {
        let numbers: Option<Vec<f64>> = values.iter().map(|v| parse(v)).collect();
        match numbers {
            Some(numbers) if !numbers.is_empty() => Axis::Numbers(Scale::around(numbers, from, to, log)),
            _ => {
                let mut names: Vec<String> = Vec::new();
                for value in values {
                    if !names.iter().any(|n| n == value) {
                        names.push((*value).to_owned());
                    }
                }
                Axis::Names(names, from, to)
            }
        }
    }

    fn at(&self, value: &str) -> Option<f64> {
        match self {
            Axis::Numbers(scale) => parse(value).map(|v| scale.at(v)),
            Axis::Names(names, from, to) => {
                let place = names.iter().position(|n| n == value)?;
                Some(from + (to - from) * (place as f64 + 0.5) / names.len() as f64)
            }
        }
    }

    fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        match self {
            Axis::Numbers(scale) => scale.ticks(count).into_iter().map(|t| (scale.at(t), number(t))).collect(),
            Axis::Names(names, ..) => names.iter().filter_map(|n| Some((self.at(n)?, n.clone()))).collect(),
        }
    }
}

/// A number as the language writes it, without its unit.
fn parse(text: &str) -> Option<f64> {
    let number: f64 = text.split(' ').next()?.replace('_', "").trim_end_matches('%').parse().ok()?;
    Some(number).filter(|n| n.is_finite())
}

/// Writes one sweep.
pub fn write(sweep: &SweepView, html: &mut Html) {
    let mut ranked: Vec<&PointView> = sweep.points.iter().filter(|p| objective(p).is_some()).collect();
    ranked.sort_by(|a, b| {
        let order = objective(a).unwrap_or(0.0).total_cmp(&objective(b).unwrap_or(0.0));
        let order = if sweep.maximize { order.reverse() } else { order };
        order.then_with(|| a.id.cmp(&b.id))
    });
    let direction = if sweep.maximize { "maximised" } else { "minimised" };
    html.tag("p", &[("class", "lead")], |html| {
        html.text(&format!("{} points, ", sweep.points.len()));
        html.leaf("code", &[], &sweep.objective).text(&format!(" {direction}."));
        if let Some(best) = ranked.first() {
            html.text(" Best: ").leaf("code", &[], &hash(&best.id)).text(" with ");
            html.leaf("strong", &[], &number(objective(best).unwrap_or(f64::NAN))).text(".");
        }
    });
    if ranked.len() > 1 {
        parallel(sweep, &ranked, html);
        html.tag("div", &[("class", "grid")], |html| {
            for i in 0..sweep.axes.len() {
                scatter(sweep, &ranked, i, html);
            }
        });
    }
    table(sweep, &ranked, html);
}

fn objective(point: &PointView) -> Option<f64> {
    point.objective.filter(|o| o.is_finite())
}

fn value(point: &PointView, axis: usize) -> Option<&str> {
    point.values.get(axis)?.as_deref()
}

/// The class that colours a point by its rank: `q0` is best, `q6` worst.
fn shade(rank: usize, of: usize) -> String {
    format!("q{}", rank * 7 / of.max(1))
}

/// Every point as a line across the axes; the best are drawn last, on top.
fn parallel(sweep: &SweepView, ranked: &[&PointView], html: &mut Html) {
    let columns = sweep.axes.len() + 1;
    let (width, height, top, bottom) = (720.0f64.max(150.0 * columns as f64), 320.0, 44.0, 296.0);
    let x = |i: usize| 70.0 + (width - 140.0) * i as f64 / (columns - 1).max(1) as f64;
    let mut axes: Vec<Axis> = Vec::new();
    for (i, axis) in sweep.axes.iter().enumerate() {
        let values: Vec<&str> = ranked.iter().filter_map(|p| value(p, i)).collect();
        axes.push(Axis::of(&values, axis.log, bottom, top));
    }
    let goal = Scale::around(ranked.iter().filter_map(|p| objective(p)), bottom, top, false);
    html.tag("figure", &[("class", "figure wide")], |html| {
        let size = format!("0 0 {width} {height}");
        let label = format!("Parallel coordinates of {} points", ranked.len());
        html.tag(
            "svg",
            &[("viewBox", &size), ("role", "img"), ("aria-label", &label), ("class", "plot parallel")],
            |html| {
                for (rank, point) in ranked.iter().enumerate().rev() {
                    let mut stops: Vec<Option<(f64, f64)>> =
                        axes.iter().enumerate().map(|(i, axis)| Some((x(i), axis.at(value(point, i)?)?))).collect();
                    stops.push(objective(point).map(|o| (x(columns - 1), goal.at(o))));
                    let class = format!("strand {}", shade(rank, ranked.len()));
                    // An axis that does not apply to a point leaves a gap in its line.
                    html.tag("path", &[("d", &curve(&stops)), ("class", &class), ("data-point", &point.id)], |html| {
                        html.leaf("title", &[], &describe(sweep, point));
                    });
                }
                for i in 0..columns {
                    let at = place(x(i));
                    line(html, "axis", (&at, &place(top - 8.0)), (&at, &place(bottom + 8.0)));
                    let (ticks, name) = match (axes.get(i), sweep.axes.get(i)) {
                        (Some(axis), Some(view)) => (axis.ticks(5), view.path.as_str()),
                        _ => (
                            goal.ticks(5).into_iter().map(|t| (goal.at(t), number(t))).collect(),
                            sweep.objective.as_str(),
                        ),
                    };
                    for (y, text) in ticks {
                        let (left, right, below) = (place(x(i) - 4.0), place(x(i) + 4.0), place(y + 4.0));
                        line(html, "axis", (&left, &place(y)), (&right, &place(y)));
                        html.leaf(
                            "text",
                            &[("x", &place(x(i) - 8.0)), ("y", &below), ("class", "tick end halo")],
                            &text,
                        );
                    }
                    let (owner, field) = name.rsplit_once('.').unwrap_or(("", name));
                    html.leaf("text", &[("x", &at), ("y", "12"), ("class", "tick middle faint")], owner);
                    html.leaf("text", &[("x", &at), ("y", "26"), ("class", "tick middle strong")], field);
                }
            },
        );
        html.leaf("figcaption", &[], "Every point as a line across the axes; the stronger its colour, the better.");
    });
}

/// A smooth line through the stops, interrupted where one is missing.
fn curve(stops: &[Option<(f64, f64)>]) -> String {
    let mut out = String::new();
    let mut before: Option<(f64, f64)> = None;
    for stop in stops {
        match (before, stop) {
            (None, Some((x, y))) => out.push_str(&format!("M{x:.1} {y:.1}")),
            (Some((px, py)), Some((x, y))) => {
                let middle = f64::midpoint(px, *x);
                out.push_str(&format!("C{middle:.1} {py:.1} {middle:.1} {y:.1} {x:.1} {y:.1}"));
            }
            _ => {}
        }
        before = *stop;
    }
    out
}

/// The objective over one axis.
fn scatter(sweep: &SweepView, ranked: &[&PointView], index: usize, html: &mut Html) {
    let Some(view) = sweep.axes.get(index) else { return };
    let (width, height) = (340.0, 210.0);
    let values: Vec<&str> = ranked.iter().filter_map(|p| value(p, index)).collect();
    let x = Axis::of(&values, view.log, 52.0, width - 14.0);
    let y = Scale::around(ranked.iter().filter_map(|p| objective(p)), height - 34.0, 10.0, false);
    html.tag("figure", &[("class", "figure small")], |html| {
        let size = format!("0 0 {width} {height}");
        let label = format!("{} over {}", sweep.objective, view.path);
        html.tag("svg", &[("viewBox", &size), ("role", "img"), ("aria-label", &label), ("class", "plot")], |html| {
            for tick in y.ticks(4) {
                let at = place(y.at(tick));
                line(html, "grid", ("52", &at), (&place(width - 14.0), &at));
                let below = place(y.at(tick) + 4.0);
                html.leaf("text", &[("x", "45"), ("y", &below), ("class", "tick end")], &number(tick));
            }
            let floor = place(height - 34.0);
            line(html, "axis", ("52", &floor), (&place(width - 14.0), &floor));
            for (at, text) in x.ticks(4) {
                let below = place(height - 16.0);
                html.leaf("text", &[("x", &place(at)), ("y", &below), ("class", "tick middle")], &text);
            }
            for (rank, point) in ranked.iter().enumerate().rev() {
                let (Some(at), Some(goal)) = (value(point, index).and_then(|v| x.at(v)), objective(point)) else {
                    continue;
                };
                let class = format!("point {}", shade(rank, ranked.len()));
                let (cx, cy) = (place(at), place(y.at(goal)));
                let attributes =
                    [("cx", cx.as_str()), ("cy", &cy), ("r", "4"), ("class", &class), ("data-point", &point.id)];
                html.tag("circle", &attributes, |html| {
                    html.leaf("title", &[], &describe(sweep, point));
                });
            }
        });
        html.tag("figcaption", &[], |html| {
            html.text("Objective over ").leaf("code", &[], &view.path);
        });
    });
}

fn describe(sweep: &SweepView, point: &PointView) -> String {
    let mut out = hash(&point.id);
    for (i, axis) in sweep.axes.iter().enumerate() {
        out.push_str(&format!("\n{} = {}", axis.path, value(point, i).unwrap_or("–")));
    }
    out.push_str(&format!("\n{} = {}", sweep.objective, objective(point).map_or("–".into(), number)));
    out
}

fn table(sweep: &SweepView, ranked: &[&PointView], html: &mut Html) {
    // Points without an objective follow, so that none is lost.
    let others = sweep.points.iter().filter(|p| objective(p).is_none());
    let rows: Vec<&PointView> = ranked.iter().copied().chain(others).collect();
    html.tag("div", &[("class", "scroll")], |html| {
        html.tag("table", &[("class", "numbers")], |html| {
            html.tag("thead", &[], |html| {
                html.tag("tr", &[], |html| {
                    html.raw("<th class=\"num\">Rank</th><th>Point</th>");
                    for axis in &sweep.axes {
                        html.tag("th", &[("class", "num")], |html| {
                            html.leaf("code", &[], &axis.path);
                        });
                    }
                    html.tag("th", &[("class", "num")], |html| {
                        html.leaf("code", &[], &sweep.objective);
                    });
                    html.raw("<th>Status</th><th class=\"num\">Time</th>");
                });
            });
            html.tag("tbody", &[], |html| {
                for (rank, point) in rows.iter().take(MOST_ROWS).enumerate() {
                    let ranked = objective(point).is_some();
                    html.tag("tr", &[("data-point", &point.id)], |html| {
                        let place = if ranked { (rank + 1).to_string() } else { "–".into() };
                        html.leaf("td", &[("class", "num")], &place);
                        html.tag("td", &[], |html| {
                            html.leaf("code", &[], &hash(&point.id));
                        });
                        for i in 0..sweep.axes.len() {
                            html.leaf("td", &[("class", "num")], value(point, i).unwrap_or("–"));
                        }
                        html.leaf("td", &[("class", "num")], &objective(point).map_or("–".into(), number));
                        let status =
                            if point.reused { format!("{}, reused", point.status) } else { point.status.clone() };
                        html.leaf("td", &[], &status);
                        html.leaf("td", &[("class", "num")], &point.seconds.map_or("–".into(), duration));
                    });
                }
            });
        });
    });
    if rows.len() > MOST_ROWS {
        html.leaf("p", &[("class", "note")], &format!("{} more points are not shown.", rows.len() - MOST_ROWS));
    }
}
