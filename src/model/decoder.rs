//! The decoder: embedding, blocks, final norm.

use super::architecture::Architecture;
use super::attention::Masks;
use super::error::ModelError;
use super::head::capped;
use super::layout::Layout;
use super::params::Params;
use super::pass::Pass;
use super::position::{Angles, Rotary};
use crate::plan::spec::Position;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// A network with its weights on a device, without autodiff: what generation and likelihoods use.
#[derive(Clone, Debug)]
pub struct Decoder {
    pub architecture: Architecture,
    pub(crate) layout: Layout,
    pub(crate) params: Params,
    /// The angles of the positions that were asked for so far.
    rotary: Arc<Mutex<Option<Rotary>>>,
    pub(crate) device: Device,
}

impl Decoder {
    /// A network with the given weights.
    pub fn new(architecture: Architecture, params: Params, device: &Device) -> Decoder {
        let rotary = Arc::default();
        let layout = Layout::new(&architecture);
        Decoder { architecture, layout, params, rotary, device: device.clone() }
    }

    /// A network with fresh weights, a function of `seed`.
    pub fn fresh(architecture: Architecture, seed: u64, device: &Device) -> Decoder {
        let params = Params::fresh(&Layout::new(&architecture), seed, device);
        Decoder::new(architecture, params, device)
    }

    /// A network with the weights of a safetensors file.
    ///
    /// # Errors
    /// A file that cannot be read, or that does not hold exactly the weights of this network.
    pub fn load(architecture: Architecture, path: &Path, device: &Device) -> Result<Decoder, ModelError> {
        let host = super::weights::load(&Layout::new(&architecture), path)?;
        Ok(Decoder::new(architecture, Params::from_host(host, device), device))
    }

    /// Writes the weights as safetensors, names sorted.
    ///
    /// # Errors
    /// When the device fails or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        super::weights::save(&self.layout, &self.params.to_host()?, path)
    }

    /// The hash of the weights, see [`super::weights_hash`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn weights_hash(&self) -> Result<String, ModelError> {
        let host = self.params.to_host()?;
        Ok(super::weights_hash(&super::weights::named(&self.layout, &host)))
    }

    /// Where every weight lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Logits `[batch, time, vocab]` of sequences of one length.
    ///
    /// # Errors
    /// A token outside the vocabulary, or sequences that are empty, of different lengths, or longer than the context.
    pub fn logits(&self, sequences: &[Vec<u32>]) -> Result<Tensor<3>, ModelError> {
        let time = sequences.first().map_or(0, Vec::len);
        self.check_length(time)?;
        if let Some(other) = sequences.iter().find(|sequence| sequence.len() != time) {
            self.check_length(other.len())?;
            let requirement = format!("sequences of one batch must have one length, and the first has {time}");
            return Err(ModelError::Size { field: "sequence", value: other.len() as i64, requirement });
        }
        let leaves = self.params.leaves(&self.layout);
        let ids: Vec<u32> = sequences.concat();
        let hidden = self.hidden(&leaves, &ids, time)?;
        let logits = capped(hidden.matmul(self.head(&leaves).transpose()), self.architecture.logit_cap);
        Ok(logits.reshape([sequences.len(), time, self.architecture.vocab]))
    }

    /// The angles of at least the first `positions` positions, of a network that has rotary ones. They are made as they are
    /// needed: a context may be far longer than any text.
    pub(super) fn rotary(&self, positions: usize) -> Option<Rotary> {
        let mut made = self.rotary.lock().unwrap_or_else(PoisonError::into_inner);
        if made.as_ref().is_none_or(|made| made.positions() < positions) {
            let more = positions.next_power_of_two().max(64).min(self.architecture.context.max(positions));
            *made = Rotary::of(&self.architecture, more, &self.device);
        }
        made.clone()
    }

    fn check_length(&self, time: usize) -> Result<(), ModelError> {
        if time == 0 || time > self.architecture.context {
            let requirement =
                format!("a sequence must have 1 to {} tokens, the model's context", self.architecture.context);
            return Err(ModelError::Size { field: "sequence", value: time as i64, requirement });
        }
        Ok(())
    }

    /// Hidden states after the final norm, `[batch · time, width]`, of row-major `ids` in rows of `time`.
    pub(crate) fn hidden(&self, leaves: &[Tensor<2>], ids: &[u32], time: usize) -> Result<Tensor<2>, ModelError> {
        check_tokens(ids, self.architecture.vocab)?;
        let pass = Pass {
            architecture: &self.architecture,
            layout: &self.layout,
            leaves,
            dropout: None,
            adapter: None,
            recompute: false,
            probe: None,
            format: None,
            account: None,
        };
        let angles = self.rotary(time).map(|rotary| rotary.prefix(time));
        let masks = Rc::new(Masks::causal(&self.architecture, time, &self.device));
        let input = InputShape { time, angles, masks }.input(ids, &self.device);
        let x = pass.embed(&input);
        Ok(pass.blocks(x, &input, None, None))
    }

    /// The output matrix `[vocab, width]`.
    pub(crate) fn head(&self, leaves: &[Tensor<2>]) -> Tensor<2> {
        leaves[self.layout.roles.head.unwrap_or(self.layout.roles.embedding)].clone()
    }
}

