//! Text from a network: batched, with cached keys and values.

use super::attention::{MASKED, Masks};
use super::cache::Cache;
use super::decoder::{Decoder, Input, check_tokens, int_vector};
use super::error::ModelError;
use super::head::capped;
use super::host::product;
use super::pass::Pass;
use super::sampler::{Sampler, Seen};
use crate::plan::{CACHE_BYTES, READ_AT_ONCE};
use crate::random::Stream;
use burn::tensor::{Tensor, TensorData};
use std::rc::Rc;

/// How to generate.
#[derive(Clone, PartialEq, Debug)]
pub struct GenerateOptions {
    /// Most tokens to add to a prompt.
    pub max_tokens: usize,
    /// Zero takes the most probable token each time.
    pub temperature: f64,
    /// Keep so many of the most probable; absent or 0: all.
    pub top_k: Option<usize>,
    /// Keep the most probable whose probabilities first reach this; absent: all.
    pub top_p: Option<f64>,
    /// Keep those at least this share as probable as the most probable; absent or 0: all.
    pub min_p: Option<f64>,
    /// How much less likely tokens become that the text or its prompt has; 1: not at all.
    pub repetition_penalty: f64,
    pub seed: u64,
    /// Tokens that end a text; they are not part of it.
    pub stop: Vec<u32>,
    /// Entries of the tokenizer, where the network has rows for more; those mean nothing and are never taken.
    pub vocab: Option<usize>,
    /// Prompts worked on together.
    pub batch: usize,
    /// Whether a text goes on when the context is full, seeing only what fills half of it.
    pub roll: bool,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        let stop = Vec::new();
        GenerateOptions {
            max_tokens: 64,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: 1.0,
            seed: 0,
            stop,
            vocab: None,
            batch: 16,
            roll: false,
        }
    }
}

/// A continuation of a prompt.
#[derive(Clone, PartialEq, Debug)]
pub struct Generated {
    /// Without the prompt and without the stop token.
    pub tokens: Vec<u32>,
    /// Log-probability of each token under the network, before temperature and filters.
    pub logprobs: Vec<f32>,
    pub finish: Finish,
    /// Tokens cut from the front of a prompt that was too long for the context.
    pub prompt_cut: usize,
    /// How often the context was full and the text went on from its second half.
    pub rolls: usize,
}

/// Why a text ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// A stop token, or the [listener's](Decoder::generate_with) wish.
    Stop,
    /// As many tokens as allowed.
    Length,
    /// The context is full.
    Context,
    /// The listener wished that nothing goes on.
    Interrupted,
}

/// What a network has read and written of one text, so that a longer one that begins alike is not read again.
#[derive(Default)]
pub struct Memory {
    tokens: Vec<u32>,
    /// Keys and values of `tokens`.
    cache: Option<Cache>,
}

impl Memory {
    /// Tokens that need not be read again.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }
}

/// The texts of a batch, of which a cache holds a beginning.
struct Unread<'a> {
    /// Their numbers.
    group: &'a [usize],
    /// What the network has not read of them, one after the other, all of one length.
    ids: Vec<u32>,
    /// Tokens of each that were drawn before.
    drawn: usize,
    /// Tokens to draw.
    steps: usize,
}

/// What a listener wishes after a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    GoOn,
    /// This text ends here; the token belongs to it.
    End,
    /// Every text ends here.
    EndAll,
}

impl Decoder {
    /// Continues each prompt. What a prompt gives depends on the others only by rounding, since products of several rows may be
    /// summed in another order: its draws are a function of the seed, its place in `prompts` and the position of the token.
    ///
    /// A prompt longer than the context less `max_tokens` (or less half the context, where that is more) loses tokens at
    /// its front; see [`Generated::prompt_cut`]. Where texts [roll](GenerateOptions::roll), only one that fills the context
    /// does.
    ///
    /// # Errors
    /// An empty prompt, a token outside the vocabulary, a network that computes no numbers, or a failing device.
    pub fn generate(&self, prompts: &[Vec<u32>], options: &GenerateOptions) -> Result<Vec<Generated>, ModelError> {
        self.generate_with(prompts, options, &mut |_, _| Next::GoOn)
    }

