//! `exp plan`: what would run, what it costs, and what is done already.

use super::files::{Files, single};
use super::points::Swept;
use super::shared::{LabArgs, Overrides};
use super::{Exit, Failure, Screen};
use crate::check::{Checked, Options, check_file};
use crate::plan::{KnownCounts, Plan, Selection, Statuses, display, json, plan_told};
use crate::sweep::PricedSweep;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment, or `-` for stdin.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Plan this stage and what it needs, and nothing after it.
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("plan")?;
    let world = Files::new(std::slice::from_ref(&args.file))?;
    let options = Options { overrides: args.overrides.set.clone(), pedantic: false };
    let (checked, mut problems) = check_file(&world, &single(&args.file), &options);
    let lab = lab(args);
    let (counts, device) = counts(&lab);
    let mut planned = None;
    if !problems.any_error() {
        let (plan, found) = plan_told(&checked, &world, &Selection { until: args.until.clone() }, &*counts);
        problems.extend(found);
        planned = plan;
    }
    match planned {
        None => {
            screen.problems(&problems, &checked.sources);
            Ok(Exit::Problems)
        }
        Some(plan) => {
            screen.problems_for_people(&problems, &checked.sources);
            let now = statuses(&plan, &lab);
            let sweeps = if args.until.is_some() { Vec::new() } else { sweeps(args, &world, &checked, &lab, &*counts) };
            if screen.is_json() {
                let mut document = json::json(&plan, device.as_deref(), &now);
                if let Some(device) = precise(&plan) {
                    document["computes"] = device.json;
                }
                let kept = kept_here(&plan);
                document["not_exportable"] = kept.map(|all| all.iter().map(Kept::json).collect()).unwrap_or_default();
                document["sweeps"] = sweeps.iter().map(PricedSweep::json).collect();
                screen.document(&document);
            } else {
                screen.result(&display::text(&plan, device.as_deref(), &now));
                if let Some(device) = precise(&plan) {
                    screen.result(&device.text);
                }
                for (i, kept) in kept_here(&plan).iter().flatten().enumerate() {
                    screen.result(if i == 0 { "\nExport\n" } else { "" });
                    screen.result(&kept.text());
                }
                for (i, sweep) in sweeps.iter().enumerate() {
                    screen.result(if i == 0 { "\nSweeps\n" } else { "\n" });
                    screen.result(&sweep.text());
                }
            }
            Ok(Exit::Done)
        }
    }
}

/// What the device that a run would take computes with, for a plan that has more than f32.
struct Computes {
    text: String,
    json: serde_json::Value,
}

/// Nothing computes without the engine.
#[cfg(not(feature = "engine"))]
fn precise(_plan: &Plan) -> Option<Computes> {
    None
}

/// Whether products of 16 bits are those of bf16 alone, and this processor has an instruction for them.
#[cfg(feature = "engine")]
fn only_bf16(plan: &Plan) -> bool {
    use crate::plan::spec::Precision;
    let trained = plan.stages.iter().filter_map(|stage| stage.spec.training());
    emberlab_kernels::bf16_is_native() && trained.map(|t| t.products()).all(|p| p != Precision::MixedF16)
}

/// What a run without `--device` would compute with. Asked only of plans that need to know: a GPU is started for it.
#[cfg(feature = "engine")]
fn precise(plan: &Plan) -> Option<Computes> {
    use crate::run;
    let mixed =
        |stage: &crate::plan::PlannedStage| stage.spec.training().is_some_and(|t| t.products().half().is_some());
    if !plan.stages.iter().any(mixed) {
        return None;
    }
    let chosen = crate::device::choose(None).ok()?;
    let lacking: Vec<String> = run::imprecise(plan, &chosen).into_iter().map(|(name, _)| name).collect();
    let verdict = match lacking.as_slice() {
        [] if chosen.kind == crate::device::Kind::Cpu && !only_bf16(plan) => {
            "enough for every stage, and slower than f32: the CPU rounds as a GPU does".to_owned()
        }
        [] => "enough for every stage".to_owned(),
        names => format!("not enough for {}; `exp devices` lists others", names.join(", ")),
    };
    let has = run::formats_of(&chosen);
    let text = format!(
        "\nPrecision\n    a run takes `{}` ({}), which computes with {has}: {verdict}\n",
        chosen.name, chosen.adapter
    );
    let formats: Vec<&str> = has.split(", ").collect();
    let json = serde_json::json!({ "device": chosen.name, "formats": formats, "lacking": lacking });
    Some(Computes { text, json })
}

