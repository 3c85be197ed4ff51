//! The lines of a block, and their columns.

use super::Formatter;
use super::WIDTH;
use super::document::{Doc, print, width};
use crate::source::Span;

/// One line, or one field of several lines, of a block.
pub enum Row {
    Blank,
    Comment(String),
    /// `head mark value`: a field, an axis, a declared field.
    Field {
        head: String,
        mark: &'static str,
        value: Doc,
        behind: Vec<String>,
    },
    /// Anything else, laid out already, without indentation on its first line.
    Other {
        text: String,
        behind: Vec<String>,
    },
}

/// Collects the rows of a block.
pub struct Rows<'f, 'a> {
    formatter: &'f Formatter<'a>,
    pub rows: Vec<Row>,
}

impl<'f, 'a> Rows<'f, 'a> {
    pub fn new(formatter: &'f Formatter<'a>) -> Rows<'f, 'a> {
        Rows { formatter, rows: Vec::new() }
    }

    fn blank(&mut self, wanted: bool) {
        if wanted && !matches!(self.rows.last(), None | Some(Row::Blank)) {
            self.rows.push(Row::Blank);
        }
    }

    /// The comments that stand before `at`.
    pub fn above(&mut self, at: u32) {
        for comment in self.formatter.comments.above(at) {
            self.blank(comment.blank_before);
            self.rows.push(Row::Comment(comment.text));
        }
    }

    /// A row that stands at `span`; `make` lays it out once the comments above are taken.
    pub fn add(&mut self, span: Span, make: impl FnOnce() -> Row) {
        self.above(span.start);
        self.blank(self.formatter.comments.blank_before(span.start));
        let mut row = make();
        // Comments from the middle of an expression are kept behind it.
        let inner = self.formatter.comments.above(span.end).into_iter().map(|c| c.text);
        let mut rest: Vec<String> = inner.collect();
        let last = self.formatter.comments.behind_lines(span.end);
        if let Row::Field { behind, .. } | Row::Other { behind, .. } = &mut row {
            *behind = if !last.is_empty() || rest.is_empty() { last } else { vec![rest.remove(0)] };
        }
        self.rows.push(row);
        self.rows.extend(rest.into_iter().map(Row::Comment));
    }

    /// The lines, each indented by `indent`.
    pub fn print(mut self, indent: usize) -> String {
        while matches!(self.rows.last(), Some(Row::Blank)) {
            self.rows.pop();
        }
        let mut out = String::new();
        let mut run: Vec<Row> = Vec::new();
        for row in self.rows {
            match row {
                Row::Field { ref value, ref head, mark, .. } => {
                    // A value of several lines stands alone.
                    let column = indent + width(head) + mark.len() + 2;
                    if print(value, indent, column, 0).contains('\n') {
                        flush(&mut run, indent, &mut out);
                        run.push(row);
                        flush(&mut run, indent, &mut out);
                    } else {
                        run.push(row);
                    }
                }
                Row::Comment(_) => run.push(row),
                Row::Blank | Row::Other { .. } => {
                    flush(&mut run, indent, &mut out);
                    run.push(row);
                    flush(&mut run, indent, &mut out);
                }
            }
        }
        flush(&mut run, indent, &mut out);
        out
    }
}

/// Prints a run of rows whose marks and comments share their columns.
fn flush(run: &mut Vec<Row>, indent: usize, out: &mut String) {
    let heads = run.iter().filter_map(|r| match r {
        Row::Field { head, .. } => Some(width(head)),
        _ => None,
    });
    let column = heads.max().unwrap_or(0);
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for row in run.drain(..) {
        lines.push(match row {
            Row::Blank => (String::new(), Vec::new()),
            Row::Comment(text) => (format!("{:indent$}{text}", ""), Vec::new()),
            Row::Other { text, behind } => (format!("{:indent$}{text}", ""), behind),
            Row::Field { head, mark, value, behind } => {
                let pad = column - width(&head);
                let aligned = indent + column + mark.len() + 2;
                let flat = print(&value, indent, indent + width(&head) + mark.len() + 2, 0);
                // A line that is too long for the column keeps its place.
                let pad = if aligned + first_width(&flat) > WIDTH { 0 } else { pad };
                (format!("{:indent$}{head}{:pad$} {mark} {flat}", "", ""), behind)
            }
        });
    }
    let comments = lines.iter().filter(|(_, c)| !c.is_empty()).map(|(line, _)| last_width(line)).max().unwrap_or(0);
    for (line, behind) in lines {
        let mut at = last_width(&line);
        out.push_str(&line);
        for (index, comment) in behind.iter().enumerate() {
            if index > 0 {
                out.push('\n');
                at = 0;
            }
            out.extend(std::iter::repeat_n(' ', comments + 2 - at));
            out.push_str(comment);
        }
        out.push('\n');
    }
}

fn first_width(text: &str) -> usize {
    width(text.split('\n').next().unwrap_or(""))
}

fn last_width(text: &str) -> usize {
    width(text.rsplit('\n').next().unwrap_or(""))
}
