//! The tokenizer of a folder: its size, its special tokens, its chat template.

use super::{Fault, Unread, exists, malformed, object};
use crate::diagnostics::Code;
use crate::plan::spec::{Decoder, PublishedTokenizer, Template, TokenizerSpecials};
use crate::source::{World, WorldError, path};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// What was read.
pub(super) struct Read {
    pub tokenizer: PublishedTokenizer,
    pub template: Option<Template>,
    /// Every file that belongs to it and is there.
    pub files: Vec<String>,
}

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";

/// What a tokenizer is read from, `tokenizer.json` first. The older files that say the same once more (`vocab.json`,
/// `merges.txt`, `added_tokens.json`, `tokenizer.model`) decide nothing, and are no part of it.
const FILES: &[&str] = &[TOKENIZER, CONFIG, "special_tokens_map.json", TEMPLATE, "generation_config.json"];

/// As much of a `tokenizer.json` as says which entries there are.
#[derive(Deserialize)]
struct Entries {
    #[serde(default)]
    added_tokens: Vec<Added>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    vocab: Vocab,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    unk_id: Option<u32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vocab {
    Ids(BTreeMap<String, u32>),
    /// Unigram: pieces with their scores, in the order of their ids.
    Pieces(Vec<(String, f64)>),
}

impl Entries {
    fn id(&self, token: &str) -> Option<u32> {
        let added = self.added_tokens.iter().find(|a| a.content == token).map(|a| a.id);
        added.or_else(|| match &self.model.vocab {
            Vocab::Ids(ids) => ids.get(token).copied(),
            Vocab::Pieces(pieces) => u32::try_from(pieces.iter().position(|(piece, _)| piece == token)?).ok(),
        })
    }

