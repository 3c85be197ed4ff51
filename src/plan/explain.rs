//! Why something will run: which values changed, from what to what, and where.

use super::graph::{Fact, Known, Plan};
use super::nodes::Node;
use std::fmt;

/// Values longer than this are not worth reading in a sentence.
const LONGEST: usize = 60;

/// So many changes are named; the rest are counted.
const NAMED: usize = 3;

/// One value that is not what it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// `teller.width`.
    pub path: String,
    /// Absent if there was none.
    pub old: Option<String>,
    /// Absent if there is none any more.
    pub new: Option<String>,
    /// `tiny.exp:12:3`; empty if the value stands in no file.
    pub place: String,
}

/// The differences between what a thing was made from and what it would be made from now, in the order of now.
///
/// Values that only moved to an item or file of another name are no difference.
pub fn explain(previous: &[Fact], now: &[Fact]) -> Vec<Change> {
    let old = |path: &str| previous.iter().find(|f| f.path == path);
    let mut gone: Vec<&Fact> = previous.iter().filter(|p| !now.iter().any(|n| n.path == p.path)).collect();
    let mut changes = Vec::new();
    for fact in now {
        let before = match old(&fact.path) {
            Some(before) => Some(before),
            // A renamed item keeps its fields, a moved file its contents.
            None => gone.iter().position(|g| moved(g, fact)).map(|at| gone.remove(at)),
        };
        if before.is_none_or(|b| b.value != fact.value) {
            changes.push(Change {
                path: fact.path.clone(),
                old: before.map(|b| b.value.clone()),
                new: Some(fact.value.clone()),
                place: fact.place.clone(),
            });
        }
    }
    changes.extend(gone.into_iter().map(|fact| Change {
        path: fact.path.clone(),
        old: Some(fact.value.clone()),
        new: None,
        place: String::new(),
    }));
    changes
}

/// The plan of `earlier` (latest last) whose like of the thing called `name` is most like it; of equals the latest.
///
/// Runs of one experiment alternate between its variants, so the last one need not be what a thing is a change of.
pub fn nearest<'a>(name: &str, now: &Plan, earlier: &'a [Plan]) -> Option<&'a Plan> {
    let node = now.node(name)?;
    let differences = |plan: &Plan| match plan.node(name).filter(|b| b.kind == node.kind) {
        None => usize::MAX,
        Some(before) => {
            let upstream = node.depends_on.iter().filter(|d| {
                let (a, b) = (now.node(d), plan.node(d));
                a.zip(b).is_none_or(|(a, b)| a.hash != b.hash)
            });
            explain(before.facts, node.facts).len() + upstream.count()
        }
    };
    earlier.iter().rev().min_by_key(|plan| differences(plan))
}

/// Why the thing called `name` will run, given the plan of an earlier run that made its like, and what is in the store.
///
/// One sentence: ``will run: `teller.width` changed 512 → 1024 (tiny.exp:12:3)``.
pub fn why(name: &str, now: &Plan, previous: Option<&Plan>, cached: &dyn Fn(&str) -> bool) -> String {
    let Some(node) = now.node(name) else { return format!("there is no `{name}` in this plan") };
    if let Known::Unknown(reason) = node.hash {
        return format!("cannot run yet: {reason}");
    }
    let Some(previous) = previous else { return "will run: nothing like it has run before".to_owned() };
    let Some(before) = previous.node(name).filter(|b| b.kind == node.kind).or_else(|| renamed(node, previous)) else {
        return format!("will run: `{name}` is new");
    };
    if before.hash == node.hash {
        return "will run: no run has finished it, or its result has been removed".to_owned();
    }
    let reasons = reasons(node, before, now, previous, cached);
    if reasons.is_empty() {
        return "will run: what it means changed".to_owned();
    }
    format!("will run: {}", reasons.join("; "))
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = self.path.strip_prefix("contents of ") {
            return match (&self.old, &self.new) {
                (None, _) => write!(f, "{file} is new"),
                (_, None) => write!(f, "{file} is gone"),
                _ => write!(f, "{} changed", self.path),
            };
        }
        let path = &self.path;
        match (&self.old, &self.new) {
            // Long texts that differ only beyond what is shown.
            (Some(old), Some(new)) if short(old) == short(new) => write!(f, "`{path}` changed")?,
            (Some(old), Some(new)) => write!(f, "`{path}` changed {} → {}", short(old), short(new))?,
            (None, Some(new)) => write!(f, "`{path}` is now {}", short(new))?,
            (Some(old), None) => write!(f, "`{path}` is gone (it was {})", short(old))?,
            (None, None) => write!(f, "`{path}` changed")?,
        }
        if self.place.is_empty() { Ok(()) } else { write!(f, " ({})", self.place) }
    }
}

