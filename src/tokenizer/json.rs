//! JSON inside chat templates, as Python's `json.dumps` writes it.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// `value | tojson`, with `indent`, `separators`, `ensure_ascii` and `sort_keys`.
///
/// Chat templates are written for a filter that is `json.dumps(…, ensure_ascii=False)` and not for Jinja's own, which
/// escapes what HTML would mistake. What templates of published models render to depends on it.
pub(super) fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get::<Option<usize>>("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let mut separators = separators.unwrap_or_default().into_iter();
    let between = if indent.is_some() { "," } else { ", " };
    let writer = Writer {
        indent,
        item: separators.next().unwrap_or_else(|| between.to_owned()),
        key: separators.next().unwrap_or_else(|| ": ".to_owned()),
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sort: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut out = String::new();
    writer.write(value, 0, &mut out)?;
    Ok(Value::from_safe_string(out))
}

/// A JSON value as a template sees it.
pub(super) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(b) => Value::from(*b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::from(i),
            (None, Some(x)) => Value::from(x),
            (None, None) => Value::from(n.to_string()),
        },
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        serde_json::Value::Object(fields) => Value::from_pairs(fields.iter().map(|(k, v)| (k.as_str(), from_json(v)))),
    }
}

struct Writer {
    indent: Option<usize>,
    item: String,
    key: String,
    ascii: bool,
    sort: bool,
}

/// Values nested deeper than this are no data of a conversation.
const DEPTH: usize = 100;

/// Nor is a longer text, in bytes: a template may ask for any indentation.
const LENGTH: usize = 1 << 26;

impl Writer {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "tojson: the value is nested too deeply"));
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&value.to_string()),
            ValueKind::String => self.text(value.as_str().unwrap_or_default(), out),
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort {
                    keys.sort();
                }
                self.list('{', '}', keys.len(), depth, out, |at, out| {
                    let Some(key) = keys.get(at) else { return Ok(()) };
                    self.text(&key.to_string(), out);
                    out.push_str(&self.key);
                    self.write(&value.get_item(key)?, depth + 1, out)
                })?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list('[', ']', items.len(), depth, out, |at, out| match items.get(at) {
                    Some(item) => self.write(item, depth + 1, out),
                    None => Ok(()),
                })?;
            }
            other => {
                return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: {other} is no JSON value")));
            }
        }
        Ok(())
    }

    fn list(
        &self,
        open: char,
        close: char,
        count: usize,
        depth: usize,
        out: &mut String,
        item: impl Fn(usize, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |depth: usize, out: &mut String| {
            let indent = self.indent.map(|indent| indent.saturating_mul(depth));
            if out.len().saturating_add(indent.unwrap_or(0)) > LENGTH {
                return Err(Error::new(ErrorKind::InvalidOperation, "tojson: the text is too long"));
            }
            if let Some(indent) = indent {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
            }
            Ok(())
        };
        out.push(open);
        for at in 0..count {
            if at > 0 {
                out.push_str(&self.item);
            }
            line(depth + 1, out)?;
            item(at, out)?;
        }
        if count > 0 {
            line(depth, out)?;
        }
        out.push(close);
        Ok(())
    }

    fn text(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_writes_it() {
        let value = from_json(&serde_json::json!({"b": [1, 2.5, true, null], "a": "<é\n\">", "c": {}}));
        let dump = |options: &[(&str, Value)]| {
            let options = options.iter().map(|(k, v)| (*k, v.clone())).collect::<Kwargs>();
            to_json(&value, options).unwrap().to_string()
        };
        assert_eq!(dump(&[]), r#"{"b": [1, 2.5, true, null], "a": "<é\n\">", "c": {}}"#);
        assert_eq!(
            dump(&[("ensure_ascii", Value::from(true)), ("sort_keys", Value::from(true))]),
            r#"{"a": "<\u00e9\n\">", "b": [1, 2.5, true, null], "c": {}}"#
        );
        assert!(dump(&[("indent", Value::from(2))]).starts_with("{\n  \"b\": [\n    1,\n"));
    }
}
