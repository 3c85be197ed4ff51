//! Items and their blocks.

use super::super::ast::{
    Axis, Check, Claim, Decl, Expr, Field, FieldDecl, FieldOp, FnItem, Item, ItemKind, Let, Member, Module, Name,
    Param, Schema, Sweep, Use, UseSource,
};
use super::Formatter;
use super::block::{Row, Rows};
use super::document::{Doc, print, text, width};
use crate::source::Span;

impl Formatter<'_> {
    pub fn module(&self, module: &Module) -> String {
        let mut out = String::new();
        let mut before = Before { lines: 0, comment: false };
        if let Some(amends) = &module.amends {
            self.comments_above(amends.span.start, &mut out, &mut before);
            let path = self.file.text.get(amends.path.span.range()).unwrap_or("");
            self.put(&format!("amends {path}"), amends.span, &mut out, &mut before);
        }
        for item in &module.items {
            self.comments_above(item.span.start, &mut out, &mut before);
            let laid_out = self.item(item);
            self.put(&laid_out, item.span, &mut out, &mut before);
        }
        self.comments_above(u32::MAX, &mut out, &mut before);
        out
    }

    fn comments_above(&self, at: u32, out: &mut String, before: &mut Before) {
        for comment in self.comments.above(at) {
            if !out.is_empty() && (comment.blank_before || before.lines > 1) {
                blank(out);
            }
            *before = Before { lines: 0, comment: true };
            out.push_str(&comment.text);
            out.push('\n');
        }
    }

    /// Adds an item; one of several lines has a blank line on both sides.
    fn put(&self, laid_out: &str, span: Span, out: &mut String, before: &mut Before) {
        let lines = laid_out.lines().count();
        let apart = before.lines > 1 || lines > 1 && !before.comment && !out.is_empty();
        if !out.is_empty() && (apart || self.comments.blank_before(span.start)) {
            blank(out);
        }
        out.push_str(laid_out);
        // Comments from the middle of the item are kept behind it.
        let inner: Vec<String> = self.comments.above(span.end).into_iter().map(|c| c.text).collect();
        let behind = self.comments.behind_lines(span.end);
        let (behind, below) = if behind.is_empty() && !inner.is_empty() {
            (inner[..1].to_vec(), inner[1..].to_vec())
        } else {
            (behind, inner)
        };
        behind_text(laid_out, &behind, out);
        out.push('\n');
        *before = Before { lines, comment: false };
        for comment in below {
            if before.lines > 1 {
                blank(out);
            }
            *before = Before { lines: 0, comment: true };
            out.push_str(&comment);
            out.push('\n');
        }
    }

    fn item(&self, item: &Item) -> String {
        match &item.kind {
            ItemKind::Use(used) => self.used(used, item.span),
            ItemKind::Param(param) => self.line("param ", self.parameter(param)),
            ItemKind::Let(value) => self.value_item("let", value),
            ItemKind::Dataset(value) => self.value_item("dataset", value),
            ItemKind::Fn(function) => self.function(function),
            ItemKind::Schema(schema) => self.schema(schema),
            ItemKind::Decl(decl) => self.decl(decl),
            ItemKind::Expect(condition) => self.line("expect ", self.expr(condition, false)),
            ItemKind::Claim(claim) => self.claim(claim),
            ItemKind::Sweep(sweep) => self.sweep(sweep),
            ItemKind::Error => self.file.text.get(item.span.range()).unwrap_or("").to_owned(),
        }
    }

    fn line(&self, start: &str, rest: Doc) -> String {
        print(&Doc::Many(vec![text(start), rest]), 0, 0, 0)
    }

    fn used(&self, used: &Use, span: Span) -> String {
        let mut start = "use ".to_owned();
        match &used.source {
            UseSource::Library(names) => start.push_str(&dotted(names)),
            UseSource::File(path) => start.push_str(self.file.text.get(path.span.range()).unwrap_or("")),
        }
        if let Some(alias) = &used.alias {
            start.push_str(&format!(" as {}", alias.value));
        }
        let Some(names) = &used.names else { return start };
        start.push(' ');
        let open =
            self.file.text.get(span.range()).and_then(|t| t.rfind('{')).map_or(span.start, |n| span.start + n as u32);
        let list = self.sequence("{", names, |n| n.span, |n| text(&*n.value), "}", open, span.end);
        self.line(&start, list)
    }

    fn value_item(&self, keyword: &str, value: &Let) -> String {
        let mut parts = vec![text(&*value.name.value)];
        if let Some(ty) = &value.ty {
            parts.extend([text(" : "), self.type_expr(ty)]);
        }
        parts.extend([text(" = "), self.expr(&value.value, false)]);
        self.line(&format!("{keyword} "), Doc::Many(parts))
    }

    fn parameter(&self, param: &Param) -> Doc {
        let mut parts = vec![text(&*param.name.value)];
        if let Some(ty) = &param.ty {
            parts.extend([text(" : "), self.type_expr(ty)]);
        }
        if let Some(default) = &param.default {
            parts.extend([text(" = "), self.expr(default, false)]);
        }
        Doc::Many(parts)
    }

    fn function(&self, function: &FnItem) -> String {
        let open = function.name.span.end;
        let end = |p: &Param| {
            let ty = p.ty.as_ref().map(|t| t.span);
            let default = p.default.as_ref().map(|d| d.span);
            p.name.span.to(default.or(ty).unwrap_or(p.name.span))
        };
        // The closing bracket stands before the type of the result or the body.
        let next = function.result.as_ref().map_or(function.body.span.start, |r| r.span.start);
        let gap = self.file.text.get(open as usize..next as usize).unwrap_or("");
        let close = gap.rfind(')').map_or(next, |n| open + n as u32 + 1);
        let params = self.sequence("(", &function.params, end, |p| self.parameter(p), ")", open, close);
        let mut parts = vec![text(&*function.name.value), params];
        if let Some(result) = &function.result {
            parts.extend([text(" : "), self.type_expr(result)]);
        }
        parts.extend([text(" = "), self.expr(&function.body, false)]);
        self.line("fn ", Doc::Many(parts))
    }

    fn claim(&self, claim: &Claim) -> String {
        let mut parts = vec![text(format!("{} = ", claim.name.value)), self.expr(&claim.statement, false)];
        for (index, field) in claim.with.iter().enumerate() {
            parts.push(text(if index == 0 { " with " } else { ", " }));
            parts.push(text(format!("{} {} ", dotted(&field.path), mark(field.op))));
            parts.push(self.expr(&field.value, false));
        }
        self.line("claim ", Doc::Many(parts))
    }

    fn decl(&self, decl: &Decl) -> String {
        let mut header = format!("{} {}", decl.kind.keyword(), decl.name.value);
        if let Some(base) = &decl.base {
            header.push_str(" from ");
            header.push_str(&print(&self.expr(base, false), 0, 0, 0));
        }
        if let Some(variant) = &decl.variant {
            header.push_str(&format!(" : {}", variant.value));
        }
        self.block(&header, decl.body, 0, |rows| {
            for field in &decl.fields {
                self.field(field, rows);
            }
        })
    }

    fn field(&self, field: &Field, rows: &mut Rows<'_, '_>) {
        rows.add(field.span, || Row::Field {
            head: dotted(&field.path),
            mark: mark(field.op),
            value: self.expr(&field.value, false),
            behind: Vec::new(),
        });
    }

    fn sweep(&self, sweep: &Sweep) -> String {
        let header = format!("sweep {}", sweep.name.value);
        self.block(&header, sweep.body, 0, |rows| {
            let over_at = sweep.over.map_or(u32::MAX, |o| o.start);
            let (first, last): (Vec<&Field>, Vec<&Field>) = sweep.fields.iter().partition(|f| f.span.start < over_at);
            for field in first {
                self.field(field, rows);
            }
            if let Some(over) = sweep.over {
                rows.add(over, || Row::Other { text: self.over(sweep, over), behind: Vec::new() });
            }
            for field in last {
                self.field(field, rows);
            }
        })
    }

    fn over(&self, sweep: &Sweep, over: Span) -> String {
        self.block("over", over, 2, |rows| {
            for axis in &sweep.axes {
                rows.add(axis.span, || self.axis(axis));
            }
        })
    }

    fn axis(&self, axis: &Axis) -> Row {
        let mut parts = vec![self.expr(&axis.values, false)];
        if let Some(when) = &axis.when {
            parts.extend([text(" when "), self.expr(when, false)]);
        }
        Row::Field { head: dotted(&axis.path), mark: "in", value: Doc::Many(parts), behind: Vec::new() }
    }

    fn schema(&self, schema: &Schema) -> String {
        let mut header = format!("schema {}", schema.name.value);
        if let Some(base) = &schema.base {
            header.push_str(&format!(" is {}", base.value));
        }
        let start = schema.base.as_ref().map_or(schema.name.span.end, |b| b.span.end);
        self.block(&header, Span { start, ..schema.span }, 0, |rows| {
            for member in &schema.members {
                match member {
                    Member::Field(field) => rows.add(field.span, || self.field_decl(field)),
                    Member::Check(check) => {
                        rows.add(check.span, || Row::Other { text: self.check(check), behind: Vec::new() })
                    }
                    Member::Error(span) => rows.add(*span, || Row::Other {
                        text: self.file.text.get(span.range()).unwrap_or("").to_owned(),
                        behind: Vec::new(),
                    }),
                }
            }
        })
    }

    fn field_decl(&self, field: &FieldDecl) -> Row {
        let head = format!(
            "{}{}{}",
            if field.is_final { "final " } else { "" },
            if field.is_rest { "rest " } else { "" },
            field.name.value
        );
        let mut parts = vec![self.type_expr(&field.ty)];
        if let Some(default) = &field.default {
            parts.extend([text(" = "), self.expr(default, false)]);
        }
        Row::Field { head, mark: ":", value: Doc::Many(parts), behind: Vec::new() }
    }

    /// `check(CONDITION, …)`: on one line if the author wrote it so and it fits, else an argument a line.
    fn check(&self, check: &Check) -> String {
        let mut named: Vec<(&str, &Expr)> = Vec::new();
        named.extend(check.because.as_ref().map(|e| ("because", e)));
        named.extend(check.hint.as_ref().map(|e| ("hint", e)));
        named.sort_by_key(|(_, e)| e.span.start);
        let condition = self.expr(&check.condition, true);
        let mut comments: Vec<String> = Vec::new();
        let mut values = Vec::new();
        for (name, value) in &named {
            comments.extend(self.comments.above(value.span.start).into_iter().map(|c| c.text));
            values.push((*name, self.expr(value, true)));
        }
        let was_broken =
            named.first().is_some_and(|(_, e)| self.comments.breaks(check.condition.span.end, e.span.start));
        if !was_broken && comments.is_empty() {
            let mut parts = vec![text("check("), condition.clone()];
            for (name, value) in &values {
                parts.extend([text(format!(", {name} = ")), value.clone()]);
            }
            parts.push(text(")"));
            let line = print(&Doc::Many(parts), 2, 2, 0);
            if !line.contains('\n') && width(&line) + 2 <= super::WIDTH {
                return line;
            }
        }
        let mut out = print(&Doc::Many(vec![text("check("), condition]), 2, 2, 1);
        let column = values.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &values {
            out.push_str(",\n");
            for comment in comments.drain(..) {
                out.push_str(&format!("    {comment}\n"));
            }
            out.push_str(&format!("    {name:column$} = {}", print(value, 4, 4 + column + 3, 1)));
        }
        out.push(')');
        out
    }

    /// `HEADER { rows }`: on one line if the author wrote it so and it fits.
    fn block(&self, header: &str, body: Span, indent: usize, fill: impl FnOnce(&mut Rows<'_, '_>)) -> String {
        let source = self.file.text.get(body.range()).unwrap_or("");
        let open = body.start + source.find('{').unwrap_or(0) as u32;
        let behind = self.comments.behind_lines(open + 1);
        let mut rows = Rows::new(self);
        fill(&mut rows);
        rows.above(body.end.saturating_sub(1));
        if rows.rows.is_empty() && behind.is_empty() {
            return format!("{header} {{}}");
        }
        if !source.contains('\n')
            && let Some(line) = one_line(header, &rows.rows, indent)
        {
            return line;
        }
        let mut out = format!("{header} {{");
        let first = format!("{:indent$}{out}", "");
        behind_text(&first, &behind, &mut out);
        out.push('\n');
        out.push_str(&rows.print(indent + 2));
        out.extend(std::iter::repeat_n(' ', indent));
        out.push('}');
        out
    }
}

