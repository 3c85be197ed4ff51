//! Planning an experiment at a point of a sweep.

use crate::check::{CheckedSweep, Options, check_file};
use crate::diagnostics::Problems;
use crate::plan::{KnownCounts, Plan, Selection, plan_with};
use crate::source::World;

/// The experiment that a sweep is of.
pub struct Swept<'a> {
    pub file: &'a str,
    pub world: &'a dyn World,
    /// Of the command line; a point's come after them.
    pub overrides: &'a [(String, String)],
    pub counts: &'a dyn KnownCounts,
}

impl Swept<'_> {
    /// The plan at the point that `values` describe (paths and texts as `--set` takes them), or why the point is not valid.
    pub fn plan(&self, sweep: &CheckedSweep, values: &[(String, String)]) -> Result<Plan, String> {
        let overrides = self.overrides.iter().chain(values).cloned().collect();
        let (checked, problems) = check_file(self.world, self.file, &Options { overrides, pedantic: false });
        if problems.any_error() {
            return Err(first(&problems));
        }
        if let Some(now) = checked.sweeps.iter().find(|s| s.name == sweep.name)
            && !now.holds
        {
            return Err(format!("`where` does not hold: {}", now.constraint.clone().unwrap_or_default()));
        }
        plan_with(&checked, self.world, &Selection { until: None }, self.counts).map_err(|p| first(&p))
    }
}

fn first(problems: &Problems) -> String {
    problems.sorted().into_iter().find(|p| p.is_error()).map_or_else(String::new, |p| p.message.clone())
}
