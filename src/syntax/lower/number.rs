//! Numbers and what follows them.

use super::super::ast::{Name, Number};
use super::super::grammar::Rule;
use super::super::words::UNITS;
use super::Lower;
use crate::diagnostics::suggest::similar;
use crate::diagnostics::{Code, Problem};
use crate::source::{Span, Spanned};
use pest::iterators::Pair;
use std::sync::Arc;

impl Lower<'_> {
    pub fn number(&self, pair: Pair<'_, Rule>) -> Number {
        let span = self.span(&pair);
        let mut number = Number { digits: Arc::from(""), multiplier: None, unit: None };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::digits => number.digits = Arc::from(part.as_str()),
                Rule::multiplier => number.multiplier = Some(self.name(&part)),
                Rule::dollar | Rule::percent | Rule::known_unit | Rule::unit => number.unit = Some(self.name(&part)),
                _ => {}
            }
        }
        self.whole_word(&mut number);
        self.malformed(&mut number, span);
        number
    }

    /// `0x1f` and `1e` read like numbers with a unit, but were meant as digits.
    fn malformed(&self, number: &mut Number, span: Span) {
        let Some(unit) = &number.unit else { return };
        let attached = self
            .origin
            .file
            .text
            .get(..unit.span.start as usize)
            .is_some_and(|t| t.ends_with(|c: char| c.is_ascii_digit()));
        if !attached {
            return;
        }
        let digits = |c: char| c.is_ascii_digit();
        let help = if &*number.digits == "0"
            && unit.value.starts_with(['x', 'b', 'o', 'X'])
            && unit.value[1..].contains(digits)
        {
            "numbers are decimal: `255`, `1e-3`, `2_000`"
        } else if matches!(&*unit.value, "e" | "E") {
            "an exponent has digits: `1e-3`"
        } else {
            return;
        };
        self.problem(Problem::new(Code::E0108, span, "this is not a number").help(help));
        number.unit = None;
    }

    /// `3Tokens` starts like `3T okens`, but nobody meant that: a word that is closer to a unit as a whole stays whole.
    fn whole_word(&self, number: &mut Number) {
        let (Some(multiplier), Some(unit)) = (&number.multiplier, &number.unit) else { return };
        if multiplier.span.end != unit.span.start || UNITS.contains(&&*unit.value) {
            return;
        }
        let whole = format!("{}{}", multiplier.value, unit.value);
        let best = |word: &str| {
            let found = similar(word, UNITS);
            found.first().map_or(usize::MAX, |s| strsim::damerau_levenshtein(&word.to_lowercase(), s))
        };
        if best(&whole) < best(&unit.value) {
            let name: Name = Spanned::new(Arc::from(whole), multiplier.span.to(unit.span));
            number.multiplier = None;
            number.unit = Some(name);
        }
    }
}
