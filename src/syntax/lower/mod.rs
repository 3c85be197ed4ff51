//! Pairs to tree: the only code, with [`super::recover`], that knows the rules of the grammar.

mod expr;
mod items;
mod number;
mod text;
mod types;

use super::ast::Name;
use super::docs::DocLines;
use super::grammar::Rule;
use super::patch::Patch;
use crate::diagnostics::{Problem, Problems};
use crate::source::{SourceFile, Span, Spanned};
use pest::iterators::{Pair, Pairs};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Arc;

/// How deep a tree may be. Every operator, head and postfix of a row counts, since a row becomes a tree of that depth.
pub const DEPTH: usize = 256;

/// Where the text that is being lowered came from.
#[derive(Clone)]
pub struct Origin<'a> {
    pub file: &'a SourceFile,
    /// Where the innermost patched text stands in the file.
    base: usize,
    patches: Vec<(usize, &'a Patch)>,
}

impl<'a> Origin<'a> {
    /// Text that `patch` made of the file's text from `base` on.
    pub fn new(file: &'a SourceFile, base: usize, patch: &'a Patch) -> Origin<'a> {
        Origin { file, base, patches: vec![(0, patch)] }
    }

    /// Text that `patch` made of a slice of this one that starts at `at`.
    pub fn slice<'b>(&'b self, at: usize, patch: &'b Patch) -> Origin<'b> {
        let mut patches: Vec<(usize, &'b Patch)> = self.patches.clone();
        patches.push((at, patch));
        Origin { file: self.file, base: self.base, patches }
    }

    /// The span in the file of a range of the lowered text.
    pub fn span(&self, range: Range<usize>) -> Span {
        let (mut start, mut end) = (range.start, range.end);
        for (at, patch) in self.patches.iter().rev() {
            (start, end) = (patch.start(start) + at, patch.end(end) + at);
        }
        Span::new(self.file.id, start + self.base, end.max(start) + self.base)
    }
}

/// Lowers the pairs of one text.
pub struct Lower<'a> {
    pub origin: Origin<'a>,
    pub docs: Option<&'a DocLines<'a>>,
    /// Parts of the file where a problem was already told.
    pub quiet: RefCell<Vec<Range<usize>>>,
    problems: RefCell<Problems>,
    pub(super) lost: RefCell<Vec<Name>>,
    depth: Cell<usize>,
}

/// The children of a pair, taken in order.
pub struct Kids<'i>(std::iter::Peekable<Pairs<'i, Rule>>);

impl<'i> Kids<'i> {
    pub fn of(pair: Pair<'i, Rule>) -> Kids<'i> {
        Kids(pair.into_inner().peekable())
    }

    /// The next child, comments skipped.
    pub fn next(&mut self) -> Option<Pair<'i, Rule>> {
        self.0.by_ref().find(|p| p.as_rule() != Rule::COMMENT)
    }

    fn peek(&mut self) -> Option<Rule> {
        while self.0.next_if(|p| p.as_rule() == Rule::COMMENT).is_some() {}
        self.0.peek().map(Pair::as_rule)
    }

    /// The next child if it is of `rule`.
    pub fn opt(&mut self, rule: Rule) -> Option<Pair<'i, Rule>> {
        if self.peek() == Some(rule) { self.next() } else { None }
    }

    /// The next child of `rule`, whatever stands before it.
    pub fn find(&mut self, rule: Rule) -> Option<Pair<'i, Rule>> {
        self.0.by_ref().find(|p| p.as_rule() == rule)
    }
}

impl<'a> Lower<'a> {
    pub fn new(origin: Origin<'a>, docs: Option<&'a DocLines<'a>>, quiet: Vec<Range<usize>>) -> Lower<'a> {
        Lower {
            origin,
            docs,
            quiet: RefCell::new(quiet),
            problems: RefCell::default(),
            lost: RefCell::default(),
            depth: Cell::new(0),
        }
    }

    /// Hands over what was found on the way.
    pub fn finish(self, problems: &mut Problems, lost: &mut Vec<Name>) {
        problems.extend(self.problems.into_inner());
        lost.extend(self.lost.into_inner());
    }

    /// The place of a pair, without the blanks and comments that pest lets a rule end with.
    pub fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        self.origin.span(pair.as_span().start()..end_of(pair))
    }

    pub fn name(&self, pair: &Pair<'_, Rule>) -> Name {
        Spanned::new(Arc::from(pair.as_str()), self.span(pair))
    }

    /// Adds a problem, unless it only echoes one that was told.
    pub fn problem(&self, problem: Problem) {
        if problem.is_error() && self.is_quiet(problem.span()) {
            return;
        }
        self.problems.borrow_mut().push(problem);
    }

    /// Takes over what another lowering found.
    pub fn absorb(&self, other: Lower<'_>) {
        self.problems.borrow_mut().extend(other.problems.into_inner());
        self.lost.borrow_mut().extend(other.lost.into_inner());
    }

    /// Whether a problem in `span` would only echo one that was told.
    pub fn is_quiet(&self, span: Span) -> bool {
        self.quiet.borrow().iter().any(|q| (span.start as usize) <= q.end && q.start <= span.end as usize)
    }

    /// Runs `inner` `levels` deeper in the tree; `None` when that is too deep.
    fn deeper<T>(&self, levels: usize, span: impl FnOnce() -> Span, inner: impl FnOnce() -> T) -> Option<T> {
        let depth = self.depth.get();
        if depth + levels > DEPTH {
            let problem = Problem::new(crate::diagnostics::Code::E0003, span(), "this expression is too deep")
                .label(format!("operators, calls and heads add up to more than {DEPTH} levels"))
                .help("name a part of it with `let` and use the name");
            self.problem(problem);
            return None;
        }
        self.depth.set(depth + levels);
        let value = inner();
        self.depth.set(depth);
        Some(value)
    }
}

/// Where the last thing of a pair ends; every mark is a rule, so that is the last leaf that is no comment.
fn end_of(pair: &Pair<'_, Rule>) -> usize {
    let mut last = pair.clone();
    while let Some(child) = last.clone().into_inner().rev().find(|p| p.as_rule() != Rule::COMMENT) {
        last = child;
    }
    last.as_span().end()
}
