//! Text from a network: batched, with cached keys and values.

use super::attention::{MASKED, Masks};
use super::decoder::{Decoder, Input, check_tokens, int_vector};
use super::error::ModelError;
use super::head::capped;
use super::pass::Pass;
use super::sampler::Sampler;
use crate::random::Stream;
use burn::tensor::{Device, Tensor, TensorData};
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// A stop token.
    Stop,
    /// As many tokens as allowed.
    Length,
    /// The context is full.
    Context,
}

impl Decoder {
    /// Continues each prompt. What a prompt gives does not depend on the others: its draws are a function of the seed, its
    /// place in `prompts` and the position of the token.
    ///
    /// A prompt longer than the context less `max_tokens` (or less half the context, where that is more) loses tokens at
    /// its front; see [`Generated::prompt_cut`]. Where texts [roll](GenerateOptions::roll), only one that fills the context
    /// does.
    ///
    /// # Errors
    /// An empty prompt, a token outside the vocabulary, or a failing device.
    pub fn generate(&self, prompts: &[Vec<u32>], options: &GenerateOptions) -> Result<Vec<Generated>, ModelError> {
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
        let mut results: Vec<Option<Generated>> = vec![None; prompts.len()];
        for group in order.chunks(options.batch.max(1)) {
            for (i, mut generated) in group.iter().zip(self.generate_batch(group, &cut, 0, options)?) {
                generated.prompt_cut = prompts[*i].len() - cut[*i].len();
                if options.roll {
                    self.roll(*i, cut[*i], &mut generated, options)?;
                }
                results[*i] = Some(generated);
            }
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Goes on with a text that has filled the context. Cached keys know their positions, so what stays is read again.
    fn roll(
        &self,
        number: usize,
        prompt: &[u32],
        text: &mut Generated,
        options: &GenerateOptions,
    ) -> Result<(), ModelError> {
        let half = (self.architecture.context / 2).max(1);
        while text.finish == Finish::Context && self.architecture.context > 1 {
            let all = [prompt, &text.tokens].concat();
            let mut prompts: Vec<&[u32]> = vec![&[]; number + 1];
            prompts[number] = &all[all.len().saturating_sub(half)..];
            let before = text.tokens.len();
            let rest = GenerateOptions { max_tokens: options.max_tokens - before, ..options.clone() };
            for more in self.generate_batch(&[number], &prompts, before, &rest)? {
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
        drawn: usize,
        options: &GenerateOptions,
    ) -> Result<Vec<Generated>, ModelError> {
        let batch = group.len();
        let time = group.iter().map(|i| prompts[*i].len()).max().unwrap_or(1);
        let pads: Vec<usize> = group.iter().map(|i| time - prompts[*i].len()).collect();
        let steps = options.max_tokens.min(self.architecture.context - time.min(self.architecture.context));
        let leaves = self.params.leaves(&self.layout);
        let head = self.head(&leaves).transpose();
        let pass = Pass {
            architecture: &self.architecture,
            layout: &self.layout,
            leaves: &leaves,
            dropout: None,
            adapter: None,
        };
        let mut cache = Cache::new(self, batch, time + steps);
        let mut rows: Vec<Generated> = (0..batch)
            .map(|_| Generated {
                tokens: Vec::new(),
                logprobs: Vec::new(),
                finish: Finish::Length,
                prompt_cut: 0,
                rolls: 0,
            })
            .collect();
        let mut done = vec![steps == 0; batch];
        let sampler = Sampler { temperature: options.temperature, top_k: options.top_k, top_p: options.top_p };
        let streams: Vec<Stream> = group.iter().map(|i| Stream::new(options.seed, &format!("generate/{i}"))).collect();

        let mut ids = Vec::with_capacity(batch * time);
        for (i, pad) in group.iter().zip(&pads) {
            ids.extend(std::iter::repeat_n(0, *pad));
            ids.extend_from_slice(prompts[*i]);
        }
        let mut width = time;
        for step in 0..steps {
            let input = self.cached_input(&ids, batch, width, cache.used, &pads, &cache);
            let hidden = pass.blocks(pass.embed(&input), &input, Some(&mut cache), None);
            cache.used += width;
            let last = hidden.reshape([batch, width, self.architecture.width]).narrow(1, width - 1, 1);
            let logits = last.reshape([batch, self.architecture.width]).matmul(head.clone());
            let logits = capped(logits, self.architecture.logit_cap);
            let logits = logits.try_into_vec_as::<f32>().map_err(|e| ModelError::Device(e.to_string()))?;
            ids = vec![0; batch];
            for (row, logits) in logits.chunks_exact(self.architecture.vocab).enumerate() {
                if done[row] {
                    continue;
                }
                let known = options.vocab.unwrap_or(logits.len()).min(logits.len());
                let (token, logprob) = sampler.choose(&logits[..known], &mut streams[row].at((drawn + step) as u64));
                if options.stop.contains(&token) {
                    rows[row].finish = Finish::Stop;
                    done[row] = true;
                    continue;
                }
                rows[row].tokens.push(token);
                rows[row].logprobs.push(logprob);
                ids[row] = token;
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
        let keys = cache.keys(used + width);
        let mask = |window: Option<usize>| {
            let mut mask = vec![0.0f32; batch * width * keys];
            for (row, mask) in mask.chunks_exact_mut(width * keys).enumerate() {
                for (column, mask) in mask.chunks_exact_mut(keys).enumerate() {
                    // A padding column sees itself, so that its softmax is defined; nothing sees it.
                    let near = (used + column + 1).saturating_sub(window.unwrap_or(usize::MAX));
                    mask[..pads[row].min(used + column).max(near)].fill(MASKED);
                    mask[used + column + 1..].fill(MASKED);
                }
            }
            Tensor::from_data(TensorData::new(mask, [batch, 1, width, keys]), &self.device)
        };
        let window = self.architecture.window;
        let masks = Masks::given(&self.architecture, mask(None), window.map(|window| mask(Some(window))));
        Input {
            ids: int_vector(ids, &self.device),
            batch,
            time: width,
            angles: self.rotary.as_ref().map(|rotary| rotary.at(positions.clone(), batch, width)),
            positions: Some(positions),
            masks: Rc::new(masks),
            causal: false,
        }
    }
}

/// Keys and values of every block, `[batch, kv_heads, capacity, head_dim]` each.
pub(crate) struct Cache {
    layers: Vec<(Tensor<4>, Tensor<4>)>,
    capacity: usize,
    /// Columns filled.
    used: usize,
}

impl Cache {
    /// Attention looks at a multiple of this many columns, so that kernels see few shapes.
    const STEP: usize = 64;

    fn new(decoder: &Decoder, batch: usize, columns: usize) -> Cache {
        let a = &decoder.architecture;
        let capacity = columns.next_multiple_of(Cache::STEP);
        let zeros = |device: &Device| Tensor::<4>::zeros([batch, a.kv_heads, capacity, a.head_dim], device);
        let layers = (0..a.layers).map(|_| (zeros(&decoder.device), zeros(&decoder.device))).collect();
        Cache { layers, capacity, used: 0 }
    }

    /// Columns attention looks at when `used` are filled.
    fn keys(&self, used: usize) -> usize {
        used.next_multiple_of(Cache::STEP).min(self.capacity)
    }

    /// Stores the keys and values of new columns and returns all that attention looks at.
    pub fn extend(&mut self, layer: usize, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let width = key.dims()[2];
        let (used, keys) = (self.used, self.keys(self.used + width));
        let place = [0..key.dims()[0], 0..key.dims()[1], used..used + width, 0..key.dims()[3]];
        let (keys_before, values_before) = &mut self.layers[layer];
        // Taking the tensors out lets the backend write in place.
        keys_before.inplace(|tensor| tensor.slice_assign(place.clone(), key));
        values_before.inplace(|tensor| tensor.slice_assign(place, value));
        (keys_before.clone().narrow(2, 0, keys), values_before.clone().narrow(2, 0, keys))
    }
}
