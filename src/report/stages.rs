//! Training: a card for each stage, its curves, and generated text.

use super::chart::{Chart, Series};
use super::format::{bytes, count, duration, hash, number, short};
use super::html::Html;
use super::view::{RunView, StageView};

/// The stages of a run: a card and curves each.
pub fn write(run: &RunView, prefix: &str, html: &mut Html) {
    for (i, stage) in run.stages.iter().enumerate() {
        let id = format!("{prefix}-stage-{i}");
        html.tag("section", &[("class", "stage"), ("id", &id)], |html| {
            html.tag("h3", &[], |html| {
                html.text(&stage.name).raw(" ");
                html.leaf("span", &[("class", "kind")], &stage.kind);
                if stage.cached {
                    html.raw(" <span class=\"badge\">reused</span>");
                }
                if let Some(status) = &stage.status {
                    html.raw(" ").leaf("span", &[("class", "badge")], status);
                }
            });
            card(stage, html);
            curves(stage, &id, html);
        });
    }
}

fn card(stage: &StageView, html: &mut Html) {
    html.tag("dl", &[("class", "figures")], |html| {
        let mut figure = |name: &str, value: Option<String>, unit: &str| {
            if let Some(value) = value {
                html.tag("div", &[], |html| {
                    html.leaf("dt", &[], name);
                    html.tag("dd", &[], |html| {
                        html.text(&value);
                        if !unit.is_empty() {
                            html.raw(" ").leaf("small", &[], unit);
                        }
                    });
                });
            }
        };
        figure("Training loss", stage.train_loss.map(number), "nats");
        figure("Validation loss", stage.valid_loss.map(number), "nats");
        figure("Parameters", stage.parameters.map(|n| short(n as f64)), "");
        figure("Tokens", stage.tokens.map(|n| short(n as f64)), "");
        figure("Steps", stage.steps.map(count), "");
        figure("Time", stage.seconds.map(duration), "");
        figure("Throughput", stage.tokens_per_second.map(short), "tokens/s");
        figure("Peak memory", stage.peak_memory_bytes.map(bytes), "");
    });
    let mut more: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: String| more.push((name.to_owned(), value));
    if !stage.model.is_empty() {
        add("model", stage.model.clone());
    }
    if let Some(n) = stage.parameters {
        add("parameters", count(n));
    }
    if let Some(supervised) = stage.supervised_tokens {
        let share = stage.tokens.filter(|t| *t > 0).map(|t| supervised as f64 / t as f64);
        let share = share.map_or_else(String::new, |s| format!(" ({})", super::format::percent(s)));
        add("tokens with loss", format!("{}{share}", count(supervised)));
    }
    if let Some(flops) = stage.flops {
        add("training FLOPs", format!("{flops:.2e}"));
    }
    if !stage.hash.is_empty() {
        add("identity", hash(&stage.hash));
    }
    more.extend(stage.more.iter().map(|p| (p.name.clone(), p.value.clone())));
    if !more.is_empty() {
        html.tag("p", &[("class", "more")], |html| {
            for (i, (name, value)) in more.iter().enumerate() {
                if i > 0 {
                    html.raw(" · ");
                }
                html.text(name).raw(" ").leaf("b", &[], value);
            }
        });
    }
}

fn curves(stage: &StageView, id: &str, html: &mut Html) {
    let series = |name: &str, curve, marked| Series { name: name.to_owned(), curve, marked };
    Chart {
        caption: format!("Loss of {} over optimiser steps.", stage.name),
        axis: "loss (nats per token)",
        series: vec![series("training", &stage.train, false), series("validation", &stage.valid, true)],
        small: false,
    }
    .write(&format!("{id}-loss"), html);
    let small = [
        ("learning rate", &stage.learning_rate),
        ("throughput (tokens/s)", &stage.throughput),
        ("gradient norm before clipping", &stage.gradient_norm),
    ];
    if small.iter().any(|(_, curve)| !curve.is_empty()) {
        html.tag("div", &[("class", "grid")], |html| {
            for (i, (axis, curve)) in small.into_iter().enumerate() {
                let series = vec![series(axis, curve, false)];
                Chart { caption: String::new(), axis, series, small: true }.write(&format!("{id}-{i}"), html);
            }
        });
    }
}

