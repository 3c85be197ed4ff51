//! What the fuzz targets do with bytes. Each function must return, whatever the bytes are; a panic is a finding.
//!
//! `tests/hostile.rs` includes this file and runs the functions over seeded inputs.

use emberlab::check::Options;
use emberlab::cli::analysis::analyse;
use emberlab::diagnostics::render::{Format, Style, render};
use emberlab::source::{MemoryWorld, Sources};
use emberlab::syntax;

/// How the text is called.
const FILE: &str = "fuzz.exp";

/// Everything that reads text.
pub fn parse(bytes: &[u8]) {
    syntax::fuzz(bytes);
}

/// Everything that `exp check` does, in every form: each place that is told lies in its file.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let world = MemoryWorld::with(FILE, &text);
    let options = Options { overrides: Vec::new(), pedantic: true };
    let (checked, problems) = analyse(&world, FILE, &options);
    for problem in &problems {
        for label in &problem.labels {
            let file = checked.sources.get(label.span.file);
            assert!(
                file.is_some_and(|f| f.text.get(label.span.range()).is_some()),
                "a label outside the text: {problem:?}"
            );
        }
    }
    let sorted = problems.sorted();
    for format in [Format::Human, Format::Concise, Format::Json, Format::Sarif, Format::Github] {
        let _ = render(format, &sorted, &checked.sources, Style::default());
    }
}

/// The layout, which is its own layout.
pub fn format(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(once) = syntax::format(&Sources::default().add(FILE, &*text)) else { return };
    let twice = syntax::format(&Sources::default().add(FILE, once.as_str()));
    assert_eq!(twice.ok(), Some(once), "the layout of {text:?} is not stable");
}
