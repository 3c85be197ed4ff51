//! Every mistake of a grammar that can be found before a document is written.

use super::{Piece, Place, TextProblem, did_you_mean, parse};
use crate::diagnostics::suggest::similar;
use crate::plan::spec::{Alternative, Rule};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A mistake and where it stands.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{part}: {problem}")]
pub struct GrammarError {
    pub part: GrammarPart,
    /// Bytes of that part's text; absent when the mistake is about the part as a whole.
    pub span: Option<Range<usize>>,
    pub problem: GrammarProblem,
}

/// A part of a grammar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GrammarPart {
    Start,
    /// Index of the rule, and its name.
    Rule(usize, String),
    /// Index of the rule, its name, and the index of the alternative.
    Alternative(usize, String, usize),
    Prompt,
    Response,
}

/// What is wrong.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum GrammarProblem {
    #[error(transparent)]
    Text(#[from] TextProblem),
    #[error("there is no rule `{0}`{near}", near = did_you_mean(.1, ""))]
    NoRule(String, Vec<String>),
    #[error("`{0}` is neither a rule nor a remembered name{near}",
        near = did_you_mean(.1, "; remember it first with `<rule as name>`"))]
    Undefined(String, Vec<String>),
    #[error("`{0}` may not be remembered yet here: some way of writing a document comes here without passing `as {0}`")]
    NotYetRemembered(String),
    #[error("a rule `{0}` exists already, and a rule can only be written once")]
    RepeatedRule(String),
    #[error("the rule has no alternatives, so there is nothing to write")]
    NoAlternatives,
    #[error("a weight must be a positive number, and this one is {0}")]
    BadWeight(f64),
    #[error("the rule can never end: each of its alternatives leads back to it")]
    Endless,
    #[error("the rule is never used: nothing that starts from `{0}` reaches it")]
    Unused(String),
}

impl GrammarProblem {
    /// Whether documents can be written in spite of it.
    pub fn is_warning(&self) -> bool {
        matches!(self, GrammarProblem::Unused(_))
    }
}

/// All the mistakes of a grammar, in the order in which its parts stand.
///
/// A grammar without errors (warnings aside) never fails on a name when it is expanded: a name that may not be remembered
/// yet is found by following every way from `start`.
pub fn check(rules: &[Rule], start: &str, prompt: Option<&str>, response: Option<&str>) -> Vec<GrammarError> {
    let mut found = Vec::new();
    let mut grammar = Parts { rules: BTreeMap::new(), templates: Vec::new() };
    for (index, rule) in rules.iter().enumerate() {
        let whole = GrammarPart::Rule(index, rule.name.clone());
        if grammar.rules.contains_key(rule.name.as_str()) {
            found.push(error(whole, None, GrammarProblem::RepeatedRule(rule.name.clone())));
            continue;
        }
        if rule.of.is_empty() {
            found.push(error(whole, None, GrammarProblem::NoAlternatives));
        }
        let alternatives = rule
            .of
            .iter()
            .enumerate()
            .map(|(at, Alternative { text, weight })| {
                let part = GrammarPart::Alternative(index, rule.name.clone(), at);
                if !(weight.is_finite() && *weight > 0.0) {
                    found.push(error(part.clone(), None, GrammarProblem::BadWeight(*weight)));
                }
                places(text, part, &mut found)
            })
            .collect();
        grammar.rules.insert(&rule.name, (index, alternatives));
    }
    for (template, part) in [(prompt, GrammarPart::Prompt), (response, GrammarPart::Response)] {
        grammar.templates.push(template.map(|text| places(text, part, &mut found)).unwrap_or_default());
    }
    if !grammar.rules.contains_key(start) {
        let near = similar(start, grammar.rules.keys().copied()).into_iter().map(str::to_owned).collect();
        found.push(error(GrammarPart::Start, None, GrammarProblem::NoRule(start.to_owned(), near)));
    }
    let broken = found.iter().any(|e| !e.problem.is_warning());
    grammar.names(start, &mut found);
    // Whether a rule ends or a name is remembered means something only in a grammar whose parts are sound.
    if !broken && found.iter().all(|e| e.problem.is_warning()) {
        grammar.endings(&mut found);
    }
    if found.iter().all(|e| e.problem.is_warning()) {
        grammar.memories(start, &mut found);
        grammar.unused(start, &mut found);
    }
    found
}

