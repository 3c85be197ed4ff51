//! Long texts cut where no token can cross.

/// How a tokenizer divides text before it makes tokens, which decides where text can be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cutting {
    /// The GPT-2 or cl100k pattern: before a blank that follows a word.
    Words,
    /// Anywhere between two characters.
    Anywhere,
    /// A pattern that is not known: only within runs of blanks so long that the regex engine would give up on them.
    Blanks,
}

/// From this many bytes a text is cut.
const LONG: usize = 128 << 10;

/// The longest run of blanks that is left whole. With about two million the regex engine runs out of stack, ends the
/// search silently, and the rest of the text becomes one piece.
const BLANKS: usize = 64 << 10;

/// The text in pieces that, encoded one by one, give the tokens of the whole.
///
/// For [`Cutting::Words`]: every alternative of both patterns ends at a blank that follows another character and begins
/// anew there, the one exception being that cl100k joins line breaks to the punctuation before them. So a cut is made
/// before a space, or before any blank after a letter or digit of ASCII. Runs of more than 64 Ki blanks are cut too, which
/// changes how that run is divided and nothing else.
pub(super) fn cut(text: &str, cutting: Cutting) -> Vec<&str> {
    if text.len() <= LONG.min(BLANKS) {
        return vec![text];
    }
    let (mut pieces, mut start, mut blanks) = (Vec::new(), 0, 0);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        blanks = if c.is_whitespace() { blanks + c.len_utf8() } else { 0 };
        let safe = match cutting {
            Cutting::Words => {
                !before.is_whitespace() && (c == ' ' || c.is_whitespace() && before.is_ascii_alphanumeric())
            }
            Cutting::Anywhere => true,
            Cutting::Blanks => false,
        };
        if (safe && at - start >= LONG) || blanks > BLANKS {
            pieces.push(&text[start..at]);
            start = at;
            blanks = c.len_utf8().min(blanks);
        }
        before = c;
    }
    pieces.push(&text[start..]);
    pieces
}

/// The text cut within runs of characters of one kind (letters, digits, blanks, others) longer than `longest` bytes.
pub(super) fn cut_runs(text: &str, longest: usize) -> Vec<&str> {
    let kind = |c: char| (c.is_alphabetic(), c.is_numeric(), c.is_whitespace());
    let (mut pieces, mut start, mut run, mut before) = (Vec::new(), 0, 0, None);
    for (at, c) in text.char_indices() {
        if before != Some(kind(c)) {
            (run, before) = (at, Some(kind(c)));
        }
        if at + c.len_utf8() - run > longest {
            pieces.push(&text[start..at]);
            (start, run) = (at, at);
        }
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_runs_are_cut() {
        assert_eq!(cut_runs("aaaa bbbb", 4), ["aaaa bbbb"]);
        assert_eq!(cut_runs("aaaaaa 1234567", 4), ["aaaa", "aa 1234", "567"]);
        let text = "ÄÄÄÄ?".repeat(3);
        assert_eq!(cut_runs(&text, 4).concat(), text);
        assert_eq!(cut_runs("", 4), [""]);
    }

    #[test]
    fn the_pieces_are_the_text() {
        let words = "An owl, at night.\n\n Don't look!  ".repeat(20_000);
        let blanks = format!("a{}b", " ".repeat(300_000));
        for text in [words.as_str(), blanks.as_str(), "", "short"] {
            for cutting in [Cutting::Words, Cutting::Anywhere, Cutting::Blanks] {
                let pieces = cut(text, cutting);
                assert_eq!(pieces.concat(), text);
                assert!(pieces.iter().all(|p| !p.is_empty() || text.is_empty()));
            }
        }
        assert!(cut(&words, Cutting::Words).len() > 3);
        assert_eq!(cut(&words, Cutting::Blanks).len(), 1);
        assert_eq!(cut(&blanks, Cutting::Blanks).len(), 5);
    }
}
