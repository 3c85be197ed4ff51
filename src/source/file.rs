//! Source files and their lines.

use super::span::{FileId, Span};
use std::sync::Arc;

/// One text under analysis.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub id: FileId,
    /// How the file is named to people and found again: a path with `/`, `std/…` for the library, `--set` for an override.
    pub path: Arc<str>,
    pub text: Arc<str>,
    pub lines: LineIndex,
}

impl SourceFile {
    pub fn new(id: FileId, path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> SourceFile {
        let text = text.into();
        SourceFile { id, path: path.into(), lines: LineIndex::new(&text), text }
    }

    /// The span of the whole text.
    pub fn span(&self) -> Span {
        Span::new(self.id, 0, self.text.len())
    }

    /// Whether the file belongs to the standard library rather than to the user.
    pub fn is_library(&self) -> bool {
        self.path.starts_with("std/")
    }
}

/// A column, counted from 1 in characters.
pub type Column = usize;

/// A line and a column, both counted from 1; the column counts characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub line: usize,
    pub column: Column,
}

/// The byte offset at which each line starts.
#[derive(Clone, Debug)]
pub struct LineIndex {
    starts: Vec<u32>,
}

impl LineIndex {
    pub fn new(text: &str) -> LineIndex {
        let mut starts = vec![0];
        starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
        LineIndex { starts }
    }

    /// The line (from 0) that holds the byte `offset`.
    pub fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|s| *s as usize <= offset).saturating_sub(1)
    }

    /// The byte at which line `line` (from 0) starts.
    pub fn start_of(&self, line: usize) -> usize {
        self.starts.get(line).map_or(0, |s| *s as usize)
    }

    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The place of a byte offset in `text`, which must be the text this index was made from.
    pub fn place(&self, text: &str, offset: usize) -> Place {
        let offset = floor_char(text, offset.min(text.len()));
        let line = self.line_of(offset);
        let column = text.get(self.start_of(line)..offset).map_or(0, |s| s.chars().count()) + 1;
        Place { line: line + 1, column }
    }
}

/// The nearest character boundary at or before `offset`.
fn floor_char(text: &str, mut offset: usize) -> usize {
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// All the files of one analysis, in the order they were loaded.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    files: Vec<Arc<SourceFile>>,
}

impl Sources {
    /// Adds a text and gives it an id.
    pub fn add(&mut self, path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Arc<SourceFile> {
        let file = Arc::new(SourceFile::new(FileId(self.files.len() as u32), path, text));
        self.files.push(file.clone());
        file
    }

    /// The file with this id, if it belongs to this set.
    pub fn get(&self, id: FileId) -> Option<&Arc<SourceFile>> {
        self.files.get(id.0 as usize)
    }

    pub fn by_path(&self, path: &str) -> Option<&Arc<SourceFile>> {
        self.files.iter().find(|f| &*f.path == path)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<SourceFile>> {
        self.files.iter()
    }

    /// The text under `span`; empty when the span does not fit.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).and_then(|f| f.text.get(span.range())).unwrap_or("")
    }

    /// Where `span` starts.
    pub fn place(&self, span: Span) -> Place {
        self.get(span.file).map_or(Place { line: 1, column: 1 }, |f| f.lines.place(&f.text, span.start as usize))
    }

    /// Where `span` ends.
    pub fn end_place(&self, span: Span) -> Place {
        self.place(span.after())
    }
}
