//! `exp coordinates`: whether what a network computes keeps its size as the network gets wider.

use super::bench;
use super::files::{Files, single};
use super::shared::Overrides;
use super::{Exit, Failure, Screen};
use crate::check::{Checked, CheckedItem, Options, check_file};
use crate::diagnostics::suggest::similar;
use crate::plan::plural;
use crate::plan::spec::{Decoder, Model, Stage};
use crate::report::{Align, Table};
use crate::syntax::ast::Kind;
use crate::train::{Coordinate, Trial, Verdict, coordinates, holds};
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The stage whose network and optimiser are tried; by default the first that trains a `model`.
    #[arg(value_name = "STAGE")]
    pub stage: Option<String>,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Widths to try; by default once, twice and four times muP's base width, or the network's own.
    #[arg(long, value_name = "WIDTHS", value_delimiter = ',', num_args = 1)]
    pub widths: Vec<u32>,
    /// Optimiser steps, all at the peak learning rate.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub steps: u64,
    /// Networks of each width, with other initial weights and another batch, that are averaged.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub seeds: u64,
    /// How far from zero the exponent of the width may be.
    #[arg(long, value_name = "X", default_value_t = 0.2, value_parser = tolerance)]
    pub tolerance: f64,
    /// The device: `cpu`, or a name that `exp devices` lists.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

/// The batch of every network: made tokens, so that nothing has to be read or encoded first, and of few kinds. What a step
/// changes for one kind adds up over the width, what it changes for the others is noise beside it; with as many kinds as the
/// network is wide, the noise is what is seen.
const ROWS: usize = 8;
const SEQUENCE: i64 = 8;
const VOCAB: i64 = 16;

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x < 10.0 => Ok(x),
        _ => Err("write a number between 0 and 10, such as 0.2".to_owned()),
    }
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("coordinates")?;
    let Some(Setup { path, model, stage, name }) = setup(args, &[], screen)? else { return Ok(Exit::Problems) };
    let widths = widths(args, &model)?;
    let mut models = Vec::new();
    for width in &widths {
        let width = (format!("{path}.width"), width.to_string());
        // Whatever follows from the width in the experiment follows from this one.
        let Some(wide) = setup(args, &[width], screen)? else { return Ok(Exit::Problems) };
        models.push(wide.model);
    }
    let Some(training) = stage.training() else { return Err(untrained(&name)) };
    let chosen = bench::device(args.device.as_deref())?;
    let trial = Trial {
        optimizer: &training.optimizer,
        groups: &training.groups,
        clip: training.clip,
        steps: args.steps,
        seeds: args.seeds,
        seed: 0,
        vocab: usize::try_from(model.vocab.unwrap_or(VOCAB).clamp(2, VOCAB)).unwrap_or(2),
        rows: ROWS,
        sequence: usize::try_from(training.sequence.unwrap_or(model.context).clamp(2, SEQUENCE)).unwrap_or(2),
        device: &chosen,
    };
    screen.note(&format!(
        "`{path}` of `{name}` at {} widths, {} steps on {} tokens, {}, on {}",
        widths.len(),
        args.steps,
        trial.rows * trial.sequence,
        plural(args.seeds, "seed", "seeds"),
        chosen.name
    ));
    let aside = aside(&stage);
    for note in &aside {
        screen.note(note);
    }
    let rows = coordinates(&models, &trial, args.tolerance)
        .map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
    let holds = holds(&rows);
    if screen.is_json() {
        let networks: Vec<_> = models
            .iter()
            .map(|m| {
                json!({ "width": m.width, "heads": m.heads, "head_dim": m.head_dim, "hidden": m.hidden, "mup": m.mup })
            })
            .collect();
        screen.document(&json!({
            "schema_version": 1, "stage": name, "model": path, "device": chosen.name, "networks": networks,
            "steps": args.steps, "seeds": args.seeds, "tolerance": args.tolerance, "coordinates": rows, "holds": holds, "notes": aside,
        }));
    } else {
        screen.result(&text(&rows, &models, holds, args.tolerance));
    }
    Ok(if holds { Exit::Done } else { Exit::Unmet })
}

