//! The catalogue keeps its word: every example yields its code, and every repair removes it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test reads the tree, and fails by panicking"
)]

use emberlab::check::Options;
use emberlab::cli::analysis::analyse;
use emberlab::diagnostics::render::{Format, Style, render};
use emberlab::diagnostics::{Code, Problems, Severity};
use emberlab::source::{MemoryWorld, Sources};

/// Codes whose example is a command, because the problem is not in a text that fits a page. `tests/cli` and `tests/verbs` have
/// their tests.
const COMMANDS: &[Code] = &[
    Code::E0001,
    Code::E0002,
    Code::E0212,
    Code::E0615,
    Code::E0616,
    Code::E0617,
    Code::E0618,
    Code::E0619,
    Code::W1011,
    Code::W1012,
    Code::W1013,
    Code::W1016,
];

fn has_example(code: Code) -> bool {
    !COMMANDS.contains(&code)
}

/// The blocks of a section that are in the given language, in order.
fn blocks(page: &str, section: &str, language: &str) -> Vec<String> {
    let body = page.split_once(&format!("\n## {section}\n")).unwrap().1;
    // A heading ends the section; a comment in a block may begin with two signs as well.
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    for line in body.lines() {
        match &mut current {
            None if line.starts_with("## ") => break,
            None if line == format!("```{language}") => current = Some(String::new()),
            None => {}
            Some(_) if line == "```" => found.extend(current.take()),
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}

/// Checks the files of a section. A block that opens with `# file: NAME` is that file; the first block is the main one.
fn check(code: Code, section: &str) -> (Problems, Sources) {
    let mut world = MemoryWorld::default();
    let mut main = None;
    for block in blocks(code.explanation(), section, "exp") {
        let name = block.lines().next().and_then(|l| l.strip_prefix("# file: ")).unwrap_or("main.exp").to_owned();
        world.insert(&name, &block);
        main.get_or_insert(name);
    }
    let main = main.unwrap_or_else(|| panic!("{code} has no block in `{section}`"));
    let pedantic = code.severity() != Severity::Error;
    let (checked, problems) = analyse(&world, &main, &Options { overrides: Vec::new(), pedantic });
    (problems, checked.sources)
}

fn shown(problems: &Problems, sources: &Sources) -> String {
    render(Format::Concise, &problems.sorted(), sources, Style::default())
}

#[test]
fn every_example_yields_its_code_and_nothing_else() {
    let mut wrong = String::new();
    for code in Code::ALL.iter().copied().filter(|c| has_example(*c)) {
        let (problems, sources) = check(code, "Example");
        if problems.is_empty() || problems.iter().any(|p| p.code != code) {
            wrong.push_str(&format!("{code}\n{}", shown(&problems, &sources)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_repair_leaves_no_problem() {
    let mut wrong = String::new();
    for code in Code::ALL.iter().copied().filter(|c| has_example(*c)) {
        let (problems, sources) = check(code, "How to fix");
        if !problems.is_empty() {
            wrong.push_str(&format!("{code}\n{}", shown(&problems, &sources)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_command_stands_where_no_text_can() {
    for code in COMMANDS {
        assert_eq!(blocks(code.explanation(), "Example", "console").len(), 1, "{code}");
    }
}
