//! What the benchmarks of training train: networks, and random tokens to train them on.

use emberlab::device::Chosen;
use emberlab::plan::spec::{Activation, Adamw, Decoder, Experts, Groups, Norm, Optimizer, Position, Precision};
use emberlab::random::Stream;
use emberlab::train::{Job, Keep, MemoryCorpus, Objective, Schedule, Shape};
use std::path::PathBuf;

/// A network with how much it reads a step.
pub struct Trial {
    pub name: &'static str,
    pub model: Decoder,
    pub vocab: u64,
    /// Sequences of the model's context a step.
    pub batch: usize,
    corpus: MemoryCorpus,
    optimizer: Optimizer,
    groups: Groups,
    folder: PathBuf,
}

impl Trial {
    fn new(name: &'static str, model: Decoder, vocab: u64, batch: usize) -> Trial {
        let mut draws = Stream::new(1, "bench").at(0);
        let corpus = MemoryCorpus::new(&[(0..200_000).map(|_| draws.below(vocab) as u32).collect()]);
        let optimizer = Optimizer::Adamw(Adamw { lr: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 });
        let folder = std::env::temp_dir().join(format!("emberlab-bench-{}", std::process::id()));
        Trial { name, model, vocab, batch, corpus, optimizer, groups: Groups::default(), folder }
    }

    /// Steps at a constant rate in `precision`, nothing validated, a checkpoint only at the end.
    pub fn job<'a>(&'a self, steps: u64, precision: Precision, device: &'a Chosen) -> Job<'a> {
        Job {
            objective: Objective::NextToken,
            model: &self.model,
            vocab: self.vocab as usize,
            init: None,
            corpus: &self.corpus,
            valid: None,
            batch: self.batch,
            micro_batch: self.batch,
            sequence: self.model.context as usize,
            steps,
            adapter: None,
            recompute: false,
            precision,
            optimizer: &self.optimizer,
            groups: &self.groups,
            schedule: Schedule { shape: Shape::Constant, warmup: 0, steps },
            clip: Some(1.0),
            keep: Keep::Last,
            checkpoint: 0,
            checkpoints: 2,
            growth: None,
            z_loss: 0.0,
            ema: None,
            on_spike: None,
            seed: 1,
            pad: 0,
            folder: &self.folder,
            identity: "bench",
            device,
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The trials whose names begin with `only`.
pub fn trials(only: Option<&str>) -> impl Iterator<Item = Trial> {
    let all: [(&str, Decoder, u64, usize); 5] = [
        ("shakespeare-char: gpt2 4×128, T=64, B=12", gpt2(4, 128, 4, 64), 65, 12),
        ("quickstart: llama 4×128, T=128, B=16", llama(4, 128, 4, 128), 1024, 16),
        ("12M: llama 6×384, T=256, B=4", llama(6, 384, 6, 256), 4096, 4),
        ("50M: llama 9×640, T=512, B=2", llama(9, 640, 10, 512), 8192, 2),
        ("mixture: mixtral 4×256, 2 of 8 experts of 512, T=128, B=16", mixtral(), 4096, 16),
    ];
    let only = only.unwrap_or_default().to_owned();
    let chosen = all.into_iter().filter(move |(name, ..)| name.starts_with(&only));
    chosen.map(|(name, model, vocab, batch)| Trial::new(name, model, vocab, batch))
}

fn llama(layers: i64, width: i64, heads: i64, context: i64) -> Decoder {
    Decoder {
        layers,
        heads,
        kv_heads: heads,
        width,
        head_dim: width / heads,
        hidden: (width * 8 / 3 + 31) / 32 * 32,
        context,
        ..Decoder::default()
    }
}

fn gpt2(layers: i64, width: i64, heads: i64, context: i64) -> Decoder {
    let (norm, position, activation) = (Norm::Layer, Position::Learned, Activation::Gelu);
    Decoder { hidden: 4 * width, norm, position, activation, ..llama(layers, width, heads, context) }
}

fn mixtral() -> Decoder {
    let (hidden, every, z_loss) = (None, None, None);
    let experts = Experts { count: 8, active: 2, hidden, renormalize: true, every, balance: 0.02, z_loss };
    Decoder { hidden: 512, tied: false, experts: Some(experts), ..llama(4, 256, 8, 128) }
}
