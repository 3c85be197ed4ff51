//! Text that grows a token at a time.

use crate::tokenizer::Tokenizer;

/// The text of tokens that come one by one, up to the first stop text.
pub(super) struct Growing<'a> {
    tokenizer: &'a Tokenizer,
    stops: &'a [String],
    tokens: Vec<u32>,
    /// The text of `tokens[..read]`.
    text: String,
    /// Tokens before `read` that are decoded again with those after it: what a token stands for may depend on the one before.
    from: usize,
    read: usize,
    /// Bytes of `text` that were shown.
    shown: usize,
    /// Where a stop text begins.
    end: Option<usize>,
}

impl<'a> Growing<'a> {
    /// An empty text; empty stop texts never stop it.
    pub fn new(tokenizer: &'a Tokenizer, stops: &'a [String]) -> Growing<'a> {
        let (tokens, text) = (Vec::new(), String::new());
        Growing { tokenizer, stops, tokens, text, from: 0, read: 0, shown: 0, end: None }
    }

    /// Takes a token; whether the text ends with it, because a stop text is complete.
    ///
    /// # Errors
    /// When the token does not exist.
    pub fn push(&mut self, token: u32) -> Result<bool, String> {
        self.tokens.push(token);
        let decode = |tokens: &[u32]| self.tokenizer.decode(tokens, true).map_err(|e| e.to_string());
        let (before, now) = (decode(&self.tokens[self.from..self.read])?, decode(&self.tokens[self.from..])?);
        // The bytes of a character may come with several tokens.
        if now.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(false);
        }
        let old = self.text.len();
        self.text.push_str(now.get(before.len()..).unwrap_or_default());
        (self.from, self.read) = (self.read, self.tokens.len());
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let begin = floor(&self.text, old.saturating_sub(longest));
        self.end = first_stop(&self.text[begin..], self.stops).map(|at| begin + at);
        Ok(self.end.is_some())
    }

    /// What may be shown and was not: whole characters that no token to come can make a part of a stop text.
    pub fn fresh(&mut self) -> &str {
        let until = self.end.unwrap_or_else(|| {
            let held = self.stops.iter().map(|stop| overlap(&self.text, stop)).max().unwrap_or(0);
            self.text.len() - held
        });
        let from = self.shown.min(until);
        self.shown = from.max(until);
        &self.text[from..until]
    }

    /// The whole text, and what of it was not shown.
    ///
    /// # Errors
    /// When a token does not exist.
    pub fn finish(self) -> Result<(String, String), String> {
        let mut text = self.tokenizer.decode(&self.tokens, true).map_err(|e| e.to_string())?;
        if let Some(end) = first_stop(&text, self.stops) {
            text.truncate(end);
        }
        let rest = text.get(self.shown..).unwrap_or_default().to_owned();
        Ok((text, rest))
    }
}

/// Where the first of the stop texts begins.
fn first_stop(text: &str, stops: &[String]) -> Option<usize> {
    stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min()
}

/// Bytes at the end of `text` that `stop` begins with.
fn overlap(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at).rev();
    lengths.into_iter().find(|len| text.ends_with(&stop[..*len])).unwrap_or(0)
}

/// The start of the character at `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte-level tokenizer that knows no merges, so that characters come in pieces.
    fn bytes() -> Tokenizer {
        let merges = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [
                {"id": 0, "content": "<|end|>", "single_word": false, "lstrip": false, "rstrip": false,
                 "normalized": false, "special": true}],
            "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": true}, "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocab(), "merges": []}
        });
        Tokenizer::from_json(merges.to_string().as_bytes(), "bytes.json").unwrap()
    }

    /// The 256 bytes as GPT-2 writes them.
    fn vocab() -> serde_json::Value {
        let plain = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
        let mut others = 256..;
        let mut vocab = serde_json::Map::new();
        vocab.insert("<|end|>".into(), 0.into());
        for byte in 0..256u32 {
            let shown = if plain(byte) { byte } else { others.next().unwrap() };
            vocab.insert(char::from_u32(shown).unwrap().to_string(), (byte + 1).into());
        }
        vocab.into()
    }

    /// What is shown after each token, and the whole text.
    fn grown(text: &str, stops: &[&str]) -> (Vec<String>, String, bool) {
        let tokenizer = bytes();
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut growing = Growing::new(&tokenizer, &stops);
        let (mut shown, mut ended) = (Vec::new(), false);
        for token in tokenizer.encode(text).unwrap() {
            ended = growing.push(token).unwrap();
            shown.push(growing.fresh().to_owned());
            if ended {
                break;
            }
        }
        let (whole, rest) = growing.finish().unwrap();
        assert_eq!(shown.concat() + &rest, whole);
        (shown, whole, ended)
    }

    #[test]
    fn only_whole_characters_are_shown() {
        let (shown, whole, _) = grown("aß🦉é", &[]);
        assert_eq!(whole, "aß🦉é");
        assert_eq!(
            shown.iter().filter(|s| !s.is_empty()).map(String::as_str).collect::<Vec<_>>(),
            ["a", "ß", "🦉", "é"]
        );
    }

    #[test]
    fn a_stop_text_ends_the_text_before_it_and_no_part_of_it_is_shown() {
        let (shown, whole, ended) = grown("One. Question: two", &["Question:"]);
        assert!(ended);
        assert_eq!((whole.as_str(), shown.concat().as_str()), ("One. ", "One. "));
        // What looked like its beginning is shown once it is not.
        let (shown, whole, ended) = grown("Quest, Quiet", &["Question:"]);
        assert!(!ended);
        assert_eq!((whole.as_str(), shown[5].as_str()), ("Quest, Quiet", "Quest,"));
        // Of several, the first; across characters of several bytes; and an empty one does nothing.
        assert_eq!(grown("añb🦉c", &["", "🦉", "b🦉"]).1, "añ");
        assert_eq!(grown("\n\nHuman: x", &["\n\nHuman:"]).1, "");
    }
}
