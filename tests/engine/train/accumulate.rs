//! Micro-batches add up to their batch.

use crate::common::{Log, Setting, gpt2, llama, mixture};
use emberlab::model::read_weights;
use emberlab::plan::spec::{Decoder, Position};
use emberlab::train::{Job, MemoryCorpus, Objective, Outcome, Stop, Trained, Validation, train};

/// The losses and what the balance of experts adds, gradient norms and weights of a job.
fn run(job: &Job) -> (Vec<f64>, Vec<f64>, Vec<f32>) {
    let mut log = Log::default();
    let Outcome::Finished(trained) = train(job, &mut log, &Stop::new()).unwrap() else { panic!("stopped") };
    let weights = read_weights(&trained.weights).unwrap().iter().flat_map(|w| w.numbers.to_vec()).collect();
    let balances = log.steps.iter().map(|step| step.balance_loss).filter(|balance| *balance != 0.0);
    let losses = log.losses().into_iter().chain(balances);
    (losses.collect(), log.steps.iter().map(|step| step.grad_norm).collect(), weights)
}

fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= tolerance * a.abs().max(1.0), "{a} and {b}");
    }
}

#[test]
fn a_batch_is_the_same_in_one_piece_and_in_uneven_pieces() {
    uneven(&llama());
}

#[test]
fn the_balance_of_experts_does_not_depend_on_the_micro_batch() {
    uneven(&mixture());
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::new(mixture(), folder.path());
    let mut log = Log::default();
    train(&setting.job(), &mut log, &Stop::new()).unwrap();
    // Two of four experts: balanced, the loss is 0.1 · 2, and no expert has less than its quarter when another has more.
    for step in &log.steps {
        assert!(step.balance_loss > 0.19 && step.balance_loss < 0.4, "{step:?}");
        assert!((0.25..=0.5).contains(&step.busiest_expert), "{step:?}");
    }
}

fn uneven(model: &Decoder) {
    // Responses of different lengths make the weight of a row matter; 3 does not divide 4.
    let samples: Vec<_> = (0..16u32).map(|a| (vec![20, a], (0..1 + a % 7).map(|i| (a + i) % 20).collect())).collect();
    let corpus = MemoryCorpus::samples(&samples);
    let results: Vec<_> = [4, 3, 1]
        .into_iter()
        .map(|micro_batch| {
            let folder = tempfile::tempdir().unwrap();
            let setting = Setting::new(model.clone(), folder.path());
            run(&Job { objective: Objective::Sft, corpus: &corpus, valid: None, micro_batch, ..setting.job() })
        })
        .collect();
    for other in &results[1..] {
        close(&results[0].0, &other.0, 2e-5);
        close(&results[0].1, &other.1, 2e-4);
        let worst = results[0].2.iter().zip(&other.2).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // AdamW's first steps move by the sign of a gradient, which a rounding can turn where the gradient is near zero.
        assert!(worst < 2e-3, "{worst}");
    }
}

#[test]
fn samples_that_share_rows_learn_what_they_learn_alone() {
    // Many short samples and a long one, so that rows hold several and the length of rows changes.
    let samples: Vec<_> = (0..23u32)
        .map(|a| (vec![20, a % 20], (0..1 + a % 5 + 7 * u32::from(a % 11 == 0)).map(|i| (a + i) % 20).collect()))
        .collect();
    let corpus = MemoryCorpus::samples(&samples);
    let alibi = Decoder { position: Position::Alibi, ..llama() };
    let window = Decoder { window: Some(3), ..llama() };
    let learned = Decoder { dropout: 0.0, ..gpt2() };
    for model in [llama(), learned, alibi, window, mixture()] {
        let mut runs = [(Objective::Sft, 8), (Objective::SftPacked, 8), (Objective::SftPacked, 2)]
            .into_iter()
            .map(|(objective, micro_batch)| {
                let folder = tempfile::tempdir().unwrap();
                let mut setting = Setting::new(model.clone(), folder.path());
                setting.valid = MemoryCorpus::samples(&samples[..9]);
                let job = setting.job();
                let valid = job.valid.as_ref().map(|v| Validation { tokens: None, ..*v });
                let mut log = Log::default();
                let job = Job { objective, corpus: &corpus, valid, batch: 8, micro_batch, ..job };
                let Outcome::Finished(trained) = train(&job, &mut log, &Stop::new()).unwrap() else {
                    panic!("stopped")
                };
                let norms: Vec<f64> = log.steps.iter().map(|step| step.grad_norm).collect();
                let valid: Vec<f64> = log.valids.iter().map(|valid| valid.loss).collect();
                assert!(!valid.is_empty());
                (log.losses(), norms, valid, trained)
            })
            .collect::<Vec<_>>();
        let alone = runs.remove(0);
        for packed in runs {
            close(&alone.0, &packed.0, 2e-5);
            close(&alone.1, &packed.1, 2e-4);
            close(&alone.2, &packed.2, 2e-5);
            assert_eq!(alone.3.order, packed.3.order, "the same samples in the same steps");
            let counted = |t: &Trained| (t.tokens, t.supervised_tokens);
            assert_eq!(counted(&alone.3), counted(&packed.3));
            assert!(packed.3.positions < alone.3.positions * 3 / 4, "{} {}", packed.3.positions, alone.3.positions);
        }
    }
}

#[test]
fn dropout_does_not_depend_on_the_micro_batch() {
    let results: Vec<_> = [4, 3, 2, 1]
        .into_iter()
        .map(|micro_batch| {
            let folder = tempfile::tempdir().unwrap();
            let setting = Setting::new(gpt2(), folder.path());
            assert!(setting.model.dropout > 0.0);
            run(&Job { micro_batch, ..setting.job() })
        })
        .collect();
    for other in &results[1..] {
        close(&results[0].0, &other.0, 1e-5);
        close(&results[0].1, &other.1, 2e-4);
    }
    // The masks of a step are not those of another row or step, or none.
    let folder = tempfile::tempdir().unwrap();
    let mut setting = Setting::new(gpt2(), folder.path());
    setting.model.dropout = 0.0;
    assert!(run(&setting.job()).0.iter().zip(&results[0].0).all(|(without, with)| (without - with).abs() > 1e-4));
}
