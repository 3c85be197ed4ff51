//! What fields are called elsewhere: in Hugging Face's `TrainingArguments` and model configurations, in nanoGPT, Axolotl,
//! LLaMA-Factory, PyTorch and Lightning. The table serves suggestions only; no other name of a field is ever accepted.

use crate::syntax::ast::Kind;
use crate::types::Unit;

/// A field of the library, with the names that other tools give it.
struct Row {
    /// The field, or a dotted path to it from the record that the name was written in.
    ours: &'static str,
    theirs: &'static [&'static str],
    /// What to write, where the name is not the only thing that differs. A number in «» gives way to the user's own.
    instead: Option<&'static str>,
}

/// A field that goes by another name elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Known {
    pub ours: &'static str,
    pub instead: Option<&'static str>,
}

/// What to write in place of a foreign field, with the number that was `given` to it, and whether that is all there is to
/// write.
pub(super) fn with_number(instead: &str, given: Option<&str>) -> (String, bool) {
    let Some((before, (sample, behind))) =
        instead.split_once('«').and_then(|(b, rest)| Some((b, rest.split_once('»')?)))
    else {
        return (instead.to_owned(), false);
    };
    let whole = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    // Tokens, steps and documents are counted in whole numbers; shares and epochs are not.
    let fits = |given: &&str| whole(given) || sample.ends_with('%') || behind.trim_start().starts_with("epochs");
    let given = given.filter(fits);
    let text = format!("{before}{}{behind}", given.unwrap_or(sample));
    let alone = text.matches('`').count() == 2 && text.starts_with('`') && text.ends_with('`');
    (text, given.is_some() && alone)
}

/// The fields that `name` stands for in other tools. Which of them a record has is for the caller to see.
pub(super) fn known_as(name: &str) -> impl Iterator<Item = Known> + use<'_> {
    let plain = |s: &str| s.to_ascii_lowercase().replace('-', "_");
    let name = plain(name);
    TABLE
        .iter()
        .filter(move |row| row.theirs.contains(&name.as_str()))
        .map(|row| Known { ours: row.ours, instead: row.instead })
}

/// The record that other tools name by `word`: `optimizer = "adam"` is an `adamw`.
pub(super) fn record_known_as(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    RECORDS.iter().find(|(_, theirs)| theirs.contains(&word.as_str())).map(|(ours, _)| *ours)
}

const RECORDS: &[(&str, &[&str])] = &[
    ("adamw", &["adam", "adamw_torch", "adamw_torch_fused", "adamw_hf", "fused_adamw"]),
    ("lion", &["lion_32bit"]),
    ("cosine", &["cosine_with_warmup", "cosine_with_min_lr", "cosine_annealing", "cosineannealinglr"]),
    ("linear", &["linear_with_warmup", "linearlr"]),
    ("constant", &["constant_with_warmup"]),
    ("wsd", &["warmup_stable_decay"]),
    ("inverse_sqrt", &["noam", "inverse_square_root"]),
];

/// The symbols that other tools write as `value`.
pub(super) fn symbols_known_as(value: &str) -> impl Iterator<Item = &'static str> + use<> {
    let value = value.to_ascii_lowercase().replace('-', "_");
    SYMBOLS.iter().filter(move |(_, theirs)| theirs.contains(&value.as_str())).map(|(ours, _)| *ours)
}

const SYMBOLS: &[(&str, &[&str])] = &[
    ("mixed_bf16", &["bf16", "bfloat16", "bf16_mixed"]),
    ("mixed_f16", &["fp16", "f16", "float16", "half", "16_mixed", "mixed_fp16", "fp16_mixed"]),
    ("f32", &["fp32", "float32", "float", "single", "full"]),
    ("rms", &["rmsnorm", "rms_norm"]),
    ("layer", &["layernorm", "layer_norm"]),
    ("rotary", &["rope"]),
    ("learned", &["absolute", "learnt"]),
    ("absent", &["nope"]),
    ("swiglu", &["silu", "swish"]),
    ("gelu", &["gelu_new", "gelu_tanh", "gelu_pytorch_tanh"]),
    ("relu_squared", &["relu2", "squared_relu"]),
    ("query", &["q_proj", "wq", "q"]),
    ("key", &["k_proj", "wk", "k"]),
    ("value", &["v_proj", "wv", "v"]),
    ("output", &["o_proj", "wo", "o", "out_proj"]),
    ("gate", &["gate_proj", "w1"]),
    ("up", &["up_proj", "w3", "c_fc"]),
    ("down", &["down_proj", "w2"]),
];

