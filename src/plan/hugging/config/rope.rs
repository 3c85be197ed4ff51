//! Rotary positions in a `config.json`: the fields of `transformers` 4 (`rope_scaling`) and of 5 (`rope_parameters`).

use super::{Fields, cut};
use crate::plan::spec::{RopeLinear, RopeLlama3, RopeScaling, RopeYarn};
use serde_json::{Map, Value as Json};

impl Fields<'_> {
    /// The base of the rotary angles and how they are scaled. A base inside one of the objects counts more than
    /// `rope_theta` beside them, as in `transformers`; the objects themselves must not contradict each other.
    pub(super) fn rope(&mut self, context: i64, assumed: f64) -> (f64, Option<RopeScaling>) {
        let outer = self.number("rope_theta", assumed);
        let old = self.rotary("rope_scaling", context);
        let new = self.rotary("rope_parameters", context);
        let differ = matches!((old.scaling, new.scaling), (Some(a), Some(b)) if a != b)
            || matches!((old.theta, new.theta), (Some(a), Some(b)) if a != b);
        if differ {
            let (old, new) = (self.shown("rope_scaling"), self.shown("rope_parameters"));
            self.wrong.push(format!("`rope_scaling` is {old} and `rope_parameters` is {new}, which differ"));
        }
        (old.theta.or(new.theta).unwrap_or(outer), old.scaling.or(new.scaling))
    }

    /// What one of the two objects says.
    fn rotary(&mut self, field: &'static str, context: i64) -> Rotary {
        let Some(object) = self.get(field).and_then(Json::as_object) else {
            // What is set and no object is refused.
            self.must_be(field, &[]);
            return Rotary::default();
        };
        let mut figures = Figures { field, object, wrong: Vec::new() };
        let theta = figures.number("rope_theta");
        let found = figures.scaling(context);
        let Figures { mut wrong, .. } = figures;
        let scaling = match found {
            Some(scaling) if scaling.as_ref().is_none_or(in_range) => scaling,
            _ => {
                // Where a figure is malformed, it alone is named.
                if wrong.is_empty() {
                    wrong.push(format!("`{field}` is {}", self.shown(field)));
                }
                None
            }
        };
        self.wrong.append(&mut wrong);
        Rotary { theta, scaling }
    }
}

/// What an object says of the angles.
#[derive(Default)]
struct Rotary {
    theta: Option<f64>,
    scaling: Option<RopeScaling>,
}

/// The figures of such an object, and what is wrong with them.
struct Figures<'a> {
    field: &'static str,
    object: &'a Map<String, Json>,
    wrong: Vec<String>,
}

impl Figures<'_> {
    /// The scaling, `Some(None)` for none; `None` where it is of a kind, or has or lacks a field, such as cannot be computed.
    fn scaling(&mut self, context: i64) -> Option<Option<RopeScaling>> {
        let kind = ["rope_type", "type"].iter().find_map(|name| self.get(name));
        let (known, found): (&[&str], Option<Option<RopeScaling>>) = match kind.map_or(Some("default"), Json::as_str)? {
            "default" => (&[], Some(None)),
            "linear" => {
                let factor = self.number("factor");
                (&["factor"], factor.map(|factor| Some(RopeScaling::RopeLinear(RopeLinear { factor }))))
            }
            "llama3" => {
                let (factor, first) = (self.number("factor"), self.whole("original_max_position_embeddings"));
                let (low, high) = (self.number("low_freq_factor"), self.number("high_freq_factor"));
                (
                    &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
                    (|| {
                        let (factor, context, low, high) = (factor?, first?, low?, high?);
                        Some(Some(RopeScaling::RopeLlama3(RopeLlama3 { factor, low, high, context })))
                    })(),
                )
            }
            "yarn" => {
                let (factor, first) = (self.number("factor"), self.whole("original_max_position_embeddings"));
                let (fast, slow) = (self.number("beta_fast"), self.number("beta_slow"));
                let attention = self.number("attention_factor");
                (
                    &["factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor"],
                    factor.map(|factor| {
                        Some(RopeScaling::RopeYarn(RopeYarn {
                            factor,
                            context: first.unwrap_or(context),
                            fast: fast.unwrap_or(32.0),
                            slow: slow.unwrap_or(1.0),
                            attention,
                        }))
                    }),
                )
            }
            _ => return None,
        };
        let plain = |(name, value): (&String, &Json)| match name.as_str() {
            "rope_type" | "type" | "rope_theta" => true,
            "partial_rotary_factor" => value.is_null() || value.as_f64() == Some(1.0),
            other => known.contains(&other) || value.is_null(),
        };
        found.filter(|_| self.object.iter().all(plain))
    }

    fn get(&self, name: &str) -> Option<&Json> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.get(name)?;
        let found = value.as_f64().filter(|x| x.is_finite());
        if found.is_none() {
            let wrong = format!("`{name}` in `{}` is {}, and must be a number", self.field, cut(value.to_string()));
            self.wrong.push(wrong);
        }
        found
    }

    fn whole(&mut self, name: &str) -> Option<i64> {
        let value = self.get(name)?;
        let found = value.as_i64().filter(|n| *n > 0);
        if found.is_none() {
            let value = cut(value.to_string());
            let wrong = format!("`{name}` in `{}` is {value}, and must be a positive whole number", self.field);
            self.wrong.push(wrong);
        }
        found
    }
}

/// Whether the figures of a scaling are such as the language allows.
fn in_range(scaling: &RopeScaling) -> bool {
    let positive = |x: f64| x.is_finite() && x > 0.0;
    match scaling {
        RopeScaling::RopeLinear(s) => s.factor.is_finite() && s.factor >= 1.0,
        RopeScaling::RopeLlama3(s) => {
            s.factor.is_finite()
                && s.factor >= 1.0
                && positive(s.low)
                && positive(s.high)
                && s.high > s.low
                && s.context > 0
        }
        RopeScaling::RopeYarn(s) => {
            s.factor.is_finite()
                && s.factor >= 1.0
                && positive(s.fast)
                && positive(s.slow)
                && s.context > 0
                && s.attention.is_none_or(positive)
        }
    }
}
