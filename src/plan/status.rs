//! Whether a thing is in the store already.

use std::collections::BTreeMap;

/// Whether a thing is in the store, and if not, why it will be made.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Status {
    pub cached: bool,
    /// As [`why`](super::why) says it; for a cached thing where it comes from, if that is worth saying.
    pub reason: String,
}

/// Statuses by name of the thing; one that is not listed is not cached.
pub type Statuses = BTreeMap<String, Status>;
