//! Broken pieces: the strict rules find the exact place, known mistakes are repaired, and what is left is told.

use super::ast::{Axis, Expr, ExprKind, Field, FieldOp, ItemKind, Member, Module, Name, Sweep};
use super::grammar::{Rule, read};
use super::lower::{Lower, Origin};
use super::mistakes;
use super::patch::{Change, Patch};
use super::words::{HARD_WORDS, ITEM_WORDS, first_word};
use crate::diagnostics::{Code, Problem};
use crate::source::{Span, Spanned};
use pest::iterators::Pair;
use std::ops::Range;
use std::sync::Arc;

/// How many mistakes of one piece are repaired.
const REPAIRS: usize = 8;

/// The longest piece that repairs are tried on, in bytes; each try reads it again.
const LONGEST_REPAIR: usize = 1 << 16;

/// What became of a broken piece.
struct Repaired {
    /// The text that the strict rule takes, if there is one.
    patch: Option<Patch>,
    /// Where a further piece starts, and where this one ends.
    split: Option<Range<usize>>,
}

const LOST: Repaired = Repaired { patch: None, split: None };

impl Lower<'_> {
    /// Finds out what is wrong with the text of `range`, tells it, and repairs it as far as it can.
    fn repair(&self, entry: Rule, text: &str, at: usize) -> Repaired {
        let quiet = self.is_quiet(self.origin.span(at..at + text.len()));
        let mut changes: Vec<Change> = Vec::new();
        for _ in 0..REPAIRS {
            let patch = Patch::new(text, &changes);
            let failure = match read(entry, &patch.text) {
                Ok(_) => return Repaired { patch: Some(patch), split: None },
                Err(failure) => failure,
            };
            if quiet || text.len() > LONGEST_REPAIR {
                if !quiet {
                    self.tell(&patch, at, mistakes::unexpected(entry, &patch.text, &failure));
                }
                return LOST;
            }
            let Some(mistake) = mistakes::find(entry, &patch.text, &failure) else {
                self.tell(&patch, at, mistakes::unexpected(entry, &patch.text, &failure));
                return LOST;
            };
            let (change, ends, split) = (mistake.change.clone(), mistake.ends, mistake.split.clone());
            let until = mistake.until.clone();
            self.tell(&patch, at, mistake);
            if let Some(word) = until {
                self.skip_until(at, &word);
            }
            if let Some(split) = split {
                let split = patch.start(split.start)..patch.end(split.end);
                changes.push(Change::new(split.start..text.len(), ""));
                let patch = Patch::new(text, &changes);
                let whole = read(entry, &patch.text).is_ok();
                return Repaired { patch: whole.then_some(patch), split: Some(split) };
            }
            let (Some(change), false) = (change, ends) else { return LOST };
            // The change is of the patched text; kept changes are of the original.
            let old = Change::new(patch.start(change.range.start)..patch.end(change.range.end), change.text);
            if old.range.end < old.range.start || changes.iter().any(|c| overlaps(&c.range, &old.range)) {
                return LOST;
            }
            changes.push(old);
        }
        LOST
    }

    /// Tells a mistake in the text that `patch` made of the piece at `at`.
    fn tell(&self, patch: &Patch, at: usize, mistake: mistakes::Mistake) {
        let place = |range: &Range<usize>| {
            self.origin.span(patch.start(range.start) + at..patch.end(range.end).max(patch.start(range.start)) + at)
        };
        let mut problem = Problem::new(mistake.code, place(&mistake.range), mistake.message).label(mistake.label);
        for (range, role) in &mistake.also {
            problem = problem.also(place(range), role.clone());
        }
        if let Some(help) = mistake.help {
            problem = problem.help(help);
        }
        if let (Some(title), Some(change)) = (mistake.fix, &mistake.change) {
            problem = problem.fix(title, place(&change.range), change.text.clone());
        }
        self.problem(problem);
    }

    /// Lowers the repaired text of a piece.
    fn again<T>(
        &self,
        entry: Rule,
        patch: &Patch,
        at: usize,
        lower: impl FnOnce(&Lower<'_>, Pair<'_, Rule>) -> Option<T>,
    ) -> Option<T> {
        let origin: Origin<'_> = self.origin.slice(at, patch);
        let inner = Lower::new(origin, self.docs, self.quiet.borrow().clone());
        let value = read(entry, &patch.text).ok()?.next().and_then(|only| {
            let wanted = only.into_inner().find(|p| !matches!(p.as_rule(), Rule::COMMENT | Rule::EOI))?;
            lower(&inner, wanted)
        });
        self.absorb(inner);
        value
    }

    /// The fields that can be read from a broken piece; one that cannot keeps its path.
    pub fn broken_field(&self, pair: Pair<'_, Rule>) -> Vec<Field> {
        let (text, at) = piece(&pair);
        // Only a sweep has axes.
        if is_over(text) {
            self.repair(Rule::over_only, text, at);
            return Vec::new();
        }
        self.broken_fields(text, at)
    }

    /// `budget = 1,000 steps`, `lr = 0,001`: whether what stands behind a comma is the rest of the number before it, which is
    /// told. The field before then has no value.
    pub fn rest_of_number(&self, pair: &Pair<'_, Rule>, before: Option<&mut Field>) -> bool {
        let (text, at) = piece(pair);
        let Some(field) = before.filter(|field| matches!(&*field.value.kind, ExprKind::Number(n) if n.unit.is_none()))
        else {
            return false;
        };
        let (start, comma) = (field.value.span.start as usize, field.value.span.end as usize);
        let from = self.origin.span(at..at).start as usize;
        let whole = self.origin.file.text.get(start..).unwrap_or("");
        let head = whole.get(..comma - start).unwrap_or("");
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        if from != comma + 1 || !whole[head.len()..].starts_with(',') || digits(text) == 0 || digits(head) < head.len()
        {
            return false;
        }
        let mut groups = Vec::new();
        let mut rest = &whole[head.len()..];
        while let Some(behind) = rest.strip_prefix(',').filter(|behind| digits(behind) > 0) {
            groups.push(&behind[..digits(behind)]);
            rest = &behind[digits(behind)..];
        }
        let end = start + whole.len() - rest.len();
        let thousands = head.len() <= 3 && !head.starts_with('0') && groups.iter().all(|group| group.len() == 3);
        let number = match thousands {
            true => format!("{head}_{}", groups.join("_")),
            false => format!("{head}.{}", groups.concat()),
        };
        let message = match thousands {
            true => "thousands are not set apart with commas",
            false => "a number has a point and no comma",
        };
        let span = Span { file: field.value.span.file, start: start as u32, end: end as u32 };
        let mut problem = Problem::new(Code::E0108, span, message).label("a comma ends a field");
        if thousands || groups.len() == 1 {
            problem = problem.fix(format!("write `{number}`"), span, number);
        }
        self.problem(problem);
        self.quiet.borrow_mut().push(start..end);
        field.value = Expr::new(ExprKind::Error, span);
        true
    }

    /// A block of axes that is broken, or that something else follows on its line; and the fields behind it.
    pub fn broken_over(&self, pair: Pair<'_, Rule>, sweep: &mut Sweep) {
        let (text, at) = piece(&pair);
        if !is_over(text) {
            sweep.fields.extend(self.broken_fields(text, at));
            return;
        }
        let repaired = self.repair(Rule::over_only, text, at);
        let read = repaired.patch.and_then(|patch| {
            self.again(Rule::over_only, &patch, at, |l, pair| {
                l.over(pair, sweep);
                Some(())
            })
        });
        sweep.lost |= read.is_none();
        if let Some(split) = repaired.split.filter(|s| s.end < text.len()) {
            sweep.fields.extend(self.broken_fields(&text[split.end..], at + split.end));
        }
    }

    fn broken_fields(&self, mut text: &str, mut at: usize) -> Vec<Field> {
        let mut fields = Vec::new();
        loop {
            let repaired = self.repair(Rule::field_only, text, at);
            let again = repaired.patch.and_then(|p| self.again(Rule::field_only, &p, at, |l, pair| l.field(pair)));
            let end = repaired.split.as_ref().map_or(text.len(), |s| s.start);
            fields.extend(again.or_else(|| {
                let (path, value) = self.leading_path(text, at)?;
                let span = self.origin.span(at..at + end);
                let value = Expr::new(ExprKind::Error, self.origin.span(value..at + end));
                Some(Field { docs: None, path, op: FieldOp::Set, value, span })
            }));
            let Some(split) = repaired.split.filter(|s| s.end > 0 && s.end < text.len()) else { return fields };
            at += split.end;
            text = &text[split.end..];
            let blanks = text.len() - text.trim_start().len();
            (text, at) = (&text[blanks..], at + blanks);
        }
    }

    /// Keeps quiet up to the line that says `word` and nothing else.
    fn skip_until(&self, at: usize, word: &str) {
        let start = self.origin.span(at..at).start as usize;
        let rest = self.origin.file.text.get(start..).unwrap_or("");
        let mut end = 0;
        for line in rest.split_inclusive('\n') {
            end += line.len();
            if line.trim() == word {
                break;
            }
        }
        self.quiet.borrow_mut().push(start..start + end);
    }

    pub fn broken_member(&self, pair: Pair<'_, Rule>) -> Member {
        let (text, at) = piece(&pair);
        let repaired = self.repair(Rule::member_only, text, at);
        let again = repaired.patch.and_then(|p| self.again(Rule::member_only, &p, at, |l, pair| l.member(pair)));
        again.unwrap_or_else(|| Member::Error(self.origin.span(at..at + text.len())))
    }

    pub fn broken_axis(&self, pair: Pair<'_, Rule>) -> Option<Axis> {
        let (text, at) = piece(&pair);
        let repaired = self.repair(Rule::axis_only, text, at);
        let again = repaired.patch.and_then(|p| self.again(Rule::axis_only, &p, at, |l, pair| l.axis(pair)));
        again.or_else(|| {
            let (path, end) = self.leading_path(text, at)?;
            let span = self.origin.span(at..at + text.len());
            let values = Expr::new(ExprKind::Error, self.origin.span(end..at + text.len()));
            Some(Axis { path, values, when: None, span })
        })
    }

    /// Tells what is wrong with a line on the top level that is no item, and keeps what can be repaired of it.
    pub fn broken_item(&self, pair: Pair<'_, Rule>, module: &mut Module) {
        let (text, at) = piece(&pair);
        let span = self.origin.span(at..at + text.len());
        let error = crate::syntax::ast::Item { docs: None, kind: ItemKind::Error, span };
        // One stretch of text that is no item is one mistake.
        let goes_on = module.items.last().is_some_and(|last| {
            matches!(last.kind, ItemKind::Error)
                && self
                    .origin
                    .file
                    .text
                    .get(last.span.end as usize..span.start as usize)
                    .is_some_and(|gap| gap.trim().is_empty())
        });
        if goes_on && super::layout::item_keyword(text).is_none() {
            if let Some(last) = module.items.last_mut() {
                last.span = last.span.to(span);
            }
            return;
        }
        let repaired = self.repair(Rule::item_only, text, at);
        let again = repaired.patch.and_then(|p| {
            self.again(Rule::item_only, &p, at, |l, pair| {
                if pair.as_rule() == Rule::amends {
                    l.amends(pair, module);
                    return None;
                }
                l.item(pair)
            })
        });
        if again.is_none() {
            super::parse::lose_name(self.origin.file, span.start as usize, &mut self.lost.borrow_mut());
        }
        module.items.push(again.unwrap_or(error));
    }

    /// The whole text as one expression.
    pub fn only_expr(&self, text: &str) -> Option<Expr> {
        let text_end = text.trim_end().len();
        let repaired = self.repair(Rule::expr_only, &text[..text_end], 0);
        repaired.patch.and_then(|p| self.again(Rule::expr_only, &p, 0, |l, pair| Some(l.expr(pair))))
    }

    /// `a.b.c` at the start of a broken piece, and where it ends.
    fn leading_path(&self, text: &str, at: usize) -> Option<(Vec<Name>, usize)> {
        let mut path = Vec::new();
        let mut from = 0;
        loop {
            let word = first_word(&text[from..]);
            let reserved = path.is_empty() && (HARD_WORDS.contains(&word) || ITEM_WORDS.contains(&word));
            if word.is_empty() || reserved {
                break;
            }
            let span: Span = self.origin.span(at + from..at + from + word.len());
            path.push(Spanned::new(Arc::from(word), span));
            from += word.len();
            if !text[from..].starts_with('.') {
                break;
            }
            from += 1;
        }
        (!path.is_empty()).then_some((path, at + from))
    }
}

/// Whether a broken piece starts like a block of axes.
fn is_over(text: &str) -> bool {
    // `over = {` is a slip that is told as one.
    first_word(text) == "over" && text[4..].trim_start().trim_start_matches('=').trim_start().starts_with('{')
}

/// The text of a broken piece without the blanks at its end, and where it starts in the lowered text.
fn piece<'i>(pair: &Pair<'i, Rule>) -> (&'i str, usize) {
    (pair.as_str().trim_end(), pair.as_span().start())
}

fn overlaps(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end || a == b
}
