//! Figures as people read them.

/// `124,337,664`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number without needless digits: `3`, `0.98`, `1,234.5`; beyond a quadrillion `1.2e18`.
pub fn number(x: f64) -> String {
    if !x.is_finite() || x.abs() >= 1e15 {
        return format!("{x:e}");
    }
    let magnitude = x.abs();
    let places = if magnitude >= 100.0 {
        1
    } else if magnitude >= 0.1 {
        2
    } else {
        4
    };
    let text = format!("{magnitude:.places$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let sign = if x < 0.0 { "-" } else { "" };
    let whole = thousands(whole.parse().unwrap_or(0));
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Round amounts short, others in full: `10 M`, `1.5 M`, `9,994,240`.
pub fn amount(x: f64) -> String {
    for (scale, letter) in [(1e12, "T"), (1e9, "B"), (1e6, "M")] {
        let scaled = x / scale;
        if (1.0..1e3).contains(&scaled) && (scaled * 10.0).fract() == 0.0 {
            return format!("{} {letter}", number(scaled));
        }
    }
    number(x)
}

/// Operations: `3.42e15`.
pub fn flops(x: f64) -> String {
    if x < 1e6 { number(x) } else { format!("{x:.2e}") }
}

/// `512 B`, `1.2 GiB`.
pub fn bytes(n: u64) -> String {
    let mut scaled = n as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    if unit == "B" || scaled >= 100.0 { format!("{scaled:.0} {unit}") } else { format!("{scaled:.1} {unit}") }
}

/// `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round();
    let two = |big: f64, large: &str, small: &str, ratio: f64| {
        let rest = ((whole % big) / ratio).floor();
        let first = (whole / big).floor();
        if rest == 0.0 { format!("{first} {large}") } else { format!("{first} {large} {rest} {small}") }
    };
    match whole {
        _ if seconds < 10.0 => format!("{} s", number(seconds)),
        s if s < 120.0 => format!("{s} s"),
        s if s < 3600.0 => two(60.0, "min", "s", 1.0),
        s if s < 86_400.0 => two(3600.0, "h", "min", 60.0),
        _ => two(86_400.0, "d", "h", 3600.0),
    }
}

/// `1 file`, `24 files`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([0, 999, 1000, 124_337_664].map(thousands), ["0", "999", "1,000", "124,337,664"]);
        assert_eq!([3.0, 0.976, 1234.5, -2.5, 0.0001].map(number), ["3", "0.98", "1,234.5", "-2.5", "0.0001"]);
        assert_eq!(
            [1e7, 1.5e6, 9_994_240.0, 16_384.0, 2e9].map(amount),
            ["10 M", "1.5 M", "9,994,240", "16,384", "2 B"]
        );
        assert_eq!([512, 1536, 5 << 30, 150 << 20].map(bytes), ["512 B", "1.5 KiB", "5.0 GiB", "150 MiB"]);
        assert_eq!(
            [4.25, 45.0, 720.0, 12_000.0, 187_200.0].map(duration),
            ["4.25 s", "45 s", "12 min", "3 h 20 min", "2 d 4 h"]
        );
        assert_eq!(flops(8.75e14), "8.75e14");
    }
}
