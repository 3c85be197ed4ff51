//! A part of a plan: up to one item, with what it needs.

use super::graph::Plan;
use super::spec::Measured;
use crate::diagnostics::{Code, Problem, Problems, suggest};
use crate::source::Span;

/// What of an experiment to run.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Selection {
    /// Up to this stage (or dataset, tokenizer, evaluation); absent: everything.
    pub until: Option<String>,
}

/// Leaves in the plan only what the selected item needs, and the conditions that can be decided then. The hash stays that
/// of the whole experiment, because it is the same experiment, run in part.
pub(super) fn select(mut plan: Plan, selection: &Selection, whole: Span) -> Result<Plan, Problems> {
    let Some(until) = &selection.until else { return Ok(plan) };
    if plan.node(until).is_none() {
        let mut problems = Problems::default();
        let mut problem = Problem::new(Code::E0201, whole, format!("there is no stage `{until}` to run until"));
        let stages: Vec<&str> = plan.stages.iter().map(|s| s.name.as_str()).collect();
        problem = match suggest::similar(until, stages.iter().copied()).first() {
            Some(like) => problem.help(format!("did you mean `{like}`?")),
            None if stages.is_empty() => problem.note("the experiment has no stages"),
            None => problem.help(format!("the stages are {}", stages.join(", "))),
        };
        problems.push(problem);
        return Err(problems);
    }
    let mut wanted = vec![until.clone()];
    let mut next = 0;
    while let Some(name) = wanted.get(next).cloned() {
        let needs = plan.node(&name).map_or(&[][..], |n| n.depends_on).to_vec();
        wanted.extend(needs.into_iter().filter(|n| !wanted.contains(n)).collect::<Vec<_>>());
        next += 1;
    }
    let known: Vec<String> = plan.nodes().map(|n| n.name.to_owned()).collect();
    let answered = |condition: &Measured| {
        condition.0.measures().iter().flat_map(|m| m.iter()).all(|n| wanted.contains(n) || !known.contains(n))
    };
    plan.expects.retain(|e| answered(&e.condition));
    plan.claims.retain(|c| answered(&c.statement));
    plan.datasets.retain(|d| wanted.contains(&d.name));
    plan.tokenizers.retain(|t| wanted.contains(&t.name));
    plan.stages.retain(|s| wanted.contains(&s.name));
    plan.evals.retain(|e| wanted.contains(&e.name));
    plan.reviews.retain(|r| wanted.contains(&r.name));
    Ok(plan)
}
