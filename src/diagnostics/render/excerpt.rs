//! The lines of source that a problem shows, laid end to end in one address space.
//!
//! A problem may speak of several files, of a line of many megabytes, and of text that would steer a terminal. An excerpt
//! takes only the lines that are needed, cuts each around its label, makes its characters safe, and knows where each label
//! lies in what is left.

use super::text::{push_visible, width_of};
use crate::diagnostics::Label;
use crate::source::{FileId, Place, SourceFile, Sources};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A label over more lines than this shows only its first.
const LONGEST: usize = 8;

/// Stands where a line was cut.
const CUT: char = '…';

/// Pieces of files, and the labels in them.
#[derive(Debug)]
pub(super) struct Excerpt {
    pub pages: Vec<Page>,
    pub marks: Vec<Mark>,
}

/// Neighbouring lines of one file.
#[derive(Debug)]
pub(super) struct Page {
    pub path: String,
    /// Where the page begins in the address space; pages do not touch.
    pub base: usize,
    /// The first line, counted from 0.
    pub first_line: usize,
    pub lines: usize,
    /// Safe text; every line ends in `\n`.
    pub text: String,
}

/// A label in the address space.
#[derive(Debug)]
pub(super) struct Mark {
    pub start: usize,
    pub len: usize,
    /// Where the label really starts, which cutting and cleaning do not change.
    pub place: Place,
    pub text: String,
    pub primary: bool,
}

impl Excerpt {
    /// Shows `labels`, the first being the primary one, in at most `width` columns a line.
    pub fn new(labels: &[Label], sources: &Sources, width: usize) -> Excerpt {
        let wanted: Vec<Wanted> =
            labels.iter().enumerate().filter_map(|(i, label)| Wanted::new(label, i == 0, sources)).collect();
        let mut files: Vec<FileId> = Vec::new();
        for label in &wanted {
            if !files.contains(&label.file.id) {
                files.push(label.file.id);
            }
        }
        let mut excerpt = Excerpt { pages: Vec::new(), marks: Vec::new() };
        let mut base = 0;
        for id in files {
            let here: Vec<&Wanted> = wanted.iter().filter(|w| w.file.id == id).collect();
            for run in runs(&lines_of(&here)) {
                base = excerpt.add_page(&here, &run, base, width) + 1;
            }
        }
        excerpt
    }

    /// Adds a page with the lines `run` and the labels on them; gives the end of the page.
    fn add_page(&mut self, labels: &[&Wanted], run: &[usize], base: usize, width: usize) -> usize {
        let (Some(first), Some(file)) = (run.first(), labels.first().map(|l| &l.file)) else { return base };
        let mut text = String::new();
        let mut shown = Vec::new();
        for line in run {
            let (start, raw) = line_text(file, *line);
            let focus = labels
                .iter()
                .filter(|l| l.first == *line)
                .min_by_key(|l| (!l.primary, l.start))
                .map_or(0, |l| l.start - start);
            let piece = Piece::cut(raw, focus, width);
            let at = base + text.len();
            text.push_str(&piece.text);
            text.push('\n');
            shown.push((start, at, piece));
        }
        let find = |line: usize, offset: usize| {
            let (start, at, piece) = shown.get(line.checked_sub(*first)?)?;
            Some(at + piece.find(offset - start))
        };
        for label in labels {
            let (Some(start), Some(end)) = (find(label.first, label.start), find(label.last, label.end)) else {
                continue;
            };
            let empty = label.start == label.end;
            self.marks.push(Mark {
                start,
                // A label whose end was cut off still underlines something.
                len: if empty { 0 } else { (end - start.min(end)).max(1) },
                place: file.lines.place(&file.text, label.start),
                text: label.text.clone(),
                primary: label.primary,
            });
        }
        let end = base + text.len();
        self.pages.push(Page { path: file.path.to_string(), base, first_line: *first, lines: run.len(), text });
        end
    }
}

/// A label that fits its file.
struct Wanted {
    file: Arc<SourceFile>,
    start: usize,
    end: usize,
    /// Lines counted from 0.
    first: usize,
    last: usize,
    text: String,
    primary: bool,
}

