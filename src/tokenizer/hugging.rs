//! The one place that names the `tokenizers` crate.

use super::TokenizerError;
use super::cut::{Cutting, cut};
use crate::plan::spec::{self, Pattern, TokenizerSpecials};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as Hugging};

/// cl100k's pattern, as the `tokenizer.json` of published models has it.
const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Tokens that end a text, most usual first.
const ENDS: [&str; 8] =
    ["<|end|>", "<|endoftext|>", "<|im_end|>", "</s>", "<|eot_id|>", "<|end_of_text|>", "<eos>", "<|EOT|>"];

/// Tokens that fill a batch.
const PADS: [&str; 4] = ["<|pad|>", "<pad>", "[PAD]", "<|endoftext|>"];

/// A vocabulary and how text becomes its entries.
pub struct Tokenizer {
    /// Takes special tokens in a text for text.
    plain: Hugging,
    /// Takes them for what they are.
    marked: Hugging,
    cutting: Cutting,
    vocab: usize,
    end: u32,
    pad: u32,
    unknown: Option<u32>,
    /// Begins every text, where the tokenizer says so.
    begin: Option<u32>,
    /// What its publisher says of special tokens.
    published: Option<TokenizerSpecials>,
    specials: BTreeMap<String, u32>,
}

impl Tokenizer {
    /// A tokenizer from the bytes of a `tokenizer.json`; `file` is its name in messages.
    ///
    /// # Errors
    /// When the bytes are no tokenizer, or it has no token that ends a text.
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::read(bytes, file, None)
    }

    /// The same for a published tokenizer whose special tokens are known.
    ///
    /// # Errors
    /// When the bytes are no tokenizer, or it begins texts with several tokens.
    pub fn from_published(bytes: &[u8], file: &str, specials: &TokenizerSpecials) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::read(bytes, file, Some(specials))
    }

    fn read(bytes: &[u8], file: &str, specials: Option<&TokenizerSpecials>) -> Result<Tokenizer, TokenizerError> {
        let unreadable = |why: String| TokenizerError::Unreadable { file: file.to_owned(), why };
        let mut marked = Hugging::from_bytes(bytes).map_err(|e| unreadable(e.to_string()))?;
        // A file may say to cut or to fill every text, which would lose text here.
        marked.with_padding(None);
        marked.with_truncation(None).map_err(|e| unreadable(e.to_string()))?;
        // Or to leave out merges at random, which is meant for training and would give other tokens each time.
        if let ModelWrapper::BPE(bpe) = marked.get_model()
            && bpe.dropout.is_some()
        {
            let mut steady = bpe.clone();
            steady.dropout = None;
            marked.with_model(steady);
        }
        Tokenizer::new(marked, file, specials)
    }

    /// Reads the `tokenizer.json` of a tokenizer that was made as `spec` says.
    ///
    /// # Errors
    /// As for [`Tokenizer::load`].
    pub fn load_as(path: &Path, spec: &spec::Tokenizer) -> Result<Tokenizer, TokenizerError> {
        let spec::Tokenizer::Published(published) = spec else { return Tokenizer::load(path) };
        let file = path.to_string_lossy();
        let bytes = std::fs::read(path).map_err(|why| TokenizerError::File { file: file.clone().into_owned(), why })?;
        Tokenizer::from_published(&bytes, &file, &published.specials)
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// As for [`Tokenizer::from_json`], and when the file cannot be read.
    pub fn load(path: &Path) -> Result<Tokenizer, TokenizerError> {
        let file = path.to_string_lossy();
        let bytes = std::fs::read(path).map_err(|why| TokenizerError::File { file: file.clone().into_owned(), why })?;
        Tokenizer::from_json(&bytes, &file)
    }

    /// Trains byte-level BPE (Sennrich et al. 2016; GPT-2) on texts.
    ///
    /// `specials` take the first ids, then come the 256 bytes, then the merges. Ties are broken by the ids of the merged
    /// pair, so the same texts give the same vocabulary, in any order and for any number of threads.
    ///
    /// # Errors
    /// When training fails.
    pub(super) fn train_bpe(
        texts: impl Iterator<Item = String> + Send,
        vocab: usize,
        min_frequency: u64,
        pattern: Pattern,
        specials: &[String],
    ) -> Result<Tokenizer, TokenizerError> {
        let failed = |e: tokenizers::Error| TokenizerError::Training(e.to_string());
        let byte_level = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex});
        let before = match pattern {
            Pattern::Gpt2 => byte_level(true),
            Pattern::Cl100k => json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": CL100K}, "behavior": "Isolated", "invert": false},
                byte_level(false),
            ]}),
        };
        let model = json!({"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {}, "merges": []});
        let mut hugging = assemble(&model, &before, &byte_level(true), &[])?;
        let mut trainer = TrainerWrapper::BpeTrainer(
            BpeTrainer::builder()
                .vocab_size(vocab)
                .min_frequency(min_frequency)
                .initial_alphabet(ByteLevel::alphabet().into_iter().collect::<HashSet<char>>())
                .special_tokens(specials.iter().map(|s| AddedToken::from(s.as_str(), true).normalized(false)).collect())
                .show_progress(false)
                .build(),
        );
        hugging.train(&mut trainer, texts).map_err(failed)?;
        Tokenizer::new(hugging, "the trained tokenizer", None)
    }

    /// A tokenizer whose entries are `specials` and then `characters`. Other characters become `unknown`, one of the
    /// special tokens.
    pub(super) fn of_characters(
        characters: &std::collections::BTreeSet<char>,
        specials: &[String],
        unknown: &str,
    ) -> Result<Tokenizer, TokenizerError> {
        let entries = specials.iter().cloned().chain(characters.iter().map(char::to_string));
        let vocab: serde_json::Map<String, Value> = entries.zip(0..).map(|(entry, id)| (entry, json!(id))).collect();
        let model = json!({"type": "WordLevel", "vocab": vocab, "unk_token": unknown});
        let before = json!({"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": false});
        let hugging = assemble(&model, &before, &json!({"type": "Fuse"}), specials)?;
        Tokenizer::new(hugging, "the character tokenizer", None)
    }

    fn new(marked: Hugging, file: &str, known: Option<&TokenizerSpecials>) -> Result<Tokenizer, TokenizerError> {
        let mut plain = marked.clone();
        plain.set_encode_special_tokens(true);
        let specials: BTreeMap<String, u32> = marked
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (token.content, id))
            .collect();
        let vocabulary = marked.get_vocab(true);
        let first = |names: &[&str]| names.iter().find_map(|name| vocabulary.get(*name).copied());
        let end = known.map(|k| k.end).or_else(|| first(&ENDS)).ok_or_else(|| TokenizerError::NoEnd {
            file: file.to_owned(),
            looked_for: ENDS.iter().map(|e| format!("`{e}`")).collect::<Vec<_>>().join(", "),
        })?;
        let begin = if known.is_some() { begins(&marked, file)? } else { None };
        Ok(Tokenizer {
            cutting: cutting(&plain, &specials),
            // Ids may have gaps, and a table of embeddings must reach the last.
            vocab: vocabulary.values().max().map_or(0, |last| *last as usize + 1),
            end,
            pad: known.map(|k| k.pad).or_else(|| first(&PADS)).unwrap_or(end),
            unknown: known.map_or_else(|| vocabulary.get(super::UNKNOWN).copied(), |k| k.unknown),
            begin,
            published: known.cloned(),
            specials,
            plain,
            marked,
        })
    }

    /// Entries of the vocabulary: one more than the largest id.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// The token that ends every document.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The token that fills a batch; [`Tokenizer::end`] where there is none.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// The token that unknown characters become; none for tokenizers that know every text.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// The token that begins every text; none for tokenizers that begin texts with nothing, as those made here do.
    pub fn begin(&self) -> Option<u32> {
        self.begin
    }

    /// The token that stands before the first of a text, so that the first can be predicted too: that which begins texts,
    /// or else that which ended the text before.
    pub fn start(&self) -> u32 {
        self.begin.unwrap_or(self.end)
    }

    /// Tokens besides [`Tokenizer::end`] that end what is generated.
    pub fn stops(&self) -> &[u32] {
        self.published.as_ref().map_or(&[], |p| &p.stops)
    }

    /// What a published tokenizer's configuration says of special tokens.
    pub fn published(&self) -> Option<&TokenizerSpecials> {
        self.published.as_ref()
    }

    /// The special tokens and their ids.
    pub fn specials(&self) -> &BTreeMap<String, u32> {
        &self.specials
    }

    /// The id of an entry as the vocabulary writes it; of a special token, as it stands in a template.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.marked.token_to_id(token)
    }

    /// An entry as the vocabulary writes it (byte-level entries stand for bytes).
    pub fn entry(&self, id: u32) -> Option<String> {
        self.marked.id_to_token(id)
    }

    /// The tokens of a document's text, in which special tokens are plain text.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        for piece in cut(text, self.cutting) {
            ids.extend_from_slice(encoding(&self.plain, piece)?.get_ids());
        }
        Ok(ids)
    }

    /// The tokens of a text in which special tokens count, such as a prompt that a chat template has written.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    pub fn encode_marked(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        for piece in cut(text, Cutting::Blanks) {
            ids.extend_from_slice(encoding(&self.marked, piece)?.get_ids());
        }
        Ok(ids)
    }

    /// The tokens of a text with the bytes that each covers.
    ///
    /// # Errors
    /// When a text cannot be encoded, or bytes of it are in no token although they are no blanks (some pretrained
    /// tokenizers drop blanks).
    pub fn encode_offsets(&self, text: &str) -> Result<Vec<(u32, std::ops::Range<usize>)>, TokenizerError> {
        let (mut tokens, mut start, mut covered) = (Vec::new(), 0, 0);
        for piece in cut(text, self.cutting) {
            let encoded = self.plain.encode(piece, false).map_err(|e| TokenizerError::Encoding(e.to_string()))?;
            for (id, (from, to)) in encoded.get_ids().iter().zip(encoded.get_offsets()) {
                let (from, to) = (start + from, start + to);
                // Byte-level entries may share the bytes of one character.
                let new = to.saturating_sub(covered.max(from));
                if from > covered && !text[covered..from].trim().is_empty() {
                    return Err(TokenizerError::LostText { lost: from - covered, bytes: text.len() });
                }
                covered = covered.max(from) + new;
                tokens.push((*id, from..to));
            }
            start += piece.len();
        }
        if !text.get(covered..).unwrap_or_default().trim().is_empty() {
            return Err(TokenizerError::LostText { lost: text.len() - covered, bytes: text.len() });
        }
        Ok(tokens)
    }

    /// The text of tokens, with special tokens as they are written unless `skip_special`.
    ///
    /// # Errors
    /// When a token does not exist.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        if let Some(id) = ids.iter().find(|id| self.marked.id_to_token(**id).is_none()) {
            return Err(TokenizerError::NoToken { id: *id, vocab: self.vocab });
        }
        self.marked.decode(ids, skip_special).map_err(|e| TokenizerError::Encoding(e.to_string()))
    }

    /// The bytes of its `tokenizer.json`: the same for the same tokenizer.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        self.marked.to_string(true).map_err(|e| TokenizerError::Encoding(e.to_string()))
    }

    /// Writes `tokenizer.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TokenizerError> {
        let text = self.to_json()?;
        std::fs::write(path, text)
            .map_err(|why| TokenizerError::File { file: path.to_string_lossy().into_owned(), why })
    }
}

