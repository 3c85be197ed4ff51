//! Loading files and the modules they use.

use super::names::collect;
use super::{Entry, EntryKind, Layer, Module, Override, Resolved};
use crate::diagnostics::{Code, Problem, Problems, suggest};
use crate::source::{FileId, SourceFile, Sources, Span, Spanned, World, WorldError, path};
use crate::stdlib;
use crate::syntax::{self, ast};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The largest number of files that one experiment may be made of.
const MOST_FILES: usize = 1_000;

/// How values given from outside are named to people.
const OVERRIDE: &str = "--set";

/// Loads the file at `main` and everything it uses.
///
/// `overrides` are pairs of a path (`teller.layers`) and the text of a value. Whatever fails is among the problems and
/// absent from the result; a main file that cannot be read gives an empty module.
pub fn resolve(world: &dyn World, main: &str, overrides: &[(String, String)]) -> (Resolved, Problems) {
    let mut loader = Loader {
        world,
        sources: Sources::default(),
        modules: Vec::new(),
        by_path: HashMap::new(),
        loading: Vec::new(),
        problems: Problems::default(),
        lost: Vec::new(),
    };
    // The main file comes first, so that problems that have no better place can point at it.
    let main_path = path::normal(main);
    let file = loader.open(&main_path, None);
    let prelude: Vec<u32> = stdlib::files()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("std/prelude/"))
        .filter_map(|name| loader.module(name, None))
        .collect();
    loader.loading.push((main_path.clone(), None));
    let main = match file {
        Some(file) => loader.load(&main_path, &file),
        None => loader.empty(&main_path),
    };
    loader.loading.pop();
    let overrides = loader.overrides(overrides);
    let Loader { sources, modules, problems, .. } = loader;
    (Resolved { sources, modules, main, prelude, overrides }, problems)
}

struct Loader<'w> {
    world: &'w dyn World,
    sources: Sources,
    modules: Vec<Module>,
    by_path: HashMap<String, u32>,
    /// Paths of the modules being loaded, outermost first, with the place of the import that led there.
    loading: Vec<(String, Option<Span>)>,
    problems: Problems,
    /// Names of items of the file being read, and of those that it amends, that could not be read.
    lost: Vec<ast::Name>,
}

