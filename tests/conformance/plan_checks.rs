//! What must hold between items, and what is said when it does not.

use crate::lab::{Lab, amount, named, reference, stage};
use emberlab::check::{Checked, Gaps};
use emberlab::plan::{Known, Selection, Uncounted, look, plan, plan_told};
use emberlab::syntax::ast::Kind;
use serde_json::json;

#[track_caller]
fn refused(change: impl FnOnce(&mut Lab), expected: &[&str]) {
    let mut lab = Lab::storyteller();
    change(&mut lab);
    assert_eq!(lab.problems(), expected);
}

#[test]
fn a_stage_starts_from_one_thing() {
    refused(
        |lab| lab.common("pretrain")["model"] = json!(null),
        &["E0601 `pretrain` has neither a model nor a stage to start from\n  [stage pretrain {]"],
    );
    refused(
        |lab| lab.common("tuned")["model"] = reference("teller"),
        &["E0602 `tuned` has both a model and a stage to start from\n  [model] fresh weights of this model …\n  \
           [init] … or the weights that `pretrain` leaves"],
    );
}

#[test]
fn stages_do_not_need_each_other() {
    refused(
        |lab| {
            lab.common("pretrain")["model"] = json!(null);
            lab.common("pretrain")["init"] = reference("tuned");
        },
        &[
            "E0603 `pretrain`, `tuned` need each other\n  [init] `pretrain` needs `tuned`\n  [init] `tuned` needs `pretrain`",
        ],
    );
    refused(
        |lab| *lab.item("questions") = named("questions", None),
        &["E0206 `questions` needs itself\n  [dataset questions {] `questions` needs `questions`"],
    );
}

#[test]
fn a_tokenizer_is_given_once_and_kept() {
    refused(
        |lab| lab.common("pretrain")["tokenizer"] = json!(null),
        &["E0604 `pretrain` has no tokenizer\n  [stage pretrain {]"],
    );
    refused(
        |lab| {
            let mut other = lab.item("words").clone();
            other["vocab"] = json!(512);
            lab.add(Kind::Tokenizer, "letters", other);
            lab.common("tuned")["tokenizer"] = reference("letters");
        },
        &["E0607 `tuned` uses the tokenizer `letters`, but starts from weights trained with `words`\n  \
           [tokenizer] `letters` here\n  [tokenizer] `words` there"],
    );
    refused(
        |lab| lab.item("teller")["vocab"] = json!(1000),
        &["E0607 `teller` has 1000 embeddings, but `words` has 4096 entries\n  [vocab] 1000 embeddings\n  \
           [vocab] 4096 entries\n  [tokenizer] brought together here"],
    );
}

#[test]
fn data_fits_the_stage() {
    refused(
        |lab| lab.common("tuned")["data"] = named("stories", Some("train")),
        &["E0605 `tuned` (sft) learns from samples with a prompt and a response, not from documents\n  \
           [data] holds documents\n  [input.input.input.input.files] because its source is `text`"],
    );
    refused(
        |lab| lab.item("questions")["response"] = json!(null),
        &[
            "E0605 `questions` names a prompt but no response\n  [prompt] there is no `response` to go with it",
            "E0605 `tuned` (sft) learns from samples with a prompt and a response, not from documents\n  \
           [data] holds documents\n  [files] because its source is `jsonl`",
            "E0606 `rouge_l` needs samples with a response to compare with\n  \
           [metrics.0.stem] cannot be computed from documents\n  [on] holds documents\n  \
           [files] because its source is `jsonl`",
        ],
    );
    refused(
        |lab| {
            let part = |name| json!({"data": named(name, None), "weight": 1.0});
            lab.add(Kind::Dataset, "both", json!({"is": "mix", "parts": [part("stories"), part("questions")]}));
        },
        &["E0605 `both` mixes documents with samples with a prompt and a response\n  \
           [parts.1.data] samples with a prompt and a response from `jsonl`\n  [parts.0.data] documents from `text`"],
    );
}

#[test]
fn metrics_fit_the_data() {
    refused(
        |lab| lab.item("fairness")["on"] = named("questions", None),
        &["E0606 `preference_gap` needs pairs of sentences\n  \
           [eval fairness {] cannot be computed from samples with a prompt and a response\n  \
           [on] holds samples with a prompt and a response\n  [files] because its source is `jsonl`"],
    );
}