/// Names of the library, or of what a stage measures, that others call `name`.
pub(super) fn names_known_as(name: &str) -> impl Iterator<Item = &'static str> + use<> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES.iter().filter(move |(_, theirs)| theirs.contains(&name.as_str())).map(|(ours, _)| *ours)
}

const NAMES: &[(&str, &[&str])] = &[
    ("keep", &["filter", "where"]),
    ("split", &["train_test_split", "random_split"]),
    ("jsonl", &["json", "load_json", "from_json"]),
    ("text", &["load_text", "txt", "textfile", "text_file"]),
    ("dedup", &["deduplicate", "drop_duplicates", "unique", "distinct"]),
    ("take", &["head", "limit", "first"]),
    ("perplexity", &["ppl", "loss", "nll", "cross_entropy"]),
    ("bits_per_byte", &["bpb"]),
    ("exact_match", &["em", "accuracy", "acc"]),
    ("token_f1", &["f1", "squad_f1"]),
    ("rouge_l", &["rouge", "rougel"]),
    ("rouge_1", &["rouge1"]),
    ("rouge_2", &["rouge2"]),
    ("valid", &["valid_loss", "val_loss", "eval_loss", "validation_loss", "val", "validation"]),
    ("train", &["train_loss", "training_loss"]),
    ("log", &["loguniform", "log_uniform", "logspace", "qloguniform"]),
    ("linear", &["uniform", "linspace"]),
];

/// The variant of a kind of item that others call `name`.
pub(super) fn variant_known_as(kind: Kind, name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    VARIANTS.iter().find(|(of, _, theirs)| *of == kind && theirs.contains(&name.as_str())).map(|(_, ours, _)| *ours)
}

const VARIANTS: &[(Kind, &str, &[&str])] = &[
    (
        Kind::Stage,
        "next_token",
        &[
            "pretrain",
            "pretraining",
            "pre_training",
            "pt",
            "clm",
            "lm",
            "causal_lm",
            "language_modeling",
            "train",
            "training",
        ],
    ),
    (
        Kind::Stage,
        "sft",
        &["finetune", "fine_tune", "finetuning", "fine_tuning", "instruction", "instruct", "supervised", "lora"],
    ),
    (Kind::Stage, "reward_model", &["rm", "reward", "reward_modeling"]),
    (Kind::Stage, "ppo", &["rlhf", "rl"]),
    (Kind::Stage, "pretrained", &["hf", "huggingface", "hub", "load", "checkpoint"]),
    (Kind::Tokenizer, "bpe", &["byte_bpe", "bytelevel", "byte_level", "bbpe"]),
    (Kind::Tokenizer, "wordpiece", &["word_piece", "bert"]),
    (Kind::Tokenizer, "characters", &["char", "chars", "character"]),
    (Kind::Tokenizer, "tokenizer_json", &["pretrained", "hf", "huggingface", "json", "hub"]),
    (Kind::Model, "decoder", &["transformer", "causal_lm", "lm", "decoder_only"]),
];

/// The truth value that other languages write as `word`.
pub(super) fn truth(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" | "enabled" | "1" => Some("true"),
        "no" | "off" | "n" | "false" | "disabled" | "0" => Some("false"),
        _ => None,
    }
}

/// What a field counts, where a number in another unit would be taken for something else without it.
pub(super) fn counts(field: &str, unit: Unit) -> Option<&'static str> {
    match (field, unit) {
        ("micro_batch", Unit::Tokens) => Some(
            "`micro_batch` counts sequences that go through the device at a time: tokens over the length of a sequence; left out, \
             as many go as fit",
        ),
        _ => None,
    }
}

/// Why there is no field for what `name` asks for.
pub(super) fn not_built(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    NO_FIELD.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(why, _)| *why)
}

