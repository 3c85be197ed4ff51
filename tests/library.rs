//! The standard library reads without a problem, is documented to the last field, and binds to the Rust types of the
//! plan field by field.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test reads the tree, and fails by panicking"
)]

use emberlab::plan::spec;
use emberlab::source::{FileId, SourceFile};
use emberlab::stdlib;
use emberlab::syntax::ast::{FieldDecl, Item, ItemKind, Member, Module, Schema};
use emberlab::syntax::parse;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::collections::BTreeMap;

/// A library file's tree. Panics with its problems if it has any.
fn read(path: &str, text: &str) -> Module {
    let parsed = parse(&SourceFile::new(FileId(0), path, text));
    let problems: Vec<String> = parsed.problems.iter().map(|p| format!("{path}: {}: {}", p.code, p.message)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    parsed.module
}

fn library() -> Vec<(&'static str, Module)> {
    stdlib::files().map(|(path, text)| (path, read(path, text))).collect()
}

fn fields(schema: &Schema) -> impl Iterator<Item = &FieldDecl> {
    schema.members.iter().filter_map(|m| match m {
        Member::Field(field) => Some(field),
        _ => None,
    })
}

fn schemas(module: &Module) -> impl Iterator<Item = &Schema> {
    module.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Schema(schema) => Some(schema),
        _ => None,
    })
}

/// The name of an item that others can refer to.
fn name(item: &Item) -> Option<&str> {
    Some(match &item.kind {
        ItemKind::Param(p) => &p.name,
        ItemKind::Let(l) | ItemKind::Dataset(l) => &l.name,
        ItemKind::Fn(f) => &f.name,
        ItemKind::Schema(s) => &s.name,
        ItemKind::Decl(d) => &d.name,
        ItemKind::Sweep(s) => &s.name,
        _ => return None,
    })
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    for (path, module) in library() {
        assert!(module.docs.is_some(), "{path} does not say what it is for");
    }
}

#[test]
fn every_item_and_every_field_is_documented() {
    let mut silent = Vec::new();
    for (path, module) in library() {
        for item in &module.items {
            let Some(name) = name(item) else { continue };
            if item.docs.is_none() {
                silent.push(format!("{path}: {name}"));
            }
        }
        for schema in schemas(&module) {
            silent.extend(
                fields(schema).filter(|f| f.docs.is_none()).map(|f| format!("{path}: {}.{}", *schema.name, *f.name)),
            );
        }
    }
    assert!(silent.is_empty(), "without documentation:\n{}", silent.join("\n"));
}

#[test]
fn every_constraint_says_why() {
    for (path, module) in library() {
        for schema in schemas(&module) {
            for member in &schema.members {
                if let Member::Check(check) = member {
                    assert!(check.because.is_some(), "{path}: a constraint of `{}` gives no reason", *schema.name);
                }
            }
        }
    }
}

/// The names of the fields that serde reads into a `T`.
fn asked<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    struct Ask<'a>(&'a mut Vec<&'static str>);
    impl<'de> Deserializer<'de> for Ask<'_> {
        type Error = de::value::Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("only its fields are wanted"))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.extend(fields);
            self.deserialize_any(visitor)
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut names = Vec::new();
    // The error is the point: it ends the reading once the fields are known.
    let _ = T::deserialize(Ask(&mut names));
    names
}

/// Each schema that reaches the plan, with the fields of its Rust type.
fn bound() -> BTreeMap<&'static str, Vec<&'static str>> {
    macro_rules! bind {
        ($($schema:literal $ty:ident)*) => { BTreeMap::from([$(($schema, asked::<spec::$ty>())),*]) };
    }
    bind! {
        "experiment" Experiment
        "text" Text  "jsonl" Jsonl  "preferences" Preferences  "grammar" Grammar  "rule" Rule
        "alternative" Alternative  "pairs" Pairs  "contrast" Contrast  "normalize" Normalize  "strip_html" StripHtml
        "collapse_whitespace" CollapseWhitespace  "keep" Keep  "redact" Redact  "dedup" Dedup  "take" Take
        "shuffle" Shuffle  "mix" Mix  "share" MixPart  "split" Split
        "bpe" Bpe  "characters" Characters  "wordpiece" Wordpiece  "tokenizer_json" TokenizerJson
        "decoder" Decoder  "experts" Experts  "mup" Mup  "value_embeddings" ValueEmbeddings  "rope_linear" RopeLinear  "rope_llama3" RopeLlama3  "rope_yarn" RopeYarn
        "pretrained" Pretrained  "training" Training  "next_token" NextToken  "sft" Sft  "reward_model" RewardModel
        "dpo" Dpo  "ppo" Ppo
        "grpo" Grpo  "template" Template  "lora" Lora  "adamw" Adamw  "sgd" Sgd  "lion" Lion
        "muon" Muon  "adafactor" Adafactor  "soap" Soap  "groups" Groups  "group" Group  "constant" ConstantSchedule
        "linear" LinearSchedule  "cosine" CosineSchedule  "wsd" WsdSchedule
        "inverse_sqrt" InverseSqrtSchedule  "piecewise" PiecewiseSchedule  "point" Point  "growth" Growth  "spike" Spike
        "every" Every  "best" Best  "last" Last
        "eval" Eval  "decoding" Decoding  "perplexity" Perplexity  "bits_per_byte" BitsPerByte  "rouge_1" Rouge1
        "rouge_2" Rouge2  "rouge_l" RougeL  "token_f1" TokenF1  "exact_match" ExactMatch
        "preference_gap" PreferenceGap
        "review" Review
        "sweep" Sweep  "grid" Grid  "random" Random  "sobol" Sobol  "tpe" Tpe  "asha" Asha  "hyperband" Hyperband
        "median" Median
    }
}

