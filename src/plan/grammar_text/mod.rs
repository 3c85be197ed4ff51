//! The text of grammar rules: `The <animal as hero:a> met <hero>.`
//!
//! This is the pure half of the `grammar` source: what a rule's text means, and every mistake that can be found without
//! expanding it. The language checks with it before anything runs; the engine expands with the same pieces.
//!
//! | written | means |
//! | --- | --- |
//! | `<animal>` | what is remembered under `animal` if anything is, else an expansion of the rule `animal` |
//! | `<animal as hero>` | an expansion of the rule `animal`, remembered as `hero` for the rest of the document |
//! | `<hero:plural:capital>` | the same with its form changed, from left to right |
//! | `<<` | a plain `<` |
//!
//! A `<` that no letter follows (`3 < 4`, `<|user|>`) stands for itself. What is remembered is the expansion before its
//! form is changed, so `<animal as hero:a>` writes "an owl" and remembers "owl". The whole document is remembered under
//! the name of the start rule, for the templates of a sample's prompt and response.

mod check;
mod forms;

pub use check::{GrammarError, GrammarPart, GrammarProblem, check};

use crate::diagnostics::suggest::similar;
use std::ops::Range;

/// A run of plain text, or a place to fill.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    Text(String),
    Place(Place),
}

/// `<name as remember:form:form>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub name: String,
    pub remember: Option<String>,
    pub forms: Vec<Form>,
    /// Bytes of the rule's text, with both angle brackets.
    pub span: Range<usize>,
}

/// A change of form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The first letter becomes a capital.
    Capital,
    /// The indefinite article goes before.
    Article,
    /// The last word becomes an English plural.
    Plural,
}

/// What is wrong with one place of a rule's text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TextProblem {
    #[error("`<` opens a place that no `>` closes; write `<<` for a plain `<`")]
    Unclosed,
    #[error("`{0}` is not a name; names are letters, digits and `_`, and start with a letter")]
    BadName(String),
    #[error("`{0}` is not a form{near}", near = did_you_mean(.1, "; the forms are `capital`, `a` and `plural`"))]
    BadForm(String, Vec<String>),
}

/// Takes a rule's text apart.
///
/// # Errors
/// All the places that are malformed, each with its bytes in `text`.
pub fn parse(text: &str) -> Result<Vec<Piece>, Vec<(Range<usize>, TextProblem)>> {
    let (mut pieces, mut problems, mut plain) = (Vec::new(), Vec::new(), String::new());
    let mut at = 0;
    while let Some(found) = text[at..].find('<').map(|offset| at + offset) {
        plain.push_str(&text[at..found]);
        let rest = &text[found + 1..];
        if rest.starts_with('<') {
            plain.push('<');
            at = found + 2;
        } else if !rest.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            plain.push('<');
            at = found + 1;
        } else if let Some(length) = rest.find(['<', '>']).filter(|end| rest[*end..].starts_with('>')) {
            let span = found..found + length + 2;
            match place(&rest[..length], span.clone()) {
                Ok(place) => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Place(place));
                }
                Err(problem) => problems.push((span.clone(), problem)),
            }
            at = span.end;
        } else {
            problems.push((found..found + 1, TextProblem::Unclosed));
            at = found + 1;
        }
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    if problems.is_empty() { Ok(pieces) } else { Err(problems) }
}

impl Form {
    /// The name that the form has in a rule's text.
    pub const NAMES: [(&str, Form); 3] = [("capital", Form::Capital), ("a", Form::Article), ("plural", Form::Plural)];

    /// `text` in this form.
    pub fn apply(self, text: &str) -> String {
        match self {
            Form::Capital => forms::capital(text),
            Form::Article => forms::article(text),
            Form::Plural => forms::plural(text),
        }
    }
}

fn place(inside: &str, span: Range<usize>) -> Result<Place, TextProblem> {
    let mut parts = inside.split(':');
    let mut words = parts.next().unwrap_or_default().split_whitespace();
    let (name, keyword, remember, more) = (words.next(), words.next(), words.next(), words.next());
    let bad = || TextProblem::BadName(inside.split(':').next().unwrap_or_default().trim().to_owned());
    let name = name.filter(|n| is_name(n)).ok_or_else(bad)?;
    let remember = match (keyword, remember, more) {
        (None, ..) => None,
        (Some("as"), Some(remember), None) if is_name(remember) => Some(remember.to_owned()),
        _ => return Err(bad()),
    };
    let forms = parts.map(form).collect::<Result<_, _>>()?;
    Ok(Place { name: name.to_owned(), remember, forms, span })
}

fn form(written: &str) -> Result<Form, TextProblem> {
    let written = written.trim();
    Form::NAMES.iter().find(|(name, _)| *name == written).map(|(_, form)| *form).ok_or_else(|| {
        let known = Form::NAMES.iter().map(|(name, _)| *name);
        TextProblem::BadForm(written.to_owned(), similar(written, known).into_iter().map(str::to_owned).collect())
    })
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_') && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// "; did you mean `a` or `b`?", or `otherwise` when nothing is near.
pub(crate) fn did_you_mean(near: &[String], otherwise: &str) -> String {
    match near {
        [] => otherwise.to_owned(),
        names => {
            let quoted: Vec<_> = names.iter().map(|n| format!("`{n}`")).collect();
            format!("; did you mean {}?", quoted.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, remember: Option<&str>, forms: &[Form], span: Range<usize>) -> Piece {
        Piece::Place(Place { name: name.into(), remember: remember.map(Into::into), forms: forms.into(), span })
    }

    #[test]
    fn places_have_a_name_a_memory_and_forms() {
        assert_eq!(
            parse("The <animal as hero:a> ran.").unwrap(),
            [
                Piece::Text("The ".into()),
                place("animal", Some("hero"), &[Form::Article], 4..22),
                Piece::Text(" ran.".into())
            ]
        );
        assert_eq!(parse("<x:plural:capital>").unwrap(), [place("x", None, &[Form::Plural, Form::Capital], 0..18)]);
    }

    #[test]
    fn a_bracket_that_opens_no_place_is_text() {
        assert_eq!(parse("3 < 4 <|user|> <<b>").unwrap(), [Piece::Text("3 < 4 <|user|> <b>".into())]);
    }

    #[test]
    fn all_mistakes_are_found_with_their_place() {
        let problems = parse("<animal:captial> <a b> <open").unwrap_err();
        let shown: Vec<_> = problems.iter().map(|(span, problem)| (span.clone(), problem.to_string())).collect();
        assert_eq!(shown[0], (0..16, "`captial` is not a form; did you mean `capital`?".to_owned()));
        assert_eq!(shown[1].0, 17..22);
        assert!(shown[1].1.starts_with("`a b` is not a name"));
        assert_eq!(shown[2].0, 23..24);
        assert!(shown[2].1.contains("no `>` closes"));
    }
}
