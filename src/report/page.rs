//! The page as a whole: policy, masthead, contents and sections.

use super::format::{duration, hash};
use super::html::Html;
use super::view::{RunView, Status, SweepView};
use super::{data, judgement, source, stages, sweep};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("assets/report.css");
const SCRIPT: &str = include_str!("assets/report.js");

/// The report on one or several runs: one HTML file that needs nothing else.
pub fn html(records: &[RunView]) -> String {
    html_with_sweeps(records, &[])
}

/// The same with sweeps.
pub fn html_with_sweeps(runs: &[RunView], sweeps: &[SweepView]) -> String {
    let title = title(runs, sweeps);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    let mut html = Html::new();
    html.raw("<!doctype html>\n");
    html.tag("html", &[("lang", "en")], |html| {
        html.tag("head", &[], |html| {
            html.raw("<meta charset=\"utf-8\">");
            html.open("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy)]);
            html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
            html.raw("<meta name=\"color-scheme\" content=\"light dark\">");
            html.raw("<meta name=\"referrer\" content=\"no-referrer\">");
            html.leaf("title", &[], &format!("{title} · experiment report"));
            html.tag("style", &[], |html| {
                html.raw(STYLE);
            });
        });
        html.raw("\n");
        html.tag("body", &[], |html| {
            html.tag("main", &[], |html| {
                if runs.len() != 1 {
                    overview(&title, runs, html);
                }
                for (i, view) in sweeps.iter().enumerate() {
                    section(&format!("sweep-{i}"), &format!("Sweep {}", view.name), html, |html| {
                        sweep::write(view, html);
                    });
                }
                for (i, view) in runs.iter().enumerate() {
                    run(view, &format!("r{i}"), runs.len() == 1, html);
                }
            });
            html.raw("<script>").raw(SCRIPT).raw("</script>");
        });
    });
    html.raw("\n");
    html.finish()
}

/// A section with its heading; left out entirely if `inner` writes nothing.
pub fn section(id: &str, heading: &str, html: &mut Html, inner: impl FnOnce(&mut Html)) {
    let mut content = Html::new();
    inner(&mut content);
    if content.is_empty() {
        return;
    }
    html.tag("section", &[("id", id)], |html| {
        html.leaf("h2", &[], heading);
        html.append(content);
    });
    html.raw("\n");
}

fn title(runs: &[RunView], sweeps: &[SweepView]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in runs.iter().map(|r| r.experiment.as_str()).chain(sweeps.iter().map(|s| s.name.as_str())) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
        if names.len() == 3 {
            break;
        }
    }
    if names.is_empty() { "Nothing to report".into() } else { names.join(", ") }
}

/// The masthead of a report on several runs, and the runs beside each other.
fn overview(title: &str, runs: &[RunView], html: &mut Html) {
    html.tag("header", &[("class", "masthead")], |html| {
        html.raw("<p class=\"kicker\">Experiment report</p>");
        html.leaf("h1", &[], title);
        if runs.len() > 1 {
            html.leaf("p", &[("class", "abstract")], &format!("{} runs, compared.", runs.len()));
        }
    });
    if runs.len() > 1 {
        section("comparison", "Comparison", html, |html| {
            stages::compare(runs, html);
            judgement::compare(runs, html);
        });
    }
}

fn run(view: &RunView, prefix: &str, alone: bool, html: &mut Html) {
    html.tag("article", &[("id", prefix)], |html| {
        masthead(view, alone, html);
        let id = |name: &str| format!("{prefix}-{name}");
        section(&id("verdicts"), "Gates and claims", html, |html| judgement::verdicts(view, html));
        section(&id("stages"), "Training", html, |html| stages::write(view, prefix, html));
        section(&id("evals"), "Evaluation", html, |html| judgement::evals(view, html));
        section(&id("audits"), "Audits", html, |html| judgement::audits(view, html));
        section(&id("samples"), "Generated text", html, |html| stages::samples(view, html));
        section(&id("data"), "Data", html, |html| data::datasets(view, html));
        section(&id("tokenizers"), "Tokenizers", html, |html| data::tokenizers(view, html));
        section(&id("source"), "Experiment", html, |html| source::files(view, html));
        section(&id("facts"), "Plan", html, |html| source::facts(view, html));
        section(&id("environment"), "Environment", html, |html| source::environment(view, html));
    });
}

fn masthead(view: &RunView, alone: bool, html: &mut Html) {
    html.tag("header", &[("class", if alone { "masthead" } else { "masthead again" })], |html| {
        if alone {
            html.raw("<p class=\"kicker\">Experiment report</p>");
            html.leaf("h1", &[], &view.experiment);
        } else {
            html.leaf("h1", &[], &format!("Run {}", view.run));
        }
        if let Some(description) = &view.description {
            html.leaf("p", &[("class", "abstract")], description);
        }
        let mut byline = view.authors.clone();
        byline.extend(view.started.clone());
        byline.extend(view.license.clone());
        if !byline.is_empty() {
            html.leaf("p", &[("class", "byline")], &byline.join(" · "));
        }
        html.tag("dl", &[("class", "facts")], |html| {
            let mut fact = |name: &str, value: &str| {
                if !value.is_empty() {
                    html.tag("div", &[], |html| {
                        html.leaf("dt", &[], name).leaf("dd", &[], value);
                    });
                }
            };
            fact("Run", &view.run);
            fact("Plan", &hash(&view.plan_hash));
            fact("Time", &view.seconds.map_or_else(String::new, duration));
            fact("Seed", &view.seed.map_or_else(String::new, |s| s.to_string()));
            fact("Adapter", &view.device.adapter);
            fact("Backend", &view.device.backend);
            fact("Driver", &view.device.driver);
            fact("Precision", &view.device.dtype);
            html.tag("div", &[], |html| {
                let class = match view.status {
                    Status::Done => "badge good",
                    Status::Failed => "badge bad",
                    Status::Unmet => "badge warn",
                    Status::Running | Status::Stopped => "badge",
                };
                html.raw("<dt>Status</dt>").tag("dd", &[], |html| {
                    html.leaf("span", &[("class", class)], view.status.word());
                });
            });
        });
        if let Some(failure) = &view.failure {
            html.leaf("pre", &[("class", "failure")], failure);
        }
    });
}

/// The SHA-256 of an inline style or script, in base64, as content security policies name it.
fn digest(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = Sha256::digest(text.as_bytes());
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4u32 {
            let digit = DIGITS.get((bits >> (18 - 6 * i) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if i as usize <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{digest, html};
    use crate::report::view::RunView;

    #[test]
    fn hashes_are_those_that_browsers_compute() {
        assert_eq!(digest(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(digest("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn nothing_and_an_empty_run_still_make_a_page() {
        assert!(html(&[]).contains("Nothing to report"));
        let page = html(&[RunView::default()]);
        assert!(page.starts_with("<!doctype html>") && !page.contains("<section"));
    }
}