/// A network that no family of `transformers` computes, and the stages that train it.
struct Kept {
    model: String,
    stages: Vec<String>,
    why: String,
}

impl Kept {
    fn text(&self) -> String {
        format!("    {}: `{}` will not be exported: {}\n", self.stages.join(", "), self.model, self.why)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "model": self.model, "stages": self.stages, "why": self.why })
    }
}

/// Without the engine, which exports, nobody knows.
#[cfg(not(feature = "engine"))]
fn kept_here(_plan: &Plan) -> Option<Vec<Kept>> {
    None
}

/// What `exp export` would refuse, so that nobody learns it after the training.
#[cfg(feature = "engine")]
fn kept_here(plan: &Plan) -> Option<Vec<Kept>> {
    use crate::model::{Architecture, hugging};
    let mut kept: Vec<Kept> = Vec::new();
    for stage in plan.stages.iter().filter(|stage| stage.spec.training().is_some() && stage.unsupported.is_none()) {
        if let Some(known) = kept.iter_mut().find(|kept| kept.model == stage.model_name) {
            known.stages.push(stage.name.clone());
            continue;
        }
        // Which family it is does not hang on the number of entries.
        let Ok(architecture) = Architecture::new(&stage.model, Some(2)) else { continue };
        if let Err(why) = hugging::family(&architecture) {
            let (model, stages) = (stage.model_name.clone(), vec![stage.name.clone()]);
            kept.push(Kept { model, stages, why: why.to_string() });
        }
    }
    Some(kept)
}

/// What each sweep of the experiment would cost.
fn sweeps(args: &Args, world: &Files, checked: &Checked, lab: &Store, counts: &dyn KnownCounts) -> Vec<PricedSweep> {
    let file = single(&args.file);
    let swept = Swept { file: &file, world, overrides: &args.overrides.set, counts };
    let price = |sweep| PricedSweep::of(sweep, &mut |values| swept.plan(sweep, values), &|plan| statuses(plan, lab));
    checked.sweeps.iter().map(price).collect()
}

/// The run store; without the engine there is none.
#[cfg(not(feature = "engine"))]
struct Store;

/// The run store, if there is one that can be read. One that cannot holds nothing that could be used.
#[cfg(feature = "engine")]
type Store = Option<crate::store::Lab>;

#[cfg(not(feature = "engine"))]
fn lab(_args: &Args) -> Store {
    Store
}

#[cfg(feature = "engine")]
fn lab(args: &Args) -> Store {
    let place = crate::store::Lab::place(&args.file, args.lab.lab.as_deref(), None);
    crate::store::Lab::existing(&place).ok().flatten()
}

/// What the run store holds already.
#[cfg(not(feature = "engine"))]
fn statuses(_plan: &Plan, _lab: &Store) -> Statuses {
    Statuses::new()
}

/// What the run store holds already.
#[cfg(feature = "engine")]
fn statuses(plan: &Plan, lab: &Store) -> Statuses {
    lab.as_ref().map(|lab| crate::run::statuses(plan, lab)).unwrap_or_default()
}

/// What earlier runs have counted and measured, and on which device: the one that was measured last.
#[cfg(not(feature = "engine"))]
fn counts(_lab: &Store) -> (Box<dyn KnownCounts>, Option<String>) {
    (Box::new(crate::plan::Uncounted), None)
}

/// What earlier runs have counted and measured, and on which device: the one that was measured last.
#[cfg(feature = "engine")]
fn counts(lab: &Store) -> (Box<dyn KnownCounts>, Option<String>) {
    match lab {
        Some(lab) => {
            let counts = crate::run::LabCounts::of(lab, None);
            let device = counts.latest_device();
            (Box::new(counts.on(device.clone())), device)
        }
        None => (Box::new(crate::plan::Uncounted), None),
    }
}
