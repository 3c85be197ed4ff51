//! `exp chat`, scripted: a line of stdin is a message.

use crate::{Ran, command, exp, trained};
use serde_json::Value as Json;
use std::io::Write;
use std::process::Stdio;

fn talk(words: &[&str], lines: &str) -> Ran {
    let (at, run, _) = trained();
    let stage = format!("{run}.tuned");
    let mut all = vec!["chat", &stage, "--device", "cpu", "--temperature", "0", "--max-tokens", "6"];
    all.extend(words);
    let mut child = command(at, &all).stdin(Stdio::piped()).spawn().unwrap();
    // A program that refuses its words reads no input.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The conversation in JSON.
fn messages(words: &[&str], lines: &str) -> (Vec<(String, String)>, Json) {
    let ran = talk(&[words, &["--format", "json"]].concat(), lines);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let json: Json = serde_json::from_str(&ran.out).unwrap();
    let text = |message: &Json, what: &str| message[what].as_str().unwrap().to_owned();
    let all = json["messages"].as_array().unwrap().iter();
    (all.map(|m| (text(m, "role"), text(m, "content"))).collect(), json)
}

#[test]
fn each_line_is_answered_and_the_first_as_by_generate() {
    let (at, run, _) = trained();
    let (all, json) = messages(&[], "Where?\n\nWho?\n");
    let roles: Vec<&str> = all.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"], "{json}");
    assert_eq!((all[0].1.as_str(), all[2].1.as_str()), ("Where?", "Who?"));
    let stage = format!("{run}.tuned");
    let words =
        ["generate", &stage, "--prompt", "Where?", "--temperature", "0", "--max-tokens", "6", "--device", "cpu"];
    let generated = exp(at, &words);
    assert_eq!(generated.out.trim(), all[1].1);
    // People see the answers alone, a line each where they have no line breaks.
    let shown = talk(&[], "Where?\n\nWho?\n");
    assert_eq!(
        shown.out.replace(char::is_whitespace, ""),
        format!("{}{}", all[1].1, all[3].1).replace(char::is_whitespace, "")
    );
}

#[test]
fn a_reset_begins_anew_and_quit_ends() {
    let (all, _) = messages(&[], "Where?\n/reset\nWhere?\n/quit\nWho?\n");
    let (once, _) = messages(&[], "Where?\n");
    assert_eq!(all, once);
}

#[test]
fn a_system_message_comes_first_and_is_read() {
    let (all, _) = messages(&["--system", "Be short."], "Where?\n");
    assert_eq!(all[0], ("system".to_owned(), "Be short.".to_owned()));
    assert_eq!(all.len(), 3);
    let (reset, _) = messages(&["--system", "Be short."], "Where?\n/reset\nWhere?\n");
    assert_eq!(reset, all);
}

#[test]
fn of_a_long_conversation_the_oldest_turns_are_left_out() {
    let lines = "Where is the fox?\n".repeat(6);
    let ran = talk(&[], &lines);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told = "the conversation and room for an answer are more than the model's context of 32 tokens; its first ";
    assert!(ran.err.contains(told), "{}", ran.err);
    let (all, json) = messages(&["--system", "Ha."], &lines);
    assert_eq!(all.len(), 13, "nothing of the conversation itself is lost");
    let dropped = json["dropped"].as_u64().unwrap();
    assert!(dropped >= 2 && dropped.is_multiple_of(2), "whole turns: {dropped}");
    let long = talk(&[], &"Where is the fox? ".repeat(20));
    assert_eq!((long.code, long.out.as_str()), (3, ""));
    assert!(long.err.contains("and the model's context is 32; shorten it"), "{}", long.err);
}

#[test]
fn a_conversation_is_saved_as_jsonl() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talk.jsonl");
    let (all, _) = messages(&["--system", "Ha."], &format!("Where?\n/save {}\n", file.display()));
    let saved = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Json> = saved.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<(String, String)> = lines
        .iter()
        .map(|m| (m["role"].as_str().unwrap().to_owned(), m["content"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(lines, all);
    let ran = talk(&[], "/save /nowhere/at/all/talk.jsonl\n");
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("cannot write /nowhere/at/all/talk.jsonl"), "{}", ran.err);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let ran = talk(&[], "/rest\n");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("there is no command `/rest`") && ran.err.contains("`/reset` begins anew"), "{}", ran.err);
    let (at, run, _) = trained();
    let ran = exp(at, &["chat", &format!("{run}.pretrain")]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("`pretrain` has no chat template"), "{}", ran.err);
    assert!(ran.err.contains("`exp generate` writes with `pretrain`"), "{}", ran.err);
}
