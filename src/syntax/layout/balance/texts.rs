//! Texts without an end.

use super::super::super::words::goes_on_word;
use super::{Balancer, Change, Code, Event, Fault, Scanner, first_word, line_range, partner};

impl Balancer<'_> {
    /// A text that starts at `start` and that its line, or the file, did not end before `end`.
    pub(super) fn unterminated(&mut self, start: usize, end: usize, block: bool) {
        if self.full() {
            return;
        }
        let quote = if block { "\"\"\"" } else { "\"" };
        let (start, at) = match self.left_open_before(start) {
            Some(meant) if !block => meant,
            _ => (start, self.likely_end(start + quote.len(), end)),
        };
        // The brackets that were opened before the text lost their partners to it.
        let mut open = 0usize;
        for event in Scanner::new(&self.text[at..end.max(at)]) {
            match event {
                Event::Open(..) => open += 1,
                Event::Close(..) if open > 0 => open -= 1,
                Event::Close(_, byte) if self.stack.last().is_some_and(|last| last.byte == partner(byte)) => {
                    self.stack.pop();
                }
                _ => {}
            }
        }
        let line = line_range(self.text, start);
        self.fault(Fault {
            code: Code::E0109,
            range: start..end.max(start + 1),
            message: if block { "this text is never closed" } else { "this text does not end on its line" }.into(),
            label: "the text starts here",
            second: Some((at..at, format!("`{quote}` was expected here at the latest"))),
            help: (!block).then(|| "use `\"\"\"` for text of several lines".into()),
            fix: Some(format!("add `{quote}`")),
            change: Change::new(at.min(line.end)..at.min(line.end), quote),
            gives_up: block,
            quiet: None,
        });
    }

    /// Where a text with the content from `start` on was meant to end, at `end` at the latest: before what goes on as code does,
    /// `, name =` or `) |>`, or before the brackets at its end that close what is open.
    fn likely_end(&self, start: usize, end: usize) -> usize {
        let content = self.text[start..end.max(start)].trim_end();
        let named = |behind: &str| {
            let word = first_word(behind);
            !word.is_empty() && behind[word.len()..].trim_start().starts_with("= ")
        };
        let goes_on = |at: usize, c: char| match c {
            ',' => named(content[at + 1..].trim_start()),
            ')' => content[at + 1..].trim_start().starts_with("|>"),
            _ => false,
        };
        if let Some((at, _)) = content.char_indices().find(|(at, c)| goes_on(*at, *c)) {
            return start + at;
        }
        let tail = content.trim_end_matches([')', ']', ',', ' ']).len();
        let closers: Vec<(usize, u8)> =
            content.bytes().enumerate().skip(tail).filter(|(_, b)| matches!(b, b')' | b']')).collect();
        let fits = |from: &usize| {
            let wanted = closers[*from..].iter().map(|(_, b)| partner(*b));
            self.stack.iter().rev().map(|o| o.byte).take(closers.len() - from).eq(wanted)
        };
        start + (0..closers.len()).find(fits).map_or(content.len(), |from| closers[from].0)
    }

    /// The text on the line of the quote at `start` that was meant to end before its own line did, and where: in
    /// `text("a.txt, license = "MIT")` a word follows what seems to be the end of the first text.
    fn left_open_before(&self, start: usize) -> Option<(usize, usize)> {
        let line = line_range(self.text, start);
        let quotes: Vec<usize> = (line.start..start)
            .filter(|at| self.text.as_bytes()[*at] == b'"' && !self.text[..*at].ends_with('\\'))
            .collect();
        let (open, close) = quotes
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .find(|(_, close)| self.text[close + 1..].starts_with(goes_on_word))?;
        let content = &self.text[open + 1..close];
        // Brackets in what the text swallowed were not counted.
        let end = content.find(',').filter(|_| !content.contains(['(', ')', '[', ']', '{', '}']))?;
        Some((open, open + 1 + end))
    }
}
