//! Aligned plain-text tables for the terminal.

use unicode_width::UnicodeWidthStr;

/// On which side a column is aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    Left,
    Right,
}

/// A table of text.
///
/// ```text
/// run       stage     loss  tokens
/// ────────────────────────────────
/// 7f3a2c    pretrain  3.12   10.0M
/// ```
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the given headings.
    pub fn new(columns: &[(&str, Align)]) -> Table {
        Table { columns: columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty, cells beyond the columns are dropped.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Table {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell.into())).take(self.columns.len()).collect());
        self
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, each line ended; at most `width` columns wide if given, by cutting the widest columns.
    pub fn render(&self, width: Option<usize>) -> String {
        const GAP: usize = 2;
        let cell = |row: &Vec<String>, i: usize| row.get(i).cloned().unwrap_or_default();
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|i| {
                let heading = self.columns.get(i).map_or(0, |(name, _)| name.width());
                self.rows.iter().map(|row| cell(row, i).width()).fold(heading, usize::max)
            })
            .collect();
        if let Some(limit) = width {
            let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
            while total(&widths) > limit {
                // The widest column gives way, but never below what shows a few letters.
                match widths.iter_mut().max() {
                    Some(widest) if *widest > 8 => *widest -= 1,
                    _ => break,
                }
            }
        }
        let line = |cells: &mut dyn Iterator<Item = String>| {
            let mut out = String::new();
            for ((text, width), (_, align)) in cells.zip(&widths).zip(&self.columns) {
                if !out.is_empty() {
                    out.push_str(&" ".repeat(GAP));
                }
                let text = cut(&text, *width);
                let pad = " ".repeat(width.saturating_sub(text.width()));
                match align {
                    Align::Left => out.extend([text.as_str(), &pad]),
                    Align::Right => out.extend([&pad, text.as_str()]),
                }
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
            out
        };
        let mut out = line(&mut self.columns.iter().map(|(name, _)| name.clone()));
        out.push_str(&"─".repeat(widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)));
        out.push('\n');
        for row in &self.rows {
            out.push_str(&line(&mut (0..self.columns.len()).map(|i| cell(row, i))));
        }
        out
    }
}

/// One line without control characters, which could move the cursor or colour the screen.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most `width` columns of `text`, with an ellipsis where it was cut.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        let mut longer = out.clone();
        longer.push(c);
        if longer.width() + 1 > width {
            break;
        }
        out = longer;
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(&[("stage", Align::Left), ("loss", Align::Right)]);
        table.row(["pretrain", "3.1"]).row(["日本", "12.25"]).row(["x"]);
        let expected = "stage      loss\n───────────────\npretrain    3.1\n日本      12.25\nx\n";
        assert_eq!(table.render(None), expected);
    }

    #[test]
    fn a_narrow_screen_cuts_the_widest_column() {
        let mut table = Table::new(&[("id", Align::Left), ("text", Align::Left)]);
        table.row(["1", "a rather long description of a run"]);
        let text = table.render(Some(20));
        assert!(text.lines().all(|l| l.chars().count() <= 20), "{text}");
        assert!(text.contains('…'));
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let mut table = Table::new(&[("name", Align::Left)]);
        table.row(["red\x1b[31m\nline"]);
        assert!(!table.render(None).contains('\x1b'));
        assert_eq!(table.render(None).lines().count(), 3);
    }
}
