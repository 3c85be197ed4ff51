//! The fields of a configuration, read one by one, and what is wrong with them.

use super::super::{Fault, listed};
use crate::diagnostics::Code;
use crate::plan::spec::Activation;
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;

/// A configuration, which of its fields were read, and what there is to say of them.
pub(super) struct Fields<'a> {
    pub config: &'a Map<String, Json>,
    pub model_type: &'a str,
    pub used: BTreeSet<&'static str>,
    pub wrong: Wrong,
    pub notes: Vec<String>,
    /// Whether a 1 stands for a size that is wrong, so that nothing is said of what follows from it.
    pub stands_in: bool,
}

/// What is wrong with a configuration, by what can be done about it.
#[derive(Default)]
pub(super) struct Wrong {
    /// What no network here computes.
    unsupported: Vec<String>,
    /// Fields that say two things.
    contrary: Vec<String>,
    /// Fields that are no sizes, no numbers, out of range.
    malformed: Vec<String>,
}

impl Wrong {
    /// The fault that tells of all of it, if there is any.
    pub fn fault(self, folder: &str) -> Option<Fault> {
        let Wrong { unsupported, contrary, malformed } = self;
        let (strange, both) = (!unsupported.is_empty(), !contrary.is_empty());
        let mut all: Vec<String> = Vec::new();
        for text in unsupported.into_iter().chain(contrary).chain(malformed) {
            if !all.contains(&text) {
                all.push(text);
            }
        }
        if all.is_empty() {
            return None;
        }
        let said = listed(&all);
        let (message, help) = if strange {
            let help = "choose a model without it, or a version of Emberlab that computes it";
            (format!("the network of `{folder}` cannot be computed: {said}"), help)
        } else if both {
            let help = "remove from its `config.json` the field that is not what the model was trained with";
            (format!("the `config.json` of `{folder}` contradicts itself: {said}"), help)
        } else {
            let help = "add or correct what is named in its `config.json`, as the model is published";
            (format!("the `config.json` of `{folder}` is malformed: {said}"), help)
        };
        let mut fault = Fault::new(Code::E0616, message, help);
        if strange || both {
            let note = "a network that is computed in another way than it was trained gives wrong results";
            fault.notes.push(note.to_owned());
        }
        Some(fault)
    }
}

impl<'a> Fields<'a> {
    pub fn new(config: &'a Map<String, Json>, model_type: &'a str) -> Fields<'a> {
        let (used, wrong, notes) = (BTreeSet::new(), Wrong::default(), Vec::new());
        Fields { config, model_type, used, wrong, notes, stands_in: false }
    }

    /// Notes what no network here computes.
    pub fn unsupported(&mut self, text: String) {
        self.wrong.unsupported.push(text);
    }

    /// Notes fields that cannot both be meant.
    pub fn contrary(&mut self, text: String) {
        self.wrong.contrary.push(text);
    }

    /// Notes a field that has to be corrected.
    pub fn malformed(&mut self, text: String) {
        self.wrong.malformed.push(text);
    }

    pub fn get(&mut self, name: &'static str) -> Option<&'a Json> {
        self.used.insert(name);
        self.config.get(name).filter(|v| !v.is_null())
    }

    pub fn is_set(&mut self, name: &'static str) -> bool {
        self.get(name).is_some()
    }

    /// A positive size; 1 stands for one that is wrong, which is noted.
    pub fn size(&mut self, name: &'static str, most: i64) -> i64 {
        let found = self.get(name).and_then(Json::as_i64).filter(|size| (1..=most).contains(size));
        found.unwrap_or_else(|| {
            self.stands_in = true;
            let text = match self.config.contains_key(name) {
                true => format!("`{name}` is {}, and must be a whole number from 1 to {most}", self.shown(name)),
                false => format!("`{name}` is missing"),
            };
            self.malformed(text);
            1
        })
    }

    /// A positive size; where it is not stated, what `transformers` assumes in this family, which is told.
    pub fn size_or(&mut self, name: &'static str, most: i64, assumed: i64) -> i64 {
        if self.config.contains_key(name) {
            return self.size(name, most);
        }
        self.notes.push(format!(
            "`{name}` is missing, and {assumed} is assumed, as `transformers` assumes it of a `{}`",
            self.model_type
        ));
        assumed
    }

    /// A positive size that has two names.
    pub fn either(&mut self, name: &'static str, other: &'static str, most: i64, assumed: i64) -> i64 {
        match (self.get(name), self.get(other)) {
            (None, Some(_)) => self.size(other, most),
            (Some(a), Some(b)) if a != b => {
                self.contrary(format!("`{name}` is {a} and `{other}`, which means the same, is {b}"));
                self.size(name, most)
            }
            _ => self.size_or(name, most, assumed),
        }
    }

    pub fn number(&mut self, name: &'static str, default: f64) -> f64 {
        match self.get(name).map(Json::as_f64) {
            None => default,
            Some(Some(x)) if x.is_finite() => x,
            _ => {
                self.malformed(format!("`{name}` is {}, and must be a number", self.shown(name)));
                default
            }
        }
    }

    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self.get(name).map(Json::as_bool) {
            None => default,
            Some(Some(x)) => x,
            Some(None) => {
                self.malformed(format!("`{name}` is {}, and must be true or false", self.shown(name)));
                default
            }
        }
    }

    pub fn activation(&mut self, name: &'static str, default: &str, known: &[(&str, Activation)]) -> Activation {
        let found = self.get(name).map_or(Some(default.to_owned()), |v| v.as_str().map(str::to_owned));
        match found.and_then(|f| known.iter().find(|(word, _)| *word == f)) {
            Some((_, activation)) => *activation,
            None => {
                self.unsupported(format!("`{name}` is {}", self.shown(name)));
                Activation::Swiglu
            }
        }
    }

    /// Refuses a field that is set to anything but these.
    pub fn must_be(&mut self, name: &'static str, values: &[Json]) {
        if self.get(name).is_some_and(|v| !values.contains(v)) {
            self.unsupported(format!("`{name}` is {}", self.shown(name)));
        }
    }

    /// Refuses a field that is set to anything but `at`, the value at which it does nothing.
    pub fn idle(&mut self, name: &'static str, at: f64) {
        let idle = self.get(name).is_none_or(|value| match value {
            Json::Bool(on) => !on && at == 0.0,
            other => other.as_f64().is_some_and(|x| (x - at).abs() <= 1e-6 * at.abs()),
        });
        if !idle {
            self.unsupported(format!("`{name}` is {}", self.shown(name)));
        }
    }

    /// Tells of a field that is set, and that `transformers` does not read in this family.
    pub fn ignored(&mut self, name: &'static str) {
        if self.get(name).is_some_and(|value| *value != Json::Bool(false)) {
            let (shown, model_type) = (self.shown(name), self.model_type);
            self.notes
                .push(format!("`{name}` is {shown}, which changes nothing in a `{model_type}` of `transformers`"));
        }
    }

    /// A field's value, cut to what can be read in a sentence.
    pub fn shown(&self, name: &str) -> String {
        cut(self.config.get(name).map(Json::to_string).unwrap_or_default())
    }
}

pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
