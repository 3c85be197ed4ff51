//! `kill -9` at random moments.

use crate::victim;
use emberlab::plan::{Known, Plan, spec};
use emberlab::random::Stream;
use emberlab::store::{Check, Claim, Device, Environment, Event, Lab, ObjectKind, Record, Status};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

const KILLS: u64 = 50;

fn plan() -> Plan {
    Plan {
        schema_version: 1,
        name: "victim".into(),
        experiment: spec::Experiment { language: 1, seed: 1, license: None, authors: Vec::new(), description: None },
        hash: Known::Value("ab".repeat(32)),
        datasets: Vec::new(),
        tokenizers: Vec::new(),
        stages: Vec::new(),
        evals: Vec::new(),
        reviews: Vec::new(),
        expects: Vec::new(),
        claims: Vec::new(),
    }
}

fn environment() -> Environment {
    Environment::of(Path::new("."), 1, Device { name: "cpu".into(), ..Device::default() })
}

/// The hash of the `n`-th object.
fn hash(n: u64) -> String {
    blake3::hash(&n.to_le_bytes()).to_hex().to_string()
}

fn contents(n: u64, file: u64) -> Vec<u8> {
    let mut draws = Stream::new(n, "contents").at(file);
    (0..2_000 + draws.below(20_000)).map(|_| draws.next_u64() as u8).collect()
}

/// The victim: goes on with the run, and makes one object after the other, a step and an event for each piece of work.
pub fn write_for_ever(place: &Path) {
    let lab = Lab::open(place).unwrap();
    let run = lab.begin(&plan(), &environment()).unwrap();
    let done = last_step(&run.folder().read_events().unwrap());
    run.push(&started(done)).unwrap();
    let mut record = Record::begin(run.id(), "victim", &"ab".repeat(32), environment().device);
    println!("ready");
    for n in done + 1.. {
        let claim = lab.claim(ObjectKind::Stage, &hash(n), "piece", Check::Contents, &mut |_| true).unwrap();
        if let Claim::Build(draft) = claim {
            // What an earlier victim left in scratch is whole, because it was renamed there.
            let note = draft.scratch().join("note");
            if let Ok(bytes) = fs::read(&note) {
                assert_eq!(bytes, n.to_le_bytes());
            }
            emberlab::store::disk::replace_bytes(&note, &n.to_le_bytes()).unwrap();
            for file in 0..3 {
                fs::write(draft.files().join(format!("part-{file}")), contents(n, file)).unwrap();
            }
            draft.finish(json!({ "n": n })).unwrap();
        }
        run.push(&step(n)).unwrap();
        record.status = Status::Running;
        record.claims.clear();
        run.write_record(&record).unwrap();
        lab.list(&Default::default()).unwrap();
    }
}

fn started(from: u64) -> Event {
    Event::StageStarted {
        stage: "s".into(),
        hash: String::new(),
        parameters: 0,
        steps: None,
        tokens: None,
        resumed_from: Some(from),
    }
}

fn step(n: u64) -> Event {
    Event::Step {
        stage: "s".into(),
        step: n,
        tokens: n,
        supervised: n,
        z_loss: None,
        balance_loss: None,
        busiest_expert: None,
        skipped: false,
        loss_scale: None,
        loss: 1.0 / n as f64,
        lr: 1e-3,
        grad_norm: 1.0,
        tokens_per_second: 1.0,
        seconds: 1.0,
    }
}

fn last_step(lines: &[emberlab::store::Line]) -> u64 {
    let steps = lines.iter().filter_map(|l| match &l.event {
        Event::Step { step, .. } => Some(*step),
        _ => None,
    });
    steps.max().unwrap_or(0)
}

fn wait_until_ready(child: &mut Child) {
    let Some(out) = child.stdout.as_mut() else { return };
    let told = BufReader::new(out).lines().map_while(Result::ok).any(|line| line.contains("ready"));
    assert!(told, "the victim started");
}

#[test]
fn the_lab_survives_being_killed_fifty_times() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lab");
    let mut reached = 0;
    for kill in 0..KILLS {
        let mut child = victim("write", &place);
        // Every fourth is killed while it starts, the others while they work.
        if kill % 4 != 0 {
            wait_until_ready(&mut child);
        }
        let moment = Stream::new(7, "kill").at(kill).below(200_000);
        std::thread::sleep(Duration::from_micros(moment));
        child.kill().unwrap();
        let _ = child.wait();
        // The lab opens, lists and reads at any moment.
        let lab = Lab::open(&place).unwrap();
        let listing = lab.list(&Default::default()).unwrap();
        for row in &listing.runs {
            assert_eq!(row.status, Status::Stopped, "a killed run is known to be stopped");
        }
        let mut steps = 0;
        for run in lab.runs().unwrap() {
            let Ok(record) = run.record() else { continue };
            assert_eq!(record.experiment, "victim");
            steps = steps.max(last_step(&run.read_events().unwrap()));
        }
        assert!(steps >= reached, "kill {kill}: what was told stays told ({steps} after {reached})");
        reached = steps;
        for object in lab.objects().unwrap() {
            let found = lab.find(object.kind, &object.hash, Check::Contents).unwrap();
            assert!(found.is_some(), "kill {kill}: an object is whole or not there: {:?}", lab.take_notices());
        }
    }
    let lab = Lab::open(&place).unwrap();
    assert!(lab.take_notices().is_empty());
    let runs: Vec<_> = lab.runs().unwrap().into_iter().filter(|r| r.record().is_ok()).collect();
    assert_eq!(runs.len(), 1, "every victim went on with the same run");
    let curve = &runs[0].curves().unwrap()["s"];
    let steps: Vec<u64> = curve.steps.iter().map(|p| p.step).collect();
    assert_eq!(steps, (1..=reached).collect::<Vec<_>>(), "each step is there once");
    // Every step's object is there, with exactly the contents its maker gave it.
    for n in 1..=reached {
        let object = lab.find(ObjectKind::Stage, &hash(n), Check::Contents).unwrap().unwrap();
        let files: BTreeMap<String, Vec<u8>> = (0..3).map(|f| (format!("part-{f}"), contents(n, f))).collect();
        for (name, bytes) in files {
            assert_eq!(fs::read(object.file(&name).unwrap()).unwrap(), bytes);
        }
    }
    println!("{KILLS} kills, {reached} objects");
    assert!(reached >= 5, "the victims got something done: {reached}");
}
