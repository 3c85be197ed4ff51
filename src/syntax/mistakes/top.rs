//! Lines on the top level that are no items.

use super::super::grammar::Rule;
use super::super::layout::item_keyword;
use super::super::words::{HARD_WORDS, ITEM_WORDS, KIND_WORDS, first_word};
use super::{Mistake, Place};
use crate::diagnostics::Code;
use crate::diagnostics::suggest::similar;

/// Words that open things in other languages, and what stands for them here.
const FOREIGN: [(&str, &str); 15] = [
    ("def", "functions are `fn name(x : Type) = value`"),
    ("function", "functions are `fn name(x : Type) = value`"),
    ("func", "functions are `fn name(x : Type) = value`"),
    ("lambda", "functions are `fn name(x : Type) = value`"),
    ("class", "a new kind of record is `schema name { field : Type }`"),
    ("struct", "a new kind of record is `schema name { field : Type }`"),
    ("type", "a new kind of record is `schema name { field : Type }`"),
    ("import", "modules are named with `use std.data.clean` or `use \"./file.exp\"`"),
    ("include", "modules are named with `use std.data.clean` or `use \"./file.exp\"`"),
    ("resource", "items are `KIND name { field = value }`, without quotes around the name"),
    ("variable", "a value that may be set from outside is `param name : Type = value`"),
    ("const", "a value gets a name with `let name = value`"),
    ("var", "a value gets a name with `let name = value`"),
    ("for", "nothing is repeated with a loop; a list is made with `[f(x) for x in list]` and variants with `sweep`"),
    ("while", "nothing is repeated with a loop; a list is made with `[f(x) for x in list]` and variants with `sweep`"),
];

