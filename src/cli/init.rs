//! `exp init`: a folder with a first experiment in it.

use super::{Exit, Failure, Screen};
use crate::syntax::words;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The experiment that is written, with `first_experiment` for its name.
const STARTER: &str = include_str!("starter.exp");

/// `*.exp` is also what some C tool chains call their export lists, and published ignore files leave those out.
const GITIGNORE: &str = "# Experiments are source files, even where a wider rule says otherwise.\n!*.exp\n\n\
                         # What runs produce; `exp pack` makes a bundle of what is worth keeping.\n.emberlab/\n";

/// What an experiment is called whose folder has no name that the language allows.
const FALLBACK: &str = "first_experiment";

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder; it is made if need be.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
}

#[allow(clippy::disallowed_methods, reason = "this verb writes source files, which no other room does")]
pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("init")?;
    let folder = &args.folder;
    let Named { name, reserved } = experiment_name(folder);
    if let Some(word) = reserved {
        screen.note(&format!("`{word}` is a word of the language, so the experiment is called `{name}`"));
    }
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::Write { path: folder.display().to_string(), cause: e.to_string() })?;
    let experiment = folder.join(format!("{name}.exp"));
    create(&experiment, &STARTER.replace(FALLBACK, &name))?;
    let mut written = vec![experiment.display().to_string()];
    let ignore = folder.join(".gitignore");
    match create(&ignore, GITIGNORE) {
        Ok(()) => written.push(ignore.display().to_string()),
        // An ignore file is often there already; it is the user's, so it is left alone and the rule is named.
        Err(Failure::Exists { .. }) => {
            screen.note("`.gitignore` exists; make sure that it has the lines `!*.exp` and `.emberlab/`");
        }
        Err(other) => return Err(other),
    }
    if screen.is_json() {
        screen.document(&json!({ "schema_version": 1, "experiment": name, "written": written }));
    } else {
        screen.result(&written.iter().map(|path| format!("{path}\n")).collect::<String>());
        screen.note(&format!("next: exp check {}", experiment.display()));
    }
    Ok(Exit::Done)
}

/// Writes a file that must not exist yet.
#[allow(clippy::disallowed_methods, reason = "this verb writes source files, which no other room does")]
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Exists { path: shown.clone() },
        _ => Failure::Write { path: shown.clone(), cause: e.to_string() },
    })?;
    file.write_all(text.as_bytes()).map_err(|e| Failure::Write { path: shown, cause: e.to_string() })
}

/// What an experiment is called after its folder.
struct Named {
    name: String,
    /// The folder's name, where that is a word of the language and so cannot name anything.
    reserved: Option<String>,
}

/// The folder's name in `snake_case`, or [`FALLBACK`] where that makes no name.
#[allow(clippy::disallowed_methods, reason = "`.` has a name only on the disk")]
fn experiment_name(folder: &Path) -> Named {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let base = absolute.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let mut name = String::new();
    for c in base.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    let fallback = |reserved| Named { name: FALLBACK.to_owned(), reserved };
    if words::is_reserved(name) {
        return fallback(Some(name.to_owned()));
    }
    if !name.chars().next().is_some_and(|c| c.is_ascii_lowercase()) {
        return fallback(None);
    }
    Named { name: name.to_owned(), reserved: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;
    use crate::syntax::parse;

    #[test]
    fn folders_name_experiments() {
        let name = |folder: &str| experiment_name(Path::new(folder)).name;
        assert_eq!(name("My-Study 2"), "my_study_2");
        assert_eq!(name("a/2024"), FALLBACK);
        assert_eq!(name("a/--x--"), "x");
        assert_eq!(name("a/model"), FALLBACK);
        assert_eq!(experiment_name(Path::new("a/in")).reserved.as_deref(), Some("in"));
    }

    #[test]
    fn whatever_the_folder_is_called_the_file_can_be_read() {
        let words = words::ITEM_WORDS.iter().chain(&words::KIND_WORDS).chain(&words::HARD_WORDS);
        for word in words.chain(&words::SOFT_WORDS).chain(&words::UNITS) {
            let text = STARTER.replace(FALLBACK, &experiment_name(Path::new(word)).name);
            let parsed = parse(&Sources::default().add("a.exp", text));
            assert!(parsed.problems.is_empty(), "{word}: {:?}", parsed.problems.sorted());
        }
    }
}
