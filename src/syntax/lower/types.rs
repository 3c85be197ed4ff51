//! Types as written.

use super::super::ast::{TypeExpr, TypeKind};
use super::super::grammar::Rule;
use super::{Kids, Lower};
use crate::diagnostics::{Code, Problem};
use crate::source::Span;
use pest::iterators::Pair;
use std::sync::Arc;

impl Lower<'_> {
    /// `type_expr`: a union, or a function from one or several types; `A => B => C` is `A => (B => C)`.
    pub fn type_expr(&self, pair: Pair<'_, Rule>) -> TypeExpr {
        let span = self.span(&pair);
        let mut parts: Vec<Pair<'_, Rule>> = pair.into_inner().filter(|p| p.as_rule() == Rule::type_union).collect();
        let built = self.deeper(
            parts.len(),
            || span,
            || {
                let last = parts.pop().map_or_else(|| error(span), |p| self.union(p));
                parts.into_iter().rev().fold(last, |result, argument| {
                    let span = self.span(&argument).to(result.span);
                    TypeExpr { kind: TypeKind::Function(self.arguments(argument), Box::new(result)), span }
                })
            },
        );
        built.unwrap_or_else(|| error(span))
    }

    /// What stands before `=>`: one type, or several in parentheses.
    fn arguments(&self, union: Pair<'_, Rule>) -> Vec<TypeExpr> {
        match lone_group(&union) {
            Some(group) => self.members(group),
            None => vec![self.union(union)],
        }
    }

    fn members(&self, group: Pair<'_, Rule>) -> Vec<TypeExpr> {
        group.into_inner().filter(|p| p.as_rule() == Rule::type_expr).map(|p| self.type_expr(p)).collect()
    }

    fn union(&self, pair: Pair<'_, Rule>) -> TypeExpr {
        let span = self.span(&pair);
        let mut members: Vec<TypeExpr> =
            pair.into_inner().filter(|p| p.as_rule() == Rule::type_within).map(|p| self.within(p)).collect();
        match (members.len(), members.pop()) {
            (1, Some(only)) => only,
            (_, Some(last)) => {
                members.push(last);
                TypeExpr { kind: TypeKind::Union(members), span }
            }
            _ => error(span),
        }
    }

    fn within(&self, pair: Pair<'_, Rule>) -> TypeExpr {
        let span = self.span(&pair);
        let mut kids = Kids::of(pair);
        let Some(atom) = kids.next() else { return error(span) };
        let mut built = self.atom(atom);
        let mut optional = false;
        while let Some(mark) = kids.opt(Rule::question) {
            let at = self.span(&mark);
            if optional {
                self.problem(Problem::new(Code::E0114, at, "one `?` is enough").fix("remove `?`", at, ""));
                continue;
            }
            optional = true;
            let span = built.span.to(at);
            built = TypeExpr { kind: TypeKind::Optional(Box::new(built)), span };
        }
        match kids.find(Rule::limits) {
            Some(limits) => TypeExpr { kind: TypeKind::Within(Box::new(built), Box::new(self.expr(limits))), span },
            None => built,
        }
    }

    fn atom(&self, pair: Pair<'_, Rule>) -> TypeExpr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::type_name => TypeKind::Name(Arc::from(pair.as_str())),
            Rule::one_of => {
                let symbols = pair.into_inner().filter(|p| p.as_rule() == Rule::symbol);
                TypeKind::OneOf(symbols.map(|p| self.name(&p)).collect())
            }
            Rule::type_apply => {
                let mut kids = Kids::of(pair);
                let name = kids.find(Rule::type_name).map(|n| self.name(&n));
                let mut arguments = Vec::new();
                while let Some(argument) = kids.find(Rule::type_expr) {
                    arguments.push(self.type_expr(argument));
                }
                name.map_or(TypeKind::Error, |name| TypeKind::Apply(name, arguments))
            }
            _ => {
                let mut members = self.members(pair);
                match (members.len(), members.pop()) {
                    (1, Some(only)) => only.kind,
                    _ => {
                        self.problem(
                            Problem::new(Code::E0114, span, "several types in parentheses stand only before `=>`")
                                .help("write `(A, B) => C` for a function, or `A | B` for either"),
                        );
                        TypeKind::Error
                    }
                }
            }
        };
        TypeExpr { kind, span }
    }
}

/// The group that a union consists of, if it is nothing else.
fn lone_group<'i>(union: &Pair<'i, Rule>) -> Option<Pair<'i, Rule>> {
    let mut members = union.clone().into_inner().filter(|p| p.as_rule() != Rule::COMMENT);
    let within = members.next()?;
    if members.next().is_some() {
        return None;
    }
    let mut parts = within.into_inner().filter(|p| p.as_rule() != Rule::COMMENT);
    let atom = parts.next()?;
    (atom.as_rule() == Rule::type_group && parts.next().is_none()).then_some(atom)
}

fn error(span: Span) -> TypeExpr {
    TypeExpr { kind: TypeKind::Error, span }
}
