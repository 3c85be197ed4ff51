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
pub const UNITS: [&str; 34] = [
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
    "flop",
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LEXICAL: &str = include_str!("../../grammar/lexical.pest");
    const EDITOR: &str = include_str!("../../grammar/exp.tmLanguage.json");

    /// The quoted words in the rule `name` of the grammar.
    fn rule(name: &str) -> BTreeSet<&'static str> {
        let start = LEXICAL
            .lines()
            .find(|l| l.split(['=', ' ']).next() == Some(name))
            .and_then(|l| LEXICAL.find(l))
            .unwrap_or_else(|| panic!("the grammar has no rule `{name}`"));
        let body = &LEXICAL[start..];
        let body = &body[..body.find("\n\n").unwrap_or(body.len())];
        let body = &body[..body.find("}\n").unwrap_or(body.len())];
        body.split('"').skip(1).step_by(2).collect()
    }

    /// The words that the rules `kw_…` read.
    fn keywords() -> BTreeSet<&'static str> {
        LEXICAL.lines().filter(|l| l.starts_with("kw_")).filter_map(|l| l.split('"').nth(1)).collect()
    }

    fn set<'a>(words: &[&'a str]) -> BTreeSet<&'a str> {
        words.iter().copied().collect()
    }

    #[test]
    fn the_grammar_has_these_words() {
        assert_eq!(rule("item_word"), set(&ITEM_WORDS));
        assert_eq!(rule("kind_word"), set(&KIND_WORDS));
        assert_eq!(rule("hard_word"), set(&HARD_WORDS));
        assert_eq!(rule("known_unit"), set(&UNITS));
        assert_eq!(rule("multiplier"), set(&MULTIPLIERS));
        let all: BTreeSet<&str> =
            ITEM_WORDS.into_iter().chain(KIND_WORDS).chain(HARD_WORDS).chain(SOFT_WORDS).collect();
        assert_eq!(keywords(), all);
    }

    /// The alternatives `a|b|c` of the editor grammar that hold `word`.
    fn alternatives(word: &str) -> BTreeSet<&'static str> {
        let groups = EDITOR.split(['(', ')']).map(|g| g.split('|').collect::<BTreeSet<&str>>());
        groups.into_iter().find(|g| g.contains(word)).unwrap_or_else(|| panic!("the editor grammar lacks `{word}`"))
    }

    #[test]
    fn the_editor_grammar_has_these_words() {
        assert!(serde_json::from_str::<serde_json::Value>(EDITOR).is_ok());
        assert_eq!(alternatives("use"), set(&ITEM_WORDS));
        assert_eq!(alternatives("model"), set(&KIND_WORDS));
        assert_eq!(alternatives("true"), set(&CONSTANTS));
        assert_eq!(alternatives("amends"), set(&SOFT_WORDS));
        assert_eq!(alternatives("tokens"), set(&UNITS));
        assert_eq!(alternatives("Ki"), set(&MULTIPLIERS));
        let mut hard = alternatives("if");
        hard.extend(alternatives("and"));
        hard.extend(CONSTANTS);
        assert_eq!(hard, set(&HARD_WORDS));
    }
}
