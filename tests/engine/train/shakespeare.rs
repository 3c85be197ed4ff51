//! The character-level Shakespeare of nanoGPT's CPU recipe (4 layers of width 128, 4 heads, context 64, batch 12, 2,000
//! steps); its published validation loss is 1.88, estimated from 20 batches. Here it is taken over all of the held-out text.

use crate::common::{Log, cpu, gpt2, llama};
use emberlab::plan::spec::{Adamw, Decoder, Optimizer, Precision};
use emberlab::train::{Job, Keep, MemoryCorpus, Objective, Outcome, Schedule, Shape, Stop, Validation, train};
use std::collections::BTreeSet;
use std::path::PathBuf;

#[test]
fn the_gpt2_shape_reaches_what_pytorch_does() {
    let gpt2 = Decoder { bias: false, dropout: 0.0, hidden: 512, ..gpt2() };
    // Measured: 1.895 here, 1.899 by PyTorch with the same recipe and the same held-out text.
    reach(&gpt2, 1.91);
}

#[test]
fn the_llama_shape_reaches_the_published_loss() {
    // Measured: 1.67.
    reach(&Decoder { hidden: 352, kv_heads: 4, ..llama() }, 1.88);
}

fn reach(model: &Decoder, bound: f64) {
    if std::env::var_os("EMBERLAB_TEST_LONG").is_none() {
        println!("skipped: it trains for minutes; set EMBERLAB_TEST_LONG to run it");
        return;
    }
    let data = std::env::var_os("EMBERLAB_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(data.join("pretrain/tinyshakespeare.txt")) else {
        println!("skipped: no tinyshakespeare.txt in {}", data.display());
        return;
    };
    let alphabet: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
    let tokens: Vec<u32> = text.chars().map(|c| alphabet.binary_search(&c).unwrap() as u32).collect();
    let (learn, valid) = tokens.split_at(tokens.len() * 9 / 10);
    let (learn, valid) = (MemoryCorpus::new(&[learn.to_vec()]), MemoryCorpus::new(&[valid.to_vec()]));
    let model = Decoder { layers: 4, heads: 4, kv_heads: 4, width: 128, head_dim: 32, context: 64, ..model.clone() };
    let optimizer = Optimizer::Adamw(Adamw { lr: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.1 });
    let folder = tempfile::tempdir().unwrap();
    let device = cpu();
    let job = Job {
        objective: Objective::NextToken,
        model: &model,
        vocab: alphabet.len(),
        init: None,
        corpus: &learn,
        valid: Some(Validation { corpus: &valid, every: 500, tokens: None }),
        batch: 12,
        micro_batch: 12,
        sequence: 64,
        steps: 2000,
        adapter: None,
        recompute: false,
        precision: Precision::F32,
        optimizer: &optimizer,
        groups: &Default::default(),
        schedule: Schedule { shape: Shape::Cosine { floor: 0.1 }, warmup: 100, steps: 2000 },
        clip: Some(1.0),
        keep: Keep::Last,
        checkpoint: 0,
        checkpoints: 2,
        growth: None,
        z_loss: 0.0,
        ema: None,
        on_spike: None,
        seed: 1337,
        pad: 0,
        folder: folder.path(),
        identity: "shakespeare",
        device: &device,
    };
    let mut log = Log::default();
    let Outcome::Finished(trained) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
    for valid in &log.valids {
        println!("step {}: validation loss {:.4} over {} characters", valid.step, valid.loss, valid.supervised_tokens);
    }
    println!("{:.0} tokens/s over {:.0} s", trained.tokens as f64 / trained.seconds, trained.seconds);
    assert!(trained.valid_loss.unwrap() <= bound, "{:?}", trained.valid_loss);
}
