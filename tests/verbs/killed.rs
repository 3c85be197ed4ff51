//! A real `kill -9`, two hundred times over one training, at moments nobody chose and within saves: the weights are those of
//! a run that nobody touched.
#![cfg(unix)]

use crate::{RUN, command, json};
use emberlab::random::Stream;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const KILLS: u64 = 200;
/// Kills that must have come while a checkpoint was being written.
const WITHIN_SAVES: usize = 50;
const STEPS: u64 = 400;
/// Where the moments come from; set it to repeat a failure, as far as a machine's clock repeats anything.
const SEED: &str = "EMBERLAB_TEST_KILL_SEED";

/// Small, with dropout, so that its masks have to be right as well; saved after every step.
const EXPERIMENT: &str = r#"
experiment killed { language = 1, seed = 3, license = "MIT" }

use std.corpora.tales
use std.models.gpt2

dataset stories = tales.stories(documents = 40 documents) |> split(train = 80%, valid = 20%)

tokenizer pieces : bpe { train_on = stories.train, vocab = 300 }

model teller from gpt2.small { layers = 1, heads = 2, width = 16, hidden = 32, context = 16 tokens, dropout = 10% }

stage pretrain : next_token {
  model      = teller
  tokenizer  = pieces
  data       = stories.train
  budget     = STEPS steps
  batch      = 2 documents
  optimizer  = adamw(lr = 3e-3)
  validate   = every(50 steps, on = stories.valid)
  checkpoint = 1 steps
}
"#;

/// Everything below a folder whose name begins with `prefix`.
fn named(folder: &Path, prefix: &str) -> BTreeSet<PathBuf> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                found.insert(entry.path());
            } else if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

/// The step of the newest checkpoint.
fn step(work: &Path) -> u64 {
    let steps = named(work, "step-");
    steps.iter().filter_map(|path| path.file_name()?.to_str()?[5..].parse().ok()).max().unwrap_or(0)
}

fn start(place: &Path) -> Child {
    let mut child = command(place, &[&RUN[..], &["--events", "json"]].concat());
    child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until training begins, and lets nobody wait for a reader of the rest.
fn until_it_trains(child: &mut Child) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.by_ref().map_while(Result::ok).any(|line| line.contains("\"stage_started\""));
    std::thread::spawn(move || lines.for_each(drop));
}

/// Waits until save `wanted` of this process (from 0) begins; those of `before` are of others.
fn until_it_saves(child: &mut Child, work: &Path, before: &BTreeSet<PathBuf>, wanted: u64) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    std::thread::spawn(move || lines.by_ref().for_each(drop));
    // Where the checkpoints lie, once that is known: looking through everything takes longer than a save.
    let mut scratch: Option<PathBuf> = None;
    let mut seen = before.clone();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) && child.try_wait().unwrap().is_none() {
        let now = named(scratch.as_deref().unwrap_or(work), ".saving-");
        seen.extend(now);
        if seen.len() as u64 > before.len() as u64 + wanted {
            return;
        }
        let parent = |path: &PathBuf| path.parent().map(Path::to_owned);
        scratch = scratch.or_else(|| named(work, "step-").iter().find_map(parent));
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn two_hundred_kills_change_no_bit() {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(9);
    println!("moments from {SEED}={seed}");
    let experiment = EXPERIMENT.replace("STEPS", &STEPS.to_string());
    let place = || {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("small.exp"), &experiment).unwrap();
        place
    };
    let (whole, killed) = (place(), place());
    let expected = json(whole.path(), &RUN);
    // How long it takes until the first event of a run whose data is there.
    let work = killed.path().join(".emberlab/work");
    let mut start_up = Duration::from_millis(300);
    // Of the life of those killed while they train; it adapts, so that the last kill comes before the last step.
    let mut life = Duration::from_millis(5);
    let (mut within_saves, mut resumed_late) = (0, 0);
    for kill in 0..KILLS {
        let mut draws = Stream::new(seed, "kill").at(kill);
        let before = named(&work, ".saving-");
        let from = step(&work);
        let began = Instant::now();
        let mut child = start(killed.path());
        match kill % 4 {
            // While it starts, reads the checkpoint, or clears up after the one before it.
            0 => std::thread::sleep(start_up.mul_f64(draws.uniform())),
            // While it trains.
            1 => {
                until_it_trains(&mut child);
                start_up = began.elapsed().min(Duration::from_secs(1));
                std::thread::sleep(life.mul_f64(draws.uniform()));
            }
            // While it saves.
            _ => {
                until_it_saves(&mut child, &work, &before, draws.below(3));
                std::thread::sleep(Duration::from_micros(draws.below(1_500)));
            }
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("it ended by itself ({status}) before kill {kill}; {SEED}={seed}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let now = step(&work);
        assert!(now >= from, "kill {kill}: step {now} after step {from}: a checkpoint was lost; {SEED}={seed}");
        within_saves += usize::from(!named(&work, ".saving-").is_subset(&before));
        resumed_late += usize::from(from > 0 && now > from);
        if kill % 4 == 1 {
            // Those killed within saves make a step or two each.
            let left = STEPS.saturating_sub(now).saturating_sub(20 + (KILLS - kill) * 3 / 4);
            let share = left / ((KILLS - kill) / 4).max(1);
            life = life.mul_f64(if now - from < share { 1.25 } else { 0.7 }).min(Duration::from_secs(2));
        }
    }
    println!("{KILLS} kills, {within_saves} within saves, {resumed_late} of processes that had resumed and got on");
    println!("step {} of {STEPS} was reached before the last", step(&work));
    assert!(within_saves >= WITHIN_SAVES, "{within_saves} within saves; {SEED}={seed}");
    assert!(resumed_late >= 60, "{resumed_late} got on; {SEED}={seed}");
    let resumed = json(killed.path(), &RUN);
    for what in ["weights_hash", "data_order", "tokens", "loss"] {
        let of = |record: &serde_json::Value| record["stages"]["pretrain"][what].clone();
        assert_eq!(of(&resumed), of(&expected), "{what}; {SEED}={seed}");
    }
    assert!(named(&killed.path().join(".emberlab"), ".saving-").is_empty(), "nothing is left of the saves");
    let runs = std::fs::read_dir(killed.path().join(".emberlab/runs")).unwrap().count();
    assert_eq!(runs, 1, "all of it is one run; {SEED}={seed}");
}
