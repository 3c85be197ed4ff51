//! Lines of JSON as documents, samples or preferences.

use super::files::{Found, Lines, find};
use super::pipeline::Records;
use super::{DataError, Record};
use crate::diagnostics::suggest::similar;
use crate::plan::spec::{Jsonl, Preferences};
use serde_json::{Map, Value};
use std::path::Path;

/// The documents or samples of a `jsonl` source.
///
/// # Errors
/// When no file matches or only one of `prompt` and `response` is given; while reading, when a line is no JSON object or
/// lacks a field.
pub(super) fn read<'a>(spec: &Jsonl, base: &Path) -> Result<Records<'a>, DataError> {
    let shape = match (&spec.prompt, &spec.response) {
        (None, None) => Shape::Document { text: spec.text.clone() },
        (Some(prompt), Some(response)) => Shape::Sample { prompt: prompt.clone(), response: response.clone() },
        (Some(_), None) => return Err(DataError::HalfSample { given: "prompt", missing: "response" }),
        (None, Some(_)) => return Err(DataError::HalfSample { given: "response", missing: "prompt" }),
    };
    rows(&spec.files, base, shape)
}

/// The preferences of a `preferences` source: samples with a rejected response.
///
/// # Errors
/// As for [`read`].
pub(super) fn read_preferences<'a>(spec: &Preferences, base: &Path) -> Result<Records<'a>, DataError> {
    let Preferences { files, prompt, chosen, rejected, .. } = spec.clone();
    rows(&files, base, Shape::Preference { prompt, chosen, rejected })
}

enum Shape {
    Document { text: String },
    Sample { prompt: String, response: String },
    Preference { prompt: String, chosen: String, rejected: String },
}

struct Rows {
    files: std::vec::IntoIter<Found>,
    open: Option<Lines>,
    shape: Shape,
    index: u64,
    failed: bool,
}

fn rows<'a>(files: &str, base: &Path, shape: Shape) -> Result<Records<'a>, DataError> {
    let files = find(files, base)?.into_iter();
    Ok(Box::new(Rows { files, open: None, shape, index: 0, failed: false }))
}

impl Rows {
    fn advance(&mut self) -> Result<Option<Record>, DataError> {
        loop {
            if let Some(lines) = &mut self.open {
                while let Some(line) = lines.next()? {
                    if line.trim().is_empty() {
                        continue;
                    }
                    let value = serde_json::from_str::<Value>(line);
                    let array = line.trim_start().starts_with('[');
                    let row = object(value, array && lines.number == 1, || lines.place())?;
                    let record = self.shape.record(row, lines.place(), self.index)?;
                    self.index += 1;
                    return Ok(Some(record));
                }
            }
            match self.files.next() {
                Some(found) => self.open = Some(Lines::open(&found)?),
                None => return Ok(None),
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Record, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}

impl Shape {
    fn record(&self, mut row: Map<String, Value>, place: String, index: u64) -> Result<Record, DataError> {
        let mut take = |field: &str| text_field(&mut row, field, &place);
        Ok(match self {
            Shape::Document { text } => Record::document(take(text)?, place, index),
            Shape::Sample { prompt, response } => {
                let (prompt, response) = (take(prompt)?, take(response)?);
                Record::sample(prompt, response, place, index)
            }
            Shape::Preference { prompt, chosen, rejected } => {
                let (prompt, chosen, rejected) = (take(prompt)?, take(chosen)?, take(rejected)?);
                Record { rejected: Some(rejected), ..Record::sample(prompt, chosen, place, index) }
            }
        })
    }
}

fn object(
    value: Result<Value, serde_json::Error>,
    array: bool,
    place: impl Fn() -> String,
) -> Result<Map<String, Value>, DataError> {
    let hint =
        if array { "; the file is one JSON array: write a line for each element, as `jq -c '.[]'` does" } else { "" };
    match value {
        Ok(Value::Object(row)) => Ok(row),
        Ok(other) => Err(DataError::NotObject { place: place(), found: kind(&other), hint }),
        Err(why) => {
            // The line is known; serde would repeat it as "line 1".
            let why = why.to_string().replace(" at line 1 column ", " at column ");
            Err(DataError::NotJson { place: place(), why, hint })
        }
    }
}

fn text_field(row: &mut Map<String, Value>, field: &str, place: &str) -> Result<String, DataError> {
    // Looked at before it is taken, so that one field may serve twice.
    match row.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => {
            Err(DataError::NotTextField { place: place.to_owned(), field: field.to_owned(), found: kind(other) })
        }
        None => {
            let names: Vec<&str> = row.keys().map(String::as_str).collect();
            Err(DataError::NoField {
                place: place.to_owned(),
                field: field.to_owned(),
                near: similar(field, names.iter().copied()).into_iter().map(str::to_owned).collect(),
                chat: match ["messages", "conversations", "conversation"]
                    .iter()
                    .any(|list| row.get(*list).is_some_and(Value::is_array))
                {
                    true => {
                        "; lists of chat messages are not read: write `prompt` and `response` of each turn as fields of a line"
                    }
                    false => "",
                },
                present: names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "),
            })
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &str, prompt: Option<&str>, response: Option<&str>) -> Result<Vec<Record>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jsonl"), lines).unwrap();
        let spec = Jsonl {
            files: "a.jsonl".into(),
            text: "text".into(),
            prompt: prompt.map(Into::into),
            response: response.map(Into::into),
            license: None,
        };
        read(&spec, folder.path()).and_then(Iterator::collect).map_err(|e| e.to_string())
    }

    #[test]
    fn documents_and_samples() {
        let documents = all("{\"text\":\"a\"}\n\n{\"text\":\"b\",\"x\":1}\n", None, None).unwrap();
        assert_eq!(documents[1], Record::document("b".into(), "a.jsonl:3".into(), 1));
        let samples = all(r#"{"question":"q","answer":"a"}"#, Some("question"), Some("answer")).unwrap();
        assert_eq!(samples[0], Record::sample("q".into(), "a".into(), "a.jsonl:1".into(), 0));
    }

    #[test]
    fn messages_name_the_line_and_what_is_there() {
        let error = |lines: &str| all(lines, Some("question"), Some("answer")).unwrap_err();
        assert_eq!(
            error("{\"question\":\"q\",\"answer\":\"a\"}\n{\"question\":\"q\",\"anwser\":\"a\"}"),
            "a.jsonl:2: there is no field `answer` among `question`, `anwser`; did you mean `anwser`?"
        );
        assert_eq!(
            error(r#"{"question":"q","answer":4}"#),
            "a.jsonl:1: the field `answer` must be text, and here it is a number"
        );
        assert!(error("{\"question\":").starts_with("a.jsonl:1: this is not a line of JSON"));
        assert!(error("[\n{}").contains("one JSON array"));
        assert!(error("3").contains("this one holds a number"));
        assert!(all("", Some("p"), None).unwrap_err().contains("`prompt` is given without `response`"));
    }

    #[test]
    fn lists_of_chat_messages_and_arrays_are_told_as_what_they_are() {
        let chat = "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n";
        let told = all(chat, Some("prompt"), Some("response")).unwrap_err();
        assert!(told.contains("lists of chat messages are not read"), "{told}");
        let told = all("{\"txt\": \"a\"}\n", None, None).unwrap_err();
        assert!(!told.contains("chat"), "{told}");
        let told = all("[{\"text\": \"a\"}, {\"text\": \"b\"}]\n", None, None).unwrap_err();
        assert!(told.contains("jq -c"), "the whole file is one array, on one line: {told}");
    }
}
