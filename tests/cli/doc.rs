//! `exp doc`.

use crate::support::Folder;

#[test]
fn the_contents_and_one_name() {
    let folder = Folder::new();
    let contents = folder.exp("doc").code(0).out;
    assert!(contents.contains("std.models.llama") && contents.contains("decoder"), "{contents}");
    let decoder = folder.exp("doc decoder").code(0).out;
    assert!(decoder.contains("schema decoder is model"), "{decoder}");
    assert!(decoder.contains("`layers : Int in 1..=512` — "), "{decoder}");
    assert!(folder.exp("doc llama.tiny").code(0).out.contains("model tiny"));
    assert!(folder.exp("doc std.models.llama").code(0).out.contains("`use std.models.llama` brings it in."));
    let wrong = folder.exp("doc decodr").code(2);
    assert!(wrong.err.contains("did you mean `decoder`?"), "{}", wrong.err);
}

#[test]
fn everything_that_the_library_exports_is_found() {
    let folder = Folder::new();
    for (name, shown) in [
        ("tales", "`use std.corpora.tales` brings it in."),
        ("corpora.tales", "`use std.corpora.tales` brings it in."),
        ("stories", "fn stories("),
        ("tales.creatures", "let creatures"),
        ("bias", "`use std.audits.bias` brings it in."),
        ("paired_sentences", "dataset paired_sentences"),
        ("smollm_135m", "model smollm_135m"),
        ("chat.plain", "let plain"),
        ("greedy", "fn greedy("),
        ("clean.web", "fn web("),
    ] {
        let page = folder.exp(&format!("doc {name}")).code(0).out;
        assert!(page.contains(shown), "{name}: {page}");
        assert!(!folder.exp(&format!("doc {name} --format json")).code(0).json()["entries"][0]["name"].is_null());
    }
    assert!(folder.exp("doc talse").code(2).err.contains("did you mean `tales`?"));
}

#[test]
fn every_name_has_a_page_in_every_form() {
    let folder = Folder::new();
    let document = folder.exp("doc --format json").code(0).json();
    let entries = document["entries"].as_array().unwrap();
    assert!(entries.len() > 50, "{}", entries.len());
    let markdown = folder.exp("doc --markdown").code(0).out;
    folder.exp("doc --html manual").code(0);
    for entry in entries {
        let (name, module) = (entry["name"].as_str().unwrap(), entry["module"].as_str().unwrap());
        assert!(!entry["docs"].as_str().unwrap().is_empty(), "{module}.{name} has no documentation");
        assert!(markdown.contains(&format!("## {name}\n")), "{name}");
        assert!(folder.read(&format!("manual/{module}.html")).contains(&format!("id=\"{name}\"")), "{name}");
    }
    let index = folder.read("manual/index.html");
    assert!(!index.contains("<script") && !index.contains("http"), "a page needs neither scripts nor a network");
}

#[test]
fn a_keyword_says_what_it_declares() {
    let folder = Folder::new();
    for (word, shown) in [("claim", "A keyword of the language."), ("expect", "condition"), ("amends", "base.exp")] {
        let page = folder.exp(&format!("doc {word}")).code(0).out;
        assert!(page.contains(shown), "{word}: {page}");
        assert_eq!(folder.exp(&format!("doc {word} --format json")).code(0).json()["entries"][0]["kind"], "keyword");
    }
    assert!(folder.exp("doc stage").code(0).out.contains("schema stage"), "what has a page keeps it");
}

#[test]
fn a_schema_says_what_it_inherits_and_what_is_written_for_it() {
    let folder = Folder::new();
    let optimizer = folder.exp("doc optimizer").code(0).out;
    for name in ["adamw", "sgd", "lion", "muon", "adafactor", "soap"] {
        assert!(optimizer.contains(&format!("`{name}` — ")), "{name}: {optimizer}");
    }
    let stage = folder.exp("doc stage").code(0).out;
    assert!(stage.contains("`sft` — ") && stage.contains("`pretrained` — "), "{stage}");
    assert!(!stage.contains("`training` — "), "nobody writes the name of a family: {stage}");
    let sft = folder.exp("doc sft").code(0).out;
    let flat = sft.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("It has the fields of `training` too: - `model : model? = none` — The network"), "{sft}");
    assert!(flat.contains("- `budget : Tokens | Steps"), "{sft}");
    let json = folder.exp("doc sft --format json").code(0).json();
    assert_eq!(json["entries"][0]["base"], "training");
    assert!(json["entries"][0]["inherited"].as_array().unwrap().iter().any(|f| f == "budget"));
}

#[test]
fn a_field_leads_to_what_has_it_by_its_own_name_or_by_another() {
    let folder = Folder::new();
    let warmup = folder.exp("doc warmup").code(0).out;
    assert!(warmup.contains("of `cosine`: `warmup : Ratio"), "{warmup}");
    let rate = folder.exp("doc learning_rate").code(0).out;
    assert!(
        rate.contains("What others call `learning_rate` is `lr` here.") && rate.contains("of `adamw`: `lr :"),
        "{rate}"
    );
    let json = folder.exp("doc learning_rate --format json").code(0).json();
    assert!(json["entries"].as_array().unwrap().iter().any(|e| e["name"] == "adamw"), "{json:#}");
    // A name of a module's last part and of something else leads to both.
    let gpt2 = folder.exp("doc gpt2").code(0).out;
    assert!(gpt2.contains("schema gpt2 is bpe") && gpt2.contains("`exp doc std.models.gpt2`"), "{gpt2}");
    assert!(folder.exp("doc wombat").code(2).err.contains("nothing is called `wombat`"));
}
