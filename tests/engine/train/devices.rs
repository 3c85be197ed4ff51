//! The same training on a GPU interface and on the CPU: the same start and the same data, so nearly the same losses; and
//! twice on each, with the same weights.
//!
//! Runs on lavapipe, Mesa's software Vulkan, where there is one; elsewhere it says that it did not. burn's `fusion` and
//! `autotune`, which would be compared on and off, are not built in; a test below proves that.

use crate::common::{Log, Setting, cpu, gpt2, llama, mixture, valued};
use emberlab::device::{Chosen, Kind, Level, choose, list, promise};
use emberlab::model::{Architecture, Decoder, GenerateOptions};
use emberlab::plan::spec;
use emberlab::train::{Job, MemoryCorpus, Objective, Outcome, Stop, Trained, gradients, train};
use std::process::{Command, Stdio};

pub fn software() -> Option<Chosen> {
    if !list().iter().any(|found| found.kind == Kind::SoftwareGpu) {
        // Beside the harness's capture, so that whoever reads the log of a passing test sees it.
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "skipped: this build or machine has no software GPU");
        return None;
    }
    Some(choose(Some("lavapipe")).unwrap())
}

const STEPS: u64 = 50;

fn run(model: &spec::Decoder, device: Chosen) -> (Log, Trained) {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting { device, ..Setting::new(model.clone(), folder.path()) };
    let mut log = Log::default();
    let Outcome::Finished(trained) =
        train(&Job { steps: STEPS, micro_batch: 2, ..setting.job() }, &mut log, &Stop::new()).unwrap()
    else {
        panic!("stopped")
    };
    (log, trained)
}

#[test]
fn losses_agree_between_the_cpu_and_a_software_gpu() {
    let Some(device) = software() else { return };
    for (name, model) in [("llama", llama()), ("gpt2", gpt2()), ("mixture", mixture())] {
        let (ours, _) = run(&model, cpu());
        let (theirs, trained) = run(&model, device.clone());
        assert_eq!(theirs.steps.len() as u64, STEPS);
        let (mut worst, mut worst_norm): (f64, f64) = (0.0, 0.0);
        for (a, b) in ours.steps.iter().zip(&theirs.steps) {
            assert_eq!((a.step, a.lr, a.tokens), (b.step, b.lr, b.tokens));
            worst = worst.max((a.loss - b.loss).abs() / a.loss);
            worst_norm = worst_norm.max((a.grad_norm - b.grad_norm).abs() / a.grad_norm);
        }
        for (a, b) in ours.valids.iter().zip(&theirs.valids) {
            worst = worst.max((a.loss - b.loss).abs() / a.loss);
        }
        println!("{name}: {STEPS} losses agree to {worst:.1e}, gradient norms to {worst_norm:.1e}");
        assert!(worst < 1e-4, "{name}: {worst}");
        assert!(worst_norm < 1e-3, "{name}: {worst_norm}");
        let (_, again) = run(&model, device.clone());
        assert_eq!(promise(device.kind).level, Level::Bitwise);
        assert_eq!(again.weights_hash, trained.weights_hash, "{name}: run to run");
        let start = trained.start.unwrap();
        assert_eq!(start.repeats, Some(true), "{name}: {start:?}");
        assert!(start.compile_seconds.is_some() && start.first_step_seconds > 0.0, "{start:?}");
    }
}

/// Rows that hold several samples: masks that are made on the device, against kernels that know where samples begin.
#[test]
fn packed_samples_and_windows_agree_between_the_cpu_and_a_software_gpu() {
    let Some(device) = software() else { return };
    let samples: Vec<_> = (0..20u32).map(|a| (vec![20, a], (0..1 + a % 5).map(|i| (a + i) % 20).collect())).collect();
    let corpus = MemoryCorpus::samples(&samples);
    for (name, model) in [
        ("whole", llama()),
        ("learned positions", spec::Decoder { dropout: 0.0, ..gpt2() }),
        ("window", spec::Decoder { window: Some(3), global_every: Some(2), ..llama() }),
    ] {
        let losses = |device: Chosen| {
            let folder = tempfile::tempdir().unwrap();
            let setting = Setting { device, ..Setting::new(model.clone(), folder.path()) };
            let mut log = Log::default();
            let objective = Objective::SftPacked;
            let job = Job { objective, corpus: &corpus, valid: None, batch: 8, steps: 6, ..setting.job() };
            let Outcome::Finished(trained) = train(&job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
            assert!(trained.positions < 6 * 8 * 6, "samples share rows: {}", trained.positions);
            log.losses()
        };
        let (ours, theirs) = (losses(cpu()), losses(device.clone()));
        let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / a).fold(0.0, f64::max);
        println!("{name}: {} losses agree to {worst:.1e}", ours.len());
        assert!(ours.len() == 6 && worst < 1e-4, "{name}: {ours:?} and {theirs:?}");
    }
}

