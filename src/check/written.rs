//! Values written out so that they mean the same wherever they are read: the values of a sweep's axes become overrides,
//! which are read in the main file whatever file the sweep's lists come from.

use super::{Checker, Env, Origin};
use crate::resolve::EntryKind;
use crate::source::{SourceFile, Span};
use crate::syntax;
use crate::types::{ItemId, RecordId, SchemaId, Traced, Type, Value};

/// A part of a value that cannot be written, and why.
pub(super) struct Unwritten {
    pub span: Span,
    pub why: String,
}

type Written = Result<String, Unwritten>;

impl Checker<'_> {
    /// A value of type `ty` as the main file would write it.
    pub(super) fn written(&mut self, value: &Traced, ty: &Type) -> Written {
        match &value.value {
            Value::Record(record) => self.written_record(*record, value.span),
            Value::List(items) => {
                let element = ty.element();
                let items: Result<Vec<String>, _> = items.iter().map(|i| self.written(i, &element)).collect();
                Ok(format!("[{}]", items?.join(", ")))
            }
            Value::Item(id, _) => self.written_item(id, value.span),
            Value::Split(id, split) => Ok(format!("{}.{split}", self.written_item(id, value.span)?)),
            // An override's path is seen from where the command runs.
            Value::Path { resolved, .. } => Ok(super::show::quote(resolved)),
            Value::Lambda(_) | Value::Later(_) => self.written_code(value, ty),
            Value::Map(_) => Err(Unwritten { span: value.span, why: "named values have no name of their own".into() }),
            other => Ok(self.show(other)),
        }
    }

    /// A record by the fields that are set in it.
    fn written_record(&mut self, record: RecordId, span: Span) -> Written {
        let schema = self.record(record).schema;
        let name = self.written_schema(schema, span)?;
        let fields: Vec<_> = self.schema(schema).fields.values().filter(|f| !f.is_final).cloned().collect();
        let mut args = Vec::new();
        for field in fields {
            let value = self.field(record, &field.name, span);
            if value.origin == Origin::Default {
                continue;
            }
            match &value.value {
                Value::Map(map) if field.is_rest => {
                    let element = field.ty.element();
                    for (name, entry) in map.iter() {
                        args.push(format!("{name} = {}", self.written(entry, &element)?));
                    }
                }
                _ => args.push(format!("{} = {}", field.name, self.written(&value, &field.ty)?)),
            }
        }
        Ok(format!("{name}({})", args.join(", ")))
    }

    fn written_schema(&mut self, schema: SchemaId, span: Span) -> Written {
        let (name, module) = (self.schema(schema).name.clone(), self.schema(schema).module);
        self.written_name(&name, module, span, &|value| *value == Value::Schema(schema))
    }

    fn written_item(&mut self, id: &ItemId, span: Span) -> Written {
        self.written_name(&id.name, id.module, span, &|value| matches!(value, Value::Item(found, _) if found == id))
    }

    /// How the main file calls what `name` is in `module`.
    fn written_name(&mut self, name: &str, module: u32, span: Span, is_it: &dyn Fn(&Value) -> bool) -> Written {
        let main = self.resolved.main;
        let found = self.quietly(|this| this.lookup(&Env::module(main), &name.into(), span)).0;
        if found.is_some_and(|f| is_it(&f.value)) {
            return Ok(name.to_owned());
        }
        let names = &self.resolved.module(main).names;
        let import = names.iter().find(|(_, e)| e.kind == EntryKind::Module(module)).map(|(alias, _)| alias.clone());
        match import {
            Some(alias) => Ok(format!("{alias}.{name}")),
            None => Err(Unwritten { span, why: format!("the file of the sweep does not know `{name}`") }),
        }
    }

    /// A function or a condition by its source text, if that means the same in the main file.
    fn written_code(&mut self, value: &Traced, ty: &Type) -> Written {
        let text = self.one_line(value.span);
        let blank = format!("{}{text}", " ".repeat(value.span.start as usize));
        // The text is read where it stands, so that its places are those of the source.
        let (expr, problems) = syntax::parse_expr(&SourceFile::new(value.span.file, "", blank));
        let env = Env::module(self.resolved.main);
        let (again, found) = self.quietly(|this| this.eval_as(&env, &expr, ty));
        if problems.any_error() || !found.is_empty() || again.value != value.value {
            let why = format!("`{text}` means something else, or nothing, as a setting of the whole file");
            return Err(Unwritten { span: value.span, why });
        }
        Ok(text)
    }
}
