//! Tokenizers on small texts, and on the real ones where they are.

use super::*;
use crate::data::{Record, Records};
use crate::plan::spec::{self, Pattern};
use crate::train::Corpus;
use std::path::{Path, PathBuf};

/// A file of the test data, or `None` with the reason printed.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("EMBERLAB_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {} (set EMBERLAB_TEST_DATA)", path.display());
    None
}

fn records(texts: &[&str]) -> Records<'static> {
    let records: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| Ok(Record::document((*text).to_owned(), format!("t:{i}"), i as u64)))
        .collect();
    Box::new(records.into_iter())
}

fn nothing() -> spec::Dataset {
    spec::Dataset::Mix(spec::Mix { parts: Vec::new() })
}

fn bpe(texts: &[&str], vocab: i64, pattern: Pattern) -> Result<Tokenizer, TokenizerError> {
    let spec = spec::Bpe { train_on: nothing(), vocab, pattern, min_frequency: 2, special: vec!["<|sep|>".into()] };
    make(&spec::Tokenizer::Bpe(spec), records(texts), Path::new(""))
}

fn characters(texts: &[&str]) -> Tokenizer {
    let spec = spec::Characters { train_on: nothing(), special: Vec::new() };
    make(&spec::Tokenizer::Characters(spec), records(texts), Path::new("")).unwrap()
}

const TEXT: &str = "The owl saw the other owl. The owls fly at night, and that is all the owls do.\n";

#[test]
fn bpe_gives_back_every_text_and_special_tokens_come_first() {
    let tokenizer = bpe(&[TEXT], 300, Pattern::Gpt2).unwrap();
    assert_eq!(tokenizer.end(), 0);
    assert_eq!((tokenizer.pad(), tokenizer.id("<|assistant|>"), tokenizer.id("<|sep|>")), (1, Some(3), Some(4)));
    for text in [TEXT, "", "caf\u{e9} \u{1f989}\u{0}\r\n\t x", "吾輩は猫である。", "<|end|>"] {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
        assert!(!ids.contains(&0));
    }
    assert_eq!(tokenizer.encode_marked("<|user|>a<|end|>").unwrap().len(), 3);
    assert!(tokenizer.encode(" owls").unwrap().len() < 5);
    assert!(tokenizer.decode(&[9999], false).is_err());
}

#[test]
fn training_is_the_same_every_time_and_in_any_order() {
    let texts: Vec<String> = (0..300).map(|i| format!("{TEXT} number {} is {}", i % 17, i * i)).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let first = bpe(&texts, 350, Pattern::Cl100k).unwrap().to_json().unwrap();
    texts.reverse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| bpe(&texts, 350, Pattern::Cl100k).unwrap().to_json().unwrap()), first);
}

#[test]
fn a_saved_tokenizer_loads_as_it_was() {
    for tokenizer in [bpe(&[TEXT], 290, Pattern::Cl100k).unwrap(), characters(&[TEXT])] {
        let json = tokenizer.to_json().unwrap();
        let again = Tokenizer::from_json(json.as_bytes(), "x").unwrap();
        assert_eq!(again.to_json().unwrap(), json);
        assert_eq!(again.encode(TEXT).unwrap(), tokenizer.encode(TEXT).unwrap());
        assert_eq!(again.vocab(), tokenizer.vocab());
    }
}

#[test]
fn cutting_a_long_text_changes_no_token() {
    let text = format!("{}don't  stop\n\n\n x\n", TEXT.repeat(4_000)).repeat(2);
    for pattern in [Pattern::Gpt2, Pattern::Cl100k] {
        let tokenizer = bpe(&[&text], 320, pattern).unwrap();
        let whole = tokenizer.encode_marked(&text).unwrap();
        assert!(text.len() > 600_000);
        assert_eq!(tokenizer.encode(&text).unwrap(), whole);
    }
}

#[test]
fn tokens_cover_the_text_even_after_millions_of_blanks() {
    let tokenizer = bpe(&[TEXT], 300, Pattern::Gpt2).unwrap();
    let text = format!("{TEXT}{}{TEXT}", " ".repeat(3_000_000));
    let tokens = tokenizer.encode_offsets(&text).unwrap();
    assert_eq!(tokens.last().unwrap().1.end, text.len());
    let longest = tokens.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    assert!(longest < 1000, "a token of {longest} bytes");
    let ids = tokenizer.encode(&text).unwrap();
    assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    assert_eq!(ids[ids.len() - 5..], tokenizer.encode(TEXT).unwrap()[tokenizer.encode(TEXT).unwrap().len() - 5..]);
}

