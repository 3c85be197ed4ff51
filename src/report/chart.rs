//! Line charts: drawn here as SVG, redrawn by the page's script when it is resized, zoomed or put on another scale.

use super::format::{number, short};
use super::html::Html;
use super::scale::{Scale, thin};
use super::view::Curve;
use serde::Serialize;
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// One line of a chart.
pub struct Series<'a> {
    pub name: String,
    pub curve: &'a Curve,
    /// Drawn with its points marked, for curves of few points.
    pub marked: bool,
}

/// A chart of one or several curves over steps.
pub struct Chart<'a> {
    /// What the figure shows, as its caption says it; may be empty where the axis says it all.
    pub caption: String,
    /// The vertical axis, with its unit.
    pub axis: &'a str,
    pub series: Vec<Series<'a>>,
    /// Smaller, for charts that stand beside each other.
    pub small: bool,
}

/// A series as the script gets it.
#[derive(Serialize)]
struct Data {
    name: String,
    marked: bool,
    /// Steps and values; `null` where a value is not finite.
    x: Vec<f64>,
    y: Vec<Option<f64>>,
}

impl Chart<'_> {
    /// Writes the figure; nothing if it has no points. `id` tells it from the others of the page.
    pub fn write(&self, id: &str, html: &mut Html) {
        let lines: Vec<(&Series, Vec<(f64, f64)>)> =
            self.series.iter().filter(|s| !s.curve.is_empty()).map(|s| (s, thin(s.curve))).collect();
        if lines.iter().all(|(_, points)| points.iter().all(|p| !p.1.is_finite())) {
            return;
        }
        let class = if self.small { "figure chart small" } else { "figure chart" };
        html.tag("figure", &[("class", class), ("data-chart", id), ("data-axis", self.axis)], |html| {
            html.tag("div", &[("class", "chart-head")], |html| {
                html.leaf("span", &[("class", "axis-title")], self.axis);
                html.tag("span", &[("class", "legend")], |html| {
                    for (i, (series, _)) in lines.iter().enumerate() {
                        let key = format!("key s{}", i % 8);
                        html.tag("span", &[("class", &key)], |html| {
                            html.text(&series.name);
                        });
                    }
                });
                html.raw("<span class=\"controls\" hidden></span>");
            });
            self.svg(&lines, html);
            html.raw("<div class=\"readout\" aria-hidden=\"true\"></div>");
            if !self.caption.is_empty() {
                html.leaf("figcaption", &[], &self.caption);
            }
            let data: Vec<Data> = lines
                .iter()
                .map(|(series, points)| Data {
                    name: series.name.clone(),
                    marked: series.marked,
                    x: points.iter().map(|p| p.0).collect(),
                    y: points.iter().map(|p| Some(p.1).filter(|v| v.is_finite())).collect(),
                })
                .collect();
            html.data(&[("data-for", id)], &data);
        });
    }

    fn svg(&self, lines: &[(&Series, Vec<(f64, f64)>)], html: &mut Html) {
        let height = if self.small { 190.0 } else { HEIGHT };
        let width = if self.small { WIDTH / 2.0 } else { WIDTH };
        let steps = lines.iter().flat_map(|(_, points)| points.iter().map(|p| p.0));
        let mut x = Scale::around(steps, LEFT, width - RIGHT, false);
        // Steps begin at the axis; only values need air.
        let first = lines.iter().filter_map(|(_, p)| p.first()).map(|p| p.0).fold(f64::INFINITY, f64::min);
        let last = lines.iter().filter_map(|(_, p)| p.last()).map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
        if first < last {
            (x.low, x.high) = (first, last);
        }
        let values = lines.iter().flat_map(|(_, points)| points.iter().map(|p| p.1));
        let y = Scale::around(values, height - BOTTOM, TOP, false);
        let names: Vec<&str> = lines.iter().map(|(s, _)| s.name.as_str()).collect();
        let label = format!("{} over steps: {}", self.axis, names.join(", "));
        let size = format!("0 0 {width} {height}");
        html.tag("svg", &[("viewBox", &size), ("role", "img"), ("aria-label", &label), ("class", "plot")], |html| {
            for tick in y.ticks(if self.small { 3 } else { 5 }) {
                let at = place(y.at(tick));
                line(html, "grid", (&place(LEFT), &at), (&place(width - RIGHT), &at));
                let below = place(y.at(tick) + 4.0);
                html.leaf("text", &[("x", &place(LEFT - 8.0)), ("y", &below), ("class", "tick end")], &number(tick));
            }
            let floor = place(height - BOTTOM);
            line(html, "axis", (&place(LEFT), &floor), (&place(width - RIGHT), &floor));
            for tick in x.ticks(if self.small { 3 } else { 6 }) {
                let at = place(x.at(tick));
                line(html, "axis", (&at, &floor), (&at, &place(height - BOTTOM + 4.0)));
                let below = place(height - BOTTOM + 18.0);
                html.leaf("text", &[("x", &at), ("y", &below), ("class", "tick middle")], &short_step(tick));
            }
            for (i, (series, points)) in lines.iter().enumerate() {
                let class = format!("line s{}", i % 8);
                html.tag("path", &[("d", &path(points, &x, &y)), ("class", &class)], |_| {});
                if series.marked && points.len() <= 60 {
                    let class = format!("dot s{}", i % 8);
                    for (step, value) in points.iter().filter(|p| p.1.is_finite()) {
                        let (cx, cy) = (place(x.at(*step)), place(y.at(*value)));
                        html.tag("circle", &[("cx", &cx), ("cy", &cy), ("r", "2.6"), ("class", &class)], |_| {});
                    }
                }
            }
        });
    }
}

/// A position on the page, to a tenth of a unit.
pub fn place(x: f64) -> String {
    format!("{x:.1}")
}

/// A straight line.
pub fn line(html: &mut Html, class: &str, from: (&str, &str), to: (&str, &str)) {
    html.tag("line", &[("class", class), ("x1", from.0), ("y1", from.1), ("x2", to.0), ("y2", to.1)], |_| {});
}

fn short_step(step: f64) -> String {
    if step.abs() >= 10_000.0 { short(step) } else { number(step) }
}

/// The path through the finite points; others interrupt it.
fn path(points: &[(f64, f64)], x: &Scale, y: &Scale) -> String {
    let mut out = String::with_capacity(points.len() * 12);
    let mut down = false;
    for (step, value) in points {
        if value.is_finite() {
            let _ = write!(out, "{}{:.1} {:.1}", if down { 'L' } else { 'M' }, x.at(*step), y.at(*value));
        }
        down = value.is_finite();
    }
    out
}
