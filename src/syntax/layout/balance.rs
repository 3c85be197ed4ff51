//! Finds the brackets and quotes of an item that have no partner, and guesses where the partner belongs.
//!
//! Every guess is an edit that balances the item, so the grammar can go on and the fields around it are not lost. The
//! guesses use the layout of the lines, but only once something is known to be missing.

use super::super::patch::Change;
use super::super::scan::{Event, Scanner};
use super::{first_word, line_range};
use crate::diagnostics::Code;
use std::ops::Range;

/// One bracket or quote without a partner. All positions are bytes of the chunk.
#[derive(Debug)]
pub struct Fault {
    pub code: Code,
    pub range: Range<usize>,
    pub message: String,
    pub label: &'static str,
    pub second: Option<(Range<usize>, String)>,
    pub help: Option<String>,
    /// The title of the fix, when the change is certain enough to be offered.
    pub fix: Option<String>,
    pub change: Change,
    /// Nothing after it in the chunk can be trusted.
    pub gives_up: bool,
}

/// How many faults of one item are explained; the rest of it is not worth reading.
const MOST_FAULTS: usize = 16;

#[derive(Debug, Default)]
pub struct Balance {
    pub faults: Vec<Fault>,
    /// Whether there were more faults than are explained.
    pub overflow: bool,
    /// Line breaks inside matched `()` and `[]`.
    pub breaks: Vec<usize>,
    pub open_block: Option<super::Open>,
    pub stray: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    byte: u8,
    at: usize,
    hole: bool,
    /// How many line breaks had been seen when it was opened.
    breaks: usize,
}

struct Balancer<'a> {
    text: &'a str,
    stack: Vec<Open>,
    pending: Vec<usize>,
    /// `{` and `}` that were matched outside text.
    blocks: Vec<(usize, usize)>,
    out: Balance,
    strays: Vec<usize>,
}

/// Matches the brackets of one chunk.
pub fn balance(text: &str) -> Balance {
    let mut balancer = Balancer {
        text,
        stack: Vec::new(),
        pending: Vec::new(),
        blocks: Vec::new(),
        out: Balance::default(),
        strays: Vec::new(),
    };
    for event in Scanner::new(text) {
        balancer.see(event);
    }
    balancer.finish()
}