#[test]
fn likelihood_is_that_of_documents() {
    refused(
        |lab| lab.item("fluency")["on"] = named("questions", None),
        &["E0606 `perplexity` needs documents\n  \
           [eval fluency {] cannot be computed from samples with a prompt and a response\n  \
           [on] holds samples with a prompt and a response\n  [files] because its source is `jsonl`"],
    );
}

#[test]
fn a_metric_is_measured_once() {
    refused(
        |lab| {
            let rouge = lab.item("answers")["metrics"][0].clone();
            lab.item("answers")["metrics"] = json!([rouge, rouge]);
        },
        &["E0202 `answers` measures `rouge_l` twice\n  [metrics.1.stem] its value would have the same name\n  \
           [metrics.0.stem] first here"],
    );
}

#[test]
fn a_warm_up_ends_before_the_stage() {
    let warmup = |lab: &mut Lab, quantity| lab.common("pretrain")["schedule"]["warmup"] = quantity;
    refused(
        |lab| warmup(lab, amount(1000.0, "steps")),
        &["E0612 the warm-up of `pretrain` is longer than the stage\n  [schedule.warmup] 1,000 steps of warm-up\n  \
           [budget] the stage lasts 610 steps"],
    );
    refused(
        |lab| warmup(lab, amount(1.1e7, "tokens")),
        &["E0612 the warm-up of `pretrain` is longer than the stage\n  [schedule.warmup] 672 steps of warm-up\n  \
           [budget] the stage lasts 610 steps"],
    );
    refused(|lab| warmup(lab, amount(610.0, "steps")), &[]);
    // How long three epochs are is not known before the data was counted.
    refused(|lab| lab.common("tuned")["schedule"]["warmup"] = amount(1e6, "steps"), &[]);
}

