//! A small network, a small corpus, and an observer that remembers.

use emberlab::device::{Chosen, choose};
use emberlab::plan::spec::{
    Activation, Adamw, Decoder, Experts, Groups, Lora, LoraTarget, Norm, Optimizer, Position, Precision,
    ValueEmbeddings,
};
use emberlab::random::Stream;
use emberlab::train::{
    BatchFacts, Job, Keep, MemoryCorpus, Objective, Observer, Schedule, Shape, StepReport, ValidReport, Validation,
};
use std::path::{Path, PathBuf};

/// Llama-shaped, with grouped queries.
pub fn llama() -> Decoder {
    Decoder { layers: 2, heads: 4, kv_heads: 2, width: 32, head_dim: 8, hidden: 64, context: 16, ..Decoder::default() }
}

/// GPT-2-shaped, with biases and dropout.
pub fn gpt2() -> Decoder {
    Decoder {
        kv_heads: 4,
        norm: Norm::Layer,
        position: Position::Learned,
        activation: Activation::Gelu,
        bias: true,
        qkv_bias: true,
        dropout: 0.1,
        ..llama()
    }
}

/// Mixtral-shaped, with a balance loss that weighs.
pub fn mixture() -> Decoder {
    let experts = Experts {
        count: 4,
        active: 2,
        hidden: Some(24),
        renormalize: true,
        every: None,
        balance: 0.1,
        z_loss: Some(0.01),
    };
    Decoder { experts: Some(experts), ..llama() }
}

/// With a table of values in its last block.
pub fn valued() -> Decoder {
    Decoder { value_embeddings: Some(ValueEmbeddings { every: 2, channels: 12 }), ..llama() }
}

/// Adapters of every matrix.
pub fn lora() -> Lora {
    use LoraTarget::{Down, Gate, Key, Output, Query, Up, Value};
    let on = vec![Query, Key, Value, Output, Gate, Up, Down];
    Lora { rank: 3, alpha: 6.0, on, rank_stabilized: false, magnitude: false }
}

/// Text of a small machine: each token follows from the one before, with some noise.
pub fn corpus(tokens: usize, seed: u64) -> MemoryCorpus {
    let mut draws = Stream::new(seed, "test corpus").at(0);
    let mut last = 0u32;
    let document = (0..tokens).map(|_| {
        last = if draws.uniform() < 0.9 { (last * 5 + 3) % 24 } else { draws.below(24) as u32 };
        last
    });
    MemoryCorpus::new(&[document.collect()])
}

pub fn adamw() -> Optimizer {
    Optimizer::Adamw(Adamw { lr: 3e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 })
}

pub fn cpu() -> Chosen {
    choose(Some("cpu")).unwrap()
}

/// Everything a job borrows.
pub struct Setting {
    pub model: Decoder,
    pub corpus: MemoryCorpus,
    pub valid: MemoryCorpus,
    pub optimizer: Optimizer,
    pub groups: Groups,
    pub device: Chosen,
    pub folder: PathBuf,
}

impl Setting {
    pub fn new(model: Decoder, folder: &Path) -> Setting {
        Setting {
            model,
            corpus: corpus(4_000, 1),
            valid: corpus(500, 2),
            optimizer: adamw(),
            groups: Groups::default(),
            device: cpu(),
            folder: folder.to_owned(),
        }
    }

    /// 20 steps of 4 sequences of 16 tokens, validated every 5.
    pub fn job(&self) -> Job<'_> {
        Job {
            objective: Objective::NextToken,
            model: &self.model,
            vocab: 24,
            init: None,
            corpus: &self.corpus,
            valid: Some(Validation { corpus: &self.valid, every: 5, tokens: None }),
            batch: 4,
            micro_batch: 4,
            sequence: 16,
            steps: 20,
            adapter: None,
            recompute: false,
            precision: Precision::F32,
            optimizer: &self.optimizer,
            groups: &self.groups,
            schedule: Schedule { shape: Shape::Cosine { floor: 0.1 }, warmup: 2, steps: 20 },
            clip: Some(1.0),
            keep: Keep::Last,
            checkpoint: 0,
            checkpoints: 2,
            growth: None,
            z_loss: 0.0,
            ema: None,
            on_spike: None,
            seed: 11,
            pad: 0,
            folder: &self.folder,
            identity: "test",
            device: &self.device,
        }
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub struct Log {
    pub facts: BatchFacts,
    pub resumed: Vec<Option<u64>>,
    pub steps: Vec<StepReport>,
    pub valids: Vec<ValidReport>,
    pub notices: Vec<String>,
}

impl Log {
    pub fn losses(&self) -> Vec<f64> {
        self.steps.iter().map(|step| step.loss).collect()
    }
}

impl Observer for Log {
    fn start(&mut self, facts: &BatchFacts, resumed_at: Option<u64>) {
        self.facts = *facts;
        self.resumed.push(resumed_at);
    }

    fn step(&mut self, report: &StepReport) {
        self.steps.push(*report);
    }

    fn valid(&mut self, report: &ValidReport) {
        self.valids.push(*report);
    }

    fn notice(&mut self, text: &str) {
        self.notices.push(text.to_owned());
    }
}
