//! Progress on stderr: a live display on a terminal, lines otherwise, or one event a line in JSON.

use crate::store::{EVENT_SCHEMA, Event, GateKind, Level, Line, Observer, Start, Status, process};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two lines about the same stage where there is no terminal.
const QUIET_FOR: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A bar that is drawn again in place.
    Live,
    /// A line at milestones, and every ten seconds of training.
    Lines,
    /// One event a line in JSON (`--events json`).
    Json,
    /// Warnings only.
    Quiet,
}

impl Form {
    /// The form for this process's stderr.
    pub fn choose(json: bool, quiet: bool) -> Form {
        match (json, quiet) {
            (true, _) => Form::Json,
            (_, true) => Form::Quiet,
            _ if std::io::stderr().is_terminal() => Form::Live,
            _ => Form::Lines,
        }
    }
}

/// Shows events as they come. Whatever goes wrong with the terminal is ignored: progress is no result.
pub struct Display {
    form: Form,
    out: Box<dyn Write + Send>,
    bar: Option<ProgressBar>,
    stage: Option<Stage>,
    /// Whether someone else says why a run failed.
    told_elsewhere: bool,
    /// Whether more is said.
    verbose: bool,
}

/// What is known of the stage at work.
#[derive(Clone, Debug)]
struct Stage {
    name: String,
    steps: Option<u64>,
    tokens_planned: Option<u64>,
    step: u64,
    tokens: u64,
    loss: f64,
    /// Whether the step was left out.
    skipped: bool,
    valid: Option<f64>,
    lr: f64,
    /// What is learnt from the balance of experts, and the busiest one's share, where there are any.
    experts: Option<(f64, f64)>,
    tokens_per_second: f64,
    began: Instant,
    /// Tokens that were there when this process began.
    tokens_before: u64,
    /// When a line was last written.
    told: Option<Instant>,
}

impl Display {
    /// Shows on stderr.
    pub fn stderr(form: Form) -> Display {
        Display::to(form, Box::new(std::io::stderr()))
    }

    /// Shows on `out`, for tests and logs. A live display draws its bar on stderr all the same.
    pub fn to(form: Form, out: Box<dyn Write + Send>) -> Display {
        Display { form, out, bar: None, stage: None, told_elsewhere: false, verbose: false }
    }

    /// Leaves it to the caller to say why a run failed.
    pub fn without_failures(mut self) -> Display {
        self.told_elsewhere = true;
        self
    }

    /// Says more: how each stage's training began.
    pub fn verbose(mut self, verbose: bool) -> Display {
        self.verbose = verbose;
        self
    }

    /// Removes a bar that is being drawn, so that results printed next stand on their own.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn say(&mut self, text: &str) {
        match &self.bar {
            Some(bar) if !bar.is_hidden() => bar.println(text),
            _ => drop(writeln!(self.out, "{text}")),
        }
    }

    fn json(&mut self, event: &Event) {
        let line = Line { schema_version: EVENT_SCHEMA, at: process::now(), event: event.clone() };
        if let Ok(text) = serde_json::to_string(&line) {
            drop(writeln!(self.out, "{text}"));
        }
    }

    fn begin(&mut self, name: &str, steps: Option<u64>, tokens: Option<u64>, from: u64) {
        self.stage = Some(Stage {
            name: name.to_owned(),
            steps,
            tokens_planned: tokens,
            step: from,
            tokens: 0,
            loss: f64::NAN,
            skipped: false,
            valid: None,
            lr: f64::NAN,
            experts: None,
            tokens_per_second: f64::NAN,
            began: Instant::now(),
            tokens_before: 0,
            told: None,
        });
        if self.form == Form::Live {
            let bar = match steps {
                Some(steps) => ProgressBar::new(steps).with_style(style("{spinner} {bar:24} {msg}")),
                None => ProgressBar::new_spinner().with_style(style("{spinner} {msg}")),
            };
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            bar.set_position(from);
            bar.enable_steady_tick(Duration::from_millis(200));
            self.bar = Some(bar);
        }
    }

    fn advance(&mut self) {
        let Some(stage) = &mut self.stage else { return };
        match (&self.bar, self.form) {
            (Some(bar), _) => {
                bar.set_position(stage.step);
                bar.set_message(stage.summary());
            }
            (None, Form::Lines) if stage.told.is_none_or(|t| t.elapsed() >= QUIET_FOR) => {
                stage.told = Some(Instant::now());
                let text = stage.summary();
                // A validation is told once, not again as if it were new.
                stage.valid = None;
                self.say(&text);
            }
            _ => {}
        }
    }
}

