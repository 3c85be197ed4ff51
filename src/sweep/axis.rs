//! Values of an axis, as the language writes them.

use crate::check::AxisValues;

/// The value at `share` (from 0 to 1) of the axis.
pub(super) fn at(values: &AxisValues, share: f64) -> String {
    match values {
        AxisValues::Choices(choices) => {
            let index = (share * choices.len() as f64) as usize;
            choices.get(index.min(choices.len().saturating_sub(1))).cloned().unwrap_or_default()
        }
        AxisValues::Linear { low, high, unit, whole } => write(low + share * (high - low), unit, *whole),
        AxisValues::Log { low, high, unit, whole } => {
            write((low.ln() + share * (high.ln() - low.ln())).exp(), unit, *whole)
        }
    }
}

/// Every value of a list, or `points` values spread evenly (or evenly in the logarithm) from one end to the other.
pub(super) fn spread(values: &AxisValues, points: usize) -> Vec<String> {
    if let AxisValues::Choices(choices) = values {
        return choices.clone();
    }
    let share = |i: usize| if points < 2 { 0.5 } else { i as f64 / (points - 1) as f64 };
    let mut all: Vec<String> = (0..points.max(1)).map(|i| at(values, share(i))).collect();
    // Whole units may make neighbours equal.
    all.dedup();
    all
}

/// Why the axis has no values, if so.
pub(super) fn problem(values: &AxisValues) -> Option<&'static str> {
    match values {
        AxisValues::Choices(choices) if choices.is_empty() => Some("its list is empty"),
        AxisValues::Linear { low, high, .. } | AxisValues::Log { low, high, .. }
            if !(low.is_finite() && high.is_finite()) =>
        {
            Some("its range has no end")
        }
        AxisValues::Linear { low, high, .. } | AxisValues::Log { low, high, .. } if low >= high => {
            Some("its range is empty")
        }
        AxisValues::Log { low, .. } if *low <= 0.0 => Some("a logarithmic range begins above zero"),
        _ => None,
    }
}

/// A number and its unit as the language writes them. Six digits keep values readable and the same on every machine,
/// whatever its logarithm does in the last place.
fn write(value: f64, unit: &str, whole: bool) -> String {
    let whole = whole || matches!(unit, "tokens" | "steps" | "documents" | "bytes");
    let value = if whole { value.round() } else { six_digits(value) };
    let size = value.abs();
    let number = if size != 0.0 && !(1e-4..1e15).contains(&size) { format!("{value:e}") } else { format!("{value}") };
    match unit {
        "" => number,
        "%" => format!("{number}%"),
        "$" => format!("${number}"),
        unit => format!("{number} {unit}"),
    }
}

fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_reach_both_ends() {
        let log = AxisValues::Log { low: 3e-4, high: 3e-3, unit: String::new(), whole: false };
        assert_eq!(spread(&log, 3), ["0.0003", "0.000948683", "0.003"]);
        let linear = AxisValues::Linear { low: 0.0, high: 1.0, unit: "%".into(), whole: false };
        assert_eq!(spread(&linear, 5), ["0%", "0.25%", "0.5%", "0.75%", "1%"]);
        assert_eq!(spread(&linear, 1), ["0.5%"], "one point is the middle");
        let small = AxisValues::Log { low: 1e-6, high: 1e-5, unit: String::new(), whole: false };
        assert_eq!(spread(&small, 2), ["1e-6", "1e-5"]);
    }

    #[test]
    fn counts_are_whole() {
        let tokens = AxisValues::Linear { low: 1.0, high: 2.0, unit: "tokens".into(), whole: false };
        assert_eq!(spread(&tokens, 4), ["1 tokens", "2 tokens"]);
        let layers = AxisValues::Log { low: 2.0, high: 12.0, unit: String::new(), whole: true };
        assert_eq!(spread(&layers, 3), ["2", "5", "12"]);
    }

    #[test]
    fn shares_cover_a_list_evenly() {
        let list = AxisValues::Choices(vec!["4".into(), "6".into(), "8".into()]);
        let got: Vec<String> = [0.0, 0.33, 0.34, 0.99, 1.0].into_iter().map(|s| at(&list, s)).collect();
        assert_eq!(got, ["4", "4", "6", "8", "8"]);
    }

    #[test]
    fn ranges_without_values_are_known() {
        let log = |low, high| AxisValues::Log { low, high, unit: String::new(), whole: false };
        assert!(problem(&log(0.0, 1.0)).is_some() && problem(&log(2.0, 1.0)).is_some());
        assert!(problem(&log(1.0, 2.0)).is_none() && problem(&AxisValues::Choices(Vec::new())).is_some());
    }
}
