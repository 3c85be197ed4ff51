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
            level.to_owned(),
            d.reason.clone(),
        ]);
    }
    screen.result(&table.render(None));
    screen.result(
        "\n→ is taken unless `--device` names another. Two runs of a plan on a device give the same weights: bitwise, or up \
         to rounding.\n",
    );
    Ok(Exit::Done)
}

/// A device in JSON, with what is promised of it.
fn described(found: &device::Found) -> serde_json::Value {
    let mut json = serde_json::to_value(found).unwrap_or_default();
    let promise = device::promise(found.kind);
    json["reproducible"] = serde_json::json!({
        "level": promise.level.name(), "why": promise.why, "pinned": promise.pinned,
    });
    json
}
