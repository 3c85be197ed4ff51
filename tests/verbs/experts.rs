//! Mixtures of experts, from the text of an experiment to its result and back from an export.

use crate::{RUN, exp, folder, json};
use serde_json::{Value as Json, json};

const MIXED: &str = r#"
model mixed from teller {
  layers  = 2
  experts = experts(count = 4, hidden = 48, balance = 0.02, z_loss = 0.001)
}

model sparse from mixed {
  qk_norm = head
  experts = experts(count = 4, active = 1, hidden = 48, renormalize = false, every = 2)
}

model other from mixed { norm = layer }

stage first : next_token {
  model = mixed, tokenizer = pieces, data = stories.train, budget = 6 steps, batch = 4 documents
  optimizer = muon(rest = adamw(lr = 1e-3)), validate = every(3 steps, on = stories.valid), ema = 0.5, recompute = true
}

stage second : sft {
  init = first, data = questions.train, budget = 3 steps, batch = 4 documents
  adapter = lora(rank = 2, on = [query, output])
}

stage third : next_token { model = sparse, tokenizer = pieces, data = stories.train, budget = 2 steps, batch = 4 documents }

stage fourth : next_token { model = other, tokenizer = pieces, data = stories.train, budget = 1 steps, batch = 4 documents }
"#;

fn read(path: &std::path::Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn experts_are_planned_trained_exported_and_read_back() {
    let place = folder(MIXED);
    let at = place.path();
    let plan = json(at, &["plan", "small.exp", "--format", "json"]);
    let stage = &plan["stages"][0];
    let (all, active) = (&stage["parameters"], &stage["active_parameters"]);
    // Two of four experts of three matrices rest, in each of two blocks.
    assert_eq!(all.as_u64().unwrap() - active.as_u64().unwrap(), 2 * 2 * 3 * 32 * 48);
    let told = exp(at, &["plan", "small.exp"]).out;
    for part in [
        "2 of 4 experts a token",
        "of which a token uses",
        "2 blocks with 4 experts each ×",
        "on a GPU, which computes every expert",
        "1 block × ",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }

    let ran = exp(at, &[RUN.as_slice(), &["--events", "json"]].concat());
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
    let events: Vec<Json> = ran.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |stage: &str, field: &str| -> Vec<f64> {
        let steps = events.iter().filter(|e| e["event"] == "step" && e["stage"] == stage);
        steps.map(|e| e[field].as_f64().unwrap_or(f64::NAN)).collect()
    };
    for stage in ["first", "second"] {
        assert!(of(stage, "balance_loss").iter().all(|x| *x > 0.03 && *x < 0.2), "{:?}", of(stage, "balance_loss"));
        assert!(
            of(stage, "busiest_expert").iter().all(|x| *x >= 0.25 && *x <= 0.5),
            "{:?}",
            of(stage, "busiest_expert")
        );
    }

    // The record has what the last tenth of the steps had: here the last one.
    let record: Json = serde_json::from_str(&ran.out).unwrap();
    let experts = &record["stages"]["first"]["experts"];
    for (field, logged) in [("balance_loss", "balance_loss"), ("busiest", "busiest_expert")] {
        assert_eq!(experts[field].as_f64(), of("first", logged).last().copied(), "{experts}");
    }
    let report = record["run"].as_str().unwrap();
    let report = std::fs::read_to_string(at.join(".emberlab/runs").join(report).join("report.html")).unwrap();
    assert!(report.contains("busiest expert"));

    let lines = "The owl sat in the tree.\nNobody knew where the fox went.\n";
    for (stage, family, expected) in
        [("second", "mixtral", json!([4, 2, 48, 0.02])), ("third", "qwen3_moe", json!([4, 1, 48, 0.01]))]
    {
        let model = format!("latest.{stage}");
        let told = json(at, &["export", &model, "--to", family, "--format", "json"]);
        assert_eq!(told["family"], family);
        let card = std::fs::read_to_string(at.join(family).join("README.md")).unwrap();
        assert!(card.contains("of which a token uses"), "{card}");
        let config = read(&at.join(family).join("config.json"));
        let names = match family {
            "mixtral" => ["num_local_experts", "intermediate_size"],
            _ => ["num_experts", "moe_intermediate_size"],
        };
        let fields = [names[0], "num_experts_per_tok", names[1], "router_aux_loss_coef"].map(|name| &config[name]);
        assert_eq!(json!(fields), expected);
        let of = |model: &str| {
            let ran = crate::pretrained::with_input(at, &["logprobs", model, "--device", "cpu"], lines);
            assert_eq!(ran.code, 0, "{}", ran.err);
            ran.out
        };
        assert_eq!(of(&model), of(family), "what was exported computes the same");
    }
    let refused = exp(at, &["export", "latest.fourth", "--to", "other"]);
    assert!(refused.err.contains("the nearest, Mixtral, has no `norm = layer`"), "{}", refused.err);
}

#[test]
fn value_embeddings_are_trained_and_no_family_has_them() {
    let place = folder(
        "model valued from teller { layers = 2, value_embeddings = value_embeddings(every = 2, channels = 16) }\n\
         stage first : next_token { model = valued, tokenizer = pieces, data = stories.train, budget = 3 steps, batch = 4 \
         documents, optimizer = muon(rest = adamw(lr = 1e-3)) }\n",
    );
    let at = place.path();
    let told = exp(at, &["plan", "small.exp"]).out;
    // 384 · 32, and two heads that see 16 numbers each.
    assert!(told.contains("values 12,320"), "{told}");
    // Nobody has to train it first to learn that.
    let line = "first: `valued` will not be exported: no family of `transformers` has this combination";
    assert!(told.contains(line) && told.contains("has no `value_embeddings`"), "{told}");
    let kept = json(at, &["plan", "small.exp", "--format", "json"])["not_exportable"].clone();
    assert_eq!((&kept[0]["model"], &kept[0]["stages"]), (&json!("valued"), &json!(["first"])), "{kept}");
    assert_eq!(exp(at, &RUN).code, 0);
    let refused = exp(at, &["export", "latest.first", "--to", "other"]);
    assert!(refused.err.contains("the nearest, Llama, has no `value_embeddings`"), "{}", refused.err);
}

#[test]
fn nonsense_is_told() {
    for (experts, code, part) in [
        ("experts = experts(count = 4, active = 5)", "E0402", "a token cannot go through more experts than there are"),
        ("experts = experts(count = 4), bias = true", "E0402", "experts have no bias vectors"),
        ("value_embeddings = value_embeddings(every = 0)", "E0401", "1..=512"),
        ("experts = experts(count = 1)", "E0401", "2..=4_096"),
        ("experts = experts(count = 4, hidden = 0)", "E0401", "1..=1_048_576"),
        ("experts = experts(count = 4, active = 0)", "E0401", "1..=4_096"),
    ] {
        let place = folder(&format!("model mixed from teller {{ {experts} }}\n"));
        let told = exp(place.path(), &["check", "small.exp"]);
        assert!(
            told.code != 0 && told.err.contains(code) && told.err.contains(part),
            "{experts}\n{}{}",
            told.out,
            told.err
        );
    }
}
