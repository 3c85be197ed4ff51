//! The table of schemas: every schema of every module, with inherited fields, types resolved.

use super::Checker;
use crate::diagnostics::{Code, Problem, suggest};
use crate::resolve::EntryKind;
use crate::source::Span;
use crate::syntax::ast::{self, Kind, Member, TypeExpr, TypeKind};
use crate::types::{SchemaId, Type, Unit};
use indexmap::IndexMap;
use std::sync::Arc;

/// A schema with everything it inherits.
#[derive(Clone, Debug)]
pub struct SchemaInfo {
    pub name: Arc<str>,
    pub module: u32,
    pub base: Option<SchemaId>,
    /// Inherited fields first.
    pub fields: IndexMap<Arc<str>, FieldInfo>,
    pub checks: Vec<CheckInfo>,
    pub docs: Option<Arc<str>>,
    pub span: Span,
    /// Whether it is a family, not a thing: schemas of the prelude extend it, or schemas of the library while it extends
    /// none.
    pub is_family: bool,
}

/// A schema as declared: its module, its tree, its documentation.
type Declared = (u32, Arc<ast::Schema>, Option<Arc<str>>);

#[derive(Clone, Debug)]
pub struct FieldInfo {
    pub name: Arc<str>,
    pub ty: Type,
    /// The type as written, for messages and the manual.
    pub written: TypeExpr,
    pub default: Option<ast::Expr>,
    pub is_final: bool,
    pub is_rest: bool,
    pub docs: Option<Arc<str>>,
    pub span: Span,
    /// The schema that declares it, and its module.
    pub owner: SchemaId,
    pub module: u32,
}

#[derive(Clone, Debug)]
pub struct CheckInfo {
    pub check: Arc<ast::Check>,
    pub module: u32,
}

impl SchemaInfo {
    /// The field that takes all further arguments, positional or named.
    pub fn rest(&self, named: bool) -> Option<&FieldInfo> {
        self.fields.values().find(|f| f.is_rest && matches!(f.ty.bare(), Type::Map(_)) == named)
    }
}

