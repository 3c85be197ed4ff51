//! `exp export --adapter`: what a stage trained beside a network, as a folder that PEFT loads.
#![allow(clippy::disallowed_methods, reason = "this verb writes the folder that the command line names")]

mod gpt2;

use super::bench;
use super::export::{Args, empty, head, measured, pretty};
use super::trained::Stage;
use super::{Exit, Failure, Screen};
use crate::model::hugging::{self, Family};
use crate::model::{Architecture, Described, NumberFormat, read_weights, write_stream};
use crate::plan::PlannedStage;
use crate::plan::spec::{self, Adapter, Lora, LoraTarget};
use crate::store::{Record, disk};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// As PEFT calls them.
const WEIGHTS: &str = "adapter_model.safetensors";
const CONFIG: &str = "adapter_config.json";

pub(super) fn run(args: &Args, stage: &Stage, record: &Record, screen: &Screen) -> Result<Exit, Failure> {
    let failed = |message: String| Failure::Run { message, help: None };
    let planned = stage.planned();
    let trained = planned.spec.training();
    let (Some(path), Some(Adapter::Lora(lora)), Some(init)) =
        (stage.adapter(), trained.and_then(|t| t.adapter.as_ref()), planned.spec.init())
    else {
        return Err(Failure::Usage {
            message: format!("`{}` has no adapters: it trained a network's own weights", planned.name),
            help: Some("leave `--adapter` out to export the network".to_owned()),
        });
    };
    let base = Base::of(stage, &init.name, lora)?;
    empty(&args.to)?;
    let mut adapters = read_weights(path).map_err(|e| failed(e.to_string()))?;
    adapters.sort_by(|a, b| a.name.cmp(&b.name));
    let on: BTreeSet<_> = lora.on.iter().copied().collect();
    // Those that the network has: a layer without a gate has none to adapt.
    let has = |module: &&str| adapters.iter().any(|w| w.name.contains(&format!(".{module}.")));
    let modules: Vec<&str> = on.iter().map(|target| last(target.module())).filter(has).collect();
    let numbers: u64 = adapters.iter().map(|w| w.numbers.len() as u64).sum();
    let format = NumberFormat::from(args.dtype);
    let mut config = config(lora, &modules, base.folder.as_deref());
    if base.is_gpt2 {
        let renamed = gpt2::renamed(adapters, lora)?;
        config["target_modules"] = json!(renamed.modules);
        gpt2::configure(&mut config, renamed.patterns);
        adapters = renamed.weights;
    }
    let files = [(CONFIG, pretty(&config)?), ("README.md", card(stage, lora, numbers, &base, record).into_bytes())];
    let unwritable = |e: std::io::Error| Failure::Write { path: args.to.display().to_string(), cause: e.to_string() };
    std::fs::create_dir_all(&args.to).map_err(unwritable)?;
    for (name, bytes) in &files {
        disk::replace_bytes(&args.to.join(name), bytes).map_err(bench::failed)?;
    }
    let described: Vec<Described> =
        adapters.iter().map(|w| Described { name: w.name.to_string(), shape: w.shape.clone() }).collect();
    // The weights last: a folder with weights is whole.
    let about = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write_stream(&args.to.join(WEIGHTS), &about, format, &described, &mut |i| Ok(adapters[i].numbers.to_vec()))
        .map_err(|e| failed(e.to_string()))?;
    if screen.is_json() {
        screen.document(&json!({
            "schema_version": 1,
            "to": args.to.display().to_string(),
            "adapter": title(lora),
            "base": base.folder,
            "parameters": numbers,
            "dtype": format.torch(),
            "files": [CONFIG, "README.md", WEIGHTS],
        }));
    } else {
        screen.result(&format!("{}\n", args.to.display()));
        screen.note(&format!("the {} adapters of {}, for PEFT, over {}", title(lora), planned.name, base.told));
    }
    Ok(Exit::Done)
}

/// The network that adapters are for.
struct Base {
    /// Where it lies, if it was published.
    folder: Option<String>,
    /// Where it is to be had.
    told: String,
    /// Whether `transformers` will know it as GPT-2.
    is_gpt2: bool,
}

impl Base {
    /// That of the stage `init`.
    fn of(stage: &Stage, init: &str, lora: &Lora) -> Result<Base, Failure> {
        let planned = stage.planned();
        let started: Option<&PlannedStage> = stage.plan().stages.iter().find(|s| s.name == init);
        let published = started.and_then(|s| Some((s.published.as_ref()?, &s.spec)));
        let is_gpt2 = match &published {
            Some((published, _)) => published.model_type == Family::Gpt2.model_type(),
            None => {
                let architecture = Architecture::new(&planned.model, Some(stage.tokenizer().vocab()))
                    .map_err(|e| Failure::Run { message: e.to_string(), help: None })?;
                let family = hugging::family(&architecture).map_err(|why| Failure::Usage {
                    message: format!("the adapters of `{}` cannot be exported: {why}", planned.name),
                    help: Some("they lie in the store as safetensors, under the names of Llama's modules".to_owned()),
                })?;
                if architecture.sharpness() != 1.0 && lora.on.contains(&LoraTarget::Query) {
                    return Err(Failure::Usage {
                        message: format!(
                            "the adapters of `{}` cannot be exported: muP scales the queries of its network, and the \
                             exported network has that worked into its own matrix, beside which they do not fit",
                            planned.name
                        ),
                        help: Some("leave `--adapter` out to export the network with them worked in".to_owned()),
                    });
                }
                family == Family::Gpt2
            }
        };
        let folder = published.and_then(|(_, spec)| match spec {
            spec::Stage::Pretrained(pretrained) => Some(last(pretrained.folder.trim_end_matches('/')).to_owned()),
            _ => None,
        });
        let told = match &folder {
            Some(folder) => format!("the published model in `{folder}`"),
            None => format!("the stage `{init}`, which `exp export` writes too"),
        };
        Ok(Base { folder, told, is_gpt2 })
    }
}

/// The last part of a name.
fn last(name: &str) -> &str {
    name.rsplit(['.', '/']).next().unwrap_or(name)
}

fn title(lora: &Lora) -> &'static str {
    match (lora.magnitude, lora.rank_stabilized) {
        (false, false) => "LoRA",
        (false, true) => "rsLoRA",
        (true, false) => "DoRA",
        (true, true) => "rank-stabilised DoRA",
    }
}

/// PEFT calls `alpha` an integer, and takes others too.
fn number(alpha: f64) -> Json {
    if alpha.fract() == 0.0 { json!(alpha as i64) } else { json!(alpha) }
}

/// `adapter_config.json`; fields that are left out are PEFT's defaults.
fn config(lora: &Lora, modules: &[&str], base: Option<&str>) -> Json {
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": lora.rank,
        "lora_alpha": number(lora.alpha),
        "lora_dropout": 0.0,
        "target_modules": modules,
        "use_rslora": lora.rank_stabilized,
        "use_dora": lora.magnitude,
        "bias": "none",
        "fan_in_fan_out": false,
    })
}

/// The model card.
fn card(stage: &Stage, lora: &Lora, numbers: u64, base: &Base, record: &Record) -> String {
    let planned = stage.planned();
    let mut out = head(stage, "peft");
    let _ = writeln!(
        out,
        "{} adapters of rank {}, {numbers} numbers, for {}; the stage `{}` of run `{}` (plan `{}`).\n",
        title(lora),
        lora.rank,
        base.told,
        planned.name,
        record.run,
        record.plan_hash
    );
    out.push_str(&measured(planned, record));
    out.push_str("Made with Emberlab; the experiment's file says the rest.\n");
    out
}
