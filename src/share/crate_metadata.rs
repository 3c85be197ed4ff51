//! `ro-crate-metadata.json`: the bundle as an RO-Crate 1.3 (<https://w3id.org/ro/crate/1.3>), with the run as a
//! `CreateAction` after the Process Run Crate profile.

use super::lock::Lock;
use super::manifest::BundleFile;
use crate::plan::Plan;
use crate::store::{Record, Status};
use serde_json::{Value as Json, json};

pub(super) const NAME: &str = "ro-crate-metadata.json";

/// What the metadata speaks of.
pub(super) struct About<'a> {
    pub plan: &'a Plan,
    pub lock: &'a Lock,
    /// Path of the main file in the bundle.
    pub main: &'a str,
    pub record: Option<&'a Record>,
    /// `2026-11-24`
    pub date: &'a str,
}

/// The document. Entities and keys have a fixed order.
pub(super) fn write(about: &About<'_>, files: &[BundleFile]) -> Json {
    let experiment = &about.plan.experiment;
    let description = experiment.description.clone().unwrap_or_else(|| {
        format!("The language-model experiment {}, with what it reads and what came out of it", about.plan.name)
    });
    let mut parts: Vec<Json> = files.iter().map(|f| reference(&identifier(&f.path))).collect();
    parts.sort_by_key(ToString::to_string);
    let mut root = json!({
        "@id": "./",
        "@type": "Dataset",
        "name": about.plan.name,
        "description": description,
        "datePublished": about.date,
        "license": license(experiment.license.as_deref()),
        "mainEntity": reference(&identifier(about.main)),
        "hasPart": parts,
    });
    let authors: Vec<Json> = (1..=experiment.authors.len()).map(|i| reference(&format!("#author-{i}"))).collect();
    // One is written by itself, several as a list, as JSON-LD's compact form has it.
    match authors.as_slice() {
        [] => {}
        [one] => root["author"] = one.clone(),
        many => root["author"] = many.into(),
    }
    if about.record.is_some() {
        root["mentions"] = reference("#run");
        root["conformsTo"] = reference(PROCESS_PROFILE);
    }
    let mut graph = vec![
        json!({
            "@id": NAME,
            "@type": "CreativeWork",
            "about": reference("./"),
            "conformsTo": reference("https://w3id.org/ro/crate/1.3"),
        }),
        root,
    ];
    graph.extend(files.iter().map(|f| file(about, f)));
    let named = experiment.authors.iter().enumerate();
    graph
        .extend(named.map(|(i, name)| json!({ "@id": format!("#author-{}", i + 1), "@type": "Person", "name": name })));
    let mut licenses: Vec<Json> = std::iter::once(experiment.license.as_deref())
        .chain(about.lock.inputs.iter().map(|i| i.license.as_deref()))
        .filter_map(|name| Some(json!({ "@id": license(name)["@id"], "@type": "CreativeWork", "name": name? })))
        .filter(|entity| !entity["@id"].is_null())
        .collect();
    licenses.sort_by_key(ToString::to_string);
    licenses.dedup();
    graph.extend(licenses);
    if let Some(record) = about.record {
        graph.extend(run(about, record, files));
    }
    json!({ "@context": "https://w3id.org/ro/crate/1.3/context", "@graph": graph })
}

/// This program as a package URL (<https://github.com/package-url/purl-spec>), which names it without saying where from.
const PROGRAM: &str = concat!("pkg:cargo/emberlab@", env!("CARGO_PKG_VERSION"));

const PROCESS_PROFILE: &str = "https://w3id.org/ro/wfrun/process/0.6";

