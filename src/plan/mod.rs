//! The plan: what will run, in canonical form, hashed by stage, priced and explained.
//!
//! [`plan`] is the only way to a [`Plan`]. It reads each checked item as its type in [`spec`], orders the items, checks
//! what must hold between them, gives each an identity that depends on its meaning alone, and prices each stage.

mod batches;
mod build;
mod canonical;
mod chain;
mod checks;
mod counts;
mod datasets;
pub mod display;
mod estimate;
mod explain;
mod facts;
mod figures;
mod flops;
pub mod grammar_text;
mod graph;
pub mod hugging;
mod inputs;
mod items;
pub mod json;
mod judging;
mod length;
mod meaning;
mod memory;
mod nodes;
mod parameters;
mod published;
mod references;
mod remembered;
mod select;
mod settings;
mod shape;
pub mod spec;
mod status;
mod totals;
pub mod unsupported;
pub mod version;

pub use batches::{Growth, Step};
pub use build::{look, plan, plan_told, plan_with};
pub use canonical::{VERSION as CANONICAL_VERSION, digest};
pub use counts::{ACTIVATION_BYTES, DataCount, KnownCounts, Uncounted, Workload};
pub use explain::{Change, explain, nearest, why};
pub use figures::{bytes, plural};
pub use flops::{Flops, forward_flops, stage_flops_per_token, training_flops_per_token};
pub use graph::*;
pub use judging::{CACHE_BYTES, JUDGED_AT_ONCE, READ_AT_ONCE, TOKENS_AT_ONCE, judging};
pub use length::{Amounts, Budget, Length, Rows, length, row_length, row_lengths};
pub use meaning::{effective_seed, split_digest};
pub use memory::{Training, activations, adapters, memory, micro_batch, queries_at_once};
pub use nodes::Node;
pub use parameters::{Parameters, parameters};
pub use remembered::{DECOMPOSED_AT_ONCE, is_turned};
pub use select::Selection;
pub use status::{Status, Statuses};
pub use totals::{Price, Totals, price, totals};
