//! Numbers with commas in them, which would end their fields.

use super::{Balancer, Change, Code, Fault, line_range};

impl Balancer<'_> {
    /// `budget = 1,000 steps`: outside of brackets nothing else has digits on both sides of a comma.
    pub(super) fn thousands(&mut self) {
        let mut at = 0;
        while let Some(found) = self.text[at..].find(',') {
            let comma = at + found;
            at = comma + 1;
            let line = line_range(self.text, comma);
            let before = &self.text[line.start..comma];
            let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let head = before[..before.len() - digits].trim_end();
            if !(1..=3).contains(&digits) || !head.ends_with('=') || head.contains(['"', '#', '(', '[']) {
                continue;
            }
            let (start, mut end) = (comma - digits, comma);
            let group = |end: usize| {
                let rest = self.text.as_bytes().get(end..end + 4)?;
                (rest[0] == b',' && rest[1..].iter().all(u8::is_ascii_digit)).then_some(end + 4)
            };
            while let Some(next) = group(end) {
                end = next;
            }
            if end == comma || self.text[end..].starts_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            at = end;
            let number = self.text[start..end].replace(',', "_");
            self.fault(Fault {
                code: Code::E0108,
                range: start..end,
                message: "thousands are not set apart with commas".into(),
                label: "a comma ends a field",
                second: None,
                help: None,
                fix: Some(format!("write `{number}`")),
                change: Change::new(start..end, number),
                gives_up: false,
                quiet: None,
            });
        }
    }
}
