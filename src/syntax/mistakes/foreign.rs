//! Spellings of Python, YAML, HCL and others.

use super::super::grammar::Rule;
use super::super::scan::{Event, Scanner};
use super::super::words::{first_word, goes_on_word};
use super::{Mistake, Place};
use crate::diagnostics::Code;

/// The constant that a word of another language stands for.
pub fn constant(word: &str) -> Option<&'static str> {
    match word {
        "True" | "TRUE" => Some("true"),
        "False" | "FALSE" => Some("false"),
        "None" | "null" | "nil" | "NULL" | "Null" => Some("none"),
        _ => None,
    }
}

/// Operators of other languages, the longest first.
const OPERATORS: [(&str, &str); 9] = [
    ("===", "=="),
    ("!==", "!="),
    ("<>", "!="),
    ("&&", " and "),
    ("||", " or "),
    ("->", "=>"),
    ("^", "**"),
    ("=<", "<="),
    ("≤", "<="),
];

pub fn find(place: &Place<'_>) -> Option<Mistake> {
    operator(place)
        .or_else(|| path(place))
        .or_else(|| comment(place))
        .or_else(|| quotes(place))
        .or_else(|| conditional(place))
        .or_else(|| python(place))
        .or_else(|| jinja(place))
        .or_else(|| braces(place))
        .or_else(|| hcl(place))
}

fn operator(place: &Place<'_>) -> Option<Mistake> {
    // `x -> y` stops at the `>`, since `-` is an operator.
    let before = &place.text[..place.at];
    let read_already = if place.starts(">") {
        ["-", "<"].into_iter().find(|m| before.ends_with(m))
    } else if place.starts("=") {
        ["==", "!=", "=", "!", "<"].into_iter().find(|m| before.ends_with(m))
    } else {
        None
    };
    let at = place.at - read_already.map_or(0, str::len);
    let text = &place.text[at..];
    if place.wants_value() && text.starts_with('!') && !text.starts_with("!=") {
        let end = at + 1 + text[1..].len() - text[1..].trim_start().len();
        return Some(Mistake::new(Code::E0111, at..at + 1, "`!` is written `not`").fix("write `not`", at..end, "not "));
    }
    let behind = place.text.get(place.at.saturating_sub(2)..).unwrap_or("");
    for (foreign, own) in OPERATORS {
        let from = if text.starts_with(foreign) {
            at
        } else if foreign.len() == 3 && behind.starts_with(foreign) {
            place.at - 2
        } else {
            continue;
        };
        let end = from + foreign.len();
        let written = own.trim();
        // Words need a blank on both sides, and not two.
        let own = if own.starts_with(' ') {
            let left = if place.text[..from].ends_with(' ') { "" } else { " " };
            let right = if place.text[end..].starts_with(' ') { "" } else { " " };
            format!("{left}{written}{right}")
        } else {
            own.to_owned()
        };
        return Some(Mistake::new(Code::E0111, from..end, format!("`{foreign}` is written `{written}`")).fix(
            format!("write `{written}`"),
            from..end,
            own,
        ));
    }
    let word = place.word();
    if word == "is" && place.behind_value() {
        let rest = place.rest()[2..].trim_start();
        let not = first_word(rest) == "not";
        let end = if not { place.text.len() - rest.len() + 3 } else { place.at + 2 };
        let own = if not { "!=" } else { "==" };
        return Some(Mistake::new(Code::E0111, place.at..end, format!("values are compared with `{own}`")).fix(
            format!("write `{own}`"),
            place.at..end,
            own,
        ));
    }
    None
}

/// `text(data/*.txt)`: a path without quotes, which would otherwise be read as a division or a comment.
fn path(place: &Place<'_>) -> Option<Mistake> {
    let goes_on =
        |c: char| !c.is_whitespace() && !matches!(c, ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '=');
    let before = &place.text[..place.at];
    // Where `/*` is no operator, the place is its `/`.
    let stem = if place.starts("/*") { before } else { before.strip_suffix('/').unwrap_or("") };
    let pattern = (place.starts("/*") || place.starts("*")) && stem.ends_with(goes_on);
    let root = ["./", "../", "~/", "/"].iter().any(|r| place.starts(r)) && !place.starts("//") && !place.starts("/*");
    if !(pattern || root && place.wants_value()) {
        return None;
    }
    let start = if pattern { before.trim_end_matches(goes_on).len() } else { place.at };
    let end = place.at + place.rest().find(|c: char| !goes_on(c)).unwrap_or(place.rest().len());
    let path = &place.text[start..end];
    let named =
        path.trim_start_matches(['.', '~', '/']).starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '*');
    if path.ends_with("*/") || !named || !path.contains(char::is_alphabetic) {
        return None;
    }
    Some(Mistake::new(Code::E0111, start..end, "a path stands in quotes").fix(
        "add the quotes",
        start..end,
        format!("\"{path}\""),
    ))
}

