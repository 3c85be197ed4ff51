//! Matrix products of 16 bits: against f32, against the other device, and the scale of the loss.
//!
//! On a GPU as on the CPU what goes into a product is rounded, and the product is summed in f32 and rounded once; so the same
//! training on both agrees about as well as it does in f32.

use crate::common::{Log, Setting, cpu, gpt2, llama};
use crate::devices::software;
use crate::golden::Case;
use emberlab::device::{Chosen, Format};
use emberlab::model::{Architecture, Decoder, read_weights, write_weights};
use emberlab::plan::spec::{self, OnSpike, Precision, Spike};
use emberlab::random::Stream;
use emberlab::train::{
    Job, MemoryCorpus, Observer, Outcome, StepReport, Stop, TrainError, Trained, mixed_gradients, train,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MIXED: [Precision; 2] = [Precision::MixedF16, Precision::MixedBf16];

fn run(job: &Job) -> (Log, Trained) {
    let mut log = Log::default();
    let Outcome::Finished(trained) = train(job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
    (log, trained)
}

fn trained(model: &spec::Decoder, device: Chosen, precision: Precision) -> (Log, Trained) {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting { device, ..Setting::new(model.clone(), folder.path()) };
    run(&Job { steps: 50, micro_batch: 2, precision, ..setting.job() })
}

/// How far two series are apart at most, relative to the first.
fn apart(a: &Log, b: &Log) -> (f64, f64) {
    assert_eq!(a.steps.len(), b.steps.len());
    let both = || a.steps.iter().zip(&b.steps).filter(|(a, b)| !a.skipped && !b.skipped);
    let loss = both().map(|(a, b)| (a.loss - b.loss).abs() / a.loss).fold(0.0, f64::max);
    let norm = both().map(|(a, b)| (a.grad_norm - b.grad_norm).abs() / a.grad_norm).fold(0.0, f64::max);
    (loss, norm)
}

#[test]
fn fifty_steps_in_16_bits_are_near_those_in_f32() {
    for (name, model) in [("llama", llama()), ("gpt2", gpt2())] {
        let (plain, whole) = trained(&model, cpu(), Precision::F32);
        for (precision, loss, norm) in [(Precision::MixedF16, 2e-4, 2e-3), (Precision::MixedBf16, 2e-3, 1e-2)] {
            let (mixed, result) = trained(&model, cpu(), precision);
            let worst = apart(&plain, &mixed);
            println!("cpu, {name}, {}: losses within {:.1e}, norms within {:.1e}", precision.name(), worst.0, worst.1);
            assert!(worst.0 > 1e-6, "{name}: products are rounded");
            assert!(worst.0 < loss && worst.1 < norm, "{name}: {precision:?}: {worst:?}");
            assert_ne!(result.weights_hash, whole.weights_hash);
            assert_eq!(result.loss_scale, (precision == Precision::MixedF16).then_some(65_536.0));
            let (_, again) = trained(&model, cpu(), precision);
            assert_eq!(again.weights_hash, result.weights_hash, "run to run");
        }
    }
}

#[test]
fn a_gpu_in_f16_agrees_with_the_cpu_in_f16_and_with_itself() {
    let Some(device) = software() else { return };
    for (name, model) in [("llama", llama()), ("gpt2", gpt2())] {
        let (ours, _) = trained(&model, cpu(), Precision::MixedF16);
        let (plain, _) = trained(&model, device.clone(), Precision::F32);
        let (theirs, result) = trained(&model, device.clone(), Precision::MixedF16);
        let (against_cpu, against_f32) = (apart(&ours, &theirs), apart(&plain, &theirs));
        println!(
            "{name}: f16 on lavapipe is within {:.1e} of f16 on the CPU and {:.1e} of f32 on lavapipe",
            against_cpu.0, against_f32.0
        );
        assert!(against_cpu.0 < 2e-4 && against_f32.0 < 2e-4, "{name}: {against_cpu:?} {against_f32:?}");
        assert_eq!((result.overflows, result.loss_scale), (0, Some(65_536.0)));
        assert_eq!(result.start.unwrap().repeats, Some(true), "{name}: the first gradient, computed twice");
    }
}

/// Weights of the penalty as large as this make gradients that pass f16 at a scale of 65 536 and not at a smaller one.
fn overflowing<'a>(setting: &'a Setting, spike: Option<&'a Spike>) -> Job<'a> {
    Job { z_loss: 1_000.0, precision: Precision::MixedF16, checkpoint: 5, on_spike: spike, ..setting.job() }
}

#[test]
fn the_scale_backs_off_until_gradients_fit() {
    let devices = [Some(cpu()), software()];
    for device in devices.into_iter().flatten() {
        let folder = tempfile::tempdir().unwrap();
        let setting = Setting { device, ..Setting::new(llama(), folder.path()) };
        let (log, trained) = run(&overflowing(&setting, None));
        let scales: Vec<f64> = log.steps.iter().map(|step| step.loss_scale.unwrap()).collect();
        let skipped = log.steps.iter().take_while(|step| step.skipped).count();
        println!("{}: {skipped} of {} left out, scales {scales:?}", setting.device.name, log.steps.len());
        assert!((1..15).contains(&skipped), "{skipped}");
        assert_eq!(trained.overflows as usize, log.steps.iter().filter(|step| step.skipped).count());
        for pair in log.steps.windows(2) {
            let factor = if pair[0].skipped { 0.5 } else { 1.0 };
            assert_eq!(pair[1].loss_scale.unwrap(), pair[0].loss_scale.unwrap() * factor, "step {}", pair[1].step);
        }
        // What is left out changes nothing: the loss is finite and training goes on.
        assert!(log.steps.iter().all(|step| step.loss.is_finite()));
        assert!(log.steps.last().unwrap().grad_norm.is_finite());
        assert!(log.notices.is_empty(), "{:?}", log.notices);
        let last = log.steps.last().unwrap();
        let next = last.loss_scale.unwrap() * if last.skipped { 0.5 } else { 1.0 };
        assert_eq!(trained.loss_scale, Some(next));
    }
}

/// Stops after a step.
struct StopAt<'a>(u64, Stop, &'a mut Log);

impl Observer for StopAt<'_> {
    fn step(&mut self, report: &StepReport) {
        self.2.step(report);
        if report.step >= self.0 {
            self.1.request();
        }
    }
}

