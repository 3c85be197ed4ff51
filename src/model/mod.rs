//! Networks: decoder-only transformers of the GPT-2, Llama, Qwen and OLMo families and their combinations, on burn.
//!
//! A network is an [`Architecture`] (sizes and choices, checked) and [`Params`] (the numbers). The parameters of one
//! network lie end to end in a few long vectors, and every weight is a view of them: the optimiser, the gradient norm
//! and the checkpoints then work on whole vectors instead of hundreds of small ones.
#![allow(clippy::disallowed_methods, reason = "weights are read and written here, in folders that the store hands out")]

mod adapter;
mod architecture;
mod attention;
mod cache;
mod decoder;
mod dropout;
mod error;
mod experts;
mod feed_forward;
mod generate;
mod head;
mod host;
pub mod hugging;
mod import;
mod layout;
mod likelihood;
mod norm;
mod params;
mod part;
mod pass;
mod position;
mod precision;
mod probe;
mod qk_norm;
mod sampler;
mod stream;
mod table;
mod values;
mod weights;

pub use architecture::{Architecture, Experts, ValueEmbeddings};
pub use decoder::Decoder;
pub use error::ModelError;
pub use generate::{Finish, GenerateOptions, Generated, Memory, Next};
pub use import::{Imported, NotFinite, Shards, import};
pub use layout::{Entry, Layout};
pub use params::Params;
pub use part::Part;
pub use precision::format;
pub use stream::{Described, NumberFormat, write_stream};
pub use weights::{Named, read_weights, weights_hash, write_weights, write_weights_with};
pub(crate) use weights::{hand_over as hand_over_segments, load as load_segments, named, save as save_segments};

pub(crate) use adapter::Adapter;
pub(crate) use decoder::{Input, InputShape, int_vector};
pub(crate) use dropout::Dropout;
pub(crate) use experts::Account;
pub(crate) use head::{HeadGradient, Scaled, Squeeze, capped, head_gradient, head_logprobs};
pub(crate) use host::{Host, change as change_on_host, product};
pub(crate) use pass::{LeafGradients, Pass, Tape};
pub(crate) use probe::{Probe, Seen};
pub(crate) use table::table_gradient;
