//! Texts: escapes, holes, and the dedenting of `"""`.

use super::super::ast::{Expr, TextPart};
use super::super::grammar::Rule;
use super::{Kids, Lower};
use crate::diagnostics::{Code, Problem};
use pest::iterators::Pair;
use std::sync::Arc;

/// The escapes that exist, for messages.
const ESCAPES: &str = r#"`\n`, `\t`, `\\`, `\"`, `\{`, `\}` and `\u{…}`"#;

/// A piece of a text before it is dedented.
enum Piece<'i> {
    Raw(&'i str),
    Escape(String),
    Hole(Expr),
}

impl Lower<'_> {
    pub fn text(&self, pair: Pair<'_, Rule>) -> Vec<TextPart> {
        let block = matches!(pair.as_rule(), Rule::block_text | Rule::raw_block);
        let mut pieces = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::line_chars | Rule::block_chars | Rule::raw_chars | Rule::raw_block_chars => {
                    pieces.push(Piece::Raw(part.as_str()));
                }
                Rule::escape => pieces.push(Piece::Escape(self.escape(&part))),
                Rule::hole => {
                    if let Some(expr) = Kids::of(part).find(Rule::expr) {
                        pieces.push(Piece::Hole(self.expr(expr)));
                    }
                }
                _ => {}
            }
        }
        if block { join(dedent(pieces)) } else { join(pieces) }
    }

    fn escape(&self, pair: &Pair<'_, Rule>) -> String {
        let written = pair.as_str();
        let resolved = match written.as_bytes().get(1) {
            Some(b'n') => Some('\n'),
            Some(b't') => Some('\t'),
            Some(b'\\') => Some('\\'),
            Some(b'"') => Some('"'),
            Some(b'{') => Some('{'),
            Some(b'}') => Some('}'),
            Some(b'u') => written
                .strip_prefix("\\u{")
                .and_then(|s| s.strip_suffix('}'))
                .filter(|hex| hex.len() <= 6)
                .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                .and_then(char::from_u32),
            _ => None,
        };
        if let Some(c) = resolved {
            return c.to_string();
        }
        let span = self.span(pair);
        let problem = if written.starts_with("\\u{") {
            Problem::new(Code::E0110, span, format!("`{written}` is not a character"))
                .help("write one to six hexadecimal digits of a Unicode scalar value, as in `\\u{e9}`")
        } else {
            Problem::new(Code::E0110, span, format!("there is no escape `{written}`"))
                .help(format!("the escapes are {ESCAPES}; `r\"…\"` is text without any"))
                .fix("write a backslash", span, format!("\\{written}"))
        };
        self.problem(problem);
        written.to_owned()
    }
}

/// Joins neighbours, so that text without holes is one part at most.
fn join(pieces: Vec<Piece<'_>>) -> Vec<TextPart> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    for piece in pieces {
        match piece {
            Piece::Raw(text) => plain.push_str(text),
            Piece::Escape(text) => plain.push_str(&text),
            Piece::Hole(expr) => {
                if !plain.is_empty() {
                    parts.push(TextPart::Plain(Arc::from(std::mem::take(&mut plain))));
                }
                parts.push(TextPart::Hole(expr));
            }
        }
    }
    if !plain.is_empty() {
        parts.push(TextPart::Plain(Arc::from(plain)));
    }
    parts
}

/// Drops the first line break and the indentation that all lines share. A line of blanks becomes empty, so a closing
/// `"""` on a line of its own leaves just the line break before it.
fn dedent(pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    let mut lines: Vec<Vec<Piece<'_>>> = vec![Vec::new()];
    for piece in pieces {
        let Piece::Raw(text) = piece else {
            if let Some(line) = lines.last_mut() {
                line.push(piece);
            }
            continue;
        };
        for (index, part) in text.split('\n').enumerate() {
            if index > 0 {
                lines.push(Vec::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push(Piece::Raw(part));
            }
        }
    }
    for line in &mut lines {
        if let Some(Piece::Raw(text)) = line.last_mut() {
            *text = text.strip_suffix('\r').unwrap_or(text);
        }
    }
    let blank =
        |line: &[Piece<'_>]| line.iter().all(|p| matches!(p, Piece::Raw(t) if t.trim_matches([' ', '\t']).is_empty()));
    let opener_line = usize::from(!lines.first().is_some_and(|l| blank(l)));
    if opener_line == 0 && lines.len() > 1 {
        lines.remove(0);
    }
    let margin = |line: &[Piece<'_>]| match line.first() {
        Some(Piece::Raw(text)) => text.len() - text.trim_start_matches([' ', '\t']).len(),
        _ => 0,
    };
    let common = lines.iter().skip(opener_line).filter(|l| !blank(l)).map(|l| margin(l)).min().unwrap_or(0);
    let mut out = Vec::new();
    for (index, mut line) in lines.into_iter().enumerate() {
        if index > 0 {
            out.push(Piece::Raw("\n"));
        }
        if index >= opener_line {
            if blank(&line) {
                continue;
            }
            if let Some(Piece::Raw(text)) = line.first_mut() {
                *text = text.get(common..).unwrap_or("");
            }
        }
        out.extend(line);
    }
    out
}