/// What of a stage plays no part in the check: it is of the width, and weights have one.
fn aside(stage: &Stage) -> Vec<String> {
    let Some(training) = stage.training() else { return Vec::new() };
    let mut notes = Vec::new();
    if let Some(init) = &training.init {
        notes.push(format!("networks have fresh weights, not those that `{}` leaves: those have one width", init.name));
    }
    if training.products().half().is_some() {
        notes.push(format!("everything is computed in f32, not in `{}`", training.products().name()));
    }
    notes
}

/// A stage, and the network that it trains afresh or goes on with.
struct Setup {
    name: String,
    stage: Stage,
    /// The model item.
    path: String,
    model: Decoder,
}

/// Reads the experiment with `more` overrides; nothing if it has problems, which are shown.
fn setup(args: &Args, more: &[(String, String)], screen: &Screen) -> Result<Option<Setup>, Failure> {
    let world = Files::new(std::slice::from_ref(&args.file))?;
    let own = args.overrides.set.iter().filter(|(path, _)| more.iter().all(|(other, _)| other != path));
    let overrides = own.chain(more).cloned().collect();
    let (checked, problems) = check_file(&world, &single(&args.file), &Options { overrides, pedantic: false });
    if problems.any_error() {
        screen.problems(&problems, &checked.sources);
        return Ok(None);
    }
    let stages = || checked.items.iter().filter(|item| item.kind == Kind::Stage);
    let item = match &args.stage {
        Some(name) => stages().find(|item| item.name == *name),
        None => stages().find(|item| !item.json["training"]["model"].is_null()),
    };
    let Some(item) = item else { return Err(no_stage(args.stage.as_deref(), stages().map(|item| item.name.as_str()))) };
    let stage: Stage = read(item)?;
    let Some(training) = stage.training() else { return Err(untrained(&item.name)) };
    if training.adapter.is_some() {
        return Err(Failure::Usage {
            message: format!("`{}` trains adapters, and leaves the network as it is", item.name),
            help: Some("name the stage that trains the network itself".to_owned()),
        });
    }
    let Some((path, model)) = network(&checked, item, &stage)? else { return Err(untrained(&item.name)) };
    Ok(Some(Setup { name: item.name.clone(), stage, path, model }))
}

/// The network of a stage: its own, or that of the stage it goes on from.
fn network(checked: &Checked, item: &CheckedItem, stage: &Stage) -> Result<Option<(String, Decoder)>, Failure> {
    let named = |kind: Kind, name: &str| checked.items.iter().find(|item| item.kind == kind && item.name == name);
    let (mut stage, mut seen) = (stage.clone(), vec![item.name.clone()]);
    loop {
        let Some(training) = stage.training() else { return Ok(None) };
        if let Some(model) = &training.model {
            let Some(found) = named(Kind::Model, &model.name) else { return Ok(None) };
            let Model::Decoder(decoder) = read(found)?;
            return Ok(Some((found.name.clone(), decoder)));
        }
        let Some(before) = stage.init().and_then(|init| named(Kind::Stage, &init.name)) else { return Ok(None) };
        // `exp plan` tells of circles; here they only must not be followed for ever.
        if seen.contains(&before.name) {
            return Ok(None);
        }
        seen.push(before.name.clone());
        stage = read(before)?;
    }
}

fn read<T: serde::de::DeserializeOwned>(item: &CheckedItem) -> Result<T, Failure> {
    serde_json::from_value(item.json.clone())
        .map_err(|e| Failure::Run { message: format!("`{}` cannot be read: {e}", item.name), help: None })
}

/// The widths asked for, or those that muP's base or the network itself gives; ascending, each once.
fn widths(args: &Args, model: &Decoder) -> Result<Vec<u32>, Failure> {
    let base = model.mup.map_or(model.width, |mup| mup.base_width);
    let base = u32::try_from(base).unwrap_or(1);
    let mut widths =
        if args.widths.is_empty() { [1, 2, 4].map(|n| base.saturating_mul(n)).to_vec() } else { args.widths.clone() };
    widths.sort_unstable();
    widths.dedup();
    if widths.len() < 2 {
        return Err(Failure::Usage {
            message: "one width shows no growth".to_owned(),
            help: Some("give two or more, as in `--widths 64,128,256`".to_owned()),
        });
    }
    Ok(widths)
}

