//! The experiment as written, what the plan rests on, and what it ran with.

use super::highlight;
use super::html::Html;
use super::view::RunView;

/// The files of the experiment, with numbered lines.
pub fn files(run: &RunView, html: &mut Html) {
    for (i, file) in run.sources.iter().enumerate() {
        let show = |html: &mut Html| {
            html.tag("pre", &[("class", "source")], |html| highlight::write(&file.text, html));
        };
        // The first file is the experiment; imports are a click away.
        if i == 0 {
            html.tag("p", &[("class", "file")], |html| {
                html.leaf("code", &[], &file.path);
            });
            show(html);
        } else {
            html.tag("details", &[], |html| {
                html.tag("summary", &[], |html| {
                    html.leaf("code", &[], &file.path);
                });
                show(html);
            });
        }
    }
}

/// Every value that enters the plan's identity.
pub fn facts(run: &RunView, html: &mut Html) {
    if run.facts.is_empty() {
        return;
    }
    html.tag("details", &[], |html| {
        html.leaf("summary", &[], &format!("{} values that the plan rests on", run.facts.len()));
        html.tag("div", &[("class", "scroll")], |html| {
            html.tag("table", &[("class", "plan")], |html| {
                html.raw("<thead><tr><th>Path</th><th>Value</th><th>Place</th></tr></thead>");
                html.tag("tbody", &[], |html| {
                    for fact in &run.facts {
                        html.tag("tr", &[], |html| {
                            for cell in [&fact.path, &fact.value, &fact.place] {
                                html.tag("td", &[], |html| {
                                    html.leaf("code", &[], cell);
                                });
                            }
                        });
                    }
                });
            });
        });
    });
}

/// Versions.
pub fn environment(run: &RunView, html: &mut Html) {
    if run.versions.is_empty() {
        return;
    }
    html.tag("table", &[("class", "plan")], |html| {
        html.tag("tbody", &[], |html| {
            for pair in &run.versions {
                html.tag("tr", &[], |html| {
                    html.leaf("td", &[], &pair.name);
                    html.tag("td", &[], |html| {
                        html.leaf("code", &[], &pair.value);
                    });
                });
            }
        });
    });
}
