//! Every optimiser, schedule and watch, from the text of an experiment to its result.

use crate::{RUN, exp, folder, json};
use std::path::Path;

const SETTINGS: &str = r#"
stage signs : next_token {
  model       = teller
  tokenizer   = pieces
  data        = stories.train
  budget      = 12 steps
  batch       = 8 documents
  optimizer   = lion(lr = 1e-3)
  schedule    = piecewise(point(0 steps, 10%), point(25%, 100%), point(12 steps, 0%))
  groups      = groups(embedding = group(rate = 2.0, decay = 0.0), vectors = group(decay = 0.5))
  growth      = growth(from = 2 documents, over = 4 steps)
  z_loss      = 1e-3
  ema         = 0.5
  on_spike    = spike(factor = 3.0, window = 4, action = roll_back)
  checkpoint  = 3 steps
  checkpoints = 1
}

stage orthogonal : next_token {
  init      = signs
  data      = stories.train
  budget    = 1k tokens
  batch     = 128 tokens
  sequence  = 16 tokens
  optimizer = muon(rest = adamw(lr = 1e-3))
  schedule  = wsd(warmup = 1 steps, decay = 50%, shape = sqrt, floor = 10%)
  on_spike  = spike()
}

stage relative : next_token {
  init      = orthogonal
  data      = stories.train
  budget    = 4 steps
  optimizer = adafactor(lr = 1e-3)
  schedule  = inverse_sqrt(warmup = 25%, timescale = 2 steps)
}
"#;

fn record(at: &Path) -> serde_json::Value {
    let run = std::fs::read_dir(at.join(".emberlab/runs")).unwrap().next().unwrap().unwrap().file_name();
    json(at, &["runs", "show", run.to_str().unwrap(), "--format", "json"])
}

#[test]
fn settings_of_training_reach_the_engine() {
    let place = folder(SETTINGS);
    let at = place.path();
    let ran = exp(at, &[RUN.as_slice(), &["--events", "json"]].concat());
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
    let events: Vec<serde_json::Value> = ran.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let steps = |stage: &str, field: &str| -> Vec<f64> {
        let of = events.iter().filter(|e| e["event"] == "step" && e["stage"] == stage);
        of.map(|e| e[field].as_f64().unwrap_or(f64::NAN)).collect()
    };
    // Lines through a tenth of the peak at the start, the peak at step 3 and nothing at step 12.
    let rates = steps("signs", "lr");
    let shares = [0.1, 0.4, 0.7, 1.0, 8.0 / 9.0, 7.0 / 9.0];
    assert!(rates.iter().zip(shares).all(|(rate, share)| (rate - 1e-3 * share).abs() < 1e-12), "{rates:?}");
    // Batches of 2, 3, 5, 6 and then 8 sequences of 32 tokens.
    assert_eq!(steps("signs", "tokens")[..5], [64.0, 160.0, 320.0, 512.0, 768.0]);
    assert!(steps("signs", "z_loss").iter().all(|z| *z > 0.0));
    // 1,000 tokens hold seven steps of eight sequences: one up, and from the fifth on down by a root.
    let rates = steps("orthogonal", "lr");
    let share = |step: f64| 0.1 + 0.9 * (1.0 - (step / 4.0).sqrt());
    let shares = [0.5, 1.0, 1.0, share(0.0), share(1.0), share(2.0), share(3.0)];
    assert_eq!(rates.len(), 7);
    assert!(rates.iter().zip(shares).all(|(rate, share)| (rate - 0.02 * share).abs() < 1e-12), "{rates:?}");
    let rates = steps("relative", "lr");
    let shares = [0.5, 1.0, (2.0f64 / 3.0).sqrt(), (2.0f64 / 4.0).sqrt()];
    assert!(rates.iter().zip(shares).all(|(rate, share)| (rate - 1e-3 * share).abs() < 1e-12), "{rates:?}");
    let stages = record(at);
    assert_eq!(stages["stages"].as_object().unwrap().len(), 3);
}
