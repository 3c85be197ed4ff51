//! A small experiment as the checker hands it over, to be changed and planned.

use emberlab::check::{Checked, CheckedCondition, CheckedItem, Gaps, Leaf, Origin};
use emberlab::diagnostics::Problems;
use emberlab::plan::spec::Groups;
use emberlab::plan::{KnownCounts, Plan, Selection, Uncounted, plan_with};
use emberlab::source::{MemoryWorld, Sources, Span, path};
use emberlab::syntax::ast::Kind;
use emberlab::types::core::{Constant, Core, Op};
use serde_json::{Map, Value as Json, json};

/// Items in the order of the file, conditions, and the files around it.
#[derive(Clone)]
pub struct Lab {
    pub folder: String,
    pub items: Vec<(Kind, String, Json)>,
    pub expects: Vec<Core>,
    pub claims: Vec<(String, Core, f64)>,
    /// Data files, relative to the folder.
    pub files: Vec<(String, String)>,
    /// Order of keys in the JSON of every item.
    pub backwards: bool,
}

impl Lab {
    /// Stories and questions; a tokenizer; a pretrained, then tuned model; two evaluations and an audit.
    pub fn storyteller() -> Lab {
        let text = |files: &str| json!({"is": "text", "files": files, "license": "CC0-1.0", "document": "file"});
        let keep = json!({"is": "keep", "input": text("data/stories/*.txt"), "because": "too short", "rule": {
            "param": "doc", "body": {"binary": {"op": "greater",
                "left": {"field": {"of": {"arg": "doc"}, "name": "words"}}, "right": {"const": 20}}}}});
        let dedup = json!({"is": "dedup", "input": {"is": "redact", "input": keep, "kinds": ["emails", "phones"]},
            "near": 0.8});
        let stories = json!({"is": "split", "input": dedup, "parts": {"train": 0.96, "valid": 0.04}, "by": "hash"});
        let questions = json!({"is": "jsonl", "files": "data/questions.jsonl", "text": "text", "prompt": "question",
            "response": "answer", "license": null});
        let pairs = json!({"is": "pairs", "templates": ["the {group} works"], "license": null,
            "contrasts": [{"name": "gender", "first": ["man"], "second": ["woman"]}]});
        let tiny = json!({"is": "decoder", "layers": 6, "heads": 6, "kv_heads": 6, "width": 384, "head_dim": 64,
            "hidden": 1024, "context": 256, "vocab": null, "norm": "rms", "norm_place": "before",
            "norm_epsilon": 1e-5, "qk_norm": "absent", "position": "rotary", "rope_theta": 10000.0, "rope_scaling": null,
            "nope_every": null, "window": null, "global_every": null, "activation": "swiglu", "experts": null, "value_embeddings": null,
            "bias": false,
            "qkv_bias": false, "logit_cap": null, "tied": true, "dropout": 0.0,
            "init_std": 0.02, "init_scaled": true, "init_kind": null, "mup": null});
        let pretrain = json!({"is": "next_token", "training": stage(json!({
            "model": reference("teller"), "tokenizer": reference("words"),
            "data": named("stories", Some("train")), "budget": amount(1e7, "tokens"), "batch": amount(16384.0, "tokens"),
            "validate": {"period": amount(100.0, "steps"), "on": named("stories", Some("valid")), "tokens": null},
            "keep": {"is": "best", "by": {"measure": ["valid", "loss"]}}, "clip": 1.0})),
            "apart": false});
        let tuned = json!({"is": "sft",
            "training": stage(json!({"init": reference("pretrain"), "data": named("questions", None),
                "budget": amount(3.0, "epochs"), "batch": amount(8.0, "documents"), "seed": 1})),
            "template": {"jinja": "{{ messages }}", "stop": ["<|user|>"]}, "packed": true});
        let metric = |name: &str| json!({"is": name});
        let decoding = json!({"max_tokens": 64, "temperature": 0.0, "top_k": null, "top_p": 1.0, "min_p": 0.0,
            "repetition_penalty": 1.0, "stop": [], "seed": 0});
        let eval = |of: &[&str], on: Json, metrics: Vec<Json>| {
            let of: Vec<Json> = of.iter().map(|s| reference(s)).collect();
            json!({"of": of, "on": on, "metrics": metrics, "limit": null, "decoding": decoding, "template": null})
        };
        let mut rouge = metric("rouge_l");
        rouge["stem"] = json!(true);
        let measure = |path: &[&str]| Core::Measure(path.iter().map(|p| (*p).to_owned()).collect());
        let less =
            |left: Core, right: Core| Core::Binary { op: Op::Less, left: Box::new(left), right: Box::new(right) };
        let items = [
            (
                Kind::Experiment,
                "storyteller",
                json!({"language": 1, "seed": 42, "license": "MIT", "authors": ["A"],
                "description": null}),
            ),
            (Kind::Dataset, "stories", stories),
            (Kind::Dataset, "questions", questions),
            (
                Kind::Tokenizer,
                "words",
                json!({"is": "bpe", "train_on": named("stories", Some("train")), "vocab": 4096,
                "pattern": "gpt2", "min_frequency": 2, "special": []}),
            ),
            (Kind::Model, "teller", tiny),
            (Kind::Stage, "pretrain", pretrain),
            (Kind::Stage, "tuned", tuned),
            (
                Kind::Eval,
                "fluency",
                eval(&["pretrain", "tuned"], named("stories", Some("valid")), vec![metric("perplexity")]),
            ),
            (Kind::Eval, "answers", eval(&["tuned"], named("questions", None), vec![rouge])),
            (Kind::Eval, "fairness", eval(&["tuned"], pairs, vec![metric("preference_gap")])),
        ];
        Lab {
            folder: String::new(),
            items: items.into_iter().map(|(kind, name, json)| (kind, name.to_owned(), json)).collect(),
            expects: vec![less(measure(&["fluency", "pretrain", "perplexity"]), Core::Const(Constant::Int(30)))],
            claims: vec![(
                "tuning_helps".into(),
                less(measure(&["answers", "tuned", "rouge_l"]), measure(&["pretrain", "valid", "loss"])),
                0.95,
            )],
            files: [
                ("data/stories/a.txt", "Once upon a time"),
                ("data/stories/b.txt", "there was a fox"),
                ("data/questions.jsonl", "{\"question\": \"who?\", \"answer\": \"a fox\"}\n"),
            ]
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .to_vec(),
            backwards: false,
        }
    }

