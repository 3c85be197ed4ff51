//! What differs between runs.

use super::error::StoreError;
use super::object::short;
use super::record::Estimate;
use super::run::RunFolder;
use super::table::{Table, figure};
use crate::plan::{Fact, Plan};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a table may have where nobody says how many there are.
const READABLE: usize = 140;

/// How run `b` differs from run `a`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Difference {
    pub schema_version: u32,
    pub a: String,
    pub b: String,
    /// Whether both have the same plan hash, so that every difference in results comes from elsewhere.
    pub same_plan: bool,
    /// What was asked for, sorted by path.
    pub plan: Vec<Change>,
    /// What it was made with.
    pub environment: Vec<Change>,
    /// Figures; those that are equal are left out.
    pub results: Vec<Change>,
}

/// A value that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// `pretrain.optimizer.lr`
    pub path: String,
    /// Absent when only `b` has it.
    pub old: Option<String>,
    /// Absent when only `a` has it.
    pub new: Option<String>,
    /// Where the value was written: in `b`, or in `a` when only `a` has it.
    pub place: Option<String>,
}

/// Figures of several runs side by side.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub schema_version: u32,
    pub runs: Vec<String>,
    /// By name; one entry for each run.
    pub figures: IndexMap<String, Vec<Option<Estimate>>>,
}

/// How run `b` differs from run `a`.
///
/// # Errors
/// When a plan or record cannot be read.
pub fn diff(a: &RunFolder, b: &RunFolder) -> Result<Difference, StoreError> {
    let (record_a, record_b) = (a.current_record()?, b.current_record()?);
    let figures = |figures: Vec<(String, Estimate)>| -> BTreeMap<String, (String, Option<String>)> {
        figures.into_iter().map(|(name, e)| (name, (shown(&e), None))).collect()
    };
    Ok(Difference {
        schema_version: 1,
        a: a.id.clone(),
        b: b.id.clone(),
        same_plan: record_a.plan_hash == record_b.plan_hash,
        plan: changes(facts(&a.plan()?), facts(&b.plan()?)),
        environment: changes(surroundings(a), surroundings(b)),
        results: changes(figures(record_a.figures()), figures(record_b.figures())),
    })
}

/// The figures of `runs`, every name once, in the order in which the runs have them.
///
/// # Errors
/// When a record cannot be read.
pub fn compare(runs: &[RunFolder]) -> Result<Comparison, StoreError> {
    let mut figures: IndexMap<String, Vec<Option<Estimate>>> = IndexMap::new();
    for (i, run) in runs.iter().enumerate() {
        for (name, estimate) in run.record()?.figures() {
            let row = figures.entry(name).or_insert_with(|| vec![None; runs.len()]);
            if let Some(cell) = row.get_mut(i) {
                *cell = Some(estimate);
            }
        }
    }
    Ok(Comparison { schema_version: 1, runs: runs.iter().map(|r| r.id.clone()).collect(), figures })
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.environment.is_empty() && self.results.is_empty()
    }
}

impl Difference {
    /// For people, in lines of at most `width` columns where one is given: tables as far as they fit, else both values
    /// under their path. Long values go on in further lines; nothing is cut.
    pub fn render(&self, width: Option<usize>) -> String {
        if self.is_empty() {
            return format!("{} and {} do not differ.\n", self.a, self.b);
        }
        let mut out = String::new();
        for (title, changes) in [("plan", &self.plan), ("environment", &self.environment), ("results", &self.results)] {
            if changes.is_empty() {
                continue;
            }
            let mut table = Table::new([title, self.a.as_str(), self.b.as_str(), "where"]);
            for change in changes {
                table.row([
                    change.path.clone(),
                    cell(&change.old),
                    cell(&change.new),
                    change.place.clone().unwrap_or_default(),
                ]);
            }
            let table = table.to_string();
            if table.lines().all(|line| line.width() <= width.unwrap_or(READABLE)) {
                out += &table;
            } else {
                out += &self.stacked(title, changes, width);
            }
            out.push('\n');
        }
        if self.same_plan {
            out += "Both runs have the same plan.\n";
        }
        out
    }