impl Loader<'_> {
    /// The module at `path`, loaded once.
    fn module(&mut self, path: &str, from: Option<Span>) -> Option<u32> {
        if let Some(id) = self.by_path.get(path) {
            return Some(*id);
        }
        if let Some(start) = self.loading.iter().position(|(p, _)| p == path) {
            let chain: Vec<&str> = self.loading[start..].iter().map(|(p, _)| path::name(p)).collect();
            if let Some(span) = from {
                let chain = format!("{} → {}", chain.join(" → "), path::name(path));
                self.problems.push(
                    Problem::new(Code::E0205, span, "modules import each other")
                        .label("this import closes the circle")
                        .note(format!("the circle is {chain}"))
                        .help("move what both need into a third module"),
                );
            }
            return None;
        }
        let file = self.open(path, from)?;
        self.loading.push((path.to_owned(), from));
        let id = self.load(path, &file);
        self.loading.pop();
        Some(id)
    }

    /// Reads a file of the library or the world; a failure is reported at `from`.
    fn open(&mut self, path: &str, from: Option<Span>) -> Option<Arc<SourceFile>> {
        if self.sources.iter().count() >= MOST_FILES {
            let span = from.unwrap_or(Span::new(FileId(0), 0, 0));
            self.problems.push(Problem::new(Code::E0002, span, format!("more than {MOST_FILES} files are imported")));
            return None;
        }
        if let Some(known) = self.sources.by_path(path) {
            return Some(known.clone());
        }
        if let Some(text) = stdlib::file(path) {
            return Some(self.sources.add(path, text));
        }
        match self.world.read(path) {
            Ok(text) => Some(self.sources.add(path, text)),
            Err(error) => {
                self.unreadable(path, &error, from);
                None
            }
        }
    }

    fn unreadable(&mut self, path: &str, error: &WorldError, from: Option<Span>) {
        let code = match error {
            WorldError::Missing if from.is_some() => Code::E0203,
            WorldError::TooLarge(_) => Code::E0002,
            _ => Code::E0001,
        };
        let span = match from {
            Some(span) => span,
            None => self.sources.add(path, "").span(),
        };
        let mut problem = Problem::new(code, span, format!("`{path}` cannot be read: {error}"));
        let help = match error {
            // Only a file that is not there may have been meant to be another one.
            WorldError::Missing => {
                let siblings = self.world.siblings(path::folder(path));
                let near = suggest::similar(path::name(path), siblings.iter().map(|n| path::name(n)));
                near.first().map(|first| format!("there is a file `{first}` in the same folder"))
            }
            WorldError::NotText(_) => Some("save it as UTF-8; what is no text belongs in a data file".to_owned()),
            WorldError::Folder => Some("name a file in it".to_owned()),
            WorldError::TooLarge(_) => Some(
                "keep data in files of its own and refer to them, for example with `text(\"data/*.txt\")`".to_owned(),
            ),
            WorldError::Special | WorldError::BadPattern(..) | WorldError::Other(_) => None,
        };
        if let Some(help) = help {
            problem = problem.help(help);
        }
        self.problems.push(problem);
    }

    fn empty(&mut self, path: &str) -> u32 {
        let file = self.sources.by_path(path).cloned().unwrap_or_else(|| self.sources.add(path, ""));
        self.load(path, &file)
    }

    /// Parses a file with the files it amends, and loads what they use. The caller has put it on `loading`.
    fn load(&mut self, path: &str, file: &Arc<SourceFile>) -> u32 {
        let layers = self.layers(path, file);
        let lost = std::mem::take(&mut self.lost);
        let id = self.modules.len() as u32;
        let stem = Arc::from(path::name(path).trim_end_matches(".exp"));
        self.modules.push(Module { path: Arc::from(path), stem, layers: layers.clone(), names: IndexMap::new() });
        let mut names = collect(&layers, &mut self.problems);
        for (index, layer) in layers.iter().enumerate() {
            for (item_index, item) in layer.ast.items.iter().enumerate() {
                if let ast::ItemKind::Use(import) = &item.kind {
                    self.import(import, (index, item_index), layer.file, &mut names);
                }
            }
        }
        for name in lost {
            // What is wrong with the item has been told; that its name is used is not a second problem.
            let missing = Entry { kind: EntryKind::Missing, definitions: Vec::new(), span: name.span };
            names.entry(name.value).or_insert(missing);
        }
        self.by_path.insert(path.to_owned(), id);
        self.modules[id as usize].names = names;
        id
    }

    /// The tree of a file. A sweep reads the library once for every point, so trees of the library are kept; their spans
    /// hold the number of the file, which is part of what they are known by.
    fn parse(&mut self, file: &SourceFile) -> Arc<ast::Module> {
        thread_local! {
            static LIBRARY: RefCell<BTreeMap<(u32, String), Arc<ast::Module>>> = const { RefCell::new(BTreeMap::new()) };
        }
        let known = (file.id.0, file.path.to_string());
        let library = stdlib::file(&file.path).is_some();
        if library && let Some(tree) = LIBRARY.with_borrow(|library| library.get(&known).cloned()) {
            return tree;
        }
        let parsed = syntax::parse(file);
        let clean = parsed.problems.iter().next().is_none();
        self.problems.extend(parsed.problems);
        self.lost.extend(parsed.lost);
        let tree = Arc::new(parsed.module);
        if library && clean {
            LIBRARY.with_borrow_mut(|library| library.insert(known, tree.clone()));
        }
        tree
    }

    /// The file and the files it amends, lowest first.
    fn layers(&mut self, path: &str, file: &Arc<SourceFile>) -> Vec<Layer> {
        let mut layers: Vec<Layer> = Vec::new();
        let (mut path, mut file) = (path.to_owned(), file.clone());
        loop {
            let ast = self.parse(&file);
            let base = ast.amends.clone();
            layers.insert(0, Layer { file: file.id, ast });
            let Some(base) = base else { break };
            let target = path::join(path::folder(&path), &base.path);
            if target == path || layers.iter().any(|l| self.sources.get(l.file).is_some_and(|f| *f.path == *target)) {
                self.problems.push(
                    Problem::new(Code::E0205, base.path.span, "files amend each other")
                        .label("this closes the circle")
                        .help("let one of them state the whole experiment"),
                );
                break;
            }
            match self.open(&target, Some(base.path.span)) {
                Some(next) => (path, file) = (target, next),
                None => break,
            }
        }
        layers
    }

    fn import(
        &mut self,
        import: &ast::Use,
        definition: (usize, usize),
        file: FileId,
        names: &mut IndexMap<Arc<str>, Entry>,
    ) {
        let (target, span, default) = match self.target(import, file) {
            Some(found) => found,
            None => {
                for name in import.names.iter().flatten().chain(&import.alias) {
                    self.bind(names, name.value.clone(), name.span, EntryKind::Missing, definition);
                }
                if let (None, None, ast::UseSource::Library(parts)) = (&import.names, &import.alias, &import.source)
                    && let Some(last) = parts.last()
                {
                    self.bind(names, last.value.clone(), last.span, EntryKind::Missing, definition);
                }
                return;
            }
        };
        let module = self.module(&target, Some(span));
        if let Some(list) = &import.names {
            for name in list {
                let kind = match module {
                    None => EntryKind::Missing,
                    Some(id) if self.modules[id as usize].names.contains_key(&name.value) => {
                        EntryKind::Foreign(id, name.value.clone())
                    }
                    Some(id) => {
                        self.no_such_name(id, name);
                        EntryKind::Missing
                    }
                };
                self.bind(names, name.value.clone(), name.span, kind, definition);
            }
        }
        if import.names.is_none() || import.alias.is_some() {
            let (name, span) = match &import.alias {
                Some(alias) => (alias.value.clone(), alias.span),
                None => (Arc::from(default.as_str()), span),
            };
            let kind = module.map_or(EntryKind::Missing, EntryKind::Module);
            self.bind(names, name, span, kind, definition);
        }
    }

    /// The path of the module an import names, its place, and the name it gets without an alias.
    fn target(&mut self, import: &ast::Use, file: FileId) -> Option<(String, Span, String)> {
        match &import.source {
            ast::UseSource::Library(parts) => {
                let span = parts.first()?.span.to(parts.last()?.span);
                let dotted: Vec<&str> = parts.iter().map(|p| &*p.value).collect();
                let target = format!("{}.exp", dotted.join("/"));
                if dotted.first() == Some(&"std") && stdlib::file(&target).is_some() {
                    return Some((target, span, dotted.last()?.to_string()));
                }
                self.unknown_module(&dotted, span);
                None
            }
            ast::UseSource::File(text) => {
                let here = self.sources.get(file)?.path.clone();
                let stem = path::name(&text.value).trim_end_matches(".exp").to_owned();
                if text.value.is_empty() || text.value.contains("://") || text.value.contains('\\') {
                    self.problems.push(
                        Problem::new(Code::E0211, text.span, "this is not a path of a module")
                            .label("a path with `/`, seen from this file, is expected")
                            .help("modules are files: write `use \"./name.exp\"`"),
                    );
                    return None;
                }
                Some((path::join(path::folder(&here), &text.value), text.span, stem))
            }
        }
    }

    fn unknown_module(&mut self, dotted: &[&str], span: Span) {
        let wanted = dotted.join(".");
        let known: Vec<String> = stdlib::files()
            .map(|(name, _)| name.trim_end_matches(".exp").replace('/', "."))
            .filter(|name| !name.starts_with("std.prelude"))
            .collect();
        let mut problem = Problem::new(Code::E0203, span, format!("there is no module `{wanted}`"));
        let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
        if let Some(same) = known.iter().find(|name| last(name) == last(&wanted)) {
            problem = problem.fix(format!("use `{same}`"), span, same.as_str());
            return self.problems.push(problem);
        }
        for near in suggest::similar(&wanted, known.iter().map(String::as_str)) {
            problem = problem.fix(format!("use `{near}`"), span, near);
        }
        if problem.fixes.is_empty() {
            problem = problem.help(if dotted.first() == Some(&"std") {
                format!("the library has {}", known.join(", "))
            } else {
                "library modules start with `std.`; a file is named by its path: `use \"./name.exp\"`".to_owned()
            });
        }
        self.problems.push(problem);
    }

    fn no_such_name(&mut self, module: u32, name: &ast::Name) {
        let module = &self.modules[module as usize];
        let text = format!("`{}` has no `{}`", module.stem, name.value);
        let mut problem = Problem::new(Code::E0204, name.span, text);
        for near in suggest::similar(&name.value, module.names.keys().map(|k| &**k)) {
            problem = problem.fix(format!("did you mean `{near}`?"), name.span, near);
        }
        self.problems.push(problem);
    }

    fn bind(
        &mut self,
        names: &mut IndexMap<Arc<str>, Entry>,
        name: Arc<str>,
        span: Span,
        kind: EntryKind,
        definition: (usize, usize),
    ) {
        if let Some(old) = names.get(&name) {
            if old.definitions.iter().any(|d| d.0 == definition.0) {
                self.problems.push(super::names::twice(&name, span, old.span));
                return;
            }
            if old.definitions.first().is_some_and(|d| d.0 > definition.0) {
                // The file that amends this one has a definition of its own, which wins.
                return;
            }
        }
        names.insert(name, Entry { kind, definitions: vec![definition], span });
    }

    /// Parses the values given from outside. Each assignment is a file of its own.
    fn overrides(&mut self, given: &[(String, String)]) -> Vec<Override> {
        let mut overrides = Vec::new();
        for (target, text) in given {
            let file = self.sources.add(OVERRIDE, format!("{target}={text}"));
            let mut path: Vec<ast::Name> = Vec::new();
            let mut at = 0;
            for part in target.split('.') {
                path.push(Spanned::new(Arc::from(part), Span::new(file.id, at, at + part.len())));
                at += part.len() + 1;
            }
            let is_name =
                |p: &ast::Name| !p.value.is_empty() && p.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !path.iter().all(is_name) {
                let whole = Span::new(file.id, 0, target.len());
                self.problems.push(
                    Problem::new(Code::E0212, whole, format!("`{target}` is not the path of a field"))
                        .help("write `--set item.field=value` or `--set param=value`"),
                );
                continue;
            }
            // The value is read where it stands, with blanks in place of the path.
            let blank = format!("{}{text}", " ".repeat(target.len() + 1));
            let (value, problems) = syntax::parse_expr(&SourceFile::new(file.id, OVERRIDE, blank));
            overrides.push(Override { path, text: Arc::from(text.as_str()), value, problems });
        }
        overrides
    }
}