fn comment(place: &Place<'_>) -> Option<Mistake> {
    let slash = if place.starts("//") || place.starts("/*") || place.starts("--") && place.behind_value() {
        place.at
    } else if place.starts("/") && place.text[..place.at].ends_with('/')
        || place.starts("*") && place.text[..place.at].ends_with('/')
    {
        place.at - 1
    } else {
        return None;
    };
    let line = &place.text[slash..];
    let line = &line[..line.find(['\n', '\r']).unwrap_or(line.len())];
    let mistake = Mistake::new(Code::E0111, slash..slash + 2, "comments start with `#`");
    // `4 // 2`: Python's division to a whole number, rather than a comment of one word.
    let word = line[2..].trim();
    if line.starts_with("//") && word.starts_with(|c: char| c.is_ascii_digit() || c == '(') && !word.contains(' ') {
        return Some(mistake.help("a division is written `/`; `floor(a / b)` is whole").fix(
            "write `/`",
            slash..slash + 2,
            "/",
        ));
    }
    if let (true, Some(close)) = (line.starts_with("/*"), line.find("*/")) {
        let comment = line[2..close].trim();
        let behind = line[close + 2..].trim();
        let whole = slash..slash + close + 2;
        let mistake = if behind.is_empty() {
            mistake.fix("make it a comment", whole, format!("# {comment}"))
        } else {
            mistake.fix("remove it", whole, "").help("a comment goes on to the end of its line")
        };
        return Some(if slash == 0 { mistake.ends() } else { mistake });
    }
    let mistake = mistake.help("a division is written `/`").fix(
        "make it a comment",
        slash..slash + line.len(),
        format!("# {}", line[2..].trim()),
    );
    Some(if slash == 0 { mistake.ends() } else { mistake })
}

fn quotes(place: &Place<'_>) -> Option<Mistake> {
    let rest = place.rest();
    let first = rest.chars().next()?;
    if let Some(close) = match first {
        '\'' | '`' => Some(first),
        '“' | '”' | '„' => Some('”'),
        '‘' | '’' => Some('’'),
        _ => None,
    } {
        let open_len = first.len_utf8();
        let line = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
        let mistake = Mistake::new(Code::E0111, place.here(open_len), "text stands in double quotes");
        let end = line[open_len..].find([close, '"', '“']).filter(|n| *n > 0 || line[open_len..].starts_with(close));
        let Some(end) = end else { return Some(mistake.help("write `\"…\"`")) };
        let close_len = line[open_len + end..].chars().next().map_or(1, char::len_utf8);
        let content = line[open_len..open_len + end].replace('{', "\\{").replace('}', "\\}");
        return Some(mistake.fix(
            "write double quotes",
            place.here(open_len + end + close_len),
            format!("\"{content}\""),
        ));
    }
    // `f"…"`: the letter was read as a name.
    if first == '"' {
        let before = &place.text[..place.at];
        let letter = before.chars().next_back().filter(|c| matches!(c, 'f' | 'F' | 'b' | 'u' | 'R'))?;
        if before[..before.len() - 1].ends_with(goes_on_word) {
            return None;
        }
        let at = place.at - 1;
        let own = if letter == 'R' { "r" } else { "" };
        return Some(
            Mistake::new(Code::E0111, at..place.at, format!("text has no prefix `{letter}`"))
                .help("every `\"…\"` may have holes: `\"width {width}\"`; `r\"…\"` is raw")
                .fix("remove the prefix", at..place.at, own),
        );
    }
    None
}

