//! Rotary positions in a `config.json`: the fields of `transformers` 4 (`rope_scaling`) and of 5 (`rope_parameters`).

use super::fields::{Fields, cut};
use crate::plan::spec::{RopeLinear, RopeLlama3, RopeScaling, RopeYarn};
use serde_json::{Map, Value as Json};

/// The length of the context that scaled angles come from.
const FIRST: &str = "original_max_position_embeddings";

/// What one kind of scaling reads, and all others leave alone.
const OF_KINDS: &[&str] = &[
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    FIRST,
    "beta_fast",
    "beta_slow",
    "attention_factor",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "short_factor",
    "long_factor",
];

impl Fields<'_> {
    /// The base of the rotary angles and how they are scaled. A base inside one of the objects counts more than
    /// `rope_theta` beside them, as in `transformers`; where both objects say something, they must say the same.
    pub(super) fn rope(&mut self, context: i64, assumed: f64) -> (f64, Option<RopeScaling>) {
        let outer = self.number("rope_theta", assumed);
        let first = self.is_set(FIRST).then(|| self.size(FIRST, i64::MAX));
        let old = self.rotary("rope_scaling", context, first, outer);
        let new = self.rotary("rope_parameters", context, first, outer);
        if let (Some(old), Some(new)) = (&old, &new)
            && old != new
        {
            let (old, new) = (old.described(), new.described());
            self.contrary(format!("`rope_scaling` is {old} and `rope_parameters` is {new}, which differ"));
        }
        let Rotary { theta, scaling } = old.or(new).unwrap_or(Rotary { theta: outer, scaling: None });
        self.partial(scaling.is_some());
        (theta, scaling)
    }

    /// A share of each head that is turned: what scales angles would obey it, and plain angles do not (`transformers` 5).
    fn partial(&mut self, scaled: bool) {
        const NAME: &str = "partial_rotary_factor";
        if scaled {
            self.idle(NAME, 1.0);
        } else if self.get(NAME).is_some_and(|share| share.as_f64() != Some(1.0)) {
            self.ignored(NAME);
        }
    }

    /// What one of the two objects says, if anything.
    fn rotary(&mut self, field: &'static str, context: i64, first: Option<i64>, outer: f64) -> Option<Rotary> {
        let Some(object) = self.get(field).and_then(Json::as_object) else {
            // What is set and no object is refused.
            self.must_be(field, &[]);
            return None;
        };
        if object.is_empty() {
            return None;
        }
        let mut figures = Figures { field, object, fields: self, failed: false };
        let theta = figures.number("rope_theta").unwrap_or(outer);
        let scaling = figures.scaling(context, first);
        (!figures.failed).then_some(Rotary { theta, scaling })
    }
}

/// What an object says of the angles.
#[derive(PartialEq)]
struct Rotary {
    theta: f64,
    scaling: Option<RopeScaling>,
}

impl Rotary {
    fn described(&self) -> String {
        let kind = match &self.scaling {
            None => "`default`".to_owned(),
            Some(RopeScaling::RopeLinear(s)) => format!("`linear` by {}", s.factor),
            Some(RopeScaling::RopeLlama3(s)) => {
                format!("`llama3` by {} ({} to {}) from {FIRST} {}", s.factor, s.low, s.high, s.context)
            }
            Some(RopeScaling::RopeYarn(s)) => {
                let attention = s.attention.map_or_else(String::new, |x| format!(", attention {x}"));
                format!("`yarn` by {} ({} to {}{attention}) from {FIRST} {}", s.factor, s.fast, s.slow, s.context)
            }
        };
        format!("{kind} with the base {}", self.theta)
    }
}

/// The figures of such an object.
struct Figures<'f, 'a, 'o> {
    field: &'static str,
    object: &'o Map<String, Json>,
    fields: &'f mut Fields<'a>,
    /// Whether something is wrong with them, which is noted.
    failed: bool,
}

