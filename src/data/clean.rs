//! Normalisation of characters and blanks.

use crate::plan::spec::NormalForm;
use unicode_normalization::{
    IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfd_quick, is_nfkc_quick, is_nfkd_quick,
};

/// The text in a Unicode normal form, with `\n` line ends and without control characters; `None` when it is so already.
///
/// `\r\n`, `\r`, U+0085, U+2028 and U+2029 become `\n`. Of the control characters (category Cc) only `\n` and `\t` stay.
/// Byte-order marks within the text go too.
pub(super) fn normalize(text: &str, form: NormalForm) -> Option<String> {
    let bad = |c: char| (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}');
    let quick = match form {
        NormalForm::Nfc => is_nfc_quick(text.chars()),
        NormalForm::Nfd => is_nfd_quick(text.chars()),
        NormalForm::Nfkc => is_nfkc_quick(text.chars()),
        NormalForm::Nfkd => is_nfkd_quick(text.chars()),
    };
    if quick == IsNormalized::Yes && !text.contains(bad) {
        return None;
    }
    let mut last = '\0';
    let plain = text.chars().filter_map(|c| {
        let before = std::mem::replace(&mut last, c);
        match c {
            '\n' if before == '\r' => None,
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
            c if bad(c) => None,
            c => Some(c),
        }
    });
    let new: String = match form {
        NormalForm::Nfc => plain.nfc().collect(),
        NormalForm::Nfd => plain.nfd().collect(),
        NormalForm::Nfkc => plain.nfkc().collect(),
        NormalForm::Nfkd => plain.nfkd().collect(),
    };
    (new != text).then_some(new)
}

/// The text with runs of blanks as one space, lines without blanks at their ends, and at most one blank line in a row;
/// `None` when it is so already.
pub(super) fn collapse(text: &str) -> Option<String> {
    let mut new = String::with_capacity(text.len());
    let mut blank = 0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else {
            blank += 1;
            continue;
        };
        if !new.is_empty() {
            new.push_str(if blank > 0 { "\n\n" } else { "\n" });
        }
        blank = 0;
        new.push_str(first);
        for word in words {
            new.push(' ');
            new.push_str(word);
        }
    }
    (new != text).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_have_one_form() {
        let nfc = |text: &str| normalize(text, NormalForm::Nfc);
        assert_eq!(nfc("cafe\u{301}"), Some("caf\u{e9}".into()));
        assert_eq!(nfc("a\r\nb\rc\u{2028}d"), Some("a\nb\nc\nd".into()));
        assert_eq!(nfc("a\u{0}b\u{feff}\tc"), Some("ab\tc".into()));
        assert_eq!(nfc("caf\u{e9}\n"), None);
        assert_eq!(normalize("\u{fb01}n\u{b2}", NormalForm::Nfkc), Some("fin2".into()));
    }

    #[test]
    fn blanks_are_one() {
        assert_eq!(collapse("  a \t b \n\n\n\nc\u{a0}d\n"), Some("a b\n\nc d".into()));
        assert_eq!(collapse("a b\n\nc"), None);
    }
}
