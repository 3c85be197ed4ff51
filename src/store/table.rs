//! Plain aligned tables for terminals and logs.

use unicode_width::UnicodeWidthStr;

/// Rows of text under a heading.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Table {
        Table { head: head.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl std::fmt::Display for Table {
    /// Columns are two blanks apart; those that hold only numbers, and their heading, are flush right.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).chain([self.head.len()]).max().unwrap_or(0);
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let cell = |row: &Vec<String>, c: usize| row.get(c).cloned().unwrap_or_default();
        let widths: Vec<usize> =
            (0..columns).map(|c| all().map(|row| cell(row, c).width()).max().unwrap_or(0)).collect();
        let right: Vec<bool> = (0..columns)
            .map(|c| {
                let mut figures = self.rows.iter().map(|row| cell(row, c)).filter(|t| t != "-").peekable();
                figures.peek().is_some() && figures.all(|t| is_figure(&t))
            })
            .collect();
        for row in all() {
            let mut line = String::new();
            for c in 0..columns {
                let text = cell(row, c);
                let pad = " ".repeat(widths[c].saturating_sub(text.width()));
                let gap = if c == 0 { "" } else { "  " };
                line += &if right[c] { format!("{gap}{pad}{text}") } else { format!("{gap}{text}{pad}") };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn is_figure(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && text.chars().any(|c| c.is_ascii_digit())
        && !text.contains(':')
        && text.matches('-').count() < 3
}

/// A figure with four significant digits.
pub(crate) fn figure(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    let whole = if size < 1.0 { 0 } else { size.log10().floor() as usize + 1 };
    let decimals = if size == 0.0 { 0 } else { 4usize.saturating_sub(whole.min(4)) };
    format!("{value:.decimals$}")
}

/// `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    let mut amount = count as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if amount < 1024.0 {
            return if unit == "bytes" { format!("{count} bytes") } else { format!("{amount:.1} {unit}") };
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} TiB")
}

/// `1h02m`, `3m20s`, `8.1s`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "-".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_flush_right_and_words_flush_left() {
        let mut table = Table::new(["run", "loss"]);
        table.row(["quiet", "12.5"]);
        table.row(["bold", "3"]);
        assert_eq!(table.to_string(), "run    loss\nquiet  12.5\nbold      3\n");
    }

    #[test]
    fn figures_have_four_digits() {
        let shown: Vec<String> = [0.0, 2.5, 12.3456, 0.01234, 1234.5, 1e-5, 2.5e9].into_iter().map(figure).collect();
        assert_eq!(shown, ["0", "2.500", "12.35", "0.0123", "1234", "1.000e-5", "2.500e9"]);
        assert_eq!((bytes(10), bytes(1536)), ("10 bytes".into(), "1.5 KiB".into()));
        assert_eq!(
            (duration(8.14), duration(200.0), duration(3720.0)),
            ("8.1s".into(), "3m20s".into(), "1h02m".into())
        );
    }
}
