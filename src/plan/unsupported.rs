//! What this version plans but cannot execute, and what is missing.

use super::spec::{Search, Stage, Stop, Sweep, Tokenizer};

/// Why a kind of stage cannot be executed.
pub fn stage(stage: &Stage) -> Option<String> {
    match stage {
        Stage::Pretrained(_) | Stage::NextToken(_) | Stage::Sft(_) => None,
        Stage::RewardModel(_) => {
            Some(missing("stages of the kind `reward_model`: a scalar head and its loss over preferences"))
        }
        Stage::Dpo(_) => {
            Some(missing("stages of the kind `dpo`: a frozen reference model and the loss over preferences"))
        }
        Stage::Ppo(_) => {
            Some(missing("stages of the kind `ppo`: sampling during training, a value head and a reward model"))
        }
        Stage::Grpo(_) => {
            Some(missing("stages of the kind `grpo`: sampling in groups during training and a reward model"))
        }
    }
}

/// Why a kind of tokenizer cannot be made.
pub fn tokenizer(tokenizer: &Tokenizer) -> Option<String> {
    match tokenizer {
        Tokenizer::Bpe(_) | Tokenizer::Characters(_) | Tokenizer::TokenizerJson(_) | Tokenizer::Published(_) => None,
        Tokenizer::Wordpiece(_) => Some(missing("tokenizers of the kind `wordpiece`")),
    }
}

/// Why reviews cannot be held.
pub fn review() -> Option<String> {
    Some(missing("human review: a form for raters and the agreement of their answers"))
}

/// Why a sweep cannot be searched or stopped as it says.
pub fn sweep(sweep: &Sweep) -> Option<String> {
    let search = match sweep.search {
        Search::Grid(_) | Search::Random(_) => None,
        Search::Sobol(_) => Some("`sobol` search"),
        Search::Tpe(_) => Some("`tpe` search"),
    };
    let stop = match sweep.stop {
        None => None,
        Some(Stop::Asha(_)) => Some("early stopping by `asha`"),
        Some(Stop::Hyperband(_)) => Some("early stopping by `hyperband`"),
        Some(Stop::Median(_)) => Some("early stopping by `median`"),
    };
    match (search, stop) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(missing(one)),
        (Some(search), Some(stop)) => Some(missing(&format!("{search} and {stop}"))),
    }
}

fn missing(what: &str) -> String {
    format!("this version does not have {what}")
}
