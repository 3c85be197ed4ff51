//! Items, fields and members.

use super::super::ast::{
    Amends, Axis, Check, Claim, Decl, Expr, ExprKind, Field, FieldDecl, FieldOp, FnItem, Item, ItemKind, Kind, Let,
    Member, Module, Name, Param, Schema, Sweep, TextPart, TypeExpr, TypeKind, Use, UseSource,
};
use super::super::grammar::Rule;
use super::{Kids, Lower};
use crate::diagnostics::{Code, Problem, Severity};
use crate::source::{Span, Spanned};
use pest::iterators::{Pair, Pairs};
use std::sync::Arc;

impl Lower<'_> {
    /// Adds what `module` holds to `module`.
    pub fn module(&self, pairs: Pairs<'_, Rule>, module: &mut Module) {
        for pair in pairs.flat_map(Pair::into_inner) {
            match pair.as_rule() {
                Rule::COMMENT | Rule::EOI => {}
                Rule::amends => self.amends(pair, module),
                Rule::broken_item => self.broken_item(pair, module),
                _ => {
                    if let Some(item) = self.item(pair) {
                        module.items.push(item);
                    }
                }
            }
        }
    }

    pub fn amends(&self, pair: Pair<'_, Rule>, module: &mut Module) {
        let span = self.span(&pair);
        let Some(path) = Kids::of(pair).next_text(self) else { return };
        if module.amends.is_some() || !module.items.is_empty() {
            self.problem(
                Problem::new(Code::E0116, span, "`amends` must be the first item of the file")
                    .help("move it to the top; a file amends one other file at most"),
            );
            return;
        }
        module.amends = Some(Amends { path, span });
    }

    pub fn item(&self, pair: Pair<'_, Rule>) -> Option<Item> {
        let span = self.span(&pair);
        let docs = self.docs.and_then(|d| d.of(span));
        let mut kids = Kids::of(pair.clone());
        let kind = match pair.as_rule() {
            Rule::use_item => ItemKind::Use(self.use_item(&mut kids)?),
            Rule::param_item => ItemKind::Param(self.parameter(kids.find(Rule::parameter)?)?),
            Rule::let_item => ItemKind::Let(self.let_item(&mut kids, span)?),
            Rule::dataset_item => ItemKind::Dataset(self.let_item(&mut kids, span)?),
            Rule::fn_item => ItemKind::Fn(self.fn_item(&mut kids, span)?),
            Rule::schema_item => ItemKind::Schema(self.schema(&mut kids, span)?),
            Rule::decl => ItemKind::Decl(self.decl(&mut kids)?),
            Rule::sweep_item => ItemKind::Sweep(self.sweep(&mut kids)?),
            Rule::expect_item => ItemKind::Expect(self.expr_of(&mut kids, span)),
            Rule::claim_item => {
                let name = self.new_name(&kids.find(Rule::new_name)?);
                let statement = self.expr_of(&mut kids, span);
                let with = kids.find(Rule::with).map_or_else(Vec::new, |with| {
                    let fields = with.into_inner().filter(|p| p.as_rule() == Rule::line_field);
                    fields.flat_map(Pair::into_inner).filter_map(|f| self.field(f)).collect()
                });
                ItemKind::Claim(Claim { name, statement, with })
            }
            _ => return None,
        };
        Some(Item { docs, kind, span })
    }

    /// The next expression among the children.
    fn expr_of(&self, kids: &mut Kids<'_>, span: Span) -> Expr {
        kids.find(Rule::expr).map_or_else(|| Expr::new(ExprKind::Error, span), |e| self.expr(e))
    }

    /// `: TYPE`, if it comes next.
    fn type_of(&self, kids: &mut Kids<'_>) -> Option<TypeExpr> {
        kids.opt(Rule::colon)?;
        kids.find(Rule::type_expr).map(|t| self.type_expr(t))
    }

    fn use_item(&self, kids: &mut Kids<'_>) -> Option<Use> {
        kids.next()?;
        let source = match kids.opt(Rule::use_path) {
            Some(path) => UseSource::Library(self.words(path)),
            None => UseSource::File(kids.next_text(self)?),
        };
        let alias = match kids.opt(Rule::kw_as) {
            Some(_) => kids.find(Rule::new_name).map(|n| self.new_name(&n)),
            None => None,
        };
        let names = kids
            .find(Rule::use_names)
            .map(|list| list.into_inner().filter(|p| p.as_rule() == Rule::name).map(|n| self.name(&n)).collect());
        Some(Use { source, names, alias })
    }

    fn let_item(&self, kids: &mut Kids<'_>, span: Span) -> Option<Let> {
        let name = self.new_name(&kids.find(Rule::new_name)?);
        let ty = self.type_of(kids);
        Some(Let { name, ty, value: self.expr_of(kids, span) })
    }

    fn fn_item(&self, kids: &mut Kids<'_>, span: Span) -> Option<FnItem> {
        let name = self.new_name(&kids.find(Rule::new_name)?);
        let params = kids.find(Rule::fn_params)?;
        let params = params.into_inner().filter(|p| p.as_rule() == Rule::parameter);
        let params = params.filter_map(|p| self.parameter(p)).collect();
        let result = self.type_of(kids);
        Some(FnItem { name, params, result, body: self.expr_of(kids, span) })
    }

    fn parameter(&self, pair: Pair<'_, Rule>) -> Option<Param> {
        let mut kids = Kids::of(pair);
        let name = self.new_name(&kids.find(Rule::new_name)?);
        let ty = self.type_of(&mut kids);
        let default = kids.find(Rule::expr).map(|e| self.expr(e));
        Some(Param { name, ty, default })
    }

    fn schema(&self, kids: &mut Kids<'_>, span: Span) -> Option<Schema> {
        let name = self.new_name(&kids.find(Rule::name)?);
        let base = match kids.opt(Rule::kw_is) {
            Some(_) => kids.find(Rule::type_name).map(|n| self.name(&n)),
            None => None,
        };
        let members = kids.find(Rule::members)?;
        let members = members.into_inner().filter_map(|p| self.member(p)).collect();
        Some(Schema { name, base, members, span })
    }

    pub fn member(&self, pair: Pair<'_, Rule>) -> Option<Member> {
        let span = self.span(&pair);
        match pair.as_rule() {
            Rule::check => Some(Member::Check(self.check(pair, span))),
            Rule::field_decl => {
                let docs = self.docs.and_then(|d| d.of(span));
                let mut kids = Kids::of(pair);
                let is_final = kids.opt(Rule::kw_final).is_some();
                let is_rest = kids.opt(Rule::kw_rest).is_some();
                let name = self.name(&kids.find(Rule::name)?);
                self.style(&name);
                let ty = self.type_of(&mut kids).unwrap_or(TypeExpr { kind: TypeKind::Error, span });
                let default = kids.find(Rule::expr).map(|e| self.expr(e));
                Some(Member::Field(FieldDecl { docs, is_final, is_rest, name, ty, default, span }))
            }
            Rule::broken_member => Some(self.broken_member(pair)),
            _ => None,
        }
    }

    fn check(&self, pair: Pair<'_, Rule>, span: Span) -> Check {
        let args = Kids::of(pair).find(Rule::call).map_or_else(Vec::new, |call| self.args(call));
        let mut check = Check { condition: Expr::new(ExprKind::Error, span), because: None, hint: None, span };
        let mut has_condition = false;
        for arg in args {
            match arg.name.as_ref().map(|n| &*n.value) {
                None if !has_condition => {
                    has_condition = true;
                    check.condition = arg.value;
                }
                Some("because") if check.because.is_none() => check.because = Some(arg.value),
                Some("hint") if check.hint.is_none() => check.hint = Some(arg.value),
                name => {
                    let at = arg.name.as_ref().map_or(arg.value.span, |n| n.span);
                    let message = match name {
                        Some(name) => format!("`check` has no argument `{name}`, or has it twice"),
                        None => "`check` has one condition".to_owned(),
                    };
                    self.problem(
                        Problem::new(Code::E0308, at, message)
                            .help("write `check(CONDITION, because = \"…\", hint = \"…\")`"),
                    );
                }
            }
        }
        if !has_condition {
            self.problem(
                Problem::new(Code::E0307, span, "`check` has no condition")
                    .help("write `check(CONDITION, because = \"…\", hint = \"…\")`"),
            );
        }
        check
    }

    fn decl(&self, kids: &mut Kids<'_>) -> Option<Decl> {
        let keyword = kids.find(Rule::kind)?;
        let kind = Kind::ALL.into_iter().find(|k| k.keyword() == keyword.as_str())?;
        let kind = Spanned::new(kind, self.span(&keyword));
        let name = self.new_name(&kids.find(Rule::new_name)?);
        let base = match kids.opt(Rule::kw_from) {
            Some(_) => kids.find(Rule::base).and_then(|b| path_expr(self.words(b))),
            None => None,
        };
        let variant = match kids.opt(Rule::colon) {
            Some(_) => kids.find(Rule::variant).map(|n| self.name(&n)),
            None => None,
        };
        let block = kids.find(Rule::block)?;
        let body = self.span(&block);
        let mut fields = Vec::new();
        for part in block.into_inner() {
            if part.as_rule() == Rule::broken_field && self.rest_of_number(&part, fields.last_mut()) {
                continue;
            }
            fields.extend(self.block_part(part));
        }
        Some(Decl { kind, name, base, variant, fields, body })
    }

    fn block_part(&self, pair: Pair<'_, Rule>) -> Vec<Field> {
        match pair.as_rule() {
            Rule::field => self.field(pair).into_iter().collect(),
            Rule::broken_field => self.broken_field(pair),
            _ => Vec::new(),
        }
    }

    pub fn field(&self, pair: Pair<'_, Rule>) -> Option<Field> {
        let span = self.span(&pair);
        let docs = self.docs.and_then(|d| d.of(span));
        let mut kids = Kids::of(pair);
        let path = self.words(kids.find(Rule::path)?);
        let op = if kids.opt(Rule::plus_eq).is_some() { FieldOp::Add } else { FieldOp::Set };
        let value = self.expr_of(&mut kids, span);
        Some(Field { docs, path, op, value, span })
    }

    fn sweep(&self, kids: &mut Kids<'_>) -> Option<Sweep> {
        let name = self.new_name(&kids.find(Rule::new_name)?);
        let block = kids.find(Rule::sweep_block)?;
        let mut sweep =
            Sweep { name, axes: Vec::new(), over: None, lost: false, fields: Vec::new(), body: self.span(&block) };
        for part in block.into_inner() {
            match part.as_rule() {
                Rule::over => self.over(part, &mut sweep),
                Rule::broken_field => self.broken_over(part, &mut sweep),
                _ => sweep.fields.extend(self.block_part(part)),
            }
        }
        Some(sweep)
    }

    pub fn over(&self, pair: Pair<'_, Rule>, sweep: &mut Sweep) {
        let span = self.span(&pair);
        if let Some(first) = sweep.over {
            self.problem(
                Problem::new(Code::E0303, span, "a sweep has one `over` block")
                    .also(first, "the first is here")
                    .help("move its axes into the first"),
            );
        }
        sweep.over.get_or_insert(span);
        let Some(axes) = Kids::of(pair).find(Rule::axes) else { return };
        for part in axes.into_inner() {
            match part.as_rule() {
                Rule::axis => sweep.axes.extend(self.axis(part)),
                Rule::broken_axis => sweep.axes.extend(self.broken_axis(part)),
                _ => {}
            }
        }
    }

    pub fn axis(&self, pair: Pair<'_, Rule>) -> Option<Axis> {
        let span = self.span(&pair);
        let mut kids = Kids::of(pair);
        let path = self.words(kids.find(Rule::path)?);
        let values = self.expr_of(&mut kids, span);
        let when = match kids.opt(Rule::kw_when) {
            Some(_) => kids.find(Rule::expr).map(|e| self.expr(e)),
            None => None,
        };
        Some(Axis { path, values, when, span })
    }

    /// The dotted names of a path.
    fn words(&self, path: Pair<'_, Rule>) -> Vec<Name> {
        path.into_inner().filter(|p| matches!(p.as_rule(), Rule::name | Rule::word)).map(|p| self.name(&p)).collect()
    }

    /// A name that is introduced here.
    pub fn new_name(&self, pair: &Pair<'_, Rule>) -> Name {
        let name = self.name(pair);
        self.style(&name);
        name
    }

    /// Warns of a name that is not in `snake_case`.
    fn style(&self, name: &Name) {
        if !name.value.chars().any(char::is_uppercase) {
            return;
        }
        let snake = snake_case(&name.value);
        let mut problem = Problem::new(Code::E0113, name.span, format!("`{}` is not in snake_case", name.value))
            .help(format!("names are written in lower case with `_` between words: `{snake}`"))
            .fix(format!("rename to `{snake}`"), name.span, snake);
        problem.severity = Severity::Warning;
        self.problem(problem);
    }
}

