//! The manual as web pages that need no server, no script and no network.

use super::manual::{Manual, Module};
use super::page;
use std::fmt::Write;

const STYLE: &str = "
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem }
pre { padding: .6rem .8rem; overflow-x: auto; background: #8881; border-radius: .3rem }
code { font-family: ui-monospace, monospace; font-size: .92em }
h2 { margin-top: 2.2rem; border-top: 1px solid #8884; padding-top: 1rem }
nav { font-size: .9em }
li { margin: .2rem 0 }
";

/// The name and text of each page: `index.html`, and one for each module.
pub fn pages(manual: &Manual) -> Vec<(String, String)> {
    let mut pages = vec![("index.html".to_owned(), index(manual))];
    pages.extend(manual.modules.iter().map(|m| (file_name(m), module(m))));
    pages
}

fn file_name(module: &Module) -> String {
    format!("{}.html", module.name)
}

fn index(manual: &Manual) -> String {
    let mut body = String::from("<h1>The standard library</h1>\n");
    for module in &manual.modules {
        let file = file_name(module);
        let _ = writeln!(body, "<h2><a href=\"{file}\">{}</a></h2>\n<ul>", escape(&module.name));
        for entry in &module.entries {
            let _ = writeln!(
                body,
                "<li><a href=\"{file}#{0}\"><code>{0}</code></a> {1}</li>",
                escape(&entry.name),
                inline(&page::summary(&entry.docs))
            );
        }
        body.push_str("</ul>\n");
    }
    document("Emberlab: the standard library", &body)
}

fn module(module: &Module) -> String {
    let body =
        format!("<nav><a href=\"index.html\">The standard library</a></nav>\n{}", convert(&page::module(module)));
    document(&module.name, &body)
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n{body}</html>\n",
        escape(title)
    )
}

/// The Markdown that our own pages use: headings, paragraphs, lists, fenced code, `code`.
fn convert(markdown: &str) -> String {
    let mut out = String::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut in_code = false;
    let mut in_list = false;
    for line in markdown.lines().chain([""]) {
        let is_item = !in_code && line.starts_with("- ");
        if !in_code && (line.trim().is_empty() || line.starts_with('#') || line.starts_with("```") || is_item) {
            if !paragraph.is_empty() {
                let _ = writeln!(out, "<p>{}</p>", inline(&paragraph.join(" ")));
                paragraph.clear();
            }
            if in_list && !is_item {
                out.push_str("</ul>\n");
                in_list = false;
            }
        }
        if line.starts_with("```") {
            out.push_str(if in_code { "</code></pre>\n" } else { "<pre><code>" });
            in_code = !in_code;
        } else if in_code {
            let _ = writeln!(out, "{}", escape(line));
        } else if let Some(item) = line.strip_prefix("- ") {
            if !in_list {
                out.push_str("<ul>\n");
                in_list = true;
            }
            let _ = writeln!(out, "<li>{}</li>", inline(item));
        } else if line.starts_with('#') {
            let level = line.chars().take_while(|c| *c == '#').count().min(6);
            let title = line.trim_start_matches('#').trim();
            let _ = writeln!(out, "<h{level} id=\"{0}\">{0}</h{level}>", escape(title));
        } else if !line.trim().is_empty() {
            paragraph.push(line.trim());
        }
    }
    out
}

/// Escapes a line and marks its `code`.
fn inline(line: &str) -> String {
    let mut out = String::new();
    for (i, part) in line.split('`').enumerate() {
        let text = escape(part);
        if i % 2 == 1 {
            let _ = write!(out, "<code>{text}</code>");
        } else {
            out.push_str(&text);
        }
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html() {
        let html = convert("# a\n\nText with `x < 1`\nand more.\n\n- one\n- `two`\n\n```exp\nlet a = 1\n\n# b\n```\n");
        assert_eq!(
            html,
            "<h1 id=\"a\">a</h1>\n<p>Text with <code>x &lt; 1</code> and more.</p>\n<ul>\n<li>one</li>\n\
             <li><code>two</code></li>\n</ul>\n<pre><code>let a = 1\n\n# b\n</code></pre>\n"
        );
    }
}
