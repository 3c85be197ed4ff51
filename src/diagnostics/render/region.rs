//! Where a span lies, for formats that other programs read.

use crate::source::{Place, Sources, Span};

/// A span by path, line and column, both counted from 1; columns are characters, and the end is exclusive.
pub(super) struct Region<'a> {
    pub path: &'a str,
    pub start: Place,
    pub end: Place,
}

impl<'a> Region<'a> {
    pub fn of(span: Span, sources: &'a Sources) -> Region<'a> {
        Region {
            path: sources.get(span.file).map_or("", |f| &f.path),
            start: sources.place(span),
            end: sources.end_place(span),
        }
    }
}
