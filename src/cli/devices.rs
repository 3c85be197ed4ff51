//! `exp devices`: what this machine can compute on, what would be chosen, and why.

use super::{Exit, Failure, Screen};
use crate::device;
use crate::report::{Align, Table};
#[derive(clap::Args, Debug)]
pub struct Args {}

pub fn run(_args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("devices")?;
    let found = device::list();
    if screen.is_json() {
        let devices: Vec<_> = found.iter().map(described).collect();
        screen.document(&serde_json::json!({ "schema_version": 1, "devices": devices }));
        return Ok(Exit::Done);
    }
    let columns = [
        ("", Align::Left),
        ("device", Align::Left),
        ("adapter", Align::Left),
        ("driver", Align::Left),
        ("computes with", Align::Left),
        ("reproducible", Align::Left),
        ("why", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for d in &found {
        let level = device::promise(d.kind).level.name();
        let mark = if d.automatic { "→" } else { "" };
        table.row([
            mark.to_owned(),
            d.name.clone(),
            d.adapter.clone(),
            d.driver.clone(),
            match device::formats(d) {
                Ok(formats) => precisions(&formats).join(", "),
                Err(_) => "does not start".to_owned(),
            },
            level.to_owned(),
            d.reason.clone(),
        ]);
    }
    screen.result(&table.render(None));
    screen.result(
        "\nWith f16 a stage may have `precision = mixed_f16`, with bf16 `mixed_bf16`. A CPU is slower with f16 than with f32, and \
         faster with bf16 if it has AVX512-BF16.\n",
    );
    screen.result(
        "\n→ is taken unless `--device` names another. Two runs of a plan on a device give the same weights: bitwise, or up \
         to rounding.\n",
    );
    Ok(Exit::Done)
}

/// What a device computes with.
fn precisions(formats: &[device::Format]) -> Vec<&'static str> {
    std::iter::once("f32").chain(formats.iter().map(|format| format.name())).collect()
}

/// A device in JSON, with what is promised of it and what it computes with.
fn described(found: &device::Found) -> serde_json::Value {
    let mut json = serde_json::to_value(found).unwrap_or_default();
    let promise = device::promise(found.kind);
    json["reproducible"] = serde_json::json!({
        "level": promise.level.name(), "why": promise.why, "pinned": promise.pinned,
    });
    match device::formats(found) {
        Ok(formats) => json["formats"] = serde_json::json!(precisions(&formats)),
        Err(error) => json["fault"] = serde_json::json!(error.to_string()),
    }
    json
}
