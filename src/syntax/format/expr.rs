//! Expressions.

use super::super::ast::{Arg, Expr, ExprKind, Name, Number, UnaryOp};
use super::Formatter;
use super::document::{Doc, broken, group, indent, text};
use crate::source::Span;

impl Formatter<'_> {
    fn source(&self, span: Span) -> &str {
        self.file.text.get(span.range()).unwrap_or("")
    }

    /// An expression. `free` says that brackets around it allow line breaks.
    pub fn expr(&self, expr: &Expr, free: bool) -> Doc {
        match &*expr.kind {
            ExprKind::None => text("none"),
            ExprKind::Bool(true) => text("true"),
            ExprKind::Bool(false) => text("false"),
            ExprKind::Number(number) => text(self.number(number)),
            // A literal stays as it was written, holes and all.
            ExprKind::Text(_) | ExprKind::Error => text(self.source(expr.span)),
            ExprKind::Name(name) => text(&**name),
            ExprKind::Field(base, name) => Doc::Many(vec![self.expr(base, free), text(format!(".{}", name.value))]),
            ExprKind::Index(base, index) => {
                let base = self.expr(base, free);
                Doc::Many(vec![base, text("["), self.bracketed(index), text("]")])
            }
            ExprKind::Call(callee, args) => {
                let open = callee.span.end;
                Doc::Many(vec![self.expr(callee, free), self.args(args, open, expr.span.end)])
            }
            ExprKind::List(items) => {
                self.sequence("[", items, |e| e.span, |e| self.expr(e, true), "]", expr.span.start, expr.span.end)
            }
            ExprKind::Comprehension { element, name, list, condition } => {
                let mut parts = vec![Doc::Soft, self.expr(element, true), Doc::Line];
                parts.push(text(format!("for {} in ", name.value)));
                parts.push(self.expr(list, true));
                if let Some(condition) = condition {
                    parts.extend([Doc::Line, text("if "), self.expr(condition, true)]);
                }
                group(Doc::Many(vec![text("["), indent(Doc::Many(parts)), Doc::Soft, text("]")]))
            }
            ExprKind::If { condition, then, otherwise } => {
                let gap = || if free { Doc::Line } else { text(" ") };
                let condition = self.expr(condition, free);
                let then = self.expr(then, free);
                let otherwise = self.expr(otherwise, free);
                group(Doc::Many(vec![
                    text("if "),
                    condition,
                    gap(),
                    text("then "),
                    then,
                    gap(),
                    text("else "),
                    otherwise,
                ]))
            }
            ExprKind::Lambda(names, body) => {
                Doc::Many(vec![text(format!("{} => ", parameters(names))), self.expr(body, free)])
            }
            ExprKind::Unary(op, operand) => {
                let sign = if op.value == UnaryOp::Not { "not " } else { "-" };
                Doc::Many(vec![text(sign), self.expr(operand, free)])
            }
            ExprKind::Binary(op, left, right) => {
                let gap = if free { Doc::Line } else { text(" ") };
                let left = self.expr(left, free);
                let right = self.expr(right, free);
                group(Doc::Many(vec![left, indent(Doc::Many(vec![gap, text(format!("{} ", op.symbol())), right]))]))
            }
            ExprKind::Range { low, high, inclusive } => {
                let mark = if *inclusive { "..=" } else { ".." };
                let mark = if is_plain(low) && is_plain(high) { mark.to_owned() } else { format!(" {mark} ") };
                Doc::Many(vec![self.expr(low, free), text(mark), self.expr(high, free)])
            }
            ExprKind::Pipe(..) => self.pipe(expr, free),
            ExprKind::Paren(inner) => Doc::Many(vec![text("("), self.bracketed(inner), text(")")]),
        }
    }

    /// One expression between brackets.
    fn bracketed(&self, inner: &Expr) -> Doc {
        let inner = self.expr(inner, true);
        group(Doc::Many(vec![indent(Doc::Many(vec![Doc::Soft, inner])), Doc::Soft]))
    }

    fn number(&self, number: &Number) -> String {
        let multiplier = number.multiplier.as_ref().map_or("", |m| &*m.value);
        let Some(unit) = &number.unit else { return format!("{}{multiplier}", number.digits) };
        if &*unit.value == "$" {
            return format!("${}{multiplier}", number.digits);
        }
        let before = self.file.text.get(..unit.span.start as usize).unwrap_or("");
        let gap = if before.ends_with([' ', '\t']) { " " } else { "" };
        format!("{}{multiplier}{gap}{}", number.digits, unit.value)
    }

    /// The arguments of a call, brackets included.
    pub fn args(&self, args: &[Arg], open: u32, end: u32) -> Doc {
        let span = |a: &Arg| a.name.as_ref().map_or(a.value.span, |n| n.span.to(a.value.span));
        self.sequence("(", args, span, |a| self.arg(a, 0), ")", open, end)
    }

    /// An argument; the name of a named one takes at least `width` columns.
    pub fn arg(&self, arg: &Arg, width: usize) -> Doc {
        match &arg.name {
            Some(name) => Doc::Many(vec![text(format!("{:width$} = ", name.value)), self.expr(&arg.value, true)]),
            None => self.expr(&arg.value, true),
        }
    }

    /// Entries between brackets: on one line, or one a line with a comma behind each.
    #[allow(clippy::too_many_arguments, reason = "the brackets, the entries and their places belong together")]
    pub fn sequence<T>(
        &self,
        open: &'static str,
        entries: &[T],
        span: impl Fn(&T) -> Span,
        doc: impl Fn(&T) -> Doc,
        close: &'static str,
        start: u32,
        end: u32,
    ) -> Doc {
        let brace = open == "{";
        let was_broken = entries.first().is_some_and(|first| {
            let text = self.file.text.get(start as usize..span(first).start as usize).unwrap_or("");
            text.trim_end_matches([' ', '\t']).ends_with('\n')
        });
        let mut parts = Vec::new();
        let edge = if brace { Doc::Line } else { Doc::Soft };
        let opener_comment = self.comments.behind(start + 1);
        for (index, entry) in entries.iter().enumerate() {
            let at = span(entry);
            parts.push(if index == 0 { edge.clone() } else { Doc::Line });
            for comment in self.comments.above(at.start) {
                parts.extend([text(comment.text), Doc::Hard]);
            }
            parts.push(doc(entry));
            parts.push(if index + 1 < entries.len() { text(",") } else { Doc::Broken(",") });
            parts.extend(self.comments.behind(at.end).map(Doc::Comment));
        }
        for comment in self.comments.above(end.saturating_sub(1)) {
            parts.extend([if parts.is_empty() { Doc::Soft } else { Doc::Hard }, text(comment.text)]);
            // Nothing may follow a comment on its line.
            parts.push(Doc::Comment(String::new()));
        }
        if parts.is_empty() && opener_comment.is_none() {
            return text(format!("{open}{close}"));
        }
        let opener = match opener_comment {
            Some(comment) => Doc::Many(vec![text(open), Doc::Comment(comment)]),
            None => text(open),
        };
        let whole = Doc::Many(vec![opener, indent(Doc::Many(parts)), edge, text(close)]);
        if was_broken { broken(whole) } else { group(whole) }
    }

    /// A chain of `|>`: on one line, or one step a line if it does not fit or the author broke it.
    fn pipe(&self, expr: &Expr, free: bool) -> Doc {
        let mut steps: Vec<&Expr> = Vec::new();
        let mut base = expr;
        while let ExprKind::Pipe(left, right) = &*base.kind {
            steps.push(right);
            base = left;
        }
        steps.reverse();
        let was_broken = self.comments.breaks(base.span.end, steps.first().map_or(base.span.end, |s| s.span.start))
            || steps.windows(2).any(|w| self.comments.breaks(w[0].span.end, w[1].span.start));
        let mut parts = vec![self.expr(base, free)];
        let mut chain = Vec::new();
        chain.extend(self.comments.behind(base.span.end).map(Doc::Comment));
        for (index, step) in steps.iter().enumerate() {
            for comment in self.comments.above(step.span.start) {
                chain.extend([Doc::Hard, text(comment.text)]);
            }
            chain.extend([Doc::Line, text("|> "), self.expr(step, free)]);
            // The comment behind the last step belongs to whatever the chain stands in.
            if index + 1 < steps.len() {
                chain.extend(self.comments.behind(step.span.end).map(Doc::Comment));
            }
        }
        parts.push(indent(Doc::Many(chain)));
        let whole = Doc::Many(parts);
        if was_broken { broken(whole) } else { group(whole) }
    }
}

/// `x` or `(a, b)`.
pub fn parameters(names: &[Name]) -> String {
    match names {
        [only] => only.value.to_string(),
        _ => format!("({})", names.iter().map(|n| &*n.value).collect::<Vec<_>>().join(", ")),
    }
}

/// Whether an end of a range reads well without blanks around the dots.
fn is_plain(end: &Expr) -> bool {
    match &*end.kind {
        ExprKind::Number(n) => n.unit.is_none() && n.digits.chars().all(|c| c.is_ascii_digit() || c == '_'),
        ExprKind::Name(_) | ExprKind::Field(..) => end.as_path().is_some(),
        _ => false,
    }
}
