//! The standard library's files, compiled into the program.
//!
//! The files stand in `stdlib/`; here they are named as the language names them, `std/…`.

/// The text of a library file: `std/prelude/model.exp`, `std/models/llama.exp`.
pub fn file(path: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

/// Every library file with its text, the prelude first, then by path.
pub fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().copied()
}

/// The files that every experiment sees without `use`.
pub fn prelude() -> impl Iterator<Item = (&'static str, &'static str)> {
    files().filter(|(path, _)| path.starts_with("std/prelude/"))
}

macro_rules! embed {
    ($($path:literal)*) => {
        &[$((concat!("std/", $path), include_str!(concat!("../stdlib/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = embed! {
    "prelude/data.exp"
    "prelude/document.exp"
    "prelude/evaluate.exp"
    "prelude/experiment.exp"
    "prelude/model.exp"
    "prelude/review.exp"
    "prelude/sweep.exp"
    "prelude/tokenizer.exp"
    "prelude/train.exp"
    "audits/bias.exp"
    "chat.exp"
    "corpora/tales.exp"
    "data/clean.exp"
    "models/gpt2.exp"
    "models/llama.exp"
    "models/mixtral.exp"
    "models/olmo.exp"
    "models/qwen.exp"
    "optim.exp"
    "suites.exp"
    "tokenizers.exp"
    "tuning.exp"
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_file_on_disk_is_compiled_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("the library's folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "exp") {
                    let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().replace('\\', "/");
                    found.push(format!("std/{name}"));
                }
            }
        }
        found.sort();
        let mut compiled: Vec<&str> = files().map(|(path, _)| path).collect();
        compiled.sort_unstable();
        assert_eq!(found, compiled);
    }

    #[test]
    fn files_are_found_by_the_name_that_the_language_uses() {
        assert!(file("std/prelude/model.exp").is_some_and(|text| text.contains("schema decoder is model")));
        assert_eq!(file("prelude/model.exp"), None);
    }
}