#[test]
fn characters_are_tokens_and_new_ones_are_counted() {
    let tokenizer = characters(&["hello\n", "wörld"]);
    assert_eq!(tokenizer.vocab(), 5 + 9);
    let ids = tokenizer.encode("hello wörld\n").unwrap();
    assert_eq!(ids.len(), 12);
    assert_eq!(ids.iter().filter(|id| Some(**id) == tokenizer.unknown()).count(), 1, "the blank was never seen");
    assert_eq!(tokenizer.decode(&tokenizer.encode("low\nöl").unwrap(), false).unwrap(), "low\nöl");
    assert_eq!(
        tokenizer.encode_marked("<|user|>he").unwrap(),
        [2, tokenizer.id("h").unwrap(), tokenizer.id("e").unwrap()]
    );
    let figures = measure(&tokenizer, records(&["hello", "zzz"])).unwrap();
    assert_eq!((figures.round_trip, figures.unknown_ratio), (0.5, 3.0 / 8.0));
    assert_eq!(figures.first_difference.as_deref(), Some("t:1"));
}

#[test]
fn mistakes_of_a_recipe_are_told() {
    let error = |result: Result<Tokenizer, TokenizerError>| result.err().unwrap().to_string();
    assert!(error(bpe(&[TEXT], 200, Pattern::Gpt2)).contains("must be at least 261; it is 200"));
    assert!(error(bpe(&[], 300, Pattern::Gpt2)).contains("no text"));
    let twice = spec::Characters { train_on: nothing(), special: vec!["<x>".into(), "<x>".into()] };
    assert!(error(make(&spec::Tokenizer::Characters(twice), records(&["a"]), Path::new(""))).contains("given twice"));
}

#[test]
fn documents_and_samples_become_shards() {
    let tokenizer = bpe(&[TEXT], 300, Pattern::Gpt2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = TokenWriter::create(folder.path(), tokenizer.vocab(), false).unwrap();
    let summary = write(&tokenizer, None, records(&[TEXT, "owl"]), out, &mut |_, _| {}).unwrap();
    let shards = Shards::open(folder.path()).unwrap();
    assert_eq!((summary.documents, summary.bytes), (2, TEXT.len() as u64 + 3));
    assert_eq!(shards.document(1).last(), Some(&tokenizer.end()));
    assert_eq!(shards.document(0).len() as u64, shards.offsets()[1]);

    let jinja = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
    let template = spec::Template { jinja: jinja.into(), stop: Vec::new() };
    let chat = Chat::new(&template, tokenizer.specials().keys()).unwrap();
    let sample = |answer: &str| -> Records<'static> {
        let record = Record::sample("Who?".into(), answer.into(), "q.jsonl:1".into(), 0);
        Box::new(std::iter::once(Ok(record)))
    };
    let folder = tempfile::tempdir().unwrap();
    let out = TokenWriter::create(folder.path(), tokenizer.vocab(), true).unwrap();
    write(&tokenizer, Some(&chat), sample("owl"), out, &mut |_, _| {}).unwrap();
    let shards = Shards::open(folder.path()).unwrap();
    let ids = shards.document(0);
    let mut mask = vec![false; ids.len()];
    shards.supervised(0, &mut mask);
    let trained: Vec<u32> = ids.iter().zip(&mask).filter(|(_, m)| **m).map(|(id, _)| *id).collect();
    assert_eq!(tokenizer.decode(&trained, false).unwrap(), "owl<|end|>");
    assert_eq!(tokenizer.decode(&ids, false).unwrap(), "<|user|>Who?<|assistant|>owl<|end|>");

    let folder = tempfile::tempdir().unwrap();
    let out = TokenWriter::create(folder.path(), tokenizer.vocab(), true).unwrap();
    let error = write(&tokenizer, Some(&chat), sample(" "), out, &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.starts_with("q.jsonl:1: no token of this sample"), "{error}");
}