    /// The JSON of an item.
    pub fn item(&mut self, name: &str) -> &mut Json {
        let found = self.items.iter_mut().find(|(_, n, _)| n == name);
        &mut found.unwrap_or_else(|| panic!("no item {name}")).2
    }

    /// What every training stage has, of a stage.
    pub fn common(&mut self, name: &str) -> &mut Json {
        &mut self.item(name)["training"]
    }

    pub fn add(&mut self, kind: Kind, name: &str, json: Json) {
        self.items.push((kind, name.to_owned(), json));
    }

    /// As the checker would hand it over, with a text in which every leaf has a line.
    pub fn checked(&self) -> Checked {
        let mut text = String::new();
        let mut found = Vec::new();
        for (kind, name, json) in &self.items {
            let start = text.len();
            text.push_str(&format!("{} {name} {{\n", kind.keyword()));
            let head = (start, text.len() - 1);
            let mut leaves = Vec::new();
            walk(json, "", &mut |path, shown| {
                text.push_str("  ");
                let from = text.len();
                text.push_str(&format!("{path} = {shown}"));
                leaves.push((path.to_owned(), shown, (from, text.len())));
                text.push('\n');
            });
            text.push_str("}\n");
            found.push((*kind, name, json, head, leaves));
        }
        let mut sources = Sources::default();
        let path = if self.folder.is_empty() { "tiny.exp".to_owned() } else { format!("{}/tiny.exp", self.folder) };
        let main = sources.add(path, text).id;
        let span = |(start, end): (usize, usize)| Span::new(main, start, end);
        let items = found
            .into_iter()
            .map(|(kind, name, json, head, leaves)| CheckedItem {
                kind,
                name: name.clone(),
                schema: json["is"].as_str().unwrap_or(kind.keyword()).to_owned(),
                json: if self.backwards { reversed(&self.resolved(json)) } else { self.resolved(json) },
                leaves: leaves
                    .into_iter()
                    .map(|(path, shown, place)| Leaf { path, shown, span: span(place), origin: Origin::Set })
                    .collect(),
                span: span(head),
                own: true,
                places: Vec::new(),
                gaps: Gaps::default(),
            })
            .collect();
        let condition = |name: Option<&String>, condition: &Core, confidence| CheckedCondition {
            name: name.cloned(),
            text: "as written".into(),
            condition: condition.clone(),
            confidence,
            span: Span::new(main, 0, 0),
        };
        Checked {
            sources,
            main,
            name: Some("storyteller".into()),
            items,
            expects: self.expects.iter().map(|e| condition(None, e, None)).collect(),
            claims: self.claims.iter().map(|(n, c, p)| condition(Some(n), c, Some(*p))).collect(),
            sweeps: Vec::new(),
            params: Vec::new(),
        }
    }

