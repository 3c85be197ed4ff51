//! A trained network with its tokenizer, as judging and generating see it.

use crate::device::Chosen;
use crate::evaluate::Judged;
use crate::model::{Architecture, Decoder, ModelError};
use crate::plan::spec::{self, Decoding};
use crate::random::Stream;
use crate::tokenizer::{Chat, Tokenizer};
use std::cell::Cell;
use std::path::Path;

/// Texts that go through the network together when their likelihood is asked for.
const TOGETHER: usize = 16;

/// A network ready to judge or to write.
pub struct Model<'a> {
    pub(super) decoder: Decoder,
    pub(super) context: usize,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) chat: Option<Chat>,
    /// Prompts answered so far.
    asked: u64,
    /// Tokens of the texts encoded for their likelihood, and those of them that the tokenizer does not know.
    encoded: Cell<(u64, u64)>,
}

impl<'a> Model<'a> {
    /// Loads weights.
    ///
    /// # Errors
    /// When the file is damaged or does not fit the network.
    pub fn load(
        model: &spec::Decoder,
        weights: &Path,
        tokenizer: &'a Tokenizer,
        chat: Option<Chat>,
        device: &Chosen,
    ) -> Result<Model<'a>, ModelError> {
        let architecture = Architecture::new(model, Some(tokenizer.vocab()))?;
        let decoder = Decoder::load(architecture, weights, &device.device)?;
        Ok(Model::of(decoder, tokenizer, chat))
    }

    /// A network that is loaded.
    pub fn of(decoder: Decoder, tokenizer: &'a Tokenizer, chat: Option<Chat>) -> Model<'a> {
        let context = decoder.architecture.context;
        Model { decoder, context, tokenizer, chat, asked: 0, encoded: Cell::default() }
    }

    /// The text of a prompt as the chat template writes it; without a template the prompt itself.
    ///
    /// # Errors
    /// When the template fails.
    pub fn render(&self, prompt: &str) -> Result<String, String> {
        match &self.chat {
            Some(chat) => {
                let pieces = chat.prompt(prompt).map_err(|e| e.to_string())?;
                Ok(pieces.into_iter().map(|p| p.text).collect())
            }
            None => Ok(prompt.to_owned()),
        }
    }

    /// Continuations of prompts whose text is final; special tokens in them are special.
    ///
    /// # Errors
    /// When a prompt cannot be encoded, or the device fails.
    pub fn continuations(&self, prompts: &[String], decoding: &Decoding) -> Result<Vec<String>, String> {
        let encoded = prompts.iter().map(|prompt| self.encoded(prompt)).collect::<Result<Vec<_>, _>>()?;
        let generated = self.generate(&encoded, decoding, false, None)?;
        Ok(generated.into_iter().map(|(text, _)| text).collect())
    }

    /// Tokens of the texts that were encoded for their likelihood, and how many of them are unknown characters.
    pub fn unknown(&self) -> (u64, u64) {
        self.encoded.get()
    }

    /// Tokens that the network reads at once.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Log-probabilities (nats) of the tokens of a text, each given those before it and the token that begins texts, or
    /// else the one that ends them.
    ///
    /// # Errors
    /// When the text cannot be encoded, or the device fails.
    pub fn likelihood(&self, text: &str) -> Result<(Vec<u32>, Vec<f32>), String> {
        let mut ids = vec![self.tokenizer.start()];
        ids.extend(self.tokenizer.encode(text).map_err(|e| e.to_string())?);
        let mut scores = self.decoder.logprobs(&[ids.clone()], 1, None).map_err(|e| e.to_string())?;
        ids.remove(0);
        Ok((ids, scores.pop().unwrap_or_default()))
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        self.tokenizer
    }
}

impl Judged for Model<'_> {
    fn context(&self) -> usize {
        self.context
    }

    fn start(&self) -> u32 {
        self.tokenizer.start()
    }

    fn logprobs(&mut self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, String> {
        self.decoder.logprobs(texts, TOGETHER, None).map_err(|e| e.to_string())
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let ids = self.tokenizer.encode(text).map_err(|e| e.to_string())?;
        let unknown = self.tokenizer.unknown().map_or(0, |unknown| ids.iter().filter(|id| **id == unknown).count());
        let (tokens, before) = self.encoded.get();
        self.encoded.set((tokens + ids.len() as u64, before + unknown as u64));
        Ok(ids)
    }

    fn decode(&self, tokens: &[u32]) -> Result<String, String> {
        self.tokenizer.decode(tokens, true).map_err(|e| e.to_string())
    }

    fn respond(&mut self, prompts: &[String], decoding: &Decoding) -> Result<Vec<String>, String> {
        // Prompts are numbered from 0 in each batch; without this, every batch would draw the same numbers.
        let batch = Stream::new(u64::from_ne_bytes(decoding.seed.to_ne_bytes()), "respond").at(self.asked).next_u64();
        self.asked += prompts.len() as u64;
        let decoding = Decoding { seed: i64::from_ne_bytes(batch.to_ne_bytes()), ..decoding.clone() };
        let texts = self.continuations(prompts, &decoding)?;
        Ok(texts.into_iter().map(|t| t.trim().to_owned()).collect())
    }
}
