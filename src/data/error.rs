//! Why a dataset could not be made.

use crate::plan::grammar_text::{GrammarError, did_you_mean};
use crate::types::core::CoreError;
use std::io;

/// Why a dataset could not be made. Places are `file` or `file:line`, relative to the experiment's folder.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("no file matches `{pattern}`{hint}")]
    NoFiles { pattern: String, hint: String },
    #[error("`{pattern}` is not a valid file pattern: {why}")]
    BadPattern { pattern: String, why: String },
    #[error("`{file}` could not be read: {why}")]
    Read { file: String, why: io::Error },
    #[error("`{file}` is not UTF-8 text: the byte at offset {offset} begins no character{hint}")]
    NotText { file: String, offset: u64, hint: &'static str },
    #[error(
        "{place}: one document has more than {limit} MiB; divide it, by `document = paragraph` or `line` if it is text"
    )]
    TooLarge { place: String, limit: u64 },
    #[error("{place}: this is not a line of JSON ({why}){hint}")]
    NotJson { place: String, why: String, hint: &'static str },
    #[error("{place}: a line must hold an object such as {{\"text\": …}}, and this one holds {found}{hint}")]
    NotObject { place: String, found: &'static str, hint: &'static str },
    #[error("{place}: there is no field `{field}` among {present}{}{chat}", did_you_mean(.near, ""))]
    NoField { place: String, field: String, near: Vec<String>, present: String, chat: &'static str },
    #[error("{place}: the field `{field}` must be text, and here it is {found}")]
    NotTextField { place: String, field: String, found: &'static str },
    #[error("`{given}` is given without `{missing}`; a sample needs both, a document neither")]
    HalfSample { given: &'static str, missing: &'static str },
    #[error("the grammar cannot be expanded:{}", list(.0))]
    Grammar(Vec<GrammarError>),
    #[error(
        "the grammar went {limit} rules deep at `{rule}` while writing document {document}; give the alternatives that end \
         the recursion more weight"
    )]
    TooDeep { rule: String, limit: usize, document: u64 },
    #[error(
        "document {document} of the grammar grew beyond {limit} KiB; give the alternatives that end it more weight"
    )]
    TooLong { document: u64, limit: usize },
    #[error("{what} must be {wanted}, and it is {found}")]
    BadNumber { what: String, wanted: &'static str, found: String },
    #[error("pairs: {0}")]
    Pairs(String),
    #[error("{place}: the rule of `keep` has no value: {why}")]
    Rule { place: String, why: CoreError },
    #[error("the shares of a split must add up to 100%, and these add up to {found}")]
    Shares { found: String },
    #[error("the documents are divided into splits already; a dataset is split once")]
    SplitTwice,
    #[error("`{name}` has no split `{split}` among {present}{}", did_you_mean(.near, ""))]
    NoSplit { name: String, split: String, near: Vec<String>, present: String },
    #[error("the dataset `{name}` is not there: {why}")]
    Named { name: String, why: String },
    #[error("a mix needs at least one part")]
    EmptyMix,
    #[error("no document is left{why}")]
    Nothing { why: String },
    #[error("`{file}` could not be written: {why}")]
    Write { file: String, why: io::Error },
    #[error("`{file}` is damaged ({why}); delete it and it will be made again")]
    Damaged { file: String, why: String },
    #[error("stopped on request")]
    Stopped,
}

fn list(errors: &[GrammarError]) -> String {
    errors.iter().map(|e| format!("\n  {e}")).collect()
}
