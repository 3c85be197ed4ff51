//! Slips of the hand: a wrong or missing `=`, a missing comma, a keyword as a name.

use super::super::grammar::Rule;
use super::super::scan::{Event, Scanner};
use super::super::words::{HARD_WORDS, ITEM_WORDS, KIND_WORDS, first_word, goes_on_word, is_reserved, starts_word};
use super::{Mistake, Place};
use crate::diagnostics::Code;

pub fn find(place: &Place<'_>) -> Option<Mistake> {
    brace_in_text(place)
        .or_else(|| strange(place))
        .or_else(|| start_of_field(place))
        .or_else(|| tuple(place))
        .or_else(|| dash_in_name(place))
        .or_else(|| item_as_value(place))
        .or_else(|| base_as_text(place))
        .or_else(|| assignment(place))
        .or_else(|| reserved(place))
        .or_else(|| number(place))
        .or_else(|| multiplier(place))
        .or_else(|| two_commas(place))
        .or_else(|| comma(place))
        .or_else(|| semicolon(place))
        .or_else(|| type_missing(place))
        .or_else(|| equals_missing(place))
        .or_else(|| blank_before_call(place))
        .or_else(|| value_missing(place))
}

/// A `}` in a text that has no `{`.
fn brace_in_text(place: &Place<'_>) -> Option<Mistake> {
    let in_text = place.expected.iter().any(|r| matches!(r, Rule::quote | Rule::quotes))
        && place.expected.contains(&Rule::escape);
    // Blanks count in a text, so the place must be taken as it is.
    (in_text && place.starts("}")).then(|| {
        Mistake::new(Code::E0110, place.here(1), "`}` closes no hole in this text")
            .help("write `\\}` for a brace that is text, or open the hole with `{` before")
            .fix("write `\\}`", place.here(1), "\\}")
    })
}

/// Characters that look like blanks or stand for nothing.
fn strange(place: &Place<'_>) -> Option<Mistake> {
    let first = place.rest().chars().next()?;
    if first == '\u{a0}' || first == '\u{feff}' || first == '\u{200b}' || first.is_whitespace() && !first.is_ascii() {
        return Some(
            Mistake::new(
                Code::E0101,
                place.here(first.len_utf8()),
                format!("the character U+{:04X} is no blank here", first as u32),
            )
            .help("it looks like a blank and was probably pasted")
            .fix("write a blank", place.here(first.len_utf8()), " "),
        );
    }
    if first == '\\' && place.rest()[1..].trim_start_matches([' ', '\t']).starts_with(['\n', '\r'])
        || place.rest() == "\\"
    {
        return Some(
            Mistake::new(Code::E0111, place.here(1), "a line is not continued with `\\`")
                .help("line breaks are free inside `( … )` and `[ … ]`, and before `|>`")
                .fix("remove `\\`", place.here(1), ""),
        );
    }
    None
}

/// Mistakes in what opens a field.
fn start_of_field(place: &Place<'_>) -> Option<Mistake> {
    let in_block = matches!(place.entry, Rule::field_only | Rule::member_only | Rule::axis_only);
    if !in_block || place.at != 0 {
        return None;
    }
    let word = place.word();
    if place.starts("- ") {
        return Some(super::top::yaml_list(0));
    }
    if place.starts(",") {
        return Some(
            Mistake::new(Code::E0101, 0..1, "a comma without a field before it").fix("remove it", 0..1, "").ends(),
        );
    }
    if place.starts("\"") {
        let end = place.text[1..].find('"')? + 1;
        let key = &place.text[1..end];
        if !key.is_empty() && first_word(key) == key {
            return Some(Mistake::new(Code::E0111, 0..end + 1, "names have no quotes").fix(
                "remove the quotes",
                0..end + 1,
                key,
            ));
        }
    }
    if ITEM_WORDS.contains(&word) || HARD_WORDS.contains(&word) {
        let after = place.text[word.len()..].trim_start();
        if ITEM_WORDS.contains(&word) && after.starts_with(starts_word) {
            return Some(
                Mistake::new(Code::E0116, 0..word.len(), format!("`{word}` cannot stand inside a block"))
                    .label("an item stands on the top level")
                    .ends(),
            );
        }
        if after.starts_with(['=', ':', '.']) {
            return Some(keyword_as_name(place, word));
        }
    }
    if matches!(word, "def" | "class" | "lambda" | "import" | "return")
        && place.text[word.len()..].trim_start().starts_with(starts_word)
    {
        return Some(
            Mistake::new(Code::E0111, 0..word.len(), format!("`{word}` is not a word of this language")).ends(),
        );
    }
    None
}