impl Balancer<'_> {
    fn full(&mut self) -> bool {
        self.out.overflow |= self.out.faults.len() >= MOST_FAULTS;
        self.out.overflow
    }

    fn fault(&mut self, fault: Fault) {
        if !self.full() {
            self.out.faults.push(fault);
        }
    }

    fn see(&mut self, event: Event) {
        match event {
            Event::Line(at) if !self.stack.is_empty() => self.pending.push(at),
            Event::Open(at, byte) => self.open(at, byte, false),
            Event::HoleOpen(at) => self.open(at, b'{', true),
            Event::Close(at, byte) => self.close(at, byte),
            Event::HoleClose(at) => {
                if let Some(index) = self.stack.iter().rposition(|o| o.hole) {
                    self.unclosed_above(index, at);
                    self.stack.truncate(index);
                }
            }
            Event::Unterminated { start, end, block } => {
                self.stack.retain(|o| o.at < start);
                self.unterminated(start, end, block);
            }
            Event::HoleLost { start, end } => {
                self.stack.retain(|o| o.at < start);
                self.fault(Fault {
                    code: Code::E0102,
                    range: start..start + 1,
                    message: "this `{` opens a hole in the text that nothing closes".into(),
                    label: "opened here",
                    second: Some((end..end, "`}` was expected on this line".into())),
                    help: Some("write `\\{` for a brace that is text".into()),
                    fix: Some("write `\\{`".into()),
                    change: Change::new(start..start, "\\"),
                    gives_up: false,
                });
            }
            _ => {}
        }
    }

    fn open(&mut self, at: usize, byte: u8, hole: bool) {
        self.stack.push(Open { byte, at, hole, breaks: self.pending.len() });
    }

    fn close(&mut self, at: usize, byte: u8) {
        let wanted = partner(byte);
        let floor = self.stack.iter().rposition(|o| o.hole).map_or(0, |i| i + 1);
        let found = self.stack[floor..].iter().rposition(|o| o.byte == wanted).map(|i| i + floor);
        if let Some(index) = found {
            self.unclosed_above(index, at);
            let open = self.stack[index];
            if byte == b'}' {
                self.blocks.push((open.at, at));
            } else {
                self.out.breaks.extend(self.pending.drain(open.breaks..));
            }
            self.stack.truncate(index);
            return;
        }
        match self.stack[floor..].last().copied() {
            Some(open) if byte != b'}' && open.byte != b'{' => {
                let right = closer(open.byte);
                self.stack.pop();
                self.fault(Fault {
                    code: Code::E0102,
                    range: at..at + 1,
                    message: format!("`{}` is closed by `{}`", open.byte as char, byte as char),
                    label: "this does not fit",
                    second: Some((open.at..open.at + 1, "opened here".into())),
                    help: None,
                    fix: Some(format!("write `{}`", right as char)),
                    change: Change::new(at..at + 1, (right as char).to_string()),
                    gives_up: false,
                });
            }
            _ if byte == b'}' => self.strays.push(at),
            _ => self.stray(at, byte),
        }
    }

    fn stray(&mut self, at: usize, byte: u8) {
        self.fault(Fault {
            code: Code::E0103,
            range: at..at + 1,
            message: format!("`{}` closes nothing", byte as char),
            label: "no bracket is open here",
            second: None,
            help: Some(format!("remove it, or open it with `{}` before", partner(byte) as char)),
            fix: Some(format!("remove `{}`", byte as char)),
            change: Change::new(at..at + 1, ""),
            gives_up: false,
        });
    }

    /// Reports what is open above `index` in the stack, which something at `limit` closes.
    fn unclosed_above(&mut self, index: usize, limit: usize) {
        let above: Vec<_> = self.stack.iter().skip(index + 1).rev().copied().collect();
        for open in above {
            self.unclosed(open, limit);
        }
    }

    fn unclosed(&mut self, open: Open, limit: usize) {
        if self.full() {
            return;
        }
        let right = closer(open.byte) as char;
        let expected = if open.byte == b'{' { self.block_end(open.at, limit) } else { self.call_end(open.at, limit) };
        let text = if open.byte == b'{' { format!("\n{}}}", self.indent(open.at)) } else { right.to_string() };
        self.fault(Fault {
            code: Code::E0102,
            range: open.at..open.at + 1,
            message: format!("`{}` is never closed", open.byte as char),
            label: "opened here",
            second: Some((expected..expected, format!("`{right}` was expected here"))),
            help: None,
            fix: Some(format!("add `{right}`")),
            change: Change::new(expected..expected, text),
            gives_up: false,
        });
    }

    /// Where the line of `at` starts to say something.
    fn indent(&self, at: usize) -> &str {
        let line = &self.text[line_range(self.text, at)];
        &line[..line.len() - line.trim_start().len()]
    }

    /// The end of what a line says: before its comment and its last blanks.
    fn content_end(&self, line: Range<usize>) -> usize {
        let text = &self.text[line.clone()];
        let comment = Scanner::new(text).find_map(|e| match e {
            Event::Comment { start, .. } => Some(start),
            _ => None,
        });
        line.start + text[..comment.unwrap_or(text.len())].trim_end().len()
    }

    /// Where a `(` or `[` at `at` was meant to be closed, at `limit` at the latest.
    fn call_end(&self, at: usize, limit: usize) -> usize {
        let indent = self.indent(at).len();
        let mut line = line_range(self.text, at);
        let opener_is_last = self.content_end(line.clone()) <= at + 1;
        let mut end = self.content_end(line.clone());
        while line.end < self.text.len() && line.end < limit {
            let next = line_range(self.text, line.end + 1);
            let words = self.text[next.clone()].trim_start();
            let deeper = self.text[next.clone()].len() - words.len() > indent;
            let goes_on = self.text[..end].ends_with([',', '(', '[', '+', '*', '=']);
            let stop = words.is_empty() || words.starts_with('}') || words.starts_with("|>");
            if stop || !(deeper && (goes_on || opener_is_last)) {
                break;
            }
            end = self.content_end(next.clone()).max(end);
            line = next;
        }
        let end = end.min(limit);
        at + 1 + self.text[at + 1..end.max(at + 1)].trim_end().len()
    }

    /// Where a `{` at `at` was meant to be closed: before the first line that stands no deeper than its own.
    fn block_end(&self, at: usize, limit: usize) -> usize {
        let indent = self.indent(at).len();
        let mut line = line_range(self.text, at);
        let mut end = self.content_end(line.clone()).min(limit);
        while line.end < self.text.len() && line.end < limit {
            line = line_range(self.text, line.end + 1);
            let text = &self.text[line.clone()];
            let words = text.trim_start();
            if words.is_empty() || words.starts_with('#') {
                continue;
            }
            if text.len() - words.len() <= indent {
                break;
            }
            end = self.content_end(line.clone()).min(limit).max(end);
        }
        end
    }

    fn unterminated(&mut self, start: usize, end: usize, block: bool) {
        if self.full() {
            return;
        }
        let quote = if block { "\"\"\"" } else { "\"" };
        let line = line_range(self.text, start);
        let mut at =
            start + quote.len() + self.text[start + quote.len()..end.max(start + quote.len())].trim_end().len();
        // The brackets that were opened before the text took their partners with it.
        while let Some(open) = self.stack.last().filter(|o| o.byte != b'{') {
            let kept = self.text[start + quote.len()..at].trim_end_matches([' ', ',']);
            let Some(kept) = kept.strip_suffix(closer(open.byte) as char) else { break };
            at = start + quote.len() + kept.len();
            self.stack.pop();
        }
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
        });
    }

    fn finish(mut self) -> Balance {
        for open in std::mem::take(&mut self.stack) {
            if open.byte == b'{' && !open.hole {
                self.open_block(open);
            } else {
                self.unclosed(open, self.text.len());
            }
        }
        for at in std::mem::take(&mut self.strays) {
            self.stray_brace(at);
        }
        self.out.faults.sort_by_key(|f| (f.range.start, f.change.range.start));
        self.out.breaks.sort_unstable();
        self.out
    }

    /// A `{` that the item does not close: it, or the block inside it that took its `}`.
    fn open_block(&mut self, open: Open) {
        if self.full() {
            return;
        }
        let indent = self.indent(open.at).len();
        let thief = self.blocks.iter().copied().find(|(inner, close)| {
            let line = line_range(self.text, *close);
            let first = self.text[line].trim_start().starts_with('}');
            *inner > open.at && first && self.indent(*close).len() == indent && self.indent(*inner).len() > indent
        });
        match thief {
            Some((inner, close)) => {
                let inner = Open { at: inner, ..open };
                self.unclosed(inner, close);
            }
            None => {
                let expected = self.block_end(open.at, self.text.len());
                self.unclosed(open, self.text.len());
                self.out.open_block = Some(super::Open { at: open.at, expected });
            }
        }
    }

    /// A `}` without a `{`: the `{` is missing, an earlier `}` closed too much, or it is one too many.
    fn stray_brace(&mut self, at: usize) {
        if self.full() {
            return;
        }
        let header = self.text.len() - self.text.trim_start().len();
        let line = line_range(self.text, header);
        let own_block = self.blocks.iter().copied().find(|(open, _)| line.contains(open));
        if let Some((open, close)) = own_block
            && close < at
        {
            let own_line = |p: usize| self.text[line_range(self.text, p)].trim_start().starts_with('}');
            let fits = |p: usize| own_line(p) && self.indent(p).len() == self.indent(open).len();
            if !fits(close) && fits(at) && !line.contains(&close) {
                self.fault(Fault {
                    code: Code::E0103,
                    range: close..close + 1,
                    message: "this `}` closes the block too early".into(),
                    label: "one `}` too many",
                    second: Some((at..at + 1, "so nothing is left for this one to close".into())),
                    help: None,
                    fix: Some("remove `}`".into()),
                    change: Change::new(close..close + 1, ""),
                    gives_up: false,
                });
                return;
            }
        }
        let word = first_word(&self.text[header..]);
        let wants_block = super::super::words::KIND_WORDS.contains(&word) || word == "schema";
        let header_end = self.content_end(line.clone());
        if own_block.is_none() && wants_block && at > line.end && !self.text[line].contains('=') {
            self.fault(Fault {
                code: Code::E0101,
                range: header_end..header_end,
                message: "`{` is missing".into(),
                label: "expected `{` here",
                second: Some((at..at + 1, "so this `}` closes nothing".into())),
                help: None,
                fix: Some("add `{`".into()),
                change: Change::new(header_end..header_end, " {"),
                gives_up: false,
            });
            return;
        }
        self.stray(at, b'}');
        self.out.stray.get_or_insert(at);
    }
}

fn partner(closer: u8) -> u8 {
    match closer {
        b')' => b'(',
        b']' => b'[',
        _ => b'{',
    }
}

fn closer(open: u8) -> u8 {
    match open {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}
