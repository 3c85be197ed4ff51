//! Texts and answers of a trained network.

use super::growing::Growing;
use super::judge::Model;
use crate::model::{Finish, GenerateOptions, Generated, Memory, Next};
use crate::plan::spec::Decoding;
use crate::tokenizer::Message;

/// Told what of a text is new; `false` ends it.
pub type Show<'a> = &'a mut dyn FnMut(&str) -> bool;

/// A text of any length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub text: String,
    /// Tokens of the text.
    pub tokens: usize,
    pub finish: Finish,
    /// Tokens at the prompt's front that the network did not see, because its context was too short for them.
    pub prompt_cut: usize,
    /// How often the text filled the context and went on from what fills half of it.
    pub rolls: usize,
}

/// An answer in a conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub text: String,
    pub finish: Finish,
    /// Messages at the beginning that were left out, so that the conversation fits the context.
    pub dropped: usize,
}

impl Model<'_> {
    /// A continuation as long as was asked for, beyond the context if need be. With a chat template it is the answer to
    /// the prompt, whose text then holds no special tokens; without one, special tokens in it are special.
    ///
    /// # Errors
    /// When the prompt cannot be encoded, the device fails, or a chat's prompt does not fit the context: without its
    /// beginning it would be no chat.
    pub fn write(&self, prompt: &str, decoding: &Decoding, show: Show<'_>) -> Result<Written, String> {
        let ids = match &self.chat {
            Some(_) => {
                let ids = self.conversation(&[Message::new("user", prompt)])?;
                if ids.len() >= self.context {
                    return Err(format!("the prompt has {}", self.too_long(ids.len())));
                }
                ids
            }
            None => self.encoded(prompt)?,
        };
        let generated = self.generate(&[ids], decoding, true, Some(show))?.pop();
        let (text, generated) = generated.ok_or("nothing was generated")?;
        Ok(Written {
            text,
            tokens: generated.tokens.len(),
            finish: generated.finish,
            prompt_cut: generated.prompt_cut,
            rolls: generated.rolls,
        })
    }

    /// The answer to a conversation whose last message is the user's. Where it is too long for the context, with room for
    /// an answer of half of it or of `max_tokens`, its oldest turns are left out; a system message stays. What `memory` has of
    /// the conversation is not read again.
    ///
    /// # Errors
    /// When the stage has no chat template or it fails, the last message alone does not fit, or the device fails.
    pub fn reply(
        &self,
        messages: &[Message],
        decoding: &Decoding,
        memory: &mut Memory,
        show: Show<'_>,
    ) -> Result<Reply, String> {
        let asked = usize::try_from(decoding.max_tokens).unwrap_or(1);
        let room = asked.min(self.context / 2);
        let system = messages.iter().take_while(|m| m.role == "system").count();
        let mut from = system;
        let ids = loop {
            let kept = [&messages[..system], &messages[from..]].concat();
            let ids = self.conversation(&kept)?;
            if ids.len() + room <= self.context || from + 1 >= messages.len() {
                break ids;
            }
            // A turn is what the user said and what was answered.
            let next = messages[from + 1..].iter().position(|m| m.role == "user");
            from = next.map_or(messages.len().saturating_sub(1), |at| from + 1 + at);
        };
        if ids.len() >= self.context {
            return Err(format!("the message has {}", self.too_long(ids.len())));
        }
        let left = self.context - ids.len();
        let decoding = Decoding { max_tokens: asked.min(left) as i64, ..decoding.clone() };
        let (text, generated) = self.go_on(ids, &decoding, memory, show)?;
        let finish = match generated.finish {
            Finish::Length if asked > left => Finish::Context,
            other => other,
        };
        Ok(Reply { text, finish, dropped: from - system })
    }

    fn too_long(&self, tokens: usize) -> String {
        format!(
            "{tokens} tokens, with those of its chat template, and the model's context is {}; shorten it",
            self.context
        )
    }

    fn conversation(&self, messages: &[Message]) -> Result<Vec<u32>, String> {
        let chat = self.chat.as_ref().ok_or("the stage has no chat template")?;
        let pieces = chat.messages(messages).map_err(|e| e.to_string())?;
        Ok(self.tokenizer.encode_pieces(&pieces).map_err(|e| e.to_string())?.ids)
    }

    pub(super) fn encoded(&self, prompt: &str) -> Result<Vec<u32>, String> {
        // A chat template writes itself what a text begins with.
        let begin = self.tokenizer.begin().filter(|_| self.chat.is_none());
        let mut ids: Vec<u32> = begin.into_iter().collect();
        ids.extend(self.tokenizer.encode_marked(prompt).map_err(|e| e.to_string())?);
        if ids.is_empty() {
            ids.push(self.tokenizer.start());
        }
        Ok(ids)
    }

    /// Texts of encoded prompts, up to the first stop text. What is new of the only one is shown as it comes.
    pub(super) fn generate(
        &self,
        encoded: &[Vec<u32>],
        decoding: &Decoding,
        roll: bool,
        show: Option<Show<'_>>,
    ) -> Result<Vec<(String, Generated)>, String> {
        let (options, stops) = self.options(decoding, roll);
        let mut listener = Texts::new(self, encoded.len(), &stops, show);
        let generated = self.decoder.generate_with(encoded, &options, &mut |text, token| listener.hear(text, token));
        listener.finish(generated.map_err(|e| e.to_string())?)
    }

    /// The text of one encoded prompt, of which what `memory` has is not read again.
    fn go_on(
        &self,
        encoded: Vec<u32>,
        decoding: &Decoding,
        memory: &mut Memory,
        show: Show<'_>,
    ) -> Result<(String, Generated), String> {
        let (options, stops) = self.options(decoding, false);
        let mut listener = Texts::new(self, 1, &stops, Some(show));
        let hear = &mut |text, token| listener.hear(text, token);
        let generated = self.decoder.generate_on(memory, &encoded, &options, hear).map_err(|e| e.to_string())?;
        listener.finish(vec![generated])?.pop().ok_or_else(|| "nothing was generated".to_owned())
    }

    /// How texts are drawn, and the texts that end them.
    fn options(&self, decoding: &Decoding, roll: bool) -> (GenerateOptions, Vec<String>) {
        let of_template = self.chat.iter().flat_map(|chat| chat.stop());
        let stops: Vec<String> = of_template.chain(&decoding.stop).cloned().collect();
        let mut stop = vec![self.tokenizer.end()];
        stop.extend(self.tokenizer.stops());
        stop.extend(stops.iter().filter_map(|t| self.tokenizer.id(t)));
        let options = GenerateOptions {
            max_tokens: usize::try_from(decoding.max_tokens).unwrap_or(1),
            temperature: decoding.temperature,
            top_k: decoding.top_k.and_then(|k| usize::try_from(k).ok()),
            top_p: (decoding.top_p < 1.0).then_some(decoding.top_p),
            min_p: (decoding.min_p > 0.0).then_some(decoding.min_p),
            repetition_penalty: decoding.repetition_penalty,
            seed: u64::from_ne_bytes(decoding.seed.to_ne_bytes()),
            stop,
            vocab: Some(self.tokenizer.vocab()),
            roll,
            ..GenerateOptions::default()
        };
        (options, stops)
    }
}