/// Every leaf's gradient, relative to its own norm; of long rows too, whose attention is computed piece by piece.
#[test]
fn first_gradients_agree_leaf_by_leaf() {
    let Some(device) = software() else { return };
    // A GPU has the scores of at most 256 queries at a time, the CPU none.
    let long = |model| spec::Decoder { context: 600, ..model };
    for (name, model, rows, tokens) in [
        ("llama", llama(), 4, 17),
        ("gpt2", gpt2(), 4, 17),
        ("mixture", mixture(), 4, 17),
        ("valued", valued(), 4, 17),
        ("long", long(llama()), 2, 601),
        ("long with a window", long(spec::Decoder { window: Some(70), global_every: Some(2), ..llama() }), 2, 601),
        ("long with slopes", long(spec::Decoder { position: spec::Position::Alibi, ..llama() }), 2, 601),
    ] {
        let rows: Vec<Vec<u32>> =
            (0..rows).map(|row| (0..tokens).map(|i| (row * 7 + i * i * 5 + 3) % 24).collect()).collect();
        let of = |device: Chosen| {
            let architecture = Architecture::new(&model, Some(24)).unwrap();
            gradients(&Decoder::fresh(architecture, 11, &device.device), &rows).unwrap()
        };
        let ((loss, ours), (other, theirs)) = (of(cpu()), of(device.clone()));
        assert!((loss - other).abs() < 1e-5 * loss, "{name}: {loss} and {other}");
        assert!(ours.len() == theirs.len() && ours.len() > 10, "{name}: {} leaves", ours.len());
        let mut worst = (0.0, "");
        for (a, b) in ours.iter().zip(&theirs) {
            assert_eq!((&a.name, &a.shape), (&b.name, &b.shape));
            let norm = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
            let whole = norm(&mut a.numbers.iter().map(|x| f64::from(*x)));
            let apart = norm(&mut a.numbers.iter().zip(b.numbers.iter()).map(|(a, b)| f64::from(a - b)));
            // A shift of all keys changes no softmax, so the true gradient of their bias is zero: only rounding is there.
            if a.name.ends_with("k_proj.bias") {
                assert!(whole < 1e-6 && apart < 1e-6, "{name}: `{}`: {whole}", a.name);
                continue;
            }
            assert!(whole > 0.0, "{name}: `{}` has a gradient", a.name);
            if apart / whole > worst.0 {
                worst = (apart / whole, &a.name);
            }
        }
        println!("{name}: {} first gradients agree to {:.1e} (`{}`)", ours.len(), worst.0, worst.1);
        assert!(worst.0 < 1e-4, "{name}: {worst:?}");
    }
}

/// Kernels chosen by timing, or joined by what came before, would compute other bits from one run to the next.
#[test]
fn neither_fusion_nor_autotune_is_built_in() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let burn = manifest.lines().find(|line| line.starts_with("burn = ")).unwrap();
    assert!(burn.contains("default-features = false"), "{burn}");
    let chosen = manifest.lines().filter(|line| !line.starts_with('#') && line.contains("burn"));
    for line in chosen {
        assert!(!line.contains("fusion") && !line.contains("autotune"), "{line}: see src/device/repeat.rs");
    }
}

/// Names the device to train on and, after a slash, the precision, in the process that prints the hash of its weights.
const DEVICE: &str = "EMBERLAB_TEST_REPEAT_DEVICE";
const MARK: &str = "weights: ";

/// Large enough that every kernel shares its work among threads.
fn wide() -> spec::Decoder {
    spec::Decoder { width: 96, head_dim: 24, hidden: 256, context: 64, ..llama() }
}

