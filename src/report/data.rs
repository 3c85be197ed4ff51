//! Data and tokenizers.

use super::format::{bytes, count, hash, number, percent};
use super::html::Html;
use super::marks;
use super::view::{DatasetView, RunView, TokenizerView};

/// The datasets: splits, and what each step removed for which reason.
pub fn datasets(run: &RunView, html: &mut Html) {
    for dataset in &run.datasets {
        html.tag("h3", &[], |html| {
            html.text(&dataset.name).raw(" ");
            html.leaf("span", &[("class", "kind")], &hash(&dataset.hash));
        });
        splits(dataset, html);
        steps(dataset, html);
    }
}

fn splits(dataset: &DatasetView, html: &mut Html) {
    if dataset.splits.is_empty() {
        return;
    }
    html.tag("div", &[("class", "scroll")], |html| {
        html.tag("table", &[], |html| {
            html.raw(
                "<thead><tr><th>Split</th><th class=\"num\">Documents</th><th class=\"num\">Size</th>\
                 <th class=\"num\">Tokens</th></tr></thead>",
            );
            html.tag("tbody", &[], |html| {
                for split in &dataset.splits {
                    html.tag("tr", &[], |html| {
                        html.leaf("td", &[], &split.name);
                        html.leaf("td", &[("class", "num")], &count(split.documents));
                        html.leaf("td", &[("class", "num")], &bytes(split.bytes));
                        html.leaf("td", &[("class", "num")], &split.tokens.map_or("–".into(), count));
                    });
                }
            });
        });
    });
}

fn steps(dataset: &DatasetView, html: &mut Html) {
    if dataset.steps.is_empty() {
        return;
    }
    html.tag("div", &[("class", "scroll")], |html| {
        html.tag("table", &[("class", "removal")], |html| {
            html.raw("<caption>What each step removed.</caption>");
            html.raw(
                "<thead><tr><th>Step</th><th>Reason</th><th class=\"num\">Kept</th><th class=\"num\">Removed</th>\
                 <th class=\"num\">Share</th><th>&#160;</th></tr></thead>",
            );
            html.tag("tbody", &[], |html| {
                for step in &dataset.steps {
                    let seen = step.kept.saturating_add(step.removed);
                    let share = |n: u64| if seen == 0 { 0.0 } else { n as f64 / seen as f64 };
                    let mut row = |class: &str, name: &str, reason: &str, kept: &str, removed: u64, shade: &str| {
                        html.tag("tr", &[("class", class)], |html| {
                            html.leaf("td", &[], name).leaf("td", &[], reason);
                            html.leaf("td", &[("class", "num")], kept);
                            html.leaf("td", &[("class", "num")], &count(removed));
                            html.leaf("td", &[("class", "num")], &percent(share(removed)));
                            html.tag("td", &[("class", "mark")], |html| marks::bar(share(removed), shade, html));
                        });
                    };
                    // A single reason needs no line of its own.
                    let only = match step.reasons.as_slice() {
                        [(reason, _)] => reason.as_str(),
                        _ => "",
                    };
                    row("group", &step.step, only, &count(step.kept), step.removed, "fill");
                    if step.reasons.len() > 1 {
                        for (reason, n) in &step.reasons {
                            row("", "", reason, "", *n, "fill light");
                        }
                    }
                }
            });
        });
    });
}

/// The tokenizers: their figures, and a text cut into tokens.
pub fn tokenizers(run: &RunView, html: &mut Html) {
    for TokenizerView { name, kind, vocabulary, figures, example } in &run.tokenizers {
        html.tag("h3", &[], |html| {
            html.text(name).raw(" ").leaf("span", &[("class", "kind")], kind);
        });
        html.tag("dl", &[("class", "figures")], |html| {
            let mut figure = |name: &str, value: &str| {
                html.tag("div", &[], |html| {
                    html.leaf("dt", &[], name).leaf("dd", &[], value);
                });
            };
            figure("Vocabulary", &count(*vocabulary));
            for pair in figures {
                // A bare number is shown like all other numbers.
                let value = pair.value.parse::<f64>().map_or_else(|_| pair.value.clone(), number);
                figure(&pair.name, &value);
            }
        });
        if !example.is_empty() {
            html.tag("p", &[("class", "tokens")], |html| {
                for (i, token) in example.iter().enumerate() {
                    html.leaf("span", &[("class", if i % 2 == 0 { "t0" } else { "t1" })], token);
                }
            });
        }
    }
}
