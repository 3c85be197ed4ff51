//! Names of runs: the time, so that they sort, and three words from the plan's hash, so that people can speak of them.

use jiff::Timestamp;

/// `20261124-081530-quiet-amber-otter`: UTC, then words that are the same for the same plan.
pub fn run_id(plan_hash: &str, moment: Timestamp) -> String {
    format!("{}-{}", moment.strftime("%Y%m%d-%H%M%S"), words(plan_hash))
}

/// Three words from a hash; 262,144 combinations.
pub(crate) fn words(hash: &str) -> String {
    let digest = blake3::hash(hash.as_bytes());
    let pick = |list: &[&'static str; 64], i: usize| list[usize::from(digest.as_bytes()[i]) % 64];
    format!("{}-{}-{}", pick(&MANNERS, 0), pick(&COLOURS, 1), pick(&THINGS, 2))
}

const MANNERS: [&str; 64] = [
    "able", "agile", "airy", "alert", "ample", "apt", "avid", "bold", "brave", "breezy", "brief", "brisk", "calm",
    "candid", "clear", "clever", "cosy", "crisp", "curious", "daring", "deft", "eager", "early", "easy", "fair",
    "fleet", "fond", "frank", "fresh", "gentle", "glad", "grand", "hardy", "honest", "humble", "jolly", "keen", "kind",
    "light", "lively", "loyal", "lucid", "merry", "mild", "modest", "neat", "nimble", "noble", "patient", "plain",
    "polite", "prompt", "proud", "quick", "quiet", "ready", "robust", "serene", "sharp", "sober", "steady", "sunny",
    "swift", "witty",
];

const COLOURS: [&str; 64] = [
    "agate", "alder", "amber", "ash", "azure", "beige", "birch", "bronze", "brown", "cedar", "chalk", "cherry", "clay",
    "cobalt", "copper", "coral", "cork", "cotton", "cream", "crimson", "cyan", "ebony", "elm", "flax", "flint",
    "garnet", "gold", "granite", "green", "grey", "hazel", "indigo", "iron", "ivory", "jade", "jet", "khaki", "lead",
    "lemon", "lilac", "lime", "linen", "maple", "marble", "mauve", "mint", "oak", "ochre", "olive", "onyx", "opal",
    "pearl", "pine", "plum", "quartz", "red", "ruby", "rust", "sand", "silver", "slate", "steel", "teal", "walnut",
];

const THINGS: [&str; 64] = [
    "acorn", "anchor", "arch", "badger", "basin", "bay", "beacon", "bell", "bridge", "brook", "canyon", "cliff",
    "cloud", "comet", "crane", "creek", "delta", "dune", "eagle", "falcon", "fern", "field", "fjord", "forge", "fox",
    "glade", "grove", "harbour", "heron", "hill", "inlet", "island", "kettle", "lake", "lantern", "ledge", "lynx",
    "marsh", "meadow", "mill", "moon", "moss", "oasis", "orchard", "otter", "owl", "path", "peak", "pebble", "pond",
    "prairie", "quarry", "raven", "reef", "ridge", "river", "rook", "shore", "spring", "summit", "thicket", "tide",
    "valley", "willow",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_share_words_by_plan() {
        let early = run_id("aa", Timestamp::from_second(1_700_000_000).unwrap());
        let late = run_id("aa", Timestamp::from_second(1_700_000_001).unwrap());
        assert!(early.starts_with("20231114-221320-") && early < late);
        assert_eq!(early[16..], late[16..]);
        assert_ne!(words("aa"), words("ab"));
    }

    #[test]
    fn every_word_is_there_once_and_is_plain() {
        let mut all: Vec<&str> = MANNERS.iter().chain(&COLOURS).chain(&THINGS).copied().collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|w| w.bytes().all(|b| b.is_ascii_lowercase())));
    }
}