    fn stacked(&self, title: &str, changes: &[Change], width: Option<usize>) -> String {
        let mut out = format!("{title}\n    - {}\n    + {}\n", self.a, self.b);
        for change in changes {
            let place = change.place.as_ref().map(|place| format!("  ({place})")).unwrap_or_default();
            wrap(&mut out, "  ", &format!("{}{place}", change.path), width);
            wrap(&mut out, "    - ", &cell(&change.old), width);
            wrap(&mut out, "    + ", &cell(&change.new), width);
        }
        out
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(None))
    }
}

fn cell(value: &Option<String>) -> String {
    value.clone().unwrap_or_else(|| "-".to_owned())
}

/// Adds `text` after `lead`, broken into lines of at most `width` columns, at a blank if there is one to break at.
fn wrap(out: &mut String, lead: &str, text: &str, width: Option<usize>) {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(lead.width()).max(20));
    let (mut rest, mut lead) = (text, lead.to_owned());
    loop {
        let (mut used, mut end, mut blank) = (0, 0, None);
        for (at, c) in rest.char_indices() {
            used += c.width().unwrap_or(0);
            if used > room {
                break;
            }
            end = at + c.len_utf8();
            if c == ' ' {
                blank = Some(end);
            }
        }
        if end < rest.len() {
            end = blank.filter(|at| *at > end / 2).unwrap_or(end);
        }
        *out += &format!("{lead}{}\n", &rest[..end]);
        rest = &rest[end..];
        lead = " ".repeat(lead.width());
        if rest.is_empty() {
            return;
        }
    }
}

impl Comparison {
    /// For people: a row a figure, a column a run, intervals in brackets.
    pub fn table(&self) -> Table {
        let mut table = Table::new(std::iter::once("figure").chain(self.runs.iter().map(String::as_str)));
        for (name, estimates) in &self.figures {
            let cells = estimates.iter().map(|e| e.as_ref().map_or("-".to_owned(), shown));
            table.row(std::iter::once(name.clone()).chain(cells));
        }
        table
    }
}

type Values = BTreeMap<String, (String, Option<String>)>;

fn changes(a: Values, mut b: Values) -> Vec<Change> {
    let mut all = Vec::new();
    for (path, (old, place)) in a {
        match b.remove(&path) {
            Some((new, _)) if new == old => {}
            Some((new, place)) => all.push(Change { path, old: Some(old), new: Some(new), place }),
            None => all.push(Change { path, old: Some(old), new: None, place }),
        }
    }
    all.extend(b.into_iter().map(|(path, (new, place))| Change { path, old: None, new: Some(new), place }));
    all.sort_by(|x, y| x.path.cmp(&y.path));
    all
}

/// Everything that enters a plan's hashes, by path.
fn facts(plan: &Plan) -> Values {
    let mut all = Values::new();
    let mut add = |facts: &[Fact]| {
        all.extend(facts.iter().map(|f| (f.path.clone(), (f.value.clone(), Some(f.place.clone())))));
    };
    plan.datasets.iter().for_each(|n| add(&n.facts));
    plan.tokenizers.iter().for_each(|n| add(&n.facts));
    plan.stages.iter().for_each(|n| add(&n.facts));
    plan.evals.iter().for_each(|n| add(&n.facts));
    for dataset in &plan.datasets {
        for input in &dataset.inputs {
            let value = format!("{} ({} bytes)", short(&input.digest), input.bytes);
            all.insert(format!("{}: {}", dataset.name, input.path), (value, None));
        }
    }
    for (name, value) in [("language", plan.experiment.language), ("seed", plan.experiment.seed)] {
        all.entry(format!("experiment.{name}")).or_insert((value.to_string(), None));
    }
    all
}

