//! Which `##` lines document what.

use super::ast::{Comment, Docs};
use crate::source::{LineIndex, Span};
use std::cell::RefCell;
use std::sync::Arc;

/// The `##` comments of a file, each handed out once.
pub struct DocLines<'a> {
    text: &'a str,
    lines: &'a LineIndex,
    list: Vec<Comment>,
    used: RefCell<Vec<bool>>,
}

/// Whether a comment is documentation: `##` and no third `#`.
pub fn is_doc(comment: &str) -> bool {
    comment.starts_with("##") && !comment.starts_with("###")
}

impl<'a> DocLines<'a> {
    pub fn new(text: &'a str, lines: &'a LineIndex, comments: &[Comment]) -> DocLines<'a> {
        let list: Vec<Comment> =
            comments.iter().filter(|c| text.get(c.span.range()).is_some_and(is_doc)).cloned().collect();
        let used = RefCell::new(vec![false; list.len()]);
        DocLines { text, lines, list, used }
    }

    fn line(&self, at: u32) -> usize {
        self.lines.line_of(at as usize)
    }

    fn column(&self, comment: &Comment) -> usize {
        comment.span.start as usize - self.lines.start_of(self.line(comment.span.start))
    }

    /// The documentation of the node at `span`: the `##` lines right above it, and the one that ends its first or its
    /// last line, with the lines that go on below in the same column.
    pub fn of(&self, span: Span) -> Option<Docs> {
        let mut found = self.above(span);
        let (first, last) = (self.line(span.start), self.line(span.end.saturating_sub(1).max(span.start)));
        let behind =
            self.behind(last, span.end).or_else(|| if first == last { None } else { self.behind(first, span.start) });
        if let Some(start) = behind {
            let end = self.going_on(start);
            found.extend(start..end);
        }
        self.take(&found)
    }

    /// Documentation at the top of the file that no item follows directly.
    pub fn of_module(&self, first_item: Option<u32>) -> Option<Docs> {
        let first = self.list.first()?;
        if !first.own_line || first_item.is_some_and(|at| at < first.span.start) || self.used.borrow()[0] {
            return None;
        }
        self.take(&(0..self.going_on(0)).collect::<Vec<_>>())
    }

    /// What nothing took.
    pub fn unused(&self) -> Vec<Span> {
        let used = self.used.borrow();
        self.list.iter().zip(used.iter()).filter(|(_, used)| !**used).map(|(c, _)| c.span).collect()
    }

    fn above(&self, span: Span) -> Vec<usize> {
        let mut line = self.line(span.start);
        let before = self.list.partition_point(|c| c.span.start < span.start);
        let mut found = Vec::new();
        for index in (0..before).rev() {
            let comment = &self.list[index];
            if !comment.own_line || self.line(comment.span.start) + 1 != line || self.used.borrow()[index] {
                break;
            }
            line -= 1;
            found.push(index);
        }
        found.reverse();
        found
    }

    /// The comment that ends `line`, if it stands behind `after`.
    fn behind(&self, line: usize, after: u32) -> Option<usize> {
        let index = self.list.partition_point(|c| c.span.start < after);
        let comment = self.list.get(index)?;
        (!comment.own_line && self.line(comment.span.start) == line && !self.used.borrow()[index]).then_some(index)
    }

    /// The index behind the comments that go on with the one at `start`, line by line in the same column.
    fn going_on(&self, start: usize) -> usize {
        let mut end = start + 1;
        while let (Some(last), Some(next)) = (self.list.get(end - 1), self.list.get(end)) {
            let follows = next.own_line && self.line(next.span.start) == self.line(last.span.start) + 1;
            if !follows || self.column(next) != self.column(last) {
                break;
            }
            end += 1;
        }
        end
    }

    fn take(&self, indices: &[usize]) -> Option<Docs> {
        let (first, last) = (self.list.get(*indices.first()?)?, self.list.get(*indices.last()?)?);
        let mut used = self.used.borrow_mut();
        let mut text = String::new();
        for index in indices {
            used[*index] = true;
            let line = self.text.get(self.list[*index].span.range()).unwrap_or("").trim_start_matches('#');
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
        }
        Some(Docs { text: Arc::from(text), span: first.span.to(last.span) })
    }
}