/// Text that the stages generated.
pub fn samples(run: &RunView, html: &mut Html) {
    for stage in run.stages.iter().filter(|s| !s.samples.is_empty()) {
        html.leaf("h3", &[], &stage.name);
        for sample in &stage.samples {
            html.tag("blockquote", &[("class", "sample")], |html| {
                html.tag("p", &[], |html| {
                    if !sample.prompt.is_empty() {
                        html.leaf("span", &[("class", "prompt")], &sample.prompt);
                    }
                    html.text(&sample.text);
                });
                if !sample.decoding.is_empty() {
                    html.leaf("footer", &[], &sample.decoding);
                }
            });
        }
    }
}

/// The runs beside each other: a table, and one chart for each stage name with every run's loss.
pub fn compare(runs: &[RunView], html: &mut Html) {
    html.tag("div", &[("class", "scroll")], |html| {
        html.tag("table", &[], |html| {
            html.raw(
                "<thead><tr><th>Run</th><th>Status</th><th class=\"num\">Seed</th><th>Adapter</th><th>Stage</th>\
                 <th class=\"num\">Training loss</th><th class=\"num\">Validation loss</th><th class=\"num\">Tokens</th>\
                 <th class=\"num\">Time</th></tr></thead>",
            );
            html.tag("tbody", &[], |html| {
                for run in runs {
                    for (i, stage) in run.stages.iter().enumerate() {
                        // The run's own cells are said once.
                        let once = |text: String| if i == 0 { text } else { String::new() };
                        let number = |x: Option<f64>| x.map_or("–".into(), number);
                        html.tag("tr", &[("class", if i == 0 { "group" } else { "" })], |html| {
                            html.leaf("td", &[], &once(run.run.clone()));
                            html.leaf("td", &[], &once(run.status.word().into()));
                            html.leaf("td", &[("class", "num")], &once(run.seed.map_or("–".into(), |s| s.to_string())));
                            html.leaf("td", &[], &once(run.device.adapter.clone()));
                            html.leaf("td", &[], &stage.name);
                            html.leaf("td", &[("class", "num")], &number(stage.train_loss));
                            html.leaf("td", &[("class", "num")], &number(stage.valid_loss));
                            html.leaf("td", &[("class", "num")], &stage.tokens.map_or("–".into(), |t| short(t as f64)));
                            html.leaf("td", &[("class", "num")], &stage.seconds.map_or("–".into(), duration));
                        });
                    }
                }
            });
        });
    });
    let mut names: Vec<&str> = Vec::new();
    for stage in runs.iter().flat_map(|r| &r.stages) {
        if !names.contains(&stage.name.as_str()) {
            names.push(&stage.name);
        }
    }
    for (i, name) in names.into_iter().enumerate() {
        let stages: Vec<(&RunView, &StageView)> =
            runs.iter().filter_map(|r| Some((r, r.stages.iter().find(|s| s.name == name)?))).collect();
        let validated = stages.iter().all(|(_, s)| !s.valid.is_empty());
        let (kind, series): (&str, Vec<Series>) = if validated {
            (
                "Validation",
                stages.iter().map(|(r, s)| Series { name: r.run.clone(), curve: &s.valid, marked: true }).collect(),
            )
        } else {
            (
                "Training",
                stages.iter().map(|(r, s)| Series { name: r.run.clone(), curve: &s.train, marked: false }).collect(),
            )
        };
        Chart {
            caption: format!("{kind} loss of {name} in each run."),
            axis: "loss (nats per token)",
            series,
            small: false,
        }
        .write(&format!("compare-{i}"), html);
    }
}