#[test]
fn settings_of_training_fit_the_network_and_the_length() {
    refused(
        |lab| lab.common("pretrain")["groups"]["head"]["rate"] = json!(0.5),
        &["E0614 `pretrain` gives rates for an output matrix that `teller` does not have\n  \
           [groups.head.rate] for an output matrix of its own\n  [tied] the output shares the embedding"],
    );
    let lora = || json!({"is": "lora", "rank": 8, "alpha": 8.0, "on": ["query"], "rank_stabilized": false, "magnitude": false});
    refused(
        |lab| lab.common("pretrain")["adapter"] = lora(),
        &[
            "E0614 `pretrain` adapts a network that has learnt nothing\n  [adapter.rank] its own weights would stay as they were \
           drawn",
        ],
    );
    refused(
        |lab| {
            lab.common("tuned")["adapter"] = lora();
            lab.common("tuned")["groups"]["vectors"]["rate"] = json!(0.5);
        },
        &[
            "E0614 `tuned` gives rates for weights that its adapters leave as they are\n  [groups.vectors.rate] adapters are \
           matrices of blocks\n  [adapter.rank] only these are trained",
        ],
    );
    let experts = |every| {
        json!({"count": 4, "active": 2, "hidden": null, "renormalize": true, "every": every, "balance": 0.01,
            "z_loss": null})
    };
    let mut adapted = lora();
    adapted["on"] = json!(["query", "up"]);
    refused(
        |lab| {
            lab.item("teller")["experts"] = experts(json!(2));
            lab.common("tuned")["adapter"] = adapted;
        },
        &[
            "E0614 `tuned` adapts experts, which this version cannot\n  [adapter.rank] `gate`, `up` and `down` are matrices of \
           experts here\n  [experts.count] the network has experts",
        ],
    );
    refused(
        |lab| {
            lab.item("teller")["experts"] = experts(json!(2));
            lab.common("tuned")["adapter"] = lora();
        },
        &[],
    );
    refused(
        |lab| {
            lab.item("teller")["experts"] = experts(json!(2));
            lab.common("tuned")["precision"] = json!("mixed_bf16");
        },
        &[
            "E0614 `tuned` multiplies in `mixed_bf16`, which is not built for experts\n  [precision] experts multiply in f32 only\n  [experts.count] the network has experts",
        ],
    );
    let soap = |lab: &mut Lab, stage: &str| {
        lab.common(stage)["optimizer"] = json!({"is": "soap", "lr": 3e-3, "beta1": 0.95, "beta2": 0.95,
            "shampoo_beta": null, "epsilon": 1e-8, "weight_decay": 0.01, "precondition_frequency": 10,
            "max_precond_dim": 10_000});
    };
    refused(|lab| soap(lab, "pretrain"), &[]);
    refused(
        |lab| {
            soap(lab, "pretrain");
            lab.item("teller")["mup"] = json!({"base_width": 128, "base_head_dim": null});
        },
        &["E0614 `pretrain` carries SOAP's rate to another width, for which no rule is known to hold\n  \
             [optimizer.lr] steps of SOAP are as large as their gradients are of high rank\n  \
             [mup.base_width] the network's rates follow from its width"],
    );
    refused(
        |lab| {
            soap(lab, "tuned");
            lab.common("tuned")["adapter"] = lora();
            lab.item("teller")["mup"] = json!({"base_width": 128, "base_head_dim": null});
        },
        &[],
    );
    let mut lab = Lab::storyteller();
    lab.item("teller")["experts"] = experts(json!(7));
    let told = lab.problems();
    assert!(told[0].starts_with("E0614 no block of `teller` has experts\n  [experts.every]"), "{told:?}");
    refused(
        |lab| lab.item("teller")["value_embeddings"] = json!({"every": 2, "channels": 385}),
        &["E0614 gates of `teller` see more numbers than there are\n  [value_embeddings.channels] 385 numbers\n  \
             [width] the width is 384\n  [stage pretrain {] trained here"],
    );
    let grows = |lab: &mut Lab, from, over| {
        lab.common("pretrain")["growth"] = json!({"from": amount(from, "documents"), "over": amount(over, "steps")});
    };
    refused(
        |lab| grows(lab, 65.0, 10.0),
        &["E0614 the batch of `pretrain` would shrink instead of growing\n  [growth.from] 65 sequences at first\n  \
           [batch] 64 sequences in the end"],
    );
    let mut lab = Lab::storyteller();
    grows(&mut lab, 8.0, 2_000.0);
    assert!(lab.problems()[0].starts_with(
        "E0614 the batch of `pretrain` is never full\n  [growth.over] it grows over 2,000 steps\n  [budget] the stage lasts 1,"
    ));
    refused(|lab| grows(lab, 8.0, 100.0), &[]);
    let falls = |lab: &mut Lab, warmup| {
        lab.common("pretrain")["schedule"] = json!({"is": "wsd", "warmup": amount(warmup, "steps"),
            "decay": amount(0.2, "ratio"), "shape": "linear", "floor": 0.0});
    };
    refused(
        |lab| falls(lab, 500.0),
        &["E0614 warm-up and decay of `pretrain` are longer than the stage\n  [schedule.decay] 122 steps of decay\n  \
           [schedule.warmup] 500 steps of warm-up\n  [budget] the stage lasts 610 steps"],
    );
    refused(|lab| falls(lab, 488.0), &[]);
    refused(
        |lab| {
            let point = |at, unit, share| json!({"at": amount(at, unit), "share": share});
            let points = [point(0.5, "ratio", 1.0), point(100.0, "steps", 0.5)];
            lab.common("pretrain")["schedule"] = json!({"is": "piecewise", "points": points});
        },
        &["E0614 the points of `pretrain` are out of order\n  [schedule.points.1.at] at step 100\n  \
           [schedule.points.0.at] comes before this, and lies at step 305"],
    );
}

/// The warnings of a plan, which exists all the same.
fn warned(change: impl FnOnce(&mut Lab)) -> Vec<String> {
    let mut lab = Lab::storyteller();
    change(&mut lab);
    let (plan, problems) = plan_told(&lab.checked(), &lab.world(), &Selection::default(), &Uncounted);
    assert!(plan.is_some() && !problems.any_error(), "{problems:?}");
    problems.sorted().into_iter().map(|p| format!("{} {}", p.code, p.message)).collect()
}

