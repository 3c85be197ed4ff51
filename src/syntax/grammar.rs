//! The grammar, and how its rules are called in messages.

use pest::Parser as _;
use pest::iterators::Pairs;
use pest_derive::Parser;

/// The parser made from `grammar/*.pest`.
#[derive(Parser)]
#[grammar = "grammar/lexical.pest"]
#[grammar = "grammar/expressions.pest"]
#[grammar = "grammar/items.pest"]
struct ExpParser;

/// Reads `text` by `rule`.
pub fn read(rule: Rule, text: &str) -> Result<Pairs<'_, Rule>, Failure> {
    ExpParser::parse(rule, text).map_err(|error| {
        let at = match error.location {
            pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
        };
        match error.variant {
            pest::error::ErrorVariant::ParsingError { positives, .. } => {
                Failure { at, expected: positives, gave_up: false }
            }
            // The stack guard of pest is the only one that speaks in its own words.
            pest::error::ErrorVariant::CustomError { .. } => Failure { at, expected: Vec::new(), gave_up: true },
        }
    })
}

/// Why a strict rule did not fit.
#[derive(Debug)]
pub struct Failure {
    /// The furthest byte that was reached.
    pub at: usize,
    /// What would have been accepted there.
    pub expected: Vec<Rule>,
    /// Whether the parser ran out of stack.
    pub gave_up: bool,
}
