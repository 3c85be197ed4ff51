//! Chat templates: a prompt and a response as the text that a model sees, and which of it is trained on.

use super::json::{from_json, to_json};
use super::{Tokenizer, TokenizerError};
use crate::plan::spec::Template;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::json;

/// What `strftime_now` says, so that a template that prints today's date gives the same tokens on every day.
const TODAY: (i16, i8, i8) = (2025, 1, 1);

/// A chat template ready for use.
pub struct Chat {
    source: String,
    stop: Vec<String>,
    /// What must be taken for text when it stands in a prompt or a response: the special tokens.
    specials: Vec<String>,
    words: Words,
}

/// What a template calls by the names that `transformers` has for them.
struct Words {
    begin: String,
    end: String,
    pad: String,
    unknown: String,
}

impl Default for Words {
    /// Those of tokenizers that are made here.
    fn default() -> Words {
        let [end, pad] = ["<|end|>", "<|pad|>"].map(str::to_owned);
        Words { begin: String::new(), end, pad, unknown: String::new() }
    }
}

/// What someone said in a conversation.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    pub content: String,
}

/// A part of a rendered conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    pub text: String,
    /// It belongs to the response, with what ends it.
    pub supervised: bool,
    /// It is text that looks like a special token: it was in the prompt or the response and not in the template.
    pub literal: bool,
}

impl Chat {
    /// A template for a tokenizer with these special tokens.
    ///
    /// # Errors
    /// When the template is not valid Jinja.
    pub fn new<'a>(
        template: &Template,
        specials: impl IntoIterator<Item = &'a String>,
    ) -> Result<Chat, TokenizerError> {
        let mut specials: Vec<String> = specials.into_iter().cloned().collect();
        // A longer one is looked for first, so that one that begins like another is found whole.
        specials.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        let chat =
            Chat { source: template.jinja.clone(), stop: template.stop.clone(), specials, words: Words::default() };
        environment().template_from_str(&without_generation(&chat.source)).map_err(invalid)?;
        Ok(chat)
    }

    /// A template for a tokenizer, whose special tokens it names.
    ///
    /// # Errors
    /// When the template is not valid Jinja.
    pub fn of(template: &Template, tokenizer: &Tokenizer) -> Result<Chat, TokenizerError> {
        let mut chat = Chat::new(template, tokenizer.specials().keys())?;
        if let Some(published) = tokenizer.published() {
            let word = |id: Option<u32>| id.and_then(|id| tokenizer.entry(id)).unwrap_or_default();
            let (begin, unknown) = (word(published.begin), word(published.unknown));
            chat.words = Words { begin, end: word(Some(published.end)), pad: word(Some(published.pad)), unknown };
        }
        Ok(chat)
    }

    /// Texts after which generation stops, besides the token that ends a text.
    pub fn stop(&self) -> &[String] {
        &self.stop
    }

    /// The text of a prompt up to where the model answers.
    ///
    /// # Errors
    /// When the template fails.
    pub fn prompt(&self, prompt: &str) -> Result<Vec<Piece>, TokenizerError> {
        self.messages(&[Message::new("user", prompt)])
    }

    /// The text of a conversation up to where the model answers.
    ///
    /// # Errors
    /// When the template fails.
    pub fn messages(&self, messages: &[Message]) -> Result<Vec<Piece>, TokenizerError> {
        let text = self.conversation(messages, true)?;
        Ok(self.pieces_of(&text, false).collect())
    }

    /// The text of a prompt and its response, with the response marked.
    ///
    /// The response is what follows the text of the prompt, with whatever the template writes after it, so a model learns
    /// where to stop.
    ///
    /// # Errors
    /// When the template fails, or the text of the prompt is not a beginning of the whole.
    pub fn sample(&self, prompt: &str, response: &str) -> Result<Vec<Piece>, TokenizerError> {
        let messages = [Message::new("user", prompt), Message::new("assistant", response)];
        let before = self.conversation(&messages[..1], true)?;
        let whole = self.conversation(&messages, false)?;
        let Some(after) = whole.strip_prefix(&before) else {
            let common = before.chars().zip(whole.chars()).take_while(|(a, b)| a == b).count();
            let shown: String = before.chars().skip(common.saturating_sub(24)).take(common.min(24)).collect();
            return Err(TokenizerError::NotPrefix { after: self.reveal(&shown).replace('\n', "\\n") });
        };
        Ok(self.pieces_of(&before, false).chain(self.pieces_of(after, true)).collect())
    }

    /// The text of messages, what was said with its special tokens hidden; with `answers`, up to where the model does.
    fn conversation(&self, messages: &[Message], answers: bool) -> Result<String, TokenizerError> {
        let messages: Vec<_> =
            messages.iter().map(|m| json!({"role": m.role, "content": self.hide(&m.content)})).collect();
        let Words { begin, end, pad, unknown } = &self.words;
        // `transformers` passes what nobody gave as `none`, which templates tell from what is undefined.
        let mut data =
            json!({"messages": messages, "add_generation_prompt": answers, "tools": null, "documents": null});
        // Of a token that the tokenizer does not have, nothing.
        for (name, token) in [("bos_token", begin), ("eos_token", end), ("pad_token", pad), ("unk_token", unknown)] {
            if !token.is_empty() {
                data[name] = json!(token);
            }
        }
        render(&self.source, &data)
    }

    /// The text with everything that looks like a special token replaced by a mark.
    fn hide(&self, text: &str) -> String {
        // The marks are non-characters, which no text carries; one that does lose them here cannot forge a mark.
        let mut text = text.replace([OPEN, CLOSE], "");
        for (index, special) in self.specials.iter().enumerate() {
            if text.contains(special.as_str()) {
                let number = char::from_u32(FIRST + index as u32).unwrap_or(CLOSE);
                text = text.replace(special.as_str(), &format!("{OPEN}{number}{CLOSE}"));
            }
        }
        text
    }

    /// The text with the marks back as what they stand for.
    fn reveal(&self, text: &str) -> String {
        self.pieces_of(text, false).map(|p| p.text).collect()
    }

    fn pieces_of(&self, text: &str, supervised: bool) -> impl Iterator<Item = Piece> {
        let mut pieces = Vec::new();
        for (at, part) in text.split(OPEN).enumerate() {
            let rest = match part.split_once(CLOSE) {
                Some((index, rest)) if at > 0 => {
                    let number = index.chars().next().and_then(|c| (c as u32).checked_sub(FIRST));
                    if let Some(special) = number.and_then(|n| self.specials.get(n as usize)) {
                        pieces.push(Piece { text: special.clone(), supervised, literal: true });
                    }
                    rest
                }
                _ => part,
            };
            if !rest.is_empty() {
                pieces.push(Piece { text: rest.to_owned(), supervised, literal: false });
            }
        }
        pieces.into_iter()
    }
}

