//! Personal information replaced by marks.

use crate::plan::spec::Personal;
use regex::{Captures, Match, Regex};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// What replaces each kind.
const MARKS: [(Personal, &str); 3] =
    [(Personal::Emails, "[email]"), (Personal::Phones, "[phone]"), (Personal::IpAddresses, "[ip_address]")];

static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\b[a-z0-9](?:[a-z0-9._%+'-]*[a-z0-9_%+-])?@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}\b")
});

/// International with `+`, or ten digits in groups of three, three and four with their usual dividers.
static PHONE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\+[0-9]{1,3}(?:[ .\-/]?\(?[0-9]{1,5}\)?){1,6}[0-9]|(?:\b1[ .\-])?\([2-9][0-9]{2}\)[ .\-]?[0-9]{3}[ .\-][0-9]{4}\b|(?:\b1[ .\-])?\b[2-9][0-9]{2}[ .\-][0-9]{3}[ .\-][0-9]{4}\b",
    )
});

static IPV4: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"));

/// Anything that could be one; whether it is, the parser of the standard library says.
static IPV6: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}"));

#[expect(clippy::expect_used, reason = "the patterns are constants, and a test compiles each")]
fn pattern(constant: &str) -> Regex {
    Regex::new(constant).expect("the pattern is a constant that a test compiles")
}

/// The text with each of `kinds` replaced by its mark, and how many were; `None` when there was nothing to replace.
///
/// What looks like one and is not stays: version numbers and private addresses are no one's address, and numbers after
/// `ISBN`, `DOI` and the like are no telephones.
pub(super) fn redact(text: &str, kinds: &[Personal]) -> Option<(String, usize)> {
    let mut current = text.to_owned();
    let mut count = 0;
    for (kind, mark) in MARKS.iter().filter(|(kind, _)| kinds.contains(kind)) {
        let (patterns, test): (&[&LazyLock<Regex>], Test) = match kind {
            Personal::Emails => (&[&EMAIL], |_, _| true),
            Personal::Phones => (&[&PHONE], is_phone),
            Personal::IpAddresses => (&[&IPV4, &IPV6], is_address),
        };
        for pattern in patterns {
            let replaced = pattern.replace_all(&current, |found: &Captures<'_>| match found.get(0) {
                Some(whole) if test(&current, whole) => {
                    count += 1;
                    (*mark).to_owned()
                }
                Some(whole) => whole.as_str().to_owned(),
                None => String::new(),
            });
            current = replaced.into_owned();
        }
    }
    (count > 0).then_some((current, count))
}

type Test = fn(&str, Match<'_>) -> bool;

fn is_phone(text: &str, found: Match<'_>) -> bool {
    let digits = found.as_str().bytes().filter(u8::is_ascii_digit).count();
    if !(8..=15).contains(&digits) {
        return false;
    }
    let before = tail(&text[..found.start()], 24).to_lowercase();
    let touches = |c: char| c.is_alphanumeric() || matches!(c, '#' | '/' | '=' | '$' | '.');
    if before.ends_with(touches) || text[found.end()..].starts_with(|c: char| c.is_alphanumeric() || c == '/') {
        return false;
    }
    !["isbn", "issn", "doi", "arxiv", "id:", "no."].iter().any(|word| before.contains(word))
}

fn is_address(text: &str, found: Match<'_>) -> bool {
    let Ok(address) = found.as_str().parse::<IpAddr>() else { return false };
    let before = tail(&text[..found.start()], 12).to_lowercase();
    let after = &text[found.end()..];
    if before.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric) {
        return false;
    }
    // A fifth number, or a word before it, makes it a version and not an address.
    let version = ["version ", "release ", "ver "].iter().any(|word| before.ends_with(word))
        || before.ends_with(['.', ':'])
        || after.starts_with('.') && after[1..].starts_with(|c: char| c.is_ascii_digit())
        || after.starts_with(':') && after[1..].starts_with(|c: char| c.is_ascii_hexdigit()) && address.is_ipv6();
    !version && is_public(address)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let documentation = v4.is_documentation() || v4.is_broadcast();
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || documentation || v4 == Ipv4Addr::UNSPECIFIED)
                && v4.octets()[0] != 0
                && v4.octets()[0] < 224
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            !(v6 == Ipv6Addr::LOCALHOST || v6 == Ipv6Addr::UNSPECIFIED) && (0x2000..0x4000).contains(&first)
        }
    }
}

/// The last characters of a text, at most `count` bytes.
fn tail(text: &str, count: usize) -> &str {
    let mut start = text.len().saturating_sub(count);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Personal; 3] = [Personal::Emails, Personal::Phones, Personal::IpAddresses];

    fn marked(text: &str) -> String {
        redact(text, &ALL).map_or_else(|| text.to_owned(), |(new, _)| new)
    }

    #[test]
    fn personal_information_is_replaced() {
        assert_eq!(marked("Write to ann.b+x@mail.example.co.uk."), "Write to [email].");
        assert_eq!(marked("Call (415) 555-2671 or 415-555-2671 now"), "Call [phone] or [phone] now");
        assert_eq!(marked("+49 30 901820 and +44 20 7946 0958"), "[phone] and [phone]");
        assert_eq!(marked("from 8.8.8.8, 2001:4860:4860::8888"), "from [ip_address], [ip_address]");
        assert_eq!(redact("a@b.org c@d.org", &ALL).map(|(_, n)| n), Some(2));
        assert_eq!(redact("8.8.8.8", &[Personal::Emails]), None);
    }

    #[test]
    fn what_only_looks_like_it_stays() {
        for text in [
            "version 1.2.3.4 of it",
            "192.168.1.1 and 127.0.0.1",
            "1.2.3.4.5",
            "ISBN 978-3-16-148410-0",
            "ISBN 316-148-4100",
            "12:30:45 on 2024-11-23",
            "999.999.999.999",
            "std::fmt::Display and a::b",
            "user@localhost",
            "3.14159265358979",
            "call 123",
        ] {
            assert_eq!(marked(text), text);
        }
    }
}
