//! Where each weight of ours lies among theirs: a table a family.

use super::head::Stored;
use super::{Fault, NAMED, listed};
use crate::diagnostics::Code;
use crate::plan::spec::{Decoder, Norm, NormPlace, Position, QkNorm};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A family of networks in the layout of `transformers`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    Gpt2,
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    Olmo2,
    Smollm3,
    Mixtral,
    Qwen3Moe,
    Olmoe,
}

/// The families that can be read and written.
pub const FAMILIES: [Family; 10] = [
    Family::Gpt2,
    Family::Llama,
    Family::Mistral,
    Family::Qwen2,
    Family::Qwen3,
    Family::Olmo2,
    Family::Smollm3,
    Family::Mixtral,
    Family::Qwen3Moe,
    Family::Olmoe,
];

impl Family {
    /// As `config.json` says it: `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Family::Gpt2 => "gpt2",
            Family::Llama => "llama",
            Family::Mistral => "mistral",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
            Family::Olmo2 => "olmo2",
            Family::Smollm3 => "smollm3",
            Family::Mixtral => "mixtral",
            Family::Qwen3Moe => "qwen3_moe",
            Family::Olmoe => "olmoe",
        }
    }

    /// As people write it.
    pub fn title(self) -> &'static str {
        match self {
            Family::Gpt2 => "GPT-2",
            Family::Llama => "Llama",
            Family::Mistral => "Mistral",
            Family::Qwen2 => "Qwen 2",
            Family::Qwen3 => "Qwen 3",
            Family::Olmo2 => "OLMo 2",
            Family::Smollm3 => "SmolLM 3",
            Family::Mixtral => "Mixtral",
            Family::Qwen3Moe => "Qwen 3 MoE",
            Family::Olmoe => "OLMoE",
        }
    }
}

/// Where one weight of ours is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Our name of it.
    pub name: String,
    /// `[out, in]` of a matrix, `[n]` of a vector.
    pub shape: Vec<u64>,
    /// Which of the files holds it.
    pub file: usize,
    /// Their name of the tensor that it is, or is a part of.
    pub tensor: String,
    /// The first of the tensor's outputs that belong to it: several weights may lie in one.
    pub first: u64,
    /// Outputs of the tensor in all.
    pub outputs: u64,
    /// Whether the tensor lies `[in, out]`.
    pub turned: bool,
}

/// How a family calls what we call otherwise.
struct Table {
    /// What all names begin with, or lack.
    prefix: &'static str,
    /// A block, before its number.
    block: &'static str,
    /// Modules outside the blocks: ours, theirs. A family with no modules here calls everything as we do.
    outer: &'static [(&'static str, &'static str)],
    /// Modules of a block: those of ours that lie one after the other, and theirs.
    inner: &'static [(&'static [&'static str], &'static str)],
    /// Whether matrices in blocks lie `[in, out]` (GPT-2's `Conv1D`).
    turned: bool,
    /// Ends of names that hold no weights.
    buffers: &'static [&'static str],
}

const GPT2: Table = Table {
    prefix: "transformer.",
    block: "h",
    outer: &[("embed_tokens", "wte"), ("embed_positions", "wpe"), ("norm", "ln_f")],
    inner: &[
        (&["input_layernorm"], "ln_1"),
        (&["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], "attn.c_attn"),
        (&["self_attn.o_proj"], "attn.c_proj"),
        (&["post_attention_layernorm"], "ln_2"),
        (&["mlp.up_proj"], "mlp.c_fc"),
        (&["mlp.down_proj"], "mlp.c_proj"),
    ],
    turned: true,
    buffers: &[".attn.bias", ".attn.masked_bias"],
};

/// Llama's names are ours, and so are those of whoever followed it.
const OURS: Table = Table {
    prefix: "model.",
    block: "layers",
    outer: &[],
    inner: &[],
    turned: false,
    buffers: &["rotary_emb.inv_freq"],
};

/// The output matrix, under our name and under theirs.
pub const HEAD: &str = "lm_head.weight";

/// The embedding, under our name.
pub const EMBEDDING: &str = "model.embed_tokens.weight";

/// What [`Family::Mixtral`] calls the parts of its feed-forward layers: ours, theirs.
const MIXTRAL: [(&str, &str); 5] = [
    (".mlp.gate.", ".block_sparse_moe.gate."),
    (".mlp.experts.", ".block_sparse_moe.experts."),
    (".gate_proj.", ".w1."),
    (".up_proj.", ".w3."),
    (".down_proj.", ".w2."),
];

impl Family {
    /// Mixtral's name of a weight of ours.
    pub fn mixtral(name: &str) -> String {
        MIXTRAL.iter().fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs))
    }

    fn table(self) -> &'static Table {
        match self {
            Family::Gpt2 => &GPT2,
            _ => &OURS,
        }
    }
}

