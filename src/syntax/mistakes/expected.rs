//! The message for a mistake that has no name: what was expected, in the user's words.

use super::super::grammar::{Failure, Rule};
use super::super::words::first_word;
use super::Mistake;
use crate::diagnostics::Code;
use std::ops::Range;

/// What the user would call a thing that the grammar expected; `None` for what may always follow and helps nobody.
fn words(rule: Rule) -> Option<&'static str> {
    use Rule::*;
    Some(match rule {
        expr | term | number | digits | dollar | list | paren | name_ref | not | negative | kw_if | lambda_head
        | if_head | kw_true | kw_false | kw_none | line_text | block_text | raw_text | raw_block | quote | quotes
        | kw_not | limits | arg => "a value",
        type_expr | type_union | type_within | type_name | type_apply | type_group | one_of => "a type",
        name | new_name | word | path | symbol | base | variant | use_path | parameter => "a name",
        eq => "`=`",
        colon => "`:`",
        comma => "`,`",
        lbrace => "`{`",
        rbrace | hole_close => "`}`",
        lparen | fn_params => "`(`",
        rparen => "`)`",
        lbracket => "`[`",
        rbracket => "`]`",
        arrow => "`=>`",
        kw_then => "`then`",
        kw_else => "`else`",
        kw_in => "`in`",
        kw_of => "`of`",
        kw_from => "`from`",
        kw_is => "`is`",
        kw_with | with => "`with`",
        kw_when => "`when`",
        kw_for | for_clause => "`for`",
        block | members | sweep_block | axes => "`{`",
        EOI => "the end",
        item_only | module => "an item",
        _ => return None,
    })
}

/// What stands at `at`, in words, and its range.
pub fn found(text: &str, at: usize) -> (String, Range<usize>) {
    let rest = &text[at..];
    let Some(first) = rest.chars().next() else { return ("the end of the line".into(), at..at) };
    if first == '\n' {
        return ("the end of the line".into(), at..at);
    }
    let word = first_word(rest);
    let len = if !word.is_empty() {
        word.len()
    } else if first.is_ascii_digit() {
        rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.')).unwrap_or(rest.len())
    } else {
        let pairs = [
            "==", "!=", "<=", ">=", "=>", "->", "&&", "||", "|>", "+=", "-=", "*=", "//", "/*", "**", ":=", "++", "..",
            "::", "<<", "--",
        ];
        if pairs.iter().any(|p| rest.starts_with(p)) { 2 } else { first.len_utf8() }
    };
    let described = match first {
        '"' => "a text".to_owned(),
        '\u{a0}' => "a non-breaking space".to_owned(),
        c if c.is_control() || !c.is_ascii() && !c.is_alphanumeric() => format!("the character U+{:04X}", c as u32),
        _ => format!("`{}`", &rest[..len]),
    };
    (described, at..at + len)
}

/// The last thing before `at`, as written.
pub fn before(text: &str, at: usize) -> Option<&str> {
    let kept = text[..at].trim_end();
    let last = kept.chars().next_back()?;
    let start = if last.is_alphanumeric() || last == '_' {
        kept.rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |n| n + kept[n..].chars().next().map_or(1, char::len_utf8))
    } else if last == '"' {
        return None;
    } else {
        let symbol = |c: char| matches!(c, '=' | '<' | '>' | '!' | '|' | '&' | '+' | '*' | '/' | ':' | '.');
        if symbol(last) {
            kept.rfind(|c: char| !symbol(c)).map_or(0, |n| n + kept[n..].chars().next().map_or(1, char::len_utf8))
        } else {
            kept.len() - last.len_utf8()
        }
    };
    kept.get(start..)
}

/// The message for whatever stopped the strict rule `entry`.
pub fn unexpected(_entry: Rule, text: &str, failure: &Failure) -> Mistake {
    if failure.gave_up {
        let mut mistake = Mistake::new(Code::E0003, 0..0, "this is too deeply nested");
        mistake.help = Some("name an inner part with `let` and use the name".into());
        return mistake;
    }
    let blanks = text[failure.at..].len() - text[failure.at..].trim_start_matches([' ', '\t', '\r']).len();
    let (what, mut range) = found(text, failure.at + blanks);
    let mut expected: Vec<&str> = Vec::new();
    for rule in &failure.expected {
        if let Some(word) = words(*rule)
            && !expected.contains(&word)
        {
            expected.push(word);
        }
    }
    // A value may start with these, which says nothing more.
    if expected.contains(&"a value") || expected.contains(&"a type") {
        expected.retain(|w| !matches!(*w, "`(`" | "`[`" | "a name" | "`=>`"));
    }
    let wants_value = expected.contains(&"a value");
    let at_end = range.is_empty();
    if at_end {
        // Point behind the last thing on the line rather than at nothing.
        let end = text[..range.start].trim_end().len();
        range = end..end;
    }
    let previous = before(text, range.start);
    let after = previous.map(|p| format!(" after `{p}`")).unwrap_or_default();
    let list = join(&expected);
    let code = if wants_value && previous == Some("=") && at_end {
        Code::E0104
    } else if expected == ["a type"] {
        Code::E0114
    } else {
        Code::E0101
    };
    let message = match (expected.as_slice(), at_end) {
        ([], true) => "this ends too early".to_owned(),
        ([], false) => format!("{what} is not expected here"),
        (_, true) => format!("expected {list}{after}"),
        ([_], false) => format!("expected {list}{after}, found {what}"),
        (_, false) => format!("{what} is not expected here"),
    };
    let mut mistake = Mistake::new(code, range, message);
    mistake.label = if expected.is_empty() { String::new() } else { format!("expected {list}") };
    mistake
}

fn join(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}
