//! What the library defines, with its documentation, read from the library itself.

use crate::check::builtins::BUILTINS;
use crate::diagnostics::suggest::similar;
use crate::source::{FileId, SourceFile, Span};
use crate::stdlib;
use crate::syntax::ast::{Decl, Docs, FieldDecl, FnItem, Item, ItemKind, Let, Member, Param, Schema};
use crate::syntax::parse;

/// All modules, the prelude first.
pub struct Manual {
    pub modules: Vec<Module>,
}

pub struct Module {
    /// `std.models.llama`; the prelude's parts need no `use` and are called `std.prelude.model`.
    pub name: String,
    pub docs: String,
    pub entries: Vec<Entry>,
}

/// Something with a name.
pub struct Entry {
    /// `tiny`
    pub name: String,
    /// Of its module.
    pub module: String,
    /// `schema`, `fn`, `model`, …
    pub kind: &'static str,
    /// As it is written, without the body.
    pub signature: String,
    pub docs: String,
    pub fields: Vec<Field>,
    /// What a schema demands, as written, with the reason.
    pub checks: Vec<(String, String)>,
    /// The schema that a schema extends, whose fields it has as well.
    pub base: Option<String>,
    /// Those fields, the nearest schema's first.
    pub inherited: Vec<Field>,
    /// The schemas that can be written where this one is wanted, with their documentation.
    pub variants: Vec<(String, String)>,
}

/// What a name may mean.
pub enum Found<'a> {
    Module(&'a Module),
    /// A name may be found in several modules.
    Entries(Vec<&'a Entry>),
}

/// A field of a schema, a parameter of a function, or a field that an item sets.
#[derive(Clone)]
pub struct Field {
    pub name: String,
    pub ty: String,
    pub default: String,
    pub docs: String,
}

impl Manual {
    /// The manual of the compiled-in library.
    pub fn of_library() -> Manual {
        let mut modules: Vec<Module> = stdlib::files().map(|(path, text)| Module::read(path, text)).collect();
        modules.insert(0, Module::of_functions());
        let mut manual = Manual { modules };
        manual.relate();
        manual
    }

    /// Says of every schema what it inherits, and what extends it.
    fn relate(&mut self) {
        struct Known {
            name: String,
            base: Option<String>,
            docs: String,
            fields: Vec<Field>,
        }
        let schemas: Vec<Known> = self
            .entries()
            .into_iter()
            .filter(|e| e.kind == "schema")
            .map(|e| Known {
                name: e.name.clone(),
                base: e.base.clone(),
                docs: e.docs.clone(),
                fields: e.fields.clone(),
            })
            .collect();
        let base = |of: &Known| schemas.iter().find(|s| Some(&s.name) == of.base.as_ref());
        // The checker refuses schemas that extend each other, so this ends.
        let above = |name: &str| {
            let own = schemas.iter().find(|s| s.name == name);
            std::iter::successors(own.and_then(base), move |s| base(s))
        };
        let is_family = |name: &str| schemas.iter().any(|s| s.base.as_deref() == Some(name));
        for entry in self.modules.iter_mut().flat_map(|m| &mut m.entries).filter(|e| e.kind == "schema") {
            for field in above(&entry.name).flat_map(|s| &s.fields) {
                if entry.fields.iter().chain(&entry.inherited).all(|f| f.name != field.name) {
                    entry.inherited.push(field.clone());
                }
            }
            entry.variants = schemas
                .iter()
                .filter(|s| !is_family(&s.name) && above(&s.name).any(|a| a.name == entry.name))
                .map(|s| (s.name.clone(), s.docs.clone()))
                .collect();
        }
    }

    pub fn entries(&self) -> Vec<&Entry> {
        self.modules.iter().flat_map(|m| &m.entries).collect()
    }

    /// What is called `name`: a module by its full name, something that a module defines, or a module by the last part of
    /// its name, in this order.
    pub fn find(&self, name: &str) -> Option<Found<'_>> {
        if let Some(module) = self.modules.iter().find(|m| m.name == name || m.name == format!("std.{name}")) {
            return Some(Found::Module(module));
        }
        let entries: Vec<&Entry> = self.entries().into_iter().filter(|e| e.is_called(name)).collect();
        if !entries.is_empty() {
            return Some(Found::Entries(entries));
        }
        self.modules.iter().find(|m| m.is_called(name)).map(Found::Module)
    }

    /// The modules that are called by the last part of their name, `gpt2` for `std.models.gpt2`.
    pub fn modules_called<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Module> {
        self.modules.iter().filter(move |m| m.is_called(name))
    }

    /// The fields called `name`, each with the schema that declares it.
    pub fn fields_called(&self, name: &str) -> Vec<(&Entry, &Field)> {
        let schemas = self.modules.iter().flat_map(|m| &m.entries).filter(|e| e.kind == "schema");
        schemas.flat_map(|e| e.fields.iter().filter(|f| f.name == name).map(move |f| (e, f))).collect()
    }

    /// What may have been meant by a name that nothing has: things that have a field or setting of that name, or else
    /// names that look like it.
    pub fn near(&self, name: &str) -> Vec<String> {
        let last = name.rsplit('.').next().unwrap_or(name);
        let entries = self.entries();
        let has = |e: &&&Entry| e.fields.iter().any(|f| f.name.rsplit([' ', '.']).next() == Some(last));
        let mut holders: Vec<String> = entries.iter().filter(has).map(|e| e.name.clone()).collect();
        holders.dedup();
        holders.truncate(3);
        if !holders.is_empty() {
            return holders;
        }
        let stems = self.modules.iter().filter_map(|m| m.name.rsplit('.').next());
        let full = self.modules.iter().map(|m| m.name.as_str());
        let known = entries.iter().map(|e| e.name.as_str()).chain(stems).chain(full);
        similar(last, known).into_iter().map(str::to_owned).collect()
    }
}