impl Wanted {
    fn new(label: &Label, primary: bool, sources: &Sources) -> Option<Wanted> {
        let file = sources.get(label.span.file)?.clone();
        let start = floor_char(&file.text, label.span.start as usize);
        let mut end = floor_char(&file.text, label.span.end as usize).max(start);
        let first = file.lines.line_of(start);
        let mut last = file.lines.line_of(end);
        if last > first && file.lines.start_of(last) == end {
            last -= 1;
        }
        if last - first >= LONGEST {
            last = first;
        }
        let (from, raw) = line_text(&file, last);
        // A break at the end of the line is not shown, so the label ends before it.
        end = end.min(from + raw.len());
        let (from, raw) = line_text(&file, first);
        let start = start.min(from + raw.len());
        Some(Wanted { start, end: end.max(start), first, last, text: label.text.clone(), primary, file })
    }
}

/// The lines that the labels need, with one line around them; an empty line at the end of the file only if it is labelled.
fn lines_of(labels: &[&Wanted]) -> BTreeSet<usize> {
    let mut lines = BTreeSet::new();
    for label in labels {
        let count = label.file.lines.count();
        for line in label.first.saturating_sub(1)..=(label.last + 1).min(count.saturating_sub(1)) {
            let labelled = (label.first..=label.last).contains(&line);
            if labelled || line + 1 < count || !line_text(&label.file, line).1.is_empty() {
                lines.insert(line);
            }
        }
    }
    lines
}

/// Splits lines into runs of neighbours; a gap of one line is filled.
fn runs(lines: &BTreeSet<usize>) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for line in lines {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| line - last <= 2) => {
                let next = run.last().map_or(*line, |last| last + 1);
                run.extend(next..=*line);
            }
            _ => runs.push(vec![*line]),
        }
    }
    runs
}

/// Where line `line` starts, and its text without the line break.
pub(super) fn line_text(file: &SourceFile, line: usize) -> (usize, &str) {
    let start = file.lines.start_of(line);
    let end = if line + 1 < file.lines.count() { file.lines.start_of(line + 1) } else { file.text.len() };
    let raw = file.text.get(start..end).unwrap_or("");
    let raw = raw.strip_suffix('\n').unwrap_or(raw);
    (start, raw.strip_suffix('\r').unwrap_or(raw))
}

fn floor_char(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// A part of a line, made safe.
pub(super) struct Piece {
    pub text: String,
    /// For each character kept, where it was and where it is; then the end.
    map: Vec<(usize, usize)>,
}

impl Piece {
    /// The part of `raw` around the byte `focus` that fits in `width` columns.
    pub fn cut(raw: &str, focus: usize, width: usize) -> Piece {
        let (from, to) = window(raw, focus.min(raw.len()), width);
        let mut text = String::new();
        let mut map = Vec::new();
        if from > 0 {
            text.push(CUT);
        }
        for (i, c) in raw.get(from..to).unwrap_or("").char_indices() {
            map.push((from + i, text.len()));
            push_visible(&mut text, c);
        }
        map.push((to, text.len()));
        if to < raw.len() {
            text.push(CUT);
        }
        Piece { text, map }
    }

    /// Where the byte `offset` of the whole line is in the piece; the nearest end if it was cut off.
    fn find(&self, offset: usize) -> usize {
        let next = self.map.partition_point(|(raw, _)| *raw < offset);
        self.map.get(next).or(self.map.last()).map_or(0, |(_, at)| *at)
    }
}

/// The bytes of `raw` that are shown: all of them if they fit, else a third of the room before `focus` and the rest after.
fn window(raw: &str, focus: usize, width: usize) -> (usize, usize) {
    let mut room = width;
    let fits = raw.chars().all(|c| {
        let wide = width_of(c);
        let fits = wide <= room;
        room = room.saturating_sub(wide);
        fits
    });
    if fits {
        return (0, raw.len());
    }
    // Both marks of the cut take a column.
    let room = width.saturating_sub(2).max(16);
    let (from, used) = backwards(raw, focus, room / 3);
    let (to, used_after) = forwards(raw, focus, room - used);
    let (from, _) = backwards(raw, from, room - used - used_after);
    (from, to)
}

fn backwards(raw: &str, from: usize, room: usize) -> (usize, usize) {
    let mut used = 0;
    let mut at = from;
    for (i, c) in raw.get(..from).unwrap_or("").char_indices().rev() {
        if used + width_of(c) > room {
            break;
        }
        used += width_of(c);
        at = i;
    }
    (at, used)
}

fn forwards(raw: &str, from: usize, room: usize) -> (usize, usize) {
    let mut used = 0;
    for (i, c) in raw.get(from..).unwrap_or("").char_indices() {
        if used + width_of(c) > room {
            return (from + i, used);
        }
        used += width_of(c);
    }
    (raw.len(), used)
}