pub fn find(place: &Place<'_>) -> Option<Mistake> {
    if place.entry != Rule::item_only || item_keyword(place.text).is_some() {
        return None;
    }
    let text = place.text.trim_start();
    let start = place.text.len() - text.len();
    let word = first_word(text);
    let here = start..start + word.len();
    let after = text[word.len()..].trim_start_matches([' ', '\t']);
    if text.starts_with("//") || text.starts_with("/*") {
        let end = start + text.find('\n').unwrap_or(text.len());
        let content = text[2..end - start].trim().trim_end_matches("*/").trim_end();
        return Some(
            Mistake::new(Code::E0111, start..start + 2, "comments start with `#`")
                .fix("make it a comment", start..end, format!("# {content}"))
                .ends(),
        );
    }
    if text.starts_with("---") {
        return Some(
            Mistake::new(Code::E0111, start..start + 3, "this is not a YAML document")
                .help("items are `KIND name { field = value }`; remove the line")
                .ends(),
        );
    }
    if text.starts_with("- ") {
        return Some(yaml_list(start));
    }
    if word.is_empty() {
        return Some(start_of_line(text, start));
    }
    if word == "amends" && after.starts_with(|c: char| super::super::words::starts_word(c) || matches!(c, '.' | '/')) {
        let path = after.lines().next().unwrap_or(after).trim_end();
        let at = start + text.len() - after.len();
        return Some(Mistake::new(Code::E0111, at..at + path.len(), "the path of a file stands in quotes").fix(
            format!("write `amends \"{path}\"`"),
            at..at + path.len(),
            format!("\"{path}\""),
        ));
    }
    if word == "from" && after.contains("import") {
        let (module, names) = after.split_once("import")?;
        let line = format!("use {} {{ {} }}", module.trim(), names.trim());
        return Some(
            Mistake::new(Code::E0111, here, "`from … import …` is Python")
                .help("names are taken out of a module with `use module { name }`")
                .fix("write `use`", start..start + text.trim_end().len(), line),
        );
    }
    if word == "import" && after.starts_with(super::super::words::starts_word) {
        return Some(
            Mistake::new(Code::E0111, here.clone(), "`import` is not a word of this language")
                .help("modules are named with `use std.data.clean` or `use \"./file.exp\"`")
                .fix("write `use`", here, "use"),
        );
    }
    if matches!(word, "const" | "var" | "val" | "local") && after.starts_with(super::super::words::starts_word) {
        return Some(
            Mistake::new(Code::E0111, here.clone(), format!("`{word}` is not a word of this language"))
                .help("a value gets a name with `let name = value`")
                .fix("write `let`", here, "let"),
        );
    }
    if let Some((_, help)) = FOREIGN.iter().find(|(w, _)| *w == word)
        && !after.starts_with('=')
    {
        return Some(
            Mistake::new(Code::E0111, here, format!("`{word}` is not a word of this language")).help(*help).ends(),
        );
    }
    if (ITEM_WORDS.contains(&word) || KIND_WORDS.contains(&word)) && !after.starts_with(['=', ':', '.', '+']) {
        return None;
    }
    if after.starts_with(':') && !after.starts_with(":=") {
        return Some(
            Mistake::new(Code::E0111, here.clone(), "`key: value` on the top level is YAML")
                .label("no item starts like this")
                .help("fields stand inside an item, as `name = value`: `experiment name { seed = 42 }`")
                .ends(),
        );
    }
    let path_end = text.find(|c: char| !super::super::words::goes_on_word(c) && c != '.').unwrap_or(text.len());
    let after_path = text[path_end..].trim_start_matches([' ', '\t']);
    if (after_path.starts_with('=') && !after_path.starts_with("==")) || after_path.starts_with("+=") {
        let mut mistake = Mistake::new(Code::E0116, start..start + path_end, "a field cannot stand on the top level")
            .label("this belongs inside an item")
            .help("move it into the `{ … }` of an item, or name a value with `let`")
            .ends();
        if path_end == word.len()
            && !HARD_WORDS.contains(&word)
            && !KIND_WORDS.contains(&word)
            && !ITEM_WORDS.contains(&word)
        {
            mistake = mistake.fix("make it a `let`", start..start, "let ");
        }
        return Some(mistake);
    }
    let keywords = ITEM_WORDS.into_iter().chain(KIND_WORDS);
    let named = after.starts_with(super::super::words::starts_word) || after.starts_with('{');
    if let (true, Some(best)) = (named, similar(word, keywords).first()) {
        return Some(
            Mistake::new(Code::E0107, here.clone(), format!("`{word}` is no kind of item"))
                .help(format!("did you mean `{best}`?"))
                .fix(format!("write `{best}`"), here, *best),
        );
    }
    Some(
        Mistake::new(Code::E0107, here, format!("`{word}` does not start an item"))
            .label("an item keyword is expected at the start of the line")
            .help(format!("the items are `{}` and `{}`", ITEM_WORDS.join("`, `"), KIND_WORDS.join("`, `")))
            .ends(),
    )
}

/// A line that starts with a mark.
fn start_of_line(text: &str, start: usize) -> Mistake {
    let (what, range) = super::expected::found(text, 0);
    let range = range.start + start..range.end + start;
    let operator = text.starts_with(['+', '-', '*', '/', '%', '=', '<', '>', '.', ',', '?', '|', '&']);
    if operator {
        return Mistake::new(Code::E0101, range, format!("a line cannot start with {what}"))
            .help("a value ends with its line, unless it stands in `( … )` or `[ … ]`; only `|>` may open a line")
            .ends();
    }
    let other = match text.as_bytes().first() {
        Some(b'{') => Some("JSON"),
        Some(b'[') => Some("TOML"),
        _ => None,
    };
    let mistake = Mistake::new(Code::E0107, range, format!("{what} does not start an item"))
        .label("an item keyword is expected at the start of the line");
    match other {
        Some(other) if start == 0 => mistake
            .help(format!(
                "this is no {other}: items are `KIND name {{ field = value }}`; `exp init` writes a first file"
            ))
            .ends(),
        _ => mistake.help("remove it, or put it inside an item").ends(),
    }
}

pub fn yaml_list(start: usize) -> Mistake {
    Mistake::new(Code::E0111, start..start + 1, "`- item` is YAML")
        .label("no list starts like this")
        .help("lists are written `[a, b, c]`")
        .ends()
}