/// Refuses tokens a network has no embedding for.
pub(crate) fn check_tokens(ids: &[u32], vocab: usize) -> Result<(), ModelError> {
    match ids.iter().position(|id| *id as usize >= vocab) {
        Some(position) => Err(ModelError::Token { token: ids[position], position, vocab }),
        None => Ok(()),
    }
}

/// What a forward pass reads.
pub(crate) struct Input {
    /// `[batch · time]`.
    pub ids: Tensor<1, Int>,
    pub batch: usize,
    pub time: usize,
    /// Position of each token when they differ from row to row, `[batch · time]`.
    pub positions: Option<Tensor<1, Int>>,
    pub angles: Option<Angles>,
    pub masks: Rc<Masks>,
    /// Where in its row the document of each place begins, `[batch · time]`; empty where rows are seen whole.
    pub starts: Vec<u32>,
    /// Whether the masks say no more than that a position sees itself and what came before, at the same positions in all
    /// rows, as far as a window reaches.
    pub causal: bool,
}

/// What batches of one sequence length share.
pub(crate) struct InputShape {
    time: usize,
    angles: Option<Angles>,
    masks: Rc<Masks>,
}

impl InputShape {
    /// For rows of `time` tokens whose positions count from zero.
    pub fn new(architecture: &Architecture, time: usize, device: &Device) -> InputShape {
        let angles = Rotary::of(architecture, time, device).map(|rotary| rotary.prefix(time));
        InputShape { time, angles, masks: Rc::new(Masks::causal(architecture, time, device)) }
    }

    /// The input of row-major `ids`.
    pub fn input(&self, ids: &[u32], device: &Device) -> Input {
        Input {
            ids: int_vector(ids, device),
            batch: ids.len() / self.time,
            time: self.time,
            positions: None,
            angles: self.angles.clone(),
            masks: self.masks.clone(),
            starts: Vec::new(),
            causal: true,
        }
    }

    /// The input of rows that hold several documents, each of which sees itself alone: `starts` says for every place where
    /// in its row the document begins. Learned positions count from there; the others are relative anyway.
    pub fn documents(&self, architecture: &Architecture, ids: &[u32], starts: Vec<u32>, device: &Device) -> Input {
        let time = self.time as u32;
        let positions = (architecture.position == Position::Learned).then(|| {
            let places = starts.iter().zip((0..time).cycle()).map(|(start, place)| place - start);
            int_vector(&places.collect::<Vec<_>>(), device)
        });
        let masks = Rc::new(Masks::documents(architecture, self.time, starts.clone(), device));
        Input { positions, masks, starts, ..self.input(ids, device) }
    }
}

pub(crate) fn int_vector(numbers: &[u32], device: &Device) -> Tensor<1, Int> {
    let numbers: Vec<i32> = numbers.iter().map(|n| *n as i32).collect();
    let len = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [len]), device)
}
