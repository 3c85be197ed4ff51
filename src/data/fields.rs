//! What a rule may ask of a document.

use super::{Record, language};
use crate::types::core::{Constant, CoreError, Leaves};
use std::collections::HashSet;

/// The fields of a document or sample.
///
/// Shares are between 0 and 1, and 0 for an empty text.
pub const FIELDS: [(&str, &str); 15] = [
    ("text", "The text; of a sample, the prompt and the response on lines of their own."),
    ("prompt", "The prompt of a sample; empty for a document."),
    ("response", "The response of a sample; empty for a document."),
    ("source", "File and line it comes from."),
    ("language", "ISO 639-1 code of the most likely language, or `und`."),
    ("words", "Runs of characters between blanks."),
    ("characters", "Unicode characters."),
    ("bytes", "Bytes of UTF-8."),
    ("lines", "Lines, counting blank ones."),
    ("mean_word_length", "Characters a word, punctuation included."),
    ("symbol_ratio", "Share of characters that are neither letters, digits nor blanks."),
    ("digit_ratio", "Share of characters that are digits."),
    ("uppercase_ratio", "Share of letters that are capitals."),
    ("duplicate_line_ratio", "Share of lines, blank ones aside, that repeat an earlier line."),
    ("index", "Position in its source, from 0."),
];

/// A document as the leaves of a rule: each field is computed when it is asked for.
pub(super) struct Document<'a>(pub &'a Record);

impl Leaves for Document<'_> {
    fn field(&self, arg: &str, name: &str) -> Result<Constant, CoreError> {
        value(self.0, name).ok_or_else(|| CoreError::Unknown(format!("{arg}.{name}")))
    }
}

/// The value of a field, or `None` when there is no such field.
pub fn value(record: &Record, name: &str) -> Option<Constant> {
    let text = record.text.as_str();
    let words = || text.split_whitespace();
    let share = |part: usize, whole: usize| Constant::Float(if whole == 0 { 0.0 } else { part as f64 / whole as f64 });
    let count = |n: usize| Constant::Int(n as i64);
    let of = |test: fn(char) -> bool| share(text.chars().filter(|c| test(*c)).count(), text.chars().count());
    Some(match name {
        "text" => Constant::Text(text.to_owned()),
        "prompt" => Constant::Text(record.prompt.clone().unwrap_or_default()),
        "response" => Constant::Text(record.response.clone().unwrap_or_default()),
        "source" => Constant::Text(record.source.clone()),
        "language" => Constant::Text(language::detect(text).to_owned()),
        "words" => count(words().count()),
        "characters" => count(text.chars().count()),
        "bytes" => count(text.len()),
        "lines" => count(text.lines().count()),
        "mean_word_length" => share(words().map(|w| w.chars().count()).sum(), words().count()),
        "symbol_ratio" => of(|c| !c.is_alphanumeric() && !c.is_whitespace()),
        "digit_ratio" => of(char::is_numeric),
        "uppercase_ratio" => {
            let letters = text.chars().filter(|c| c.is_alphabetic()).count();
            share(text.chars().filter(|c| c.is_uppercase()).count(), letters)
        }
        "duplicate_line_ratio" => {
            let (mut seen, mut lines, mut repeated) = (HashSet::new(), 0, 0);
            for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
                lines += 1;
                repeated += usize::from(!seen.insert(line));
            }
            share(repeated, lines)
        }
        "index" => Constant::Int(record.index as i64),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::core::{Core, Op};

    #[test]
    fn every_field_has_a_value() {
        let record = Record::document("One two.\nOne two.\n\nTHREE 44".into(), "a.txt".into(), 3);
        for (field, _) in FIELDS {
            assert!(value(&record, field).is_some(), "{field}");
        }
        let get = |field| value(&record, field).unwrap();
        assert_eq!(get("words"), Constant::Int(6));
        assert_eq!(get("lines"), Constant::Int(4));
        assert_eq!(get("duplicate_line_ratio"), Constant::Float(1.0 / 3.0));
        assert_eq!(get("uppercase_ratio"), Constant::Float(7.0 / 17.0));
        assert_eq!(get("digit_ratio"), Constant::Float(2.0 / 27.0));
        assert_eq!(value(&Record::default(), "symbol_ratio"), Some(Constant::Float(0.0)));
    }

    #[test]
    fn rules_read_fields() {
        let field = |name: &str| Core::Field { of: Box::new(Core::Arg("doc".into())), name: name.into() };
        let rule = Core::Binary {
            op: Op::Greater,
            left: Box::new(field("words")),
            right: Box::new(Core::Const(Constant::Int(2))),
        };
        let record = Record::document("a b c".into(), String::new(), 0);
        assert_eq!(rule.eval(&Document(&record)), Ok(Constant::Bool(true)));
        assert!(field("wrds").eval(&Document(&record)).unwrap_err().to_string().contains("doc.wrds"));
    }
}