/// What other tools have settings for, and what stands in their place here.
const NO_FIELD: &[(&str, &[&str])] = &[
    (
        "one device per run: data parallel training is not built; `exp run --device` names the device, and `exp sweep --jobs` \
         runs points beside each other",
        &[
            "devices",
            "num_devices",
            "n_devices",
            "device_count",
            "gpus",
            "num_gpus",
            "n_gpu",
            "n_gpus",
            "ngpu",
            "gpus_per_node",
            "nproc_per_node",
            "world_size",
            "num_nodes",
            "nnodes",
            "data_parallel",
            "data_parallel_size",
            "dp_size",
            "ddp",
            "fsdp",
            "deepspeed",
            "tensor_parallel_size",
        ],
    ),
    (
        "the device is no part of an experiment: `exp run --device cpu` chooses it, and `exp devices` lists those there are",
        &["device", "use_cpu", "no_cuda", "device_map", "use_mps_device", "accelerator"],
    ),
    (
        "a run writes to its lab, `.emberlab` beside the file or what `--lab` names; `exp export` writes weights to a folder of your own",
        &["output_dir", "out_dir", "save_dir", "logging_dir"],
    ),
    (
        "every step is kept without asking: `exp runs` lists runs, `exp report` draws them, and `events.jsonl` in the run's folder \
         has the numbers",
        &["logging_steps", "log_interval", "log_every", "report_to", "wandb_project", "wandb_log", "wandb_run_name"],
    ),
    (
        "`exp run` goes on from the last checkpoint by itself, as long as the plan of the stage is the same",
        &["resume", "resume_from_checkpoint", "auto_resume", "overwrite_output_dir"],
    ),
    (
        "attention keeps no scores of a long sequence, on any device; there is nothing to choose",
        &[
            "attn_implementation",
            "flash_attention",
            "flash_attn",
            "use_flash_attn",
            "sdp_attention",
            "xformers_attention",
        ],
    ),
    (
        "kernels are compiled once a stage without asking",
        &["compile", "torch_compile", "torch_compile_backend", "torch_compile_mode"],
    ),
    (
        "rows are tokens before a stage begins and need no workers; making a dataset uses every core by itself",
        &["num_workers", "dataloader_num_workers", "preprocessing_num_workers", "dataset_num_proc", "num_proc"],
    ),
    (
        "part of a dataset is kept apart where the dataset is made: `|> split(train = 95%, valid = 5%)`, and then \
         `validate = every(100 steps, on = NAME.valid)`",
        &["val_set_size", "val_size", "test_size", "validation_split", "eval_split", "eval_ratio"],
    ),
    (
        "weights in 8 or 4 bits are not built; `precision` has 16-bit matrix products, and `adapter = lora()` trains with little \
         memory",
        &[
            "load_in_8bit",
            "load_in_4bit",
            "quantization",
            "quantization_bit",
            "quantization_config",
            "bnb_4bit_compute_dtype",
        ],
    ),
    ("adapters have no dropout of their own; the model's `dropout` applies to the network", &["lora_dropout"]),
];