/// The token that a tokenizer's post-processor puts before every text.
fn begins(hugging: &Hugging, file: &str) -> Result<Option<u32>, TokenizerError> {
    let encode = |whole: bool| hugging.encode("a", whole).map_err(|e| TokenizerError::Encoding(e.to_string()));
    let (whole, bare) = (encode(true)?, encode(false)?);
    let (whole, bare) = (whole.get_ids(), bare.get_ids());
    // An empty text tells nothing; one that its own frame changes has no beginning that could be told apart.
    let found = if bare.is_empty() { None } else { whole.windows(bare.len()).position(|w| w == bare) };
    let before = found.ok_or_else(|| TokenizerError::Unreadable {
        file: file.to_owned(),
        why: "what it puts around a text changes the tokens of the text, so they cannot be told apart".to_owned(),
    })?;
    match whole.get(..before).unwrap_or_default() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        several => Err(TokenizerError::Unreadable {
            file: file.to_owned(),
            why: format!("it begins every text with {} special tokens; none or one can be used", several.len()),
        }),
    }
}

fn encoding(hugging: &Hugging, text: &str) -> Result<tokenizers::Encoding, TokenizerError> {
    hugging.encode_fast(text, false).map_err(|e| TokenizerError::Encoding(e.to_string()))
}

