//! Planning an experiment at a point of a sweep.

use crate::check::{CheckedAxis, CheckedSweep, Options, check_file};
use crate::diagnostics::Problems;
use crate::plan::{KnownCounts, Plan, Selection, plan_with};
use crate::source::World;
use crate::sweep::Refusal;

/// The experiment that a sweep is of.
pub struct Swept<'a> {
    pub file: &'a str,
    pub world: &'a dyn World,
    /// Of the command line; a point's come after them.
    pub overrides: &'a [(String, String)],
    pub counts: &'a dyn KnownCounts,
}

impl Swept<'_> {
    /// The plan at the point that `values` describe (paths and texts as `--set` takes them), or why there is none.
    pub fn plan(&self, sweep: &CheckedSweep, values: &[(String, String)]) -> Result<Plan, Refusal> {
        let overrides = self.overrides.iter().chain(values).cloned().collect();
        let (checked, problems) = check_file(self.world, self.file, &Options { overrides, pedantic: false });
        let now = checked.sweeps.iter().find(|s| s.name == sweep.name);
        if let Some(path) = now.and_then(|now| lacks(now, values)) {
            return Err(Refusal::Lacks(path));
        }
        if problems.any_error() {
            return Err(Refusal::Invalid(first(&problems)));
        }
        if let Some(now) = now.filter(|now| !now.holds) {
            let why = format!("`where` does not hold: {}", now.constraint.clone().unwrap_or_default());
            return Err(Refusal::Invalid(why));
        }
        let planned = plan_with(&checked, self.world, &Selection { until: None }, self.counts);
        planned.map_err(|p| Refusal::Invalid(first(&p)))
    }
}

/// The first axis that counts at a point and has no value there; `sweep` is as it was checked at the point.
pub(super) fn lacks(sweep: &CheckedSweep, values: &[(String, String)]) -> Option<String> {
    let given = |axis: &CheckedAxis| values.iter().any(|(path, _)| *path == axis.path);
    sweep.axes.iter().find(|axis| axis.active && !given(axis)).map(|axis| axis.path.clone())
}

fn first(problems: &Problems) -> String {
    problems.sorted().into_iter().find(|p| p.is_error()).map_or_else(String::new, |p| p.message.clone())
}
