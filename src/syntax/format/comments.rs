//! Every comment is handed out once, in order: as the lines above a node, behind it, or wherever the next line ends.

use super::super::ast::Comment;
use crate::source::SourceFile;
use std::cell::Cell;

/// The comments of a file that were not printed yet.
pub struct Comments<'a> {
    file: &'a SourceFile,
    list: &'a [Comment],
    next: Cell<usize>,
}

/// A comment with a line of its own.
pub struct Above {
    pub text: String,
    pub blank_before: bool,
}

impl<'a> Comments<'a> {
    pub fn new(file: &'a SourceFile, list: &'a [Comment]) -> Comments<'a> {
        Comments { file, list, next: Cell::new(0) }
    }

    fn text(&self, comment: &Comment) -> String {
        self.file.text.get(comment.span.range()).unwrap_or("").trim_end().to_owned()
    }

    /// Whether `at` is the first thing on its line, and the line before is blank.
    pub fn blank_before(&self, at: u32) -> bool {
        let lines = &self.file.lines;
        let line = lines.line_of(at as usize);
        let first = self.file.text.get(lines.start_of(line)..at as usize).is_some_and(|l| l.trim().is_empty());
        first
            && line > 0
            && self.file.text.get(lines.start_of(line - 1)..lines.start_of(line)).is_some_and(|l| l.trim().is_empty())
    }

    /// All comments before `at` that were not printed yet.
    pub fn above(&self, at: u32) -> Vec<Above> {
        let mut found = Vec::new();
        while let Some(comment) = self.list.get(self.next.get()).filter(|c| c.span.start < at) {
            self.next.set(self.next.get() + 1);
            found.push(Above {
                text: self.text(comment),
                blank_before: comment.own_line && self.blank_before(comment.span.start),
            });
        }
        found
    }

    /// The comment that ends the line of `end`, if only blanks and commas stand between.
    pub fn behind(&self, end: u32) -> Option<String> {
        let comment = self.list.get(self.next.get())?;
        let gap = self.file.text.get(end as usize..comment.span.start as usize)?;
        if comment.own_line || !gap.chars().all(|c| matches!(c, ' ' | '\t' | ',' | '\r')) {
            return None;
        }
        self.next.set(self.next.get() + 1);
        Some(self.text(comment))
    }

    /// The comment behind `end`, and the ones that go on with it below in the same column.
    pub fn behind_lines(&self, end: u32) -> Vec<String> {
        let Some(first) = self.behind(end) else { return Vec::new() };
        let mut found = vec![first];
        let lines = &self.file.lines;
        let place = |c: &Comment| {
            let line = lines.line_of(c.span.start as usize);
            (line, c.span.start as usize - lines.start_of(line))
        };
        while let (Some(last), Some(next)) = (self.list.get(self.next.get() - 1), self.list.get(self.next.get())) {
            let ((line, column), below) = (place(last), place(next));
            if !next.own_line || below != (line + 1, column) {
                break;
            }
            self.next.set(self.next.get() + 1);
            found.push(self.text(next));
        }
        found
    }

    /// Whether the text between two places has a line break.
    pub fn breaks(&self, start: u32, end: u32) -> bool {
        self.file.text.get(start as usize..end as usize).is_some_and(|t| t.contains('\n'))
    }
}
