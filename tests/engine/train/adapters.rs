//! Adapters learn, and nothing else does; computing blocks again changes no bit; documents are kept apart.

use crate::common::{Log, Setting, corpus, gpt2, llama, lora, mixture, valued};
use crate::golden::worst;
use crate::resume::StopAt;
use emberlab::model::{Named, read_weights};
use emberlab::plan::spec::{Adamw, Adapter, Decoder, Lora, LoraTarget, Optimizer};
use emberlab::train::{
    Adapting, Boundary, Corpus, Job, Keep, MemoryCorpus, Objective, Outcome, Schedule, Shape, Stop, Trained,
    Validation, train,
};
use std::path::{Path, PathBuf};

fn whole(job: &Job) -> (Log, Trained) {
    let mut log = Log::default();
    match train(job, &mut log, &Stop::new()).unwrap() {
        Outcome::Finished(trained) => (log, trained),
        Outcome::Stopped { step } => panic!("stopped at {step}"),
    }
}

/// Steps at a high rate.
fn quick(setting: &mut Setting) -> Job<'_> {
    setting.optimizer = Optimizer::Adamw(Adamw { lr: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 });
    let schedule = Schedule { shape: Shape::Cosine { floor: 0.1 }, warmup: 2, steps: 40 };
    Job { steps: 40, schedule, ..setting.job() }
}

/// Forty steps of a network, to start from.
fn base(model: Decoder, folder: &Path) -> PathBuf {
    whole(&quick(&mut Setting::new(model, folder))).1.weights
}

/// All four kinds.
fn kinds() -> [Lora; 4] {
    let with = |rank_stabilized, magnitude| Lora { rank_stabilized, magnitude, ..lora() };
    [with(false, false), with(true, false), with(false, true), with(true, true)]
}

fn find<'a>(weights: &'a [Named<'static>], name: &str) -> &'a Named<'static> {
    weights.iter().find(|w| w.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// Holds the weights of a stage against those it started from and the adapters beside it: `W + s·B·A`, its rows scaled to
/// their magnitudes where there are any. How many matrices are adapted.
fn check_merged(lora: &Lora, init: &Path, trained: &Trained) -> usize {
    let (before, after) = (read_weights(init).unwrap(), read_weights(&trained.weights).unwrap());
    let adapters = read_weights(trained.adapter.as_ref().unwrap()).unwrap();
    let root = if lora.rank_stabilized { (lora.rank as f64).sqrt() } else { lora.rank as f64 };
    let scale = lora.alpha / root;
    assert_eq!(before.len(), after.len());
    let mut adapted = 0;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.name, after.name);
        let module = format!("base_model.model.{}", before.name.trim_end_matches(".weight"));
        let Some(down) = adapters.iter().find(|a| a.name == format!("{module}.lora_A.weight")) else {
            let bits = |w: &Named| w.numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(before), bits(after), "{} has changed", before.name);
            continue;
        };
        let up = find(&adapters, &format!("{module}.lora_B.weight"));
        let (rank, rows, cols) = (lora.rank as usize, before.shape[0], before.shape[1]);
        assert_eq!((&down.shape, &up.shape), (&vec![rank, cols], &vec![rows, rank]));
        assert!(up.numbers.iter().any(|x| *x != 0.0), "{module} has learnt nothing");
        let mut expected = Vec::new();
        for row in 0..rows {
            let mut sum: Vec<f64> = (0..cols)
                .map(|col| {
                    let of = |r: usize| f64::from(up.numbers[row * rank + r]) * f64::from(down.numbers[r * cols + col]);
                    f64::from(before.numbers[row * cols + col]) + scale * (0..rank).map(of).sum::<f64>()
                })
                .collect();
            if lora.magnitude {
                let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
                let magnitude = find(&adapters, &format!("{module}.lora_magnitude_vector")).numbers[row];
                sum.iter_mut().for_each(|x| *x *= f64::from(magnitude) / length);
            }
            expected.extend(sum.iter().map(|x| *x as f32));
        }
        let difference = worst(&expected, &after.numbers);
        assert!(difference < 1e-6, "{} differs by {difference}", after.name);
        assert!(worst(&before.numbers, &after.numbers) > 1e-4, "{} has not changed", after.name);
        adapted += 1;
    }
    adapted
}