impl Checker<'_> {
    /// Fills the table.
    pub(super) fn load_schemas(&mut self) {
        let mut declared: Vec<Declared> = Vec::new();
        for (module, content) in self.resolved.modules.iter().enumerate() {
            for (name, entry) in &content.names {
                if entry.kind != EntryKind::Schema {
                    continue;
                }
                let Some(definition) = entry.definitions.first() else { continue };
                let item = self.resolved.item(module as u32, *definition);
                if let ast::ItemKind::Schema(schema) = &item.kind {
                    self.schema_ids.insert((module as u32, name.clone()), SchemaId(declared.len() as u32));
                    let docs = item.docs.as_ref().map(|d| d.text.clone());
                    declared.push((module as u32, Arc::new(schema.clone()), docs));
                }
            }
        }
        self.schemas = declared
            .iter()
            .map(|(module, schema, docs)| SchemaInfo {
                name: schema.name.value.clone(),
                module: *module,
                base: None,
                fields: IndexMap::new(),
                checks: Vec::new(),
                docs: docs.clone(),
                span: schema.name.span,
                is_family: false,
            })
            .collect();
        for (index, (module, schema, _)) in declared.iter().enumerate() {
            if let Some(base) = &schema.base {
                match self.find_schema(*module, &base.value) {
                    Some(id) => self.schemas[index].base = Some(id),
                    None => self.unknown_type(*module, &base.value, base.span),
                }
            }
        }
        self.break_schema_circles(&declared);
        for index in 0..self.schemas.len() {
            let module = self.schemas[index].module;
            if let Some(base) = self.schemas[index].base
                && self.resolved.is_library(module)
                && (self.schemas[base.0 as usize].base.is_none() || self.resolved.prelude.contains(&module))
            {
                self.schemas[base.0 as usize].is_family = true;
            }
        }
        let mut done = vec![false; declared.len()];
        for index in 0..declared.len() {
            self.fill_schema(index, &declared, &mut done);
        }
    }

    fn break_schema_circles(&mut self, declared: &[Declared]) {
        for index in 0..declared.len() {
            let mut at = self.schemas[index].base;
            let mut steps = 0;
            while let Some(id) = at {
                steps += 1;
                if id.0 as usize == index || steps > declared.len() {
                    let span = declared[index].1.base.as_ref().map_or(declared[index].1.span, |b| b.span);
                    self.report(Problem::new(Code::E0206, span, "a schema cannot extend itself"));
                    self.schemas[index].base = None;
                    break;
                }
                at = self.schemas[id.0 as usize].base;
            }
        }
    }

    fn fill_schema(&mut self, index: usize, declared: &[Declared], done: &mut [bool]) {
        if done[index] {
            return;
        }
        done[index] = true;
        let (module, schema, _) = &declared[index];
        if let Some(base) = self.schemas[index].base {
            self.fill_schema(base.0 as usize, declared, done);
            let inherited = self.schemas[base.0 as usize].clone();
            self.schemas[index].fields = inherited.fields;
            self.schemas[index].checks = inherited.checks;
        }
        let mut own: IndexMap<Arc<str>, Span> = IndexMap::new();
        for member in &schema.members {
            match member {
                Member::Field(field) => {
                    if let Some(first) = own.insert(field.name.value.clone(), field.name.span) {
                        self.report(
                            Problem::new(
                                Code::E0303,
                                field.name.span,
                                format!("field `{}` is declared twice", field.name.value),
                            )
                            .label("declared again here")
                            .also(first, "first declared here")
                            .help("remove one of them"),
                        );
                        continue;
                    }
                    let info = FieldInfo {
                        name: field.name.value.clone(),
                        ty: self.resolve_type(*module, &field.ty),
                        written: field.ty.clone(),
                        default: field.default.clone(),
                        is_final: field.is_final,
                        is_rest: field.is_rest,
                        docs: field.docs.as_ref().map(|d| d.text.clone()),
                        span: field.name.span,
                        owner: SchemaId(index as u32),
                        module: *module,
                    };
                    self.schemas[index].fields.insert(info.name.clone(), info);
                }
                Member::Check(check) => {
                    let info = CheckInfo { check: Arc::new(check.clone()), module: *module };
                    self.schemas[index].checks.push(info);
                }
                Member::Error(_) => {}
            }
        }
    }

    /// The schema that `name` means in `module`.
    /// The schema that `name`, or `module.name`, means in a module.
    pub(super) fn find_schema(&self, module: u32, name: &str) -> Option<SchemaId> {
        if let Some((alias, name)) = name.split_once('.') {
            return match self.resolved.module(module).names.get(alias)?.kind {
                EntryKind::Module(other) => self.schema_ids.get(&(other, Arc::from(name))).copied(),
                _ => None,
            };
        }
        let here = std::iter::once(module).chain(self.resolved.prelude.iter().copied());
        for place in here {
            match self.resolved.module(place).names.get(name).map(|e| &e.kind) {
                Some(EntryKind::Schema) => return self.schema_ids.get(&(place, Arc::from(name))).copied(),
                Some(EntryKind::Foreign(other, original)) => {
                    return self.schema_ids.get(&(*other, original.clone())).copied();
                }
                _ => {}
            }
        }
        None
    }

    pub(super) fn schema(&self, id: SchemaId) -> &SchemaInfo {
        &self.schemas[id.0 as usize]
    }

    /// Whether `id` is `ancestor` or extends it.
    pub(super) fn extends(&self, id: SchemaId, ancestor: SchemaId) -> bool {
        let mut at = Some(id);
        while let Some(here) = at {
            if here == ancestor {
                return true;
            }
            at = self.schema(here).base;
        }
        false
    }

    /// The schemas that a family stands for: those that extend it, or a family that does.
    pub(super) fn members(&self, family: SchemaId) -> Vec<String> {
        let below = |s: &&SchemaInfo| {
            s.base.is_some_and(|b| b == family || self.schema(b).is_family && self.extends(b, family))
        };
        self.schemas.iter().filter(|s| !s.is_family).filter(below).map(|s| s.name.to_string()).collect()
    }

    /// The outermost schema that `id` extends.
    pub(super) fn family(&self, id: SchemaId) -> SchemaId {
        let mut at = id;
        while let Some(base) = self.schema(at).base {
            at = base;
        }
        at
    }

    /// The kind of item that records of this schema are, if any.
    pub(super) fn kind_of(&self, id: SchemaId) -> Option<Kind> {
        let family = self.schema(self.family(id));
        if !self.resolved.prelude.contains(&family.module) {
            return None;
        }
        Kind::ALL.into_iter().find(|k| k.keyword() == &*family.name)
    }

    /// The base schema of a kind of item.
    pub(super) fn kind_schema(&self, kind: Kind) -> Option<SchemaId> {
        self.resolved.prelude.iter().find_map(|m| self.schema_ids.get(&(*m, Arc::from(kind.keyword()))).copied())
    }

    /// The type that is written, with its names looked up in `module`.
    pub(super) fn resolve_type(&mut self, module: u32, written: &TypeExpr) -> Type {
        match &written.kind {
            TypeKind::Name(name) => self.named_type(module, name, written.span),
            TypeKind::Apply(name, args) => {
                let mut inner: Vec<Type> = args.iter().map(|a| self.resolve_type(module, a)).collect();
                let wanted = if matches!(&*name.value, "List" | "Map") { 1 } else { 0 };
                if wanted == 0 {
                    self.unknown_type(module, &name.value, name.span);
                    return Type::Error;
                }
                let Some(inner) = inner.pop().filter(|_| args.len() == wanted) else {
                    let text = format!("`{}` takes one type: `{}[Int]`", name.value, name.value);
                    self.report(Problem::new(Code::E0114, written.span, text));
                    return Type::Error;
                };
                if &*name.value == "List" { Type::List(Arc::new(inner)) } else { Type::Map(Arc::new(inner)) }
            }
            TypeKind::OneOf(names) => Type::Symbols(names.iter().map(|n| n.value.clone()).collect()),
            TypeKind::Union(parts) => Type::Union(parts.iter().map(|p| self.resolve_type(module, p)).collect()),
            TypeKind::Optional(inner) => Type::Optional(Arc::new(self.resolve_type(module, inner))),
            TypeKind::Function(params, result) => Type::Function(
                params.iter().map(|p| self.resolve_type(module, p)).collect(),
                Arc::new(self.resolve_type(module, result)),
            ),
            TypeKind::Within(inner, range) => {
                Type::Within(Arc::new(self.resolve_type(module, inner)), Arc::new((**range).clone()))
            }
            TypeKind::Error => Type::Error,
        }
    }

    fn named_type(&mut self, module: u32, name: &str, span: Span) -> Type {
        match builtin_type(name) {
            Some(ty) => ty,
            None => match self.find_schema(module, name) {
                Some(id) => Type::Record(id),
                None => {
                    self.unknown_type(module, name, span);
                    Type::Error
                }
            },
        }
    }

    /// The schemas of the modules that a module uses under a name, as they are written there.
    pub(super) fn foreign_schemas(&self, module: u32) -> Vec<(Arc<str>, SchemaId)> {
        let mut found = Vec::new();
        for (alias, entry) in &self.resolved.module(module).names {
            let EntryKind::Module(other) = entry.kind else { continue };
            let all = self.schemas.iter().filter(|s| s.module == other);
            found.extend(all.filter_map(|s| {
                let id = *self.schema_ids.get(&(other, s.name.clone()))?;
                Some((Arc::from(format!("{alias}.{}", s.name)), id))
            }));
        }
        found
    }

    fn unknown_type(&mut self, module: u32, name: &str, span: Span) {
        let mut known: Vec<Arc<str>> = BUILTIN_TYPES.iter().map(|n| Arc::from(*n)).collect();
        for place in std::iter::once(module).chain(self.resolved.prelude.iter().copied()) {
            let names = &self.resolved.module(place).names;
            known.extend(names.iter().filter(|(_, e)| e.kind == EntryKind::Schema).map(|(n, _)| n.clone()));
        }
        known.extend(self.foreign_schemas(module).into_iter().map(|(name, _)| name));
        let mut problem = Problem::new(Code::E0210, span, format!("there is no type or schema `{name}`"));
        let alias = match name.to_ascii_lowercase().as_str() {
            "str" | "string" => Some("Text"),
            "integer" | "i32" | "i64" | "usize" | "uint" => Some("Int"),
            "double" | "f32" | "f64" | "real" => Some("Float"),
            "boolean" => Some("Bool"),
            "percent" | "percentage" | "fraction" => Some("Ratio"),
            "time" | "seconds" => Some("Duration"),
            "dict" | "object" => Some("Map"),
            "array" | "vec" => Some("List"),
            _ => None,
        };
        let near: Vec<&str> = match alias {
            Some(alias) => vec![alias],
            None => suggest::similar(name, known.iter().map(|n| &**n)),
        };
        for near in near {
            problem = problem.fix(format!("did you mean `{near}`?"), span, near);
        }
        self.report(problem);
    }

    /// A type as the language writes it.
    pub(super) fn show_type(&self, ty: &Type) -> String {
        match ty {
            Type::Error => "an erroneous value".into(),
            Type::Any => "Any".into(),
            Type::None => "none".into(),
            Type::Bool => "Bool".into(),
            Type::Int => "Int".into(),
            Type::Float => "Float".into(),
            Type::Number => "Number".into(),
            Type::Text => "Text".into(),
            Type::Path => "Path".into(),
            Type::Quantity(unit) => unit.type_name().into(),
            Type::Symbols(names) => format!("one of [{}]", names.join(", ")),
            Type::List(t) => format!("List[{}]", self.show_type(t)),
            Type::Map(t) => format!("Map[{}]", self.show_type(t)),
            Type::Optional(t) => format!("{}?", self.show_type(t)),
            Type::Union(types) => types.iter().map(|t| self.show_type(t)).collect::<Vec<_>>().join(" | "),
            Type::Function(params, result) => {
                let params: Vec<String> = params.iter().map(|t| self.show_type(t)).collect();
                format!("{} => {}", params.join(", "), self.show_type(result))
            }
            Type::Record(id) => self.schema(*id).name.to_string(),
            Type::Measured => "Measured".into(),
            Type::Within(t, range) => format!("{} in {}", self.show_type(t), self.source_text(range.span)),
        }
    }
}

/// The names of the built-in types.
pub const BUILTIN_TYPES: [&str; 18] = [
    "Bool",
    "Int",
    "Float",
    "Number",
    "Text",
    "Path",
    "Ratio",
    "Tokens",
    "Steps",
    "Epochs",
    "Documents",
    "Duration",
    "Bytes",
    "Flops",
    "Money",
    "Measured",
    "Any",
    "List",
];

fn builtin_type(name: &str) -> Option<Type> {
    Some(match name {
        "Bool" => Type::Bool,
        "Int" => Type::Int,
        "Float" => Type::Float,
        "Number" => Type::Number,
        "Text" => Type::Text,
        "Path" => Type::Path,
        "Measured" => Type::Measured,
        "Any" => Type::Any,
        other => {
            let unit = Unit::ALL.into_iter().find(|u| *u != Unit::One && u.type_name() == other)?;
            Type::Quantity(unit)
        }
    })
}
