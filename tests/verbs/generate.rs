//! `exp generate`: scales, and texts beyond the context.

use crate::{RUN, STAGES, exp, folder, json, trained};

fn text(words: &[&str]) -> String {
    let (at, run, _) = trained();
    let stage = format!("{run}.pretrain");
    let mut all = vec!["generate", &stage, "--prompt", "Once", "--device", "cpu"];
    all.extend(if words.contains(&"--max-tokens") { &[][..] } else { &["--max-tokens", "12"] });
    all.extend(words);
    let ran = exp(at, &all);
    assert_eq!(ran.code, 0, "{words:?}: {}", ran.err);
    ran.out
}

#[test]
fn zero_is_off_for_top_k_and_greedy_for_the_others() {
    let plain = text(&["--seed", "4"]);
    assert_eq!(text(&["--seed", "4", "--top-k", "0"]), plain);
    assert_eq!(text(&["--seed", "4", "--top-p", "1"]), plain);
    let greedy = text(&["--temperature", "0"]);
    assert_eq!(text(&["--temperature", "0", "--seed", "9", "--top-k", "0"]), greedy);
    assert_eq!(text(&["--top-k", "1", "--seed", "9"]), greedy);
    assert_eq!(text(&["--top-p", "0", "--seed", "9"]), greedy);
    assert_ne!(plain, greedy);
    assert_eq!(text(&["--seed", "4", "--min-p", "0", "--repetition-penalty", "1"]), plain);
    assert_eq!(text(&["--min-p", "1", "--seed", "9"]), greedy);
    assert_ne!(text(&["--temperature", "0", "--repetition-penalty", "5"]), greedy);
}

#[test]
fn a_text_ends_before_a_stop_text_wherever_its_tokens_part() {
    let seeds: Vec<String> = (0..20).map(|seed| seed.to_string()).collect();
    let long = seeds.iter().find_map(|seed| {
        let whole = text(&["--seed", seed, "--max-tokens", "40"]).trim_end_matches('\n').to_owned();
        (whole.chars().count() > 25 && !whole.contains('\u{fffd}')).then_some((seed.as_str(), whole))
    });
    let (seed, whole) = long.expect("some text is long enough");
    let chars: Vec<char> = whole.chars().collect();
    for (from, to) in [(3, 4), (5, 9), (7, 14)] {
        let stop: String = chars[from..to].iter().collect();
        let before = &whole[..whole.find(&stop).unwrap()];
        let other = ["--stop", "no such text"];
        let words = ["--seed", seed, "--max-tokens", "40", "--stop", &stop];
        assert_eq!(text(&[&words[..], &other].concat()), format!("{before}\n"), "{stop:?}");
        // Nothing of the stop text is shown before it is known to be one.
        assert_eq!(text(&[&words[..], &["--stream"]].concat()), format!("{before}\n"), "{stop:?}");
    }
    let told = {
        let (at, run, _) = trained();
        let stop: String = chars[5..9].iter().collect();
        let stage = format!("{run}.pretrain");
        let words = ["generate", &stage, "--prompt", "Once", "--seed", seed, "--device", "cpu", "--stop", &stop];
        json(at, &[&words[..], &["--format", "json"]].concat())
    };
    assert_eq!(told["finish"], "stop");
    assert!(told["tokens"].as_u64().unwrap() > 0, "{told}");
}