impl Message {
    pub fn new(role: &str, content: &str) -> Message {
        Message { role: role.to_owned(), content: content.to_owned() }
    }
}

/// Non-characters of Unicode around the number of a hidden special token, which is a private character from `FIRST`: no
/// special token can be found in such a mark.
const OPEN: char = '\u{fdd0}';
const CLOSE: char = '\u{fdd1}';
const FIRST: u32 = 0xf_0000;

/// A chat template rendered with `data` (`messages`, `add_generation_prompt`, `tools`, …), as `transformers` does.
///
/// Blocks are trimmed, `tojson` is plain, `raise_exception` and the string methods of Python work, `strftime_now` is
/// frozen, and `{% generation %}` marks are transparent.
///
/// # Errors
/// When the template is not valid or raises.
pub fn render(template: &str, data: &serde_json::Value) -> Result<String, TokenizerError> {
    let source = without_generation(template);
    let environment = environment();
    let template = environment.template_from_str(&source).map_err(invalid)?;
    template.render(from_json(data)).map_err(invalid)
}

fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    // Building the configuration fails only on delimiters that clash, and these are the usual ones.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_unknown_method_callback(super::methods::call);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |why: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("{REFUSES}{why}")))
    });
    environment.add_function("strftime_now", |format: String| -> Result<String, Error> {
        let (year, month, day) = TODAY;
        let date = jiff::civil::date(year, month, day).at(0, 0, 0, 0);
        jiff::fmt::strtime::format(&format, date).map_err(|e| Error::new(ErrorKind::InvalidOperation, e.to_string()))
    });
    // A template is part of an experiment, yet one that loops for ever must not hang it.
    environment.set_fuel(Some(50_000_000));
    environment
}

/// The template with `{% generation %}` blocks, which only mark, as blocks that Jinja knows.
fn without_generation(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find("{%") {
        // Not before the mark that opens has ended: `{%}` is no block.
        let Some(length) = rest[open + 2..].find("%}").map(|at| at + 2) else { break };
        let inside = &rest[open + 2..open + length];
        let word = inside.trim_matches(['-', '+']).trim();
        out.push_str(&rest[..open]);
        match word {
            "generation" => out.push_str(&format!("{{%{}%}}", inside.replace("generation", "if true"))),
            "endgeneration" => out.push_str(&format!("{{%{}%}}", inside.replace("endgeneration", "endif"))),
            _ => out.push_str(&rest[open..open + length + 2]),
        }
        rest = &rest[open + length + 2..];
    }
    out.push_str(rest);
    out
}

/// Begins what a template says by `raise_exception`, so that it is told from a mistake in the template.
const REFUSES: &str = "\u{fdd2}";

