//! Finds the brackets and quotes of an item that have no partner, and guesses where the partner belongs.
//!
//! Every guess is an edit that balances the item, so the grammar can go on and the fields around it are not lost. The
//! guesses use the layout of the lines, but only once something is known to be missing.

mod texts;

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
    /// Where further problems would be echoes of this one.
    pub quiet: Option<Range<usize>>,
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
    /// Where its line starts.
    line: usize,
}

/// A decision that what comes later may overturn. `fault` is its index among the faults.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    fault: usize,
    /// The closing bracket it was about.
    at: usize,
    byte: u8,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    /// It was taken for stray while this stood on top of the stack.
    Stray(Option<Open>),
    /// It was taken for the wrong partner of the first, above the second.
    Mismatch(Open, Option<Open>),
    /// It closed something under this, which was taken for unclosed.
    Unclosed(Open),
}

struct Balancer<'a> {
    text: &'a str,
    stack: Vec<Open>,
    pending: Vec<usize>,
    /// Pairs that were matched outside text.
    pairs: Vec<(Open, usize)>,
    /// Where the current line starts.
    line: usize,
    out: Balance,
    strays: Vec<usize>,
    doubts: Vec<Doubt>,
    /// Faults that were overturned.
    dropped: Vec<usize>,
}

/// Matches the brackets of one chunk.
pub fn balance(text: &str) -> Balance {
    let mut balancer = Balancer {
        text,
        stack: Vec::new(),
        pending: Vec::new(),
        pairs: Vec::new(),
        line: 0,
        out: Balance::default(),
        strays: Vec::new(),
        doubts: Vec::new(),
        dropped: Vec::new(),
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
            Event::Line(at) => {
                self.line = at + 1;
                if !self.stack.is_empty() {
                    self.pending.push(at);
                }
            }
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
                    help: Some(
                        match self.text.as_bytes().get(start + 1) {
                            Some(b'%' | b'{' | b'#') => {
                                "texts with braces of their own, such as chat templates, are written raw: `r\"…\"`"
                            }
                            _ => "write `\\{` for a brace that is text",
                        }
                        .into(),
                    ),
                    fix: Some("write `\\{`".into()),
                    change: Change::new(start..start, "\\"),
                    gives_up: false,
                    quiet: None,
                });
            }
            _ => {}
        }
    }

    fn open(&mut self, at: usize, byte: u8, hole: bool) {
        self.stack.push(Open { byte, at, hole, breaks: self.pending.len(), line: self.line });
    }

    /// A closing bracket. The partner is looked for on the same line first: a bracket in the middle of a line rarely
    /// closes what an earlier line opened inside something else.
    fn close(&mut self, at: usize, byte: u8) {
        let wanted = partner(byte);
        let floor = self.stack.iter().rposition(|o| o.hole).map_or(0, |i| i + 1);
        let found = self.stack[floor..].iter().rposition(|o| o.byte == wanted).map(|i| i + floor);
        let first = self.leads(at);
        let top = self.stack[floor..].last().copied();
        if let Some(index) = found {
            let open = self.stack[index];
            let above = &self.stack[index + 1..];
            let earlier = open.line < self.line && !above.is_empty() && !first;
            if earlier && above.iter().all(|o| o.line < self.line) {
                return if byte == b'}' { self.strays.push(at) } else { self.stray(at, byte) };
            }
            if let (true, Some(top)) = (earlier && byte != b'}', top)
                && top.byte != b'{'
            {
                return self.mismatch(top, at, byte);
            }
            if let [only] = self.stack[index + 1..] {
                self.doubt(at, byte, Why::Unclosed(only));
            }
            self.unclosed_above(index, at);
            if !open.hole {
                self.pairs.push((open, at));
            }
            if byte != b'}' {
                self.out.breaks.extend(self.pending.drain(open.breaks..));
            }
            self.stack.truncate(index);
            return;
        }
        match top {
            Some(open) if byte != b'}' && open.byte != b'{' && (first || open.line == self.line) => {
                self.mismatch(open, at, byte);
            }
            _ if byte == b'}' => self.strays.push(at),
            _ => self.stray(at, byte),
        }
    }

    /// Whether only closing brackets stand before `at` on its line.
    fn leads(&self, at: usize) -> bool {
        let line = line_range(self.text, at);
        self.text[line.start..at].chars().all(|c| matches!(c, ' ' | '\t' | '\r' | ')' | ']' | '}'))
    }

    /// Notes that the fault told next may turn out to be another.
    fn doubt(&mut self, at: usize, byte: u8, why: Why) {
        if !self.full() {
            self.doubts.push(Doubt { fault: self.out.faults.len(), at, byte, why });
        }
    }

    fn mismatch(&mut self, open: Open, at: usize, byte: u8) {
        self.stack.pop();
        self.doubt(at, byte, Why::Mismatch(open, self.stack.last().copied()));
        let fault = self.mismatched(open, at, byte);
        self.fault(fault);
    }

    fn mismatched(&self, open: Open, at: usize, byte: u8) -> Fault {
        let right = closer(open.byte);
        Fault {
            code: Code::E0102,
            range: at..at + 1,
            message: format!("`{}` is closed by `{}`", open.byte as char, byte as char),
            label: "this does not fit",
            second: Some((open.at..open.at + 1, "opened here".into())),
            help: None,
            fix: Some(format!("write `{}`", right as char)),
            change: Change::new(at..at + 1, (right as char).to_string()),
            gives_up: false,
            quiet: None,
        }
    }

    /// A `)` or `]` that closes nothing: it is one too many, its partner is missing, or an earlier one took its place.
    fn stray(&mut self, at: usize, byte: u8) {
        if self.full() {
            return;
        }
        let indent = self.indent(at).len();
        let wanted = partner(byte);
        if self.leads(at) {
            // An earlier one in the middle of a line closed what this one was meant for.
            let thief = self.pairs.iter().rev().copied().find(|(open, close)| {
                open.byte == wanted
                    && self.indent(open.at).len() == indent
                    && line_range(self.text, *close).start > open.line
                    && !self.leads(*close)
            });
            if let Some((_, close)) = thief {
                return self.too_early(close, at, byte);
            }
            if let Some(end) = self.header_above(at, indent, byte) {
                return self.opener_missing(end, at, wanted);
            }
        }
        if self.overturned(at, byte) {
            return;
        }
        let start = self.statement(at);
        if let Some(end) = self.header_of(start, byte).filter(|_| !self.leads(at)) {
            return self.opener_missing(end, at, wanted);
        }
        let fault = self.strayed(at, byte, start);
        self.doubt(at, byte, Why::Stray(self.stack.last().copied()));
        self.fault(fault);
    }

    fn strayed(&self, at: usize, byte: u8, start: usize) -> Fault {
        let wanted = partner(byte);
        let partner_line = (start < line_range(self.text, at).start)
            .then(|| (self.content_end(line_range(self.text, start)), "the line that this belongs to".to_owned()));
        Fault {
            code: Code::E0103,
            range: at..at + 1,
            message: format!("`{}` closes nothing", byte as char),
            label: "no bracket is open here",
            second: partner_line.map(|(at, role)| (at..at, role)),
            help: Some(format!("remove it, or open it with `{}` before", wanted as char)),
            fix: Some(format!("remove `{}`", byte as char)),
            change: Change::new(at..at + 1, ""),
            gives_up: false,
            quiet: Some(start..at),
        }
    }

    /// A `]` without partner on the line where another was taken for the end of something else: that one was wrong.
    fn overturned(&mut self, at: usize, byte: u8) -> bool {
        let line = line_range(self.text, at);
        let found = self.doubts.iter().rev().copied().find(|d| {
            line.contains(&d.at)
                && match d.why {
                    Why::Unclosed(_) => d.byte == byte,
                    Why::Mismatch(open, _) => open.byte == partner(byte),
                    Why::Stray(_) => false,
                }
        });
        let Some(doubt) = found else { return false };
        let fault = match doubt.why {
            Why::Unclosed(open) => self.mismatched(open, doubt.at, doubt.byte),
            _ => self.strayed(doubt.at, doubt.byte, line.start),
        };
        if let Some(old) = self.out.faults.get_mut(doubt.fault) {
            *old = fault;
        }
        self.doubts.retain(|d| d.fault != doubt.fault);
        true
    }

    /// The line above the start of a statement that may have opened it.
    fn header_of(&self, start: usize, byte: u8) -> Option<usize> {
        if start == 0 {
            return None;
        }
        let above = line_range(self.text, start - 1);
        let end = self.content_end(above.clone());
        let last = self.text[above.start..end].chars().next_back()?;
        let fits = if byte == b']' { last == '=' } else { super::super::words::goes_on_word(last) };
        (fits && self.indent(above.start).len() < self.indent(start).len()).then_some(end)
    }

    fn too_early(&mut self, close: usize, at: usize, byte: u8) {
        let byte = byte as char;
        self.fault(Fault {
            code: Code::E0103,
            range: close..close + 1,
            message: if byte == '}' {
                "this `}` closes the block too early".into()
            } else {
                format!("`{byte}` closes too early")
            },
            label: "one too many",
            second: Some((at..at + 1, "so nothing is left for this one to close".into())),
            help: None,
            fix: Some(format!("remove `{byte}`")),
            change: Change::new(close..close + 1, ""),
            gives_up: false,
            quiet: Some(line_range(self.text, close).start..at),
        });
    }

    fn opener_missing(&mut self, end: usize, at: usize, open: u8) {
        let gap = if open != b'(' { " " } else { "" };
        let (open, close) = (open as char, closer(open) as char);
        // `stage pretrain : next_token:`, as in YAML.
        let start = if open == '{' && self.text[..end].ends_with(':') { end - 1 } else { end };
        self.fault(Fault {
            code: if open == '{' { Code::E0101 } else { Code::E0103 },
            range: start..end,
            message: if start < end {
                "a block opens with `{`, not `:`".into()
            } else {
                format!("`{open}` is missing")
            },
            label: if open == '{' {
                "expected `{` here"
            } else if open == '(' {
                "expected `(` here"
            } else {
                "expected `[` here"
            },
            second: Some((at..at + 1, format!("so this `{close}` closes nothing"))),
            help: None,
            fix: Some(if start < end { "write `{`".into() } else { format!("add `{open}`") }),
            change: Change::new(start..end, format!("{gap}{open}")),
            gives_up: false,
            quiet: Some(end..at),
        });
    }

    /// The end of the line above `at` that could have opened it: the nearest one that stands as deep and ends in what a
    /// bracket may follow.
    fn header_above(&self, at: usize, indent: usize, byte: u8) -> Option<usize> {
        let mut line = line_range(self.text, at);
        while line.start > 0 {
            line = line_range(self.text, line.start - 1);
            let text = self.text[line.clone()].trim();
            if text.is_empty() || text.starts_with('#') || self.indent(line.start).len() > indent {
                continue;
            }
            let end = self.content_end(line.clone());
            let last = self.text[line.start..end].chars().next_back()?;
            let fits = if byte == b']' {
                matches!(last, '=' | ',' | '+') || self.text[..end].ends_with(" in")
            } else {
                super::super::words::goes_on_word(last)
            };
            return fits.then_some(end);
        }
        None
    }

    /// Where the lines start that `at` belongs to: it goes up while lines end in a comma or stand deeper than their start.
    fn statement(&self, at: usize) -> usize {
        let mut line = line_range(self.text, at);
        let mut indent = self.indent(at).len();
        while line.start > 0 {
            let above = line_range(self.text, line.start - 1);
            let end = self.content_end(above.clone());
            if !self.text[above.start..end].ends_with(',') {
                break;
            }
            let deep = self.indent(above.start).len();
            line = above;
            if deep < indent {
                indent = deep;
                break;
            }
        }
        let _ = indent;
        line.start
    }

    /// Reports what is open above `index` in the stack, which something at `limit` closes.
    fn unclosed_above(&mut self, index: usize, limit: usize) {
        let mut left = self.stack[index + 1..].to_vec();
        if left.is_empty() {
            return;
        }
        self.reconsider_all(&mut left);
        for open in left.into_iter().rev() {
            self.unclosed(open, limit);
        }
    }

    /// Looks at the decisions so far again, now that `left` is known to stay open.
    fn reconsider_all(&mut self, left: &mut Vec<Open>) {
        let Some(first) = left.first().map(|o| o.at) else { return };
        let (inner, outer): (Vec<Doubt>, Vec<Doubt>) =
            self.doubts.drain(..).partition(|d| d.at > first && !matches!(d.why, Why::Unclosed(_)));
        self.doubts = outer;
        for doubt in inner {
            self.reconsider(doubt, left);
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
            quiet: None,
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
            if stop || !deeper || !goes_on && !opener_is_last {
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

    fn finish(mut self) -> Balance {
        let mut left = std::mem::take(&mut self.stack);
        self.reconsider_all(&mut left);
        for open in left {
            self.left_open(open);
        }
        self.dropped.sort_unstable();
        for index in std::mem::take(&mut self.dropped).into_iter().rev() {
            self.out.faults.remove(index);
        }
        for at in std::mem::take(&mut self.strays) {
            self.stray_brace(at);
        }
        self.out.faults.sort_by_key(|f| (f.range.start, f.change.range.start));
        self.out.breaks.sort_unstable();
        self.out
    }

    /// Looks at a decision again, now that `left` is known to be open at the end.
    fn reconsider(&mut self, doubt: Doubt, left: &mut Vec<Open>) {
        match doubt.why {
            Why::Stray(top) => {
                // It closes what it fits, after all; what stands above that is unclosed.
                if let Some(index) = left.iter().rposition(|o| o.byte == partner(doubt.byte) && o.at < doubt.at) {
                    left.remove(index);
                    self.dropped.push(doubt.fault);
                } else if let Some(index) = left.iter().rposition(|o| Some(o.at) == top.map(|t| t.at) && o.byte != b'{')
                {
                    let open = left.remove(index);
                    let fault = self.mismatched(open, doubt.at, doubt.byte);
                    if let Some(old) = self.out.faults.get_mut(doubt.fault) {
                        *old = fault;
                    }
                }
            }
            Why::Mismatch(open, Some(below)) if below.byte == partner(doubt.byte) => {
                if let Some(index) = left.iter().position(|o| o.at == below.at) {
                    left.remove(index);
                    self.dropped.push(doubt.fault);
                    self.unclosed(open, doubt.at);
                }
            }
            _ => {}
        }
    }

    /// What the item does not close: the bracket itself, or one inside it that took its partner.
    fn left_open(&mut self, open: Open) {
        if self.full() {
            return;
        }
        let indent = self.indent(open.at).len();
        let thief = self.pairs.iter().copied().find(|(inner, close)| {
            inner.byte == open.byte
                && inner.at > open.at
                && self.leads(*close)
                && self.indent(*close).len() == indent
                && self.indent(inner.at).len() > indent
        });
        match thief {
            Some((inner, close)) => self.unclosed(inner, close),
            None => {
                self.unclosed(open, self.text.len());
                if open.byte == b'{' && !open.hole {
                    let expected = self.block_end(open.at, self.text.len());
                    self.out.open_block = Some(super::Open { at: open.at, expected });
                }
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
        let word = first_word(&self.text[header..]);
        if word == "sweep"
            && let Some(over) = self.line_that_says("over")
        {
            return self.opener_missing(over, at, b'{');
        }
        let own_block = self.pairs.iter().copied().find(|(open, _)| open.byte == b'{' && line.contains(&open.at));
        if let Some((open, close)) = own_block
            && close < at
        {
            let fits = |p: usize| self.leads(p) && self.indent(p).len() == self.indent(open.at).len();
            let below = self.text.get(line.end + 1..).and_then(|t| t.lines().find(|l| !l.trim().is_empty()));
            let below_is_deeper = below.is_some_and(|l| l.len() - l.trim_start().len() > self.indent(open.at).len());
            if !fits(close) && fits(at) && (!line.contains(&close) || below_is_deeper) {
                return self.too_early(close, at, b'}');
            }
        }
        let wants_block = super::super::words::KIND_WORDS.contains(&word) || word == "schema";
        let header_end = self.content_end(line.clone());
        if own_block.is_none() && wants_block && at > line.end && !self.text[line].contains('=') {
            return self.opener_missing(header_end, at, b'{');
        }
        self.fault(Fault {
            code: Code::E0103,
            range: at..at + 1,
            message: "`}` closes nothing".into(),
            label: "no block is open here",
            second: None,
            help: Some("remove it, or open a block with `{` before".into()),
            fix: Some("remove `}`".into()),
            change: Change::new(at..at + 1, ""),
            gives_up: false,
            quiet: None,
        });
        self.out.stray.get_or_insert(at);
    }

    /// The end of the first line that says `word` and nothing else.
    fn line_that_says(&self, word: &str) -> Option<usize> {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            if line.split('#').next().map(str::trim) == Some(word) {
                return Some(start + line.find(word)? + word.len());
            }
            start += line.len();
        }
        None
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
