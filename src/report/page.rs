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
                let alone = runs.len() == 1 && sweeps.is_empty();
                if !alone {
                    overview(&title, runs, html);
                }
                for (i, view) in sweeps.iter().enumerate() {
                    section(&format!("sweep-{i}"), &format!("Sweep {}", view.name), html, |html| {
                        sweep::write(view, html);
                    });
                }
                for (i, view) in runs.iter().enumerate() {
                    run(view, &format!("r{i}"), alone, html);
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
    // Sweeps name the page only where there are no runs to.
    let swept = sweeps.iter().map(|s| s.name.as_str()).filter(|_| runs.is_empty());
    for name in runs.iter().map(|r| r.experiment.as_str()).chain(swept) {
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
    type Part = fn(&RunView, &str, &mut Html);
    let parts: [(&str, &str, Part); 10] = [
        ("verdicts", "Gates and claims", |v, _, h| judgement::verdicts(v, h)),
        ("stages", "Training", stages::write),
        ("evals", "Evaluation", |v, _, h| judgement::evals(v, h)),
        ("audits", "Audits", |v, _, h| judgement::audits(v, h)),
        ("samples", "Generated text", |v, _, h| stages::samples(v, h)),
        ("data", "Data", |v, _, h| data::datasets(v, h)),
        ("tokenizers", "Tokenizers", |v, _, h| data::tokenizers(v, h)),
        ("source", "Experiment", |v, _, h| source::files(v, h)),
        ("facts", "Plan", |v, _, h| source::facts(v, h)),
        ("environment", "Environment", |v, _, h| source::environment(v, h)),
    ];
    let mut written: Vec<(String, &str, Html)> = Vec::new();
    for (name, heading, part) in parts {
        let mut content = Html::new();
        part(view, prefix, &mut content);
        if !content.is_empty() {
            written.push((format!("{prefix}-{name}"), heading, content));
        }
    }
    html.tag("article", &[("id", prefix)], |html| {
        masthead(view, alone, html);
        if written.len() > 1 {
            html.tag("nav", &[("aria-label", "Contents")], |html| {
                for (id, heading, _) in &written {
                    html.leaf("a", &[("href", &format!("#{id}"))], heading);
                }
            });
        }
        for (id, heading, content) in written {
            section(&id, heading, html, |html| {
                html.append(content);
            });
        }
    });
}

fn masthead(view: &RunView, alone: bool, html: &mut Html) {
    html.tag("header", &[("class", if alone { "masthead" } else { "masthead again" })], |html| {
        let class = match view.status {
            Status::Done => "badge good",
            Status::Failed => "badge bad",
            Status::Unmet => "badge warn",
            Status::Running | Status::Stopped => "badge",
        };
        html.tag("p", &[("class", "kicker")], |html| {
            html.text(if alone { "Experiment report" } else { "Run" }).raw(" ");
            html.leaf("span", &[("class", class)], view.status.word());
        });
        html.leaf("h1", &[], if alone { &view.experiment } else { &view.run });
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
