//! "Did you mean".

/// How alike two names must be (normalised Damerau–Levenshtein) to be suggested; Nickel uses the same.
const ALIKE: f64 = 0.6;

/// At most three of `known` that look like `wrong`, the most alike first.
///
/// A name that differs only in case or in `_`/`-` wins over all others; names of one letter are never suggested.
pub fn similar<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace(['_', '-', ' '], "");
    let wanted = plain(wrong);
    let mut scored: Vec<(f64, &str)> = Vec::new();
    for name in known {
        if name.chars().count() < 2 || name == wrong || scored.iter().any(|(_, n)| *n == name) {
            continue;
        }
        let candidate = plain(name);
        let score = if candidate == wanted {
            2.0
        } else {
            // A path is judged by where it differs, or a long beginning would make all that follow it alike.
            let shared =
                wanted.rfind('.').filter(|dot| candidate.get(..=*dot) == wanted.get(..=*dot)).map_or(0, |dot| dot + 1);
            let alike = strsim::normalized_damerau_levenshtein(&wanted[shared..], &candidate[shared..]);
            // A cut-off or extended name ("valid" for "validate") is as good as a slip of the fingers.
            let prefix = wanted.len() >= 3 && (candidate.starts_with(&wanted) || wanted.starts_with(&candidate));
            if prefix { alike.max(0.7) } else { alike }
        };
        if score >= ALIKE {
            scored.push((score, name));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    if let Some((best, _)) = scored.first().copied() {
        // A clear winner stands alone.
        scored.retain(|(score, _)| *score >= best - 0.2 && (best < 2.0 || *score >= 2.0));
    }
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn suggests_what_was_meant() {
        let fields = ["layers", "heads", "width", "hidden", "context", "kv_heads", "n"];
        assert_eq!(similar("layrs", fields), ["layers"]);
        assert_eq!(similar("Layers", fields), ["layers"]);
        assert_eq!(similar("kvheads", fields), ["kv_heads"]);
        assert_eq!(similar("contex", fields), ["context"]);
        assert!(similar("optimizer", fields).is_empty());
        assert!(similar("m", fields).is_empty());
    }
}
