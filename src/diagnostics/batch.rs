//! Problems of several analyses as one list.

use super::{Problem, Problems};
use crate::source::{FileId, Sources, Span};

/// Problems with the sources of all of them.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    pub problems: Problems,
    pub sources: Sources,
}

impl Batch {
    /// Adds the problems of one analysis. A file that an earlier analysis read as well is the same file, so what is wrong in
    /// a module that two experiments share is reported once.
    pub fn add(&mut self, problems: &Problems, sources: &Sources) {
        let ids: Vec<FileId> = sources
            .iter()
            .map(|file| {
                let known = self.sources.iter().find(|k| k.path == file.path && k.text == file.text).map(|k| k.id);
                known.unwrap_or_else(|| self.sources.add(file.path.clone(), file.text.clone()).id)
            })
            .collect();
        for problem in problems {
            self.problems.push(moved(problem, &ids));
        }
    }
}

/// The problem with its spans in other files. A span of no file stays in none.
fn moved(problem: &Problem, ids: &[FileId]) -> Problem {
    let place = |span: Span| Span { file: ids.get(span.file.0 as usize).copied().unwrap_or(FileId(u32::MAX)), ..span };
    let mut problem = problem.clone();
    for label in &mut problem.labels {
        label.span = place(label.span);
    }
    for edit in problem.fixes.iter_mut().flat_map(|f| &mut f.edits) {
        edit.span = place(edit.span);
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Code;

    fn analysis(paths: &[&str], at: u32) -> (Problems, Sources) {
        let mut sources = Sources::default();
        for path in paths {
            sources.add(*path, format!("text of {path}"));
        }
        let mut problems = Problems::default();
        problems.push(Problem::new(Code::E0101, Span::new(FileId(at), 0, 4), "unexpected"));
        (problems, sources)
    }

    #[test]
    fn a_shared_file_is_one_file() {
        let mut batch = Batch::default();
        for (problems, sources) in
            [analysis(&["a.exp", "shared.exp"], 1), analysis(&["b.exp", "shared.exp"], 1), analysis(&["b.exp"], 0)]
        {
            batch.add(&problems, &sources);
        }
        let paths: Vec<&str> = batch.sources.iter().map(|f| &*f.path).collect();
        assert_eq!(paths, ["a.exp", "shared.exp", "b.exp"]);
        let spans: Vec<u32> = batch.problems.iter().map(|p| p.span().file.0).collect();
        assert_eq!(spans, [1, 2]);
    }
}
