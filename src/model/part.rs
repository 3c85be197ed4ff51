//! Which part a weight plays, and layouts of some parts: optimisers treat parts differently.

use super::layout::{Entry, Layout, ROW, Segment};

/// Which part a weight plays in a network. A segment holds weights of one part only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// Tables that are looked up: of tokens (also where the output shares it) and of positions.
    Embedding,
    /// Matrices inside the blocks.
    Hidden,
    /// An output matrix of its own.
    Head,
    /// Gains and biases.
    Vector,
}

impl Part {
    pub const ALL: [Part; 4] = [Part::Embedding, Part::Hidden, Part::Head, Part::Vector];

    /// The part of a weight, by its name among the modules of `transformers` and its shape.
    pub(crate) fn of(name: &str, shape: &[usize]) -> Part {
        match shape.len() {
            0 | 1 => Part::Vector,
            _ if name.starts_with("lm_head.") => Part::Head,
            _ if name.contains("embed") => Part::Embedding,
            _ => Part::Hidden,
        }
    }
}

impl Entry {
    /// The part it plays.
    pub fn part(&self) -> Part {
        Part::of(&self.name, &self.shape)
    }

    /// How many matrices it holds, and their rows and columns: the last two sizes of its shape.
    pub(crate) fn matrices(&self) -> (usize, usize, usize) {
        match self.shape.as_slice() {
            [stacked @ .., rows, columns] => (stacked.iter().product(), *rows, *columns),
            [numbers] => (1, 1, *numbers),
            [] => (0, 0, 0),
        }
    }
}

impl Layout {
    /// The weights that lie in a segment, in the order they lie.
    pub(crate) fn within(&self, segment: usize) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.segment == segment)
    }

    /// A layout of some segments, each weight under its own name in a shape that `shape` gives, without those that it gives
    /// none: what an optimiser remembers of them. It has nothing that a network could multiply with.
    pub(crate) fn some(&self, segments: &[usize], shape: impl Fn(&Entry) -> Option<Vec<usize>>) -> Layout {
        let mut some =
            Layout { entries: Vec::new(), leaves: Vec::new(), segments: Vec::new(), roles: Default::default() };
        for (number, segment) in segments.iter().enumerate() {
            let mut offset = 0;
            for entry in self.within(*segment) {
                let Some(shape) = shape(entry) else { continue };
                let entry = Entry { shape, segment: number, offset, ..entry.clone() };
                offset += entry.len();
                some.entries.push(entry);
            }
            some.segments.push(Segment { len: offset.next_multiple_of(ROW), ..self.segments[*segment] });
        }
        some
    }
}
