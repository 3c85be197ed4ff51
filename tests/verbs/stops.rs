//! Runs that are stopped or killed, and go on.
#![cfg(unix)]

use crate::{RUN, STAGES, command, exp, folder, json};
use emberlab::store::{Attempt, Lease};
use serde_json::Value as Json;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// Starts a command and waits for the first event on its stderr that is wanted.
fn until(folder: &Path, words: &[&str], wanted: impl Fn(&Json) -> bool) -> Child {
    let mut child = command(folder, words).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| serde_json::from_str(&line).is_ok_and(|e| wanted(&e)));
    assert!(found, "the event came");
    // Whoever writes into a pipe that nobody reads waits for ever.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn ask_to_stop(child: &Child) {
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
}

const WATCHED: [&str; 8] = ["run", "small.exp", "--device", "cpu", "--format", "json", "--events", "json"];

#[test]
fn a_condition_on_two_losses_holds_at_the_same_step_after_a_kill() {
    let first = folder(STAGES);
    let plain = exp(first.path(), &[&WATCHED[..], &["--until", "pretrain"]].concat());
    let losses: Vec<f64> = plain
        .err
        .lines()
        .filter_map(|line| serde_json::from_str::<Json>(line).ok())
        .filter(|e| e["event"] == "step")
        .map(|e| e["loss"].as_f64().unwrap())
        .collect();
    assert_eq!(losses.len(), 40, "{}", plain.err);
    // The loss after the validation of step 20 that is lower than all of those since, and late.
    let least = |to: usize| losses[20..to].iter().copied().fold(f64::INFINITY, f64::min);
    let at = (24..32).rev().find(|i| losses[*i] < least(*i)).expect("it learns");
    let limit = (losses[at] + least(at)) / 2.0;
    let stages = STAGES
        .replace("budget     = 40 steps", "budget     = 40 steps\n  until = valid.loss < 100 and train.loss < LIMIT");
    let stages = stages.replace("LIMIT", &limit.to_string());
    let words = [&RUN[..], &["--until", "pretrain"]].concat();
    let tokens = |record: &Json| record["stages"]["pretrain"]["tokens"].as_u64().unwrap();
    let whole = folder(&stages);
    let expected = json(whole.path(), &words);
    // It is asked after every eighth step and every validation.
    assert_eq!(tokens(&expected), (at as u64 + 1).next_multiple_of(8) * 8 * 32, "limit {limit} at step {}", at + 1);

    // Killed where the validation is known to the process that dies, and to no report that is still to come.
    let killed = folder(&stages);
    let words = [&WATCHED[..], &["--until", "pretrain"]].concat();
    let mut child = until(killed.path(), &words, |e| e["event"] == "checkpoint" && e["step"] == 22);
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = json(killed.path(), &[&RUN[..], &["--until", "pretrain"]].concat());
    assert_eq!(tokens(&resumed), tokens(&expected));
    assert_eq!(resumed["stages"]["pretrain"]["weights_hash"], expected["stages"]["pretrain"]["weights_hash"]);
}

#[test]
fn a_long_step_is_given_up_on_request() {
    let long = ["--set", "pretrain.batch=8000 documents", "--set", "pretrain.micro_batch=1"];
    let words = [&WATCHED[..], &["--until", "pretrain"], &long].concat();
    let place = folder(STAGES);
    let mut child = until(place.path(), &words, |e| e["event"] == "stage_started");
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    ask_to_stop(&child);
    assert_eq!(child.wait().unwrap().code(), Some(75));
    println!("stopped after {:?}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(10));
    let mut saved = Vec::new();
    let mut folders = vec![place.path().join(".emberlab")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            saved.extend(entry.file_name().to_str().filter(|n| n.starts_with("step-")).map(str::to_owned));
            folders.extend(entry.path().is_dir().then(|| entry.path()));
        }
    }
    assert!(saved.iter().all(|name| name == "step-00000000"), "no step was done: {saved:?}");
}