fn in_parts(job: &Job, stops: &[u64]) -> Trained {
    for step in stops {
        let stop = Stop::new();
        let outcome = train(job, &mut StopAt(*step, stop.clone(), &mut Log::default()), &stop).unwrap();
        assert!(matches!(outcome, Outcome::Stopped { .. }), "{outcome:?}");
    }
    run(job).1
}

#[test]
fn stopping_changes_no_bit_and_no_scale() {
    let spike = Spike { factor: 50.0, window: 4, action: OnSpike::Skip };
    for device in [Some(cpu()), software()].into_iter().flatten() {
        for spike in [None, Some(&spike)] {
            let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
            let setting = |folder: &Path| Setting { device: device.clone(), ..Setting::new(gpt2(), folder) };
            let (whole, parts) = (setting(one.path()), setting(two.path()));
            let whole = run(&overflowing(&whole, spike)).1;
            let parts = in_parts(&overflowing(&parts, spike), &[1, 2, 9]);
            let facts =
                |t: &Trained| (t.weights_hash.clone(), t.overflows, t.skipped, t.loss_scale, t.loss, t.valid_loss);
            assert_eq!(facts(&whole), facts(&parts), "{}", device.name);
            assert!(whole.overflows > 0);
            assert_eq!(whole.skipped, 0, "an overflow is no leap");
        }
    }
}

