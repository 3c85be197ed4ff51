//! The canonical form that is hashed.
//!
//! A value is written as a tag, a length and its content, so that no two values share an encoding. Keys are sorted; a
//! field that is null is left out, so "absent" and "null" are one meaning and an optional field can be added to a schema
//! without changing what is already stored; a number with a whole value is written as that whole number, so `1.0` is `1`.

use super::Digest;
use blake3::Hasher;
use serde_json::{Number, Value as Json};

/// Version of the encoding and of everything above it that decides what enters a hash. It is raised when the same
/// meaning would be written in another way; every stored result is then made again.
pub const VERSION: u8 = 1;

/// The identity of `value` as a thing of the kind `domain` (`"stage"`, `"data"` …): blake3, in hex.
///
/// Two kinds of thing never share an identity, even with equal contents.
pub fn digest(domain: &str, value: &Json) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"emberlab");
    hasher.update(&[VERSION]);
    text(&mut hasher, b'd', domain);
    encode(&mut hasher, value);
    hasher.finalize().to_hex().to_string()
}

fn encode(out: &mut Hasher, value: &Json) {
    match value {
        Json::Null => {
            out.update(b"n");
        }
        Json::Bool(b) => {
            out.update(if *b { b"t" } else { b"f" });
        }
        Json::Number(n) => number(out, n),
        Json::String(s) => text(out, b's', s),
        Json::Array(items) => {
            length(out, b'l', items.len());
            items.iter().for_each(|item| encode(out, item));
        }
        Json::Object(fields) => {
            let mut present: Vec<(&String, &Json)> = fields.iter().filter(|(_, v)| !v.is_null()).collect();
            present.sort_by_key(|(key, _)| *key);
            length(out, b'o', present.len());
            for (key, value) in present {
                text(out, b'k', key);
                encode(out, value);
            }
        }
    }
}

fn number(out: &mut Hasher, number: &Number) {
    let float = number.as_f64().unwrap_or(0.0);
    let whole = match (number.as_i64(), number.as_u64()) {
        (Some(i), _) => Some(i128::from(i)),
        (_, Some(u)) => Some(i128::from(u)),
        // Beyond 2^63 a float has no exact whole reading that an integer field could also have.
        _ if float.fract() == 0.0 && float.abs() < 9.2e18 => Some(float as i128),
        _ => None,
    };
    match whole {
        Some(i) => text(out, b'i', &i.to_string()),
        None => {
            out.update(b"x");
            out.update(&float.to_bits().to_be_bytes());
        }
    }
}

fn text(out: &mut Hasher, tag: u8, text: &str) {
    length(out, tag, text.len());
    out.update(text.as_bytes());
}

fn length(out: &mut Hasher, tag: u8, length: usize) {
    out.update(&[tag]);
    out.update(&(length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::digest;
    use serde_json::{Value as Json, json};

    fn same(a: Json, b: Json) -> bool {
        digest("test", &a) == digest("test", &b)
    }

    #[test]
    fn one_meaning_has_one_form() {
        assert!(same(json!({"a": 1, "b": [2, 3]}), json!({"b": [2.0, 3], "a": 1.0})), "order of keys, 1.0 and 1");
        assert!(same(json!({"a": 1}), json!({"a": 1, "b": null})), "absent and null");
        assert!(same(json!(-0.0), json!(0)), "minus zero");
        assert!(same(json!(1e15), json!(1_000_000_000_000_000_i64)));
    }

    #[test]
    fn different_meanings_differ() {
        let all = [
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(1),
            json!(-1),
            json!(0.5),
            json!(1e300),
            json!(""),
            json!("0"),
            json!("1"),
            json!([]),
            json!([[]]),
            json!([null]),
            json!(["a", "b"]),
            json!(["ab"]),
            json!([["a"], "b"]),
            json!([["a", "b"]]),
            json!({}),
            json!({"a": 1}),
            json!({"a": "1"}),
            json!({"b": 1}),
            json!({"a": {"b": 1}}),
            json!({"a": {}, "b": 1}),
            json!(9_007_199_254_740_993_i64),
            json!(u64::MAX),
        ];
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert_ne!(digest("test", a), digest("test", b), "{a} and {b}");
            }
        }
        assert_ne!(digest("stage", &json!({})), digest("data", &json!({})), "kinds of things are apart");
        assert_ne!(digest("a", &json!("b")), digest("ab", &json!("")));
    }

    #[test]
    fn the_form_is_pinned() {
        // Stored results are found by these identities; a change here orphans every one of them.
        let sample = json!({"is": "adamw", "lr": 0.001, "betas": [0.9, 0.95], "steps": 610, "clip": null, "on": true});
        assert_eq!(digest("sample", &sample), "d1003f48f3aff30742132487dbcb6d993971a35da3f0ee847eaeb2f08ab75ffc");
    }
}
