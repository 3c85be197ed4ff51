//! Rules over documents as the language writes them, for the removal report.

use crate::types::core::{Constant, Core, Op};

/// The rule as it could have been written: `doc.words in 20..2000`.
pub(super) fn shown(rule: &Core) -> String {
    match rule {
        Core::Const(Constant::Text(text)) => format!("{text:?}"),
        Core::Const(value) => value.to_string(),
        Core::Arg(name) => name.clone(),
        Core::Field { of, name } => format!("{}.{name}", shown(of)),
        Core::Measure(path) => path.join("."),
        Core::Not(rule) => format!("not {}", inner(rule)),
        Core::Negate(value) => format!("-{}", inner(value)),
        Core::Binary { op, left, right } => {
            // `a and b and c` needs no brackets; everything else that is nested gets them.
            let side = |core: &Core| match core {
                Core::Binary { op: nested, .. } if nested == op && matches!(op, Op::And | Op::Or) => shown(core),
                _ if matches!(op, Op::And | Op::Or) && !matches!(core, Core::Binary { op: Op::And | Op::Or, .. }) => {
                    shown(core)
                }
                _ => inner(core),
            };
            format!("{} {} {}", side(left), op.symbol(), side(right))
        }
        Core::Within { value, low, high, inclusive } => {
            let dots = if *inclusive { "..=" } else { ".." };
            format!("{} in {}{dots}{}", inner(value), inner(low), inner(high))
        }
        Core::If { condition, then, otherwise } => {
            format!("if {} then {} else {}", shown(condition), shown(then), shown(otherwise))
        }
        Core::Call { function, args } => format!("{function}({})", list(args)),
        Core::List(items) => format!("[{}]", list(items)),
    }
}

fn inner(core: &Core) -> String {
    match core {
        Core::Binary { .. } | Core::Within { .. } | Core::If { .. } | Core::Not(_) => format!("({})", shown(core)),
        _ => shown(core),
    }
}

fn list(items: &[Core]) -> String {
    items.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str) -> Box<Core> {
        Box::new(Core::Field { of: Box::new(Core::Arg("doc".into())), name: name.into() })
    }

    fn number(value: i64) -> Box<Core> {
        Box::new(Core::Const(Constant::Int(value)))
    }

    #[test]
    fn rules_read_as_they_are_written() {
        let words = Core::Within { value: field("words"), low: number(20), high: number(2000), inclusive: false };
        let english = Core::Binary {
            op: Op::Equal,
            left: field("language"),
            right: Box::new(Core::Const(Constant::Text("en".into()))),
        };
        let both = Core::Binary { op: Op::And, left: Box::new(words), right: Box::new(english) };
        assert_eq!(shown(&both), "doc.words in 20..2000 and doc.language == \"en\"");
        let sum = Core::Binary { op: Op::Add, left: field("words"), right: number(1) };
        let product = Core::Binary { op: Op::Multiply, left: Box::new(sum), right: number(2) };
        let rule = Core::Not(Box::new(Core::Binary { op: Op::Less, left: Box::new(product), right: number(9) }));
        assert_eq!(shown(&rule), "not (((doc.words + 1) * 2) < 9)");
        let call = Core::Call { function: "contains".into(), args: vec![*field("text"), Core::List(vec![*number(1)])] };
        assert_eq!(shown(&call), "contains(doc.text, [1])");
    }
}
