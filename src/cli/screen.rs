//! The two streams of a command.

use super::Failure;
use super::args::{ColorChoice, Global};
use crate::diagnostics::render::{self, Format, Style, text};
use crate::diagnostics::{Code, Problems};
use crate::source::Sources;
use serde_json::{Value, json};
use std::cell::Cell;
use std::io::{IsTerminal, Write};

/// Columns where there is no terminal to ask.
const DEFAULT_WIDTH: usize = 100;

/// Wider lines are hard to read.
const WIDEST: usize = 140;

/// Writes results to stdout and all else to stderr, in the chosen format.
#[derive(Debug)]
pub struct Screen {
    pub format: Format,
    pub quiet: bool,
    pub verbose: u8,
    /// Whether the document of a machine format has been written.
    written: Cell<bool>,
}

impl Screen {
    pub fn new(global: &Global) -> Screen {
        let choice = match global.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        Screen { format: global.format.into(), quiet: global.quiet, verbose: global.verbose, written: Cell::new(false) }
    }

    /// Whether stdout must hold one JSON document.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Refuses formats that only problems have.
    ///
    /// # Errors
    /// When the format is neither `human` nor `json`.
    pub fn only_human_or_json(&self, verb: &'static str) -> Result<(), Failure> {
        let format = match self.format {
            Format::Human | Format::Json => return Ok(()),
            Format::Concise => "concise",
            Format::Sarif => "sarif",
            Format::Github => "github",
        };
        Err(Failure::Format { verb, format })
    }

    /// Columns of the terminal that people read.
    pub fn width(&self) -> usize {
        let terminal = terminal_size::terminal_size_of(std::io::stderr())
            .or_else(|| terminal_size::terminal_size_of(std::io::stdout()));
        terminal.map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0).min(WIDEST))
    }

    /// Columns of the terminal that results go to; nothing where they go elsewhere, and must not be cut or wrapped.
    pub fn terminal(&self) -> Option<usize> {
        let stdout = std::io::stdout();
        let size = stdout.is_terminal().then(|| terminal_size::terminal_size_of(stdout));
        size.flatten().map(|(width, _)| usize::from(width.0))
    }

    /// Whether nothing but results and problems is wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A result for people, on stdout. ANSI styles are dropped where they are not understood.
    pub fn result(&self, text: &str) {
        write_all(anstream::stdout(), text);
    }

    /// The document of a machine format, on stdout.
    pub fn document(&self, value: &Value) {
        self.raw(&format!("{value:#}\n"));
    }

    /// Text that is the result as it stands, styles and all: a formatted file, a completion script.
    pub fn raw(&self, text: &str) {
        self.written.set(true);
        write_all(std::io::stdout(), text);
    }

    /// A line about what is being done, on stderr; dropped with `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            write_all(anstream::stderr(), &format!("{text}\n"));
        }
    }

    /// Asks a person for a line, on stderr; nothing follows on the same line but the answer.
    pub fn ask(&self, text: &str) {
        if !self.quiet {
            write_all(anstream::stderr(), text);
        }
    }

    /// Problems: to stderr for people, to stdout for programs. `also` are further members of the JSON document.
    pub fn problems(&self, problems: &Problems, sources: &Sources) {
        let sorted = problems.sorted();
        let style = Style { width: self.width(), color: true };
        let text = render::render(self.format, &sorted, sources, style);
        match self.format {
            Format::Human => {
                write_all(anstream::stderr(), &text);
                if !sorted.is_empty() {
                    self.note(&format!("{}{}", render::summary(&sorted), hint(&sorted)));
                }
            }
            Format::Concise => write_all(anstream::stderr(), &text),
            Format::Json | Format::Sarif | Format::Github => self.raw(&text),
        }
    }

    /// Warnings beside a result: to stderr, and nowhere in a machine format, whose document is the result.
    pub fn problems_for_people(&self, problems: &Problems, sources: &Sources) {
        if self.format == Format::Human && !problems.is_empty() {
            self.problems(problems, sources);
        }
    }

    /// A failure: a sentence on stderr, and with `--format json` a document on stdout as well.
    pub fn failure(&self, failure: &Failure) {
        let help = failure.help();
        if self.is_json() && !self.written.get() {
            self.document(&error_document(failure.kind(), &failure.to_string(), help.as_deref()));
        }
        write_all(anstream::stderr(), &sentence(&failure.to_string(), help.as_deref()));
    }
}

/// Where to read more, for the first code shown.
fn hint(problems: &[&crate::diagnostics::Problem]) -> String {
    let codes: std::collections::BTreeSet<Code> = problems.iter().map(|p| p.code).collect();
    match codes.first() {
        Some(code) if codes.len() == 1 => format!("; `exp explain {code}` says more"),
        Some(code) => format!("; `exp explain CODE` says more, for example about {code}"),
        None => String::new(),
    }
}

/// The document of a command that failed.
pub(super) fn error_document(kind: &str, message: &str, help: Option<&str>) -> Value {
    json!({ "schema_version": 1, "error": { "kind": kind, "message": message, "help": help } })
}

/// `error: …` with its help, in the colours of the problems.
pub(super) fn sentence(message: &str, help: Option<&str>) -> String {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let cyan = anstyle::AnsiColor::Cyan.on_default();
    let mut out = format!("{red}error:{red:#} {}\n", text::visible(message));
    if let Some(help) = help {
        out.push_str(&format!(" {cyan}help:{cyan:#} {}\n", text::visible(help)));
    }
    out
}

/// Writes and flushes. A reader that has gone away (`exp doc | head`) has what it wanted, so that is not an error; a stderr
/// that cannot be written to leaves nobody to tell.
fn write_all(mut stream: impl Write, text: &str) {
    let result = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    if let Err(error) = result
        && error.kind() != std::io::ErrorKind::BrokenPipe
        && std::io::stderr().is_terminal()
    {
        let _ = writeln!(std::io::stderr(), "error: cannot write: {error}");
    }
}