/// Hears the tokens of texts that grow, and tells what they spell.
struct Texts<'a, 's> {
    growing: Vec<Growing<'a>>,
    /// Told what is new of the only text.
    show: Option<Show<'s>>,
    failed: Option<String>,
}

impl<'a, 's> Texts<'a, 's> {
    fn new(model: &Model<'a>, texts: usize, stops: &'a [String], show: Option<Show<'s>>) -> Texts<'a, 's> {
        let growing = (0..texts).map(|_| Growing::new(model.tokenizer, stops)).collect();
        Texts { growing, show, failed: None }
    }

    fn hear(&mut self, text: usize, token: u32) -> Next {
        let ended = match self.growing[text].push(token) {
            Ok(ended) => ended,
            Err(why) => {
                self.failed = Some(why);
                return Next::EndAll;
            }
        };
        let goes_on = match &mut self.show {
            Some(show) => show(self.growing[text].fresh()),
            None => true,
        };
        match (goes_on, ended) {
            (false, _) => Next::EndAll,
            (true, true) => Next::End,
            (true, false) => Next::GoOn,
        }
    }

    /// The texts with what they consist of.
    fn finish(self, generated: Vec<Generated>) -> Result<Vec<(String, Generated)>, String> {
        if let Some(why) = self.failed {
            return Err(why);
        }
        let mut show = self.show;
        let mut texts = Vec::with_capacity(generated.len());
        for (growing, generated) in self.growing.into_iter().zip(generated) {
            let (text, rest) = growing.finish()?;
            if let Some(show) = &mut show {
                show(&rest);
            }
            texts.push((text, generated));
        }
        Ok(texts)
    }
}
