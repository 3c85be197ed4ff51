//! `exp coordinates`: the standard parametrisation fails, muP passes.

use crate::{exp, folder};
use serde_json::Value as Json;

/// Networks with heads of one size, of which wider ones have more; and with four heads, which grow.
const NETWORKS: &str = r#"
model more : decoder { layers = 2, heads = width / 16, width = 64, context = 32 tokens, activation = gelu }
model taller : decoder { layers = 2, heads = 4, width = 64, context = 32 tokens, activation = gelu }
model more_mup from more { mup = mup(base_width = 64) }
model taller_mup from taller { mup = mup(base_width = 64, base_head_dim = 16) }
model taller_alone from taller { mup = mup(base_width = 64) }

let quick : optimizer = adamw(lr = 5e-3)

stage a : next_token {
  model = more, tokenizer = pieces, data = stories.train, budget = 9 steps, optimizer = quick
}
stage b : next_token {
  model = more_mup, tokenizer = pieces, data = stories.train, budget = 9 steps, optimizer = quick
}
stage c : next_token {
  model = taller_mup, tokenizer = pieces, data = stories.train, budget = 9 steps, optimizer = quick
}
stage f : next_token {
  model = taller_alone, tokenizer = pieces, data = stories.train, budget = 9 steps, optimizer = quick
}
stage g : next_token {
  init = b, data = stories.train, budget = 9 steps, optimizer = quick, precision = mixed_bf16
}
stage d : sft { init = b, data = questions.train, budget = 9 steps, optimizer = quick, adapter = lora() }
"#;

fn check(at: &std::path::Path, stage: &str, more: &[&str]) -> (i32, Json) {
    let words = ["coordinates", "small.exp", stage, "--device", "cpu", "--format", "json"];
    let ran = exp(at, &[&words, more].concat());
    let json = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}\n{}", ran.out, ran.err));
    (ran.code, json)
}

/// What is said of one kind of place after the last step.
fn last<'a>(json: &'a Json, place: &str) -> &'a Json {
    let rows = json["coordinates"].as_array().unwrap();
    rows.iter().rfind(|row| row["place"] == place).unwrap()
}

#[test]
fn the_standard_parametrisation_grows_with_the_width_and_mup_does_not() {
    let folder = folder(NETWORKS);
    let at = folder.path();
    let (code, standard) = check(at, "a", &[]);
    assert_eq!((code, standard["holds"].as_bool()), (4, Some(false)), "{standard:#}");
    let widths: Vec<u64> =
        standard["networks"].as_array().unwrap().iter().map(|n| n["width"].as_u64().unwrap()).collect();
    assert_eq!(widths, [64, 128, 256]);
    for place in ["attention output", "feed-forward output", "logits"] {
        assert_eq!(last(&standard, place)["verdict"], "grows", "{place}: {standard:#}");
    }
    assert!(last(&standard, "logits")["change_exponent"].as_f64().unwrap() > 0.4, "{standard:#}");
    assert_eq!(last(&standard, "embedding")["verdict"], "flat", "{standard:#}");
    let (_, fresh) = check(at, "g", &["--steps", "1", "--seeds", "1"]);
    let notes: Vec<&str> = fresh["notes"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[0].contains("not those that `b` leaves") && notes[1].contains("f32, not in `mixed_bf16`"),
        "{notes:?}"
    );
    let told = exp(at, &["check", "small.exp", "--format", "concise"]).err;
    let warned: Vec<&str> = told.lines().filter(|line| line.contains("W1015")).collect();
    assert!(warned.len() == 1 && warned[0].contains("heads of `taller_alone` grow"), "{told}");
    for stage in ["b", "c"] {
        let (code, mup) = check(at, stage, &[]);
        assert_eq!((code, mup["holds"].as_bool()), (0, Some(true)), "{mup:#}");
    }
}

#[test]
fn every_optimizer_keeps_the_size_of_coordinates_under_mup() {
    let folder = folder(NETWORKS);
    let at = folder.path();
    for optimizer in [
        "lion(lr = 3e-3)",
        "muon(lr = 0.02)",
        "muon(lr = 0.02, scale = rms)",
        "adafactor(lr = 0.05)",
        // Clipping would make all gradients of one size.
        "sgd(lr = 0.1)",
    ] {
        let set = format!("b.optimizer={optimizer}");
        let more = ["--set", &set, "--set", "b.clip=none"];
        let (code, json) = check(at, "b", &more);
        assert_eq!(code, 0, "{optimizer}: {json:#}");
        let set = format!("a.optimizer={optimizer}");
        let (code, json) = check(at, "a", &["--set", &set, "--set", "a.clip=none"]);
        assert_eq!(code, 4, "{optimizer}: {json:#}");
    }
}

#[test]
fn what_fails_is_told_what_to_change() {
    let folder = folder(NETWORKS);
    for (stage, help) in [("a", "`mup = mup(base_width = …)`"), ("f", "`base_head_dim`")] {
        let ran = exp(folder.path(), &["coordinates", "small.exp", stage, "--device", "cpu"]);
        assert!(ran.code == 4 && ran.out.contains(help), "{stage}: {} {}", ran.code, ran.out);
    }
}

#[test]
fn what_cannot_be_tried_is_said() {
    let folder = folder(NETWORKS);
    let at = folder.path();
    let adapted = exp(at, &["coordinates", "small.exp", "d"]);
    assert_eq!(adapted.code, 2, "{}", adapted.err);
    assert!(adapted.err.contains("trains adapters"), "{}", adapted.err);
    let unknown = exp(at, &["coordinates", "small.exp", "e"]);
    assert_eq!(unknown.code, 2, "{}", unknown.err);
    assert!(unknown.err.contains("there is no stage `e`"), "{}", unknown.err);
    let one = exp(at, &["coordinates", "small.exp", "a", "--widths", "64,64"]);
    assert_eq!(one.code, 2, "{}", one.err);
    // 24 numbers cannot be shared among heads of 16.
    let odd = exp(at, &["coordinates", "small.exp", "a", "--widths", "24,64"]);
    assert_eq!(odd.code, 1, "{}", odd.err);
}
