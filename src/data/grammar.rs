//! Documents and samples written by a seeded grammar.

use super::pipeline::Records;
use super::{DataError, Record};
use crate::plan::grammar_text::{self, Piece, Place};
use crate::plan::spec::Grammar;
use crate::random::{Draws, Stream};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many rules may be open inside one another.
const DEPTH_LIMIT: usize = 100;

/// The longest text, in bytes, that one document may grow to.
const LENGTH_LIMIT: usize = 1 << 20;

/// Documents written at once.
const BLOCK: u64 = 256;

/// The documents of a grammar. Document `i` is a function of the rules, the seeds and `i` alone.
///
/// # Errors
/// When the grammar has mistakes (all of them are told); while writing, when a document grows without end.
pub(super) fn read<'a>(spec: &Grammar, seed: u64) -> Result<Records<'a>, DataError> {
    let writer = Arc::new(Writer::new(spec, seed)?);
    let documents = u64::try_from(spec.documents).ok().filter(|n| *n > 0).ok_or_else(|| DataError::BadNumber {
        what: "the number of documents of a grammar".into(),
        wanted: "at least 1",
        found: spec.documents.to_string(),
    })?;
    let blocks = (0..documents.div_ceil(BLOCK)).flat_map(move |block| {
        let range = block * BLOCK..((block + 1) * BLOCK).min(documents);
        range.into_par_iter().map(|index| writer.document(index)).collect::<Vec<_>>()
    });
    Ok(Box::new(blocks))
}

/// A grammar taken apart.
struct Writer {
    rules: BTreeMap<String, Alternatives>,
    start: String,
    prompt: Option<Vec<Piece>>,
    response: Option<Vec<Piece>>,
    stream: Stream,
}

struct Alternatives {
    /// Running sum of the weights.
    weights: Vec<f64>,
    pieces: Vec<Vec<Piece>>,
}

impl Writer {
    fn new(spec: &Grammar, seed: u64) -> Result<Writer, DataError> {
        match (&spec.prompt, &spec.response) {
            (Some(_), None) => return Err(DataError::HalfSample { given: "prompt", missing: "response" }),
            (None, Some(_)) => return Err(DataError::HalfSample { given: "response", missing: "prompt" }),
            _ => {}
        }
        let mut errors =
            grammar_text::check(&spec.rules, &spec.start, spec.prompt.as_deref(), spec.response.as_deref());
        errors.retain(|e| !e.problem.is_warning());
        if !errors.is_empty() {
            return Err(DataError::Grammar(errors));
        }
        // The check has parsed every text, so none can fail here.
        let parse = |text: &str| grammar_text::parse(text).unwrap_or_default();
        let mut rules = BTreeMap::new();
        for rule in &spec.rules {
            let mut total = 0.0;
            let weights = rule.of.iter().map(|a| {
                total += a.weight;
                total
            });
            let weights = weights.collect();
            let pieces = rule.of.iter().map(|a| parse(&a.text)).collect();
            rules.insert(rule.name.clone(), Alternatives { weights, pieces });
        }
        Ok(Writer {
            rules,
            start: spec.start.clone(),
            prompt: spec.prompt.as_deref().map(parse),
            response: spec.response.as_deref().map(parse),
            stream: Stream::new(seed.wrapping_add(spec.seed as u64), "grammar"),
        })
    }

    fn document(&self, index: u64) -> Result<Record, DataError> {
        let mut page = Page {
            writer: self,
            document: index,
            draws: self.stream.at(index),
            remembered: BTreeMap::new(),
            written: 0,
        };
        let text = page.rule(&self.start, 0)?;
        let source = format!("grammar:{}", index + 1);
        Ok(match (&self.prompt, &self.response) {
            (Some(prompt), Some(response)) => {
                page.remembered.insert(&self.start, text);
                let (prompt, response) = (page.pieces(prompt, 0)?, page.pieces(response, 0)?);
                Record::sample(prompt, response, source, index)
            }
            _ => Record::document(text, source, index),
        })
    }
}

/// One document while it is written.
struct Page<'a> {
    writer: &'a Writer,
    document: u64,
    draws: Draws,
    remembered: BTreeMap<&'a str, String>,
    written: usize,
}

impl<'a> Page<'a> {
    fn rule(&mut self, name: &str, depth: usize) -> Result<String, DataError> {
        if depth >= DEPTH_LIMIT {
            return Err(DataError::TooDeep { rule: name.to_owned(), limit: DEPTH_LIMIT, document: self.document });
        }
        let Some(rule) = self.writer.rules.get(name) else { return Ok(String::new()) };
        let total = rule.weights.last().copied().unwrap_or_default();
        let drawn = self.draws.uniform() * total;
        let chosen = rule.weights.partition_point(|sum| *sum <= drawn).min(rule.pieces.len().saturating_sub(1));
        match rule.pieces.get(chosen) {
            Some(pieces) => self.pieces(pieces, depth + 1),
            None => Ok(String::new()),
        }
    }