/// `(a, b)` where a list belongs.
fn tuple(place: &Place<'_>) -> Option<Mistake> {
    if !place.starts(",") || place.depth == 0 {
        return None;
    }
    let mut open = Vec::new();
    let mut close = None;
    for event in Scanner::new(place.text) {
        match event {
            Event::Open(at, _) | Event::HoleOpen(at) if at < place.at => open.push(at),
            Event::Close(at, _) | Event::HoleClose(at) if at < place.at => {
                open.pop();
            }
            Event::Open(at, _) | Event::HoleOpen(at) => open.push(at),
            Event::Close(at, _) | Event::HoleClose(at) => {
                let own = open.pop()?;
                if own < place.at {
                    close = Some((own, at));
                    break;
                }
            }
            _ => {}
        }
    }
    let (open, close) = close?;
    let before = place.text[..open].trim_end();
    let starts_value = before.ends_with(['=', '(', '[', ',']) || first_word(before.rsplit(' ').next()?) == "in";
    if !place.text[open..].starts_with('(') || !starts_value {
        return None;
    }
    let list = format!("[{}]", place.text[open + 1..close].trim());
    let shown: String = list.chars().take(40).collect();
    let title = if shown.len() < list.len() { "write a list".to_owned() } else { format!("write `{shown}`") };
    Some(
        Mistake::new(Code::E0111, open..close + 1, "several values in a row are a list")
            .help("lists are written `[a, b, c]`")
            .fix(title, open..close + 1, list),
    )
}

/// `stage pre-train`.
fn dash_in_name(place: &Place<'_>) -> Option<Mistake> {
    let dash = place.starts("-") && place.rest()[1..].starts_with(goes_on_word);
    let behind_name = place.entry == Rule::item_only && place.depth == 0 && opens_block(place);
    if !dash || !behind_name || !place.text[..place.at].ends_with(goes_on_word) {
        return None;
    }
    let start = place.text[..place.at].trim_end_matches(goes_on_word).len();
    let end = place.at + place.rest().find(|c: char| !goes_on_word(c) && c != '-').unwrap_or(place.rest().len());
    let own = place.text[start..end].replace('-', "_");
    Some(Mistake::new(Code::E0101, start..end, "a name has no `-`").help("words of a name are joined with `_`").fix(
        format!("write `{own}`"),
        start..end,
        own,
    ))
}

/// `model m = decoder(…)`.
fn item_as_value(place: &Place<'_>) -> Option<Mistake> {
    let kind = first_word(place.text.trim_start());
    if !place.starts("=") || place.entry != Rule::item_only || place.depth > 0 || !opens_block(place) {
        return None;
    }
    if !KIND_WORDS.contains(&kind) {
        return None;
    }
    let name = place.before().rsplit(' ').next()?;
    let variant = first_word(place.rest()[1..].trim_start());
    let form = match variant {
        "" => format!("{kind} {name} {{ … }}"),
        variant => format!("{kind} {name} : {variant} {{ … }}"),
    };
    Some(
        Mistake::new(
            Code::E0111,
            place.here(1),
            format!("{} {kind} is declared with braces", if kind.starts_with('e') { "an" } else { "a" }),
        )
        .label("no value stands here")
        .help(format!("write `{form}`, with a line for each field; only datasets are values"))
        .ends(),
    )
}

/// `model m from "gpt2"`.
fn base_as_text(place: &Place<'_>) -> Option<Mistake> {
    let before = place.before();
    let behind_from = before.ends_with("from") && !before[..before.len() - 4].ends_with(goes_on_word);
    if place.entry != Rule::item_only || !behind_from || !place.starts("\"") {
        return None;
    }
    let end = place.rest()[1..].find('"').map_or(1, |n| n + 2);
    Some(
        Mistake::new(Code::E0111, place.here(end), "an item is made from another item, not from a text")
            .help(
                "presets are items of the library: `use std.models.gpt2`, then `from gpt2.small`; published weights are a stage: \
                 `stage base : pretrained { folder = \"…\" }`",
            )
            .ends(),
    )
}

