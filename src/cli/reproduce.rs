//! `exp reproduce`: runs a bundle again and says how far the results agree. Interrupted, the same command goes on.
#![allow(clippy::disallowed_methods, reason = "this verb reads and writes the files that the command line names")]

use super::bench::{self, Request};
use super::{Exit, Failure, Screen};
use crate::run::display::{Display, Form};
use crate::run::{self, Bench};
use crate::share::{Evidence, Limits, unpack_once, verdict};
use crate::store::{Check, Curve, Lab, Record};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The bundle.
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// The folder to unpack into; by default the bundle's name.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// The device, as `exp devices` lists it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

/// Largest relative difference of losses that still counts as the same.
const TOLERANCE: f64 = 1e-4;

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("reproduce")?;
    let failed = |message: String| Failure::Run { message, help: None };
    let target = args.to.clone().unwrap_or_else(|| folder_of(&args.bundle));
    let unpacked = unpack_once(&args.bundle, &target, &Limits::default());
    let (unpacked, now) = unpacked.map_err(|e| failed(e.to_string()))?;
    screen.note(&match now {
        true => format!("unpacked into {}", target.display()),
        false => format!("going on in {}, where the bundle was unpacked before", target.display()),
    });
    if !unpacked.manifest.has("record.json") {
        return Err(Failure::Run {
            message: "the bundle holds no finished run to compare with".to_owned(),
            help: Some(format!("it was unpacked; `exp run {}` runs it", unpacked.main().display())),
        });
    }
    let record: Record = read(&unpacked.root.join("record.json"))?;
    let curves: IndexMap<String, Curve> = read(&unpacked.root.join("curves.json"))?;
    let main = unpacked.main();
    // A lab of its own: what is cached elsewhere would be compared with itself.
    let lab = Lab::open(target.join(".emberlab")).map_err(bench::failed)?;
    let request =
        Request { file: &main, overrides: &unpacked.manifest.overrides, until: None, device: None, warns: true };
    let planned = match bench::planned(&request, Some(&lab), screen)? {
        Ok(planned) => planned,
        Err(exit) => return Ok(exit),
    };
    let chosen = bench::device(args.device.as_deref())?;
    let stop = bench::stop(Form::choose(false, screen.is_quiet()))?;
    let bench = Bench {
        lab: &lab,
        device: &chosen,
        base: Path::new(""),
        home: &bench::home(&main),
        stop: &stop,
        check: Check::Sizes,
    };
    let mut display = Display::stderr(Form::choose(false, screen.is_quiet())).without_failures();
    let ran = run::run(&planned.plan, &bench, &mut display);
    display.finish();
    let ran = match ran {
        Ok(ran) => ran,
        Err(run::Failure::Stopped) => {
            screen.note("stopped; the same command goes on from here");
            return Ok(Exit::Stopped);
        }
        Err(failure) => return Err(super::run::failed(&failure)),
    };
    let again = run::view::curves(&lab, &ran.folder).map_err(bench::failed)?;
    let verdict = verdict(
        Evidence { record: &record, curves: &curves },
        Evidence { record: &ran.record, curves: &again },
        TOLERANCE,
    );
    if screen.is_json() {
        screen.document(&serde_json::to_value(&verdict).unwrap_or_default());
    } else {
        screen.result(&format!("{verdict}\n"));
    }
    Ok(if verdict.is_reproduced() { Exit::Done } else { Exit::Differed })
}

/// `a.tar.zst` unpacks into `a`.
fn folder_of(bundle: &Path) -> PathBuf {
    let name = bundle.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.trim_end_matches(".zst").trim_end_matches(".tar");
    PathBuf::from(if stem.is_empty() || stem == name { format!("{name}.unpacked") } else { stem.to_owned() })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let shown = || path.display().to_string();
    let text = std::fs::read(path).map_err(|e| Failure::Read { path: shown(), cause: e.to_string() })?;
    serde_json::from_slice(&text).map_err(|e| Failure::Read { path: shown(), cause: e.to_string() })
}
