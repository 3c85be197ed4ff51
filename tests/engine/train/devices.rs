//! The same training on a GPU interface and on the CPU: the same start and the same data, so nearly the same losses.
//!
//! Runs on lavapipe, Mesa's software Vulkan, where there is one; elsewhere it says that it did not.

use crate::common::{Log, Setting, cpu, gpt2, llama};
use emberlab::device::{Chosen, Kind, choose, list};
use emberlab::model::{Architecture, Decoder, GenerateOptions};
use emberlab::plan::spec;
use emberlab::train::{Job, Outcome, Stop, train};

fn software() -> Option<Chosen> {
    if !list().iter().any(|found| found.kind == Kind::SoftwareGpu) {
        println!("skipped: this build or machine has no software GPU");
        return None;
    }
    Some(choose(Some("lavapipe")).unwrap())
}

fn run(model: &spec::Decoder, device: Chosen) -> (Log, String) {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting { device, ..Setting::new(model.clone(), folder.path()) };
    let mut log = Log::default();
    let steps = 10;
    let Outcome::Finished(trained) =
        train(&Job { steps, micro_batch: 2, ..setting.job() }, &mut log, &Stop::new()).unwrap()
    else {
        panic!("stopped")
    };
    (log, trained.weights_hash)
}

#[test]
fn losses_agree_between_the_cpu_and_a_software_gpu() {
    let Some(device) = software() else { return };
    for model in [llama(), gpt2()] {
        let (ours, _) = run(&model, cpu());
        let (theirs, hash) = run(&model, device.clone());
        assert_eq!(theirs.steps.len(), 10);
        let mut worst: f64 = 0.0;
        for (a, b) in ours.steps.iter().zip(&theirs.steps) {
            assert_eq!((a.step, a.lr, a.tokens), (b.step, b.lr, b.tokens));
            worst = worst.max((a.loss - b.loss).abs() / a.loss).max((a.grad_norm - b.grad_norm).abs() / a.grad_norm);
        }
        for (a, b) in ours.valids.iter().zip(&theirs.valids) {
            worst = worst.max((a.loss - b.loss).abs() / a.loss);
        }
        println!("losses and gradient norms agree to {worst:.1e}");
        assert!(worst < 1e-4, "{worst}");
        let (_, again) = run(&model, device.clone());
        println!("run to run the weights are {}", if again == hash { "bitwise equal" } else { "not bitwise equal" });
    }
}

#[test]
fn a_cached_text_on_a_software_gpu_is_the_one_of_the_cpu() {
    let Some(device) = software() else { return };
    let spec = spec::Decoder { init_std: 0.3, ..llama() };
    let texts: Vec<Vec<Vec<u32>>> = [cpu(), device]
        .iter()
        .map(|device| {
            let decoder = Decoder::fresh(Architecture::new(&spec, Some(24)).unwrap(), 5, &device.device);
            let options = GenerateOptions { max_tokens: 8, ..GenerateOptions::default() };
            let generated = decoder.generate(&[vec![1, 2, 3], vec![4]], &options).unwrap();
            generated.into_iter().map(|g| g.tokens).collect()
        })
        .collect();
    assert_eq!(texts[0], texts[1]);
}
