//! Pictures for people, drawn by miette. The only file that knows miette.
//!
//! miette's labels lie in one source. An [`Excerpt`] is that source: all the lines a problem speaks of, of any file, in one
//! address space; [`read_span`](SourceCode::read_span) hands out the page a label lies on, and refuses a span over two.

use super::excerpt::{Excerpt, Mark, Page};
use super::suggestion::{self, Tone};
use super::text::{one_line, visible, wrap};
use super::{Style, concise, word};
use crate::diagnostics::{Problem, Severity};
use crate::source::Sources;
use anstyle::AnsiColor;
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};
use std::fmt::Write;

/// The narrowest picture that can still be read.
const NARROWEST: usize = 40;

pub(super) fn render(problems: &[&Problem], sources: &Sources, style: Style) -> String {
    let style = Style { width: style.width.max(NARROWEST), ..style };
    let mut out = String::new();
    for problem in problems {
        out.push_str(&picture(problem, sources, style));
        out.push('\n');
    }
    out
}

/// One problem.
fn picture(problem: &Problem, sources: &Sources, style: Style) -> String {
    // The line number, the bars and a margin stand before the text.
    let drawn = Drawn { problem, excerpt: Excerpt::new(&problem.labels, sources, style.width - 10) };
    let mut out = String::new();
    let handler = GraphicalReportHandler::new_themed(theme(&drawn, style))
        .with_width(style.width)
        .with_context_lines(1)
        .with_links(false)
        .without_syntax_highlighting();
    if handler.render_report(&mut out, &drawn).is_err() {
        out = concise::line(problem, sources);
        out.push('\n');
    }
    let paint = |tone: Tone, text: &str| paint(tone, text, style.color);
    for note in &problem.notes {
        footer(&mut out, &paint(Tone::Head, "note:"), &visible(note), style.width);
    }
    if let Some(help) = &problem.help {
        footer(&mut out, &paint(Tone::Head, "help:"), &visible(help), style.width);
    }
    out.push_str(&suggestion::render(&problem.fixes, sources, style.width, &paint));
    out
}

fn footer(out: &mut String, head: &str, text: &str, width: usize) {
    for (i, line) in wrap(text, width - 10).iter().enumerate() {
        let head = if i == 0 { format!("  {head} ") } else { " ".repeat(8) };
        let _ = writeln!(out, "{head}{}", line.trim_end());
    }
}

fn paint(tone: Tone, text: &str, color: bool) -> String {
    if !color {
        return text.to_owned();
    }
    let color = match tone {
        Tone::Head => AnsiColor::Cyan,
        Tone::Removed => AnsiColor::Red,
        Tone::Added => AnsiColor::Green,
    };
    let style = color.on_default();
    format!("{style}{text}{style:#}")
}

/// miette's characters, with our `error[E0301]:` for its icon and the primary label in the colour of the severity.
fn theme(drawn: &Drawn, style: Style) -> GraphicalTheme {
    let mut theme = if style.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let icon = format!("{}[{}]:", word(drawn.problem.severity), drawn.problem.code);
    theme.characters.error.clone_from(&icon);
    theme.characters.warning = icon;
    let mut marks: Vec<&Mark> = drawn.excerpt.marks.iter().collect();
    marks.sort_by_key(|m| m.start);
    let strong = if drawn.problem.is_error() { theme.styles.error } else { theme.styles.warning };
    let highlights: Vec<_> = marks.iter().map(|m| if m.primary { strong } else { theme.styles.help }).collect();
    if !highlights.is_empty() {
        theme.styles.highlights = highlights;
    }
    theme
}

/// A problem as miette sees it.
#[derive(Debug)]
struct Drawn<'a> {
    problem: &'a Problem,
    excerpt: Excerpt,
}

impl std::fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&one_line(&self.problem.message))
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning | Severity::Pedantic => miette::Severity::Warning,
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.excerpt.pages.is_empty()).then_some(&self.excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.excerpt.marks.iter().map(|mark| {
            let text = (!mark.text.is_empty()).then(|| visible(&mark.text));
            let span = SourceSpan::from((mark.start, mark.len));
            if mark.primary {
                LabeledSpan::new_primary_with_span(text, span)
            } else {
                LabeledSpan::new_with_span(text, span)
            }
        })))
    }
}

impl SourceCode for Excerpt {
    /// The page that holds `span`; with no lines of context asked for, the label alone and where it really stands.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let end = span.offset() + span.len();
        let page = self
            .pages
            .iter()
            .find(|p| p.base <= span.offset() && end <= p.base + p.text.len())
            .ok_or(MietteError::OutOfBounds)?;
        if before == 0 && after == 0 {
            let mark = self.marks.iter().find(|m| m.start == span.offset() && m.len == span.len());
            let range = span.offset() - page.base..end - page.base;
            let data = page.text.as_bytes().get(range).ok_or(MietteError::OutOfBounds)?;
            let (line, column) = mark.map_or((page.first_line, 0), |m| (m.place.line - 1, m.place.column - 1));
            return Ok(contents(page, data, *span, line, column));
        }
        Ok(contents(page, page.text.as_bytes(), (page.base, page.text.len()).into(), page.first_line, 0))
    }
}

fn contents<'a>(
    page: &Page,
    data: &'a [u8],
    span: SourceSpan,
    line: usize,
    column: usize,
) -> Box<dyn SpanContents<'a> + 'a> {
    Box::new(MietteSpanContents::new_named(one_line(&page.path), data, span, line, column, page.lines))
}
