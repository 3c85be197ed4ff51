//! The verbs of the engine, each through the program itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests prepare files and fail by panicking"
)]

mod adapters;
mod chat;
mod coordinates;
mod data;
mod experts;
mod export;
mod failures;
mod generate;
mod killed;
mod memory;
mod precision;
mod pretrained;
mod results;
mod settings;
mod stops;

use serde_json::Value as Json;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What every experiment here begins with.
pub const HEAD: &str = r#"
experiment small { language = 1, seed = 3, license = "MIT" }

use std.corpora.tales
use std.models.llama

dataset stories = tales.stories(documents = 120 documents) |> split(train = 80%, valid = 20%)

dataset questions = tales.questions(documents = 60 documents) |> split(train = 80%, test = 20%)

tokenizer pieces : bpe { train_on = stories.train, vocab = 384 }

model teller from llama.tiny { layers = 1, heads = 2, kv_heads = 2, width = 32, hidden = 64, context = 32 tokens }
"#;

/// Two short stages.
pub const STAGES: &str = r#"
stage pretrain : next_token {
  model      = teller
  tokenizer  = pieces
  data       = stories.train
  budget     = 40 steps
  batch      = 8 documents
  optimizer  = adamw(lr = 3e-3)
  validate   = every(20 steps, on = stories.valid)
  checkpoint = 1 steps
}

stage tuned : sft {
  init     = pretrain
  data     = questions.train
  budget   = 10 steps
  batch    = 64 documents
  sequence = 32 tokens
}
"#;

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exp"));
    command.current_dir(folder).args(words).env_remove("EMBERLAB_HOME");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn exp(folder: &Path, words: &[&str]) -> Ran {
    let output = command(folder, words).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn json(folder: &Path, words: &[&str]) -> Json {
    let ran = exp(folder, words);
    assert_eq!(ran.code, 0, "{words:?}: {}\n{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

/// A folder with an experiment of the usual head and these items.
pub fn folder(items: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(folder.path().join("small.exp")).unwrap();
    file.write_all(format!("{HEAD}{items}").as_bytes()).unwrap();
    folder
}

pub const RUN: [&str; 6] = ["run", "small.exp", "--device", "cpu", "--format", "json"];

/// A folder in which both stages were run, and the run's name.
pub fn trained() -> (&'static Path, &'static str, &'static Ran) {
    static TRAINED: OnceLock<(tempfile::TempDir, String, Ran)> = OnceLock::new();
    let (folder, run, ran) = TRAINED.get_or_init(|| {
        let folder = folder(STAGES);
        let ran = exp(folder.path(), &RUN);
        assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
        let record: Json = serde_json::from_str(&ran.out).unwrap();
        (folder, record["run"].as_str().unwrap().to_owned(), ran)
    });
    (folder.path(), run, ran)
}