/// Program, machine and device.
fn surroundings(run: &RunFolder) -> Values {
    let Ok(environment) = run.environment() else { return Values::new() };
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(&environment) else { return Values::new() };
    let mut all = Values::new();
    for (name, value) in fields {
        match value {
            serde_json::Value::Object(inner) => {
                all.extend(inner.into_iter().map(|(k, v)| (format!("{name}.{k}"), (plain(&v), None))));
            }
            serde_json::Value::Null => {}
            other => drop(all.insert(name, (plain(&other), None))),
        }
    }
    all
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `12.34 [11.90, 12.80]`
fn shown(estimate: &Estimate) -> String {
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("{} [{}, {}]", figure(estimate.value), figure(low), figure(high)),
        _ => figure(estimate.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Known, PlannedTokenizer, spec};
    use crate::store::Lab;
    use crate::store::record::tests::example;
    use crate::store::run::tests::{environment, plan};

    fn run(lab: &Lab, hash: &str, vocab: &str, loss: f64) -> RunFolder {
        let mut plan = plan("storyteller", hash);
        let fact =
            |path: &str, value: &str, place: &str| Fact { path: path.into(), value: value.into(), place: place.into() };
        plan.tokenizers.push(PlannedTokenizer {
            name: "words".into(),
            spec: spec::Tokenizer::TokenizerJson(spec::TokenizerJson { file: "t.json".into(), vocab: 8 }),
            vocab: Known::Value(8),
            inputs: Vec::new(),
            unsupported: None,
            hash: Known::Value("cc".repeat(8)),
            depends_on: Vec::new(),
            facts: vec![fact("words.vocab", vocab, "a.exp:3:5"), fact("words.specials", "[]", "std")],
        });
        let run = lab.begin(&plan, &environment()).unwrap();
        let mut record = example(run.id(), loss);
        record.plan_hash = hash.to_owned();
        run.write_record(&record).unwrap();
        run.folder().clone()
    }

    #[test]
    fn a_changed_field_is_named_with_both_values_and_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let (a, b) = (run(&lab, "aa", "4096", 2.0), run(&lab, "bb", "8192", 1.5));
        let difference = diff(&a, &b).unwrap();
        let expected = Change {
            path: "words.vocab".into(),
            old: Some("4096".into()),
            new: Some("8192".into()),
            place: Some("a.exp:3:5".into()),
        };
        assert_eq!(difference.plan, [expected]);
        assert!(!difference.same_plan && difference.environment.is_empty());
        let names: Vec<&str> = difference.results.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(names, ["fluency.pretrain.perplexity", "pretrain.valid.loss"]);
        assert!(difference.to_string().contains("words.vocab"), "{difference}");
        assert!(diff(&a, &a).unwrap().to_string().contains("do not differ"));
    }

    #[test]
    fn what_is_too_wide_for_a_table_is_stacked_and_never_cut() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let long: String = (0..60).map(|n| format!("word{n} ")).collect();
        let (a, b) = (run(&lab, "aa", &long, 2.0), run(&lab, "bb", &"x".repeat(300), 2.0));
        let difference = diff(&a, &b).unwrap();
        let narrow = difference.render(Some(60));
        assert!(narrow.lines().all(|line| line.width() <= 60), "{narrow}");
        assert!(narrow.contains("  words.vocab  (a.exp:3:5)\n    - word0 word1"), "{narrow}");
        let joined = |text: &str| text.replace("\n      ", "");
        assert!(joined(&narrow).contains(&long) && joined(&narrow).contains(&"x".repeat(300)), "{narrow}");
        let piped = difference.to_string();
        assert!(piped.lines().any(|line| line == format!("    - {long}")), "a pipe gets whole lines: {piped}");
    }

    #[test]
    fn figures_stand_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::open(folder.path()).unwrap();
        let runs = [run(&lab, "aa", "1", 2.0), run(&lab, "bb", "1", 1.5)];
        let comparison = compare(&runs).unwrap();
        assert_eq!(comparison.figures["pretrain.valid.loss"][1].unwrap().value, 1.5);
        let table = comparison.table().to_string();
        assert!(table.contains("7.389 [6.389, 8.389]"), "{table}");
    }
}
