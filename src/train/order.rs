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
    /// Epoch and number of the rows last given.
    given: Vec<(u64, usize)>,
}

impl<'a> Order<'a> {
    /// Goes on from `place`.
    pub fn new(rows: &'a Rows<'a>, seed: u64, place: Place) -> Order<'a> {
        let mut order =
            Order { rows, stream: Stream::new(seed, "data order"), place, order: Vec::new(), given: Vec::new() };
        order.shuffle();
        order
    }

    pub fn place(&self) -> Place {
        self.place
    }

    /// The next `count` rows. A batch may run over the end of an epoch into the next.
    pub fn next(&mut self, count: usize) -> Batch {
        let mut batch = Batch::default();
        self.given.clear();
        for _ in 0..count {
            if self.place.seen >= self.order.len() {
                self.place = Place { epoch: self.place.epoch + 1, seen: 0 };
                self.shuffle();
            }
            let row = self.order[self.place.seen];
            self.rows.push(self.place.epoch, row, &mut batch);
            self.given.push((self.place.epoch, row));
            self.place.seen += 1;
        }
        batch
    }

    /// The hash over all rows seen: `before` is that over those before the last batch.
    pub fn hash(&self, before: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(before.as_bytes());
        for (epoch, row) in &self.given {
            hasher.update(&epoch.to_le_bytes()).update(&(*row as u64).to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
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
