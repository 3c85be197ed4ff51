//! What the keywords of the language mean, in a few words each.

/// Each keyword with its account.
const KEYWORDS: [(&str, &str); 38] = [
    (
        "use",
        "Brings in a module: `use std.data.clean`, `use \"./parts.exp\" as parts`, or single names of it with `use std.data.clean { web }`.",
    ),
    ("param", "Declares a value that may be set from outside: `param width : Int = 384`, and then `--set width=512`."),
    ("let", "Gives a value a name: `let rate = 3e-4`."),
    ("fn", "Declares a function: `fn wide(n : Int) = n * 64`. Functions cannot recur."),
    (
        "schema",
        "Declares a kind of record with its fields, their types and defaults, and the constraints (`check`) that hold between them: `schema lion is optimizer { lr : Float }`.",
    ),
    (
        "expect",
        "States a condition over measured values that must hold when the experiment has run: `expect pretrain.valid.loss < 2.0`. If it does not, `exp run` keeps everything and ends with exit code 4.",
    ),
    (
        "claim",
        "Names a statement about the results, which the run tests and reports with its evidence: `claim tuning_helps = answers.tuned.rouge_l > answers.pretrain.rouge_l with confidence = 95%`. If it does not hold, `exp run` keeps everything and ends with exit code 4.",
    ),
    ("experiment", "Declares what belongs to the file as a whole: seed, language edition, licence."),
    (
        "dataset",
        "Declares a dataset as a source and the steps that follow it: `dataset stories = text(\"x/*.txt\") |> dedup() |> split(train = 95%, valid = 5%)`.",
    ),
    (
        "tokenizer",
        "Declares a tokenizer and what it is trained on: `tokenizer words : bpe { train_on = stories.train }`.",
    ),
    ("model", "Declares a network: `model teller : decoder { layers = 6, heads = 6, width = 384 }`."),
    ("stage", "Declares a stage of training: `stage pretrain : next_token { model = teller, … }`."),
    (
        "eval",
        "Declares an evaluation of a stage: `eval fluency { of = pretrain, on = stories.test, metrics = [perplexity] }`.",
    ),
    ("review", "Declares a review of samples by people."),
    (
        "sweep",
        "Declares many settings of one experiment, which `exp sweep` runs and ranks: its axes stand in `over { … }`, and `minimize` or `maximize` names the objective.",
    ),
    (
        "amends",
        "Stands first in a file that changes another: `amends \"base.exp\"`. Everything of that file holds, and items of the same name change its fields.",
    ),
    (
        "from",
        "Makes an item out of another: `model wide from teller { width = 512 }` has all that `teller` has but the width.",
    ),
    ("as", "Gives a module that is used another name: `use std.data.clean as clean_up`."),
    ("is", "Says what a schema extends: `schema lion is optimizer { … }`."),
    (
        "check",
        "Within a schema, a condition over its fields that every record must meet: `check(width % heads == 0, because = \"…\")`.",
    ),
    ("final", "Marks a field of a schema that follows from others and cannot be set."),
    ("rest", "Marks the field of a schema that takes all further arguments of a call."),
    ("over", "Opens the axes of a sweep: `over { teller.layers in [4, 6] }`."),
    ("when", "Says where an axis of a sweep counts: `teller.rope_theta in [1e4, 1e5] when teller.position == rotary`."),
    ("with", "Opens the settings of a claim: `claim … with confidence = 95%`."),
    ("if", "Chooses between two values: `if wide then 512 else 384`. Both ways are needed."),
    ("then", "Stands between the condition and the first value of an `if`."),
    ("else", "Stands before the second value of an `if`; `else if` goes on with another condition."),
    ("and", "Whether both conditions hold. The second is not computed when the first decides."),
    ("or", "Whether one of two conditions holds. The second is not computed when the first decides."),
    ("not", "Turns a condition around: `not tied`; `x not in [1, 2]`."),
    ("true", "The truth value of what holds."),
    ("false", "The truth value of what does not hold."),
    ("one", "Opens a type of symbols: `norm : one of [rms, layer]`."),
    ("of", "Part of `one of [a, b]`, a type of symbols; also the name of the field that says what an eval looks at."),
    ("for", "Makes a list out of a list: `[2 * n for n in 1..=4 if n != 3]`."),
    ("in", "Whether a value lies in a list or a range, and what an axis or a comprehension runs over."),
    ("none", "The value that is no value, for fields whose type ends with `?`."),
];

/// The keyword `name`, if it is one, and what it means.
pub(super) fn find(name: &str) -> Option<(&'static str, &'static str)> {
    KEYWORDS.iter().find(|(keyword, _)| *keyword == name).copied()
}

/// The page of a keyword, in Markdown.
pub(super) fn page(name: &str, docs: &str) -> String {
    format!("## {name}\n\nA keyword of the language. {docs}\n")
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::syntax::words::{HARD_WORDS, ITEM_WORDS, KIND_WORDS, SOFT_WORDS};

    #[test]
    fn every_keyword_has_an_account() {
        let all = ITEM_WORDS.into_iter().chain(KIND_WORDS).chain(HARD_WORDS).chain(SOFT_WORDS);
        let missing: Vec<&str> = all.filter(|word| find(word).is_none()).collect();
        assert_eq!(missing, [""; 0]);
    }
}