impl Kids<'_> {
    /// A text without holes, such as a path.
    fn next_text(&mut self, lower: &Lower<'_>) -> Option<Spanned<Arc<str>>> {
        let wanted = [Rule::line_text, Rule::block_text, Rule::raw_text, Rule::raw_block];
        let pair = std::iter::from_fn(|| self.next()).find(|p| wanted.contains(&p.as_rule()))?;
        let span = lower.span(&pair);
        match lower.text(pair).as_slice() {
            [] => Some(Spanned::new(Arc::from(""), span)),
            [TextPart::Plain(text)] => Some(Spanned::new(text.clone(), span)),
            _ => {
                lower.problem(
                    Problem::new(Code::E0211, span, "the path of a file has no holes")
                        .help("write the path as it is; files are known before anything is computed"),
                );
                Some(Spanned::new(Arc::from(""), span))
            }
        }
    }
}

/// `a.b.c` as an expression.
fn path_expr(names: Vec<Name>) -> Option<Expr> {
    let mut names = names.into_iter();
    let first = names.next()?;
    let start = Expr::new(ExprKind::Name(first.value), first.span);
    Some(names.fold(start, |base, name| {
        let span = base.span.to(name.span);
        Expr::new(ExprKind::Field(base, name), span)
    }))
}

/// `CamelCase` and `mixedCase` as `snake_case`.
pub fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut lower_before = false;
    for c in name.chars() {
        if c.is_uppercase() {
            if lower_before {
                out.push('_');
            }
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
        lower_before = c.is_lowercase() || c.is_numeric();
    }
    out
}