impl Module {
    /// The functions that are built in rather than written in the language.
    fn of_functions() -> Module {
        let name = "std.prelude.functions".to_owned();
        let entries = BUILTINS.iter().map(|builtin| Entry {
            name: builtin.name.to_owned(),
            module: name.clone(),
            kind: "fn",
            signature: format!("fn {}", builtin.signature),
            docs: builtin.docs.to_owned(),
            fields: Vec::new(),
            checks: Vec::new(),
            base: None,
            inherited: Vec::new(),
            variants: Vec::new(),
        });
        Module { docs: "Functions of numbers, texts and lists.".to_owned(), entries: entries.collect(), name }
    }

    fn read(path: &str, text: &str) -> Module {
        let file = SourceFile::new(FileId(0), path, text);
        let parsed = parse(&file);
        let name = path.trim_end_matches(".exp").replace('/', ".");
        let reader = Reader { file: &file, module: &name };
        let entries = parsed.module.items.iter().filter_map(|item| reader.entry(item)).collect();
        Module { docs: text_of(parsed.module.docs.as_ref()), entries, name }
    }

    /// `std.corpora.tales`, `corpora.tales` and `tales` are the same.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.name.ends_with(&format!(".{name}"))
    }

    /// Whether its names are known everywhere.
    pub fn is_prelude(&self) -> bool {
        self.name.starts_with("std.prelude.")
    }
}

impl Entry {
    /// `tiny`, `llama.tiny` and `std.models.llama.tiny` are the same.
    pub fn is_called(&self, name: &str) -> bool {
        let full = self.full_name();
        full == name || full.ends_with(&format!(".{name}"))
    }

    pub fn full_name(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }
}

struct Reader<'a> {
    file: &'a SourceFile,
    module: &'a str,
}

