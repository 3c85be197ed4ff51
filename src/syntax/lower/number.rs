//! Numbers and what follows them.

use super::super::ast::{Name, Number};
use super::super::grammar::Rule;
use super::super::words::UNITS;
use super::Lower;
use crate::diagnostics::suggest::similar;
use crate::source::Spanned;
use pest::iterators::Pair;
use std::sync::Arc;

impl Lower<'_> {
    pub fn number(&self, pair: Pair<'_, Rule>) -> Number {
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
        number
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