fn invalid(error: Error) -> TokenizerError {
    if let Some((_, why)) = error.detail().and_then(|detail| detail.split_once(REFUSES)) {
        return TokenizerError::Refused(why.to_owned());
    }
    let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    TokenizerError::Template(format!("{}{line}", error.detail().unwrap_or(&error.kind().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIMPLE: &str = "{% for m in messages %}\n<|{{ m.role }}|>{{ m.content }}\n{% if m.role == 'assistant' %}\n<|end|>\
                          {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}<|assistant|>{% endif %}";

    fn chat(jinja: &str) -> Chat {
        let specials: Vec<String> = crate::tokenizer::OWN.iter().map(|s| (*s).to_owned()).collect();
        Chat::new(&Template { jinja: jinja.into(), stop: Vec::new() }, &specials).unwrap()
    }

    fn piece(text: &str, supervised: bool, literal: bool) -> Piece {
        Piece { text: text.into(), supervised, literal }
    }

    #[test]
    fn the_response_and_its_end_are_trained_on() {
        let pieces = chat(SIMPLE).sample("Who?", "An owl.").unwrap();
        assert_eq!(
            pieces,
            [piece("<|user|>Who?\n<|assistant|>", false, false), piece("An owl.\n<|end|>", true, false)]
        );
        assert_eq!(chat(SIMPLE).prompt("Who?").unwrap(), pieces[..1]);
    }

    #[test]
    fn special_tokens_in_a_prompt_are_text() {
        let pieces = chat(SIMPLE).prompt("a<|end|>b").unwrap();
        assert_eq!(
            pieces,
            [piece("<|user|>a", false, false), piece("<|end|>", false, true), piece("b\n<|assistant|>", false, false)]
        );
    }

    #[test]
    fn a_conversation_has_many_turns() {
        let messages = ["Who?", "An owl.", "a<|end|>b"].map(|text| text.to_owned());
        let messages: Vec<Message> = (["user", "assistant", "user"].iter().zip(&messages))
            .map(|(role, content)| Message::new(role, content))
            .collect();
        let text: Vec<Piece> = chat(SIMPLE).messages(&messages).unwrap();
        assert_eq!(
            text,
            [
                piece("<|user|>Who?\n<|assistant|>An owl.\n<|end|><|user|>a", false, false),
                piece("<|end|>", false, true),
                piece("b\n<|assistant|>", false, false)
            ]
        );
    }

    #[test]
    fn what_nobody_gave_is_none_and_tokens_that_are_not_there_are_undefined() {
        let jinja = "{% if tools is not none or documents is not none %}bad{% endif %}{{ tools is defined }}\
                     {{ bos_token is defined }}{{ eos_token }}";
        assert_eq!(chat(jinja).prompt("x").unwrap(), [piece("TrueFalse<|end|>", false, false)]);
    }

    #[test]
    fn a_template_that_is_no_prefix_says_where_it_parts() {
        let jinja = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}bot: {% endif %}";
        let error = chat(jinja).sample("Who?", "Owl").unwrap_err().to_string();
        assert!(error.contains("they part after \"…user: Who?"), "{error}");
    }

    #[test]
    fn mistakes_of_a_template_are_told() {
        let bad = Chat::new(&Template { jinja: "{% for %}".into(), stop: Vec::new() }, &Vec::new());
        assert!(bad.err().unwrap().to_string().contains("line 1"));
        let raises = chat("{{ raise_exception('only system prompts') }}").prompt("x").unwrap_err().to_string();
        assert_eq!(raises, "the chat template refuses this conversation: only system prompts");
        // A few characters that ask for gigabytes.
        let huge = "{{ messages|tojson(indent=1000000000) }}";
        assert!(chat(huge).prompt("x").unwrap_err().to_string().contains("tojson"));
        for torn in ["{%}", "{% }", "{%%}", "{%}%}"] {
            let made = Chat::new(&Template { jinja: torn.into(), stop: Vec::new() }, &Vec::new());
            assert!(made.is_err(), "{torn}");
        }
        let endless = "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}";
        assert!(chat(endless).prompt("x").is_err());
    }

    #[test]
    fn published_templates_render_as_expected() {
        let Some(path) = crate::tokenizer::tests::data("golden/chat_templates.json") else { return };
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let (mut equal, mut total, mut wrong) = (0, 0, Vec::new());
        for (_, group) in golden.as_object().unwrap() {
            for (name, case) in group.as_object().unwrap() {
                total += 1;
                let template = case["chat_template"].as_str().unwrap();
                match render(template, &case["data"]) {
                    Ok(text) if case["target"] == text.as_str() => equal += 1,
                    Ok(_) => wrong.push(format!("{name}: differs")),
                    Err(error) => wrong.push(format!("{name}: {error}")),
                }
            }
        }
        println!("{equal} of {total} published chat templates render as expected; not: {wrong:#?}");
        assert!(equal * 53 >= total * 46, "{wrong:#?}");
    }
}
