//! Methods of Python's strings in chat templates that the template engine's own set lacks.

use minijinja::value::{Kwargs, StringInput, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Calls a method that Jinja does not know, as Python would.
pub(super) fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if value.kind() == ValueKind::String
        && let Some(text) = value.as_str()
        && let Some(result) = of_string(text, method, args)
    {
        return result;
    }
    unknown_method_callback(state, value, method, args)
}

fn of_string(text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    let one = || from_args::<(StringInput<'_>,)>(args).map(|(part,)| part.as_str().to_owned());
    let result = match method {
        "removeprefix" => one().map(|prefix| Value::from(text.strip_prefix(prefix.as_str()).unwrap_or(text))),
        "removesuffix" => one().map(|suffix| Value::from(text.strip_suffix(suffix.as_str()).unwrap_or(text))),
        "partition" => one().and_then(|by| some(&by)).map(|by| match text.split_once(by.as_str()) {
            Some((before, after)) => list(&[before, &by, after]),
            None => list(&[text, "", ""]),
        }),
        "rpartition" => one().and_then(|by| some(&by)).map(|by| match text.rsplit_once(by.as_str()) {
            Some((before, after)) => list(&[before, &by, after]),
            None => list(&["", "", text]),
        }),
        "index" => one().and_then(|part| match text.find(part.as_str()) {
            Some(at) => Ok(Value::from(text[..at].chars().count())),
            None => Err(Error::new(ErrorKind::InvalidOperation, "index: substring not found")),
        }),
        "rsplit" => rsplit(text, args),
        "swapcase" => from_args::<()>(args).map(|()| Value::from(text.chars().map(swapped).collect::<String>())),
        _ => return None,
    };
    Some(result)
}

fn list(parts: &[&str]) -> Value {
    parts.iter().map(|part| Value::from(*part)).collect()
}

fn some(separator: &str) -> Result<String, Error> {
    match separator {
        "" => Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        _ => Ok(separator.to_owned()),
    }
}

/// Divides from the right, at most `maxsplit` times; without a separator at runs of blanks.
fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (by, most, named): (Option<StringInput<'_>>, Option<i64>, Kwargs) = from_args(args)?;
    let most = most.map_or_else(|| named.get::<Option<i64>>("maxsplit"), |most| Ok(Some(most)))?;
    named.assert_all_used()?;
    let most = most.and_then(|most| usize::try_from(most).ok());
    let mut parts: Vec<&str> = Vec::new();
    match by {
        Some(by) => {
            let by = some(by.as_str())?;
            match most {
                Some(most) => parts.extend(text.rsplitn(most.saturating_add(1), by.as_str())),
                None => parts.extend(text.rsplit(by.as_str())),
            }
        }
        None => {
            let mut rest = text.trim_end();
            while !rest.is_empty() && most.is_none_or(|most| parts.len() < most) {
                let at = rest.rfind(char::is_whitespace);
                let from = at.map_or(0, |at| at + rest[at..].chars().next().map_or(0, char::len_utf8));
                parts.push(&rest[from..]);
                rest = rest[..at.unwrap_or(0)].trim_end();
            }
            if !rest.is_empty() {
                parts.push(rest);
            }
        }
    }
    parts.reverse();
    Ok(list(&parts))
}

fn swapped(c: char) -> String {
    if c.is_lowercase() { c.to_uppercase().collect() } else { c.to_lowercase().collect() }
}

#[cfg(test)]
mod tests {
    use crate::tokenizer::render;

    #[test]
    fn as_python_does() {
        let said = |template: &str| render(template, &serde_json::json!({"s": "a, b,c  d"})).map_err(|e| e.to_string());
        for (template, expected) in [
            (
                "{{ s.removeprefix('a, ') }}|{{ s.removesuffix('d') }}|{{ s.removeprefix('x') }}",
                "b,c  d|a, b,c  |a, b,c  d",
            ),
            ("{{ s.partition(',')|join('|') }}; {{ s.partition('x')|join('|') }}", "a|,| b,c  d; a, b,c  d||"),
            ("{{ s.rpartition(',')|join('|') }}; {{ s.rpartition('x')|join('|') }}", "a, b|,|c  d; ||a, b,c  d"),
            ("{{ s.index('b') }}", "3"),
            ("{{ s.rsplit(',', 1)|join('|') }}; {{ s.rsplit(',')|join('|') }}", "a, b|c  d; a| b|c  d"),
            ("{{ s.rsplit()|join('|') }}; {{ s.rsplit(none, 1)|join('|') }}", "a,|b,c|d; a, b,c|d"),
            ("{{ '  a b '.rsplit(none, 1)|join('|') }}; {{ '  a b '.rsplit()|join('|') }}", "  a|b; a|b"),
            ("{{ 'a b c'.rsplit(' ', maxsplit=1)|join('|') }}; {{ '  '.rsplit()|length }}", "a b|c; 0"),
            ("{{ 'aB'.swapcase() }}", "Ab"),
        ] {
            assert_eq!(said(template).as_deref(), Ok(expected), "{template}");
        }
        assert!(said("{{ s.index('x') }}").unwrap_err().contains("substring not found"));
        assert!(said("{{ s.partition('') }}").unwrap_err().contains("empty separator"));
        assert!(said("{{ s.nothing() }}").is_err());
    }
}