/// Own changes first, then what will be made again upstream, each with its own first reason.
fn reasons(
    node: Node<'_>,
    before: Node<'_>,
    now: &Plan,
    previous: &Plan,
    cached: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut own = explain(before.facts, node.facts);
    // What the library derives from a changed field follows from it, and is not worth naming beside it.
    let derived = |change: &Change| change.place.starts_with("std/");
    if own.iter().any(|change| !derived(change)) {
        own.retain(|change| !derived(change));
    }
    let mut said: Vec<String> = own.iter().take(NAMED).map(Change::to_string).collect();
    if own.len() > NAMED {
        said.push(format!("and {} more", own.len() - NAMED));
    }
    for upstream in node.depends_on.iter().filter_map(|d| now.node(d)) {
        let Some(was) = previous.node(upstream.name) else {
            if !before.depends_on.contains(&upstream.name.to_owned()) && renamed(upstream, previous).is_none() {
                said.push(format!("because `{}` is new", upstream.name));
            }
            continue;
        };
        if was.hash == upstream.hash {
            continue;
        }
        let made = if cached(upstream.name) { "is another one" } else { "will be made again" };
        let because = format!("because `{}` {made}", upstream.name);
        said.push(match root(upstream, was, now, previous) {
            Some(cause) => format!("{because} ({cause})"),
            None => because,
        });
    }
    said.dedup();
    said
}

/// The first change that made an upstream thing differ, found by following it up.
fn root(node: Node<'_>, before: Node<'_>, now: &Plan, previous: &Plan) -> Option<String> {
    if let Some(change) = explain(before.facts, node.facts).first() {
        return Some(change.to_string());
    }
    node.depends_on.iter().filter_map(|d| now.node(d)).find_map(|up| {
        let was = previous.node(up.name)?;
        if was.hash == up.hash { None } else { root(up, was, now, previous) }
    })
}

/// A node of an earlier plan that is the same under another name.
fn renamed<'a>(node: Node<'_>, previous: &'a Plan) -> Option<Node<'a>> {
    previous.nodes().find(|b| b.kind == node.kind && b.hash.value().is_some() && b.hash == node.hash)
}

fn moved(gone: &Fact, new: &Fact) -> bool {
    match (gone.path.strip_prefix("contents of "), new.path.strip_prefix("contents of ")) {
        (Some(_), Some(_)) => gone.value == new.value,
        (None, None) => match (gone.path.split_once('.'), new.path.split_once('.')) {
            (Some((_, old)), Some((_, new))) => old == new,
            _ => false,
        },
        _ => false,
    }
}

fn short(value: &str) -> String {
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut cut: String = line.chars().take(LONGEST - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(path: &str, value: &str) -> Fact {
        Fact { path: path.into(), value: value.into(), place: format!("tiny.exp:{}:3", path.len()) }
    }

    fn said(previous: &[Fact], now: &[Fact]) -> Vec<String> {
        explain(previous, now).iter().map(Change::to_string).collect()
    }

    #[test]
    fn a_change_is_told_with_both_values_and_the_place() {
        let before = [fact("teller.width", "512"), fact("teller.layers", "6")];
        let now = [fact("teller.width", "1024"), fact("teller.layers", "6")];
        assert_eq!(said(&before, &now), ["`teller.width` changed 512 → 1024 (tiny.exp:12:3)"]);
        assert!(said(&before, &before).is_empty());
    }

    #[test]
    fn fields_come_and_go() {
        assert_eq!(said(&[], &[fact("p.clip", "1")]), ["`p.clip` is now 1 (tiny.exp:6:3)"]);
        assert_eq!(said(&[fact("p.clip", "1")], &[]), ["`p.clip` is gone (it was 1)"]);
    }

    #[test]
    fn renaming_is_no_change() {
        let before = [fact("teller.width", "512"), fact("contents of a.txt", "1f")];
        let now = [fact("net.width", "512"), fact("contents of b.txt", "1f")];
        assert!(said(&before, &now).is_empty());
        let now = [fact("net.width", "513"), fact("contents of a.txt", "2f")];
        assert_eq!(said(&before, &now), ["`net.width` changed 512 → 513 (tiny.exp:9:3)", "contents of a.txt changed"]);
        assert_eq!(said(&[], &[fact("contents of a.txt", "1f")]), ["a.txt is new"]);
        assert_eq!(said(&[fact("contents of a.txt", "1f")], &[]), ["a.txt is gone"]);
    }

    #[test]
    fn long_values_are_cut() {
        let long = "word ".repeat(100);
        let change = &said(&[], &[fact("t.jinja", &long)])[0];
        assert!(change.chars().count() < 100 && change.contains('…'), "{change}");
    }
}