/// Whether the braces of an item, or what may stand before them, could come here.
fn opens_block(place: &Place<'_>) -> bool {
    place.expected.iter().any(|r| matches!(r, Rule::lbrace | Rule::block | Rule::colon | Rule::sweep_block))
}

/// `:`, `==`, `:=`, `=>` and the like where `=` belongs, and `=` where `==` does.
fn assignment(place: &Place<'_>) -> Option<Mistake> {
    let wants_eq = place.expected.contains(&Rule::eq);
    let in_axis = place.entry == Rule::axis_only && place.expected.contains(&Rule::kw_in);
    let wrong = [":=", "==", "=>", "<-", ":"].into_iter().find(|w| place.starts(w));
    if in_axis && let Some(wrong) = wrong.or(place.starts("=").then_some("=")) {
        return Some(Mistake::new(Code::E0101, place.here(wrong.len()), "an axis is written `path in values`").fix(
            "write `in`",
            place.here(wrong.len()),
            pad(place, wrong.len(), "in"),
        ));
    }
    if let Some(wrong) = wrong
        && (wants_eq || place.depth > 0 && named_argument(place))
    {
        let code = if wrong == "=>" { Code::E0111 } else { Code::E0105 };
        let what = if place.depth > 0 { "an argument" } else { "a field" };
        return Some(
            Mistake::new(code, place.here(wrong.len()), format!("{what} is set with `=`, not `{wrong}`")).fix(
                "write `=`",
                place.here(wrong.len()),
                pad(place, wrong.len(), "="),
            ),
        );
    }
    if place.starts("=") && !wants_eq {
        if place.expected.contains(&Rule::kw_then)
            || place.text.trim_start().starts_with("expect")
            || place.expected.contains(&Rule::kw_when)
        {
            return Some(
                Mistake::new(Code::E0105, place.here(1), "`=` sets a field; values are compared with `==`").fix(
                    "write `==`",
                    place.here(1),
                    "==",
                ),
            );
        }
        if place.depth > 0 && place.behind_value() {
            return Some(
                Mistake::new(Code::E0101, place.here(1), "only a plain name can stand before the `=` of an argument")
                    .help("write `name = value`, or `==` for a comparison"),
            );
        }
    }
    if place.entry == Rule::member_only && place.starts("=") && place.expected.contains(&Rule::colon) {
        return Some(
            Mistake::new(Code::E0114, place.here(1), "a field of a schema needs a type")
                .label("`: TYPE` was expected before this")
                .help("write `name : Type = default`"),
        );
    }
    None
}

/// `own` for the `len` bytes at the place, with a blank on both sides.
fn pad(place: &Place<'_>, len: usize, own: &str) -> String {
    let left = if place.text[..place.at].ends_with([' ', '\t']) { "" } else { " " };
    let right = if place.text[place.at + len..].starts_with([' ', '\t']) { "" } else { " " };
    format!("{left}{own}{right}")
}

/// Whether a lone name stands right before the place, at the start of an argument.
fn named_argument(place: &Place<'_>) -> bool {
    let before = place.before();
    let name = before.trim_end_matches(goes_on_word);
    name.len() < before.len() && name.trim_end().ends_with(['(', ','])
}

fn reserved(place: &Place<'_>) -> Option<Mistake> {
    let word = place.word();
    let wants_name = place.expected.iter().any(|r| matches!(r, Rule::new_name | Rule::name | Rule::path));
    (is_reserved(word) && wants_name && !place.wants_value()).then(|| keyword_as_name(place, word))
}

fn keyword_as_name(place: &Place<'_>, word: &str) -> Mistake {
    let own = format!("my_{word}");
    let mistake =
        Mistake::new(Code::E0112, place.here(word.len()), format!("`{word}` is a keyword and cannot be a name"));
    mistake.fix(format!("rename to `{own}`"), place.here(word.len()), own)
}