/// Answers a signal on stderr, from whatever thread it is seen on.
pub fn acknowledge(form: Form, signal: &str) {
    let mut display = Display::stderr(form);
    let event = Event::Stopping { signal: signal.to_owned() };
    match form {
        Form::Json => display.json(&event),
        // Where a bar is drawn, it is in the way until it is drawn again.
        Form::Live => display.say(&format!("\r\u{1b}[2K{}", sentence(&event).unwrap_or_default())),
        _ => display.say(&sentence(&event).unwrap_or_default()),
    }
}

impl Observer for Display {
    fn event(&mut self, event: &Event) {
        if self.form == Form::Json {
            return self.json(event);
        }
        if self.told_elsewhere && matches!(event, Event::RunFinished { status: Status::Failed, .. }) {
            self.stage = None;
            return self.finish();
        }
        match event {
            Event::StageStarted { stage, steps, tokens, resumed_from, .. } => {
                self.finish();
                if let Some(text) = sentence(event).filter(|_| self.form != Form::Quiet) {
                    self.say(&text);
                }
                self.begin(stage, *steps, *tokens, resumed_from.unwrap_or(0));
            }
            Event::Step {
                step, tokens, loss, skipped, lr, tokens_per_second, balance_loss, busiest_expert, ..
            } => {
                if let Some(stage) = &mut self.stage {
                    if stage.tokens == 0 {
                        stage.tokens_before = tokens / step.max(&1) * step.saturating_sub(1);
                    }
                    stage.step = *step;
                    stage.tokens = *tokens;
                    stage.loss = *loss;
                    stage.skipped = *skipped;
                    stage.lr = *lr;
                    stage.experts = balance_loss.zip(*busiest_expert);
                    stage.tokens_per_second = *tokens_per_second;
                }
                self.advance();
            }
            Event::Valid { loss, .. } => {
                if let Some(stage) = &mut self.stage {
                    stage.valid = Some(*loss);
                }
                self.advance();
            }
            _ => {
                if matches!(event, Event::StageFinished { .. } | Event::RunFinished { .. }) {
                    self.finish();
                    self.stage = None;
                }
                let shown = self.form != Form::Quiet || is_warning(event);
                if let Some(text) = sentence(event).filter(|_| shown) {
                    self.say(&text);
                }
                if let Event::StageFinished { stage, start: Some(start), .. } = event
                    && self.verbose
                {
                    self.say(&began(stage, start));
                }
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Stage {
    /// `pretrain  step 120/625  loss 3.214  valid 3.301  lr 9.8e-4  12.3k tok/s  2m05s left`
    fn summary(&self) -> String {
        let mut parts = vec![self.name.clone()];
        parts.push(match self.steps {
            Some(steps) => format!("step {}/{steps}", self.step),
            None => format!("step {}", self.step),
        });
        // Before the first step of a stage that was resumed, nothing is known of its loss.
        let known = self.tokens > 0;
        if known {
            let left_out = if self.skipped { ", left out" } else { "" };
            parts.push(format!("loss {:.3}{left_out}", self.loss));
        }
        if let Some(valid) = self.valid {
            parts.push(format!("valid {valid:.3}"));
        }
        if let Some((balance, busiest)) = self.experts {
            parts.push(format!("balance {balance:.4}  busiest {:.0}%", 100.0 * busiest));
        }
        if known {
            parts.push(format!("lr {:.1e}", self.lr));
        }
        if self.tokens_per_second.is_finite() {
            parts.push(format!("{} tok/s", count(self.tokens_per_second)));
        }
        if let Some(left) = self.seconds_left() {
            parts.push(format!("{} left", duration(left)));
        }
        parts.join("  ")
    }

    /// From the mean speed of this process, which a slow start or a validation does not throw off for long.
    fn seconds_left(&self) -> Option<f64> {
        let planned = match (self.tokens_planned, self.steps) {
            (Some(tokens), _) => tokens,
            (None, Some(steps)) => self.tokens / self.step.max(1) * steps,
            (None, None) => return None,
        };
        let done = self.tokens.checked_sub(self.tokens_before).filter(|d| *d > 0)?;
        let speed = done as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
        Some(planned.saturating_sub(self.tokens) as f64 / speed)
    }
}

/// `pretrain: the first loss was known after 1.42 s, kernels took 0.90 s of it; computed twice, the first gradient had the
/// same bits`
fn began(stage: &str, start: &Start) -> String {
    let mut text = format!("{stage}: the first loss was known after {:.2} s", start.first_step_seconds);
    if let Some(seconds) = start.compile_seconds {
        text += &format!(", kernels took {seconds:.2} s of it");
    }
    match start.repeats {
        Some(true) => text += "; computed twice, the first gradient had the same bits",
        Some(false) => text += "; computed twice, the first gradient had other bits",
        None => {}
    }
    text
}

fn is_warning(event: &Event) -> bool {
    match event {
        Event::Notice { level, .. } => *level == Level::Warning,
        Event::Gate { met, .. } => *met != Some(true),
        Event::RunFinished { status, .. } => *status != Status::Done,
        _ => false,
    }
}

/// What an event says to people; nothing for those that only move a bar.
fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::RunStarted { run, experiment, device, resumed, .. } => {
            let how = if *resumed { "goes on" } else { "begins" };
            format!("{experiment}: run {run} {how} on {device}")
        }
        Event::RunFinished { status, seconds, why, .. } => {
            let why = why.as_ref().map(|w| format!(": {w}")).unwrap_or_default();
            format!("{} after {}{why}", status.name(), duration(*seconds))
        }
        Event::DataStarted { dataset, .. } => format!("{dataset}: making the dataset"),
        Event::DataFinished { dataset, cached: true, documents, .. } => {
            format!("{dataset}: {} documents, already made", count(*documents as f64))
        }
        Event::DataFinished { dataset, documents, bytes, removed, seconds, .. } => format!(
            "{dataset}: {} documents, {} bytes, {} removed, in {}",
            count(*documents as f64),
            count(*bytes as f64),
            count(*removed as f64),
            duration(*seconds)
        ),
        Event::TokenizerStarted { tokenizer, .. } => format!("{tokenizer}: making the tokenizer"),
        Event::TokenizerFinished { tokenizer, cached, vocab, bytes_per_token, .. } => {
            let already = if *cached { ", already made" } else { "" };
            // One that was read has seen no text.
            let size =
                if *bytes_per_token > 0.0 { format!(", {bytes_per_token:.2} bytes a token") } else { String::new() };
            format!("{tokenizer}: {vocab} tokens in the vocabulary{size}{already}")
        }
        Event::StageStarted { stage, parameters, steps, tokens, resumed_from, .. } => {
            let mut text = format!("{stage}: {} parameters", count(*parameters as f64));
            text += &steps.map(|s| format!(", {s} steps")).unwrap_or_default();
            text += &tokens.map(|t| format!(", {} tokens", count(t as f64))).unwrap_or_default();
            text + &resumed_from.map(|s| format!(", going on from step {s}")).unwrap_or_default()
        }
        Event::StageFinished { stage, cached, steps: 0, seconds, .. } => {
            if *cached {
                format!("{stage}: already read")
            } else {
                format!("{stage}: read in {}", duration(*seconds))
            }
        }
        Event::StageFinished { stage, cached: true, train_loss, .. } => {
            format!("{stage}: already trained, loss {train_loss:.3}")
        }
        Event::StageFinished { stage, steps, tokens, train_loss, valid_loss, seconds, .. } => {
            let valid = valid_loss.map(|v| format!(", valid {v:.3}")).unwrap_or_default();
            let tokens = count(*tokens as f64);
            format!(
                "{stage}: done, {steps} steps, {tokens} tokens, loss {train_loss:.3}{valid}, in {}",
                duration(*seconds)
            )
        }
        Event::EvalStarted { eval, stage, items } => format!("{eval}: judging {stage} on {items} items"),
        Event::EvalFinished { eval, stage, metrics, cached, .. } => {
            let figures: Vec<String> = metrics.iter().map(|(name, e)| format!("{name} {:.4}", e.value)).collect();
            let already = if *cached { " (already judged)" } else { "" };
            format!("{eval}: {stage}: {}{already}", figures.join(", "))
        }
        Event::Gate { kind, text, met, detail } => {
            let kind = match kind {
                GateKind::Expect => "expect",
                GateKind::Claim => "claim",
            };
            let outcome = match met {
                Some(true) => "met",
                Some(false) => "NOT MET",
                None => "undecided",
            };
            let first = format!("{kind} {text}: {outcome}");
            // What it was decided on matters when it was not met.
            if *met == Some(true) || detail.trim().is_empty() {
                first
            } else {
                format!("{first}\n{}", detail.trim_end())
            }
        }
        Event::Sample { stage, step, prompt, text } => {
            let text = if prompt.is_empty() { text.clone() } else { format!("{prompt} → {text}") };
            format!("{stage} at step {step} writes: {}", one_line(&text, 160))
        }
        Event::Stopping { signal } => {
            format!("{signal}: finishing what is at hand; once more ends at once")
        }
        Event::Notice { level: Level::Info, text } => text.clone(),
        Event::Notice { level: Level::Warning, text } => format!("warning: {text}"),
        Event::Object { .. } | Event::Step { .. } | Event::Valid { .. } | Event::Checkpoint { .. } | Event::Unknown => {
            return None;
        }
    })
}

/// `text` on one line of at most `limit` characters.
fn one_line(text: &str, limit: usize) -> String {
    let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= limit { flat } else { flat.chars().take(limit).chain("…".chars()).collect() }
}

/// `950`, `12.3k`, `4.5M`.
fn count(amount: f64) -> String {
    for (size, unit) in [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")] {
        if amount >= size {
            return format!("{:.1}{unit}", amount / size);
        }
    }
    format!("{amount:.0}")
}

fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// A style whose template is ours and therefore right; the plain bar is what is left otherwise.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn shown(form: Form, events: &[Event]) -> String {
        let paper = Paper::default();
        let mut display = Display::to(form, Box::new(paper.clone()));
        events.iter().for_each(|e| display.event(e));
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn story() -> Vec<Event> {
        let stage = || "pretrain".to_owned();
        let mut events = vec![Event::StageStarted {
            stage: stage(),
            hash: String::new(),
            parameters: 1_200_000,
            steps: Some(100),
            tokens: Some(160_000),
            resumed_from: Some(2),
        }];
        events.extend((3..50).map(|step| Event::Step {
            stage: stage(),
            step,
            tokens: step * 1600,
            supervised: step * 1600,
            z_loss: None,
            balance_loss: None,
            busiest_expert: None,
            skipped: false,
            loss_scale: None,
            loss: 3.25,
            lr: 1e-3,
            grad_norm: 1.0,
            tokens_per_second: 12_300.0,
            seconds: 1.0,
        }));
        events.push(Event::warning("the disk is slow"));
        events
    }