/// The places of one text, with the part they stand in.
type Places = Vec<(GrammarPart, Place)>;

struct Parts<'a> {
    /// Index and, for each alternative, its places.
    rules: BTreeMap<&'a str, (usize, Vec<Places>)>,
    /// Those of the prompt and the response.
    templates: Vec<Places>,
}

impl Parts<'_> {
    fn all(&self) -> impl Iterator<Item = &(GrammarPart, Place)> {
        let rules = self.rules.values().flat_map(|(_, alternatives)| alternatives.iter().flatten());
        rules.chain(self.templates.iter().flatten())
    }

    /// Names that nothing defines.
    fn names(&self, start: &str, found: &mut Vec<GrammarError>) {
        let remembered: BTreeSet<&str> = self.all().filter_map(|(_, place)| place.remember.as_deref()).collect();
        let mut undefined = Vec::new();
        for (part, place) in self.all() {
            let rule = self.rules.contains_key(place.name.as_str());
            let near = |names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
                similar(&place.name, names.collect::<Vec<_>>()).into_iter().map(str::to_owned).collect()
            };
            if place.remember.is_some() && !rule {
                let near = near(&mut self.rules.keys().copied());
                undefined.push(error(part.clone(), Some(place), GrammarProblem::NoRule(place.name.clone(), near)));
            } else if !rule && !remembered.contains(place.name.as_str()) && place.name != start {
                let near = near(&mut self.rules.keys().copied().chain(remembered.iter().copied()));
                undefined.push(error(part.clone(), Some(place), GrammarProblem::Undefined(place.name.clone(), near)));
            }
        }
        // The map of rules is sorted by name; problems are told in the order in which the rules stand.
        undefined.sort_by_key(|e| order(&e.part));
        found.extend(undefined);
    }

    /// Rules that can never end: the least fixed point of "some alternative needs only rules that end".
    fn endings(&self, found: &mut Vec<GrammarError>) {
        let mut ending: BTreeSet<&str> = BTreeSet::new();
        loop {
            let before = ending.len();
            for (name, (_, alternatives)) in &self.rules {
                let ends = |places: &Places| {
                    places.iter().all(|(_, p)| {
                        ending.contains(p.name.as_str()) || (p.remember.is_none() && self.only_remembered(&p.name))
                    })
                };
                if alternatives.iter().any(ends) {
                    ending.insert(name);
                }
            }
            if ending.len() == before {
                break;
            }
        }
        for (name, (index, _)) in &self.rules {
            if !ending.contains(name) {
                found.push(error(GrammarPart::Rule(*index, (*name).to_owned()), None, GrammarProblem::Endless));
            }
        }
        found.sort_by_key(|e| order(&e.part));
    }

    fn only_remembered(&self, name: &str) -> bool {
        !self.rules.contains_key(name)
    }

    /// Names that may be repeated before they are remembered.
    ///
    /// `after(rule)` is what every expansion of the rule surely remembers (greatest fixed point, intersected over the
    /// alternatives); `before(rule)` what surely is remembered wherever the rule is entered, followed from the start.
    fn memories(&self, start: &str, found: &mut Vec<GrammarError>) {
        let names: BTreeSet<&str> =
            self.all().filter_map(|(_, p)| p.remember.as_deref()).chain(std::iter::once(start)).collect();
        let mut after: BTreeMap<&str, BTreeSet<&str>> = self.rules.keys().map(|name| (*name, names.clone())).collect();
        loop {
            let mut changed = false;
            for (rule, (_, alternatives)) in &self.rules {
                let sure = alternatives.iter().map(|places| self.remembers(places, &after)).reduce(|a, b| &a & &b);
                let sure = sure.unwrap_or_default();
                if after.get(rule) != Some(&sure) {
                    after.insert(rule, sure);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let mut before: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let Some((start, _)) = self.rules.get_key_value(start) else { return };
        let mut work = vec![*start];
        before.insert(start, BTreeSet::new());
        while let Some(rule) = work.pop() {
            let (Some((_, alternatives)), Some(entry)) = (self.rules.get(rule), before.get(rule).cloned()) else {
                continue;
            };
            for places in alternatives {
                let mut known = entry.clone();
                for (_, place) in places {
                    if let Some((called, _)) = self.rules.get_key_value(place.name.as_str()) {
                        let met = before.get(called).map_or_else(|| known.clone(), |old| old & &known);
                        if before.get(called) != Some(&met) {
                            before.insert(called, met);
                            work.push(called);
                        }
                    }
                    self.pass(place, &after, &mut known);
                }
            }
        }
        let mut early = Vec::new();
        for (rule, entry) in &before {
            for places in self.rules.get(rule).map(|(_, alternatives)| alternatives.as_slice()).unwrap_or_default() {
                let mut known = entry.clone();
                self.walk(places, &after, &mut known, &mut early);
            }
        }
        let mut known = after.get(start).cloned().unwrap_or_default();
        known.insert(start);
        for template in &self.templates {
            self.walk(template, &after, &mut known, &mut early);
        }
        early.sort_by_key(|e: &GrammarError| order(&e.part));
        found.extend(early);
    }

    fn walk<'a>(
        &'a self,
        places: &'a Places,
        after: &BTreeMap<&'a str, BTreeSet<&'a str>>,
        known: &mut BTreeSet<&'a str>,
        early: &mut Vec<GrammarError>,
    ) {
        for (part, place) in places {
            let name = place.name.as_str();
            if place.remember.is_none() && self.only_remembered(name) && !known.contains(name) {
                early.push(error(part.clone(), Some(place), GrammarProblem::NotYetRemembered(place.name.clone())));
            }
            self.pass(place, after, known);
        }
    }

    /// What the places surely remember, one after the other.
    fn remembers<'a>(&'a self, places: &'a Places, after: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
        let mut known = BTreeSet::new();
        places.iter().for_each(|(_, place)| self.pass(place, after, &mut known));
        known
    }

    fn pass<'a>(&self, place: &'a Place, after: &BTreeMap<&'a str, BTreeSet<&'a str>>, known: &mut BTreeSet<&'a str>) {
        // A remembered name is repeated without expanding the rule of the same name, so such a rule is not surely passed.
        let repeated = place.remember.is_none() && self.all().any(|(_, p)| p.remember.as_ref() == Some(&place.name));
        if let Some(sure) = after.get(place.name.as_str())
            && !repeated
        {
            known.extend(sure.iter().copied());
        }
        known.extend(place.remember.as_deref());
    }

    fn unused(&self, start: &str, found: &mut Vec<GrammarError>) {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut work: Vec<&str> = vec![start];
        work.extend(self.templates.iter().flatten().map(|(_, p)| p.name.as_str()));
        while let Some(name) = work.pop() {
            if let Some((name, (_, alternatives))) = self.rules.get_key_value(name)
                && reached.insert(name)
            {
                work.extend(alternatives.iter().flatten().map(|(_, p)| p.name.as_str()));
            }
        }
        let mut unused: Vec<_> = self.rules.iter().filter(|(name, _)| !reached.contains(*name)).collect();
        unused.sort_by_key(|(_, (index, _))| *index);
        found.extend(unused.into_iter().map(|(name, (index, _))| {
            error(GrammarPart::Rule(*index, (*name).to_owned()), None, GrammarProblem::Unused(start.to_owned()))
        }));
    }
}