fn number(place: &Place<'_>) -> Option<Mistake> {
    let digit = |c: char| c.is_ascii_digit();
    if place.wants_value() && place.starts(".") && place.rest()[1..].starts_with(digit) {
        return Some(Mistake::new(Code::E0108, place.here(1), "a number starts with a digit").fix(
            "add a zero",
            place.at..place.at,
            "0",
        ));
    }
    // `1.` and `1.2.3` stop behind a dot that should be followed by a name.
    let before = &place.text[..place.at];
    if let Some(number) = before.strip_suffix('.')
        && number.ends_with(digit)
        && !place.rest().starts_with(starts_word)
    {
        let start = number.rfind(|c: char| !c.is_ascii_digit() && c != '_' && c != '.').map_or(0, |n| n + 1);
        let end = place.at + place.rest().find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(place.rest().len());
        let mistake = Mistake::new(Code::E0108, start..end, "this is not a number")
            .help("a number has one point at most, with digits on both sides");
        return Some(if end == place.at { mistake.fix("add a zero", end..end, "0") } else { mistake });
    }
    // `96 %` was read as a remainder.
    if place.wants_value() && place.before().ends_with('%') {
        let number = place.before()[..place.before().len() - 1].trim_end();
        let gap = number.len()..place.before().len() - 1;
        let last = place.rest().is_empty() || place.rest().starts_with([',', ')', ']', '}', '\n', '\r']);
        if last && number.ends_with(digit) && !gap.is_empty() {
            return Some(
                Mistake::new(Code::E0108, gap.start..gap.end + 1, "`%` stands directly behind its number")
                    .help("behind a blank it is the remainder of a division")
                    .fix("remove the blank", gap, ""),
            );
        }
    }
    None
}

/// `10K tokens`: a multiplier in the wrong case, which was read as a unit.
fn multiplier(place: &Place<'_>) -> Option<Mistake> {
    let before = place.before();
    let letter = before.chars().next_back().filter(|c| matches!(c, 'K' | 'm' | 'b'))?;
    let number = before[..before.len() - 1].trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '_' | '.'));
    let digits = number.len() < before.len() - 1 && !number.ends_with(goes_on_word);
    if !digits || before.len() == place.at || !place.rest().starts_with(starts_word) {
        return None;
    }
    let (own, at) = (
        if letter == 'K' {
            "k"
        } else if letter == 'm' {
            "M"
        } else {
            "B"
        },
        before.len() - 1,
    );
    Some(
        Mistake::new(Code::E0108, at..at + 1, format!("`{letter}` multiplies nothing"))
            .help("there are k (1,000), M (a million), B, T and Ki, Mi, Gi, Ti")
            .fix(format!("write `{own}`"), at..at + 1, own),
    )
}

fn two_commas(place: &Place<'_>) -> Option<Mistake> {
    (place.starts(",") && place.depth > 0 && place.before().ends_with([',', '(', '['])).then(|| {
        Mistake::new(Code::E0101, place.here(1), "a comma without anything before it").fix(
            "remove it",
            place.here(1),
            "",
        )
    })
}

/// Two things in a row where a comma or a line break belongs between.
fn comma(place: &Place<'_>) -> Option<Mistake> {
    let first = place.rest().chars().next()?;
    let word = place.word();
    let opens = starts_word(first) && !HARD_WORDS.contains(&word)
        || first.is_ascii_digit()
        || matches!(first, '"' | '(' | '[' | '$');
    let constant = matches!(word, "true" | "false" | "none" | "not");
    let behind_axes = place.entry == Rule::over_only && place.before().ends_with('}');
    if !(opens || constant) || !(place.behind_value() || behind_axes) {
        return None;
    }
    let end = place.before().len();
    if place.depth > 0 && named_argument(place) && (first.is_ascii_digit() || matches!(first, '"' | '$')) {
        return Some(Mistake::new(Code::E0101, end..end, "`=` is missing").label("`=` was expected here").fix(
            "add `=`",
            end..end,
            " =",
        ));
    }
    if place.depth > 0 {
        // Something misspelt between two values is no list of three.
        return Some(Mistake::new(Code::E0106, end..end, "a comma is missing").label("`,` was expected here").fix(
            "add a comma",
            end..end,
            ",",
        ));
    }
    let path_end = place.rest().find(|c: char| !goes_on_word(c) && c != '.').unwrap_or(place.rest().len());
    let after = place.rest()[path_end..].trim_start_matches([' ', '\t']);
    let field = !word.is_empty()
        && (after.starts_with('=') && !after.starts_with("==")
            || after.starts_with("+=")
            || place.entry == Rule::member_only && after.starts_with(':')
            || place.entry == Rule::axis_only && first_word(after) == "in");
    if !field || place.before().is_empty() {
        return None;
    }
    if place.entry == Rule::item_only {
        return Some(Mistake::new(Code::E0106, end..end, "a comma is missing").label("`,` was expected here").fix(
            "add a comma",
            end..end,
            ",",
        ));
    }
    let mut mistake = Mistake::new(Code::E0117, place.at..place.at + path_end, "two fields on one line")
        .label("a line break or a comma was expected before this")
        .fix("add a comma", end..end, ",");
    mistake.split = Some(end..place.at);
    Some(mistake)
}