    /// One more than the largest id: a table of embeddings must reach it.
    fn count(&self) -> u64 {
        let own = match &self.model.vocab {
            Vocab::Ids(ids) => ids.values().max().map_or(0, |last| u64::from(*last) + 1),
            Vocab::Pieces(pieces) => pieces.len() as u64,
        };
        self.added_tokens.iter().map(|a| u64::from(a.id) + 1).fold(own, u64::max)
    }
}

/// Reads the tokenizer of `folder`, whose `config.json` is `config`.
///
/// # Errors
/// When there is none, it cannot be read, no token ends a text, or it has more entries than the network has embeddings.
pub(super) fn read(
    world: &dyn World,
    folder: &str,
    config: &Map<String, Json>,
    network: &Decoder,
) -> Result<Read, Fault> {
    let at = |name: &str| path::join(folder, name);
    let unusable = |message: String, help: String| Fault::new(Code::E0618, message, help);
    let file = at(TOKENIZER);
    if !exists(world, &file) {
        let message = format!("`{folder}` has no `{TOKENIZER}`");
        let older = ["tokenizer.model", "vocab.json", "vocab.txt"].iter().any(|name| exists(world, &at(name)));
        let help = if older {
            format!(
                "make it from the older files once: python -c \"from transformers import AutoTokenizer as T; \
                 T.from_pretrained('{folder}').save_pretrained('{folder}')\""
            )
        } else {
            "download the one that the model is published with".to_owned()
        };
        return Err(unusable(message, help));
    }
    let text = world.read(&file).map_err(|e| malformed(&file, &e.to_string()))?;
    let entries: Entries = serde_json::from_str(&text).map_err(|e| malformed(&file, &e.to_string()))?;
    let optional = |name: &str| match object(world, &at(name)) {
        Ok(fields) => Ok(fields),
        Err(Unread::Absent) => Ok(Map::new()),
        Err(Unread::Bad(why)) => Err(malformed(&at(name), &why)),
    };
    let (about, map, generation) =
        (optional(CONFIG)?, optional("special_tokens_map.json")?, optional("generation_config.json")?);
    if let Some((id, token)) = added_elsewhere(&about, &entries) {
        let message = format!("`{}` adds `{token}` as entry {id}, which `{file}` does not add", at(CONFIG));
        let help = format!(
            "write both into one once: python -c \"from transformers import AutoTokenizer as T; \
             T.from_pretrained('{folder}').save_pretrained('{folder}')\""
        );
        return Err(unusable(message, help));
    }
    let (vocab, rows) = (entries.count(), u64::try_from(network.vocab.unwrap_or(0)).unwrap_or(0));
    if vocab > rows {
        let message = format!("the tokenizer of `{folder}` has {vocab} entries, and the network {rows} embeddings");
        let help = format!(
            "if both are of one model, give it the embeddings that it lacks once: python -c \"from transformers import \
             AutoModelForCausalLM as M; m = M.from_pretrained('{folder}'); m.resize_token_embeddings({vocab}); \
             m.save_pretrained('{folder}')\"; else download tokenizer and weights of one and the same model"
        );
        return Err(Fault::new(Code::E0607, message, help));
    }
    let named = |field: &str| {
        let token = about.get(field).or_else(|| map.get(field))?;
        let text = token.as_str().or_else(|| token.get("content")?.as_str())?;
        entries.id(text)
    };
    let ids = |field: &str| -> Vec<u32> {
        let found = generation.get(field).filter(|v| !v.is_null()).or_else(|| config.get(field));
        let all = match found {
            Some(Json::Array(all)) => all.clone(),
            Some(one) => vec![one.clone()],
            None => Vec::new(),
        };
        let fits = |id: &Json| id.as_u64().filter(|id| *id < vocab).and_then(|id| u32::try_from(id).ok());
        all.iter().filter_map(fits).collect()
    };
    let ends = ids("eos_token_id");
    let Some(end) = named("eos_token").or(ends.first().copied()) else {
        let message = format!("nothing in `{folder}` says which token ends a text");
        let help = format!("name it as `eos_token` in `{CONFIG}`, as the text of an entry of `{TOKENIZER}`");
        return Err(unusable(message, help));
    };
    // A tokenizer that says it has none is believed, whatever the network's configuration says.
    let has_begin = !about.get("bos_token").is_some_and(Json::is_null);
    let unknown = entries.model.unk_token.as_deref().and_then(|t| entries.id(t)).or(entries.model.unk_id);
    let specials = TokenizerSpecials {
        end,
        pad: named("pad_token").or(ids("pad_token_id").first().copied()).unwrap_or(end),
        // GPT-2 calls its end of text unknown as well, and has nothing that it does not know.
        unknown: unknown.filter(|id| *id != end),
        begin: named("bos_token").or(ids("bos_token_id").first().copied()).filter(|_| has_begin),
        stops: ends.into_iter().filter(|id| *id != end).collect(),
    };
    let template = match world.read(&at(TEMPLATE)) {
        Ok(jinja) => Some(jinja.to_string()),
        Err(WorldError::Missing) => template_in(&about),
        Err(error) => return Err(malformed(&at(TEMPLATE), &error.to_string())),
    };
    Ok(Read {
        tokenizer: PublishedTokenizer { file, vocab: i64::try_from(vocab).unwrap_or(i64::MAX), specials },
        template: template.map(|jinja| Template { jinja, stop: Vec::new() }),
        files: FILES.iter().map(|name| at(name)).filter(|file| exists(world, file)).collect(),
    })
}

/// An entry that `tokenizer_config.json` adds to those that `tokenizer.json` does, as `transformers` does when it loads both: its
/// id and text. An entry of the vocabulary that nothing adds is cut up like any other text, so it counts as added as well.
fn added_elsewhere(about: &Map<String, Json>, entries: &Entries) -> Option<(String, String)> {
    let added = about.get("added_tokens_decoder")?.as_object()?;
    added.iter().find_map(|(id, token)| {
        let text = token.get("content")?.as_str()?;
        let there = entries.added_tokens.iter().any(|a| a.content == text);
        (!there).then(|| (id.clone(), text.to_owned()))
    })
}

/// The template in `tokenizer_config.json`: one, or of several the one called `default`.
fn template_in(about: &Map<String, Json>) -> Option<String> {
    match about.get("chat_template")? {
        Json::String(jinja) => Some(jinja.clone()),
        Json::Array(several) => {
            let default = several.iter().find(|t| t.get("name").is_some_and(|name| name == "default"))?;
            default.get("template")?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}