const fn same(ours: &'static str, theirs: &'static [&'static str]) -> Row {
    Row { ours, theirs, instead: None }
}

const fn other(ours: &'static str, theirs: &'static [&'static str], instead: &'static str) -> Row {
    Row { ours, theirs, instead: Some(instead) }
}

const TABLE: &[Row] = &[
    // Networks.
    same("layers", &["num_hidden_layers", "num_layers", "n_layer", "n_layers", "n_blocks", "num_blocks", "depth"]),
    same("heads", &["num_attention_heads", "num_heads", "n_head", "n_heads"]),
    same("kv_heads", &["num_key_value_heads", "num_kv_heads", "n_kv_head", "n_kv_heads", "num_query_groups"]),
    same(
        "width",
        &["hidden_size", "hidden_dim", "n_embd", "d_model", "dim", "embed_dim", "embedding_size", "model_dim"],
    ),
    same("head_dim", &["d_head", "head_size", "attention_head_dim", "kv_channels"]),
    same("hidden", &["intermediate_size", "n_inner", "d_ff", "ffn_dim", "ffn_hidden_size", "mlp_dim"]),
    other(
        "context",
        &[
            "block_size",
            "max_position_embeddings",
            "n_positions",
            "n_ctx",
            "context_length",
            "context_size",
            "seq_len",
            "max_seq_len",
            "model_max_length",
        ],
        "`context = «1_024» tokens`",
    ),
    same("vocab", &["vocab_size", "padded_vocab_size", "n_vocab"]),
    same("norm_epsilon", &["rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps"]),
    same("norm", &["norm_type", "normalization"]),
    same("position", &["position_embedding_type", "pos_emb", "positional_encoding"]),
    same("rope_theta", &["rope_base", "rotary_base", "rotary_emb_base"]),
    same("activation", &["hidden_act", "activation_function", "act_fn", "hidden_activation"]),
    same("bias", &["attention_bias", "mlp_bias", "use_bias", "add_bias_linear"]),
    same("tied", &["tie_word_embeddings", "tie_embeddings", "tie_weights", "weight_tying"]),
    same(
        "dropout",
        &["dropout_rate", "resid_pdrop", "attn_pdrop", "embd_pdrop", "attention_dropout", "hidden_dropout"],
    ),
    same("init_std", &["initializer_range", "init_method_std"]),
    // How long and in what portions.
    other(
        "budget",
        &["num_train_epochs", "num_epochs", "n_epochs", "max_epochs", "epochs", "epoch"],
        "`budget = «3» epochs`",
    ),
    other(
        "budget",
        &["max_steps", "max_iters", "num_steps", "train_steps", "total_steps", "num_iterations", "iterations", "steps"],
        "`budget = «1_000» steps`",
    ),
    other("budget", &["train_tokens", "max_train_tokens", "token_budget"], "`budget = «10M» tokens`"),
    other(
        "batch",
        &["batch_size", "train_batch_size", "global_batch_size", "total_batch_size"],
        "`batch = «32» documents` or, where tokens were counted, `batch = 16k tokens`; either is a whole optimiser step",
    ),
    other(
        "micro_batch",
        &["per_device_train_batch_size", "per_gpu_train_batch_size", "device_batch_size", "micro_batch_size"],
        "`micro_batch = «8»`, the sequences that go through the device at a time, or leave it out: then as many go as fit; the \
         whole optimiser step is `batch`",
    ),
    other(
        "batch",
        &["gradient_accumulation_steps", "grad_accum_steps", "accumulate_grad_batches", "gradient_accumulation"],
        "the whole step as `batch`; it is accumulated in portions of `micro_batch` by itself",
    ),
    other(
        "sequence",
        &["block_size", "seq_len", "seq_length", "sequence_len", "max_length", "max_seq_length", "cutoff_len"],
        "`sequence = «512» tokens`",
    ),
    other(
        "precision",
        &[
            "fp16",
            "bf16",
            "amp",
            "use_amp",
            "use_fp16",
            "mixed_precision",
            "dtype",
            "torch_dtype",
            "precision_type",
            "autocast",
        ],
        "`precision = mixed_f16` or `precision = mixed_bf16`",
    ),
    same(
        "recompute",
        &[
            "gradient_checkpointing",
            "use_gradient_checkpointing",
            "activation_checkpointing",
            "enable_activation_checkpointing",
            "recompute_granularity",
        ],
    ),
    same("packed", &["sample_packing", "packing", "pack", "neat_packing"]),
    other(
        "apart",
        &["sample_packing", "packing", "pack", "neat_packing"],
        "nothing, for rows are always full; with `apart = true` documents that share one do not see each other",
    ),
    // Adapters.
    other(
        "adapter",
        &["lora_r", "lora_rank", "lora_alpha", "finetuning_type", "peft", "peft_config", "lora"],
        "`adapter = lora(rank = 8, alpha = 16)`",
    ),
    other("adapter", &["lora_target", "lora_target_modules"], "`adapter = lora(on = [query, value])`"),
    other("adapter", &["use_dora", "peft_use_dora"], "`adapter = lora(magnitude = true)`"),
    other("adapter", &["use_rslora", "peft_use_rslora"], "`adapter = lora(rank_stabilized = true)`"),
    same("rank", &["r", "lora_r", "lora_rank"]),
    same("alpha", &["lora_alpha"]),
    other("on", &["target_modules", "lora_target_modules", "lora_target"], "`on = [query, value]`"),
    same("rank_stabilized", &["use_rslora", "rslora"]),
    same("magnitude", &["use_dora", "dora"]),
    // Steps of datasets.
    same("near", &["threshold", "similarity", "jaccard_threshold"]),
    same("prompt", &["input", "instruction", "question", "prompt_field", "input_field"]),
    same("response", &["output", "answer", "completion", "target", "response_field", "output_field"]),
    // Optimisers and schedules.
    same("lr", &["learning_rate", "max_lr", "peak_lr", "base_lr"]),
    same("optimizer.lr", &["learning_rate", "max_lr", "peak_lr", "base_lr"]),
    same("weight_decay", &["decay", "wd", "l2"]),
    same("optimizer.weight_decay", &["wd", "l2"]),
    same("beta1", &["adam_beta1"]),
    same("optimizer.beta1", &["adam_beta1"]),
    same("beta2", &["adam_beta2"]),
    same("optimizer.beta2", &["adam_beta2"]),
    other("beta1", &["betas", "adam_betas"], "`beta1 = 0.9, beta2 = 0.95`"),
    other("optimizer.beta1", &["betas", "adam_betas"], "`optimizer = adamw(beta1 = 0.9, beta2 = 0.95)`"),
    same("epsilon", &["eps", "adam_epsilon", "adam_eps"]),
    same("optimizer.epsilon", &["eps", "adam_epsilon", "adam_eps"]),
    other("optimizer", &["optim", "optimiser", "optimizer_type"], "`optimizer = adamw(lr = 1e-3)`"),
    same(
        "clip",
        &["max_grad_norm", "grad_clip", "gradient_clip_val", "gradient_clipping", "clip_grad_norm", "max_norm"],
    ),
    other(
        "schedule",
        &["lr_scheduler_type", "lr_scheduler", "lr_schedule", "scheduler", "lr_decay_style"],
        "`schedule = cosine()`, `linear()` or `constant()`",
    ),
    other("schedule.warmup", &["warmup_ratio", "lr_warmup_fraction"], "`schedule = cosine(warmup = «3%»)`"),
    other(
        "schedule.warmup",
        &["warmup_steps", "num_warmup_steps", "warmup_iters", "lr_warmup_iters"],
        "`schedule = cosine(warmup = «100» steps)`",
    ),
    other("warmup", &["warmup_ratio"], "`warmup = «3%»`"),
    other("warmup", &["warmup_steps", "num_warmup_steps", "warmup_iters"], "`warmup = «100» steps`"),
    other(
        "schedule.floor",
        &["min_lr", "min_learning_rate", "min_lr_ratio", "min_lr_rate", "cosine_min_lr_ratio"],
        "`schedule = cosine(floor = 10%)`, as a share of the peak rate",
    ),
    other("floor", &["min_lr", "min_lr_ratio", "min_lr_rate", "eta_min"], "`floor = 10%`, as a share of the peak rate"),
    // What a stage starts from, learns from and hands on.
    other(
        "init",
        &["model_name_or_path", "base_model", "pretrained_model_name_or_path", "init_from", "from_checkpoint"],
        "`model = …` with a model for fresh weights, or `init = …` with the stage to go on from: a folder of published weights is \
         a stage, `stage base : pretrained { folder = \"…\" }`",
    ),
    same("data", &["train_data", "train_dataset", "train_file", "training_data", "dataset_name", "datasets"]),
    other(
        "validate",
        &[
            "eval_steps",
            "eval_interval",
            "eval_strategy",
            "evaluation_strategy",
            "val_check_interval",
            "eval_dataset",
            "val_data",
            "validation_data",
        ],
        "`validate = every(100 steps, on = …)`",
    ),
    other("keep", &["load_best_model_at_end", "metric_for_best_model", "save_best"], "`keep = best(by = valid.loss)`"),
    other("until", &["early_stopping_patience", "early_stopping", "target_loss"], "`until = valid.loss < 1.5`"),
    other("checkpoint", &["save_steps", "save_interval", "ckpt_interval", "save_every"], "`checkpoint = «500» steps`"),
    same("checkpoints", &["save_total_limit", "keep_last", "keep_last_n", "max_checkpoints"]),
    same("template", &["chat_template", "prompt_template", "prompt_format"]),
    same("search", &["method", "strategy", "algorithm", "sampler"]),
    other(
        "minimize",
        &["metric", "objective", "goal", "direction"],
        "`minimize = …` where lower is better and `maximize = …` where higher is",
    ),
    same("seed", &["random_seed", "random_state", "manual_seed", "data_seed", "rng_seed"]),
    // Data, tokenizers and judgement.
    same("files", &["path", "paths", "data_files", "data_path", "file", "pattern"]),
    same("text", &["text_column", "text_field", "dataset_text_field", "content"]),
    same("train_on", &["corpus", "data", "dataset", "training_data"]),
    same("special", &["special_tokens", "additional_special_tokens", "user_defined_symbols"]),
    same("min_frequency", &["min_freq", "min_count"]),
    same("on", &["dataset", "data", "eval_dataset", "test_data"]),
    same("of", &["model", "models", "stage", "stages"]),
    same("limit", &["max_samples", "num_samples", "max_eval_samples", "n_samples"]),
    other("max_tokens", &["max_new_tokens", "max_length", "max_gen_len"], "`max_tokens = «64» tokens`"),
    other(
        "decoding",
        &[
            "max_new_tokens",
            "do_sample",
            "temperature",
            "top_k",
            "top_p",
            "min_p",
            "repetition_penalty",
            "stop_strings",
        ],
        "`decoding = sampling(…)`",
    ),
    other("temperature", &["do_sample"], "`temperature = 0.0`, which always takes the likeliest token"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdlib;
    use std::collections::BTreeSet;

    #[test]
    fn every_field_of_the_table_is_in_the_library() {
        let library: String = stdlib::prelude().map(|(_, text)| text).collect();
        for row in TABLE {
            let field = row.ours.rsplit('.').next().unwrap_or(row.ours);
            let declared =
                |l: &str| l.trim_start().strip_prefix(field).is_some_and(|r| r.trim_start().starts_with(": "));
            assert!(library.lines().any(declared), "no schema has a field `{field}`");
        }
    }

    #[test]
    fn a_name_leads_to_a_field_once() {
        let mut seen = BTreeSet::new();
        for row in TABLE {
            for theirs in row.theirs {
                assert!(seen.insert((row.ours, *theirs)), "{theirs} → {} twice", row.ours);
                assert_eq!(*theirs, theirs.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn every_symbol_of_the_table_is_in_the_library() {
        let library: String = stdlib::prelude().map(|(_, text)| text).collect();
        let mut seen = BTreeSet::new();
        for (ours, theirs) in SYMBOLS {
            let of_a_type = |line: &str| {
                line.split("one of [").skip(1).any(|rest| {
                    rest.split(']').next().is_some_and(|names| names.split(',').any(|name| name.trim() == *ours))
                })
            };
            assert!(library.lines().any(of_a_type), "no field may be `{ours}`");
            assert!(theirs.iter().all(|name| seen.insert(*name)), "{theirs:?}");
        }
    }

    #[test]
    fn names_are_found_however_they_are_spelt() {
        let ours = |name: &str| known_as(name).map(|k| k.ours).collect::<Vec<_>>();
        assert_eq!(ours("learning_rate"), ["lr", "optimizer.lr"]);
        assert_eq!(ours("Hidden-Size"), ["width"]);
        assert!(ours("layers").is_empty());
    }

    #[test]
    fn every_name_and_variant_of_the_tables_is_in_the_library() {
        let library: String = stdlib::prelude().map(|(_, text)| text).collect();
        let declared = |word: &str, name: &str| {
            library.lines().any(|line| {
                let rest = line.strip_prefix(word).and_then(|rest| rest.trim_start().strip_prefix(name));
                rest.is_some_and(|rest| rest.starts_with([' ', '(']))
            })
        };
        for (ours, _) in NAMES {
            let measured = matches!(*ours, "valid" | "train");
            let builtin = crate::check::builtins::find(ours).is_some();
            assert!(measured || builtin || declared("schema", ours) || declared("fn", ours), "{ours}");
        }
        for (kind, ours, _) in VARIANTS {
            assert!(declared("schema", ours), "there is no {} `{ours}`", kind.keyword());
        }
    }
}