fn file(about: &About<'_>, file: &BundleFile) -> Json {
    let input = about.lock.inputs.iter().find(|i| i.blake3 == file.blake3);
    let mut entity = json!({
        "@id": identifier(&file.path),
        "@type": "File",
        "name": file.path.rsplit('/').next().unwrap_or(&file.path),
        "description": description(&file.path, input.is_some()),
        "contentSize": file.bytes.to_string(),
        "encodingFormat": format_of(&file.path),
        "identifier": format!("blake3:{}", file.blake3),
    });
    if let Some(name) = input.and_then(|i| i.license.as_deref()) {
        entity["license"] = license(Some(name));
    }
    entity
}

/// The run, the program that made it and the profile that says how to read both.
fn run(about: &About<'_>, record: &Record, files: &[BundleFile]) -> Vec<Json> {
    let status = match record.status {
        Status::Done => "http://schema.org/CompletedActionStatus",
        Status::Running => "http://schema.org/ActiveActionStatus",
        Status::Stopped | Status::Failed => "http://schema.org/FailedActionStatus",
    };
    let under = |prefix: &str| -> Vec<Json> {
        files.iter().filter(|f| f.path.starts_with(prefix)).map(|f| reference(&identifier(&f.path))).collect()
    };
    let results: Vec<Json> = ["record.json", "curves.json"]
        .iter()
        .filter(|n| files.iter().any(|f| f.path == **n))
        .map(|n| reference(n))
        .collect();
    let mut entities = vec![
        json!({
            "@id": "#run",
            "@type": "CreateAction",
            "name": format!("Run {} of {}", record.run, record.experiment),
            "instrument": reference(PROGRAM),
            "object": under("experiment/"),
            "result": results,
            "actionStatus": status,
            "endTime": about.date,
            "description": format!("Computed on {}", record.device),
        }),
        json!({
            "@id": PROGRAM,
            "@type": "SoftwareApplication",
            "name": "Emberlab",
            "url": PROGRAM,
            "version": env!("CARGO_PKG_VERSION"),
        }),
        json!({ "@id": PROCESS_PROFILE, "@type": ["CreativeWork", "Profile"], "name": "Process Run Crate", "version": "0.6" }),
    ];
    if !about.plan.experiment.authors.is_empty() {
        entities[0]["agent"] = reference("#author-1");
    }
    entities
}

fn reference(id: &str) -> Json {
    json!({ "@id": id })
}

/// A path as a relative IRI: letters of any script stand for themselves.
fn identifier(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        if c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-') {
            out.push(c);
        } else {
            let mut buffer = [0; 4];
            c.encode_utf8(&mut buffer).bytes().for_each(|byte| out += &format!("%{byte:02X}"));
        }
    }
    out
}

/// What a file is, for people who find the crate.
fn description(path: &str, is_input: bool) -> &'static str {
    match path {
        "plan.json" => "What was to run, with the hash of every part",
        "record.json" => "What the run found out",
        "curves.json" => "Losses and learning rate of every stage, step by step",
        "environment.json" => "Program, machine and device of the run",
        _ if is_input => "Data that the experiment reads",
        _ if path.ends_with(".lock") => "Size, hash and licence of every input",
        _ => "Part of the experiment's description",
    }
}

/// An SPDX identifier as its page; other text as it is.
fn license(name: Option<&str>) -> Json {
    match name {
        Some(name) if name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+')) => {
            reference(&format!("https://spdx.org/licenses/{name}"))
        }
        Some(text) => json!(text),
        None => json!("No licence is stated"),
    }
}

fn format_of(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "json" => "application/json",
        "jsonl" => "application/jsonl",
        "lock" => "application/toml",
        "txt" | "exp" | "md" => "text/plain",
        "zst" => "application/zstd",
        "gz" => "application/gzip",
        "parquet" => "application/vnd.apache.parquet",
        "csv" => "text/csv",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris_and_licences_pages() {
        assert_eq!(identifier("data/ä b.txt"), "data/ä%20b.txt");
        assert_eq!(license(Some("CC0-1.0"))["@id"], "https://spdx.org/licenses/CC0-1.0");
        assert_eq!(license(Some("MIT OR Apache-2.0")), "MIT OR Apache-2.0");
    }
}
