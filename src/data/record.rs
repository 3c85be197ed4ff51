//! What flows through a dataset: a document, a sample, a preference or a pair.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One document, sample, preference or pair.
///
/// A *document* has only `text`. A *sample* has a `prompt` and a `response`; its `text` is both, a line break between
/// them. A *preference* is a sample whose response is the preferred one, with the `rejected` one beside it. A *pair* is two
/// sentences that differ in one group; its `text` is both.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    pub text: String,
    pub prompt: Option<String>,
    pub response: Option<String>,
    pub rejected: Option<String>,
    pub pair: Option<Pair>,
    /// File and line, relative to the experiment's folder: `data/a.jsonl:7`.
    pub source: String,
    /// Position among the records of its source.
    pub index: u64,
    /// The split that it belongs to, once it has been given one.
    pub split: Option<Arc<str>>,
}

/// Two sentences that differ in one group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pair {
    pub first: String,
    pub second: String,
    /// What the two contrast.
    pub contrast: String,
}

impl Record {
    /// A document.
    pub fn document(text: String, source: String, index: u64) -> Record {
        Record { text, source, index, ..Record::default() }
    }

    /// A sample.
    pub fn sample(prompt: String, response: String, source: String, index: u64) -> Record {
        let mut record = Record { prompt: Some(prompt), response: Some(response), source, index, ..Record::default() };
        record.join();
        record
    }

    /// Bytes of its text.
    pub fn bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// What decides its split: the prompt of a sample, so that one question never stands on both sides of a split with
    /// different answers; otherwise the text.
    pub fn identity(&self) -> &str {
        self.prompt.as_deref().unwrap_or(&self.text)
    }

    /// Changes every text it has in the same way; says whether anything changed.
    pub fn rewrite(&mut self, change: impl Fn(&str) -> Option<String>) -> bool {
        let mut changed = false;
        let mut apply = |text: &mut String| {
            if let Some(new) = change(text) {
                *text = new;
                changed = true;
            }
        };
        if let Some(pair) = &mut self.pair {
            apply(&mut pair.first);
            apply(&mut pair.second);
        } else if self.prompt.is_some() || self.response.is_some() {
            [&mut self.prompt, &mut self.response, &mut self.rejected].into_iter().flatten().for_each(&mut apply);
        } else {
            apply(&mut self.text);
        }
        if changed {
            self.join();
        }
        changed
    }

    /// Makes the text of anything but a document from its parts.
    pub(super) fn join(&mut self) {
        let joined = match (&self.pair, &self.prompt, &self.response) {
            (Some(pair), ..) => format!("{}\n{}", pair.first, pair.second),
            (None, Some(prompt), Some(response)) => format!("{prompt}\n{response}"),
            (None, Some(one), None) | (None, None, Some(one)) => one.clone(),
            (None, None, None) => return,
        };
        self.text = joined;
    }
}

/// A record as a line of a made dataset. The text of anything but a document is not repeated.
#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
    pub source: String,
    pub index: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
}

impl From<Record> for Line {
    fn from(record: Record) -> Line {
        let document = record.prompt.is_none() && record.response.is_none() && record.pair.is_none();
        Line {
            text: document.then_some(record.text),
            prompt: record.prompt,
            response: record.response,
            rejected: record.rejected,
            pair: record.pair,
            source: record.source,
            index: record.index,
            split: record.split.map(|s| s.to_string()),
        }
    }
}

impl From<Line> for Record {
    fn from(line: Line) -> Record {
        let mut record = Record {
            text: line.text.unwrap_or_default(),
            prompt: line.prompt,
            response: line.response,
            rejected: line.rejected,
            pair: line.pair,
            source: line.source,
            index: line.index,
            split: line.split.map(Into::into),
        };
        record.join();
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_the_record_back() {
        let pair = Pair { first: "He ran.".into(), second: "She ran.".into(), contrast: "gender".into() };
        let mut paired = Record { pair: Some(pair), source: "pairs:1".into(), ..Record::default() };
        paired.join();
        for record in [
            Record::document("a\n\"b\"".into(), "f.txt:1".into(), 0),
            Record::sample("q".into(), "a".into(), "f.jsonl:2".into(), 1),
            paired,
        ] {
            let line = serde_json::to_string(&Line::from(record.clone())).unwrap();
            assert_eq!(Record::from(serde_json::from_str::<Line>(&line).unwrap()), record, "{line}");
        }
    }

    #[test]
    fn rewriting_a_sample_changes_its_parts_and_its_text() {
        let mut sample = Record::sample("A b".into(), "C".into(), String::new(), 0);
        assert!(sample.rewrite(|t| Some(t.to_lowercase())));
        assert_eq!((sample.prompt.as_deref(), sample.text.as_str()), (Some("a b"), "a b\nc"));
    }
}
