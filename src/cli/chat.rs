//! `exp chat`: a conversation with a stage that has learnt to answer.
//!
//! Where stdin is no terminal, each of its lines is a message and is answered in turn, so that a conversation can be
//! scripted.

use super::bench;
use super::sampling::Sampling;
use super::shared::LabArgs;
use super::trained::Network;
use super::{Exit, Failure, Screen};
use crate::model::{Finish, Memory};
use crate::plan::spec::Decoding;
use crate::run::signals::Interrupt;
use crate::run::{Model, Reply};
use crate::store::disk;
use crate::tokenizer::Message;
use std::io::{BufRead, IsTerminal};
use std::path::Path;

/// What may be said to the program instead of the model.
const COMMANDS: &str = "`/reset` begins anew, `/save FILE` writes the conversation as jsonl, `/quit` ends";

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `RUN` (its last stage; `latest` is the latest run) or `RUN.STAGE`, tuned on conversations, or a folder in the layout of Hugging Face with a chat
    /// template.
    #[arg(value_name = "RUN[.STAGE]|DIR")]
    pub model: String,
    /// What the model is told before the conversation.
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// The longest answer, in tokens.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_tokens: u32,
    #[command(flatten)]
    pub sampling: Sampling,
    /// The device, as `exp devices` lists it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub lab: LabArgs,
}

pub fn run(args: &Args, screen: &Screen) -> Result<Exit, Failure> {
    screen.only_human_or_json("chat")?;
    let decoding = args.sampling.decoding(args.max_tokens)?;
    let network = Network::find(args.lab.lab.as_deref(), &args.model, screen)?;
    let name = network.name(&args.model).to_owned();
    if !network.answers() {
        return Err(match &network {
            Network::Stage(stage) => Failure::Usage {
                message: format!(
                    "`{name}` has no chat template: a `{}` stage goes on with text and does not answer",
                    stage.planned().spec.kind()
                ),
                help: Some(format!(
                    "`exp generate` writes with `{name}`; to chat, name a stage that was tuned on answers, of kind `sft`"
                )),
            },
            Network::Folder(_) => Failure::Usage {
                message: format!("`{name}` has no chat template, so nothing says how a message is put to the model"),
                help: Some(format!(
                    "`exp generate {name}` goes on with text; models tuned on conversations have a template in \
                     `chat_template.jinja` or `tokenizer_config.json`"
                )),
            },
        });
    }
    let device = bench::device(args.device.as_deref())?;
    let model = network.load(&device, screen, true)?;
    let mut talk = Talk {
        model: &model,
        decoding,
        system: args.system.as_deref(),
        messages: Vec::new(),
        memory: Memory::default(),
        turn: 0,
        dropped: 0,
        interrupt: bench::interrupt()?,
        screen,
    };
    talk.reset();
    let terminal = std::io::stdin().is_terminal();
    if terminal {
        screen.note(&format!("chatting with `{name}`, which reads {} tokens; {COMMANDS}", model.context()));
    }
    let interrupted = talk.listen(terminal)?;
    if screen.is_json() {
        screen.document(&serde_json::json!({
            "schema_version": 1, "messages": talk.messages, "dropped": talk.dropped,
        }));
    }
    // At a terminal an answer is given up and the conversation goes on; nobody goes on with a script.
    Ok(if interrupted { Exit::Interrupted } else { Exit::Done })
}

/// A conversation.
struct Talk<'a> {
    model: &'a Model<'a>,
    decoding: Decoding,
    system: Option<&'a str>,
    messages: Vec<Message>,
    /// What the network has read of it.
    memory: Memory,
    /// Answers so far, so that each draws numbers of its own.
    turn: i64,
    /// Messages that the last answer was given without.
    dropped: usize,
    interrupt: Interrupt,
    screen: &'a Screen,
}