fn semicolon(place: &Place<'_>) -> Option<Mistake> {
    if !place.starts(";") {
        return None;
    }
    let behind = place.rest()[1..].trim_start_matches([' ', '\t']);
    let last = behind.is_empty() || behind.starts_with(['\n', '\r', '#']) || place.before().ends_with([',', '(', '[']);
    let mistake = Mistake::new(Code::E0111, place.here(1), "nothing ends with `;`")
        .help("a field ends with its line, or at a comma");
    if last {
        let mistake = mistake.fix("remove `;`", place.here(1), "");
        return Some(if place.before().is_empty() { mistake.ends() } else { mistake });
    }
    let mut mistake = mistake.fix("write a comma", place.here(1), ",");
    mistake.split = (place.depth == 0 && place.entry != Rule::item_only).then(|| place.here(1));
    Some(mistake)
}

fn type_missing(place: &Place<'_>) -> Option<Mistake> {
    let wants_type = place.expected.iter().any(|r| matches!(r, Rule::type_name | Rule::type_expr | Rule::one_of));
    let first = place.rest().chars().next()?;
    if !wants_type || place.wants_value() {
        return None;
    }
    (first.is_ascii_digit() || first == '"').then(|| {
        Mistake::new(Code::E0114, place.here(1), "a type is expected behind `:`")
            .label("this is a value")
            .help("write `name : Type = value`; a value is set with `=`")
    })
}

/// `width 64`
fn equals_missing(place: &Place<'_>) -> Option<Mistake> {
    let first = place.rest().chars().next()?;
    let value = first.is_ascii_digit()
        || matches!(first, '"' | '[' | '$')
        || starts_word(first) && !HARD_WORDS.contains(&place.word());
    let end = place.before().len();
    // Behind the type of a field its default may come.
    let in_type = place.entry == Rule::member_only && place.expected.contains(&Rule::eq);
    if !value
        || end == 0
        || !(place.before().ends_with(goes_on_word) || in_type && place.before().ends_with([']', '?', ')']))
    {
        return None;
    }
    if place.entry == Rule::axis_only && place.expected.contains(&Rule::kw_in) {
        return Some(Mistake::new(Code::E0101, end..end, "`in` is missing").label("`in` was expected here").fix(
            "add `in`",
            end..end,
            " in",
        ));
    }
    place.expected.contains(&Rule::eq).then(|| {
        Mistake::new(Code::E0101, end..end, "`=` is missing").label("`=` was expected here").fix(
            "add `=`",
            end..end,
            " =",
        )
    })
}

/// A name alone where a field belongs: `metrics = perplexity, bits_per_byte`.
fn value_missing(place: &Place<'_>) -> Option<Mistake> {
    let name = place.text.trim_end();
    let alone = place.entry == Rule::field_only && place.at == place.text.len() && place.expected.contains(&Rule::eq);
    (alone && !name.is_empty() && first_word(name).len() == name.len()).then(|| {
        Mistake::new(Code::E0101, 0..name.len(), format!("`{name}` has no value"))
            .label("a field is written `NAME = VALUE`")
            .help("if this is one more value of the field before it, the two are a list: `[a, b]`")
    })
}

fn blank_before_call(place: &Place<'_>) -> Option<Mistake> {
    let gap = place.before().len()..place.at;
    if !(place.starts("(") || place.starts("[") || place.starts(".")) || gap.is_empty() || !place.behind_value() {
        return None;
    }
    let mark = &place.rest()[..1];
    Some(Mistake::new(Code::E0101, gap.clone(), format!("no blank may stand before `{mark}`")).fix(
        "remove the blank",
        gap,
        "",
    ))
}
