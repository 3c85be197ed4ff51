//! Evaluations, audits, gates and claims on models small enough to check by hand.

use emberlab::evaluate::{
    EvalResult, EvaluateError, Item, Judged, Measurements, Options, Verdict, claim, eval, expect,
};
use emberlab::plan::spec::{
    BitsPerByte, Claim, Dataset, Decoding, Eval, ExactMatch, Expect, Measured, Metric, MetricCommon, Named, Needs,
    Perplexity, PreferenceGap, Ref, TokenF1,
};
use emberlab::types::core::{Constant, Core, Op};
use std::ops::ControlFlow;

/// A model over bytes that gives `z` a probability of 1/512 and every other byte 1/256, and answers with the prompt.
struct Bytes {
    context: usize,
    asked: Vec<String>,
}

impl Judged for Bytes {
    fn context(&self) -> usize {
        self.context
    }
    fn start(&self) -> u32 {
        256
    }
    fn logprobs(&mut self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, String> {
        if texts.iter().any(|t| t.len() > self.context + 1) {
            return Err("a text is longer than the context".into());
        }
        let one = |token: &u32| if *token == u32::from(b'z') { -(512f32.ln()) } else { -(256f32.ln()) };
        Ok(texts.iter().map(|t| t.iter().skip(1).map(one).collect()).collect())
    }
    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        Ok(text.bytes().map(u32::from).collect())
    }
    fn decode(&self, tokens: &[u32]) -> Result<String, String> {
        Ok(tokens.iter().filter_map(|t| char::from_u32(*t)).collect())
    }
    fn respond(&mut self, prompts: &[String], _: &Decoding) -> Result<Vec<String>, String> {
        self.asked.extend(prompts.iter().cloned());
        Ok(prompts.iter().map(|p| p.trim_start_matches("Q: ").to_owned()).collect())
    }
}

fn common(needs: Needs) -> MetricCommon {
    MetricCommon { better: emberlab::plan::spec::Better::Higher, needs }
}

fn spec(metrics: Vec<Metric>) -> Eval {
    Eval {
        of: vec![],
        on: Dataset::Named(Named { dataset: Ref { name: "test".into(), split: None } }),
        metrics,
        limit: None,
        decoding: Decoding::greedy(8),
        template: None,
    }
}

fn judge(spec: &Eval, items: &[Item]) -> (Result<EvalResult, EvaluateError>, String) {
    let mut dump = Vec::new();
    let mut judged = Bytes { context: 7, asked: Vec::new() };
    let result = eval(
        spec,
        &mut items.iter().cloned().map(Ok),
        &mut judged,
        Options {
            seed: 1,
            batch: 3,
            render: &|prompt| Ok(format!("Q: {prompt}")),
            dump: Some(&mut dump),
            keep: 2,
            watch: &mut |_| ControlFlow::Continue(()),
        },
    );
    assert!(judged.asked.iter().all(|p| p.starts_with("Q: ")));
    (result, String::from_utf8(dump).expect("text"))
}

fn document(text: &str) -> Item {
    Item::Document { text: text.into() }
}

fn sample(prompt: &str, response: &str) -> Item {
    Item::Sample { prompt: prompt.into(), response: response.into() }
}

#[test]
fn likelihood_metrics_are_those_of_the_model() {
    let metrics = vec![
        Metric::Perplexity(Perplexity { metric: common(Needs::Text) }),
        Metric::BitsPerByte(BitsPerByte { metric: common(Needs::Text) }),
    ];
    let items: Vec<Item> =
        ["one two", "", "a text that is longer than the context of the model", "é"].map(document).into();
    let (result, dump) = judge(&spec(metrics), &items);
    let result = result.expect("it is judged");
    // Uniform over 256 bytes: a perplexity of 256 and 8 bits a byte, whatever the windows.
    assert!((result.metrics["perplexity"].value - 256.0).abs() < 1e-3);
    assert!((result.metrics["bits_per_byte"].value - 8.0).abs() < 1e-6);
    assert!(result.metrics["perplexity"].signature.contains("windows:rolling"));
    assert_eq!((result.n, result.rows.len(), dump.lines().count()), (4, 2, 4));
    assert!(result.also.contains_key("word_perplexity"));
    // The empty document has no score of its own rather than an undefined one.
    let empty: serde_json::Value = serde_json::from_str(dump.lines().nth(1).expect("a line")).expect("JSON");
    assert_eq!(empty["scores"], serde_json::json!({}));
}