/// A text in which three stretches of a sequence's length hold a token that stands nowhere else; with four a step and the seed of
/// [`Setting`], they are seen in steps 5, 9 and 13.
pub fn with_places_apart() -> MemoryCorpus {
    let mut draws = Stream::new(9, "places apart").at(0);
    let tokens = (0..16 * 80).map(|i| if [5, 40, 52].contains(&(i / 16)) { 23 } else { draws.below(20) as u32 });
    MemoryCorpus::new(&[tokens.chain([0]).collect()])
}

/// Weights in which one direction is that token's alone: nothing else of the network writes to it. A row of the output is so long
/// there that gradients pass f16 until the scale has been halved three times; it is of a token that never comes, and that another
/// direction makes unlikely after all others.
fn far_out(model: &spec::Decoder, path: &Path) {
    let place = tempfile::tempdir().unwrap();
    let setting = Setting { corpus: with_places_apart(), ..Setting::new(model.clone(), place.path()) };
    let (_, trained) = run(&Job { steps: 1, valid: None, ..setting.job() });
    let mut weights = read_weights(&trained.weights).unwrap();
    for weight in &mut weights {
        let width = weight.shape.last().copied().unwrap();
        let rows = weight.numbers.to_mut().chunks_exact_mut(width).enumerate();
        match &*weight.name {
            "model.embed_tokens.weight" => rows.for_each(|(row, x)| {
                x.iter_mut().for_each(|x| *x *= 50.0);
                (x[0], x[1]) = if row == 23 { (50.0, 0.0) } else { (0.0, 1.0) };
            }),
            "lm_head.weight" => rows.for_each(|(row, x)| {
                x[0] = 0.0;
                if row == 22 {
                    x.fill(0.0);
                    (x[0], x[1]) = (300.0, -10.0);
                }
            }),
            name if name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") => {
                rows.take(1).for_each(|(_, x)| x.fill(0.0));
            }
            _ => {}
        }
    }
    write_weights(&weights, path).unwrap();
}

/// The files with numbers of the checkpoint of a step, and what they hold.
fn numbers_of(folder: &Path, step: u64) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder.join(format!("step-{step:08}"))).unwrap();
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().unwrap() == "safetensors");
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())).collect()
}

/// One row of a step overflows; however the batch is cut, the step is left out as a whole.
#[test]
fn an_overflow_in_one_piece_of_a_batch_leaves_out_the_step_and_nothing_else_changes() {
    let place = tempfile::tempdir().unwrap();
    let model = spec::Decoder { tied: false, ..llama() };
    let init = place.path().join("init.safetensors");
    far_out(&model, &init);
    // Slow, so that every overflow has the same cause.
    let slow = spec::Adamw { lr: 1e-4, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };
    let optimizer = spec::Optimizer::Adamw(slow);
    let devices = [Some((cpu(), vec![1, 2, 3, 4])), software().map(|gpu| (gpu, vec![2]))];
    for (device, pieces) in devices.into_iter().flatten() {
        let mut seen = Vec::new();
        for micro_batch in pieces {
            let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
            let settings = [0, 1].map(|i| Setting {
                device: device.clone(),
                corpus: with_places_apart(),
                optimizer: optimizer.clone(),
                ..Setting::new(model.clone(), folders[i].path())
            });
            let job = |i: usize| Job {
                init: Some(&init),
                valid: None,
                micro_batch,
                precision: Precision::MixedF16,
                checkpoint: 1,
                checkpoints: 100,
                ..settings[i].job()
            };
            let (log, whole) = run(&job(0));
            let left_out: Vec<u64> = log.steps.iter().filter(|step| step.skipped).map(|step| step.step).collect();
            println!("{}, {micro_batch} at a time: left out {left_out:?}", device.name);
            assert!(left_out.len() == 3 && left_out[0] > 1 && left_out[2] < 20, "{left_out:?}");
            assert_eq!((whole.overflows, whole.loss_scale), (3, Some(8_192.0)));
            let mut scale = 65_536.0;
            for step in &log.steps {
                assert_eq!(step.loss_scale, Some(scale), "step {}", step.step);
                assert!(step.loss.is_finite() && step.skipped != step.grad_norm.is_finite(), "step {}", step.step);
                scale /= if step.skipped { 2.0 } else { 1.0 };
                // Weights and what the optimiser remembers, as the checkpoints have them.
                if (2..20).contains(&step.step) {
                    let [before, after] = [step.step - 1, step.step].map(|at| numbers_of(folders[0].path(), at));
                    assert!(before.len() >= 3 && before.keys().eq(after.keys()), "{:?}", before.keys());
                    for (name, bytes) in &before {
                        assert_eq!(*bytes == after[name], step.skipped, "{name} at step {}", step.step);
                    }
                }
            }
            seen.push(left_out.clone());
            let stops = [left_out[0] - 1, left_out[0], left_out[1] + 1];
            let parts = in_parts(&job(1), &stops);
            let facts = |t: &Trained| (t.weights_hash.clone(), t.overflows, t.loss_scale, t.loss, t.order.clone());
            assert_eq!(facts(&whole), facts(&parts), "{}, {micro_batch}", device.name);
        }
        assert!(seen.iter().all(|steps| *steps == seen[0]), "{seen:?}");
    }
}