#[test]
fn adapters_learn_and_the_rest_of_the_network_keeps_every_bit() {
    for model in [llama(), gpt2(), valued(), mixture()] {
        let folder = tempfile::tempdir().unwrap();
        let init = base(model.clone(), &folder.path().join("base"));
        for (number, mut kind) in kinds().into_iter().enumerate() {
            if model.experts.is_some() {
                kind.on.truncate(4);
            }
            let mut setting = Setting::new(model.clone(), &folder.path().join(number.to_string()));
            let adapter = Adapter::Lora(kind.clone());
            let adapting = Some(Adapting { spec: &adapter, init: None });
            (setting.corpus, setting.valid) = (another(4_000, 1), another(500, 2));
            let (log, trained) = whole(&Job { init: Some(&init), adapter: adapting, ..quick(&mut setting) });
            let (first, last) = (log.losses()[0], log.valids[7].loss);
            assert!(last < first - 0.5, "{kind:?}: {first} to {last}");
            let matrices = if model.bias { 6 } else { kind.on.len() };
            assert_eq!(check_merged(&kind, &init, &trained), 2 * matrices);
        }
    }
}

#[test]
fn the_best_average_and_its_adapters_are_kept_together() {
    let folder = tempfile::tempdir().unwrap();
    let init = base(llama(), &folder.path().join("base"));
    let mut setting = Setting::new(llama(), &folder.path().join("adapted"));
    (setting.corpus, setting.valid) = (another(4_000, 1), another(500, 2));
    // Keys lie between queries and values in one matrix, and stay.
    let kind = Lora { on: vec![LoraTarget::Value, LoraTarget::Query, LoraTarget::Down], ..lora() };
    let adapter = Adapter::Lora(kind.clone());
    let adapting = Some(Adapting { spec: &adapter, init: None });
    let job = Job { init: Some(&init), adapter: adapting, ema: Some(0.5), keep: Keep::Best, ..quick(&mut setting) };
    let (log, trained) = whole(&job);
    assert_eq!(check_merged(&kind, &init, &trained), 6);
    // Adapters that are given, over the same network, compute what the network computes that has them worked in.
    let mut setting = Setting::new(llama(), &folder.path().join("again"));
    setting.corpus = another(4_000, 1);
    let given = Adapting { spec: &adapter, init: trained.adapter.as_deref() };
    let (again, _) = whole(&Job { init: Some(&init), adapter: Some(given), ..setting.job() });
    setting.folder = folder.path().join("merged");
    let (merged, _) = whole(&Job { init: Some(&trained.weights), ..setting.job() });
    let (again, merged) = (again.losses()[0], merged.losses()[0]);
    assert!((again - merged).abs() < 1e-5, "{again} and {merged}");
    assert!((log.losses()[0] - merged).abs() > 0.01, "{} and {merged}", log.losses()[0]);
}

/// Looks into the folder at every validation.
struct Looking<'a> {
    folder: &'a Path,
    seen: Vec<(bool, bool)>,
}

impl emberlab::train::Observer for Looking<'_> {
    fn valid(&mut self, report: &emberlab::train::ValidReport) {
        if report.best {
            let there = |name: &str| self.folder.join(name).exists();
            self.seen.push((there("best.safetensors"), there("best.adapter.safetensors")));
        }
    }
}

