//! The names of a module.

use super::{Entry, EntryKind, Layer};
use crate::diagnostics::{Code, Problem, Problems};
use crate::source::Span;
use crate::syntax::ast::{ItemKind, Kind, Name};
use indexmap::IndexMap;
use std::sync::Arc;

/// A definition: the layer and the item.
pub type Definition = (usize, usize);

/// The name under which the one `experiment` of a module is known.
pub const EXPERIMENT: &str = "experiment";

/// The names that the items of `layers` define, without imports. Upper layers amend or replace lower ones.
pub fn collect(layers: &[Layer], problems: &mut Problems) -> IndexMap<Arc<str>, Entry> {
    let mut names: IndexMap<Arc<str>, Entry> = IndexMap::new();
    for (layer, content) in layers.iter().enumerate() {
        for (index, item) in content.ast.items.iter().enumerate() {
            let Some((name, kind)) = defines(&item.kind) else { continue };
            let key: Arc<str> =
                if kind == EntryKind::Decl(Kind::Experiment) { Arc::from(EXPERIMENT) } else { name.value.clone() };
            let Some(old) = names.get_mut(&key) else {
                names.insert(key, Entry { kind, definitions: vec![(layer, index)], span: name.span });
                continue;
            };
            if old.definitions.iter().any(|d| d.0 == layer) {
                problems.push(if kind == EntryKind::Decl(Kind::Experiment) {
                    Problem::new(Code::E0608, name.span, "a file describes one experiment")
                        .label("second experiment")
                        .also(old.span, "first experiment")
                        .help("put the other in a file of its own; a variant can start with `amends \"…\"`")
                } else {
                    twice(&key, name.span, old.span)
                });
            } else if old.kind != kind {
                problems.push(
                    Problem::new(
                        Code::E0202,
                        name.span,
                        format!(
                            "`{key}` is a {} here and a {} in the file this one amends",
                            kind.noun(),
                            old.kind.noun()
                        ),
                    )
                    .label(format!("{} here", kind.noun()))
                    .also(old.span, format!("{} there", old.kind.noun()))
                    .help("amend it as what it is, or choose another name"),
                );
            } else {
                old.definitions.insert(0, (layer, index));
                old.span = name.span;
            }
        }
    }
    names
}

/// The problem of a name that is defined twice.
pub fn twice(name: &str, second: Span, first: Span) -> Problem {
    Problem::new(Code::E0202, second, format!("`{name}` is defined twice"))
        .label("defined again here")
        .also(first, "first defined here")
        .help("rename one of them")
}

fn defines(item: &ItemKind) -> Option<(&Name, EntryKind)> {
    Some(match item {
        ItemKind::Param(p) => (&p.name, EntryKind::Param),
        ItemKind::Let(l) => (&l.name, EntryKind::Let),
        ItemKind::Fn(f) => (&f.name, EntryKind::Fn),
        ItemKind::Schema(s) => (&s.name, EntryKind::Schema),
        ItemKind::Decl(d) => (&d.name, EntryKind::Decl(d.kind.value)),
        ItemKind::Dataset(d) => (&d.name, EntryKind::Decl(Kind::Dataset)),
        ItemKind::Claim(c) => (&c.name, EntryKind::Claim),
        ItemKind::Sweep(s) => (&s.name, EntryKind::Decl(Kind::Sweep)),
        ItemKind::Use(_) | ItemKind::Expect(_) | ItemKind::Error => return None,
    })
}