impl Talk<'_> {
    fn reset(&mut self) {
        self.messages = self.system.iter().map(|system| Message::new("system", system)).collect();
        (self.turn, self.dropped) = (0, 0);
    }

    /// Answers lines until there are no more; whether a script was interrupted.
    fn listen(&mut self, terminal: bool) -> Result<bool, Failure> {
        let mut lines = std::io::stdin().lock().lines();
        loop {
            if terminal {
                self.screen.ask("› ");
            }
            let Some(line) = lines.next() else {
                if terminal {
                    self.screen.note("");
                }
                return Ok(false);
            };
            let line = line.map_err(|e| Failure::Read { path: "<stdin>".into(), cause: e.to_string() })?;
            let said = line.trim();
            if said.is_empty() {
                continue;
            }
            if let Some(command) = said.strip_prefix('/') {
                let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
                match (word, rest.trim()) {
                    ("quit" | "exit", "") => return Ok(false),
                    ("reset", "") => {
                        self.reset();
                        self.screen.note("the conversation begins anew");
                    }
                    ("save", file) if !file.is_empty() => self.save(Path::new(file), terminal)?,
                    _ => self.unknown(said, terminal)?,
                }
                continue;
            }
            match self.answer(said) {
                Ok(Finish::Interrupted) if !terminal => return Ok(true),
                Ok(_) => {}
                Err(message) if terminal => self.screen.note(&format!("error: {message}")),
                Err(message) => return Err(Failure::Run { message, help: None }),
            }
        }
    }

    /// A typing error of a person is forgiven, one of a script is not.
    fn unknown(&self, said: &str, terminal: bool) -> Result<(), Failure> {
        let message = format!("there is no command `{said}`");
        if terminal {
            self.screen.note(&format!("{message}; {COMMANDS}"));
            return Ok(());
        }
        Err(Failure::Usage { message, help: Some(COMMANDS.to_owned()) })
    }

    fn save(&self, file: &Path, terminal: bool) -> Result<(), Failure> {
        let lines: Result<Vec<String>, _> = self.messages.iter().map(serde_json::to_string).collect();
        let written = match lines {
            Ok(lines) => {
                let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                disk::replace_bytes(file, text.as_bytes()).map_err(|e| e.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match written {
            Ok(()) => self.screen.note(&format!("{} messages are in {}", self.messages.len(), file.display())),
            Err(cause) if terminal => self.screen.note(&format!("error: cannot write {}: {cause}", file.display())),
            Err(cause) => {
                let message = format!("cannot write {}: {cause}", file.display());
                return Err(Failure::Run { message, help: None });
            }
        }
        Ok(())
    }

    /// Answers, and keeps both what was said and the answer. A message that cannot be answered is not kept.
    fn answer(&mut self, said: &str) -> Result<Finish, String> {
        self.messages.push(Message::new("user", said));
        let seed = self.decoding.seed.wrapping_add(self.turn);
        let decoding = Decoding { seed, ..self.decoding.clone() };
        let (screen, interrupt, json) = (self.screen, &self.interrupt, self.screen.is_json());
        let mut shown = false;
        let mut show = |text: &str| {
            // What a template puts between its mark and the answer is no part of it.
            let text = if shown { text } else { text.trim_start() };
            if !json && !text.is_empty() {
                shown = true;
                screen.raw(text);
            }
            !interrupt.asked()
        };
        let reply = interrupt.during(|| self.model.reply(&self.messages, &decoding, &mut self.memory, &mut show));
        let Reply { text, finish, dropped } = match reply {
            Ok(reply) => reply,
            Err(message) => {
                self.messages.pop();
                return Err(message);
            }
        };
        if !json {
            screen.raw("\n");
        }
        self.turn += 1;
        self.messages.push(Message::new("assistant", text.trim()));
        let (context, room) = (self.model.context(), self.decoding.max_tokens);
        if dropped > 0 && dropped != self.dropped {
            screen.note(&format!(
                "note: the conversation and room for an answer are more than the model's context of {context} tokens; its first \
                 {dropped} messages were left out{}",
                if room > 1 { "; a smaller `--max-tokens` leaves more room for it" } else { "" }
            ));
        }
        self.dropped = dropped;
        match finish {
            Finish::Context => {
                screen.note(&format!("note: the answer ends because the model's context of {context} tokens is full"));
            }
            Finish::Length => screen.note("note: the answer has as many tokens as `--max-tokens` allows"),
            Finish::Interrupted => screen.note("note: the answer was interrupted"),
            Finish::Stop => {}
        }
        Ok(finish)
    }
}
