//! `Ast + World → Resolved`: files, modules, imports, names.
//!
//! Invariant: afterwards every module that can be reached is loaded, every name of a module is known, and nothing has
//! been evaluated. What could not be found has been reported and is absent.

mod load;
mod names;

pub use load::resolve;
pub use names::{Definition, EXPERIMENT, twice};

use crate::source::{FileId, Sources, Span};
use crate::syntax::ast;
use indexmap::IndexMap;
use std::sync::Arc;

/// All the modules of one analysis.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub sources: Sources,
    pub modules: Vec<Module>,
    /// Index of the module that was asked for.
    pub main: u32,
    /// Indices of the modules whose names are visible everywhere.
    pub prelude: Vec<u32>,
    /// Values given from outside, in order.
    pub overrides: Vec<Override>,
}

/// A file, with the files it amends below it.
#[derive(Clone, Debug)]
pub struct Module {
    /// The path of the top file: `std/models/llama.exp`, `experiments/quickstart.exp`.
    pub path: Arc<str>,
    /// The last part of the path without `.exp`: `llama`.
    pub stem: Arc<str>,
    /// The file itself last; before it the file it amends, and so on.
    pub layers: Vec<Layer>,
    pub names: IndexMap<Arc<str>, Entry>,
}

/// One file of a module.
#[derive(Clone, Debug)]
pub struct Layer {
    pub file: FileId,
    pub ast: Arc<ast::Module>,
}

/// What a name of a module stands for.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: EntryKind,
    /// `(layer, item)` of each definition; those of upper layers first.
    pub definitions: Vec<(usize, usize)>,
    /// The name in the topmost definition.
    pub span: Span,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryKind {
    Param,
    Let,
    Fn,
    Schema,
    Decl(ast::Kind),
    Claim,
    /// `use …`: a module as a whole.
    Module(u32),
    /// `use … { name }`: a name of another module.
    Foreign(u32, Arc<str>),
    /// The import failed and was reported.
    Missing,
}

impl EntryKind {
    /// What to call such a thing.
    pub fn noun(&self) -> &'static str {
        match self {
            EntryKind::Param => "param",
            EntryKind::Let => "let",
            EntryKind::Fn => "fn",
            EntryKind::Schema => "schema",
            EntryKind::Decl(kind) => kind.keyword(),
            EntryKind::Claim => "claim",
            EntryKind::Module(_) | EntryKind::Foreign(..) | EntryKind::Missing => "import",
        }
    }
}

/// A value from outside: `--set teller.layers=8`.
#[derive(Clone, Debug)]
pub struct Override {
    /// Never empty; the first may be `experiment`.
    pub path: Vec<ast::Name>,
    /// The text of the value. It stands behind the path in a file of its own, `teller.layers=8`, where all its places lie.
    pub text: Arc<str>,
    pub value: ast::Expr,
    /// Whether the text could not be read as an expression; it may still be meant as plain text.
    pub problems: crate::diagnostics::Problems,
}

impl Override {
    /// `teller.layers`
    pub fn dotted(&self) -> String {
        self.path.iter().map(|name| &*name.value).collect::<Vec<_>>().join(".")
    }

    /// From the first name of the path to the last.
    pub fn path_span(&self) -> Span {
        match (self.path.first(), self.path.last()) {
            (Some(first), Some(last)) => first.span.to(last.span),
            _ => self.value.span,
        }
    }

    /// Whether it sets a param or whole item called `name`.
    pub fn is_of(&self, name: &str) -> bool {
        matches!(self.path.as_slice(), [only] if *only.value == *name)
    }
}

impl Resolved {
    pub fn module(&self, id: u32) -> &Module {
        &self.modules[id as usize]
    }

    /// Whether the module belongs to the library.
    pub fn is_library(&self, id: u32) -> bool {
        self.module(id).path.starts_with("std/")
    }

    /// The item behind a definition.
    pub fn item(&self, module: u32, definition: (usize, usize)) -> &ast::Item {
        &self.module(module).layers[definition.0].ast.items[definition.1]
    }
}