    fn pieces(&mut self, pieces: &'a [Piece], depth: usize) -> Result<String, DataError> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Place(place) => text.push_str(&self.place(place, depth)?),
            }
        }
        self.written += text.len();
        if self.written > LENGTH_LIMIT {
            return Err(DataError::TooLong { document: self.document, limit: LENGTH_LIMIT >> 10 });
        }
        Ok(text)
    }

    fn place(&mut self, place: &'a Place, depth: usize) -> Result<String, DataError> {
        let filled = match &place.remember {
            Some(name) => {
                let text = self.rule(&place.name, depth)?;
                self.remembered.insert(name, text.clone());
                text
            }
            None => match self.remembered.get(place.name.as_str()) {
                Some(text) => text.clone(),
                None => self.rule(&place.name, depth)?,
            },
        };
        Ok(place.forms.iter().fold(filled, |text, form| form.apply(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::spec::{Alternative, Rule};

    fn rule(name: &str, of: &[(&str, f64)]) -> Rule {
        let of = of.iter().map(|(text, weight)| Alternative { text: (*text).to_owned(), weight: *weight });
        Rule { name: name.to_owned(), of: of.collect() }
    }

    fn grammar(documents: i64, rules: Vec<Rule>) -> Grammar {
        let start = rules[0].name.clone();
        Grammar { documents, start, rules, prompt: None, response: None, seed: 0, license: None }
    }

    fn write(spec: &Grammar) -> Result<Vec<Record>, DataError> {
        read(spec, 1).and_then(Iterator::collect)
    }

    #[test]
    fn a_remembered_name_is_repeated_with_other_forms() {
        let rules = vec![
            rule("story", &[("<animal as hero:a:capital> ran. The <hero> met two <hero:plural>.", 1.0)]),
            rule("animal", &[("owl", 1.0), ("fox", 1.0)]),
        ];
        let texts: Vec<String> = write(&grammar(50, rules)).unwrap().into_iter().map(|r| r.text).collect();
        assert!(texts.contains(&"An owl ran. The owl met two owls.".to_owned()));
        assert!(texts.contains(&"A fox ran. The fox met two foxes.".to_owned()));
        assert!(texts.iter().all(|t| t.starts_with("An owl ran. The owl") || t.starts_with("A fox ran. The fox")));
    }

    #[test]
    fn samples_ask_about_what_the_document_remembers() {
        let mut spec = grammar(
            20,
            vec![
                rule("story", &[("<name as hero> had <food as meal>.", 1.0)]),
                rule("name", &[("Ann", 1.0), ("Bob", 1.0)]),
                rule("food", &[("soup", 1.0), ("bread", 1.0)]),
            ],
        );
        spec.prompt = Some("<story> What did <hero> have?".into());
        spec.response = Some("<meal:capital>.".into());
        for record in write(&spec).unwrap() {
            let (prompt, response) = (record.prompt.unwrap(), record.response.unwrap());
            let meal = response.trim_end_matches('.').to_lowercase();
            assert!(prompt.contains(&format!("had {meal}.")), "{prompt} {response}");
        }
    }

    #[test]
    fn weights_are_shares() {
        let rules = vec![rule("a", &[("x", 3.0), ("y", 1.0)])];
        let x = write(&grammar(20_000, rules)).unwrap().iter().filter(|r| r.text == "x").count();
        assert!((x as f64 / 20_000.0 - 0.75).abs() < 0.015, "{x}");
    }

    #[test]
    fn a_document_depends_on_its_number_and_not_on_how_many_there_are() {
        let rules = || vec![rule("a", &[("<b> <b> <b>", 1.0)]), rule("b", &[("x", 1.0), ("y", 1.0), ("z", 1.0)])];
        let (few, many) = (write(&grammar(10, rules())).unwrap(), write(&grammar(1000, rules())).unwrap());
        assert_eq!(few[..], many[..10]);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| write(&grammar(1000, rules())).unwrap()), many);
    }

    #[test]
    fn a_grammar_that_grows_without_end_is_an_error() {
        let error = write(&grammar(200, vec![rule("a", &[("<a><a>", 9.0), ("x", 1.0)])])).unwrap_err().to_string();
        assert!(error.contains("100 rules deep at `a`") || error.contains("grew beyond"), "{error}");
        let error = write(&grammar(1, vec![rule("a", &[("<b>", 1.0)])])).unwrap_err().to_string();
        assert!(error.contains("rule `a`, alternative 1: `b` is neither"), "{error}");
    }
}