impl Figures<'_, '_, '_> {
    /// The scaling. What is missing or cannot be computed is noted by its name.
    fn scaling(&mut self, context: i64, first: Option<i64>) -> Option<RopeScaling> {
        let name = ["rope_type", "type"].into_iter().find(|name| self.get(name).is_some());
        let kind = name.and_then(|name| self.get(name)).map_or(Some("default"), Json::as_str).unwrap_or_default();
        let (kind, known): (&str, &[&str]) = match kind {
            "default" => ("default", &[]),
            "linear" => ("linear", &["factor"]),
            "llama3" => ("llama3", &["factor", "low_freq_factor", "high_freq_factor", FIRST]),
            "yarn" => (
                "yarn",
                &[
                    "factor",
                    FIRST,
                    "beta_fast",
                    "beta_slow",
                    "attention_factor",
                    "mscale",
                    "mscale_all_dim",
                    "truncate",
                ],
            ),
            _ => {
                self.unsupported(name.unwrap_or("rope_type"));
                return None;
            }
        };
        self.others(kind, known);
        match kind {
            "linear" => Some(RopeScaling::RopeLinear(RopeLinear { factor: self.factor() })),
            "llama3" => {
                let (factor, context) = (self.factor(), self.first(context, first));
                let (low, high) = (self.positive("low_freq_factor", None), self.positive("high_freq_factor", None));
                if !self.failed && high <= low {
                    self.wrong(format!("`high_freq_factor` in `{}` is {high}, not above {low}", self.field));
                }
                Some(RopeScaling::RopeLlama3(RopeLlama3 { factor, low, high, context }))
            }
            "yarn" => {
                let (factor, context) = (self.factor(), self.first(context, first));
                let (fast, slow) = (self.positive("beta_fast", Some(32.0)), self.positive("beta_slow", Some(1.0)));
                if self.get("truncate").is_some_and(|value| *value != Json::Bool(true)) {
                    self.unsupported("truncate");
                }
                let attention = self.get("attention_factor").is_some().then(|| self.positive("attention_factor", None));
                let attention = attention.or_else(|| self.rescaled(factor));
                Some(RopeScaling::RopeYarn(RopeYarn { factor, context, fast, slow, attention }))
            }
            _ => None,
        }
    }

    /// How YaRN's attention is scaled by `mscale` and `mscale_all_dim`, which count only together (DeepSeek's fields).
    fn rescaled(&mut self, factor: f64) -> Option<f64> {
        let mut scale = |name: &str| self.number(name).filter(|x| *x != 0.0);
        let (own, all) = (scale("mscale"), scale("mscale_all_dim"));
        let by = |m: f64| if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 };
        let found = by(own?) / by(all?);
        if !(found.is_finite() && found > 0.0) {
            self.unsupported("mscale");
        }
        Some(found)
    }

    /// What else the object has: `transformers` leaves alone what is of another kind, and nobody here knows the rest.
    fn others(&mut self, kind: &str, known: &[&str]) {
        for (name, value) in self.object {
            match name.as_str() {
                "rope_type" | "type" | "rope_theta" | "finetuned" => {}
                other if known.contains(&other) || value.is_null() => {}
                "partial_rotary_factor" if value.as_f64() == Some(1.0) => {}
                "partial_rotary_factor" if kind != "default" => self.unsupported(name),
                other if OF_KINDS.contains(&other) || other == "partial_rotary_factor" => {
                    let (field, value) = (self.field, cut(value.to_string()));
                    self.fields.notes.push(format!(
                        "`{name}` in `{field}` is {value}, which changes nothing where `rope_type` is `{kind}`"
                    ));
                }
                _ => self.unsupported(name),
            }
        }
    }

    /// The context that the angles come from: the field beside the object, the one in it, the network's own.
    fn first(&mut self, context: i64, outer: Option<i64>) -> i64 {
        let value = self.get(FIRST).cloned();
        let inner = value.as_ref().map(|value| value.as_i64().filter(|n| *n > 0));
        if let (Some(None), Some(value)) = (inner, value) {
            let value = cut(value.to_string());
            self.wrong(format!("`{FIRST}` in `{}` is {value}, and must be a positive whole number", self.field));
        }
        let inner = inner.flatten();
        if let (Some(outer), Some(inner)) = (outer, inner)
            && outer != inner
        {
            self.failed = true;
            // Versions of `transformers` take one or the other.
            self.fields.contrary(format!("`{FIRST}` is {outer}, and {inner} in `{}`", self.field));
        }
        outer.or(inner).unwrap_or(context)
    }

    fn get(&self, name: &str) -> Option<&Json> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.get(name)?;
        let found = value.as_f64().filter(|x| x.is_finite());
        if found.is_none() {
            let wrong = format!("`{name}` in `{}` is {}, and must be a number", self.field, cut(value.to_string()));
            self.wrong(wrong);
        }
        found
    }

    /// A number above zero, `default` where there is none; 1 stands for one that is wrong.
    fn positive(&mut self, name: &str, default: Option<f64>) -> f64 {
        let found = self.number(name);
        match found.or(default) {
            Some(x) if x > 0.0 => return x,
            Some(x) => self.wrong(format!("`{name}` in `{}` is {x}, and must be above 0", self.field)),
            None if self.get(name).is_none() => self.wrong(format!("`{name}` in `{}` is missing", self.field)),
            None => {}
        }
        1.0
    }

    fn factor(&mut self) -> f64 {
        let factor = self.positive("factor", None);
        if factor < 1.0 {
            self.wrong(format!("`factor` in `{}` is {factor}, and must be 1 or more", self.field));
        }
        factor
    }

    fn wrong(&mut self, text: String) {
        self.failed = true;
        self.fields.malformed(text);
    }

    fn unsupported(&mut self, name: &str) {
        self.failed = true;
        let value = cut(self.object.get(name).map(Json::to_string).unwrap_or_default());
        self.fields.unsupported(format!("`{name}` in `{}` is {value}", self.field));
    }
}