#[test]
fn the_network_is_put_together_once_however_often_adapters_were_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let init = base(llama(), &folder.path().join("base"));
    let mut setting = Setting::new(llama(), &folder.path().join("adapted"));
    (setting.corpus, setting.valid) = (another(4_000, 1), another(500, 2));
    let place = setting.folder.clone();
    let adapter = Adapter::Lora(lora());
    let adapting = Some(Adapting { spec: &adapter, init: None });
    let job = Job { init: Some(&init), adapter: adapting, keep: Keep::Best, ..quick(&mut setting) };
    let mut looking = Looking { folder: &place, seen: Vec::new() };
    let Outcome::Finished(trained) = train(&job, &mut looking, &Stop::new()).unwrap() else { panic!("stopped") };
    assert!(looking.seen.len() > 2 && looking.seen.iter().all(|there| *there == (false, true)), "{:?}", looking.seen);
    assert_eq!(check_merged(&lora(), &init, &trained), 14);
}

#[test]
fn adapters_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let init = base(llama(), &folder.path().join("base"));
    let setting = Setting::new(llama(), &folder.path().join("adapted"));
    let adapter = Adapter::Lora(lora());
    let given = Some(Adapting { spec: &adapter, init: Some(&init) });
    let job = Job { init: Some(&init), adapter: given, ..setting.job() };
    let error = train(&job, &mut Log::default(), &Stop::new()).unwrap_err().to_string();
    assert!(error.contains("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight` is missing"), "{error}");
}

#[test]
fn adapters_that_stopped_and_went_on_are_those_that_did_not_stop() {
    for (model, kind) in [(llama(), lora()), (gpt2(), Lora { magnitude: true, ..lora() })] {
        let folder = tempfile::tempdir().unwrap();
        let init = base(model.clone(), &folder.path().join("base"));
        let adapter = Adapter::Lora(kind);
        let adapting = Some(Adapting { spec: &adapter, init: None });
        let setting = Setting::new(model.clone(), &folder.path().join("whole"));
        let (expected, trained) = whole(&Job { init: Some(&init), adapter: adapting, micro_batch: 3, ..setting.job() });
        let setting = Setting::new(model, &folder.path().join("stopped"));
        let job = Job { init: Some(&init), adapter: adapting, micro_batch: 3, ..setting.job() };
        let mut log = Log::default();
        for step in [1, 7, 10, 19] {
            let stop = Stop::new();
            let mut observer = StopAt { step, stop: stop.clone(), log: &mut log };
            assert_eq!(train(&job, &mut observer, &stop).unwrap(), Outcome::Stopped { step });
        }
        let Outcome::Finished(resumed) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
        assert_eq!(log.losses(), expected.losses());
        assert_eq!(resumed.weights_hash, trained.weights_hash);
        let bytes = |trained: &Trained| std::fs::read(trained.adapter.as_ref().unwrap()).unwrap();
        assert_eq!(bytes(&resumed), bytes(&trained));
    }
}

#[test]
fn micro_batches_of_adapters_add_up_to_their_batch() {
    let samples: Vec<_> = (0..16u32).map(|a| (vec![20, a], (0..1 + a % 7).map(|i| (a + i) % 20).collect())).collect();
    let corpus = MemoryCorpus::samples(&samples);
    let folder = tempfile::tempdir().unwrap();
    let init = base(gpt2(), &folder.path().join("base"));
    let adapter = Adapter::Lora(Lora { magnitude: true, ..lora() });
    let adapting = Some(Adapting { spec: &adapter, init: None });
    let results: Vec<_> = [4, 3, 1]
        .into_iter()
        .map(|micro_batch| {
            let setting = Setting::new(gpt2(), &folder.path().join(micro_batch.to_string()));
            let objective = Objective::Sft;
            let job = Job { objective, corpus: &corpus, valid: None, micro_batch, ..setting.job() };
            let (log, trained) = whole(&Job { init: Some(&init), adapter: adapting, ..job });
            let weights = read_weights(&trained.weights).unwrap();
            (log, weights.iter().flat_map(|w| w.numbers.to_vec()).collect::<Vec<f32>>())
        })
        .collect();
    let (log, weights) = &results[0];
    for (other, others) in &results[1..] {
        for (a, b) in log.steps.iter().zip(&other.steps) {
            assert!((a.loss - b.loss).abs() < 2e-5 * a.loss.max(1.0), "{} and {}", a.loss, b.loss);
            assert!((a.grad_norm - b.grad_norm).abs() < 2e-4 * a.grad_norm.max(1.0));
        }
        // AdamW's first steps move by the sign of a gradient, which a rounding can turn where the gradient is near zero.
        assert!(worst(weights, others) < 2e-3, "{}", worst(weights, others));
    }
}

