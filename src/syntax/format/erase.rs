//! A tree without its places, to compare what two texts say.

use super::super::ast::{
    Arg, Axis, Check, Docs, Expr, ExprKind, Field, FieldDecl, Item, ItemKind, Member, Module, Name, Number, Param,
    TextPart, TypeExpr, TypeKind, UseSource,
};
use crate::source::{FileId, Span};

const NOWHERE: Span = Span { file: FileId(0), start: 0, end: 0 };

/// The module with every span set to nowhere.
pub fn erase(mut module: Module) -> Module {
    module.span = NOWHERE;
    docs(&mut module.docs);
    if let Some(amends) = &mut module.amends {
        amends.span = NOWHERE;
        amends.path.span = NOWHERE;
    }
    module.items.iter_mut().for_each(item);
    module
}

fn docs(docs: &mut Option<Docs>) {
    if let Some(docs) = docs {
        docs.span = NOWHERE;
    }
}

fn name(name: &mut Name) {
    name.span = NOWHERE;
}

fn item(item: &mut Item) {
    item.span = NOWHERE;
    docs(&mut item.docs);
    match &mut item.kind {
        ItemKind::Use(used) => {
            match &mut used.source {
                UseSource::Library(names) => names.iter_mut().for_each(name),
                UseSource::File(path) => path.span = NOWHERE,
            }
            used.names.iter_mut().flatten().for_each(name);
            used.alias.iter_mut().for_each(name);
        }
        ItemKind::Param(p) => param(p),
        ItemKind::Let(value) | ItemKind::Dataset(value) => {
            name(&mut value.name);
            value.ty.iter_mut().for_each(ty);
            expr(&mut value.value);
        }
        ItemKind::Fn(function) => {
            name(&mut function.name);
            function.params.iter_mut().for_each(param);
            function.result.iter_mut().for_each(ty);
            expr(&mut function.body);
        }
        ItemKind::Schema(schema) => {
            schema.span = NOWHERE;
            name(&mut schema.name);
            schema.base.iter_mut().for_each(name);
            schema.members.iter_mut().for_each(member);
        }
        ItemKind::Decl(decl) => {
            decl.kind.span = NOWHERE;
            decl.body = NOWHERE;
            name(&mut decl.name);
            decl.base.iter_mut().for_each(expr);
            decl.variant.iter_mut().for_each(name);
            decl.fields.iter_mut().for_each(field);
        }
        ItemKind::Expect(condition) => expr(condition),
        ItemKind::Claim(claim) => {
            name(&mut claim.name);
            expr(&mut claim.statement);
            claim.with.iter_mut().for_each(field);
        }
        ItemKind::Sweep(sweep) => {
            name(&mut sweep.name);
            sweep.body = NOWHERE;
            sweep.over = sweep.over.map(|_| NOWHERE);
            sweep.fields.iter_mut().for_each(field);
            for Axis { path, values, when, span } in &mut sweep.axes {
                *span = NOWHERE;
                path.iter_mut().for_each(name);
                expr(values);
                when.iter_mut().for_each(expr);
            }
        }
        ItemKind::Error => {}
    }
}

fn param(param: &mut Param) {
    name(&mut param.name);
    param.ty.iter_mut().for_each(ty);
    param.default.iter_mut().for_each(expr);
}

fn member(member: &mut Member) {
    match member {
        Member::Field(FieldDecl { docs: d, name: n, ty: t, default, span, .. }) => {
            *span = NOWHERE;
            docs(d);
            name(n);
            ty(t);
            default.iter_mut().for_each(expr);
        }
        Member::Check(Check { condition, because, hint, span }) => {
            *span = NOWHERE;
            expr(condition);
            because.iter_mut().chain(hint).for_each(expr);
        }
        Member::Error(span) => *span = NOWHERE,
    }
}

fn field(field: &mut Field) {
    field.span = NOWHERE;
    docs(&mut field.docs);
    field.path.iter_mut().for_each(name);
    expr(&mut field.value);
}

fn ty(t: &mut TypeExpr) {
    t.span = NOWHERE;
    match &mut t.kind {
        TypeKind::Name(_) | TypeKind::Error => {}
        TypeKind::Apply(n, arguments) => {
            name(n);
            arguments.iter_mut().for_each(ty);
        }
        TypeKind::OneOf(names) => names.iter_mut().for_each(name),
        TypeKind::Union(members) => members.iter_mut().for_each(ty),
        TypeKind::Optional(inner) => ty(inner),
        TypeKind::Function(arguments, result) => {
            arguments.iter_mut().for_each(ty);
            ty(result);
        }
        TypeKind::Within(inner, limits) => {
            ty(inner);
            expr(limits);
        }
    }
}

fn expr(e: &mut Expr) {
    e.span = NOWHERE;
    match &mut *e.kind {
        ExprKind::None | ExprKind::Bool(_) | ExprKind::Name(_) | ExprKind::Error => {}
        ExprKind::Number(Number { multiplier, unit, .. }) => multiplier.iter_mut().chain(unit).for_each(name),
        ExprKind::Text(parts) => {
            for part in parts {
                if let TextPart::Hole(hole) = part {
                    expr(hole);
                }
            }
        }
        ExprKind::Field(base, n) => {
            expr(base);
            name(n);
        }
        ExprKind::Index(a, b) | ExprKind::Pipe(a, b) => {
            expr(a);
            expr(b);
        }
        ExprKind::Range { low, high, .. } => {
            expr(low);
            expr(high);
        }
        ExprKind::Call(callee, args) => {
            expr(callee);
            for Arg { name: n, value } in args {
                n.iter_mut().for_each(name);
                expr(value);
            }
        }
        ExprKind::List(items) => items.iter_mut().for_each(expr),
        ExprKind::Comprehension { element, name: n, list, condition } => {
            expr(element);
            name(n);
            expr(list);
            condition.iter_mut().for_each(expr);
        }
        ExprKind::If { condition, then, otherwise } => [condition, then, otherwise].into_iter().for_each(expr),
        ExprKind::Lambda(names, body) => {
            names.iter_mut().for_each(name);
            expr(body);
        }
        ExprKind::Unary(op, operand) => {
            op.span = NOWHERE;
            expr(operand);
        }
        ExprKind::Binary(op, left, right) => {
            op.span = NOWHERE;
            expr(left);
            expr(right);
        }
        ExprKind::Paren(inner) => expr(inner),
    }
}
