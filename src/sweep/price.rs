//! What a sweep would cost, without running it.

use super::points::{points, settings};
use super::prepare::{CheckPoint, Skipped, prepare};
use crate::check::CheckedSweep;
use crate::plan::{Known, Plan, Price, Statuses, display, json, price, spec};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Points that are planned only to be priced. More take longer than somebody who asks for a plan will wait.
const MOST: usize = 1_000;

/// A sweep as `exp plan` shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct PricedSweep {
    pub name: String,
    /// `grid`, `random` …
    pub search: String,
    /// Paths of the axes.
    pub axes: Vec<String>,
    /// Points that would not start, with the reason.
    pub skipped: Vec<Skipped>,
    /// What the others cost, or why that cannot be said.
    pub price: Result<Price, String>,
}

impl PricedSweep {
    /// Checks and plans every point with `check_point`, and asks `statuses` what the store has of its plan.
    pub fn of(sweep: &CheckedSweep, check_point: CheckPoint<'_>, statuses: &dyn Fn(&Plan) -> Statuses) -> PricedSweep {
        let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
        let mut keep = |values: &[(String, String)]| {
            let plan = check_point(values)?;
            if let Known::Value(hash) = &plan.hash {
                plans.entry(hash.clone()).or_insert_with(|| plan.clone());
            }
            Ok(plan)
        };
        let prepared = match points(sweep).map(|all| all.len()) {
            Err(why) => Err(format!("cannot run: {why}")),
            Ok(count) if count > MOST => Err(format!(
                "not priced: {count} points, and no more than {MOST} are planned here; `exp sweep` plans them all before \
                 it starts"
            )),
            Ok(_) => prepare(sweep, &mut keep).map_err(|why| format!("cannot run: {why}")),
        };
        let priced = |plan: Plan| {
            let statuses = statuses(&plan);
            (plan, statuses)
        };
        let points: Vec<(Plan, Statuses)> = plans.into_values().map(priced).collect();
        let search = match settings(sweep).map(|s| s.search) {
            Ok(spec::Search::Grid(_)) => "grid",
            Ok(spec::Search::Random(_)) => "random",
            Ok(spec::Search::Sobol(_)) => "sobol",
            Ok(spec::Search::Tpe(_)) => "tpe",
            Err(_) => "unknown",
        };
        let (skipped, price) = match prepared {
            Ok(prepared) => (prepared.skipped, Ok(price(&points))),
            Err(why) => (Vec::new(), Err(why)),
        };
        let axes = sweep.axes.iter().map(|a| a.path.clone()).collect();
        PricedSweep { name: sweep.name.clone(), search: search.to_owned(), axes, skipped, price }
    }

    /// For people; ends with a newline.
    pub fn text(&self) -> String {
        let mut text = format!("  {} : {} over {}\n", self.name, self.search, self.axes.join(", "));
        match &self.price {
            Err(why) => text.push_str(&format!("    {why}\n")),
            Ok(price) => {
                text.push_str(&display::price_text(price));
                for (why, count) in self.reasons() {
                    text.push_str(&format!("    skipped     {count}: {why}\n"));
                }
            }
        }
        text
    }

    /// For programs: the figures as [`json::price`] writes them, and what will not start.
    pub fn json(&self) -> Json {
        let skipped: Vec<Json> =
            self.skipped.iter().map(|s| json!({ "values": s.point.values, "why": s.why })).collect();
        let (price, reason) = match &self.price {
            Ok(price) => (json::price(price), None),
            Err(why) => (Json::Null, Some(why)),
        };
        json!({
            "name": self.name,
            "search": self.search,
            "axes": self.axes,
            "skipped": skipped,
            "price": price,
            "reason": reason,
        })
    }

    /// How many points do not start for which reason, in the order of the first of each.
    fn reasons(&self) -> Vec<(String, usize)> {
        let mut reasons: Vec<(String, usize)> = Vec::new();
        for skipped in &self.skipped {
            // The reason names the point that it equals; here they count together.
            let why = if skipped.same { "equal to another point" } else { &skipped.why };
            match reasons.iter_mut().find(|(known, _)| known == why) {
                Some((_, count)) => *count += 1,
                None => reasons.push((why.to_owned(), 1)),
            }
        }
        reasons
    }
}