    /// As [`Decoder::generate`]; `listener` is told each token with the number of its prompt as soon as it is chosen.
    ///
    /// # Errors
    /// As [`Decoder::generate`].
    pub fn generate_with(
        &self,
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
        listener: &mut dyn FnMut(usize, u32) -> Next,
    ) -> Result<Vec<Generated>, ModelError> {
        let context = self.architecture.context;
        let longest = match options.roll {
            true => context.saturating_sub(1),
            false => context.saturating_sub(options.max_tokens).max(context / 2),
        };
        let longest = longest.max(1);
        let mut cut = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            check_tokens(prompt, self.architecture.vocab)?;
            if prompt.is_empty() {
                return Err(ModelError::EmptyPrompt);
            }
            cut.push(&prompt[prompt.len().saturating_sub(longest)..]);
        }
        // Prompts of like length go together, so that little of a batch is padding.
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by_key(|i| (cut[*i].len(), *i));
        let mut results: Vec<Generated> = vec![Generated::begin(Finish::Interrupted); prompts.len()];
        let sampler = options.sampler();
        let mut seen: Vec<Seen> = match sampler.looks_back() {
            true => prompts.iter().map(|prompt| Seen::of(prompt)).collect(),
            false => vec![Seen::default(); prompts.len()],
        };
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (group, after) = rest.split_at(self.texts_at_once(rest, &cut, options));
            rest = after;
            let batch = self.generate_batch(group, &cut, &mut seen, 0, options, listener)?;
            let mut interrupted = batch.iter().any(|text| text.finish == Finish::Interrupted);
            for (i, mut generated) in group.iter().zip(batch) {
                generated.prompt_cut = prompts[*i].len() - cut[*i].len();
                if options.roll && !interrupted {
                    self.roll(*i, cut[*i], &mut generated, &mut seen, options, listener)?;
                    interrupted = generated.finish == Finish::Interrupted;
                }
                results[*i] = generated;
            }
            if interrupted {
                break;
            }
        }
        Ok(results)
    }

    /// How many of the texts in `order`, the shortest first, are worked on together: as many as the options say, and as have
    /// cached keys and values within [`CACHE_BYTES`].
    fn texts_at_once(&self, order: &[usize], prompts: &[&[u32]], options: &GenerateOptions) -> usize {
        let a = &self.architecture;
        let column = 2 * a.layers * a.kv_heads * a.head_dim * size_of::<f32>();
        let fits = |(before, i): &(usize, &usize)| {
            let columns = (prompts[**i].len() + options.max_tokens).min(a.context);
            (before + 1).saturating_mul(columns).saturating_mul(column) <= CACHE_BYTES
        };
        order.iter().take(options.batch).enumerate().take_while(fits).count().clamp(1, order.len().max(1))
    }

    /// Goes on with a text that has filled the context. Cached keys know their positions, so what stays is read again.
    fn roll(
        &self,
        number: usize,
        prompt: &[u32],
        text: &mut Generated,
        seen: &mut [Seen],
        options: &GenerateOptions,
        listener: &mut dyn FnMut(usize, u32) -> Next,
    ) -> Result<(), ModelError> {
        let half = (self.architecture.context / 2).max(1);
        while text.finish == Finish::Context && self.architecture.context > 1 {
            let all = [prompt, &text.tokens].concat();
            let mut prompts: Vec<&[u32]> = vec![&[]; number + 1];
            prompts[number] = &all[all.len().saturating_sub(half)..];
            let before = text.tokens.len();
            let rest = GenerateOptions { max_tokens: options.max_tokens - before, ..options.clone() };
            for more in self.generate_batch(&[number], &prompts, seen, before, &rest, listener)? {
                text.tokens.extend(more.tokens);
                text.logprobs.extend(more.logprobs);
                text.finish = more.finish;
            }
            text.rolls += 1;
        }
        Ok(())
    }

    /// Prompts are aligned on the right: the padding before a short one is masked, and its positions start after it.
    /// `drawn` tokens of each text were drawn before.
    fn generate_batch(
        &self,
        group: &[usize],
        prompts: &[&[u32]],
        seen: &mut [Seen],
        drawn: usize,
        options: &GenerateOptions,
        listener: &mut dyn FnMut(usize, u32) -> Next,
    ) -> Result<Vec<Generated>, ModelError> {
        let time = group.iter().map(|i| prompts[*i].len()).max().unwrap_or(1);
        let pads: Vec<usize> = group.iter().map(|i| time - prompts[*i].len()).collect();
        let steps = options.max_tokens.min(self.architecture.context - time.min(self.architecture.context));
        let mut ids = Vec::with_capacity(group.len() * time);
        for (i, pad) in group.iter().zip(&pads) {
            ids.extend(std::iter::repeat_n(0, *pad));
            ids.extend_from_slice(prompts[*i]);
        }
        let mut cache = Cache::new(self, time + steps, pads);
        self.go_on(&mut cache, Unread { group, ids, drawn, steps }, seen, options, listener)
    }

    /// Continues `prompt` as [`Decoder::generate_with`] does the first of its prompts, but reads of it only what comes after
    /// what `memory` has of its beginning, and leaves in `memory` what was read. With and without it, numbers differ by rounding,
    /// since products of other numbers of rows may be summed in another order. Texts do not [roll](GenerateOptions::roll).
    ///
    /// # Errors
    /// As [`Decoder::generate`]. A prompt that fills the context is none: nothing is drawn.
    pub fn generate_on(
        &self,
        memory: &mut Memory,
        prompt: &[u32],
        options: &GenerateOptions,
        listener: &mut dyn FnMut(usize, u32) -> Next,
    ) -> Result<Generated, ModelError> {
        check_tokens(prompt, self.architecture.vocab)?;
        // The last token is read again, if need be: what follows it is asked.
        let last = prompt.len().checked_sub(1).ok_or(ModelError::EmptyPrompt)?;
        let steps = options.max_tokens.min(self.architecture.context.saturating_sub(prompt.len()));
        // Whoever fails on the way remembers nothing.
        let before = std::mem::take(memory);
        let alike = before.tokens.iter().zip(&prompt[..last]).take_while(|(a, b)| a == b).count();
        let (known, mut cache) = match before.cache {
            Some(cache) => (alike, cache.cut(alike, prompt.len() + steps)),
            None => (0, Cache::new(self, prompt.len() + steps, vec![0])),
        };
        let mut seen = [if options.sampler().looks_back() { Seen::of(prompt) } else { Seen::default() }];
        let unread = Unread { group: &[0], ids: prompt[known..].to_vec(), drawn: 0, steps };
        let generated = self.go_on(&mut cache, unread, &mut seen, options, listener)?.pop();
        let generated = generated.ok_or(ModelError::EmptyPrompt)?;
        let tokens = prompt.iter().chain(&generated.tokens).copied().take(cache.used()).collect();
        *memory = Memory { tokens, cache: Some(cache) };
        Ok(generated)
    }

    /// Reads what is unread and draws what follows.
    fn go_on(
        &self,
        cache: &mut Cache,
        unread: Unread<'_>,
        seen: &mut [Seen],
        options: &GenerateOptions,
        listener: &mut dyn FnMut(usize, u32) -> Next,
    ) -> Result<Vec<Generated>, ModelError> {
        let Unread { group, mut ids, drawn, steps } = unread;
        let batch = group.len();
        let pads = cache.first().to_vec();
        let leaves = self.params.leaves(&self.layout);
        let head = self.head(&leaves);
        let pass = Pass {
            architecture: &self.architecture,
            layout: &self.layout,
            leaves: &leaves,
            dropout: None,
            adapter: None,
            recompute: false,
            probe: None,
            format: None,
            account: None,
        };
        let mut rows = vec![Generated::begin(Finish::Length); batch];
        let mut done = vec![steps == 0; batch];
        let sampler = options.sampler();
        let streams: Vec<Stream> = group.iter().map(|i| Stream::new(options.seed, &format!("generate/{i}"))).collect();
        let mut width = ids.len() / batch.max(1);
        let piece = (READ_AT_ONCE / batch.max(1)).max(Cache::STEP);
        while steps > 0 && width > piece {
            // A long prompt is read in pieces, so that few queries have scores at once.
            let columns =
                |from: usize, to: usize| ids.chunks_exact(width).flat_map(|row| row[from..to].to_vec()).collect();
            let (first, rest): (Vec<u32>, Vec<u32>) = (columns(0, piece), columns(piece, width));
            let input = self.cached_input(&first, batch, piece, cache.used(), &pads, cache);
            pass.blocks(pass.embed(&input), &input, Some(&mut *cache), None);
            cache.fill(piece);
            (ids, width) = (rest, width - piece);
        }
        for step in 0..steps {
            let input = self.cached_input(&ids, batch, width, cache.used(), &pads, cache);
            let hidden = pass.blocks(pass.embed(&input), &input, Some(&mut *cache), None);
            cache.fill(width);
            let last = hidden.reshape([batch, width, self.architecture.width]).narrow(1, width - 1, 1);
            let logits = product(&last.reshape([batch, self.architecture.width]), false, &head, true);
            let logits = capped(logits, self.architecture.logit_cap);
            let logits = logits.try_into_vec_as::<f32>().map_err(|e| ModelError::Device(e.to_string()))?;
            ids = vec![0; batch];
            for (row, logits) in logits.chunks_exact(self.architecture.vocab).enumerate() {
                if done[row] {
                    continue;
                }
                let known = options.vocab.unwrap_or(logits.len()).min(logits.len());
                let mut draws = streams[row].at((drawn + step) as u64);
                let (token, logprob) = sampler.choose(&logits[..known], &seen[group[row]], &mut draws);
                if logprob.is_nan() {
                    return Err(ModelError::NotANumber);
                }
                if options.stop.contains(&token) {
                    rows[row].finish = Finish::Stop;
                    done[row] = true;
                    continue;
                }
                rows[row].tokens.push(token);
                rows[row].logprobs.push(logprob);
                ids[row] = token;
                if sampler.looks_back() {
                    seen[group[row]].add(token);
                }
                match listener(group[row], token) {
                    Next::GoOn => {}
                    Next::End => {
                        rows[row].finish = Finish::Stop;
                        done[row] = true;
                    }
                    Next::EndAll => {
                        let at_work = rows.iter_mut().zip(&done).filter(|(_, done)| !**done);
                        at_work.for_each(|(row, _)| row.finish = Finish::Interrupted);
                        return Ok(rows);
                    }
                }
            }
            width = 1;
            if done.iter().all(|done| *done) {
                break;
            }
        }
        for row in rows.iter_mut().filter(|row| row.finish == Finish::Length) {
            if row.tokens.len() < options.max_tokens {
                row.finish = Finish::Context;
            }
        }
        Ok(rows)
    }

    /// The input of `width` more columns after `used` cached ones.
    fn cached_input(
        &self,
        ids: &[u32],
        batch: usize,
        width: usize,
        used: usize,
        pads: &[usize],
        cache: &Cache,
    ) -> Input {
        let positions: Vec<u32> = pads
            .iter()
            .flat_map(|pad| (used..used + width).map(move |column| column.saturating_sub(*pad) as u32))
            .collect();
        let positions = int_vector(&positions, &self.device);
        // On the host the cache knows what is seen.
        let masks = if cache.on_host() {
            Masks::given(&self.architecture, Tensor::zeros([1, 1, 1, 1], &self.device), None)
        } else {
            self.masks(width, used, pads, cache)
        };
        Input {
            ids: int_vector(ids, &self.device),
            batch,
            time: width,
            angles: self.rotary(used + width).map(|rotary| rotary.at(positions.clone(), batch, width)),
            positions: Some(positions),
            masks: Rc::new(masks),
            starts: Vec::new(),
            causal: false,
        }
    }

    /// What columns `used..used + width` may not see, `[batch, 1, width, keys]`.
    fn masks(&self, width: usize, used: usize, pads: &[usize], cache: &Cache) -> Masks {
        let keys = cache.keys(used + width);
        let mask = |window: Option<usize>| {
            let mut mask = vec![0.0f32; pads.len() * width * keys];
            for (row, mask) in mask.chunks_exact_mut(width * keys).enumerate() {
                for (column, mask) in mask.chunks_exact_mut(keys).enumerate() {
                    // A padding column sees itself, so that its softmax is defined; nothing sees it.
                    let near = (used + column + 1).saturating_sub(window.unwrap_or(usize::MAX));
                    mask[..pads[row].min(used + column).max(near)].fill(MASKED);
                    mask[used + column + 1..].fill(MASKED);
                }
            }
            Tensor::from_data(TensorData::new(mask, [pads.len(), 1, width, keys]), &self.device)
        };
        let window = self.architecture.window;
        Masks::given(&self.architecture, mask(None), window.map(|window| mask(Some(window))))
    }
}

impl GenerateOptions {
    fn sampler(&self) -> Sampler {
        Sampler {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
        }
    }
}

impl Generated {
    fn begin(finish: Finish) -> Generated {
        Generated { tokens: Vec::new(), logprobs: Vec::new(), finish, prompt_cut: 0, rolls: 0 }
    }
}