    #[test]
    fn lines_are_few() {
        let text = shown(Form::Lines, &story());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "pretrain: 1.2M parameters, 100 steps, 160.0k tokens, going on from step 2");
        assert!(lines[1].starts_with("pretrain  step 3/100  loss 3.250  lr 1.0e-3  12.3k tok/s  "), "{text}");
        assert!(lines[1].ends_with(" left"), "{text}");
        assert_eq!(lines[2..], ["warning: the disk is slow"]);
    }

    /// Of a stage that was resumed no loss is known until its first step, and one that is not finite is shown as what it is.
    #[test]
    fn a_loss_that_is_not_known_is_not_shown_as_one_that_is_no_number() {
        let shown_of = |resumed_from: Option<u64>, then: Event| {
            let mut events = story();
            events.truncate(2);
            if let Event::StageStarted { resumed_from: from, .. } = &mut events[0] {
                *from = resumed_from;
            }
            events.truncate(1);
            events.push(then);
            shown(Form::Lines, &events)
        };
        let stage = || "pretrain".to_owned();
        let valid = Event::Valid { stage: stage(), step: 2, tokens: 3_200, loss: 2.5, best: true };
        let text = shown_of(Some(2), valid);
        assert_eq!(text.lines().last(), Some("pretrain  step 2/100  valid 2.500"), "{text}");
        let Some(Event::Step { tokens, supervised, lr, tokens_per_second, seconds, .. }) = story().into_iter().nth(1)
        else {
            panic!("a step")
        };
        let left_out = Event::Step {
            stage: stage(),
            step: 3,
            tokens,
            supervised,
            loss: f64::NAN,
            z_loss: None,
            balance_loss: None,
            busiest_expert: None,
            skipped: true,
            loss_scale: None,
            lr,
            grad_norm: f64::NAN,
            tokens_per_second,
            seconds,
        };
        let line = serde_json::to_string(&left_out).unwrap();
        assert!(line.contains("\"loss\":null") && line.contains("\"skipped\":true"), "{line}");
        // As it was told, and as another process reads it of the file.
        for event in [left_out, serde_json::from_str(&line).unwrap()] {
            let text = shown_of(Some(2), event);
            let last = text.lines().last().unwrap();
            assert!(last.starts_with("pretrain  step 3/100  loss NaN, left out  lr 1.0e-3  12.3k tok/s"), "{text}");
        }
    }

    #[test]
    fn quiet_keeps_warnings() {
        assert_eq!(shown(Form::Quiet, &story()), "warning: the disk is slow\n");
    }

    #[test]
    fn a_failure_is_told_once() {
        let event = Event::RunFinished { status: Status::Failed, seconds: 2.0, why: Some("it broke".into()) };
        assert_eq!(shown(Form::Lines, std::slice::from_ref(&event)), "failed after 2s: it broke\n");
        for form in [Form::Lines, Form::Quiet] {
            let paper = Paper::default();
            Display::to(form, Box::new(paper.clone())).without_failures().event(&event);
            assert!(paper.0.lock().unwrap().is_empty(), "{form:?}");
        }
    }

    #[test]
    fn json_keeps_everything_and_nothing_else() {
        let text = shown(Form::Json, &story());
        assert_eq!(text.lines().count(), story().len());
        assert!(text.lines().all(|l| serde_json::from_str::<Line>(l).is_ok()));
    }

    #[test]
    fn a_sample_is_one_short_line() {
        assert_eq!(one_line("Once\n upon  a time", 9), "Once upon…");
    }
}
