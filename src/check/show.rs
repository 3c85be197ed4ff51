//! Values as the language writes them.

use super::Checker;
use crate::types::{Num, Unit, Value};

/// A number with its unit, so that reading it back gives the same value.
pub fn show_number(number: Num, unit: Unit) -> String {
    match unit {
        Unit::One => show_plain(number),
        Unit::Ratio => format!("{}%", show_float(percent(number.as_f64()))),
        Unit::Dollars => format!("${}", show_plain(number)),
        other => {
            let word = other.word();
            // "1 tokens" reads wrongly.
            let word = if number.as_f64() == 1.0 && word.len() > 1 { word.trim_end_matches('s') } else { word };
            format!("{} {word}", show_plain(number))
        }
    }
}

/// The fewest significant digits, from six on, that are not told apart from `x` by more than the rounding of the sums and
/// products that made it: `0.050000000000000044` is `0.05`, and `1.0000001` stays as it is.
pub fn brief(x: f64) -> f64 {
    let close = |y: &f64| (y - x).abs() <= (x.abs() * 1e-12).max(1e-18);
    (5..16).filter_map(|digits| format!("{x:.digits$e}").parse::<f64>().ok()).find(close).unwrap_or(x)
}

/// A number with its unit for people.
pub fn show_briefly(number: Num, unit: Unit) -> String {
    match number {
        Num::Int(_) => show_number(number, unit),
        Num::Float(x) if unit == Unit::Ratio => show_number(Num::Float(brief(x * 100.0) / 100.0), unit),
        Num::Float(x) => show_number(Num::Float(brief(x)), unit),
    }
}

/// `x` in percent, without the dust that multiplying by a hundred leaves.
fn percent(x: f64) -> f64 {
    let hundred = x * 100.0;
    let round = (hundred * 1e9).round() / 1e9;
    if (round / 100.0 - x).abs() <= f64::EPSILON * x.abs() { round } else { hundred }
}

fn show_plain(number: Num) -> String {
    match number {
        Num::Int(i) => group(i),
        Num::Float(x) => show_float(x),
    }
}

fn show_float(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if x.fract() == 0.0 && x.abs() < 1e15 {
        return group(x as i64);
    }
    if x.abs() < 1e-3 || x.abs() >= 1e15 { format!("{x:e}") } else { format!("{x}") }
}

/// Digits in groups of three from five digits on: `16_384`.
fn group(i: i64) -> String {
    let digits = i.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            text.push('_');
        }
        text.push(digit);
    }
    if i < 0 { format!("-{text}") } else { text }
}

