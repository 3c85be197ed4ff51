//! Dimensions, each with one base unit.

use serde::{Deserialize, Serialize};

/// The base unit of each dimension.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A plain number.
    One,
    /// A share of one; `96%` is 0.96.
    Ratio,
    Tokens,
    Steps,
    Epochs,
    Documents,
    Seconds,
    Bytes,
    Flops,
    Dollars,
}

impl Unit {
    pub const ALL: [Unit; 10] = [
        Unit::One,
        Unit::Ratio,
        Unit::Tokens,
        Unit::Steps,
        Unit::Epochs,
        Unit::Documents,
        Unit::Seconds,
        Unit::Bytes,
        Unit::Flops,
        Unit::Dollars,
    ];

    /// The type of amounts in this unit, as the language names it.
    pub fn type_name(self) -> &'static str {
        match self {
            Unit::One => "Number",
            Unit::Ratio => "Ratio",
            Unit::Tokens => "Tokens",
            Unit::Steps => "Steps",
            Unit::Epochs => "Epochs",
            Unit::Documents => "Documents",
            Unit::Seconds => "Duration",
            Unit::Bytes => "Bytes",
            Unit::Flops => "Flops",
            Unit::Dollars => "Money",
        }
    }

    /// The word after an amount; `%` and `$` for shares and money.
    pub fn word(self) -> &'static str {
        match self {
            Unit::One => "",
            Unit::Ratio => "%",
            Unit::Tokens => "tokens",
            Unit::Steps => "steps",
            Unit::Epochs => "epochs",
            Unit::Documents => "documents",
            Unit::Seconds => "s",
            Unit::Bytes => "bytes",
            Unit::Flops => "flops",
            Unit::Dollars => "$",
        }
    }

    /// Whether an amount must be whole.
    pub fn is_whole(self) -> bool {
        matches!(self, Unit::Tokens | Unit::Steps | Unit::Documents | Unit::Bytes)
    }

    /// The unit that a word after a number names, and how many base units it is.
    pub fn parse(word: &str) -> Option<(Unit, f64)> {
        WORDS.iter().find(|(name, ..)| *name == word).map(|(_, unit, scale)| (*unit, *scale))
    }

    /// Every unit word, for suggestions.
    pub fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().map(|(name, ..)| *name)
    }
}

const WORDS: [(&str, Unit, f64); 36] = [
    ("%", Unit::Ratio, 0.01),
    ("$", Unit::Dollars, 1.0),
    ("tokens", Unit::Tokens, 1.0),
    ("token", Unit::Tokens, 1.0),
    ("steps", Unit::Steps, 1.0),
    ("step", Unit::Steps, 1.0),
    ("epochs", Unit::Epochs, 1.0),
    ("epoch", Unit::Epochs, 1.0),
    ("documents", Unit::Documents, 1.0),
    ("document", Unit::Documents, 1.0),
    ("ms", Unit::Seconds, 0.001),
    ("s", Unit::Seconds, 1.0),
    ("sec", Unit::Seconds, 1.0),
    ("second", Unit::Seconds, 1.0),
    ("seconds", Unit::Seconds, 1.0),
    ("min", Unit::Seconds, 60.0),
    ("minute", Unit::Seconds, 60.0),
    ("minutes", Unit::Seconds, 60.0),
    ("h", Unit::Seconds, 3600.0),
    ("hour", Unit::Seconds, 3600.0),
    ("hours", Unit::Seconds, 3600.0),
    ("day", Unit::Seconds, 86_400.0),
    ("days", Unit::Seconds, 86_400.0),
    ("B", Unit::Bytes, 1.0),
    ("bytes", Unit::Bytes, 1.0),
    ("KB", Unit::Bytes, 1e3),
    ("MB", Unit::Bytes, 1e6),
    ("GB", Unit::Bytes, 1e9),
    ("TB", Unit::Bytes, 1e12),
    ("KiB", Unit::Bytes, 1024.0),
    ("MiB", Unit::Bytes, 1_048_576.0),
    ("GiB", Unit::Bytes, 1_073_741_824.0),
    ("TiB", Unit::Bytes, 1_099_511_627_776.0),
    ("flop", Unit::Flops, 1.0),
    ("flops", Unit::Flops, 1.0),
    ("byte", Unit::Bytes, 1.0),
];

/// The factor of a multiplier after a number's digits.
pub fn multiplier(letters: &str) -> Option<f64> {
    Some(match letters {
        "k" => 1e3,
        "M" => 1e6,
        "B" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    })
}
