//! English forms of words: capital, article, plural.
//!
//! These follow spelling alone, with lists of the common exceptions. A grammar whose word is missing here can say the
//! form it wants as text.

/// Plurals that no rule gives.
const IRREGULAR: [(&str, &str); 34] = [
    ("calf", "calves"),
    ("child", "children"),
    ("deer", "deer"),
    ("die", "dice"),
    ("echo", "echoes"),
    ("elf", "elves"),
    ("fish", "fish"),
    ("foot", "feet"),
    ("goose", "geese"),
    ("half", "halves"),
    ("hero", "heroes"),
    ("knife", "knives"),
    ("leaf", "leaves"),
    ("life", "lives"),
    ("loaf", "loaves"),
    ("louse", "lice"),
    ("man", "men"),
    ("moose", "moose"),
    ("mosquito", "mosquitoes"),
    ("mouse", "mice"),
    ("ox", "oxen"),
    ("person", "people"),
    ("potato", "potatoes"),
    ("quiz", "quizzes"),
    ("salmon", "salmon"),
    ("scarf", "scarves"),
    ("series", "series"),
    ("sheep", "sheep"),
    ("shelf", "shelves"),
    ("species", "species"),
    ("tomato", "tomatoes"),
    ("tooth", "teeth"),
    ("wife", "wives"),
    ("wolf", "wolves"),
];

/// Beginnings that sound like a vowel although they are written with a consonant.
const SILENT: [&str; 5] = ["heir", "honest", "honor", "honour", "hour"];

/// Beginnings that sound like a consonant although they are written with a vowel.
const SOUNDED: [&str; 12] = ["eu", "ewe", "once", "one", "ubiq", "unanim", "uni", "ura", "us", "ut", "uk", "ufo"];

/// `unimportant` sounds like a vowel although it begins with `uni`.
const NEGATED: [&str; 6] = ["unid", "unim", "unin", "usher", "utter", "utmost"];

/// The first letter in upper case: `an owl` becomes `An owl`.
pub fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// The indefinite article and the text: `owl` becomes `an owl`.
pub fn article(text: &str) -> String {
    let word = text.trim_start().to_lowercase();
    let starts = |list: &[&str]| list.iter().any(|start| word.starts_with(start));
    let vowel = if starts(&SILENT) || starts(&NEGATED) {
        true
    } else if starts(&SOUNDED) {
        false
    } else {
        word.starts_with(['a', 'e', 'i', 'o', 'u', 'à', 'á', 'é', 'è', 'ö', 'ü', 'ä', 'ø', 'å'])
            || word.starts_with('8')
            || ["11 ", "18 "].iter().any(|n| word.starts_with(n))
    };
    format!("{} {text}", if vowel { "an" } else { "a" })
}

/// The text with its last word in the plural: `red fox` becomes `red foxes`.
pub fn plural(text: &str) -> String {
    let start =
        text.rfind(|c: char| !c.is_alphabetic()).map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8));
    let (before, word) = text.split_at(start);
    if word.is_empty() {
        return text.to_owned();
    }
    let lower = word.to_lowercase();
    // A compound takes the plural of its end: `snowman`, `grandchild`; but a human is no man.
    let irregular = IRREGULAR.iter().find(|(one, _)| {
        lower == *one
            || (matches!(
                *one,
                "man" | "child" | "tooth" | "foot" | "wife" | "mouse" | "fish" | "wolf" | "shelf" | "knife"
            ) && lower.ends_with(one)
                && !["human", "german", "roman", "shaman", "ottoman"].contains(&lower.as_str()))
    });
    let many = match irregular {
        Some((one, many)) => {
            let kept = &lower[..lower.len() - one.len()];
            let formed = format!("{kept}{many}");
            if word.starts_with(char::is_uppercase) { capital(&formed) } else { formed }
        }
        None => regular(word, &lower),
    };
    format!("{before}{many}")
}

fn regular(word: &str, lower: &str) -> String {
    let vowel_before_y = ["ay", "ey", "iy", "oy", "uy"].iter().any(|end| lower.ends_with(end));
    if lower.len() > 1 && lower.ends_with('y') && !vowel_before_y {
        format!("{}ies", &word[..word.len() - 1])
    } else if ["s", "x", "z", "ch", "sh"].iter().any(|end| lower.ends_with(end)) {
        format!("{word}es")
    } else {
        format!("{word}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_follow_the_sound() {
        for (word, wanted) in [
            ("owl", "an owl"),
            ("fox", "a fox"),
            ("hour", "an hour"),
            ("unicorn", "a unicorn"),
            ("uninvited guest", "an uninvited guest"),
            ("umbrella", "an umbrella"),
            ("European", "a European"),
            ("useful key", "a useful key"),
            ("one-eyed cat", "a one-eyed cat"),
            ("old one", "an old one"),
        ] {
            assert_eq!(article(word), wanted);
        }
    }

    #[test]
    fn plurals_of_the_last_word() {
        for (one, many) in [
            ("fox", "foxes"),
            ("red fox", "red foxes"),
            ("city", "cities"),
            ("boy", "boys"),
            ("child", "children"),
            ("Snowman", "Snowmen"),
            ("human", "humans"),
            ("grey wolf", "grey wolves"),
            ("sheep", "sheep"),
            ("church", "churches"),
            ("école", "écoles"),
            ("", ""),
        ] {
            assert_eq!(plural(one), many);
        }
    }

    #[test]
    fn capitals_of_any_script() {
        assert_eq!(capital("élan"), "Élan");
        assert_eq!(capital(""), "");
    }
}
