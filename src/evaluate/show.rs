//! Compiled expressions as the language writes them.

use crate::types::core::{Constant, Core, Op};

/// `core` as text, with brackets only where they are needed.
pub fn source(core: &Core) -> String {
    let mut out = String::new();
    write(core, 0, &mut out);
    out
}

/// How tightly an operator binds; more is tighter.
fn strength(op: Op) -> u8 {
    match op {
        Op::Or => 1,
        Op::And => 2,
        Op::Equal | Op::NotEqual | Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual | Op::In => 4,
        Op::Add | Op::Subtract => 5,
        Op::Multiply | Op::Divide | Op::Remainder => 6,
        Op::Power => 8,
    }
}

/// Appends `core`, in brackets if it binds less tightly than `outer`.
fn write(core: &Core, outer: u8, out: &mut String) {
    let own = match core {
        Core::Binary { op, .. } => strength(*op),
        Core::Not(_) => 3,
        Core::Within { .. } => 4,
        Core::Negate(_) => 7,
        Core::If { .. } => 0,
        _ => 9,
    };
    if own < outer {
        out.push('(');
    }
    match core {
        Core::Const(Constant::Float(x)) => out.push_str(&x.to_string()),
        Core::Const(c) => out.push_str(&c.to_string()),
        Core::Arg(name) => out.push_str(name),
        Core::Field { of, name } => {
            write(of, 9, out);
            out.push('.');
            out.push_str(name);
        }
        Core::Measure(path) => out.push_str(&path.join(".")),
        Core::Not(e) => {
            out.push_str("not ");
            write(e, 3, out);
        }
        Core::Negate(e) => {
            out.push('-');
            write(e, 7, out);
        }
        Core::Binary { op, left, right } => {
            write(left, own, out);
            out.push_str(&format!(" {} ", op.symbol()));
            // Operators group to the left (powers to the right), so that the other side needs brackets when equal.
            write(right, if *op == Op::Power { own } else { own + 1 }, out);
        }
        Core::Within { value, low, high, inclusive } => {
            write(value, 5, out);
            out.push_str(" in ");
            write(low, 5, out);
            out.push_str(if *inclusive { "..=" } else { ".." });
            write(high, 5, out);
        }
        Core::If { condition, then, otherwise } => {
            out.push_str("if ");
            write(condition, 1, out);
            out.push_str(" then ");
            write(then, 1, out);
            out.push_str(" else ");
            write(otherwise, 0, out);
        }
        Core::Call { function, args } => {
            out.push_str(function);
            list(args, '(', ')', out);
        }
        Core::List(items) => list(items, '[', ']', out),
    }
    if own < outer {
        out.push(')');
    }
}

fn list(items: &[Core], open: char, close: char, out: &mut String) {
    out.push(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(item, 0, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::source;
    use crate::types::core::{Constant, Core, Op};

    #[test]
    fn brackets_stand_only_where_they_change_the_meaning() {
        let leaf = |name: &str| Core::Measure(vec![name.into()]);
        let binary = |op, left, right| Core::Binary { op, left: Box::new(left), right: Box::new(right) };
        let sum = binary(Op::Add, leaf("a"), leaf("b"));
        let product = binary(Op::Multiply, sum.clone(), Core::Const(Constant::Float(0.5)));
        assert_eq!(source(&binary(Op::Less, product, leaf("c"))), "(a + b) * 0.5 < c");
        assert_eq!(source(&binary(Op::Subtract, leaf("c"), sum)), "c - (a + b)");
        let either = binary(Op::Or, leaf("p"), leaf("q"));
        assert_eq!(source(&Core::Not(Box::new(either))), "not (p or q)");
        let call = Core::Call { function: "max".into(), args: vec![leaf("a"), leaf("b")] };
        let range = Core::Within {
            value: Box::new(call),
            low: Box::new(Core::Const(Constant::Int(1))),
            high: Box::new(leaf("b")),
            inclusive: false,
        };
        assert_eq!(source(&range), "max(a, b) in 1..b");
    }
}