fn conditional(place: &Place<'_>) -> Option<Mistake> {
    let word = place.word();
    if word == "elif" || word == "elseif" {
        return Some(Mistake::new(Code::E0111, place.here(word.len()), format!("`{word}` is written `else if`")).fix(
            "write `else if`",
            place.here(word.len()),
            "else if",
        ));
    }
    if word == "if" && place.behind_value() {
        // `a if c else b`
        let segment = place.segment();
        let value = place.text.get(segment.start..place.at)?.trim_end();
        let rest = place.text.get(place.at + 2..segment.end)?;
        let mistake = Mistake::new(Code::E0111, place.here(2), "`a if c else b` is written `if c then a else b`");
        let Some((condition, otherwise)) = split_word(rest, "else") else {
            return Some(mistake.help("an `if` has a `then` and an `else`"));
        };
        let own = format!("if {} then {value} else {}", condition.trim(), otherwise.trim());
        return Some(mistake.fix("turn it around", segment, own));
    }
    if place.starts("?") && place.behind_value() {
        let segment = place.segment();
        let condition = place.text.get(segment.start..place.at)?.trim_end();
        let rest = place.text.get(place.at + 1..segment.end)?;
        let mistake = Mistake::new(Code::E0111, place.here(1), "`c ? a : b` is written `if c then a else b`");
        let Some((then, otherwise)) = rest.split_once(':') else { return Some(mistake) };
        let own = format!("if {condition} then {} else {}", then.trim(), otherwise.trim());
        return Some(mistake.fix("write `if`", segment, own));
    }
    if place.starts("{") && place.expected.contains(&Rule::kw_then)
        || place.starts(":") && place.expected.contains(&Rule::kw_then)
        || word == "do" && place.expected.contains(&Rule::kw_then)
    {
        let len = if word == "do" { 2 } else { 1 };
        let mistake = Mistake::new(Code::E0111, place.here(len), "the condition of an `if` is followed by `then`")
            .help("`if` is a value here: `if c then a else b`");
        return Some(if place.starts("{") { mistake } else { mistake.fix("write `then`", place.here(len), " then ") });
    }
    let at_end = place.rest().is_empty() || place.starts(",") || place.starts(")") || place.starts("]");
    if at_end && place.expected.contains(&Rule::kw_else) {
        let end = place.before().len();
        return Some(
            Mistake::new(Code::E0101, end..end, "this `if` has no `else`")
                .label("`else` was expected here")
                .help("`if` is a value, so both ways need one: `if c then a else b`"),
        );
    }
    None
}

/// Splits at a whole word.
fn split_word<'t>(text: &'t str, word: &str) -> Option<(&'t str, &'t str)> {
    let (at, _) = text
        .match_indices(word)
        .find(|(at, _)| !text[..*at].ends_with(goes_on_word) && !text[at + word.len()..].starts_with(goes_on_word))?;
    Some((&text[..at], &text[at + word.len()..]))
}

fn python(place: &Place<'_>) -> Option<Mistake> {
    // `lambda x: body` was read as the name `lambda` and something behind it.
    let before = place.before();
    let start = before.len().checked_sub("lambda".len())?;
    if before.get(start..) == Some("lambda") && !before[..start].ends_with(goes_on_word) {
        let rest = &place.text[start + 6..];
        let (names, _) = rest.split_once(':')?;
        let valid = names.chars().all(|c| goes_on_word(c) || matches!(c, ',' | ' '));
        let mistake = Mistake::new(Code::E0111, start..start + 6, "`lambda x: …` is written `x => …`");
        if !valid {
            return Some(mistake);
        }
        let many = names.contains(',') || names.trim().is_empty();
        let own = if many { format!("({}) =>", names.trim()) } else { format!("{} =>", names.trim()) };
        return Some(mistake.fix("write `=>`", start..start + 6 + names.len() + 1, own));
    }
    None
}