#[test]
fn blocks_that_are_computed_again_change_no_bit() {
    for model in [llama(), gpt2(), mixture(), valued()] {
        let folder = tempfile::tempdir().unwrap();
        let init = base(model.clone(), &folder.path().join("base"));
        let adapter = Adapter::Lora(Lora { magnitude: true, ..lora() });
        for adapting in [None, Some(Adapting { spec: &adapter, init: None })] {
            for objective in [Objective::NextToken, Objective::NextTokenApart(Boundary::End)] {
                let ends = |recompute| {
                    let at = tempfile::tempdir().unwrap();
                    let setting = Setting::new(model.clone(), at.path());
                    let job = Job { init: Some(&init), adapter: adapting, objective, micro_batch: 3, ..setting.job() };
                    let (log, trained) = whole(&Job { recompute, ..job });
                    (log.losses(), trained.weights_hash)
                };
                assert_eq!(ends(true), ends(false), "{objective:?}, adapted: {}", adapting.is_some());
            }
        }
    }
}

fn all(tokens: usize, seed: u64) -> Vec<u32> {
    let mut all = vec![0; tokens];
    corpus(tokens, seed).read(0, &mut all);
    all
}

/// The corpus with other rules.
fn another(tokens: usize, seed: u64) -> MemoryCorpus {
    MemoryCorpus::new(&[all(tokens, seed).iter().map(|token| (token + 1) % 24).collect()])
}

/// The corpus cut into documents of seven tokens.
fn cut(tokens: usize, seed: u64) -> MemoryCorpus {
    MemoryCorpus::new(&all(tokens, seed).chunks(7).map(<[u32]>::to_vec).collect::<Vec<_>>())
}

#[test]
fn documents_kept_apart_are_learnt_and_a_document_a_row_is_the_same_either_way() {
    for model in [llama(), gpt2()] {
        let folder = tempfile::tempdir().unwrap();
        let (corpus, valid) = (cut(4_000, 1), cut(500, 2));
        let run = |name: &str, objective, corpus: &MemoryCorpus, valid: &MemoryCorpus| {
            let setting = Setting::new(model.clone(), &folder.path().join(name));
            let valid = Some(Validation { corpus: valid, every: 5, tokens: None });
            whole(&Job { objective, corpus, valid, ..setting.job() })
        };
        let (log, apart) = run("apart", Objective::NextTokenApart(Boundary::End), &corpus, &valid);
        let (first, last) = (log.valids[0].loss, log.valids[3].loss);
        assert!(last < first - 0.1, "{first} to {last}");
        let (_, together) = run("together", Objective::NextToken, &corpus, &valid);
        assert_ne!(apart.weights_hash, together.weights_hash);
        assert_eq!(apart.order, together.order);
        // One document without an end within reach: masks and positions say the same in another way.
        let setting = Setting::new(model.clone(), folder.path());
        let (apart, _) = run("one apart", Objective::NextTokenApart(Boundary::End), &setting.corpus, &setting.valid);
        let (together, _) = run("one together", Objective::NextToken, &setting.corpus, &setting.valid);
        for (a, b) in apart.losses().iter().zip(together.losses()) {
            assert!((a - b).abs() < 2e-5, "{a} and {b}");
        }
    }
}