impl Reader<'_> {
    fn entry(&self, item: &Item) -> Option<Entry> {
        let (name, kind, signature, fields, checks) = match &item.kind {
            ItemKind::Schema(schema) => self.schema(schema),
            ItemKind::Fn(function) => self.function(function),
            ItemKind::Decl(decl) => self.declaration(decl),
            ItemKind::Let(value) => self.named_value("let", value),
            ItemKind::Dataset(value) => self.named_value("dataset", value),
            ItemKind::Param(param) => {
                let signature = format!("param {}", self.param(param));
                (param.name.to_string(), "param", signature, Vec::new(), Vec::new())
            }
            _ => return None,
        };
        let docs = text_of(item.docs.as_ref());
        let base = match &item.kind {
            ItemKind::Schema(schema) => schema.base.as_ref().map(|base| base.value.to_string()),
            _ => None,
        };
        let (inherited, variants) = (Vec::new(), Vec::new());
        Some(Entry {
            name,
            module: self.module.to_owned(),
            kind,
            signature,
            docs,
            fields,
            checks,
            base,
            inherited,
            variants,
        })
    }

    fn schema(&self, schema: &Schema) -> Parts {
        let base = schema.base.as_ref().map_or_else(String::new, |b| format!(" is {}", b.value));
        let mut fields = Vec::new();
        let mut checks = Vec::new();
        for member in &schema.members {
            match member {
                Member::Field(field) => fields.push(self.field(field)),
                Member::Check(check) => {
                    let because = check.because.as_ref().map_or("", |b| self.text(b.span));
                    checks.push((self.text(check.condition.span).to_owned(), because.trim_matches('"').to_owned()));
                }
                Member::Error(_) => {}
            }
        }
        (schema.name.to_string(), "schema", format!("schema {}{base}", schema.name.value), fields, checks)
    }

    fn field(&self, field: &FieldDecl) -> Field {
        let rest = if field.is_rest { "rest " } else { "" };
        let last = if field.is_final { "final " } else { "" };
        Field {
            name: format!("{last}{rest}{}", field.name.value),
            ty: self.text(field.ty.span).to_owned(),
            default: field.default.as_ref().map_or_else(String::new, |d| self.text(d.span).to_owned()),
            docs: text_of(field.docs.as_ref()),
        }
    }

    fn function(&self, function: &FnItem) -> Parts {
        let params: Vec<String> = function.params.iter().map(|p| self.param(p)).collect();
        let result = function.result.as_ref().map_or_else(String::new, |t| format!(" : {}", self.text(t.span)));
        let signature = format!("fn {}({}){result}", function.name.value, params.join(", "));
        (function.name.to_string(), "fn", signature, Vec::new(), Vec::new())
    }

    fn param(&self, param: &Param) -> String {
        let ty = param.ty.as_ref().map_or_else(String::new, |t| format!(" : {}", self.text(t.span)));
        let default = param.default.as_ref().map_or_else(String::new, |d| format!(" = {}", self.text(d.span)));
        format!("{}{ty}{default}", param.name.value)
    }

    fn declaration(&self, decl: &Decl) -> Parts {
        let kind = decl.kind.value.keyword();
        let base = decl.base.as_ref().map_or_else(String::new, |b| format!(" from {}", self.text(b.span)));
        let variant = decl.variant.as_ref().map_or_else(String::new, |v| format!(" : {}", v.value));
        let fields = decl
            .fields
            .iter()
            .map(|f| Field {
                name: f.path.iter().map(|n| n.value.to_string()).collect::<Vec<_>>().join("."),
                ty: String::new(),
                default: self.text(f.value.span).to_owned(),
                docs: text_of(f.docs.as_ref()),
            })
            .collect();
        (decl.name.to_string(), kind, format!("{kind} {}{base}{variant}", decl.name.value), fields, Vec::new())
    }

    fn named_value(&self, kind: &'static str, value: &Let) -> Parts {
        let ty = value.ty.as_ref().map_or_else(String::new, |t| format!(" : {}", self.text(t.span)));
        (value.name.to_string(), kind, format!("{kind} {}{ty}", value.name.value), Vec::new(), Vec::new())
    }

    fn text(&self, span: Span) -> &str {
        self.file.text.get(span.range()).unwrap_or("")
    }
}

/// Name, kind, signature, fields, checks.
type Parts = (String, &'static str, String, Vec<Field>, Vec<(String, String)>);

fn text_of(docs: Option<&Docs>) -> String {
    docs.map_or_else(String::new, |d| d.text.trim().to_owned())
}