fn untrained(name: &str) -> Failure {
    Failure::Usage {
        message: format!("`{name}` comes from a published network, which has one width"),
        help: Some("name a stage that trains a `model` of the experiment".to_owned()),
    }
}

fn no_stage<'a>(asked: Option<&str>, names: impl Iterator<Item = &'a str> + Clone) -> Failure {
    let quoted = |names: &[&str]| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let all: Vec<&str> = names.clone().collect();
    let message = match asked {
        Some(name) => format!("there is no stage `{name}`"),
        None => "no stage of the experiment trains a `model`".to_owned(),
    };
    let near = asked.map(|name| similar(name, names)).unwrap_or_default();
    let help = match (near.as_slice(), all.as_slice()) {
        ([], []) => None,
        ([], all) => Some(format!("the experiment has {}", quoted(all))),
        (near, _) => Some(format!("did you mean {}?", quoted(near))),
    };
    Failure::Usage { message, help }
}

fn text(rows: &[Coordinate], models: &[Decoder], holds: bool, tolerance: f64) -> String {
    let mut out = String::new();
    for model in models {
        let heads = format!("{} heads of {}", model.heads, model.head_dim);
        let mup = model.mup.map_or_else(
            || "standard".to_owned(),
            |mup| format!("muP, {:.3} times its base", mup.widening(model.width)),
        );
        out.push_str(&format!("{} wide: {heads}, feed-forward {}, {mup}\n", model.width, model.hidden));
    }
    let headings: Vec<String> = models.iter().map(|model| model.width.to_string()).collect();
    let mut columns = vec![("place", Align::Left), ("step", Align::Right)];
    columns.extend(headings.iter().map(|width| (width.as_str(), Align::Right)));
    columns.extend([("exponent", Align::Right), ("of change", Align::Right), ("", Align::Left)]);
    let mut table = Table::new(&columns);
    for row in rows {
        let mut cells = vec![if row.step == 0 { row.place.to_owned() } else { String::new() }, row.step.to_string()];
        cells.extend(row.sizes.iter().map(|size| format!("{size:.4}")));
        cells.push(format!("{:+.2}", row.exponent));
        cells.push(row.change_exponent.map_or_else(|| "–".to_owned(), |x| format!("{x:+.2}")));
        cells.push(word(row.verdict).to_owned());
        table.row(cells);
    }
    out.push_str(&format!(
        "\nmean magnitude by width, and the power of the width it follows\n\n{}\n",
        table.render(None)
    ));
    let last = rows.iter().map(|row| row.step).max().unwrap_or(0);
    out.push_str(&match holds {
        true => format!("holds: nothing grows, and after {last} steps nothing is further than {tolerance} from flat\n"),
        false => {
            let fails = |row: &&Coordinate| {
                row.verdict == Verdict::Grows || row.verdict == Verdict::Shrinks && row.step == last
            };
            let mut places: Vec<&str> = rows.iter().filter(fails).map(|row| row.place).collect();
            places.dedup();
            let places = places.join(", ");
            format!(
                "does not hold: {places}; a learning rate found at one of these widths does not fit another\n{}",
                way_out(models)
            )
        }
    });
    out
}

/// What could be changed, where that can be told from the networks alone.
fn way_out(models: &[Decoder]) -> &'static str {
    let grow = models.windows(2).any(|pair| pair[0].head_dim != pair[1].head_dim);
    match models.first().map(|model| model.mup) {
        Some(Some(mup)) if grow && mup.base_head_dim.is_none() => {
            "help: heads grow with the width here; give `mup` their size at the base as `base_head_dim`, or let there be more of \
             them, as in `heads = width / 64`\n"
        }
        Some(None) => "help: `mup = mup(base_width = …)` in the model is meant to make rates fit\n",
        _ => "",
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Flat => "flat",
        Verdict::Grows => "grows",
        Verdict::Shrinks => "shrinks",
    }
}