#[test]
fn responses_are_generated_from_rendered_prompts_and_compared() {
    let metrics = vec![
        Metric::ExactMatch(ExactMatch { metric: common(Needs::Response) }),
        Metric::TokenF1(TokenF1 { metric: common(Needs::Response) }),
    ];
    let (result, dump) = judge(&spec(metrics), &[sample("red", "The red."), sample("dark blue", "blue")]);
    let result = result.expect("it is judged");
    assert_eq!(result.metrics["exact_match"].value, 0.5);
    assert!((result.metrics["token_f1"].value - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    let row: serde_json::Value = serde_json::from_str(dump.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&row["response"], &row["item"]["response"]), (&"red".into(), &"The red.".into()));
}

#[test]
fn the_audit_tells_which_sentence_is_likelier() {
    let pair = |first: &str, second: &str, contrast: &str| Item::Pair {
        first: first.into(),
        second: second.into(),
        contrast: contrast.into(),
    };
    let items = [
        pair("plain", "plaiz", "letters"),
        pair("a plain and long one", "a plazn and long one", "letters"),
        pair("same", "emas", "order"),
    ];
    let gap = Metric::PreferenceGap(PreferenceGap { metric: common(Needs::Pairs) });
    let (result, dump) = judge(&spec(vec![gap]), &items);
    let result = result.expect("it is judged");
    let audit = result.audit.expect("an audit");
    assert!((result.metrics["preference_gap"].value - (2.5 / 3.0 - 0.5)).abs() < 1e-12);
    assert_eq!((audit.contrasts[0].gap, audit.contrasts[1].gap, audit.contrasts[1].ties), (0.5, 0.0, 1));
    assert!((audit.contrasts[0].mean_difference - 2f64.ln()).abs() < 1e-5);
    assert_eq!((audit.unequal_lengths, dump.lines().count()), (0, 3));
}

#[test]
fn what_cannot_be_judged_is_refused_with_the_reason() {
    let perplexity = || Metric::Perplexity(Perplexity { metric: common(Needs::Text) });
    let text = |result: Result<EvalResult, EvaluateError>| result.expect_err("it fails").to_string();
    assert!(text(judge(&spec(vec![perplexity()]), &[]).0).contains("no items"));
    assert!(text(judge(&spec(vec![perplexity()]), &[document("")]).0).contains("no tokens or bytes"));
    assert!(text(judge(&spec(vec![perplexity(), perplexity()]), &[document("a")]).0).contains("twice"));
    let wrong = text(judge(&spec(vec![perplexity()]), &[document("a"), sample("p", "r")]).0);
    assert!(wrong.contains("item 1 is a sample") && wrong.contains("`perplexity` needs documents"), "{wrong}");
    let mut limited = spec(vec![perplexity()]);
    limited.limit = Some(1);
    assert_eq!(judge(&limited, &[document("a"), sample("p", "r")]).0.expect("the limit ends it").n, 1);
}

/// What an exact-match eval finds for a stage that answers rightly on the items where `right` says so.
fn answers(right: impl Fn(usize) -> bool, n: usize) -> EvalResult {
    let items: Vec<Item> = (0..n).map(|i| sample(&format!("q{i}"), &format!("q{i}"))).collect();
    let metric = Metric::ExactMatch(ExactMatch { metric: common(Needs::Response) });
    let mut result = judge(&spec(vec![metric]), &items).0.expect("it is judged");
    let scores = &mut result.scores["exact_match"];
    for (i, part) in scores.parts.iter_mut().enumerate() {
        part.numerator = f64::from(u8::from(right(i)));
    }
    result.metrics["exact_match"] = scores.clone().estimate(1);
    result
}

fn measure(path: &str) -> Core {
    Core::Measure(path.split('.').map(Into::into).collect())
}

fn binary(op: Op, left: Core, right: Core) -> Core {
    Core::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn stated(statement: Core) -> Claim {
    Claim { name: "helps".into(), text: "as written".into(), statement: Measured(statement), confidence: 0.95 }
}

fn run(aligned: impl Fn(usize) -> bool, tuned: impl Fn(usize) -> bool) -> Measurements {
    let mut measured = Measurements::new();
    measured.eval("answers", "aligned", &answers(aligned, 60));
    measured.eval("answers", "tuned", &answers(tuned, 60));
    measured
}

fn better() -> Core {
    binary(Op::Greater, measure("answers.aligned.exact_match"), measure("answers.tuned.exact_match"))
}

#[test]
fn a_claim_is_supported_refuted_or_left_undecided_by_its_items() {
    let verdict = |run: Measurements| claim(&stated(better()), &[run], 1).verdict;
    assert_eq!(verdict(run(|i| i % 3 != 0, |i| i % 3 == 1)), Verdict::Supported);
    assert_eq!(verdict(run(|i| i % 3 == 1, |i| i % 3 != 0)), Verdict::Refuted);
    assert_eq!(verdict(run(|i| i % 3 == 1, |i| i % 3 == 2)), Verdict::Undecided);
    // Pairing decides what two separate intervals would not: 36 of 60 against 30 of 60, each right where the other is.
    let result = claim(&stated(better()), &[run(|i| i < 36, |i| i < 30)], 1);
    assert_eq!(result.verdict, Verdict::Supported, "{}", result.summary());
    assert!(result.summary().contains("paired bootstrap over items"), "{}", result.summary());
}

#[test]
fn claims_follow_three_valued_logic() {
    let run = run(|i| i < 50, |i| i < 20);
    let one = std::slice::from_ref(&run);
    let worse = binary(Op::Less, measure("answers.aligned.exact_match"), measure("answers.tuned.exact_match"));
    let unknown = binary(Op::Greater, measure("nothing.here.loss"), Core::Const(Constant::Float(1.0)));
    let verdict = |core: Core| claim(&stated(core), one, 1).verdict;
    assert_eq!(verdict(binary(Op::And, better(), worse.clone())), Verdict::Refuted);
    assert_eq!(verdict(binary(Op::Or, worse.clone(), better())), Verdict::Supported);
    assert_eq!(verdict(binary(Op::And, better(), unknown.clone())), Verdict::Undecided);
    assert_eq!(verdict(binary(Op::Or, better(), unknown.clone())), Verdict::Supported);
    assert_eq!(verdict(Core::Not(Box::new(worse))), Verdict::Supported);
    let result = claim(&stated(unknown), one, 1);
    assert!(result.comparisons[0].reason.as_ref().is_some_and(|r| r.contains("has no value")));
    let equal = binary(Op::Equal, measure("answers.aligned.exact_match"), Core::Const(Constant::Float(0.5)));
    assert_eq!(verdict(equal), Verdict::Undecided);
}

#[test]
fn seeds_are_replicates_where_a_figure_has_no_items() {
    let with = |a: f64, b: f64| {
        let mut measured = Measurements::new();
        measured.value("wide.valid.loss", a);
        measured.value("narrow.valid.loss", b);
        measured
    };
    let lower = || stated(binary(Op::Less, measure("wide.valid.loss"), measure("narrow.valid.loss")));
    let one = claim(&lower(), &[with(2.0, 3.0)], 1);
    assert_eq!(one.verdict, Verdict::Undecided);
    assert!(one.summary().contains("run several seeds"), "{}", one.summary());
    let three = claim(&lower(), &[with(2.0, 3.0), with(2.1, 3.0), with(1.9, 3.0)], 1);
    assert_eq!(three.verdict, Verdict::Supported);
    // Mean −1, standard error 0.1/√3, and t(0.975; 2) = 4.303.
    let half = 4.302_652_73 * 0.1 / 3f64.sqrt();
    assert!((three.comparisons[0].low.expect("an interval") - (-1.0 - half)).abs() < 1e-6);
    let scattered = claim(&lower(), &[with(2.0, 3.0), with(4.0, 3.0), with(2.9, 3.0)], 1);
    assert_eq!(scattered.verdict, Verdict::Undecided);
}

#[test]
fn a_gate_reads_the_figures_of_an_eval() {
    let mut measured = Measurements::new();
    measured.eval("answers", "tuned", &answers(|i| i < 30, 60));
    let gate = |path: &str| Expect {
        text: format!("{path} > 40%"),
        condition: Measured(binary(Op::Greater, measure(path), Core::Const(Constant::Float(0.4)))),
    };
    // With one stage judged, its name may be left out.
    assert_eq!(expect(&gate("answers.exact_match"), &measured).met, Some(true));
    let shown = expect(&gate("answers.tuned.exact_match"), &measured);
    assert!(shown.diagram().contains("answers.tuned.exact_match = 0.5  [") && shown.diagram().contains("n = 60"));
    measured.eval("answers", "aligned", &answers(|i| i < 40, 60));
    let unclear = expect(&gate("answers.exact_match"), &measured);
    assert_eq!(unclear.met, None);
    assert!(unclear.reason.is_some_and(|r| r.contains("judged 2 stages")));
}