    /// With patterns seen from the world, as the checker resolves them.
    fn resolved(&self, json: &Json) -> Json {
        match json {
            Json::Array(items) => Json::Array(items.iter().map(|i| self.resolved(i)).collect()),
            Json::Object(o) => Json::Object(
                o.iter()
                    .map(|(key, value)| match value {
                        Json::String(files) if key == "files" => (key.clone(), json!(path::join(&self.folder, files))),
                        _ => (key.clone(), self.resolved(value)),
                    })
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    pub fn world(&self) -> MemoryWorld {
        let mut world = MemoryWorld::default();
        for (path, text) in &self.files {
            world.insert(&if self.folder.is_empty() { path.clone() } else { format!("{}/{path}", self.folder) }, text);
        }
        world
    }

    pub fn planned(&self) -> Result<Plan, Problems> {
        self.counted(&Uncounted)
    }

    pub fn counted(&self, counts: &dyn KnownCounts) -> Result<Plan, Problems> {
        plan_with(&self.checked(), &self.world(), &Selection::default(), counts)
    }

    pub fn plan(&self) -> Plan {
        self.planned().unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    /// Problems as `E0000 line: message / label / …`.
    pub fn problems(&self) -> Vec<String> {
        let checked = self.checked();
        let Err(problems) = self.planned() else { return Vec::new() };
        let line = |span| checked.sources.text(span).split(" = ").next().unwrap_or("").to_owned();
        problems
            .sorted()
            .into_iter()
            .map(|p| {
                let labels: Vec<String> =
                    p.labels.iter().map(|l| format!("[{}] {}", line(l.span), l.text).trim_end().to_owned()).collect();
                format!("{} {}\n  {}", p.code, p.message, labels.join("\n  "))
            })
            .collect()
    }
}

pub fn reference(name: &str) -> Json {
    json!({"ref": name})
}

pub fn named(name: &str, split: Option<&str>) -> Json {
    let mut dataset = reference(name);
    if let Some(split) = split {
        dataset["split"] = json!(split);
    }
    json!({"is": "named", "dataset": dataset})
}

pub fn amount(amount: f64, unit: &str) -> Json {
    json!({"amount": amount, "unit": unit})
}

/// What every training stage has: defaults, and `fields` over them.
pub fn stage(fields: Json) -> Json {
    let mut all = json!({"model": null, "init": null, "tokenizer": null, "data": null, "budget": null, "batch": null,
        "micro_batch": null, "recompute": false, "precision": null, "adapter": null, "sequence": null,
        "optimizer": {"is": "adamw", "lr": 1e-3, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weight_decay": 0.1},
        "groups": Groups::default(),
        "schedule": {"is": "cosine", "warmup": amount(0.02, "ratio"), "floor": 0.1}, "clip": null, "validate": null,
        "z_loss": 0.0, "ema": null, "growth": null, "on_spike": null, "checkpoints": 2,
        "keep": {"is": "last"}, "until": null, "checkpoint": 100, "seed": 0});
    for (key, value) in fields.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    all
}

/// Leaves of an item as the checker counts them: references, quantities, names of data and expressions are one each.
fn walk(json: &Json, path: &str, leaf: &mut dyn FnMut(&str, String)) {
    let below = |key: &str| match path {
        "" | "training" => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    match json {
        Json::Null => {}
        Json::Object(o) if o.contains_key("amount") => {
            leaf(path, format!("{} {}", o["amount"], o["unit"].as_str().unwrap_or("")));
        }
        Json::Object(o) if o.contains_key("ref") => leaf(path, o["ref"].as_str().unwrap_or("").to_owned()),
        Json::Object(o) if o.contains_key("dataset") => {
            let (name, split) = (&o["dataset"]["ref"], o["dataset"].get("split"));
            let split = split.and_then(Json::as_str).map_or(String::new(), |s| format!(".{s}"));
            leaf(path, format!("{}{split}", name.as_str().unwrap_or("")));
        }
        Json::Object(o) if o.contains_key("measure") || o.contains_key("body") => leaf(path, json.to_string()),
        Json::Object(o) => {
            for (key, value) in o.iter().filter(|(k, _)| *k != "is") {
                walk(value, &below(key), leaf);
            }
        }
        Json::Array(items) if items.iter().any(Json::is_object) => {
            items.iter().enumerate().for_each(|(i, item)| walk(item, &below(&i.to_string()), leaf));
        }
        Json::Array(_) => leaf(path, json.to_string()),
        Json::String(s) => leaf(path, s.clone()),
        other => leaf(path, other.to_string()),
    }
}

fn reversed(json: &Json) -> Json {
    match json {
        Json::Array(items) => Json::Array(items.iter().map(reversed).collect()),
        Json::Object(o) => Json::Object(o.iter().rev().map(|(k, v)| (k.clone(), reversed(v))).collect::<Map<_, _>>()),
        other => other.clone(),
    }
}
