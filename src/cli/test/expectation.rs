//! What the lines of a file expect.

use crate::diagnostics::{Code, Problem, Problems};
use crate::source::Sources;

/// `# error: E0402` or `# warning: W1001`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expectation {
    pub code: Code,
    /// The line that the problem is expected on, counted from 1.
    pub line: usize,
}

/// The expectations of a text. One at the end of a line is about that line; one on a line of its own is about the next line
/// that is not such a line itself.
pub fn expectations(text: &str) -> Vec<Expectation> {
    let mut found = Vec::new();
    let mut waiting: Vec<Code> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let codes = codes_of(line);
        if !codes.is_empty() && line.trim_start().starts_with('#') {
            waiting.extend(codes);
            continue;
        }
        found.extend(waiting.drain(..).chain(codes).map(|code| Expectation { code, line: number + 1 }));
    }
    // Nothing follows: the end of the file is meant.
    let last = text.lines().count().max(1);
    found.extend(waiting.into_iter().map(|code| Expectation { code, line: last }));
    found
}

fn codes_of(line: &str) -> Vec<Code> {
    let Some((_, rest)) = line.split_once("# error:").or_else(|| line.split_once("# warning:")) else {
        return Vec::new();
    };
    rest.split([',', ' '])
        .map_while(|word| if word.is_empty() { Some(None) } else { Code::parse(word).map(Some) })
        .flatten()
        .collect()
}

/// What was found and not expected, and what was expected and not found.
pub struct Verdict<'a> {
    pub unexpected: Vec<&'a Problem>,
    pub missing: Vec<Expectation>,
}

/// Compares by code and line; each expectation answers for one problem. Problems in other files are never expected.
pub fn compare<'a>(expected: &[Expectation], problems: &'a Problems, sources: &Sources, path: &str) -> Verdict<'a> {
    let mut missing = expected.to_vec();
    let mut unexpected = Vec::new();
    for problem in problems.sorted() {
        let here = sources.get(problem.span().file).is_some_and(|f| &*f.path == path);
        let line = sources.place(problem.span()).line;
        match missing.iter().position(|e| here && e.code == problem.code && e.line == line) {
            Some(at) => {
                missing.remove(at);
            }
            None => unexpected.push(problem),
        }
    }
    Verdict { unexpected, missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_are_about_a_line() {
        let text = "let a = 1 # error: E0201\n# error: E0301, E0302 and why\n# another comment\nlet b = 2\n";
        let found: Vec<(&str, usize)> = expectations(text).iter().map(|e| (e.code.name(), e.line)).collect();
        assert_eq!(found, [("E0201", 1), ("E0301", 3), ("E0302", 3)]);
        assert!(expectations("# no error here\n").is_empty());
    }
}
