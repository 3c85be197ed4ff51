//! Quality gates: conditions over measured figures.

use super::{Measurements, source};
use crate::plan::spec::Expect;
use crate::types::core::{Constant, Core};
use serde::{Deserialize, Serialize};

/// Whether a gate was met, and why.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExpectResult {
    /// As written.
    pub text: String,
    /// None where a figure is missing; such a gate is not met.
    pub met: Option<bool>,
    /// Why it could not be decided.
    pub reason: Option<String>,
    /// The condition and everything in it, outermost first.
    pub values: Vec<Shown>,
}

/// An expression and its value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Shown {
    pub expression: String,
    pub value: String,
    /// The 95 % interval of a measured figure.
    pub interval: Option<(f64, f64)>,
    /// Items behind a measured figure.
    pub n: Option<u64>,
    /// How deep in the condition it stands.
    pub depth: u64,
}

/// Decides a gate.
pub fn expect(expect: &Expect, measured: &Measurements) -> ExpectResult {
    let condition = &expect.condition.0;
    let outcome = condition.eval(measured).and_then(|value| value.truth());
    ExpectResult {
        text: expect.text.clone(),
        met: outcome.as_ref().ok().copied(),
        reason: outcome.err().map(|error| error.to_string()),
        values: shown(condition, measured),
    }
}

impl ExpectResult {
    /// The condition with the values of all its parts, a line each.
    ///
    /// ```text
    /// unmet  fluency.pretrain.perplexity < 30
    ///        fluency.pretrain.perplexity = 34.21  [33.02, 35.4], n = 120
    /// ```
    pub fn diagram(&self) -> String {
        let word = match self.met {
            Some(true) => "met    ",
            Some(false) => "unmet  ",
            None => "unknown",
        };
        let mut out = format!("{word} {}\n", self.text);
        // The first line already says what the condition as a whole came to.
        for shown in self.values.iter().skip(1) {
            let indent = " ".repeat(8 + 2 * (shown.depth as usize).saturating_sub(1));
            out.push_str(&format!("{indent}{} = {}", shown.expression, shown.value));
            if let Some((low, high)) = shown.interval {
                out.push_str(&format!("  [{}, {}]", brief(low), brief(high)));
            }
            if let Some(n) = shown.n {
                out.push_str(&format!(", n = {n}"));
            }
            out.push('\n');
        }
        if let Some(reason) = &self.reason {
            out.push_str(&format!("        {reason}\n"));
        }
        out
    }
}

/// Every part of `core` that has a value worth showing, each once.
pub(super) fn shown(core: &Core, measured: &Measurements) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    visit(core, 0, measured, &mut found);
    found
}

fn visit(core: &Core, depth: u64, measured: &Measurements, found: &mut Vec<Shown>) {
    if let Core::Const(_) = core {
        return;
    }
    let expression = source(core);
    let known = found.iter().any(|s| s.expression == expression);
    if !known && !matches!(core, Core::List(_)) {
        let figure = if let Core::Measure(path) = core { measured.figure(path).ok() } else { None };
        let value = match core.eval(measured) {
            Ok(Constant::Float(x)) => brief(x),
            Ok(value) => value.to_string(),
            Err(_) => "unknown".into(),
        };
        found.push(Shown {
            expression,
            value,
            interval: figure.and_then(|f| f.interval),
            n: figure.and_then(|f| f.n),
            depth,
        });
    }
    let mut below = |core: &Core| visit(core, depth + 1, measured, found);
    match core {
        Core::Const(_) | Core::Arg(_) | Core::Measure(_) => {}
        Core::Field { of: e, .. } | Core::Not(e) | Core::Negate(e) => below(e),
        Core::Binary { left, right, .. } => {
            below(left);
            below(right);
        }
        Core::Within { value, low, high, .. } => [value, low, high].into_iter().for_each(|e| below(e)),
        Core::If { condition, then, otherwise } => [condition, then, otherwise].into_iter().for_each(|e| below(e)),
        Core::Call { args: list, .. } | Core::List(list) => list.iter().for_each(below),
    }
}

/// A number to four significant digits.
pub(super) fn brief(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let digits = (3 - x.abs().log10().floor() as i32).clamp(0, 12);
    let text = format!("{x:.*}", digits as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{brief, expect};
    use crate::evaluate::Measurements;
    use crate::plan::spec::{Expect, Measured};
    use crate::types::core::{Constant, Core, Op};

    fn below(path: &[&str], limit: f64) -> Expect {
        let path: Vec<String> = path.iter().map(|p| (*p).to_owned()).collect();
        Expect {
            text: format!("{} < {limit}", path.join(".")),
            condition: Measured(Core::Binary {
                op: Op::Less,
                left: Box::new(Core::Measure(path)),
                right: Box::new(Core::Const(Constant::Float(limit))),
            }),
        }
    }

    #[test]
    fn a_gate_shows_the_values_it_was_decided_on() {
        let mut measured = Measurements::new();
        measured.value("pretrain.valid.loss", 3.456_78);
        let result = expect(&below(&["pretrain", "valid", "loss"], 3.1), &measured);
        assert_eq!(result.met, Some(false));
        assert_eq!(result.diagram(), "unmet   pretrain.valid.loss < 3.1\n        pretrain.valid.loss = 3.457\n");
        assert_eq!(expect(&below(&["pretrain", "valid", "loss"], 4.0), &measured).met, Some(true));
    }

    #[test]
    fn a_missing_figure_decides_nothing() {
        let result = expect(&below(&["tuned", "valid", "loss"], 3.1), &Measurements::new());
        assert_eq!(result.met, None);
        assert!(result.diagram().contains("`tuned.valid.loss` has no value"), "{}", result.diagram());
    }

    #[test]
    fn numbers_are_brief() {
        assert_eq!([brief(1234.56), brief(0.000_123_456), brief(2.0), brief(-0.5)], ["1235", "0.0001235", "2", "-0.5"]);
    }
}