/// Not a test of its own: the body of the processes of [`weights_repeat_on_each_device_for_any_number_of_threads`].
#[test]
fn body_of_the_repeating_process() {
    let Ok(asked) = std::env::var(DEVICE) else { return };
    let (device, precision) = asked.split_once('/').unwrap_or((&asked, "f32"));
    let precision = spec::Precision::ALL.into_iter().find(|known| known.name() == precision).unwrap();
    let experts = mixture().experts;
    let [plain, mixture] =
        if device == "cpu" { [wide(), spec::Decoder { experts, ..wide() }] } else { [llama(), mixture()] };
    // Networks with experts train in f32.
    let mixture = Some(mixture).filter(|_| precision == spec::Precision::F32);
    let hashes = [plain].into_iter().chain(mixture).map(|model| {
        let folder = tempfile::tempdir().unwrap();
        let sequence = model.context as usize;
        let setting = Setting { device: choose(Some(device)).unwrap(), ..Setting::new(model, folder.path()) };
        let job = Job { batch: 16, micro_batch: 8, sequence, precision, ..setting.job() };
        let outcome = train(&job, &mut Log::default(), &Stop::new()).unwrap();
        let Outcome::Finished(trained) = outcome else { panic!("stopped") };
        trained.weights_hash
    });
    let mut hashes: Vec<String> = hashes.collect();
    if precision == spec::Precision::F32 {
        let folder = tempfile::tempdir().unwrap();
        let model = if device == "cpu" { wide() } else { llama() };
        let (device, optimizer) = (choose(Some(device)).unwrap(), crate::optimizers::soap());
        let setting = Setting { device, optimizer, ..Setting::new(model, folder.path()) };
        let outcome = train(&setting.job(), &mut Log::default(), &Stop::new()).unwrap();
        let Outcome::Finished(trained) = outcome else { panic!("stopped") };
        hashes.push(trained.weights_hash);
    }
    println!("{MARK}{}", hashes.join(" "));
}

#[test]
fn weights_repeat_on_each_device_for_any_number_of_threads() {
    let hash = |device: &str, threads: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "devices::body_of_the_repeating_process", "--nocapture", "--test-threads=1"])
            .env(DEVICE, device)
            .env("RAYON_NUM_THREADS", threads)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = text.lines().find_map(|line| Some(line.split_once(MARK)?.1.to_owned()));
        found.unwrap_or_else(|| panic!("{device}: {text}\n{}", String::from_utf8_lossy(&output.stderr)))
    };
    let one = hash("cpu", "1");
    for threads in ["1", "2", "3", "4"] {
        assert_eq!(hash("cpu", threads), one, "{threads} threads");
    }
    println!("cpu: bitwise equal with 1, 2, 3 and 4 threads");
    for mixed in ["cpu/mixed_f16", "cpu/mixed_bf16"] {
        let alone = hash(mixed, "1");
        assert!(!one.contains(&alone), "{alone}");
        for threads in ["2", "3", "4"] {
            assert_eq!(hash(mixed, threads), alone, "{mixed}: {threads} threads");
        }
    }
    if software().is_some() {
        assert_eq!(hash("lavapipe", "1"), hash("lavapipe", "4"), "another process");
        println!("lavapipe: bitwise equal in another process");
    }
}

#[test]
fn a_cached_text_on_a_software_gpu_is_the_one_of_the_cpu() {
    let Some(device) = software() else { return };
    for model in [llama(), mixture()] {
        cached_text(&spec::Decoder { init_std: 0.3, ..model }, &device);
    }
}

fn cached_text(spec: &spec::Decoder, device: &Chosen) {
    let texts: Vec<Vec<Vec<u32>>> = [&cpu(), device]
        .iter()
        .map(|device| {
            let decoder = Decoder::fresh(Architecture::new(spec, Some(24)).unwrap(), 5, &device.device);
            let options = GenerateOptions { max_tokens: 8, ..GenerateOptions::default() };
            let generated = decoder.generate(&[vec![1, 2, 3], vec![4]], &options).unwrap();
            generated.into_iter().map(|g| g.tokens).collect()
        })
        .collect();
    assert_eq!(texts[0], texts[1]);
}