#[test]
fn a_stream_is_the_text_and_json_is_whole() {
    for words in [&["--seed", "4"][..], &["--temperature", "0"], &["--seed", "5", "--temperature", "3"]] {
        assert_eq!(text(&[words, &["--stream"]].concat()), text(words));
    }
    let (at, run, _) = trained();
    let ran = exp(at, &["generate", run, "--prompt", "x", "--stream", "--format", "json"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("`--stream` shows text as it comes, and JSON is one document"), "{}", ran.err);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_text_cleanly() {
    use std::io::Read;
    let (at, run, _) = trained();
    let stage = format!("{run}.pretrain");
    // Its first word never ends a text by itself that early, and nobody waits for ten million tokens.
    let words = ["generate", &stage, "--prompt", "Once", "--device", "cpu", "--max-tokens", "10000000"];
    let mut child = crate::command(at, &[&words[..], &["--stream", "--temperature", "2.5"]].concat()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut text = vec![0; 1];
    out.read_exact(&mut text).unwrap();
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    out.read_to_end(&mut text).unwrap();
    let code = child.wait().unwrap().code();
    let text = String::from_utf8(text).expect("whole characters");
    assert!(text.ends_with('\n'), "{text:?}");
    // A text that ended before it could be interrupted is done.
    assert!(code == Some(130) || (code == Some(0) && text.len() < 2_000), "{code:?} {}", text.len());
}

#[test]
fn values_off_the_scale_are_refused_one_by_one() {
    let (at, run, _) = trained();
    for (words, expected) in [
        (["--temperature", "-1"], "`--temperature` is 0 or more, and not -1"),
        (["--temperature", "NaN"], "`--temperature` is 0 or more, and not NaN"),
        (["--temperature", "inf"], "`--temperature` is 0 or more, and not inf"),
        (["--top-p", "-0.1"], "`--top-p` lies between 0 and 1, and -0.1 does not"),
        (["--top-p", "1.5"], "`--top-p` lies between 0 and 1, and 1.5 does not"),
        (["--top-p", "nan"], "`--top-p` lies between 0 and 1, and NaN does not"),
        (["--top-k", "-1"], "invalid value '-1' for '--top-k"),
        (["--min-p", "-0.1"], "`--min-p` lies between 0 and 1, and -0.1 does not"),
        (["--min-p", "2"], "`--min-p` lies between 0 and 1, and 2 does not"),
        (["--repetition-penalty", "0"], "`--repetition-penalty` is more than 0, and not 0"),
        (["--stop", ""], "`--stop` needs a text"),
    ] {
        let ran = exp(at, &["generate", run, "--prompt", "x", words[0], words[1]]);
        assert_eq!(ran.code, 2, "{words:?}");
        assert!(ran.err.contains(expected) && ran.out.is_empty(), "{words:?}: {}", ran.err);
    }
}

#[test]
fn a_network_with_more_rows_than_the_tokenizer_writes_only_tokens() {
    let place = folder(
        &STAGES
            .replace("model      = teller", "model = roomy")
            .replace("\nstage pretrain", "\nmodel roomy from teller { vocab = 5_000 }\n\nstage pretrain"),
    );
    let record = json(place.path(), &[&RUN[..], &["--set", "pretrain.budget=2 steps"]].concat());
    assert_eq!(record["status"], "done");
}

#[test]
fn a_text_goes_on_beyond_the_context_and_says_so() {
    let (at, run, _) = trained();
    let stage = format!("{run}.pretrain");
    let words = ["generate", &stage, "--prompt", "Once", "--temperature", "0", "--device", "cpu", "--max-tokens"];
    let long = exp(at, &[&words[..], &["100"]].concat());
    assert_eq!(long.code, 0, "{}", long.err);
    assert!(long.err.contains("longer than the model's context of 32 tokens; each time it was full"), "{}", long.err);
    let short = exp(at, &[&words[..], &["10"]].concat());
    assert!(short.err.is_empty(), "{}", short.err);
    let start = short.out.trim_end();
    assert!(long.out.starts_with(start) && long.out.len() > 4 * start.len(), "{start:?} {:?}", long.out);
}

#[test]
fn of_a_long_prompt_the_end_counts_and_a_chat_is_not_cut() {
    let (at, run, _) = trained();
    let prompt = "A fox lives in the wood and eats berries. ".repeat(20);
    let words = ["--prompt", &prompt, "--max-tokens", "4", "--device", "cpu"];
    let stage = format!("{run}.pretrain");
    let ran = exp(at, &[&["generate", stage.as_str()][..], &words].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("the prompt is longer than the model's context of 32 tokens; its first "), "{}", ran.err);
    let told = json(at, &[&["generate", stage.as_str(), "--format", "json"][..], &words].concat());
    assert!(told["prompt_cut"].as_u64().unwrap() > 0, "{told}");

    let chat = exp(at, &[&["generate", &format!("{run}.tuned")][..], &words].concat());
    assert_eq!(chat.code, 3);
    assert!(
        chat.err.contains("with those of its chat template, and the model's context is 32; shorten it"),
        "{}",
        chat.err
    );
}