/// A text in quotes.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '{' => quoted.push_str("\\{"),
            '}' => quoted.push_str("\\}"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

impl Checker<'_> {
    /// Runs `work` with numbers shown for people. Never where the text that is made becomes a value.
    pub(super) fn briefly<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.brief, true);
        let result = work(self);
        self.brief = before;
        result
    }

    /// A value as the language writes it; records are shown by what is set in them.
    pub(super) fn show(&self, value: &Value) -> String {
        match value {
            Value::Error => "?".into(),
            Value::None => "none".into(),
            Value::Bool(b) => b.to_string(),
            Value::Number(n, unit) if self.brief => show_briefly(*n, *unit),
            Value::Number(n, unit) => show_number(*n, *unit),
            Value::Text(t) | Value::Path { written: t, .. } => quote(t),
            Value::Symbol(s) => s.to_string(),
            Value::List(items) => {
                let shown: Vec<String> = items.iter().map(|i| self.show(&i.value)).collect();
                format!("[{}]", shown.join(", "))
            }
            Value::Map(map) => {
                let shown: Vec<String> = map.iter().map(|(k, v)| format!("{k} = {}", self.show(&v.value))).collect();
                shown.join(", ")
            }
            Value::Range { low, high, unit, inclusive } => {
                let dots = if *inclusive { "..=" } else { ".." };
                format!("{}{dots}{}", show_number(*low, Unit::One), show_number(*high, *unit))
            }
            Value::Record(id) => {
                let record = self.record(*id);
                match &record.item {
                    Some(item) => item.name.to_string(),
                    None => self.schema(record.schema).name.to_string() + "(…)",
                }
            }
            Value::Item(id, _) => self.item_name(id),
            Value::Split(id, split) => format!("{}.{split}", self.item_name(id)),
            Value::Lambda(l) => format!("{} => …", l.param),
            Value::Later(later) => format!("a {} known later", self.show_type(&later.ty)),
            Value::Schema(id) => self.schema(*id).name.to_string(),
            Value::Function(id) => id.name.to_string(),
            Value::Module(id) => self.resolved.module(*id).stem.to_string(),
            Value::Builtin(name) => (*name).to_owned(),
            Value::Axis(_) => "an axis".into(),
            Value::Measures(path) => path.join("."),
        }
    }

    /// What a value is, for "found …".
    pub(super) fn describe(&self, value: &Value) -> String {
        match value {
            Value::Error => "an erroneous value".into(),
            Value::None => "`none`".into(),
            Value::Bool(b) => format!("the truth value `{b}`"),
            Value::Number(n, Unit::One) => format!("the number `{}`", show_number(*n, Unit::One)),
            Value::Number(n, unit) => format!("{} `{}`", unit.type_name(), show_number(*n, *unit)),
            Value::Text(_) | Value::Path { .. } => "a text".into(),
            Value::Symbol(s) => format!("the symbol `{s}`"),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "named values".into(),
            Value::Range { .. } => "a range".into(),
            Value::Record(id) => self.describe_record(*id),
            Value::Item(id, record) => {
                let name = self.item_name(id);
                match self.kind_of(self.record(*record).schema) {
                    Some(kind) => format!("the {} `{name}`", kind.keyword()),
                    None => format!("`{name}`"),
                }
            }
            Value::Split(id, split) => format!("the split `{}.{split}`", self.item_name(id)),
            Value::Lambda(_) => "a function".into(),
            Value::Later(later) => match &later.ty {
                crate::types::Type::Bool => "a condition that is known later".into(),
                ty => format!("a {} that is known later", self.show_type(ty)),
            },
            Value::Schema(id) => format!("the schema `{}`", self.schema(*id).name),
            Value::Function(id) => format!("the function `{}`", id.name),
            Value::Module(id) => format!("the module `{}`", self.resolved.module(*id).stem),
            Value::Builtin(name) => format!("the function `{name}`"),
            Value::Axis(_) => "the values of a sweep's axis".into(),
            Value::Measures(path) => format!("the measurements of `{}`", path.join(".")),
        }
    }

    fn describe_record(&self, id: crate::types::RecordId) -> String {
        let schema = self.record(id).schema;
        let name = &self.schema(schema).name;
        match self.schema(schema).base {
            Some(_) => format!("the {} `{name}`", self.schema(self.family(schema)).name),
            None => format!("a `{name}`"),
        }
    }

    /// An item's name as other items refer to it: with its module when that is not the main one.
    pub(super) fn item_name(&self, id: &crate::types::ItemId) -> String {
        if id.module == self.resolved.main {
            return id.name.to_string();
        }
        format!("{}.{}", self.module_name_of(id.module), id.name)
    }

    /// What items of a module are called by: its stem, or its path where that could mean something else.
    pub(super) fn module_name_of(&self, module: u32) -> String {
        let this = self.resolved.module(module);
        let main = self.resolved.module(self.resolved.main);
        let shared = self.resolved.modules.iter().filter(|m| m.stem == this.stem).count() > 1;
        let item = main.names.get(&this.stem).is_some_and(|e| matches!(e.kind, crate::resolve::EntryKind::Decl(_)));
        if shared || item {
            return this.path.trim_end_matches(".exp").replace('/', ".");
        }
        this.stem.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dust_is_not_shown_and_differences_are() {
        for (x, shown) in [
            (0.050_000_000_000_000_044, "0.05"),
            (-0.049_999_999_999_999_93, "-0.05"),
            (0.1 + 0.2, "0.3"),
            (1.110_223_024_625_156_5e-16, "1.11022e-16"),
            (1.000_000_1, "1.0000001"),
            (1.0 / 3.0, "0.333333333333"),
            (12_345.678, "12345.678"),
            (2e20, "2e20"),
            (0.0, "0"),
        ] {
            assert_eq!(show_briefly(Num::Float(x), Unit::One), shown);
        }
        assert_eq!(show_briefly(Num::Float(0.949_999_999_999_999_9), Unit::Ratio), "95%");
        assert_eq!(show_briefly(Num::Float(0.949_999_9), Unit::Ratio), "94.99999%");
        assert_eq!(show_briefly(Num::Int(16_384), Unit::Tokens), "16_384 tokens");
    }
}
