//! Judgement: gates, claims, evaluations with their intervals, audits.

use super::format::{count, estimate, number, percent};
use super::html::Html;
use super::marks::{Whisker, range};
use super::view::{ClaimView, EvalView, ExpectView, MetricView, RunView};
use crate::evaluate::ContrastRow;

/// Gates and claims with what they were decided on.
pub fn verdicts(run: &RunView, html: &mut Html) {
    if run.expects.is_empty() && run.claims.is_empty() {
        return;
    }
    html.tag("ul", &[("class", "verdicts")], |html| {
        for expect in &run.expects {
            gate(expect, html);
        }
        for claim in &run.claims {
            stated(claim, html);
        }
    });
}

fn gate(expect: &ExpectView, html: &mut Html) {
    let (class, word) = match expect.met {
        Some(true) => ("badge good", "met"),
        Some(false) => ("badge bad", "not met"),
        None => ("badge warn", "unknown"),
    };
    html.tag("li", &[], |html| {
        html.leaf("span", &[("class", class)], word);
        html.tag("div", &[], |html| {
            html.raw("<span class=\"what\">expect</span> ").leaf("code", &[], &expect.text);
            if !expect.values.is_empty() {
                html.tag("p", &[("class", "more")], |html| {
                    for (i, pair) in expect.values.iter().enumerate() {
                        if i > 0 {
                            html.raw(" · ");
                        }
                        html.text(&pair.name).raw(" ").leaf("b", &[], &pair.value);
                    }
                });
            }
            if let Some(reason) = &expect.reason {
                html.leaf("p", &[("class", "more")], reason);
            }
        });
    });
}

fn stated(claim: &ClaimView, html: &mut Html) {
    let class = match claim.verdict.as_str() {
        "supported" => "badge good",
        "refuted" => "badge bad",
        _ => "badge warn",
    };
    html.tag("li", &[], |html| {
        html.leaf("span", &[("class", class)], &claim.verdict);
        html.tag("div", &[], |html| {
            html.raw("<span class=\"what\">claim</span> ").leaf("strong", &[], &claim.name).raw(" ");
            html.leaf("code", &[], &claim.text);
            for c in &claim.comparisons {
                html.tag("div", &[("class", "comparison")], |html| {
                    if let (Some(value), low, high) = (c.difference, c.low, c.high) {
                        let span = range([value, 0.0].into_iter().chain(low).chain(high));
                        Whisker { value, low, high }.write(span, Some(0.0), html);
                    }
                    html.tag("p", &[("class", "more")], |html| {
                        if claim.comparisons.len() > 1 {
                            html.leaf("code", &[], &c.text).raw(" ");
                        }
                        if let Some(difference) = c.difference {
                            let (difference, bounds) = estimate(difference, c.low, c.high);
                            html.text("difference ").leaf("b", &[], &difference);
                            if let Some((low, high)) = bounds {
                                let confidence = percent(claim.confidence);
                                html.text(&format!(", interval [{low}, {high}] at {confidence}"));
                            }
                        }
                        if !c.method.is_empty() {
                            html.text(&format!("; {}", c.method));
                        }
                        if let Some(reason) = &c.reason {
                            html.text(" ").text(reason);
                        }
                    });
                });
            }
        });
    });
}

/// The evaluations: a table for each, in which the stages stand beside each other metric by metric.
pub fn evals(run: &RunView, html: &mut Html) {
    let mut names: Vec<&str> = Vec::new();
    for eval in &run.evals {
        if !names.contains(&eval.name.as_str()) {
            names.push(&eval.name);
        }
    }
    for name in names {
        let evals: Vec<&EvalView> = run.evals.iter().filter(|e| e.name == name).collect();
        html.tag("h3", &[], |html| {
            html.text(name).raw(" ");
            if let Some(on) = evals.first().map(|e| e.on.as_str()).filter(|on| !on.is_empty()) {
                html.leaf("span", &[("class", "kind")], &format!("on {on}"));
            }
        });
        let rows: Vec<(&str, &MetricView)> =
            evals.iter().flat_map(|e| e.metrics.iter().map(|m| (e.stage.as_str(), m))).collect();
        metrics("Stage", &rows, html);
        examples(&evals, html);
    }
}

