//! Small drawings inside tables: intervals and bars.

use super::chart::{line, place};
use super::format::number;
use super::html::Html;
use super::scale::Scale;

const WIDTH: f64 = 200.0;
const HEIGHT: f64 = 20.0;

/// A value with its interval on a scale shared by the rows of a table.
pub struct Whisker {
    pub value: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl Whisker {
    /// Writes the drawing. `range` is the stretch of values that the row's table shows; `at` a value to mark.
    pub fn write(&self, range: (f64, f64), at: Option<f64>, html: &mut Html) {
        if !self.value.is_finite() {
            return;
        }
        let scale = Scale { low: range.0, high: range.1, from: 6.0, to: WIDTH - 6.0, log: false };
        let middle = place(HEIGHT / 2.0);
        let label = match (self.low, self.high) {
            (Some(low), Some(high)) => format!("{}, from {} to {}", number(self.value), number(low), number(high)),
            _ => number(self.value),
        };
        let size = format!("0 0 {WIDTH} {HEIGHT}");
        html.tag("svg", &[("viewBox", &size), ("class", "whisker"), ("role", "img"), ("aria-label", &label)], |html| {
            line(html, "grid", (&place(6.0), &middle), (&place(WIDTH - 6.0), &middle));
            if let Some(at) = at.map(|at| place(scale.at(at))) {
                line(html, "reference", (&at, "1"), (&at, &place(HEIGHT - 1.0)));
            }
            if let (Some(low), Some(high)) = (self.low, self.high) {
                let (low, high) = (place(scale.at(low)), place(scale.at(high)));
                line(html, "bar", (&low, &middle), (&high, &middle));
                for end in [&low, &high] {
                    line(html, "bar", (end, "6"), (end, &place(HEIGHT - 6.0)));
                }
            }
            html.tag(
                "circle",
                &[("cx", &place(scale.at(self.value))), ("cy", &middle), ("r", "3.6"), ("class", "dot s0")],
                |_| {},
            );
        });
    }
}

/// The stretch of values that holds all of `values`, with some air.
pub fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let scale = Scale::around(values, 0.0, 1.0, false);
    (scale.low, scale.high)
}

/// A bar that fills `share` (0 to 1) of its cell; `class` chooses its colour.
pub fn bar(share: f64, class: &str, html: &mut Html) {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let size = format!("0 0 {WIDTH} 10");
    html.tag("svg", &[("viewBox", &size), ("class", "share"), ("aria-hidden", "true")], |html| {
        let rect = |html: &mut Html, width: f64, class: &str| {
            let width = place(width);
            let attributes =
                [("x", "0"), ("y", "1"), ("height", "8"), ("rx", "1.5"), ("width", &width), ("class", class)];
            html.tag("rect", &attributes, |_| {});
        };
        rect(html, WIDTH, "back");
        // Something removed is never drawn as nothing.
        rect(html, if share > 0.0 { (share * WIDTH).max(1.5) } else { 0.0 }, class);
    });
}