/// What was put last.
struct Before {
    lines: usize,
    comment: bool,
}

/// Puts comments behind a line, the second and further ones below the first.
fn behind_text(line: &str, comments: &[String], out: &mut String) {
    let column = width(line.rsplit('\n').next().unwrap_or("")) + 2;
    for (index, comment) in comments.iter().enumerate() {
        let gap = if index == 0 { 2 } else { column };
        if index > 0 {
            out.push('\n');
        }
        out.extend(std::iter::repeat_n(' ', gap));
        out.push_str(comment);
    }
}

fn blank(out: &mut String) {
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
}

fn one_line(header: &str, rows: &[Row], indent: usize) -> Option<String> {
    let mut fields = Vec::new();
    for row in rows {
        match row {
            Row::Field { head, mark, value, behind } if behind.is_empty() => {
                fields.push(format!("{head} {mark} {}", print(value, indent, 0, 0)));
            }
            Row::Other { text, behind } if behind.is_empty() => fields.push(text.clone()),
            Row::Blank => {}
            _ => return None,
        }
    }
    let line = format!("{header} {{ {} }}", fields.join(", "));
    (!line.contains('\n') && width(&line) + indent <= super::WIDTH).then_some(line)
}

fn dotted(names: &[Name]) -> String {
    names.iter().map(|n| &*n.value).collect::<Vec<_>>().join(".")
}

fn mark(op: FieldOp) -> &'static str {
    if op == FieldOp::Add { "+=" } else { "=" }
}
