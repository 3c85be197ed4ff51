//! The words of the language, for messages, completion and highlighting. A test proves that the grammar has the same.

/// Words that open an item and are never names.
pub const ITEM_WORDS: [&str; 7] = ["use", "param", "let", "fn", "schema", "expect", "claim"];

/// Words that open an item and also name the fields and schemas of that kind.
pub const KIND_WORDS: [&str; 8] = ["experiment", "dataset", "tokenizer", "model", "stage", "eval", "review", "sweep"];

/// Words that shape an expression and are never names.
pub const HARD_WORDS: [&str; 11] = ["if", "then", "else", "for", "in", "and", "or", "not", "true", "false", "none"];

/// Words that mean something in one place each and are names everywhere else.
pub const SOFT_WORDS: [&str; 12] =
    ["amends", "from", "as", "is", "one", "of", "final", "rest", "check", "over", "when", "with"];

/// The constants among [`HARD_WORDS`].
pub const CONSTANTS: [&str; 3] = ["true", "false", "none"];

/// What may stand directly behind the digits of a number.
pub const MULTIPLIERS: [&str; 8] = ["Ki", "Mi", "Gi", "Ti", "k", "M", "B", "T"];

/// The units that the grammar knows; `%` and `$` are marks.
pub const UNITS: [&str; 33] = [
    "tokens",
    "token",
    "steps",
    "step",
    "epochs",
    "epoch",
    "documents",
    "document",
    "seconds",
    "second",
    "sec",
    "s",
    "ms",
    "minutes",
    "minute",
    "min",
    "hours",
    "hour",
    "h",
    "days",
    "day",
    "bytes",
    "byte",
    "B",
    "KiB",
    "MiB",
    "GiB",
    "TiB",
    "KB",
    "MB",
    "GB",
    "TB",
    "flops",
];

/// Whether a line that starts with this word may be the start of an item.
pub fn opens_item(word: &str) -> bool {
    ITEM_WORDS.contains(&word) || KIND_WORDS.contains(&word) || word == "amends"
}

/// Whether the word may not name an item, a parameter or a loop variable.
pub fn is_reserved(word: &str) -> bool {
    ITEM_WORDS.contains(&word) || KIND_WORDS.contains(&word) || HARD_WORDS.contains(&word)
}

/// Whether `c` may open a word.
pub fn starts_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic() || (!c.is_ascii() && c.is_alphabetic())
}

/// Whether `c` may go on a word.
pub fn goes_on_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric() || (!c.is_ascii() && c.is_alphanumeric())
}

/// The word that `text` starts with; empty when it starts with none.
pub fn first_word(text: &str) -> &str {
    if !text.starts_with(starts_word) {
        return "";
    }
    let end = text.find(|c| !goes_on_word(c)).unwrap_or(text.len());
    &text[..end]
}
