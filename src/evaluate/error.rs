//! Why an evaluation has no result.

/// Why an evaluation has no result.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    #[error("there is nothing to judge: the evaluation's dataset has no items; check its filters and its split")]
    NoItems,
    #[error(
        "`{0}` cannot be computed: all items together have no tokens or bytes to divide by; judge on documents with text"
    )]
    Empty(String),
    #[error("item {index} is {kind}, but `{metric}` needs {needs}; judge on a dataset that has them")]
    WrongItem { index: u64, kind: &'static str, metric: String, needs: &'static str },
    #[error("item {index} of the dataset could not be read: {why}")]
    Read { index: u64, why: String },
    #[error("the prompt of item {index} could not be rendered by the chat template: {why}")]
    Template { index: u64, why: String },
    #[error("the model could not be evaluated on item {index}: {why}")]
    Model { index: u64, why: String },
    #[error(
        "the model gave {got} where {expected} were asked for, around item {index}; this is a bug of the model's adapter"
    )]
    Shape { index: u64, expected: usize, got: usize },
    #[error(
        "the model gives item {index} a likelihood of {value}, which is no number to average; its weights may have diverged"
    )]
    NotFinite { index: u64, value: f64 },
    #[error("the metric `{0}` is asked for twice; name it once")]
    Twice(String),
    #[error("the item-level file could not be written: {0}; check the disk's free space and rights")]
    Write(#[source] std::io::Error),
    #[error("stopped on request after {0} items")]
    Stopped(u64),
}
