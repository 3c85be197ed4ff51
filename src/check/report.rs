//! Reporting: the user's line comes first, and a branch that is not taken has no wrong values.

use super::Checker;
use crate::diagnostics::{Code, Label, Problem};
use crate::source::Span;

impl Checker<'_> {
    /// Adds a problem.
    ///
    /// If its place is in the library, the user's call or declaration that led there becomes the primary place. A
    /// problem about a value (E04…) is dropped while a branch that is not taken is being checked.
    pub(super) fn report(&mut self, mut problem: Problem) {
        if self.dry > 0 && problem.code.name().starts_with("E04") {
            return;
        }
        if self.is_library_span(problem.span())
            && let Some(site) = self.sites.last().copied()
        {
            problem.labels.insert(0, Label { span: site, text: "because of this".to_owned() });
        }
        self.problems.push(problem);
    }

    pub(super) fn is_library_span(&self, span: Span) -> bool {
        self.resolved.sources.get(span.file).is_some_and(|f| f.is_library())
    }

    /// Runs `work` with `site` as the place to blame for problems in the library.
    pub(super) fn at_site<T>(&mut self, site: Span, work: impl FnOnce(&mut Self) -> T) -> T {
        let user = !self.is_library_span(site);
        if user {
            self.sites.push(site);
        }
        let result = work(self);
        if user {
            self.sites.pop();
        }
        result
    }

    /// Runs `work` and returns its result with the problems it would have reported; nothing is reported, except what is
    /// wrong with values that are kept ([`Checker::lastingly`]).
    pub(super) fn quietly<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (T, Vec<Problem>) {
        let kept = std::mem::take(&mut self.problems);
        self.trials += 1;
        let result = work(self);
        self.trials -= 1;
        let found = std::mem::replace(&mut self.problems, kept);
        (result, found)
    }

    /// Computes a value that is kept. Its problems are kept as well, whoever asks for it first: a trial, or a branch that
    /// is not taken.
    pub(super) fn lastingly<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let dry = std::mem::take(&mut self.dry);
        let brief = std::mem::take(&mut self.brief);
        let result = if self.trials == 0 {
            work(self)
        } else {
            let trial = std::mem::take(&mut self.problems);
            let trials = std::mem::take(&mut self.trials);
            let result = work(self);
            self.trials = trials;
            let found = std::mem::replace(&mut self.problems, trial);
            self.lasting.extend(found);
            result
        };
        self.dry = dry;
        self.brief = brief;
        result
    }

    /// Counts an evaluation; false once the experiment has become too expensive to check.
    pub(super) fn spend(&mut self, span: Span) -> bool {
        self.spent += 1;
        if self.spent <= super::MOST_EXPRESSIONS {
            return true;
        }
        if !self.exhausted {
            self.exhausted = true;
            self.problems.push(
                Problem::new(Code::E0004, span, "this experiment takes too long to evaluate")
                    .label(format!("stopped here after {} expressions", super::MOST_EXPRESSIONS))
                    .help("shorten the lists and ranges, or call fewer functions from functions"),
            );
        }
        false
    }
}