/// A tokenizer put together as its `tokenizer.json` would be.
fn assemble(model: &Value, before: &Value, decoder: &Value, specials: &[String]) -> Result<Hugging, TokenizerError> {
    let added: Vec<Value> = specials
        .iter()
        .enumerate()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        })
        .collect();
    let whole = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": before, "post_processor": null, "decoder": decoder, "model": model});
    Hugging::from_bytes(whole.to_string()).map_err(|e| TokenizerError::Training(e.to_string()))
}

/// Where texts for this tokenizer can be cut, told from how it divides them.
fn cutting(hugging: &Hugging, specials: &BTreeMap<String, u32>) -> Cutting {
    let before = hugging.get_pre_tokenizer().and_then(|p| serde_json::to_value(p).ok()).unwrap_or_default();
    let other_tokens = hugging.get_added_tokens_decoder().values().any(|t| !specials.contains_key(&t.content));
    // A normalizer may look across a cut, and added tokens that are not special count in plain text too.
    if hugging.get_normalizer().is_some() || other_tokens {
        return Cutting::Blanks;
    }
    let gpt2 = |v: &Value| v["type"] == "ByteLevel" && v["add_prefix_space"] == false && v["use_regex"] != false;
    let split = |v: &Value, regex: &str| v["type"] == "Split" && v["pattern"]["Regex"] == regex;
    if gpt2(&before) {
        Cutting::Words
    } else if split(&before, r"[\s\S]") {
        Cutting::Anywhere
    } else if before["type"] == "Sequence" && split(&before["pretokenizers"][0], CL100K) {
        Cutting::Words
    } else {
        Cutting::Blanks
    }
}
