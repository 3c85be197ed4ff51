//! Expressions: a flat row of operands and operators gets its tree.

use super::super::ast::{Arg, BinaryOp, Expr, ExprKind, Name, UnaryOp};
use super::super::grammar::Rule;
use super::super::mistakes::constant;
use super::{Kids, Lower};
use crate::diagnostics::{Code, Problem};
use crate::source::{Span, Spanned};
use pest::iterators::Pair;
use pest::pratt_parser::{Assoc, Op, PrattParser};
use std::sync::{Arc, LazyLock};

/// How tightly the operators bind, loosest first.
static PRATT: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::pipe))
        .op(left(Rule::op_or))
        .op(left(Rule::op_and))
        .op(Op::prefix(Rule::not))
        .op(left(Rule::equal)
            | left(Rule::not_equal)
            | left(Rule::less)
            | left(Rule::less_equal)
            | left(Rule::greater)
            | left(Rule::greater_equal)
            | left(Rule::is_in)
            | left(Rule::not_in))
        .op(left(Rule::range) | left(Rule::range_to))
        .op(left(Rule::plus) | left(Rule::minus))
        .op(left(Rule::times) | left(Rule::divide) | left(Rule::remainder))
        .op(Op::prefix(Rule::negative))
        .op(Op::infix(Rule::power, Assoc::Right))
});

