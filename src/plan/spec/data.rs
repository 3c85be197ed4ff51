//! Datasets: a source and the steps after it, innermost first.

use super::{Lambda, Ref};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A dataset expression: a source, a step over an input, or another dataset.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Dataset {
    Text(Text),
    Jsonl(Jsonl),
    Preferences(Preferences),
    Grammar(Grammar),
    Pairs(Pairs),
    Normalize(Normalize),
    StripHtml(StripHtml),
    CollapseWhitespace(CollapseWhitespace),
    Keep(Keep),
    Redact(Redact),
    Dedup(Dedup),
    Take(Take),
    Shuffle(Shuffle),
    Mix(Mix),
    Split(Split),
    /// A dataset named elsewhere, or one of its splits.
    Named(Named),
}

/// A dataset, or a split of one, by name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub dataset: Ref,
}

/// Plain text files, one document each (or one a paragraph or line).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// A path or glob, relative to the file that says it.
    pub files: String,
    pub license: Option<String>,
    pub document: TextUnit,
}

/// What makes one document of a text file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextUnit {
    File,
    /// Separated by blank lines.
    Paragraph,
    Line,
}

/// Lines of JSON. With `prompt` and `response` each is a sample, otherwise a document.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jsonl {
    pub files: String,
    /// Name of the field that holds a document's text.
    pub text: String,
    /// Name of the field that holds a sample's prompt.
    pub prompt: Option<String>,
    pub response: Option<String>,
    pub license: Option<String>,
}

/// Pairs of a preferred and a rejected response.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    pub files: String,
    pub prompt: String,
    pub chosen: String,
    pub rejected: String,
    pub license: Option<String>,
}

/// A seeded probabilistic grammar that writes documents, or samples when `prompt` and `response` are given.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grammar {
    /// How many documents (or samples) to write.
    pub documents: i64,
    /// The rule that a document is expanded from.
    pub start: String,
    pub rules: Vec<Rule>,
    /// Template of a sample's prompt, expanded with the names that the document bound.
    pub prompt: Option<String>,
    pub response: Option<String>,
    /// Added to the experiment's seed.
    pub seed: i64,
    pub license: Option<String>,
}

/// One rule of a grammar: a name and what it may become.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    /// Alternatives: text with `<rule>` places. `<rule as name>` expands and remembers, `<name>` repeats what is
    /// remembered, `<x:capital>`, `<x:a>` (with its article) and `<x:plural>` change the form.
    pub of: Vec<Alternative>,
}

/// An alternative and its weight.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    pub text: String,
    pub weight: f64,
}

/// Pairs of sentences written in the experiment or the library, for audits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// Sentences with `{group}` places, filled once from each side.
    pub templates: Vec<String>,
    /// The words put in the places: two words, or two lists of forms, and the name of what they contrast.
    pub contrasts: Vec<Contrast>,
    pub license: Option<String>,
}

/// Two groups that a pair of sentences differs in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    pub name: String,
    pub first: Vec<String>,
    pub second: Vec<String>,
}

/// Unicode normalisation, line ends, control characters.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    pub input: Box<Dataset>,
    pub form: NormalForm,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormalForm {
    Nfc,
    Nfkc,
    Nfd,
    Nfkd,
}

/// The text of HTML documents, without marks, scripts and navigation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripHtml {
    pub input: Box<Dataset>,
}

/// Runs of blanks become one; at most one blank line stays.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollapseWhitespace {
    pub input: Box<Dataset>,
}

/// Keeps the documents or samples for which the rule holds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    pub input: Box<Dataset>,
    pub rule: Lambda,
    /// The reason that the removal report gives.
    pub because: Option<String>,
}

/// Replaces personal information by a mark.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redact {
    pub input: Box<Dataset>,
    pub kinds: Vec<Personal>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Personal {
    Emails,
    Phones,
    IpAddresses,
}

/// Removes repeated documents: equal ones, or with `near` also similar ones (MinHash).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    pub input: Box<Dataset>,
    /// Jaccard similarity of word 5-grams from which documents count as repeated; absent means equal text only.
    pub near: Option<f64>,
}

/// The first so many documents.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    pub input: Box<Dataset>,
    pub documents: i64,
}

/// A seeded order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shuffle {
    pub input: Box<Dataset>,
    pub seed: i64,
}

/// Several datasets in given shares.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    pub parts: Vec<MixPart>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixPart {
    pub data: Dataset,
    pub weight: f64,
}

/// Divides documents among named splits, each document by a hash of its text and the seed, so that neither order nor
/// growth moves a document from one split to another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    pub input: Box<Dataset>,
    /// Share of each split; they add up to one.
    pub parts: BTreeMap<String, f64>,
    /// How documents are divided.
    pub by: SplitBy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// By a hash of the text.
    Hash,
    /// In order of the documents.
    Order,
    /// In order of the characters: the one document of a corpus is cut, as nanoGPT does.
    Position,
}
