//! Types.

use super::super::ast::{TypeExpr, TypeKind};
use super::Formatter;
use super::document::{Doc, group, indent, text};

impl Formatter<'_> {
    pub fn type_expr(&self, ty: &TypeExpr) -> Doc {
        match &ty.kind {
            TypeKind::Name(name) => text(&**name),
            TypeKind::Apply(name, arguments) => {
                Doc::Many(vec![text(&*name.value), text("["), self.types(arguments), text("]")])
            }
            TypeKind::OneOf(symbols) => {
                let symbols = symbols.iter().map(|s| text(&*s.value)).collect();
                Doc::Many(vec![text("one of ["), listed(symbols), text("]")])
            }
            TypeKind::Union(members) => {
                let mut parts = Vec::new();
                for (index, member) in members.iter().enumerate() {
                    if index > 0 {
                        parts.push(text(" | "));
                    }
                    parts.push(self.operand(member, &[Form::Function, Form::Union]));
                }
                Doc::Many(parts)
            }
            TypeKind::Optional(inner) => {
                let inner = self.operand(inner, &[Form::Function, Form::Union, Form::Within, Form::Optional]);
                Doc::Many(vec![inner, text("?")])
            }
            TypeKind::Function(arguments, result) => {
                let arguments = match arguments.as_slice() {
                    [only] if form(only) != Form::Function => self.type_expr(only),
                    several => Doc::Many(vec![text("("), self.types(several), text(")")]),
                };
                Doc::Many(vec![arguments, text(" => "), self.type_expr(result)])
            }
            TypeKind::Within(inner, limits) => {
                let inner = self.operand(inner, &[Form::Function, Form::Union, Form::Within]);
                Doc::Many(vec![inner, text(" in "), self.expr(limits, false)])
            }
            TypeKind::Error => text(self.file.text.get(ty.span.range()).unwrap_or("")),
        }
    }

    fn types(&self, types: &[TypeExpr]) -> Doc {
        listed(types.iter().map(|t| self.type_expr(t)).collect())
    }

    /// A type inside another, in parentheses if it would read differently without.
    fn operand(&self, ty: &TypeExpr, loose: &[Form]) -> Doc {
        let doc = self.type_expr(ty);
        if loose.contains(&form(ty)) { Doc::Many(vec![text("("), doc, text(")")]) } else { doc }
    }
}

#[derive(PartialEq, Eq)]
enum Form {
    Function,
    Union,
    Within,
    Optional,
    Other,
}

fn form(ty: &TypeExpr) -> Form {
    match ty.kind {
        TypeKind::Function(..) => Form::Function,
        TypeKind::Union(_) => Form::Union,
        TypeKind::Within(..) => Form::Within,
        TypeKind::Optional(_) => Form::Optional,
        _ => Form::Other,
    }
}

/// Entries inside brackets that stand there already.
fn listed(entries: Vec<Doc>) -> Doc {
    let last = entries.len().saturating_sub(1);
    let mut parts = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        parts.push(if index == 0 { Doc::Soft } else { Doc::Line });
        parts.push(entry);
        parts.push(if index < last { text(",") } else { Doc::Broken(",") });
    }
    group(Doc::Many(vec![indent(Doc::Many(parts)), Doc::Soft]))
}