/// The metrics of all runs beside each other.
pub fn compare(runs: &[RunView], html: &mut Html) {
    let rows: Vec<(String, MetricView)> = runs
        .iter()
        .flat_map(|run| {
            run.evals.iter().flat_map(|eval| {
                eval.metrics.iter().map(|metric| {
                    let name = format!("{}.{}.{}", eval.name, eval.stage, metric.name);
                    (run.run.clone(), MetricView { name, ..metric.clone() })
                })
            })
        })
        .collect();
    if !rows.is_empty() {
        let rows: Vec<(&str, &MetricView)> = rows.iter().map(|(run, metric)| (run.as_str(), metric)).collect();
        metrics("Run", &rows, html);
    }
}

/// A table of metrics, grouped by metric; the rows of a group share the scale of their intervals.
fn metrics(who: &str, rows: &[(&str, &MetricView)], html: &mut Html) {
    let mut names: Vec<&str> = Vec::new();
    for (_, metric) in rows {
        if !names.contains(&metric.name.as_str()) {
            names.push(&metric.name);
        }
    }
    html.tag("div", &[("class", "scroll")], |html| {
        html.tag("table", &[("class", "metrics")], |html| {
            html.tag("thead", &[], |html| {
                html.raw("<tr><th>Metric</th>").leaf("th", &[], who);
                html.raw(
                    "<th class=\"num\">Value</th><th class=\"num\">95 % interval</th><th class=\"mark\">from zero</th>\
                     <th class=\"num\">Items</th></tr>",
                );
            });
            html.tag("tbody", &[], |html| {
                for name in &names {
                    let group: Vec<&(&str, &MetricView)> = rows.iter().filter(|(_, m)| m.name == *name).collect();
                    let values = group.iter().flat_map(|(_, m)| [Some(m.value), m.low, m.high]).flatten();
                    // Lengths are compared from zero, so that a small difference looks small.
                    let span = range(values.chain([0.0]));
                    for (i, (stage, metric)) in group.into_iter().enumerate() {
                        row(i == 0, stage, metric, span, html);
                    }
                }
            });
        });
    });
    html.tag("details", &[("class", "signatures")], |html| {
        html.raw("<summary>Exact variant of each metric</summary>");
        html.tag("ul", &[], |html| {
            let mut seen: Vec<(&str, &str)> = Vec::new();
            for (_, metric) in rows {
                let key = (metric.name.as_str(), metric.signature.as_str());
                if !metric.signature.is_empty() && !seen.contains(&key) {
                    seen.push(key);
                    html.tag("li", &[], |html| {
                        html.leaf("code", &[], &metric.signature);
                    });
                }
            }
        });
    });
}

fn row(first: bool, stage: &str, metric: &MetricView, span: (f64, f64), html: &mut Html) {
    html.tag("tr", &[("class", if first { "group" } else { "" })], |html| {
        html.tag("td", &[], |html| {
            if first {
                html.leaf("code", &[], &metric.name);
                match metric.better.as_str() {
                    "higher" => html.raw(" <span class=\"better\" title=\"higher is better\">↑</span>"),
                    "lower" => html.raw(" <span class=\"better\" title=\"lower is better\">↓</span>"),
                    _ => html,
                };
            }
        });
        html.leaf("td", &[], stage);
        let (value, bounds) = estimate(metric.value, metric.low, metric.high);
        html.leaf("td", &[("class", "num strong")], &value);
        let interval = bounds.map_or("too few items".into(), |(low, high)| format!("{low} – {high}"));
        html.leaf("td", &[("class", "num")], &interval);
        html.tag("td", &[("class", "mark")], |html| {
            Whisker { value: metric.value, low: metric.low, high: metric.high }.write(span, Some(0.0), html);
        });
        html.leaf("td", &[("class", "num")], &count(metric.n));
    });
}