#[test]
fn what_is_legal_and_surely_not_meant_is_told_with_the_plan() {
    assert!(warned(|_| ()).is_empty());
    assert_eq!(
        warned(|lab| lab.common("pretrain")["validate"]["period"] = amount(611.0, "steps")),
        ["W1010 `pretrain` validates only at its end"]
    );
    assert_eq!(
        warned(|lab| lab.common("pretrain")["batch"] = amount(100.0, "tokens")),
        ["W1004 the batch of `pretrain` is smaller than one sequence"]
    );
    let batch = |tokens: f64| warned(move |lab| lab.common("pretrain")["batch"] = amount(tokens, "tokens"));
    assert_eq!(batch(400.0), ["W1004 the batch of `pretrain` is not a whole number of sequences"]);
    assert!(batch(16_000.0).is_empty(), "little is left out of a step");
    assert_eq!(
        warned(|lab| {
            lab.common("pretrain")["batch"] = amount(8.0, "documents");
            lab.common("pretrain")["micro_batch"] = json!(9);
        }),
        ["W1014 the micro-batch of `pretrain` is larger than its batch"]
    );
    let spike = |window: u64| {
        warned(move |lab| {
            lab.common("pretrain")["on_spike"] = json!({"factor": 2.0, "window": window, "action": "skip"});
        })
    };
    assert_eq!(spike(611), ["W1014 `pretrain` is over before a leap of its loss could be told"]);
    assert!(spike(100).is_empty());
}

#[test]
fn there_is_something_to_run() {
    let lab = Lab { items: Vec::new(), expects: Vec::new(), claims: Vec::new(), ..Lab::storyteller() };
    assert_eq!(lab.problems(), ["E0613 there is nothing to run\n  []"]);
    assert!(look(&lab.checked(), &lab.world(), true).iter().all(|p| !p.is_error()), "a check only warns");
}

#[test]
fn what_is_wrong_elsewhere_hides_nothing() {
    let mut lab = Lab::storyteller();
    lab.common("pretrain")["model"] = json!(null);
    lab.common("tuned")["data"] = named("stories", Some("train"));
    let found = |change: &dyn Fn(&mut Checked)| -> Vec<&'static str> {
        let mut checked = lab.checked();
        change(&mut checked);
        look(&checked, &lab.world(), false).sorted().into_iter().map(|p| p.code.name()).collect()
    };
    assert_eq!(found(&|_| ()), ["E0601", "E0605"]);
    let gap = |checked: &mut Checked, name: &str, gaps: Gaps| {
        if let Some(item) = checked.items.iter_mut().find(|i| i.name == name) {
            item.gaps = gaps;
        }
    };
    let unknown = |name: &str| Gaps { unknown: vec![name.to_owned()], ..Gaps::default() };
    assert_eq!(found(&|c| gap(c, "pretrain", unknown("mdoel"))), ["E0605"], "it may be the model");
    assert_eq!(found(&|c| gap(c, "pretrain", unknown("colour"))), ["E0601", "E0605"]);
    let wrong = |path: &str| Gaps { wrong: vec![path.to_owned()], ..Gaps::default() };
    assert_eq!(found(&|c| gap(c, "pretrain", wrong("model"))), ["E0605"], "it is there, and wrong");
    assert_eq!(found(&|c| gap(c, "pretrain", wrong("optimizer.lr"))), ["E0601", "E0605"]);
    assert_eq!(found(&|c| gap(c, "tuned", wrong("optimizer.lr"))), ["E0601"], "what is wrong is not looked at");
}

#[test]
fn sequences_fit_the_context() {
    refused(
        |lab| lab.common("pretrain")["sequence"] = json!(512),
        &["E0609 sequences of `pretrain` are 512 tokens, longer than the 256 of `teller`\n  [sequence] 512 tokens\n  \
           [context] at most 256"],
    );
}

#[test]
fn a_budget_buys_a_step() {
    refused(
        |lab| lab.common("pretrain")["budget"] = amount(1000.0, "tokens"),
        &["E0610 the budget of `pretrain` is less than one step\n  \
           [budget] 1,000 tokens ÷ 16,384 tokens a step = 0 steps\n  [batch] the size of a step"],
    );
}

#[test]
fn a_budget_is_more_than_nothing() {
    refused(
        |lab| lab.common("tuned")["budget"] = amount(-1.0, "epochs"),
        &["E0610 the budget of `tuned` is less than one step\n  \
           [budget] -1 epochs × the samples of `questions` ÷ 8 sequences a step\n  [batch] the size of a step"],
    );
}

