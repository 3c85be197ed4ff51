//! A text with small edits, and the way back from its positions to those of the text it was made from.

use std::ops::Range;

/// Replaces `range` of a text by `text`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub range: Range<usize>,
    pub text: String,
}

impl Change {
    pub fn new(range: Range<usize>, text: impl Into<String>) -> Change {
        Change { range, text: text.into() }
    }
}

/// Where a copied or a replaced piece stands in the new and in the old text.
#[derive(Debug)]
struct Piece {
    new: usize,
    old: Range<usize>,
    copied: bool,
}

/// An edited text.
#[derive(Debug)]
pub struct Patch {
    pub text: String,
    pieces: Vec<Piece>,
}

impl Patch {
    /// Applies `changes` to `old`. Of changes that overlap the first wins.
    pub fn new(old: &str, changes: &[Change]) -> Patch {
        let mut sorted: Vec<&Change> = changes.iter().collect();
        sorted.sort_by_key(|c| (c.range.start, c.range.end));
        let mut patch = Patch { text: String::with_capacity(old.len() + 16), pieces: Vec::new() };
        let mut at = 0;
        for change in sorted {
            let (Some(kept), true) = (old.get(at..change.range.start), change.range.end <= old.len()) else { continue };
            patch.push(kept, at..change.range.start, true);
            patch.push(&change.text, change.range.clone(), false);
            at = change.range.end;
        }
        patch.push(&old[at..], at..old.len(), true);
        patch
    }

    fn push(&mut self, text: &str, old: Range<usize>, copied: bool) {
        self.pieces.push(Piece { new: self.text.len(), old, copied });
        self.text.push_str(text);
    }

    /// The old position of a new one at which something starts.
    pub fn start(&self, at: usize) -> usize {
        let index = self.pieces.partition_point(|p| p.new <= at).saturating_sub(1);
        self.pieces
            .get(index)
            .map_or(at, |p| if p.copied { (p.old.start + at - p.new).min(p.old.end) } else { p.old.start })
    }

    /// The old position of a new one at which something ends.
    pub fn end(&self, at: usize) -> usize {
        let index = self.pieces.partition_point(|p| p.new < at).saturating_sub(1);
        self.pieces.get(index).map_or(
            at,
            |p| {
                if p.copied { (p.old.start + at - p.new).min(p.old.end) } else { p.old.end }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_lead_back_to_the_old_text() {
        let patch = Patch::new("depth == 3", &[Change::new(6..8, "=")]);
        assert_eq!(patch.text, "depth = 3");
        assert_eq!((patch.start(0), patch.end(5)), (0, 5));
        assert_eq!((patch.start(6), patch.end(7)), (6, 8));
        assert_eq!((patch.start(8), patch.end(9)), (9, 10));
    }

    #[test]
    fn an_insertion_maps_to_its_place() {
        let patch = Patch::new("f(x", &[Change::new(3..3, ")")]);
        assert_eq!(patch.text, "f(x)");
        assert_eq!((patch.start(3), patch.end(4)), (3, 3));
    }
}