fn examples(evals: &[&EvalView], html: &mut Html) {
    if evals.iter().all(|e| e.items.is_empty()) {
        return;
    }
    html.tag("details", &[], |html| {
        html.raw("<summary>Judged items</summary>");
        for eval in evals {
            html.leaf("h4", &[], &eval.stage);
            html.tag("div", &[("class", "scroll")], |html| {
                html.tag("table", &[("class", "items")], |html| {
                    html.raw("<thead><tr><th>Prompt or text</th><th>Reference</th><th>Response</th><th>Scores</th></tr></thead>");
                    html.tag("tbody", &[], |html| {
                        for item in &eval.items {
                            html.tag("tr", &[], |html| {
                                for text in [&item.prompt, &item.reference, &item.response] {
                                    html.leaf("td", &[("class", "text")], &shortened(text));
                                }
                                let scores: Vec<String> =
                                    item.scores.iter().map(|(name, x)| format!("{name} {}", number(*x))).collect();
                                html.leaf("td", &[("class", "scores")], &scores.join("\n"));
                            });
                        }
                    });
                });
            });
        }
    });
}

/// The first few hundred characters of a text.
fn shortened(text: &str) -> String {
    const MOST: usize = 400;
    let mut short: String = text.chars().take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

/// The audits: for each contrast, the share of pairs whose first sentence is likelier.
pub fn audits(run: &RunView, html: &mut Html) {
    for eval in &run.evals {
        let Some(audit) = &eval.audit else { continue };
        html.tag("h3", &[], |html| {
            html.text(&eval.name).raw(" ");
            html.leaf("span", &[("class", "kind")], &format!("{} on {}", eval.stage, eval.on));
        });
        html.tag("div", &[("class", "scroll")], |html| {
            html.tag("table", &[("class", "metrics")], |html| {
                html.raw(
                    "<thead><tr><th>Contrast</th><th class=\"num\">Pairs</th><th class=\"num\">First likelier</th>\
                     <th class=\"num\">95 % interval</th><th class=\"mark\">even at the line</th><th class=\"num\">Gap</th>\
                     <th class=\"num\">Mean |Δ|, nats</th></tr></thead>",
                );
                html.tag("tbody", &[], |html| {
                    for contrast in &audit.contrasts {
                        contrast_row(contrast, "", html);
                    }
                    contrast_row(&audit.total, "total", html);
                });
            });
        });
        html.tag("p", &[("class", "note")], |html| {
            html.raw(
                "The share of pairs whose first sentence the model finds likelier; half means that it does not lean. \
                 Leanings in opposite directions cancel in the total. Pairs from one template are not independent, so \
                 that their true uncertainty is larger than the interval. ",
            );
            if audit.unequal_lengths > 0 {
                html.text(&format!(
                    "In {} pairs the sentences differ in their number of tokens, which favours the shorter.",
                    count(audit.unequal_lengths)
                ));
            }
        });
    }
}

fn contrast_row(row: &ContrastRow, class: &str, html: &mut Html) {
    html.tag("tr", &[("class", class)], |html| {
        html.leaf("td", &[], &row.contrast);
        html.leaf("td", &[("class", "num")], &count(row.pairs));
        html.leaf("td", &[("class", "num strong")], &percent(row.first_likelier));
        html.leaf("td", &[("class", "num")], &format!("{} – {}", percent(row.low), percent(row.high)));
        html.tag("td", &[("class", "mark")], |html| {
            let whisker = Whisker { value: row.first_likelier, low: Some(row.low), high: Some(row.high) };
            whisker.write((0.0, 1.0), Some(0.5), html);
        });
        html.leaf("td", &[("class", "num")], &percent(row.gap));
        html.leaf("td", &[("class", "num")], &number(row.mean_absolute_difference));
    });
}
