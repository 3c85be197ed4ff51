//! Whether a thing is in the store already.

use std::collections::BTreeMap;

/// Whether a thing is in the store, and if not, why it will be made.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Status {
    pub cached: bool,
    /// As [`why`](super::why) says it; for a cached thing where it comes from, if that is worth saying.
    pub reason: String,
    /// The step of the latest checkpoint that is kept of a stage that was not finished.
    pub resumes_at: Option<u64>,
}

/// Statuses by name of the thing; one that is not listed is not cached.
pub type Statuses = BTreeMap<String, Status>;
