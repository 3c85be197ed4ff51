//! Pairs of sentences that differ in one group, written from templates.

use super::pipeline::Records;
use super::{DataError, Pair, Record};
use crate::plan::grammar_text::Form;
use crate::plan::spec::{Contrast, Pairs};

/// The pairs of templates and contrasts: for each contrast each template, and for each of those the forms of the two
/// sides, first with first and so on.
///
/// `{group}` takes one form a pair, so two lists of three forms give three pairs. `{group:2}` takes the second form
/// whatever the pair; a template with a numbered place gives one pair, whose unnumbered places take the first form
/// (`{group:1} saw {group:2} friend` with `["he", "his"]` against `["she", "her"]`). A place at the start of a sentence
/// takes a capital.
///
/// # Errors
/// When a template has no place or a place that nothing fills, or the sides of a contrast have different numbers of forms.
pub(super) fn read<'a>(spec: &Pairs) -> Result<Records<'a>, DataError> {
    let templates = spec.templates.iter().map(|t| parse(t)).collect::<Result<Vec<_>, _>>()?;
    let mut records = Vec::new();
    for contrast in &spec.contrasts {
        let forms = contrast.first.len();
        if forms == 0 || forms != contrast.second.len() {
            let (first, second) = (contrast.first.len(), contrast.second.len());
            return Err(bad(format!(
                "the contrast `{}` has {first} forms on one side and {second} on the other; each form needs its counterpart",
                contrast.name
            )));
        }
        for (template, pieces) in spec.templates.iter().zip(&templates) {
            let numbered = pieces.iter().any(|p| matches!(p, Part::Place(Some(_))));
            for form in 0..if numbered { 1 } else { forms } {
                let pair = Pair {
                    first: fill(pieces, &contrast.first, form, template, contrast)?,
                    second: fill(pieces, &contrast.second, form, template, contrast)?,
                    contrast: contrast.name.clone(),
                };
                let index = records.len() as u64;
                let mut record =
                    Record { pair: Some(pair), source: format!("pairs:{}", index + 1), index, ..Record::default() };
                record.join();
                records.push(Ok(record));
            }
        }
    }
    Ok(Box::new(records.into_iter()))
}

enum Part {
    Text(String),
    /// The number of the form, from 1, where one is given.
    Place(Option<usize>),
}

fn parse(template: &str) -> Result<Vec<Part>, DataError> {
    let (mut parts, mut rest) = (Vec::new(), template);
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else {
            return Err(bad(format!("the template \"{template}\" opens a place that no `}}` closes")));
        };
        let inside = rest[open + 1..open + length].trim();
        let number = match inside.split_once(':') {
            None if inside == "group" => None,
            Some(("group", number)) => match number.trim().parse() {
                Ok(n) if n > 0 => Some(n),
                _ => return Err(bad(format!("in \"{template}\", `{{{inside}}}` must name a form by a number from 1"))),
            },
            _ => return Err(bad(format!("in \"{template}\", nothing fills `{{{inside}}}`; the place is `{{group}}`"))),
        };
        parts.push(Part::Text(rest[..open].to_owned()));
        parts.push(Part::Place(number));
        rest = &rest[open + length + 1..];
    }
    if parts.is_empty() {
        return Err(bad(format!(
            "the template \"{template}\" has no `{{group}}` place, so its two sentences would be equal"
        )));
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

fn fill(
    parts: &[Part],
    forms: &[String],
    form: usize,
    template: &str,
    contrast: &Contrast,
) -> Result<String, DataError> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Place(number) => {
                let at = number.map_or(form, |n| n - 1);
                let word = forms.get(at).ok_or_else(|| {
                    bad(format!(
                        "\"{template}\" asks for form {} and the contrast `{}` has {}",
                        at + 1,
                        contrast.name,
                        forms.len()
                    ))
                })?;
                let before = text.trim_end();
                if before.is_empty() || before.ends_with(['.', '!', '?', '\n']) {
                    text.push_str(&Form::Capital.apply(word));
                } else {
                    text.push_str(word);
                }
            }
        }
    }
    Ok(text)
}

fn bad(why: String) -> DataError {
    DataError::Pairs(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(templates: &[&str], first: &[&str], second: &[&str]) -> Result<Vec<(String, String)>, String> {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let contrast = Contrast { name: "gender".into(), first: own(first), second: own(second) };
        let spec = Pairs { templates: own(templates), contrasts: vec![contrast], license: None };
        read(&spec)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map(|list| list.into_iter().filter_map(|r| r.pair).map(|p| (p.first, p.second)).collect())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn each_form_gives_a_pair_unless_places_are_numbered() {
        let both = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            pairs(&["{group} is a doctor.", "Ask {group}."], &["he", "Tom"], &["she", "Ann"]).unwrap(),
            [
                both("He is a doctor.", "She is a doctor."),
                both("Tom is a doctor.", "Ann is a doctor."),
                both("Ask he.", "Ask she."),
                both("Ask Tom.", "Ask Ann.")
            ]
        );
        assert_eq!(
            pairs(&["{group:1} lost {group:2} job."], &["he", "his"], &["she", "her"]).unwrap(),
            [both("He lost his job.", "She lost her job.")]
        );
    }

    #[test]
    fn mistakes_are_told() {
        let error = |templates: &[&str], first: &[&str], second: &[&str]| pairs(templates, first, second).unwrap_err();
        assert!(error(&["No place."], &["a"], &["b"]).contains("would be equal"));
        assert!(error(&["{grup} x"], &["a"], &["b"]).contains("nothing fills `{grup}`"));
        assert!(error(&["{group} x"], &["a", "b"], &["c"]).contains("needs its counterpart"));
        assert!(error(&["{group:3} x"], &["a"], &["b"]).contains("asks for form 3"));
    }
}