/// `{%` or `{{` in a text that is not raw: a chat template of somebody used to Jinja.
fn jinja(place: &Place<'_>) -> Option<Mistake> {
    if !place.wants_value() || !(place.starts("%") || place.starts("{")) {
        return None;
    }
    let hole = place.at.checked_sub(1)?;
    let mut scanner = Scanner::new(place.text);
    scanner.by_ref().find(|event| *event == Event::HoleOpen(hole))?;
    let (start, block) = scanner.open_text_at()?;
    let mistake = Mistake::new(Code::E0111, hole..place.at + 1, "`{` opens a hole in a text that is not raw")
        .label("a value belongs into a hole")
        .help("texts with braces of their own, such as chat templates, are written raw: `r\"…\"`");
    let quotes = if block { "\"\"\"" } else { "\"" };
    let inside = &place.text[start + quotes.len()..];
    let inside = if block { inside } else { inside.lines().next().unwrap_or("") };
    // A raw text knows no escapes and ends with the first quote.
    let same = match inside.split_once(quotes) {
        Some((content, behind)) => !content.contains('\\') && (block || !behind.contains('"')),
        None => false,
    };
    Some(if same { mistake.fix("write it raw", start..start, "r") } else { mistake.ends() })
}

fn braces(place: &Place<'_>) -> Option<Mistake> {
    if place.starts("{") && place.text[..place.at].ends_with('$') {
        let inside = place.rest()[1..].split('}').next().unwrap_or("");
        let (start, end) = (place.at - 1, place.at + inside.len() + 2);
        let plain = !inside.is_empty() && inside.chars().all(|c| goes_on_word(c) || c == '.');
        let mistake = Mistake::new(Code::E0111, start..place.at + 1, "a value is named as it is, without `${…}`")
            .help("in a text a hole is `{name}`");
        let whole = plain && end <= place.text.len();
        return Some(if whole { mistake.fix(format!("write `{inside}`"), start..end, inside) } else { mistake });
    }
    if place.starts("=") && place.before() == "over" && place.rest()[1..].trim_start().starts_with('{') {
        return Some(
            Mistake::new(Code::E0111, place.here(1), "axes stand in a block, without `=`")
                .help("write `over { path in [a, b] }`")
                .fix("remove `=`", place.here(1), ""),
        );
    }
    if place.wants_value() && place.starts("{") {
        return Some(
            Mistake::new(Code::E0111, place.here(1), "a value is not written in braces")
                .label("no value starts with `{`")
                .help("braces make items; a value with fields is a call, as in `adamw(lr = 1e-3)`, and a list is `[a, b]`"),
        );
    }
    if place.wants_value() && (place.starts("**") || place.starts("*")) && place.depth > 0 {
        let len = if place.starts("**") { 2 } else { 1 };
        return Some(Mistake::new(Code::E0111, place.here(len), "arguments cannot be unpacked").help(
            "write each argument out; what several items share goes into one item that the others amend with `from`",
        ));
    }
    None
}

fn hcl(place: &Place<'_>) -> Option<Mistake> {
    if place.starts("{") && place.entry == Rule::field_only && place.expected.contains(&Rule::eq) {
        return Some(
            Mistake::new(Code::E0111, place.here(1), "a field is not opened with a brace")
                .label("`=` was expected before this")
                .help("only items have braces; a value with fields is a call: `optimizer = adamw(lr = 1e-3)`"),
        );
    }
    if place.wants_value() && place.starts("<<") || place.starts("<") && place.text[..place.at].ends_with('<') {
        let start = if place.starts("<<") { place.at } else { place.at - 1 };
        let word = first_word(place.text[start + 2..].trim_start_matches(['-', '~', '\'', '"']));
        let mut mistake = Mistake::new(Code::E0111, start..start + 2, "text of several lines stands in `\"\"\"`")
            .help("write `\"\"\"`, the text on lines of its own, and `\"\"\"`; common indentation is removed");
        mistake.until = Some(word.to_owned());
        return Some(mistake.ends());
    }
    if place.starts("\"")
        && !place.wants_value()
        && place.expected.iter().any(|r| matches!(r, Rule::new_name | Rule::lbrace | Rule::eq))
    {
        let rest = &place.rest()[1..];
        let end = rest.find('"')?;
        let label = &rest[..end];
        let plain = !label.is_empty() && first_word(label) == label;
        let range = place.here(end + 2);
        if place.expected.contains(&Rule::new_name) {
            let mistake = Mistake::new(Code::E0111, range.clone(), "names have no quotes");
            return Some(if plain { mistake.fix("remove the quotes", range, label) } else { mistake });
        }
        if place.entry == Rule::item_only && place.expected.contains(&Rule::lbrace) {
            return Some(
                Mistake::new(Code::E0111, range, "an item has one name and no labels")
                    .help("items are `KIND name { field = value }`"),
            );
        }
    }
    None
}
