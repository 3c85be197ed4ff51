//! Networks in the layout of `transformers`, read back. What `transformers` computes of the same folders is checked by hand:
//! see `tests/golden/check_export.py`.

use crate::common::cpu;
use crate::golden::Case;
use emberlab::model::hugging::{Family, Specials};
use emberlab::model::{
    Architecture, Decoder, Named, Shards, hugging as written, import, read_weights, write_weights, write_weights_with,
};
use emberlab::plan::{hugging, spec};
use emberlab::random::Stream;
use emberlab::source::disk::DiskWorld;
use emberlab::train::gradients;
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Every family, and what they differ in within one.
const NETWORKS: [&str; 13] = [
    "gpt2",
    "llama",
    "llama-tied",
    "llama3",
    "llama-biased",
    "mistral",
    "qwen2",
    "qwen3",
    "olmo2",
    "smollm3",
    "mixtral",
    "qwen3-moe",
    "olmoe",
];

const VOCAB: usize = 304;

/// The network of a golden file, with as many embeddings as the tokenizer beside it has tokens.
fn model(case: &Case) -> spec::Decoder {
    let mut model = spec::Decoder { vocab: Some(VOCAB as i64), ..case.golden.model.clone() };
    if let Some(experts) = &mut model.experts {
        // `transformers` has none.
        experts.z_loss = None;
    }
    model
}

/// Numbers of our own, of which every weight has another, biases and gains too.
fn random(case: &Case) -> Vec<Named<'static>> {
    let stream = Stream::new(41, "exported weights");
    let draw = |(number, weight): (usize, &Named)| {
        let mut shape = weight.shape.clone();
        if shape[0] == 48 && matches!(&*weight.name, "model.embed_tokens.weight" | "lm_head.weight") {
            shape[0] = VOCAB;
        }
        let gain = if weight.name.contains("norm") && weight.name.ends_with("weight") { 1.0 } else { 0.0 };
        let mut draws = stream.at(number as u64);
        let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| (gain + 0.15 * draws.normal()) as f32).collect();
        Named { name: weight.name.to_string().into(), shape, numbers: numbers.into() }
    };
    case.weights("before").iter().enumerate().map(draw).collect()
}

/// Writes a folder that `transformers` loads.
fn export(folder: &Path, architecture: &Architecture, family: Family, ours: Vec<Named>) {
    std::fs::create_dir_all(folder).unwrap();
    let config = written::config(family, architecture, Specials { end: 2, pad: 3 });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let theirs = written::weights(family, architecture, ours);
    write_weights_with(&theirs, Some(about), &folder.join("model.safetensors")).unwrap();
    let tokens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data-golden/import/llama-shards");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(tokens.join(name), folder.join(name)).unwrap();
    }
}

/// Exports a network of random weights, its gradients and what ten steps make of it, each as a folder of its own, and beside
/// them the numbers that belong to them; and reads the first back.
fn check(name: &str, to: &Path) {
    let (case, device, at) = (Case::read(name), cpu(), to.join(name));
    let model = model(&case);
    let architecture = Architecture::new(&model, None).unwrap();
    let family = written::family(&architecture).unwrap();
    let start = tempfile::tempdir().unwrap();
    let file = start.path().join("start.safetensors");
    write_weights(&random(&case), &file).unwrap();
    let before = read_weights(&file).unwrap();
    let stream = Stream::new(42, "exported tokens");
    let tokens: Vec<Vec<u32>> = (0..4)
        .map(|row| {
            let mut draws = stream.at(row);
            (0..13).map(|_| draws.below(VOCAB as u64) as u32).collect()
        })
        .collect();
    let inputs: Vec<Vec<u32>> = tokens.iter().map(|row| row[..12].to_vec()).collect();
    let decoder = Decoder::load(Architecture::new(&model, None).unwrap(), &file, &device.device).unwrap();
    let logits = decoder.logits(&inputs).unwrap().try_into_vec_as::<f32>().unwrap();
    let (loss, slopes) = gradients(&decoder, &tokens).unwrap();
    let (log, trained) = case.golden.steps.take(&model, VOCAB, &file, &tokens, start.path(), &device);
    assert!((log.steps[0].loss - loss).abs() < 1e-5, "{name}: {loss} and {}", log.steps[0].loss);

    export(&at.join("before"), &architecture, family, before.clone());
    export(&at.join("gradient"), &architecture, family, slopes);
    export(&at.join("after"), &architecture, family, read_weights(&trained.weights).unwrap());
    let of_logits = Named { name: "logits".into(), shape: vec![4, 12, VOCAB], numbers: logits.as_slice().into() };
    write_weights(&[of_logits], &at.join("logits.safetensors")).unwrap();
    let all = |of: fn(&emberlab::train::StepReport) -> f64| log.steps.iter().map(of).collect::<Vec<f64>>();
    let facts = json!({
        "tokens": tokens,
        "losses": all(|step| step.loss),
        "balances": all(|step| step.balance_loss),
        "grad_norms": all(|step| step.grad_norm),
        "rates": all(|step| step.lr),
        "steps": case.golden.steps.settings(),
    });
    std::fs::write(at.join("facts.json"), facts.to_string()).unwrap();

    // Read back, it is the network that was written, bit for bit.
    let folder = hugging::read(&DiskWorld::new(&at), "before").unwrap();
    let again = start.path().join("again.safetensors");
    import(&folder, &Shards::open(&folder, &at).unwrap(), &again).unwrap();
    let bits = |weights: &[Named]| {
        let mut all: Vec<_> = weights
            .iter()
            .map(|w| (w.name.to_string(), w.shape.clone(), w.numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>()))
            .collect();
        all.sort();
        all
    };
    assert!(bits(&before) == bits(&read_weights(&again).unwrap()), "{name}: other weights");
    let (same, lost) = Decoder::published(&folder, &at, &device.device).unwrap();
    assert_eq!(lost.told(), None, "{name}");
    assert_eq!(same.logits(&inputs).unwrap().try_into_vec_as::<f32>().unwrap(), logits, "{name}");
}

/// With `EMBERLAB_EXPORTED=DIR` the folders stay there, for `tests/golden/check_export.py`.
#[test]
fn what_is_exported_is_read_back_as_the_same_network() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("EMBERLAB_EXPORTED").map(PathBuf::from);
    let to = kept.as_deref().unwrap_or(temporary.path());
    NETWORKS.iter().for_each(|name| check(name, to));
}
