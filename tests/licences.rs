//! Every dependency may be used under a licence that `deny.toml` allows. Needs no network and no further tool.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test reads the tree, and fails by panicking"
)]

use std::process::Command;

#[test]
fn every_dependency_has_an_allowed_licence() {
    let allowed = allowed();
    assert!(allowed.iter().any(|l| l == "MIT"), "deny.toml has a list of licences");
    let Some(host) = host() else {
        println!("skipped: rustc does not say which machine this is");
        return;
    };
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", &host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    if !metadata.status.success() {
        println!(
            "skipped: cargo metadata needs packages that are not here\n{}",
            String::from_utf8_lossy(&metadata.stderr)
        );
        return;
    }
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let used: Vec<&str> =
        metadata["resolve"]["nodes"].as_array().unwrap().iter().filter_map(|n| n["id"].as_str()).collect();
    let mut wrong = Vec::new();
    let mut count = 0;
    for package in metadata["packages"].as_array().unwrap() {
        if !package["id"].as_str().is_some_and(|id| used.contains(&id)) {
            continue;
        }
        count += 1;
        let name = package["name"].as_str().unwrap_or("");
        let licence = package["license"].as_str().map(str::to_owned).or_else(|| clarified(name));
        let licence = licence.as_deref().unwrap_or("none stated");
        if !permits(licence, &allowed) {
            wrong.push(format!("{} {}: {licence}", package["name"], package["version"]));
        }
    }
    println!("{count} packages");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What `deny.toml` says of a package that states its licence in a file alone.
fn clarified(package: &str) -> Option<String> {
    let policy = policy();
    let block = policy.split("[[licenses.clarify]]").skip(1).find(|b| b.contains(&format!("crate = \"{package}\"")))?;
    Some(block.split_once("expression = \"")?.1.split_once('"')?.0.to_owned())
}

fn policy() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).unwrap()
}

/// The list `allow = [ … ]` of `deny.toml`.
fn allowed() -> Vec<String> {
    let text = policy();
    let list = text.split_once("allow = [").unwrap().1.split_once(']').unwrap().0;
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The machine that `rustc` builds for.
fn host() -> Option<String> {
    let out = Command::new("rustc").arg("-vV").output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    text.lines().find_map(|l| l.strip_prefix("host: ")).map(str::to_owned)
}

/// Whether an SPDX expression leaves a choice that is allowed. The old form `MIT/Apache-2.0` is a choice as well.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    either(&words, &mut at, allowed) && at == words.len()
}

fn either(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut result = both(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        result |= both(words, at, allowed);
    }
    result
}

fn both(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut result = single(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        result &= single(words, at, allowed);
    }
    result
}

fn single(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    if words.get(*at) == Some(&"(") {
        *at += 1;
        let result = either(words, at, allowed);
        *at += 1;
        return result;
    }
    let mut name = words.get(*at).copied().unwrap_or("").to_owned();
    *at += 1;
    if words.get(*at) == Some(&"WITH") {
        name.push_str(" WITH ");
        name.push_str(words.get(*at + 1).copied().unwrap_or(""));
        *at += 2;
    }
    allowed.contains(&name)
}

#[test]
fn expressions_are_read_as_spdx_says() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    assert!(permits("MIT OR GPL-3.0-only", &allowed));
    assert!(permits("GPL-3.0-only/MIT", &allowed));
    assert!(permits("(MIT OR X) AND ISC", &allowed));
    assert!(permits("Apache-2.0 WITH LLVM-exception OR X", &allowed));
    assert!(!permits("MIT AND GPL-3.0-only", &allowed));
    assert!(!permits("none stated", &allowed));
}