/// The weights that a network has, under our names, sorted.
pub(super) fn ours(d: &Decoder) -> BTreeMap<String, Vec<u64>> {
    let size = |n: i64| u64::try_from(n).unwrap_or(0);
    let (width, hidden, vocab) = (size(d.width), size(d.hidden), size(d.vocab.unwrap_or(0)));
    let queries = size(d.heads).saturating_mul(size(d.head_dim));
    let keys = size(d.kv_heads).saturating_mul(size(d.head_dim));
    let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut linear = |name: String, biased: bool, outputs: u64, inputs: u64| {
        if biased {
            all.insert(format!("{name}.bias"), vec![outputs]);
        }
        all.insert(format!("{name}.weight"), vec![outputs, inputs]);
    };
    for (index, layer) in (0..d.layers).enumerate() {
        let at = |part: &str| format!("model.layers.{layer}.{part}");
        linear(at("self_attn.q_proj"), d.qkv_bias, queries, width);
        linear(at("self_attn.k_proj"), d.qkv_bias, keys, width);
        linear(at("self_attn.v_proj"), d.qkv_bias, keys, width);
        linear(at("self_attn.o_proj"), d.bias, width, queries);
        let mut layers = |at: &str, hidden: u64| {
            if d.activation.gated() {
                linear(format!("{at}.gate_proj"), d.bias, hidden, width);
            }
            linear(format!("{at}.up_proj"), d.bias, hidden, width);
            linear(format!("{at}.down_proj"), d.bias, width, hidden);
        };
        match d.mixture(index) {
            None => layers(&at("mlp"), hidden),
            Some(experts) => {
                let hidden = experts.hidden.map_or(hidden, size);
                (0..experts.count).for_each(|expert| layers(&at(&format!("mlp.experts.{expert}")), hidden));
                linear(at("mlp.gate"), false, size(experts.count), width);
            }
        }
    }
    let of_heads = match d.qk_norm {
        QkNorm::Absent => None,
        QkNorm::Head => Some([size(d.head_dim); 2]),
        QkNorm::Width => Some([queries, keys]),
    };
    for (layer, [query, key]) in of_heads.into_iter().flat_map(|sizes| (0..d.layers).map(move |layer| (layer, sizes))) {
        all.insert(format!("model.layers.{layer}.self_attn.q_norm.weight"), vec![query]);
        all.insert(format!("model.layers.{layer}.self_attn.k_norm.weight"), vec![key]);
    }
    let mut norm = |name: String| {
        if d.bias && d.norm == Norm::Layer {
            all.insert(format!("{name}.bias"), vec![width]);
        }
        all.insert(format!("{name}.weight"), vec![width]);
    };
    let around: &[&str] = match d.norm_place {
        NormPlace::Before => &["input_layernorm", "post_attention_layernorm"],
        NormPlace::After => &["post_attention_layernorm", "post_feedforward_layernorm"],
        NormPlace::Both => {
            &["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]
        }
    };
    for layer in 0..d.layers {
        around.iter().for_each(|name| norm(format!("model.layers.{layer}.{name}")));
    }
    norm("model.norm".to_owned());
    all.insert(EMBEDDING.to_owned(), vec![vocab, width]);
    if d.position == Position::Learned {
        all.insert("model.embed_positions.weight".to_owned(), vec![size(d.context), width]);
    }
    if !d.tied {
        all.insert(HEAD.to_owned(), vec![vocab, width]);
    }
    all
}

/// The weights of a network in its files.
#[derive(Debug)]
pub(super) struct Found {
    /// Sorted by our names.
    pub places: Vec<Place>,
    pub notes: Vec<String>,
}

/// What `torch.compile` puts into the names of a network that is saved while compiled.
const COMPILED: &str = "_orig_mod.";

/// The name of a tensor without what `torch.compile` puts into it.
pub fn uncompiled(tensor: &str) -> String {
    tensor.replace(COMPILED, "")
}

/// More names than any published network has; where a configuration asks for more, the files are counted first.
const MANY: u64 = 100_000;

/// Refuses a configuration that asks for very many weights of files that hold a few, before their names take up memory.
fn counted(d: &Decoder, files: &[Vec<Stored>], folder: &str) -> Result<(), Fault> {
    let size = |n: i64| u64::try_from(n).unwrap_or(0);
    let (layers, count) = (size(d.layers), d.experts.as_ref().map_or(0, |experts| size(experts.count)));
    let all_of_a_block =
        |stored: &&Stored| stored.name.ends_with(".mlp.experts.down_proj") && stored.shape.first() == Some(&count);
    let together = files.iter().flatten().filter(all_of_a_block).count() as u64;
    let apart = |blocks: u64| blocks.saturating_mul(count);
    // A block has two matrices of attention, two of its feed-forward layer and two norms at the least.
    let least = layers * 6 + apart(d.mixtures().saturating_sub(together)).saturating_mul(2);
    let there = files.iter().map(|file| file.len() as u64).sum::<u64>();
    if apart(d.mixtures()).saturating_mul(3) <= MANY || there >= least {
        return Ok(());
    }
    let message = format!(
        "the weights of `{folder}` are not those of its `config.json`: they are {there} tensors, and its {layers} blocks have \
         {least} at the least"
    );
    Err(Fault::new(Code::E0617, message, ONE_MODEL))
}

const ONE_MODEL: &str = "download config and weights of one and the same model";

/// Finds every weight of the network in the files.
///
/// # Errors
/// When weights are missing, misshaped, too many, there twice or in a number format that is not read; the first few are
/// named.
pub(super) fn places(family: Family, d: &Decoder, files: &[Vec<Stored>], folder: &str) -> Result<Found, Fault> {
    counted(d, files, folder)?;
    let table = family.table();
    let bare = |name: &str| {
        let name = uncompiled(name);
        name.strip_prefix(table.prefix).map(str::to_owned).unwrap_or(name)
    };
    let mut problems: Vec<String> = Vec::new();
    // Number formats that are not read: how many tensors have one, and the first of them.
    let mut formats: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut notes: Vec<String> = Vec::new();
    if let Some(compiled) = files.iter().flatten().find(|stored| stored.name.contains(COMPILED)) {
        notes.push(format!(
            "the names of weights (`{}`) are those of `torch.compile`, which are understood",
            compiled.name
        ));
    }
    let mut there: BTreeMap<String, (usize, &Stored)> = BTreeMap::new();
    for (file, stored) in files.iter().enumerate().flat_map(|(i, all)| all.iter().map(move |s| (i, s))) {
        if there.insert(bare(&stored.name), (file, stored)).is_some() {
            problems.push(format!("`{}` is there twice", stored.name));
        }
    }
    let ours = ours(d);
    let mut places: Vec<Place> = Vec::new();
    let mut used: BTreeSet<String> = BTreeSet::new();
    // Several weights may lie in one tensor, which is told of once.
    let mut faulty: BTreeSet<String> = BTreeSet::new();
    for (name, shape) in &ours {
        let together = together(d, name, shape).filter(|(theirs, ..)| there.contains_key(theirs));
        let stacked = together.as_ref().map(|(_, _, experts)| *experts);
        let own = together.map(|(theirs, first, experts)| (theirs, first, experts.iter().take(2).product()));
        // Beside experts that lie together, Mixtral's router has our name.
        let plain = bare(name);
        let router = plain.ends_with(".mlp.gate.weight") && there.contains_key(&plain);
        let own = own.or_else(|| router.then(|| (plain, 0, shape.first().copied().unwrap_or(0))));
        let Some((theirs, first, outputs)) = own.or_else(|| theirs(family, name, &ours)) else {
            problems.push(format!("`{name}` has no name in a {}", family.model_type()));
            continue;
        };
        // Of a tied network, one of the two is enough.
        let lone = d.tied && name == EMBEDDING && !there.contains_key(&theirs) && there.contains_key(HEAD);
        let theirs = if lone { HEAD.to_owned() } else { theirs };
        let turned = table.turned && shape.len() == 2 && name.starts_with("model.layers.");
        let wanted = match shape.as_slice() {
            _ if stacked.is_some() => stacked.unwrap_or_default().to_vec(),
            [_, inputs] if turned => vec![*inputs, outputs],
            [_, inputs] => vec![outputs, *inputs],
            _ => vec![outputs],
        };
        used.insert(theirs.clone());
        let problem = match there.get(&theirs) {
            None => format!("`{}{theirs}` is missing", if theirs == HEAD { "" } else { table.prefix }),
            Some((_, stored)) if stored.shape != wanted => {
                format!("`{}` is {:?} and should be {wanted:?}", stored.name, stored.shape)
            }
            Some((_, Stored { name, dtype, .. })) if !matches!(dtype.as_str(), "F32" | "F16" | "BF16") => {
                if faulty.insert(theirs) {
                    formats.entry(dtype).or_insert((0, name)).0 += 1;
                }
                continue;
            }
            Some((file, stored)) => {
                places.push(Place {
                    name: name.clone(),
                    shape: shape.clone(),
                    file: *file,
                    tensor: stored.name.clone(),
                    first,
                    outputs,
                    turned,
                });
                continue;
            }
        };
        if faulty.insert(theirs) {
            problems.push(problem);
        }
    }
    for (name, (_, stored)) in &there {
        let buffer = table.buffers.iter().any(|end| name.ends_with(end));
        // A tied head is the embedding, whatever an early version saved beside it.
        let spare = name == HEAD && d.tied;
        if !used.contains(name) && !buffer && !spare {
            problems.push(format!("`{}` has no place in the network", stored.name));
        }
    }
    let help = match formats.keys().next() {
        None => ONE_MODEL.to_owned(),
        Some(&"F64") if formats.len() == 1 => format!(
            "convert them to 32 bits once: python -c \"import torch; from transformers import AutoModelForCausalLM as M; \
             M.from_pretrained('{folder}', dtype=torch.float32).save_pretrained('{folder}')\""
        ),
        Some(_) => {
            "choose a release of the model in f32, f16 or bf16, or convert its quantised weights to 16 bits first with \
                    what quantised them"
                .to_owned()
        }
    };
    let unread = formats.into_iter().map(|(dtype, (count, first))| {
        let more = match count {
            1 => String::new(),
            2 => " and one more tensor".to_owned(),
            _ => format!(" and {} more tensors", count - 1),
        };
        let has = if count == 1 { "has" } else { "have" };
        format!("`{first}`{more} {has} the number format {dtype}; f32, f16 and bf16 can be read")
    });
    let problems: Vec<String> = unread.chain(problems).collect();
    if problems.is_empty() {
        return Ok(Found { places, notes });
    }
    let count = problems.len();
    let message = format!("the weights of `{folder}` are not those of its `config.json`: {}", listed(&problems));
    let mut fault = Fault::new(Code::E0617, message, help);
    if count > NAMED {
        fault.notes.push(format!("{count} of its tensors do not fit"));
    }
    Err(fault)
}

/// Where the matrix of an expert lies if all of its block lie in one tensor, as `transformers` 5 holds them and writes them when
/// told to: the tensor's name (without prefix), the first of its outputs that are ours, and its shape.
fn together(d: &Decoder, name: &str, shape: &[u64]) -> Option<(String, u64, [u64; 3])> {
    let (block, rest) = name.strip_prefix("model.")?.split_once(".mlp.experts.")?;
    let (expert, part) = rest.split_once('.')?;
    let (expert, count) = (expert.parse::<u64>().ok()?, u64::try_from(d.experts.as_ref()?.count).ok()?);
    let [outputs, inputs] = shape else { return None };
    let (module, before, rows) = match part {
        "gate_proj.weight" => ("gate_up_proj", 0, outputs.saturating_mul(2)),
        "up_proj.weight" => ("gate_up_proj", *outputs, outputs.saturating_mul(2)),
        _ => ("down_proj", 0, *outputs),
    };
    let first = expert.saturating_mul(rows).saturating_add(before);
    Some((format!("{block}.mlp.experts.{module}"), first, [count, rows, *inputs]))
}

/// Their name (without prefix) of the tensor that holds our weight, the first of its outputs that are ours, and how many
/// outputs it has.
fn theirs(family: Family, name: &str, ours: &BTreeMap<String, Vec<u64>>) -> Option<(String, u64, u64)> {
    let table = family.table();
    let outputs = |name: &str| ours.get(name).and_then(|shape| shape.first()).copied().unwrap_or(0);
    if name == HEAD {
        return Some((HEAD.to_owned(), 0, outputs(HEAD)));
    }
    let own = name.strip_prefix("model.")?;
    if family == Family::Mixtral {
        return Some((Family::mixtral(own), 0, outputs(name)));
    }
    if table.outer.is_empty() {
        return Some((own.to_owned(), 0, outputs(name)));
    }
    let (module, kind) = own.rsplit_once('.')?;
    let Some((layer, module)) = module.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) else {
        let (_, theirs) = table.outer.iter().find(|(ours, _)| *ours == module)?;
        return Some((format!("{theirs}.{kind}"), 0, outputs(name)));
    };
    let (group, theirs) = table.inner.iter().find(|(group, _)| group.contains(&module))?;
    let each = |part: &&str| outputs(&format!("model.layers.{layer}.{part}.{kind}"));
    let first = group.iter().take_while(|part| **part != module).map(each).sum();
    Some((format!("{}.{layer}.{theirs}.{kind}", table.block), first, group.iter().map(each).sum()))
}