#[test]
fn a_checkpoint_of_another_precision_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    let job = Job { precision: Precision::MixedBf16, ..setting.job() };
    let stop = Stop::new();
    train(&job, &mut StopAt(2, stop.clone(), &mut Log::default()), &stop).unwrap();
    let error = train(&setting.job(), &mut Log::default(), &Stop::new()).unwrap_err().to_string();
    assert!(error.contains("`precision`") && error.contains("mixed_bf16") && error.contains("absent"), "{error}");
}

#[test]
fn a_scale_that_never_fits_ends_the_stage_and_so_does_a_network_beyond_f16() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(llama(), folder.path());
    // Gradients that no f16 holds, of a loss that is finite.
    let job = Job { z_loss: 1e30, steps: 100, precision: Precision::MixedF16, ..setting.job() };
    let error = train(&job, &mut Log::default(), &Stop::new()).unwrap_err();
    assert!(matches!(error, TrainError::Scale { steps: 40, step: 40, .. }), "{error}");
    assert!(error.to_string().contains("mixed_bf16"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(spec::Decoder { init_std: 400.0, init_scaled: false, ..llama() }, folder.path());
    let job = Job { precision: Precision::MixedF16, ..setting.job() };
    let error = train(&job, &mut Log::default(), &Stop::new()).unwrap_err();
    assert!(matches!(error, TrainError::Overflow { step: 1, .. }), "{error}");
    assert!(error.to_string().contains("65 504") && error.to_string().contains("mixed_bf16"), "{error}");
}

#[test]
fn a_device_without_the_format_is_told_before_anything_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let device = Chosen { formats: vec![Format::F16], ..cpu() };
    let setting = Setting { device, ..Setting::new(llama(), folder.path()) };
    let job = Job { precision: Precision::MixedBf16, ..setting.job() };
    let error = train(&job, &mut Log::default(), &Stop::new()).unwrap_err();
    assert!(matches!(error, TrainError::Precision { .. }), "{error}");
    assert!(
        error.to_string().contains("does not compute with bf16") && error.to_string().contains("f32, f16"),
        "{error}"
    );
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was written");
    if let Some(gpu) = software() {
        assert_eq!(gpu.formats, [Format::F16], "WGSL has no bf16");
    }
    assert_eq!(cpu().formats, Format::ALL);
}