#[test]
fn gpt2_gives_the_tokens_that_nanogpt_counts() {
    let (Some(vocab), Some(merges), Some(text)) =
        (data("tokenizer/gpt2_encoder.json"), data("tokenizer/gpt2_vocab.bpe"), data("pretrain/tinyshakespeare.txt"))
    else {
        return;
    };
    let vocab: serde_json::Value = serde_json::from_slice(&std::fs::read(vocab).unwrap()).unwrap();
    let merges = std::fs::read_to_string(merges).unwrap();
    let merges: Vec<&str> = merges.lines().skip(1).filter(|l| !l.is_empty()).collect();
    let byte_level =
        serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let json = serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{"id": 50256, "content": "<|endoftext|>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}],
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocab, "merges": merges}});
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gpt2.json"), json.to_string()).unwrap();
    let read = |vocab: i64| {
        let spec = spec::TokenizerJson { file: "gpt2.json".into(), vocab };
        make(&spec::Tokenizer::TokenizerJson(spec), records(&[]), folder.path())
    };
    let tokenizer = read(50_257).unwrap();
    assert_eq!((tokenizer.end(), tokenizer.encode("Hello world").unwrap()), (50_256, vec![15_496, 995]));
    let text = std::fs::read_to_string(text).unwrap();
    let (train, valid) = text.split_at(text.len() * 9 / 10);
    // The counts that nanoGPT's prepare.py prints for this split.
    assert_eq!(tokenizer.encode(train).unwrap().len(), 301_966);
    let ids = tokenizer.encode(valid).unwrap();
    assert_eq!(ids.len(), 36_059);
    assert_eq!(tokenizer.decode(&ids, false).unwrap(), valid);
    let error = read(50_000).err().unwrap().to_string();
    assert_eq!(error, "`gpt2.json` has 50257 entries, and the experiment says `vocab = 50000`");
}

/// Peak memory of this process in MiB, from the kernel; resets the peak for the next call.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// Text to shards, once with 20 MB and once with 200 MB. Takes minutes, so it runs only when `EMBERLAB_TEST_LONG` is set;
/// alone, because it measures the process.
#[test]
fn memory_does_not_grow_with_the_corpus() {
    if std::env::var_os("EMBERLAB_TEST_LONG").is_none() {
        println!("skipped: it writes 200 MB and takes minutes; set EMBERLAB_TEST_LONG to run it");
        return;
    }
    use crate::data::{Context, make as make_dataset, open};
    use std::io::Write;
    let chain = |megabytes: u64| -> (u64, f64) {
        let base = tempfile::tempdir().unwrap();
        let mut file = std::io::BufWriter::new(std::fs::File::create(base.path().join("a.txt")).unwrap());
        let stream = crate::random::Stream::new(1, "corpus");
        let (mut written, mut line) = (0, 0);
        while written < megabytes * 1_000_000 {
            let mut draws = stream.at(line);
            let words: Vec<String> = (0..150).map(|_| format!("w{}", (draws.below(90) * draws.below(90)))).collect();
            let text = words.join(" ");
            written += text.len() as u64 + 1;
            line += 1;
            writeln!(file, "{text}").unwrap();
        }
        file.flush().unwrap();
        let spec: spec::Dataset = serde_json::from_value(serde_json::json!({"is": "split", "by": "hash",
            "parts": {"train": 0.9, "valid": 0.1}, "input": {"is": "dedup", "near": null, "input":
            {"is": "shuffle", "seed": 1, "input":
            {"is": "collapse_whitespace", "input": {"is": "normalize", "form": "nfc", "input":
            {"is": "text", "files": "a.txt", "license": null, "document": "line"}}}}}}))
        .unwrap();
        let made = tempfile::tempdir().unwrap();
        let context =
            Context { seed: 1, base: base.path(), scratch: base.path(), named: &|_| Err(String::new()), stop: None };
        peak();
        let start = std::time::Instant::now();
        make_dataset(&spec, &context, made.path(), &mut |_| {}).unwrap();
        let (data, made_in) = (peak(), start.elapsed().as_secs());
        let train = || -> Records<'static> { Box::new(open(made.path(), Some("train")).unwrap()) };
        let recipe = spec::Bpe {
            train_on: nothing(),
            vocab: 1024,
            pattern: Pattern::Gpt2,
            min_frequency: 2,
            special: Vec::new(),
        };
        let tokenizer = make(&spec::Tokenizer::Bpe(recipe), train(), base.path()).unwrap();
        let (trained, trained_in) = (peak(), start.elapsed().as_secs() - made_in);
        let shards = tempfile::tempdir().unwrap();
        let out = TokenWriter::create(shards.path(), tokenizer.vocab(), false).unwrap();
        let summary = write(&tokenizer, None, train(), out, &mut |_, _| {}).unwrap();
        let encoded = peak();
        println!(
            "{megabytes} MB, {line} documents, {} tokens: peak MiB {data:.0} (data), {trained:.0} (BPE), {encoded:.0} (shards); \
             {made_in} s, {trained_in} s, {} s",
            summary.tokens,
            start.elapsed().as_secs() - made_in - trained_in
        );
        (line, data.max(trained).max(encoded))
    };
    let (few, small) = chain(20);
    let (many, large) = chain(200);
    // Sixteen bytes a document, twice for the empty half of a hash table, and 80 MiB for blocks that 20 MB do not fill.
    let allowed = (many - few) as f64 * 40.0 / 1048576.0 + 80.0;
    assert!(large - small < allowed, "{small:.0} MiB with 20 MB, {large:.0} MiB with 200 MB");
}
