//! The character-level Shakespeare of nanoGPT's CPU recipe (4 layers of width 128, 4 heads, context 64, batch 12, 2,000
//! steps); its published validation loss is 1.88, estimated from 20 batches. Here it is taken over all of the held-out text.

use crate::common::{Log, cpu, gpt2, llama};
use emberlab::plan::spec::{Adamw, Decoder, Optimizer, Precision, Soap};
use emberlab::train::{Job, Keep, MemoryCorpus, Objective, Outcome, Schedule, Shape, Stop, Trained, Validation, train};
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

/// Both at the best of several rates, over 300 steps of the same recipe.
#[test]
fn soap_reaches_a_lower_loss_than_adamw_in_as_many_steps() {
    let model = Decoder { hidden: 352, kv_heads: 4, ..llama() };
    let best = |name: &str, rates: &[f64], optimizer: &dyn Fn(f64) -> Optimizer| -> Option<f64> {
        let mut losses = Vec::new();
        for lr in rates {
            let (_, trained) = trained(&model, &optimizer(*lr), 300)?;
            let loss = trained.valid_loss.unwrap();
            println!("{name} at {lr}: {loss:.4} after 300 steps, {:.0} s", trained.seconds);
            losses.push(loss);
        }
        // A rate that is best at an end of the list might be better beyond it.
        let best = (0..losses.len()).min_by(|i, j| losses[*i].total_cmp(&losses[*j])).unwrap();
        assert!(best > 0 && best < losses.len() - 1, "{name}: {losses:?}");
        Some(losses[best])
    };
    let adamw = |lr| Optimizer::Adamw(Adamw { lr, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.1 });
    let soap = |lr| {
        Optimizer::Soap(Soap {
            lr,
            beta1: 0.95,
            beta2: 0.95,
            shampoo_beta: None,
            epsilon: 1e-8,
            weight_decay: 0.01,
            precondition_frequency: 10,
            max_precond_dim: 10_000,
        })
    };
    let Some(adamw) = best("AdamW", &[2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2], &adamw) else { return };
    let Some(soap) = best("SOAP", &[1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2], &soap) else { return };
    assert!(soap < adamw - 0.02, "{soap} and {adamw}");
}

fn reach(model: &Decoder, bound: f64) {
    let optimizer = Optimizer::Adamw(Adamw { lr: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: 0.1 });
    let Some((log, trained)) = trained(model, &optimizer, 2000) else { return };
    for valid in &log.valids {
        println!("step {}: validation loss {:.4} over {} characters", valid.step, valid.loss, valid.supervised_tokens);
    }
    println!("{:.0} tokens/s over {:.0} s", trained.tokens as f64 / trained.seconds, trained.seconds);
    assert!(trained.valid_loss.unwrap() <= bound, "{:?}", trained.valid_loss);
}

/// Trains with the recipe over so many steps; nothing where that takes too long or the text is not there.
fn trained(model: &Decoder, optimizer: &Optimizer, steps: u64) -> Option<(Log, Trained)> {
    if std::env::var_os("EMBERLAB_TEST_LONG").is_none() {
        println!("skipped: it trains for minutes; set EMBERLAB_TEST_LONG to run it");
        return None;
    }
    let data = std::env::var_os("EMBERLAB_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(data.join("pretrain/tinyshakespeare.txt")) else {
        println!("skipped: no tinyshakespeare.txt in {}", data.display());
        return None;
    };
    let alphabet: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
    let tokens: Vec<u32> = text.chars().map(|c| alphabet.binary_search(&c).unwrap() as u32).collect();
    let (learn, valid) = tokens.split_at(tokens.len() * 9 / 10);
    let (learn, valid) = (MemoryCorpus::new(&[learn.to_vec()]), MemoryCorpus::new(&[valid.to_vec()]));
    let model = Decoder { layers: 4, heads: 4, kv_heads: 4, width: 128, head_dim: 32, context: 64, ..model.clone() };
    let folder = tempfile::tempdir().unwrap();
    let device = cpu();
    let job = Job {
        objective: Objective::NextToken,
        model: &model,
        vocab: alphabet.len(),
        init: None,
        corpus: &learn,
        valid: Some(Validation { corpus: &valid, every: 500.min(steps), tokens: None }),
        batch: 12,
        micro_batch: 12,
        sequence: 64,
        steps,
        adapter: None,
        recompute: false,
        precision: Precision::F32,
        optimizer,
        groups: &Default::default(),
        schedule: Schedule { shape: Shape::Cosine { floor: 0.1 }, warmup: steps / 20, steps },
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
    Some((log, trained))
}