#[test]
fn adapters_and_recomputing_work_in_16_bits() {
    for precision in MIXED {
        let of = |recompute, adapted: bool| {
            let folder = tempfile::tempdir().unwrap();
            let setting = Setting::new(gpt2(), folder.path());
            let lora = spec::Adapter::Lora(crate::common::lora());
            let adapter = adapted.then_some(emberlab::train::Adapting { spec: &lora, init: None });
            let job = Job { precision, recompute, adapter, ..setting.job() };
            let (log, trained) = run(&job);
            let plain = run(&Job { precision: Precision::F32, folder: &folder.path().join("plain"), ..job }).0;
            (apart(&plain, &log), trained.weights_hash)
        };
        let (near, kept) = of(false, false);
        let (_, again) = of(true, false);
        assert_eq!(kept, again, "computing blocks again changes no bit");
        let (adapted, _) = of(false, true);
        println!("{}: {near:?}, with adapters {adapted:?}", precision.name());
        assert!(near.0 < 1e-3 && adapted.0 < 1e-3 && adapted.0 > 1e-7, "{near:?} {adapted:?}");
    }
}

#[derive(serde::Deserialize)]
struct Facts {
    loss: f64,
    norm: f64,
    autocast_loss: f64,
    autocast_norm: f64,
    from_f32: f64,
    from_autocast: f64,
}

/// Against PyTorch, see `tests/golden/make_precision_golden.py`: weight by weight with the same rounding, and loss and norm with
/// `torch.autocast`, which rounds in more places.
#[test]
fn gradients_in_16_bits_are_those_of_pytorch() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data-golden/precision");
    let text = std::fs::read_to_string(folder.join("llama.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let gradients = read_weights(&folder.join("llama.safetensors")).unwrap();
    let case = Case::read("llama");
    let start = tempfile::NamedTempFile::new().unwrap();
    write_weights(&case.weights("before"), start.path()).unwrap();
    let both = [Some(cpu()), software()].into_iter().flatten();
    for (device, precision) in both.flat_map(|device| MIXED.map(|precision| (device.clone(), precision))) {
        if !device.formats.iter().any(|format| Some(format.name()) == precision.half()) {
            continue;
        }
        let golden: Facts = serde_json::from_value(all[precision.name()].clone()).unwrap();
        let architecture = Architecture::new(&case.golden.model, None).unwrap();
        let decoder = Decoder::load(architecture, start.path(), &device.device).unwrap();
        let (loss, ours) = mixed_gradients(&decoder, &case.golden.tokens, precision).unwrap();
        let (mut apart, mut whole) = (0.0, 0.0);
        for ours in &ours {
            let name = format!("{}/{}", precision.name(), ours.name);
            let theirs = gradients.iter().find(|theirs| theirs.name == name).unwrap();
            assert_eq!(ours.shape, theirs.shape, "{name}");
            for (a, b) in ours.numbers.iter().zip(theirs.numbers.iter()) {
                apart += f64::from(a - b).powi(2);
                whole += f64::from(*a).powi(2);
            }
        }
        let (apart, norm) = ((apart / whole).sqrt(), whole.sqrt());
        println!(
            "{}, {}: gradients within {apart:.1e} of PyTorch's, {:.1e} of f32",
            device.name,
            precision.name(),
            golden.from_f32
        );
        assert_eq!(ours.len() * MIXED.len(), gradients.len());
        assert!(apart < golden.from_f32 / 8.0, "{precision:?}: {apart:.1e}, and rounding is {:.1e}", golden.from_f32);
        assert!((loss - golden.loss).abs() < 1e-4 * golden.loss, "{loss} and {}", golden.loss);
        assert!((norm - golden.norm).abs() < 1e-3 * golden.norm, "{norm} and {}", golden.norm);
        let near = golden.from_autocast;
        assert!((loss - golden.autocast_loss).abs() < near * loss, "{loss} and {}", golden.autocast_loss);
        assert!((norm - golden.autocast_norm).abs() < near * norm, "{norm} and {}", golden.autocast_norm);
    }
}
