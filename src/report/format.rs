//! Numbers as people read them.

/// A number to four significant digits, without superfluous zeros; very large and very small ones as powers of ten.
pub fn number(x: f64) -> String {
    if !x.is_finite() {
        return if x.is_nan() {
            "–".into()
        } else if x > 0.0 {
            "∞".into()
        } else {
            "−∞".into()
        };
    }
    if x == 0.0 {
        return "0".into();
    }
    let size = x.abs().log10().floor() as i32;
    let text = if (-4..7).contains(&size) {
        let text = format!("{x:.*}", (3 - size).max(0) as usize);
        // Trailing zeros say nothing once the number is exact enough.
        match text.len() {
            _ if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            0..5 => text,
            _ => grouped(&text),
        }
    } else {
        let text = format!("{x:.2e}");
        text.replace(".00e", "e")
    };
    text.replace('-', "−").replace("e−", "e-")
}

/// A count with its thousands apart: `1 234 567`.
pub fn count(n: u64) -> String {
    grouped(&n.to_string())
}

/// A count in three digits: `12.4 M`.
pub fn short(x: f64) -> String {
    scaled(x, 1000.0, &["", " k", " M", " B", " T", " P", " E"])
}

/// Bytes in binary units: `1.5 GiB`.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// A duration: `1 h 05 min`, `42 s`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".into();
    }
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {:02} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// A share as per cent, to a tenth: `12.5 %`.
pub fn percent(share: f64) -> String {
    let rounded = (share * 1000.0).round() / 10.0;
    // A share that is not zero is not shown as zero.
    if rounded == 0.0 && share > 0.0 { "< 0.1 %".into() } else { format!("{} %", number(rounded)) }
}

/// A value and the bounds of its interval, all to the digit that the interval supports: two significant digits of its
/// half width.
pub fn estimate(value: f64, low: Option<f64>, high: Option<f64>) -> (String, Option<(String, String)>) {
    match (low, high) {
        (Some(low), Some(high)) if value.is_finite() && low.is_finite() && high.is_finite() && high > low => {
            let digits = (1 - ((high - low) / 2.0).log10().floor() as i32).clamp(0, 9) as usize;
            let show = |x: f64| format!("{x:.digits$}").replace('-', "−");
            (show(value), Some((show(low), show(high))))
        }
        (Some(low), Some(high)) => (number(value), Some((number(low), number(high)))),
        _ => (number(value), None),
    }
}

/// The first twelve characters of a hash.
pub fn hash(digest: &str) -> String {
    digest.chars().take(12).collect()
}

fn scaled(x: f64, base: f64, units: &[&str]) -> String {
    let mut value = x;
    let mut place = 0;
    // A value that rounds up to the next unit belongs to it.
    while value.abs() >= base - 0.5 && place + 1 < units.len() {
        value /= base;
        place += 1;
    }
    let digits = if place == 0 || value.abs() >= 99.95 { 0 } else { 1 };
    format!("{value:.digits$}{}", units.get(place).unwrap_or(&""))
}

/// Digits in groups of three, apart by a narrow space that does not break.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut out = String::from(sign);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, duration, estimate, number, percent, short};

    #[test]
    fn numbers_are_brief_and_exact_enough() {
        assert_eq!(number(3.333_333), "3.333");
        assert_eq!(number(0.000_3), "0.0003");
        assert_eq!(number(-12.0), "−12");
        assert_eq!(number(0.000_012_3), "1.23e-5");
        assert_eq!(number(123_456.0), "123\u{202f}456");
        assert_eq!(number(f64::NAN), "–");
        assert_eq!(
            (percent(0.125), percent(0.093_75), percent(0.0001)),
            ("12.5 %".into(), "9.4 %".into(), "< 0.1 %".into())
        );
    }

    #[test]
    fn an_estimate_has_the_digits_that_its_interval_supports() {
        let text = |low: &str, high: &str| Some((low.to_owned(), high.to_owned()));
        assert_eq!(estimate(0.20432, Some(0.173), Some(0.2381)), ("0.204".into(), text("0.173", "0.238")));
        assert_eq!(estimate(11.617, Some(11.21), Some(12.071)), ("11.62".into(), text("11.21", "12.07")));
        assert_eq!(estimate(1234.5, Some(1100.0), Some(1400.0)), ("1234".into(), text("1100", "1400")));
        assert_eq!(estimate(1.0, Some(1.0), Some(1.0)), ("1".into(), text("1", "1")));
        assert_eq!(estimate(1.0, None, None), ("1".into(), None));
    }

    #[test]
    fn amounts_have_fitting_units() {
        assert_eq!((count(1_234_567), count(999)), ("1\u{202f}234\u{202f}567".into(), "999".into()));
        assert_eq!((short(999.0), short(12_400_000.0)), ("999".into(), "12.4 M".into()));
        assert_eq!((short(999.6), bytes(1536)), ("1.0 k".into(), "1.5 KiB".into()));
        assert_eq!(duration(0.25), "250 ms");
        assert_eq!((duration(42.0), duration(3_900.0)), ("42 s".into(), "1 h 05 min".into()));
    }
}