impl std::fmt::Display for GrammarPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GrammarPart::Start => f.write_str("`start`"),
            GrammarPart::Rule(_, name) => write!(f, "rule `{name}`"),
            GrammarPart::Alternative(_, name, at) => write!(f, "rule `{name}`, alternative {}", at + 1),
            GrammarPart::Prompt => f.write_str("`prompt`"),
            GrammarPart::Response => f.write_str("`response`"),
        }
    }
}

fn places(text: &str, part: GrammarPart, found: &mut Vec<GrammarError>) -> Places {
    match parse(text) {
        Ok(pieces) => pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Place(place) => Some((part.clone(), place)),
                Piece::Text(_) => None,
            })
            .collect(),
        Err(problems) => {
            found.extend(problems.into_iter().map(|(span, problem)| GrammarError {
                part: part.clone(),
                span: Some(span),
                problem: problem.into(),
            }));
            Vec::new()
        }
    }
}

fn error(part: GrammarPart, place: Option<&Place>, problem: GrammarProblem) -> GrammarError {
    GrammarError { part, span: place.map(|p| p.span.clone()), problem }
}

fn order(part: &GrammarPart) -> (usize, usize) {
    match part {
        GrammarPart::Start => (0, 0),
        GrammarPart::Rule(rule, _) => (rule + 1, 0),
        GrammarPart::Alternative(rule, _, at) => (rule + 1, at + 1),
        GrammarPart::Prompt => (usize::MAX, 0),
        GrammarPart::Response => (usize::MAX, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, of: &[&str]) -> Rule {
        let of = of.iter().map(|text| Alternative { text: (*text).to_owned(), weight: 1.0 }).collect();
        Rule { name: name.to_owned(), of }
    }

    fn problems(rules: &[Rule], start: &str, prompt: Option<&str>) -> Vec<String> {
        check(rules, start, prompt, None).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_sound_grammar_has_no_problems() {
        let rules = [
            rule("story", &["<animal as hero:a:capital> slept. <hero> woke.", "<animal as hero> ate <food>."]),
            rule("animal", &["fox", "owl"]),
            rule("food", &["<food> and <food>", "bread"]),
        ];
        assert_eq!(problems(&rules, "story", Some("<story> Who was it? <hero>")), [""; 0]);
    }

    #[test]
    fn names_that_nothing_defines() {
        let rules = [rule("story", &["<animl> and <wolf as hero> met <heroo>."]), rule("animal", &["fox"])];
        assert_eq!(
            problems(&rules, "stroy", None),
            [
                "`start`: there is no rule `stroy`; did you mean `story`?",
                "rule `story`, alternative 1: `animl` is neither a rule nor a remembered name; did you mean `animal`?",
                "rule `story`, alternative 1: there is no rule `wolf`",
                "rule `story`, alternative 1: `heroo` is neither a rule nor a remembered name; did you mean `hero`?",
            ]
        );
    }

    #[test]
    fn names_that_may_not_be_remembered_yet() {
        // The second alternative remembers nothing, so the last sentence may have no hero.
        let rules = [
            rule("story", &["<opening> <hero> slept."]),
            rule("opening", &["There was <animal as hero:a>.", "It rained."]),
            rule("animal", &["fox"]),
        ];
        let found = check(&rules, "story", None, None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].problem, GrammarProblem::NotYetRemembered("hero".into()));
        assert_eq!(found[0].span, Some(10..16));
    }

    #[test]
    fn rules_that_cannot_end_are_found_and_rules_that_can_are_not() {
        let rules = [rule("a", &["<b>"]), rule("b", &["<a> x", "<b>"]), rule("c", &["<c> y", "z"])];
        let found = problems(&rules, "a", None);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("rule `a`: the rule can never end"));
        assert!(found[1].starts_with("rule `b`: the rule can never end"));
    }

    #[test]
    fn weights_repeats_and_unused_rules() {
        let mut rules = vec![rule("a", &["x"]), rule("a", &["y"]), rule("b", &[])];
        rules[0].of[0].weight = -1.0;
        let found = problems(&rules, "a", None);
        assert_eq!(found.len(), 3, "{found:?}");
        let unused = check(&[rule("a", &["x"]), rule("b", &["y"])], "a", None, None);
        assert!(unused.len() == 1 && unused[0].problem.is_warning());
    }
}