#[test]
fn the_best_is_measured() {
    refused(
        |lab| lab.common("pretrain")["validate"] = json!(null),
        &["E0503 nothing measures `valid.loss`: `pretrain` does not validate\n  [keep.by] needs validation"],
    );
}

#[test]
fn rewards_come_from_reward_models() {
    let template = json!({"jinja": "x", "stop": []});
    let common = |start: &str| {
        stage(json!({"init": reference(start), "data": named("questions", None),
        "budget": amount(10.0, "steps"), "batch": amount(8.0, "documents")}))
    };
    refused(
        |lab| {
            let grpo = json!({"is": "grpo", "training": common("tuned"), "template": template, "reward": reference("pretrain"),
                "group": 4, "kl": 0.1, "clip_range": 0.2, "temperature": 1.0, "max_tokens": 16});
            lab.add(Kind::Stage, "grown", grpo);
        },
        &["E0611 `grown` is rewarded by `pretrain`, which is not a reward model\n  \
           [reward] needs a stage of the kind `reward_model`\n  \
           [stage pretrain {] this is a stage of the kind `next_token`"],
    );
}

#[test]
fn a_value_that_does_not_fit_its_type_is_our_bug() {
    let mut lab = Lab::storyteller();
    lab.item("words")["vocab"] = json!("many");
    let problems = lab.problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("E0304 bug in Emberlab: the checked value of `words` does not fit its type"));
}

#[test]
fn what_cannot_run_is_planned_and_says_what_is_missing() {
    let mut lab = Lab::storyteller();
    let preferred = json!({"is": "preferences", "files": "data/questions.jsonl", "prompt": "p", "chosen": "c",
        "rejected": "r", "license": null});
    lab.add(Kind::Dataset, "preferred", preferred);
    let dpo = json!({"is": "dpo", "template": {"jinja": "x", "stop": []}, "beta": 0.1, "loss": "sigmoid",
        "label_smoothing": 0.0, "training": stage(json!({"init": reference("tuned"), "data": named("preferred", None),
            "budget": amount(1.0, "epochs"), "batch": amount(8.0, "documents")}))});
    lab.add(Kind::Stage, "aligned", dpo);
    lab.item("fairness")["of"] = json!([reference("aligned")]);
    let plan = lab.plan();
    let aligned = &plan.stages[2];
    let why =
        "this version does not have stages of the kind `dpo`: a frozen reference model and the loss over preferences";
    assert_eq!(aligned.unsupported.as_deref(), Some(why));
    assert!(aligned.hash.value().is_some() && aligned.estimate.parameters.value().is_some());
    assert_eq!(aligned.estimate.flops, Known::Unknown(why.to_owned()), "no figure is made up");
    let fairness = plan.evals.iter().find(|e| e.name == "fairness").and_then(|e| e.unsupported.clone());
    assert_eq!(fairness, Some(format!("needs `aligned`: {why}")));
    assert!(plan.stages[..2].iter().all(|s| s.unsupported.is_none()));
}

#[test]
fn a_part_of_a_plan_is_what_it_needs() {
    let lab = Lab::storyteller();
    let until = |name: &str| plan(&lab.checked(), &lab.world(), &Selection { until: Some(name.to_owned()) });
    let part = until("pretrain").expect("it plans");
    let names: Vec<&str> = part.nodes().map(|n| n.name).collect();
    assert_eq!(names, ["stories", "words", "pretrain"]);
    assert_eq!(part.hash, lab.plan().hash, "it is the same experiment");
    assert!(part.expects.is_empty() && part.claims.is_empty());
    let part = until("answers").expect("it plans");
    assert_eq!((part.stages.len(), part.evals.len(), part.expects.len()), (2, 1, 0));
    assert_eq!(part.claims.len(), 1, "what can be decided then is");
    let problems = until("pretrian").expect_err("there is no such stage");
    let problem = &problems.sorted()[0];
    assert_eq!(problem.message, "there is no stage `pretrian` to run until");
    assert_eq!(problem.help.as_deref(), Some("did you mean `pretrain`?"));
}