#[test]
fn a_request_is_answered_at_once_while_data_is_made() {
    let items = "dataset many = tales.stories(documents = 2M documents)\n".to_owned()
        + &STAGES.replace("data       = stories.train", "data       = many");
    let place = folder(&items);
    let mut child = command(place.path(), &["run", "small.exp", "--device", "cpu"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "many: making the dataset"));
    ask_to_stop(&child);
    let asked = Instant::now();
    let answer = "SIGTERM: finishing what is at hand; once more ends at once";
    assert!(lines.any(|line| line == answer) && asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    std::thread::spawn(move || lines.for_each(drop));
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

#[test]
fn the_plan_says_that_a_stage_goes_on_from_a_checkpoint() {
    let place = folder(STAGES);
    let at = place.path();
    let words = [&WATCHED[..], &["--set", "pretrain.budget=4000 steps"]].concat();
    let mut child = until(at, &words, |e| e["event"] == "checkpoint" && e["step"] == 5);
    ask_to_stop(&child);
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let plan = ["plan", "small.exp", "--set", "pretrain.budget=4000 steps"];
    let stages = json(at, &[&plan[..], &["--format", "json"]].concat())["stages"].clone();
    let step = stages[0]["resumes_at"].as_u64().unwrap();
    assert!((5..4000).contains(&step) && stages[1]["resumes_at"].is_null(), "{stages:#}");
    let told = exp(at, &plan).out;
    assert!(told.contains(&format!("goes on from its checkpoint of step {step}")), "{told}");
    // Another stage has nothing to go on from.
    assert!(json(at, &["plan", "small.exp", "--format", "json"])["stages"][0]["resumes_at"].is_null());
}

#[test]
fn a_reproduction_goes_on_where_it_was_stopped() {
    let place = folder(STAGES);
    let at = place.path();
    let record = json(at, &RUN);
    assert_eq!(exp(at, &["pack", "small.exp", "--out", "small.tar.zst"]).code, 0);
    let words = ["reproduce", "small.tar.zst", "--to", "again", "--device", "cpu", "--format", "json"];
    let mut child = command(at, &words).spawn().unwrap();
    let checkpoints = || {
        let objects = at.join("again/.emberlab");
        let mut found = 0;
        let mut folders = vec![objects];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                found += usize::from(entry.file_name().to_string_lossy().starts_with("step-"));
                folders.extend(entry.path().is_dir().then(|| entry.path()));
            }
        }
        found
    };
    let began = Instant::now();
    while checkpoints() == 0 {
        assert!(child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(60), "it trains");
        std::thread::sleep(Duration::from_millis(5));
    }
    ask_to_stop(&child);
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let again = exp(at, &words);
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
    assert!(again.err.contains("going on in again") && again.err.contains("going on from step"), "{}", again.err);
    let verdict: Json = serde_json::from_str(&again.out).unwrap();
    assert_eq!(verdict["level"], "bitwise", "{verdict} {record}");
    assert_eq!(std::fs::read_dir(at.join("again/.emberlab/runs")).unwrap().count(), 1, "it is one run");
}

#[test]
fn the_report_of_a_killed_run_says_that_it_stopped() {
    let place = folder(STAGES);
    let mut child = until(place.path(), &WATCHED, |e| e["event"] == "checkpoint");
    child.kill().unwrap();
    child.wait().unwrap();
    let told = exp(place.path(), &["report", "latest", "--out", "killed.html"]);
    assert_eq!(told.code, 0, "{}", told.err);
    let page = std::fs::read_to_string(place.path().join("killed.html")).unwrap();
    assert!(page.contains(">stopped<") && !page.contains(">running<"), "the status is the true one");
}

#[test]
fn another_process_at_the_same_work_is_named_while_it_is_waited_for() {
    let place = folder(STAGES);
    let plan = json(place.path(), &["plan", "small.exp", "--format", "json"]);
    let stories = plan["datasets"].as_array().unwrap().iter().find(|d| d["name"] == "stories").unwrap();
    let hash = stories["hash"].as_str().unwrap();
    let lock = place.path().join(format!(".emberlab/locks/dataset-{hash}.lock"));
    let Attempt::Taken(lease) = Lease::attempt(&lock).unwrap() else { panic!("nobody else is here") };
    let wanted = format!("waiting for dataset `stories`, which process {} on ", std::process::id());
    let mut child = until(place.path(), &WATCHED, |e| {
        e["event"] == "notice" && e["text"].as_str().is_some_and(|text| text.starts_with(&wanted))
    });
    drop(lease);
    assert!(child.wait().unwrap().success(), "it goes on once it may");
}
