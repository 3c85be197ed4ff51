//! In which order rows are seen.

use super::batch::{Batch, Rows};
use crate::random::Stream;

/// A place in the data: all that resuming needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    pub epoch: u64,
    /// Rows of the epoch already seen.
    pub seen: usize,
}

/// Walks the rows in a new order each epoch, a function of the seed.
pub(crate) struct Order<'a> {
    rows: &'a Rows<'a>,
    stream: Stream,
    place: Place,
    order: Vec<usize>,
}

impl<'a> Order<'a> {
    /// Goes on from `place`.
    pub fn new(rows: &'a Rows<'a>, seed: u64, place: Place) -> Order<'a> {
        let mut order = Order { rows, stream: Stream::new(seed, "data order"), place, order: Vec::new() };
        order.shuffle();
        order
    }

    pub fn place(&self) -> Place {
        self.place
    }

    /// The next `count` rows. A batch may run over the end of an epoch into the next.
    pub fn next(&mut self, count: usize) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..count {
            if self.place.seen >= self.order.len() {
                self.place = Place { epoch: self.place.epoch + 1, seen: 0 };
                self.shuffle();
            }
            self.rows.push(self.place.epoch, self.order[self.place.seen], &mut batch);
            self.place.seen += 1;
        }
        batch
    }

    fn shuffle(&mut self) {
        self.order = self.stream.permutation(self.place.epoch, self.rows.count(self.place.epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{MemoryCorpus, Objective};

    #[test]
    fn going_on_from_a_place_is_not_having_stopped() {
        let samples: Vec<_> = (0..7).map(|i| (vec![i], vec![i])).collect();
        let corpus = MemoryCorpus::samples(&samples);
        let rows = Rows::new(Objective::Sft, &corpus, 1, 0, 5).unwrap();
        let mut whole = Order::new(&rows, 5, Place::default());
        let seen: Vec<u32> = (0..5).flat_map(|_| whole.next(3).inputs).collect();
        let mut first = Order::new(&rows, 5, Place::default());
        let mut parts: Vec<u32> = (0..2).flat_map(|_| first.next(3).inputs).collect();
        let mut second = Order::new(&rows, 5, first.place());
        parts.extend((0..3).flat_map(|_| second.next(3).inputs));
        assert_eq!(seen, parts);
        let mut epoch = seen[..7].to_vec();
        epoch.sort_unstable();
        assert_eq!(epoch, (0..7).collect::<Vec<_>>());
    }
}