/// Schemas that reach the plan through those that extend them, and the one that rules see.
const OPEN: [&str; 12] = [
    "dataset",
    "tokenizer",
    "model",
    "rope_scaling",
    "stage",
    "adapter",
    "optimizer",
    "schedule",
    "keeping",
    "metric",
    "search",
    "stopping",
];

#[test]
fn schemas_and_rust_types_have_the_same_fields() {
    let bound = bound();
    let prelude: Vec<Module> = stdlib::prelude().map(|(path, text)| read(path, text)).collect();
    let own: BTreeMap<String, Vec<String>> = prelude
        .iter()
        .flat_map(schemas)
        .map(|s| (s.name.to_string(), fields(s).map(|f| f.name.to_string()).collect()))
        .collect();
    for schema in prelude.iter().flat_map(schemas) {
        let name: &str = &schema.name;
        if OPEN.contains(&name) {
            assert!(own[name].is_empty(), "`{name}` has no Rust type, so it can have no fields");
            continue;
        }
        if name == "document" {
            continue;
        }
        let rust = bound.get(name).unwrap_or_else(|| panic!("`{name}` is bound to no Rust type"));
        let mut expected: Vec<&str> = own[name].iter().map(String::as_str).collect();
        // What a schema inherits stands under the base's name, with the defaults that it states anew.
        if let Some(base) = schema.base.as_ref().filter(|b| !own[&*b.value].is_empty()) {
            expected.retain(|field| !own[&*base.value].iter().any(|inherited| inherited == field));
            expected.push(&base.value);
        }
        let (mut expected, mut rust) = (expected, rust.clone());
        expected.sort_unstable();
        rust.sort_unstable();
        assert_eq!(expected, rust, "the schema `{name}` and its Rust type differ");
    }
    for schema in bound.keys() {
        assert!(own.contains_key(*schema), "no schema is called `{schema}`");
    }
}

#[test]
fn variants_are_called_like_their_schemas() {
    fn knows<T: for<'de> Deserialize<'de>>(schema: &str) -> bool {
        let Err(error) = serde_json::from_value::<T>(serde_json::json!({ "is": schema })) else { return true };
        !error.to_string().contains("unknown variant")
    }
    let mut seen = 0;
    for (_, module) in library().iter().filter(|(path, _)| path.starts_with("std/prelude/")) {
        for schema in schemas(module) {
            let Some(base) = &schema.base else { continue };
            let name: &str = &schema.name;
            let known = match &*base.value {
                "dataset" => knows::<spec::Dataset>(name),
                "tokenizer" => knows::<spec::Tokenizer>(name),
                "model" => knows::<spec::Model>(name),
                "rope_scaling" => knows::<spec::RopeScaling>(name),
                // What training stages have in common is no stage by itself.
                "stage" if name == "training" => true,
                "stage" | "training" => knows::<spec::Stage>(name),
                "optimizer" => knows::<spec::Optimizer>(name),
                "adapter" => knows::<spec::Adapter>(name),
                "schedule" => knows::<spec::Schedule>(name),
                "keeping" => knows::<spec::Keeping>(name),
                "metric" => knows::<spec::Metric>(name),
                "search" => knows::<spec::Search>(name),
                "stopping" => knows::<spec::Stop>(name),
                other => panic!("`{name}` extends `{other}`, which is bound to no Rust type"),
            };
            assert!(known, "`{}` has no variant for `{name}`", &*base.value);
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} variants were found");
}

/// Fields that count something and need no range, each with the reason.
const WITHOUT_RANGE: &[(&str, &str)] = &[
    ("seed", "any whole number makes a stream of random numbers"),
    ("language", "the checker knows the editions"),
    ("budget", "the plan refuses what buys no step, and no figure of it overflows"),
];

/// A count without bounds is a plan without bounds.
#[test]
fn every_count_has_a_range() {
    let counts = ["Int", "Tokens", "Steps", "Documents", "Epochs", "Bytes"];
    let mut open = Vec::new();
    for (path, text) in stdlib::prelude().filter(|(path, _)| !path.ends_with("document.exp")) {
        for schema in schemas(&read(path, text)) {
            for field in fields(schema) {
                let written = text.get(field.ty.span.range()).unwrap_or_default();
                let bounded = written.split('|').all(|part| {
                    let word = part.trim().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                    !counts.contains(&word) || part.contains(" in ")
                });
                if !bounded && !WITHOUT_RANGE.iter().any(|(name, _)| *name == &*field.name.value) {
                    open.push(format!("{path}: {}.{} : {written}", *schema.name, *field.name));
                }
            }
        }
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
}
