//! Published folders, imported and trained, against transformers; see `tests/golden/make_imported_golden.py`.

use crate::common::cpu;
use crate::golden::{Steps, is_idle, worst};
use emberlab::model::{Architecture, Decoder, Named, Shards, import, read_weights};
use emberlab::plan::{hugging, spec};
use emberlab::source::disk::DiskWorld;
use emberlab::train::gradients;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(serde::Deserialize)]
struct Golden {
    tokens: Vec<Vec<u32>>,
    /// Of matrices with a row for each token, one row in so many is held.
    every: usize,
    #[serde(flatten)]
    steps: Steps,
    /// Sum and Euclidean norm of all numbers of a gradient or a weight.
    sums: BTreeMap<String, (f64, f64)>,
}

/// Gradients or weights of a network and those of transformers: number by number where the file has them, and all of them by
/// sum and norm. How far two numbers are apart at most.
fn compare(name: &str, when: &str, ours: &[Named], golden: &Golden, tensors: &[Named]) -> f32 {
    let expected = tensors.iter().filter(|theirs| theirs.name.starts_with(&format!("{when}/"))).count();
    assert_eq!(ours.len(), expected, "{name}: {when}");
    let mut furthest = 0.0f32;
    for ours in ours {
        let key = format!("{when}/{}", ours.name);
        let theirs = tensors.iter().find(|theirs| theirs.name == key).unwrap_or_else(|| panic!("{name}: no {key}"));
        if when == "after" && is_idle(&ours.name) {
            continue;
        }
        let held: Vec<f32> = if ours.shape == theirs.shape {
            ours.numbers.to_vec()
        } else {
            assert_eq!(theirs.shape, [ours.shape[0].div_ceil(golden.every), ours.shape[1]], "{name}: {key}");
            ours.numbers.chunks_exact(ours.shape[1]).step_by(golden.every).flatten().copied().collect()
        };
        let difference = worst(&held, &theirs.numbers);
        assert!(difference <= 2e-5, "{name}: {key} differs by {difference}");
        furthest = furthest.max(difference);
        let all = || ours.numbers.iter().map(|x| f64::from(*x));
        let ((sum, norm), count) = (golden.sums[&key], ours.numbers.len() as f64);
        let (our_sum, our_norm) = (all().sum::<f64>(), all().map(|x| x * x).sum::<f64>().sqrt());
        // A difference of the same sign and size everywhere would show here first.
        assert!((our_sum - sum).abs() <= 2e-6 * count, "{name}: the sum of {key} is {our_sum} and should be {sum}");
        assert!((our_norm - norm).abs() <= 1e-4 * norm + 1e-6, "{name}: the norm of {key}: {our_norm} and {norm}");
    }
    furthest
}

/// A copy of the folder, of which `config.json` sets `output_router_logits`.
fn balanced(folder: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let config = to.join("config.json");
    let mut fields: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    fields["output_router_logits"] = true.into();
    std::fs::write(&config, fields.to_string()).unwrap();
}

/// A folder of `tests/data-golden/import`, imported and trained: logits, loss, gradients weight by weight, ten losses, gradient
/// norms and rates, and the weights after ten steps. `numbers` is the file that holds them.
fn check(name: &str, numbers: &str, balance: bool) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data-golden");
    let (base, data) = (root.join("import"), root.join("imported"));
    let text = std::fs::read_to_string(data.join(format!("{numbers}.json"))).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    let tensors = read_weights(&data.join(format!("{numbers}.safetensors"))).unwrap();

    let place = tempfile::tempdir().unwrap();
    if balance {
        balanced(&base.join(name), &place.path().join(name));
    }
    let base = if balance { place.path().to_owned() } else { base };
    let folder = hugging::read(&DiskWorld::new(&base), name).unwrap();
    let start = place.path().join("start.safetensors");
    let imported = import(&folder, &Shards::open(&folder, &base).unwrap(), &start).unwrap();
    assert_eq!(imported.not_finite.told(), None);
    let model = spec::Decoder { dropout: 0.0, ..folder.decoder };
    let (device, vocab) = (cpu(), 304);
    let decoder = Decoder::load(Architecture::new(&model, None).unwrap(), &start, &device.device).unwrap();
    let first = golden.tokens[0][..golden.tokens[0].len() - 1].to_vec();
    let logits = decoder.logits(&[first]).unwrap().try_into_vec_as::<f32>().unwrap();
    let theirs = tensors.iter().find(|theirs| theirs.name == "logits").unwrap();
    let of_logits = worst(&logits, &theirs.numbers);
    assert!(of_logits <= 1e-4, "{name}: logits differ by {of_logits}");

    let (loss, ours) = gradients(&decoder, &golden.tokens).unwrap();
    assert!((loss - golden.steps.losses[0]).abs() < 2e-5, "{name}: loss {loss} and {}", golden.steps.losses[0]);
    let of_gradients = compare(name, "gradient", &ours, &golden, &tensors);
    // What a folder holds in 16 bits is learnt in 32.
    let (log, trained) = golden.steps.take(&model, vocab, &start, &golden.tokens, place.path(), &device);
    golden.steps.check(name, &model, &log);
    let of_weights = compare(name, "after", &read_weights(&trained.weights).unwrap(), &golden, &tensors);
    let last = log.steps.last().unwrap().loss - golden.steps.losses.last().unwrap();
    println!(
        "{name}: logits within {of_logits:.1e}, gradients {of_gradients:.1e}, the tenth loss {:.1e}, weights after ten steps \
         {of_weights:.1e}",
        last.abs()
    );
}

#[test]
fn an_imported_gpt2_trains_as_in_transformers() {
    // In f32, and in f16 under the names of early checkpoints.
    ["gpt2", "gpt2-old"].iter().for_each(|name| check(name, name, false));
}

#[test]
fn an_imported_llama_trains_as_in_transformers() {
    // In three files; tied and in bf16; with rescaled angles.
    ["llama-shards", "llama-chat", "llama-rescaled"].iter().for_each(|name| check(name, name, false));
}

#[test]
fn imported_networks_of_other_families_train_as_in_transformers() {
    ["mistral", "qwen2", "qwen3-yarn", "olmo2", "smollm3"].iter().for_each(|name| check(name, name, false));
}

/// With a balance where `config.json` asks for it, and without where it does not.
#[test]
fn imported_mixtures_train_as_in_transformers() {
    ["mixtral", "mixtral-together"].iter().for_each(|name| check(name, "mixtral", false));
    ["qwen3_moe", "olmoe"].iter().for_each(|name| check(name, name, true));
}