impl Lower<'_> {
    /// `expr` or `limits`.
    pub fn expr(&self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let children: Vec<Pair<'_, Rule>> = pair.into_inner().filter(|p| p.as_rule() != Rule::COMMENT).collect();
        // A lone operand adds no level of its own.
        let levels = children.len();
        self.deeper(levels, || span, || self.row(children, span)).unwrap_or_else(|| Expr::new(ExprKind::Error, span))
    }

    fn row(&self, children: Vec<Pair<'_, Rule>>, span: Span) -> Expr {
        let heads = children.iter().take_while(|p| matches!(p.as_rule(), Rule::lambda_head | Rule::if_head)).count();
        let mut children = children.into_iter();
        let heads: Vec<Pair<'_, Rule>> = children.by_ref().take(heads).collect();
        let body = if children.len() == 0 {
            Expr::new(ExprKind::Error, span)
        } else {
            PRATT
                .map_primary(|term| self.term(term))
                .map_prefix(|op, operand| self.unary(&op, operand))
                .map_infix(|left, op, right| self.binary(left, &op, right))
                .parse(children)
        };
        heads.into_iter().rev().fold(body, |body, head| self.head(head, body))
    }

    fn head(&self, head: Pair<'_, Rule>, body: Expr) -> Expr {
        let span = self.span(&head).to(body.span);
        let kind = if head.as_rule() == Rule::if_head {
            let mut parts = head.into_inner().filter(|p| p.as_rule() == Rule::expr).map(|p| self.expr(p));
            let missing = || Expr::new(ExprKind::Error, span);
            let condition = parts.next().unwrap_or_else(missing);
            let then = parts.next().unwrap_or_else(missing);
            ExprKind::If { condition, then, otherwise: body }
        } else {
            let names = head.into_inner().filter(|p| p.as_rule() == Rule::new_name).map(|p| self.new_name(&p));
            ExprKind::Lambda(names.collect(), body)
        };
        Expr::new(kind, span)
    }

    fn unary(&self, op: &Pair<'_, Rule>, operand: Expr) -> Expr {
        let which = if op.as_rule() == Rule::not { UnaryOp::Not } else { UnaryOp::Minus };
        let at = self.span(op);
        let span = at.to(operand.span);
        Expr::new(ExprKind::Unary(Spanned::new(which, at), operand), span)
    }

    fn binary(&self, left: Expr, op: &Pair<'_, Rule>, right: Expr) -> Expr {
        let span = left.span.to(right.span);
        let at = self.span(op);
        let kind = match op.as_rule() {
            Rule::pipe => return self.pipe(left, right, span),
            Rule::range | Rule::range_to => {
                if let ExprKind::Range { .. } = &*left.kind {
                    self.problem(
                        Problem::new(Code::E0101, at, "a range has two ends")
                            .also(left.span, "this is a range already")
                            .help("put one of them in parentheses if it is meant"),
                    );
                }
                ExprKind::Range { low: left, high: right, inclusive: op.as_rule() == Rule::range_to }
            }
            rule => {
                let which = binary_op(rule);
                if let ExprKind::Binary(first, low, middle) = &*left.kind
                    && is_comparison(which)
                    && is_comparison(first.value)
                {
                    self.chained(first, low, middle, which, at, &right);
                }
                ExprKind::Binary(Spanned::new(which, at), left, right)
            }
        };
        Expr::new(kind, span)
    }

    /// `a < b < c`, which other languages read in three different ways.
    fn chained(&self, first: &Spanned<BinaryOp>, low: &Expr, middle: &Expr, second: BinaryOp, at: Span, right: &Expr) {
        let text = |e: &Expr| self.origin.file.text.get(e.span.range()).unwrap_or("").to_owned();
        let (a, b, c) = (text(low), text(middle), text(right));
        let (one, two) = (first.value.symbol(), second.symbol());
        self.problem(
            Problem::new(Code::E0101, at, "comparisons cannot be chained")
                .label("a second comparison of the same row")
                .also(first.span, "the first")
                .help(format!("compare twice: `{a} {one} {b} and {b} {two} {c}`, or ask for a range with `in`"))
                .fix("compare twice", low.span.to(right.span), format!("{a} {one} {b} and {b} {two} {c}")),
        );
    }

    fn pipe(&self, left: Expr, right: Expr, span: Span) -> Expr {
        let right = if let ExprKind::Call(..) | ExprKind::Error = &*right.kind {
            right
        } else if right.as_path().is_some() {
            let written = self.origin.file.text.get(right.span.range()).unwrap_or("");
            self.problem(
                Problem::new(Code::E0101, right.span, "a step of a pipeline is a call")
                    .label("parentheses are missing")
                    .help(format!("write `{written}()`"))
                    .fix("add `()`", right.span.after(), "()"),
            );
            let span = right.span;
            Expr::new(ExprKind::Call(right, Vec::new()), span)
        } else {
            self.problem(
                Problem::new(Code::E0101, right.span, "a step of a pipeline is a call")
                    .label("this is no call")
                    .help("behind `|>` stands a function with its other arguments: `|> keep(doc => doc.words > 20)`"),
            );
            right
        };
        Expr::new(ExprKind::Pipe(left, right), span)
    }

    fn term(&self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let mut kids = pair.into_inner();
        let postfixes = kids.len().saturating_sub(1);
        let Some(primary) = kids.next() else { return Expr::new(ExprKind::Error, span) };
        let built = self.deeper(
            postfixes,
            || span,
            || {
                let first = self.primary(primary);
                kids.fold(first, |base, postfix| self.postfix(base, postfix))
            },
        );
        built.unwrap_or_else(|| Expr::new(ExprKind::Error, span))
    }

    fn postfix(&self, base: Expr, pair: Pair<'_, Rule>) -> Expr {
        let span = base.span.to(self.span(&pair));
        let kind = match pair.as_rule() {
            Rule::call => ExprKind::Call(base, self.args(pair)),
            Rule::index => match Kids::of(pair).find(Rule::expr) {
                Some(index) => ExprKind::Index(base, self.expr(index)),
                None => ExprKind::Error,
            },
            _ => match Kids::of(pair).find(Rule::word) {
                Some(word) => ExprKind::Field(base, self.name(&word)),
                None => ExprKind::Error,
            },
        };
        Expr::new(kind, span)
    }

    /// The arguments of a `call`.
    pub fn args(&self, call: Pair<'_, Rule>) -> Vec<Arg> {
        let args: Vec<Arg> = call
            .into_inner()
            .filter(|p| p.as_rule() == Rule::arg)
            .map(|arg| {
                let span = self.span(&arg);
                let mut kids = Kids::of(arg);
                let name = kids.opt(Rule::name).map(|n| self.name(&n));
                let value = kids.find(Rule::expr).map(|e| self.expr(e));
                Arg { name, value: value.unwrap_or_else(|| Expr::new(ExprKind::Error, span)) }
            })
            .collect();
        self.compared_names(args)
    }

    /// Behind a named argument, `name == value` was meant to be one.
    fn compared_names(&self, mut args: Vec<Arg>) -> Vec<Arg> {
        let first_named = args.iter().position(|a| a.name.is_some()).unwrap_or(args.len());
        for arg in args.iter_mut().skip(first_named).filter(|a| a.name.is_none()) {
            let ExprKind::Binary(op, left, right) = &*arg.value.kind else { continue };
            let (BinaryOp::Equal, ExprKind::Name(name)) = (op.value, &*left.kind) else { continue };
            self.problem(Problem::new(Code::E0105, op.span, "an argument is set with `=`, not `==`").fix(
                "write `=`",
                op.span,
                "=",
            ));
            let name = Spanned::new(name.clone(), left.span);
            (arg.name, arg.value) = (Some(name), right.clone());
        }
        args
    }

    fn primary(&self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::number => ExprKind::Number(self.number(pair)),
            Rule::line_text | Rule::block_text | Rule::raw_text | Rule::raw_block => ExprKind::Text(self.text(pair)),
            Rule::kw_true => ExprKind::Bool(true),
            Rule::kw_false => ExprKind::Bool(false),
            Rule::kw_none => ExprKind::None,
            Rule::name_ref => self.name_ref(pair.as_str(), span),
            Rule::paren => match Kids::of(pair).find(Rule::expr) {
                Some(inner) => ExprKind::Paren(self.expr(inner)),
                None => ExprKind::Error,
            },
            Rule::list => self.list(pair),
            _ => ExprKind::Error,
        };
        Expr::new(kind, span)
    }

    /// A name, or a constant as other languages write it.
    fn name_ref(&self, name: &str, span: Span) -> ExprKind {
        let Some(own) = constant(name) else { return ExprKind::Name(Arc::from(name)) };
        self.problem(Problem::new(Code::E0111, span, format!("`{name}` is written `{own}`")).fix(
            format!("write `{own}`"),
            span,
            own,
        ));
        match own {
            "true" => ExprKind::Bool(true),
            "false" => ExprKind::Bool(false),
            // Where nothing may stand, saying so as well would be saying the same mistake twice.
            _ => ExprKind::Error,
        }
    }

    fn list(&self, pair: Pair<'_, Rule>) -> ExprKind {
        let mut items = Vec::new();
        for child in pair.into_inner() {
            match child.as_rule() {
                Rule::expr => items.push(self.expr(child)),
                Rule::for_clause => {
                    let span = self.span(&child);
                    let mut kids = Kids::of(child);
                    let name: Option<Name> = kids.find(Rule::new_name).map(|n| self.new_name(&n));
                    let list = kids.find(Rule::expr).map(|e| self.expr(e));
                    let condition = kids.find(Rule::expr).map(|e| self.expr(e));
                    let (Some(name), Some(element)) = (name, items.pop()) else { return ExprKind::Error };
                    let list = list.unwrap_or_else(|| Expr::new(ExprKind::Error, span));
                    return ExprKind::Comprehension { element, name, list, condition };
                }
                _ => {}
            }
        }
        ExprKind::List(items)
    }
}

fn is_comparison(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterEqual
            | BinaryOp::In
            | BinaryOp::NotIn
    )
}

fn binary_op(rule: Rule) -> BinaryOp {
    match rule {
        Rule::op_or => BinaryOp::Or,
        Rule::op_and => BinaryOp::And,
        Rule::equal => BinaryOp::Equal,
        Rule::not_equal => BinaryOp::NotEqual,
        Rule::less => BinaryOp::Less,
        Rule::less_equal => BinaryOp::LessEqual,
        Rule::greater => BinaryOp::Greater,
        Rule::greater_equal => BinaryOp::GreaterEqual,
        Rule::is_in => BinaryOp::In,
        Rule::not_in => BinaryOp::NotIn,
        Rule::minus => BinaryOp::Subtract,
        Rule::times => BinaryOp::Multiply,
        Rule::divide => BinaryOp::Divide,
        Rule::remainder => BinaryOp::Remainder,
        Rule::power => BinaryOp::Power,
        _ => BinaryOp::Add,
    }
}
